//! `outlier.copula`: rows with rare values in many columns.

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::rank::{Method, Ranked};
use super::ranking;
use crate::error::Result;
use crate::fold::{Info, Need};
use crate::stats::features::Scaling;
use crate::stats::marginal::Tails;

/// The detector; see its manual, `copula.md`.
pub type Copula = Ranked<CopulaMethod>;

static INFO: Info = ranking("outlier.copula", "rows with rare values in many columns", &[Need::Vectors], None, include_str!("copula.md"));

/// Tails of every column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CopulaMethod(Tails);

impl Method for CopulaMethod {
    const INFO: &'static Info = &INFO;
    const SCALING: Scaling = Scaling::Robust;
    const REPEATED: bool = true;

    fn fit(rows: Array2<f32>, _: &[u64], _: bool, _: u64) -> Result<Self> {
        Ok(Self(Tails::fit(rows.view())))
    }

    fn shares(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.0.shares(row)
    }

    fn said(score: &str, usual: &str) -> String {
        format!("values are rare by {score} nats in all, where {usual} are usual")
    }
}
