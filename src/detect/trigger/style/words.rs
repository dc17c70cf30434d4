//! What texts say: counts of content words, and the evidence of a row's words for a label.

use serde::{Deserialize, Serialize};

/// Binary logarithm of the number of cells that words of content are counted in.
const BITS: u32 = 17;
/// That number.
pub(super) const CELLS: usize = 1 << BITS;

/// The cell of a word's hash: its first bits.
pub(super) fn cell(hash: u64) -> u32 {
    (hash >> (64 - BITS)) as u32
}

/// How often words of content come in rows that are no carriers of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Rows by cell: with the label, and in all.
    cells: Vec<[u32; 2]>,
    /// Rows with the label, and in all.
    rows: [u64; 2],
    /// Carriers at the loosest level.
    pub(super) carriers: u64,
}

impl Words {
    pub(super) fn new() -> Self {
        Self { cells: vec![[0; 2]; CELLS], ..Self::default() }
    }

    pub(super) fn add(&mut self, words: &[u32], labelled: bool) {
        let both = [u32::from(labelled), 1];
        for cell in words {
            if let Some(slot) = self.cells.get_mut(*cell as usize) {
                *slot = std::array::from_fn(|i| slot[i].saturating_add(both[i]));
            }
        }
        self.rows = std::array::from_fn(|i| self.rows[i].saturating_add(u64::from(both[i])));
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (into, from) in self.cells.iter_mut().zip(other.cells) {
            *into = std::array::from_fn(|i| into[i].saturating_add(from[i]));
        }
        self.rows = std::array::from_fn(|i| self.rows[i].saturating_add(other.rows[i]));
        self.carriers = self.carriers.saturating_add(other.carriers);
    }

    /// Evidence of words for the label against all others, nats, as in naive Bayes with a pseudo-count of one; a row that
    /// was counted is taken out, `counted` saying with which label.
    pub(super) fn evidence(&self, words: &[u32], counted: Option<bool>) -> f64 {
        let taken = counted.map_or([0.0; 2], |labelled| [f64::from(u8::from(labelled)), 1.0]);
        let [labelled, all]: [f64; 2] = std::array::from_fn(|i| (self.rows[i] as f64 - taken[i]).max(0.0));
        let others = all - labelled;
        let prior = labelled / all.max(1.0);
        let mut sum = 0.0;
        for cell in words {
            let counts = self.cells.get(*cell as usize).copied().unwrap_or_default();
            let [with, known]: [f64; 2] = std::array::from_fn(|i| (f64::from(counts[i]) - taken[i]).max(0.0));
            if known > 0.0 {
                sum += ((with + prior) / (labelled + 1.0)).ln() - ((known - with + 1.0 - prior) / (others + 1.0)).ln();
            }
        }
        sum
    }
}
