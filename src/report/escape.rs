//! Text from the data, made safe to show. Nothing of the data reaches a terminal or a page except through here.

use std::fmt::Write;

/// More combining marks in a row than this are shown as code points: stacked marks run over neighbouring lines.
const MARKS: usize = 3;

/// A text as one line of at most `limit` characters that hides nothing: control, bidirectional, zero-width, tag and
/// variation characters and line breaks appear as `⟨U+202E⟩`, and a text that was cut ends in `…`.
///
/// Reads no more of `text` than it shows. Says nothing about HTML: templates escape on their own.
#[must_use]
pub fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    // Bytes of `shown` that leave room for the sign of a cut.
    let mut room = 0;
    let mut length = 0;
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        let start = shown.len();
        if is_hidden(c) || marks > MARKS {
            // Writing into a string cannot fail.
            let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(c));
            length += shown[start..].chars().count();
        } else {
            shown.push(c);
            length += 1;
        }
        if length > limit {
            shown.truncate(room);
            if limit > 0 {
                shown.push('…');
            }
            return shown;
        }
        if length < limit {
            room = shown.len();
        }
    }
    shown
}

/// Characters that a reader cannot see or that change how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Marks that are drawn over the character before them.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_kept() {
        assert_eq!(visible("Größe 3×3, 日本語, e\u{301}", 40), "Größe 3×3, 日本語, e\u{301}");
        assert_eq!(visible("", 4), "");
    }

    #[test]
    fn hidden_characters_become_code_points() {
        assert_eq!(visible("a\u{202E}b", 40), "a⟨U+202E⟩b");
        assert_eq!(visible("\u{1b}[31mred\n", 40), "⟨U+001B⟩[31mred⟨U+000A⟩");
        assert_eq!(visible("\u{9b}2J\u{7f}", 40), "⟨U+009B⟩2J⟨U+007F⟩");
        assert_eq!(visible("c\u{200B}f\u{FEFF}", 40), "c⟨U+200B⟩f⟨U+FEFF⟩");
        assert_eq!(visible("\u{E0041}\u{FE0F}\u{AD}", 60), "⟨U+E0041⟩⟨U+FE0F⟩⟨U+00AD⟩");
    }

    #[test]
    fn no_hidden_character_passes() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let shown = visible(&c.to_string(), 20);
            assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn stacked_marks_are_broken_up() {
        let shown = visible(&format!("a{}", "\u{301}".repeat(100)), 500);
        assert_eq!(shown.chars().filter(|&c| is_mark(c)).count(), MARKS);
    }

    #[test]
    fn long_text_is_cut_within_the_limit() {
        assert_eq!(visible("abcdef", 6), "abcdef");
        assert_eq!(visible("abcdefg", 6), "abcde…");
        assert_eq!(visible("abc\u{202E}", 10), "abc…");
        assert_eq!(visible("abc", 0), "");
        let huge = "x\u{202E}".repeat(5_000_000);
        for limit in 0..30 {
            assert!(visible(&huge, limit).chars().count() <= limit);
        }
    }
}
