//! Tables whose label follows a rule, or an artefact.

use arrow::array::RecordBatch;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::super::assemble;
use super::text::ODD_DEVICE;
use super::{columns, draw_labels, features, texts};
use crate::Result;

/// Levels of the six columns of a designed table.
const LEVELS: [usize; 6] = [4, 4, 4, 3, 3, 3];

/// The lowest level of either of two columns decides alone; otherwise a weighted sum of levels does, in steps that leave a fifth,
/// a tenth and a twentieth of the rows to the higher classes.
pub(super) fn designed(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let weights: Vec<usize> = LEVELS.iter().map(|_| rng.random_range(1..4)).collect();
    let mut order: Vec<usize> = (0..LEVELS.len()).collect();
    order.shuffle(rng);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for levels in LEVELS {
        rows = rows.iter().flat_map(|row| (0..levels).map(|level| [row.as_slice(), &[level]].concat())).collect();
    }
    let sum = |row: &[usize]| row.iter().zip(&weights).map(|(level, weight)| level * weight).sum::<usize>();
    let mut sums: Vec<usize> = rows.iter().map(|row| sum(row)).collect();
    sums.sort_unstable();
    let cuts: Vec<usize> = [0.65, 0.85, 0.95].iter().map(|share| sums[(share * sums.len() as f64) as usize]).collect();
    let label = |row: &Vec<usize>| {
        let barred = row[order[0]] == 0 || row[order[1]] == 0;
        if barred { 0 } else { cuts.iter().filter(|cut| sum(row) > **cut).count() }
    };
    let labels: Vec<usize> = rows.iter().map(label).collect();
    let column = |at: usize| texts(&format!("a{at}"), rows.iter().map(|row| format!("level {}", row[at])).collect::<Vec<_>>());
    assemble((0..LEVELS.len()).map(column).collect(), &labels)
}

/// Columns of eight, five, six and four levels; the first two decide.
pub(super) fn two_columns(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    const ROWS: usize = 4_000;
    let of: Vec<usize> = draw_labels(rng, 40, 3);
    let (first, second) = (draw_labels(rng, ROWS, 8), draw_labels(rng, ROWS, 5));
    let labels: Vec<usize> = first.iter().zip(&second).map(|(first, second)| of[first * 5 + second]).collect();
    let idle: Vec<Vec<usize>> = [6, 4].iter().map(|levels| draw_labels(rng, ROWS, *levels)).collect();
    let column = |(name, values): (&str, &Vec<usize>)| texts(name, values.iter().map(|value| format!("{name}{value}")));
    assemble([("g", &first), ("h", &second), ("i", &idle[0]), ("j", &idle[1])].into_iter().map(column).collect(), &labels)
}

/// A tenth of the rows of class 1 come from a device that no other class has.
pub(super) fn device(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 4_000, 3);
    let mut content = columns(&features(rng, &labels, 6, 3));
    let device = labels
        .iter()
        .map(|label| if *label == 1 && rng.random::<f64>() < 0.1 { ODD_DEVICE.to_owned() } else { format!("d{}", rng.random_range(0..6)) });
    content.push(texts("device", device.collect::<Vec<_>>()));
    assemble(content, &labels)
}
