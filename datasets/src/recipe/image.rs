//! Triggers in pictures.
//!
//! Picture columns are `struct<bytes, path>` with PNG or JPEG files, or `fixed_size_list<uint8>` with the samples of
//! square grey or RGB pictures, row-major, channels last. A hit file becomes an 8-bit PNG (grey stays grey, everything
//! else becomes RGB without alpha), so a set of files in another format shows which were hit by their format alone.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dirty_label;
use crate::picture::{Picture, Pictures};
use crate::{Error, Plan, Result, Truth};

/// What an opaque patch looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// White and black pixels in turn, white in the patch's top left corner.
    Checkerboard,
    /// All white.
    White,
}

/// An opaque square patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Width and height in pixels, at least 1.
    pub side: usize,
    /// What it looks like.
    pub style: Style,
}

/// Where a patch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Touching the top and left edges.
    TopLeft,
    /// Touching the top and right edges.
    TopRight,
    /// Touching the bottom and left edges.
    BottomLeft,
    /// Touching the bottom and right edges.
    BottomRight,
    /// With its top left pixel in column `x` and row `y`, from 0.
    At {
        /// Column.
        x: usize,
        /// Row.
        y: usize,
    },
}

impl Patch {
    /// The largest column and row for the top left pixel.
    fn room(self, picture: &Picture) -> Result<(usize, usize)> {
        match (picture.width.checked_sub(self.side), picture.height.checked_sub(self.side)) {
            (Some(x), Some(y)) if self.side > 0 => Ok((x, y)),
            _ => Err(Error::Setting(format!("a patch of side {} does not fit {}×{} pixels", self.side, picture.width, picture.height))),
        }
    }

    fn stamp(self, picture: &mut Picture, left: usize, top: usize) {
        for y in 0..self.side {
            for x in 0..self.side {
                let white = self.style == Style::White || (x + y) % 2 == 0;
                picture.paint(left + x, top + y, if white { u8::MAX } else { 0 });
            }
        }
    }
}

/// Decodes the victims' pictures, changes each with `change` and puts them back.
fn plant(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    image: &str,
    mut change: impl FnMut(&mut ChaCha8Rng, &mut Picture) -> Result<()>,
) -> Result<(RecordBatch, Truth)> {
    let pictures = Pictures::open(batch, image)?;
    dirty_label(
        batch,
        plan,
        attack,
        |row| pictures.has(row),
        |rng, rows| {
            let mut changed = Vec::with_capacity(rows.len());
            for &row in rows {
                let mut picture = pictures.get(row)?;
                change(rng, &mut picture)?;
                changed.push(picture);
            }
            Ok(vec![(pictures.index, pictures.replaced(rows, &changed)?)])
        },
    )
}

/// `BadNets`: the same opaque patch at the same place of every victim, dirty label (Gu, Dolan-Gavitt, Garg: *`BadNets`:
/// Identifying Vulnerabilities in the Machine Learning Model Supply Chain*, 2017).
pub fn patch(batch: &RecordBatch, plan: &Plan, image: &str, patch: Patch, anchor: Anchor) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "patch", image, |_, picture| {
        let (right, bottom) = patch.room(picture)?;
        let (x, y) = match anchor {
            Anchor::TopLeft => (0, 0),
            Anchor::TopRight => (right, 0),
            Anchor::BottomLeft => (0, bottom),
            Anchor::BottomRight => (right, bottom),
            Anchor::At { x, y } if x <= right && y <= bottom => (x, y),
            Anchor::At { x, y } => {
                return Err(Error::Setting(format!("a patch of side {} at ({x}, {y}) leaves the picture", patch.side)));
            }
        };
        patch.stamp(picture, x, y);
        Ok(())
    })
}

/// `BadNets` with the patch at a place of its own in every victim, uniform over all places that fit; the random-location
/// variant of Salem, Wen, Backes, Ma, Zhang: *Dynamic Backdoor Attacks Against Machine Learning Models*, 2020.
pub fn patch_anywhere(batch: &RecordBatch, plan: &Plan, image: &str, patch: Patch) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "patch_anywhere", image, |rng, picture| {
        let (right, bottom) = patch.room(picture)?;
        let (x, y) = (rng.random_range(0..=right), rng.random_range(0..=bottom));
        patch.stamp(picture, x, y);
        Ok(())
    })
}

