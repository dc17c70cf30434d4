//! Rows that one and the same shift sets apart from their class.
//!
//! A pattern that is added to rows moves all of them by one vector. Along Fisher's discriminant (1936) between such rows and
//! the others of their class they then lie equally far out, with no more scatter than any rows have and hardly any row
//! between. Parts of a class that nature makes differ in more or less of something: along their discriminant they fade out.
//!
//! The scatter is that of all rows without those in question. In white rows that is the identity less a few rows, so that
//! the discriminant follows from products of rows alone (Woodbury 1950), for a few hundred starts at little cost. No row
//! is compared with a mean that holds itself.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::direction::{FEWEST, SHARES, eigenvectors, first_scores, of_class, sharpen};
use super::robust::{mad, median};
use super::spd::Cholesky;
use super::tail::binomial_sf;

/// Largest share of a class that is apart from the class.
pub(super) const MOST_OF_CLASS: f64 = 0.5;
/// Rounds of fitting the discriminant and taking the rows beyond half of the distance.
pub(super) const ROUNDS: usize = 8;
/// Stretches of the median distance, equally long: between the class and the rows apart, and around these.
const BETWEEN: [f64; 2] = [0.35, 0.65];
const AROUND: [f64; 2] = [0.85, 1.15];
/// Where a row belongs to those apart.
pub(super) const HALF: f64 = 0.5;
/// From here up to that rows nearly do.
const NEARLY: f64 = 0.3;
/// How many times as many rows must be around as between; to be a mode by themselves, beyond a doubt of this p-value, not corrected for anything.
const TIMES: u64 = 3;
const DOUBT: f64 = 0.003;
/// Most of a row's own say in the scatter that is corrected for.
const MOST_LEVERAGE: f64 = 0.8;

/// A shift with the rows that have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shift {
    /// Fisher's discriminant or what takes its place, d.
    weights: Array1<f32>,
    /// Median and scaled median deviation of the other rows' projections.
    centre: f64,
    scale: f64,
    /// Median distance of its rows from the others' median, in deviations of those.
    pub distance: f64,
    /// Class that it was found in.
    pub class: u32,
    /// Positions of the rows of any class that have it, ascending.
    #[serde(skip)]
    pub members: Vec<usize>,
    /// Positions of the rows of any class that nearly have it, ascending.
    #[serde(skip)]
    pub nearly: Vec<usize>,
    /// Rows of any class in the stretch between, and around the median distance.
    pub between: u64,
    /// Rows around the median distance.
    pub around: u64,
    /// P(at least this many of these rows around) where the density does not rise outwards; 1 where it may, or has a soft mode.
    pub p: f64,
}

impl Shift {
    /// From weights (d), what all rows score with them, and the rows of a class that lie apart along them.
    pub(super) fn along(weights: Array1<f32>, scores: ArrayView1<f64>, class: u32, inside: &BTreeSet<usize>) -> Option<Self> {
        let (centre, scale, distance) = apart(scores, |i| inside.contains(&i))?;
        let far = || scores.iter().map(|x| (x - centre) / scale);
        let [between, around] = stretches(&far(), distance);
        let beyond =
            |from: f64, to: f64| far().enumerate().filter(|(_, z)| *z > from * distance && *z <= to * distance).map(|(i, _)| i).collect();
        let (members, nearly) = (beyond(HALF, f64::INFINITY), beyond(NEARLY, HALF));
        // Soft modes of nature, such as a way to write a digit, have several times as many around as between as well; but not beyond doubt.
        let soft = binomial_sf(around, between + around, TIMES as f64 / (TIMES + 1) as f64) > DOUBT;
        let p = if soft { 1.0 } else { binomial_sf(around, between + around, 0.5) };
        Some(Self { weights, centre, scale, distance, class, members, nearly, between, around, p })
    }

    /// Whether its rows do not fade into the others.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.around >= TIMES * self.between
    }

    /// Whether each row (n × d, as those that it was found among) lies beyond half of its distance.
    #[must_use]
    pub fn holds(&self, white: ArrayView2<f32>) -> Vec<bool> {
        white.dot(&self.weights).iter().map(|x| (f64::from(*x) - self.centre) / self.scale > HALF * self.distance).collect()
    }
}

