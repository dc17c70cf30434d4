//! Label transitions: which class was relabelled as which other, beyond uniform noise.
//!
//! The label mixture of [`super::mixture`] with a sparse transition matrix in its content part:
//! `p(y | x) = (1 - epsilon) sum_k softmax(beta z)_k T[k -> y] + epsilon prior_y`. Targeted flips vanish in the uniform part of
//! the plain mixture; a cell of `T` gathers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mixture::{LEAST_LIKELIHOOD, LabelMixture, Rows, are_priors, half_chi_squared_sf, softmax};

/// Most source classes that are tried per label, those with the most rows predicted so: bounds time and memory at this
/// many numbers per row, whatever the number of classes.
const MOST_SOURCES: usize = 16;

/// Fewest expected flips in a cell.
const FEWEST_FLIPS: f64 = 2.0;

/// Largest share of a class that one cell may take, so that no diagonal vanishes.
const MOST_RATE: f64 = 0.9;

/// One cell of the transition matrix: rows of class `from` that were given the label `to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransitionCell {
    /// Class that the content says.
    pub from: u32,
    /// Class that the label says.
    pub to: u32,
    /// Share of the rows of `from` that were given the label `to`, 0..=1.
    pub rate: f64,
    /// Expected number of such rows: the sum of their posteriors.
    pub expected: f64,
    /// Twice the gain in log likelihood of this cell alone over the uniform mixture.
    pub lrt: f64,
    /// `P(chi^2_1 >= lrt) / 2` times the number of possible cells, K(K-1), at most 1.
    pub p: f64,
    /// Expected flips of the opposite cell tried alone. Classes that are easily confused have both; an attack has one.
    pub reverse: f64,
}

/// A fitted transition mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransitionMixture {
    /// Share of labels drawn from the prior besides the cells.
    pub epsilon: f64,
    /// The cells that were kept, by `to`, then `from`.
    cells: Vec<TransitionCell>,
    /// Share of each class that kept its label; classes without a cell keep all.
    stay: BTreeMap<u32, f64>,
}

/// The rows with one label: what the content gives their label and each candidate source.
#[derive(Default)]
struct Group {
    sources: Vec<u32>,
    own: Vec<f32>,
    /// Rows × sources.
    from: Vec<f32>,
}

/// One cell tried alone on top of the uniform mixture.
#[derive(Clone, Copy, Default)]
struct Trial {
    rate: f64,
    expected: f64,
    lrt: f64,
}

impl TransitionMixture {
    /// Fits the cells. Logits, labels and priors as in [`LabelMixture::fit`], whose result is `base`; `beta` stays as it is.
    ///
    /// A cell is tried where at least two rows with label `to` are predicted `from`. Alone on top of the base it must survive
    /// a likelihood-ratio test at `alpha / (K (K - 1))` and explain at least two rows; the base keeps its own best fit, so
    /// the test is conservative. The cells kept are then fitted together, with epsilon, by expectation maximisation.
    ///
    /// `None` where shapes do not agree or no row is usable.
    #[must_use]
    pub fn fit(logits: &[f32], classes: usize, labels: &[u32], priors: &[f64], base: &LabelMixture, alpha: f64) -> Option<Self> {
        let rows = Rows::new(logits, classes, labels)?;
        if !are_priors(priors, classes) {
            return None;
        }
        let groups = gather(rows, base.beta);
        if groups.values().all(|g| g.own.is_empty()) {
            return None;
        }
        let possible = classes as f64 * (classes - 1) as f64;
        let mut tried = BTreeMap::new();
        for (&to, group) in &groups {
            for (column, &from) in group.sources.iter().enumerate() {
                tried.insert((to, from), try_cell(&groups, priors, base.epsilon, to, from, column));
            }
        }
        let kept = tried.iter().filter_map(|(&(to, from), trial)| {
            let p = half_chi_squared_sf(trial.lrt) * possible;
            let reverse = tried.get(&(from, to)).map_or(0.0, |t| t.expected);
            let Trial { rate, expected, lrt } = *trial;
            (p <= alpha && expected >= FEWEST_FLIPS).then_some(TransitionCell { from, to, rate, expected, lrt, p, reverse })
        });
        let mut mixture = Self { epsilon: base.epsilon, cells: kept.collect(), stay: BTreeMap::new() };
        mixture.refine(&groups, priors);
        mixture.cells.retain(|cell| cell.expected >= FEWEST_FLIPS);
        mixture.settle();
        Some(mixture)
    }

