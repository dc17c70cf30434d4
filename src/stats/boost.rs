//! Gradient-boosted trees on binned columns (Friedman 2001; second order as Chen and Guestrin 2016; histograms and leaf-wise growth
//! as Ke et al. 2017). Rows, bins and sums keep one order, so equal input grows equal trees.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Most bins a column; bin 0 holds what is missing or rare.
pub const BINS: usize = 128;
/// Step of a tree.
const RATE: f64 = 0.1;
/// Most leaves of a tree.
const LEAVES: usize = 16;
/// Fewest rows of a leaf.
const LEAST_ROWS: f32 = 20.0;
/// Penalty of a leaf's value.
const PENALTY: f64 = 1.0;
/// Penalty of a leaf on one side of a set of levels, which can be chosen in many more ways than a cut.
const LEVELS_PENALTY: f64 = 10.0;
/// Rounds without a better held-out likelihood after which growth stops.
const PATIENCE: usize = 10;

/// Columns of bins, each with one entry a row.
#[derive(Debug, Clone, Copy)]
pub struct Binned<'a> {
    /// Bins below [`BINS`], column by column.
    pub columns: &'a [Vec<u8>],
    /// Whether a column's bins are in an order that means something.
    pub ordered: &'a [bool],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Node {
    Leaf(f32),
    /// Bins in the set go left.
    Split {
        column: u16,
        set: [u64; 2],
        left: u32,
        right: u32,
    },
}

/// One tree; the root is the first node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Node>);

impl Tree {
    fn value(&self, bin: &impl Fn(usize) -> u8) -> f32 {
        let mut at = 0;
        // A sound tree ends before it has visited all its nodes; one that travelled may be damaged.
        for _ in 0..self.0.len() {
            match self.0.get(at) {
                Some(Node::Leaf(value)) => return *value,
                Some(Node::Split { column, set, left, right }) => {
                    at = if holds(*set, bin(*column as usize)) { *left } else { *right } as usize
                }
                None => return 0.0,
            }
        }
        0.0
    }
}

fn holds(set: [u64; 2], bin: u8) -> bool {
    set[usize::from(bin >> 6) & 1] >> (bin & 63) & 1 == 1
}

/// Trees of a classifier: one margin a class, or one in all for two classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boost {
    classes: usize,
    start: Vec<f32>,
    /// By round, then margin.
    trees: Vec<Vec<Tree>>,
}

/// Sums over the rows of a bin: gradient, curvature, rows.
type Sums = [f32; 3];

/// A leaf that may be split.
struct Leaf {
    node: usize,
    from: usize,
    to: usize,
    sums: Vec<Sums>,
    best: Option<Split>,
}

struct Split {
    gain: f64,
    column: usize,
    set: [u64; 2],
}

impl Boost {
    /// Grows trees on the rows `train` until the likelihood of the rows `held` no longer grows, at most `rounds` rounds. `labels` are
    /// below `classes`, for all rows. Returns the trees and the mean held-out loss after each round (the first without any tree).
    #[must_use]
    pub fn fit(data: Binned<'_>, labels: &[u32], classes: usize, train: &[u32], held: &[u32], rounds: usize) -> (Self, Vec<f64>) {
        let margins = if classes == 2 { 1 } else { classes };
        let mut shares = vec![1.0f64; classes];
        for &row in train {
            shares[labels[row as usize] as usize] += 1.0;
        }
        let all: f64 = shares.iter().sum();
        let start =
            if margins == 1 { vec![(shares[1] / shares[0]).ln() as f32] } else { shares.iter().map(|s| (s / all).ln() as f32).collect() };
        let mut model = Self { classes, start: start.clone(), trees: Vec::new() };
        let mut margin = Array2::from_shape_fn((labels.len(), margins), |(_, k)| start[k]);
        let mut losses = vec![model.loss(&margin, labels, held)];
        let mut order = train.to_vec();
        let (mut gradients, mut best) = (vec![[0.0f32; 2]; labels.len()], 0);
        while model.trees.len() < rounds && losses.len() <= best + PATIENCE {
            let mut round = Vec::with_capacity(margins);
            let normal: Vec<(f32, f32)> = margin.outer_iter().map(|row| normaliser(row.as_slice().unwrap_or_default())).collect();
            for k in 0..margins {
                for &row in train {
                    let row = row as usize;
                    let target = labels[row] as usize == if margins == 1 { 1 } else { k };
                    let p = if margins == 1 {
                        1.0 / (1.0 + (-margin[(row, 0)]).exp())
                    } else {
                        (margin[(row, k)] - normal[row].0).exp() / normal[row].1
                    };
                    gradients[row] = [p - f32::from(u8::from(target)), (p * (1.0 - p)).max(1e-6)];
                }
                round.push(Grower { data, gradients: &gradients, order: &mut order }.grow());
            }
            for (k, tree) in round.iter().enumerate() {
                for &row in train.iter().chain(held) {
                    margin[(row as usize, k)] += tree.value(&|column| data.columns[column][row as usize]);
                }
            }
            model.trees.push(round);
            losses.push(model.loss(&margin, labels, held));
            if losses[losses.len() - 1] < losses[best] {
                best = losses.len() - 1;
            }
        }
        (model, losses)
    }

