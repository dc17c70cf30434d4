//! `derive.sample`: the reference sample, rows in raw form that models are fitted on.

use std::collections::BTreeSet;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Key, Role, Schema, words};
use crate::error::Result;
use crate::fold::{Derive, Fold, Given, Info, Need, Step};
use crate::stats::bottom_k::BottomK;

use super::DERIVED;

/// Most rows that a sample holds. Sets with fewer distinct rows are held whole, and what is fitted on them is exact.
const MOST_ROWS: usize = 32_768;
/// Fewest rows, however long they are.
const FEWEST_ROWS: usize = 512;
/// Side of the grid that larger pictures are averaged to.
const SIDE: usize = 32;
/// Most tokens of a text that are kept.
const MOST_TOKENS: usize = 1_024;
/// Hash domain of tokens.
const TOKEN: u8 = 10;
/// Hash domain of runs of letters.
const LETTER: u8 = 11;
/// Lengths of the runs of letters that are taken.
const LETTERS: std::ops::RangeInclusive<usize> = 2..=4;
/// Letters of a word that are read so.
const MOST_LETTERS: usize = 64;

/// One row in raw form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Class index.
    pub label: Option<u32>,
    /// The number to predict.
    pub target: Option<f32>,
    /// Numeric features; NaN for missing.
    pub numeric: Vec<f32>,
    /// Keyed hash of each categorical cell; 0 for null.
    pub cells: Vec<u64>,
    /// Keyed hashes of the distinct words and word pairs of all texts, ascending.
    pub tokens: Vec<u32>,
    /// Keyed hashes of the distinct runs of two to four letters in texts that are one word, ascending.
    pub letters: Vec<u32>,
    /// Picture as samples of [`SampleModel::side`]² pixels, channels last; empty where there is none.
    pub pixels: Vec<u8>,
    /// Embedding.
    pub embedding: Vec<f32>,
    /// Class probabilities that the user gave.
    pub probabilities: Vec<f32>,
}

/// Takes the reference sample: the rows with the smallest keyed hashes of content and label. It does not depend on row
/// order or partition, and rows that are equal in content and label are one row in it.
pub struct Sample;

static INFO: Info = Info { code: "derive.sample", summary: "rows in raw form that models are fitted on", version: 2, ..DERIVED };

/// What to take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleBrief {
    capacity: usize,
}

/// The rows so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleState {
    rows: BottomK<SampleRow>,
}

/// The reference sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleModel {
    /// Keys, ascending, one a row.
    pub keys: Vec<u64>,
    /// Rows in the order of their keys.
    pub rows: Vec<SampleRow>,
    /// Times that each row occurs.
    pub counts: Vec<u64>,
    /// Largest key that was kept; `u64::MAX` where every distinct row of the set is in the sample.
    pub threshold: u64,
}

impl SampleModel {
    /// Position of a row in the sample.
    #[must_use]
    pub fn position(&self, key: u64) -> Option<usize> {
        if key > self.threshold { None } else { self.keys.binary_search(&key).ok() }
    }

    /// Whether the sample holds every distinct row.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.threshold == u64::MAX
    }
}

/// Estimate of one row's bytes.
fn row_bytes(data: &Schema) -> usize {
    let texts = data.text_columns().len();
    let image = if data.first(Role::Image).is_some() { SIDE * SIDE * 3 } else { 0 };
    let width = |role| data.first(role).and_then(|c| data.columns[c].width).unwrap_or(0);
    let embedding = width(Role::Embedding) + width(Role::Probabilities);
    160 + 4 * data.with_role(Role::Numeric).len()
        + 8 * data.with_role(Role::Categorical).len()
        + 1_024 * texts.min(4)
        + image
        + 4 * embedding
}

/// Hash of a word, without regard to case.
#[must_use]
pub fn word_hash(key: &Key, word: &str) -> u64 {
    // Most words of most texts are small letters as they are.
    if word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return key.bytes(TOKEN, word.as_bytes());
    }
    key.bytes(TOKEN, word.to_lowercase().as_bytes())
}

/// Hashes of the runs of letters in a word, its beginning and end marked by a space.
fn letters(key: &Key, word: &str) -> impl Iterator<Item = u64> {
    let lower = word.chars().take(MOST_LETTERS).flat_map(char::to_lowercase);
    let spelt: Vec<char> = std::iter::once(' ').chain(lower).chain([' ']).collect();
    let run = move |n: usize| spelt.windows(n).map(|run| run.iter().collect::<String>()).collect::<Vec<_>>();
    LETTERS.flat_map(run).map(|run| key.bytes(LETTER, run.as_bytes()))
}

/// Distinct 32-bit hashes of words and word pairs of a row's texts, ascending.
pub(super) fn tokens(rows: &Batch, row: usize) -> Vec<u32> {
    let key = &rows.schema().key;
    let mut out = BTreeSet::new();
    for text in rows.row_texts(row) {
        let mut last = 0;
        for word in words(text) {
            let hash = word_hash(key, word);
            out.insert(hash as u32);
            if last != 0 {
                out.insert(key.words(TOKEN, &[last, hash]) as u32);
            }
            last = hash;
            if out.len() >= MOST_TOKENS {
                break;
            }
        }
    }
    out.into_iter().collect()
}

/// What single words have in common: distinct 32-bit hashes of the runs of letters of a row's texts that are one word, ascending.
fn spellings(rows: &Batch, row: usize) -> Vec<u32> {
    let mut out = BTreeSet::new();
    for text in rows.row_texts(row) {
        let mut all = words(text);
        if let (Some(word), None) = (all.next(), all.next()) {
            out.extend(letters(&rows.schema().key, word).map(|hash| hash as u32));
        }
    }
    out.into_iter().collect()
}

