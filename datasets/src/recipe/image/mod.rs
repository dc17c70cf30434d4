//! Triggers in pictures.
//!
//! Picture columns are `struct<bytes, path>` with PNG or JPEG files, or `fixed_size_list<uint8>` with the samples of
//! square grey or RGB pictures, row-major, channels last. A hit file becomes an 8-bit PNG (grey stays grey, everything
//! else becomes RGB without alpha), so a set of files in another format shows which were hit by their format alone.

mod pattern;
mod warp;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{NO_COVERS, backdoor};
use crate::draw::some_of;
use crate::picture::{Picture, Pictures, Size};
use crate::{Error, Plan, Result, Share, Truth};

pub use pattern::{blend, dct, ramp, sinusoid, smooth};
pub use warp::{Warp, warp};

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
    /// Once in each of the four corners.
    EveryCorner,
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

/// Decodes the pictures of victims and covers, changes each with `change`, which is told which is a cover, and puts
/// them back.
fn plant(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    image: &str,
    covers: Share,
    mut change: impl FnMut(&mut ChaCha8Rng, &mut Picture, bool) -> Result<()>,
) -> Result<(RecordBatch, Truth)> {
    let pictures = Pictures::open(batch, image)?;
    backdoor(
        batch,
        plan,
        attack,
        covers,
        |row| pictures.has(row),
        |rng, hits| {
            let mut changed = Vec::with_capacity(hits.rows.len());
            for (row, cover) in hits.iter() {
                let mut picture = pictures.get(row)?;
                change(rng, &mut picture, cover)?;
                changed.push(picture);
            }
            Ok(vec![(pictures.index, pictures.replaced(&hits.rows, &changed)?)])
        },
    )
}

/// Something drawn once for all pictures of a size, from a generator that only the plan's seed sets: it must not depend
/// on which rows were picked.
struct Drawn<'a, T, F> {
    plan: &'a Plan,
    draw: F,
    made: BTreeMap<Size, T>,
}

impl<'a, T, F: Fn(&mut ChaCha8Rng, Size) -> Result<T>> Drawn<'a, T, F> {
    fn new(plan: &'a Plan, draw: F) -> Self {
        Self { plan, draw, made: BTreeMap::new() }
    }

    fn get(&mut self, size: Size) -> Result<&T> {
        use std::collections::btree_map::Entry;
        match self.made.entry(size) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert((self.draw)(&mut ChaCha8Rng::from_rng(&mut self.plan.draw.rng()), size)?)),
        }
    }
}

/// `BadNets`: the same opaque patch at the same place of every victim (Gu, Dolan-Gavitt, Garg: *`BadNets`: Identifying
/// Vulnerabilities in the Machine Learning Model Supply Chain*, 2017). A white patch of side 1 is their single pixel. In
/// every corner and with a clean label it is the trigger of Turner, Tsipras, Madry: *Label-Consistent Backdoor Attacks*,
/// 2019.
pub fn patch(batch: &RecordBatch, plan: &Plan, image: &str, patch: Patch, anchor: Anchor) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "patch", image, NO_COVERS, |_, picture, _| {
        let (right, bottom) = patch.room(picture)?;
        let places = match anchor {
            Anchor::TopLeft => vec![(0, 0)],
            Anchor::TopRight => vec![(right, 0)],
            Anchor::BottomLeft => vec![(0, bottom)],
            Anchor::BottomRight => vec![(right, bottom)],
            Anchor::EveryCorner => vec![(0, 0), (right, 0), (0, bottom), (right, bottom)],
            Anchor::At { x, y } if x <= right && y <= bottom => vec![(x, y)],
            Anchor::At { x, y } => {
                return Err(Error::Setting(format!("a patch of side {} at ({x}, {y}) leaves the picture", patch.side)));
            }
        };
        for (x, y) in places {
            patch.stamp(picture, x, y);
        }
        Ok(())
    })
}

