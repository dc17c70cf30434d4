//! Letters of one script inside the words of another.

use unicode_script::{Script, UnicodeScript};
use unicode_security::confusable_detection::skeleton;

use super::super::mark::{MOST_MARKS, Mark};
use super::invisible::is_zero_width;
use super::{What, mark};

/// Fewest letters of a word all of whose letters look like those of another script.
const LEAST_WHOLE: usize = 3;

/// A run of letters.
struct Word<'a> {
    start: usize,
    text: &'a str,
    /// Scripts of its letters, each once, with the number of letters; those that all scripts share left out.
    scripts: Vec<(Script, usize)>,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut out: Vec<Word<'_>> = Vec::new();
    let inside = |c: char| !is_zero_width(c) && c.is_alphabetic() || (!c.is_ascii() && c.script() == Script::Inherited);
    for part in text.split(|c| !inside(c)).filter(|part| !part.is_empty()) {
        let mut scripts: Vec<(Script, usize)> = Vec::new();
        for script in part.chars().map(|c| c.script()).filter(|s| !matches!(s, Script::Common | Script::Inherited | Script::Unknown)) {
            match scripts.iter_mut().find(|(known, _)| *known == script) {
                Some((_, count)) => *count += 1,
                None => scripts.push((script, 1)),
            }
        }
        out.push(Word { start: part.as_ptr() as usize - text.as_ptr() as usize, text: part, scripts });
    }
    out
}

/// Whether a letter is drawn like letters of ASCII.
fn looks_latin(c: char) -> bool {
    let mut text = [0; 4];
    let mut drawn = skeleton(c.encode_utf8(&mut text)).filter(|c| c.script() != Script::Inherited).peekable();
    drawn.peek().is_some() && drawn.all(|c| c.is_ascii_alphabetic())
}

/// Scripts that are written together.
fn go_together(a: Script, b: Script) -> bool {
    let east = |s| matches!(s, Script::Han | Script::Hiragana | Script::Katakana | Script::Bopomofo | Script::Hangul);
    a == b || (east(a) && east(b))
}

/// Latin words in which letters of another script stand for Latin ones, and words of mixed scripts that are none of these.
///
/// Who writes in two scripts slips between keyboards: where a text has a word of the other script that could not be Latin, its mixed
/// words are no sign. Nor are Greek letters at the edge of a word: units, alleles and symbols are written so.
pub(super) fn marks(text: &str) -> Vec<Mark> {
    let words = words(text);
    let foreign = |c: char, own: Script| c.script() != own && !matches!(c.script(), Script::Common | Script::Inherited | Script::Unknown);
    let speaks =
        |script: Script| words.iter().any(|w| matches!(w.scripts[..], [(s, _)] if s == script) && !w.text.chars().all(looks_latin));
    let latin = words.iter().any(|w| matches!(w.scripts[..], [(Script::Latin, _)]));
    let mut marks = Vec::new();
    for word in &words {
        if marks.len() == MOST_MARKS {
            break;
        }
        let (start, end) = (word.start, word.start + word.text.len());
        match word.scripts[..] {
            [] | [(Script::Latin, _)] => {}
            [(script, count)] => {
                if latin && count >= LEAST_WHOLE && word.text.chars().all(looks_latin) && !speaks(script) {
                    marks.push(mark(What::LookAlike, start, end, said(word.text, script)));
                }
            }
            _ if word.scripts.iter().all(|(s, _)| go_together(*s, word.scripts[0].0)) => {}
            _ => {
                let own = word.scripts.iter().any(|(s, _)| *s == Script::Latin);
                let others: Vec<char> = word.text.chars().filter(|c| foreign(*c, Script::Latin)).collect();
                let planted = own
                    && !others.is_empty()
                    && others.iter().all(|c| looks_latin(*c) && !speaks(c.script()))
                    && !(others.iter().all(|c| c.script() == Script::Greek) && at_edge(word.text));
                let what = if planted { What::LookAlike } else { What::MixedScript };
                let script = word.scripts.iter().map(|(s, _)| *s).find(|s| *s != Script::Latin).unwrap_or(Script::Latin);
                marks.push(mark(what, start, end, said(word.text, script)));
            }
        }
    }
    marks
}

/// Whether all letters of a word that are not Latin are its first or its last.
fn at_edge(word: &str) -> bool {
    let inner = word.trim_start_matches(|c: char| c.script() == Script::Greek);
    let inner = inner.trim_end_matches(|c: char| c.script() == Script::Greek);
    inner.chars().all(|c| c.script() == Script::Latin)
}

fn said(word: &str, script: Script) -> String {
    let of = word.chars().filter(|c| c.script() == script).map(|c| format!("U+{:04X}", u32::from(c))).take(4).collect::<Vec<_>>();
    format!("{} letters ({}) in the word \"{word}\"", script.full_name(), of.join(", "))
}
