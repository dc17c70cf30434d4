//! What a model says of the rows of the sample without having seen them.

use std::collections::BTreeSet;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::derive::{SampleRow, Vectors, raw};
use crate::error::Result;

/// Logits of the sample's rows, each of the labelled ones without itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HeldOut {
    /// Keys of the rows, ascending.
    pub(crate) keys: Vec<u64>,
    /// Largest key that can be in the sample.
    pub(crate) threshold: u64,
    pub(crate) labels: Vec<Option<u32>>,
    /// Rows × classes.
    pub(crate) logits: Array2<f32>,
}

impl HeldOut {
    /// Position of a row in the sample.
    pub(crate) fn position(&self, key: u64) -> Option<usize> {
        if key > self.threshold { None } else { self.keys.binary_search(&key).ok() }
    }

    /// Positions of the labelled rows, ascending.
    pub(crate) fn with_label(&self) -> impl Iterator<Item = usize> + '_ {
        self.labels.iter().enumerate().filter(|(_, label)| label.is_some()).map(|(i, _)| i)
    }

    /// Logits of the labelled rows, rows × classes, with their labels; without the rows that have a key in `left_out`.
    pub(crate) fn labelled(&self, left_out: &BTreeSet<u64>) -> (Array2<f32>, Vec<u32>) {
        let rows: Vec<usize> = self.with_label().filter(|&i| !left_out.contains(&self.keys[i])).collect();
        let labels = rows.iter().filter_map(|&i| self.labels[i]).collect();
        (self.logits.select(Axis(0), &rows), labels)
    }

    /// Logits of a block's rows, rows × classes; `others` says those of rows that are not in the sample.
    pub(crate) fn column(&self, rows: &Batch, others: impl Fn(&[SampleRow]) -> Result<Array2<f32>>) -> Result<Array2<f32>> {
        let mut out = Array2::from_elem((rows.rows(), self.logits.ncols()), f32::NAN);
        let vectors = Vectors::of(rows)?;
        let mut outside = Vec::new();
        for (row, key) in rows.keys().iter().enumerate() {
            match self.position(*key) {
                Some(i) => out.row_mut(row).assign(&self.logits.row(i)),
                None => outside.push(row),
            }
        }
        if !outside.is_empty() {
            let raws: Vec<SampleRow> = outside.iter().map(|&row| raw(rows, row, &vectors)).collect();
            for (&row, logits) in outside.iter().zip(others(&raws)?.outer_iter()) {
                out.row_mut(row).assign(&logits);
            }
        }
        Ok(out)
    }
}
