//! How texts are built, whatever they say: what they begin and end with, their marks and their small words, by class.

use std::collections::BTreeSet;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{DERIVED, word_hash};
use crate::data::{Batch, Key, Schema, words};
use crate::error::{Error, Result};
use crate::fold::{Derive, Fold, Given, Info, Need, Step};

/// Hash domain of features.
const FEATURE: u8 = 70;
/// Binary logarithm of the number of cells that words and features are counted in.
const BITS: u32 = 18;
/// Words that are common enough to be seen; the rest is content.
const COMMON: usize = 100;
/// Words of a text that are looked at.
const MOST_WORDS: usize = 512;
/// Pseudo-count of a feature in a class.
const PSEUDO: f64 = 1.0;
/// Fewest other rows that know a feature, and the number at which it counts half.
const FEWEST: f64 = 3.0;
const HALF: f64 = 10.0;
/// Hash of a word that is content, of a start and of an end.
const CONTENT: u64 = 1;
const START: u64 = 2;
const END: u64 = 3;

/// Counts what texts are built of, class by class.
pub struct Build;

static INFO: Info =
    Info { code: "derive.build", summary: "how the texts of each class are built", needs: &[Need::Text, Need::Classes], ..DERIVED };

/// What a scan looks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum BuildBrief {
    /// Which words are common.
    Words,
    /// Which features come with which class.
    Features {
        /// Cells of common words.
        common: BTreeSet<u32>,
        /// Number of classes.
        classes: usize,
    },
}

/// Counts of cells, or of cells × classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildState {
    counts: Vec<u32>,
    /// Rows of each class.
    rows: Vec<u64>,
}

/// How each class builds its texts. Without classes it knows nothing: there were too many to count for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BuildModel {
    common: BTreeSet<u32>,
    classes: usize,
    counts: Vec<u32>,
    rows: Vec<u64>,
}

/// The cell of a hash: its first bits.
fn cell(hash: u64) -> u32 {
    (hash >> (64 - BITS)) as u32
}

/// Words of a row with their hashes.
fn sequence<'a>(rows: &'a Batch, row: usize, key: &Key) -> Vec<(u64, &'a str)> {
    rows.row_texts(row).flat_map(words).take(MOST_WORDS).map(|word| (word_hash(key, word), word)).collect()
}

/// Cells of what the build of a row with these words is described by, each once: its first two and three words, its last two, its marks, its
/// first small words, and its first word with what follows the first comma. Content words are all alike.
fn features(words: &[(u64, &str)], common: &BTreeSet<u32>, key: &Key) -> Vec<u32> {
    if words.is_empty() {
        return Vec::new();
    }
    let is_mark = |word: &str| !word.chars().any(char::is_alphanumeric);
    let seen: Vec<u64> = words.iter().map(|(hash, _)| if common.contains(&cell(*hash)) { *hash } else { CONTENT }).collect();
    let at = |i: usize| seen.get(i).copied().unwrap_or(END);
    let marks = words.iter().zip(&seen).filter(|((_, word), seen)| is_mark(word) && **seen != CONTENT).map(|(_, seen)| *seen).take(6);
    let small = seen.iter().copied().filter(|seen| *seen != CONTENT).take(3);
    let comma = words.iter().position(|(_, word)| matches!(*word, "," | "،" | "、" | "，"));
    let last = seen.len().checked_sub(2).map_or(START, at);
    let parts: [Vec<u64>; 6] = [
        vec![at(0), at(1)],
        vec![at(0), at(1), at(2)],
        marks.collect(),
        small.collect(),
        comma.map_or_else(|| vec![at(0)], |comma| vec![at(0), START, at(comma + 1)]),
        vec![last, at(seen.len() - 1)],
    ];
    let cells = (0_u64..).zip(parts).map(|(kind, part)| {
        let joined =
            part.into_iter().fold(key.words(FEATURE, &[kind]), |joined, word| key.join(FEATURE, joined, key.words(FEATURE, &[word])));
        cell(key.words(FEATURE, &[joined]))
    });
    let mut cells: Vec<u32> = cells.collect();
    cells.sort_unstable();
    cells.dedup();
    cells
}

impl BuildModel {
    /// Whether builds were counted.
    #[must_use]
    pub fn knows(&self) -> bool {
        self.classes > 0
    }

    /// Cells of the features of a row's build, ascending; none where it has no words.
    #[must_use]
    pub fn features(&self, rows: &Batch, row: usize) -> Vec<u32> {
        let key = &rows.schema().key;
        features(&sequence(rows, row, key), &self.common, key)
    }

    /// As [`features`](Self::features), and the hashes of its words that are content, in order, of the first 512 words.
    #[must_use]
    pub fn build_and_content(&self, rows: &Batch, row: usize) -> (Vec<u32>, Vec<u64>) {
        let key = &rows.schema().key;
        let words = sequence(rows, row, key);
        let content = words.iter().map(|(hash, _)| *hash).filter(|hash| !self.common.contains(&cell(*hash))).collect();
        (features(&words, &self.common, key), content)
    }

