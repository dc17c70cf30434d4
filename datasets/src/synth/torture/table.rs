//! Tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::assemble;
use super::{columns, draw_labels, features, normal, numbers, texts, uniform};
use crate::Result;

/// A class drawn with the given chances.
fn draw(rng: &mut ChaCha8Rng, chances: &[f64]) -> usize {
    let mut at = rng.random::<f64>() * chances.iter().sum::<f64>();
    chances
        .iter()
        .position(|chance| {
            at -= chance;
            at < 0.0
        })
        .unwrap_or(chances.len() - 1)
}

pub(super) fn heavy_tails(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 4_000, 3);
    let mut content = columns(&features(rng, &labels, 5, 3));
    let rows = || 0..labels.len();
    content.push(numbers("log_normal", rows().map(|_| (1.5 * normal(rng)).exp())));
    content.push(numbers("cauchy", rows().map(|_| normal(rng) / normal(rng))));
    content.push(numbers("t2", rows().map(|_| normal(rng) / (-uniform(rng).ln()).sqrt())));
    content.push(numbers("pareto", rows().map(|_| uniform(rng).powf(-1.0 / 1.2))));
    assemble(content, &labels)
}

pub(super) fn duplicates(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let originals = draw_labels(rng, 1_200, 4);
    let rows = features(rng, &originals, 5, 4);
    let chosen: Vec<usize> = (0..5_000).map(|_| rng.random_range(0..rows.len())).collect();
    let copies: Vec<Vec<f64>> = chosen.iter().map(|&row| rows[row].iter().map(|x| (100.0 * x).round() / 100.0).collect()).collect();
    assemble(columns(&copies), &chosen.iter().map(|&row| originals[row]).collect::<Vec<_>>())
}

pub(super) fn tiny_classes(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let mut chances = vec![0.5, 0.3, 0.15];
    chances.extend([0.05 / 9.0; 9]);
    let labels: Vec<usize> = (0..6_000).map(|_| draw(rng, &chances)).collect();
    assemble(columns(&features(rng, &labels, 8, 12)), &labels)
}

pub(super) fn many_classes(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 6_000, 300);
    assemble(columns(&features(rng, &labels, 16, 300)), &labels)
}

pub(super) fn many_values(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    const ROWS: usize = 6_000;
    // Zipf's law with exponent 1.3, over 5,000 cities.
    let cities: Vec<usize> = (0..ROWS).map(|_| uniform(rng).powf(-1.0 / 0.3).min(1e12) as usize % 5_000).collect();
    let labels: Vec<usize> = cities.iter().map(|city| usize::from(rng.random::<f64>() < if city % 7 == 0 { 0.6 } else { 0.3 })).collect();
    let codes: Vec<String> = (0..ROWS).map(|_| format!("k{}", rng.random_range(0..2_000))).collect();
    let ages: Vec<f64> = (0..ROWS).map(|_| f64::from(rng.random_range(18..90))).collect();
    assemble(vec![texts("city", cities.iter().map(|city| format!("c{city}"))), texts("code", codes), numbers("age", ages)], &labels)
}

pub(super) fn skew(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    const ROWS: usize = 20_000;
    let mut labels = vec![0; ROWS];
    let first = rng.random_range(0..ROWS);
    for row in [first, (first + rng.random_range(1..ROWS)) % ROWS] {
        labels[row] = 1;
    }
    assemble(columns(&features(rng, &labels, 6, 2)), &labels)
}

pub(super) fn near_constant(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 4_000, 2);
    let mut content = columns(&features(rng, &labels, 4, 2));
    let rows = || 0..labels.len();
    content.push(numbers("flag", rows().map(|_| f64::from(u8::from(rng.random::<f64>() < 0.002)))));
    content.push(numbers("rest", rows().map(|_| if rng.random::<f64>() < 0.003 { normal(rng) } else { 0.0 })));
    content.push(texts("unit", rows().map(|_| if rng.random::<f64>() < 0.004 { "lb" } else { "kg" })));
    assemble(content, &labels)
}

pub(super) fn counts(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 4_000, 2);
    let mut content = columns(&features(rng, &labels, 4, 2));
    let rows = || 0..labels.len();
    content.push(numbers("visits", rows().map(|_| (20.0 * uniform(rng).ln()).floor().abs())));
    content.push(numbers("tries", rows().map(|_| (-uniform(rng).ln() / 0.36).floor())));
    content.push(numbers("amount", rows().map(|_| (6.0 + 2.0 * normal(rng)).exp().floor())));
    content.push(numbers("paid", rows().map(|_| if rng.random::<f64>() < 0.08 { (7.0 + normal(rng)).exp().round() } else { 0.0 })));
    assemble(content, &labels)
}

pub(super) fn sources(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let labels = draw_labels(rng, 4_000, 2);
    let source: Vec<usize> = labels.iter().map(|_| draw(rng, &[0.7, 0.2, 0.08, 0.02])).collect();
    let mut rows = features(rng, &labels, 5, 2);
    for (row, &source) in rows.iter_mut().zip(&source) {
        let (scale, shift) = [(1.0, 0.0), (2.0, 3.0), (5.0, -8.0), (0.2, 20.0)][source];
        for x in row {
            *x = scale * *x + shift;
        }
    }
    let mut content = columns(&rows);
    content.push(texts("source", source.iter().map(|source| format!("site {source}"))));
    assemble(content, &labels)
}

pub(super) fn ordered(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    let mut labels = draw_labels(rng, 4_000, 3);
    labels.sort_unstable();
    let mut rows = features(rng, &labels, 5, 3);
    for class in 0..3 {
        let (from, to) = (labels.partition_point(|label| *label < class), labels.partition_point(|label| *label <= class));
        rows[from..to].sort_by(|a, b| a[0].total_cmp(&b[0]));
    }
    assemble(columns(&rows), &labels)
}

pub(super) fn time_trend(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    const ROWS: usize = 4_000;
    const START: i64 = 1_700_000_000_000;
    const STEP: i64 = 3_600_000;
    let share = |row: usize| row as f64 / ROWS as f64;
    let labels: Vec<usize> = (0..ROWS).map(|row| usize::from(rng.random::<f64>() < 0.2 + 0.6 * share(row))).collect();
    let mut rows = features(rng, &labels, 5, 2);
    for (at, row) in rows.iter_mut().enumerate() {
        let season = (std::f64::consts::TAU * 4.0 * share(at)).sin();
        row[0] += 4.0 * share(at);
        row[1] += 1.5 * season;
    }
    let mut content = columns(&rows);
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values((0..).take(ROWS).map(|row: i64| START + STEP * row)));
    content.push(("time".to_owned(), times));
    assemble(content, &labels)
}
