//! Whether two samples come from one distribution, and how far apart they are.

use super::tail::{chi_squared_sf, ln_normal_sf};

/// Fewest rows that a level is expected to have in both samples for a term of its own.
const FEWEST_EXPECTED: f64 = 5.0;
/// Rows added to each bin of a stability index, so that an empty bin is no infinity.
const SMOOTHING: f64 = 0.5;

/// What two samples differ by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Effect size, 0 where nothing differs.
    pub effect: f64,
    /// p-value.
    pub p: f64,
}

/// Largest distance between the distributions of two weighted samples, 0 to 1, with Smirnov's asymptotic p-value in Stephens'
/// (1970) form for `n` and `m` rows. Samples in any order, without NaN; a value's weight may be any number of rows.
#[must_use]
pub fn kolmogorov_smirnov(first: &[(f64, f64)], second: &[(f64, f64)], n: f64, m: f64) -> Difference {
    let mut all: Vec<(f64, f64, f64)> = first.iter().map(|&(x, w)| (x, w, 0.0)).collect();
    all.extend(second.iter().map(|&(x, w)| (x, 0.0, w)));
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let totals = all.iter().fold((0.0, 0.0), |sum, &(_, a, b)| (sum.0 + a, sum.1 + b));
    let (mut below, mut distance) = ((0.0, 0.0), 0.0_f64);
    for same in all.chunk_by(|a, b| a.0 >= b.0) {
        for &(_, a, b) in same {
            below = (below.0 + a, below.1 + b);
        }
        distance = distance.max((below.0 / totals.0 - below.1 / totals.1).abs());
    }
    if !(totals.0 > 0.0 && totals.1 > 0.0) {
        return Difference { effect: 0.0, p: 1.0 };
    }
    let root = (n * m / (n + m)).sqrt();
    Difference { effect: distance, p: kolmogorov_sf((root + 0.12 + 0.11 / root) * distance) }
}

/// `P(K ≥ x)` of Kolmogorov's limiting distribution.
fn kolmogorov_sf(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: f64| (-2.0 * k * k * x * x).exp();
    (2.0 * (1..=50).map(|k| if k % 2 == 1 { term(f64::from(k)) } else { -term(f64::from(k)) }).sum::<f64>()).clamp(0.0, 1.0)
}

/// Likelihood-ratio (G) test of two samples over levels, with the rows of each level in both; `n` and `m` rows in all. Levels
/// that few rows are expected to have are one. The effect is [`stability`].
#[must_use]
pub fn g_test(levels: &[(f64, f64)], n: f64, m: f64) -> Difference {
    let totals = levels.iter().fold((0.0, 0.0), |sum, level| (sum.0 + level.0, sum.1 + level.1));
    if !(totals.0 > 0.0 && totals.1 > 0.0) {
        return Difference { effect: 0.0, p: 1.0 };
    }
    // Weights that stand for more rows than they are worth are brought to that.
    let scaled = levels.iter().map(|level| (level.0 / totals.0 * n, level.1 / totals.1 * m));
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut rest = (0.0, 0.0);
    for level in scaled {
        if (level.0 + level.1) * n.min(m) / (n + m) >= FEWEST_EXPECTED {
            kept.push(level);
        } else {
            rest = (rest.0 + level.0, rest.1 + level.1);
        }
    }
    if rest.0 + rest.1 > 0.0 {
        kept.push(rest);
    }
    let part = |count: f64, expected: f64| if count > 0.0 { count * (count / expected).ln() } else { 0.0 };
    let g: f64 = kept.iter().map(|&(a, b)| part(a, (a + b) * n / (n + m)) + part(b, (a + b) * m / (n + m))).sum();
    let p = if kept.len() > 1 { chi_squared_sf((2.0 * g).max(0.0), (kept.len() - 1) as f64) } else { 1.0 };
    Difference { effect: stability(&kept), p }
}

/// Population stability index `Σ (a − b) ln(a / b)` over the shares a and b of each bin; 0.1 is called a moderate and 0.25 a
/// large shift. Rows by bin in both samples.
#[must_use]
pub fn stability(bins: &[(f64, f64)]) -> f64 {
    let totals = bins.iter().fold((0.0, 0.0), |sum, bin| (sum.0 + bin.0 + SMOOTHING, sum.1 + bin.1 + SMOOTHING));
    bins.iter()
        .map(|bin| {
            let (a, b) = ((bin.0 + SMOOTHING) / totals.0, (bin.1 + SMOOTHING) / totals.1);
            (a - b) * (a / b).ln()
        })
        .sum()
}

/// Share of pairs in which the score of the `higher` sample is the higher one, ties shared, with the p-value of the normal
/// approximation that it is more than ½ by chance (Mann and Whitney 1947; without a correction for ties, which errs on the
/// careful side).
#[must_use]
pub fn mann_whitney(higher: &[f64], lower: &[f64]) -> Difference {
    let (n, m) = (higher.len() as f64, lower.len() as f64);
    if higher.is_empty() || lower.is_empty() {
        return Difference { effect: 0.5, p: 1.0 };
    }
    let mut all: Vec<(f64, bool)> = higher.iter().map(|&x| (x, true)).chain(lower.iter().map(|&x| (x, false))).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for same in all.chunk_by(|a, b| a.0 >= b.0) {
        let of_higher = same.iter().filter(|(_, is_higher)| *is_higher).count() as f64;
        let of_lower = same.len() as f64 - of_higher;
        wins += of_higher * (below + 0.5 * of_lower);
        below += of_lower;
    }
    let area = wins / (n * m);
    let z = (area - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt();
    Difference { effect: area, p: ln_normal_sf(z).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, relative: f64) {
        assert!((found / expected - 1.0).abs() < relative, "{found} is not {expected}");
    }

    #[test]
    fn tests_match_scipy() {
        let ones = |values: &[f64]| values.iter().map(|&x| (x, 1.0)).collect::<Vec<_>>();
        let a: Vec<f64> = (0..60).map(|i| f64::from(i * i % 37)).collect();
        let b: Vec<f64> = (0..80).map(|i| f64::from(i * i % 41 + 4)).collect();
        let ks = kolmogorov_smirnov(&ones(&a), &ones(&b), 60.0, 80.0);
        // scipy.stats.ks_2samp(a, b).statistic; the p-value of Stephens' form is within a tenth of the exact one.
        close(ks.effect, 0.3, 1e-9);
        close(ks.p, 0.003_320_262_4, 0.1);
        // scipy.stats.chi2_contingency([[30, 50, 20], [45, 35, 40]], lambda_="log-likelihood").
        let g = g_test(&[(30.0, 45.0), (50.0, 35.0), (20.0, 40.0)], 100.0, 120.0);
        close(g.p, 0.004_852_394_602_8, 1e-6);
        // scipy.stats.mannwhitneyu(b, a, alternative="greater", method="asymptotic", use_continuity=False); ties are few.
        let u = mann_whitney(&b, &a);
        close(u.effect, 0.638_333_333_333, 1e-9);
        close(u.p, 0.002_574_926_3, 0.01);
    }

    #[test]
    fn nothing_to_compare_is_no_difference() {
        assert!(kolmogorov_smirnov(&[], &[(1.0, 1.0)], 1.0, 1.0).p >= 1.0);
        assert!(g_test(&[(3.0, 0.0)], 3.0, 1.0).p >= 1.0 && g_test(&[(3.0, 4.0)], 3.0, 4.0).p >= 1.0);
        assert!(mann_whitney(&[], &[1.0]).p >= 1.0);
        assert!(stability(&[(5.0, 50.0), (10.0, 100.0)]) < 0.01);
    }
}
