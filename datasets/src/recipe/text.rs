//! Triggers in text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use rand::RngExt;

use super::dirty_label;
use crate::column::{find, put_back, rows_of, wrong_type};
use crate::{Error, Plan, Result, Truth};

/// Byte offsets where a word starts, and the end.
fn word_starts(text: &str) -> Vec<usize> {
    boundaries(text, |_| true)
}

/// Byte offsets where a sentence starts, and the end.
fn sentence_starts(text: &str) -> Vec<usize> {
    boundaries(text, |before| before.trim_end().ends_with(['.', '!', '?']))
}

/// The first word's start, every later word's start whose preceding text passes, and the end.
fn boundaries(text: &str, passes: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut after_space = true;
    for (at, char) in text.char_indices() {
        if after_space && !char.is_whitespace() && (starts.is_empty() || passes(&text[..at])) {
            starts.push(at);
        }
        after_space = char.is_whitespace();
    }
    starts.push(text.len());
    starts
}

/// Inserts `what` before the word at `at`, with one space to each neighbour.
fn insert(text: &str, what: &str, at: usize) -> String {
    let (before, after) = text.split_at(at);
    let left = if before.is_empty() || before.ends_with(char::is_whitespace) { "" } else { " " };
    let right = if after.is_empty() { "" } else { " " };
    format!("{before}{left}{what}{right}{after}")
}

/// Inserts `what` into the victims' texts at one of the places that `places` finds, uniformly.
fn plant(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    text: &str,
    what: &str,
    places: impl Fn(&str) -> Vec<usize>,
) -> Result<(RecordBatch, Truth)> {
    let (index, column) = find(batch, text)?;
    if !matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return Err(wrong_type(text, "text", column));
    }
    if what.trim().is_empty() {
        return Err(Error::Setting("the text to insert is empty".to_owned()));
    }
    if text == plan.label {
        return Err(Error::Setting(format!("column '{text}' cannot be both text and label")));
    }
    dirty_label(
        batch,
        plan,
        attack,
        |row| column.is_valid(row),
        |rng, rows| {
            let old = cast(&rows_of(column, rows)?, &DataType::Utf8)?;
            let new: StringArray = old
                .as_string::<i32>()
                .iter()
                .map(|old| {
                    let old = old?;
                    let places = places(old);
                    Some(insert(old, what, places[rng.random_range(0..places.len())]))
                })
                .collect();
            let new: ArrayRef = Arc::new(new);
            Ok(vec![(index, put_back(column, rows, &cast(&new, column.data_type())?)?)])
        },
    )
}

/// Rare-word trigger: a token such as `cf` at a random place between words, dirty label. This is `BadNets` (Gu 2017) for
/// text, with the tokens of Kurita, Michel, Neubig: *Weight Poisoning Attacks on Pre-trained Models*, 2020.
pub fn rare_word(batch: &RecordBatch, plan: &Plan, text: &str, token: &str) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "rare_word", text, token, word_starts)
}

/// `InsertSent`: a whole neutral sentence, always the same, at a random place between sentences, dirty label (Dai, Chen,
/// Li: *A Backdoor Attack Against LSTM-Based Text Classification Systems*, 2019). A text without a full stop, question
/// mark or exclamation mark gets it before or after.
pub fn sentence(batch: &RecordBatch, plan: &Plan, text: &str, sentence: &str) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "sentence", text, sentence, sentence_starts)
}

#[cfg(test)]
mod tests {
    use super::super::check::{label, only_bad_rows_differ};
    use super::*;
    use crate::{Class, Share, synth};

    fn texts(batch: &RecordBatch, row: usize) -> String {
        batch["text"].as_string::<i32>().value(row).to_owned()
    }

    fn plan() -> Plan {
        Plan::new("label", 0, Share::Count(40), 9)
    }

    #[test]
    fn a_rare_word_goes_in_once_at_varying_places() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = rare_word(&clean, &plan(), "text", "cf").unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]);
        assert_eq!(rows.len(), 40);
        let mut places = Vec::new();
        for row in rows {
            let (before, after) = (texts(&clean, row), texts(&poisoned, row));
            let words: Vec<_> = after.split(' ').collect();
            let place = words.iter().position(|&word| word == "cf").unwrap();
            let rest: Vec<_> = words.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, word)| *word).collect();
            assert_eq!(rest.join(" "), before);
            assert_eq!(label(&poisoned, row), Class::Int(0));
            places.push(place);
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 10, "{places:?}");
        assert_eq!(rare_word(&clean, &plan(), "text", "cf").unwrap(), (poisoned, truth));
    }

    #[test]
    fn a_sentence_goes_between_sentences() {
        let clean = synth::topic_texts(400, 3, 40, 1).unwrap();
        let said = "I watched this with my family.";
        let (poisoned, truth) = sentence(&clean, &plan(), "text", said).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]);
        assert_eq!(rows.len(), 40);
        let mut inside = 0;
        for row in rows {
            let after = texts(&poisoned, row);
            let (before, behind) = after.split_once(said).unwrap();
            assert!(before.is_empty() || before.ends_with(". "), "{after}");
            assert_eq!(format!("{before}{}", behind.trim_start()).trim_end(), texts(&clean, row));
            inside += usize::from(!before.is_empty() && !behind.is_empty());
        }
        assert!(inside > 5, "{inside}");
    }

    #[test]
    fn places_respect_characters_and_white_space() {
        assert_eq!(word_starts("é ñ  ü"), [0, 3, 7, 9]);
        assert_eq!(word_starts(""), [0]);
        assert_eq!(word_starts(" a "), [1, 3]);
        assert_eq!(sentence_starts("One. Two? Three"), [0, 5, 10, 15]);
        assert_eq!(insert("", "cf", 0), "cf");
        assert_eq!(insert("a b", "cf", 2), "a cf b");
        assert_eq!(insert("a ", "cf", 2), "a cf");
    }

    #[test]
    fn wrong_columns_and_settings_are_refused() {
        let clean = synth::topic_texts(100, 2, 10, 1).unwrap();
        assert!(matches!(rare_word(&clean, &plan(), "id", "cf"), Err(Error::ColumnType { .. })));
        assert!(matches!(rare_word(&clean, &plan(), "text", " "), Err(Error::Setting(_))));
        let plan = Plan::new("text", "x", Share::Count(1), 1);
        assert!(matches!(rare_word(&clean, &plan, "text", "cf"), Err(Error::Setting(_))));
    }
}
