//! Outlier scores that add up what each column says by itself: tails of the empirical distribution, and histograms.

use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Bins of a histogram.
const BINS: usize = 10;
/// Added to every density, so that an empty bin is no infinity.
const REGULARIZER: f64 = 0.1;
/// A value this many bin widths beyond the ends belongs to the outermost bin.
const TOLERANCE: f64 = 0.5;

/// The empirical distribution of each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tails {
    columns: Vec<TailColumn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TailColumn {
    /// Ascending.
    values: Vec<f32>,
    /// Sign of the skewness.
    skew: f64,
}

/// What the tails of a row's value in one column come to, nats.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TailPair {
    ecod: f64,
    copod: f64,
}

impl Tails {
    /// Fits rows (n × d); values that are not finite are left out.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>) -> Self {
        let column = |column: ArrayView1<f32>| {
            let mut values: Vec<f32> = column.iter().copied().filter(|x| x.is_finite()).collect();
            values.sort_unstable_by(f32::total_cmp);
            let n = values.len().max(1) as f64;
            let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            let third = values.iter().map(|x| (f64::from(*x) - mean).powi(3)).sum::<f64>() / n;
            let second = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
            let skewness = third / second.powf(1.5);
            TailColumn { values, skew: if skewness.is_finite() && skewness.abs() > 1e-12 { skewness.signum() } else { 0.0 } }
        };
        Self { columns: rows.axis_iter(Axis(1)).map(column).collect() }
    }

    /// What each column of a row adds, nats: the mean of [`ecod`](Self::ecod)'s and [`copod`](Self::copod)'s. 0 where there is no
    /// value.
    #[must_use]
    pub fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.pairs(row).into_iter().map(|pair| pair.map_or(0.0, |pair| 0.5 * (pair.ecod + pair.copod))).collect()
    }

    /// ECOD (Li et al. 2022): over columns, the largest of the left tail `−ln F(x)`, the right tail `−ln P(X ≥ x)`, and the one on
    /// the side of the skewness.
    #[must_use]
    pub fn ecod(&self, row: ArrayView1<f32>) -> f64 {
        self.pairs(row).into_iter().flatten().map(|pair| pair.ecod).sum()
    }

    /// COPOD (Li et al. 2020): as [`ecod`](Self::ecod) with the mean of both tails in place of the larger one.
    #[must_use]
    pub fn copod(&self, row: ArrayView1<f32>) -> f64 {
        self.pairs(row).into_iter().flatten().map(|pair| pair.copod).sum()
    }

    fn pairs(&self, row: ArrayView1<f32>) -> Vec<Option<TailPair>> {
        let pair = |(column, &x): (&TailColumn, &f32)| {
            let n = column.values.len() as f64;
            if !x.is_finite() || column.values.is_empty() {
                return None;
            }
            let below = column.values.partition_point(|v| *v < x) as f64;
            let through = column.values.partition_point(|v| *v <= x) as f64;
            // A value beyond all that were seen is as rare as the rarest.
            let (left, right) = ((n / through.max(1.0)).ln(), (n / (n - below).max(1.0)).ln());
            // PyOD's −sign(skew − 1) and sign(skew + 1) on the sign of the skewness: both sides where it is 0.
            let (sign_left, sign_right) = (f64::from(column.skew < 1.0), f64::from(column.skew > -1.0));
            let skewed = left * sign_left + right * sign_right;
            Some(TailPair { ecod: skewed.max(left).max(right), copod: skewed.max(0.5 * (left + right)) })
        };
        self.columns.iter().zip(row).map(pair).collect()
    }
}

/// A histogram of each column with bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    columns: Vec<Histogram>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Histogram {
    lowest: f64,
    width: f64,
    /// `−log2(density + 0.1)` of each bin; empty for a column without values.
    scores: Vec<f64>,
}

impl Histograms {
    /// Fits rows (n × d); values that are not finite are left out.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>) -> Self {
        let column = |column: ArrayView1<f32>| {
            let values: Vec<f64> = column.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if values.is_empty() {
                return Histogram { lowest: 0.0, width: 1.0, scores: Vec::new() };
            }
            // As numpy: a constant column has a range of 1 around its value.
            let (lowest, highest) = if lowest < highest { (lowest, highest) } else { (lowest - 0.5, highest + 0.5) };
            let width = (highest - lowest) / BINS as f64;
            let mut counts = [0_u64; BINS];
            for x in &values {
                // As numpy: bins hold their lower end, the last one both.
                let bin = (((x - lowest) / width) as usize).min(BINS - 1);
                if let Some(count) = counts.get_mut(bin) {
                    *count += 1;
                }
            }
            let density = |count: &u64| *count as f64 / (values.len() as f64 * width);
            Histogram { lowest, width, scores: counts.iter().map(|count| -(density(count) + REGULARIZER).log2()).collect() }
        };
        Self { columns: rows.axis_iter(Axis(1)).map(column).collect() }
    }

    /// What each column of a row adds (HBOS, Goldstein and Dengel 2012), bits. 0 where there is no value.
    #[must_use]
    pub fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.columns.iter().zip(row).map(|(column, x)| column.score(f64::from(*x))).collect()
    }
}

impl Histogram {
    fn score(&self, x: f64) -> f64 {
        if !x.is_finite() || self.scores.is_empty() {
            return 0.0;
        }
        let at = (x - self.lowest) / self.width;
        let rarest = self.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if at < -TOLERANCE || at > BINS as f64 + TOLERANCE {
            return rarest;
        }
        // As PyOD looks values up: bins hold their upper end, and the lowest value is just outside, in the first.
        let bin = (at.ceil() - 1.0).clamp(0.0, (BINS - 1) as f64) as usize;
        self.scores.get(bin).copied().unwrap_or(rarest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden;

    #[test]
    fn scores_match_pyod() {
        let golden = golden::outlier();
        let (tails, histograms) = (Tails::fit(golden.rows.view()), Histograms::fit(golden.rows.view()));
        for (i, row) in golden.rows.outer_iter().enumerate() {
            // Tolerance 1e-5: single precision of the values.
            golden::close("ecod", i, tails.ecod(row), golden.ecod[i], 1e-5);
            golden::close("copod", i, tails.copod(row), golden.copod[i], 1e-5);
            let mean = 0.5 * (golden.ecod[i] + golden.copod[i]);
            golden::close("shares", i, tails.shares(row).iter().sum(), mean, 1e-5);
            golden::close("hbos", i, histograms.shares(row).iter().sum(), golden.hbos[i], 1e-5);
        }
    }

    #[test]
    fn missing_and_strange_values_add_nothing() {
        let rows = ndarray::arr2(&[[1.0, f32::NAN], [2.0, f32::NAN], [3.0, f32::NAN]]);
        let (tails, histograms) = (Tails::fit(rows.view()), Histograms::fit(rows.view()));
        let row = ndarray::arr1(&[f32::NAN, 7.0]);
        assert_eq!((tails.shares(row.view()), histograms.shares(row.view())), (vec![0.0, 0.0], vec![0.0, 0.0]));
        let far = ndarray::arr1(&[1e30, 0.0]);
        assert!(tails.ecod(far.view()) > 1.0 && histograms.shares(far.view())[0].is_finite());
    }
}
