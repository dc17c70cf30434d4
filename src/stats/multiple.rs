//! How many of many tests may be believed: false discovery rate, family-wise error and combination.
//!
//! Sorted slices are ascending and may hold only the smallest p-values of `tests` many; NaN is never below a threshold.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// p-values are cut here before they are combined, so that one near 1 cannot cancel the evidence of the others.
const CAUCHY_CUT: f64 = 0.999;

/// Largest `i` with `p_(i) <= i * rate / tests`: how many of the smallest p-values may be listed so that the expected share
/// of false ones among them stays below `rate` (Benjamini and Hochberg 1995; valid under positive dependence).
///
/// A slice that holds only the smallest p-values gives the same count as the whole one where it reaches past the cut, and a
/// smaller count otherwise.
#[must_use]
pub fn benjamini_hochberg(sorted_ascending_p: &[f64], tests: u64, rate: f64) -> usize {
    let step = rate / at_least_held(tests, sorted_ascending_p);
    let listed = sorted_ascending_p.iter().enumerate().rev().find(|&(i, &p)| p <= (i + 1) as f64 * step);
    listed.map_or(0, |(i, _)| i + 1)
}

/// Adjusted p-values of Benjamini and Hochberg: the smallest rate at which each test would be listed. In the order of the
/// slice; upper bounds where the slice does not hold all `tests`.
#[must_use]
pub fn bh_q_values(sorted_ascending_p: &[f64], tests: u64) -> Vec<f64> {
    let tests = at_least_held(tests, sorted_ascending_p);
    let mut q: Vec<f64> = sorted_ascending_p.iter().enumerate().map(|(i, p)| p * tests / (i + 1) as f64).collect();
    let mut least = 1.0;
    for value in q.iter_mut().rev() {
        least = value.min(least);
        *value = least;
    }
    q
}

/// Adjusted p-values of Holm (1979): those at or below `alpha` are rejected with a family-wise error of `alpha` at most,
/// whatever the dependence. In the order of the slice.
#[must_use]
pub fn holm(sorted_ascending_p: &[f64], tests: u64) -> Vec<f64> {
    let tests = at_least_held(tests, sorted_ascending_p);
    let mut most: f64 = 0.0;
    let adjusted = sorted_ascending_p.iter().enumerate().map(|(i, p)| {
        // Once a p-value is missing nothing after it may be rejected; `max` alone would step over NaN.
        most = if p.is_nan() { 1.0 } else { most.max(p * (tests - i as f64)).min(1.0) };
        most
    });
    adjusted.collect()
}

fn at_least_held(tests: u64, held: &[f64]) -> f64 {
    tests.max(held.len() as u64) as f64
}

/// Combines p-values, dependent or not, by the truncated Cauchy statistic `T = mean tan((1/2 - min(p, 0.999)) pi)`,
/// `p = 1/2 - atan(T) / pi` (Gui, Jiang and Wang 2025; Liu and Xie 2020). Keeps relative accuracy for tiny p-values.
///
/// p-values that are NaN could not be judged and are not counted; without any the result is 1.
#[must_use]
pub fn truncated_cauchy(p_values: &[f64]) -> f64 {
    let judged = p_values.iter().filter(|p| !p.is_nan());
    let count = judged.clone().count() as f64;
    // tan((1/2 - p) pi) = 1 / tan(p pi), which unlike the left side keeps the digits of a tiny p. Dividing before adding
    // keeps the sum finite down to p = 1e-308.
    let statistic: f64 = judged.map(|p| 1.0 / (p.clamp(0.0, CAUCHY_CUT) * std::f64::consts::PI).tan() / count).sum();
    if statistic > 0.0 {
        (1.0 / statistic).atan() / std::f64::consts::PI
    } else if count > 0.0 {
        0.5 - statistic.atan() / std::f64::consts::PI
    } else {
        1.0
    }
}

