//! Directions in a whitened space that a few rows share: what is left of rows when all that is common is divided out.
//!
//! A pattern added to some rows moves them all the same way. Among whitened rows, whose directions are otherwise at random,
//! such rows have a common direction: the leading eigenvectors of their class point there, and taking the rows that
//! lie furthest along, averaging them and repeating sharpens it (spectral signatures, Tran et al. 2018). With fewer
//! rows than a few times the columns a row lies far along any mean that it is part of, so no row is ever compared with a mean that
//! holds itself.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::robust::{mad, median};
use super::spd::{BLOCK, Cholesky, add_gram};

/// Share of the mean variance that is added to every column's.
const RIDGE: f64 = 0.01;
/// Rows of a class that directions are sought in.
const MOST_OF_CLASS: usize = 1_000;
/// Fewest.
const FEWEST_OF_CLASS: usize = 20;
/// Shares of a class that may move together.
pub(super) const SHARES: [f64; 4] = [0.02, 0.05, 0.1, 0.3];
/// Fewest rows that may.
pub(super) const FEWEST: usize = 6;
/// Rounds of taking the furthest rows and averaging.
const ROUNDS: usize = 6;
/// Rounds of subspace iteration.
const ITERATIONS: usize = 15;
/// Most eigenvectors of a class, and of all classes together.
const EIGENVECTORS: (usize, usize) = (6, 96);
/// Directions that are projected on at once.
const AT_ONCE: usize = 256;
/// Robust z from which on a row is far along a direction.
pub const FAR: f32 = 6.0;

/// Turns rows into rows of equal length without correlations, up to a rotation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Whitening {
    mean: Array1<f32>,
    /// d × d.
    matrix: Array2<f32>,
    /// Length of all rows afterwards: the median before they are brought to it.
    length: f32,
}

impl Whitening {
    /// Fits rows (n × d), all finite. `None` where they do not vary.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>) -> Option<Self> {
        let (n, d) = rows.dim();
        let mean = rows.mean_axis(Axis(0))?;
        let mut covariance = Array2::<f64>::zeros((d, d));
        for block in rows.axis_chunks_iter(Axis(0), BLOCK) {
            add_gram((&block - &mean).view(), covariance.view_mut());
        }
        covariance /= n as f64;
        let shift = RIDGE * covariance.diag().sum() / d as f64;
        if shift.is_nan() || shift <= f64::from(f32::MIN_POSITIVE) {
            return None;
        }
        let matrix = Cholesky::new(covariance.view(), shift)?.whitening().mapv(|x| x as f32);
        let mut fitted = Self { mean, matrix, length: 1.0 };
        let white = fitted.rotate(rows);
        let mut lengths: Vec<f64> = white.outer_iter().map(|row| f64::from(row.dot(&row).sqrt())).collect();
        fitted.length = median(&mut lengths)? as f32;
        Some(fitted)
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// White rows, n × d: mean zero, and a covariance of at most the identity.
    #[must_use]
    pub fn rotate(&self, rows: ArrayView2<f32>) -> Array2<f32> {
        (&rows - &self.mean).dot(&self.matrix)
    }

    /// White rows, all brought to the same length, n × d.
    #[must_use]
    pub fn apply(&self, rows: ArrayView2<f32>) -> Array2<f32> {
        self.to_length(self.rotate(rows))
    }

    /// Brings rows that are white already (n × d) to the same length.
    #[must_use]
    pub fn to_length(&self, mut white: Array2<f32>) -> Array2<f32> {
        for mut row in white.outer_iter_mut() {
            let length = row.dot(&row).sqrt();
            if length > 0.0 {
                row *= self.length / length;
            }
        }
        white
    }
}

/// A direction with the rows that lie far along it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Direction {
    /// Mean of the rows, d.
    weights: Array1<f32>,
    /// Median and scaled median deviation of all rows' projections.
    centre: f32,
    scale: f32,
    /// Positions of the rows, ascending.
    #[serde(skip)]
    pub members: Vec<usize>,
    /// Robust z of every row that the direction was found among; of members against the mean of the others.
    #[serde(skip)]
    pub far: Vec<f32>,
}

