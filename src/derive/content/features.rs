//! From a raw row to the features that the content model is linear in.

use std::borrow::Borrow;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stats::design::Design;
use crate::stats::features::{Fourier, Scaling, Standardizer};

use super::vocabulary::Vocabulary;

use super::super::SampleRow;

/// Dense columns up to this many are few.
const FEW: usize = 64;
/// Ranges that a numeric column is cut into: half of them hold equally many rows, half equally many distinct values, so
/// that a sharp step among rare values has ranges of its own.
const RANGES: usize = 24;
/// Columns up to this many are crossed by twos.
const MOST_CROSSED: usize = 24;
/// Bandwidths as multiples of the median distance.
const BANDWIDTHS: [f64; 2] = [0.5, 1.0];
/// Features of their own for each row of a small sample: more of them than rows cost time and tell nothing new.
const ITEMS_PER_ROW: usize = 2;
/// Dense columns up to this many are also used as they are.
const LINEAR_WIDTH: usize = 256;
/// Marks ranges of numbers among the items; missing numbers are the range after the last.
const RANGE: u64 = 1 << 63;

/// How many features a model may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Random Fourier features of pictures and embeddings.
    fourier: usize,
    /// Random Fourier features of a few numbers.
    narrow: usize,
    /// Words, word pairs and categorical levels with a feature of their own.
    vocabulary: usize,
}

impl Room {
    pub(super) const FULL: Self = Self { fourier: 1_024, narrow: 512, vocabulary: 2_048 };
    /// A small part of the cost, which grows with the third power of the features.
    pub(super) const QUARTER: Self = Self { fourier: 256, narrow: 128, vocabulary: 512 };
}

/// What a row's dense part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Widths {
    numeric: usize,
    pixels: usize,
    embedding: usize,
}

/// The feature map, fitted on a sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Features {
    widths: Widths,
    scaler: Option<Standardizer>,
    fourier: Option<Fourier>,
    cuts: Vec<Vec<f32>>,
    /// Whether rows have neither levels nor words.
    is_dense: bool,
    vocabulary: Vocabulary,
}

impl Features {
    /// Fits scalers, bandwidths and the vocabulary. Labels are not looked at.
    pub(super) fn fit(rows: &[SampleRow], seed: u64, room: Room) -> Result<Self> {
        let width = |of: fn(&SampleRow) -> usize| rows.iter().map(of).max().unwrap_or(0);
        let widths =
            Widths { numeric: width(|r| r.numeric.len()), pixels: width(|r| r.pixels.len()), embedding: width(|r| r.embedding.len()) };
        let cuts = (0..widths.numeric).into_par_iter().map(|column| cuts(rows, column, RANGES)).collect();
        let is_dense = rows.iter().all(|row| row.cells.is_empty() && row.tokens.is_empty());
        let mut features = Self { widths, scaler: None, fourier: None, cuts, is_dense, vocabulary: Vocabulary::default() };
        features.vocabulary = Vocabulary::new(rows.iter().map(|row| features.items(row)), room.vocabulary.min(ITEMS_PER_ROW * rows.len()));
        let raw = features.raw(rows);
        if raw.ncols() > 0 {
            let scaling = if widths.pixels + widths.embedding > 0 { Scaling::Robust } else { Scaling::NormalScores };
            // Pixels and embedding dimensions share one unit; scaling each by itself would blow up those that hardly vary.
            let scaler = (widths.numeric > 0).then(|| Standardizer::fit(numeric(&raw, widths.numeric).view(), scaling));
            features.scaler = scaler;
            let dense = features.scaled(rows)?;
            let width = if dense.ncols() <= FEW { room.narrow } else { room.fourier };
            let width = width.min(2 * rows.len());
            features.fourier = Some(Fourier::fit(dense.view(), width, &BANDWIDTHS, seed)?);
        }
        Ok(features)
    }