    /// The cells that were kept, by label, then source class.
    #[must_use]
    pub fn cells(&self) -> &[TransitionCell] {
        &self.cells
    }

    fn cells_to(&self, label: u32) -> &[TransitionCell] {
        let start = self.cells.partition_point(|c| c.to < label);
        let end = self.cells.partition_point(|c| c.to <= label);
        self.cells.get(start..end).unwrap_or_default()
    }

    fn stay(&self, class: u32) -> f64 {
        self.stay.get(&class).copied().unwrap_or(1.0)
    }

    /// Makes each row of the matrix sum to 1.
    fn settle(&mut self) {
        let mut left: BTreeMap<u32, f64> = BTreeMap::new();
        for cell in &self.cells {
            *left.entry(cell.from).or_default() += cell.rate;
        }
        for cell in &mut self.cells {
            let total = left.get(&cell.from).copied().unwrap_or(0.0);
            if total > MOST_RATE {
                cell.rate *= MOST_RATE / total;
            }
        }
        self.stay = left.into_iter().map(|(class, total)| (class, 1.0 - total.min(MOST_RATE))).collect();
    }

    /// Expectation maximisation over the rates of the cells and epsilon.
    fn refine(&mut self, groups: &BTreeMap<u32, Group>, priors: &[f64]) {
        if self.cells.is_empty() {
            return;
        }
        for _ in 0..200 {
            self.settle();
            let mut stayed: BTreeMap<u32, f64> = BTreeMap::new();
            let mut moved = Vec::with_capacity(self.cells.len());
            let (mut drawn, mut count) = (0.0, 0_usize);
            for (&to, group) in groups {
                let (kept, expected, uniform) = self.expect(to, group, priors.get(to as usize).copied().unwrap_or(0.0));
                stayed.insert(to, kept);
                moved.extend(expected);
                drawn += uniform;
                count += group.own.len();
            }
            let mut total = stayed;
            for (cell, expected) in self.cells.iter().zip(&moved) {
                *total.entry(cell.from).or_default() += expected;
            }
            let epsilon = drawn / count as f64;
            let mut change = (epsilon - self.epsilon).abs();
            self.epsilon = epsilon;
            for (cell, expected) in self.cells.iter_mut().zip(moved) {
                let rate = expected / total.get(&cell.from).copied().unwrap_or(0.0).max(LEAST_LIKELIHOOD);
                change = change.max((rate - cell.rate).abs());
                cell.rate = rate;
                cell.expected = expected;
            }
            if change < 1e-7 {
                break;
            }
        }
    }

    /// Expected rows with this label that kept it, that came through each of its cells, and that were drawn from the prior.
    fn expect(&self, to: u32, group: &Group, prior: f64) -> (f64, Vec<f64>, f64) {
        let cells = self.cells_to(to);
        let columns: Vec<usize> = cells.iter().filter_map(|cell| group.sources.iter().position(|&source| source == cell.from)).collect();
        let (mut kept, mut moved, mut drawn) = (0.0, vec![0.0; cells.len()], 0.0);
        let stay = self.stay(to);
        let mut parts = vec![0.0; cells.len()];
        for (row, &own) in group.own.iter().enumerate() {
            let own = (1.0 - self.epsilon) * f64::from(own) * stay;
            let uniform = self.epsilon * prior;
            let mut likelihood = own + uniform;
            for ((part, cell), &column) in parts.iter_mut().zip(cells).zip(&columns) {
                *part = (1.0 - self.epsilon) * group.source(row, column) * cell.rate;
                likelihood += *part;
            }
            let likelihood = likelihood.max(LEAST_LIKELIHOOD);
            kept += own / likelihood;
            drawn += uniform / likelihood;
            for (sum, part) in moved.iter_mut().zip(&parts) {
                *sum += part / likelihood;
            }
        }
        (kept, moved, drawn)
    }
}

