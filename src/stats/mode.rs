//! Modes of a class: a few of its rows that lie apart from the others, with hardly any row between.
//!
//! Every cloud of points has some that lie far out, so distance alone says nothing. What is asked is whether the density
//! along the line from the many to the few rises again. The line is that of a linear discriminant (Fisher 1936) fitted on
//! half of the rows and read on the other half, so that no row helps to push itself outwards.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::covariance::{TrimmedMahalanobis, ledoit_wolf};
use super::direction::{first_scores, sharpen};
use super::robust::{mad, median};
use super::spd::Cholesky;
use super::tail::binomial_sf;
use crate::error::Result;

/// Shares of the class that a search starts from.
const SHARES: [f64; 4] = [0.02, 0.05, 0.1, 0.3];
/// Fewest rows of a mode.
const FEWEST: usize = 8;
/// Largest share of the class that is a mode beside another.
const MOST_SHARE: f64 = 0.45;
/// Rounds of fitting a line and taking the rows beyond half of it.
const ROUNDS: usize = 10;
/// Share of the mean variance that is added to every column's.
const RIDGE: f64 = 0.01;
/// Share of the rows that a robust covariance keeps, and its refits.
const KEEP: f64 = 0.85;
const REFITS: usize = 2;
/// Stretches of a mode's median distance, equally long: between the modes, and around the second.
const VALLEY: [f64; 2] = [0.35, 0.65];
const PEAK: [f64; 2] = [0.85, 1.15];
/// Where a row belongs to the mode.
const HALF: f64 = 0.5;

/// Rows apart from the others of their class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    /// Positions of its rows, ascending.
    pub members: Vec<usize>,
    /// Median distance of its rows from the middle of the others, in robust standard deviations of those.
    pub distance: f64,
    /// Rows in the stretch between, and around the median distance.
    pub between: u64,
    /// Rows around the median distance.
    pub around: u64,
    /// P(at least this many of these rows around) where the density does not rise outwards.
    pub p: f64,
    line: Line,
}

/// A direction, with the middle and the robust deviation of the many along it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    weights: Array1<f32>,
    centre: f64,
    scale: f64,
}

impl Mode {
    /// Whether each row (n × d) that the mode was not found among lies beyond half of its distance.
    #[must_use]
    pub fn holds(&self, rows: ArrayView2<f32>) -> Vec<bool> {
        self.line.distances(rows).into_iter().map(|z| z > HALF * self.distance).collect()
    }
}

impl Line {
    /// Fisher's discriminant between rows that are and are not `inside`; of both, those that `fits` tells take part.
    fn fit(rows: ArrayView2<f32>, inside: &[bool], fits: impl Fn(usize) -> bool) -> Option<Self> {
        let d = rows.ncols();
        let parts: Vec<Vec<usize>> = [true, false].map(|side| (0..rows.nrows()).filter(|&i| fits(i) && inside[i] == side).collect()).into();
        let (mut within, mut means) = (Vec::new(), Vec::new());
        for part in &parts {
            let mut own = rows.select(Axis(0), part);
            let mean = own.mean_axis(Axis(0))?;
            own -= &mean;
            within.push(own);
            means.push(mean);
        }
        let within = concatenate(Axis(0), &[within[0].view(), within[1].view()]).ok()?;
        let covariance = ledoit_wolf(within.view()).ok()?.covariance;
        let shift = RIDGE * covariance.diag().sum() / d as f64;
        let difference = (&means[0] - &means[1]).mapv(f64::from).insert_axis(Axis(1));
        let weights = Cholesky::new(covariance.view(), shift)?.solve(difference.view()).column(0).mapv(|w| w as f32);
        let mut others: Vec<f64> = parts[1].iter().map(|&i| f64::from(rows.row(i).dot(&weights))).collect();
        let centre = median(&mut others)?;
        let scale = mad(&others, centre).filter(|scale| *scale > 0.0 && scale.is_finite())?;
        Some(Self { weights, centre, scale })
    }

    fn distances(&self, rows: ArrayView2<f32>) -> Vec<f64> {
        rows.dot(&self.weights).iter().map(|x| (f64::from(*x) - self.centre) / self.scale).collect()
    }
}

/// Distances of all rows, each along the line that the other half of the rows gives. `half` tells the halves apart.
fn apart(rows: ArrayView2<f32>, inside: &[bool], half: impl Fn(usize) -> bool) -> Option<Vec<f64>> {
    let lines = [Line::fit(rows, inside, |i| !half(i))?, Line::fit(rows, inside, &half)?].map(|line| line.distances(rows));
    Some((0..rows.nrows()).map(|i| lines[usize::from(!half(i))][i]).collect())
}

fn middle(distances: &[f64], inside: &[bool]) -> Option<f64> {
    let mut own: Vec<f64> = distances.iter().zip(inside).filter(|(_, is)| **is).map(|(z, _)| *z).collect();
    median(&mut own).filter(|m| *m > 0.0 && m.is_finite())
}

