//! Text from the data in names, addresses and sentences of other forms.

use std::fmt::Write;

use crate::report::visible;

/// Characters kept of a sentence.
pub(super) const SENTENCE: usize = 2_000;
/// Characters kept of a name, bytes of one in an address: what file systems allow.
pub(super) const NAME: usize = 4_096;
/// Characters kept of a code, tier or other word of foretaste's own, which a report that was tampered with may not hold.
const WORD: usize = 100;
/// Schemes that the data are read from.
const SCHEMES: [&str; 5] = ["s3", "gs", "az", "http", "https"];

/// A sentence as one harmless line.
pub(super) fn sentence(text: &str) -> String {
    visible(text, SENTENCE)
}

/// A file's name as one harmless line.
pub(super) fn name(text: &str) -> String {
    visible(text, NAME)
}

/// A code or another short word.
pub(super) fn word(text: &str) -> String {
    visible(text, WORD)
}

/// A file's name as a reference (RFC 3986): whatever could mean something in an address is percent-encoded, so that no name
/// becomes a script, a query or another host. A path from the root becomes a `file` address.
pub(super) fn uri(name: &str) -> String {
    let (mut out, path) = match name.split_once("://") {
        Some((scheme, rest)) if SCHEMES.contains(&scheme) => (format!("{scheme}://"), rest),
        _ if name.starts_with('/') => ("file://".to_owned(), name),
        _ => (String::new(), name),
    };
    for byte in path.bytes().take(NAME) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => {
                // Writing into a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_references_that_mean_only_a_path() {
        assert_eq!(uri("data/train 1.parquet"), "data/train%201.parquet");
        assert_eq!(uri("/data/é.csv"), "file:///data/%C3%A9.csv");
        assert_eq!(uri("//host/x"), "file:////host/x");
        assert_eq!(uri("s3://bucket/a?b#c"), "s3://bucket/a%3Fb%23c");
        assert_eq!(uri("javascript:alert('1')"), "javascript%3Aalert%28%271%27%29");
        assert_eq!(uri("javascript://%0aalert(1)"), "javascript%3A//%250aalert%281%29");
        assert_eq!(uri("\"\u{202E}\n"), "%22%E2%80%AE%0A");
    }
}
