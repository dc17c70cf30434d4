//! From the row scores of one detector to a list of rows with a bounded share of mistakes.

use serde::{Deserialize, Serialize};

use crate::finding::{ScoreSpread, Tier};
use crate::fold::Claim;
use crate::stats::bottom_k::BottomK;
use crate::stats::multiple::PosteriorHistogram;

use super::Surprisal;

/// Scores kept as a uniform sample.
const SAMPLE: usize = 65_536;

/// What is kept of one detector's scores over all rows; merges exactly.
#[derive(Serialize, Deserialize)]
pub struct ScoreSummary {
    claim: Claim,
    histogram: PosteriorHistogram,
    sample: Option<BottomK<f64>>,
}

impl ScoreSummary {
    /// Nothing seen yet; with `fused` a sample is kept for [`surprisal`](Self::surprisal).
    #[must_use]
    pub fn new(claim: Claim, fused: bool) -> Self {
        Self { claim, histogram: PosteriorHistogram::default(), sample: fused.then(|| BottomK::new(SAMPLE)) }
    }

    /// Takes in the scores of rows with these keys.
    pub fn observe(&mut self, keys: &[u64], scores: &[Option<f64>]) {
        for (key, score) in keys.iter().zip(scores) {
            let Some(score) = score.filter(|s| s.is_finite()) else { continue };
            if self.claim == Claim::Posterior {
                self.histogram.add(score);
            }
            if let Some(sample) = &mut self.sample {
                sample.insert(*key, score);
            }
        }
    }

    /// How rare scores are, where a sample was asked for.
    #[must_use]
    pub fn surprisal(&self) -> Option<Surprisal> {
        self.sample.as_ref().map(|sample| Surprisal::new(sample.iter().map(|(_, count, score)| (*score, count))))
    }

    /// How the posteriors of the rows that `listing` lists lie among all; `None` where scores are none.
    #[must_use]
    pub fn spread(&self, listing: &Listing) -> Option<ScoreSpread> {
        if self.claim != Claim::Posterior || self.histogram.rows() == 0 {
            return None;
        }
        let mut spread = ScoreSpread::default();
        for (lowest, rows) in self.histogram.counts() {
            spread.add(lowest, rows, listing.q(Some(lowest)).is_some());
        }
        Some(spread)
    }

    /// Joins two summaries.
    pub fn merge(&mut self, other: Self) {
        self.histogram.merge(&other.histogram);
        if let (Some(into), Some(from)) = (&mut self.sample, other.sample) {
            into.merge(from);
        }
    }

    /// Decides which scores are listed at a false-discovery rate.
    #[must_use]
    pub fn list(&self, fdr: f64) -> Listing {
        match self.claim {
            Claim::Posterior => self.histogram.threshold(fdr).map_or(Listing::Nothing, |lowest| Listing::Posterior { lowest }),
            claim @ (Claim::Group | Claim::Note | Claim::Rank) => Listing::of(claim),
        }
    }
}

/// Which rows one detector lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Listing {
    /// None.
    Nothing,
    /// Rows whose posterior is at least this.
    Posterior {
        /// The lowest listed posterior.
        lowest: f64,
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
        matches!(self, Self::Posterior { .. })
    }

    /// The q-value of a row with this score if it is listed; membership is decided elsewhere.
    #[must_use]
    pub fn q(&self, score: Option<f64>) -> Option<(Tier, f64)> {
        let score = score.filter(|s| s.is_finite())?;
        match self {
            Self::Nothing | Self::Members => None,
            Self::Posterior { lowest } => (score >= *lowest).then(|| (Tier::Suspect, (1.0 - score).clamp(0.0, 1.0))),
        }
    }
}
