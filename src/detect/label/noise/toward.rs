//! Labels of one class on rows of all others, whatever their content: what an all-to-one attack leaves, its trigger located or not.

use std::collections::BTreeMap;

use super::seen::{Known, Seen};
use super::{FEWEST_IN_CELL, Moved, Test};
use crate::stats::confusion::{Curve, Trials};

/// Largest p-value of a claim, over all classes.
const LEVEL: f64 = 0.01;
/// Fewest other classes that must be called by content: below, all sources of a class cannot be told from one pair.
const FEWEST_SOURCES: usize = 3;

/// A class that rows of all others are labelled with.
pub(super) struct Toward {
    pub(super) test: Test,
    /// The curve with the least floor that its rows do not refute.
    pub(super) curve: Curve,
    /// Rows that content calls another class.
    rows: f64,
    /// Rows that content calls this class and that are labelled with another, as if all were as the least sources are.
    reverse: f64,
}

impl Toward {
    pub(super) fn cause(&self, label: u32) -> Moved {
        let rate = self.test.fit.free.floor;
        let (lrt, p) = (self.test.fit.lrt, self.test.p);
        Moved { from: None, to: label, rate, expected: rate * self.rows, reverse: self.reverse, lrt, p }
    }
}

/// What the least sources of a label show.
struct Least {
    trials: Trials,
    /// Rate beyond what is known.
    beyond: f64,
    reverse: f64,
}

/// The half of the classes whose rows are least often labelled with this one: what a pair of classes that are alike, or one
/// pair that was relabelled, cannot fill.
fn least_sources(seen: &Seen, mismatches: &BTreeMap<(u32, u32), u64>, priors: &[f64], known: &Known, label: u32) -> Option<Least> {
    let rows = |top: u32, label: u32| mismatches.get(&(top, label)).map_or(0.0, |rows| *rows as f64);
    let hits = |top: u32| rows(top, label);
    let fixed = |top: usize| known.rate(priors, top, label as usize);
    let tops = (0..priors.len() as u32).filter(|top| *top != label && seen.rows_of(*top) > 0.0);
    let mut sources: Vec<(f64, u32)> = tops.map(|top| (hits(top) / seen.rows_of(top) - fixed(top as usize), top)).collect();
    if sources.len() < FEWEST_SOURCES {
        return None;
    }
    sources.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let all = sources.len() as f64;
    sources.truncate(sources.len().div_ceil(2));
    let kept = || sources.iter().map(|(_, top)| *top);
    if kept().map(hits).sum::<f64>() < FEWEST_IN_CELL {
        return None;
    }
    let expected: f64 = kept().map(|top| seen.rows_of(top) * fixed(top as usize)).sum();
    let trials = seen.cells(kept(), label, fixed);
    let beyond = ((trials.hits() - expected) / trials.rows().max(1.0)).max(0.0);
    let reverse = kept().map(|top| rows(label, top)).sum::<f64>() * all / sources.len() as f64;
    Some(Least { trials, beyond, reverse })
}

/// The classes that rows of all others are labelled with, beyond uniform noise.
pub(super) fn find(seen: &Seen, priors: &[f64], known: &Known, tolerated: f64) -> BTreeMap<u32, Toward> {
    let mismatches = seen.mismatches();
    let mut found = BTreeMap::new();
    for label in 0..priors.len() as u32 {
        let Some(Least { trials, beyond, reverse }) = least_sources(seen, &mismatches, priors, known, label) else { continue };
        let Some(test) = Test::new(&trials, tolerated, beyond).filter(|test| test.p * priors.len() as f64 <= LEVEL) else { continue };
        let Some(curve) = trials.least_floor() else { continue };
        let rows = (0..priors.len() as u32).filter(|top| *top != label).map(|top| seen.rows_of(top)).sum();
        found.insert(label, Toward { test, curve, rows, reverse });
    }
    found
}
