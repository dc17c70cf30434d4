//! One side of a numeric column: how far out its values usually lie.

use serde::{Deserialize, Serialize};

use super::end::{Beyond, End, Point, Spacing};
use crate::stats::pot::Tail;
use crate::stats::robust::quantile;

/// Quantile above which the tail is fitted. Low enough that the tenth of the exceedances that the fit does not look at
/// holds any outliers, up to one row in a hundred.
const THRESHOLD: f64 = 0.9;
/// Fewest exceedances for a fit.
const FEWEST: usize = 40;
/// Shape from which a tail is fitted anew on the logarithm of the distance from the centre.
const HEAVY: f64 = 0.35;
/// Shape where nothing can be fitted: the heaviest that the fit knows.
const HEAVIEST: f64 = 0.5;
/// Share of rows on one value from which the others have no scale of their own.
const SPIKE: f64 = 0.9;
/// Share of rows that makes a value a level and a cluster a part of the data.
const LEVEL: f64 = 0.003;
/// Rows that make a level in a small set, as long as they are at most [`SMALL_LEVEL`] of it.
const LEVEL_ROWS: f64 = 30.0;
/// See [`LEVEL_ROWS`].
const SMALL_LEVEL: f64 = 0.02;
/// The spacings before the crest are those of the outermost rows that are this many times as many as the crest's.
const SPACINGS: usize = 4;

/// Upper side of a column; for the lower side values are negated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    centre: f64,
    /// Where distances from the centre are taken as `ln(1 + distance / spread)`: the spread.
    spread: Option<f64>,
    threshold: f64,
    share: f64,
    shape: f64,
    scale: f64,
    /// Factor on the surprisal, at most 1, where the sample's end is heavier than the fit.
    damping: f64,
    /// Its outermost values.
    end: End,
}

/// Rows that a level has at least, of `n`.
pub(super) fn level_rows(n: usize) -> usize {
    (LEVEL * n as f64).max(LEVEL_ROWS.min(SMALL_LEVEL * n as f64)).ceil() as usize
}

impl Side {
    /// Fits values in ascending order, and those of distinct rows alone in the same order. The `apart` outermost are known to be no
    /// part of the rest. `None` where nothing spreads on this side.
    pub(super) fn fit(sorted: &[f64], distinct: &[f64], centre: f64, apart: usize) -> Option<Self> {
        let (plain, fitted) = Self::fit_scale(sorted, distinct, centre, None, apart)?;
        if !fitted || plain.shape < HEAVY {
            return Some(plain);
        }
        let above = sorted.get(sorted.partition_point(|&x| x <= centre)..)?;
        let spread = quantile(above, 0.5)? - centre;
        let folded = (spread > 0.0 && spread.is_finite()).then(|| Self::fit_scale(sorted, distinct, centre, Some(spread), apart)).flatten();
        Some(folded.map_or(plain, |(side, _)| side))
    }

    /// The side, and whether its tail was fitted rather than assumed.
    fn fit_scale(sorted: &[f64], distinct: &[f64], centre: f64, spread: Option<f64>, apart: usize) -> Option<(Self, bool)> {
        let mut side = Self { centre, spread, threshold: 0.0, share: 1.0, shape: 0.0, scale: 1.0, damping: 1.0, end: End::default() };
        let far: Vec<f64> = sorted.iter().map(|&x| side.distance(x)).collect();
        let fitted = side.fit_tail(far.get(..far.len().saturating_sub(apart))?)?;
        let rows: Vec<f64> = distinct.iter().map(|&x| side.distance(x)).collect();
        side.climb(&far, &rows, apart);
        Some((side, fitted))
    }

    /// Distance from the centre, 0 on the other side of it.
    fn distance(&self, x: f64) -> f64 {
        let distance = (x - self.centre).clamp(0.0, f64::MAX);
        self.spread.map_or(distance, |spread| (distance / spread).ln_1p())
    }

    fn fit_tail(&mut self, far: &[f64]) -> Option<bool> {
        let n = far.len();
        let body = quantile(far, THRESHOLD)?;
        let from = far.partition_point(|&x| x <= body);
        let mut above = far.get(from..)?;
        // A spike that reaches over the threshold leaves what lies beyond it, whose near end is not yet a tail.
        if above.len() * 20 < n {
            above = above.get(above.len() / 2..)?;
        }
        let mut best: Option<Tail> = None;
        while above.len() >= FEWEST {
            let threshold = n.checked_sub(above.len() + 1).and_then(|i| far.get(i)).copied().unwrap_or(0.0);
            let beyond = far.len() - far.partition_point(|&x| x <= threshold);
            let Some(tail) = Tail::fit(above, threshold, beyond as f64 / n as f64) else { break };
            let fits = tail.deviation() <= 1.63 / (above.len() as f64).sqrt();
            if best.is_none_or(|best| tail.deviation() < best.deviation()) {
                self.share = beyond as f64 / n as f64;
                best = Some(tail);
            }
            if fits {
                break;
            }
            above = above.get(above.len() / 2..)?;
        }
        match best {
            Some(tail) => {
                self.threshold = tail.threshold();
                // A tail that seems to end does so for the values that were seen: no value is impossible beyond.
                let margin = (tail.exceedances() as f64).sqrt().recip();
                self.shape = tail.shape().max(0.0) + margin;
                self.scale = tail.scale();
            }
            None => self.assume_tail(far)?,
        }
        Some(best.is_some())
    }

