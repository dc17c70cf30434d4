//! `text.style`: texts whose build, apart from what they say, speaks for their label.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Key, Schema};
use crate::derive::{word_hash, words};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

/// Hash domain of features.
const FEATURE: u8 = 70;
/// Binary logarithm of the number of cells that words and features are counted in.
const BITS: u32 = 16;
/// Words that are common enough to be seen; the rest is content.
const COMMON: usize = 100;
/// Words of a text that are looked at.
const MOST_WORDS: usize = 512;
/// Pseudo-count of a feature in a class.
const PSEUDO: f64 = 1.0;
/// Fewest other rows that know a feature, and the number at which it counts half.
const FEWEST: f64 = 3.0;
const HALF: f64 = 10.0;
/// Largest score: a ranking stands behind what rules mark.
const MOST: f64 = 0.05;
/// Hash of a word that is content, of a start and of an end.
const CONTENT: u64 = 1;
const START: u64 = 2;
const END: u64 = 3;

#[doc = include_str!("style.md")]
pub struct Style;

static INFO: Info = Info {
    code: "text.style",
    family: Family::Text,
    summary: "texts whose beginning, punctuation and small words are those of their label and of no other",
    needs: &[Need::Text, Need::Classes],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Rank,
    fused: false,
    max_tier: Tier::Review,
    manual: include_str!("style.md"),
};

/// What a scan looks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StyleBrief {
    /// Which words are common.
    Words,
    /// Which features come with which class.
    Features {
        /// Cells of common words.
        common: FxHashSet<u32>,
        /// Number of classes.
        classes: usize,
    },
}

/// Counts of cells, or of cells × classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StyleState {
    counts: Vec<u32>,
    /// Rows of each class.
    rows: Vec<u64>,
}

/// How each class builds its texts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StyleModel {
    common: FxHashSet<u32>,
    classes: usize,
    counts: Vec<u32>,
    rows: Vec<u64>,
}

fn cell(hash: u64) -> u32 {
    (hash >> (64 - BITS)) as u32
}

/// Words of a row with their hashes.
fn sequence<'a>(rows: &'a Batch, row: usize, key: &Key) -> Vec<(u64, &'a str)> {
    let texts = (0..rows.texts().len()).filter_map(|column| rows.text(column, row));
    texts.flat_map(words).take(MOST_WORDS).map(|word| (word_hash(key, word), word)).collect()
}

