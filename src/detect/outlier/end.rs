//! Where the values of one side end, and which gap sets the outermost apart.

use serde::{Deserialize, Serialize};

use super::posterior::posterior;

/// Least gap in nats: the density must fall by this much even where many rows lie beyond the gap, because values that were
/// rounded have gaps too.
const LEAST_GAP: f64 = 2.0;
/// Rows that hold the outermost value where it is a code.
const CODE_ROWS: f64 = 5.0;
/// Fewest spacings between different values that say how the values inside a gap are spaced.
const NEAREST: usize = 10;
/// Largest probability of such a gap before the values beyond it, were they a tail of their own.
const OWN_TAIL: f64 = 0.02;

/// What lies beyond a point of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Beyond {
    /// No gap to speak of.
    More,
    /// Rows that a gap sets apart.
    Apart,
    /// Rows that a gap sets apart, and that agree in other columns as well: a group of its own.
    Group,
}

/// A value of the sample near the end of the side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    /// Tail surprisal, nats.
    pub(super) surprisal: f64,
    /// Logarithm of the distance from the centre, in units of the column.
    pub(super) ln_distance: f64,
    /// Distinct rows of the sample at least as far out: copies of a row are no evidence of more of its kind.
    pub(super) rows: u64,
    /// Rows of the sample with this very value, copies counted.
    pub(super) same: u64,
    /// What lies farther out.
    pub(super) beyond: Beyond,
}

/// Normalised log-spacings up to the next different value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spacing {
    pub(super) sum: f64,
    /// Spacings, those between equal values included.
    pub(super) count: f64,
}

impl Spacing {
    /// `ln (1 + T / S)^−k` of a normalised gap T against these k spacings with the sum S.
    fn ln_p(self, gap: f64) -> f64 {
        if self.sum > 0.0 { -self.count.max(1.0) * (gap / self.sum).ln_1p() } else { f64::NEG_INFINITY }
    }

    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// The end of one side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    /// From the outermost value that is part of the data, outwards.
    pub(super) crest: Vec<Point>,
    /// From the crest's first inwards.
    pub(super) before: Vec<Spacing>,
}

impl End {
    /// From a point of the crest to the next.
    fn step(&self, at: usize) -> Option<Spacing> {
        let (here, next) = (self.crest.get(at)?, self.crest.get(at + 1)?);
        Some(Spacing { sum: next.rows as f64 * (next.ln_distance - here.ln_distance), count: (here.rows - next.rows) as f64 })
    }

    /// ln p of a normalised gap outside the point at `at`, were it one more of the spacings inside, and whether most values
    /// there are held by one row each. Of all windows of the nearest spacings the one that speaks least against it counts,
    /// because the outermost may be spaced wider than those before; `all` takes all of them alone.
    fn inside(&self, at: usize, gap: f64, beyond: f64, all: bool) -> (f64, bool) {
        let own = self.crest.get(at).map_or(0.0, |point| point.rows as f64) - beyond;
        // Rows with one value have spacings of 0 between them; one of them is the gap.
        let mut inside = Spacing { sum: 0.0, count: (own - 1.0).max(0.0) };
        let (mut ln_p, mut different, mut single) = (f64::NEG_INFINITY, 0, false);
        for spacing in (0..at).rev().filter_map(|at| self.step(at)).chain(self.before.iter().copied()) {
            inside.add(spacing);
            different += 1;
            if different <= NEAREST {
                single = 2.0 * different as f64 >= inside.count;
            }
            if different >= NEAREST && !all {
                ln_p = ln_p.max(inside.ln_p(gap));
            }
        }
        (ln_p.max(inside.ln_p(gap)), single)
    }

    /// ln p of a normalised gap outside the point at `at`, were the rows beyond it a tail of their own.
    fn outside(&self, at: usize, gap: f64) -> f64 {
        let mut outside = Spacing::default();
        (at + 1..self.crest.len()).filter_map(|at| self.step(at)).for_each(|spacing| outside.add(spacing));
        // Rows with the outermost value have spacings of 0 between them.
        outside.count = self.crest.get(at + 1).map_or(0.0, |point| point.rows.saturating_sub(1) as f64);
        if outside.count > 0.0 { outside.ln_p(gap) } else { f64::NEG_INFINITY }
    }

