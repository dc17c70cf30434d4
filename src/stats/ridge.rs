//! Multi-output ridge regression with exact leave-one-out and leave-group-out in closed form.
//!
//! Rows `x` (D columns), targets `y` (K columns), penalty λ: weights `W = A⁻¹XᵀY` with `A = XᵀX + λI` (Hoerl and Kennard
//! 1970). Nothing is centred: a constant column in the design is an intercept, penalised like the others.

use std::sync::OnceLock;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::normal::{NormalEquations, Solution};
use super::spd::{BLOCK, Cholesky, part};
use crate::error::{Error, Result};

/// Largest leverage that a leave-one-out prediction divides by: beyond it single-precision rounding would take over.
const MAX_LEVERAGE: f64 = 0.9999;

/// Rows whose leave-one-out errors choose λ.
const CHOOSING_ROWS: usize = 4096;

fn wrong(reason: impl Into<String>) -> Error {
    Error::Detector { code: "ridge", reason: reason.into() }
}

/// What leverages and removals need beside the weights.
#[derive(Debug, Clone)]
struct Factor {
    equations: NormalEquations,
    cholesky: Cholesky,
    /// Made when it is first asked for.
    inverse: OnceLock<Array2<f64>>,
    /// `R` with `R Rᵀ` = the dense corner of the inverse: the leverage of a dense row is `‖xR‖²`, one single-precision
    /// product that cannot turn negative.
    root: Array2<f32>,
}

impl Factor {
    fn inverse(&self) -> &Array2<f64> {
        self.inverse.get_or_init(|| self.cholesky.inverse())
    }
}

/// A fitted ridge regression. Serialised it is its weights only: a model that travelled predicts, but leverages,
/// leave-one-out and removals fail with an error that says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ridge {
    weights: Array2<f32>,
    dense: usize,
    lambda: f64,
    raises: u32,
    #[serde(skip)]
    factor: Option<Factor>,
}

impl Ridge {
    /// Fits `targets` (rows × K) with penalty `lambda` > 0, in units of squared column lengths. Where the equations
    /// cannot be factored the penalty is raised tenfold, at most six times, from at least 10⁻¹² of the mean squared
    /// column length; see [`raises`](Self::raises).
    pub fn fit(design: &Design, targets: ArrayView2<f32>, lambda: f64) -> Result<Self> {
        Self::from_equations(NormalEquations::gather(design, targets)?, lambda)
    }

    /// As [`fit`](Self::fit), from rows that were gathered before.
    pub fn from_equations(equations: NormalEquations, lambda: f64) -> Result<Self> {
        let Solution { factor: cholesky, weights, lambda, raises } = equations.solve(lambda)?;
        let dense = equations.dense();
        let inverse = OnceLock::new();
        let root = if dense == weights.nrows() {
            cholesky.whitening()
        } else {
            let corner = part(inverse.get_or_init(|| cholesky.inverse()).view(), 0..dense, 0..dense);
            Cholesky::new(corner, 0.0).ok_or_else(|| wrong("the equations are too close to singular for this penalty"))?.factor()
        };
        let factor = Factor { equations, cholesky, inverse, root: root.mapv(|x| x as f32) };
        Ok(Self { weights: weights.mapv(|w| w as f32), dense, lambda, raises, factor: Some(factor) })
    }

    /// The fit with the penalty of `grid` that has the smallest squared leave-one-out error; of equals, the first.
    /// At most 4,096 rows, evenly spaced, are asked; every penalty is fitted to all rows.
    pub fn choose(design: &Design, targets: ArrayView2<f32>, grid: &[f64]) -> Result<Self> {
        let equations = NormalEquations::gather(design, targets)?;
        let stride = design.rows().div_ceil(CHOOSING_ROWS).max(1);
        let asked: Vec<usize> = (0..design.rows()).step_by(stride).collect();
        let (rows, truth) = (design.select(&asked)?, targets.select(Axis(0), &asked));
        let mut best: Option<(f64, Self)> = None;
        for &lambda in grid {
            let ridge = Self::from_equations(equations.clone(), lambda)?;
            let guesses = ridge.leave_one_out(&rows, truth.view())?;
            let error: f64 = guesses.iter().zip(&truth).map(|(&guess, &y)| f64::from(guess - y).powi(2)).sum();
            if best.as_ref().is_none_or(|&(least, _)| error < least) {
                best = Some((error, ridge));
            }
        }
        best.map(|(_, ridge)| ridge).ok_or_else(|| wrong("no penalty to choose from"))
    }

