//! How the scores of listed and of other rows lie, family by family.

use std::collections::{BTreeMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use serde::Serialize;

use super::html::NAME;
use super::json::Detector;
use super::visible;
use crate::finding::{Family, ScoreSpread};

/// Width of a bar with its gap.
const WIDTH: usize = 400 / ScoreSpread::BINS;

/// Histograms of the families' scores.
#[derive(Debug, Default)]
pub(super) struct Scores {
    families: BTreeMap<&'static str, ScoreSpread>,
    /// Listed rows whose scores have not come yet.
    waiting: HashSet<u64>,
}

/// A histogram as bars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Chart {
    title: String,
    /// What the lowest and the highest scores mean.
    ends: [&'static str; 2],
    pub(super) bars: Vec<Bar>,
    pub(super) listed: u64,
    pub(super) others: u64,
}

/// A bar: places and heights in a box of 400 × 100, on a logarithmic scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bar {
    x: usize,
    others: Side,
    listed: Side,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Side {
    y: String,
    height: String,
}

fn positions(batch: &RecordBatch) -> Option<&arrow::array::UInt64Array> {
    batch.column_by_name("row")?.as_primitive_opt::<UInt64Type>()
}

impl Scores {
    /// Takes in listed rows, in the columns of `rows.parquet`.
    pub(super) fn listed(&mut self, rows: &RecordBatch) {
        self.waiting.extend(positions(rows).into_iter().flatten().flatten());
    }

    /// Takes in scores of rows, in the columns of `scores.parquet`, after the listed ones among them.
    pub(super) fn add(&mut self, scores: &RecordBatch) {
        let Some(rows) = positions(scores) else { return };
        let listed: Vec<bool> = rows.iter().map(|row| row.is_some_and(|row| self.waiting.remove(&row))).collect();
        for family in Family::CLAIMING.map(Family::name) {
            let Some(values) = scores.column_by_name(family).and_then(|a| a.as_primitive_opt::<Float64Type>()) else { continue };
            let spread = self.families.entry(family).or_default();
            for (value, listed) in values.iter().zip(&listed) {
                spread.add(value.unwrap_or(f64::NAN), 1, *listed);
            }
        }
    }

    /// Charts of detectors that listed rows by a probability, and of families whose scores were taken in.
    pub(super) fn charts(&self, detectors: &[Detector]) -> Vec<Chart> {
        let posteriors = detectors.iter().filter_map(|detector| {
            let title = format!("Probability of being wrong: {}", visible(&detector.code, NAME));
            let spread = detector.spread.as_ref().filter(|spread| spread.listed.iter().any(|rows| *rows > 0))?;
            chart(title, ["0 sound", "1 wrong"], spread)
        });
        let families =
            self.families.iter().filter_map(|(family, spread)| chart(format!("Scores: {family}"), ["0 usual", "1 strange"], spread));
        posteriors.chain(families).collect()
    }
}

/// A chart; nothing where all rows have about the same score.
fn chart(title: String, ends: [&'static str; 2], spread: &ScoreSpread) -> Option<Chart> {
    let pairs = || spread.listed.iter().zip(&spread.others).enumerate().take(ScoreSpread::BINS).filter(|(_, (a, b))| **a > 0 || **b > 0);
    if pairs().count() < 2 {
        return None;
    }
    let most = spread.listed.iter().chain(&spread.others).max().copied().unwrap_or(0);
    let top = (1.0 + most as f64).ln();
    let side = |count: u64| {
        let height = 100.0 * (1.0 + count as f64).ln() / top;
        Side { y: format!("{:.1}", 100.0 - height), height: format!("{height:.1}") }
    };
    let bars = pairs().map(|(i, (listed, others))| Bar { x: i * WIDTH, others: side(*others), listed: side(*listed) });
    let sum = |side: &[u64]| side.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    Some(Chart { title, ends, bars: bars.collect(), listed: sum(&spread.listed), others: sum(&spread.others) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, UInt64Array};

    use super::*;

    #[test]
    fn listed_rows_stand_apart() {
        let rows: ArrayRef = Arc::new(UInt64Array::from(vec![0, 1, 2, 3]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), Some(1.0), None, Some(f64::NAN)]));
        let batch = RecordBatch::try_from_iter([("row", Arc::clone(&rows)), ("label", values)]).unwrap();
        let mut scores = Scores::default();
        scores.listed(&RecordBatch::try_from_iter([("row", Arc::new(UInt64Array::from(vec![1])) as ArrayRef)]).unwrap());
        scores.add(&batch);
        assert!(scores.waiting.is_empty());
        let charts = scores.charts(&[]);
        assert_eq!((charts.len(), charts[0].title.as_str(), charts[0].listed, charts[0].others), (1, "Scores: label", 1, 1));
        assert_eq!((charts[0].bars[1].x, charts[0].bars[1].listed.height.as_str()), (31 * WIDTH, "100.0"));
    }
}
