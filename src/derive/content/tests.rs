use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const CLASSES: usize = 3;
const ROWS: usize = 900;
/// Every so many rows are labelled wrongly.
const WRONG: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Picture,
    Text,
    Table,
    Vector,
}

const KINDS: [Kind; 4] = [Kind::Picture, Kind::Text, Kind::Table, Kind::Vector];

fn empty() -> SampleRow {
    SampleRow {
        label: None,
        target: None,
        numeric: Vec::new(),
        cells: Vec::new(),
        tokens: Vec::new(),
        letters: Vec::new(),
        pixels: Vec::new(),
        embedding: Vec::new(),
        probabilities: Vec::new(),
    }
}

/// Rows whose content tells their class, the number of the row modulo 3, fairly well.
fn rows(kind: Kind) -> Vec<SampleRow> {
    let mut random = ChaCha8Rng::seed_from_u64(kind as u64);
    let mut uniform = move || random.random::<f32>();
    (0..ROWS)
        .map(|i| {
            let class = i % CLASSES;
            let mut row = SampleRow { label: Some(if i % WRONG == 7 { (class + 1) % CLASSES } else { class } as u32), ..empty() };
            match kind {
                // Stripes of three directions at any offset: no pixel tells them apart.
                Kind::Picture => {
                    let shift = uniform() * 6.0;
                    let along = |p: usize| [p % 14, p / 14, p % 14 + p / 14][class] as f32;
                    row.pixels = (0..196).map(|p| u8::from((along(p) + shift) % 6.0 < 3.0) * 90 + (uniform() * 120.0) as u8).collect();
                }
                // Five words that lean to the class and ten that do not, of two thousand.
                Kind::Text => {
                    let leaning = |r: f32| (r * 600.0) as u32 * 3 + class as u32;
                    row.tokens = (0..5).map(|_| uniform()).map(leaning).collect();
                    row.tokens.extend((0..10).map(|_| 2_000 + (uniform() * 1_500.0) as u32));
                    row.tokens.sort_unstable();
                    row.tokens.dedup();
                }
                // Which of two numbers is larger, beside a level that says nothing.
                Kind::Table => {
                    let (a, b) = (uniform(), uniform());
                    let apart = [-0.4, 0.0, 0.4][class];
                    row.numeric = vec![a + apart, a - apart + 0.2 * b, b];
                    row.cells = vec![(uniform() * 5.0) as u64];
                }
                Kind::Vector => row.embedding = (0..12).map(|j| uniform() + if j % CLASSES == class { 0.5 } else { 0.0 }).collect(),
            }
            row
        })
        .collect()
}

fn fitted(rows: &[SampleRow]) -> Fitted {
    let keys = (0..rows.len() as u64).collect();
    let sample = SampleModel { keys, rows: rows.to_vec(), counts: vec![1; rows.len()], threshold: u64::MAX };
    Fitted::fit(&sample, CLASSES, 5, Room::FULL, false).unwrap().unwrap()
}

fn probability(logits: ndarray::ArrayView1<f32>, class: usize) -> f64 {
    let logits: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
    softmax(&logits)[class]
}

#[test]
fn wrong_labels_are_the_least_likely() {
    for kind in KINDS {
        let rows = rows(kind);
        let model = fitted(&rows);
        let own = |i: usize| probability(model.held.logits.row(i), rows[i].label.unwrap() as usize);
        let mut order: Vec<usize> = (0..ROWS).collect();
        order.sort_by(|a, b| own(*a).total_cmp(&own(*b)));
        let planted = ROWS / WRONG;
        let found = order.iter().take(planted).filter(|i| **i % WRONG == 7).count();
        assert!(found * 10 >= planted * 7, "{kind:?}: {found} of {planted}");
        // Rows that the model never saw are told as well as those left out.
        let fresh = self::rows(kind);
        let logits = model.panel.logits(&model.features, &model.ridge, &fresh).unwrap();
        let right = (0..ROWS).filter(|i| probability(logits.row(*i), i % CLASSES) > 0.5).count();
        assert!(right * 10 >= ROWS * 8, "{kind:?}: {right}");
    }
}

#[test]
fn nobody_is_judged_by_a_model_that_saw_the_label() {
    for kind in KINDS {
        let mut rows = rows(kind);
        let before = fitted(&rows);
        // One row at a time: several together would change the model that judges them.
        let at = 31;
        rows[at].label = Some((rows[at].label.unwrap() + 1) % CLASSES as u32);
        let after = fitted(&rows);
        for class in 0..CLASSES {
            let (p, q) = (probability(before.held.logits.row(at), class), probability(after.held.logits.row(at), class));
            // Penalties, weights of opinions and calibration are shared by all rows, and move a little.
            assert!((p - q).abs() < 0.05, "{kind:?}: {p} became {q}");
        }
    }
}

#[test]
fn nearest_rows_are_of_the_class() {
    let rows = rows(Kind::Vector);
    let fitted = fitted(&rows);
    let near = fitted.panel.near().unwrap();
    let alike = |i: usize| {
        let labels = near.classes(&fitted.features, &rows[i], Some(i), Neighbours::COUNT).unwrap();
        assert_eq!(labels.len(), Neighbours::COUNT);
        labels.iter().filter(|label| **label as usize == i % CLASSES).count()
    };
    let all: usize = (0..ROWS).map(alike).sum();
    assert!(all * 10 >= ROWS * Neighbours::COUNT * 7, "{all}");
    assert!(ContentModel { given: None, fitted: Some(fitted) }.neighbours().is_some());
}

#[test]
fn texts_have_no_nearest_rows_to_show() {
    let model = ContentModel { given: None, fitted: Some(fitted(&rows(Kind::Text))) };
    assert!(model.neighbours().is_none());
}

#[test]
fn a_model_that_travelled_says_the_same() {
    for kind in KINDS {
        let rows = rows(kind);
        let model = fitted(&rows);
        let back: Fitted = postcard::from_bytes(&postcard::to_stdvec(&model).unwrap()).unwrap();
        let said = |model: &Fitted| -> Array2<f32> { model.panel.logits(&model.features, &model.ridge, &rows[..50]).unwrap() };
        assert_eq!(said(&model), said(&back), "{kind:?}");
    }
}

#[test]
fn odd_rows_have_an_opinion() {
    for kind in KINDS {
        let mut rows = rows(kind);
        rows[3] = SampleRow { label: Some(1), ..empty() };
        rows[4] = SampleRow { label: None, ..rows[4].clone() };
        rows[5].numeric = vec![f32::NAN, f32::INFINITY, f32::MAX];
        rows[6].pixels = vec![1; 7];
        let model = fitted(&rows);
        assert!(model.held.logits.iter().all(|z| z.is_finite()), "{kind:?}");
    }
}