    /// As [`choose`](Self::choose) for equations that were gathered before, from some of their rows; but of penalties whose error is
    /// within one standard error of the smallest it takes the largest, which is less led astray by labels that are wrong together
    /// (the rule of Breiman et al. 1984). `grid` ascends.
    pub fn choose_cautiously(equations: &NormalEquations, rows: &Design, truth: ArrayView2<f32>, grid: &[f64]) -> Result<Self> {
        let mut tried = Vec::with_capacity(grid.len());
        for &lambda in grid {
            let ridge = Self::from_equations(equations.clone(), lambda)?;
            let guesses = ridge.leave_one_out(rows, truth)?;
            let squares =
                |(guess, y): (ArrayView1<f32>, ArrayView1<f32>)| guess.iter().zip(y).map(|(g, y)| f64::from(g - y).powi(2)).sum::<f64>();
            let errors: Vec<f64> = guesses.outer_iter().zip(truth.outer_iter()).map(squares).collect();
            let n = errors.len().max(1) as f64;
            let mean = errors.iter().sum::<f64>() / n;
            let deviation = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
            tried.push((mean, deviation / n.sqrt(), ridge));
        }
        let least = tried.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(f64::INFINITY, |(mean, error, _)| mean + error);
        tried
            .into_iter()
            .rev()
            .find(|(mean, _, _)| *mean <= least)
            .map(|(_, _, ridge)| ridge)
            .ok_or_else(|| wrong("no penalty to choose from"))
    }

