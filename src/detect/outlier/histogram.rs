//! `outlier.histogram`: rows with values where few others are.

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::rank::{Method, Ranked};
use crate::error::Result;
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Info, Law, Need};
use crate::stats::features::Scaling;
use crate::stats::marginal::Histograms;

/// The detector; see its manual, `histogram.md`.
pub type Histogram = Ranked<HistogramMethod>;

static INFO: Info = Info {
    code: "outlier.histogram",
    family: Family::Outlier,
    summary: "rows with values where few others are",
    needs: &[Need::Vectors],
    after: &["derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Rank,
    max_tier: Tier::Review,
    manual: include_str!("histogram.md"),
};

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

    fn scores(&self, rows: ArrayView2<f32>, _: &[u64]) -> Result<Vec<f64>> {
        Ok(rows.outer_iter().map(|row| self.0.shares(row).iter().sum()).collect())
    }

    fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.0.shares(row)
    }

    fn said(score: &str, usual: &str) -> String {
        format!("values lie where few others do: {score} bits in all, where {usual} are usual")
    }
}
