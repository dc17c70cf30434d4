use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};

use super::super::fixture::{normals, scored, table};
use super::super::{Copula, Histogram, Lof, Residual};
use super::*;
use crate::data::Role;

const ROWS: usize = 2_000;

fn column(values: impl Fn(usize) -> Option<f64>) -> ArrayRef {
    Arc::new((0..ROWS).map(values).collect::<Float64Array>())
}

/// Where a row stands, 0 the highest score.
fn rank(scores: &[Option<f64>], row: usize) -> usize {
    scores.iter().filter(|s| **s > scores[row]).count()
}

/// Two columns that move together and two that do not; rows 1 to 5 are odd as `odd` says, row 0 is empty.
fn rows(odd: impl Fn(usize) -> [f64; 4]) -> Vec<(&'static str, Role, ArrayRef)> {
    let z = normals(11, 4 * ROWS);
    let value = |i: usize, j: usize| {
        let plain = [z[4 * i], z[4 * i] + 0.2 * z[4 * i + 1], z[4 * i + 2], z[4 * i + 3]];
        (i > 0).then(|| if i < 6 { odd(i)[j] } else { plain[j] })
    };
    let values: Vec<[Option<f64>; 4]> = (0..ROWS).map(|i| [0, 1, 2, 3].map(|j| value(i, j))).collect();
    ["a", "b", "c", "d"].into_iter().enumerate().map(|(j, name)| (name, Role::Numeric, column(|i| values[i][j]))).collect()
}

fn finds<M: Method>(odd: impl Fn(usize) -> [f64; 4], within: usize, reason: &str) {
    let detector = Ranked::<M>::new();
    let (model, block, scores) = scored(&detector, rows(odd));
    assert_eq!(scores[0], None);
    assert!(detector.explain(&model, &block, 0).is_err());
    let ranks: Vec<usize> = (1..6).map(|i| rank(&scores, i)).collect();
    assert!(ranks.iter().all(|r| *r < within), "{}: {ranks:?}", M::INFO.code);
    let evidence = detector.explain(&model, &block, 3).unwrap();
    assert!(evidence.reason.contains(reason), "{}", evidence.reason);
}

#[test]
fn each_finds_its_own() {
    finds::<super::super::copula::CopulaMethod>(|_| [2.5, 2.5, -2.6, 2.4], 12, "a = 2.5 (usual -2.");
    finds::<super::super::histogram::HistogramMethod>(|i| [3.4, 3.4, -3.3, 3.0 + 0.01 * i as f64], 20, "(usual -2.");
    finds::<super::super::residual::ResidualMethod>(|_| [1.5, -1.5, 0.1, 0.2], 12, "b = -1.5 (usual -2.");
    finds::<super::super::lof::LofMethod>(
        |i| [0.3 * i as f64, -0.3 * i as f64 - 1.5, 0.0, 0.1],
        60,
        "times as sparse as around its 20 nearest rows",
    );
}

#[test]
fn nothing_to_look_at_is_an_error_not_a_score() {
    let nothing: ArrayRef = Arc::new(Float64Array::from(vec![None; 60]));
    let (schema, _, given) = table(vec![("a", Role::Numeric, nothing)]);
    assert!(Copula::new().begin(&schema, &given).is_err());
    assert!(Histogram::new().begin(&schema, &Given::default()).is_err());
    assert!(Lof::new().begin(&schema, &given).is_err());
    assert!(Residual::new().begin(&schema, &given).is_err());
}