    /// D × K.
    #[must_use]
    pub fn weights(&self) -> ArrayView2<'_, f32> {
        self.weights.view()
    }

    /// The penalty that was used.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// How often the penalty asked for was raised tenfold to make the equations solvable; 0 for sound data.
    #[must_use]
    pub fn raises(&self) -> u32 {
        self.raises
    }

    /// Whether leverages, leave-one-out and removals are possible: false after the model travelled.
    #[must_use]
    pub fn has_factor(&self) -> bool {
        self.factor.is_some()
    }

    fn factor(&self) -> Result<&Factor> {
        self.factor.as_ref().ok_or_else(|| wrong("the model travelled without its factor and can only predict"))
    }

    fn check(&self, design: &Design) -> Result<()> {
        if (design.dense_part().ncols(), design.width()) == (self.dense, self.weights.nrows()) {
            Ok(())
        } else {
            Err(wrong(format!("rows have {} columns, the model has {}", design.width(), self.weights.nrows())))
        }
    }

    /// Predictions, rows × K.
    pub fn predict(&self, design: &Design) -> Result<Array2<f32>> {
        self.check(design)?;
        let mut predictions = design.dense_part().dot(&part(self.weights(), 0..self.dense, 0..self.weights.ncols()));
        for (i, mut prediction) in predictions.outer_iter_mut().enumerate() {
            for (column, value) in design.sparse_part().row(i) {
                prediction.scaled_add(value, &self.weights.row(self.dense + column));
            }
        }
        Ok(predictions)
    }

    /// `xᵢᵀA⁻¹xᵢ` per row: for a row of the fit between 0 and 1, its weight in its own prediction. Costs `D1²` per row
    /// for the dense part and the square of the number of entries, plus `D1` per entry, for the sparse part.
    pub fn leverage(&self, design: &Design) -> Result<Vec<f32>> {
        self.check(design)?;
        let factor = self.factor()?;
        let blocks: Vec<Vec<f32>> = (0..design.rows().div_ceil(BLOCK)).into_par_iter().map(|at| self.leverages(factor, design, at)).collect();
        Ok(blocks.concat())
    }

    /// Leverages of the `at`-th block of rows.
    fn leverages(&self, factor: &Factor, design: &Design, at: usize) -> Vec<f32> {
        let split = self.dense;
        let first = at * BLOCK;
        let rows = part(design.dense_part(), first..(first + BLOCK).min(design.rows()), 0..split);
        let one = |(row, (dense, image)): (usize, (ArrayView1<f32>, ArrayView1<f32>))| {
            let mut leverage = f64::from(image.dot(&image));
            let entries = design.sparse_part().row(first + row);
            let dense = dense.mapv(f64::from);
            for (count, (column, value)) in entries.clone().enumerate() {
                let inverse = factor.inverse().row(split + column);
                let mixed = inverse.split_at(Axis(0), split).0.dot(&dense);
                let before: f64 = entries.clone().take(count).map(|(other, x)| f64::from(x) * inverse[split + other]).sum();
                let value = f64::from(value);
                leverage += value * (2.0 * (mixed + before) + value * inverse[split + column]);
            }
            leverage.max(0.0) as f32
        };
        let images = rows.dot(&factor.root);
        rows.outer_iter().zip(images.outer_iter()).enumerate().map(one).collect()
    }

    /// For rows of the fit and their targets, the prediction (rows × K) of the model that was fitted without the row,
    /// `(ŷ − hy) / (1 − h)` (Allen 1974). Leverages h above 0.9999 are taken as 0.9999.
    pub fn leave_one_out(&self, design: &Design, targets: ArrayView2<f32>) -> Result<Array2<f32>> {
        let mut predictions = self.predict(design)?;
        if predictions.dim() != targets.dim() {
            return Err(wrong("predictions and targets have different shapes"));
        }
        for ((mut row, truth), leverage) in predictions.outer_iter_mut().zip(targets.outer_iter()).zip(self.leverage(design)?) {
            let h = f64::from(leverage).min(MAX_LEVERAGE);
            row.zip_mut_with(&truth, |guess, &y| *guess = ((f64::from(*guess) - h * f64::from(y)) / (1.0 - h)) as f32);
        }
        Ok(predictions)
    }

    /// Weights (D × K) of the model without these rows of the fit and their targets, by Woodbury's identity
    /// `W − A⁻¹Xₛᵀ(I − XₛA⁻¹Xₛᵀ)⁻¹(Yₛ − XₛW)`; a group of more than D / 2 rows is taken out of the normal equations
    /// instead, which is then cheaper. The penalty stays.
    pub fn without(&self, group: &Design, targets: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.check(group)?;
        if (group.rows(), self.weights.ncols()) != targets.dim() {
            return Err(wrong("the group and its targets do not fit the model"));
        }
        let factor = self.factor()?;
        if group.rows() <= self.weights.nrows() / 2
            && let Some(weights) = self.woodbury(factor.inverse(), group, targets)
        {
            return Ok(weights);
        }
        let mut rest = factor.equations.clone();
        rest.remove(&NormalEquations::gather(group, targets)?)?;
        Ok(rest.solve(self.lambda)?.weights.mapv(|w| w as f32))
    }

    /// Nothing where the group holds a direction so nearly alone that the correction cannot be computed.
    fn woodbury(&self, inverse: &Array2<f64>, group: &Design, targets: ArrayView2<f32>) -> Option<Array2<f32>> {
        let weights = self.weights.mapv(f64::from);
        let images = product(group, inverse.view());
        let hat = product(group, images.t());
        let residuals = &targets.mapv(f64::from) - &product(group, weights.view());
        let correction = images.t().dot(&Cholesky::new((Array2::eye(group.rows()) - hat).view(), 0.0)?.solve(residuals.view()));
        Some((weights - correction).mapv(|w| w as f32))
    }
}

