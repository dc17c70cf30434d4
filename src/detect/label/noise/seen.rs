//! Rows as the fits of label noise see them: calibrated, by the class that content says.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::shift::Shift;
use super::{FEWEST_UNSAID, LEAST_KNOWN, LEAST_SAID, most_likely};
use crate::stats::confusion::Trials;
use crate::stats::mixture::LabelMixture;

/// Classes up to which likely and unlikely confusions are told apart.
const MOST_TOLD_APART: usize = 1_024;

/// Probability up to which content finds a label least likely, where it is asked what wrong labels are drawn from.
const LEAST_LIKELY: f64 = 0.02;
/// Gain in log likelihood from which wrong labels are drawn from all classes alike.
const ALIKE: f64 = 3.0;

/// Rates of wrong labels that are known when others are estimated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Share of labels given without regard to content.
    pub(super) epsilon: f64,
    /// Share of the rows of all other classes that are labelled with a class whatever their content.
    pub(super) toward: BTreeMap<u32, f64>,
    /// Labels moved to another place in the order of classes.
    pub(super) shift: Shift,
}

impl Known {
    pub(super) fn toward(&self, label: usize) -> f64 {
        self.toward.get(&(label as u32)).copied().unwrap_or(0.0)
    }

    /// Rate at which rows that content calls `top` are labelled `label`.
    pub(super) fn rate(&self, priors: &[f64], top: usize, label: usize) -> f64 {
        self.epsilon * unit(priors, top, label) + self.toward(label) + self.shift.rate(top as u32, label as u32)
    }
}

/// Calibrated rows with their labels.
pub(super) struct Seen {
    /// ln of the probabilities, rows × classes.
    ln_p: Vec<f32>,
    labels: Vec<u32>,
    classes: usize,
    /// Rows by the class that content says.
    pub(super) by_top: Vec<Vec<usize>>,
}

/// Share of the labels other than `top` that uniform noise gives to `label`.
pub(super) fn unit(priors: &[f64], top: usize, label: usize) -> f64 {
    let prior = |class: usize| priors.get(class).copied().unwrap_or(0.0);
    let others = 1.0 - prior(top);
    if others > 0.0 { (prior(label) / others).min(1.0) } else { 0.0 }
}

