//! Whether rows that are odd in one column are alike in the others.

use std::cell::OnceCell;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::derive::SampleModel;

/// Most columns that are compared, spread evenly over all.
const MOST_COLUMNS: usize = 64;
/// Random sets of rows that a set is compared with.
const DRAWS: usize = 199;
/// Largest share of them that may be as much alike.
const LEVEL: f64 = 0.01;
/// How far the rows of a group are apart in a typical column, at most: in parts of what random rows are.
const ALIKE: f64 = 0.5;

/// A column as ranks or as levels.
enum Places {
    /// Mid-rank of each row's value, 0 to 1; NaN for missing.
    Ranks(Vec<f64>),
    /// Which categorical column.
    Levels(usize),
}

/// The rows of a sample, to be compared.
pub(super) struct Peers<'a> {
    sample: &'a SampleModel,
    /// Position in the sample of every row, as often as it occurs.
    all: Vec<usize>,
    seed: u64,
    columns: OnceCell<Vec<(Option<usize>, Places)>>,
}

/// Mean distance of two different members of a set, `None` of fewer than two.
fn apart(ranks: &mut Vec<f64>) -> Option<f64> {
    ranks.retain(|rank| !rank.is_nan());
    ranks.sort_unstable_by(f64::total_cmp);
    let n = ranks.len() as f64;
    let sum: f64 = ranks.iter().enumerate().map(|(i, rank)| (2.0 * i as f64 + 1.0 - n) * rank).sum();
    (n > 1.0).then(|| 2.0 * sum / (n * (n - 1.0)))
}

/// Share of pairs of a set that differ; `None` of fewer than two.
fn unlike(levels: &mut Vec<u64>) -> Option<f64> {
    levels.retain(|hash| *hash != 0);
    levels.sort_unstable();
    let n = levels.len() as f64;
    let same: f64 = levels.chunk_by(|a, b| a == b).map(|level| level.len() as f64 * (level.len() as f64 - 1.0)).sum();
    (n > 1.0).then(|| 1.0 - same / (n * (n - 1.0)))
}

/// Mid-ranks of values, 0 to 1; NaN has none.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let twice = 2.0 * sorted.len() as f64;
    let rank = |x: &f32| (sorted.partition_point(|y| y < x) + sorted.partition_point(|y| y <= x)) as f64 / twice;
    values.iter().map(|x| if x.is_nan() { f64::NAN } else { rank(x) }).collect()
}

impl<'a> Peers<'a> {
    /// Rows of a sample, each as often as `copies` says.
    pub(super) fn new(sample: &'a SampleModel, copies: &[usize], seed: u64) -> Self {
        let all = copies.iter().enumerate().flat_map(|(row, &n)| std::iter::repeat_n(row, n)).collect();
        Self { sample, all, seed, columns: OnceCell::new() }
    }

    fn columns(&self) -> &[(Option<usize>, Places)] {
        self.columns.get_or_init(|| {
            let numbers = self.sample.rows.first().map_or(0, |row| row.numeric.len());
            let levels = self.sample.rows.first().map_or(0, |row| row.cells.len());
            let step = (numbers + levels).div_ceil(MOST_COLUMNS).max(1);
            let values =
                |j: usize| self.sample.rows.iter().map(|row| row.numeric.get(j).copied().unwrap_or(f32::NAN)).collect::<Vec<f32>>();
            let column = |j: usize| match j.checked_sub(numbers) {
                Some(level) => (None, Places::Levels(level)),
                None => (Some(j), Places::Ranks(ranks(&values(j)))),
            };
            (0..numbers + levels).step_by(step).map(column).collect()
        })
    }

    /// How far rows are apart in each column but the numeric one `but`; NaN where it cannot be said.
    fn spread(&self, rows: &[usize], but: Option<usize>) -> Vec<f64> {
        let of = |places: &Places| match places {
            Places::Ranks(ranks) => apart(&mut rows.iter().filter_map(|&row| ranks.get(row).copied()).collect()),
            Places::Levels(at) => unlike(&mut rows.iter().filter_map(|&row| self.sample.rows.get(row)?.cells.get(*at).copied()).collect()),
        };
        let others = self.columns().iter().filter(|(column, _)| column.is_none() || *column != but);
        others.map(|(_, places)| of(places).unwrap_or(f64::NAN)).collect()
    }

    /// Whether the rows of the sample that `odd` picks, copies counted, are a group: nearer to each other than random rows are
    /// in at least half of the columns, and hardly a random set is as near. `but` is the numeric column in which they are odd.
    pub(super) fn are_grouped(&self, but: Option<usize>, odd: impl Fn(usize) -> bool) -> bool {
        let rows: Vec<usize> = self.all.iter().copied().filter(|&row| odd(row)).collect();
        if rows.len() < 2 {
            return false;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw =
            || -> Vec<usize> { (0..rows.len()).filter_map(|_| self.all.get(rng.random_range(0..self.all.len())).copied()).collect() };
        let random: Vec<Vec<f64>> = (0..DRAWS).map(|_| self.spread(&draw(), but)).collect();
        let own = self.spread(&rows, but);
        let usual: Vec<f64> = (0..own.len())
            .map(|column| {
                let told: Vec<f64> = random.iter().filter_map(|spread| spread.get(column).copied()).filter(|x| !x.is_nan()).collect();
                told.iter().sum::<f64>() / told.len().max(1) as f64
            })
            .collect();
        // The column in the middle, the upper of two.
        let typical = |spread: &[f64]| -> Option<f64> {
            let pairs = spread.iter().zip(&usual).filter(|(_, usual)| **usual > 0.0);
            let mut parts: Vec<f64> = pairs.map(|(own, usual)| own / usual).filter(|part| !part.is_nan()).collect();
            parts.sort_unstable_by(f64::total_cmp);
            parts.get(parts.len() / 2).copied()
        };
        let Some(own) = typical(&own).filter(|own| *own <= ALIKE) else { return false };
        let as_near = random.iter().filter(|spread| typical(spread).is_some_and(|theirs| theirs <= own)).count();
        (as_near + 1) as f64 <= LEVEL * (DRAWS + 1) as f64
    }
}