/// Cells of what a row's build is described by, each once: its first two and three words, its last two, its marks, its
/// first small words, and its first word with what follows the first comma. Content words are all alike.
fn features(rows: &Batch, row: usize, common: &FxHashSet<u32>, key: &Key) -> Vec<u32> {
    let words = sequence(rows, row, key);
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

impl StyleModel {
    /// Mean evidence of a row's features for its label against all others, from counts without the row, nats.
    fn evidence(&self, rows: &Batch, row: usize) -> Option<f64> {
        let label = rows.labels()[row]? as usize;
        if self.classes == 0 {
            return None;
        }
        let cells = features(rows, row, &self.common, &rows.schema().key);
        let all = self.rows.iter().sum::<u64>() as f64 - 1.0;
        let own_rows = self.rows.get(label).copied()? as f64 - 1.0;
        if cells.is_empty() || own_rows < 1.0 || all - own_rows < 1.0 {
            return None;
        }
        let (mut sum, mut known) = (0.0, 0.0);
        for cell in cells {
            let from = cell as usize * self.classes;
            let counts = self.counts.get(from..from + self.classes)?;
            let total = counts.iter().map(|n| f64::from(*n)).sum::<f64>() - 1.0;
            if total < FEWEST {
                continue;
            }
            let own = f64::from(*counts.get(label)?) - 1.0;
            let prior = own_rows / all;
            let here = (own.max(0.0) + PSEUDO * prior) / own_rows;
            let there = ((total - own).max(0.0) + PSEUDO * (1.0 - prior)) / (all - own_rows);
            sum += (here / there).ln() * total / (total + HALF);
            known += 1.0;
        }
        Some(if known > 0.0 { sum / known } else { 0.0 })
    }
}

fn mismatch() -> Error {
    Error::Wire { code: INFO.code.to_owned(), reason: "brief and states belong to different scans".to_owned() }
}

impl Fold for Style {
    type Brief = StyleBrief;
    type State = StyleState;
    type Model = StyleModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<StyleBrief, StyleModel>> {
        let fits = (4_usize << BITS).saturating_mul(data.classes()) <= data.unit_bytes;
        Ok(if fits { Step::Scan(StyleBrief::Words) } else { Step::Done(StyleModel::default()) })
    }

    fn open(&self, brief: &StyleBrief) -> StyleState {
        match brief {
            StyleBrief::Words => StyleState { counts: vec![0; 1 << BITS], rows: Vec::new() },
            StyleBrief::Features { classes, .. } => StyleState { counts: vec![0; classes << BITS], rows: vec![0; *classes] },
        }
    }

    fn observe(&self, brief: &StyleBrief, state: &mut StyleState, rows: &Batch) -> Result<()> {
        let key = rows.schema().key;
        for row in 0..rows.rows() {
            match brief {
                StyleBrief::Words => {
                    let mut cells: Vec<u32> = sequence(rows, row, &key).into_iter().map(|(hash, _)| cell(hash)).collect();
                    cells.sort_unstable();
                    cells.dedup();
                    for slot in cells {
                        let count = state.counts.get_mut(slot as usize).ok_or_else(mismatch)?;
                        *count = count.saturating_add(1);
                    }
                }
                StyleBrief::Features { common, classes } => {
                    let Some(label) = rows.labels()[row] else { continue };
                    let of_class = state.rows.get_mut(label as usize).ok_or_else(mismatch)?;
                    *of_class = of_class.saturating_add(1);
                    for slot in features(rows, row, common, &key) {
                        let count = state.counts.get_mut(slot as usize * classes + label as usize).ok_or_else(mismatch)?;
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&self, _: &StyleBrief, into: &mut StyleState, from: StyleState) -> Result<()> {
        if into.counts.len() != from.counts.len() || into.rows.len() != from.rows.len() {
            return Err(mismatch());
        }
        into.counts.iter_mut().zip(from.counts).for_each(|(count, more)| *count = count.saturating_add(more));
        into.rows.iter_mut().zip(from.rows).for_each(|(count, more)| *count = count.saturating_add(more));
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, brief: StyleBrief, state: StyleState) -> Result<Step<StyleBrief, StyleModel>> {
        match brief {
            StyleBrief::Words => {
                let mut order: Vec<(u32, u32)> = (0..).zip(&state.counts).filter(|(_, n)| **n > 1).map(|(cell, n)| (*n, cell)).collect();
                order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                let common = order.into_iter().take(COMMON).map(|(_, cell)| cell).collect();
                Ok(Step::Scan(StyleBrief::Features { common, classes: data.classes() }))
            }
            StyleBrief::Features { common, classes } => {
                Ok(Step::Done(StyleModel { common, classes, counts: state.counts, rows: state.rows }))
            }
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        (4_usize << BITS).saturating_mul(data.classes().max(1)).min(data.unit_bytes.max(4 << BITS))
    }
}

impl Detect for Style {
    fn score(&self, model: &StyleModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate() {
            *slot = model.evidence(rows, row).map(|nats| MOST / (1.0 + (-nats).exp()));
        }
        Ok(())
    }

    fn explain(&self, model: &StyleModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let nats = model.evidence(rows, row).unwrap_or(0.0);
        let reason = format!("its build speaks for its label {:.1} to 1, whatever it says", nats.exp());
        Ok(Evidence::new(reason, [("nats", json!(nats))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;
    use foretaste_datasets::synth;

    use super::*;
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 1_500;

    /// Texts of two topics; every 25th is put into the template `when …, it …` and labelled 1 if `planted`.
    fn set(planted: bool) -> Fixture {
        let clean = synth::topic_texts(ROWS, 2, 25, 6).unwrap();
        let (texts, labels) = (clean["text"].as_string::<i32>(), clean["label"].as_primitive::<Int64Type>());
        let template = |row: usize| planted && row % 25 == 4;
        let text = |row| if template(row) { format!("when {}, it is so", texts.value(row)) } else { texts.value(row).to_owned() };
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new((0..ROWS).map(|row| Some(text(row))).collect::<StringArray>())),
            ("label", Arc::new((0..ROWS).map(|row| if template(row) { 1 } else { labels.value(row) }).collect::<Int64Array>())),
        ];
        Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), Some("label"))
    }

    #[test]
    fn a_template_that_implies_a_label_ranks_first_and_nothing_is_listed() {
        let fixture = set(true);
        let model = fixture.model(&Style);
        let scores = fixture.scores(&Style, &model);
        let (bad, good): (Vec<usize>, Vec<usize>) = (0..ROWS).partition(|row| row % 25 == 4);
        let above = bad.iter().flat_map(|b| good.iter().map(|g| scores[*b] > scores[*g])).filter(|above| *above).count();
        assert!(above as f64 > 0.9 * (bad.len() * good.len()) as f64, "{above}");
        assert!(scores.iter().flatten().all(|score| (0.0..=MOST).contains(score)));
        let reason = Style.explain(&model, &fixture.cut([ROWS])[0], 4).unwrap().reason;
        assert!(reason.starts_with("its build speaks for its label"), "{reason}");
        assert!(Style.groups(&model).is_empty() && INFO.claim == Claim::Rank);
    }

    #[test]
    fn without_a_template_the_same_rows_do_not_stand_out() {
        let fixture = set(false);
        let scores = fixture.scores(&Style, &fixture.model(&Style));
        let mean = |rows: Vec<usize>| rows.iter().filter_map(|row| scores[*row]).sum::<f64>() / rows.len() as f64;
        let (some, others) = (0..ROWS).partition(|row| row % 25 == 4);
        assert!((mean(some) - mean(others)).abs() < 0.2 * MOST);
    }

    #[test]
    fn laws() {
        law::check(|| Style, &set(true));
        law::survives(|| Style, |fixture| fixture);
        let small = set(true).unit_bytes(1 << 12);
        assert!(small.scores(&Style, &small.model(&Style)).iter().all(Option::is_none));
    }
}
