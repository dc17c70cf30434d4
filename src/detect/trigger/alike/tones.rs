//! What tones a picture has and how sharply they change, wherever they are: what crops of one texture and parts of one scene have in common.

use ndarray::Array2;

use crate::derive::SampleRow;
use crate::stats::patches::Shape;

/// Quantiles of each channel, and of the steps between its neighbouring pixels.
const QUANTILES: usize = 16;

/// Rows × (channels × 32): quantiles of the samples and of the steps to the next pixel, channel by channel. A patch moves few of them. All
/// pictures have this shape.
pub(super) fn tones(shape: Shape, rows: &[&SampleRow]) -> Array2<f32> {
    let mut out = Array2::zeros((rows.len(), 2 * QUANTILES * shape.channels));
    for (mut slots, row) in out.outer_iter_mut().zip(rows) {
        for channel in 0..shape.channels {
            let (mut values, mut steps) = ([0u32; 256], [0u32; 256]);
            let at = |x: usize, y: usize| row.pixels.get((y * shape.side + x) * shape.channels + channel).copied().unwrap_or(0);
            for (x, y) in (0..shape.side).flat_map(|y| (0..shape.side).map(move |x| (x, y))) {
                let own = at(x, y);
                values[usize::from(own)] += 1;
                if x + 1 < shape.side {
                    steps[usize::from(own.abs_diff(at(x + 1, y)))] += 1;
                }
                if y + 1 < shape.side {
                    steps[usize::from(own.abs_diff(at(x, y + 1)))] += 1;
                }
            }
            let quantiles = quantiles(&values).chain(quantiles(&steps));
            slots.iter_mut().skip(2 * QUANTILES * channel).zip(quantiles).for_each(|(slot, value)| *slot = value);
        }
    }
    out
}

/// The values below which each of evenly spaced parts of the counts lies.
fn quantiles(counts: &[u32; 256]) -> impl Iterator<Item = f32> + '_ {
    let all: u32 = counts.iter().sum();
    let (mut value, mut below) = (0, 0);
    (0..QUANTILES).map(move |part| {
        let wanted = (2 * part as u64 + 1) * u64::from(all) / (2 * QUANTILES as u64);
        while value < 255 && u64::from(below + counts[value]) <= wanted {
            below += counts[value];
            value += 1;
        }
        value as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_turned_has_its_tones_and_a_patch_hardly_moves_them() {
        let pixels: Vec<u8> = (0..32 * 32).map(|at: usize| (at * at * 7919 % 251) as u8).collect();
        let turned: Vec<u8> = (0..32 * 32).map(|at| pixels[at % 32 * 32 + at / 32]).collect();
        let mut patched = pixels.clone();
        for (x, y) in [(3, 3), (4, 3), (3, 4), (4, 4)] {
            patched[y * 32 + x] = 255;
        }
        let rows = [pixels, turned, patched].map(|pixels| SampleRow { pixels, ..SampleRow::default() });
        let all = tones(Shape::of(32 * 32).unwrap(), &rows.iter().collect::<Vec<_>>());
        assert_eq!(all.row(0), all.row(1));
        let moved = (&all.row(0) - &all.row(2)).mapv(f32::abs);
        assert!(moved.iter().all(|by| *by <= 6.0) && moved.sum() > 0.0, "{moved}");
        assert!(Shape::of(7).is_none());
    }
}
