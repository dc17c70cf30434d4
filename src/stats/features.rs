//! Feature maps: columns on one robust scale, and random Fourier features of a Gaussian kernel.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::error::{Error, Result};

/// Largest absolute value after standardising.
const CLIP: f32 = 5.0;

/// Most quantiles stored per column.
const KNOTS: usize = 256;

/// Interquartile range of a standard normal variable.
const NORMAL_IQR: f64 = 1.348_979_500_392_163_5;

/// Pairs of rows whose median distance is the bandwidth.
const PAIRS: usize = 2000;

fn wrong(reason: impl Into<String>) -> Error {
    Error::Detector { code: "features", reason: reason.into() }
}

/// How columns are brought to one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Less the median, divided by the interquartile range (that of a normal variable is 1.349 standard deviations);
    /// by the standard deviation where the quartiles are equal.
    Robust,
    /// Less the mean, divided by the standard deviation, both of the values limited to their 1 % and 99 % quantiles; by the
    /// standard deviation of all where those are equal. A few values, however far out, cannot press the others together.
    Winsorized,
    /// The normal score of the rank: `Φ⁻¹((rank − ½) / n)`, equal values sharing their middle rank, interpolated between
    /// at most 256 quantiles.
    NormalScores,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Column {
    /// No finite value was seen.
    Unknown,
    Linear {
        centre: f32,
        scale: f32,
    },
    /// (value, score), both ascending.
    Scores(Vec<(f32, f32)>),
}

impl Column {
    fn apply(&self, value: f32) -> f32 {
        let score = match self {
            Self::Unknown => 0.0,
            // 0 / 0 in a constant column is "no deviation"; any other value there is as far as values can be.
            Self::Linear { centre, scale } => (value - centre) / scale,
            Self::Scores(knots) => interpolate(knots, value),
        };
        if score.is_nan() { 0.0 } else { score.clamp(-CLIP, CLIP) }
    }

    fn fit(values: ArrayView1<f32>, scaling: Scaling) -> Self {
        let mut sorted: Vec<f32> = values.iter().copied().filter(|x| x.is_finite()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        if sorted.is_empty() {
            return Self::Unknown;
        }
        match scaling {
            Scaling::Robust => {
                let range = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
                let scale = if range > 0.0 { range / NORMAL_IQR } else { deviation(&sorted) };
                Self::Linear { centre: quantile(&sorted, 0.5) as f32, scale: scale as f32 }
            }
            Scaling::Winsorized => {
                let (low, high) = (quantile(&sorted, 0.01) as f32, quantile(&sorted, 0.99) as f32);
                let limited: Vec<f32> = sorted.iter().map(|x| x.clamp(low, high)).collect();
                let centre = limited.iter().map(|&x| f64::from(x)).sum::<f64>() / limited.len() as f64;
                let scale = if low < high { deviation(&limited) } else { deviation(&sorted) };
                Self::Linear { centre: centre as f32, scale: scale as f32 }
            }
            Scaling::NormalScores => Self::Scores(scores(&sorted)),
        }
    }
}

fn interpolate(knots: &[(f32, f32)], value: f32) -> f32 {
    if value.is_nan() {
        return value;
    }
    let after = knots.partition_point(|&(knot, _)| knot < value);
    match (after.checked_sub(1).and_then(|before| knots.get(before)), knots.get(after)) {
        (Some(&(x0, y0)), Some(&(x1, y1))) => {
            // Halved first: the difference of two finite values may overflow.
            let share = (value / 2.0 - x0 / 2.0) / (x1 / 2.0 - x0 / 2.0);
            y0 + share * (y1 - y0)
        }
        (None, Some(&(_, score))) | (Some(&(_, score)), None) => score,
        (None, None) => 0.0,
    }
}

/// Linear interpolation between order statistics; `sorted` is not empty.
fn quantile(sorted: &[f32], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let at = |i: usize| sorted.get(i).or(sorted.last()).map_or(0.0, |&x| f64::from(x));
    let (low, high) = (at(position.floor() as usize), at(position.ceil() as usize));
    low + (high - low) * position.fract()
}

fn deviation(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

fn scores(sorted: &[f32]) -> Vec<(f32, f32)> {
    let normal = Normal::standard();
    let n = sorted.len();
    let count = n.min(KNOTS);
    let mut knots: Vec<(f32, f32)> = Vec::with_capacity(count);
    for i in 0..count {
        let value = sorted[i * (n - 1) / (count - 1).max(1)];
        // −0 sorts before 0 but is the same value.
        if knots.last().is_none_or(|&(last, _)| last < value) {
            let below = sorted.partition_point(|&x| x < value);
            let through = sorted.partition_point(|&x| x <= value);
            knots.push((value, normal.inverse_cdf((below + through) as f64 / (2 * n) as f64) as f32));
        }
    }
    knots
}

/// Brings every column to one scale: 0 in the middle, about 1 for a usual deviation, never beyond ±5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardizer {
    columns: Vec<Column>,
}

impl Standardizer {
    /// Fits rows (n × d), ignoring values that are not finite. Sorts every column: bound the rows by sampling.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>, scaling: Scaling) -> Self {
        Self { columns: rows.axis_iter(Axis(1)).into_par_iter().map(|column| Column::fit(column, scaling)).collect() }
    }