impl Seen {
    pub(super) fn new<'a>(rows: impl Iterator<Item = (&'a [f32], u32)>, base: &LabelMixture, classes: usize) -> Self {
        let mut seen = Self { ln_p: Vec::new(), labels: Vec::new(), classes, by_top: vec![Vec::new(); classes] };
        for (row, label) in rows.filter(|(row, _)| row.iter().all(|z| z.is_finite())) {
            let calibrated = base.calibrated(row);
            let Some(of_top) = most_likely(&calibrated).and_then(|(top, _)| seen.by_top.get_mut(top)) else { continue };
            of_top.push(seen.labels.len());
            seen.labels.push(label);
            seen.ln_p.extend(calibrated.iter().map(|p| p.max(1e-30).ln() as f32));
        }
        seen
    }

    fn row(&self, row: usize) -> &[f32] {
        self.ln_p.get(row * self.classes..(row + 1) * self.classes).unwrap_or_default()
    }

    fn label(&self, row: usize) -> Option<usize> {
        self.labels.get(row).map(|label| *label as usize)
    }

    /// For each class that content says, the half of the other classes that content finds least likely for their share.
    pub(super) fn unlikely(&self, priors: &[f64]) -> Vec<bool> {
        let classes = self.classes;
        if classes == 2 || classes > MOST_TOLD_APART {
            return if classes == 2 { vec![true; 4] } else { Vec::new() };
        }
        let mut table = vec![false; classes * classes];
        for ((top, rows), flags) in self.by_top.iter().enumerate().zip(table.chunks_exact_mut(classes)) {
            let mut mean = vec![0.0; classes];
            for &row in rows {
                for (sum, ln_p) in mean.iter_mut().zip(self.row(row)) {
                    *sum += f64::from(*ln_p).exp();
                }
            }
            let lift = |class: usize| mean.get(class).copied().unwrap_or(0.0) / priors.get(class).copied().unwrap_or(0.0).max(1e-12);
            let mut others: Vec<usize> = (0..classes).filter(|class| *class != top && !rows.is_empty()).collect();
            others.sort_by(|a, b| lift(*a).total_cmp(&lift(*b)).then(a.cmp(b)));
            others.truncate(((classes - 1) / 2).max(1));
            for class in others {
                if let Some(flag) = flags.get_mut(class) {
                    *flag = true;
                }
            }
        }
        table
    }

    /// How often each class is drawn where labels are given without regard to content: by its share of the labels, or all alike,
    /// whichever explains the labels that content finds least likely. Of the cells that are asked for.
    pub(super) fn drawn_from(&self, priors: &[f64], wanted: impl Fn(usize, usize) -> bool) -> Vec<f64> {
        // Of two classes the other one is drawn, whatever its share.
        if self.classes < 3 {
            return priors.to_vec();
        }
        let alike = vec![1.0 / self.classes as f64; self.classes];
        // Of either way: expected rows, and the sum of the logarithms of their shares over the rows that there are.
        let mut sums = [[0.0; 2]; 2];
        let mut all = 0.0;
        for (top, rows) in self.by_top.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            for label in (0..self.classes).filter(|label| *label != top && wanted(top, *label)) {
                let least = |row: &&usize| self.row(**row).get(label).is_some_and(|ln_p| f64::from(*ln_p) <= LEAST_LIKELY.ln());
                let (mut trials, mut hits) = (0.0, 0.0);
                for row in rows.iter().filter(least) {
                    trials += 1.0;
                    hits += f64::from(u8::from(self.label(*row) == Some(label)));
                }
                all += hits;
                for ([units, logarithms], from) in sums.iter_mut().zip([priors, alike.as_slice()]) {
                    let unit = unit(from, top, label).max(f64::MIN_POSITIVE);
                    *units += trials * unit;
                    *logarithms += hits * unit.ln();
                }
            }
        }
        let [by_share, by_all] = sums.map(|[units, logarithms]| logarithms - all * units.max(f64::MIN_POSITIVE).ln());
        if by_all > by_share + ALIKE { alike } else { priors.to_vec() }
    }

    /// Trials of the cells that are asked for, with the floor in units of uniform noise.
    pub(super) fn pooled(&self, priors: &[f64], known: &Known, wanted: impl Fn(usize, usize) -> bool) -> Trials {
        let mut trials = Trials::default();
        for (top, rows) in self.by_top.iter().enumerate() {
            let asked: Vec<(usize, f64, f64)> = (0..self.classes)
                .filter(|label| *label != top && wanted(top, *label))
                .map(|label| (label, unit(priors, top, label), known.rate(priors, top, label)))
                .collect();
            for &row in rows {
                let (ln_p, given) = (self.row(row), self.label(row));
                for (label, unit, fixed) in &asked {
                    let Some(ln_p) = ln_p.get(*label) else { continue };
                    trials.add(f64::from(*ln_p), *unit, *fixed, given == Some(*label));
                }
            }
        }
        trials
    }

    /// Trials of the cells (top, label) of one label, with the floor as a rate.
    pub(super) fn cells(&self, tops: impl IntoIterator<Item = u32>, label: u32, fixed: impl Fn(usize) -> f64) -> Trials {
        self.ways(tops.into_iter().map(|top| (top, label)), |top, _| fixed(top as usize))
    }

    /// Trials of cells (top, label), with the floor as a rate.
    pub(super) fn ways(&self, cells: impl IntoIterator<Item = (u32, u32)>, fixed: impl Fn(u32, u32) -> f64) -> Trials {
        let mut trials = Trials::default();
        for (top, label) in cells {
            let fixed = fixed(top, label);
            for &row in self.by_top.get(top as usize).into_iter().flatten() {
                let Some(ln_p) = self.row(row).get(label as usize) else { continue };
                trials.add(f64::from(*ln_p), 1.0, fixed, self.label(row) == Some(label as usize));
            }
        }
        trials
    }

    /// Rows that content expects in a cell, the sum of the probabilities that it gives the label: of rows that have the label, and of others.
    pub(super) fn mass(&self, top: u32, label: u32) -> [f64; 2] {
        let mut mass = [0.0; 2];
        for &row in self.by_top.get(top as usize).into_iter().flatten() {
            let Some(ln_p) = self.row(row).get(label as usize) else { continue };
            mass[usize::from(self.label(row) != Some(label as usize))] += f64::from(*ln_p).exp();
        }
        mass
    }

    /// Rows of the cells (top, label) that are asked for whose label content gives `most` at most.
    pub(super) fn contradicted(&self, most: f64, wanted: impl Fn(u32, u32) -> bool) -> f64 {
        let of = |(top, rows): (usize, &Vec<usize>)| {
            let against = rows.iter().filter(|&&row| {
                self.label(row).is_some_and(|label| {
                    let ln_p = self.row(row).get(label).copied().unwrap_or(0.0);
                    label != top && f64::from(ln_p) <= most.ln() && wanted(top as u32, label as u32)
                })
            });
            against.count()
        };
        self.by_top.iter().enumerate().map(of).sum::<usize>() as f64
    }

    /// Rows that content calls a class.
    pub(super) fn rows_of(&self, top: u32) -> f64 {
        self.by_top.get(top as usize).map_or(0.0, |rows| rows.len() as f64)
    }

    /// Rows that content calls a class and that have its label.
    pub(super) fn hits(&self, top: u32) -> f64 {
        let rows = self.by_top.get(top as usize).into_iter().flatten();
        rows.filter(|row| self.label(**row) == Some(top as usize)).count() as f64
    }

    /// Labels that content hardly ever gives to their rows, and mostly to none or to others.
    pub(super) fn unsaid(&self) -> BTreeSet<u32> {
        let mut labelled = vec![0.0; self.classes];
        for label in &self.labels {
            if let Some(count) = labelled.get_mut(*label as usize) {
                *count += 1.0;
            }
        }
        let of = |(label, rows): (u32, f64)| {
            let hits = self.hits(label);
            let is_unsaid = rows >= FEWEST_UNSAID && hits < LEAST_SAID * rows && hits <= LEAST_KNOWN * self.rows_of(label);
            is_unsaid.then_some(label)
        };
        (0..).zip(labelled).filter_map(of).collect()
    }

    /// Of the rows that have other labels than this, the share that content calls by their label.
    pub(super) fn known_beside(&self, mismatches: &BTreeMap<(u32, u32), u64>, label: u32) -> f64 {
        let others = self.labels.iter().filter(|own| **own != label).count();
        let wrong: u64 = mismatches.iter().filter(|((_, own), _)| *own != label).map(|(_, rows)| rows).sum();
        1.0 - wrong as f64 / others.max(1) as f64
    }

    /// Share of rows whose label is not the class that content says.
    pub(super) fn errors(&self) -> f64 {
        let wrong: u64 = self.mismatches().values().sum();
        wrong as f64 / self.labels.len().max(1) as f64
    }

    /// Rows of each cell that holds any.
    pub(super) fn mismatches(&self) -> BTreeMap<(u32, u32), u64> {
        let mut counts = BTreeMap::new();
        for (top, rows) in self.by_top.iter().enumerate() {
            for label in rows.iter().filter_map(|row| self.label(*row)).filter(|label| *label != top) {
                *counts.entry((top as u32, label as u32)).or_default() += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const PRIORS: [f64; 4] = [0.6, 0.3, 0.07, 0.03];

    fn drawn(rng: &mut ChaCha8Rng, from: &[f64]) -> u32 {
        let mut left = rng.random::<f64>();
        let class = from.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        class.unwrap_or(0) as u32
    }

    /// Rows of four classes that content is sure of; one label in ten is drawn anew.
    fn seen(from: &[f64]) -> Seen {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut rows = Vec::new();
        for _ in 0..6_000 {
            let class = drawn(&mut rng, &PRIORS);
            let label = if rng.random::<f64>() < 0.1 { drawn(&mut rng, from) } else { class };
            let logits: Vec<f32> = (0..4).map(|k| if k == class { 8.0 } else { rng.random_range(0.0..2.0) }).collect();
            rows.push((logits, label));
        }
        let base = LabelMixture { beta: 1.0, epsilon: 0.1, log_likelihood: 0.0, lrt: 0.0, p: 1.0, rows: 6_000 };
        Seen::new(rows.iter().map(|(row, label)| (row.as_slice(), *label)), &base, 4)
    }

    #[test]
    fn what_wrong_labels_are_drawn_from_is_told() {
        assert_eq!(seen(&[0.25; 4]).drawn_from(&PRIORS, |_, _| true), [0.25; 4]);
        assert_eq!(seen(&PRIORS).drawn_from(&PRIORS, |_, _| true), PRIORS);
    }

    #[test]
    fn what_content_never_says_is_told_from_a_class_that_was_flooded() {
        let base = LabelMixture { beta: 1.0, epsilon: 0.0, log_likelihood: 0.0, lrt: 0.0, p: 1.0, rows: 1_250 };
        let row = |class: usize| -> Vec<f32> { (0..4).map(|k| if k == class { 8.0 } else { 0.0 }).collect() };
        // Class 2 is never said; of 1,050 rows of class 3 content says so of 50, and of no other.
        let rows = (0..1_250).map(|at| match at {
            0..100 => (row(0), 2),
            100..150 => (row(3), 3),
            150..1_150 => (row(1), 3),
            _ => (row(1), 1),
        });
        let rows: Vec<(Vec<f32>, u32)> = rows.collect();
        let seen = Seen::new(rows.iter().map(|(row, label)| (row.as_slice(), *label)), &base, 4);
        assert_eq!(seen.unsaid(), [2].into());
    }

    #[test]
    fn rows_of_other_labels_tell_whether_content_knows_them() {
        let seen = seen(&[0.0, 0.0, 0.0, 1.0]);
        let counts = seen.mismatches();
        assert!(seen.known_beside(&counts, 3) > 0.99 && seen.known_beside(&counts, 0) < 0.95);
    }
}