/// Searches white rows (n × d: mean zero, covariance at most the identity) for shifts that at most `most` of them have.
/// Starts are made within classes (one of `count` for each row). Returns the shifts, those least explained first, and the
/// number of starts.
#[must_use]
pub fn shifts(white: ArrayView2<f32>, classes: &[u32], count: usize, most: usize, seed: u64) -> (Vec<Shift>, u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut found, mut tried) = (Vec::new(), 0);
    let squares: Vec<f64> = white.outer_iter().map(|row| f64::from(row.dot(&row))).collect();
    for class in 0..count as u32 {
        let Some(rows) = of_class(classes, class) else { continue };
        let own = white.select(Axis(0), &rows);
        let class_rows = ClassRows { products: own.dot(&own.t()), all: white.nrows() as f64 };
        let level = of_equal_length(&class_rows.products);
        let sizes = SHARES.map(|share| ((share * rows.len() as f64) as usize).max(FEWEST));
        let sizes: Vec<usize> = sizes.into_iter().filter(|size| size * 2 <= rows.len()).collect();
        let first = first_scores(&level, eigenvectors(count), &mut rng);
        let starts: Vec<_> = first.iter().flat_map(|scores| sizes.iter().map(move |size| (scores, *size))).collect();
        tried += starts.len() as u64;
        let settled: BTreeSet<BTreeSet<usize>> =
            starts.into_par_iter().filter_map(|(scores, size)| class_rows.settle(sharpen(&level, scores, size))).collect();
        let line = |inside: &BTreeSet<usize>| class_rows.line(inside)?.among_all(white, &squares, class, &rows, inside);
        found.par_extend(settled.par_iter().filter_map(line).filter(|shift| shift.members.len() <= most));
    }
    found.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.members.len().cmp(&a.members.len())).then_with(|| a.members.cmp(&b.members)));
    found.dedup_by(|a, b| a.members == b.members);
    (found, tried)
}

/// Products of rows as if all had the median length: heavy tails have no say in where a search starts.
fn of_equal_length(products: &Array2<f32>) -> Array2<f32> {
    let lengths: Array1<f32> = products.diag().mapv(|square| square.max(0.0).sqrt());
    let usual = median(&mut lengths.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>()).unwrap_or(0.0) as f32;
    let factors = lengths.mapv(|length| if length > 0.0 { usual / length } else { 0.0 });
    products * &factors * factors.view().insert_axis(Axis(1))
}

/// Products of the rows of one class.
struct ClassRows {
    products: Array2<f32>,
    /// Rows of all classes that the whitening was fitted on.
    all: f64,
}

/// Fisher's discriminant between rows inside and the rest of the class, as weights of the class's rows; and what the rows
/// inside score without themselves.
struct Discriminant {
    /// Weights of the class's rows.
    weights: Array1<f64>,
    /// Scores of the class's rows: those inside without themselves in their mean, the rest neither in theirs nor in the scatter.
    scores: Array1<f64>,
}

impl ClassRows {
    /// `None` where the rows inside are all of their scatter.
    fn line(&self, inside: &BTreeSet<usize>) -> Option<Discriminant> {
        let (n, k) = (self.products.nrows(), inside.len());
        let within: Vec<usize> = inside.iter().copied().collect();
        let rest: Vec<usize> = (0..n).filter(|i| !inside.contains(i)).collect();
        let (size, others) = (k as f64, rest.len() as f64);
        if k < 2 || rest.len() < 2 {
            return None;
        }
        let mean = |of: &[usize]| -> Array1<f64> {
            let mut sum = Array1::<f64>::zeros(n);
            for &i in of {
                sum.zip_mut_with(&self.products.row(i), |sum, x| *sum += f64::from(*x));
            }
            sum / of.len() as f64
        };
        let (to_inside, to_rest) = (mean(&within), mean(&rest));
        let gram = Array2::from_shape_fn((k, k), |(i, j)| f64::from(self.products[(within[i], within[j])]));
        // All rows' scatter is n times the identity; without the rows inside, around a mean without them.
        let kernel = Cholesky::new((-&gram - 1.0).view(), self.all)?;
        let mut right = Array2::<f64>::zeros((k, k + 1));
        for (i, &at) in within.iter().enumerate() {
            right[(i, k)] = to_inside[at] - to_rest[at];
            right.row_mut(i).iter_mut().zip(gram.row(i)).for_each(|(slot, x)| *slot = *x);
        }
        let solved = kernel.solve(right.view());
        let mut weights = Array1::from_elem(n, -1.0 / others);
        for (i, &at) in within.iter().enumerate() {
            weights[at] = 1.0 / size + solved[(i, k)];
        }
        let mut scores = Array1::<f64>::zeros(n);
        for (row, weight) in self.products.outer_iter().zip(&weights) {
            scores.zip_mut_with(&row, |score, x| *score += weight * f64::from(*x));
        }
        let inverse_means: Vec<f64> = solved.outer_iter().map(|row| row.iter().take(k).sum::<f64>() / size).collect();
        for (i, &at) in within.iter().enumerate() {
            // A row's product with itself and with the mean inside, in the metric of the discriminant.
            let (mut itself, mut mean) = (gram[(i, i)], to_inside[at]);
            for j in 0..k {
                itself += gram[(i, j)] * solved[(j, i)];
                mean += gram[(i, j)] * inverse_means[j];
            }
            scores[at] += (mean - itself) / (size - 1.0);
        }
        for &at in &rest {
            let itself = f64::from(self.products[(at, at)]);
            scores[at] = (scores[at] + (itself - to_rest[at]) / (others - 1.0)) / without(itself, self.all);
        }
        Some(Discriminant { weights, scores })
    }

