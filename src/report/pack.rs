//! Data inside a page: inert blocks that a browser neither runs nor reads as markup.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::error::{Error, Result};

/// A value as JSON, gzip, base64.
pub(super) fn packed(value: &impl Serialize) -> Result<String> {
    let fail = |e: &dyn std::fmt::Display| Error::output("report.html", e);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    serde_json::to_writer(&mut encoder, value).map_err(|e| fail(&e))?;
    encoder.flush().map_err(|e| fail(&e))?;
    Ok(STANDARD.encode(encoder.finish().map_err(|e| fail(&e))?))
}

/// A value as JSON that can stand inside a script element: no `<` is left, so nothing in it ends the element or opens a comment.
pub(super) fn inert(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|e| Error::output("report.html", e))?;
    Ok(text.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}

/// The text of the block with this id in a page, if it is base64 and no more.
pub(super) fn block<'a>(page: &'a str, id: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<script type=\"application/octet-stream\" id=\"{id}\">"))?;
    let (text, _) = rest.split_once("</script>")?;
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let text = packed(&["</script>", "é"]).unwrap();
        let mut json = String::new();
        flate2::read::GzDecoder::new(&STANDARD.decode(&text).unwrap()[..]).read_to_string(&mut json).unwrap();
        assert_eq!(json, "[\"</script>\",\"é\"]");
        let page = |inside: &str| format!("<p><script type=\"application/octet-stream\" id=\"rows\">{inside}</script>");
        assert_eq!(block(&page(&text), "rows"), Some(text.as_str()));
        assert_eq!(block(&page("<b>"), "rows"), None);
        assert_eq!(block(&page(&text), "pictures"), None);
    }

    #[test]
    fn nothing_in_json_ends_its_element() {
        let text = inert(&["</script><!--\u{2028}"]).unwrap();
        assert!(!text.contains('<') && !text.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), ["</script><!--\u{2028}"]);
    }
}
