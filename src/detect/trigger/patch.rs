//! `trigger.patch`: small patches that repeat exactly, in pictures.

use serde_json::json;

use crate::data::{Batch, Image, Key, Schema};
use crate::error::Result;
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Detect, Given, Info, Law, Need};

use super::mine::{Background, Description, Found, Items, Mine, Parts, RowItems};

/// Hash domain of a patch at its place.
const PLACED: u8 = 40;
/// Hash domain of a patch anywhere.
const ANYWHERE: u8 = 41;
/// Bits that a sample is cut to, so that small noise does not part equal patches.
const KEPT_BITS: u32 = 4;
/// Least range of samples in a patch; flatter ones are background.
const LEAST_RANGE: u8 = 24;
/// Side of a patch, and of a patch in small pictures.
const SIDES: (usize, usize) = (3, 2);
/// Pictures with sides up to this are small.
const SMALL: usize = 12;
/// Pixels from which on only one patch in [`THINNING`] is kept, chosen by its hash: equal patches stay or go together.
const LARGE: usize = 1 << 14;
const THINNING: u64 = 16;

#[doc = include_str!("patch.md")]
pub struct Patch;

static INFO: Info = Info {
    code: "trigger.patch",
    family: Family::Trigger,
    summary: "a small patch, at one place or anywhere, whose pictures share a label that the rest of them does not explain",
    needs: &[Need::Image, Need::Classes],
    after: &["derive.sample"],
    reads: &["derive.content"],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    max_tier: Tier::Alarm,
    manual: include_str!("patch.md"),
};

/// The detector.
#[must_use]
pub fn patch() -> impl Detect + 'static {
    Mine(Patch)
}

struct Row<'a> {
    rows: &'a Batch,
    key: Key,
}

/// Side of the patches of a picture; none where it is smaller than a patch.
fn side(image: &Image) -> Option<usize> {
    let least = image.width.min(image.height);
    let side = if least <= SMALL { SIDES.1 } else { SIDES.0 };
    (least >= side).then_some(side)
}

/// Content hash of a patch; `None` where it is flat.
fn content(key: &Key, image: &Image, x: usize, y: usize, side: usize) -> Option<u64> {
    let mut samples = [0u8; 27];
    let (mut least, mut most, mut n) = (u8::MAX, 0, 0);
    for dy in 0..side {
        for dx in 0..side {
            for c in 0..image.channels {
                let value = image.at(x + dx, y + dy, c);
                least = least.min(value);
                most = most.max(value);
                samples[n] = value >> (8 - KEPT_BITS);
                n += 1;
            }
        }
    }
    (most - least >= LEAST_RANGE).then(|| key.bytes(ANYWHERE, &samples[..n]))
}

fn placed(key: &Key, content: u64, x: usize, y: usize) -> u64 {
    key.join(PLACED, content, (x as u64) << 32 | y as u64)
}

impl RowItems for Row<'_> {
    fn first(&mut self, row: usize, found: &mut Found) {
        let Some(image) = &self.rows.images()[row] else { return };
        let Some(side) = side(image) else { return };
        let thin = image.width * image.height >= LARGE;
        for y in 0..=image.height - side {
            for x in 0..=image.width - side {
                let Some(content) = content(&self.key, image, x, y, side) else { continue };
                if thin && content % THINNING != 0 {
                    continue;
                }
                found.items.push((content, Parts::default().ranked(u32::MAX)));
                found.items.push((placed(&self.key, content, x, y), Parts::default().ranked((y << 15 | x) as u32)));
            }
        }
    }

    fn second(&mut self, _: usize, _: &dyn Fn(u64) -> bool, _: &mut Found) {}

    fn has_second(&self) -> bool {
        false
    }
}

impl Items for Patch {
    type Lens = ();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lens(&self, _: &Schema, _: &Given) -> Result<()> {
        Ok(())
    }

    fn background(&self) -> Background {
        Background::Content
    }

    fn rows<'a>(&self, (): &'a (), rows: &'a Batch) -> Box<dyn RowItems + 'a> {
        Box::new(Row { rows, key: rows.schema().key })
    }

    fn describe(&self, (): &(), rows: &Batch, row: usize, item: u64) -> Option<Description> {
        let image = rows.images().get(row)?.as_ref()?;
        let (side, key) = (side(image)?, &rows.schema().key);
        for y in 0..=image.height - side {
            for x in 0..=image.width - side {
                let Some(content) = content(key, image, x, y, side) else { continue };
                let at_place = placed(key, content, x, y) == item;
                if !at_place && content != item {
                    continue;
                }
                let samples: Vec<u8> = (0..side)
                    .flat_map(|dy| (0..side).flat_map(move |dx| (0..image.channels).map(move |c| (dx, dy, c))))
                    .map(|(dx, dy, c)| image.at(x + dx, y + dy, c))
                    .collect();
                let name =
                    if at_place { format!("{side}×{side} patch at ({x},{y})") } else { format!("{side}×{side} patch at any place") };
                let mut evidence = serde_json::Map::new();
                evidence.insert("side".to_owned(), json!(side));
                evidence.insert("channels".to_owned(), json!(image.channels));
                evidence.insert("samples".to_owned(), json!(samples));
                if at_place {
                    evidence.insert("x".to_owned(), json!(x));
                    evidence.insert("y".to_owned(), json!(y));
                }
                return Some(Description { name, evidence });
            }
        }
        None
    }
}
