//! A panel of opinions on what label a row should have, pooled with the weights that predict held-out labels best.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::Result;
use crate::stats::mixture::temperature;
use crate::stats::pool::{pooled, weights};
use crate::stats::ridge::Ridge;

use super::features::Features;
use super::near::Near;
use super::pictures::Pictures;
use super::trees::Trees;
use super::words::Words;

/// Most cells of rows × classes for which several opinions are held at once.
const MOST_CELLS: usize = 1 << 22;

/// One opinion.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Member {
    /// The ridge classifier that carriers can be taken out of.
    Linear,
    Pictures(Box<Pictures>),
    Words(Box<Words>),
    Trees(Box<Trees>),
}

/// Opinions with their weights; those without weight are not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Panel {
    members: Vec<(Member, f32)>,
    /// Kept without weight as well: it can show what a row is like.
    near: Option<Near>,
    classes: usize,
}

/// What the members are fitted on.
pub(super) struct Fitting<'a> {
    pub(super) features: &'a Features,
    pub(super) rows: &'a [SampleRow],
    pub(super) labels: &'a [Option<u32>],
    /// Rows × classes, one where there is a label.
    pub(super) targets: &'a Array2<f32>,
    /// Scores of the ridge classifier, labelled rows without themselves.
    pub(super) linear: Array2<f32>,
    pub(super) seed: u64,
    /// Whether nobody else is to be asked.
    pub(super) alone: bool,
}

impl Panel {
    /// Asks all that have an opinion on such rows. Returns the panel with the logits of all rows, each of the labelled ones without
    /// itself.
    pub(super) fn fit(fitting: Fitting<'_>) -> Result<(Self, Array2<f32>)> {
        let Fitting { features, rows, labels, targets, linear, seed, alone } = fitting;
        let classes = targets.ncols();
        let alone = alone || targets.len() > MOST_CELLS;
        let mut found: Vec<(Member, Array2<f32>)> = Vec::new();
        let mut near = None;
        if !alone && let Some((pictures, scores)) = Pictures::fit(features, rows, labels, targets, seed)? {
            found.push((Member::Pictures(Box::new(pictures)), scores));
        }
        found.push((Member::Linear, linear));
        if !alone {
            if let Some((words, logits)) = Words::fit(rows, labels, classes)? {
                found.push((Member::Words(Box::new(words)), logits));
            }
            if let Some((trees, logits)) = Trees::fit(rows, labels, classes, seed) {
                found.push((Member::Trees(Box::new(trees)), logits));
            }
            near = Near::fit(features, rows, labels, seed)?;
        }
        let known: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).collect();
        let given: Vec<u32> = labels.iter().flatten().copied().collect();
        let own: Vec<Array2<f32>> = found.iter().map(|(_, logits)| logits.select(ndarray::Axis(0), &known)).collect();
        // Every opinion is first brought to the scale on which it is calibrated by itself.
        let scales: Vec<f64> = own.iter().map(|logits| calibration(logits, &given)).collect();
        let scaled: Vec<Array2<f32>> = own.iter().zip(&scales).map(|(logits, scale)| logits.mapv(|z| z * *scale as f32)).collect();
        let views: Vec<ArrayView2<'_, f32>> = scaled.iter().map(Array2::view).collect();
        let weights = weights(&views, &given);
        let together = calibration(&pooled(&views, &weights), &given);
        let factors: Vec<f64> = weights.iter().zip(&scales).map(|(weight, scale)| weight * scale * together).collect();
        let all: Vec<ArrayView2<'_, f32>> = found.iter().map(|(_, logits)| logits.view()).collect();
        let held_out = pooled(&all, &factors);
        let members = found.into_iter().zip(factors).filter(|(_, factor)| *factor > 0.0);
        let members = members.map(|((member, _), factor)| (member, factor as f32)).collect();
        Ok((Self { members, near, classes }, held_out))
    }

    /// Whether one of the opinions rests on small patches of pictures.
    pub(super) fn sees_fine_structure(&self) -> bool {
        self.members.iter().any(|(member, _)| matches!(member, Member::Pictures(_)))
    }

    /// Whether one of the opinions is that of trees.
    pub(super) fn grows_trees(&self) -> bool {
        self.members.iter().any(|(member, _)| matches!(member, Member::Trees(_)))
    }

    /// Those whose rows may be shown.
    pub(super) fn near(&self) -> Option<&Near> {
        self.near.as_ref()
    }

    /// Logits of rows that are not in the sample, rows × classes.
    pub(super) fn logits(&self, features: &Features, ridge: &Ridge, rows: &[SampleRow]) -> Result<Array2<f32>> {
        let mut out = Array2::zeros((rows.len(), self.classes));
        for (member, factor) in &self.members {
            let logits = match member {
                Member::Linear => ridge.predict(&features.map(rows)?)?,
                Member::Pictures(pictures) => pictures.scores(features, rows)?,
                Member::Words(words) => words.logits(rows)?,
                Member::Trees(trees) => trees.logits(rows),
            };
            out.scaled_add(*factor, &logits);
        }
        Ok(out)
    }
}

/// Factor that calibrates logits.
pub(super) fn calibration(logits: &Array2<f32>, labels: &[u32]) -> f64 {
    let flat: Vec<f32> = logits.iter().copied().collect();
    temperature(&flat, logits.ncols(), labels).map_or(1.0, |t| 1.0 / t)
}
