//! The listed rows that a person sees in the page.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;
use serde_json::Value;

use super::beside::Beside;
use super::content::{Column, Content, Picture};
use super::marks::{Marks, suggested};
use super::names::Names;
use super::pack::packed;
use super::words::number;
use super::{List, visible};
use crate::data::Schema;
use crate::error::Result;
use crate::run::Surroundings;

/// Rows kept for the page, and of these rows that stand in it without a script.
const KEPT: usize = 100_000;
const PLAIN: usize = 100;
/// Characters kept of each cell.
const CELL: usize = 160;
/// Characters kept of a reason.
const REASON: usize = 400;
/// Most bytes of the packed rows, and what they may take for the content of rows.
const MOST: usize = 8 << 20;
const WITH_CONTENT: usize = 2_560 << 10;
/// Pairs of labels that are counted.
const PAIRS: usize = 10_000;

/// One listed row as the page shows it without a script; every text is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ListedRow {
    row: u64,
    id: Option<String>,
    file: String,
    label: String,
    tier: String,
    codes: String,
    q: String,
    reason: String,
}

/// The rows as columns, every text safe to show. Labels, files, detectors and causes are places in lists of names.
#[derive(Debug, Default)]
struct Columns {
    row: Vec<u64>,
    id: Vec<String>,
    file: Vec<u32>,
    label: Vec<u32>,
    suggested: Vec<u32>,
    alarm: Vec<u8>,
    codes: Vec<u32>,
    causes: Vec<u32>,
    q: Vec<f64>,
    reason: Vec<String>,
    marks: BTreeMap<usize, Marks>,
}

/// Listed rows, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Listed {
    columns: Columns,
    labels: Names<String>,
    files: Names<String>,
    /// Lists of codes and of fingerprints.
    lists: Names<Vec<String>>,
    total: u64,
    /// Rows by their label and the one that content suggests.
    pairs: BTreeMap<(String, String), u64>,
    content: Content,
    beside: Option<Beside>,
}

/// What a script reads.
#[derive(Serialize)]
struct Block<'a> {
    row: &'a [u64],
    id: &'a [String],
    file: &'a [u32],
    files: &'a [String],
    label: &'a [u32],
    suggested: &'a [u32],
    labels: &'a [String],
    alarm: &'a [u8],
    codes: &'a [u32],
    causes: &'a [u32],
    lists: &'a [Vec<String>],
    q: &'a [f64],
    reason: &'a [String],
    marks: BTreeMap<usize, &'a Marks>,
    columns: &'a [Column],
    cells: BTreeMap<usize, &'a Vec<Option<String>>>,
    source: &'a [u32],
    sources: &'a [String],
}

/// The blocks of a page, as base64.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Blocks {
    /// Rows with their cells.
    pub(super) rows: String,
    pub(super) pictures: String,
    /// What lies beside them.
    pub(super) beside: String,
}

