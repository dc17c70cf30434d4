//! `outlier.histogram`: rows with values where few others are.

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::rank::{Method, Ranked};
use super::ranking;
use crate::error::Result;
use crate::fold::{Info, Need};
use crate::stats::features::Scaling;
use crate::stats::marginal::Histograms;

/// The detector; see its manual, `histogram.md`.
pub type Histogram = Ranked<HistogramMethod>;

static INFO: Info =
    ranking("outlier.histogram", "rows with values where few others are", &[Need::Vectors], None, include_str!("histogram.md"));

/// Histograms of every column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistogramMethod(Histograms);

impl Method for HistogramMethod {
    const INFO: &'static Info = &INFO;
    const SCALING: Scaling = Scaling::Winsorized;
    const REPEATED: bool = true;

    fn fit(rows: Array2<f32>, _: &[u64], _: bool, _: u64) -> Result<Self> {
        Ok(Self(Histograms::fit(rows.view())))
    }

    fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.0.shares(row)
    }

    fn said(score: &str, usual: &str) -> String {
        format!("values lie where few others do: {score} bits in all, where {usual} are usual")
    }
}
