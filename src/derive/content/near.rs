//! The labelled rows that a row is most like, to show what its label contradicts.

use std::borrow::Borrow;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::derive::{SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::stats::neighbor::Reference;
use crate::stats::projection::Projection;

use super::features::Features;
use super::held::HeldOut;

/// Most rows that may be shown.
const MOST_ROWS: usize = 8_192;
/// Fewest rows worth searching.
const LEAST_ROWS: usize = 100;
/// Columns up to this many are compared as they are.
const MOST_COLUMNS: usize = 64;
/// Directions that more columns are projected to.
const DIRECTIONS: usize = 48;
/// Rows that the directions are fitted to.
const FITTED_ON: usize = 1_024;
/// Rows placed at once.
const BLOCK: usize = 512;

/// Labelled rows of the sample, where they lie.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Near {
    projection: Option<Projection>,
    reference: Reference,
    labels: Vec<u32>,
}

impl Near {
    /// Places labelled rows. `None` where rows cannot be compared.
    pub(super) fn fit(features: &Features, rows: &[SampleRow], labels: &[Option<u32>], seed: u64) -> Result<Option<Self>> {
        if !features.is_comparable() {
            return Ok(None);
        }
        let shown: Vec<usize> = (0..rows.len()).filter(|&i| labels[i].is_some()).take(MOST_ROWS).collect();
        if shown.len() < LEAST_ROWS {
            return Ok(None);
        }
        let scaled = |at: &[usize]| features.scaled(&at.iter().map(|&i| &rows[i]).collect::<Vec<_>>());
        let first = scaled(&shown[..shown.len().min(FITTED_ON)])?;
        let projection = (first.ncols() > MOST_COLUMNS).then(|| Projection::fit(first.view(), DIRECTIONS, seed));
        let place = |at: &[usize]| match &projection {
            Some(projection) => projection.map(scaled(at)?.view()),
            None => scaled(at),
        };
        let parts: Vec<Array2<f32>> = shown.par_chunks(BLOCK).map(place).collect::<Result<_>>()?;
        let reference = Reference::new(join(&parts)?);
        Ok(Some(Self { labels: shown.iter().filter_map(|&i| labels[i]).collect(), projection, reference }))
    }

    /// Classes of the rows nearest to a row, the nearest first; `own` as in [`Reference::nearest`].
    pub(super) fn classes(&self, features: &Features, row: &SampleRow, own: Option<usize>, count: usize) -> Result<Vec<u32>> {
        let nearest = self.reference.nearest(self.places(features, &[row])?.view(), &[own], count)?;
        Ok(nearest.iter().flatten().filter_map(|at| self.labels.get(*at as usize).copied()).collect())
    }

    /// Where rows lie, rows × dimensions.
    pub(super) fn places(&self, features: &Features, rows: &[impl Borrow<SampleRow>]) -> Result<Array2<f32>> {
        let scaled = features.scaled(rows)?;
        self.projection.as_ref().map_or(Ok(scaled.clone()), |projection| projection.map(scaled.view()))
    }

    /// The labelled rows of the sample that can be found, the first of them.
    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Keys of these rows.
    pub(super) fn keys(&self, held: &HeldOut) -> Vec<u64> {
        held.with_label().take(self.reference.len()).map(|i| held.keys[i]).collect()
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

    pub(super) fn new(features: &Features, near: &Near, held: &HeldOut) -> Self {
        Self { features: features.scale_alone(), near: near.clone(), keys: near.keys(held) }
    }

    /// Labels of the 10 labelled rows of the sample that are nearest to a row, the nearest first and not the row itself.
    pub fn labels(&self, rows: &Batch, row: usize) -> Result<Vec<u32>> {
        let own = rows.keys().get(row).and_then(|key| self.keys.binary_search(key).ok());
        self.near.classes(&self.features, &raw(rows, row, &Vectors::of(rows)?), own, Self::COUNT)
    }
}

fn join(parts: &[Array2<f32>]) -> Result<Array2<f32>> {
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    ndarray::concatenate(Axis(0), &views).map_err(|e| shape(&e))
}

fn shape(error: &ndarray::ShapeError) -> Error {
    Error::Detector { code: super::CODE, reason: error.to_string() }
}