impl Direction {
    /// Robust z of whitened rows (n × d) that the direction was not found among.
    #[must_use]
    pub fn project(&self, white: ArrayView2<f32>) -> Vec<f32> {
        white.dot(&self.weights).iter().map(|x| (x - self.centre) / self.scale).collect()
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Search {
    /// Distinct directions, those with most rows first.
    pub directions: Vec<Direction>,
    /// Starting points that were tried.
    pub tried: u64,
}

/// Searches whitened rows (n × d) for directions that between 5 rows and `most` of all rows lie far along. Starts are made
/// within classes (one of `count` for each row); what lies far along is asked of all rows.
#[must_use]
pub fn search(white: ArrayView2<f32>, classes: &[u32], count: usize, most: usize, seed: u64) -> Search {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut starts = BTreeSet::new();
    let mut tried = 0;
    for class in 0..count as u32 {
        let Some(rows) = of_class(classes, class) else { continue };
        let own = white.select(Axis(0), &rows);
        let products = own.dot(&own.t());
        for scores in first_scores(&products, eigenvectors(count), &mut rng) {
            for share in SHARES {
                let size = ((share * rows.len() as f64) as usize).max(FEWEST);
                if size * 2 <= rows.len() {
                    tried += 1;
                    starts.insert(sharpen(&products, &scores, size).into_iter().map(|at| rows[at]).collect::<Vec<usize>>());
                }
            }
        }
    }
    Search { directions: spread(white, starts, most), tried }
}

/// Positions of the rows of a class that directions are sought in; `None` where they are too few.
pub(super) fn of_class(classes: &[u32], class: u32) -> Option<Vec<usize>> {
    let rows: Vec<usize> = (0..classes.len()).filter(|&i| classes[i] == class).take(MOST_OF_CLASS).collect();
    (rows.len() >= FEWEST_OF_CLASS).then_some(rows)
}

/// Eigenvectors that are starts in each of so many classes.
pub(super) fn eigenvectors(classes: usize) -> usize {
    (EIGENVECTORS.1 / classes.max(1)).clamp(1, EIGENVECTORS.0)
}

/// Projections of a class's rows on its leading eigenvectors, both ways, and on its mean.
pub(super) fn first_scores(products: &Array2<f32>, eigenvectors: usize, rng: &mut ChaCha8Rng) -> Vec<Array1<f32>> {
    let n = products.nrows();
    let means = products.sum_axis(Axis(0)) / n as f32;
    let mean = means.sum() / n as f32;
    let mut centred = products - &means;
    centred -= &means.view().insert_axis(Axis(1));
    centred += mean;
    let mut vectors = Array2::<f32>::from_shape_simple_fn((n, eigenvectors), || rng.random::<f32>() - 0.5);
    for _ in 0..ITERATIONS {
        vectors = centred.dot(&vectors);
        for j in 0..eigenvectors {
            for earlier in 0..j {
                let shared = vectors.column(j).dot(&vectors.column(earlier));
                let earlier = vectors.column(earlier).to_owned();
                vectors.column_mut(j).scaled_add(-shared, &earlier);
            }
            let length = vectors.column(j).dot(&vectors.column(j)).sqrt();
            vectors.column_mut(j).mapv_inplace(|x| if length > 0.0 { x / length } else { 0.0 });
        }
    }
    let both = vectors.axis_iter(Axis(1)).flat_map(|v| [v.to_owned(), v.mapv(|x| -x)]);
    both.chain([means.clone()]).collect()
}

/// The `size` rows that lie furthest along the mean of the others of them.
pub(super) fn sharpen(products: &Array2<f32>, scores: &Array1<f32>, size: usize) -> BTreeSet<usize> {
    let furthest = |scores: &Array1<f32>| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        order.into_iter().take(size).collect::<BTreeSet<usize>>()
    };
    let mut members = furthest(scores);
    for _ in 0..ROUNDS {
        let mut sums = Array1::<f32>::zeros(scores.len());
        for &member in &members {
            sums += &products.row(member);
        }
        sums /= size as f32;
        for &member in &members {
            sums[member] = (sums[member] * size as f32 - products[(member, member)]) / (size - 1) as f32;
        }
        let next = furthest(&sums);
        if next == members {
            break;
        }
        members = next;
    }
    members
}

/// Lets each set of rows take in all rows that lie far along its mean, and leave those that do not, until nothing changes.
fn spread(white: ArrayView2<f32>, starts: BTreeSet<Vec<usize>>, most: usize) -> Vec<Direction> {
    let mut sets = starts;
    let mut found: Vec<Direction> = Vec::new();
    for round in 0..=ROUNDS {
        let all: Vec<Vec<usize>> = std::mem::take(&mut sets).into_iter().collect();
        for some in all.chunks(AT_ONCE) {
            let mut weights = Array2::<f32>::zeros((white.ncols(), some.len()));
            for (members, mut column) in some.iter().zip(weights.axis_iter_mut(Axis(1))) {
                for &member in members {
                    column += &white.row(member);
                }
                column /= members.len() as f32;
            }
            let projections = white.dot(&weights);
            for ((members, scores), weights) in some.iter().zip(projections.axis_iter(Axis(1))).zip(weights.axis_iter(Axis(1))) {
                let Some(direction) = far_along(white, members, scores.to_owned(), weights.to_owned()) else { continue };
                if direction.members.len() < FEWEST - 1 || direction.members.len() > most {
                    continue;
                }
                if direction.members == *members || round == ROUNDS {
                    found.push(direction);
                } else {
                    sets.insert(direction.members);
                }
            }
        }
    }
    found.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.members.cmp(&b.members)));
    found.dedup_by(|a, b| a.members == b.members);
    found
}

