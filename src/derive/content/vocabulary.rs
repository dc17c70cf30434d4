//! Sparse items of rows as columns: the frequent ones, weighted by how few rows hold them.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::stats::design::Csr;

/// The `most` most frequent of the items that occur twice or more, with how often each does, the most frequent first.
pub(super) fn frequent(items: impl Iterator<Item = u64>, most: usize) -> Vec<(u64, u32)> {
    let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let mut items: Vec<(u64, u32)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    items.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    items.truncate(most);
    items
}

/// Column and inverse document frequency of each item.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Vocabulary(FxHashMap<u64, (u32, f32)>);

impl Vocabulary {
    /// The `most` most frequent of the items that occur twice or more; one that occurs once tells nothing. `rows` holds each row's
    /// distinct items.
    pub(super) fn new(rows: impl ExactSizeIterator<Item = Vec<u64>>, most: usize) -> Self {
        let count = rows.len() as f32;
        let items = frequent(rows.flatten(), most);
        let weight = |held: u32| ((1.0 + count) / (1.0 + held as f32)).ln() + 1.0;
        Self((0u32..).zip(items).map(|(column, (item, held))| (item, (column, weight(held)))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Weights of rows' items, rows × vocabulary, each row of length 1.
    pub(super) fn map(&self, rows: impl Iterator<Item = Vec<u64>>) -> Result<Csr> {
        let mut out = Csr::empty(self.0.len());
        for row in rows {
            let hits: Vec<(u32, f32)> = row.into_iter().filter_map(|item| self.0.get(&item).copied()).collect();
            let length = hits.iter().map(|(_, w)| w * w).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            out.push(hits.into_iter().map(|(column, weight)| (column, weight / length)))?;
        }
        Ok(out)
    }
}
