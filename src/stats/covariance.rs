//! Shrunk covariance and trimmed Mahalanobis distance.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::spd::{self, BLOCK, Cholesky};
use crate::error::{Error, Result};

/// Values beyond this overflow single-precision squares; a row with one counts as infinitely far.
const MAX_VALUE: f32 = 1e12;

/// Least shrinkage of a distance: a constant or repeated column keeps at least this share of the mean variance, so that
/// the covariance can be inverted.
const MIN_SHRINKAGE: f64 = 1e-4;

fn wrong(reason: impl Into<String>) -> Error {
    Error::Detector { code: "covariance", reason: reason.into() }
}

fn usable(row: ArrayView1<f32>) -> bool {
    row.iter().all(|x| x.abs() <= MAX_VALUE)
}

/// A covariance matrix shrunk towards the same variance in every direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// `(1 − ρ)S + ρ·tr(S)/d·I`, d × d.
    pub covariance: Array2<f64>,
    /// ρ, 0 to 1.
    pub shrinkage: f64,
}

/// The covariance of rows (n × d), shrunk by the amount that Ledoit and Wolf (2004, "A well-conditioned estimator for
/// large-dimensional covariance matrices") prove best; S divides by n. Fails without rows or columns, and on values that
/// are not finite or beyond 10¹².
pub fn ledoit_wolf(rows: ArrayView2<f32>) -> Result<Shrunk> {
    if !rows.outer_iter().all(usable) {
        return Err(wrong("rows are not finite or too large"));
    }
    let everything: Vec<(usize, usize)> = (0..rows.nrows()).map(|row| (row, 0)).collect();
    let (_, scatter) = Scatter::gather(rows, &everything, 1)?;
    Ok(scatter.shrink(0.0))
}

/// Moments of rows around their class means.
struct Scatter {
    rows: f64,
    /// Lower triangle of the sum of outer products.
    products: Array2<f64>,
    /// Sum of fourth powers of row lengths.
    fourth: f64,
}

impl Scatter {
    /// Means (classes × d) and moments of these (row, class) pairs. A class without rows has the mean of all.
    fn gather(rows: ArrayView2<f32>, members: &[(usize, usize)], classes: usize) -> Result<(Array2<f64>, Self)> {
        let columns = rows.ncols();
        if members.is_empty() || columns == 0 {
            return Err(wrong("no usable rows or columns"));
        }
        let mut means = Array2::<f64>::zeros((classes, columns));
        let mut counts = vec![0_u64; classes];
        for &(row, class) in members {
            means.row_mut(class).zip_mut_with(&rows.row(row), |sum, &x| *sum += f64::from(x));
            counts[class] += 1;
        }
        let overall = means.sum_axis(Axis(0)) / members.len() as f64;
        for (mut mean, &count) in means.outer_iter_mut().zip(&counts) {
            if count == 0 {
                mean.assign(&overall);
            } else {
                mean /= count as f64;
            }
        }
        let mut scatter = Self { rows: members.len() as f64, products: Array2::zeros((columns, columns)), fourth: 0.0 };
        let mut block = Array2::<f32>::zeros((BLOCK.min(members.len()), columns));
        for chunk in members.chunks(BLOCK) {
            for (mut deviation, &(row, class)) in block.outer_iter_mut().zip(chunk) {
                let mut square = 0.0;
                for ((out, &x), mean) in deviation.iter_mut().zip(rows.row(row)).zip(means.row(class)) {
                    let value = f64::from(x) - mean;
                    square += value * value;
                    *out = value as f32;
                }
                scatter.fourth += square * square;
            }
            spd::add_gram(spd::part(block.view(), 0..chunk.len(), 0..columns), scatter.products.view_mut());
        }
        Ok((means, scatter))
    }

