//! What sets the preferred of two things apart, from their differences alone.
//!
//! A ridge regression of 1 on differences, without a constant: swapping a pair changes the sign of its difference, so that the fit is the
//! least-squares form of the model of Bradley and Terry (1952) with covariates. Pairs are judged by weights fitted without their part.

use ndarray::{Array2, ArrayView1, Axis};

use super::robust::quantile;
use super::spd::Cholesky;

/// Penalty on squared weights, in pairs.
const PENALTY: f64 = 30.0;
/// Of the pairs that are sure, at most this share may be sure of the opposite.
const MOST_AGAINST: f64 = 0.20;
/// Least such share that is reckoned with.
const LEAST_AGAINST: f64 = 0.02;
/// Parts of all pairs that may be unsure.
const UNSURE: [f64; 9] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/// The fit of differences, pairs × coordinates, that fall into parts.
///
/// Returns for each of `parts` parts the weights fitted on the others, and the least margin from which pairs are sure: of those that leave
/// 0, 10, … 80% unsure the one with which a swapped pair says most on average against `odds` times the odds of the pairs that are sure of the opposite
/// by nature. `None` where more than a fifth of the sure ones are, whatever the margin: differences do not tell much then.
#[must_use]
pub(crate) fn fit(differences: &Array2<f64>, part: &[usize], parts: usize, odds: f64) -> Option<(Vec<Vec<f64>>, f64)> {
    let width = differences.ncols();
    let of_part = |which: usize| {
        let rows: Vec<usize> = (0..differences.nrows()).filter(|row| part.get(*row) == Some(&which)).collect();
        let rows = differences.select(Axis(0), &rows);
        (rows.t().dot(&rows), rows.sum_axis(Axis(0)))
    };
    let sums: Vec<_> = (0..parts).map(of_part).collect();
    let without = |left_out: usize| {
        let (mut gram, mut sum) = (Array2::<f64>::zeros((width, width)), Array2::<f64>::zeros((width, 1)));
        for (_, (of_gram, of_sum)) in sums.iter().enumerate().filter(|(which, _)| *which != left_out) {
            gram += of_gram;
            sum.column_mut(0).zip_mut_with(of_sum, |a, b| *a += b);
        }
        Some(Cholesky::new(gram.view(), PENALTY)?.solve(sum.view()).column(0).to_vec())
    };
    let weights: Vec<Vec<f64>> = (0..parts).map(without).collect::<Option<_>>()?;
    let margin = |(row, part): (ArrayView1<f64>, &usize)| Some(row.iter().zip(weights.get(*part)?).map(|(x, w)| x * w).sum::<f64>());
    let margins: Vec<f64> = differences.outer_iter().zip(part).filter_map(margin).collect();
    let mut sizes: Vec<f64> = margins.iter().map(|margin| margin.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let told = |least: f64| {
        let (with, against) = (margins.iter().filter(|m| **m > least).count(), margins.iter().filter(|m| **m < -least).count());
        let (sure, share) = ((with + against) as f64, (against as f64 / (with + against) as f64).max(LEAST_AGAINST));
        let null = odds * share / (1.0 - share + odds * share);
        // Of the swapped pairs that are sure, as many are sure of the opposite as of the others are not.
        let swapped = (1.0 - share) * ((1.0 - share) / null).ln() + share * (share / (1.0 - null)).ln();
        (share <= MOST_AGAINST).then_some((sure / margins.len() as f64 * swapped, least))
    };
    let best = UNSURE.into_iter().filter_map(|unsure| told(quantile(&sizes, unsure)?)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, sure) = best.filter(|(told, _)| *told > 0.0)?;
    Some((weights, sure))
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    /// Pairs of which the first coordinate is `told` on average, in units of its spread.
    fn pairs(told: f64) -> (Array2<f64>, Vec<usize>) {
        let mut state = 7u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let normal = |uniform: &mut dyn FnMut() -> f64| (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let mut rows = Array2::zeros((2_000, 5));
        for mut row in rows.outer_iter_mut() {
            let values: Array1<f64> = (0..5).map(|_| normal(&mut uniform)).collect();
            row.assign(&values);
            row[0] += told;
        }
        (rows, (0..2_000).map(|row| row % 4).collect())
    }

    #[test]
    fn what_tells_pairs_apart_is_found_and_as_many_are_sure_as_may_be() {
        let (differences, part) = pairs(1.0);
        let (weights, sure) = fit(&differences, &part, 4, 4.0).unwrap();
        assert!(weights.iter().all(|w| w[0] > 0.3 && w[1..].iter().all(|w| w.abs() < 0.1)), "{weights:?}");
        // Of a normal variable around 1, 16% lie below 0: not all should be sure.
        assert!(sure > 0.05, "{sure}");
        // Where hardly a pair lies on the other side there is no reason to be unsure.
        let (_, of_all) = fit(&pairs(3.0).0, &part, 4, 4.0).unwrap();
        assert!(of_all < sure, "{of_all}");
    }

    #[test]
    fn differences_that_tell_nothing_make_no_fit() {
        let (differences, part) = pairs(0.0);
        assert!(fit(&differences, &part, 4, 4.0).is_none());
        assert!(fit(&Array2::zeros((0, 3)), &[], 4, 4.0).is_none());
    }
}
