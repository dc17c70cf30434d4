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
/// Hash domain of a patch that stands out from what surrounds it.
const STAMPED: u8 = 42;
/// Bits that a sample is cut to, so that small noise does not part equal patches.
const KEPT_BITS: u32 = 4;
/// Least range of a channel's samples in a patch; flatter ones are background.
const LEAST_RANGE: u8 = 24;
/// Least share of the pixels around a patch that differ from those at its border by [`LEAST_RANGE`], for the patch to stand out.
const STANDS_OUT: f64 = 0.7;
/// Side of a patch, and of a patch in small pictures.
const SIDES: (usize, usize) = (3, 2);
/// Pictures with sides up to this are small.
const SMALL: usize = 12;
/// Pictures from which on a patch may reach ALARM.
const FEWEST_FOR_ALARM: u32 = 12;
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
    version: 7,
    claim: Claim::Group,
    fused: None,
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

/// Content hash of a patch; `None` where it is flat: of one colour, whichever that is.
fn content(key: &Key, image: &Image, x: usize, y: usize, side: usize) -> Option<u64> {
    let mut samples = [0u8; 27];
    let (mut least, mut most, mut n) = ([u8::MAX; 3], [0; 3], 0);
    for dy in 0..side {
        for dx in 0..side {
            for (c, (least, most)) in least.iter_mut().zip(&mut most).enumerate().take(image.channels) {
                let value = image.at(x + dx, y + dy, c);
                *least = value.min(*least);
                *most = value.max(*most);
                samples[n] = value >> (8 - KEPT_BITS);
                n += 1;
            }
        }
    }
    let varies = least.iter().zip(&most).take(image.channels).any(|(least, most)| most - least >= LEAST_RANGE);
    varies.then(|| key.bytes(ANYWHERE, &samples[..n]))
}

/// Where neighbouring pixels differ by [`LEAST_RANGE`] in any channel, as running sums: how many pixels around a window stand out is
/// then a matter of four differences, for the hundreds of windows of a picture.
struct Edges {
    width: usize,
    height: usize,
    /// Between each row of pixels and the next, summed from the left; `width + 1` sums a row.
    rows: Vec<u32>,
    /// Between each column and the next, summed from the top; `height + 1` sums a column.
    columns: Vec<u32>,
}

impl Edges {
    fn of(image: &Image) -> Self {
        let (width, height) = (image.width, image.height);
        let differs = |a: (usize, usize), b: (usize, usize)| {
            (0..image.channels).any(|c| image.at(a.0, a.1, c).abs_diff(image.at(b.0, b.1, c)) >= LEAST_RANGE)
        };
        let sums = |lines: usize, along: usize, differs: &dyn Fn(usize, usize) -> bool| {
            let mut sums = Vec::with_capacity(lines * (along + 1));
            for line in 0..lines {
                let mut sum = 0;
                sums.push(sum);
                sums.extend((0..along).map(|at| {
                    sum += u32::from(differs(line, at));
                    sum
                }));
            }
            sums
        };
        let rows = sums(height.saturating_sub(1), width, &|y, x| differs((x, y), (x, y + 1)));
        let columns = sums(width.saturating_sub(1), height, &|x, y| differs((x, y), (x + 1, y)));
        Self { width, height, rows, columns }
    }

    /// Whether a window stands out on all sides that lie inside of the picture.
    fn surround(&self, x: usize, y: usize, side: usize) -> bool {
        let (right, below) = (x + side, y + side);
        let above = |row: usize| self.rows[row * (self.width + 1) + right] - self.rows[row * (self.width + 1) + x];
        let beside = |column: usize| self.columns[column * (self.height + 1) + below] - self.columns[column * (self.height + 1) + y];
        let (top, bottom) = (y.checked_sub(1).map(above), (below < self.height).then(|| above(below - 1)));
        let (left, end) = (x.checked_sub(1).map(beside), (right < self.width).then(|| beside(right - 1)));
        let (sides, edges) = [top, bottom, left, end].into_iter().flatten().fold((0, 0), |(sides, sum), edges| (sides + 1, sum + edges));
        sides >= 2 && f64::from(edges) >= STANDS_OUT * (sides * side) as f64
    }
}

