//! The effect-size null: does a group share a label beyond what the rest of its rows' content explains, by more than a
//! tolerated odds ratio?
//!
//! Testing association against the class prior flags most of any clean data set, because natural association is everywhere.
//! The null here is an interval: the odds of the label among the carriers may be up to `odds_ratio` times the odds that the
//! content predicts, and only the excess beyond that is evidence (interval hypotheses, Berger and Delampady 1987).

use serde::{Deserialize, Serialize};

use super::tail::binomial_sf;
use crate::error::{Error, Result};

/// Fewest carriers for which any claim is made.
const FEWEST_CARRIERS: u64 = 4;

/// Largest share of all rows that may be carriers of one cause. Published attacks poison up to three rows in ten; of more rows, those without
/// the cause are too few to say what their labels would be.
pub(crate) const MOST_SUPPORT: f64 = 1.0 / 3.0;

/// Settings of the null and of the gates before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntervalParams {
    /// Odds ratio that innocent structure may reach, at least 1.
    pub odds_ratio: f64,
    /// Range to which the background is clipped before the null rate is taken, `0 < low < high < 1`.
    pub clip: (f64, f64),
    /// Least difference between the share of the label among carriers and the background, in 0..1.
    pub min_lift: f64,
    /// Least share of the label among the carriers, in 0..=1.
    pub min_purity: f64,
    /// Least share where there are at least `relaxed_from` carriers: an attacker who adds cover rows with true labels halves
    /// the purity, but needs many rows. In 0..=`min_purity`.
    pub relaxed_purity: f64,
    /// Number of carriers from which `relaxed_purity` holds.
    pub relaxed_from: u64,
    /// Share of all rows up to which it holds, in 0..=1: what more rows do is a rule of the data unless hardly one is an exception.
    pub relaxed_support: f64,
    /// Largest share of all rows that may be carriers, in 0..=1.
    pub max_support: f64,
}

impl Default for IntervalParams {
    fn default() -> Self {
        Self {
            odds_ratio: 4.0,
            clip: (0.02, 0.98),
            min_lift: 0.25,
            min_purity: 0.7,
            relaxed_purity: 0.4,
            relaxed_from: 40,
            relaxed_support: 0.1,
            max_support: MOST_SUPPORT,
        }
    }
}

/// The effect-size null with checked settings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "IntervalParams", into = "IntervalParams")]
pub struct IntervalNull {
    params: IntervalParams,
}

impl TryFrom<IntervalParams> for IntervalNull {
    type Error = Error;

    fn try_from(params: IntervalParams) -> Result<Self> {
        Self::new(params)
    }
}

impl From<IntervalNull> for IntervalParams {
    fn from(null: IntervalNull) -> Self {
        null.params
    }
}

impl IntervalNull {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting that is out of its range.
    pub fn new(params: IntervalParams) -> Result<Self> {
        let IntervalParams { odds_ratio, clip: (low, high), min_lift, min_purity, relaxed_purity, relaxed_support, max_support, .. } =
            params;
        let share = 0.0..=1.0;
        let checks = [
            ("odds_ratio", odds_ratio >= 1.0 && odds_ratio.is_finite(), "must be a finite number of at least 1"),
            ("clip", 0.0 < low && low < high && high < 1.0, "must be two rising numbers strictly between 0 and 1"),
            ("min_lift", (0.0..1.0).contains(&min_lift), "must be at least 0 and below 1"),
            ("min_purity", share.contains(&min_purity), "must be from 0 to 1"),
            ("relaxed_purity", (0.0..=min_purity).contains(&relaxed_purity), "must be from 0 to min_purity"),
            ("relaxed_support", share.contains(&relaxed_support), "must be from 0 to 1"),
            ("max_support", share.contains(&max_support), "must be from 0 to 1"),
        ];
        match checks.into_iter().find(|&(_, holds, _)| !holds) {
            Some((name, _, reason)) => Err(Error::config(format!("interval null, {name}"), reason)),
            None => Ok(Self { params }),
        }
    }

    /// The largest rate at which innocent carriers may have the label, given the mean probability `background` that their
    /// content gives it: `OR q / (1 - q + OR q)` with `q` clipped.
    #[must_use]
    pub fn null_rate(&self, background: f64) -> f64 {
        let (low, high) = self.params.clip;
        let q = background.clamp(low, high);
        let odds = self.params.odds_ratio * q;
        odds / (1.0 - q + odds)
    }

    /// `P(Bin(carriers, null rate) >= agreeing)`: small where more carriers have the label than content and tolerance allow.
    /// Needs `agreeing` of `carriers` rows with the label, after duplicates were collapsed, and `rows` in all.
    ///
    /// `None` where a gate refuses: fewer than 4 carriers, too large a share of all rows, too low a purity or lift, or
    /// counts and background that make no sense.
    #[must_use]
    pub fn test(&self, carriers: u64, agreeing: u64, background: f64, rows: u64) -> Option<f64> {
        let IntervalParams { min_lift, min_purity, relaxed_purity, relaxed_from, relaxed_support, max_support, .. } = self.params;
        if carriers < FEWEST_CARRIERS || agreeing > carriers || !(0.0..=1.0).contains(&background) {
            return None;
        }
        if carriers as f64 > max_support * rows as f64 {
            return None;
        }
        let purity = agreeing as f64 / carriers as f64;
        let many = carriers as f64 > relaxed_support * rows as f64;
        let floor = if carriers >= relaxed_from && !many { relaxed_purity } else { min_purity };
        if purity < floor || purity - background < min_lift {
            return None;
        }
        Some(binomial_sf(agreeing, carriers, self.null_rate(background)))
    }

