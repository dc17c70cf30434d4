//! How a word is written, whatever the word: what is hidden in it, its case and width, the shape of its digits, the white space before it.

use super::CHARACTER;
use crate::data::Key;

/// Hash domain of shapes.
const SHAPE: u8 = 24;
/// Letters from which on a word can be in capitals: initials and short names are by nature.
const FEWEST_CAPITALS: usize = 3;
/// Characters of a word with digits that has a shape.
const SHAPED: std::ops::RangeInclusive<usize> = 3..=16;

/// A word with digits, each of its characters by its kind: `0` a digit, `a` and `A` a small and a capital letter, others as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    kinds: [u8; 16],
    length: usize,
}

impl Shape {
    /// `None` for words without a digit, of other than ASCII characters, or of a length that says nothing or only by chance is the same.
    fn of(word: &str) -> Option<Self> {
        if !SHAPED.contains(&word.len()) || !word.is_ascii() || !word.bytes().any(|c| c.is_ascii_digit()) {
            return None;
        }
        let kind = |c: u8| match c {
            _ if c.is_ascii_digit() => b'0',
            _ if c.is_ascii_lowercase() => b'a',
            _ if c.is_ascii_uppercase() => b'A',
            _ => c,
        };
        let mut kinds = [0; 16];
        kinds.iter_mut().zip(word.bytes()).for_each(|(into, c)| *into = kind(c));
        Some(Self { kinds, length: word.len() })
    }

    fn words(self) -> [u64; 2] {
        let (low, high) = self.kinds.split_at(8);
        [low, high].map(|half| half.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}

/// How a word is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Format characters without a shape: zero width, direction, tags.
    Invisible,
    /// Letters of look-alike scripts beside Latin ones in one word.
    MixedScript,
    /// Latin letters as wide as ideographs.
    FullWidth,
    /// All in capitals.
    Capitals,
    /// After two spaces or more.
    WideGap,
    /// After white space that is none of the usual.
    OddSpace,
    /// Digits among its characters.
    Digits(Shape),
}

impl Form {
    const FIXED: [Self; 6] = [Self::Invisible, Self::MixedScript, Self::FullWidth, Self::Capitals, Self::WideGap, Self::OddSpace];
    /// What planted text is hidden with; the other forms can be seen.
    pub(super) const HIDDEN: [Self; 2] = [Self::Invisible, Self::MixedScript];

    /// The forms of a word with what stands between the one before, or the beginning of the text, and it.
    pub(super) fn of<'a>(word: &'a str, gap: &'a str) -> impl Iterator<Item = Self> + 'a {
        Self::FIXED.into_iter().filter(move |form| form.is_in(word, gap)).chain(Shape::of(word).map(Self::Digits))
    }

    pub(super) fn item(self, key: &Key) -> u64 {
        match self {
            Self::Digits(shape) => key.words(SHAPE, &shape.words()),
            // Above all characters.
            fixed => key.words(CHARACTER, &[u64::MAX - Self::FIXED.iter().position(|form| *form == fixed).unwrap_or(0) as u64]),
        }
    }

    fn is_in(self, word: &str, gap: &str) -> bool {
        let any = |of: fn(char) -> bool| !word.is_ascii() && word.chars().any(of);
        match self {
            Self::Invisible => any(
                |c| matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'),
            ),
            Self::MixedScript => {
                any(|c| matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}') && c.is_alphabetic())
                    && word.chars().any(|c| c.is_ascii_alphabetic())
            }
            Self::FullWidth => any(|c| matches!(c, '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}')),
            Self::Capitals => {
                word.chars().all(|c| !c.is_lowercase()) && word.chars().filter(|c| c.is_uppercase()).count() >= FEWEST_CAPITALS
            }
            Self::WideGap => gap.len() > 1 && gap.bytes().all(|c| c == b' '),
            Self::OddSpace => !gap.is_ascii() && gap.chars().any(|c| c.is_whitespace() && !c.is_ascii()),
            Self::Digits(shape) => Shape::of(word) == Some(shape),
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Invisible => "invisible characters".to_owned(),
            Self::MixedScript => "words of mixed scripts".to_owned(),
            Self::FullWidth => "full-width letters".to_owned(),
            Self::Capitals => "a word in capitals".to_owned(),
            Self::WideGap => "two spaces in a row".to_owned(),
            Self::OddSpace => "white space other than usual".to_owned(),
            Self::Digits(Shape { kinds, length }) => {
                let shape = String::from_utf8_lossy(&kinds[..length]).into_owned();
                if kinds[..length].iter().all(|kind| *kind == b'0') {
                    format!("a number of {length} digits")
                } else {
                    format!("a word of the form {shape}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(word: &str, gap: &str) -> Vec<String> {
        Form::of(word, gap).map(Form::name).collect()
    }

    #[test]
    fn forms_are_told() {
        assert_eq!(names("word", " "), Vec::<String>::new());
        assert_eq!(names("wo\u{200b}rd", ""), ["invisible characters"]);
        assert_eq!(names("w\u{43e}rd", " "), ["words of mixed scripts"]);
        assert_eq!(names("\u{ff57}\u{ff4f}", " "), ["full-width letters"]);
        assert_eq!(names("WORD", "  "), ["a word in capitals", "two spaces in a row"]);
        assert_eq!(names("word", "\u{a0}"), ["white space other than usual"]);
        assert_eq!(names("483920", " "), ["a number of 6 digits"]);
        assert_eq!(names("x7Fq", "\n"), ["a word of the form a0Aa"]);
        // Initials, small numbers, words of other scripts, indented lines.
        assert!(names("US", " ").is_empty() && names("42", " ").is_empty() && names("слово", "\n    ").is_empty());
    }

    #[test]
    fn every_form_is_an_item_of_its_own() {
        let key = Key::from_seed(1);
        let shapes = ["000", "0000", "a00", "A00"].into_iter().filter_map(|word| Shape::of(&word.replace('0', "7")));
        let items: std::collections::BTreeSet<u64> =
            Form::FIXED.into_iter().chain(shapes.map(Form::Digits)).map(|form| form.item(&key)).collect();
        assert_eq!(items.len(), Form::FIXED.len() + 4);
    }
}
