//! The opinion on tables: boosted trees, which see what columns tell only together.

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::stats::boost::{BINS, Binned, Boosted, Growth, MISSING};

use super::features::cuts;
use super::vocabulary::frequent;

/// Parts that rows are dealt to; each is judged by trees grown on the others.
const FOLDS: usize = 4;
/// Most rounds, and the fewest that are worth beginning with.
const ROUNDS: (usize, usize) = (100, 30);
/// Most of rows × columns × outputs × rounds that trees are grown on.
const MOST_WORK: usize = 100_000_000;
/// Most columns that a tree asks.
const COLUMNS: usize = 32;
/// Most columns of a table; more of them are an embedding's.
const MOST_COLUMNS: usize = 256;
/// Fewest labelled rows.
const FEWEST_ROWS: usize = 100;
/// Leaves of a tree.
const LEAVES: usize = 15;
/// Share of the rows that a leaf must hold, and what it may be at least and must be at most.
const LEAF_SHARE: f64 = 0.005;
const LEAF_ROWS: (usize, usize) = (5, 50);

/// How a table's columns become bins.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bins {
    /// Where the bins of each number begin.
    cuts: Vec<Vec<f32>>,
    /// Levels of each category that have a bin, the most frequent first; all others share the bin after them.
    levels: Vec<Vec<u64>>,
}

impl Bins {
    fn fit(rows: &[SampleRow], numbers: usize, categories: usize) -> Self {
        let cuts = (0..numbers).into_par_iter().map(|column| cuts(rows, column, BINS - 2)).collect();
        let cells = |column: usize| rows.iter().filter_map(move |row| row.cells.get(column).copied());
        let levels = (0..categories)
            .into_par_iter()
            .map(|column| frequent(cells(column), BINS - 1).into_iter().map(|(level, _)| level).collect())
            .collect();
        Self { cuts, levels }
    }

    fn ordered(&self) -> Vec<bool> {
        self.cuts.iter().map(|_| true).chain(self.levels.iter().map(|_| false)).collect()
    }

    /// Rows × columns, numbers before categories.
    fn map(&self, rows: &[SampleRow]) -> Array2<u8> {
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
        let asked = ordered.len().min(COLUMNS) * outputs;
        // Rows come in the order of their keyed hashes: the first are as good a sample as any.
        let most = MOST_WORK / (asked * ROUNDS.1);
        let known: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).take(most).collect();
        if known.len() < FEWEST_ROWS.max(10 * classes) {
            return None;
        }
        let table = bins.map(rows);
        let growth = Growth {
            // A tree of few rows still looks over the bins of its leaves.
            rounds: (MOST_WORK / (asked * known.len().max(2 * LEAVES * BINS))).clamp(ROUNDS.1, ROUNDS.0),
            leaves: LEAVES,
            least_rows: ((LEAF_SHARE * known.len() as f64) as usize).clamp(LEAF_ROWS.0, LEAF_ROWS.1),
            rate: 0.1,
            columns: COLUMNS,
        };
        let of = |part: &[usize]| (table.select(Axis(0), part), part.iter().filter_map(|&i| labels[i]).collect::<Vec<u32>>());
        let grown = |fold: usize| {
            let (held, learnt): (Vec<(usize, &usize)>, Vec<_>) = known.iter().enumerate().partition(|(at, _)| at % FOLDS == fold);
            let side = |part: Vec<(usize, &usize)>| of(&part.into_iter().map(|(_, row)| *row).collect::<Vec<_>>());
            let ((held, held_labels), (learnt, learnt_labels)) = (side(held), side(learnt));
            let boosted = Boosted::fit(
                Binned { bins: learnt.view(), ordered: &ordered },
                &learnt_labels,
                classes,
                growth,
                seed.wrapping_add(fold as u64),
            );
            let losses = boosted.losses(held.view(), &held_labels);
            (boosted, losses)
        };
        let mut folds: Vec<(Boosted, Vec<f64>)> = (0..FOLDS).into_par_iter().map(grown).collect();
        let total = |rounds: &usize| folds.iter().map(|(_, losses)| losses[*rounds]).sum::<f64>();
        let rounds = (0..=growth.rounds).min_by(|a, b| total(a).total_cmp(&total(b)))?;
        for (boosted, _) in &mut folds {
            boosted.truncate(rounds);
        }
        // The first part's trees saw neither its own rows nor those beyond the known ones; they judge all that come later as well.
        let (first, _) = folds.first()?;
        let mut logits = first.logits(table.view());
        for (fold, (boosted, _)) in folds.iter().enumerate().skip(1) {
            let held: Vec<usize> = known.iter().copied().skip(fold).step_by(FOLDS).collect();
            for (&row, own) in held.iter().zip(boosted.logits(table.select(Axis(0), &held).view()).outer_iter()) {
                logits.row_mut(row).assign(&own);
            }
        }
        let (boosted, _) = folds.swap_remove(0);
        Some((Self { bins, boosted }, logits))
    }

    /// Logits of rows that are not in the sample, rows × classes.
    pub(super) fn logits(&self, rows: &[SampleRow]) -> Array2<f32> {
        self.boosted.logits(self.bins.map(rows).view())
    }
}
