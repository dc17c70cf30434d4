//! Symmetric positive definite matrices: sums of outer products and their Cholesky factor.

use std::ops::Range;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Mat, Par};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Rows that are summed in single precision before the sum is added in double precision: large enough for the product
/// to run at full speed, small enough that its rounding stays near that of a single row.
pub(super) const BLOCK: usize = 512;

/// Columns per panel of a Gram matrix: panels skip what lies above the diagonal.
const PANEL: usize = 256;

/// A rectangle of a matrix, which must lie within it. The slicing macro of ndarray holds unsafe code, forbidden here.
pub(super) fn part<T>(mut matrix: ArrayView2<T>, rows: Range<usize>, columns: Range<usize>) -> ArrayView2<T> {
    matrix.slice_axis_inplace(Axis(0), rows.into());
    matrix.slice_axis_inplace(Axis(1), columns.into());
    matrix
}

/// As [`part`], to write to.
pub(super) fn part_mut<T>(mut matrix: ArrayViewMut2<T>, rows: Range<usize>, columns: Range<usize>) -> ArrayViewMut2<T> {
    matrix.slice_axis_inplace(Axis(0), rows.into());
    matrix.slice_axis_inplace(Axis(1), columns.into());
    matrix
}

/// Adds `blockᵀ · block` (columns × columns) to the lower triangle of `sum`. Entries above the diagonal are meaningless
/// afterwards.
pub(super) fn add_gram(block: ArrayView2<f32>, mut sum: ArrayViewMut2<f64>) {
    let (rows, columns) = block.dim();
    sum.axis_chunks_iter_mut(Axis(0), PANEL).into_par_iter().enumerate().for_each(|(at, panel)| {
        let (from, to) = (at * PANEL, ((at + 1) * PANEL).min(columns));
        add(&part(block, 0..rows, from..to).t().dot(&part(block, 0..rows, 0..to)), part_mut(panel, 0..to - from, 0..to));
    });
}

/// Adds a single-precision partial sum.
pub(super) fn add(partial: &Array2<f32>, mut sum: ArrayViewMut2<f64>) {
    sum.zip_mut_with(partial, |total, &value| *total += f64::from(value));
}

/// `A = L Lᵀ`.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    lower: Mat<f64>,
}

impl Cholesky {
    /// Factors `matrix + shift · I`, of which only the lower triangle is read; nothing where that is not positive
    /// definite or not finite.
    pub(super) fn new(matrix: ArrayView2<f64>, shift: f64) -> Option<Self> {
        let n = matrix.nrows();
        if matrix.ncols() != n {
            return None;
        }
        let mut lower = Mat::<f64>::zeros(n, n);
        for (i, row) in matrix.outer_iter().enumerate() {
            for (j, &value) in row.iter().take(i + 1).enumerate() {
                let value = if i == j { value + shift } else { value };
                if !value.is_finite() {
                    return None;
                }
                lower[(i, j)] = value;
            }
        }
        let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, faer::Spec::default()));
        llt::factor::cholesky_in_place(
            lower.as_mut(),
            llt::factor::LltRegularization::default(),
            Par::Seq,
            MemStack::new(&mut memory),
            faer::Spec::default(),
        )
        .ok()?;
        Some(Self { lower })
    }

    /// `A⁻¹ · right`.
    pub(super) fn solve(&self, right: ArrayView2<f64>) -> Array2<f64> {
        let mut solution = Mat::from_fn(right.nrows(), right.ncols(), |i, j| right[(i, j)]);
        let (columns, n) = (right.ncols(), self.lower.nrows());
        let mut memory = MemBuffer::new(llt::solve::solve_in_place_scratch::<f64>(n, columns, Par::Seq));
        llt::solve::solve_in_place(self.lower.as_ref(), solution.as_mut(), Par::Seq, MemStack::new(&mut memory));
        Array2::from_shape_fn((n, columns), |(i, j)| solution[(i, j)])
    }

    /// `A⁻¹`, both triangles.
    pub(super) fn inverse(&self) -> Array2<f64> {
        let n = self.lower.nrows();
        let mut inverse = Mat::<f64>::zeros(n, n);
        let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(n, Par::Seq));
        llt::inverse::inverse(inverse.as_mut(), self.lower.as_ref(), Par::Seq, MemStack::new(&mut memory));
        Array2::from_shape_fn((n, n), |(i, j)| inverse[(i.max(j), i.min(j))])
    }

    /// `L`, zero above the diagonal.
    pub(super) fn factor(&self) -> Array2<f64> {
        let n = self.lower.nrows();
        Array2::from_shape_fn((n, n), |(i, j)| if j <= i { self.lower[(i, j)] } else { 0.0 })
    }

    /// `L⁻ᵀ`: a row vector times it has squared length `x A⁻¹ xᵀ`.
    pub(super) fn whitening(&self) -> Array2<f64> {
        let n = self.lower.nrows();
        let mut inverse = Mat::<f64>::zeros(n, n);
        invert_lower_triangular(inverse.as_mut(), self.lower.as_ref(), Par::Seq);
        Array2::from_shape_fn((n, n), |(i, j)| if i <= j { inverse[(j, i)] } else { 0.0 })
    }
}