    /// Keeps the first rounds.
    pub fn truncate(&mut self, rounds: usize) {
        self.trees.truncate(rounds);
    }

    /// Mean negative log likelihood of rows.
    fn loss(&self, margin: &Array2<f32>, labels: &[u32], rows: &[u32]) -> f64 {
        let of = |row: u32| {
            let logits = self.logits(margin.row(row as usize).as_slice().unwrap_or_default());
            let (top, sum) = normaliser(&logits);
            f64::from(sum).ln() + f64::from(top) - logits.get(labels[row as usize] as usize).map_or(0.0, |z| f64::from(*z))
        };
        rows.iter().map(|row| of(*row)).sum::<f64>() / rows.len().max(1) as f64
    }

    fn logits(&self, margin: &[f32]) -> Vec<f32> {
        if self.classes == 2 { vec![0.0, margin.first().copied().unwrap_or(0.0)] } else { margin.to_vec() }
    }

    /// Logits of a row with these bins, one a class.
    #[must_use]
    pub fn predict(&self, bins: &[u8]) -> Vec<f32> {
        let mut margin = self.start.clone();
        for round in &self.trees {
            for (slot, tree) in margin.iter_mut().zip(round) {
                *slot += tree.value(&|column| bins.get(column).copied().unwrap_or(0));
            }
        }
        self.logits(&margin)
    }
}

/// Largest logit and the sum of exponentials less it.
fn normaliser(logits: &[f32]) -> (f32, f32) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (top, logits.iter().map(|z| (z - top).exp()).sum())
}

/// Grows one tree; the rows of a leaf are a stretch of `order`.
struct Grower<'a> {
    data: Binned<'a>,
    gradients: &'a [[f32; 2]],
    order: &'a mut Vec<u32>,
}

