//! `derive.content`: what a row's content says its label should be, from a model that did not see the row.

mod atlas;
mod bins;
mod coarse;
mod features;
mod held;
mod near;
mod panel;
mod pictures;
mod target;
#[cfg(test)]
mod tests;
mod thin;
mod trees;
mod vocabulary;
mod words;

use std::collections::BTreeSet;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Role, Schema};
use crate::derive::DERIVED;
use crate::error::{Error, Result};
use crate::fold::{Atlas, Derive, Fold, Given, Info, Need, Step, without_scan};
use crate::stats::design::{Csr, Design};
use crate::stats::ridge::Ridge;

use super::sample::{SampleModel, SampleRow};
use atlas::ContentAtlas;
pub(crate) use bins::Bins;
pub use coarse::{Coarse, CoarseModel};
use features::{Features, Room};
pub(crate) use held::HeldOut;
pub use near::Neighbours;
use panel::{Fitting, Panel, calibration};
pub use target::{Target, TargetModel};
pub use thin::Thin;

const CODE: &str = "derive.content";
/// Ridge penalties tried; rows of features have about unit length.
const PENALTIES: [f64; 3] = [0.1, 1.0, 10.0];
/// Fewest labelled rows for a model.
const FEWEST_ROWS: usize = 20;
/// Most cells of the table of predictions.
const MOST_CELLS: usize = 1 << 25;
/// Rows whose features are made at once.
const MAPPED_AT_ONCE: usize = 1_024;
/// Rows that must hold a feature for a model to know it.
const KNOWN_FROM: u32 = 3;
/// Least share of a row's squared length that is left for what other rows do not know to be made up for: the little that is left of a
/// row that is mostly unknown says little.
const LEAST_LEFT: f32 = 0.25;
/// Smallest probability of a user's model that is believed.
const FLOOR: f32 = 1e-6;

/// Fits a closed-form ridge classifier on the reference sample and predicts every row without having seen it: rows of the
/// sample by the exact leave-one-out identity, (ŷ − h·y) / (1 − h) with h the row's leverage; all others as they are. Given
/// class probabilities take the place of the predictions, not of the model that verifies triggers.
pub struct Content;

static INFO: Info = Info {
    code: CODE,
    summary: "what a row's content says its label should be",
    needs: &[Need::Targets],
    after: &["derive.sample"],
    version: 3,
    ..DERIVED
};

/// The content model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContentModel {
    /// Keys, logits and labels of the sample's rows from the user's probabilities, where there are any.
    given: Option<(Vec<u64>, Array2<f32>, Vec<u32>)>,
    fitted: Option<Fitted>,
}

/// A classifier fitted on the sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    features: Features,
    ridge: Ridge,
    /// Factor that turns ridge scores into logits.
    beta: f32,
    /// What all opinions together say, not only the ridge classifier.
    panel: Panel,
    held: HeldOut,
    /// What the ridge classifier says alone, where others join it that can learn a trigger or moved labels; it stays where the model was
    /// fitted.
    #[serde(skip)]
    linear: Option<HeldOut>,
    /// Features and targets of the sample; they stay where the model was fitted.
    #[serde(skip)]
    design: Option<(Design, Array2<f32>)>,
}

impl ContentModel {
    /// Logits of the labelled rows of the sample, rows × classes, with their labels; without the rows that have a key in
    /// `left_out`.
    #[must_use]
    pub fn sample_logits(&self, left_out: &BTreeSet<u64>) -> Option<(Array2<f32>, Vec<u32>)> {
        if let Some((keys, logits, labels)) = &self.given {
            let rows: Vec<usize> = (0..keys.len()).filter(|&i| !left_out.contains(&keys[i])).collect();
            return Some((logits.select(Axis(0), &rows), rows.iter().map(|&i| labels[i]).collect()));
        }
        Some(self.fitted.as_ref()?.held.labelled(left_out))
    }

    /// The same rows' logits from the ridge classifier by itself, where trees join it: they can learn which rows have moved labels.
    #[must_use]
    pub fn linear_logits(&self, left_out: &BTreeSet<u64>) -> Option<Array2<f32>> {
        let fitted = self.fitted.as_ref().filter(|fitted| self.given.is_none() && fitted.panel.grows_trees())?;
        Some(fitted.linear.as_ref()?.labelled(left_out).0)
    }

