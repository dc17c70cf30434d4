//! `derive.coarse`: what pictures say of their label where nobody looks at their fine structure.

use std::collections::BTreeSet;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Schema};
use crate::derive::DERIVED;
use crate::error::Result;
use crate::fold::{Derive, Fold, Given, Info, Need, Step, without_scan};
use crate::stats::ridge::Ridge;

use super::ContentModel;
use super::features::Features;
use super::held::HeldOut;

/// The ridge classifier of [`Content`](super::Content) by itself. It compares whole pictures: a pattern that is faint in each of them, such as
/// a warp, is lost to it, while features of small patches learn it with the label that goes with it.
pub struct Coarse;

static INFO: Info = Info {
    code: "derive.coarse",
    summary: "what pictures say of their label, fine structure apart",
    needs: &[Need::Targets, Need::Image],
    after: &["derive.content"],
    ..DERIVED
};

/// The classifier; nothing where no other opinion looks at fine structure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoarseModel(Option<Fitted>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    features: Features,
    ridge: Ridge,
    /// Factor that turns ridge scores into logits.
    beta: f32,
    held: HeldOut,
}

impl CoarseModel {
    /// As [`ContentModel::sample_logits`].
    #[must_use]
    pub fn sample_logits(&self, left_out: &BTreeSet<u64>) -> Option<(Array2<f32>, Vec<u32>)> {
        Some(self.0.as_ref()?.held.labelled(left_out))
    }
}

impl Fold for Coarse {
    type Model = CoarseModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, _: &Schema, given: &Given) -> Result<Step<(), CoarseModel>> {
        let content = given.model::<ContentModel>("derive.content").and_then(|model| model.fitted.as_ref());
        Ok(Step::Done(CoarseModel(content.and_then(|content| {
            let held = content.linear.clone().filter(|_| content.panel.sees_fine_structure())?;
            Some(Fitted { features: content.features.clone(), ridge: content.ridge.clone(), beta: content.beta, held })
        }))))
    }
}

impl Derive for Coarse {
    fn column(&self, model: &CoarseModel, rows: &Batch) -> Result<Option<Array2<f32>>> {
        let Some(Fitted { features, ridge, beta, held }) = &model.0 else { return Ok(None) };
        held.column(rows, |others| Ok(ridge.predict(&features.map(others)?)?.mapv(|z| z * beta))).map(Some)
    }
}
