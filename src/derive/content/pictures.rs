//! The opinion on pictures: a ridge classifier on random patches beside all other features.

use ndarray::{Array2, Axis, concatenate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::{Error, Result};
use crate::stats::design::Design;
use crate::stats::normal::NormalEquations;
use crate::stats::patches::Patches;
use crate::stats::ridge::Ridge;

use super::features::Features;

/// Ridge penalties tried.
const PENALTIES: [f64; 4] = [1.0, 3.0, 10.0, 30.0];
/// Rows whose errors choose the penalty.
const ASKED: usize = 2_048;
/// Parts of the rows whose sums are taken side by side; fixed, so that the sums do not depend on the threads.
const PARTS: usize = 4;
/// Rows whose features are held at once.
const BLOCK: usize = 1_024;

/// Patches with the weights of a ridge classifier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pictures {
    patches: Patches,
    ridge: Ridge,
}

impl Pictures {
    /// Fits rows (`targets`: rows × classes, zero where there is no label) and returns the scores of all rows, each of the labelled
    /// ones without itself. `None` without pictures that patches can be taken of.
    pub(super) fn fit(
        features: &Features,
        rows: &[SampleRow],
        labels: &[Option<u32>],
        targets: &Array2<f32>,
        seed: u64,
    ) -> Result<Option<(Self, Array2<f32>)>> {
        let pictures: Vec<&[u8]> = rows.iter().map(|row| row.pixels.as_slice()).collect();
        let Some(patches) = Patches::fit(&pictures, seed) else { return Ok(None) };
        let labelled: Vec<usize> = (0..rows.len()).filter(|&i| labels[i].is_some()).collect();
        let gathered = |part: &[usize]| -> Result<Option<NormalEquations>> {
            let mut sum: Option<NormalEquations> = None;
            for block in part.chunks(BLOCK) {
                let design = design(&patches, features, block.iter().map(|&i| &rows[i]))?;
                let targets = targets.select(Axis(0), block);
                match &mut sum {
                    Some(sum) => sum.add(&design, targets.view())?,
                    none => *none = Some(NormalEquations::gather(&design, targets.view())?),
                }
            }
            Ok(sum)
        };
        let parts: Vec<Option<NormalEquations>> =
            labelled.par_chunks(labelled.len().div_ceil(PARTS).max(1)).map(gathered).collect::<Result<_>>()?;
        let mut parts = parts.into_iter().flatten();
        let Some(mut equations) = parts.next() else { return Ok(None) };
        for part in parts {
            equations.merge(&part)?;
        }
        let stride = labelled.len().div_ceil(ASKED).max(1);
        let asked: Vec<usize> = labelled.iter().copied().step_by(stride).collect();
        let asked_design = design(&patches, features, asked.iter().map(|&i| &rows[i]))?;
        let ridge = Ridge::choose_cautiously(&equations, &asked_design, targets.select(Axis(0), &asked).view(), &PENALTIES)?;
        let model = Self { patches, ridge };
        let all: Vec<usize> = (0..rows.len()).collect();
        let scores = |block: &[usize]| -> Result<Array2<f32>> {
            let design = design(&model.patches, features, block.iter().map(|&i| &rows[i]))?;
            let mut scores = model.ridge.leave_one_out(&design, targets.select(Axis(0), block).view())?;
            let unlabelled: Vec<usize> = (0..block.len()).filter(|&at| labels[block[at]].is_none()).collect();
            for (&at, row) in unlabelled.iter().zip(model.ridge.predict(&design.select(&unlabelled)?)?.outer_iter()) {
                scores.row_mut(at).assign(&row);
            }
            Ok(scores)
        };
        let blocks: Vec<Array2<f32>> = all.par_chunks(BLOCK).map(scores).collect::<Result<_>>()?;
        let views: Vec<_> = blocks.iter().map(Array2::view).collect();
        let scores = concatenate(Axis(0), &views).map_err(|e| shape(&e))?;
        Ok(Some((model, scores)))
    }

    /// Scores of rows, rows × classes.
    pub(super) fn scores(&self, features: &Features, rows: &[SampleRow]) -> Result<Array2<f32>> {
        self.ridge.predict(&design(&self.patches, features, rows.iter())?)
    }
}

fn design<'a>(patches: &Patches, features: &Features, rows: impl Iterator<Item = &'a SampleRow>) -> Result<Design> {
    let rows: Vec<&SampleRow> = rows.collect();
    let pictures: Vec<&[u8]> = rows.iter().map(|row| row.pixels.as_slice()).collect();
    let others = features.map(&rows)?;
    let dense = concatenate(Axis(1), &[others.dense_part(), patches.map(&pictures).view()]).map_err(|e| shape(&e))?;
    Design::new(dense, others.sparse_part().clone())
}

fn shape(error: &ndarray::ShapeError) -> Error {
    Error::Detector { code: super::CODE, reason: error.to_string() }
}
