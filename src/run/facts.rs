//! Plain counts over all rows that the report owes its reader: nulls, values that could not be read, rows by source and month.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use serde::{Deserialize, Serialize};

use crate::data::{Batch, MAX_TEXT_BYTES, MONTH, Role, Schema, date, strings};

use super::shared::lock;

/// Sources counted one by one; rows of further ones are counted together.
const MOST_SOURCES: usize = 10_000;

/// What is counted; merges exactly, but for the sources beyond [`MOST_SOURCES`], of which it depends on the order which are named.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Counts {
    nulls: Vec<u64>,
    unreadable: Vec<u64>,
    sources: BTreeMap<String, u64>,
    months: BTreeMap<String, u64>,
}

/// Counts rows of a value, or of all further ones together.
fn add(counts: &mut BTreeMap<String, u64>, value: &str, rows: u64) {
    let value = if counts.len() < MOST_SOURCES || counts.contains_key(value) { value } else { "all others" };
    *counts.entry(value.to_owned()).or_default() += rows;
}

/// The month that a time is in, as it is counted.
pub(super) fn month(time: Option<&str>) -> &str {
    time.map_or("null", |time| date(time, MONTH).unwrap_or("no date"))
}

impl Counts {
    pub(super) fn merge(&mut self, other: &Self) {
        for (into, from) in [(&mut self.nulls, &other.nulls), (&mut self.unreadable, &other.unreadable)] {
            into.iter_mut().zip(from).for_each(|(count, more)| *count += more);
        }
        for (into, from) in [(&mut self.sources, &other.sources), (&mut self.months, &other.months)] {
            for (value, rows) in from {
                add(into, value, *rows);
            }
        }
    }
}

/// Counted during the first scan; later scans see the same rows again.
pub(super) struct Facts {
    counts: Mutex<Counts>,
    closed: AtomicBool,
}

impl Facts {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.columns.len();
        let counts = Counts { nulls: vec![0; columns], unreadable: vec![0; columns], ..Counts::default() };
        Self { counts: Mutex::new(counts), closed: AtomicBool::new(false) }
    }

    /// Whether a scan has ended.
    pub(super) fn complete(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Ends the counting.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, block: &Batch) {
        if self.complete() {
            return;
        }
        let columns = &block.schema().columns;
        let mut text = 0;
        // A block is counted by itself: threads wait for each other only to add what was counted.
        let mut counts = Counts::default();
        for (c, column) in columns.iter().enumerate() {
            let array = block.record().column(c);
            let unreadable = match column.role {
                Role::Image => (0..block.rows()).filter(|&row| array.is_valid(row) && block.images()[row].is_none()).count(),
                Role::Numeric => match array.data_type() {
                    DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().filter(|v| !v.is_finite()).count(),
                    DataType::Float32 => array.as_primitive::<Float32Type>().iter().flatten().filter(|v| !v.is_finite()).count(),
                    _ => 0,
                },
                Role::Text => {
                    let texts = &block.texts()[text];
                    text += 1;
                    (0..texts.len()).filter(|&row| texts.value_length(row) as usize > MAX_TEXT_BYTES).count()
                }
                _ => 0,
            };
            counts.unreadable.push(unreadable as u64);
            counts.nulls.push(array.null_count() as u64);
        }
        if let Some(source) = block.schema().first(Role::Source) {
            for value in &strings(block.record().column(source)) {
                add(&mut counts.sources, value.unwrap_or("null"), 1);
            }
        }
        if let Some(time) = block.schema().first(Role::Time) {
            for value in &strings(block.record().column(time)) {
                add(&mut counts.months, month(value), 1);
            }
        }
        self.add(&counts);
    }

    /// What was counted so far.
    pub(super) fn into_counts(self) -> Counts {
        self.counts.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was counted elsewhere.
    pub(super) fn add(&self, counts: &Counts) {
        lock(&self.counts).merge(counts);
    }

    /// Nulls of the columns that have any, by name.
    pub(super) fn nulls(&self, schema: &Schema) -> BTreeMap<String, u64> {
        named(schema, &lock(&self.counts).nulls)
    }

    /// Values that could not be read, of the columns that have any, by name.
    pub(super) fn unreadable(&self, schema: &Schema) -> BTreeMap<String, u64> {
        named(schema, &lock(&self.counts).unreadable)
    }

    /// Rows of each source.
    pub(super) fn sources(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).sources.clone()
    }

    /// Rows of each month.
    pub(super) fn months(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).months.clone()
    }
}

fn named(schema: &Schema, counts: &[u64]) -> BTreeMap<String, u64> {
    schema.columns.iter().zip(counts).filter(|(_, n)| **n > 0).map(|(column, n)| (column.name.clone(), *n)).collect()
}
