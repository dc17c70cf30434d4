//! Boosted trees that judge each row without having seen it.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::boost::{BINS, Binned, Boosted, Growth};

/// Parts that rows are dealt to; each is judged by trees grown on the others.
pub const FOLDS: usize = 4;
/// Most columns of a table that trees are worth growing on; more of them are an embedding's.
pub const MOST_COLUMNS: usize = 256;
/// Fewest rows, of those that trees are grown on.
pub const FEWEST_ROWS: usize = 100;

/// Most rounds, and the fewest that are worth beginning with.
const ROUNDS: (usize, usize) = (100, 30);
/// Most of rows × columns × outputs × rounds that trees are grown on.
const MOST_WORK: usize = 100_000_000;
/// Most columns that a tree asks.
const COLUMNS: usize = 32;
/// Leaves of a tree.
const LEAVES: usize = 15;
/// Share of the rows that a leaf must hold, and what it may be at least and must be at most.
const LEAF_SHARE: f64 = 0.005;
const LEAF_ROWS: (usize, usize) = (5, 50);

/// Most rows that trees are grown on, by columns and outputs.
#[must_use]
pub fn most_rows(columns: usize, outputs: usize) -> usize {
    MOST_WORK / (columns.min(COLUMNS) * outputs * ROUNDS.1).max(1)
}

/// How trees are grown on so many rows.
#[must_use]
pub fn growth(columns: usize, outputs: usize, rows: usize) -> Growth {
    let asked = (columns.min(COLUMNS) * outputs).max(1);
    Growth {
        // A tree of few rows still looks over the bins of its leaves.
        rounds: (MOST_WORK / (asked * rows.max(2 * LEAVES * BINS))).clamp(ROUNDS.1, ROUNDS.0),
        leaves: LEAVES,
        least_rows: ((LEAF_SHARE * rows as f64) as usize).clamp(LEAF_ROWS.0, LEAF_ROWS.1),
        rate: 0.1,
        columns: COLUMNS,
    }
}

/// Rows to grow trees on.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Positions in the table.
    pub rows: &'a [usize],
    /// Below [`Known::classes`], one for each of the rows.
    pub labels: &'a [u32],
    /// Below [`FOLDS`], one for each of the rows.
    pub parts: &'a [usize],
    /// Classes, at least 2.
    pub classes: usize,
}

/// Grows trees on the known rows of a table four times. Returns the trees that did not see the first part, and the logits of all rows, rows ×
/// classes: of a known one from trees that did not see its part, of others from those that did not see the first. The number of rounds is what
/// suits held-out labels best. `None` where nothing is known.
#[must_use]
pub fn cross_fit(table: Binned<'_>, known: Known<'_>, growth: Growth, seed: u64) -> Option<(Boosted, Array2<f32>)> {
    let side = |wanted: &dyn Fn(usize) -> bool| {
        let chosen: Vec<usize> = (0..known.rows.len()).filter(|&at| wanted(known.parts[at])).collect();
        let rows: Vec<usize> = chosen.iter().map(|&at| known.rows[at]).collect();
        let labels: Vec<u32> = chosen.iter().map(|&at| known.labels[at]).collect();
        (table.bins.select(Axis(0), &rows), labels)
    };
    let grown = |fold: usize| {
        let ((held, held_labels), (learnt, learnt_labels)) = (side(&|part| part == fold), side(&|part| part != fold));
        let learnt = Binned { bins: learnt.view(), ordered: table.ordered };
        let boosted = Boosted::fit(learnt, &learnt_labels, known.classes, growth, seed.wrapping_add(fold as u64));
        let losses = boosted.losses(held.view(), &held_labels);
        (boosted, losses)
    };
    if known.rows.is_empty() {
        return None;
    }
    let mut folds: Vec<(Boosted, Vec<f64>)> = (0..FOLDS).into_par_iter().map(grown).collect();
    let total = |rounds: &usize| folds.iter().map(|(_, losses)| losses[*rounds]).sum::<f64>();
    let rounds = (0..=growth.rounds).min_by(|a, b| total(a).total_cmp(&total(b)))?;
    for (boosted, _) in &mut folds {
        boosted.truncate(rounds);
    }
    let (first, _) = folds.first()?;
    let mut logits = first.logits(table.bins);
    for (fold, (boosted, _)) in folds.iter().enumerate().skip(1) {
        let held: Vec<usize> = known.rows.iter().zip(known.parts).filter(|(_, part)| **part == fold).map(|(row, _)| *row).collect();
        for (&row, own) in held.iter().zip(boosted.logits(table.bins.select(Axis(0), &held).view()).outer_iter()) {
            logits.row_mut(row).assign(&own);
        }
    }
    Some((folds.swap_remove(0).0, logits))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn rows_are_judged_by_trees_that_did_not_see_them() {
        // Labels without any regard to the columns: trees that saw a row know its label, others cannot.
        let rows = 400;
        let bins = Array2::from_shape_fn((rows, 2), |(i, j)| (i * (7 + 4 * j) % 61) as u8);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let labels: Vec<u32> = (0..rows).map(|_| rng.random_range(0..2)).collect();
        let (known, parts): (Vec<usize>, Vec<usize>) = (0..rows).map(|i| (i, i % FOLDS)).unzip();
        let table = Binned { bins: bins.view(), ordered: &[true, true] };
        let known = Known { rows: &known, labels: &labels, parts: &parts, classes: 2 };
        let (_, logits) = cross_fit(table, known, growth(2, 1, rows), 1).unwrap();
        let right = (0..rows).filter(|&i| (logits[(i, 1)] > logits[(i, 0)]) == (labels[i] == 1)).count();
        assert!((120..=280).contains(&right), "{right} of {rows}");
        let nothing = Known { rows: &[], labels: &[], parts: &[], classes: 2 };
        assert!(cross_fit(table, nothing, growth(2, 1, 0), 1).is_none());
    }

    #[test]
    fn work_is_bounded() {
        for (columns, outputs) in [(1, 1), (14, 1), (256, 1), (14, 100)] {
            let rows = most_rows(columns, outputs);
            assert!(rows * columns.min(COLUMNS) * outputs * growth(columns, outputs, rows).rounds <= MOST_WORK);
        }
    }
}
