//! Rows of one class that keep their places among all other classes, moved together.
//!
//! A network that learnt a trigger has moved its carriers from the classes that they show towards the one that they are labelled with: each is a
//! copy of its own class, a part of the way along and shifted by what the trigger itself adds. A mixture of the class and of such copies of
//! all others is fitted by expectation and maximisation (Dempster, Laird and Rubin 1977).

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::covariance::TrimmedMahalanobis;
use super::robust::median;
use crate::error::Result;

/// Share of the rows that the covariance keeps, and its refits.
const KEEP: f64 = 0.85;
const REFITS: usize = 2;
/// Least shrinkage: carriers stand out in directions that other rows hardly vary along, and each in its own.
const SHRINKAGE: f64 = 0.05;
/// Parts of the way that searches start from.
const STARTS: [f32; 2] = [0.2, 0.5];
/// Share of the class that they start with, and the largest.
const START_SHARE: f32 = 0.05;
const MOST_SHARE: f32 = 0.5;
/// Largest part of the way: beyond it copies of all classes lie in one place.
const MOST_PULL: f32 = 0.8;
const ROUNDS: usize = 50;
/// Share and part of the way that change less than this stay.
const STILL: f32 = 1e-4;
/// Fewest moved rows, as a sum of probabilities.
const FEWEST: f32 = 3.0;
/// Tails: this share of each class is scattered with so many times the variance.
const WIDE_SHARE: f32 = 0.1;
const WIDE: f32 = 2.0;
/// Probability of one class from which a row is surely moved from there.
const SURE: f32 = 0.9;
/// Share of the members that may be no moved rows, by the mixture, which knows nothing of rows that are odd by nature.
const WRONG: f32 = 0.02;

/// Classes in units of the scatter within them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Places {
    fitted: TrimmedMahalanobis,
    /// Brings the median squared distance of a row from its class to the number of columns.
    unit: f32,
    /// Classes × d.
    means: Array2<f32>,
}

impl Places {
    /// Fits the middles and the common scatter of classes 0 up to but without `classes` to the inner part of each. Rows are n × d.
    pub fn fit(rows: ArrayView2<f32>, labels: &[u32], classes: usize) -> Result<Self> {
        let fitted = TrimmedMahalanobis::fit_shrunk_classes(rows, labels, classes, KEEP, REFITS, SHRINKAGE)?;
        let mut squares: Vec<f64> = fitted.distances2(rows, Some(labels))?.into_iter().map(f64::from).collect();
        let typical = median(&mut squares).filter(|square| *square > 0.0 && square.is_finite());
        let unit = typical.map_or(1.0, |square| (rows.ncols() as f64 / square).sqrt() as f32);
        let means = fitted.whitened_means() * unit;
        Ok(Self { fitted, unit, means })
    }

    /// Rows (n × d) in these units.
    pub fn of(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        Ok(self.fitted.whiten(rows)? * self.unit)
    }
}

/// Rows that were moved into a class from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Positions of its rows, ascending.
    pub members: Vec<usize>,
    /// Share of the class that was moved there, 0 to 0.5.
    pub share: f64,
    /// Part of the way from each other class to this one, 0 to 0.8.
    pub pull: f64,
    /// How far all of them were moved the same way beside that, in standard deviations within classes, less what so few rows lie off by chance.
    pub shift: f64,
    /// Rows that surely come from each of the other classes.
    pub sure: Vec<u64>,
    mixture: Mixture,
    /// Least probability of a member.
    least: f32,
}

impl Moved {
    /// Whether each row (n × d, as [`Places::of`] gives it) that the mixture was not fitted to was moved here.
    #[must_use]
    pub fn holds(&self, rows: ArrayView2<f32>) -> Vec<bool> {
        self.mixture.shares(rows).column(0).iter().map(|own| 1.0 - own >= self.least).collect()
    }

    /// Rows that surely come from the half of the other classes that fewest come from.
    #[must_use]
    pub fn of_the_least(&self) -> u64 {
        let mut sure = self.sure.clone();
        sure.sort_unstable();
        sure.iter().take(sure.len() / 2).sum()
    }

    /// Which of the other classes a moved row (as [`Places::of`] gives it) most likely comes from.
    #[must_use]
    pub fn origin(&self, row: ArrayView1<f32>) -> usize {
        let shares = self.mixture.shares(row.insert_axis(Axis(0)));
        let copies = shares.row(0);
        (1..copies.len()).max_by(|a, b| copies[*a].total_cmp(&copies[*b])).map_or(0, |part| part - 1)
    }
}

/// The class and moved copies of all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mixture {
    /// The class's own middle, then those of the copies: (1 + others) × d.
    middles: Array2<f32>,
    ln_weights: Array1<f32>,
}