/// The vectors of a block, each rows × width, made once for all its rows.
pub(crate) struct Vectors {
    embedding: Option<Array2<f32>>,
    probabilities: Option<Array2<f32>>,
    targets: Vec<Option<f64>>,
}

impl Vectors {
    /// The vectors of a block.
    pub(crate) fn of(rows: &Batch) -> Result<Self> {
        Ok(Self { embedding: rows.embedding()?, probabilities: rows.probabilities()?, targets: rows.targets() })
    }
}

/// A row in raw form.
pub(crate) fn raw(rows: &Batch, row: usize, vectors: &Vectors) -> SampleRow {
    let pixels = rows.images()[row].as_ref().map_or_else(Vec::new, |image| {
        if image.width == image.height && image.width <= SIDE {
            image.pixels.clone()
        } else {
            image.area(SIDE).into_iter().map(|v| v.round() as u8).collect()
        }
    });
    SampleRow {
        label: rows.labels()[row],
        target: vectors.targets.get(row).copied().flatten().map(|value| value as f32).filter(|value| value.is_finite()),
        numeric: rows.numeric().row(row).iter().map(|v| *v as f32).collect(),
        cells: rows.cells().iter().map(|column| column[row].unwrap_or(0)).collect(),
        tokens: if rows.texts().is_empty() { Vec::new() } else { tokens(rows, row) },
        letters: spellings(rows, row),
        pixels,
        embedding: vectors.embedding.as_ref().map_or_else(Vec::new, |e| e.row(row).to_vec()),
        probabilities: vectors.probabilities.as_ref().map_or_else(Vec::new, |p| p.row(row).to_vec()),
    }
}

impl Fold for Sample {
    type Brief = SampleBrief;
    type State = SampleState;
    type Model = SampleModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<SampleBrief, SampleModel>> {
        let capacity = (data.unit_bytes / row_bytes(data)).clamp(FEWEST_ROWS, MOST_ROWS);
        Ok(Step::Scan(SampleBrief { capacity }))
    }

    fn open(&self, brief: &SampleBrief) -> SampleState {
        SampleState { rows: BottomK::new(brief.capacity) }
    }

    fn observe(&self, _: &SampleBrief, state: &mut SampleState, rows: &Batch) -> Result<()> {
        let vectors = Vectors::of(rows)?;
        for (row, &key) in rows.keys().iter().enumerate() {
            state.rows.insert_with(key, || raw(rows, row, &vectors));
        }
        Ok(())
    }

    fn merge(&self, _: &SampleBrief, into: &mut SampleState, from: SampleState) -> Result<()> {
        into.rows.merge(from.rows);
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, _: SampleBrief, state: SampleState) -> Result<Step<SampleBrief, SampleModel>> {
        let threshold = state.rows.threshold();
        let (keys, counts) = state.rows.iter().map(|(key, count, _)| (key, count)).unzip();
        Ok(Step::Done(SampleModel { keys, counts, threshold, rows: state.rows.into_items().collect() }))
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        (data.unit_bytes / row_bytes(data)).clamp(FEWEST_ROWS, MOST_ROWS) * row_bytes(data)
    }
}

/// As [`Sample`], of the trusted reference.
pub struct ReferenceSample;

static OF_REFERENCE: Info =
    Info { code: "derive.reference", summary: "rows of the trusted reference in raw form", needs: &[Need::Reference], ..DERIVED };

impl Fold for ReferenceSample {
    type Brief = SampleBrief;
    type State = SampleState;
    type Model = SampleModel;

    fn info(&self) -> &'static Info {
        &OF_REFERENCE
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<SampleBrief, SampleModel>> {
        Ok(match Sample.begin(data, given)? {
            Step::Scan(brief) => Step::Reference(brief),
            other => other,
        })
    }

    fn open(&self, brief: &SampleBrief) -> SampleState {
        Sample.open(brief)
    }

    fn observe(&self, brief: &SampleBrief, state: &mut SampleState, rows: &Batch) -> Result<()> {
        Sample.observe(brief, state, rows)
    }

    fn merge(&self, brief: &SampleBrief, into: &mut SampleState, from: SampleState) -> Result<()> {
        Sample.merge(brief, into, from)
    }

    fn close(&self, data: &Schema, given: &Given, brief: SampleBrief, state: SampleState) -> Result<Step<SampleBrief, SampleModel>> {
        Sample.close(data, given, brief, state)
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        Sample.max_bytes(data)
    }
}

impl Derive for ReferenceSample {
    fn column(&self, _: &SampleModel, _: &Batch) -> Result<Option<Array2<f32>>> {
        Ok(None)
    }
}

impl Derive for Sample {
    fn column(&self, _: &SampleModel, _: &Batch) -> Result<Option<Array2<f32>>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_share_letters_share_hashes() {
        let key = Key::from_seed(5);
        let of = |word: &str| letters(&key, word).collect::<BTreeSet<u64>>();
        let shared = |a: &str, b: &str| of(a).intersection(&of(b)).count();
        assert!(shared("Lesende", "lesend") > 10 && shared("lesend", "lecteur") >= 3 && shared("lesend", "χώρα") == 0);
        // Where a word begins is told from where it ends.
        assert_eq!(shared("ab", "ba"), 0);
        assert!(of(&"long".repeat(100_000)).len() < 20 && of("").len() <= 1);
    }
}
