//! `duplicate.exact`: rows with equal content.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copies::{CopiesModel, PAIR_BYTES, Tally, blank};
use crate::data::{Batch, Schema};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::counter::SeenTwice;

/// Fewest contents that are counted, whatever the memory.
const FEWEST: usize = 256;

#[doc = include_str!("exact.md")]
pub struct Exact;

static INFO: Info = Info {
    code: CopiesModel::CODE,
    family: Family::Duplicate,
    summary: "rows with equal content",
    needs: &[Need::Content],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Note,
    fused: None,
    max_tier: Tier::Review,
    manual: include_str!("exact.md"),
};

/// What a scan looks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ExactBrief {
    /// Which contents may repeat, in a filter of `2^bits` cells.
    Seek {
        /// Binary logarithm of the number of cells.
        bits: u32,
    },
    /// How often those do that may.
    Count {
        /// What the first scan saw.
        seen: SeenTwice,
        /// Rows that hold any content.
        judged: u64,
        /// Most contents, with their labels, that are counted.
        capacity: usize,
    },
}

/// What a worker has seen in a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ExactState {
    /// First scan.
    Seek {
        /// Contents so far.
        seen: SeenTwice,
        /// Rows that hold any content.
        judged: u64,
    },
    /// Second scan.
    Count(Tally),
}

/// Binary logarithm of the number of cells, 2 bits each, in at most half of the unit's bytes.
fn filter_bits(data: &Schema) -> u32 {
    SeenTwice::bits_for(data.rows, data.unit_bytes / 2)
}

/// Most contents, with their labels, in the other half; never more than there are rows.
fn capacity(data: &Schema) -> usize {
    (data.unit_bytes / 2 / PAIR_BYTES).min(usize::try_from(data.rows).unwrap_or(usize::MAX)).max(FEWEST)
}

/// A brief and a state, or two states, of different scans: only bytes from elsewhere can bring them together.
fn mismatch() -> Error {
    Error::Wire { code: INFO.code.to_owned(), reason: "brief and states belong to different scans".to_owned() }
}

impl Fold for Exact {
    type Brief = ExactBrief;
    type State = ExactState;
    type Model = CopiesModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<ExactBrief, CopiesModel>> {
        Ok(Step::Scan(ExactBrief::Seek { bits: filter_bits(data) }))
    }

    fn open(&self, brief: &ExactBrief) -> ExactState {
        match brief {
            ExactBrief::Seek { bits } => ExactState::Seek { seen: SeenTwice::new(*bits), judged: 0 },
            ExactBrief::Count { .. } => ExactState::Count(Tally::default()),
        }
    }