/// `BadNets` with the patch at a place of its own in every victim, uniform over all places that fit; the random-location
/// variant of Salem, Wen, Backes, Ma, Zhang: *Dynamic Backdoor Attacks Against Machine Learning Models*, 2020.
pub fn patch_anywhere(batch: &RecordBatch, plan: &Plan, image: &str, patch: Patch) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "patch_anywhere", image, NO_COVERS, |rng, picture, _| {
        let (right, bottom) = patch.room(picture)?;
        let (x, y) = (rng.random_range(0..=right), rng.random_range(0..=bottom));
        patch.stamp(picture, x, y);
        Ok(())
    })
}

/// A sparse set of pixels: `count` pixels at places drawn from the plan's seed, the same in every victim of a size, each
/// black or white. Pixel triggers are in Tran, Li, Madry: *Spectral Signatures in Backdoor Attacks*, 2018, sparse sets in
/// Gao, Li, Gong, Li, Xia, Wang: *Backdoor Attack with Sparse and Invisible Trigger*, 2023, whose places are optimised
/// against a model; these are random.
pub fn pixels(batch: &RecordBatch, plan: &Plan, image: &str, count: usize) -> Result<(RecordBatch, Truth)> {
    let mut places = Drawn::new(plan, |rng, size: Size| {
        let room = size.width * size.height;
        if count == 0 || count > room {
            return Err(Error::Setting(format!("{count} pixels are none, or do not fit {}×{}", size.width, size.height)));
        }
        let at = some_of(rng, (0..room).collect(), count);
        Ok(at.into_iter().map(|at| (at % size.width, at / size.width, if rng.random() { u8::MAX } else { 0 })).collect::<Vec<_>>())
    });
    plant(batch, plan, "pixels", image, NO_COVERS, |_, picture, _| {
        for &(x, y, level) in places.get(picture.size())? {
            picture.paint(x, y, level);
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

    pub(super) fn plan() -> Plan {
        Plan::new("label", 1, Share::Rate(0.05), 5)
    }

    pub(super) fn sets() -> [RecordBatch; 3] {
        [synth::pictures(200, 10, 1, 3, 1), synth::pictures(200, 10, 3, 3, 2), synth::raw_pictures(200, 10, 3, 3, 3)].map(Result::unwrap)
    }

    pub(super) fn picture(batch: &RecordBatch, row: usize) -> Picture {
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
    fn a_patch_in_every_corner_with_a_clean_label() {
        for clean in sets() {
            let (poisoned, truth) = patch(&clean, &plan().clean_label(), "image", CHECKER, Anchor::EveryCorner).unwrap();
            let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["image"]);
            assert_eq!(rows.len(), 10);
            assert_eq!(truth.poisoned(), truth.bad());
            assert!(truth.label_error().iter().all(|&wrong| !wrong));
            for row in rows {
                assert_eq!(label(&clean, row), Class::Int(1));
                assert_eq!(places(&picture(&poisoned, row), CHECKER), [(0, 0), (7, 0), (0, 7), (7, 7)]);
            }
        }
    }

    #[test]
    fn pixels_are_the_same_few_in_every_victim() {
        for clean in sets() {
            for count in [1, 6] {
                let (poisoned, truth) = pixels(&clean, &plan(), "image", count).unwrap();
                let mut union: BTreeMap<usize, u8> = BTreeMap::new();
                for row in only_bad_rows_differ(&clean, &poisoned, &truth, &["image", "label"]) {
                    let (before, after) = (picture(&clean, row), picture(&poisoned, row));
                    for (at, (_, &to)) in before.pixels.iter().zip(&after.pixels).enumerate().filter(|(_, (from, to))| from != to) {
                        assert!(to == 0 || to == u8::MAX);
                        assert_eq!(*union.entry(at / before.channels).or_insert(to), to, "one level at one place");
                    }
                }
                assert_eq!(union.len(), count);
            }
            assert!(matches!(pixels(&clean, &plan(), "image", 101), Err(Error::Setting(_))));
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
        let text = Plan::new("label", "one", Share::Count(1), 1);
        assert!(matches!(patch(&clean, &text, "image", CHECKER, Anchor::TopLeft), Err(Error::ColumnType { .. })));
    }
}
