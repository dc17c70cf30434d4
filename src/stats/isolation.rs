//! Isolation forest (Liu, Ting and Zhou 2008): rows that random cuts set apart after few steps.

use ndarray::{ArrayView1, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Columns drawn blindly before those that still vary are looked up; either way every varying column is as likely.
const BLIND_DRAWS: usize = 8;

/// Euler's constant γ.
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// Mean path length c(n) of an unsuccessful search in a binary tree of `rows` rows: `2 (ln(n − 1) + γ) − 2 (n − 1) / n`,
/// 1 for two rows and 0 below, as in scikit-learn.
#[must_use]
pub fn mean_path(rows: usize) -> f64 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER_GAMMA) - 2.0 * (n - 1.0) / n
        }
    }
}

/// A cut, or the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Node {
    /// Column that is cut.
    column: u32,
    /// Rows at most this go to the left. At the end of a path: its length, c(rows there) included.
    cut: f32,
    /// Position of the left node, the right one follows; 0 at the end of a path.
    left: u32,
}

impl Node {
    fn is_end(self) -> bool {
        self.left == 0
    }
}

/// Random trees over subsamples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsolationForest {
    trees: Vec<Vec<Node>>,
    columns: usize,
    /// c of the subsample's rows.
    usual: f64,
}

/// What one tree is grown with.
struct Grower<'a> {
    rows: ArrayView2<'a, f32>,
    rng: ChaCha8Rng,
    deepest: u32,
}

impl Grower<'_> {
    fn range(&self, members: &[usize], column: usize) -> Option<(f32, f32)> {
        let mut range: Option<(f32, f32)> = None;
        for &row in members {
            let value = *self.rows.get((row, column))?;
            range = Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        }
        range.filter(|(low, high)| low < high)
    }

    /// A column that varies among the members, all of them equally likely, and its range.
    fn varying(&mut self, members: &[usize]) -> Option<(usize, f32, f32)> {
        let columns = self.rows.ncols();
        for _ in 0..BLIND_DRAWS.min(columns) {
            let column = self.rng.random_range(0..columns);
            if let Some((low, high)) = self.range(members, column) {
                return Some((column, low, high));
            }
        }
        let varying: Vec<(usize, f32, f32)> =
            (0..columns).filter_map(|column| self.range(members, column).map(|(low, high)| (column, low, high))).collect();
        (!varying.is_empty()).then(|| self.rng.random_range(0..varying.len())).and_then(|at| varying.get(at).copied())
    }

    fn tree(&mut self, mut members: Vec<usize>) -> Vec<Node> {
        let open = Node { column: 0, cut: 0.0, left: 0 };
        let mut nodes = vec![open];
        let mut waiting = vec![(0_usize, 0..members.len(), 0_u32)];
        while let Some((at, range, depth)) = waiting.pop() {
            let Some(here) = members.get_mut(range.clone()) else { continue };
            let split = if depth < self.deepest && here.len() > 1 { self.varying(here) } else { None };
            let mut node = Node { cut: (f64::from(depth) + mean_path(here.len())) as f32, ..open };
            if let Some((column, low, high)) = split {
                // Mixed rather than offset: the width of the range may overflow.
                let share = self.rng.random::<f64>();
                let cut = ((1.0 - share) * f64::from(low) + share * f64::from(high)) as f32;
                // Rounding may reach the upper end, which would leave nothing on the right.
                let cut = if cut < high { cut.max(low) } else { low };
                here.sort_unstable_by_key(|&row| (self.rows.get((row, column)).is_some_and(|&x| x > cut), row));
                let middle = range.start + here.partition_point(|&row| self.rows.get((row, column)).is_some_and(|&x| x <= cut));
                let left = nodes.len();
                node = Node { column: column as u32, cut, left: left as u32 };
                nodes.extend([open, open]);
                waiting.push((left + 1, middle..range.end, depth + 1));
                waiting.push((left, range.start..middle, depth + 1));
            }
            if let Some(slot) = nodes.get_mut(at) {
                *slot = node;
            }
        }
        nodes
    }
}

