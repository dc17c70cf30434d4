//! How many rows lie beyond those of a trusted reference: conformal p-values, their Benjamini–Hochberg list, and one test for
//! whether there is anything to list at all.

use statrs::function::gamma::ln_gamma;

/// Largest share of the reference that may lie at a cut.
const DEEPEST: f64 = 0.05;

/// The rows that lie beyond a cut of their scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excess {
    /// Scores above this lie beyond.
    pub cut: f64,
    /// Distinct rows of the data that do.
    pub beyond: u64,
    /// Rows of the reference that do.
    pub of_reference: u64,
    /// Expected share of sound rows among those beyond.
    pub share: f64,
    /// Natural logarithm of the smallest p-value over the cuts tried, for one cut.
    pub ln_p: f64,
    /// Cuts tried.
    pub tests: u64,
}

/// Looks for an excess of high scores. `reference`: scores with how often each comes. `data`: the same. Where a score comes
/// several times in the data it is one row in the count of those beyond, so that copies cannot make an excess.
///
/// A row with `r` of `n` reference rows at least as far out has the conformal p-value `(r + 1) / (n + 1)`; listing the `k` rows
/// beyond is what Benjamini and Hochberg (1995) do at rate `fdr` where `p m / k` is at most `fdr`, and valid since conformal
/// p-values depend positively (Bates et al. 2023). In clean data that list is empty with probability 1 − `fdr` alone; so it
/// must also be significant as a whole: with rows in random order, the `k + r` farthest out hold `r` rows of the reference or
/// fewer with the hypergeometric probability that [`Excess::ln_p`] is the smallest of, over `r` = 0, 1, 2, 4 ….
/// `None` where no cut keeps the rate.
#[must_use]
pub fn excess(reference: &[(f64, u64)], data: &[(f64, u64)], fdr: f64) -> Option<Excess> {
    let mut reference: Vec<(f64, u64)> = reference.iter().copied().filter(|(score, _)| !score.is_nan()).collect();
    reference.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut data: Vec<(f64, u64)> = data.iter().copied().filter(|(score, _)| !score.is_nan()).collect();
    data.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let rows = |part: &[(f64, u64)]| part.iter().map(|(_, count)| count).sum::<u64>();
    let (n, m) = (rows(&reference), rows(&data));
    let mut found: Option<Excess> = None;
    let (mut ln_p, mut tests) = (0.0_f64, 0);
    let mut r = 0;
    let (mut at, mut passed) = (0, 0_u64);
    while n > 0 && r as f64 <= DEEPEST * n as f64 {
        // The score that has at most r rows of the reference above it.
        while let Some((_, count)) = reference.get(at).filter(|(_, count)| passed + count <= r) {
            passed += count;
            at += 1;
        }
        let Some(&(cut, _)) = reference.get(at) else { break };
        let beyond = data.partition_point(|(score, _)| *score > cut) as u64;
        tests += 1;
        if beyond > 0 {
            ln_p = ln_p.min(ln_few(passed, beyond, n, m));
            let share = (passed + 1) as f64 / (n + 1) as f64 * m as f64 / beyond as f64;
            if share <= fdr {
                found = Some(Excess { cut, beyond, of_reference: passed, share, ln_p: 0.0, tests: 0 });
            }
        }
        r = if r == 0 { 1 } else { 2 * r };
    }
    found.map(|excess| Excess { ln_p, tests, ..excess })
}

/// ln P(at most `r` of the `k + r` farthest of `n + m` rows are among the `n`), rows in random order.
fn ln_few(r: u64, k: u64, n: u64, m: u64) -> f64 {
    let drawn = (k + r).min(n + m);
    let ln_choose = |n: u64, k: u64| ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0);
    let all = ln_choose(n + m, drawn);
    let terms: Vec<f64> =
        (0..=r.min(n).min(drawn)).filter(|x| drawn - x <= m).map(|x| ln_choose(n, x) + ln_choose(m, drawn - x) - all).collect();
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    (largest + terms.iter().map(|term| (term - largest).exp()).sum::<f64>().ln()).min(0.0)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_chance_of_few_reference_rows_is_hypergeometric() {
        // scipy.stats.hypergeom.logcdf(r, n + m, n, k + r); tolerance 1e-6.
        for (r, k, n, m, expected) in
            [(0, 5, 100, 100, -3.516_890_925_2), (2, 20, 500, 1_000, -4.717_227_456_1), (10, 300, 5_000, 10_000, -91.769_023_143_7)]
        {
            let found = ln_few(r, k, n, m);
            assert!((found - expected).abs() < 1e-6, "{r} {k} {n} {m}: {found}");
        }
    }

    #[test]
    fn an_excess_is_found_and_none_is_made() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut alarms, mut wrong) = (0, Vec::new());
        for _ in 0..200 {
            let mut draw = |count: usize| (0..count).map(|_| (rng.random::<f64>(), 1)).collect::<Vec<_>>();
            let (reference, mut data) = (draw(500), draw(1_000));
            alarms += u32::from(excess(&reference, &data, 0.1).is_some_and(|e| e.ln_p + (e.tests as f64).ln() < 0.01_f64.ln()));
            data.extend((0..60).map(|i| (1.0 + f64::from(i), 1)));
            let found = excess(&reference, &data, 0.1).unwrap();
            assert!(found.ln_p < -20.0 && found.beyond >= 60, "{found:?}");
            wrong.push((found.beyond - 60) as f64 / found.beyond as f64);
            // One row, however often, is no excess.
            data.truncate(1_000);
            data.push((2.0, 900));
            assert!(excess(&reference, &data, 0.1).is_none_or(|e| e.ln_p > -10.0));
        }
        assert!(alarms <= 5, "{alarms}");
        assert!(wrong.iter().sum::<f64>() / wrong.len() as f64 <= 0.1, "{wrong:?}");
        assert_eq!(excess(&[], &[(1.0, 1)], 0.1), None);
        assert_eq!(excess(&[(1.0, 1)], &[(f64::NAN, 1)], 0.1), None);
    }
}
