//! Labels of one class on rows of all others, whatever their content: what an all-to-one attack leaves, its trigger located or not.

use std::collections::BTreeMap;

use super::learnt::Learnt;
use super::seen::{Known, Seen};
use super::{By, FEWEST_IN_CELL, Moved, Test, Way};
use crate::stats::confusion::Trials;
use crate::stats::flat::Flat;
use crate::stats::tail::binomial_sf;

/// Largest p-value of a claim, over all classes.
const LEVEL: f64 = 0.01;
/// Fewest other classes that must be called by content: below, all sources of a class cannot be told from one pair.
const FEWEST_SOURCES: usize = 3;

/// How many times the rows that content expects are natural: content is calibrated over all classes, not for each. Clean sets have
/// been seen with up to 1.2 times.
const TOLERATED_EXCESS: f64 = 1.25;

/// Rows of the class that content recognises, at least, for each row that is said to be moved to it: a class that content cannot tell has its
/// own rows among all others.
const RECOGNISED: f64 = 0.25;

/// A class that rows of all others are labelled with.
pub(super) struct Toward {
    /// Share of the rows of other classes: the estimate.
    pub(super) rate: f64,
    /// Its lower bound.
    pub(super) least: f64,
    value: f64,
    p: f64,
    by: By,
    /// Rows that content calls another class.
    rows: f64,
    /// Rows that content calls this class and that are labelled with another, as if all were as the least sources are.
    reverse: f64,
}

impl Toward {
    /// The rate that rows are judged by: the estimate, but the lower bound where some of the rows may be natural, because content knows
    /// them or classes are confused both ways.
    pub(super) fn judged_by(&self, label: u32) -> f64 {
        if self.by == By::Number || !self.cause(label).one_way() { self.least } else { self.rate }
    }

    pub(super) fn cause(&self, label: u32) -> Moved {
        let Self { rate, value, p, by, reverse, .. } = *self;
        Moved { way: Way::Toward(label), rate, expected: rate * self.rows, known: 1.0, reverse, value, p, by }
    }
}

/// What the least sources of a label show.
struct Least {
    trials: Trials,
    /// Rows that what is known leaves.
    known: f64,
    /// Rows that content expects: the sum of the probabilities that it gives the label.
    mass: f64,
    /// Of those, the part of the rows that have another label.
    others: f64,
    /// Whether every one of the sources has more rows than content expects there.
    all_exceed: bool,
    reverse: f64,
    /// Rows as each of the sources ranks them.
    flat: Flat,
    /// Rows that content calls this class and that are labelled as one of the sources, as if there were one, with those that could have been.
    back: [f64; 2],
}

impl Least {
    /// A floor: labels that do not fade with the certainty of content.
    fn floor(&self, tolerated: f64) -> Option<Test> {
        Test::new(&self.trials, tolerated)
    }

    /// More rows than content expects from every source, where it has learnt to expect some: the rate, its lower bound, the
    /// likelihood ratio and its p-value.
    fn excess(&self, tolerated: f64) -> Option<(f64, f64, f64, f64)> {
        let (hits, rows) = (self.trials.hits(), self.trials.rows().max(1.0));
        let natural = (TOLERATED_EXCESS * self.mass).max(tolerated * rows) + self.known;
        if !self.all_exceed || hits <= natural {
            return None;
        }
        // What content expects of the rows in question it may have learnt from them: a bound counts it as natural, an estimate does not.
        let beyond = |mass: f64| ((hits - mass - self.known) / rows).max(0.0);
        let lrt = 2.0 * (hits * (hits / natural).ln() - (hits - natural));
        Some((beyond(self.others), beyond(self.mass), lrt, binomial_sf(hits as u64, rows as u64, natural / rows)))
    }
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
    let left = |top: u32| seen.rows_of(top) * fixed(top as usize);
    let known = kept().map(left).sum();
    let masses: Vec<(u32, [f64; 2])> = kept().map(|top| (top, seen.mass(top, label))).collect();
    let mass = masses.iter().map(|(_, [own, others])| own + others).sum();
    let others = masses.iter().map(|(_, [_, others])| others).sum();
    let all_exceed = masses.iter().all(|(top, [own, others])| hits(*top) > own + others + left(*top));
    let trials = seen.cells(kept(), label, fixed);
    let reverse = kept().map(|top| rows(label, top)).sum::<f64>() * all / sources.len() as f64;
    let mut flat = Flat::default();
    kept().for_each(|top| flat.add(&seen.cells([top], label, |_| 0.0).flat()));
    let back = [kept().map(|top| rows(label, top)).sum::<f64>() / sources.len() as f64, seen.rows_of(label)];
    Some(Least { trials, known, mass, others, all_exceed, reverse, flat, back })
}

/// The classes that rows of all others are labelled with, beyond uniform noise.
pub(super) fn find(seen: &Seen, priors: &[f64], known: &Known, tolerated: f64) -> BTreeMap<u32, Toward> {
    let mismatches = seen.mismatches();
    let mut found = BTreeMap::new();
    for label in 0..priors.len() as u32 {
        let Some(least) = least_sources(seen, &mismatches, priors, known, label) else { continue };
        let rows = (0..priors.len() as u32).filter(|top| *top != label).map(|top| seen.rows_of(top)).sum();
        // Each of the tests at half of the level, and all classes asked.
        let is_sure = |p: f64| 2.0 * p * priors.len() as f64 <= LEVEL;
        let reverse = least.reverse;
        let fixed = least.known / least.trials.rows().max(1.0);
        if let Some(test) = least.floor(tolerated).filter(|test| is_sure(test.p))
            && let Some(curve) = least.trials.least_floor()
        {
            let (rate, value, p) = (test.fit.free.floor, test.fit.lrt, 2.0 * test.p);
            found.insert(label, Toward { rate, least: curve.floor, value, p, by: By::Floor, rows, reverse });
        } else if let Some((rate, lower, value, p)) = least.excess(tolerated).filter(|(.., p)| is_sure(*p)) {
            found.insert(label, Toward { rate, least: lower, value, p: 2.0 * p, by: By::Number, rows, reverse });
        } else if let Some(ranked) = Learnt::new(&least.flat, fixed, tolerated, least.back).filter(|ranked| is_sure(ranked.p)) {
            let Learnt { rate, statistic: value, p } = ranked;
            found.insert(label, Toward { rate, least: rate, value, p: 2.0 * p, by: By::Ranks, rows, reverse });
        }
    }
    found.retain(|label, toward| seen.hits(*label) >= RECOGNISED * toward.rate * toward.rows);
    found
}
