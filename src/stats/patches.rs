//! Responses of a picture to random patches of other pictures (Coates, Lee and Ng 2011; Coates and Ng 2011): a single layer of
//! filters nobody trained, after which a linear model tells natural pictures apart that raw pixels do not.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::spd::Cholesky;

/// Side of a patch.
const SIDE: usize = 6;
/// Pixels from one patch to the next.
const STRIDE: usize = 2;
/// Filters; each answers with two features a pool.
const FILTERS: usize = 100;
/// Pools a side.
const GRID: usize = 2;
/// Smallest side of a picture.
const LEAST_SIDE: usize = 2 * SIDE;
/// Patches that filters and their covariance are taken from.
const DRAWN: usize = 20_000;
/// Pictures that the scale of the features is taken from.
const SCALED_ON: usize = 1_024;
/// Added to a patch's variance before it is divided by: flat patches are noise.
const FLAT: f32 = 0.01;
/// Added to the variance of every direction of (unit-variance) patches before whitening.
const RIDGE: f64 = 0.1;
/// Share of the drawn patches, the flattest, that no filter is made of.
const DULL: f64 = 0.3;
/// Quantile of the absolute response from which on a filter answers.
const QUIET: f64 = 0.8;
/// Largest absolute feature, in standard deviations.
const CLIP: f32 = 5.0;
/// Mean length of a row of features.
const LENGTH: f32 = 2.0;
/// Pictures whose patches are multiplied at once.
const BLOCK: usize = 16;

/// Side and samples a pixel of a square picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels a side.
    pub side: usize,
    /// Samples a pixel: 1 or 3.
    pub channels: usize,
}

impl Shape {
    /// The square shape with this many samples; no number of samples fits two.
    #[must_use]
    pub fn of(samples: usize) -> Option<Self> {
        let side = |channels: usize| (samples / channels).isqrt();
        [1, 3].into_iter().map(|channels| Self { side: side(channels), channels }).find(|shape| samples > 0 && shape.samples() == samples)
    }

    fn samples(self) -> usize {
        self.side * self.side * self.channels
    }

    /// Samples of one patch.
    fn patch(self) -> usize {
        SIDE * SIDE * self.channels
    }

    /// Where patches begin along a side.
    fn steps(self) -> usize {
        (self.side - SIDE) / STRIDE + 1
    }
}

/// Filters with what brings their responses to one scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patches {
    shape: Shape,
    /// Samples of a patch × filters.
    filters: Array2<f32>,
    /// Response of the mean patch.
    offsets: Vec<f32>,
    threshold: f32,
    centre: Vec<f32>,
    /// 0 where a feature does not vary.
    factor: Vec<f32>,
}

impl Patches {
    /// Draws filters from pictures of the commonest square shape, the same for the same seed. `None` where fewer than half of the
    /// pictures have it or their sides are below 12.
    #[must_use]
    pub fn fit(pictures: &[&[u8]], seed: u64) -> Option<Self> {
        let mut shapes: Vec<Shape> = pictures.iter().filter_map(|picture| Shape::of(picture.len())).collect();
        shapes.sort_unstable();
        let runs = shapes.chunk_by(|a, b| a == b);
        let (shape, count) = runs.filter_map(|run| Some((*run.first()?, run.len()))).max_by_key(|(_, count)| *count)?;
        if 2 * count < pictures.len() || shape.side < LEAST_SIDE {
            return None;
        }
        let fitting: Vec<&[u8]> = pictures.iter().copied().filter(|picture| picture.len() == shape.samples()).collect();
        let mut patches = Self::filters(shape, &fitting, &mut ChaCha8Rng::seed_from_u64(seed))?;
        let raw = patches.responses(&fitting[..fitting.len().min(SCALED_ON)]);
        let rows = raw.nrows().max(1) as f32;
        for column in raw.axis_iter(Axis(1)) {
            let mean = column.sum() / rows;
            let deviation = (column.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / rows).sqrt();
            patches.centre.push(mean);
            patches.factor.push(if deviation > 0.0 { deviation.recip() } else { 0.0 });
        }
        Some(patches)
    }

