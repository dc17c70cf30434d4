//! How the scores of listed and of other rows lie.

use serde::{Deserialize, Serialize};

/// Rows by a score of 0 to 1, in [`ScoreSpread::BINS`] equal bins: those that are listed, and the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreSpread {
    /// Listed rows, the lowest scores first.
    pub listed: Vec<u64>,
    /// All other rows that were judged.
    pub others: Vec<u64>,
}

impl Default for ScoreSpread {
    fn default() -> Self {
        Self { listed: vec![0; Self::BINS], others: vec![0; Self::BINS] }
    }
}

impl ScoreSpread {
    /// Parts of the range of scores; a power of two, so that their edges are exact.
    pub const BINS: usize = 32;

    /// Adds rows with a score; what is not finite was not judged and is not counted, what lies outside is counted at the end.
    pub fn add(&mut self, score: f64, rows: u64, listed: bool) {
        if !score.is_finite() {
            return;
        }
        let bin = ((score.clamp(0.0, 1.0) * Self::BINS as f64) as usize).min(Self::BINS - 1);
        let side = if listed { &mut self.listed } else { &mut self.others };
        if let Some(count) = side.get_mut(bin) {
            *count = count.saturating_add(rows);
        }
    }
}
