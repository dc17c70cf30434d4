//! The detectors of the family, fitted on sound rows alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::{Iforest, IforestModel, Knn, KnnModel, Maha, MahaModel, Univariate, UnivariateModel};
use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::Result;
use crate::finding::Evidence;
use crate::fold::{Detect, Given, Step};

/// Detectors asked; their order is that of [`Scores`].
pub(super) const ASKED: usize = 4;
/// Their codes.
pub(super) const CODES: [&str; ASKED] = ["outlier.univariate", "outlier.maha", "outlier.knn", "outlier.iforest"];

/// A row's score by each detector; NaN where one could not judge.
pub(super) type Scores = [f64; ASKED];

/// What the detectors learnt from one half of the reference.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ensemble {
    univariate: Option<UnivariateModel>,
    maha: Option<MahaModel>,
    knn: Option<KnnModel>,
    iforest: Option<IforestModel>,
}

/// The model of a detector on this sample; `None` where the data has nothing for it.
fn fitted<D: Detect>(detector: &D, data: &Schema, given: &Given) -> Option<D::Model> {
    match detector.begin(data, given) {
        Ok(Step::Done(model)) => Some(model),
        _ => None,
    }
}

/// Adds the scores of one detector to those of a block's rows.
fn add<D: Detect>(detector: &D, model: Option<&D::Model>, rows: &Batch, at: usize, out: &mut [Scores]) -> Result<()> {
    let Some(model) = model else { return Ok(()) };
    let mut scores = vec![None; rows.rows()];
    detector.score(model, rows, &mut scores)?;
    for (slot, score) in out.iter_mut().zip(scores) {
        if let (Some(slot), Some(score)) = (slot.get_mut(at), score) {
            *slot = score;
        }
    }
    Ok(())
}

impl Ensemble {
    /// Fits all that the data has something for.
    pub(super) fn fit(data: &Schema, sample: SampleModel) -> Self {
        let mut given = Given::default();
        given.insert("derive.sample", Arc::new(sample));
        let numbers = data.first(crate::data::Role::Numeric).is_some();
        let levels = data.first(crate::data::Role::Categorical).is_some();
        let vectors = numbers || data.first(crate::data::Role::Embedding).is_some();
        Self {
            univariate: (numbers || levels).then(|| fitted(&Univariate, data, &given)).flatten(),
            maha: vectors.then(|| fitted(&Maha, data, &given)).flatten(),
            knn: vectors.then(|| fitted(&Knn, data, &given)).flatten(),
            iforest: (numbers || levels).then(|| fitted(&Iforest, data, &given)).flatten(),
        }
    }

    /// Whether none has anything to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.univariate.is_none() && self.maha.is_none() && self.knn.is_none() && self.iforest.is_none()
    }

    /// Scores of a block's rows.
    pub(super) fn scores(&self, rows: &Batch) -> Result<Vec<Scores>> {
        let mut out = vec![[f64::NAN; ASKED]; rows.rows()];
        add(&Univariate, self.univariate.as_ref(), rows, 0, &mut out)?;
        add(&Maha, self.maha.as_ref(), rows, 1, &mut out)?;
        add(&Knn, self.knn.as_ref(), rows, 2, &mut out)?;
        add(&Iforest, self.iforest.as_ref(), rows, 3, &mut out)?;
        Ok(out)
    }

    /// Why one of the detectors finds a row odd.
    pub(super) fn explain(&self, by: usize, rows: &Batch, row: usize) -> Option<Evidence> {
        match by {
            0 => self.univariate.as_ref().and_then(|model| Univariate.explain(model, rows, row).ok()),
            1 => self.maha.as_ref().and_then(|model| Maha.explain(model, rows, row).ok()),
            2 => {
                let mut near = Knn.explain(self.knn.as_ref()?, rows, row).ok()?;
                // Neighbours name no column.
                if let Some(columns) = self.explain(1, rows, row) {
                    near.reason = format!("{}; {}", near.reason, columns.reason);
                }
                Some(near)
            }
            _ => self.iforest.as_ref().and_then(|model| Iforest.explain(model, rows, row).ok()),
        }
    }
}
