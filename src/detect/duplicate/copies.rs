//! Rows that repeat another row's content, counted by content and label in bounded memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::error::Result;

/// Positions kept of the rows with one content and one label: they all look the same, so a few show enough.
const FIRST: usize = 4;
/// Estimate of the bytes that one content with one label takes: key, count, positions and the map around them.
pub(super) const PAIR_BYTES: usize = 160;
/// Stands for a null label in keys; class indices stay far below it.
const UNLABELLED: u32 = u32::MAX;

/// The rows with one content and one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    rows: u64,
    /// The smallest positions, ascending.
    first: Vec<u64>,
}

/// Counts by content and label. Holds the pairs with the smallest content hashes, so that it merges exactly: a pair is
/// left out only where `capacity` smaller ones are there, and those never leave again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pairs: BTreeMap<(u128, u32), Pair>,
    overflowed: bool,
}

impl Tally {
    /// Takes in one row.
    pub(super) fn add(&mut self, capacity: usize, content: u128, label: Option<u32>, position: u64) {
        self.join(capacity, (content, label.unwrap_or(UNLABELLED)), Pair { rows: 1, first: vec![position] });
        self.settle(capacity);
    }

    /// Adds another tally; exact.
    pub(super) fn merge(&mut self, capacity: usize, from: Self) {
        self.overflowed |= from.overflowed;
        for (key, pair) in from.pairs {
            self.join(capacity, key, pair);
        }
        self.settle(capacity);
    }

    fn join(&mut self, capacity: usize, key: (u128, u32), mut from: Pair) {
        let full = self.pairs.len() >= capacity;
        if full && self.pairs.last_key_value().is_some_and(|(last, _)| key > *last) {
            self.overflowed = true;
            return;
        }
        match self.pairs.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(from);
            }
            Entry::Occupied(mut entry) => {
                let pair = entry.get_mut();
                pair.rows = pair.rows.saturating_add(from.rows);
                pair.first.append(&mut from.first);
                pair.first.sort_unstable();
                pair.first.truncate(FIRST);
            }
        }
    }

    fn settle(&mut self, capacity: usize) {
        while self.pairs.len() > capacity {
            self.pairs.pop_last();
            self.overflowed = true;
        }
    }

    /// What repeats, of `judged` rows in all.
    pub(super) fn close(mut self, judged: u64) -> CopiesModel {
        // Some labels of the last content may be among the pairs that were left out.
        let limit = self.pairs.last_key_value().map(|(&(content, _), _)| content).filter(|_| self.overflowed);
        if let Some(limit) = limit {
            self.pairs.split_off(&(limit, 0));
        }
        let mut contents: Vec<Repeated> = Vec::new();
        for ((content, label), Pair { rows, first }) in self.pairs {
            let part = Labelled { label: (label != UNLABELLED).then_some(label), rows, first };
            match contents.last_mut().filter(|last| last.content == content) {
                Some(last) => last.labels.push(part),
                None => contents.push(Repeated { content, labels: vec![part] }),
            }
        }
        contents.retain(|repeated| repeated.rows() > 1);
        CopiesModel { judged, contents, limit }
    }
}

/// The rows with one content and one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// Class index; `None` for a null label, and for every row of a set without a label.
    pub label: Option<u32>,
    /// Number of rows.
    pub rows: u64,
    /// Positions of the first few, ascending.
    pub first: Vec<u64>,
}

/// A content that at least two rows have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// Keyed hash of the content.
    pub content: u128,
    /// Its rows by label, class indices ascending, null labels last.
    pub labels: Vec<Labelled>,
}

impl Repeated {
    /// Number of rows with this content.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.labels.iter().fold(0, |sum, part| sum.saturating_add(part.rows))
    }

    /// Position of the first row with this content.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.labels.iter().filter_map(|part| part.first.first()).min().copied()
    }
}

/// Every content that repeats; where memory did not allow that, those with the smallest hashes, a uniform sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesModel {
    /// Rows that hold any content.
    judged: u64,
    /// Contents that repeat, ascending by hash.
    contents: Vec<Repeated>,
    /// Contents with this hash or a larger one were not counted.
    limit: Option<u128>,
}

impl CopiesModel {
    /// Code of the unit that counts them.
    pub const CODE: &str = "duplicate.exact";

    /// Contents that repeat, ascending by hash.
    #[must_use]
    pub fn contents(&self) -> &[Repeated] {
        &self.contents
    }

    /// Whether contents with this hash were counted.
    #[must_use]
    pub fn covers(&self, content: u128) -> bool {
        self.limit.is_none_or(|limit| content < limit)
    }

    /// The copies of a content; `None` where it does not repeat or was not counted.
    #[must_use]
    pub fn find(&self, content: u128) -> Option<&Repeated> {
        self.contents.binary_search_by(|repeated| repeated.content.cmp(&content)).ok().and_then(|at| self.contents.get(at))
    }

    /// Share of all contents that were counted, above 0 and at most 1.
    #[must_use]
    pub fn sampled(&self) -> f64 {
        // 2^-128; the smallest share keeps divisions finite.
        self.limit.map_or(1.0, |limit| (limit as f64 * (-128.0_f64).exp2()).max(f64::MIN_POSITIVE))
    }

    /// Rows that hold any content, whether counted or not.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// Rows whose content repeats, among the contents that were counted.
    #[must_use]
    pub fn copied_rows(&self) -> u64 {
        self.contents.iter().fold(0, |sum, repeated| sum.saturating_add(repeated.rows()))
    }

    /// Share of the distinct contents that repeat, 0 to 1; an estimate where the contents are a sample.
    #[must_use]
    pub fn repeating_share(&self) -> f64 {
        let repeating = self.contents.len() as f64;
        let distinct = self.judged as f64 * self.sampled() - self.copied_rows() as f64 + repeating;
        if repeating > 0.0 { (repeating / distinct.max(repeating)).min(1.0) } else { 0.0 }
    }
}

/// Which rows hold nothing: no number, no value, no word, no picture that decodes, no embedding. They are equal to each
/// other and copies of nothing.
pub(super) fn blank(rows: &Batch) -> Result<Vec<bool>> {
    let holds = |row: usize| {
        rows.numeric().row(row).iter().any(|v| !v.is_nan())
            || rows.cells().iter().any(|column| column.get(row).is_some_and(Option::is_some))
            || rows.row_texts(row).any(|text| !text.trim().is_empty())
            || rows.images().get(row).is_some_and(Option::is_some)
    };
    let mut blank: Vec<bool> = (0..rows.rows()).map(|row| !holds(row)).collect();
    // Last, because embeddings are long and made anew for each who asks.
    if blank.contains(&true)
        && let Some(embedding) = rows.embedding()?
    {
        for (blank, vector) in blank.iter_mut().zip(embedding.rows()) {
            *blank &= vector.iter().all(|v| v.is_nan());
        }
    }
    Ok(blank)
}
