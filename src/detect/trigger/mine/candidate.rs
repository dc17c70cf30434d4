//! What the verifier asks about: the rows of an item, or those that causes with another label leave.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::Schema;
use crate::derive::SampleRow;

use super::null::Nulls;
use super::state::{Carriers, Short, Tally};

/// Share of the rows with a candidate's label that must belong to causes before those with other labels are asked about.
const CLAIMED: f64 = 0.9;

/// Rows of a candidate: all of its carriers, or those that causes with another label leave.
pub(super) struct Candidate<'a> {
    pub(super) short: Short,
    pub(super) carriers: &'a Carriers,
    /// Keys of distinct carriers with their labels, ascending.
    pub(super) keys: Vec<(u64, Option<u32>)>,
    /// Raw rows of carriers outside the reference sample.
    pub(super) raw: Vec<&'a SampleRow>,
    /// A label that none of the rows has, because those that had it belong to a cause.
    pub(super) without: Option<u32>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(short: &Short, carriers: &'a Carriers) -> Self {
        let keys = carriers.keys.iter().map(|(key, _, label)| (key, *label)).collect();
        let raw = carriers.raw.iter().map(|(_, _, row)| row).collect();
        Self { short: short.clone(), carriers, keys, raw, without: None }
    }

    /// The rows with other labels, where causes claim those with the candidate's: the same patch may be planted toward several classes.
    /// They are asked about the label that most of them have, of those that can be a target.
    ///
    /// `None` where too few of the candidate's rows are claimed, or not all carriers are known.
    pub(super) fn left(self, data: &Schema, claimed: &BTreeSet<u64>) -> Option<Self> {
        let Self { short, carriers, keys, .. } = self;
        let (labelled, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, label)| *label == Some(short.label));
        let explained = labelled.iter().filter(|(key, _)| claimed.contains(key)).count();
        if explained == 0 || (explained as f64) < CLAIMED * labelled.len() as f64 || carriers.keys.threshold() != u64::MAX {
            return None;
        }
        let keys: Vec<(u64, Option<u32>)> = others.into_iter().filter(|(key, _)| !claimed.contains(key)).collect();
        let mut classes: BTreeMap<u32, u32> = BTreeMap::new();
        keys.iter().filter_map(|(_, label)| *label).for_each(|label| *classes.entry(label).or_default() += 1);
        let may_be_target = |label: &u32| data.label.as_ref().is_none_or(|column| column.can_be_target(*label));
        let (label, _) = classes.iter().filter(|(label, _)| may_be_target(label)).max_by_key(|(_, rows)| **rows)?;
        let kept: BTreeSet<u64> = keys.iter().map(|(key, _)| *key).collect();
        let raw = carriers.raw.iter().filter(|(key, ..)| kept.contains(key)).map(|(_, _, row)| row).collect();
        let tally =
            Tally { rows: keys.len() as u32, classes: classes.iter().map(|(class, rows)| (*class, *rows)).collect(), ..short.tally };
        let without = Some(short.label);
        Some(Self { short: Short { item: short.item, also: Vec::new(), label: *label, tally, rest: 0.0 }, carriers, keys, raw, without })
    }

    /// Probability of the candidate's label, by the mean probabilities of all classes over its rows.
    pub(super) fn given(&self, means: &[f64]) -> f64 {
        let of = |class: u32| means.get(class as usize).copied().unwrap_or(0.0);
        let others = self.without.map_or(0.0, of);
        (of(self.short.label) / (1.0 - others).max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// Distinct carriers, but for those that do not tell, and those with the candidate's label. Where not all keys could be kept, the kept ones stand for the rest.
    pub(super) fn distinct(&self, nulls: &Nulls) -> (u64, u64) {
        let kept = self.keys.iter().filter(|(_, label)| label.is_some() || !nulls.is_in_doubt(self.short.label)).count() as u64;
        let agreeing = self.keys.iter().filter(|(_, label)| *label == Some(self.short.label)).count() as u64;
        if self.carriers.keys.threshold() == u64::MAX {
            return (kept, agreeing);
        }
        let rows = u64::from(nulls.carrying(&self.short.tally, self.short.label));
        (rows, (agreeing as f64 / kept.max(1) as f64 * rows as f64) as u64)
    }
}