    /// Mean evidence of features for a class against all others, nats, from counts without the row, whose label is `own`:
    /// the logarithm of the feature's shares in both, with a pseudo-count, and less weight where few rows have it. `None`
    /// where nothing is known of the class or of all others, or the row has no features.
    #[must_use]
    pub fn evidence(&self, features: &[u32], own: Option<u32>, toward: u32) -> Option<f64> {
        let (own_row, own_of_class) = (f64::from(u8::from(own.is_some())), f64::from(u8::from(own == Some(toward))));
        let toward = toward as usize;
        let all = self.rows.iter().sum::<u64>() as f64 - own_row;
        let class_rows = self.rows.get(toward).copied()? as f64 - own_of_class;
        if features.is_empty() || class_rows < 1.0 || all - class_rows < 1.0 {
            return None;
        }
        let prior = class_rows / all;
        let (mut sum, mut known) = (0.0, 0.0);
        for cell in features {
            let from = *cell as usize * self.classes;
            let counts = self.counts.get(from..from + self.classes)?;
            let total = counts.iter().map(|n| f64::from(*n)).sum::<f64>() - own_row;
            if total < FEWEST {
                continue;
            }
            let within = (f64::from(*counts.get(toward)?) - own_of_class).max(0.0);
            let here = (within + PSEUDO * prior) / class_rows;
            let there = ((total - within).max(0.0) + PSEUDO * (1.0 - prior)) / (all - class_rows);
            sum += (here / there).ln() * total / (total + HALF);
            known += 1.0;
        }
        Some(if known > 0.0 { sum / known } else { 0.0 })
    }
}

fn mismatch() -> Error {
    Error::Wire { code: INFO.code.to_owned(), reason: "brief and states belong to different scans".to_owned() }
}

impl Fold for Build {
    type Brief = BuildBrief;
    type State = BuildState;
    type Model = BuildModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<BuildBrief, BuildModel>> {
        let fits = (4_usize << BITS).saturating_mul(data.classes()) <= data.unit_bytes;
        Ok(if fits { Step::Scan(BuildBrief::Words) } else { Step::Done(BuildModel::default()) })
    }

    fn open(&self, brief: &BuildBrief) -> BuildState {
        match brief {
            BuildBrief::Words => BuildState { counts: vec![0; 1 << BITS], rows: Vec::new() },
            BuildBrief::Features { classes, .. } => BuildState { counts: vec![0; classes << BITS], rows: vec![0; *classes] },
        }
    }

    fn observe(&self, brief: &BuildBrief, state: &mut BuildState, rows: &Batch) -> Result<()> {
        for row in 0..rows.rows() {
            match brief {
                BuildBrief::Words => {
                    let mut cells: Vec<u32> = sequence(rows, row, &rows.schema().key).into_iter().map(|(hash, _)| cell(hash)).collect();
                    cells.sort_unstable();
                    cells.dedup();
                    for slot in cells {
                        let count = state.counts.get_mut(slot as usize).ok_or_else(mismatch)?;
                        *count = count.saturating_add(1);
                    }
                }
                BuildBrief::Features { common, classes } => {
                    let Some(label) = rows.labels()[row] else { continue };
                    let of_class = state.rows.get_mut(label as usize).ok_or_else(mismatch)?;
                    *of_class = of_class.saturating_add(1);
                    let key = &rows.schema().key;
                    for slot in features(&sequence(rows, row, key), common, key) {
                        let count = state.counts.get_mut(slot as usize * classes + label as usize).ok_or_else(mismatch)?;
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&self, _: &BuildBrief, into: &mut BuildState, from: BuildState) -> Result<()> {
        if into.counts.len() != from.counts.len() || into.rows.len() != from.rows.len() {
            return Err(mismatch());
        }
        into.counts.iter_mut().zip(from.counts).for_each(|(count, more)| *count = count.saturating_add(more));
        into.rows.iter_mut().zip(from.rows).for_each(|(count, more)| *count = count.saturating_add(more));
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, brief: BuildBrief, state: BuildState) -> Result<Step<BuildBrief, BuildModel>> {
        match brief {
            BuildBrief::Words => {
                let mut order: Vec<(u32, u32)> = (0..).zip(&state.counts).filter(|(_, n)| **n > 1).map(|(cell, n)| (*n, cell)).collect();
                order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                let common = order.into_iter().take(COMMON).map(|(_, cell)| cell).collect();
                Ok(Step::Scan(BuildBrief::Features { common, classes: data.classes() }))
            }
            BuildBrief::Features { common, classes } => {
                Ok(Step::Done(BuildModel { common, classes, counts: state.counts, rows: state.rows }))
            }
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        (4_usize << BITS).saturating_mul(data.classes().max(1)).min(data.unit_bytes.max(4 << BITS))
    }
}

impl Derive for Build {
    fn column(&self, _: &BuildModel, _: &Batch) -> Result<Option<Array2<f32>>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use foretaste_datasets::synth;

    use super::*;
    use crate::fold::law::{self, Fixture};

    #[test]
    fn laws_hold_and_hostile_rows_do_no_harm() {
        law::check_derive(|| Build, &Fixture::new(synth::topic_texts(300, 2, 25, 6).unwrap(), Some("label")));
        law::survives_derive(|| Build, |fixture| fixture);
    }
}
