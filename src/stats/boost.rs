//! Gradient-boosted trees on binned columns (Friedman 2001; second-order gain and histograms as Chen and Guestrin 2016, Ke et al. 2017).
//!
//! Every column is a few bins, so that a split is the set of bins that go to the left: one mask, for numbers and levels alike.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::mixture::softmax;

/// Bins of a column; a split is a mask of them.
pub const BINS: usize = 64;
/// The bin of missing values in ordered columns: tried on both sides of every cut.
pub const MISSING: u8 = 63;

/// Penalty on the squared value of a leaf.
const LAMBDA: f64 = 1.0;
/// Weight of rows by which a level's mean is drawn to nothing before levels are put in order, so that rare ones do not lead.
const SMOOTH: f64 = 10.0;
/// How likely any label is beside what the scores make of it. A model of labels some of which are wrong can be no surer of any than they
/// are right; this one is not held back by what it takes for wrong (the loss of a mixture, its weights those of expectation maximisation).
/// Not shared out among the classes: wrong labels may all be of one.
const STRAY: f64 = 0.125;
/// Least curvature of a row: one taken for wrong still counts as a row.
const LEAST_CURVATURE: f64 = 1e-6;
/// Gain below which a leaf stays whole.
const LEAST_GAIN: f64 = 1e-6;

/// How trees are grown.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Trees for each output.
    pub rounds: usize,
    /// Most leaves of a tree.
    pub leaves: usize,
    /// Fewest rows in a leaf.
    pub least_rows: usize,
    /// Share of its step that a tree takes.
    pub rate: f64,
    /// Most columns that a tree may ask, drawn for each.
    pub columns: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Node {
    Split { column: u32, left: u64, below: [u32; 2] },
    Leaf(f32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Node>);

impl Tree {
    fn value(&self, row: ArrayView1<u8>) -> f32 {
        let mut at = 0;
        loop {
            match &self.0[at] {
                Node::Leaf(value) => return *value,
                Node::Split { column, left, below } => {
                    let goes_left = left >> row[*column as usize] & 1 == 1;
                    at = below[usize::from(!goes_left)] as usize;
                }
            }
        }
    }
}

/// A boosted classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boosted {
    classes: usize,
    /// Logits before the first tree, one for each output.
    start: Vec<f32>,
    /// One tree for each output, round after round. Two classes have one output, the logit of the second.
    trees: Vec<Tree>,
}

/// Columns as bins.
#[derive(Debug, Clone, Copy)]
pub struct Binned<'a> {
    /// Rows × columns, each below [`BINS`].
    pub bins: ArrayView2<'a, u8>,
    /// Whether a column's bins have an order; those of levels have none.
    pub ordered: &'a [bool],
}

impl Boosted {
    /// Fits rows whose `labels` are below `classes` (at least 2), with the log loss of a mixture: a label is drawn by the logistic or softmax
    /// of the scores, or from nowhere. The same seed grows the same trees.
    #[must_use]
    pub fn fit(rows: Binned<'_>, labels: &[u32], classes: usize, growth: Growth, seed: u64) -> Self {
        let outputs = if classes == 2 { 1 } else { classes };
        let n = labels.len();
        let mut counts = vec![1.0f64; classes];
        for &label in labels {
            counts[label as usize] += 1.0;
        }
        let start: Vec<f64> = if outputs == 1 {
            vec![(counts[1] / counts[0]).ln()]
        } else {
            counts.iter().map(|count| (count / (n + classes) as f64).ln()).collect()
        };
        let mut scores: Vec<Vec<f64>> = start.iter().map(|&z| vec![z; n]).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut trees = Vec::with_capacity(growth.rounds * outputs);
        for _ in 0..growth.rounds {
            let slopes = slopes(&scores, labels);
            for (slopes, scores) in slopes.iter().zip(&mut scores) {
                let width = rows.bins.ncols();
                let mut columns = sample(&mut rng, width, growth.columns.min(width)).into_vec();
                columns.sort_unstable();
                trees.push(Grower::new(rows, slopes, columns, growth).grow(scores));
            }
        }
        Self { classes, start: start.into_iter().map(|z| z as f32).collect(), trees }
    }