impl Grower<'_> {
    fn grow(mut self) -> Tree {
        let mut nodes = vec![Node::Leaf(0.0)];
        let sums = self.sums(0, self.order.len());
        let best = self.best(&sums);
        let mut leaves = vec![Leaf { node: 0, from: 0, to: self.order.len(), sums, best }];
        while leaves.len() < LEAVES {
            // The first of equals.
            let gain = |leaf: &Leaf| leaf.best.as_ref().map_or(0.0, |split| split.gain);
            let Some(at) = (0..leaves.len()).reduce(|a, b| if gain(&leaves[b]) > gain(&leaves[a]) { b } else { a }) else { break };
            let Some(split) = leaves[at].best.take() else { break };
            let leaf = leaves.swap_remove(at);
            let middle = self.part(&leaf, &split);
            let (left, right) = self.halves(leaf.sums, leaf.from, middle, leaf.to);
            let node = nodes.len();
            nodes[leaf.node] = Node::Split { column: split.column as u16, set: split.set, left: node as u32, right: node as u32 + 1 };
            nodes.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
            for (node, from, to, sums) in [(node, leaf.from, middle, left), (node + 1, middle, leaf.to, right)] {
                let best = self.best(&sums);
                leaves.push(Leaf { node, from, to, sums, best });
            }
        }
        for leaf in leaves {
            let (mut gradient, mut curvature) = (0.0, 0.0);
            for &row in &self.order[leaf.from..leaf.to] {
                let [g, h] = self.gradients[row as usize];
                gradient += f64::from(g);
                curvature += f64::from(h);
            }
            nodes[leaf.node] = Node::Leaf((-RATE * gradient / (curvature + PENALTY)) as f32);
        }
        Tree(nodes)
    }

    /// Sums by column and bin over a stretch of rows.
    fn sums(&self, from: usize, to: usize) -> Vec<Sums> {
        let mut out = vec![[0.0; 3]; self.data.columns.len() * BINS];
        for (column, sums) in self.data.columns.iter().zip(out.chunks_exact_mut(BINS)) {
            for &row in &self.order[from..to] {
                let [g, h] = self.gradients[row as usize];
                let slot = &mut sums[usize::from(column[row as usize]) % BINS];
                slot[0] += g;
                slot[1] += h;
                slot[2] += 1.0;
            }
        }
        out
    }

    /// Sums of both halves: those of the smaller are counted, the others are what is left.
    fn halves(&self, mut whole: Vec<Sums>, from: usize, middle: usize, to: usize) -> (Vec<Sums>, Vec<Sums>) {
        let left_is_smaller = middle - from <= to - middle;
        let smaller = if left_is_smaller { self.sums(from, middle) } else { self.sums(middle, to) };
        for (whole, part) in whole.iter_mut().zip(&smaller) {
            for (total, value) in whole.iter_mut().zip(part) {
                *total -= value;
            }
        }
        if left_is_smaller { (smaller, whole) } else { (whole, smaller) }
    }

    /// Brings the rows that go left to the front, both halves in their order.
    fn part(&mut self, leaf: &Leaf, split: &Split) -> usize {
        let column = &self.data.columns[split.column];
        let rows = &mut self.order[leaf.from..leaf.to];
        let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&row| holds(split.set, column[row as usize]));
        rows[..left.len()].copy_from_slice(&left);
        rows[left.len()..].copy_from_slice(&right);
        leaf.from + left.len()
    }

    fn best(&self, sums: &[Sums]) -> Option<Split> {
        let mut best: Option<Split> = None;
        for (column, sums) in sums.chunks_exact(BINS).enumerate() {
            let mut bins: Vec<usize> = (0..BINS).filter(|bin| sums[*bin][2] > 0.5).collect();
            let penalty = if self.data.ordered[column] {
                PENALTY
            } else {
                // Of all ways to part the levels, the best one parts them by their mean gradient (Fisher 1958).
                let mean = |bin: usize| f64::from(sums[bin][0]) / (f64::from(sums[bin][1]) + LEVELS_PENALTY);
                bins.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)).then(a.cmp(b)));
                LEVELS_PENALTY
            };
            let total = bins.iter().fold([0.0f64; 3], |sum, bin| plus(sum, sums[*bin]));
            let value = |s: [f64; 3]| s[0] * s[0] / (s[1] + penalty);
            let (mut left, mut set) = ([0.0f64; 3], [0u64; 2]);
            for &bin in bins.iter().take(bins.len().saturating_sub(1)) {
                left = plus(left, sums[bin]);
                set[bin >> 6] |= 1 << (bin & 63);
                let right = [total[0] - left[0], total[1] - left[1], total[2] - left[2]];
                if left[2] < f64::from(LEAST_ROWS) || right[2] < f64::from(LEAST_ROWS) {
                    continue;
                }
                let gain = value(left) + value(right) - value(total);
                if gain > best.as_ref().map_or(1e-6, |best| best.gain) {
                    best = Some(Split { gain, column, set });
                }
            }
        }
        best
    }
}

