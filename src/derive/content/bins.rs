//! A table's columns as a few bins each, as boosted trees ask them.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::stats::boost::{BINS, MISSING};

use super::features::cuts;
use super::vocabulary::frequent;

/// How a table's columns become bins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bins {
    /// Where the bins of each number begin.
    cuts: Vec<Vec<f32>>,
    /// Levels of each category that have a bin, the most frequent first; all others share the bin after them.
    levels: Vec<Vec<u64>>,
}

impl Bins {
    /// From the values of some rows.
    pub(crate) fn fit(rows: &[SampleRow], numbers: usize, categories: usize) -> Self {
        let cuts = (0..numbers).into_par_iter().map(|column| cuts(rows, column, BINS - 2)).collect();
        let cells = |column: usize| rows.iter().filter_map(move |row| row.cells.get(column).copied());
        let levels = (0..categories)
            .into_par_iter()
            .map(|column| frequent(cells(column), BINS - 1).into_iter().map(|(level, _)| level).collect())
            .collect();
        Self { cuts, levels }
    }

    /// Whether each column's bins have an order.
    pub(crate) fn ordered(&self) -> Vec<bool> {
        self.cuts.iter().map(|_| true).chain(self.levels.iter().map(|_| false)).collect()
    }

    /// Rows × columns, numbers before categories.
    pub(crate) fn map(&self, rows: &[SampleRow]) -> Array2<u8> {
        let mut out = Array2::zeros((rows.len(), self.cuts.len() + self.levels.len()));
        for (row, mut bins) in rows.iter().zip(out.outer_iter_mut()) {
            let number = |column: usize, cuts: &Vec<f32>| match row.numeric.get(column) {
                Some(value) if !value.is_nan() => cuts.partition_point(|cut| cut <= value) as u8,
                _ => MISSING,
            };
            let level = |column: usize, levels: &Vec<u64>| {
                let held = row.cells.get(column).copied().unwrap_or(0);
                levels.iter().position(|level| *level == held).unwrap_or(levels.len()) as u8
            };
            let numbers = self.cuts.iter().enumerate().map(|(column, cuts)| number(column, cuts));
            let levels = self.levels.iter().enumerate().map(|(column, levels)| level(column, levels));
            for (slot, bin) in bins.iter_mut().zip(numbers.chain(levels)) {
                *slot = bin;
            }
        }
        out
    }
}
