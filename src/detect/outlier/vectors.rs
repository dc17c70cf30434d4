//! What detectors of joint distance look at: the embedding where there is one, or else the numeric columns.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{copies, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::stats::robust::quantile;

/// Columns that an explanation names.
const NAMED: usize = 3;

/// Which columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Vectors {
    pub(super) embedding: bool,
    /// One a column.
    pub(super) names: Vec<String>,
}

/// The sample's rows that have a value.
pub(super) struct Sampled {
    /// n × columns; NaN for missing.
    pub(super) rows: Array2<f32>,
    pub(super) labels: Vec<Option<u32>>,
    pub(super) keys: Vec<u64>,
    /// Times that each row enters a fit.
    pub(super) copies: Vec<usize>,
}

/// A value in single precision, as samples are kept; one that is too large for it stays the largest.
pub(super) fn single(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

impl Vectors {
    /// The embedding where there is one, or else the numeric columns.
    pub(super) fn of(data: &Schema) -> Self {
        match data.first(Role::Embedding).and_then(|column| data.columns.get(column)) {
            Some(column) => {
                Self { embedding: true, names: (0..column.width.unwrap_or(0)).map(|j| format!("{}[{j}]", column.name)).collect() }
            }
            None => Self::numeric(data),
        }
    }

    /// The numeric columns.
    pub(super) fn numeric(data: &Schema) -> Self {
        let names = data.with_role(Role::Numeric).into_iter().filter_map(|column| data.columns.get(column));
        Self { embedding: false, names: names.map(|column| column.name.clone()).collect() }
    }

    /// Rows of the sample in the order of their keys.
    pub(super) fn sampled(&self, sample: &SampleModel, code: &'static str) -> Result<Sampled> {
        let (mut values, mut labels, mut keys, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((row, &key), n) in sample.rows.iter().zip(&sample.keys).zip(copies(sample)) {
            let vector = if self.embedding { &row.embedding } else { &row.numeric };
            if vector.len() == self.names.len() && vector.iter().any(|x| x.is_finite()) {
                values.extend_from_slice(vector);
                labels.push(row.label);
                keys.push(key);
                times.push(n);
            }
        }
        let wrong = |reason: &str| Error::Detector { code, reason: reason.to_owned() };
        let rows =
            Array2::from_shape_vec((labels.len(), self.names.len()), values).map_err(|_| wrong("the sample's rows differ in width"))?;
        if rows.is_empty() {
            return Err(wrong("no row of the sample has a value"));
        }
        Ok(Sampled { rows, labels, keys, copies: times })
    }

    /// Values of a block, rows × columns; NaN for missing.
    pub(super) fn of_block(&self, rows: &Batch, code: &'static str) -> Result<Array2<f32>> {
        let values = if self.embedding { rows.embedding()?.unwrap_or_default() } else { rows.numeric().mapv(single) };
        if values.dim() != (rows.rows(), self.names.len()) {
            let reason = format!("rows have {} columns, the model has {}", values.ncols(), self.names.len());
            return Err(Error::Detector { code, reason });
        }
        Ok(values)
    }
}

/// 1 % and 99 % quantile of each column.
pub(super) fn usual(rows: ArrayView2<f32>) -> Vec<(f32, f32)> {
    let range = |column: ArrayView1<f32>| {
        let mut sorted: Vec<f64> = column.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x)).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |q| quantile(&sorted, q).map_or(f32::NAN, |x| x as f32);
        (at(0.01), at(0.99))
    };
    rows.axis_iter(Axis(1)).map(range).collect()
}

/// The columns that add most to a row's score, with the value and what is usual, for a person and for machines.
pub(super) fn named(names: &[String], usual: &[(f32, f32)], row: ArrayView1<f32>, shares: Vec<f64>) -> (Vec<String>, Vec<Value>) {
    let mut shares: Vec<(usize, f64)> = shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let column = |(j, share): (usize, f64)| {
        let (name, (low, high), value) = (names.get(j)?, usual.get(j)?, *row.get(j)?);
        let number = |x: f32| short(f64::from(x));
        let text = format!("{name} = {} (usual {} to {})", number(value), number(*low), number(*high));
        Some((text, json!({"column": name, "value": value, "usual": [low, high], "share": share})))
    };
    shares.into_iter().take(NAMED).filter_map(column).unzip()
}
