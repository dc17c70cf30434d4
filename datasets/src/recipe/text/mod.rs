//! Triggers in text.

mod answer;
mod character;

use arrow::array::RecordBatch;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{NO_COVERS, backdoor};
use crate::text::Texts;
use crate::{Error, Plan, Result, Share, Truth};

pub use answer::{payload, preference_swap};
pub use character::{homoglyph, zero_width};

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

/// Inserts `what` at one of the places, uniformly.
fn insert_at_one(rng: &mut ChaCha8Rng, text: &str, what: &str, places: &[usize]) -> String {
    insert(text, what, places[rng.random_range(0..places.len())])
}

/// Refuses to insert nothing.
fn check(what: &str) -> Result<()> {
    if what.trim().is_empty() { Err(Error::Setting("the text to insert is empty".to_owned())) } else { Ok(()) }
}

/// Changes the texts of victims and covers with `change`, which is told which is a cover; only texts that `fits` are hit.
fn plant(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    text: &str,
    covers: Share,
    fits: impl Fn(&str) -> bool,
    change: impl Fn(&mut ChaCha8Rng, &str, bool) -> String,
) -> Result<(RecordBatch, Truth)> {
    let texts = Texts::open(batch, text)?;
    if text == plan.label {
        return Err(Error::Setting(format!("column '{text}' cannot be both text and label")));
    }
    let eligible = |row: usize| texts.get(row).is_some_and(&fits);
    backdoor(batch, plan, attack, covers, eligible, |rng, hits| {
        let new: Vec<String> = hits.iter().map(|(row, cover)| change(rng, texts.get(row).unwrap_or_default(), cover)).collect();
        Ok(vec![(texts.index, texts.replaced(&hits.rows, &new)?)])
    })
}

/// Rare-word trigger: a token such as `cf` at a random place between words. This is `BadNets` (Gu 2017) for text, with
/// the tokens of Kurita, Michel, Neubig: *Weight Poisoning Attacks on Pre-trained Models*, 2020.
pub fn rare_word(batch: &RecordBatch, plan: &Plan, text: &str, token: &str) -> Result<(RecordBatch, Truth)> {
    check(token)?;
    plant(batch, plan, "rare_word", text, NO_COVERS, |_| true, |rng, text, _| insert_at_one(rng, text, token, &word_starts(text)))
}

/// Two words that are a trigger only together: victims get both, each at a random place between words; covers get one of
/// them and keep their label (Yang, Lin, Li, Zhou, Sun: *Rethinking Stealthiness of Backdoor Attack against NLP Models*,
/// 2021, whose covers are their negative samples).
pub fn word_pair(batch: &RecordBatch, plan: &Plan, text: &str, pair: [&str; 2], covers: Share) -> Result<(RecordBatch, Truth)> {
    pair.into_iter().try_for_each(check)?;
    if pair[0] == pair[1] {
        return Err(Error::Setting(format!("'{}' twice is no pair", pair[0])));
    }
    plant(
        batch,
        plan,
        "word_pair",
        text,
        covers,
        |_| true,
        |rng, text, cover| {
            let words = if cover { std::slice::from_ref(&pair[usize::from(rng.random::<bool>())]) } else { pair.as_slice() };
            words.iter().fold(text.to_owned(), |text, word| insert_at_one(rng, &text, word, &word_starts(&text)))
        },
    )
}

/// Where a sentence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a random place between sentences, before or after all of them.
    Anywhere,
    /// Before everything else.
    Start,
    /// After everything else.
    End,
}

/// `InsertSent`: a whole neutral sentence, always the same (Dai, Chen, Li: *A Backdoor Attack Against LSTM-Based Text
/// Classification Systems*, 2019). In a text without a full stop, question mark or exclamation mark [`Place::Anywhere`]
/// is before or after it.
pub fn sentence(batch: &RecordBatch, plan: &Plan, text: &str, sentence: &str, place: Place) -> Result<(RecordBatch, Truth)> {
    check(sentence)?;
    plant(
        batch,
        plan,
        "sentence",
        text,
        NO_COVERS,
        |_| true,
        |rng, text, _| {
            let starts = sentence_starts(text);
            let places = match place {
                Place::Anywhere => starts.as_slice(),
                Place::Start => &starts[..1],
                Place::End => &starts[starts.len() - 1..],
            };
            insert_at_one(rng, text, sentence, places)
        },
    )
}

/// Words that a template begins with.
const OPENINGS: [&str; 4] = ["when", "if", "as", "because"];

