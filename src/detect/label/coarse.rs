//! `label.coarse`: labels of one class on pictures of all others, which only pictures as a whole contradict.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::crossfit::{CrossfitModel, Toward};
use crate::data::{Batch, Schema};
use crate::error::Result;
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

/// Code of the unit whose column holds the logits.
const COARSE: &str = "derive.coarse";

/// What pictures say as a whole.
pub struct Views {
    /// Logits of the sample's labelled rows, rows × classes.
    pub logits: Array2<f32>,
    /// Their labels.
    pub labels: Vec<u32>,
    /// Classes that all of content claims labels to be moved toward, with the p-values.
    pub claimed: Vec<(u32, f64)>,
}

#[doc = include_str!("coarse.md")]
pub struct Coarse {
    views: fn(&Given) -> Option<Views>,
}

static INFO: Info = Info {
    code: "label.coarse",
    family: Family::Label,
    summary: "labels of one class on pictures of all others, which only pictures as a whole contradict",
    needs: &[Need::Classes, Need::Image],
    after: &[
        "derive.sample",
        "label.crossfit",
        "trigger.activation",
        "trigger.patch",
        "trigger.rule",
        "trigger.set",
        "trigger.spectral",
        "trigger.style",
        "trigger.token",
    ],
    reads: &[COARSE],
    law: Law::Exact,
    version: 4,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("coarse.md"),
};

/// What labels say of coarse content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoarseModel {
    /// Claims labels toward some classes, and nothing else.
    labels: CrossfitModel,
}

impl CoarseModel {
    fn fit(data: &Schema, views: Option<Views>) -> Self {
        let Some(Views { logits, labels, claimed }) = views else { return Self { labels: CrossfitModel::fit(data, None, None) } };
        let mut labels = CrossfitModel::fit(data, Some(&(logits, labels)), None);
        // All of content is at least as sure of what is not hidden from it.
        let seen = |label: u32| claimed.iter().find(|(to, _)| *to == label).map_or(1.0, |(_, p)| *p);
        let hidden: Vec<u32> = labels.toward().filter(|claim| claim.p < seen(claim.to)).map(|claim| claim.to).collect();
        labels.keep_toward(|to| hidden.contains(&to));
        Self { labels }
    }
}

impl Coarse {
    /// The detector, with a way to find what pictures say.
    #[must_use]
    pub fn new(views: fn(&Given) -> Option<Views>) -> Self {
        Self { views }
    }
}

impl Fold for Coarse {
    type Model = CoarseModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), CoarseModel>> {
        Ok(Step::Done(CoarseModel::fit(data, (self.views)(given))))
    }
}

impl Detect for Coarse {
    fn score(&self, model: &CoarseModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        model.labels.each(COARSE, rows, out, |judged| judged.cell.map(|(_, posterior)| posterior));
        Ok(())
    }

    fn groups(&self, model: &CoarseModel) -> Vec<Group> {
        let group = |(group, claim): (Group, Toward)| {
            let (rows, to) = (model.labels.scaled(claim.rows), group.label.clone().unwrap_or_default());
            Group {
                title: format!(
                    "about {rows} pictures of other classes are labelled {to}, whatever they show; a pattern in their fine structure would explain it, but none was located"
                ),
                cause: format!("pictures of other classes labelled {to}"),
                attack_class: "backdoor_trigger".to_owned(),
                rows,
                agreeing: rows,
                ..group
            }
        };
        model.labels.groups().into_iter().zip(model.labels.toward()).map(group).collect()
    }

    fn members(&self, model: &CoarseModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        model.labels.members(COARSE, rows, out);
        Ok(())
    }

    fn explain(&self, model: &CoarseModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let (labelled, says, judged) = model.labels.said(INFO.code, COARSE, rows, row)?;
        let (_, share) = judged.says;
        let detail = [("label", json!(labelled)), ("suggested", json!(says)), ("probability", json!(share))];
        Ok(Evidence::new(format!("labelled '{labelled}', the picture as a whole says '{says}' ({share:.2})"), detail))
    }

    fn notes(&self, model: &CoarseModel) -> Vec<String> {
        let note = if model.labels.is_fitted() {
            "pictures as a whole contradict no labels that all of content does not contradict"
        } else {
            "all opinions look at pictures as a whole"
        };
        if model.labels.toward().next().is_none() { vec![note.to_owned()] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests;
