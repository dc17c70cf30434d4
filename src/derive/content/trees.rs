//! The opinion on tables: boosted trees, which see what columns tell only together.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::stats::boost::{Binned, Boosted};
use crate::stats::cross_boost::{FEWEST_ROWS, FOLDS, Known, MOST_COLUMNS, cross_fit, growth, most_rows};

use super::bins::Bins;

/// Trees grown on a part of the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trees {
    bins: Bins,
    boosted: Boosted,
}

impl Trees {
    /// Grows trees and returns the logits of all rows, each of the labelled ones from trees that did not see it. `None` where there is
    /// no table, or the classes are too many for it.
    pub(super) fn fit(rows: &[SampleRow], labels: &[Option<u32>], classes: usize, seed: u64) -> Option<(Self, Array2<f32>)> {
        let width = |of: fn(&SampleRow) -> usize| rows.iter().map(of).max().unwrap_or(0);
        let (numbers, categories) = (width(|row| row.numeric.len()), width(|row| row.cells.len()));
        if !(1..=MOST_COLUMNS).contains(&(numbers + categories)) || classes < 2 {
            return None;
        }
        let bins = Bins::fit(rows, numbers, categories);
        let ordered = bins.ordered();
        let outputs = if classes == 2 { 1 } else { classes };
        // Rows come in the order of their keyed hashes: the first are as good a sample as any.
        let most = most_rows(ordered.len(), outputs);
        let known: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).take(most).collect();
        if known.len() < FEWEST_ROWS.max(10 * classes) {
            return None;
        }
        let table = bins.map(rows);
        let parts: Vec<usize> = (0..known.len()).map(|at| at % FOLDS).collect();
        let given: Vec<u32> = known.iter().filter_map(|&row| labels[row]).collect();
        let growth = growth(ordered.len(), outputs, known.len());
        let table = Binned { bins: table.view(), ordered: &ordered };
        let (boosted, logits) = cross_fit(table, Known { rows: &known, labels: &given, parts: &parts, classes }, growth, seed)?;
        Some((Self { bins, boosted }, logits))
    }

    /// Logits of rows that are not in the sample, rows × classes.
    pub(super) fn logits(&self, rows: &[SampleRow]) -> Array2<f32> {
        self.boosted.logits(self.bins.map(rows).view())
    }
}