/// Searches the rows of one class (n × d, all finite, in an order that means nothing) for modes beside the main one, those
/// least explained first, and returns the number of starts that were made. Rows that several starts lead to come once.
pub fn modes(rows: ArrayView2<f32>, eigenvectors: usize, seed: u64) -> Result<(Vec<Mode>, u64)> {
    let n = rows.nrows();
    let fitted = TrimmedMahalanobis::fit(rows, KEEP, REFITS)?;
    let white = of_equal_length(fitted.whiten(rows)?);
    let products = white.dot(&white.t());
    let mut tried = 0;
    let mut starts = BTreeSet::new();
    for scores in first_scores(&products, eigenvectors, &mut ChaCha8Rng::seed_from_u64(seed)) {
        for share in SHARES {
            tried += 1;
            let size = ((share * n as f64) as usize).max(FEWEST);
            if size * 2 <= n {
                starts.insert(sharpen(&products, &scores, size));
            }
        }
    }
    let mut found: Vec<Mode> = starts.iter().filter_map(|start| settle(rows, start)).collect();
    found.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.members.len().cmp(&a.members.len())).then_with(|| a.members.cmp(&b.members)));
    found.dedup_by(|a, b| a.members == b.members);
    Ok((found, tried))
}

/// Rows without their mean, all brought to the median length: heavy tails have no say in the directions.
fn of_equal_length(mut white: Array2<f32>) -> Array2<f32> {
    if let Some(mean) = white.mean_axis(Axis(0)) {
        white -= &mean;
    }
    let mut lengths: Vec<f64> = white.outer_iter().map(|row| f64::from(row.dot(&row).sqrt())).collect();
    let usual = median(&mut lengths).unwrap_or(0.0) as f32;
    for mut row in white.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row *= usual / length;
        }
    }
    white
}

/// Fits the line to a start, takes the rows beyond half of the distance instead, and so on until nothing changes.
fn settle(rows: ArrayView2<f32>, start: &BTreeSet<usize>) -> Option<Mode> {
    let n = rows.nrows();
    let mut inside: Vec<bool> = (0..n).map(|i| start.contains(&i)).collect();
    for _ in 0..ROUNDS {
        let distances = apart(rows, &inside, |i| i % 2 == 0)?;
        let middle = middle(&distances, &inside)?;
        let next: Vec<bool> = distances.iter().map(|z| *z > HALF * middle).collect();
        let size = next.iter().filter(|is| **is).count();
        if size < FEWEST || size as f64 > MOST_SHARE * n as f64 {
            return None;
        }
        if next == inside {
            break;
        }
        inside = next;
    }
    // Other halves than those that led here, two ways: what is noise of the fits is halved.
    let (one, other) = (apart(rows, &inside, |i| i / 2 % 2 == 0)?, apart(rows, &inside, |i| i / 4 % 2 == 0)?);
    let distances: Vec<f64> = one.iter().zip(&other).map(|(a, b)| 0.5 * (a + b)).collect();
    let distance = middle(&distances, &inside)?;
    let count = |[from, to]: [f64; 2]| distances.iter().filter(|z| **z >= from * distance && **z < to * distance).count() as u64;
    let (between, around) = (count(VALLEY), count(PEAK));
    let p = binomial_sf(around, between + around, 0.5);
    let line = Line::fit(rows, &inside, |_| true)?;
    let members = (0..n).filter(|&i| inside[i]).collect();
    Some(Mode { members, distance, between, around, p, line })
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// 900 rows of 20 columns, heavy-tailed and correlated; every 21st is moved by `shift` in each of ten.
    fn rows(shift: f32) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut bell = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        let mut out = Array2::from_shape_simple_fn((900, 20), &mut bell);
        for (i, mut row) in out.outer_iter_mut().enumerate() {
            let stretch = 1.0 + 0.4 * bell().abs();
            row *= stretch;
            for j in 1..20 {
                row[j] += 0.5 * row[j - 1];
            }
            (0..10).filter(|_| i % 21 == 7).for_each(|j| row[2 * j] += shift);
        }
        out
    }

    #[test]
    fn a_mode_apart_is_found_and_tails_are_none() {
        let (found, tried) = modes(rows(14.0).view(), 6, 1).unwrap();
        assert_eq!(tried, 52);
        let best = &found[0];
        let hits = best.members.iter().filter(|i| **i % 21 == 7).count();
        assert!(hits >= 40 && hits * 10 >= best.members.len() * 9, "{hits} of {}", best.members.len());
        assert!(best.p < 1e-6, "{:e}", best.p);
        let held = best.holds(rows(14.0).view());
        assert!((0..900).filter(|i| held[*i]).all(|i| best.members.contains(&i)));
        let (clean, _) = modes(rows(0.0).view(), 6, 1).unwrap();
        assert!(clean.iter().all(|mode| mode.p > 1e-3), "{:?}", clean.iter().map(|m| m.p).collect::<Vec<_>>());
    }

    #[test]
    fn rows_that_hardly_vary_have_no_modes() {
        assert!(modes(Array2::<f32>::ones((60, 4)).view(), 6, 1).unwrap().0.is_empty());
        let mut two = Array2::<f32>::zeros((60, 3));
        two.row_mut(5).fill(9.0);
        assert!(modes(two.view(), 6, 1).unwrap().0.is_empty());
        assert!(modes(Array2::<f32>::zeros((0, 3)).view(), 6, 1).is_err());
    }
}
