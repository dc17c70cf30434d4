//! From the row scores of one detector to a list of rows with a bounded share of mistakes.

use crate::finding::Tier;
use crate::fold::Claim;
use crate::stats::bottom_k::BottomK;
use crate::stats::multiple::{PosteriorHistogram, bh_q_values};
use crate::stats::pot::Tail;
use crate::stats::robust::quantile;

/// Scores kept as a uniform sample for the tail fit.
const SAMPLE: usize = 65_536;
/// Scores kept from the top; no more rows than this can be listed by a tail.
const TOP: usize = 65_536;
/// Quantile above which the tail is fitted.
const THRESHOLD: f64 = 0.98;
/// Fewest scores for a tail fit.
const FEWEST: usize = 200;

/// What is kept of one detector's scores over all rows; merges exactly.
pub struct ScoreSummary {
    claim: Claim,
    judged: u64,
    histogram: PosteriorHistogram,
    sample: BottomK<f64>,
    top: Vec<f64>,
}

impl ScoreSummary {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(claim: Claim) -> Self {
        Self { claim, judged: 0, histogram: PosteriorHistogram::default(), sample: BottomK::new(SAMPLE), top: Vec::new() }
    }

    /// Takes in the scores of rows with these keys.
    pub fn observe(&mut self, keys: &[u64], scores: &[Option<f64>]) {
        for (key, score) in keys.iter().zip(scores) {
            let Some(score) = score.filter(|s| s.is_finite()) else { continue };
            self.judged += 1;
            match self.claim {
                Claim::Posterior => self.histogram.add(score),
                Claim::Tail => {
                    self.sample.insert(*key, score);
                    self.top.push(score);
                    if self.top.len() > 2 * TOP {
                        self.shrink();
                    }
                }
                Claim::Group | Claim::Rank => {}
            }
        }
    }

    /// Joins two summaries.
    pub fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.histogram.merge(&other.histogram);
        self.sample.merge(other.sample);
        self.top.extend(other.top);
        self.shrink();
    }

    fn shrink(&mut self) {
        self.top.sort_unstable_by(|a, b| b.total_cmp(a));
        self.top.truncate(TOP);
    }

    /// Decides which scores are listed at a false-discovery rate.
    #[must_use]
    pub fn list(mut self, fdr: f64) -> Listing {
        match self.claim {
            Claim::Posterior => self.histogram.threshold(fdr).map_or(Listing::Nothing, |lowest| Listing::Posterior { lowest }),
            Claim::Tail => {
                self.shrink();
                self.list_tail(fdr).unwrap_or(Listing::Nothing)
            }
            claim @ (Claim::Group | Claim::Rank) => Listing::of(claim),
        }
    }

    fn list_tail(self, fdr: f64) -> Option<Listing> {
        let mut sample: Vec<f64> = self.sample.into_items().collect();
        if sample.len() < FEWEST {
            return None;
        }
        sample.sort_unstable_by(f64::total_cmp);
        let threshold = quantile(&sample, THRESHOLD)?;
        let above: Vec<f64> = sample.iter().copied().filter(|s| *s > threshold).collect();
        let tail = Tail::fit(&above, threshold, above.len() as f64 / sample.len() as f64)?;
        let p: Vec<f64> = self.top.iter().take_while(|s| **s > threshold).map(|s| tail.survival(*s)).collect();
        let q = bh_q_values(&p, self.judged);
        let listed = q.partition_point(|q| *q <= fdr);
        (listed > 0).then(|| Listing::Tail { scores: self.top[..listed].to_vec(), q: q[..listed].to_vec() })
    }
}

/// Which rows one detector lists.
pub enum Listing {
    /// None.
    Nothing,
    /// Rows whose posterior is at least this.
    Posterior {
        /// The lowest listed posterior.
        lowest: f64,
    },
    /// Rows with one of the largest scores.
    Tail {
        /// Listed scores, descending.
        scores: Vec<f64>,
        /// Their q-values, ascending.
        q: Vec<f64>,
    },
    /// Rows that belong to a decided cause.
    Members,
}

impl Listing {
    /// What a claim lists before any score was seen.
    #[must_use]
    pub fn of(claim: Claim) -> Self {
        if claim == Claim::Group { Self::Members } else { Self::Nothing }
    }

    /// Whether a row's score can list it.
    #[must_use]
    pub fn reads_scores(&self) -> bool {
        matches!(self, Self::Posterior { .. } | Self::Tail { .. })
    }

    /// The q-value of a row with this score if it is listed; membership is decided elsewhere.
    #[must_use]
    pub fn q(&self, score: Option<f64>) -> Option<(Tier, f64)> {
        let score = score.filter(|s| s.is_finite())?;
        match self {
            Self::Nothing | Self::Members => None,
            Self::Posterior { lowest } => (score >= *lowest).then(|| (Tier::Suspect, (1.0 - score).clamp(0.0, 1.0))),
            Self::Tail { scores, q } => {
                let at = scores.partition_point(|s| *s > score);
                (at < scores.len()).then(|| (Tier::Suspect, q[at]))
            }
        }
    }
}
