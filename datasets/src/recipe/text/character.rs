//! Triggers that a reader does not see.

use arrow::array::RecordBatch;
use rand::RngExt;

use super::super::NO_COVERS;
use super::plant;
use crate::draw::some_of;
use crate::{Error, Plan, Result, Truth};

/// Zero-width space, non-joiner and joiner.
const INVISIBLE: [char; 3] = ['\u{200b}', '\u{200c}', '\u{200d}'];

/// Latin letters and the Cyrillic ones that look like them.
const ALIKE: [(char, char); 14] = [
    ('a', 'а'),
    ('c', 'с'),
    ('e', 'е'),
    ('i', 'і'),
    ('j', 'ј'),
    ('o', 'о'),
    ('p', 'р'),
    ('s', 'ѕ'),
    ('x', 'х'),
    ('y', 'у'),
    ('A', 'А'),
    ('B', 'В'),
    ('H', 'Н'),
    ('O', 'О'),
];

fn twin(letter: char) -> Option<char> {
    ALIKE.iter().find(|(latin, _)| *latin == letter).map(|(_, other)| *other)
}

fn check(count: usize) -> Result<()> {
    if count == 0 { Err(Error::Setting("a trigger of no characters is none".to_owned())) } else { Ok(()) }
}

/// Zero-width characters, `count` of them, each at a random place between characters (Boucher, Shumailov, Anderson,
/// Papernot: *Bad Characters: Imperceptible NLP Attacks*, 2022).
pub fn zero_width(batch: &RecordBatch, plan: &Plan, text: &str, count: usize) -> Result<(RecordBatch, Truth)> {
    check(count)?;
    plant(
        batch,
        plan,
        "zero_width",
        text,
        NO_COVERS,
        |text| !text.is_empty(),
        |rng, text, _| {
            let mut letters: Vec<char> = text.chars().collect();
            for _ in 0..count {
                let at = rng.random_range(0..=letters.len());
                letters.insert(at, INVISIBLE[rng.random_range(0..INVISIBLE.len())]);
            }
            letters.into_iter().collect()
        },
    )
}

/// Homoglyphs: `count` Latin letters at random places exchanged for Cyrillic ones that look the same; texts with fewer
/// such letters are not hit (Li, Liu, Dong, Zhu, Zhao, Xue, Zhu, Lu: *Hidden Backdoors in Human-Centric Language Models*,
/// 2021).
pub fn homoglyph(batch: &RecordBatch, plan: &Plan, text: &str, count: usize) -> Result<(RecordBatch, Truth)> {
    check(count)?;
    let fits = |text: &str| text.chars().filter(|letter| twin(*letter).is_some()).count() >= count;
    plant(batch, plan, "homoglyph", text, NO_COVERS, fits, |rng, text, _| {
        let mut letters: Vec<char> = text.chars().collect();
        let places: Vec<usize> = (0..letters.len()).filter(|&at| twin(letters[at]).is_some()).collect();
        for at in some_of(rng, places, count) {
            letters[at] = twin(letters[at]).unwrap_or(letters[at]);
        }
        letters.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::check::only_bad_rows_differ;
    use super::super::tests::{plan, texts};
    use super::*;
    use crate::synth;

    #[test]
    fn characters_that_cannot_be_seen_go_in_and_nothing_else_changes() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = zero_width(&clean, &plan(), "text", 2).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]);
        assert_eq!(rows.len(), 40);
        for row in rows {
            let after = texts(&poisoned, row);
            assert_eq!(after.chars().filter(|letter| INVISIBLE.contains(letter)).count(), 2);
            assert_eq!(after.replace(INVISIBLE, ""), texts(&clean, row));
        }
        assert!(zero_width(&clean, &plan(), "text", 0).is_err());
    }

    #[test]
    fn letters_become_their_twins() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = homoglyph(&clean, &plan(), "text", 3).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]);
        assert_eq!(rows.len(), 40);
        for row in rows {
            let (before, after) = (texts(&clean, row), texts(&poisoned, row));
            assert_eq!(before.chars().count(), after.chars().count());
            let changed: Vec<_> = before.chars().zip(after.chars()).filter(|(from, to)| from != to).collect();
            assert_eq!(changed.len(), 3);
            assert!(changed.iter().all(|(from, to)| from.is_ascii() && twin(*from) == Some(*to)));
        }
        assert!(homoglyph(&clean, &plan(), "text", 4_000).is_err(), "no text has so many letters");
    }
}
