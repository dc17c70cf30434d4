//! The few directions in which rows differ most (principal components by subspace iteration; Halko, Martinsson and Tropp 2011).

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Products with the covariance.
const ITERATIONS: usize = 4;

/// A centred projection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    centre: Array1<f32>,
    /// d × directions, columns orthonormal or 0.
    directions: Array2<f32>,
}

impl Projection {
    /// The `width` leading directions of rows (n × d, finite), from a start that `seed` draws.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>, width: usize, seed: u64) -> Self {
        let centre = rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(rows.ncols()));
        let centred = &rows - &centre;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut directions = Array2::from_shape_simple_fn((rows.ncols(), width.min(rows.ncols())), || random.random::<f32>() - 0.5);
        orthonormalise(&mut directions);
        for _ in 0..ITERATIONS {
            directions = centred.t().dot(&centred.dot(&directions));
            orthonormalise(&mut directions);
        }
        Self { centre, directions }
    }

    /// Rows, n × directions. Fails where the number of columns differs.
    pub fn map(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        if rows.ncols() != self.centre.len() {
            let reason = format!("rows have {} columns, the projection has {}", rows.ncols(), self.centre.len());
            return Err(Error::Detector { code: "projection", reason });
        }
        Ok((&rows - &self.centre).dot(&self.directions))
    }
}

/// Gram-Schmidt, twice over, since once leaves rounding behind. Columns that depend on earlier ones become 0.
fn orthonormalise(columns: &mut Array2<f32>) {
    for at in 0..columns.ncols() {
        let mut column = columns.column(at).mapv(f64::from);
        let before = column.dot(&column).sqrt();
        for other in (0..at).chain(0..at) {
            let other = columns.column(other).mapv(f64::from);
            column.scaled_add(-column.dot(&other), &other);
        }
        let length = column.dot(&column).sqrt();
        let scale = if length > 1e-6 * before && length.is_finite() { length.recip() } else { 0.0 };
        columns.column_mut(at).assign(&column.mapv(|x| (x * scale) as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_rows_differ() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        // Columns 3 and 7 vary ten and five times as much as the others.
        let scale = |j: usize| {
            if j == 3 {
                10.0
            } else if j == 7 {
                5.0
            } else {
                1.0
            }
        };
        let rows = Array2::from_shape_fn((500, 12), |(_, j)| scale(j) * (random.random::<f32>() - 0.3));
        let projection = Projection::fit(rows.view(), 2, 1);
        assert!(projection.directions[(3, 0)].abs() > 0.99 && projection.directions[(7, 1)].abs() > 0.97);
        let mapped = projection.map(rows.view()).unwrap();
        assert!(mapped.mean_axis(Axis(0)).unwrap().iter().all(|m| m.abs() < 1e-3));
        assert_eq!(projection, Projection::fit(rows.view(), 2, 1));
    }

    #[test]
    fn flat_and_narrow_rows() {
        let flat = Projection::fit(Array2::ones((5, 4)).view(), 3, 1);
        assert!(flat.map(Array2::ones((2, 4)).view()).unwrap().iter().all(|x| x.abs() < 1e-6));
        assert_eq!(Projection::fit(Array2::ones((5, 2)).view(), 9, 1).map(Array2::ones((1, 2)).view()).unwrap().dim(), (1, 2));
        assert!(flat.map(Array2::ones((2, 3)).view()).is_err());
        assert_eq!(Projection::fit(Array2::zeros((0, 3)).view(), 2, 1).map(Array2::ones((1, 3)).view()).unwrap().dim(), (1, 2));
    }
}