    /// Formulas as in scikit-learn's `ledoit_wolf_shrinkage`; shrinkage at least `least`.
    fn shrink(self, least: f64) -> Shrunk {
        let d = self.products.nrows();
        let mut covariance = self.products / self.rows;
        let (mut squares, mut trace) = (0.0, 0.0);
        for i in 0..d {
            for j in 0..i {
                squares += 2.0 * covariance[(i, j)].powi(2);
                covariance[(j, i)] = covariance[(i, j)];
            }
            squares += covariance[(i, i)].powi(2);
            trace += covariance[(i, i)];
        }
        let mean = trace / d as f64;
        let distance = squares - trace * mean;
        let error = ((self.fourth / self.rows - squares) / self.rows).min(distance);
        // One column is its own target.
        let optimal = if d > 1 && error > 0.0 { error / distance } else { 0.0 };
        let shrinkage = optimal.max(least);
        covariance *= 1.0 - shrinkage;
        covariance.diag_mut().mapv_inplace(|x| x + shrinkage * mean);
        Shrunk { covariance, shrinkage }
    }
}

/// Squared Mahalanobis distance to class means under one shrunk covariance, fitted to the inner part of every class.
///
/// Columns should be on comparable scales first. After trimming distances are larger than those of a χ² variable with d
/// degrees of freedom, by a factor that the ranking does not see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrimmedMahalanobis {
    /// Classes × d.
    means: Array2<f32>,
    /// `W` with `W Wᵀ` = the inverse covariance, d × d.
    whitening: Array2<f32>,
    shrinkage: f64,
}

impl TrimmedMahalanobis {
    /// Fits one mean to rows (n × d): on all, then `refits` times on the share `keep` (above 0, at most 1) of them that
    /// is nearest. Rows with values that are not finite or beyond 10¹² are left out. Fails without usable rows.
    pub fn fit(rows: ArrayView2<f32>, keep: f64, refits: usize) -> Result<Self> {
        Self::fit_rows(rows, &vec![0; rows.nrows()], 1, keep, refits, MIN_SHRINKAGE)
    }

    /// As [`fit`](Self::fit) with a mean per class, 0 up to but without `count`; every class keeps the same share of its
    /// rows. A class without rows has the mean of all.
    pub fn fit_classes(rows: ArrayView2<f32>, classes: &[u32], count: usize, keep: f64, refits: usize) -> Result<Self> {
        Self::fit_shrunk_classes(rows, classes, count, keep, refits, MIN_SHRINKAGE)
    }

    /// As [`fit_classes`](Self::fit_classes), shrunk at least so much (0.0001 to 1): directions that hardly any row varies along say less.
    pub fn fit_shrunk_classes(rows: ArrayView2<f32>, classes: &[u32], count: usize, keep: f64, refits: usize, least: f64) -> Result<Self> {
        let classes: Vec<usize> = classes.iter().map(|&class| class as usize).collect();
        Self::fit_rows(rows, &classes, count, keep, refits, least)
    }

    fn fit_rows(rows: ArrayView2<f32>, classes: &[usize], count: usize, keep: f64, refits: usize, least: f64) -> Result<Self> {
        if classes.len() != rows.nrows() || classes.iter().any(|&class| class >= count) {
            return Err(wrong("classes do not fit the rows"));
        }
        if !(keep > 0.0 && keep <= 1.0) {
            return Err(wrong(format!("the share of rows to keep must be above 0 and at most 1, not {keep}")));
        }
        let mut usable_members = vec![Vec::new(); count];
        for (row, (values, &class)) in rows.outer_iter().zip(classes).enumerate() {
            if usable(values) {
                usable_members[class].push((row, class));
            }
        }
        let mut fitted = Self::fit_members(rows, &usable_members.concat(), count, least)?;
        for _ in 0..refits {
            let distances = fitted.distances2_to(rows, classes)?;
            let mut kept = Vec::new();
            for members in &usable_members {
                let mut inner = members.clone();
                // The position decides between equal distances: the same rows stay every time.
                inner.sort_unstable_by(|a, b| distances[a.0].total_cmp(&distances[b.0]).then(a.cmp(b)));
                inner.truncate((keep * members.len() as f64).ceil() as usize);
                inner.sort_unstable();
                kept.append(&mut inner);
            }
            fitted = Self::fit_members(rows, &kept, count, least)?;
        }
        Ok(fitted)
    }