    /// Number of rounds.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.trees.len() / self.start.len().max(1)
    }

    /// Keeps the first rounds alone.
    pub fn truncate(&mut self, rounds: usize) {
        self.trees.truncate(rounds * self.start.len());
    }

    /// Logits of rows (× columns), rows × classes.
    #[must_use]
    pub fn logits(&self, bins: ArrayView2<u8>) -> Array2<f32> {
        let mut out = Array2::zeros((bins.nrows(), self.classes));
        for (row, mut logits) in bins.outer_iter().zip(out.outer_iter_mut()) {
            let mut scores = self.start.clone();
            for round in self.trees.chunks(self.start.len()) {
                add(round, row, &mut scores);
            }
            for (slot, logit) in logits.iter_mut().zip(spread(&scores)) {
                *slot = logit;
            }
        }
        out
    }

    /// Sum of the loss of rows' labels with no tree, after the first round, after the second …: rounds + 1 numbers.
    #[must_use]
    pub fn losses(&self, bins: ArrayView2<u8>, labels: &[u32]) -> Vec<f64> {
        let mut losses = vec![0.0; self.rounds() + 1];
        for (row, &label) in bins.outer_iter().zip(labels) {
            let mut scores = self.start.clone();
            losses[0] += loss(&scores, label);
            for (round, slot) in self.trees.chunks(self.start.len()).zip(&mut losses[1..]) {
                add(round, row, &mut scores);
                *slot += loss(&scores, label);
            }
        }
        losses
    }
}

/// Adds what the trees of one round say of a row.
fn add(round: &[Tree], row: ArrayView1<u8>, scores: &mut [f32]) {
    for (score, tree) in scores.iter_mut().zip(round) {
        *score += tree.value(row);
    }
}

/// One logit a class: the single output of two classes is the distance between them.
fn spread(scores: &[f32]) -> Vec<f32> {
    if let [one] = scores { vec![-one / 2.0, one / 2.0] } else { scores.to_vec() }
}

fn loss(scores: &[f32], label: u32) -> f64 {
    -(STRAY + softmax(&spread(scores), 1.0)[label as usize]).ln()
}

/// Slope and curvature of every row's loss in each output, outputs × rows. A label that looks drawn from nowhere weighs as much less.
fn slopes(scores: &[Vec<f64>], labels: &[u32]) -> Vec<Vec<[f64; 2]>> {
    let mut out: Vec<Vec<[f64; 2]>> = scores.iter().map(|_| Vec::with_capacity(labels.len())).collect();
    let mut odds = vec![0.0; scores.len()];
    for (row, &label) in labels.iter().enumerate() {
        let first = if let [one] = scores {
            odds[0] = 1.0 / (1.0 + (-one[row]).exp());
            1
        } else {
            let top = scores.iter().map(|score| score[row]).fold(f64::NEG_INFINITY, f64::max);
            for (odds, score) in odds.iter_mut().zip(scores) {
                *odds = (score[row] - top).exp();
            }
            let sum: f64 = odds.iter().sum();
            for odds in &mut odds {
                *odds /= sum;
            }
            0
        };
        let own = if label < first { 1.0 - odds[0] } else { odds[(label - first) as usize] };
        let weight = own / (own + STRAY);
        for ((slopes, p), class) in out.iter_mut().zip(&odds).zip(first..) {
            let slope = weight * (p - f64::from(u8::from(class == label)));
            slopes.push([slope, (weight * p * (1.0 - p)).max(LEAST_CURVATURE)]);
        }
    }
    out
}

/// Slopes, curvatures and number of rows.
type Sums = [f64; 3];

