//! Tables of Gaussian classes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use rand_chacha::ChaCha8Rng;

use super::{SIMULATED_ROWS, assemble, calibrate, draw_labels, normal, start};
use crate::Result;

/// How much of its left neighbour each column takes over; gives neighbours a correlation of about 0.6.
const NEIGHBOUR: f64 = 0.6;

/// Classes as unit normals in `dims` dimensions around random means, classes × dims, scaled to the wished overlap.
pub(super) struct Classes {
    means: Vec<Vec<f64>>,
}

impl Classes {
    pub(super) fn draw(rng: &mut ChaCha8Rng, dims: usize, classes: usize) -> Self {
        let mut vector = || (0..dims).map(|_| normal(rng)).collect::<Vec<f64>>();
        let mut means: Vec<Vec<f64>> = (0..classes).map(|_| vector()).collect();
        let noise: Vec<Vec<f64>> = (0..SIMULATED_ROWS).map(|_| vector()).collect();
        // Unit normals of equal weight: the nearest mean is the best possible guess.
        let accuracy = |scale: f64| {
            let right = noise.iter().enumerate().filter(|(row, z)| {
                let own = &means[row % classes];
                let distance =
                    |other: &[f64]| -> f64 { z.iter().zip(own).zip(other).map(|((z, a), b)| (z + scale * (a - b)).powi(2)).sum() };
                let to_own = distance(own);
                means.iter().all(|other| distance(other) >= to_own)
            });
            right.count() as f64 / SIMULATED_ROWS as f64
        };
        let scale = calibrate(0.0, 1_000.0, accuracy);
        means.iter_mut().flatten().for_each(|x| *x *= scale);
        Self { means }
    }

    /// A row of a class, length dims.
    pub(super) fn row(&self, rng: &mut ChaCha8Rng, class: usize) -> Vec<f64> {
        self.means[class].iter().map(|mean| mean + normal(rng)).collect()
    }
}

/// A table of float64 columns `c0`, `c1`, … (`dims` of them): one Gaussian a class, all with the same covariance, in
/// which neighbouring columns correlate; columns differ in location and, by up to a few hundred times, in scale.
pub fn gaussian_classes(rows: usize, dims: usize, classes: usize, seed: u64) -> Result<RecordBatch> {
    let mut rng = start(seed, &[("dims", dims), ("classes", classes)])?;
    let geometry = Classes::draw(&mut rng, dims, classes);
    let units: Vec<(f64, f64)> = (0..dims).map(|_| (10.0 * normal(&mut rng), (1.5 * normal(&mut rng)).exp())).collect();
    let labels = draw_labels(&mut rng, rows, classes);
    let mut columns = vec![Vec::with_capacity(rows); dims];
    for &label in &labels {
        let mut left = 0.0;
        for ((x, (location, scale)), column) in geometry.row(&mut rng, label).into_iter().zip(&units).zip(&mut columns) {
            left = x + NEIGHBOUR * left;
            column.push(scale * (location + left));
        }
    }
    let content = columns.into_iter().enumerate().map(|(j, column)| (format!("c{j}"), Arc::new(Float64Array::from(column)) as ArrayRef));
    assemble(content.collect(), &labels)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    use super::super::check::{labels, linear_accuracy};
    use super::*;

    #[test]
    fn content_predicts_the_label_in_any_shape() {
        for (dims, classes, seed) in [(1, 2, 1), (2, 3, 2), (10, 2, 3), (20, 10, 4), (5, 4, 5)] {
            let batch = gaussian_classes(4_000, dims, classes, seed).unwrap();
            let column = |j: usize| batch[format!("c{j}").as_str()].as_primitive::<Float64Type>().values().to_vec();
            let columns: Vec<_> = (0..dims).map(column).collect();
            let features: Vec<Vec<f64>> = (0..4_000).map(|row| columns.iter().map(|column| column[row]).collect()).collect();
            let accuracy = linear_accuracy(&features, &labels(&batch), classes);
            assert!((0.85..=0.95).contains(&accuracy), "{dims} dims, {classes} classes: {accuracy}");
        }
    }

    #[test]
    fn shape_and_seed_are_kept() {
        let batch = gaussian_classes(50, 3, 2, 7).unwrap();
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "c0", "c1", "c2", "label"]);
        assert_eq!(batch, gaussian_classes(50, 3, 2, 7).unwrap());
        assert_ne!(batch, gaussian_classes(50, 3, 2, 8).unwrap());
        assert!(gaussian_classes(50, 0, 2, 7).is_err());
        assert!(gaussian_classes(50, 3, 0, 7).is_err());
    }
}
