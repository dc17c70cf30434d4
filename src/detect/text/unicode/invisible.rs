//! Characters without a shape, where no script, emoji or format asks for them.

use unicode_script::{Script, UnicodeScript};

use super::super::mark::{MOST_MARKS, Mark};
use super::{What, mark, named, payload};

/// Fewest zero-width characters in a row that are a message rather than a slip.
const MESSAGE: usize = 8;

/// Characters that take no room between others.
pub(in crate::detect::text) fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// Format characters that writing, layout or direction needs now and then.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202c}' | '\u{2066}'..='\u{2069}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}')
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
}

fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Scripts that are written without joiners and break lines at spaces: nothing invisible belongs inside their words.
fn is_plain(script: Script) -> bool {
    matches!(
        script,
        Script::Latin | Script::Greek | Script::Cyrillic | Script::Armenian | Script::Georgian | Script::Cherokee | Script::Coptic
    )
}

/// Scripts whose lines may break between any two letters, so that zero width spaces mark where words end.
fn breaks_anywhere(script: Script) -> bool {
    matches!(
        script,
        Script::Thai
            | Script::Lao
            | Script::Khmer
            | Script::Myanmar
            | Script::Tibetan
            | Script::Javanese
            | Script::Balinese
            | Script::Han
            | Script::Hiragana
            | Script::Katakana
            | Script::Hangul
            | Script::Bopomofo
            | Script::Yi
            | Script::Common
            | Script::Inherited
            | Script::Unknown
    )
}

/// Whether a character may stand between two letters of these scripts.
fn belongs(c: char, before: Script, after: Script) -> bool {
    if is_plain(before) && is_plain(after) {
        return false;
    }
    match c {
        '\u{200c}' | '\u{200d}' | '\u{34f}' => true,
        '\u{180e}' => before == Script::Mongolian || after == Script::Mongolian,
        '\u{17b4}' | '\u{17b5}' => before == Script::Khmer || after == Script::Khmer,
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => before == Script::Hangul || after == Script::Hangul,
        '\u{200b}' | '\u{2060}' | '\u{feff}' => breaks_anywhere(before) || breaks_anywhere(after),
        _ => false,
    }
}

fn is_right_to_left(c: char) -> bool {
    use Script::{Adlam, Arabic, Hebrew, Mandaic, Nko, Samaritan, Syriac, Thaana};
    matches!(c.script(), Arabic | Hebrew | Syriac | Thaana | Nko | Samaritan | Mandaic | Adlam)
}

/// Marks of characters that are not seen, in order.
pub(super) fn marks(text: &str) -> Vec<Mark> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let end_of = |at: usize| chars.get(at).map_or(text.len(), |(start, _)| *start);
    let run = |from: usize, is: &dyn Fn(char) -> bool| from + chars[from..].iter().take_while(|(_, c)| is(*c)).count();
    let mut right_to_left = None;
    let mut marks = Vec::new();
    let mut at = 0;
    while at < chars.len() && marks.len() < MOST_MARKS {
        let (start, c) = chars[at];
        let mut next = at + 1;
        if c.is_ascii() {
            if matches!(c, '\u{8}' | '\u{7f}') {
                marks.push(mark(What::Control, start, end_of(next), named(c)));
            }
        } else if is_tag(c) {
            next = run(at, &is_tag);
            // England, Scotland and Wales: a black flag, letters, and the end of the tag.
            let flag = at > 0 && chars[at - 1].1 == '\u{1f3f4}' && chars[next - 1].1 == '\u{e007f}' && next - at <= 8;
            if !flag {
                let (end, count) = (end_of(next), next - at);
                let decoded = payload::of_tags(&text[start..end]);
                marks.push(Mark { decoded, ..mark(What::Tag, start, end, format!("{count} tag characters, from {}", named(c))) });
            }
        } else if is_selector(c) {
            next = run(at, &is_selector);
            marks.extend(selectors(text, &chars, at, next, end_of(next)));
        } else if is_zero_width(c) {
            next = run(at, &is_zero_width);
            marks.push(zero_width(text, &chars, at, next, end_of(next)));
        } else if matches!(c, '\u{202d}' | '\u{202e}') {
            let has = *right_to_left.get_or_insert_with(|| text.chars().any(is_right_to_left));
            let what = if has { What::Stray } else { What::Override };
            marks.push(mark(
                what,
                start,
                end_of(next),
                format!("{}{}", named(c), if has { "" } else { " in text that runs left to right" }),
            ));
        } else if is_format(c) {
            marks.push(mark(What::Stray, start, end_of(next), named(c)));
        } else if is_private(c) {
            marks.push(mark(What::Private, start, end_of(next), format!("{}, for private use", named(c))));
        } else if is_noncharacter(c) {
            marks.push(mark(What::NonCharacter, start, end_of(next), format!("{}, which is no character", named(c))));
        }
        at = next;
    }
    marks
}

/// Variation selectors from `at` to `next`: one chooses a form of a symbol, an emoji or an ideograph; several choose nothing.
fn selectors(text: &str, chars: &[(usize, char)], at: usize, next: usize, end: usize) -> Option<Mark> {
    let (start, first) = chars[at];
    let base = at.checked_sub(1).map(|before| chars[before].1);
    let ideograph = base.is_some_and(|c| c.script() == Script::Han);
    let supplement = matches!(first, '\u{e0100}'..='\u{e01ef}');
    if next - at == 1 && (!supplement || ideograph) {
        return None;
    }
    let decoded = payload::of_selectors(&text[start..end]);
    // Software repeats the selector of an emoji now and then.
    let repeated = chars[at..next].iter().all(|(_, c)| *c == first) && !supplement;
    let what = if repeated { What::Stray } else { What::Selector };
    let many = if next - at == 1 { named(first) } else { format!("{} variation selectors in a row", next - at) };
    Some(Mark { decoded, ..mark(what, start, end, many) })
}

/// Zero-width characters from `at` to `next`.
fn zero_width(text: &str, chars: &[(usize, char)], at: usize, next: usize, end: usize) -> Mark {
    let (start, first) = chars[at];
    let count = next - at;
    if count >= MESSAGE && chars[at..next].iter().any(|(_, c)| *c != first) {
        let decoded = payload::of_bits(&text[start..end]);
        return Mark { decoded, ..mark(What::Run, start, end, format!("{count} zero-width characters in a row")) };
    }
    // Marks on letters and soft hyphens do not end a word.
    let letter = |c: &char| c.is_alphabetic() && !is_zero_width(*c);
    let skip = |c: &char| *c == '\u{ad}' || c.script() == Script::Inherited;
    let before = chars[..at].iter().rev().map(|(_, c)| *c).find(|c| !skip(c)).filter(letter);
    let after = chars[next..].iter().map(|(_, c)| *c).find(|c| !skip(c)).filter(letter);
    if let (Some(before), Some(after)) = (before, after)
        && let Some((_, c)) = chars[at..next].iter().find(|(_, c)| !belongs(*c, before.script(), after.script()))
    {
        return mark(What::InWord, start, end, format!("{} inside a word", named(*c)));
    }
    mark(What::Stray, start, end, named(first))
}