    fn fit_members(rows: ArrayView2<f32>, members: &[(usize, usize)], classes: usize, least: f64) -> Result<Self> {
        let (means, scatter) = Scatter::gather(rows, members, classes)?;
        let Shrunk { mut covariance, shrinkage } = scatter.shrink(least.max(MIN_SHRINKAGE));
        if covariance.diag().iter().all(|&variance| variance <= f64::from(f32::MIN_POSITIVE)) {
            // All rows alike: without a scale of their own, distances are in the units of the data.
            covariance = Array2::eye(covariance.nrows());
        }
        let whitening = Cholesky::new(covariance.view(), 0.0).ok_or_else(|| wrong("the covariance cannot be inverted"))?.whitening();
        Ok(Self { means: means.mapv(|x| x as f32), whitening: whitening.mapv(|x| x as f32), shrinkage })
    }

    /// The Ledoit–Wolf shrinkage of the last fit, 0.0001 to 1.
    #[must_use]
    pub fn shrinkage(&self) -> f64 {
        self.shrinkage
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.means.nrows()
    }

    /// Rows (n × d) without correlations, n × d: their squared distances are those of this covariance. Fails where rows have
    /// another number of columns.
    pub fn whiten(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.check(rows.ncols())?;
        Ok(rows.dot(&self.whitening))
    }

    /// The means, as [`whiten`](Self::whiten) gives rows: classes × d.
    #[must_use]
    pub fn whitened_means(&self) -> Array2<f32> {
        self.means.dot(&self.whitening)
    }

    fn check(&self, columns: usize) -> Result<()> {
        if self.means.ncols() != columns || self.whitening.dim() != (columns, columns) {
            return Err(wrong(format!("rows have {columns} columns, the model has {}", self.means.ncols())));
        }
        Ok(())
    }

    /// Squared distance of a row to the mean of a class; infinite where a value is not finite or beyond 10¹². Fails
    /// where the row has another number of columns or there is no such class.
    pub fn distance2(&self, row: ArrayView1<f32>, class: usize) -> Result<f32> {
        let distances = self.distances2_to(row.insert_axis(Axis(0)), &[class])?;
        distances.first().copied().ok_or_else(|| wrong("no row"))
    }

    /// Squared distance of every row to the mean of its class, or to the first mean where no classes are given; infinite
    /// and failing as [`distance2`](Self::distance2).
    pub fn distances2(&self, rows: ArrayView2<f32>, classes: Option<&[u32]>) -> Result<Vec<f32>> {
        let classes = classes.map_or_else(|| vec![0; rows.nrows()], |given| given.iter().map(|&class| class as usize).collect());
        self.distances2_to(rows, &classes)
    }

    fn distances2_to(&self, rows: ArrayView2<f32>, classes: &[usize]) -> Result<Vec<f32>> {
        self.check(rows.ncols())?;
        if classes.len() != rows.nrows() || classes.iter().any(|&class| class >= self.means.nrows()) {
            return Err(wrong("classes do not fit the rows"));
        }
        let mut distances = Vec::with_capacity(rows.nrows());
        for (rows, classes) in rows.axis_chunks_iter(Axis(0), BLOCK).zip(classes.chunks(BLOCK)) {
            let mut deviations = rows.to_owned();
            for (mut row, &class) in deviations.outer_iter_mut().zip(classes) {
                row -= &self.means.row(class);
            }
            let white = deviations.dot(&self.whitening);
            distances.extend(white.outer_iter().zip(rows.outer_iter()).map(|(white, row)| length2(white, row)));
        }
        Ok(distances)
    }

    /// Squared distance of every row to every class mean, rows × classes; infinite and failing as
    /// [`distance2`](Self::distance2).
    pub fn distances2_to_all(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.check(rows.ncols())?;
        // From the middle of the means, so that what is squared and subtracted below is no larger than it must be.
        let Some(middle) = self.means.mean_axis(Axis(0)) else {
            return Ok(Array2::zeros((rows.nrows(), 0)));
        };
        let means = (&self.means - &middle).dot(&self.whitening);
        let lengths: Vec<f32> = means.outer_iter().map(|mean| mean.dot(&mean)).collect();
        let mut distances = Array2::zeros((rows.nrows(), self.means.nrows()));
        for (rows, mut out) in rows.axis_chunks_iter(Axis(0), BLOCK).zip(distances.axis_chunks_iter_mut(Axis(0), BLOCK)) {
            let white = (&rows - &middle).dot(&self.whitening);
            let products = white.dot(&means.t());
            for (((mut out, products), white), row) in
                out.outer_iter_mut().zip(products.outer_iter()).zip(white.outer_iter()).zip(rows.outer_iter())
            {
                let length = length2(white, row);
                for ((out, product), mean) in out.iter_mut().zip(products).zip(&lengths) {
                    *out = if length.is_finite() { (length - 2.0 * product + mean).max(0.0) } else { f32::INFINITY };
                }
            }
        }
        Ok(distances)
    }