fn far_along(white: ArrayView2<f32>, members: &[usize], mut scores: Array1<f32>, weights: Array1<f32>) -> Option<Direction> {
    let size = members.len() as f32;
    for &member in members {
        let row = white.row(member);
        scores[member] = (scores[member] * size - row.dot(&row)) / (size - 1.0).max(1.0);
    }
    let mut sorted: Vec<f64> = scores.iter().map(|&x| f64::from(x)).collect();
    let centre = median(&mut sorted)?;
    let scale = mad(&sorted, centre)?;
    if scale.is_nan() || scale <= 0.0 {
        return None;
    }
    let far: Vec<f32> = scores.iter().map(|&x| ((f64::from(x) - centre) / scale) as f32).collect();
    let members = (0..far.len()).filter(|&i| far[i] > FAR).collect();
    Some(Direction { weights, centre: centre as f32, scale: scale as f32, members, far })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 40 uniform columns, the second half of them ten times the first; 40 rows of class 1 moved by a fixed pattern.
    fn rows(planted: bool) -> (Array2<f32>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let pattern: Vec<f32> = (0..40).map(|_| if rng.random::<bool>() { 0.5 } else { -0.5 }).collect();
        let mut out = Array2::from_shape_fn((1_200, 40), |(_, j)| (rng.random::<f32>() - 0.5) * if j < 20 { 1.0 } else { 10.0 });
        for i in (0..1_200).filter(|i| planted && i % 30 == 1) {
            (0..40).for_each(|j| out[(i, j)] += if j < 20 { 1.5 * pattern[j] } else { 0.0 });
        }
        (out, (0..1_200).map(|i| i % 3).collect())
    }

    #[test]
    fn rows_moved_alike_are_found_and_no_others() {
        let (moved, classes) = rows(true);
        let white = Whitening::fit(moved.view()).unwrap().apply(moved.view());
        let found = search(white.view(), &classes, 3, 120, 1);
        let best = &found.directions[0];
        assert!(best.members.iter().all(|i| i % 30 == 1) && best.members.len() >= 20, "{:?}", best.members);
        let (clean, classes) = rows(false);
        let white = Whitening::fit(clean.view()).unwrap().apply(clean.view());
        assert!(search(white.view(), &classes, 3, 120, 1).directions.is_empty());
    }

    #[test]
    fn white_rows_have_one_length_and_no_correlation() {
        let (rows, _) = rows(false);
        let white = Whitening::fit(rows.view()).unwrap().apply(rows.view());
        let lengths = white.map_axis(Axis(1), |row| row.dot(&row).sqrt());
        assert!(lengths.iter().all(|length| (length / lengths[0] - 1.0).abs() < 1e-4));
        let covariance = white.t().dot(&white) / white.nrows() as f32;
        assert!(covariance.indexed_iter().all(|((i, j), x)| i == j || x.abs() < 0.15 * covariance[(0, 0)]));
    }

    #[test]
    fn rows_that_do_not_vary_have_no_directions() {
        assert!(Whitening::fit(Array2::<f32>::ones((30, 4)).view()).is_none());
        assert!(Whitening::fit(Array2::<f32>::zeros((0, 4)).view()).is_none());
        let none = search(Array2::<f32>::zeros((60, 4)).view(), &[0; 60], 1, 6, 1);
        assert!(none.directions.is_empty());
    }
}