impl Group {
    fn source(&self, row: usize, column: usize) -> f64 {
        self.from.get(row * self.sources.len() + column).copied().map_or(0.0, f64::from)
    }
}

/// Groups the rows by label and keeps the few probabilities that a cell may need.
fn gather(rows: Rows<'_>, beta: f64) -> BTreeMap<u32, Group> {
    let mut mismatches: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for (row, label, own) in rows.iter() {
        let best = row.iter().enumerate().fold((label, own), |best, (k, &z)| if z > best.1 { (k, z) } else { best });
        if best.0 != label {
            *mismatches.entry((label, best.0)).or_default() += 1;
        }
    }
    let mut sources: BTreeMap<usize, Vec<(u64, usize)>> = BTreeMap::new();
    for ((label, from), count) in mismatches {
        if count >= 2 {
            sources.entry(label).or_default().push((count, from));
        }
    }
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (label, mut ranked) in sources {
        ranked.sort_unstable_by_key(|&(count, from)| (std::cmp::Reverse(count), from));
        ranked.truncate(MOST_SOURCES);
        groups.entry(label as u32).or_default().sources = ranked.into_iter().map(|(_, from)| from as u32).collect();
    }
    for (row, label, _) in rows.iter() {
        let probabilities = softmax(row, beta);
        let group = groups.entry(label as u32).or_default();
        let at = |class: usize| probabilities.get(class).copied().unwrap_or(0.0) as f32;
        group.own.push(at(label));
        group.from.extend(group.sources.iter().map(|&from| at(from as usize)));
    }
    groups
}