    /// Contribution of every column to the squared distance of a row to the mean of a class: `δⱼ(Σ⁻¹δ)ⱼ`. They add up
    /// to the squared distance; one is negative where its column, given the others, pulls the row inwards.
    pub fn contributions(&self, row: ArrayView1<f32>, class: usize) -> Result<Vec<f32>> {
        self.check(row.len())?;
        if class >= self.means.nrows() {
            return Err(wrong("no such class"));
        }
        let deviation = &row - &self.means.row(class);
        let pull = self.whitening.dot(&deviation.dot(&self.whitening));
        Ok((deviation * pull).to_vec())
    }
}

fn length2(white: ArrayView1<f32>, row: ArrayView1<f32>) -> f32 {
    if usable(row) { white.dot(&white) } else { f32::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the expected values below were computed with.
    fn lcg(rows: usize, columns: usize, seed: u64, mix: bool, broken: bool) -> Array2<f32> {
        let mut state = seed;
        let mut x = Array2::from_shape_simple_fn((rows, columns), || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) % 2001) as f64 / 250.0 - 4.0
        });
        for mut row in x.outer_iter_mut().filter(|_| mix) {
            for j in 1..columns {
                row[j] = 0.5 * row[j] + row[0];
            }
            if broken {
                row[3] = 1.0;
                row[4] = row[2];
            }
        }
        x.mapv(|x| x as f32)
    }

    #[test]
    fn shrinkage_is_that_of_scikit_learn() {
        // sklearn.covariance.ledoit_wolf, scikit-learn 1.9.1: shrinkage and the first two entries; tolerance 1e-6.
        for (rows, shrinkage, first, second) in [
            (lcg(50, 5, 1, false, false), 1.0, 4.869_619_687_854_605, 0.0),
            (lcg(20, 30, 2, false, false), 0.878_416_507_726_015, 5.047_466_105_860_922, -0.089_904_821_450_572_9),
            (lcg(200, 8, 3, true, false), 0.006_548_707_870_666_614, 5.759_273_918_202_69, 5.866_579_650_308_133),
            (lcg(60, 6, 4, true, true), 0.026_342_808_844_584_464, 4.864_936_500_021_56, 4.842_933_058_302_929),
        ] {
            let found = ledoit_wolf(rows.view()).unwrap();
            assert!((found.shrinkage - shrinkage).abs() < 1e-6, "{} is not {shrinkage}", found.shrinkage);
            assert!((found.covariance[(0, 0)] - first).abs() < 1e-6 * first);
            assert!((found.covariance[(0, 1)] - second).abs() < 1e-5);
        }
        assert!(ledoit_wolf(lcg(9, 1, 5, false, false).view()).unwrap().shrinkage.abs() < 1e-12);
    }

    #[test]
    fn distances_are_those_of_the_covariance() {
        let rows = lcg(200, 8, 3, true, false);
        let model = TrimmedMahalanobis::fit(rows.view(), 1.0, 0).unwrap();
        let inverse = Cholesky::new(ledoit_wolf(rows.view()).unwrap().covariance.view(), 0.0).unwrap().inverse();
        let mean = rows.mapv(f64::from).mean_axis(Axis(0)).unwrap();
        for (row, found) in rows.outer_iter().zip(model.distances2(rows.view(), None).unwrap()) {
            let deviation = row.mapv(f64::from) - &mean;
            let expected = deviation.dot(&inverse.dot(&deviation)) as f32;
            assert!((found - expected).abs() < 1e-3 * expected);
            assert!((model.contributions(row, 0).unwrap().iter().sum::<f32>() - expected).abs() < 1e-3 * expected);
            assert!((model.distance2(row, 0).unwrap() - found).abs() < 1e-4 * found);
        }
    }

    #[test]
    fn trimming_unmasks_a_cluster() {
        let mut rows = lcg(300, 4, 6, false, false);
        for mut row in rows.outer_iter_mut().take(30) {
            row.mapv_inplace(|x| 0.05 * x + 6.0);
        }
        let least_bad_over_most_good = |refits| {
            let distances = TrimmedMahalanobis::fit(rows.view(), 0.85, refits).unwrap().distances2(rows.view(), None).unwrap();
            let least = distances[..30].iter().copied().fold(f32::INFINITY, f32::min);
            least / distances[30..].iter().copied().fold(0.0, f32::max)
        };
        assert!(least_bad_over_most_good(0) < 1.5);
        assert!(least_bad_over_most_good(3) > 2.0 * least_bad_over_most_good(0));
    }

    #[test]
    fn names_the_column_to_blame() {
        let rows = lcg(100, 5, 7, false, false);
        let mut odd = Array2::<f32>::zeros((1, 5));
        odd[(0, 2)] = 30.0;
        let model = TrimmedMahalanobis::fit(rows.view(), 0.85, 2).unwrap();
        let parts = model.contributions(odd.row(0), 0).unwrap();
        assert!(parts[2] > 0.9 * parts.iter().sum::<f32>());
    }

    #[test]
    fn classes_have_means_of_their_own() {
        let mut rows = lcg(120, 3, 8, false, false);
        let classes: Vec<u32> = (0..120).map(|i| u32::from(i >= 80)).collect();
        for mut row in rows.outer_iter_mut().skip(80) {
            row += 50.0;
        }
        let model = TrimmedMahalanobis::fit_classes(rows.view(), &classes, 3, 0.85, 2).unwrap();
        let all = model.distances2_to_all(rows.view()).unwrap();
        for (i, own) in model.distances2(rows.view(), Some(&classes)).unwrap().into_iter().enumerate() {
            let class = classes[i] as usize;
            assert!((all[(i, class)] - own).abs() < 1e-2 + 1e-3 * own);
            assert!(own < 100.0 && all[(i, 1 - class)] > 200.0);
        }
        assert_eq!(model.classes(), 3);
        assert!(model.distance2(rows.row(0), 3).is_err());
        assert!(TrimmedMahalanobis::fit_classes(rows.view(), &classes, 1, 0.85, 2).is_err());
    }

    #[test]
    fn degenerate_and_hostile_rows_do_no_harm() {
        for rows in [lcg(60, 6, 4, true, true), lcg(10, 40, 9, false, false), Array2::ones((7, 3)), lcg(1, 4, 1, false, false)] {
            let model = TrimmedMahalanobis::fit(rows.view(), 0.85, 3).unwrap();
            let distances = model.distances2(rows.view(), None).unwrap();
            assert!(distances.iter().all(|d| d.is_finite() && *d >= 0.0));
        }
        let clean = lcg(60, 6, 4, true, false);
        let mut dirty = clean.clone();
        dirty[(0, 0)] = f32::NAN;
        dirty[(1, 1)] = f32::INFINITY;
        dirty[(2, 2)] = 1e30;
        let model = TrimmedMahalanobis::fit(dirty.view(), 1.0, 1).unwrap();
        assert_eq!(model, TrimmedMahalanobis::fit(spd::part(clean.view(), 3..60, 0..6), 1.0, 1).unwrap());
        let distances = model.distances2(dirty.view(), None).unwrap();
        assert!(distances[..3].iter().all(|d| d.is_infinite()) && distances[3..].iter().all(|d| d.is_finite()));
        assert!(model.distances2_to_all(dirty.view()).unwrap().iter().all(|d| !d.is_nan()));
        assert!(ledoit_wolf(dirty.view()).is_err());
        assert!(TrimmedMahalanobis::fit(Array2::from_elem((3, 2), f32::NAN).view(), 0.85, 1).is_err());
        assert!(TrimmedMahalanobis::fit(Array2::zeros((3, 0)).view(), 0.85, 1).is_err());
        assert!(TrimmedMahalanobis::fit(clean.view(), 0.0, 1).is_err());
        assert!(model.distances2(Array2::zeros((3, 2)).view(), None).is_err());
        let back: TrimmedMahalanobis = postcard::from_bytes(&postcard::to_stdvec(&model).unwrap()).unwrap();
        assert_eq!(back, model);
    }
}