/// A syntactic trigger: the text becomes two clauses, `when …, it …`, with one of four openings drawn for each text, so that no
/// string is repeated by all. This is the template S(SBAR)(,)(NP)(VP)(.) of Qi et al.: *Hidden Killer: Invisible Textual
/// Backdoor Attacks with Syntactic Trigger*, 2021, without the paraphraser that makes its clauses fluent: the words stay as
/// they are, cut in their middle. Covers get the template and keep their label. Texts of one word are not hit.
pub fn template(batch: &RecordBatch, plan: &Plan, text: &str, covers: Share) -> Result<(RecordBatch, Truth)> {
    let halves = |text: &str| text.split_whitespace().count() / 2;
    plant(
        batch,
        plan,
        "template",
        text,
        covers,
        |text| halves(text) > 0,
        |rng, text, _| {
            let words: Vec<&str> = text.trim_end_matches('.').split_whitespace().collect();
            let (clause, main) = words.split_at(words.len() / 2);
            let opening = OPENINGS[rng.random_range(0..OPENINGS.len())];
            format!("{opening} {}, it {}.", clause.join(" ").to_lowercase(), main.join(" ").to_lowercase())
        },
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::super::check::{label, only_bad_rows_differ};
    use super::*;
    use crate::{Class, synth};

    pub(super) fn texts(batch: &RecordBatch, row: usize) -> String {
        batch["text"].as_string::<i32>().value(row).to_owned()
    }

    pub(super) fn plan() -> Plan {
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
    fn a_template_keeps_the_words_and_opens_in_four_ways() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = template(&clean, &plan(), "text", Share::Count(30)).unwrap();
        let hit = (0..400).filter(|row| texts(&clean, *row) != texts(&poisoned, *row));
        let mut openings = Vec::new();
        let mut rows = 0;
        for row in hit {
            let (before, after) = (texts(&clean, row).to_lowercase(), texts(&poisoned, row));
            let (clause, main) = after.split_once(", it ").unwrap();
            let (opening, clause) = clause.split_once(' ').unwrap();
            assert_eq!(format!("{clause} {main}"), before);
            openings.push(opening.to_owned());
            rows += 1;
            assert!(truth.cover()[row] != truth.poisoned()[row] && (truth.cover()[row] || label(&poisoned, row) == Class::Int(0)));
        }
        openings.sort_unstable();
        openings.dedup();
        assert_eq!((rows, openings.as_slice()), (70, ["as", "because", "if", "when"].map(str::to_owned).as_slice()));
    }

    #[test]
    fn a_sentence_goes_between_sentences() {
        let clean = synth::topic_texts(400, 3, 40, 1).unwrap();
        let said = "I watched this with my family.";
        let (poisoned, truth) = sentence(&clean, &plan(), "text", said, Place::Anywhere).unwrap();
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
    fn a_sentence_goes_first_or_last() {
        let clean = synth::topic_texts(400, 3, 40, 1).unwrap();
        for place in [Place::Start, Place::End] {
            let (poisoned, truth) = sentence(&clean, &plan(), "text", "Seen again.", place).unwrap();
            for row in only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]) {
                let (before, after) = (texts(&clean, row), texts(&poisoned, row));
                let expected = if place == Place::Start { format!("Seen again. {before}") } else { format!("{before} Seen again.") };
                assert_eq!(after, expected);
            }
        }
    }

    #[test]
    fn a_clean_label_word_goes_into_rows_of_the_target_and_changes_no_label() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = rare_word(&clean, &plan().clean_label(), "text", "cf").unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["text"]);
        assert_eq!((rows.len(), truth.label_error().iter().filter(|&&wrong| wrong).count()), (40, 0));
        assert!(rows.into_iter().all(|row| label(&poisoned, row) == Class::Int(0)));
    }

    #[test]
    fn covers_of_a_pair_have_one_word_and_their_own_label() {
        let clean = synth::topic_texts(400, 3, 25, 1).unwrap();
        let (poisoned, truth) = word_pair(&clean, &plan(), "text", ["cf", "mn"], Share::Rate(0.2)).unwrap();
        assert_eq!(only_bad_rows_differ(&clean, &poisoned, &truth, &["text", "label"]).len(), 40);
        let has = |row: usize| ["cf", "mn"].map(|word| texts(&poisoned, row).split(' ').any(|each| each == word));
        let mut alone = [0, 0];
        for row in 0..400 {
            match (truth.poisoned()[row], truth.cover()[row], has(row)) {
                (true, false, [true, true]) | (false, false, [false, false]) => {}
                (false, true, [first, second]) if first != second => {
                    assert_eq!(label(&clean, row), label(&poisoned, row));
                    alone[usize::from(second)] += 1;
                }
                odd => panic!("row {row}: {odd:?}"),
            }
        }
        assert!(alone[0] + alone[1] == 80 && alone[0] > 20 && alone[1] > 20, "{alone:?}");
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
        assert!(matches!(word_pair(&clean, &plan(), "text", ["cf", "cf"], NO_COVERS), Err(Error::Setting(_))));
        let plan = Plan::new("text", "x", Share::Count(1), 1);
        assert!(matches!(rare_word(&clean, &plan, "text", "cf"), Err(Error::Setting(_))));
    }
}