    /// Fewest carriers, all with the label, that `tests` tests at a family-wise error of `alpha` would notice:
    /// `ceil(ln(alpha / tests) / ln(null rate))`, at least 4. `None` where no number is enough, because the background is so
    /// high that even a pure group does not lift it by the least lift, or `alpha` is not above 0.
    #[must_use]
    pub fn smallest_detectable(&self, background: f64, alpha: f64, tests: u64) -> Option<u64> {
        let level = alpha / tests.max(1) as f64;
        let reachable = (0.0..=1.0).contains(&background) && 1.0 - background >= self.params.min_lift;
        if !reachable || level.is_nan() || level <= 0.0 {
            return None;
        }
        let rate = self.null_rate(background);
        let count = (level.ln() / rate.ln()).ceil().max(0.0) as u64;
        Some(count.max(FEWEST_CARRIERS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_line_of_pure_triggers() {
        let null = IntervalNull::default();
        // background, null rate, then the smallest count for 10^3, 10^4 and 10^6 tests at 0.01.
        let table = [(0.02, 0.075, [5, 6, 8]), (0.10, 0.31, [10, 12, 16]), (0.27, 0.60, [23, 27, 36]), (0.50, 0.80, [52, 62, 83])];
        for (background, rate, counts) in table {
            assert!((null.null_rate(background) - rate).abs() < 0.005, "{background}");
            for (tests, count) in [1_000, 10_000, 1_000_000].into_iter().zip(counts) {
                let found = null.smallest_detectable(background, 0.01, tests);
                assert_eq!(found, Some(count), "{background} {tests}");
                let p = |c| null.test(c, c, background, 1_000_000).unwrap();
                assert!(p(count) <= 0.01 / tests as f64 && p(count - 1) > 0.01 / tests as f64, "{background} {tests}");
            }
        }
        assert_eq!(null.smallest_detectable(0.02, 0.01, 1), Some(4));
        assert_eq!(null.smallest_detectable(0.76, 0.01, 1), None);
        assert_eq!(null.smallest_detectable(0.5, 0.0, 1), None);
        assert_eq!(null.smallest_detectable(f64::NAN, 0.01, 1), None);
    }

    #[test]
    fn gates_refuse() {
        let null = IntervalNull::default();
        assert!(null.test(4, 4, 0.1, 40).is_some());
        assert_eq!(null.test(3, 3, 0.1, 1_000), None, "too few carriers");
        assert_eq!(null.test(14, 14, 0.1, 41), None, "too large a support");
        assert_eq!(null.test(41, 25, 0.1, 400), None, "purity is relaxed for at most a tenth of the rows");
        assert!(null.test(40, 25, 0.1, 400).is_some());
        assert_eq!(null.test(20, 13, 0.1, 1_000), None, "too low a purity");
        assert!(null.test(20, 14, 0.1, 1_000).is_some());
        assert_eq!(null.test(39, 20, 0.1, 1_000), None, "relaxed purity needs 40 carriers");
        assert!(null.test(40, 16, 0.1, 1_000).is_some());
        assert_eq!(null.test(40, 15, 0.1, 1_000), None, "too low even for relaxed purity");
        assert_eq!(null.test(20, 20, 0.76, 1_000), None, "too low a lift");
        assert_eq!(null.test(20, 21, 0.1, 1_000), None, "more agreeing than carriers");
        assert_eq!(null.test(20, 20, f64::NAN, 1_000), None);
        assert_eq!(null.test(0, 0, 0.1, 0), None);
    }

    #[test]
    fn cover_rows_do_not_hide_a_trigger() {
        // The value is a sum in 60 digits; tolerance 1e-11.
        let p = IntervalNull::default().test(300, 150, 0.1, 50_000).unwrap();
        assert!((p / 3.047_544_927_251_553e-12 - 1.0).abs() < 1e-11, "{p:e}");
    }

    #[test]
    fn settings_are_checked() {
        let refused = |change: fn(&mut IntervalParams)| {
            let mut params = IntervalParams::default();
            change(&mut params);
            matches!(IntervalNull::new(params), Err(Error::Config { .. }))
        };
        assert!(!refused(|_| ()));
        assert!(refused(|p| p.odds_ratio = 0.99));
        assert!(!refused(|p| p.odds_ratio = 1.0));
        assert!(refused(|p| p.odds_ratio = f64::INFINITY));
        assert!(refused(|p| p.clip = (0.0, 0.98)));
        assert!(refused(|p| p.clip = (0.02, 1.0)));
        assert!(refused(|p| p.clip = (0.5, 0.5)));
        assert!(refused(|p| p.min_lift = 1.0));
        assert!(refused(|p| p.min_lift = f64::NAN));
        assert!(refused(|p| p.min_purity = 1.01));
        assert!(refused(|p| p.relaxed_purity = 0.71));
        assert!(refused(|p| p.relaxed_support = 1.1));
        assert!(refused(|p| p.max_support = -0.1));
    }

    #[test]
    fn settings_are_checked_on_the_way_in() {
        let null: IntervalNull = serde_json::from_str(r#"{"odds_ratio": 2.0}"#).unwrap();
        assert!((null.null_rate(0.5) - 2.0 / 3.0).abs() < 1e-15);
        assert!(serde_json::from_str::<IntervalNull>(r#"{"odds_ratio": 0.5}"#).is_err());
        assert!(serde_json::from_str::<IntervalNull>(r#"{"ods_ratio": 2.0}"#).is_err());
    }
}