impl IsolationForest {
    /// Grows `trees` trees, each over `subsample` of the rows (n × d, finite) drawn without replacement, or over all
    /// where there are fewer, to depth `⌈log₂ subsample⌉`. The same rows in the same order and the same seed grow the same trees.
    #[must_use]
    pub fn fit(rows: ArrayView2<f32>, trees: usize, subsample: usize, seed: u64) -> Self {
        let drawn = subsample.min(rows.nrows());
        let deepest = (drawn.max(2) as f64).log2().ceil() as u32;
        let mut grower = Grower { rows, rng: ChaCha8Rng::seed_from_u64(seed), deepest };
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        let grow = |_| {
            for i in 0..drawn {
                let other = grower.rng.random_range(i..order.len());
                order.swap(i, other);
            }
            grower.tree(order.iter().take(drawn).copied().collect())
        };
        Self { trees: (0..trees).map(grow).collect(), columns: rows.ncols(), usual: mean_path(drawn) }
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Mean path length of each row, in cuts; at most about twice [`usual`](Self::usual). A row of another width stays at
    /// the ends that its columns lead to.
    #[must_use]
    pub fn paths(&self, rows: ArrayView2<f32>) -> Vec<f64> {
        let mut sums = vec![0.0; rows.nrows()];
        // One tree over all rows before the next: a tree stays in the nearest cache.
        for tree in &self.trees {
            for (sum, row) in sums.iter_mut().zip(rows.outer_iter()) {
                *sum += walk(tree, row, |_| {});
            }
        }
        let trees = self.trees.len().max(1) as f64;
        for sum in &mut sums {
            *sum /= trees;
        }
        sums
    }

    /// Anomaly score `2^(−path / c)`, above 0 and at most 1; about ½ for rows without distinction.
    #[must_use]
    pub fn score(&self, path: f64) -> f64 {
        if self.usual > 0.0 { (-path / self.usual).exp2() } else { 0.5 }
    }

    /// Mean path length of a row without distinction, in cuts.
    #[must_use]
    pub fn usual(&self) -> f64 {
        self.usual
    }

    /// How much each column adds to setting a row apart: over trees, what its path is shorter than usual, shared equally
    /// among the cuts on it. In cuts, mean over trees; columns of long paths are negative.
    #[must_use]
    pub fn contributions(&self, row: ArrayView1<f32>) -> Vec<f64> {
        let mut out = vec![0.0; self.columns];
        let mut cuts = Vec::new();
        for tree in &self.trees {
            cuts.clear();
            let path = walk(tree, row, |column| cuts.push(column));
            let each = (self.usual - path) / (cuts.len().max(1) * self.trees.len()) as f64;
            for &column in &cuts {
                if let Some(slot) = out.get_mut(column) {
                    *slot += each;
                }
            }
        }
        out
    }
}

/// The length of a row's path; `cut` is told the columns on it.
fn walk(tree: &[Node], row: ArrayView1<f32>, mut cut: impl FnMut(usize)) -> f64 {
    let mut at = 0;
    loop {
        let Some(node) = tree.get(at) else { return 0.0 };
        if node.is_end() {
            return f64::from(node.cut);
        }
        let column = node.column as usize;
        cut(column);
        at = node.left as usize + usize::from(row.get(column).is_some_and(|&x| x > node.cut));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// The numbers that the figures of scikit-learn below were computed with: a 3-column cloud with five rows far out.
    fn rows() -> Array2<f32> {
        let mut state = 7_u64;
        let mut x = Array2::from_shape_simple_fn((1_000, 3), || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) % 2_001) as f32 / 250.0 - 4.0
        });
        for i in 0..5 {
            x.row_mut(i).fill(8.0 + i as f32);
        }
        x
    }

    #[test]
    fn mean_paths_match_scikit_learn() {
        // sklearn.ensemble._iforest._average_path_length; tolerance 1e-12.
        for (n, expected) in [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.207_392_357_589_622_9), (256, 10.244_770_920_119_917)] {
            assert!((mean_path(n) - expected).abs() < 1e-12, "{n}: {}", mean_path(n));
        }
    }

    #[test]
    fn scores_match_scikit_learn() {
        let x = rows();
        let forest = IsolationForest::fit(x.view(), 400, 256, 1);
        let scores: Vec<f64> = forest.paths(x.view()).into_iter().map(|path| forest.score(path)).collect();
        // -IsolationForest(n_estimators=2000, max_samples=256).score_samples, mean of three seeds: rows 0 to 4, then the mean
        // of the others. Tolerance 0.015: its own 2,000 trees differ by up to 0.005 from seed to seed, 400 by more.
        let expected = [0.749_517, 0.772_107, 0.787_674, 0.798_900, 0.805_374, 0.492_973];
        let others = scores[5..].iter().sum::<f64>() / 995.0;
        for (found, expected) in scores[..5].iter().chain([&others]).zip(expected) {
            assert!((found - expected).abs() < 0.015, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_columns_that_set_a_row_apart_are_named() {
        let mut x = rows();
        x.row_mut(9).assign(&ndarray::arr1(&[0.0, 40.0, 0.0]));
        let forest = IsolationForest::fit(x.view(), 200, 256, 2);
        let shares = forest.contributions(x.row(9));
        assert!(shares[1] > 2.0 * shares[0].max(shares[2]).max(0.01), "{shares:?}");
        assert_eq!(IsolationForest::fit(x.view(), 200, 256, 2), forest);
    }

    #[test]
    fn strange_rows_do_not_panic() {
        for x in [Array2::<f32>::zeros((0, 3)), Array2::zeros((1, 0)), Array2::zeros((50, 2)), Array2::from_elem((3, 1), f32::NAN)] {
            let forest = IsolationForest::fit(x.view(), 5, 256, 3);
            assert!(forest.paths(x.view()).iter().all(|path| path.is_finite()));
        }
        let wide = Array2::from_shape_fn((60, 1), |(i, _)| if i % 2 == 0 { f32::MAX } else { f32::MIN });
        let forest = IsolationForest::fit(wide.view(), 5, 256, 3);
        assert!(forest.paths(Array2::zeros((2, 0)).view()).iter().all(|path| path.is_finite()));
    }
}