/// Hash of a patch that stands out from its surroundings, flat or not: pasted patches end abruptly on all sides, wherever they
/// are, and flat parts of a scene are larger than a patch. What lies outside of the picture does not count.
fn stamped(key: &Key, image: &Image, edges: &Edges, x: usize, y: usize, side: usize) -> Option<u64> {
    if !edges.surround(x, y, side) {
        return None;
    }
    let mut hasher = key.hasher(STAMPED);
    for (dx, dy) in (0..side).flat_map(|dy| (0..side).map(move |dx| (dx, dy))) {
        (0..image.channels).for_each(|c| hasher.write(&[image.at(x + dx, y + dy, c) >> (8 - KEPT_BITS)]));
    }
    Some(hasher.finish64())
}

/// Windows that may be stamps: of the least side and the next two.
fn stamp_windows(image: &Image, least: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (width, height) = (image.width, image.height);
    let sides = (least..least + 3).filter(move |side| *side <= width.min(height));
    sides.flat_map(move |side| (0..=height - side).flat_map(move |y| (0..=width - side).map(move |x| (x, y, side))))
}

/// All pixels, line by line.
fn pixels_of(image: &Image) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (width, height) = (image.width, image.height);
    (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

/// Describes a window.
fn told(image: &Image, x: usize, y: usize, side: usize, at_place: bool) -> Description {
    let samples: Vec<u8> = (0..side)
        .flat_map(|dy| (0..side).flat_map(move |dx| (0..image.channels).map(move |c| (dx, dy, c))))
        .map(|(dx, dy, c)| image.at(x + dx, y + dy, c))
        .collect();
    let name = if at_place { format!("{side}×{side} patch at ({x},{y})") } else { format!("{side}×{side} patch at any place") };
    let mut evidence = serde_json::Map::new();
    evidence.insert("side".to_owned(), json!(side));
    evidence.insert("channels".to_owned(), json!(image.channels));
    evidence.insert("samples".to_owned(), json!(samples));
    if at_place {
        evidence.insert("x".to_owned(), json!(x));
        evidence.insert("y".to_owned(), json!(y));
    }
    Description { name, evidence }
}

fn placed(key: &Key, content: u64, x: usize, y: usize) -> u64 {
    key.join(PLACED, content, (x as u64) << 32 | y as u64)
}

impl RowItems for Row<'_> {
    fn first(&mut self, row: usize, found: &mut Found) {
        let Some(image) = &self.rows.images()[row] else { return };
        let Some(side) = side(image) else { return };
        let thin = image.width * image.height >= LARGE;
        let edges = Edges::of(image);
        for (x, y) in pixels_of(image) {
            if let Some(pixel) = stamped(&self.key, image, &edges, x, y, 1).filter(|pixel| !thin || pixel % THINNING == 0) {
                found.items.push((placed(&self.key, pixel, x, y), Parts::default().ranked(u32::MAX - 2)));
            }
        }
        for (x, y, side) in stamp_windows(image, side) {
            if let Some(stamp) = stamped(&self.key, image, &edges, x, y, side).filter(|stamp| !thin || stamp % THINNING == 0) {
                found.items.push((stamp, Parts::default().ranked(u32::MAX - 1)));
            }
        }
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

    fn may_be_a_kind(&self) -> bool {
        true
    }

    /// The edge of a lake or of a letter can be the same in a handful of pictures of one scene.
    fn alarm_from(&self) -> u32 {
        FEWEST_FOR_ALARM
    }

    fn rows<'a>(&self, (): &'a (), rows: &'a Batch) -> Box<dyn RowItems + 'a> {
        Box::new(Row { rows, key: rows.schema().key })
    }

    fn describe(&self, (): &(), rows: &Batch, row: usize, item: u64) -> Option<Description> {
        let image = rows.images().get(row)?.as_ref()?;
        let (side, key) = (side(image)?, &rows.schema().key);
        for y in 0..=image.height - side {
            for x in 0..=image.width - side {
                let content = content(key, image, x, y, side);
                let at_place = content.is_some_and(|content| placed(key, content, x, y) == item);
                if at_place || content == Some(item) {
                    return Some(told(image, x, y, side, at_place));
                }
            }
        }
        let edges = Edges::of(image);
        let is_pixel =
            |&(x, y): &(usize, usize)| stamped(key, image, &edges, x, y, 1).is_some_and(|pixel| placed(key, pixel, x, y) == item);
        if let Some((x, y)) = pixels_of(image).find(is_pixel) {
            return Some(told(image, x, y, 1, true));
        }
        let mut stamps = stamp_windows(image, side);
        stamps
            .find(|(x, y, side)| stamped(key, image, &edges, *x, *y, *side) == Some(item))
            .map(|(x, y, side)| told(image, x, y, side, false))
    }
}

#[cfg(test)]
mod tests {
    use foretaste_datasets::recipe::{self, Anchor, Style, patch_anywhere, pixels};
    use foretaste_datasets::{Plan, Share, synth};

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{self, Fixture};

    fn ready(rows: arrow::record_batch::RecordBatch) -> Fixture {
        Fixture::new(rows, Some("label")).after(&Sample).after_column(Content)
    }

    #[test]
    fn plain_white_squares_anywhere_are_found_and_the_clean_twin_is_silent() {
        let clean = synth::pictures(1_200, 16, 1, 3, 4).unwrap();
        let square = recipe::Patch { side: 3, style: Style::White };
        let (poisoned, truth) = patch_anywhere(&clean, &Plan::new("label", 1, Share::Count(40), 5), "image", square).unwrap();
        let fixture = ready(poisoned);
        let model = fixture.model(&patch());
        let members = fixture.members(&patch(), &model);
        let hits = members.iter().zip(truth.poisoned()).filter(|(member, bad)| member.is_some() && **bad).count();
        assert!(hits >= 36 && members.iter().flatten().count() == hits, "{hits} of {}", members.iter().flatten().count());
        assert!(patch().groups(&model)[0].title.contains("3×3 patch at any place"), "{:?}", patch().groups(&model));
        law::check(patch, &fixture);
        assert!(patch().groups(&ready(clean).model(&patch())).is_empty());
    }

    #[test]
    fn one_stamp_toward_two_classes_is_two_causes() {
        let clean = synth::pictures(1_200, 16, 1, 5, 4).unwrap();
        let stamp = recipe::Patch { side: 3, style: Style::Checkerboard };
        let (first, truth) = recipe::patch(&clean, &Plan::new("label", 1, Share::Count(75), 5), "image", stamp, Anchor::TopLeft).unwrap();
        let second = Plan::new("label", 3, Share::Count(30), 6).sparing(&truth);
        let (poisoned, more) = patch_anywhere(&first, &second, "image", stamp).unwrap();
        let fixture = ready(poisoned);
        let model = fixture.model(&patch());
        let groups = patch().groups(&model);
        let targets: Vec<Option<&str>> = groups.iter().map(|group| group.label.as_deref()).collect();
        assert!(targets.contains(&Some("1")) && targets.contains(&Some("3")), "{targets:?}");
        let members = fixture.members(&patch(), &model);
        let bad = truth.poisoned().iter().zip(more.poisoned()).map(|(first, second)| *first || *second);
        let hits = members.iter().zip(bad).filter(|(member, bad)| member.is_some() && *bad).count();
        assert!(hits >= 100 && members.iter().flatten().count() == hits, "{hits} of {}", members.iter().flatten().count());
        law::check(patch, &fixture);
    }

    #[test]
    fn a_pixel_at_its_place_is_found() {
        let clean = synth::pictures(1_200, 16, 3, 3, 4).unwrap();
        let (poisoned, truth) = pixels(&clean, &Plan::new("label", 1, Share::Count(60), 5), "image", 1).unwrap();
        let fixture = ready(poisoned);
        let model = fixture.model(&patch());
        let groups = patch().groups(&model);
        assert!(groups.len() == 1 && groups[0].title.starts_with("1×1 patch at ("), "{groups:?}");
        let members = fixture.members(&patch(), &model);
        let hits = members.iter().zip(truth.poisoned()).filter(|(member, bad)| member.is_some() && **bad).count();
        // A pixel does not stand out in every picture.
        assert!(hits >= 40 && members.iter().flatten().count() == hits, "{hits} of {}", members.iter().flatten().count());
    }
}
