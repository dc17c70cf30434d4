//! Levels of a categorical column and how rare each is.

use serde::{Deserialize, Serialize};

use crate::derive::SampleModel;

/// Fewest rows with a value for a column to be fitted.
pub(super) const FEWEST: usize = 50;
/// A categorical column with more levels than this share of its rows holds names, not levels.
const MOST_LEVELS: f64 = 0.05;

/// A categorical column with few levels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Levels {
    position: usize,
    /// (hash, rows) of the levels in the sample, by hash; null is none.
    counts: Vec<(u64, u64)>,
    rows: u64,
}

impl Levels {
    /// Counts the levels of the categorical column at `position`; `copies` says how often each row of the sample counts.
    /// `None` for a column of names, or too few values.
    pub(super) fn fit(position: usize, sample: &SampleModel, copies: &[usize]) -> Option<Self> {
        // 0 stands for null.
        let cells =
            sample.rows.iter().zip(copies).filter_map(|(row, &n)| Some((*row.cells.get(position)?, n))).filter(|(hash, _)| *hash != 0);
        let mut hashes: Vec<u64> = cells.flat_map(|(hash, n)| std::iter::repeat_n(hash, n)).collect();
        hashes.sort_unstable();
        let counts: Vec<(u64, u64)> =
            hashes.chunk_by(|a, b| a == b).filter_map(|level| Some((*level.first()?, level.len() as u64))).collect();
        let few = hashes.len() >= FEWEST && counts.len() as f64 <= MOST_LEVELS * hashes.len() as f64;
        few.then_some(Self { position, counts, rows: hashes.len() as u64 })
    }

    /// Which of the categorical columns.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Number of levels.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Rows of the sample with a value.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of the sample with a level; one that it does not hold is as rare as can be.
    pub(super) fn rows_with(&self, hash: u64) -> u64 {
        let found = self.counts.binary_search_by_key(&hash, |level| level.0).ok().and_then(|i| self.counts.get(i));
        found.map_or(1, |level| level.1)
    }

    /// `−ln` of the level's share of the rows, nats; 0 for null, whose hash is 0.
    pub(super) fn surprisal(&self, hash: u64) -> f64 {
        if hash == 0 { 0.0 } else { (self.rows as f64 / self.rows_with(hash) as f64).ln() }
    }
}
