//! Clean sets with a known structure, made from a seed.
//!
//! Every set has an int64 column `id` from 0 first and an int64 column `label` last, drawn uniformly from
//! `0..classes`. The classes overlap so that the best possible reader of the content is right about 92% of the time
//! (with more than one class); a simple model gets to 85–92%. [`Torture`] sets differ: clean as well, but made to look wrong.

mod gaussian;
mod pictures;
mod topics;
mod torture;

pub use gaussian::gaussian_classes;
pub use pictures::{pictures, raw_pictures};
pub use topics::topic_texts;
pub use torture::Torture;

use std::f64::consts::TAU;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// How often the best possible reader is right.
const BEST_ACCURACY: f64 = 0.92;

/// Draws of the simulation that sets the overlap of the classes.
const SIMULATED_ROWS: usize = 2_000;

/// A standard normal number, by Box and Muller.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// The generator of a set; refuses sizes that make no set.
fn start(seed: u64, sizes: &[(&str, usize)]) -> Result<ChaCha8Rng> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(Error::Setting(format!("a set needs at least one of its {name}"))),
        None => Ok(ChaCha8Rng::seed_from_u64(seed)),
    }
}

fn draw_labels(rng: &mut ChaCha8Rng, rows: usize, classes: usize) -> Vec<usize> {
    (0..rows).map(|_| rng.random_range(0..classes)).collect()
}

/// The smallest strength in `[low, high]` at which `accuracy`, which grows with it, reaches [`BEST_ACCURACY`].
fn calibrate(mut low: f64, mut high: f64, accuracy: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..24 {
        let middle = f64::midpoint(low, high);
        if accuracy(middle) < BEST_ACCURACY {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The batch `id`, content columns, `label`.
#[expect(clippy::cast_possible_wrap, reason = "class numbers count up from 0")]
fn assemble(content: Vec<(String, ArrayRef)>, labels: &[usize]) -> Result<RecordBatch> {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values((0..).take(labels.len())));
    let label: ArrayRef = Arc::new(Int64Array::from_iter_values(labels.iter().map(|&label| label as i64)));
    let columns = [("id".to_owned(), id)].into_iter().chain(content).chain([("label".to_owned(), label)]);
    Ok(RecordBatch::try_from_iter(columns)?)
}

#[cfg(test)]
mod check {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    pub(super) fn labels(batch: &RecordBatch) -> Vec<usize> {
        batch["label"].as_primitive::<Int64Type>().values().iter().map(|&label| label as usize).collect()
    }

    /// Accuracy on the second half of the rows of linear discriminant analysis (pooled covariance with a small ridge)
    /// fitted on the first half.
    pub(super) fn linear_accuracy(features: &[Vec<f64>], labels: &[usize], classes: usize) -> f64 {
        let (half, dims) = (features.len() / 2, features[0].len());
        let mut means = vec![vec![0.0; dims]; classes];
        let mut counts = vec![0.0; classes];
        for (row, &label) in features[..half].iter().zip(labels) {
            counts[label] += 1.0;
            means[label].iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
        }
        means.iter_mut().zip(&counts).for_each(|(mean, count)| mean.iter_mut().for_each(|x| *x /= count));
        let mut pooled = vec![vec![0.0; dims]; dims];
        for (row, &label) in features[..half].iter().zip(labels) {
            let centred: Vec<f64> = row.iter().zip(&means[label]).map(|(x, mean)| x - mean).collect();
            for (i, line) in pooled.iter_mut().enumerate() {
                line.iter_mut().zip(&centred).for_each(|(cell, x)| *cell += centred[i] * x / half as f64);
            }
        }
        (0..dims).for_each(|i| pooled[i][i] *= 1.01);
        let weights = solve(pooled, &means);
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let score = |row: &[f64], c: usize| dot(row, &weights[c]) - dot(&means[c], &weights[c]) / 2.0;
        let best = |row: &[f64]| (0..classes).max_by(|&a, &b| score(row, a).total_cmp(&score(row, b))).unwrap();
        let right = (half..features.len()).filter(|&row| best(&features[row]) == labels[row]).count();
        right as f64 / (features.len() - half) as f64
    }

    /// For each right-hand side b, the x with a·x = b; a is positive definite, so no pivoting.
    fn solve(mut a: Vec<Vec<f64>>, right: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n = a.len();
        let mut x = right.to_vec();
        for i in 0..n {
            for k in i + 1..n {
                let factor = a[k][i] / a[i][i];
                let pivot = a[i].clone();
                a[k].iter_mut().zip(&pivot).for_each(|(cell, p)| *cell -= factor * p);
                for x in &mut x {
                    x[k] -= factor * x[i];
                }
            }
        }
        for x in &mut x {
            for i in (0..n).rev() {
                let known: f64 = (i + 1..n).map(|j| a[i][j] * x[j]).sum();
                x[i] = (x[i] - known) / a[i][i];
            }
        }
        x
    }
}
