//! Whether an item was put where it stands.
//!
//! Prompts that ask the same thing in many words get the same answer, and share words that no other prompt has; so do the
//! prompts of a planted trigger. The difference is where the words stand. A planted word stands in a gap of a text that was
//! written without it: its neighbours are neighbours of each other in other rows as often as those of any gap are. What
//! stands before or after a whole prompt has beside it what begins or ends other prompts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::items::{Context, Side};
use super::verify::differ;
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::Counter;

/// Rows whose first and last words are kept.
const MOST_ENDS: usize = 1_024;
/// Fewest gaps that must be expected to be found elsewhere for a statement.
const EXPECTED: f64 = 3.0;
/// Share of that number that planted places reach.
const REACHED: f64 = 0.5;
/// Fewest carriers at one end of their rows for a statement about them.
const FEWEST_ENDS: usize = 8;
/// Standard errors by which the mean logarithm of a neighbour's frequency may lie below the others'.
const ERRORS: f64 = 3.0;
/// Share of all carriers about which there must be a statement.
const STATED: f64 = 0.5;
/// Share of all carriers from which on those that stand where language puts them speak against planting.
const AGAINST: f64 = 0.25;

/// First and last words of some rows, by text column.
pub(super) type Ends = BottomK<Vec<(u32, [Side; 2])>>;

/// What the whole set says about places.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Places {
    /// Rows of each pair of words, approximately.
    pub(super) pairs: Counter,
    /// Ends of rows.
    pub(super) ends: Ends,
}

impl Places {
    /// Nothing seen.
    pub(super) fn new(pairs: Counter) -> Self {
        Self { pairs, ends: BottomK::new(MOST_ENDS) }
    }

    /// Adds what other rows say; false where the sketches have different shapes.
    #[must_use]
    pub(super) fn merge(&mut self, other: Self) -> bool {
        self.ends.merge(other.ends);
        self.pairs.merge(&other.pairs)
    }

    /// Whether the places of an item say that it was planted; `ends` tells whether places at the ends of rows count.
    pub(super) fn planted(&self, contexts: &[&Context], ends: bool) -> bool {
        let (planted, grown) = self.shares(contexts, ends);
        planted >= STATED && grown < AGAINST
    }

    /// Whether they say that it grew there.
    pub(super) fn grown(&self, contexts: &[&Context]) -> bool {
        let (planted, grown) = self.shares(contexts, true);
        grown >= STATED && grown > planted
    }

    /// Shares of the carriers that stand as planted items do, and where language puts the item; of the rest nothing is known.
    fn shares(&self, contexts: &[&Context], ends: bool) -> (f64, f64) {
        let (mut planted, mut grown) = (0, 0);
        let mut state = |verdict: Option<bool>, carriers: usize| match verdict {
            Some(true) => planted += carriers,
            Some(false) => grown += carriers,
            None => {}
        };
        let inner: Vec<&&Context> = contexts.iter().filter(|c| !c.beside.contains(&Side::Edge)).collect();
        state(self.in_gaps(&inner), inner.len());
        for side in 0..if ends { 2 } else { 0 } {
            let at_end: Vec<&&Context> =
                contexts.iter().filter(|c| c.beside[side] == Side::Edge && c.beside[1 - side] != Side::Edge).collect();
            state(self.at_end(&at_end, side), at_end.len());
        }
        let share = |carriers: usize| carriers as f64 / contexts.len().max(1) as f64;
        (share(planted), share(grown))
    }

    /// Whether the neighbours of an item are neighbours of each other elsewhere, as those of random gaps in the same rows are.
    fn in_gaps(&self, contexts: &[&&Context]) -> Option<bool> {
        let elsewhere = |pair: u64, own: u32| self.pairs.estimate(pair) > own;
        let (mut seen, mut expected) = (0.0, 0.0);
        for context in contexts {
            seen += f64::from(u8::from(context.pair.is_some_and(|pair| elsewhere(pair, 0))));
            let again = context.gaps.iter().filter(|gap| elsewhere(**gap, 1)).count();
            expected += again as f64 / context.gaps.len().max(1) as f64;
        }
        (expected >= EXPECTED).then_some(seen >= REACHED * expected)
    }

    /// Whether what stands beside an item at the beginning (side 0) or end (side 1) of rows is what other rows begin or end
    /// with.
    fn at_end(&self, contexts: &[&&Context], side: usize) -> Option<bool> {
        if contexts.len() < FEWEST_ENDS {
            return None;
        }
        let (mut own, mut others) = (BTreeMap::new(), BTreeMap::new());
        let count = |counts: &mut BTreeMap<u64, f64>, side: Side| {
            if let Side::Word(word) = side {
                *counts.entry(word).or_default() += 1.0;
            }
        };
        for c in contexts {
            count(&mut own, c.beside[1 - side]);
        }
        let columns: Vec<u32> = contexts.iter().map(|c| c.column).collect();
        for (column, ends) in self.ends.iter().flat_map(|(_, _, ends)| ends) {
            if columns.contains(column) {
                count(&mut others, ends[side]);
            }
        }
        let total = others.values().sum::<f64>();
        let ln_share = |word: &u64, taken: f64| ((others.get(word).copied().unwrap_or(0.0) - taken + 0.5) / (total + 1.0)).ln();
        let (mean, deviation) = moments(others.iter().map(|(word, n)| (ln_share(word, 1.0), *n)));
        let (own_mean, _) = moments(own.iter().map(|(word, n)| (ln_share(word, 0.0), *n)));
        let error = deviation / own.values().sum::<f64>().max(1.0).sqrt();
        Some(own_mean >= mean - ERRORS * error && !differ(&own, &others))
    }
}

/// Mean and standard deviation of values with weights.
fn moments(values: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let weight = values.clone().map(|(_, w)| w).sum::<f64>().max(1.0);
    let mean = values.clone().map(|(v, w)| v * w).sum::<f64>() / weight;
    (mean, (values.map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / weight).sqrt())
}