    /// Features of rows.
    pub(super) fn map(&self, rows: &[impl Borrow<SampleRow>]) -> Result<Design> {
        let ones = Array2::from_elem((rows.len(), 1), 1.0f32);
        let scaled = self.scaled(rows)?;
        let mut parts = vec![ones];
        if let Some(fourier) = &self.fourier {
            if scaled.ncols() <= LINEAR_WIDTH {
                let shrink = 1.0 / (scaled.ncols() as f32).sqrt();
                parts.push(scaled.mapv(|v| v * shrink));
            }
            parts.push(fourier.map(scaled.view())?);
        }
        let views: Vec<ArrayView2<'_, f32>> = parts.iter().map(Array2::view).collect();
        let dense = concatenate(Axis(1), &views).map_err(|e| Error::Detector { code: "derive.content", reason: e.to_string() })?;
        Design::new(dense, self.vocabulary.map(rows.iter().map(|row| self.items(row.borrow())))?)
    }

    /// Sparse items of a row: tokens, categorical levels, ranges of numbers, and pairs of the latter two.
    fn items(&self, row: &SampleRow) -> Vec<u64> {
        let range = |(column, value): (usize, &f32)| {
            let cuts = self.cuts.get(column)?;
            let at = if value.is_nan() { cuts.len() + 1 } else { cuts.partition_point(|cut| cut <= value) };
            Some(RANGE | (column as u64) << 32 | at as u64)
        };
        let mut items: Vec<u64> = row.cells.iter().copied().chain(row.numeric.iter().enumerate().filter_map(range)).collect();
        let single = items.len();
        if single <= MOST_CROSSED {
            for i in 0..single {
                for j in i + 1..single {
                    items.push((items[i].rotate_left(17) ^ items[j]).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                }
            }
        }
        items.extend(row.tokens.iter().chain(&row.letters).map(|t| u64::from(*t)));
        items
    }

    fn raw(&self, rows: &[impl Borrow<SampleRow>]) -> Array2<f32> {
        let Widths { numeric, pixels, embedding } = self.widths;
        let mut out = Array2::zeros((rows.len(), numeric + pixels + embedding));
        for (mut slot, row) in out.outer_iter_mut().zip(rows) {
            let row: &SampleRow = row.borrow();
            for (j, value) in row.numeric.iter().take(numeric).enumerate() {
                slot[j] = *value;
            }
            for (j, value) in row.pixels.iter().take(pixels).enumerate() {
                slot[numeric + j] = f32::from(*value) / 255.0;
            }
            for (j, value) in row.embedding.iter().take(embedding).enumerate() {
                slot[numeric + pixels + j] = if value.is_finite() { *value } else { 0.0 };
            }
        }
        out
    }

    /// Whether distances between rows' dense parts say how alike the rows are: there is nothing beside them.
    pub(super) fn is_comparable(&self) -> bool {
        self.fourier.is_some() && self.is_dense
    }

    /// The scale alone, to compare rows by.
    pub(super) fn scale_alone(&self) -> Self {
        let (widths, scaler, is_dense) = (self.widths, self.scaler.clone(), self.is_dense);
        Self { widths, scaler, fourier: None, cuts: Vec::new(), is_dense, vocabulary: Vocabulary::default() }
    }

    /// Numbers, pixels and embedding on one scale, rows × columns.
    pub(super) fn scaled(&self, rows: &[impl Borrow<SampleRow>]) -> Result<Array2<f32>> {
        let mut raw = self.raw(rows);
        if let Some(scaler) = &self.scaler {
            let scaled = scaler.transform(numeric(&raw, self.widths.numeric).view())?;
            for (mut to, from) in raw.outer_iter_mut().zip(scaled.outer_iter()) {
                for (j, value) in from.iter().enumerate() {
                    to[j] = *value;
                }
            }
        }
        Ok(raw)
    }
}

fn numeric(raw: &Array2<f32>, width: usize) -> Array2<f32> {
    raw.select(Axis(1), &(0..width).collect::<Vec<_>>())
}

/// Where the ranges of a numeric column begin, at most `ranges` of them.
pub(super) fn cuts(rows: &[SampleRow], column: usize, ranges: usize) -> Vec<f32> {
    let mut values: Vec<f32> = rows.iter().filter_map(|r| r.numeric.get(column).copied()).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let quantiles = |values: &[f32]| (1..ranges / 2).filter_map(|r| values.get(r * values.len() * 2 / ranges).copied()).collect::<Vec<_>>();
    let mut cuts = quantiles(&values);
    values.dedup();
    cuts.extend(quantiles(&values));
    cuts.sort_unstable_by(f32::total_cmp);
    cuts.dedup();
    cuts
}
