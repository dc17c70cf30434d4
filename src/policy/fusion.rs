//! One score a family from the scores of its detectors.

use serde::{Deserialize, Serialize};

use crate::finding::Family;

/// How the scores of a family's detectors become its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fusion {
    /// The largest score, each s brought to one scale by s / (1 + s): detectors look for different things, and one that finds
    /// its own is enough.
    Largest,
    /// The cubic mean of [`Surprisal`]s: detectors look for the same thing, each with blind spots, and their scores
    /// have no common scale; [`chance`] brings it to 0..1. The cube gives a detector that is sure more weight than several that see nothing.
    Surprisal,
}

/// Odds against a row of surprisal 0 being an outlier: as if one row in a thousand were.
const ODDS_AGAINST: f64 = 1_000.0;

/// What a fused surprisal (nats) says beside the posteriors of other families, 0 to 1: an ordinary row's is next to nothing.
#[must_use]
pub fn chance(surprisal: f64) -> f64 {
    1.0 / (1.0 + ODDS_AGAINST * (-surprisal).exp())
}

/// How the detectors of a family are fused.
#[must_use]
pub fn fusion(family: Family) -> Fusion {
    if family == Family::Outlier { Fusion::Surprisal } else { Fusion::Largest }
}

/// How rare a detector's scores are: `−ln` of the share of rows that score as high.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Surprisal {
    /// (score, rows that score more, rows that score the same), scores ascending.
    steps: Vec<(f64, u64, u64)>,
    rows: u64,
}

impl Surprisal {
    /// From a sample of (score, rows), in any order. Scores that are not numbers are left out.
    #[must_use]
    pub fn new(scores: impl Iterator<Item = (f64, u64)>) -> Self {
        let mut sorted: Vec<(f64, u64)> = scores.filter(|(score, _)| !score.is_nan()).collect();
        sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut steps, mut above) = (Vec::<(f64, u64, u64)>::new(), 0_u64);
        for (score, rows) in sorted {
            match steps.last_mut().filter(|last| last.0 <= score) {
                Some(last) => last.2 = last.2.saturating_add(rows),
                None => steps.push((score, above, rows)),
            }
            above = above.saturating_add(rows);
        }
        steps.reverse();
        Self { steps, rows: above }
    }

    /// `−ln P(score at least this)`, nats, by the sample; rows with the same score share their middle rank, and nothing is
    /// rarer than half a row. 0 without a sample.
    #[must_use]
    pub fn of(&self, score: f64) -> f64 {
        let at = self.steps.partition_point(|(s, _, _)| *s < score);
        let beyond = self.steps.get(at).map_or(0.0, |&(s, above, same)| {
            let here = if s <= score { 0.5 * same as f64 } else { same as f64 };
            above as f64 + here
        });
        if self.rows == 0 { 0.0 } else { -(beyond.max(0.5) / self.rows as f64).ln() }
    }
}

/// Third root of the mean cube of values of 0 or more; `None` of nothing.
#[must_use]
pub fn cubic_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), x| (count + 1, sum + x * x * x));
    (count > 0).then(|| (sum / f64::from(count)).cbrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprisals_match_ranks() {
        let rare = Surprisal::new([(2.0, 1), (1.0, 2), (5.0, 1), (1.0, 1), (f64::NAN, 9)].into_iter());
        // -ln((n - scipy.stats.rankdata(x) + .5) / n) for x = 1, 1, 1, 2, 5; tolerance 1e-12.
        for (score, share) in [(1.0, 0.7), (2.0, 0.3), (5.0, 0.1), (3.0, 0.2), (0.0, 1.0), (9.0, 0.1)] {
            assert!((rare.of(score) + f64::ln(share)).abs() < 1e-12, "{score}: {}", rare.of(score));
        }
        assert!(Surprisal::default().of(1.0).abs() <= 0.0);
    }

    #[test]
    fn an_ordinary_outlier_score_drowns_no_other() {
        assert!(chance(1.0) < 0.01 && chance(3.0) < 0.05, "rows as rare as one in twenty");
        assert!(chance(12.0) > 0.9 && chance(5.0) < chance(6.0));
    }

    #[test]
    fn one_that_is_sure_outweighs_many_that_are_not() {
        let fused = |values: [f64; 3]| cubic_mean(values.into_iter()).unwrap();
        assert!(fused([9.0, 0.5, 0.5]) > fused([4.0, 4.0, 4.0]));
        assert_eq!(cubic_mean([].into_iter()), None);
    }
}
