//! `outlier.residual`: rows that the leading principal components leave unexplained.

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::projection::{MOST_COLUMNS, Projection};
use super::rank::{Method, Ranked};
use super::ranking;
use crate::error::Result;
use crate::fold::{Info, Need};
use crate::stats::features::Scaling;
use crate::stats::residual::Residual as Components;

/// Share of the variance that the components hold.
const HELD: f64 = 0.9;

/// The detector; see its manual, `residual.md`.
pub type Residual = Ranked<ResidualMethod>;

static INFO: Info = ranking(
    "outlier.residual",
    "rows that the leading principal components do not explain",
    &[Need::Vectors],
    None,
    include_str!("residual.md"),
);

/// The components.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResidualMethod {
    projection: Option<Projection>,
    components: Components,
}

impl Method for ResidualMethod {
    const INFO: &'static Info = &INFO;
    const SCALING: Scaling = Scaling::Robust;
    const REPEATED: bool = true;

    fn fit(rows: Array2<f32>, _: &[u64], _: bool, seed: u64) -> Result<Self> {
        let projection = (rows.ncols() > MOST_COLUMNS).then(|| Projection::new(rows.ncols(), seed));
        let rows = projection.as_ref().map_or_else(|| rows.clone(), |projection| projection.apply(&rows));
        Ok(Self { components: Components::fit(rows.view(), HELD)?, projection })
    }

    fn scores(&self, rows: ArrayView2<f32>, _: &[u64]) -> Result<Vec<f64>> {
        Ok(match &self.projection {
            Some(projection) => self.components.squared(projection.apply(&rows.to_owned()).view()),
            None => self.components.squared(rows),
        })
    }

    fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        if self.projection.is_some() { Vec::new() } else { self.components.shares(row) }
    }

    fn said(score: &str, usual: &str) -> String {
        format!("not explained by what other columns say: squared residual {score}, where {usual} is usual")
    }
}
