//! Warps.

use arrow::array::RecordBatch;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, plant};
use crate::picture::{Picture, Size};
use crate::{Error, Plan, Result, Share, Truth};

/// A smooth displacement of all pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// Control points along each axis, at least 2; between them the displacement is interpolated bicubically.
    pub points: usize,
    /// Mean displacement of a control point along each axis, in pixels: s/2 for `WaNet`'s strength s.
    pub strength: f64,
}

/// Where every pixel of a picture comes from: offsets in pixels along x and y, row-major.
type Field = Vec<(f64, f64)>;

impl Warp {
    fn draw(self, rng: &mut ChaCha8Rng, size: Size) -> Field {
        let k = self.points;
        let mut axis = || {
            let points: Vec<f64> = (0..k * k).map(|_| rng.random_range(-1.0..1.0)).collect();
            let mean = points.iter().map(|x: &f64| x.abs()).sum::<f64>() / points.len() as f64;
            let at = |x: usize, n: usize| if n > 1 { x as f64 * (k - 1) as f64 / (n - 1) as f64 } else { 0.0 };
            (0..size.width * size.height)
                .map(|i| self.strength / mean * bicubic(&points, k, at(i % size.width, size.width), at(i / size.width, size.height)))
                .collect::<Vec<f64>>()
        };
        let (right, down) = (axis(), axis());
        right.into_iter().zip(down).collect()
    }
}

/// Bicubic interpolation (Keys, a = −0.75) in a square of side `k` whose edges go on.
fn bicubic(points: &[f64], k: usize, x: f64, y: f64) -> f64 {
    let weight = |t: f64| {
        let t = t.abs();
        if t <= 1.0 {
            (1.25 * t - 2.25) * t * t + 1.0
        } else if t < 2.0 {
            -0.75 * (((t - 5.0) * t + 8.0) * t - 4.0)
        } else {
            0.0
        }
    };
    let taps = |at: f64| {
        (-1..=2).map(move |step| at.floor() + f64::from(step)).map(move |tap| (tap.clamp(0.0, (k - 1) as f64) as usize, weight(at - tap)))
    };
    taps(y).map(|(row, v)| taps(x).map(|(column, u)| u * v * points[row * k + column]).sum::<f64>()).sum()
}

/// Every pixel from where its offset says, between pixels bilinearly, no farther than the edges.
fn moved(picture: &Picture, offset: impl Fn(usize) -> (f64, f64)) -> Vec<u8> {
    let Size { width, height, channels } = picture.size();
    let mut out = Vec::with_capacity(picture.pixels.len());
    for at in 0..width * height {
        let (right, down) = offset(at);
        let split = |place: f64, n: usize| {
            let place = place.clamp(0.0, (n - 1) as f64);
            let low = place.floor();
            (low as usize, (low as usize + 1).min(n - 1), place - low)
        };
        let (x0, x1, u) = split((at % width) as f64 + right, width);
        let (y0, y1, v) = split((at / width) as f64 + down, height);
        for channel in 0..channels {
            let level = |x: usize, y: usize| f64::from(picture.pixels[(y * width + x) * channels + channel]);
            let (above, below) = (level(x0, y0) * (1.0 - u) + level(x1, y0) * u, level(x0, y1) * (1.0 - u) + level(x1, y1) * u);
            out.push((above * (1.0 - v) + below * v).round() as u8);
        }
    }
    out
}

/// `WaNet`: every victim is warped by one smooth field, drawn from the plan's seed; covers, its *noise mode*, by that field
/// plus up to one half pixel at random in each pixel, and keep their label (Nguyen, Tran: *`WaNet` – Imperceptible
/// Warping-based Backdoor Attack*, 2021; 4 points, s 0.5, which is 0.25 here, twice as many covers as victims).
pub fn warp(batch: &RecordBatch, plan: &Plan, image: &str, warp: Warp, covers: Share) -> Result<(RecordBatch, Truth)> {
    if warp.points < 2 || !(warp.strength > 0.0 && warp.strength.is_finite()) {
        return Err(Error::Setting("a warp needs two control points along each axis and a strength above 0".to_owned()));
    }
    let mut fields = Drawn::new(plan, |rng, size| Ok(warp.draw(rng, size)));
    plant(batch, plan, "warp", image, covers, |rng, picture, cover| {
        let field = fields.get(picture.size())?;
        let mut noise = || if cover { rng.random_range(-0.5..0.5) } else { 0.0 };
        let offsets: Field = field.iter().map(|&(right, down)| (right + noise(), down + noise())).collect();
        picture.pixels = moved(picture, |at| offsets[at]);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::check::only_bad_rows_differ;
    use super::super::tests::{picture, plan, sets};
    use super::*;

    const WARP: Warp = Warp { points: 4, strength: 1.0 };

    #[test]
    fn victims_share_one_field_and_covers_keep_their_labels() {
        for clean in sets() {
            let (poisoned, truth) = warp(&clean, &plan(), "image", WARP, Share::Count(15)).unwrap();
            let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["image", "label"]);
            assert_eq!((rows.len(), truth.cover().iter().filter(|&&cover| cover).count()), (10, 15));
            let field = Drawn::new(&plan(), |rng, size| Ok(WARP.draw(rng, size))).get(picture(&clean, 0).size()).unwrap().clone();
            for row in 0..clean.num_rows() {
                let exact = moved(&picture(&clean, row), |at| field[at]) == picture(&poisoned, row).pixels;
                assert_eq!(exact, truth.poisoned()[row], "row {row}");
            }
            let labels = |batch: &RecordBatch, row: usize| super::super::super::check::label(batch, row);
            assert!((0..clean.num_rows()).filter(|&row| truth.cover()[row]).all(|row| labels(&clean, row) == labels(&poisoned, row)));
            assert_eq!(warp(&clean, &plan(), "image", WARP, Share::Count(15)).unwrap(), (poisoned, truth));
        }
    }

    #[test]
    fn a_field_is_smooth_and_as_strong_as_asked() {
        let mut rng = plan().draw.rng();
        let field = Warp { points: 4, strength: 2.0 }.draw(&mut rng, Size { width: 28, height: 28, channels: 1 });
        let mean = field.iter().map(|(right, down)| right.abs() + down.abs()).sum::<f64>() / (2 * field.len()) as f64;
        assert!((0.5..3.0).contains(&mean), "{mean}");
        assert!(field.windows(2).enumerate().filter(|(at, _)| at % 28 < 27).all(|(_, pair)| (pair[0].0 - pair[1].0).abs() < 1.5));
        // Control points themselves are met.
        let points: Vec<f64> = (0..16).map(f64::from).collect();
        assert!((bicubic(&points, 4, 2.0, 1.0) - 6.0).abs() < 1e-12);
        assert!((bicubic(&points, 4, 1.5, 1.5) - 7.5).abs() < 1e-12, "a slope is met between points too");
    }

    #[test]
    fn whole_pixels_move_exactly() {
        let [clean, ..] = sets();
        let before = picture(&clean, 0);
        let after = moved(&before, |_| (1.0, 0.0));
        assert_eq!(after[..9], before.pixels[1..10]);
        assert_eq!(after[9], before.pixels[9], "the edge goes on");
        for refused in [Warp { points: 1, ..WARP }, Warp { strength: f64::NAN, ..WARP }] {
            assert!(matches!(warp(&clean, &plan(), "image", refused, Share::Count(0)), Err(Error::Setting(_))));
        }
    }
}