    fn observe(&self, brief: &ExactBrief, state: &mut ExactState, rows: &Batch) -> Result<()> {
        let filled = blank(rows)?.into_iter().zip(rows.content()).zip(rows.labels()).enumerate().filter(|(_, ((blank, _), _))| !blank);
        match (brief, state) {
            (ExactBrief::Seek { .. }, ExactState::Seek { seen, judged }) => {
                for (_, ((_, content), _)) in filled {
                    seen.insert(*content as u64);
                    *judged += 1;
                }
            }
            (ExactBrief::Count { seen, capacity, .. }, ExactState::Count(tally)) => {
                for (row, ((_, content), label)) in filled {
                    if seen.maybe_repeated(*content as u64) {
                        tally.add(*capacity, *content, *label, rows.row_position(row));
                    }
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn merge(&self, brief: &ExactBrief, into: &mut ExactState, from: ExactState) -> Result<()> {
        match (brief, into, from) {
            (_, ExactState::Seek { seen, judged }, ExactState::Seek { seen: other, judged: more }) => {
                if !seen.merge(&other) {
                    return Err(mismatch());
                }
                *judged = judged.saturating_add(more);
            }
            (ExactBrief::Count { capacity, .. }, ExactState::Count(tally), ExactState::Count(other)) => tally.merge(*capacity, other),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, brief: ExactBrief, state: ExactState) -> Result<Step<ExactBrief, CopiesModel>> {
        match (brief, state) {
            (ExactBrief::Seek { .. }, ExactState::Seek { seen, judged }) => {
                Ok(Step::Scan(ExactBrief::Count { seen, judged, capacity: capacity(data) }))
            }
            (ExactBrief::Count { judged, .. }, ExactState::Count(tally)) => Ok(Step::Done(tally.close(judged))),
            _ => Err(mismatch()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        (1_usize << filter_bits(data) >> 2).max(capacity(data) * PAIR_BYTES)
    }
}

impl Detect for Exact {
    fn score(&self, model: &CopiesModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for ((slot, content), blank) in out.iter_mut().zip(rows.content()).zip(blank(rows)?) {
            if !blank && model.covers(*content) {
                *slot = Some(model.find(*content).map_or(0.0, |repeated| (repeated.rows() as f64).ln()));
            }
        }
        Ok(())
    }

    fn explain(&self, model: &CopiesModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let repeated = rows.content().get(row).and_then(|content| model.find(*content));
        let Some(repeated) = repeated else { return Ok(Evidence::new("no other row has this content", [])) };
        let labels: Vec<Value> = repeated
            .labels
            .iter()
            .map(|part| {
                let class = part.label.and_then(|label| rows.schema().label.as_ref()?.classes.get(label as usize));
                serde_json::json!({ "label": class.map(|c| &c.name), "rows": part.rows, "first": part.first })
            })
            .collect();
        let reason = format!("one of {} rows with equal content", repeated.rows());
        Ok(Evidence::new(reason, [("rows", repeated.rows().into()), ("labels", labels.into())]))
    }

    fn notes(&self, model: &CopiesModel) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(largest) = model.contents().iter().max_by_key(|repeated| (repeated.rows(), std::cmp::Reverse(repeated.first()))) {
            let (contents, rows) = (model.contents().len(), model.copied_rows());
            let first = largest.first().map_or_else(String::new, |row| format!(", first in row {row}"));
            let most = largest.rows();
            notes.push(format!("contents that repeat: {contents}, in {rows} rows; the most frequent one is there {most} times{first}"));
        } else {
            notes.push("no two rows have equal content".to_owned());
        }
        if model.sampled() < 1.0 {
            notes.push(format!("copies were counted in a sample of 1/{:.0} of the content", 1.0 / model.sampled()));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::fold::law::{self, Fixture};

    /// 300 distinct rows; then, where asked for, row 0 five more times, once under the other label, and rows that hold
    /// nothing.
    fn table(poisoned: bool) -> RecordBatch {
        let mut rows: Vec<(Option<f64>, Option<String>, &str)> =
            (0..300).map(|i| (Some(f64::from(i)), Some(format!("kind {}", i % 7)), if i % 2 == 0 { "a" } else { "b" })).collect();
        if poisoned {
            rows.extend((0..5).map(|i| (Some(0.0), Some("kind 0".to_owned()), if i == 3 { "b" } else { "a" })));
            rows.extend((0..6).map(|_| (None, None, "a")));
        }
        let x: Float64Array = rows.iter().map(|row| row.0).collect();
        let kind: StringArray = rows.iter().map(|row| row.1.as_deref()).collect();
        let label: StringArray = rows.iter().map(|row| Some(row.2)).collect();
        let columns: [(&str, ArrayRef); 3] = [("x", Arc::new(x)), ("kind", Arc::new(kind)), ("label", Arc::new(label))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn judged(poisoned: bool, unit_bytes: usize) -> (CopiesModel, Vec<Option<f64>>) {
        let fixture = Fixture::new(table(poisoned), Some("label")).unit_bytes(unit_bytes);
        let model = fixture.model(&Exact);
        let scores = fixture.scores(&Exact, &model);
        (model, scores)
    }

    #[test]
    fn copies_are_counted_by_label_and_nothing_is_no_copy() {
        let (model, scores) = judged(true, 1 << 20);
        assert_eq!(model.contents().len(), 1);
        let copies = &model.contents()[0];
        let parts: Vec<_> = copies.labels.iter().map(|part| (part.label, part.rows, part.first.clone())).collect();
        assert_eq!(parts, [(Some(0), 5, vec![0, 300, 301, 302]), (Some(1), 1, vec![303])]);
        assert_eq!(model.judged(), 305);
        assert!((model.repeating_share() - 1.0 / 300.0).abs() < 1e-12);
        let copied = Some(6.0_f64.ln());
        assert_eq!((scores[0], scores[1], scores[304], scores[305]), (copied, Some(0.0), copied, None));
        let notes = Exact.notes(&model);
        assert_eq!(notes, ["contents that repeat: 1, in 6 rows; the most frequent one is there 6 times, first in row 0"]);
    }

    #[test]
    fn distinct_rows_are_no_copies() {
        let (model, scores) = judged(false, 1 << 20);
        assert!(model.contents().is_empty() && scores.iter().all(|score| *score == Some(0.0)));
        assert_eq!(Exact.notes(&model), ["no two rows have equal content"]);
    }

    #[test]
    fn any_split_gives_the_same_counts() {
        law::check(|| Exact, &Fixture::new(table(true), Some("label")));
        law::check(|| Exact, &Fixture::new(table(true), None));
        law::survives(|| Exact, |fixture| fixture);
    }

    /// 2,000 contents, each twice, in memory for 256 of them.
    #[test]
    fn too_many_copies_are_sampled() {
        let x: Float64Array = (0..4_000).map(|i| Some(f64::from(i % 2_000))).collect();
        let columns: [(&str, ArrayRef); 1] = [("x", Arc::new(x))];
        let fixture = Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), None).unit_bytes(0);
        law::check(|| Exact, &fixture);
        let model = fixture.model(&Exact);
        assert_eq!(model.contents().len(), FEWEST - 1);
        assert!(model.contents().iter().all(|repeated| repeated.rows() == 2));
        // 256 of 2,000: the share of a bottom-k sample has a relative standard error of 1/16.
        assert!((model.sampled() / 0.128 - 1.0).abs() < 0.25, "{}", model.sampled());
        let scores = fixture.scores(&Exact, &model);
        assert_eq!(scores.iter().flatten().count(), 2 * (FEWEST - 1));
        assert!(scores.iter().flatten().all(|score| *score > 0.0));
        assert!(Exact.notes(&model)[1].starts_with("copies were counted in a sample of 1/"));
    }
}