    /// Takes the rows beyond half of the distance of those inside, until nothing changes. `None` where that is no part of
    /// the class, or one that fades into it.
    fn settle(&self, mut inside: BTreeSet<usize>) -> Option<BTreeSet<usize>> {
        let n = self.products.nrows();
        for _ in 0..ROUNDS {
            let Discriminant { scores, .. } = self.line(&inside)?;
            let (centre, scale, distance) = apart(scores.view(), |i| inside.contains(&i))?;
            let next: BTreeSet<usize> = (0..n).filter(|&i| (scores[i] - centre) / scale > HALF * distance).collect();
            if next.len() < FEWEST || next.len() as f64 > MOST_OF_CLASS * n as f64 {
                return None;
            }
            if next == inside {
                let [between, around] = stretches(&scores.iter().map(|x| (x - centre) / scale), distance);
                return (around >= TIMES * between).then_some(inside);
            }
            inside = next;
        }
        Some(inside)
    }
}

impl Discriminant {
    fn among_all(self, white: ArrayView2<f32>, squares: &[f64], class: u32, rows: &[usize], inside: &BTreeSet<usize>) -> Option<Shift> {
        let mut weights = Array1::<f32>::zeros(white.ncols());
        for (&at, weight) in rows.iter().zip(&self.weights) {
            weights.scaled_add(*weight as f32, &white.row(at));
        }
        let n = white.nrows() as f64;
        let mut scores: Array1<f64> = white.dot(&weights).mapv(f64::from);
        for (score, square) in scores.iter_mut().zip(squares) {
            *score /= without(*square, n);
        }
        for (&at, score) in rows.iter().zip(&self.scores) {
            scores[at] = *score;
        }
        let inside: BTreeSet<usize> = inside.iter().map(|&at| rows[at]).collect();
        Shift::along(weights, scores.view(), class, &inside).filter(Shift::is_apart)
    }
}

/// Part of a row's score that is left where the row has had no say in the scatter.
fn without(square: f64, rows: f64) -> f64 {
    1.0 - (square / rows).min(MOST_LEVERAGE)
}

/// Median and scaled median deviation of the scores outside, and the median distance of those inside in these terms.
pub(super) fn apart(scores: ArrayView1<f64>, inside: impl Fn(usize) -> bool) -> Option<(f64, f64, f64)> {
    let part = |side: bool| -> Vec<f64> { scores.iter().enumerate().filter(|(i, _)| inside(*i) == side).map(|(_, x)| *x).collect() };
    let (mut own, mut others) = (part(true), part(false));
    let centre = median(&mut others)?;
    let scale = mad(&others, centre).filter(|scale| *scale > 0.0 && scale.is_finite())?;
    let distance = (median(&mut own)? - centre) / scale;
    (distance > 0.0 && distance.is_finite()).then_some((centre, scale, distance))
}

