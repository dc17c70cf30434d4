//! Detectors that rank rows by one published score of their numbers.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::vectors::{Sampled, Vectors, named, usual};
use super::{sample, short};
use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Step};
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::robust::median;

/// A score of rows on comparable scales.
pub trait Method: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What the unit is.
    const INFO: &'static Info;
    /// How columns are brought to one scale.
    const SCALING: Scaling;
    /// Whether an embedding is looked at where there is one, or numeric columns alone.
    const EMBEDDINGS: bool = true;
    /// Whether each row enters the fit as often as it occurs, or once.
    const REPEATED: bool;

    /// Fits rows (n × d, without missing values) in the order of their keys; `whole` where they are all distinct rows of the set.
    fn fit(rows: Array2<f32>, keys: &[u64], whole: bool, seed: u64) -> Result<Self>;

    /// The score of each row, higher is odder; NaN where it has none. Unless a method says otherwise, the sum of its shares.
    fn scores(&self, rows: ArrayView2<f32>, _keys: &[u64]) -> Result<Vec<f64>> {
        Ok(rows.outer_iter().map(|row| self.shares(row).iter().sum()).collect())
    }

    /// What each column adds to a row's score; empty where columns cannot be told apart.
    fn shares(&self, row: ArrayView1<f32>) -> Vec<f64>;

    /// The score and the usual one in words.
    fn said(score: &str, usual: &str) -> String;
}

/// A detector by its method.
pub struct Ranked<M>(std::marker::PhantomData<M>);

impl<M> Ranked<M> {
    /// The detector.
    #[must_use]
    pub const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<M> Default for Ranked<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// The fitted method and what it looks at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "M: Serialize", deserialize = "M: DeserializeOwned"))]
pub struct RankedModel<M> {
    vectors: Vectors,
    scale: Standardizer,
    method: M,
    /// 1 % and 99 % quantile of each column.
    usual: Vec<(f32, f32)>,
    /// Median score of up to 1,024 rows of the sample.
    middle: f64,
}

/// Rows of the sample whose scores say what is usual.
const MIDDLE_ROWS: usize = 1_024;

impl<M: Method> RankedModel<M> {
    fn fit(data: &Schema, sample: &SampleModel) -> Result<Self> {
        let vectors = if M::EMBEDDINGS { Vectors::of(data) } else { Vectors::numeric(data) };
        let Sampled { rows: distinct, keys, copies, .. } = vectors.sampled(sample, M::INFO.code)?;
        let repeated: Vec<usize> = copies.iter().enumerate().flat_map(|(row, &n)| std::iter::repeat_n(row, n)).collect();
        let rows = if M::REPEATED { distinct.select(Axis(0), &repeated) } else { distinct.clone() };
        let scale = Standardizer::fit(rows.view(), M::SCALING);
        let method = M::fit(scale.transform(rows.view())?, &keys, sample.is_whole(), data.key.seed())?;
        let usual = usual(rows.view());
        let mut model = Self { vectors, scale, method, usual, middle: f64::NAN };
        let some = MIDDLE_ROWS.min(distinct.nrows());
        let (values, keys) = (distinct.view().split_at(Axis(0), some).0, keys.get(..some).unwrap_or_default());
        let mut scores: Vec<f64> = model.scores(values, keys)?.into_iter().filter(|score| score.is_finite()).collect();
        model.middle = median(&mut scores).unwrap_or(0.0);
        Ok(model)
    }

    fn scores(&self, values: ArrayView2<f32>, keys: &[u64]) -> Result<Vec<f64>> {
        let mut scores = self.method.scores(self.scale.transform(values)?.view(), keys)?;
        for (score, row) in scores.iter_mut().zip(values.outer_iter()) {
            if !row.iter().any(|x| x.is_finite()) {
                *score = f64::NAN;
            }
        }
        Ok(scores)
    }
}

impl<M: Method> Fold for Ranked<M> {
    type Model = RankedModel<M>;

    without_scan!();

    fn info(&self) -> &'static Info {
        M::INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), RankedModel<M>>> {
        Ok(Step::Done(RankedModel::fit(data, sample(given, M::INFO.code)?)?))
    }
}

impl<M: Method> Detect for Ranked<M> {
    fn score(&self, model: &RankedModel<M>, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let values = model.vectors.of_block(rows, M::INFO.code)?;
        for (slot, score) in out.iter_mut().zip(model.scores(values.view(), rows.keys())?) {
            *slot = Some(score).filter(|score| score.is_finite());
        }
        Ok(())
    }

    fn explain(&self, model: &RankedModel<M>, rows: &Batch, row: usize) -> Result<Evidence> {
        let none = || Error::Detector { code: M::INFO.code, reason: "a row without values cannot be explained".to_owned() };
        let values = model.vectors.of_block(rows, M::INFO.code)?.select(Axis(0), &[row]);
        let keys: Vec<u64> = rows.keys().get(row).copied().into_iter().collect();
        let score = model.scores(values.view(), &keys)?.first().copied().filter(|score| score.is_finite()).ok_or_else(none)?;
        // Dimensions of an embedding mean nothing to a person.
        let shares = if model.vectors.embedding { Vec::new() } else { model.method.shares(model.scale.transform(values.view())?.row(0)) };
        let (texts, details) = named(&model.vectors.names, &model.usual, values.row(0), shares);
        let said = M::said(&short(score), &short(model.middle));
        let reason = if texts.is_empty() { said } else { format!("{said}: {}", texts.join(", ")) };
        Ok(Evidence::new(reason, [("score", json!(score)), ("usual", json!(model.middle)), ("columns", json!(details))]))
    }
}

#[cfg(test)]
mod tests;
