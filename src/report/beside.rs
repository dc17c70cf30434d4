//! Where listed rows lie among others, and what they are most like, as the page's script reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::content::{Column, Content, Limits, Picture};
use super::names::Names;
use super::pack::packed;
use super::visible;
use crate::data::Schema;
use crate::error::Result;
use crate::run::Surroundings;

/// What is shown of a row that is near.
const NEAR: Limits = Limits { text: 300, side: 64, pictures: 16 << 20, cells: 8 << 20 };
/// Characters of a label.
const LABEL: usize = 160;
/// Most bytes of all of it, packed.
const MOST: usize = 768 << 10;
/// The map's side.
const SIDE: f32 = 1_000.0;
/// Part of the rows, on each side, that may lie beyond the map's edge; they are drawn on it.
const BEYOND: f32 = 0.01;

/// Listed rows on a map, and rows that are near them.
#[derive(Debug)]
pub(super) struct Beside {
    row: Vec<u64>,
    places: Vec<[u16; 2]>,
    nearest: Vec<Vec<usize>>,
    near: Vec<u64>,
    label: Vec<u32>,
    content: Content,
    ground: Vec<[u16; 2]>,
    class: Vec<u32>,
    labels: Names<String>,
    /// Of every so many listed rows the nearest are kept.
    step: usize,
}

/// What a script reads. Labels are places in a list, one more than that, 0 for none.
#[derive(Serialize)]
struct Block<'a> {
    row: &'a [u64],
    places: &'a [[u16; 2]],
    /// By the place in `row`: places in `near`.
    nearest: BTreeMap<usize, &'a [usize]>,
    near: &'a [u64],
    label: &'a [u32],
    labels: &'a [String],
    columns: &'a [Column],
    cells: BTreeMap<usize, &'a Vec<Option<String>>>,
    pictures: BTreeMap<usize, &'a Picture>,
    ground: &'a [[u16; 2]],
    class: &'a [u32],
}

impl Beside {
    pub(super) fn new(schema: &Schema, surroundings: &Surroundings) -> Self {
        let mut labels = Names::default();
        let mut named = |label: Option<&str>| label.map_or(0, |label| labels.place(visible(label, LABEL)) + 1);
        let label = surroundings.labels.iter().map(|label| named(label.as_deref())).collect();
        let class = surroundings.ground.iter().map(|(_, class)| named(class.map(|class| schema.class_name(class)))).collect();
        let ground: Vec<[f32; 2]> = surroundings.ground.iter().map(|(place, _)| *place).collect();
        let [across, down] = [0, 1].map(|axis| Axis::of(&ground, axis));
        let on = |places: &[[f32; 2]]| places.iter().map(|[x, y]| [across.at(*x), down.at(*y)]).collect::<Vec<_>>();
        let mut content = Content::new(NEAR);
        content.add(schema, &surroundings.content, usize::MAX);
        Self {
            row: surroundings.rows.clone(),
            places: on(&surroundings.places),
            nearest: surroundings.nearest.clone(),
            near: surroundings.near.clone(),
            label,
            content,
            ground: on(&ground),
            class,
            labels,
            step: 1,
        }
    }

    /// The block that a script reads; where it is too large, the nearest of every other row are left out.
    pub(super) fn block(&mut self) -> Result<String> {
        let mut block = packed(&self.view())?;
        while block.len() > MOST && self.step < self.row.len() {
            self.step *= 2;
            block = packed(&self.view())?;
        }
        Ok(block)
    }

    fn view(&self) -> Block<'_> {
        let kept = self.nearest.iter().enumerate().filter(|(at, near)| at.is_multiple_of(self.step) && !near.is_empty());
        let nearest: BTreeMap<usize, &[usize]> = kept.map(|(at, near)| (at, near.as_slice())).collect();
        let shown: BTreeSet<usize> = nearest.values().flat_map(|near| near.iter().copied()).collect();
        let mut cells = self.content.cells();
        cells.retain(|at, _| shown.contains(at));
        let mut pictures = self.content.pictures();
        pictures.retain(|at, _| shown.contains(at));
        Block {
            row: &self.row,
            places: &self.places,
            nearest,
            near: &self.near,
            label: &self.label,
            labels: self.labels.values(),
            columns: self.content.columns(),
            cells,
            pictures,
            ground: &self.ground,
            class: &self.class,
        }
    }
}

/// From a place on one axis to one on the page: what lies far out does not press the rest together.
struct Axis {
    lowest: f32,
    length: f32,
}

impl Axis {
    fn of(places: &[[f32; 2]], axis: usize) -> Self {
        let mut values: Vec<f32> = places.iter().map(|place| place[axis]).filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let out = (values.len() as f32 * BEYOND) as usize;
        let end = |at: Option<usize>| at.and_then(|at| values.get(at)).copied().unwrap_or(0.0);
        let (lowest, highest) = (end(Some(out)), end(values.len().checked_sub(1 + out)));
        let margin = 0.05 * (highest - lowest);
        Self { lowest: lowest - margin, length: highest - lowest + 2.0 * margin }
    }

    fn at(&self, value: f32) -> u16 {
        let part = if self.length > 0.0 && value.is_finite() { (value - self.lowest) / self.length } else { 0.5 };
        (SIDE * part.clamp(0.0, 1.0)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_far_out_stands_on_the_edge() {
        let mut places: Vec<[f32; 2]> = (0..=200).map(|i| [i as f32, 7.0]).collect();
        places[200] = [1e9, 7.0];
        let [across, down] = [0, 1].map(|axis| Axis::of(&places, axis));
        assert_eq!((across.at(1e9), across.at(-1e9), down.at(7.0)), (1_000, 0, 500));
        assert!((400..600).contains(&across.at(100.0)), "{}", across.at(100.0));
        assert_eq!(across.at(f32::NAN), 500);
        assert_eq!(Axis::of(&[], 0).at(1.0), 500);
    }
}
