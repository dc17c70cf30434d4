//! The listed rows of a report.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::data::read::{Options, open};
use crate::error::{Error, Place, Result};

/// A listed row, as far as a ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRow {
    /// Position in the data, from 0.
    pub row: u64,
    /// Detectors that list it.
    pub codes: Vec<String>,
    /// Its label, as the data give it.
    pub label: Option<String>,
    /// How strong the claim is: `alarm` or `suspect`.
    pub tier: String,
    /// Fingerprints of the causes that it belongs to.
    pub causes: Vec<String>,
    /// Why it is listed.
    pub reason: String,
}

/// Reads `rows.parquet` of the report in `folder`, in row order.
///
/// # Errors
/// [`Error::Input`] where there is none, or one of another version.
pub fn listed(folder: &Path) -> Result<Vec<ListedRow>> {
    let path = folder.join("rows.parquet").display().to_string();
    let mut rows = Vec::new();
    for batch in open(std::slice::from_ref(&path), &Options::default())?.scan(None)? {
        let batch = batch?;
        let read = of(&batch).ok_or_else(|| {
            Error::input(Place::source(&path), "it has not the columns of listed rows").with_help("Scan the data again with this version.")
        })?;
        rows.extend(read);
    }
    Ok(rows)
}

fn of(batch: &RecordBatch) -> Option<Vec<ListedRow>> {
    let positions = batch.column_by_name("row")?.as_primitive_opt::<UInt64Type>()?;
    let reasons = batch.column_by_name("reason")?.as_string_opt::<i32>()?;
    let text = |name: &str, row: usize| {
        let texts = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        Some(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    };
    let row = |row: usize| {
        let (position, reason) = (positions.is_valid(row).then(|| positions.value(row))?, reasons.value(row).to_owned());
        let (label, tier) = (text("label", row)?, text("tier", row)??);
        let (codes, causes) = (texts(batch, "codes", row)?, texts(batch, "causes", row)?);
        Some(ListedRow { row: position, codes, label, tier, causes, reason })
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The texts of a list in a row of `rows.parquet`; nothing where there is no such column.
pub(crate) fn texts(batch: &RecordBatch, name: &str, row: usize) -> Option<Vec<String>> {
    let values = batch.column_by_name(name)?.as_list_opt::<i32>()?.value(row);
    Some(values.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned).collect())
}
