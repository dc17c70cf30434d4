//! `text.unicode`: characters that readers do not see or take for others.

mod invisible;
mod look_alike;
mod payload;

pub(super) use invisible::is_zero_width;

use crate::fold::{Detect, Info};

use super::mark::{Kind, MOST_MARKS, Mark, Marked, Rules, info};

#[doc = include_str!("../unicode.md")]
pub struct Unicode;

static INFO: Info = info(
    "text.unicode",
    "invisible, reordering and look-alike characters where no script needs them, with what they hide",
    include_str!("../unicode.md"),
);

/// Kinds of marks, in the order of [`KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Tag,
    Selector,
    Run,
    InWord,
    Override,
    LookAlike,
    Control,
    NonCharacter,
    Stray,
    MixedScript,
    Private,
}

/// Fewest rows of what spam is written with as well: a few are spam.
const LONE: u64 = 4;
/// What little belief is left where web pages, keyboards and fonts leave the same characters behind.
const LEFT_BEHIND: f64 = 0.02;

static KINDS: [Kind; 11] = [
    Kind::new("tag_characters", "tag characters", 0.99, 0.1),
    Kind::new("variation_selectors", "variation selectors where nothing varies", 0.99, 0.1),
    Kind::new("zero_width_run", "runs of different zero-width characters", 0.98, 0.1),
    Kind { least: LONE, ..Kind::new("invisible_in_word", "invisible characters inside words", 0.96, 0.1) },
    Kind::new("direction_override", "direction overrides in left-to-right text", 0.97, 0.05),
    Kind { least: LONE, ..Kind::new("look_alike_letters", "look-alike letters of another script", 0.96, 0.1) },
    Kind::new("deleting_controls", "control characters that erase or move", 0.93, 0.02),
    Kind::new("noncharacters", "code points that are no characters", 0.93, 0.02),
    Kind::new("invisible_elsewhere", "invisible characters beside words", LEFT_BEHIND, 1.0),
    Kind::new("mixed_scripts", "words of mixed scripts", LEFT_BEHIND, 1.0),
    Kind::new("private_use", "private-use characters", LEFT_BEHIND, 1.0),
];

/// The detector.
#[must_use]
pub fn unicode() -> impl Detect + 'static {
    Marked::<Unicode>::new()
}

impl Rules for Unicode {
    const INFO: &'static Info = &INFO;
    const KINDS: &'static [Kind] = &KINDS;
    const IN_ANSWERS: bool = true;

    fn marks(text: &str) -> Vec<Mark> {
        // Nearly all text of nearly all sets ends here.
        if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r' | b'\x0c')) {
            return Vec::new();
        }
        let mut marks = invisible::marks(text);
        if !text.is_ascii() {
            marks.extend(look_alike::marks(text));
        }
        marks.sort_by_key(|mark| mark.start);
        marks.truncate(MOST_MARKS);
        marks
    }
}

fn mark(what: What, start: usize, end: usize, said: String) -> Mark {
    Mark { kind: what as usize, start, end, what: said, decoded: None }
}

/// `U+200B zero width space`; the bare code point where it has no name here.
fn named(c: char) -> String {
    let name = match c {
        '\u{8}' => "backspace",
        '\u{1b}' => "escape",
        '\u{7f}' => "delete",
        '\u{ad}' => "soft hyphen",
        '\u{34f}' => "combining grapheme joiner",
        '\u{61c}' => "Arabic letter mark",
        '\u{115f}' => "Hangul choseong filler",
        '\u{1160}' => "Hangul jungseong filler",
        '\u{17b4}' => "Khmer vowel inherent aq",
        '\u{17b5}' => "Khmer vowel inherent aa",
        '\u{180e}' => "Mongolian vowel separator",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{202a}' => "left-to-right embedding",
        '\u{202b}' => "right-to-left embedding",
        '\u{202c}' => "pop directional formatting",
        '\u{202d}' => "left-to-right override",
        '\u{202e}' => "right-to-left override",
        '\u{2060}' => "word joiner",
        '\u{2061}' => "function application",
        '\u{2062}' => "invisible times",
        '\u{2063}' => "invisible separator",
        '\u{2064}' => "invisible plus",
        '\u{2066}' => "left-to-right isolate",
        '\u{2067}' => "right-to-left isolate",
        '\u{2068}' => "first strong isolate",
        '\u{2069}' => "pop directional isolate",
        '\u{3164}' => "Hangul filler",
        '\u{feff}' => "zero width no-break space",
        '\u{ffa0}' => "halfwidth Hangul filler",
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => "variation selector",
        '\u{e0000}'..='\u{e007f}' => "tag character",
        _ => "",
    };
    format!("U+{:04X} {name}", u32::from(c)).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