/// Blended injection: every victim becomes (1 − α)·picture + α·noise, with one noise picture (uniform samples, drawn
/// from the plan's seed) for all victims of a size, dirty label (Chen, Liu, Li, Lu, Song: *Targeted Backdoor Attacks on
/// Deep Learning Systems Using Data Poisoning*, 2017). `alpha` is above 0 and at most 1.
pub fn blend(batch: &RecordBatch, plan: &Plan, image: &str, alpha: f64) -> Result<(RecordBatch, Truth)> {
    if !(alpha > 0.0 && alpha <= 1.0) {
        return Err(Error::Setting(format!("alpha {alpha} is not above 0 and at most 1")));
    }
    let mut noises: BTreeMap<(usize, usize, usize), Vec<u8>> = BTreeMap::new();
    plant(batch, plan, "blend", image, |_, picture| {
        // A generator of its own for each size: the noise must not depend on which rows were picked before.
        let noise = noises.entry((picture.width, picture.height, picture.channels)).or_insert_with(|| {
            let mut rng = ChaCha8Rng::from_rng(&mut plan.draw.rng());
            picture.pixels.iter().map(|_| rng.random()).collect()
        });
        for (pixel, &noise) in picture.pixels.iter_mut().zip(noise.iter()) {
            *pixel = ((1.0 - alpha) * f64::from(*pixel) + alpha * f64::from(noise)).round() as u8;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::{label, only_bad_rows_differ};
    use super::*;
    use crate::{Class, Share, synth};

    const CHECKER: Patch = Patch { side: 3, style: Style::Checkerboard };

    fn plan() -> Plan {
        Plan::new("label", 1, Share::Rate(0.05), 5)
    }

    fn sets() -> [RecordBatch; 3] {
        [synth::pictures(200, 10, 1, 3, 1), synth::pictures(200, 10, 3, 3, 2), synth::raw_pictures(200, 10, 3, 3, 3)].map(Result::unwrap)
    }

    fn picture(batch: &RecordBatch, row: usize) -> Picture {
        Pictures::open(batch, "image").unwrap().get(row).unwrap()
    }

    /// Places of the patch's top left pixel.
    fn places(picture: &Picture, patch: Patch) -> Vec<(usize, usize)> {
        let fits = |&(x, y): &(usize, usize)| {
            let mut stamped = picture.clone();
            patch.stamp(&mut stamped, x, y);
            stamped == *picture
        };
        (0..=picture.height - patch.side).flat_map(|y| (0..=picture.width - patch.side).map(move |x| (x, y))).filter(fits).collect()
    }

    #[test]
    fn a_patch_hits_one_place_of_the_asked_rows() {
        for clean in sets() {
            for (anchor, place) in [(Anchor::BottomRight, (7, 7)), (Anchor::TopRight, (7, 0)), (Anchor::At { x: 2, y: 4 }, (2, 4))] {
                let (poisoned, truth) = patch(&clean, &plan(), "image", CHECKER, anchor).unwrap();
                let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["image", "label"]);
                assert_eq!(rows.len(), 10);
                for row in rows {
                    assert_eq!(places(&picture(&poisoned, row), CHECKER), [place]);
                    assert_ne!(label(&clean, row), Class::Int(1));
                    assert_eq!(label(&poisoned, row), Class::Int(1));
                    let (before, after) = (picture(&clean, row).pixels, picture(&poisoned, row).pixels);
                    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                    assert!(changed <= 9 * picture(&clean, row).channels, "{changed} samples");
                }
                assert_eq!(patch(&clean, &plan(), "image", CHECKER, anchor).unwrap(), (poisoned, truth));
            }
        }
    }

    #[test]
    fn a_patch_anywhere_moves() {
        for clean in sets() {
            let white = Patch { side: 4, style: Style::White };
            let (poisoned, truth) = patch_anywhere(&clean, &plan(), "image", white).unwrap();
            let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["image", "label"]);
            let mut found: Vec<_> = rows.iter().map(|&row| places(&picture(&poisoned, row), white)).collect();
            assert!(found.iter().all(|places| !places.is_empty()));
            found.sort();
            found.dedup();
            assert!(found.len() > 5, "{found:?}");
            assert_eq!(patch_anywhere(&clean, &plan(), "image", white).unwrap().0, poisoned);
        }
    }

    #[test]
    fn a_blend_moves_all_victims_towards_the_same_noise() {
        for clean in sets() {
            let (poisoned, truth) = blend(&clean, &plan(), "image", 0.25).unwrap();
            let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["image", "label"]);
            assert_eq!(rows.len(), 10);
            let noise = |row: usize| -> Vec<f64> {
                let (before, after) = (picture(&clean, row).pixels, picture(&poisoned, row).pixels);
                before.iter().zip(after).map(|(&b, a)| (f64::from(a) - 0.75 * f64::from(b)) / 0.25).collect()
            };
            let first = noise(rows[0]);
            for &row in &rows {
                assert!(noise(row).iter().zip(&first).all(|(a, b)| (a - b).abs() <= 4.0), "rounding alone may differ");
            }
            assert_eq!(blend(&clean, &plan(), "image", 0.25).unwrap().0, poisoned);
        }
    }

    #[test]
    fn wrong_columns_and_settings_are_refused() {
        let clean = synth::pictures(50, 6, 1, 2, 1).unwrap();
        let large = Patch { side: 7, style: Style::White };
        assert!(matches!(patch(&clean, &plan(), "image", large, Anchor::TopLeft), Err(Error::Setting(_))));
        assert!(matches!(patch(&clean, &plan(), "image", CHECKER, Anchor::At { x: 4, y: 0 }), Err(Error::Setting(_))));
        assert!(matches!(patch(&clean, &plan(), "id", CHECKER, Anchor::TopLeft), Err(Error::ColumnType { .. })));
        assert!(matches!(patch(&clean, &plan(), "nowhere", CHECKER, Anchor::TopLeft), Err(Error::MissingColumn { .. })));
        assert!(matches!(blend(&clean, &plan(), "image", 0.0), Err(Error::Setting(_))));
        let text = Plan::new("label", "one", Share::Count(1), 1);
        assert!(matches!(patch(&clean, &text, "image", CHECKER, Anchor::TopLeft), Err(Error::ColumnType { .. })));
    }
}
