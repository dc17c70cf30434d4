//! `outlier.lof`: rows in sparser surroundings than their neighbours.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::rank::{Method, Ranked};
use super::ranking;
use crate::error::Result;
use crate::fold::{Info, Need};
use crate::stats::features::Scaling;
use crate::stats::lof::Lof as Factors;

/// Anchors where they are all distinct rows of the set, so that factors are exact.
const EXACT: usize = 4_096;
/// Anchors otherwise.
const ANCHORS: usize = 1_024;
/// Neighbours.
const NEIGHBORS: usize = 20;

/// The detector; see its manual, `lof.md`.
pub type Lof = Ranked<LofMethod>;

static INFO: Info =
    ranking("outlier.lof", "rows in sparser surroundings than their neighbours", &[Need::Numeric], Some(0.0), include_str!("lof.md"));

/// Anchors, and their keys, ascending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LofMethod {
    factors: Factors,
    keys: Vec<u64>,
}

impl Method for LofMethod {
    const INFO: &'static Info = &INFO;
    const SCALING: Scaling = Scaling::Winsorized;
    const EMBEDDINGS: bool = false;
    const REPEATED: bool = false;

    fn fit(rows: Array2<f32>, keys: &[u64], whole: bool, _: u64) -> Result<Self> {
        let most = if whole && rows.nrows() <= EXACT { rows.nrows() } else { ANCHORS.min(rows.nrows()) };
        // Keys are hashes, so the smallest are a uniform sample.
        let anchors = rows.view().split_at(Axis(0), most).0.to_owned();
        Ok(Self { factors: Factors::fit(anchors, NEIGHBORS)?, keys: keys.iter().take(most).copied().collect() })
    }

    fn scores(&self, rows: ArrayView2<f32>, keys: &[u64]) -> Result<Vec<f64>> {
        let own: Vec<Option<usize>> = keys.iter().map(|key| self.keys.binary_search(key).ok()).collect();
        self.factors.factors(rows, &own)
    }

    fn shares(&self, _: ArrayView1<f32>) -> Vec<f64> {
        Vec::new()
    }

    fn said(score: &str, usual: &str) -> String {
        format!("{score} times as sparse as around its {NEIGHBORS} nearest rows, where {usual} is usual")
    }
}