    /// Whether carriers can be taken out of this model: it was fitted here.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        self.fitted.as_ref().is_some_and(|f| f.design.is_some())
    }

    /// Class probabilities of some rows from the model refitted without the sample's rows that have `carriers` as keys.
    /// `rows` are those to judge: position in the sample, or the raw row where it is not in it. Rows × classes.
    pub fn without(&self, carriers: &[u64], rows: &[Result<usize, &SampleRow>]) -> Result<Array2<f64>> {
        let missing = || Error::Detector { code: CODE, reason: "has no model to take carriers out of".to_owned() };
        let fitted = self.fitted.as_ref().ok_or_else(missing)?;
        let (design, targets) = fitted.design.as_ref().ok_or_else(missing)?;
        let out: Vec<usize> =
            carriers.iter().filter_map(|key| fitted.held.position(*key)).filter(|&i| fitted.held.labels[i].is_some()).collect();
        let weights = fitted.ridge.without(&design.select(&out)?, targets.select(Axis(0), &out).view())?;
        let known = known_features(design.sparse_part(), &out);
        let mut scores = Array2::zeros((rows.len(), targets.ncols()));
        let inside: Vec<(usize, usize)> = rows.iter().enumerate().filter_map(|(at, row)| row.as_ref().ok().map(|i| (at, *i))).collect();
        let outside: Vec<(usize, SampleRow)> =
            rows.iter().enumerate().filter_map(|(at, row)| row.as_ref().err().map(|r| (at, (**r).clone()))).collect();
        let positions: Vec<usize> = inside.iter().map(|(_, i)| *i).collect();
        let raw: Vec<SampleRow> = outside.iter().map(|(_, row)| row.clone()).collect();
        let places = inside.iter().map(|(at, _)| *at).chain(outside.iter().map(|(at, _)| *at));
        let predicted = [weights.view()].map(|w| -> Result<Array2<f32>> {
            let a = apply(&known_only(&design.select(&positions)?, &known)?, w);
            let b = apply(&known_only(&fitted.features.map(&raw)?, &known)?, w);
            ndarray::concatenate(Axis(0), &[a.view(), b.view()]).map_err(|e| Error::Detector { code: CODE, reason: e.to_string() })
        });
        let [predicted] = predicted;
        for (place, row) in places.zip(predicted?.outer_iter()) {
            let logits: Vec<f64> = row.iter().map(|v| f64::from(v * fitted.beta)).collect();
            for (slot, p) in scores.row_mut(place).iter_mut().zip(softmax(&logits)) {
                *slot = p;
            }
        }
        Ok(scores)
    }

    /// What finds the rows of the sample that a row is most like; `None` where rows cannot be compared.
    #[must_use]
    pub fn neighbours(&self) -> Option<Neighbours> {
        let fitted = self.fitted.as_ref()?;
        Some(Neighbours::new(&fitted.features, fitted.panel.near()?, &fitted.held))
    }

    /// Position of a row in the sample that the model was fitted on.
    #[must_use]
    pub fn position(&self, key: u64) -> Option<usize> {
        self.fitted.as_ref()?.held.position(key)
    }
}

/// Which sparse features other rows hold often enough for the model to know them without these rows.
fn known_features(sparse: &Csr, out: &[usize]) -> Vec<bool> {
    let mut others = vec![0u32; sparse.width()];
    for row in 0..sparse.rows() {
        for (column, _) in sparse.row(row) {
            others[column] += 1;
        }
    }
    for (column, _) in out.iter().flat_map(|&row| sparse.row(row)) {
        others[column] -= 1;
    }
    others.into_iter().map(|n| n >= KNOWN_FROM).collect()
}

/// The same rows with the sparse features that nobody else holds taken out, at the same length where a quarter or more is left: what a row is judged by
/// must not fade because it also holds something unknown.
fn known_only(design: &Design, known: &[bool]) -> Result<Design> {
    let mut sparse = Csr::empty(known.len());
    for row in 0..design.rows() {
        let entries = design.sparse_part().row(row);
        let length = entries.clone().map(|(_, v)| v * v).sum::<f32>();
        let kept = entries.clone().filter(|(c, _)| known[*c]).map(|(_, v)| v * v).sum::<f32>();
        let scale = if kept > 0.0 { (length / kept.max(LEAST_LEFT * length)).sqrt() } else { 0.0 };
        sparse.push(entries.filter(|(c, _)| known[*c]).map(|(column, value)| (column as u32, value * scale)))?;
    }
    Design::new(design.dense_part().to_owned(), sparse)
}

/// Scores of rows under other weights, rows × classes.
fn apply(design: &Design, weights: ndarray::ArrayView2<'_, f32>) -> Array2<f32> {
    let dense = design.dense_part();
    let (upper, lower) = weights.split_at(Axis(0), dense.ncols());
    let mut out = dense.dot(&upper);
    for (row, mut slot) in out.outer_iter_mut().enumerate() {
        for (column, value) in design.sparse_part().row(row) {
            slot.scaled_add(value, &lower.row(column));
        }
    }
    out
}

/// Softmax of logits.
#[must_use]
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let odds: Vec<f64> = logits.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = odds.iter().sum();
    odds.into_iter().map(|o| o / sum).collect()
}