    /// The rows, standardised. Missing values (NaN) and columns that were empty in the fit become 0. In a column that
    /// was constant its value becomes 0, and another becomes ±5 (0 for normal scores). Fails where the number of
    /// columns differs.
    pub fn transform(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        if rows.ncols() != self.columns.len() {
            return Err(wrong(format!("rows have {} columns, the scale has {}", rows.ncols(), self.columns.len())));
        }
        let mut out = rows.to_owned();
        for (mut values, column) in out.axis_iter_mut(Axis(1)).zip(&self.columns) {
            values.mapv_inplace(|value| column.apply(value));
        }
        Ok(out)
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

/// Random Fourier features (Rahimi and Recht 2007): unit-length rows whose inner products approximate the mean of
/// Gaussian kernels `exp(−‖x − y‖² / 2σ²)` over the bandwidths σ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fourier {
    /// d × pairs.
    frequencies: Array2<f32>,
}

impl Fourier {
    /// Draws `width` / 2 (rounded down, at least 1) frequencies for rows of `columns` columns, taking the bandwidths in
    /// turn. The same seed draws the same frequencies. Fails without a bandwidth, or where one is not positive.
    pub fn new(columns: usize, width: usize, bandwidths: &[f64], seed: u64) -> Result<Self> {
        if bandwidths.is_empty() || !bandwidths.iter().all(|&sigma| sigma.is_finite() && sigma > 0.0) {
            return Err(wrong("bandwidths must be positive"));
        }
        let pairs = (width / 2).max(1);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Box–Muller; 1 − u because the logarithm needs (0, 1].
        let mut normal = || (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (TAU * rng.random::<f64>()).cos();
        let mut frequencies = Array2::from_shape_simple_fn((columns, pairs), || normal() as f32);
        for (mut column, &sigma) in frequencies.axis_iter_mut(Axis(1)).zip(bandwidths.iter().cycle()) {
            column.mapv_inplace(|x| (f64::from(x) / sigma) as f32);
        }
        Ok(Self { frequencies })
    }

    /// As [`new`](Self::new) with bandwidths that are multiples (such as ½, 1, 2) of the median distance between rows.
    pub fn fit(rows: ArrayView2<f32>, width: usize, multiples: &[f64], seed: u64) -> Result<Self> {
        let median = median_distance(rows, seed);
        let bandwidths: Vec<f64> = multiples.iter().map(|multiple| multiple * median).collect();
        Self::new(rows.ncols(), width, &bandwidths, seed)
    }

    /// The features of rows (n × d): cosines, then sines; every row has length 1. A projection that is not finite counts
    /// as 0. Fails where the number of columns differs.
    pub fn map(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        if rows.ncols() != self.frequencies.nrows() {
            return Err(wrong(format!("rows have {} columns, the features need {}", rows.ncols(), self.frequencies.nrows())));
        }
        let mut cosines = rows.dot(&self.frequencies);
        let scale = (self.frequencies.ncols() as f32).recip().sqrt();
        let mut sines = Array2::zeros(cosines.dim());
        ndarray::Zip::from(&mut cosines).and(&mut sines).for_each(|cosine, sine| {
            let angle = if cosine.is_finite() { *cosine } else { 0.0 };
            let (sin, cos) = angle.sin_cos();
            (*cosine, *sine) = (scale * cos, scale * sin);
        });
        Ok(concatenate![Axis(1), cosines, sines])
    }

    /// Number of features.
    #[must_use]
    pub fn width(&self) -> usize {
        2 * self.frequencies.ncols()
    }
}

/// The median Euclidean distance of up to 2,000 pairs of rows drawn with `seed`, leaving out pairs that are equal or not
/// finite; 1 where none is left.
#[must_use]
pub fn median_distance(rows: ArrayView2<f32>, seed: u64) -> f64 {
    let mut distances = Vec::with_capacity(PAIRS);
    if rows.nrows() > 1 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..PAIRS {
            let (a, b) = (rng.random_range(0..rows.nrows() as u64) as usize, rng.random_range(0..rows.nrows() as u64) as usize);
            let square: f64 = rows.row(a).iter().zip(rows.row(b)).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum();
            if square > 0.0 && square.is_finite() {
                distances.push(square.sqrt());
            }
        }
    }
    if distances.is_empty() {
        return 1.0;
    }
    let middle = distances.len() / 2;
    *distances.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn uniform(rows: usize, columns: usize) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
        Array2::from_shape_simple_fn((rows, columns), || rng.random::<f32>())
    }

