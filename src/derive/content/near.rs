//! The opinion of the nearest rows: their vote.

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::derive::{SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::stats::neighbor::Reference;
use crate::stats::projection::Projection;

use super::features::Features;

/// Most rows that vote.
const MOST_ROWS: usize = 8_192;
/// Fewest rows that vote.
const LEAST_ROWS: usize = 100;
/// Columns up to this many are compared as they are.
const MOST_COLUMNS: usize = 64;
/// Directions that more columns are projected to.
const DIRECTIONS: usize = 48;
/// Rows that the directions are fitted to.
const FITTED_ON: usize = 1_024;
/// How many of the nearest vote: tried from few to many.
const VOTERS: [usize; 5] = [8, 16, 32, 64, 128];
/// Votes that are cast by the shares of the classes.
const PRIOR_VOTES: f32 = 2.0;
/// Rows compared at once.
const BLOCK: usize = 512;

/// Labelled rows of the sample that vote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Near {
    projection: Option<Projection>,
    reference: Reference,
    labels: Vec<u32>,
    priors: Vec<f32>,
    voters: usize,
}

impl Near {
    /// Takes voters and returns the logits of all rows, none of which votes on itself. `None` where rows cannot be compared.
    pub(super) fn fit(
        features: &Features,
        rows: &[SampleRow],
        labels: &[Option<u32>],
        classes: usize,
        seed: u64,
    ) -> Result<Option<(Self, Array2<f32>)>> {
        if !features.is_comparable() {
            return Ok(None);
        }
        let voting: Vec<usize> = (0..rows.len()).filter(|&i| labels[i].is_some()).take(MOST_ROWS).collect();
        if voting.len() < LEAST_ROWS {
            return Ok(None);
        }
        let scaled = |at: &[usize]| features.scaled(&at.iter().map(|&i| &rows[i]).collect::<Vec<_>>());
        let first = scaled(&voting[..voting.len().min(FITTED_ON)])?;
        let projection = (first.ncols() > MOST_COLUMNS).then(|| Projection::fit(first.view(), DIRECTIONS, seed));
        let place = |at: &[usize]| match &projection {
            Some(projection) => projection.map(scaled(at)?.view()),
            None => scaled(at),
        };
        let parts: Vec<Array2<f32>> = voting.par_chunks(BLOCK).map(place).collect::<Result<_>>()?;
        let reference = Reference::new(join(&parts)?);
        let given: Vec<u32> = voting.iter().filter_map(|&i| labels[i]).collect();
        let mut priors = vec![0.0f32; classes];
        for label in &given {
            if let Some(slot) = priors.get_mut(*label as usize) {
                *slot += 1.0 / given.len() as f32;
            }
        }
        let mut model = Self { projection: None, reference, labels: given, priors, voters: VOTERS[VOTERS.len() - 1] };
        let all: Vec<usize> = (0..rows.len()).collect();
        let asked = |at: &[usize]| {
            let own: Vec<Option<usize>> = at.iter().map(|i| voting.binary_search(i).ok()).collect();
            model.reference.nearest(place(at)?.view(), &own, model.voters)
        };
        let nearest: Vec<Vec<u32>> = all.par_chunks(BLOCK).map(asked).collect::<Result<Vec<_>>>()?.concat();
        // The number of voters whose votes predict labels best.
        let likelihood = |voters: usize| -> f64 {
            let votes = nearest.iter().zip(labels).filter_map(|(near, label)| Some((model.vote(near, voters), (*label)? as usize)));
            votes.map(|(vote, label)| vote.get(label).map_or(0.0, |v| f64::from(*v))).sum()
        };
        let tried = VOTERS.into_iter().map(|voters| (likelihood(voters), voters));
        model.voters = tried.fold((f64::NEG_INFINITY, model.voters), |best, now| if now.0 > best.0 { now } else { best }).1;
        let flat = nearest.iter().flat_map(|near| model.vote(near, model.voters)).collect();
        let logits = Array2::from_shape_vec((rows.len(), classes), flat).map_err(shape)?;
        model.projection = projection;
        Ok(Some((model, logits)))
    }

    /// Logarithm of each class's share of the votes.
    fn vote(&self, near: &[u32], voters: usize) -> Vec<f32> {
        let mut votes: Vec<f32> = self.priors.iter().map(|p| PRIOR_VOTES * p.max(1e-4)).collect();
        for at in near.iter().take(voters) {
            if let Some(slot) = self.labels.get(*at as usize).and_then(|label| votes.get_mut(*label as usize)) {
                *slot += 1.0;
            }
        }
        let all = votes.iter().sum::<f32>();
        votes.into_iter().map(|vote| (vote / all).ln()).collect()
    }

    /// Classes of the nearest rows that may vote on each row, the nearest first; `own` as in [`Reference::nearest`].
    pub(super) fn classes(&self, features: &Features, row: &SampleRow, own: Option<usize>, count: usize) -> Result<Vec<u32>> {
        let raw = features.scaled(&[row])?;
        let place = self.projection.as_ref().map_or(Ok(raw.clone()), |projection| projection.map(raw.view()))?;
        let nearest = self.reference.nearest(place.view(), &[own], count)?;
        Ok(nearest.iter().flatten().filter_map(|at| self.labels.get(*at as usize).copied()).collect())
    }

    /// Logits of rows that are not in the sample.
    pub(super) fn logits(&self, features: &Features, rows: &[SampleRow]) -> Result<Array2<f32>> {
        let raw = features.scaled(&rows.iter().collect::<Vec<_>>())?;
        let places = self.projection.as_ref().map_or(Ok(raw.clone()), |projection| projection.map(raw.view()))?;
        let nearest = self.reference.nearest(places.view(), &vec![None; rows.len()], self.voters)?;
        let flat = nearest.iter().flat_map(|near| self.vote(near, self.voters)).collect();
        Array2::from_shape_vec((rows.len(), self.priors.len()), flat).map_err(shape)
    }
}

/// What finds the rows of the sample that a row is most like.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Neighbours {
    features: Features,
    near: Near,
    /// Keys of the rows that may be found, ascending.
    keys: Vec<u64>,
}

impl Neighbours {
    /// How many of the nearest rows are looked at.
    pub const COUNT: usize = 10;

    pub(super) fn new(features: &Features, near: &Near, keys: &[u64], labels: &[Option<u32>]) -> Self {
        let voting = keys.iter().zip(labels).filter(|(_, label)| label.is_some()).map(|(key, _)| *key);
        Self { features: features.scale_alone(), near: near.clone(), keys: voting.take(near.reference.len()).collect() }
    }

    /// Labels of the 10 labelled rows of the sample that are nearest to a row, the nearest first and not the row itself.
    pub fn labels(&self, rows: &Batch, row: usize) -> Result<Vec<u32>> {
        let own = rows.keys().get(row).and_then(|key| self.keys.binary_search(key).ok());
        self.near.classes(&self.features, &raw(rows, row, &Vectors::of(rows)?), own, Self::COUNT)
    }
}

fn join(parts: &[Array2<f32>]) -> Result<Array2<f32>> {
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    ndarray::concatenate(Axis(0), &views).map_err(shape)
}

fn shape(error: ndarray::ShapeError) -> Error {
    Error::Detector { code: super::CODE, reason: error.to_string() }
}
