//! What the leading principal components leave of a row.

use faer::{Mat, Side};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::spd::add_gram;
use crate::error::{Error, Result};

/// Rows that are summed at once.
const BLOCK: usize = 512;

/// Mean and leading components of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    mean: Array1<f32>,
    /// d × kept.
    components: Array2<f32>,
}

impl Residual {
    /// Fits rows (n × d, finite) and keeps the fewest components that hold `share` of the variance, but never all of them where
    /// there are several. Fails without rows, or where the components cannot be found.
    pub fn fit(rows: ArrayView2<f32>, share: f64) -> Result<Self> {
        let wrong = |reason: &str| Error::Detector { code: "residual", reason: reason.to_owned() };
        let (n, d) = rows.dim();
        let mean = rows.mean_axis(Axis(0)).ok_or_else(|| wrong("no rows to fit"))?;
        let mut covariance = Array2::<f64>::zeros((d, d));
        for block in rows.axis_chunks_iter(Axis(0), BLOCK) {
            add_gram((&block - &mean).view(), covariance.view_mut());
        }
        covariance /= n as f64;
        if !covariance.diag().iter().all(|x| x.is_finite()) {
            return Err(wrong("rows are too large to be squared"));
        }
        let matrix = Mat::<f64>::from_fn(d, d, |i, j| covariance.get((i.max(j), i.min(j))).copied().unwrap_or(0.0));
        let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| wrong("the components did not converge"))?;
        let (vectors, values) = (eigen.U(), eigen.S().column_vector());
        // Ascending.
        let total: f64 = (0..d).map(|i| values[i].max(0.0)).sum();
        let (mut kept, mut held) = (0, 0.0);
        while kept + 1 < d && held < share * total {
            held += values[d - 1 - kept].max(0.0);
            kept += 1;
        }
        let components = Array2::from_shape_fn((d, kept), |(i, j)| vectors[(i, d - 1 - j)] as f32);
        Ok(Self { mean, components })
    }

    /// Squared length of what is left of each row, n.
    #[must_use]
    pub fn squared(&self, rows: ArrayView2<f32>) -> Vec<f64> {
        let left = self.left(rows);
        left.outer_iter().map(|row| row.iter().map(|x| f64::from(*x).powi(2)).sum()).collect()
    }

    /// What each column of a row adds to that.
    #[must_use]
    pub fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.left(row.insert_axis(Axis(0))).iter().map(|x| f64::from(*x).powi(2)).collect()
    }

    fn left(&self, rows: ArrayView2<f32>) -> Array2<f32> {
        if rows.ncols() != self.mean.len() {
            return Array2::zeros(rows.dim());
        }
        let centred = &rows - &self.mean;
        let along = centred.dot(&self.components).dot(&self.components.t());
        centred - along
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden;

    #[test]
    fn residuals_match_scikit_learn() {
        let golden = golden::outlier();
        // Two components hold 0.73 of the variance of that table, one holds 0.39.
        let residual = Residual::fit(golden.rows.view(), 0.7).unwrap();
        assert_eq!(residual.components.ncols(), 2);
        for (i, found) in residual.squared(golden.rows.view()).into_iter().enumerate() {
            // Tolerance 1e-4: single precision.
            golden::close("residual", i, found, golden.residual[i], 1e-4);
        }
    }

    #[test]
    fn strange_rows_are_refused() {
        assert!(Residual::fit(Array2::zeros((0, 3)).view(), 0.9).is_err());
        assert!(Residual::fit(ndarray::arr2(&[[f32::MAX, 0.0], [f32::MIN, 1.0]]).view(), 0.9).is_err());
        let constant = Residual::fit(Array2::from_elem((9, 2), 4.0).view(), 0.9).unwrap();
        assert!(constant.squared(Array2::from_elem((1, 2), 5.0).view())[0] > 1.9);
    }
}
