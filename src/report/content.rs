//! What listed rows hold, as much of it as a page can carry.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::names::Names;
use super::{cell, visible};
use crate::data::{Role, Schema, picture};

/// Columns shown of a row.
const COLUMNS: usize = 64;
/// Characters of a cell, and of a source's name.
const CELL: usize = 160;
const SOURCE: usize = 120;
/// The most bytes of a picture in a page, as base64.
const PICTURE: usize = 64 << 10;

/// How much a page carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Characters of a cell with free text.
    pub(super) text: usize,
    /// Longest side of a picture, in pixels.
    pub(super) side: usize,
    /// Most bytes of all pictures, as base64, and of all cells.
    pub(super) pictures: usize,
    pub(super) cells: usize,
}

/// Of listed rows.
const LISTED: Limits = Limits { text: 2_000, side: 160, pictures: 1_792 << 10, cells: 8 << 20 };

/// Items of rows that lie evenly spread: where they outgrow their limit, every other one goes.
#[derive(Debug)]
struct Sampled<T> {
    /// By place, each with its bytes.
    items: BTreeMap<usize, (T, usize)>,
    /// Only places that this divides are kept.
    step: usize,
    bytes: usize,
    most: usize,
}

impl<T> Sampled<T> {
    fn new(most: usize) -> Self {
        Self { items: BTreeMap::new(), step: 1, bytes: 0, most }
    }

    fn wants(&self, at: usize) -> bool {
        at.is_multiple_of(self.step)
    }

    fn put(&mut self, at: usize, item: T, bytes: usize) {
        self.items.insert(at, (item, bytes));
        self.bytes += bytes;
        while self.bytes > self.most && !self.items.is_empty() {
            self.thin();
        }
    }

    /// Lets every other one go.
    fn thin(&mut self) {
        if self.items.len() == 1 {
            self.items.clear();
        }
        self.step = self.step.saturating_mul(2);
        let step = self.step;
        self.items.retain(|at, _| at.is_multiple_of(step));
        self.bytes = self.items.values().map(|(_, bytes)| bytes).sum();
    }

    fn values(&self) -> BTreeMap<usize, &T> {
        self.items.iter().map(|(at, (item, _))| (*at, item)).collect()
    }
}

/// A picture: PNG as base64, and the size that it has in the data.
pub(super) type Picture = (String, usize, usize);

/// The content of listed rows, by their place in the list.
#[derive(Debug)]
pub(super) struct Content {
    limits: Limits,
    rows: usize,
    columns: Vec<Column>,
    sources: Names<String>,
    source: Vec<u32>,
    cells: Sampled<Vec<Option<String>>>,
    pictures: Sampled<Picture>,
}

/// A column that is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    name: String,
    role: &'static str,
    #[serde(skip)]
    at: usize,
    #[serde(skip)]
    characters: usize,
}

impl Default for Content {
    fn default() -> Self {
        Self::new(LISTED)
    }
}

fn shown(schema: &Schema, text: usize) -> Vec<Column> {
    let column = |(at, column): (usize, &crate::data::ColumnRole)| {
        let characters = match column.role {
            Role::Image | Role::Embedding | Role::Probabilities => return None,
            Role::Text | Role::Response | Role::Rejected => text,
            _ => CELL,
        };
        Some(Column { name: visible(&column.name, CELL), role: column.role.name(), at, characters })
    };
    schema.columns.iter().enumerate().filter_map(column).take(COLUMNS).collect()
}

impl Content {
    /// Nothing yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows: 0,
            columns: Vec::new(),
            sources: Names::default(),
            source: Vec::new(),
            cells: Sampled::new(limits.cells),
            pictures: Sampled::new(limits.pictures),
        }
    }

    /// Takes in the next listed rows; keeps nothing of those after the first `most`.
    pub(super) fn add(&mut self, schema: &Schema, batch: &RecordBatch, most: usize) {
        if self.columns.is_empty() {
            self.columns = shown(schema, self.limits.text);
        }
        let (image, source) = (schema.first(Role::Image), schema.first(Role::Source));
        let value = |column: &Column, row: usize| {
            let array = batch.columns().get(column.at)?;
            (!array.is_null(row)).then(|| visible(&cell(array, row), column.characters))
        };
        for row in 0..batch.num_rows().min(most.saturating_sub(self.rows)) {
            let at = self.rows;
            self.rows += 1;
            if let Some(array) = source.and_then(|at| batch.columns().get(at)) {
                let name = if array.is_null(row) { "null".to_owned() } else { visible(&cell(array, row), SOURCE) };
                self.source.push(self.sources.place(name));
            }
            if self.cells.wants(at) {
                let cells: Vec<Option<String>> = self.columns.iter().map(|column| value(column, row)).collect();
                let bytes = cells.iter().map(|cell| cell.as_ref().map_or(4, |text| text.len() + 3)).sum();
                self.cells.put(at, cells, bytes);
            }
            if let Some(array) = image.and_then(|at| batch.columns().get(at))
                && self.pictures.wants(at)
                && let Some(picture) = png(array, row, self.limits.side)
            {
                let bytes = picture.0.len() + 32;
                self.pictures.put(at, picture, bytes);
            }
        }
    }

    /// Lets every other row's cells go.
    pub(super) fn thin(&mut self) {
        self.cells.thin();
    }

    pub(super) fn has_cells(&self) -> bool {
        !self.cells.items.is_empty()
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Names of sources, and the place of each row's source among them; nothing where the data name none.
    pub(super) fn sources(&self) -> (&[String], &[u32]) {
        (self.sources.values(), &self.source)
    }

    pub(super) fn cells(&self) -> BTreeMap<usize, &Vec<Option<String>>> {
        self.cells.values()
    }

    pub(super) fn pictures(&self) -> BTreeMap<usize, &Picture> {
        self.pictures.values()
    }
}

/// A row's picture, decoded and encoded anew, so that no byte of the data reaches a browser's decoder.
fn png(array: &ArrayRef, row: usize, side: usize) -> Option<Picture> {
    let image = picture(array, row)?;
    let text = STANDARD.encode(image.shrunk(side).to_png()?);
    (text.len() <= PICTURE).then_some((text, image.width, image.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_lies_evenly_and_within_its_limit() {
        let mut sampled = Sampled::new(1_000);
        for at in 0..10_000 {
            if sampled.wants(at) {
                sampled.put(at, (), 10);
            }
        }
        assert!(sampled.bytes <= 1_000 && sampled.items.len() > 40, "{} {}", sampled.bytes, sampled.items.len());
        let places: Vec<usize> = sampled.items.keys().copied().collect();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == sampled.step));
        sampled.put(0, (), 5_000);
        assert!(sampled.items.is_empty(), "an item that is too large by itself goes");
    }
}
