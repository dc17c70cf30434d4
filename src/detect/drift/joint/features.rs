//! What the classifier that tells two samples apart looks at.

use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::{Error, Result};
use crate::stats::design::{Csr, Design};
use crate::stats::features::{Fourier, Scaling, Standardizer};

/// Random Fourier features.
const WIDTH: usize = 256;
/// Bandwidths as multiples of the median distance.
const BANDWIDTHS: [f64; 2] = [0.5, 1.0];
/// Cells that words and levels are hashed to.
const CELLS: u32 = 1_024;
/// Dense columns up to this many are also used as they are.
const LINEAR: usize = 256;

/// The feature map. Labels are not looked at, nor which sample a row is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Features {
    numeric: usize,
    embedding: usize,
    pixels: usize,
    scale: Option<Standardizer>,
    fourier: Option<Fourier>,
}

impl Features {
    pub(super) fn fit(rows: &[&SampleRow], seed: u64) -> Result<Self> {
        let width = |of: fn(&SampleRow) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or(0);
        let (numeric, embedding, pixels) = (width(|r| r.numeric.len()), width(|r| r.embedding.len()), width(|r| r.pixels.len()));
        let mut features = Self { numeric, embedding, pixels, scale: None, fourier: None };
        let raw = features.raw(rows);
        if raw.ncols() > 0 {
            let scaling = if embedding + pixels > 0 { Scaling::Robust } else { Scaling::NormalScores };
            let scale = Standardizer::fit(raw.view(), scaling);
            let scaled = scale.transform(raw.view())?;
            features.fourier = Some(Fourier::fit(scaled.view(), WIDTH.min(2 * rows.len()), &BANDWIDTHS, seed)?);
            features.scale = Some(scale);
        }
        Ok(features)
    }

    fn raw(&self, rows: &[&SampleRow]) -> Array2<f32> {
        let mut out = Array2::from_elem((rows.len(), self.numeric + self.embedding + self.pixels), f32::NAN);
        for (mut slot, row) in out.outer_iter_mut().zip(rows) {
            let pixels = row.pixels.iter().map(|x| f32::from(*x));
            let parts = [
                (0, self.numeric, row.numeric.clone()),
                (self.numeric, self.embedding, row.embedding.clone()),
                (self.numeric + self.embedding, self.pixels, pixels.collect()),
            ];
            for (start, width, values) in parts {
                for (j, value) in values.into_iter().take(width).enumerate() {
                    if let Some(slot) = slot.get_mut(start + j) {
                        *slot = value;
                    }
                }
            }
        }
        out
    }

    /// Features of rows.
    pub(super) fn map(&self, rows: &[&SampleRow]) -> Result<Design> {
        let mut parts = vec![Array2::from_elem((rows.len(), 1), 1.0_f32)];
        if let (Some(scale), Some(fourier)) = (&self.scale, &self.fourier) {
            let scaled = scale.transform(self.raw(rows).view())?;
            if scaled.ncols() <= LINEAR {
                let shrink = (scaled.ncols() as f32).sqrt().recip();
                parts.push(scaled.mapv(|x| x * shrink));
            }
            parts.push(fourier.map(scaled.view())?);
        }
        let views: Vec<_> = parts.iter().map(Array2::view).collect();
        let dense = concatenate(Axis(1), &views).map_err(|e| Error::Detector { code: super::INFO.code, reason: e.to_string() })?;
        let mut sparse = Csr::empty(CELLS as usize);
        for row in rows {
            // Which number is missing is an item as well.
            let missing = row.numeric.iter().enumerate().filter(|(_, x)| x.is_nan()).map(|(j, _)| (j as u32).wrapping_mul(0x9E37_79B9));
            let levels = row.cells.iter().enumerate().map(|(j, hash)| (*hash as u32) ^ (j as u32).wrapping_mul(0x85EB_CA6B));
            let items: Vec<u32> = missing.chain(levels).chain(row.tokens.iter().copied()).map(|hash| (hash >> 7) % CELLS).collect();
            let size = (items.len() as f32).sqrt().recip();
            sparse.push(items.into_iter().map(|cell| (cell, size)))?;
        }
        Design::new(dense, sparse)
    }
}
