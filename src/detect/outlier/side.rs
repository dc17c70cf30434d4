//! One side of a numeric column: how far out its values usually lie, and which lie beyond a gap.

use serde::{Deserialize, Serialize};

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
/// Least gap in nats: the density must fall by this much even where many rows lie beyond the gap, because values that were
/// rounded have gaps too.
const LEAST_GAP: f64 = 2.0;

/// Rows that hold the outermost value where it is a code.
const CODE_ROWS: f64 = 5.0;
/// The spacings before the crest are those of the outermost rows that are this many times as many as the crest's.
const SPACINGS: usize = 4;

/// A value of the sample near the end of the side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Point {
    /// Tail surprisal, nats.
    surprisal: f64,
    /// Logarithm of the distance from the centre, in units of the column.
    ln_distance: f64,
    /// Rows of the sample at least as far out.
    rows: u64,
}

/// Normalised log-spacings between neighbouring rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Spacings {
    sum: f64,
    count: f64,
    /// How many are not between equal values.
    positive: f64,
}

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
    /// From the outermost value that is part of the data, outwards.
    crest: Vec<Point>,
    /// Between the rows before the crest's first.
    before: Spacings,
}

/// Rows that a level has at least, of `n`.
pub(super) fn level_rows(n: usize) -> usize {
    (LEVEL * n as f64).max(LEVEL_ROWS.min(SMALL_LEVEL * n as f64)).ceil() as usize
}

impl Side {
    /// Fits values in ascending order. `None` where nothing spreads on this side.
    pub(super) fn fit(sorted: &[f64], centre: f64) -> Option<Self> {
        let (plain, fitted) = Self::fit_scale(sorted, centre, None)?;
        if !fitted || plain.shape < HEAVY {
            return Some(plain);
        }
        let above = sorted.get(sorted.partition_point(|&x| x <= centre)..)?;
        let spread = quantile(above, 0.5)? - centre;
        let folded = (spread > 0.0 && spread.is_finite()).then(|| Self::fit_scale(sorted, centre, Some(spread))).flatten();
        Some(folded.map_or(plain, |(side, _)| side))
    }

    /// The side, and whether its tail was fitted rather than assumed.
    fn fit_scale(sorted: &[f64], centre: f64, spread: Option<f64>) -> Option<(Self, bool)> {
        let mut side = Self {
            centre,
            spread,
            threshold: 0.0,
            share: 1.0,
            shape: 0.0,
            scale: 1.0,
            damping: 1.0,
            crest: Vec::new(),
            before: Spacings::default(),
        };
        let far: Vec<f64> = sorted.iter().map(|&x| side.distance(x)).collect();
        let fitted = side.fit_tail(&far)?;
        side.climb(&far);
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

    /// Takes down the end of the side, from the outermost level or, without one, so many rows that they could be one.
    fn climb(&mut self, far: &[f64]) {
        let n = far.len();
        let most = level_rows(n);
        let mut points: Vec<Point> = Vec::new();
        let mut end = n;
        while let Some(&x) = end.checked_sub(1).and_then(|i| far.get(i)) {
            let start = far.partition_point(|&y| y < x);
            points.push(Point { surprisal: self.fitted(x), ln_distance: self.ln_plain(x), rows: (n - start) as u64 });
            if n - start > most || end - start >= most {
                break;
            }
            end = start;
        }
        points.reverse();
        if let Some(foot) = points.first() {
            let seen = (n as f64 / foot.rows as f64).ln();
            if foot.surprisal > seen {
                self.damping = seen / foot.surprisal;
            }
        }
        for point in &mut points {
            point.surprisal *= self.damping;
        }
        self.before = self.spacings(far, n - points.first().map_or(0, |foot| foot.rows as usize));
        self.crest = points;
    }

    /// Normalised log-spacings `j (ln dⱼ − ln dⱼ₊₁)` from the row at `end`, exclusive, inwards, j rows being at least as far
    /// out; over some times as many rows as there are beyond, and as long as they are on this side of the centre.
    fn spacings(&self, far: &[f64], end: usize) -> Spacings {
        let start = far.len() - (SPACINGS * (far.len() - end)).min(far.len());
        let inner = far.get(start.max(far.partition_point(|&x| x <= 0.0))..=end.min(far.len().saturating_sub(1))).unwrap_or(&[]);
        let mut out = Spacings { count: inner.len().saturating_sub(1) as f64, ..Spacings::default() };
        for (back, pair) in inner.windows(2).rev().enumerate() {
            if let [near, next] = pair {
                out.sum += (far.len() - end + back) as f64 * (self.ln_plain(*next) - self.ln_plain(*near));
                out.positive += f64::from(near < next);
            }
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

    /// ln p of the gap that lies between this value and the rest of the data, the best of all gaps; 0 without one.
    ///
    /// A gap must be one by two measures, and the larger p counts. With an exponential tail, which fitted surprisals have, the
    /// gap below the outermost i values is exponential with mean 1/i (Rényi 1953): `p = exp(−i gap)`. The fit may be too light for
    /// the end of a mixture; there a Pareto tail of its own makes the normalised log-spacings exponential with one unknown mean
    /// (Hill 1975), so that with the sum S of the k spacings inside the gap and T = i times the gap's own, T k / S is distributed
    /// as F(2, 2k): `p = (1 + T / S)^−k`. Both times `i (i + 1)` because any i is tried.
    ///
    /// Where several rows hold one and the same outermost value, and most values before it are held by one row each, that value is
    /// a code such as −1 for "unknown". It may lie near the others, so spacings alone are asked.
    pub(super) fn ln_gap(&self, x: f64) -> f64 {
        let own = self.surprisal(x);
        let ln_own = self.ln_plain(self.distance(x));
        let mut best: f64 = 0.0;
        let mut inside = self.before;
        for (at, point) in self.crest.iter().enumerate().take_while(|(_, point)| point.surprisal < own) {
            let next = self.crest.get(at + 1);
            let gap = next.map_or(own, |next| next.surprisal.min(own)) - point.surprisal;
            let rows = next.map_or(1, |next| next.rows).max(1) as f64;
            let log_gap = rows * (next.map_or(ln_own, |next| next.ln_distance.min(ln_own)) - point.ln_distance).max(0.0);
            // Rows with one value have spacings of 0 between them.
            inside.count += point.rows as f64 - rows;
            let spaced = if inside.sum > 0.0 { -inside.count.max(1.0) * (log_gap / inside.sum).ln_1p() } else { f64::NEG_INFINITY };
            let is_code = at + 2 == self.crest.len() && rows >= CODE_ROWS && 2.0 * inside.positive >= inside.count;
            let ln_p = if is_code { spaced } else { spaced.max(-rows * gap) };
            if is_code || gap >= LEAST_GAP {
                best = best.min((rows * (rows + 1.0)).ln() + ln_p);
            }
            inside.sum += log_gap;
            inside.positive += 1.0;
        }
        best
    }
}
