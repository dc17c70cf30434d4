//! The opinion on tables: gradient-boosted trees, each row judged by those that were grown without its fold.

use ndarray::Array2;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::stats::boost::{BINS, Binned, Boost};

use super::features::cuts;

/// Folds; rows of the sample have the order of their keyed hashes, so any fold is a random one.
const FOLDS: usize = 5;
/// Most rounds.
const MOST_ROUNDS: usize = 150;
/// Fewest rounds that are worth growing.
const LEAST_ROUNDS: usize = 20;
/// Most entries that are added to histograms, as far as can be told beforehand.
const WORK: usize = 700_000_000;
/// Times that a round adds every row to a histogram, at most.
const LEVELS: usize = 4;
/// Fewest labelled rows.
const LEAST_ROWS: usize = 500;
/// Most columns.
const MOST_COLUMNS: usize = 1_024;

/// How a column's values become bins.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Binning {
    /// Where bins begin; what is missing is in bin 0.
    Numbers(Vec<f32>),
    /// Bins of the commonest levels; others are in bin 0.
    Levels(FxHashMap<u64, u8>),
}

/// Trees by fold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trees {
    numbers: Vec<Binning>,
    levels: Vec<Binning>,
    folds: Vec<Boost>,
    classes: usize,
}

impl Trees {
    /// Grows trees and returns the logits of all rows: of the labelled ones from the trees without their fold, of the others from all.
    /// `None` without a table, for few rows, and where growing would take too long.
    pub(super) fn fit(rows: &[SampleRow], labels: &[Option<u32>], classes: usize) -> Option<(Self, Array2<f32>)> {
        let numbers = rows.iter().map(|row| row.numeric.len()).max()?;
        let levels = rows.iter().map(|row| row.cells.len()).max()?;
        let labelled: Vec<u32> = (0u32..).zip(labels).filter_map(|(at, label)| label.map(|_| at)).collect();
        let (columns, margins) = (numbers + levels, if classes == 2 { 1 } else { classes });
        let a_round = FOLDS * labelled.len() * columns * LEVELS * margins;
        let rounds = MOST_ROUNDS.min(WORK / a_round.max(1));
        if classes < 2 || columns == 0 || columns > MOST_COLUMNS || labelled.len() < LEAST_ROWS || rounds < LEAST_ROUNDS {
            return None;
        }
        let mut model = Self {
            numbers: (0..numbers).map(|column| Binning::Numbers(cuts(rows, column, BINS - 2))).collect(),
            levels: (0..levels).map(|column| Binning::Levels(commonest(rows, column))).collect(),
            folds: Vec::new(),
            classes,
        };
        let bins: Vec<Vec<u8>> = rows.iter().map(|row| model.bins(row)).collect();
        let by_column: Vec<Vec<u8>> = (0..columns).map(|column| bins.iter().map(|row| row[column]).collect()).collect();
        let ordered: Vec<bool> = (0..columns).map(|column| column < numbers).collect();
        let given: Vec<u32> = labels.iter().map(|label| label.unwrap_or(0)).collect();
        let grow = |fold: usize| {
            let (held, train): (Vec<u32>, Vec<u32>) = labelled.iter().partition(|&&row| row as usize % FOLDS == fold);
            Boost::fit(Binned { columns: &by_column, ordered: &ordered }, &given, classes, &train, &held, rounds)
        };
        let grown: Vec<(Boost, Vec<f64>)> = (0..FOLDS).into_par_iter().map(grow).collect();
        let shortest = grown.iter().map(|(_, losses)| losses.len()).min()?;
        let loss = |round: usize| grown.iter().map(|(_, losses)| losses[round]).sum::<f64>();
        let best = (0..shortest).min_by(|a, b| loss(*a).total_cmp(&loss(*b)))?;
        model.folds = grown.into_iter().map(|(boost, _)| boost).collect();
        model.folds.iter_mut().for_each(|boost| boost.truncate(best));
        let logits = |row: usize| {
            let own = labels[row].and_then(|_| model.folds.get(row % FOLDS));
            own.map_or_else(|| model.mean(&bins[row]), |boost| boost.predict(&bins[row]))
        };
        let flat: Vec<Vec<f32>> = (0..rows.len()).into_par_iter().map(logits).collect();
        let logits = Array2::from_shape_vec((rows.len(), classes), flat.concat()).ok()?;
        Some((model, logits))
    }

    fn bins(&self, row: &SampleRow) -> Vec<u8> {
        let number = |(binning, value): (&Binning, f32)| match binning {
            Binning::Numbers(cuts) if !value.is_nan() => 1 + cuts.partition_point(|cut| *cut <= value) as u8,
            _ => 0,
        };
        let level = |(binning, value): (&Binning, u64)| match binning {
            Binning::Levels(levels) => levels.get(&value).copied().unwrap_or(0),
            Binning::Numbers(_) => 0,
        };
        let numbers = self.numbers.iter().zip(row.numeric.iter().copied().chain(std::iter::repeat(f32::NAN))).map(number);
        let levels = self.levels.iter().zip(row.cells.iter().copied().chain(std::iter::repeat(0))).map(level);
        numbers.chain(levels).collect()
    }

    fn mean(&self, bins: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; self.classes];
        for boost in &self.folds {
            for (slot, z) in out.iter_mut().zip(boost.predict(bins)) {
                *slot += z / FOLDS as f32;
            }
        }
        out
    }

    /// Logits of rows that are not in the sample.
    pub(super) fn logits(&self, rows: &[SampleRow]) -> Array2<f32> {
        let mut out = Array2::zeros((rows.len(), self.classes));
        for (mut slot, row) in out.outer_iter_mut().zip(rows) {
            slot.iter_mut().zip(self.mean(&self.bins(row))).for_each(|(slot, z)| *slot = z);
        }
        out
    }
}

/// Bins of the commonest levels of a column; a level that occurs once tells nothing.
fn commonest(rows: &[SampleRow], column: usize) -> FxHashMap<u64, u8> {
    let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
    for cell in rows.iter().filter_map(|row| row.cells.get(column)) {
        *counts.entry(*cell).or_default() += 1;
    }
    let mut levels: Vec<(u64, u32)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    levels.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    levels.truncate(BINS - 1);
    (1u8..).zip(levels).map(|(bin, (level, _))| (level, bin)).collect()
}