    /// ln p of the gap between the point at `at` and the next, or a value with this surprisal and distance where that lies
    /// nearer; 0 where it is none.
    fn ln_gap_at(&self, at: usize, surprisal: f64, ln_distance: f64) -> f64 {
        let Some(point) = self.crest.get(at) else { return 0.0 };
        let next = self.crest.get(at + 1);
        let rows = next.map_or(1, |next| next.rows).max(1) as f64;
        let gap = next.map_or(surprisal, |next| next.surprisal.min(surprisal)) - point.surprisal;
        let log_gap = rows * (next.map_or(ln_distance, |next| next.ln_distance.min(ln_distance)) - point.ln_distance).max(0.0);
        if self.outside(at, log_gap) > OWN_TAIL.ln() {
            return 0.0;
        }
        let beyond = next.map_or(0.0, |next| next.rows as f64);
        let (spaced, single) = self.inside(at, log_gap, beyond, false);
        let tries = (rows * (rows + 1.0)).ln();
        if at + 2 == self.crest.len() && rows >= CODE_ROWS && single {
            return tries + self.inside(at, log_gap, beyond, true).0;
        }
        if gap >= LEAST_GAP { tries + spaced.max(-rows * gap) } else { 0.0 }
    }

    /// ln p of the gap that lies between a value with this surprisal and distance and the rest of the data, the best of all
    /// gaps with no group beyond; 0 without one.
    ///
    /// A gap must be one by three measures. With an exponential tail, which fitted surprisals have, the gap below the outermost i
    /// values is exponential with mean 1/i (Rényi 1953): `p = exp(−i gap)`. The fit may be too light for the end of a mixture; there
    /// a Pareto tail of its own makes the normalised log-spacings exponential with one unknown mean (Hill 1975), so that with
    /// the sum S of k spacings and T = i times the gap's own, T k / S is distributed as F(2, 2k): `p = (1 + T / S)^−k`. This is asked
    /// of the spacings inside the gap, of as many as speak least against it, and the larger p counts, times `i (i + 1)` because
    /// any i is tried. It is asked of those outside it as well: where T could be one of them, the values beyond are no error apart
    /// from the rest but a tail that begins among it.
    ///
    /// Where several rows hold one and the same outermost value, and most values before it are held by one row each, that value is
    /// a code such as −1 for "unknown". It may lie near the others, so the spacings inside alone are asked.
    pub(super) fn ln_gap(&self, surprisal: f64, ln_distance: f64) -> f64 {
        let inside = self.crest.iter().enumerate().take_while(|(_, point)| point.surprisal < surprisal);
        let gaps = inside.filter(|(_, point)| point.beyond != Beyond::Group);
        gaps.map(|(at, _)| self.ln_gap_at(at, surprisal, ln_distance)).fold(0.0, f64::min)
    }

    /// Decides what lies beyond each point: of the rows beyond a gap that is significant over `ln_tests` chances, `grouped`
    /// says, given the surprisal that they exceed, whether they are a group.
    pub(super) fn mark(&mut self, ln_tests: f64, mut grouped: impl FnMut(f64) -> bool) {
        for at in 0..self.crest.len().saturating_sub(1) {
            let significant = posterior(self.ln_gap_at(at, f64::INFINITY, f64::INFINITY) + ln_tests).is_some();
            if let Some(point) = self.crest.get_mut(at).filter(|_| significant) {
                point.beyond = if grouped(point.surprisal) { Beyond::Group } else { Beyond::Apart };
            }
        }
    }

    /// Rows of the sample with the very value of this distance, and all beyond the innermost gap; 0 where there are none.
    pub(super) fn rows_with(&self, ln_distance: f64) -> (u64, u64) {
        let beyond = self.crest.iter().skip_while(|point| point.beyond == Beyond::More).skip(1);
        let is_same = |point: &&Point| point.ln_distance.total_cmp(&ln_distance).is_eq();
        (beyond.clone().find(is_same).map_or(0, |point| point.same), beyond.map(|point| point.same).sum())
    }

    /// Whether a value with this surprisal belongs to a group: the farthest gap that it lies beyond has one beyond it.
    pub(super) fn is_grouped(&self, surprisal: f64) -> bool {
        let inside = self.crest.iter().take_while(|point| point.surprisal < surprisal);
        inside.filter(|point| point.beyond != Beyond::More).last().is_some_and(|point| point.beyond == Beyond::Group)
    }
}