/// `X · matrix` in double precision.
fn product(design: &Design, matrix: ArrayView2<f64>) -> Array2<f64> {
    let dense = design.dense_part();
    let mut product = dense.mapv(f64::from).dot(&part(matrix, 0..dense.ncols(), 0..matrix.ncols()));
    for (i, mut row) in product.outer_iter_mut().enumerate() {
        for (column, value) in design.sparse_part().row(i) {
            row.scaled_add(f64::from(value), &matrix.row(dense.ncols() + column));
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::design::Csr;
    use super::*;

    /// Rows with D1 dense columns and up to 4 of D2 sparse ones, two targets that depend on them.
    fn data(rows: usize, dense: usize, sparse: usize) -> (Design, Array2<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64((rows + 7 * dense + 100 * sparse) as u64);
        let block = Array2::from_shape_fn((rows, dense), |_| rng.random::<f32>() - 0.3);
        let mut csr = Csr::empty(sparse);
        for _ in 0..rows {
            let entries: Vec<(u32, f32)> =
                (0..4.min(sparse)).map(|_| (rng.random_range(0..sparse as u32), 0.5 + rng.random::<f32>())).collect();
            csr.push(entries).unwrap();
        }
        let design = Design::new(block, csr).unwrap();
        let plan = Array2::from_shape_fn((dense + sparse, 2), |_| rng.random::<f64>() - 0.5);
        let targets = product(&design, plan.view()).mapv(|y| y as f32 + rng.random::<f32>());
        (design, targets)
    }

    const SHAPES: [(usize, usize, usize); 3] = [(60, 12, 0), (60, 0, 15), (60, 9, 10)];

    fn rest(rows: usize, out: &[usize]) -> Vec<usize> {
        (0..rows).filter(|row| !out.contains(row)).collect()
    }

    fn assert_close(found: ArrayView2<f32>, expected: ArrayView2<f32>, relative: f32) {
        assert_eq!(found.dim(), expected.dim());
        let scale = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= relative * b.abs().max(0.1 * scale), "{a} is not {b}");
        }
    }

    #[test]
    fn weights_solve_the_normal_equations() {
        for (rows, dense, sparse) in SHAPES {
            let (design, targets) = data(rows, dense, sparse);
            let ridge = Ridge::fit(&design, targets.view(), 0.5).unwrap();
            let full = product(&design, Array2::eye(design.width()).view());
            let weights = ridge.weights().mapv(f64::from);
            let gradient = full.t().dot(&(full.dot(&weights) - targets.mapv(f64::from))) + weights * 0.5;
            assert!(gradient.iter().all(|g| g.abs() < 1e-4), "{gradient}");
            assert_eq!((ridge.raises(), ridge.lambda()), (0, 0.5));
        }
    }

    #[test]
    fn leave_one_out_equals_refitting() {
        for (rows, dense, sparse) in SHAPES {
            let (design, targets) = data(rows, dense, sparse);
            let closed = Ridge::fit(&design, targets.view(), 0.1).unwrap().leave_one_out(&design, targets.view()).unwrap();
            for row in 0..rows {
                let rest = rest(rows, &[row]);
                let refit = Ridge::fit(&design.select(&rest).unwrap(), targets.select(Axis(0), &rest).view(), 0.1).unwrap();
                let expected = refit.predict(&design.select(&[row]).unwrap()).unwrap();
                assert_close(part(closed.view(), row..row + 1, 0..2), expected.view(), 1e-3);
            }
        }
    }

    #[test]
    fn leave_group_out_equals_refitting() {
        for (rows, dense, sparse) in SHAPES {
            let (design, targets) = data(rows, dense, sparse);
            let ridge = Ridge::fit(&design, targets.view(), 0.1).unwrap();
            // Small groups go through Woodbury's identity, the large one through the normal equations.
            for out in [vec![3], vec![0, 7, 8, 40], (0..30).collect()] {
                let (group, rest) = (design.select(&out).unwrap(), rest(rows, &out));
                let refit = Ridge::fit(&design.select(&rest).unwrap(), targets.select(Axis(0), &rest).view(), 0.1).unwrap();
                let found = ridge.without(&group, targets.select(Axis(0), &out).view()).unwrap();
                assert_close(found.view(), refit.weights(), 1e-3);
            }
        }
    }

    #[test]
    fn sparse_rows_equal_the_same_rows_dense() {
        let (design, targets) = data(80, 5, 8);
        let dense = Design::dense(product(&design, Array2::eye(13).view()).mapv(|x| x as f32));
        let (a, b) = (Ridge::fit(&design, targets.view(), 1.0).unwrap(), Ridge::fit(&dense, targets.view(), 1.0).unwrap());
        assert_close(a.weights(), b.weights(), 1e-4);
        for (x, y) in a.leverage(&design).unwrap().iter().zip(b.leverage(&dense).unwrap()) {
            assert!((x - y).abs() < 1e-5, "{x} is not {y}");
        }
    }

    #[test]
    fn equations_merge() {
        // More dense columns than a panel and more rows than a block, so that every seam is crossed.
        let (design, targets) = data(1100, 300, 20);
        let whole = NormalEquations::gather(&design, targets.view()).unwrap();
        let gathered =
            |rows: Vec<usize>| NormalEquations::gather(&design.select(&rows).unwrap(), targets.select(Axis(0), &rows).view()).unwrap();
        let mut parts = gathered((0..700).collect());
        parts.merge(&gathered((700..1100).collect())).unwrap();
        let (a, b) = (Ridge::from_equations(whole, 1.0).unwrap(), Ridge::from_equations(parts, 1.0).unwrap());
        assert_close(a.weights(), b.weights(), 1e-3);
        let full = product(&design, Array2::eye(320).view());
        let gradient = full.t().dot(&(full.dot(&a.weights().mapv(f64::from)) - targets.mapv(f64::from))) + a.weights().mapv(f64::from);
        assert!(gradient.iter().all(|g| g.abs() < 1e-2));
        assert!(gathered(vec![0]).merge(&NormalEquations::new(300, 20, 1).unwrap()).is_err());
    }

    #[test]
    fn chooses_the_penalty_that_predicts_best() {
        let (design, targets) = data(60, 12, 0);
        let grid = [1e-3, 0.1, 10.0, 1e3, 1e5];
        let error = |lambda: f64| {
            let guesses = Ridge::fit(&design, targets.view(), lambda).unwrap().leave_one_out(&design, targets.view()).unwrap();
            (guesses - &targets).mapv(|d| d * d).sum()
        };
        let best = grid.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
        let chosen = Ridge::choose(&design, targets.view(), &grid).unwrap().lambda();
        assert!((chosen - best).abs() < 1e-12 * best);
        assert!(error(1e5) > 1.5 * error(best));
        assert!(Ridge::choose(&design, targets.view(), &[]).is_err());
    }

    #[test]
    fn travelled_models_only_predict() {
        let (design, targets) = data(60, 9, 10);
        let ridge = Ridge::fit(&design, targets.view(), 0.1).unwrap();
        let back: Ridge = postcard::from_bytes(&postcard::to_stdvec(&ridge).unwrap()).unwrap();
        assert_eq!(back.predict(&design).unwrap(), ridge.predict(&design).unwrap());
        assert!(!back.has_factor() && back.leverage(&design).is_err());
    }

    #[test]
    fn hostile_rows_are_errors() {
        let (design, targets) = data(60, 12, 0);
        let twins = Design::dense(Array2::ones((50, 3)));
        let flat = Array2::ones((50, 2));
        let alike = Ridge::fit(&twins, flat.view(), 1e-30).unwrap();
        assert!(alike.raises() > 0 && alike.lambda() > 1e-30);
        assert!(alike.predict(&twins).unwrap().iter().all(|y| (y - 1.0).abs() < 1e-3));
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            let mut rows = design.dense_part().to_owned();
            rows[(3, 4)] = bad;
            assert!(Ridge::fit(&Design::dense(rows), targets.view(), 1.0).is_err());
        }
        assert!(Ridge::fit(&design, targets.view(), 0.0).is_err());
        assert!(Ridge::fit(&design, part(targets.view(), 0..5, 0..2), 1.0).is_err());
        assert!(NormalEquations::new(usize::MAX, 2, 1).is_err());
        assert!(Ridge::fit(&Design::dense(Array2::zeros((0, 3))), Array2::zeros((0, 2)).view(), 1.0).is_ok());
        assert!(Ridge::fit(&twins, flat.view(), 1.0).unwrap().predict(&design).is_err());
    }
}
