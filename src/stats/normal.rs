//! Normal equations of a linear model, gathered row by row and merged by addition.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::spd::{self, BLOCK, Cholesky};
use crate::error::{Error, Result};

/// Most columns: the normal equations hold D² numbers.
const MAX_WIDTH: usize = 1 << 14;

/// Share of the mean squared column length from which λ is raised.
const TINY: f64 = 1e-12;

/// How often λ is raised tenfold where the equations cannot be factored.
const RAISES: u32 = 6;

fn wrong(reason: impl Into<String>) -> Error {
    Error::Detector { code: "ridge", reason: reason.into() }
}

/// The solution of penalised normal equations.
pub(super) struct Solution {
    /// Of `XᵀX + λI`.
    pub(super) factor: Cholesky,
    /// D × K.
    pub(super) weights: Array2<f64>,
    /// The penalty that worked.
    pub(super) lambda: f64,
    /// How often it was raised tenfold.
    pub(super) raises: u32,
}

/// `XᵀX` and `XᵀY`, gathered in double precision: sums over rows, so they merge by addition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormalEquations {
    dense: usize,
    // Only the lower triangle means anything.
    gram: Array2<f64>,
    moments: Array2<f64>,
}

impl NormalEquations {
    /// No rows yet: D1 dense columns, D2 sparse columns, K targets. Fails above 16,384 columns.
    pub fn new(dense: usize, sparse: usize, targets: usize) -> Result<Self> {
        let width = dense.saturating_add(sparse);
        if width > MAX_WIDTH {
            return Err(wrong(format!("{width} columns are more than the {MAX_WIDTH} that fit in memory")));
        }
        Ok(Self { dense, gram: Array2::zeros((width, width)), moments: Array2::zeros((width, targets)) })
    }

    /// Adds rows with their targets (rows × K). Costs `D1²` per row for the dense part and the square of the number of
    /// entries, plus `D1` per entry, for the sparse part.
    pub fn add(&mut self, design: &Design, targets: ArrayView2<f32>) -> Result<()> {
        let shape = (design.dense_part().ncols(), design.width(), design.rows(), targets.ncols());
        if shape != (self.dense, self.width()?, targets.nrows(), self.moments.ncols()) {
            return Err(wrong("rows and targets do not fit the normal equations"));
        }
        let split = self.dense;
        for (rows, targets) in design.dense_part().axis_chunks_iter(Axis(0), BLOCK).zip(targets.axis_chunks_iter(Axis(0), BLOCK)) {
            spd::add_gram(rows, spd::part_mut(self.gram.view_mut(), 0..split, 0..split));
            spd::add(&rows.t().dot(&targets), spd::part_mut(self.moments.view_mut(), 0..split, 0..targets.ncols()));
        }
        // Every sparse column has a row of the sums to itself: columns in parallel, each over its rows in order.
        let (dense, columns) = (design.dense_part(), design.sparse_part().columns());
        let sums = self.gram.outer_iter_mut().into_par_iter().zip(self.moments.outer_iter_mut().into_par_iter()).skip(split);
        sums.zip(&columns).enumerate().for_each(|(column, ((mut gram, mut moments), entries))| {
            for &(row, value) in entries {
                let value = f64::from(value);
                let (mut crossed, _) = gram.view_mut().split_at(Axis(0), split);
                crossed.zip_mut_with(&dense.row(row as usize), |sum, &x| *sum += value * f64::from(x));
                moments.zip_mut_with(&targets.row(row as usize), |sum, &y| *sum += value * f64::from(y));
                for (other, x) in design.sparse_part().row(row as usize).take_while(|(other, _)| *other <= column) {
                    gram[split + other] += value * f64::from(x);
                }
            }
        });
        Ok(())
    }

    /// Adds the rows of other equations. Fails where the shapes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.combine(other, 1.0)
    }

    /// Takes away the rows of other equations, which must be among these. Fails where the shapes differ.
    pub fn remove(&mut self, other: &Self) -> Result<()> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Result<()> {
        if (self.dense, self.gram.dim(), self.moments.dim()) != (other.dense, other.gram.dim(), other.moments.dim()) {
            return Err(wrong("normal equations of different shapes"));
        }
        self.gram.scaled_add(sign, &other.gram);
        self.moments.scaled_add(sign, &other.moments);
        Ok(())
    }

    /// The equations of these rows.
    pub fn gather(design: &Design, targets: ArrayView2<f32>) -> Result<Self> {
        let mut equations = Self::new(design.dense_part().ncols(), design.sparse_part().width(), targets.ncols())?;
        equations.add(design, targets)?;
        Ok(equations)
    }

    /// Number of dense columns, D1.
    #[must_use]
    pub fn dense(&self) -> usize {
        self.dense
    }

    /// Number of columns, D; equations that travelled may be damaged.
    fn width(&self) -> Result<usize> {
        let width = self.gram.nrows();
        if self.gram.ncols() != width || self.moments.nrows() != width || self.dense > width {
            return Err(wrong("damaged normal equations"));
        }
        Ok(width)
    }

    /// Factors `XᵀX + λI`, raising λ tenfold while that fails, and solves for the weights.
    pub(super) fn solve(&self, lambda: f64) -> Result<Solution> {
        self.width()?;
        if !(lambda.is_finite() && lambda > 0.0) {
            return Err(wrong(format!("the penalty must be positive, not {lambda}")));
        }
        if !self.moments.iter().all(|sum| sum.is_finite()) {
            return Err(wrong("rows or targets are not finite or too large"));
        }
        // Rounding leaves errors in proportion to the diagonal: smaller raises than that would be wasted.
        let floor = TINY * self.gram.diag().mean().unwrap_or_default();
        for raises in 0..=RAISES {
            let lambda = if raises == 0 { lambda } else { lambda.max(floor) * 10_f64.powi(raises.cast_signed()) };
            if let Some(factor) = Cholesky::new(self.gram.view(), lambda) {
                let weights = factor.solve(self.moments.view());
                return Ok(Solution { factor, weights, lambda, raises });
            }
        }
        Err(wrong("rows are not finite, too large or too alike for this penalty"))
    }
}
