//! Listed rows marked where they lie: the columns of a judged stream, joined to the rows of each partition.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;

use crate::data::read::{Spread, Watched, schema_to_bytes};
use crate::data::{Batches, Source};
use crate::error::{Error, Place, Result};

use super::super::list::rows_schema;
use super::super::mark::{marked, marks, unmarked};
use super::far::batches_of;
use super::work::{Rows, batch_to_bytes};
use super::{Task, What, read_task, to_bytes, wire};

/// Columns of listed rows that marks are made of.
const NEEDED: [&str; 5] = ["row", "codes", "tier", "q", "reason"];

/// The task to mark listed rows, which have the columns of `rows.parquet`.
///
/// # Errors
/// Rows that have columns of the marks' names already, and a list that lacks a column or does not ascend.
pub fn mark_task(spread: &Spread, listed: &RecordBatch) -> Result<Vec<u8>> {
    unmarked(spread.name(), &spread.schema())?;
    let wanted = rows_schema(None);
    let wrong = |what: String| Error::input(Place::source("listed rows"), what);
    let mut columns = Vec::new();
    for name in NEEDED {
        let column = listed.column_by_name(name).ok_or_else(|| wrong(format!("lack {name}")))?;
        let data_type = wanted.field_with_name(name).map_err(|e| wrong(e.to_string()))?.data_type();
        columns.push((name, arrow::compute::cast(column, data_type).map_err(|e| wrong(e.to_string()))?));
    }
    let listed = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let listed = listed.map_err(|e| wrong(e.to_string()))?;
    let rows = listed.column(0).as_primitive::<UInt64Type>();
    if listed.columns().iter().any(|column| column.null_count() > 0) || !rows.values().is_sorted() {
        return Err(wrong("are not those of a report: they hold nulls, or do not ascend".to_owned()));
    }
    to_bytes(&Task {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        name: spread.name().to_owned(),
        arrow: schema_to_bytes(&spread.schema())?,
        columns: None,
        slices: spread.slices(None),
        what: What::Mark(batch_to_bytes(&listed)?),
    })
}

/// The rows of a partition, batch by batch, with the columns `foretaste_flagged`, `foretaste_q`, `foretaste_codes` and
/// `foretaste_reason`. The last is followed by an error where they are not the rows that were scanned.
pub struct Marked {
    rows: Watched,
    out: SchemaRef,
    next: u64,
    listed: RecordBatch,
}

/// Marks the rows of one partition.
///
/// # Errors
/// Bytes that are no such task, and rows of another partition.
pub fn mark(task: &[u8], partition: u32, schema: &SchemaRef, batches: Batches) -> Result<Marked> {
    let task = read_task(task)?;
    let rows = Rows::new(&task, partition, schema, batches)?;
    let What::Mark(listed) = &task.what else { return Err(wire("another task than to mark rows")) };
    let Some(listed) = batches_of(listed)?.into_iter().next() else { return Err(wire("no list of rows")) };
    Ok(Marked { rows: rows.batches, out: marked(schema), next: rows.slice.first_row, listed })
}

impl Marked {
    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.out)
    }

    fn mark(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (first, end) = (self.next, self.next + batch.num_rows() as u64);
        self.next = end;
        let positions = self.listed.column(0).as_primitive::<UInt64Type>().values();
        let from = positions.partition_point(|row| *row < first);
        let here = self.listed.slice(from, positions.partition_point(|row| *row < end) - from);
        let (_, judged) = marks(batch.num_rows(), first, Some(&here))?;
        let columns = batch.columns().iter().cloned().chain(judged).collect();
        RecordBatch::try_new(Arc::clone(&self.out), columns).map_err(|e| wire(e.to_string()))
    }
}

impl Iterator for Marked {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        Some(batch.and_then(|batch| self.mark(&batch)))
    }
}