impl Mixture {
    /// Probability of each part for each row (n × d), n × (1 + others).
    fn shares(&self, rows: ArrayView2<f32>) -> Array2<f32> {
        let columns = rows.ncols() as f32;
        let lengths: Array1<f32> = self.middles.outer_iter().map(|middle| middle.dot(&middle)).collect();
        let mut shares = rows.dot(&self.middles.t());
        for (mut slot, row) in shares.outer_iter_mut().zip(rows.outer_iter()) {
            let own = row.dot(&row);
            for ((share, length), weight) in slot.iter_mut().zip(&lengths).zip(&self.ln_weights) {
                *share = weight + ln_density((own - 2.0 * *share + length).max(0.0), columns);
            }
            let top = slot.fold(f32::NEG_INFINITY, |top, share| top.max(*share));
            slot.mapv_inplace(|share| (share - top).exp());
            let sum = slot.sum();
            slot /= sum;
        }
        shares
    }
}

/// Of a squared distance: a normal density with a share of wider tails, but for a constant.
fn ln_density(square: f32, columns: f32) -> f32 {
    let inner = (1.0 - WIDE_SHARE).ln() - 0.5 * square;
    let outer = WIDE_SHARE.ln() - 0.5 * square / WIDE - 0.5 * columns * WIDE.ln();
    let (low, high) = if inner < outer { (inner, outer) } else { (outer, inner) };
    high + (low - high).exp().ln_1p()
}

/// What is fitted beside the class's own middle.
struct Move {
    own: Array1<f32>,
    share: f32,
    pull: f32,
    shift: Array1<f32>,
}

impl Move {
    fn mixture(&self, others: &Array2<f32>, sizes: &Array1<f32>) -> Mixture {
        let copies = others * (1.0 - self.pull) + &self.own * self.pull + &self.shift;
        let middles =
            Array2::from_shape_fn((1 + copies.nrows(), copies.ncols()), |(i, j)| if i == 0 { self.own[j] } else { copies[(i - 1, j)] });
        let weights = std::iter::once(1.0 - self.share).chain(sizes.iter().map(|size| self.share * size));
        let ln_weights = weights.map(f32::ln).collect();
        Mixture { middles, ln_weights }
    }

    /// The most likely one where rows belong to these shares; `None` where hardly any row was moved.
    fn next(&self, rows: ArrayView2<f32>, others: &Array2<f32>, shares: &Array2<f32>) -> Option<Self> {
        let (weights, sums) = (shares.sum_axis(Axis(0)), shares.t().dot(&rows));
        let (kept, parts) = (weights[0], weights.view().split_at(Axis(0), 1).1.insert_axis(Axis(1)));
        let moved = parts.sum();
        if moved < FEWEST || kept < FEWEST {
            return None;
        }
        // Least squares of where rows are, from their classes on, by the ways from there.
        let off = &sums.view().split_at(Axis(0), 1).1 - &(others * &parts);
        let ways = &self.own - others;
        let (mean_off, mean_way) = (off.sum_axis(Axis(0)) / moved, (&ways * &parts).sum_axis(Axis(0)) / moved);
        let centred = &ways - &mean_way;
        let along = ((&off - &(&parts * &mean_off.view().insert_axis(Axis(0)))) * &centred).sum();
        let length = (&centred * &centred * parts).sum();
        let pull = if length > 0.0 { (along / length).clamp(0.0, MOST_PULL) } else { 0.0 };
        Some(Self {
            own: &sums.row(0) / kept,
            share: (moved / rows.nrows() as f32).min(MOST_SHARE),
            pull,
            shift: mean_off - mean_way * pull,
        })
    }
}

/// Looks for moved rows among those of one class (n × d, as [`Places::of`] gives them): copies of the classes `others`, as many of each as
/// `sizes` says. Of several searches the one that is sure of rows from most classes is kept.
#[must_use]
pub fn moved(places: &Places, rows: ArrayView2<f32>, class: usize, others: &[usize], sizes: &[u64]) -> Option<Moved> {
    let middles = places.means.select(Axis(0), others);
    let all = sizes.iter().sum::<u64>().max(1) as f32;
    let sizes: Array1<f32> = sizes.iter().map(|size| *size as f32 / all).collect();
    let search = |start| fitted(rows, places.means.row(class), &middles, &sizes, start);
    STARTS.into_iter().filter_map(search).max_by_key(Moved::of_the_least)
}

fn fitted(rows: ArrayView2<f32>, own: ArrayView1<f32>, others: &Array2<f32>, sizes: &Array1<f32>, start: f32) -> Option<Moved> {
    let mut at = Move { own: own.to_owned(), share: START_SHARE, pull: start, shift: Array1::zeros(rows.ncols()) };
    for _ in 0..ROUNDS {
        let next = at.next(rows, others, &at.mixture(others, sizes).shares(rows))?;
        let still = (next.share - at.share).abs() < STILL && (next.pull - at.pull).abs() < STILL;
        at = next;
        if still {
            break;
        }
    }
    let mixture = at.mixture(others, sizes);
    let shares = mixture.shares(rows);
    let copies = shares.view().split_at(Axis(1), 1).1;
    let sure = copies.axis_iter(Axis(1)).map(|of| of.iter().filter(|share| **share >= SURE).count() as u64).collect();
    let (members, least) = likely(shares.column(0));
    let by_chance = rows.ncols() as f32 / (at.share * rows.nrows() as f32).max(1.0);
    let shift = f64::from((at.shift.dot(&at.shift) - by_chance).max(0.0).sqrt());
    Some(Moved { members, share: f64::from(at.share), pull: f64::from(at.pull), shift, sure, mixture, least })
}