/// Maximises the gain of one cell over the uniform mixture, `sum_to ln(1 + t a) + sum_from ln(1 - t b)`, which is concave in
/// the rate `t`: rows with the label `to` gain what the content gives to `from`, rows that kept the label `from` lose.
fn try_cell(groups: &BTreeMap<u32, Group>, priors: &[f64], epsilon: f64, to: u32, from: u32, column: usize) -> Trial {
    let empty = Group::default();
    let (gaining, losing) = (groups.get(&to).unwrap_or(&empty), groups.get(&from).unwrap_or(&empty));
    let likelihood = |own: f32, label: u32| {
        let prior = priors.get(label as usize).copied().unwrap_or(0.0);
        ((1.0 - epsilon) * f64::from(own) + epsilon * prior).max(LEAST_LIKELIHOOD)
    };
    let gains = gaining.own.iter().enumerate().map(|(row, &own)| (1.0 - epsilon) * gaining.source(row, column) / likelihood(own, to));
    let losses = losing.own.iter().map(|&own| -(1.0 - epsilon) * f64::from(own) / likelihood(own, from));
    let factors: Vec<f64> = gains.chain(losses).filter(|f| f.abs() > 1e-12).collect();
    let slopes = |t: f64| {
        factors.iter().fold((0.0, 0.0), |(slope, bend), f| {
            let quotient = f / (1.0 + t * f);
            (slope + quotient, bend - quotient * quotient)
        })
    };
    if slopes(0.0).0 <= 0.0 {
        return Trial::default();
    }
    let (mut low, mut high) = (0.0, MOST_RATE);
    let mut rate = (2.0 / (losing.own.len() as f64 + 2.0)).min(0.5);
    for _ in 0..60 {
        let (slope, bend) = slopes(rate);
        if slope > 0.0 {
            low = rate;
        } else {
            high = rate;
        }
        let newton = rate - slope / bend;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let change = (next - rate).abs();
        rate = next;
        if change < 1e-9 {
            break;
        }
    }
    let gain: f64 = factors.iter().map(|f| (rate * f).ln_1p()).sum();
    let expected = factors.iter().filter(|&&f| f > 0.0).map(|f| rate * f / (1.0 + rate * f)).sum();
    Trial { rate, expected, lrt: (2.0 * gain).max(0.0) }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const CLASSES: usize = 10;
    const PRIORS: [f64; CLASSES] = [0.1; CLASSES];

    /// 1,800 rows with honest probabilities: each label is drawn from the softmax of its row.
    fn honest(seed: u64) -> (Vec<f32>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for i in 0..1_800 {
            let mut row: Vec<f32> = (0..CLASSES).map(|_| rng.random_range(-2.0..2.0)).collect();
            row[i % CLASSES] += rng.random_range(4.0..10.0);
            let mut left: f64 = rng.random();
            let drawn = softmax(&row, 1.0).iter().position(|p| {
                left -= p;
                left < 0.0
            });
            labels.push(drawn.unwrap_or(i % CLASSES) as u32);
            logits.extend(row);
        }
        (logits, labels)
    }

    fn fit(logits: &[f32], labels: &[u32]) -> (LabelMixture, TransitionMixture) {
        let base = LabelMixture::fit(logits, CLASSES, labels, &PRIORS).unwrap();
        let mixture = TransitionMixture::fit(logits, CLASSES, labels, &PRIORS, &base, 0.01).unwrap();
        (base, mixture)
    }

    #[test]
    fn targeted_flips_are_found_and_named() {
        let (logits, original) = honest(1);
        let mut labels = original.clone();
        let flipped: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == 1).step_by(10).collect();
        for &i in &flipped {
            labels[i] = 0;
        }
        let (_, mixture) = fit(&logits, &labels);
        let [cell] = mixture.cells() else { panic!("{:?}", mixture.cells()) };
        assert_eq!((cell.from, cell.to), (1, 0));
        assert!((cell.expected - flipped.len() as f64).abs() < 5.0, "{cell:?} of {}", flipped.len());
        assert!((cell.rate - 0.1).abs() < 0.03 && cell.p < 1e-6 && cell.reverse < 5.0, "{cell:?}");
    }

    #[test]
    fn honest_and_uniformly_noisy_labels_have_no_cell() {
        for seed in 2..8 {
            let (logits, mut labels) = honest(seed);
            assert_eq!(fit(&logits, &labels).1.cells(), []);
            let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
            for label in labels.iter_mut().step_by(11) {
                *label = rng.random_range(0..CLASSES as u32);
            }
            let (base, mixture) = fit(&logits, &labels);
            assert!((base.epsilon - 1.0 / 11.0).abs() < 0.03, "{}", base.epsilon);
            assert_eq!(mixture.cells(), []);
        }
    }

    #[test]
    fn two_cells_are_told_apart() {
        let (logits, mut labels) = honest(9);
        let threes: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == 3).collect();
        for (n, &i) in threes.iter().enumerate() {
            labels[i] = match n % 6 {
                0 => 4,
                1 => 5,
                _ => 3,
            };
        }
        let (_, mixture) = fit(&logits, &labels);
        let found: Vec<(u32, u32)> = mixture.cells().iter().map(|c| (c.from, c.to)).collect();
        assert_eq!(found, [(3, 4), (3, 5)]);
        assert!(mixture.cells().iter().all(|c| (c.rate - 1.0 / 6.0).abs() < 0.03), "{:?}", mixture.cells());
        assert!(mixture.epsilon < 0.01, "{}", mixture.epsilon);
    }

    #[test]
    fn hostile_input_is_refused() {
        let (logits, labels) = honest(1);
        let (base, _) = fit(&logits, &labels);
        assert_eq!(TransitionMixture::fit(&logits, CLASSES, &labels[1..], &PRIORS, &base, 0.01), None);
        assert_eq!(TransitionMixture::fit(&[], CLASSES, &[], &PRIORS, &base, 0.01), None);
        assert_eq!(TransitionMixture::fit(&[f32::NAN; 20], CLASSES, &[0, 1], &PRIORS, &base, 0.01), None);
    }
}