    fn filters(shape: Shape, pictures: &[&[u8]], random: &mut ChaCha8Rng) -> Option<Self> {
        let width = shape.patch();
        let mut drawn = Array2::<f32>::zeros((DRAWN, width));
        let last = (shape.side - SIDE + 1) as u64;
        for mut patch in drawn.outer_iter_mut() {
            let picture = pictures.get(random.random_range(0..pictures.len() as u64) as usize)?;
            let (y, x) = (random.random_range(0..last) as usize, random.random_range(0..last) as usize);
            cut(picture, shape, y, x, patch.as_slice_mut()?);
        }
        let mean = drawn.mean_axis(Axis(0))?;
        drawn -= &mean;
        let covariance = drawn.t().dot(&drawn).mapv(|sum| f64::from(sum) / DRAWN as f64);
        let factor = Cholesky::new(covariance.view(), RIDGE)?;
        // Whitened, a filter is C^(−1/2) f; its product with a whitened patch is x C⁻¹ f.
        let solved = factor.solve(drawn.t().mapv(f64::from).view());
        let lengths: Vec<f64> =
            solved.axis_iter(Axis(1)).zip(drawn.outer_iter()).map(|(s, d)| s.iter().zip(d).map(|(s, d)| s * f64::from(*d)).sum()).collect();
        let mut sorted = lengths.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let dull = *sorted.get((DULL * DRAWN as f64) as usize)?;
        // Drawn at random already: the first lively ones are as good as any.
        let chosen: Vec<usize> = (0..DRAWN).filter(|&i| lengths[i] > dull.max(f64::MIN_POSITIVE)).take(FILTERS).collect();
        if chosen.is_empty() {
            return None;
        }
        let mut filters = solved.select(Axis(1), &chosen);
        for (mut filter, &i) in filters.axis_iter_mut(Axis(1)).zip(&chosen) {
            filter.mapv_inplace(|x| x / lengths[i].sqrt());
        }
        let filters = filters.mapv(|x| x as f32);
        let mut quiet: Vec<f32> =
            drawn.select(Axis(0), &(DRAWN - 2_000..DRAWN).collect::<Vec<_>>()).dot(&filters).into_iter().map(f32::abs).collect();
        let at = (QUIET * quiet.len() as f64) as usize;
        let threshold = *quiet.select_nth_unstable_by(at, f32::total_cmp).1;
        let offsets = mean.dot(&filters).to_vec();
        Some(Self { shape, filters, offsets, threshold, centre: Vec::new(), factor: Vec::new() })
    }

    /// Number of features.
    #[must_use]
    pub fn width(&self) -> usize {
        2 * GRID * GRID * self.filters.ncols()
    }

    /// Features, pictures × width: rows have a mean length of 2. A picture of another shape has zeros.
    #[must_use]
    pub fn map(&self, pictures: &[&[u8]]) -> Array2<f32> {
        let mut out = self.responses(pictures);
        let scale = LENGTH / (self.width() as f32).sqrt();
        for (mut row, picture) in out.outer_iter_mut().zip(pictures) {
            let fits = picture.len() == self.shape.samples();
            for ((slot, centre), factor) in row.iter_mut().zip(&self.centre).zip(&self.factor) {
                *slot = if fits { scale * ((*slot - centre) * factor).clamp(-CLIP, CLIP) } else { 0.0 };
            }
        }
        out
    }

    /// What exceeds the threshold of every filter and of its opposite, summed over each pool.
    fn responses(&self, pictures: &[&[u8]]) -> Array2<f32> {
        let (steps, count) = (self.shape.steps(), self.filters.ncols());
        let mut out = Array2::zeros((pictures.len(), self.width()));
        let mut patches = Array2::<f32>::zeros((BLOCK * steps * steps, self.shape.patch()));
        let pool = |step: usize| ((step * STRIDE + SIDE / 2) * GRID / self.shape.side).min(GRID - 1);
        for (pictures, mut out) in pictures.chunks(BLOCK).zip(out.axis_chunks_iter_mut(Axis(0), BLOCK)) {
            let mut slots = patches.outer_iter_mut();
            for picture in pictures {
                let fits = picture.len() == self.shape.samples();
                for (at, mut slot) in slots.by_ref().take(steps * steps).enumerate() {
                    if let Some(slot) = slot.as_slice_mut().filter(|_| fits) {
                        cut(picture, self.shape, at / steps * STRIDE, at % steps * STRIDE, slot);
                    }
                }
            }
            let answers = rows(patches.view(), 0..pictures.len() * steps * steps).dot(&self.filters);
            for (i, answer) in answers.outer_iter().enumerate() {
                let at = i % (steps * steps);
                let from = 2 * count * (pool(at / steps) * GRID + pool(at % steps));
                let mut row = out.row_mut(i / (steps * steps));
                let Some(row) = row.as_slice_mut().and_then(|row| row.get_mut(from..from + 2 * count)) else { continue };
                let (above, below) = row.split_at_mut(count);
                for (((z, offset), above), below) in answer.iter().zip(&self.offsets).zip(above).zip(below) {
                    let z = z - offset;
                    *above += (z - self.threshold).max(0.0);
                    *below += (-z - self.threshold).max(0.0);
                }
            }
        }
        out
    }
}