impl Fitted {
    /// With `alone` the ridge classifier is not joined by other opinions.
    fn fit(sample: &SampleModel, classes: usize, seed: u64, room: Room, alone: bool) -> Result<Option<Self>> {
        let labels: Vec<Option<u32>> = sample.rows.iter().map(|row| row.label.filter(|label| (*label as usize) < classes)).collect();
        let labelled: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).collect();
        let has_content = sample.rows.iter().any(|r| {
            !r.numeric.is_empty() || !r.cells.is_empty() || !r.tokens.is_empty() || !r.pixels.is_empty() || !r.embedding.is_empty()
        });
        if labelled.len() < FEWEST_ROWS || labels.len() * classes > MOST_CELLS || !has_content {
            return Ok(None);
        }
        let features = Features::fit(&sample.rows, seed, room)?;
        let parts: Vec<Design> = sample.rows.par_chunks(MAPPED_AT_ONCE).map(|rows| features.map(rows)).collect::<Result<_>>()?;
        let design = Design::stacked(&parts)?;
        let mut targets = Array2::<f32>::zeros((labels.len(), classes));
        for (i, label) in labels.iter().enumerate() {
            if let Some(slot) = label.and_then(|l| targets.get_mut((i, l as usize))) {
                *slot = 1.0;
            }
        }
        let known = design.select(&labelled)?;
        let wanted = targets.select(Axis(0), &labelled);
        let ridge = Ridge::choose(&known, wanted.view(), &PENALTIES)?;
        let own = ridge.leave_one_out(&known, wanted.view())?;
        let mut linear = ridge.predict(&design)?;
        for (row, &i) in own.outer_iter().zip(&labelled) {
            linear.row_mut(i).assign(&row);
        }
        let given: Vec<u32> = labels.iter().flatten().copied().collect();
        let beta = calibration(&own, &given) as f32;
        let seen_by_others = |row: &SampleRow| !row.pixels.is_empty() || !row.numeric.is_empty() || !row.cells.is_empty();
        let alone_says = (!alone && sample.rows.iter().any(seen_by_others)).then(|| linear.mapv(|z| z * beta));
        let (panel, together) =
            Panel::fit(Fitting { features: &features, rows: &sample.rows, labels: &labels, targets: &targets, linear, seed, alone })?;
        let held = |logits| HeldOut { keys: sample.keys.clone(), threshold: sample.threshold, labels: labels.clone(), logits };
        let linear = alone_says.filter(|_| panel.sees_fine_structure() || panel.grows_trees()).map(held);
        let held = held(together);
        Ok(Some(Self { features, ridge, beta, panel, held, linear, design: Some((design, targets)) }))
    }

    /// Logits of a block's rows, rows × classes.
    fn logits(&self, rows: &Batch) -> Result<Array2<f32>> {
        self.held.column(rows, |others| self.panel.logits(&self.features, &self.ridge, others))
    }
}

/// Logits of a given probability; NaN stays.
fn log_probability(p: f32) -> f32 {
    if p.is_nan() { p } else { p.max(FLOOR).ln() }
}

/// Logits of the sample's labelled rows from the user's probabilities; `None` without ones that fit the classes.
fn given_logits(data: &Schema, sample: &SampleModel) -> Option<(Vec<u64>, Array2<f32>, Vec<u32>)> {
    data.first(Role::Probabilities)?;
    let classes = data.classes();
    let usable = |row: &SampleRow| row.probabilities.len() == classes && row.probabilities.iter().all(|p| p.is_finite());
    let usable = |(_, row): &(&u64, &SampleRow)| usable(row);
    let rows: Vec<(u64, &SampleRow, u32)> =
        sample.keys.iter().zip(&sample.rows).filter(usable).filter_map(|(key, row)| Some((*key, row, row.label?))).collect();
    let flat = rows.iter().flat_map(|(_, row, _)| row.probabilities.iter().copied().map(log_probability)).collect();
    let logits = Array2::from_shape_vec((rows.len(), classes), flat).ok()?;
    let keys = rows.iter().map(|(key, _, _)| *key).collect();
    (!rows.is_empty()).then(|| (keys, logits, rows.iter().map(|(_, _, label)| *label).collect()))
}

impl Fold for Content {
    type Model = ContentModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ContentModel>> {
        fitted(data, given, Room::FULL).map(Step::Done)
    }
}

/// The model of a run's reference sample.
fn fitted(data: &Schema, given: &Given, room: Room) -> Result<ContentModel> {
    let Some(sample) = given.model::<SampleModel>("derive.sample") else {
        return Err(Error::Detector { code: CODE, reason: "needs the reference sample".to_owned() });
    };
    let given = given_logits(data, sample);
    // What the user's model says takes the place of all other opinions.
    let fitted = Fitted::fit(sample, data.classes(), data.key.seed(), room, given.is_some())?;
    Ok(ContentModel { given, fitted })
}

impl Derive for Content {
    fn column(&self, model: &ContentModel, rows: &Batch) -> Result<Option<Array2<f32>>> {
        let classes = rows.schema().classes();
        if model.given.is_some()
            && let Some(given) = rows.probabilities()?
            && given.ncols() == classes
        {
            return Ok(Some(given.mapv(log_probability)));
        }
        model.fitted.as_ref().map(|fitted| fitted.logits(rows)).transpose()
    }

    fn atlas(&self, model: &ContentModel) -> Result<Option<Box<dyn Atlas>>> {
        let Some(fitted) = &model.fitted else { return Ok(None) };
        Ok(ContentAtlas::of(fitted)?.map(|atlas| Box::new(atlas) as Box<dyn Atlas>))
    }
}