fn plus(sum: [f64; 3], add: Sums) -> [f64; 3] {
    [sum[0] + f64::from(add[0]), sum[1] + f64::from(add[1]), sum[2] + f64::from(add[2])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ordered columns and one of levels: class 1 where exactly one of the first two is high, class 2 at some levels.
    fn data(rows: usize) -> (Vec<Vec<u8>>, Vec<u32>) {
        let at = |row: usize, column: usize| ((row * [7, 11, 13][column] + row / 5 * 3) % 20) as u8;
        let columns: Vec<Vec<u8>> = (0..3).map(|column| (0..rows).map(|row| at(row, column)).collect()).collect();
        let class = |row: usize| match (at(row, 0) < 10, at(row, 1) < 10, [2, 5, 11, 17].contains(&at(row, 2))) {
            (_, _, true) => 2,
            (a, b, _) => u32::from(a != b),
        };
        (columns, (0..rows).map(class).collect())
    }

    const ORDERED: [bool; 3] = [true, true, false];

    fn bins(columns: &[Vec<u8>], row: usize) -> Vec<u8> {
        columns.iter().map(|column| column[row]).collect()
    }

    fn grown(classes: usize) -> (Boost, Vec<f64>, Vec<Vec<u8>>, Vec<u32>) {
        let (columns, labels) = data(3_000);
        let labels: Vec<u32> = labels.into_iter().map(|label| label.min(classes as u32 - 1)).collect();
        let (held, train): (Vec<u32>, Vec<u32>) = (0..3_000).partition(|row| row % 5 == 0);
        let (model, losses) = Boost::fit(Binned { columns: &columns, ordered: &ORDERED }, &labels, classes, &train, &held, 60);
        (model, losses, columns, labels)
    }

    #[test]
    fn conjunctions_and_sets_of_levels_are_learnt() {
        for classes in [2, 3] {
            let (model, losses, columns, labels) = grown(classes);
            let right = |row: &usize| {
                let logits = model.predict(&bins(&columns, *row));
                (0..classes).all(|k| logits[k] <= logits[labels[*row] as usize])
            };
            let (of, all) = ((0..3_000).step_by(5).filter(right).count(), 600);
            assert!(of * 100 >= all * 97, "{classes} classes: {of} of {all}");
            assert!(losses[losses.len() - 1] < 0.3 * losses[0], "{losses:?}");
        }
    }

    #[test]
    fn losses_are_those_of_the_first_rounds() {
        let (mut model, losses, columns, labels) = grown(3);
        model.truncate(7);
        let loss = |row: usize| {
            let logits = model.predict(&bins(&columns, row));
            let (top, sum) = normaliser(&logits);
            f64::from(top + sum.ln() - logits[labels[row] as usize])
        };
        let mean = (0..3_000).step_by(5).map(loss).sum::<f64>() / 600.0;
        assert!((mean - losses[7]).abs() < 1e-4, "{mean} is not {}", losses[7]);
    }

    #[test]
    fn labels_without_reason_stop_growth() {
        let (columns, _) = data(1_000);
        let labels: Vec<u32> = (0..1_000u64).map(|row| (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32 % 2).collect();
        let (held, train): (Vec<u32>, Vec<u32>) = (0..1_000).partition(|row| row % 5 == 0);
        let (_, losses) = Boost::fit(Binned { columns: &columns, ordered: &ORDERED }, &labels, 2, &train, &held, 100);
        assert!(losses.len() < 40, "{}", losses.len());
    }

    #[test]
    fn equal_input_grows_equal_trees_that_travel() {
        let (model, _, columns, _) = grown(3);
        assert_eq!(model, grown(3).0);
        let back: Boost = postcard::from_bytes(&postcard::to_stdvec(&model).unwrap()).unwrap();
        assert_eq!(back.predict(&bins(&columns, 4)), model.predict(&bins(&columns, 4)));
        // Bins and columns that were never seen.
        assert!(model.predict(&[255, 127, 200]).iter().chain(&model.predict(&[])).all(|z| z.is_finite()));
        let (empty, losses) = Boost::fit(Binned { columns: &columns, ordered: &ORDERED }, &[0; 3_000], 2, &[], &[], 5);
        assert!(empty.predict(&[1, 1, 1]).iter().all(|z| z.is_finite()) && losses.iter().all(|loss| loss.is_finite()));
    }
}