fn rows(mut matrix: ArrayView2<'_, f32>, range: Range<usize>) -> ArrayView2<'_, f32> {
    matrix.slice_axis_inplace(Axis(0), range.into());
    matrix
}

/// One patch less its mean, divided by its deviation. The picture has the shape.
fn cut(picture: &[u8], shape: Shape, y: usize, x: usize, into: &mut [f32]) {
    let run = SIDE * shape.channels;
    for (row, slots) in into.chunks_exact_mut(run).enumerate() {
        let from = ((y + row) * shape.side + x) * shape.channels;
        for (slot, value) in slots.iter_mut().zip(picture.get(from..from + run).unwrap_or_default()) {
            *slot = f32::from(*value) / 255.0;
        }
    }
    let count = into.len() as f32;
    let mean = into.iter().sum::<f32>() / count;
    let variance = into.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
    let factor = (variance + FLAT).sqrt().recip();
    for value in into {
        *value = (*value - mean) * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of stripes, upright or lying by turns, at random offsets and brightness: pixel means do not tell them apart.
    fn stripes(count: usize, side: usize, channels: usize) -> Vec<Vec<u8>> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut pictures = Vec::new();
        for i in 0..count {
            let (shift, light) = (random.random_range(0..6u64) as usize, random.random_range(40..200u64) as usize);
            let at = |p: usize| if i % 2 == 0 { p / channels % side } else { p / channels / side };
            pictures.push((0..side * side * channels).map(|p| if (at(p) + shift) % 6 < 3 { light as u8 } else { 0 }).collect());
        }
        pictures
    }

    #[test]
    fn shapes_are_told_by_their_samples() {
        assert_eq!(Shape::of(784), Some(Shape { side: 28, channels: 1 }));
        assert_eq!(Shape::of(3072), Some(Shape { side: 32, channels: 3 }));
        assert_eq!((Shape::of(0), Shape::of(5)), (None, None));
    }

    #[test]
    fn texture_is_told_from_texture() {
        for channels in [1, 3] {
            let pictures = stripes(60, 16, channels);
            let views: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
            let patches = Patches::fit(&views, 7).unwrap();
            let features = patches.map(&views);
            assert_eq!(features.dim(), (60, patches.width()));
            let length = features.outer_iter().map(|row| row.dot(&row)).sum::<f32>() / 60.0;
            assert!((length - 4.0).abs() < 0.2, "{length}");
            // Every picture resembles those of its kind more than the others, on average.
            let alike = |i: usize, kind: usize| {
                (kind..60).step_by(2).filter(|&j| j != i).map(|j| features.row(i).dot(&features.row(j))).sum::<f32>()
            };
            assert!((0..60).all(|i| alike(i, i % 2) > alike(i, 1 - i % 2)));
        }
    }

    #[test]
    fn equal_seeds_and_any_split_agree() {
        let pictures = stripes(40, 14, 1);
        let views: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
        let patches = Patches::fit(&views, 3).unwrap();
        assert_eq!(patches, Patches::fit(&views, 3).unwrap());
        let whole = patches.map(&views);
        for (at, view) in views.iter().enumerate() {
            let one = patches.map(&[view]);
            assert_eq!(one.row(0), whole.row(at), "{at}");
        }
        let back: Patches = postcard::from_bytes(&postcard::to_stdvec(&patches).unwrap()).unwrap();
        assert_eq!(back, patches);
    }

    #[test]
    fn odd_pictures_are_zeros_or_no_model() {
        let pictures = stripes(40, 14, 1);
        let views: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
        let patches = Patches::fit(&views, 3).unwrap();
        let odd = patches.map(&[&[], &[1, 2, 3], &[255; 14 * 14 * 3], views[0]]);
        assert!(odd.outer_iter().take(3).all(|row| row.iter().all(|x| *x == 0.0)) && odd.row(3).iter().any(|x| *x != 0.0));
        assert!(Patches::fit(&[], 1).is_none());
        assert!(Patches::fit(&[[0u8; 64].as_slice(); 5], 1).is_none());
        // Flat pictures have nothing to filter for.
        assert!(
            Patches::fit(&[[9u8; 196].as_slice(); 5], 1)
                .is_none_or(|flat| flat.map(&[[9u8; 196].as_slice()]).iter().all(|x| x.is_finite()))
        );
        let mixed: Vec<&[u8]> = vec![&[0; 196], &[0; 225], &[0; 256], &[0; 289], &[0; 324]];
        assert!(Patches::fit(&mixed, 1).is_none());
    }
}