fn plus(a: Sums, b: Sums) -> Sums {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn minus(a: Sums, b: Sums) -> Sums {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// What a leaf takes off the loss, doubled.
fn worth(sums: Sums) -> f64 {
    sums[0] * sums[0] / (sums[1] + LAMBDA)
}

#[derive(Debug, Clone, Copy)]
struct Split {
    gain: f64,
    /// Position among the columns that the tree may ask.
    slot: usize,
    left: u64,
    left_sums: Sums,
}

/// A leaf while the tree grows.
struct Open {
    /// Where its rows are among the grower's.
    rows: std::ops::Range<usize>,
    sums: Sums,
    /// Columns of the tree × bins.
    histogram: Vec<Sums>,
    node: usize,
    split: Option<Split>,
}

struct Grower<'a, 's> {
    rows: Binned<'a>,
    slopes: &'s [[f64; 2]],
    columns: Vec<usize>,
    growth: Growth,
    /// Rows, those of a leaf together.
    order: Vec<u32>,
}

impl<'a, 's> Grower<'a, 's> {
    fn new(rows: Binned<'a>, slopes: &'s [[f64; 2]], columns: Vec<usize>, growth: Growth) -> Self {
        Self { rows, slopes, columns, growth, order: (0..slopes.len() as u32).collect() }
    }

    /// Grows a tree, the leaf that gains most first, and adds its values to the scores.
    fn grow(mut self, scores: &mut [f64]) -> Tree {
        let all = 0..self.order.len();
        let histogram = self.histogram(all.clone());
        let sums = self.slopes.iter().fold([0.0; 3], |sum, [g, h]| plus(sum, [*g, *h, 1.0]));
        let mut nodes = vec![Node::Leaf(0.0)];
        let mut open = vec![self.opened(all, sums, histogram, 0)];
        while open.len() < self.growth.leaves {
            let gain = |leaf: &Open| leaf.split.map_or(f64::NEG_INFINITY, |split| split.gain);
            let Some(at) = (0..open.len()).reduce(|best, at| if gain(&open[at]) > gain(&open[best]) { at } else { best }) else { break };
            let Some(split) = open[at].split else { break };
            let leaf = open.swap_remove(at);
            let column = self.columns[split.slot];
            let middle = leaf.rows.start + self.part(leaf.rows.clone(), column, split.left);
            let (left, right) = (leaf.rows.start..middle, middle..leaf.rows.end);
            // The larger side's sums are what the smaller one leaves.
            let left_is_small = left.len() <= right.len();
            let small = self.histogram(if left_is_small { left.clone() } else { right.clone() });
            let large: Vec<Sums> = leaf.histogram.iter().zip(&small).map(|(a, b)| minus(*a, *b)).collect();
            let (left_histogram, right_histogram) = if left_is_small { (small, large) } else { (large, small) };
            let below = nodes.len();
            nodes.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
            nodes[leaf.node] = Node::Split { column: column as u32, left: split.left, below: [below as u32, below as u32 + 1] };
            open.push(self.opened(left, split.left_sums, left_histogram, below));
            open.push(self.opened(right, minus(leaf.sums, split.left_sums), right_histogram, below + 1));
        }
        for leaf in open {
            let value = -self.growth.rate * leaf.sums[0] / (leaf.sums[1] + LAMBDA);
            nodes[leaf.node] = Node::Leaf(value as f32);
            for &row in &self.order[leaf.rows] {
                scores[row as usize] += value;
            }
        }
        Tree(nodes)
    }

    fn opened(&self, rows: std::ops::Range<usize>, sums: Sums, histogram: Vec<Sums>, node: usize) -> Open {
        let split = self.best(&histogram, sums);
        Open { rows, sums, histogram, node, split }
    }

    fn histogram(&self, rows: std::ops::Range<usize>) -> Vec<Sums> {
        let mut out = vec![[0.0; 3]; self.columns.len() * BINS];
        for &row in &self.order[rows] {
            let [g, h] = self.slopes[row as usize];
            let bins = self.rows.bins.row(row as usize);
            for (slot, &column) in out.chunks_exact_mut(BINS).zip(&self.columns) {
                let sums = &mut slot[bins[column] as usize % BINS];
                *sums = plus(*sums, [g, h, 1.0]);
            }
        }
        out
    }

    /// Brings the rows that go to the left before the others, each side in its order, and returns how many they are.
    fn part(&mut self, rows: std::ops::Range<usize>, column: usize, left: u64) -> usize {
        let bins = self.rows.bins;
        let goes_left = |row: u32| left >> bins[(row as usize, column)] & 1 == 1;
        let here = &mut self.order[rows];
        let (first, second): (Vec<u32>, Vec<u32>) = here.iter().partition(|row| goes_left(**row));
        for (slot, row) in here.iter_mut().zip(first.iter().chain(&second)) {
            *slot = *row;
        }
        first.len()
    }

    fn best(&self, histogram: &[Sums], sums: Sums) -> Option<Split> {
        let mut best: Option<Split> = None;
        for (slot, (bins, &column)) in histogram.chunks_exact(BINS).zip(&self.columns).enumerate() {
            let mut held: Vec<u8> = (0..BINS as u8).filter(|&bin| bins[bin as usize][2] > 0.5).collect();
            let is_ordered = self.rows.ordered[column];
            let misses = is_ordered && held.last() == Some(&MISSING);
            if misses {
                held.pop();
            }
            if !is_ordered {
                let mean = |bin: &u8| bins[*bin as usize][0] / (bins[*bin as usize][1] + SMOOTH);
                held.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
            }
            let missing = misses.then(|| bins[MISSING as usize]);
            let mut left = 0u64;
            let mut left_sums = [0.0; 3];
            for bin in held {
                // A cut takes all that is lower, whether or not a row of this leaf is there.
                left = if is_ordered { u64::MAX >> (MISSING - bin) } else { left | 1 << bin };
                left_sums = plus(left_sums, bins[bin as usize]);
                let with = missing.map(|sums| (left | 1 << MISSING, plus(left_sums, sums)));
                for (left, left_sums) in std::iter::once((left, left_sums)).chain(with) {
                    let right_sums = minus(sums, left_sums);
                    if left_sums[2].min(right_sums[2]) < self.growth.least_rows as f64 {
                        continue;
                    }
                    let gain = worth(left_sums) + worth(right_sums) - worth(sums);
                    if gain > best.map_or(LEAST_GAIN, |best| best.gain) {
                        best = Some(Split { gain, slot, left, left_sums });
                    }
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    const GROWTH: Growth = Growth { rounds: 60, leaves: 8, least_rows: 5, rate: 0.2, columns: 8 };

    fn drawn(rows: usize, columns: usize) -> Array2<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(0..8u8))
    }

    fn accuracy(logits: &Array2<f32>, labels: &[u32]) -> f64 {
        let top = |row: ArrayView1<f32>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        let right = logits.outer_iter().zip(labels).filter(|(row, label)| top(*row) == Some(**label as usize)).count();
        right as f64 / labels.len() as f64
    }

    /// What a column tells turns round with another column.
    #[test]
    fn what_only_columns_together_tell_is_learnt() {
        let rows = drawn(4_000, 3);
        let labels: Vec<u32> = rows.outer_iter().map(|row| u32::from((row[0] < 4) == (row[1] < 3))).collect();
        for ordered in [[true; 3], [false; 3]] {
            let (learnt, held) = rows.view().split_at(ndarray::Axis(0), 3_000);
            let model = Boosted::fit(Binned { bins: learnt, ordered: &ordered }, &labels[..3_000], 2, GROWTH, 1);
            assert!(accuracy(&model.logits(held), &labels[3_000..]) > 0.95, "ordered: {ordered:?}");
            let losses = model.losses(held, &labels[3_000..]);
            assert!(losses.len() == 61 && losses[60] < 0.3 * losses[0]);
        }
    }

    #[test]
    fn classes_are_told_apart() {
        let rows = drawn(4_000, 4);
        let labels: Vec<u32> = rows.outer_iter().map(|row| u32::from(row[0] / 3 + row[1] / 7)).collect();
        let ordered = [true, false, true, false];
        let model = Boosted::fit(Binned { bins: rows.view(), ordered: &ordered }, &labels, 4, GROWTH, 1);
        let logits = model.logits(rows.view());
        assert!(logits.dim() == (4_000, 4) && accuracy(&logits, &labels) > 0.99);
        let mut short = model.clone();
        short.truncate(3);
        assert!(short.rounds() == 3 && model.rounds() == 60);
        let (early, late) = (model.losses(rows.view(), &labels)[3], *short.losses(rows.view(), &labels).last().unwrap());
        assert!((early - late).abs() < 1e-9);
    }

    #[test]
    fn a_cut_takes_bins_that_no_row_of_the_leaf_is_in() {
        let rows = Array2::from_shape_fn((100, 1), |(i, _)| if i % 2 == 0 { 2 } else { 9 });
        let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
        let model = Boosted::fit(Binned { bins: rows.view(), ordered: &[true] }, &labels, 2, GROWTH, 1);
        let logits = model.logits(Array2::from_shape_fn((3, 1), |(i, _)| [0, 1, 2][i]).view());
        assert!(logits.outer_iter().all(|row| row[0] > row[1] + 1.0), "{logits}");
    }

    #[test]
    fn missing_values_go_where_they_tell_most() {
        let mut rows = drawn(2_000, 1);
        rows.iter_mut().step_by(2).for_each(|bin| *bin = MISSING);
        // Missing rows are labelled as the lowest bins are, which no cut by itself puts together with the highest.
        let labels: Vec<u32> = rows.iter().map(|&bin| u32::from(bin < 3 || bin == MISSING)).collect();
        let one = Growth { rounds: 1, leaves: 2, rate: 1.0, ..GROWTH };
        let model = Boosted::fit(Binned { bins: rows.view(), ordered: &[true] }, &labels, 2, one, 1);
        assert!(accuracy(&model.logits(rows.view()), &labels) > 0.999);
    }

    /// Logistic loss, one column of two bins: the first step is −rate × G / (H + 1) in closed form.
    #[test]
    fn a_leaf_takes_the_newton_step() {
        let rows = Array2::from_shape_fn((40, 1), |(i, _)| u8::from(i >= 20));
        let labels: Vec<u32> = (0..40).map(|i| u32::from(i >= 20)).collect();
        let one = Growth { rounds: 1, leaves: 2, rate: 0.5, ..GROWTH };
        let logits = Boosted::fit(Binned { bins: rows.view(), ordered: &[true] }, &labels, 2, one, 1).logits(rows.view());
        // p = ½ everywhere, weighed by how little of it is stray: G = −20 × ½ × w, H = 20 × ¼ × w.
        let weight = 0.5 / (0.5 + STRAY);
        let step = 0.5 * 10.0 * weight / (5.0 * weight + LAMBDA);
        assert!((f64::from(logits[(39, 1)] - logits[(39, 0)]) - step).abs() < 1e-6);
        assert!((f64::from(logits[(0, 1)] - logits[(0, 0)]) + step).abs() < 1e-6);
    }

    /// Of rows that are told by one column, one label in twenty is turned. Log loss alone would say ln 19 of each at most.
    #[test]
    fn wrong_labels_do_not_hold_certainty_back() {
        let rows = drawn(4_000, 2);
        let truth: Vec<u32> = rows.column(0).iter().map(|&bin| u32::from(bin > 3)).collect();
        let labels: Vec<u32> = truth.iter().enumerate().map(|(i, &label)| if i % 20 == 0 { 1 - label } else { label }).collect();
        let model = Boosted::fit(Binned { bins: rows.view(), ordered: &[true; 2] }, &labels, 2, GROWTH, 1);
        let logits = model.logits(rows.view());
        let sure = logits.outer_iter().zip(&truth).map(|(row, &label)| row[label as usize] - row[1 - label as usize]);
        let least = sure.fold(f32::INFINITY, f32::min);
        assert!(least > 3.0, "{least}");
    }

    #[test]
    fn the_same_seed_grows_the_same_trees() {
        let rows = drawn(500, 6);
        let labels: Vec<u32> = rows.column(0).iter().map(|&bin| u32::from(bin > 3)).collect();
        let fit = |seed| {
            let growth = Growth { columns: 2, ..GROWTH };
            Boosted::fit(Binned { bins: rows.view(), ordered: &[true; 6] }, &labels, 2, growth, seed)
        };
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        let nothing = Boosted::fit(Binned { bins: Array2::zeros((0, 1)).view(), ordered: &[true] }, &[], 2, GROWTH, 1);
        assert!(nothing.logits(Array2::zeros((1, 1)).view()).iter().all(|z| z.abs() < 1e-6));
    }
}
