//! From the gap below a value to the probability that it does not belong.

/// Scores of rows that no gap sets apart stay below this, under the lowest bin of posteriors that can be told from 0.
const ORDINARY: f64 = 1.0 / 1_025.0;
/// Surprisal, nats, at which an ordinary score has gone most of its way.
const USUAL_SURPRISAL: f64 = 8.0;

/// Probability that a value does not belong, from the p-value of its gap, as likely as not before: `1 / (1 + B)` with the
/// bound `B = −e p ln p` on the odds for "belongs" (Sellke, Bayarri and Berger 2001). `None` where p is above 1 / e and the
/// bound says nothing.
pub(super) fn posterior(ln_p: f64) -> Option<f64> {
    let ln_p = ln_p.max(-1e6);
    (ln_p < -1.0).then(|| 1.0 / (1.0 + (1.0 + ln_p).exp() * -ln_p))
}

/// A row's score: the posterior where its gap gives one, else what is too small to be listed, in the order of `surprisal`
/// (0 or more). `ln_p` is corrected for the number of chances for a gap.
pub(super) fn graded(surprisal: f64, ln_p: f64) -> f64 {
    posterior(ln_p).unwrap_or(ORDINARY * -(-surprisal / USUAL_SURPRISAL).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posteriors_follow_the_bound() {
        // 1 / (1 - e p ln p) at p = 0.05 and 0.001 in Python; tolerance 1e-9.
        assert!((posterior(0.05_f64.ln()).unwrap() - 0.710_650_1).abs() < 1e-6);
        assert!((posterior(0.001_f64.ln()).unwrap() - 0.981_568_9).abs() < 1e-6);
        assert_eq!(posterior(-0.5), None);
        assert!(posterior(f64::NEG_INFINITY).unwrap() >= 1.0);
    }

    #[test]
    fn ordinary_rows_keep_their_order_below_every_posterior() {
        assert!(graded(1.0, 0.0) < graded(2.0, 0.0) && graded(200.0, 0.0) < graded(0.0, -1.1));
        assert!(graded(0.0, 0.0) <= 0.0);
    }
}
