//! Scores of published implementations on a small table; `golden/outlier.py` wrote them.

use ndarray::Array2;
use serde::Deserialize;

/// The table and its scores, one a row.
pub(super) struct Golden {
    pub(super) rows: Array2<f32>,
    pub(super) ecod: Vec<f64>,
    pub(super) copod: Vec<f64>,
    pub(super) hbos: Vec<f64>,
    pub(super) lof: Vec<f64>,
    pub(super) residual: Vec<f64>,
}

#[derive(Deserialize)]
struct File {
    rows: Vec<Vec<f32>>,
    ecod: Vec<f64>,
    copod: Vec<f64>,
    hbos: Vec<f64>,
    lof: Vec<f64>,
    residual: Vec<f64>,
}

/// Reads the table.
pub(super) fn outlier() -> Golden {
    let File { rows, ecod, copod, hbos, lof, residual } = serde_json::from_str(include_str!("golden/outlier.json")).unwrap();
    let rows = Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap();
    Golden { rows, ecod, copod, hbos, lof, residual }
}

/// Compares one score, relative to its size or to 1.
#[track_caller]
pub(super) fn close(what: &str, row: usize, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{what}, row {row}: {found} is not {expected}");
}
