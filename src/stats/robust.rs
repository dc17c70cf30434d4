//! Order statistics that a minority of rows cannot move far.
//!
//! NaN has no rank: callers leave it out. One that slips through sorts beyond infinity and never panics.

/// Makes the median absolute deviation an estimate of a normal standard deviation: `1 / Phi^-1(3/4)`.
const NORMAL_CONSISTENCY: f64 = 1.482_602_218_505_602;

/// Median; the mean of the two middle values where the count is even. Reorders `values`; `None` where there are none.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    let half = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let upper = *middle;
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    // Equal infinities would otherwise leave NaN.
    Some(if lower.total_cmp(&upper).is_eq() { upper } else { 0.5 * lower + 0.5 * upper })
}

/// Median absolute deviation from `centre`, times 1.4826 so that it estimates the standard deviation of normal values.
/// `None` where there are none; 0 where more than half of the values equal the centre.
#[must_use]
pub fn mad(values: &[f64], centre: f64) -> Option<f64> {
    let mut deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    median(&mut deviations).map(|m| NORMAL_CONSISTENCY * m)
}

/// The `q` quantile, `q` in 0..=1, of values in ascending order, by linear interpolation between ranks (type 7 of Hyndman
/// and Fan 1996). `None` where there are no values or `q` is not in its range.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let position = q * last as f64;
    let rank = (position as usize).min(last);
    let fraction = position - rank as f64;
    let lower = *sorted.get(rank)?;
    let upper = *sorted.get(rank + 1).unwrap_or(&lower);
    Some(if fraction <= 0.0 || lower.total_cmp(&upper).is_eq() { lower } else { lower + fraction * (upper - lower) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&mut [4.0, 1.0, 9.0, 2.0]), Some(3.0));
        assert_eq!(median(&mut [f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(median(&mut [f64::MAX, f64::MAX * 0.5]), Some(f64::MAX * 0.75));
    }

    #[test]
    fn mad_matches_scipy_and_ignores_a_minority() {
        // scipy.stats.median_abs_deviation([1, 2, 3, 4, 100], scale="normal") = 1.4826022185056018; tolerance 1e-12.
        let spread = mad(&[1.0, 2.0, 3.0, 4.0, 100.0], 3.0).unwrap();
        assert!((spread - 1.482_602_218_505_601_8).abs() < 1e-12, "{spread}");
        assert_eq!(mad(&[], 0.0), None);
        assert_eq!(mad(&[2.0, 2.0, 2.0, 7.0], 2.0), Some(0.0));
    }

    #[test]
    fn quantiles_match_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        // numpy.quantile(..., method="linear"); tolerance 1e-12.
        for (q, expected) in [(0.0, 1.0), (0.1, 1.4), (0.5, 4.0), (0.9, 12.8), (0.98, 15.36), (1.0, 16.0)] {
            let found = quantile(&sorted, q).unwrap();
            assert!((found - expected).abs() < 1e-12, "{q}: {found}");
        }
        assert_eq!(quantile(&sorted, 1.1), None);
        assert_eq!(quantile(&sorted, f64::NAN), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0], 0.25), Some(f64::NEG_INFINITY));
    }
}