/// Tarone's correction for discrete tests: the smallest `k >= 1` such that at most `k` tests can reach `alpha / k`. Testing
/// at `alpha / k` bounds the family-wise error by `alpha` (Tarone 1990; Terada et al. 2013).
///
/// `min_attainable_sorted` holds, in ascending order, the smallest p-value that each test can have given its margins alone.
#[must_use]
pub fn tarone(min_attainable_sorted: &[f64], alpha: f64) -> u64 {
    let testable = |k: u64| min_attainable_sorted.partition_point(|&least| least <= alpha / k as f64) as u64;
    // The count falls with k, so the first k that bounds it can be bisected.
    let (mut low, mut high) = (1, (min_attainable_sorted.len() as u64).max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if testable(middle) <= middle {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Number of equal bins over 0..=1; a power of two, so that bin edges are exact.
const BINS: usize = 1024;

/// Posteriors are added as whole multiples of this, so that merging is exact.
const UNITS: f64 = 16_777_216.0;

/// Histogram of posterior probabilities that a row is wrong, from which a threshold with a bounded share of false listings
/// follows. All sums are whole numbers: merging is exact in any order. Good for 2^40 rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct PosteriorHistogram {
    /// Per bin: rows, and the sum of their posteriors in units of 2^-24, rounded down.
    bins: Vec<(u64, u64)>,
}

impl Default for PosteriorHistogram {
    fn default() -> Self {
        Self { bins: vec![(0, 0); BINS] }
    }
}

impl TryFrom<Vec<(u64, u64)>> for PosteriorHistogram {
    type Error = Error;

    // A histogram with other bins would lose rows when merged.
    fn try_from(bins: Vec<(u64, u64)>) -> Result<Self> {
        if bins.len() == BINS {
            Ok(Self { bins })
        } else {
            Err(Error::config("posterior histogram", format!("must have {BINS} bins, not {}", bins.len())))
        }
    }
}

impl From<PosteriorHistogram> for Vec<(u64, u64)> {
    fn from(histogram: PosteriorHistogram) -> Self {
        histogram.bins
    }
}

impl PosteriorHistogram {
    /// Adds one row. A posterior that is NaN or outside 0..=1 was not judged and is not counted.
    pub fn add(&mut self, posterior: f64) {
        if !(0.0..=1.0).contains(&posterior) {
            return;
        }
        let bin = ((posterior * BINS as f64) as usize).min(BINS - 1);
        if let Some((rows, sum)) = self.bins.get_mut(bin) {
            *rows = rows.saturating_add(1);
            *sum = sum.saturating_add((posterior * UNITS) as u64);
        }
    }

    /// Adds all rows of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for ((rows, sum), (more_rows, more_sum)) in self.bins.iter_mut().zip(&other.bins) {
            *rows = rows.saturating_add(*more_rows);
            *sum = sum.saturating_add(*more_sum);
        }
    }

    /// The lowest bin edge such that listing every row whose posterior is at or above it keeps the expected share of false
    /// listings, the mean of one less the posterior, at or below `rate`; `None` where no row may be listed. (Bayesian false
    /// discovery rate; Newton et al. 2004.)
    #[must_use]
    pub fn threshold(&self, rate: f64) -> Option<f64> {
        let (mut rows, mut sum) = (0_u128, 0_u128);
        let mut lowest = None;
        for (bin, &(more_rows, more_sum)) in self.bins.iter().enumerate().rev() {
            if more_rows == 0 {
                continue;
            }
            rows += u128::from(more_rows);
            sum += u128::from(more_sum);
            // Bins come in falling order of posterior, so the mean only gets worse.
            if 1.0 - sum as f64 / UNITS / rows as f64 > rate || rate.is_nan() {
                break;
            }
            lowest = Some(bin as f64 / BINS as f64);
        }
        lowest
    }

    /// The lowest posterior of each bin, ascending, with the rows in it.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bins.iter().enumerate().map(|(bin, (rows, _))| (bin as f64 / BINS as f64, *rows))
    }

    /// Rows added so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.bins.iter().fold(0, |sum, &(rows, _)| sum.saturating_add(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 6] = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06];

    #[track_caller]
    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-12 * b, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn false_discovery_rate_matches_scipy() {
        // scipy.stats.false_discovery_control(P); tolerance 1e-12.
        close(&bh_q_values(&P, 6), &[0.006, 0.024, 0.0504, 0.0504, 0.0504, 0.06]);
        assert_eq!(benjamini_hochberg(&P, 6, 0.05), 2);
        assert_eq!(benjamini_hochberg(&P, 6, 0.0505), 5);
        assert_eq!(benjamini_hochberg(&P, 6, 0.005), 0);
        assert_eq!(benjamini_hochberg(&[], 6, 0.05), 0);
        assert_eq!(benjamini_hochberg(&[0.01, f64::NAN], 2, 0.05), 1);
    }

    #[test]
    fn smallest_p_values_are_enough() {
        let mut all: Vec<f64> = (1..=1_000).map(|i| (f64::from(i) / 1_000.0).powi(3)).collect();
        all.sort_unstable_by(f64::total_cmp);
        let whole = benjamini_hochberg(&all, 1_000, 0.010_1);
        assert_eq!(whole, 100);
        assert_eq!(benjamini_hochberg(&all[..200], 1_000, 0.010_1), whole);
        assert_eq!(benjamini_hochberg(&all[..50], 1_000, 0.010_1), 50);
        close(&bh_q_values(&all[..200], 1_000)[..150], &bh_q_values(&all, 1_000)[..150]);
    }

    #[test]
    fn holm_matches_r() {
        // R: p.adjust(P, "holm"); tolerance 1e-12.
        close(&holm(&P, 6), &[0.006, 0.04, 0.156, 0.156, 0.156, 0.156]);
        close(&holm(&P[..2], 100), &[0.1, 0.792]);
        close(&holm(&[0.3, 0.9], 2), &[0.6, 0.9]);
        close(&holm(&[0.001, f64::NAN, 0.002], 3), &[0.003, 1.0, 1.0]);
    }

    #[test]
    fn cauchy_combination_keeps_tiny_p_values() {
        // n times the smallest is the limit for one tiny p among n; a sole p comes back; tolerance 1e-12.
        close(&[truncated_cauchy(&[1e-200, 0.5, 0.5, 0.5])], &[4e-200]);
        close(&[truncated_cauchy(&[1e-306; 1_000])], &[1e-306]);
        close(&[truncated_cauchy(&[0.3]), truncated_cauchy(&[0.7])], &[0.3, 0.7]);
        // 1/2 - arctan(mean(tan((1/2 - p) pi))) / pi with numpy; tolerance 1e-12.
        close(&[truncated_cauchy(&[0.01, 0.2, 0.9])], &[0.031_600_770_289_812_45]);
        // Without the cut, one p near 1 would leave nothing of this.
        let kept = truncated_cauchy(&[1e-6, 1.0]);
        assert!((2e-6..2.1e-6).contains(&kept), "{kept:e}");
        assert!(truncated_cauchy(&[0.0, 0.5]) <= 0.0);
        close(&[truncated_cauchy(&[0.3, f64::NAN]), truncated_cauchy(&[]), truncated_cauchy(&[f64::NAN])], &[0.3, 1.0, 1.0]);
    }

    #[test]
    fn tarone_counts_the_testable() {
        // With alpha 0.05: at k = 3 three tests can reach 0.0167; at k = 2 three can reach 0.025, which is too many.
        assert_eq!(tarone(&[0.001, 0.002, 0.016, 0.03, 0.04, 0.5, 0.9], 0.05), 3);
        assert_eq!(tarone(&[0.9; 1_000], 0.05), 1);
        assert_eq!(tarone(&[1e-9; 1_000], 0.05), 1_000);
        assert_eq!(tarone(&[], 0.05), 1);
        let mixed: Vec<f64> = (0..500).map(|i| 0.3_f64.powi(1 + (500 - i) / 50)).collect();
        let slow = (1..=500).find(|&k| mixed.iter().filter(|&&p| p <= 0.05 / k as f64).count() <= k as usize).unwrap();
        assert_eq!(tarone(&mixed, 0.05), slow);
        assert!(slow > 1 && slow < 500);
    }

    #[test]
    fn posterior_threshold_bounds_the_mean_error() {
        let posteriors: Vec<f64> = (0..2_000).map(|i| 1.0 - (f64::from(i) / 2_000.0).sqrt()).collect();
        let mut whole = PosteriorHistogram::default();
        let (mut even, mut odd) = (whole.clone(), whole.clone());
        for (i, &p) in posteriors.iter().enumerate() {
            whole.add(p);
            if i % 2 == 0 { even.add(p) } else { odd.add(p) }
        }
        whole.add(f64::NAN);
        whole.add(1.5);
        odd.merge(&even);
        assert_eq!(odd, whole);
        assert_eq!(whole.rows(), 2_000);
        let edge = whole.threshold(0.1).unwrap();
        let mean_error = |edge: f64| {
            let listed: Vec<f64> = posteriors.iter().copied().filter(|&p| p >= edge).collect();
            listed.iter().map(|p| 1.0 - p).sum::<f64>() / listed.len() as f64
        };
        assert!(mean_error(edge) <= 0.1, "{}", mean_error(edge));
        assert!(mean_error(edge - 2.0 / 1_024.0) > 0.1);
        assert_eq!(PosteriorHistogram::default().threshold(0.1), None);
        let mut unsure = PosteriorHistogram::default();
        unsure.add(0.5);
        assert_eq!(unsure.threshold(0.1), None);
        unsure.add(1.0);
        assert_eq!(unsure.threshold(0.1), Some(1_023.0 / 1_024.0));
        assert_eq!(unsure.threshold(f64::NAN), None);
        let text = serde_json::to_string(&unsure).unwrap();
        assert_eq!(serde_json::from_str::<PosteriorHistogram>(&text).unwrap(), unsure);
        assert!(serde_json::from_str::<PosteriorHistogram>("[[1, 2]]").is_err());
    }
}
