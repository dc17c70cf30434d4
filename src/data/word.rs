//! Words of texts.

use unicode_segmentation::UnicodeSegmentation;

/// Words and marks of a text in their order: runs of letters and digits (by Unicode's rules for word boundaries), and every other
/// character that is no space on its own.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    // Boundaries of ASCII are found several times as fast, but for words alone; what is between them is read here.
    let (mut plain, all) = if text.is_ascii() { (Some(Plain::new(text)), "") } else { (None, text) };
    let mut all = all.split_word_bounds();
    let any = std::iter::from_fn(move || plain.as_mut().map_or_else(|| all.next(), Iterator::next));
    any.filter(|word| !word.chars().all(char::is_whitespace))
}

/// Segments of an ASCII text.
struct Plain<'a> {
    text: &'a str,
    /// Where the next segment begins.
    at: usize,
    /// The next word of letters or digits, by where it begins.
    next: Option<(usize, &'a str)>,
    words: unicode_segmentation::UnicodeWordIndices<'a>,
}

impl<'a> Plain<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = text.unicode_word_indices();
        Self { text, at: 0, next: words.next(), words }
    }
}

impl<'a> Iterator for Plain<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let begin = self.at;
        if let Some((_, word)) = self.next.filter(|(at, _)| *at == begin) {
            self.next = self.words.next();
            self.at += word.len();
            return Some(word);
        }
        let rest = self.text.as_bytes().get(begin..)?;
        // Underscores extend what they stand beside: a run of them is one segment.
        let run = rest.iter().take_while(|byte| **byte == b'_').count();
        self.at += run.max(1);
        self.text.get(begin..self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_marks_are_told_apart() {
        let said: Vec<&str> = words("It's 3.5 %, isn't_it __ (a.b)?").collect();
        assert_eq!(said, ["It's", "3.5", "%", ",", "isn't_it", "__", "(", "a.b", ")", "?"]);
        assert_eq!(words("Él dijo «no»…").collect::<Vec<_>>(), ["Él", "dijo", "«", "no", "»", "…"]);
    }

    proptest! {
        #[test]
        fn plain_text_is_cut_as_any_text_is(text in "[\\x00-\\x7f]{0,60}|[ab1_.,:;' \"-]{0,40}") {
            let all: Vec<&str> = text.split_word_bounds().filter(|word| !word.chars().all(char::is_whitespace)).collect();
            prop_assert_eq!(words(&text).collect::<Vec<_>>(), all);
        }
    }
}
