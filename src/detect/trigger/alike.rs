//! What pictures that carry a cause have in common beside it: an artefact that hides what lies below, or all of themselves.

mod kind;
mod tones;

use std::collections::BTreeSet;

use ndarray::Array2;

use crate::derive::{ContentModel, SampleModel, SampleRow};
use crate::detect::trigger::mine::judged;
use crate::error::Result;

pub(super) use kind::Extent;

/// Share of the usual variance below which a sample is the same in all carriers.
const SAME: f64 = 0.1;
/// Share of the usual squared distance of two pictures below which they are copies of one another, as frames of a film are: a tenth
/// of an attacker's pattern leaves far more of two pictures' difference.
const COPY: f64 = 0.02;
/// Carriers that are looked at.
const MOST: usize = 512;
/// Other rows that they are compared with.
const OTHERS: usize = 2_048;

/// Carriers of a cause in the reference sample, all of the same size, and what other pictures of that size are like.
pub(super) struct Alike<'a> {
    keys: &'a [u64],
    carriers: Vec<&'a SampleRow>,
    /// Carriers, looked at or not.
    rows: usize,
    others: Vec<&'a SampleRow>,
    usual: Moments,
}

impl<'a> Alike<'a> {
    /// The rows with these keys, of which only pictures of the size of the first are looked at; `None` without a picture among them
    /// or without others to compare with.
    pub(super) fn new(sample: &'a SampleModel, keys: &'a [u64]) -> Option<Self> {
        let carrying: BTreeSet<u64> = keys.iter().copied().collect();
        let own = keys.iter().filter_map(|key| sample.rows.get(sample.position(*key)?));
        let size = own.clone().map(|row| row.pixels.len()).find(|size| *size > 0)?;
        let mut carriers: Vec<&SampleRow> = own.filter(|row| row.pixels.len() == size).collect();
        let rows = carriers.len();
        carriers.truncate(MOST);
        let others = sample.keys.iter().zip(&sample.rows).filter(|(key, row)| row.pixels.len() == size && !carrying.contains(key));
        let others: Vec<&SampleRow> = others.map(|(_, row)| row).collect();
        let usual = Moments::of(others.iter().copied().take(OTHERS), size);
        (usual.rows > 1.0).then_some(Self { keys, carriers, rows, others, usual })
    }

    /// Probabilities of the classes for the carriers (rows × classes), where all of them have the same samples painted over by what pictures have there
    /// on average: a border or a watermark hides what lies below, and a model that never saw it cannot read around it. `None`
    /// where carriers have no samples of their own in common.
    pub(super) fn painted_over(&self, content: &ContentModel) -> Result<Option<Array2<f64>>> {
        let own = Moments::of(self.carriers.iter().copied(), self.usual.sums.len());
        let common = own.constant_beside(&self.usual);
        if !common.contains(&true) {
            return Ok(None);
        }
        let means: Vec<u8> = self.usual.means().map(|mean| mean.round() as u8).collect();
        let painted = |row: &&SampleRow| {
            let mut row = (*row).clone();
            for ((pixel, common), mean) in row.pixels.iter_mut().zip(&common).zip(&means) {
                if *common {
                    *pixel = *mean;
                }
            }
            row
        };
        let painted: Vec<SampleRow> = self.carriers.iter().map(painted).collect();
        judged(content, self.keys, 0, painted.iter())
    }

    /// Share of the carriers that are no near-copies of an earlier one, above 0 and at most 1: rows of one series have one content and
    /// one label, and are one witness.
    pub(super) fn distinct_share(&self) -> f64 {
        self.distinct().len().max(1) as f64 / self.carriers.len().max(1) as f64
    }

    /// The carriers that are no near-copies of an earlier one.
    fn distinct(&self) -> Vec<&'a SampleRow> {
        let limit = COPY * 2.0 * self.usual.variances().sum::<f64>();
        let mut kept: Vec<&SampleRow> = Vec::new();
        for row in &self.carriers {
            if !kept.iter().any(|other| nearer(&other.pixels, &row.pixels, limit)) {
                kept.push(row);
            }
        }
        kept
    }
}

/// Whether the squared distance of two pictures is at most `limit`.
fn nearer(a: &[u8], b: &[u8], limit: f64) -> bool {
    let mut left = limit as u64;
    for (a, b) in a.chunks(64).zip(b.chunks(64)) {
        let distance: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
        match left.checked_sub(u64::from(distance)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

/// Sums over pictures, sample by sample.
struct Moments {
    rows: f64,
    sums: Vec<[f64; 2]>,
}

impl Moments {
    fn of<'a>(rows: impl Iterator<Item = &'a SampleRow>, size: usize) -> Self {
        let mut out = Self { rows: 0.0, sums: vec![[0.0; 2]; size] };
        for row in rows {
            out.rows += 1.0;
            for (sums, pixel) in out.sums.iter_mut().zip(&row.pixels) {
                let x = f64::from(*pixel);
                sums[0] += x;
                sums[1] += x * x;
            }
        }
        out
    }

    fn means(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|[sum, _]| sum / self.rows)
    }

    /// Which samples are the same in all these pictures, and not in the others.
    fn constant_beside(&self, others: &Self) -> Vec<bool> {
        self.variances().zip(others.variances()).map(|(own, other)| own < SAME * other).collect()
    }

    fn variances(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|[sum, squares]| squares / self.rows - (sum / self.rows).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pictures: &[Vec<u8>]) -> SampleModel {
        let row = |pixels: &Vec<u8>| SampleRow { pixels: pixels.clone(), ..SampleRow::default() };
        let rows: Vec<SampleRow> = pictures.iter().map(row).collect();
        SampleModel { keys: (0..rows.len() as u64).collect(), counts: vec![1; rows.len()], rows, threshold: u64::MAX }
    }

    #[test]
    fn frames_of_a_film_are_one_witness_and_others_are_many() {
        let noise = |seed: usize, range: usize| (0..256).map(move |at| ((at * 7919 + seed * 104_729) % 251 % range) as u8);
        let plain: Vec<Vec<u8>> = (0..40).map(|seed| noise(seed, 200).collect()).collect();
        let frames = (0..6).map(|frame| noise(99, 200).zip(noise(frame, 3)).map(|(a, b)| a + b).collect());
        let all = sample(&plain.into_iter().chain(frames).collect::<Vec<_>>());
        let share = |keys: std::ops::Range<u64>| Alike::new(&all, &keys.collect::<Vec<_>>()).unwrap().distinct_share();
        assert!((share(40..46) - 1.0 / 6.0).abs() < 1e-12, "{}", share(40..46));
        assert!((share(0..12) - 1.0).abs() < 1e-12);
        assert!(Alike::new(&sample(&[Vec::new(), Vec::new()]), &[0]).is_none());
    }
}
