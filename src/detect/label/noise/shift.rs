//! Labels moved from every class to the one so many places after it: a code list that is off by one in a part of the data, and the
//! pair noise of the literature. Of each class there may be too few to show.

use serde::{Deserialize, Serialize};

use super::seen::{Known, Seen};
use super::{By, FEWEST_IN_CELL, LEAST_KNOWN, Moved, Test, Way};

/// Largest p-value of a claim: of all classes together, over all shifts, and of the three quarters of them that have the fewest such rows for
/// their size. One pair that was relabelled, or classes that are alike, fill only the first.
const LEVEL: f64 = 0.01;
/// Fewest classes: of fewer, pairs say as much.
const FEWEST_CLASSES: usize = 4;

/// A shift with the share of labels that it moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shift {
    /// Places between the class that content says and the label, 1 to K − 1; 0 for none.
    by: u32,
    classes: u32,
    rate: f64,
}

impl Shift {
    /// Where labels of a class go.
    fn target(&self, from: u32) -> u32 {
        (from + self.by) % self.classes.max(1)
    }

    /// Whether labels go this way.
    pub(super) fn goes(&self, from: u32, to: u32) -> bool {
        self.by > 0 && self.target(from) == to
    }

    /// Rate at which rows that content calls `from` are labelled `to`.
    pub(super) fn rate(&self, from: u32, to: u32) -> f64 {
        if self.goes(from, to) { self.rate } else { 0.0 }
    }
}

/// Labels of all classes that are claimed to be moved alike.
#[derive(Clone, Copy)]
pub(super) struct Shifted {
    /// Of the three quarters of the classes that have the fewest for their size: by it rows are judged.
    pub(super) least: Shift,
    pub(super) cause: Moved,
}

/// The clearest shift, if any is beyond doubt.
pub(super) fn find(seen: &Seen, priors: &[f64], known: &Known, tolerated: f64) -> Option<Shifted> {
    let classes = priors.len() as u32;
    if priors.len() < FEWEST_CLASSES {
        return None;
    }
    let mismatches = seen.mismatches();
    let count = |from: u32, to: u32| mismatches.get(&(from, to)).map_or(0.0, |rows| *rows as f64);
    let tops: Vec<u32> = (0..classes).filter(|top| seen.rows_of(*top) > 0.0).collect();
    let sum = |of: &dyn Fn(u32) -> f64| tops.iter().map(|top| of(*top)).sum::<f64>();
    let claim = |by: u32| {
        let shift = Shift { by, classes, rate: 0.0 };
        let fixed = |from: u32| known.rate(priors, from as usize, shift.target(from) as usize);
        let beyond = |from: u32| count(from, shift.target(from)) / seen.rows_of(from) - fixed(from);
        let back = |top: &u32| (shift.target(*top), *top);
        let forth = |top: &u32| (*top, shift.target(*top));
        let test = |tops: &[u32]| {
            let trials = seen.ways(tops.iter().map(forth), |from, _| fixed(from));
            // Asked before the fit: there are as many shifts as classes.
            let test = if trials.hits() < FEWEST_IN_CELL { None } else { Test::new(&trials, tolerated) };
            Some((test?, trials))
        };
        let (all, _) = test(&tops)?;
        if all.p * f64::from(classes - 1) > LEVEL {
            return None;
        }
        let mut least = tops.clone();
        least.sort_by(|a, b| beyond(*a).total_cmp(&beyond(*b)).then(a.cmp(b)));
        least.truncate(tops.len() - tops.len() / 4);
        // Even of these most must have more than is known and tolerated: two pairs of a few classes are no rule.
        let exceeding = least.iter().filter(|top| beyond(**top) > tolerated).count();
        let (fewest, trials) = test(&least).filter(|(test, _)| test.p <= LEVEL && 2 * exceeding > least.len())?;
        let least = trials.least_floor()?.floor;
        let (rate, value, p) = (all.fit.free.floor, all.fit.lrt, all.p.max(fewest.p));
        let moved = sum(&|top| count(top, shift.target(top)));
        let rows = sum(&|top| seen.rows_of(top));
        let recognised = sum(&|top| seen.hits(top)) / (rows - moved).max(1.0);
        let reverse = seen.ways(tops.iter().map(back), |_, _| 0.0).fit(tolerated)?.free.floor * rows;
        let cause = Moved { way: Way::Shift(by), rate, expected: rate * rows, known: recognised, reverse, value, p, by: By::Floor };
        (recognised >= LEAST_KNOWN).then_some(Shifted { least: Shift { rate: least.min(rate), ..shift }, cause })
    };
    (1..classes).filter_map(claim).min_by(|a, b| a.cause.p.total_cmp(&b.cause.p).then(b.cause.value.total_cmp(&a.cause.value)))
}