/// The most rows, likeliest first, of which at most a share of [`WRONG`] is the class's own, and the least probability among them.
fn likely(own: ArrayView1<f32>) -> (Vec<usize>, f32) {
    let mut order: Vec<usize> = (0..own.len()).collect();
    order.sort_unstable_by(|a, b| own[*a].total_cmp(&own[*b]).then(a.cmp(b)));
    let mut wrong = 0.0;
    let held = order.iter().zip(1_u32..).take_while(|(i, count)| {
        wrong += own[**i];
        wrong <= WRONG * *count as f32
    });
    let mut members: Vec<usize> = held.map(|(i, _)| *i).collect();
    let least = members.last().map_or(1.0, |last| 1.0 - own[*last]);
    members.sort_unstable();
    (members, least)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const CLASSES: usize = 6;
    const COLUMNS: usize = 12;
    const ROWS: usize = 1_800;

    fn bell(rng: &mut ChaCha8Rng) -> f32 {
        (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
    }

    /// Rows around the means of their classes; every fifteenth that is labelled 0 comes from another class, a part of the way along and shifted.
    fn set(pull: f32, shift: f32) -> (Array2<f32>, Vec<u32>, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let means = Array2::from_shape_simple_fn((CLASSES, COLUMNS), || 3.0 * bell(&mut rng));
        let trigger = Array1::from_shape_simple_fn(COLUMNS, || shift * bell(&mut rng));
        let labels: Vec<u32> = (0..CLASSES as u32).cycle().take(ROWS).collect();
        let planted: Vec<bool> = (0..ROWS).map(|i| labels[i] == 0 && (i / CLASSES).is_multiple_of(15)).collect();
        let mut rows = Array2::from_shape_simple_fn((ROWS, COLUMNS), || bell(&mut rng));
        for (i, mut row) in rows.outer_iter_mut().enumerate() {
            let middle = means.row(labels[i] as usize).to_owned();
            if planted[i] {
                let from = means.row(1 + i / CLASSES / 15 % (CLASSES - 1));
                row += &(&from * (1.0 - pull) + middle * pull + &trigger);
            } else {
                row += &middle;
            }
        }
        (rows, labels, planted)
    }

    fn found(rows: &Array2<f32>, labels: &[u32], class: u32) -> (Vec<usize>, Array2<f32>, Option<Moved>) {
        let places = Places::fit(rows.view(), labels, CLASSES).unwrap();
        let own: Vec<usize> = (0..ROWS).filter(|i| labels[*i] == class).collect();
        let white = places.of(rows.view()).unwrap().select(Axis(0), &own);
        let others: Vec<usize> = (0..CLASSES).filter(|other| *other != class as usize).collect();
        let moved = moved(&places, white.view(), class as usize, &others, &[ROWS as u64 / 6; CLASSES - 1]);
        (own, white, moved)
    }

    #[test]
    fn moved_rows_are_told_from_the_class_and_traced_to_theirs() {
        let (rows, labels, planted) = set(0.4, 0.5);
        let (own, white, moved) = found(&rows, &labels, 0);
        let moved = moved.unwrap();
        let truth: Vec<usize> = (0..own.len()).filter(|at| planted[own[*at]]).collect();
        assert!(moved.members.len() >= 19 && moved.members.iter().all(|at| truth.contains(at)), "{:?}", moved.members);
        assert!((moved.pull - 0.4).abs() < 0.1 && (moved.share - 1.0 / 15.0).abs() < 0.01, "{} {}", moved.pull, moved.share);
        assert!(moved.of_the_least() >= 7, "{:?}", moved.sure);
        for at in &moved.members {
            assert_eq!(moved.origin(white.row(*at)), at / 15 % (CLASSES - 1));
        }
        // The same rows, as rows that it was not fitted to.
        let held: Vec<usize> = moved.holds(white.view()).into_iter().enumerate().filter_map(|(at, held)| held.then_some(at)).collect();
        assert_eq!(held, moved.members);
    }

    #[test]
    fn other_classes_and_clean_twins_hold_none() {
        let (rows, labels, planted) = set(0.4, 0.5);
        for class in 1..CLASSES as u32 {
            assert_eq!(found(&rows, &labels, class).2.map_or(0, |moved| moved.of_the_least()), 0, "{class}");
        }
        let kept: Vec<u32> =
            (0..ROWS).map(|i| if planted[i] { 1 + (i / CLASSES / 15 % (CLASSES - 1)) as u32 } else { labels[i] }).collect();
        let (rows, _, _) = set(0.0, 0.0);
        assert_eq!(found(&rows, &kept, 0).2.map_or(0, |moved| moved.of_the_least()), 0);
    }
}