impl Listed {
    /// Takes in rows with the columns of `rows.parquet`; columns that are not there stay blank.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.total += batch.num_rows() as u64;
        let column = |name: &str| batch.column_by_name(name);
        let text = |name: &str, row: usize, limit: usize| column(name).map(|array| visible(&cell(array, row), limit));
        let list = |name: &str, row: usize| -> Vec<String> {
            let values =
                column(name).and_then(|array| array.as_list_opt::<i32>()).filter(|array| array.is_valid(row)).map(|array| array.value(row));
            let values = values.as_ref().and_then(|values| values.as_string_opt::<i32>());
            values.map(|values| values.iter().flatten().map(|value| visible(value, CELL)).collect()).unwrap_or_default()
        };
        for row in 0..batch.num_rows() {
            let evidence = column("evidence").map(|array| cell(array, row)).unwrap_or_default();
            let evidence: Value = serde_json::from_str(&evidence).unwrap_or_default();
            let label = text("label", row, CELL).unwrap_or_default();
            let other = suggested(&evidence).map(|label| visible(label, CELL));
            if let Some(other) = &other
                && self.pairs.len() < PAIRS
            {
                *self.pairs.entry((label.clone(), other.clone())).or_default() += 1;
            }
            if self.columns.row.len() == KEPT {
                continue;
            }
            let position = column("row").and_then(|a| a.as_primitive_opt::<UInt64Type>()).filter(|a| a.is_valid(row));
            let q = column("q").and_then(|a| a.as_primitive_opt::<Float64Type>()).filter(|a| a.is_valid(row));
            let marks = Marks::of(&evidence);
            let columns = &mut self.columns;
            if !marks.is_empty() {
                columns.marks.insert(columns.row.len(), marks);
            }
            columns.row.push(position.map_or(0, |a| a.value(row)));
            columns.id.extend(text("id", row, CELL));
            columns.file.push(self.files.place(text("file", row, CELL).unwrap_or_default()));
            columns.label.push(self.labels.place(label));
            columns.suggested.push(other.map_or(0, |label| self.labels.place(label) + 1));
            columns.alarm.push(u8::from(text("tier", row, CELL).as_deref() == Some("alarm")));
            columns.codes.push(self.lists.place(list("codes", row)));
            columns.causes.push(self.lists.place(list("causes", row)));
            columns.q.push(q.map_or(1.0, |a| a.value(row)));
            columns.reason.push(text("reason", row, REASON).unwrap_or_default());
        }
    }

    /// Takes in what the rows hold that were taken in last.
    pub(super) fn hold(&mut self, schema: &Schema, batch: &RecordBatch) {
        self.content.add(schema, batch, KEPT);
    }

    /// Takes in what lies beside the rows, once all are there.
    pub(super) fn surround(&mut self, schema: &Schema, surroundings: &Surroundings) {
        self.beside = Some(Beside::new(schema, surroundings));
    }

    /// Whether the data names its rows.
    pub(super) fn has_id(&self) -> bool {
        !self.columns.id.is_empty()
    }

    /// Rows by their label and the one that content suggests, both safe to show.
    pub(super) fn pairs(&self) -> &BTreeMap<(String, String), u64> {
        &self.pairs
    }

    /// The first rows, with how many more there are.
    pub(super) fn plain(&self) -> List<ListedRow> {
        let columns = &self.columns;
        let name = |names: &Names<String>, places: &[u32], at: usize| {
            places.get(at).and_then(|place| names.values().get(*place as usize)).cloned().unwrap_or_default()
        };
        let row = |(at, row): (usize, &u64)| ListedRow {
            row: *row,
            id: columns.id.get(at).cloned(),
            file: name(&self.files, &columns.file, at),
            label: name(&self.labels, &columns.label, at),
            tier: if columns.alarm.get(at) == Some(&1) { "alarm" } else { "suspect" }.to_owned(),
            codes: columns
                .codes
                .get(at)
                .and_then(|place| self.lists.values().get(*place as usize))
                .map_or_else(String::new, |codes| codes.join(", ")),
            q: number(columns.q.get(at).copied()),
            reason: columns.reason.get(at).cloned().unwrap_or_default(),
        };
        let items: Vec<ListedRow> = columns.row.iter().enumerate().take(PLAIN).map(row).collect();
        List { more: self.total - items.len() as u64, items }
    }

    /// The blocks that a script reads. Cells and, where these are not enough, rows at the end are left out until all fits.
    pub(super) fn blocks(&mut self) -> Result<Blocks> {
        let mut kept = self.columns.row.len();
        let mut rows = packed(&self.block(kept))?;
        while rows.len() > WITH_CONTENT && self.content.has_cells() {
            self.content.thin();
            rows = packed(&self.block(kept))?;
        }
        while rows.len() > MOST && kept > 1 {
            kept /= 2;
            rows = packed(&self.block(kept))?;
        }
        let pictures: BTreeMap<usize, &Picture> = self.content.pictures();
        let beside = self.beside.as_mut().map(Beside::block).transpose()?.unwrap_or_default();
        Ok(Blocks { rows, pictures: packed(&pictures)?, beside })
    }

    fn block(&self, kept: usize) -> Block<'_> {
        fn first<T>(items: &[T], kept: usize) -> &[T] {
            items.get(..kept).unwrap_or(items)
        }
        let columns = &self.columns;
        let (sources, source) = self.content.sources();
        Block {
            row: first(&columns.row, kept),
            id: first(&columns.id, kept),
            file: first(&columns.file, kept),
            files: self.files.values(),
            label: first(&columns.label, kept),
            suggested: first(&columns.suggested, kept),
            labels: self.labels.values(),
            alarm: first(&columns.alarm, kept),
            codes: first(&columns.codes, kept),
            causes: first(&columns.causes, kept),
            lists: self.lists.values(),
            q: first(&columns.q, kept),
            reason: first(&columns.reason, kept),
            marks: columns.marks.range(..kept).map(|(at, marks)| (*at, marks)).collect(),
            columns: self.content.columns(),
            cells: self.content.cells(),
            source: first(source, kept),
            sources,
        }
    }
}

/// A cell as text; nothing for a null or a value that has no text.
pub(crate) fn cell(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return String::new();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len()).map(|i| cell(&values, i)).collect::<Vec<_>>().join(", ")
        }
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())
            .and_then(|formatter| formatter.value(row).try_to_string())
            .unwrap_or_default(),
    }
}