    #[test]
    fn inner_products_are_the_kernel() {
        let rows = uniform(30, 5);
        let sigmas = [0.4, 0.8, 1.6];
        let features = Fourier::new(5, 12_000, &sigmas, 3).unwrap().map(rows.view()).unwrap();
        assert_eq!(features.dim(), (30, 12_000));
        for i in 0..30 {
            assert!((features.row(i).dot(&features.row(i)) - 1.0).abs() < 1e-4);
            for j in 0..i {
                let square = (&rows.row(i) - &rows.row(j)).mapv(|d| f64::from(d).powi(2)).sum();
                let kernel = sigmas.iter().map(|sigma| (-square / (2.0 * sigma * sigma)).exp()).sum::<f64>() / 3.0;
                // The standard error of 6,000 cosines is below 0.01.
                assert!((f64::from(features.row(i).dot(&features.row(j))) - kernel).abs() < 0.05);
            }
        }
    }

    #[test]
    fn bandwidth_is_the_median_distance() {
        // Two far clusters: half of the pairs with different rows are at about distance 10.
        let rows = Array2::from_shape_fn((2, 1), |(i, _)| 10.0 * i as f32);
        assert!((median_distance(rows.view(), 1) - 10.0).abs() < 1e-9);
        assert!((median_distance(Array2::ones((5, 2)).view(), 1) - 1.0).abs() < 1e-12);
        assert!((median_distance(Array2::from_elem((5, 2), f32::NAN).view(), 1) - 1.0).abs() < 1e-12);
        assert!((median_distance(Array2::zeros((0, 2)).view(), 1) - 1.0).abs() < 1e-12);
        // Mean distance of two uniform points in a segment is 1/3, the median 1 − 1/√2.
        assert!((median_distance(uniform(5000, 1).view(), 1) - (1.0 - 0.5_f64.sqrt())).abs() < 0.03);
        let fitted = Fourier::fit(uniform(50, 3).view(), 8, &[0.5, 1.0], 9).unwrap();
        let median = median_distance(uniform(50, 3).view(), 9);
        assert_eq!(fitted, Fourier::new(3, 8, &[0.5 * median, median], 9).unwrap());
        assert_ne!(fitted, Fourier::new(3, 8, &[0.5 * median, median], 10).unwrap());
    }

