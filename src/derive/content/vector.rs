//! The opinion on vectors: logistic regression, each row judged by weights that were fitted without its fold.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::Result;
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::logistic;

use super::features::Features;

/// Folds; rows of the sample have the order of their keyed hashes, so any fold is a random one.
const FOLDS: usize = 5;
/// Penalties tried on the first fold.
const PENALTIES: [f64; 3] = [0.3, 1.0, 3.0];
/// Widest vectors.
const MOST_COLUMNS: usize = 1_024;
/// Fewest labelled rows.
const LEAST_ROWS: usize = 200;
/// Most cells of rows × columns × classes.
const MOST_CELLS: usize = 200_000_000;

/// Mean weights of the folds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Vector {
    scaler: Standardizer,
    weights: Array2<f32>,
}

impl Vector {
    /// Fits weights and returns the logits of all rows: of the labelled ones without their fold. `None` where rows are more than a vector
    /// each, or the fit would take too long.
    pub(super) fn fit(
        features: &Features,
        rows: &[SampleRow],
        labels: &[Option<u32>],
        classes: usize,
    ) -> Result<Option<(Self, Array2<f32>)>> {
        let labelled: Vec<usize> = (0..rows.len()).filter(|&i| labels[i].is_some()).collect();
        if !features.is_vector() || labelled.len() < LEAST_ROWS {
            return Ok(None);
        }
        let raw = features.scaled(rows)?;
        if raw.ncols() > MOST_COLUMNS || raw.len().saturating_mul(classes) > MOST_CELLS {
            return Ok(None);
        }
        let scaler = Standardizer::fit(raw.view(), Scaling::Winsorized);
        let design = design(&scaler, raw.view())?;
        let given: Vec<u32> = labels.iter().map(|label| label.unwrap_or(0)).collect();
        let fit = |fold: usize, penalty: f64| {
            let train: Vec<usize> = labelled.iter().copied().filter(|&i| i % FOLDS != fold).collect();
            let own: Vec<u32> = train.iter().map(|&i| given[i]).collect();
            logistic::fit(design.select(Axis(0), &train).view(), &own, classes, penalty)
        };
        let held: Vec<usize> = labelled.iter().copied().filter(|&i| i % FOLDS == 0).collect();
        let (held_rows, held_labels) = (design.select(Axis(0), &held), held.iter().map(|&i| given[i]).collect::<Vec<_>>());
        let tried: Vec<Option<f64>> = PENALTIES
            .into_par_iter()
            .map(|penalty| fit(0, penalty).map(|weights| loss(held_rows.dot(&weights).view(), &held_labels)))
            .collect();
        let losses = PENALTIES.iter().zip(tried).filter_map(|(penalty, loss)| Some((*penalty, loss?)));
        let Some((penalty, _)) = losses.min_by(|a, b| a.1.total_cmp(&b.1)) else { return Ok(None) };
        let folds: Option<Vec<Array2<f32>>> = (0..FOLDS).into_par_iter().map(|fold| fit(fold, penalty)).collect();
        let Some(folds) = folds else { return Ok(None) };
        let mut weights = Array2::<f32>::zeros((design.ncols(), classes));
        folds.iter().for_each(|fold| weights.scaled_add(1.0 / FOLDS as f32, fold));
        let mut logits = design.dot(&weights);
        for (fold, weights) in folds.iter().enumerate() {
            let held: Vec<usize> = labelled.iter().copied().filter(|&i| i % FOLDS == fold).collect();
            for (&i, row) in held.iter().zip(design.select(Axis(0), &held).dot(weights).outer_iter()) {
                logits.row_mut(i).assign(&row);
            }
        }
        Ok(Some((Self { scaler, weights }, logits)))
    }

    /// Logits of rows that are not in the sample.
    pub(super) fn logits(&self, features: &Features, rows: &[SampleRow]) -> Result<Array2<f32>> {
        Ok(design(&self.scaler, features.scaled(rows)?.view())?.dot(&self.weights))
    }
}

/// Standardised columns, about unit length a row, beside a constant.
fn design(scaler: &Standardizer, raw: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    let scaled = scaler.transform(raw)?;
    let shrink = 1.0 / (scaled.ncols().max(1) as f32).sqrt();
    let mut out = Array2::from_elem((scaled.nrows(), scaled.ncols() + 1), 1.0);
    for (mut to, from) in out.axis_iter_mut(Axis(1)).skip(1).zip(scaled.axis_iter(Axis(1))) {
        to.assign(&from.mapv(|x| x * shrink));
    }
    Ok(out)
}

/// Mean negative log likelihood.
fn loss(logits: ArrayView2<'_, f32>, labels: &[u32]) -> f64 {
    let of = |(row, label): (ndarray::ArrayView1<'_, f32>, &u32)| {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|z| (z - top).exp()).sum();
        f64::from(sum.ln() + top - row.get(*label as usize).copied().unwrap_or(top))
    };
    logits.outer_iter().zip(labels).map(of).sum::<f64>() / labels.len().max(1) as f64
}
