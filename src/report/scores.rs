//! How the scores of listed and of other rows lie, family by family.

use std::collections::{BTreeMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use serde::Serialize;

use crate::finding::Family;

/// Parts of the range of scores, 0 to 1.
pub(super) const BINS: usize = 40;

/// Rows by score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Histogram {
    pub(super) listed: [u64; BINS],
    pub(super) others: [u64; BINS],
}

/// Histograms of the families' scores.
#[derive(Debug, Default)]
pub(super) struct Scores {
    families: BTreeMap<&'static str, Histogram>,
    /// Listed rows whose scores have not come yet.
    waiting: HashSet<u64>,
}

/// A histogram as bars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Chart {
    pub(super) family: &'static str,
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
            let histogram = self.families.entry(family).or_insert(Histogram { listed: [0; BINS], others: [0; BINS] });
            for (value, listed) in values.iter().zip(&listed) {
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                let bin = ((value.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
                let side = if *listed { &mut histogram.listed } else { &mut histogram.others };
                if let Some(count) = side.get_mut(bin) {
                    *count += 1;
                }
            }
        }
    }

    /// The histograms of families that scored more than one value.
    pub(super) fn charts(&self) -> Vec<Chart> {
        self.families
            .iter()
            .filter(|(_, h)| h.listed.iter().zip(&h.others).filter(|(a, b)| **a + **b > 0).count() > 1)
            .map(|(family, h)| chart(family, h))
            .collect()
    }
}

fn chart(family: &'static str, histogram: &Histogram) -> Chart {
    let most = histogram.listed.iter().chain(&histogram.others).max().copied().unwrap_or(0);
    let top = (1.0 + most as f64).ln();
    let side = |count: u64| {
        let height = 100.0 * (1.0 + count as f64).ln() / top;
        Side { y: format!("{:.1}", 100.0 - height), height: format!("{height:.1}") }
    };
    let width = 400 / BINS;
    let pairs = histogram.listed.iter().zip(&histogram.others).enumerate();
    let bars = pairs.filter(|(_, (a, b))| **a + **b > 0).map(|(i, (listed, others))| Bar {
        x: i * width,
        others: side(*others),
        listed: side(*listed),
    });
    Chart { family, bars: bars.collect(), listed: histogram.listed.iter().sum(), others: histogram.others.iter().sum() }
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
        let charts = scores.charts();
        assert_eq!((charts.len(), charts[0].family, charts[0].listed, charts[0].others), (1, "label", 1, 1));
        assert_eq!((charts[0].bars[1].x, charts[0].bars[1].listed.height.as_str()), (390, "100.0"));
    }
}