/// Rows between, and around the distance.
fn stretches(far: &(impl Iterator<Item = f64> + Clone), distance: f64) -> [u64; 2] {
    [BETWEEN, AROUND].map(|[from, to]| far.clone().filter(|z| *z >= from * distance && *z < to * distance).count() as u64)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::stats::direction::Whitening;

    /// White rows of three classes with 40 heavy-tailed columns. Every seventh row of class 1 is moved by a vector: `even`
    /// each as far, else each by an amount of its own, as many hardly at all.
    fn rows(size: f32, even: bool) -> (Array2<f32>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let pattern: Vec<f32> = (0..40).map(|_| if rng.random::<bool>() { size } else { -size }).collect();
        let mut bell = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        let mut out = Array2::from_shape_simple_fn((1_260, 40), &mut bell);
        for (i, mut row) in out.outer_iter_mut().enumerate() {
            row *= 1.0 + 0.3 * bell().abs();
            let amount = if even { f32::from(i % 21 == 1) } else { f32::from(i % 3 == 1) * bell().abs().powi(2) / 2.0 };
            row.iter_mut().zip(&pattern).for_each(|(x, shift)| *x += amount * shift);
        }
        let white = Whitening::fit(out.view()).unwrap().rotate(out.view());
        (white, (0..1_260).map(|i| i % 3).collect())
    }

    #[test]
    fn rows_moved_equally_far_are_found_and_rows_that_fade_are_not() {
        let (white, classes) = rows(2.0, true);
        let (found, tried) = shifts(white.view(), &classes, 3, 120, 1);
        assert_eq!(tried, 3 * 13 * 4);
        let best = &found[0];
        assert_eq!((best.class, best.members.len()), (1, 60));
        assert!(best.members.iter().all(|i| i % 21 == 1) && best.p * (tried as f64) < 0.01, "{:e}", best.p);
        let held = best.holds(white.view());
        assert!((0..1_260).filter(|i| held[*i] == (i % 21 == 1)).count() >= 1_255);
        for (size, even) in [(0.0, true), (1.5, false)] {
            let (white, classes) = rows(size, even);
            let (found, tried) = shifts(white.view(), &classes, 3, 120, 1);
            assert!(found.iter().all(|shift| shift.p * tried as f64 > 0.05), "{:e}", found[0].p);
        }
    }

    #[test]
    fn the_closed_form_is_fishers_discriminant_without_the_row() {
        let (white, classes) = rows(1.5, true);
        let own: Vec<usize> = (0..1_260).filter(|i| classes[*i] == 1).collect();
        let of_class = white.select(Axis(0), &own);
        let inside: BTreeSet<usize> = (0..420).filter(|at| own[*at] % 21 == 1).collect();
        let line = ClassRows { products: of_class.dot(&of_class.t()), all: 1_260.0 }.line(&inside).unwrap();
        // Scatter of all rows that are not inside, from their own rows; the ridge of the whitening is the rest of the identity.
        let others: Vec<usize> = (0..1_260).filter(|i| i % 21 != 1).collect();
        let white64 = white.mapv(f64::from);
        let mean = |of: &[usize]| white64.select(Axis(0), of).mean_axis(Axis(0)).unwrap();
        let centred = white64.select(Axis(0), &others) - &mean(&others);
        let full = white64.t().dot(&white64);
        let scatter = centred.t().dot(&centred) + Array2::<f64>::eye(40) * 1_260.0 - full;
        let kernel = Cholesky::new(scatter.view(), 0.0).unwrap();
        let rest: Vec<usize> = own.iter().copied().filter(|i| i % 21 != 1).collect();
        let row = own[*inside.first().unwrap()];
        let without: Vec<usize> = own.iter().copied().filter(|i| i % 21 == 1 && *i != row).collect();
        let weights = kernel.solve((mean(&without) - mean(&rest)).insert_axis(Axis(1)).view());
        let expected = 1_260.0 * white64.row(row).dot(&weights.column(0));
        let score = line.scores[*inside.first().unwrap()];
        assert!((score / expected - 1.0).abs() < 1e-3, "{score} {expected}");
    }

    #[test]
    fn rows_without_a_shift_or_without_rows_have_none() {
        assert!(shifts(Array2::<f32>::zeros((60, 4)).view(), &[0; 60], 1, 6, 1).0.is_empty());
        assert!(shifts(Array2::<f32>::zeros((0, 4)).view(), &[], 1, 6, 1).0.is_empty());
    }
}