    #[test]
    fn fourier_survives_hostile_input() {
        let map = Fourier::new(2, 8, &[1.0], 1).unwrap();
        let features = map.map(arr2(&[[f32::NAN, 1.0], [f32::INFINITY, 0.0], [f32::MAX, f32::MAX]]).view()).unwrap();
        assert!(features.outer_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-5));
        assert_eq!(map.width(), 8);
        assert!(map.map(Array2::zeros((1, 3)).view()).is_err());
        assert!(Fourier::new(2, 8, &[], 1).is_err());
        assert!(Fourier::new(2, 8, &[0.0], 1).is_err());
        let back: Fourier = postcard::from_bytes(&postcard::to_stdvec(&map).unwrap()).unwrap();
        assert_eq!(back, map);
    }

    #[test]
    fn robust_scale_ignores_outliers_and_gaps() {
        let mut rows = Array2::from_shape_fn((101, 1), |(i, _)| i as f32);
        rows[(100, 0)] = 1e9;
        let scale = Standardizer::fit(rows.view(), Scaling::Robust);
        let out = scale.transform(arr2(&[[50.0], [75.0], [1e9], [f32::NAN], [f32::NEG_INFINITY]]).view()).unwrap();
        let expected = [0.0, 25.0 / (50.0 / NORMAL_IQR) as f32, 5.0, 0.0, -5.0];
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{out}");
    }

    #[test]
    fn robust_scale_falls_back() {
        let mut rows = Array2::zeros((100, 3));
        rows[(0, 0)] = 10.0;
        rows.column_mut(1).fill(7.0);
        rows.column_mut(2).fill(f32::NAN);
        let scale = Standardizer::fit(rows.view(), Scaling::Robust);
        let out = scale.transform(arr2(&[[1.0, 7.0, 3.0], [0.0, 8.0, f32::NAN]]).view()).unwrap();
        // Standard deviation of one ten among ninety-nine zeros.
        assert!((out[(0, 0)] - 1.0 / 0.99_f32.sqrt()).abs() < 1e-5);
        assert_eq!((out.column(1).to_vec(), out.column(2).to_vec()), (vec![0.0, 5.0], vec![0.0, 0.0]));
    }

    #[test]
    fn normal_scores_are_those_of_the_ranks() {
        let rows = uniform(3000, 1);
        let scale = Standardizer::fit(rows.view(), Scaling::NormalScores);
        let out = scale.transform(rows.view()).unwrap();
        let mut order: Vec<usize> = (0..3000).collect();
        order.sort_by(|&a, &b| rows[(a, 0)].total_cmp(&rows[(b, 0)]));
        for (rank, &row) in order.iter().enumerate().skip(30).take(2940) {
            let expected = Normal::standard().inverse_cdf((rank as f64 + 0.5) / 3000.0) as f32;
            assert!((out[(row, 0)] - expected).abs() < 0.05, "{} is not {expected}", out[(row, 0)]);
        }
        let ends = scale.transform(arr2(&[[-9.0], [9.0], [f32::NAN]]).view()).unwrap();
        let far = Normal::standard().inverse_cdf(0.5 / 3000.0) as f32;
        assert!((ends[(0, 0)] - far).abs() < 1e-4 && (ends[(1, 0)] + far).abs() < 1e-4 && ends[(2, 0)].abs() < 1e-6);
        assert!(postcard::to_stdvec(&scale).unwrap().len() < 256 * 8 + 16);
        let back: Standardizer = postcard::from_bytes(&postcard::to_stdvec(&scale).unwrap()).unwrap();
        assert_eq!(back, scale);
    }

    #[test]
    fn equal_values_share_their_score() {
        let rows = Array2::from_shape_fn((1000, 2), |(i, j)| if j == 1 { 4.0 } else { f32::from(i < 900) - 0.0 });
        let out = Standardizer::fit(rows.view(), Scaling::NormalScores).transform(rows.view()).unwrap();
        let normal = Normal::standard();
        assert!((out[(0, 0)] - normal.inverse_cdf(0.55) as f32).abs() < 1e-5);
        assert!((out[(999, 0)] - normal.inverse_cdf(0.05) as f32).abs() < 1e-5);
        assert!(out.column(1).iter().all(|score| score.abs() < 1e-6));
        let extremes = arr2(&[[f32::MIN], [f32::MAX], [0.0]]);
        let wide = Standardizer::fit(extremes.view(), Scaling::NormalScores).transform(extremes.view()).unwrap();
        assert!((wide[(0, 0)] + wide[(1, 0)]).abs() < 1e-6 && wide[(0, 0)] < -0.9 && wide[(2, 0)].abs() < 1e-6);
        assert!(Standardizer::fit(rows.view(), Scaling::Robust).transform(extremes.view()).is_err());
    }
}