    /// A tail for values that are too few or too discrete to fit one: the heaviest, on the scale of the usual values.
    fn assume_tail(&mut self, far: &[f64]) -> Option<()> {
        let n = far.len();
        let mut longest = 0;
        let mut start = 0;
        for (i, x) in far.iter().enumerate() {
            if far.get(start).is_none_or(|first| first < x) {
                start = i;
            }
            longest = longest.max(i + 1 - start);
        }
        let usual = far.get(..n - level_rows(n).min(n))?;
        let positive = usual.get(usual.partition_point(|&x| x <= 0.0)..)?;
        if longest as f64 > SPIKE * n as f64 || positive.is_empty() {
            return None;
        }
        self.threshold = quantile(usual, 0.99)?;
        let beyond = n - far.partition_point(|&x| x < self.threshold);
        self.share = beyond.max(1) as f64 / n as f64;
        self.shape = HEAVIEST;
        self.scale = positive.iter().sum::<f64>() / positive.len() as f64;
        (self.scale > 0.0 && self.scale.is_finite()).then_some(())
    }

    /// Takes down the end of the side, from the outermost level or, without one, so many rows that they could be one, but all of
    /// the `apart` outermost: distances of all rows and of distinct ones.
    fn climb(&mut self, far: &[f64], distinct: &[f64], apart: usize) {
        let n = far.len();
        let most = level_rows(n);
        let mut points: Vec<Point> = Vec::new();
        let mut end = n;
        while let Some(&x) = end.checked_sub(1).and_then(|i| far.get(i)) {
            let start = far.partition_point(|&y| y < x);
            let rows = (distinct.len() - distinct.partition_point(|&y| y < x)) as u64;
            let (surprisal, ln_distance, same) = (self.fitted(x), self.ln_plain(x), (end - start) as u64);
            points.push(Point { surprisal, ln_distance, rows, same, beyond: Beyond::More });
            let is_level = n - start > most.max(apart) || end - start >= most;
            end = start;
            if is_level {
                break;
            }
        }
        points.reverse();
        if let Some(foot) = points.first() {
            let seen = (n as f64 / (n - end).max(1) as f64).ln();
            if foot.surprisal > seen {
                self.damping = seen / foot.surprisal;
            }
        }
        for point in &mut points {
            point.surprisal *= self.damping;
        }
        let beyond = points.first().map_or(0, |foot| foot.rows as usize).min(distinct.len());
        self.end = End { before: self.spacings(distinct, distinct.len() - beyond), crest: points };
    }

    /// Normalised log-spacings `j (ln dⱼ − ln dⱼ₊₁)` from the row at `end`, exclusive, inwards, j rows being at least as far
    /// out; over some times as many rows as there are beyond, and as long as they are on this side of the centre.
    fn spacings(&self, far: &[f64], end: usize) -> Vec<Spacing> {
        let start = far.len() - (SPACINGS * (far.len() - end)).min(far.len());
        let inner = far.get(start.max(far.partition_point(|&x| x <= 0.0))..=end.min(far.len().saturating_sub(1))).unwrap_or(&[]);
        let mut out: Vec<Spacing> = Vec::new();
        let mut equal = 0.0;
        for (back, pair) in inner.windows(2).rev().enumerate() {
            let [near, next] = pair else { continue };
            equal += 1.0;
            if near < next {
                let sum = (far.len() - end + back) as f64 * (self.ln_plain(*next) - self.ln_plain(*near));
                out.push(Spacing { sum, count: equal });
                equal = 0.0;
            }
        }
        if let Some(last) = out.last_mut() {
            last.count += equal;
        }
        out
    }

    /// Logarithm of a distance that [`distance`](Self::distance) gave, in units of the column.
    fn ln_plain(&self, far: f64) -> f64 {
        self.spread.map_or(far, |spread| far.exp_m1() * spread).clamp(f64::MIN_POSITIVE, f64::MAX).ln()
    }

    fn fitted(&self, far: f64) -> f64 {
        let at = -self.share.ln();
        if far <= self.threshold {
            return if self.threshold > 0.0 { at * far / self.threshold } else { 0.0 };
        }
        let excess = (far - self.threshold) / self.scale;
        at + (self.shape * excess).ln_1p() / self.shape
    }

    /// Tail surprisal `−ln P(value at least as far out)`, nats; 0 at the centre and on the other side of it. Above the
    /// threshold by the fitted tail, below it straight.
    pub(super) fn surprisal(&self, x: f64) -> f64 {
        self.damping * self.fitted(self.distance(x))
    }

    /// ln p of the gap that lies between this value and the rest of the data; see [`End::ln_gap`].
    pub(super) fn ln_gap(&self, x: f64) -> f64 {
        self.end.ln_gap(self.surprisal(x), self.ln_plain(self.distance(x)))
    }

    /// Finds the groups among rows beyond gaps; see [`End::mark`]. `grouped` is told how to tell whether a value is among them.
    pub(super) fn mark(&mut self, ln_tests: f64, mut grouped: impl FnMut(&dyn Fn(f64) -> bool) -> bool) {
        let mut end = std::mem::take(&mut self.end);
        end.mark(ln_tests, |inside| grouped(&|x| self.surprisal(x) > inside));
        self.end = end;
    }

    /// Rows of the sample with this very value, and all that a gap sets apart on this side; 0 where there are none.
    pub(super) fn rows_with(&self, x: f64) -> (u64, u64) {
        if x > self.centre { self.end.rows_with(self.ln_plain(self.distance(x))) } else { (0, 0) }
    }

    /// Whether a value belongs to a group beyond a gap.
    pub(super) fn is_grouped(&self, x: f64) -> bool {
        self.end.is_grouped(self.surprisal(x))
    }
}
