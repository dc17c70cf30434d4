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
/// As [`each`].
pub fn listed(folder: &Path) -> Result<Vec<ListedRow>> {
    let mut rows = Vec::new();
    each(folder, ListedRow::of, |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Calls `take` with what `of` reads of each row of `rows.parquet`, in row order.
///
/// # Errors
/// [`Error::Input`] where there is none, or one of another version; what `take` says.
pub(crate) fn each<T>(folder: &Path, of: fn(&RecordBatch, usize) -> Option<T>, mut take: impl FnMut(T) -> Result<()>) -> Result<()> {
    let path = folder.join("rows.parquet").display().to_string();
    for batch in open(std::slice::from_ref(&path), &Options::default())?.scan(None)? {
        let batch = batch?;
        for at in 0..batch.num_rows() {
            let row = of(&batch, at).ok_or_else(|| {
                Error::input(Place::source(&path), "it has not the columns of listed rows")
                    .with_help("Scan the data again with this version.")
            })?;
            take(row)?;
        }
    }
    Ok(())
}

impl ListedRow {
    fn of(batch: &RecordBatch, at: usize) -> Option<Self> {
        let text = |name: &str| {
            let texts = batch.column_by_name(name)?.as_string_opt::<i32>()?;
            Some(texts.is_valid(at).then(|| texts.value(at).to_owned()))
        };
        Some(Self {
            row: position(batch, at)?,
            codes: texts(batch, "codes", at)?,
            label: text("label")?,
            tier: text("tier")??,
            causes: texts(batch, "causes", at)?,
            reason: text("reason")??,
        })
    }
}

/// The position in the data that a row of `rows.parquet` tells of.
pub(crate) fn position(batch: &RecordBatch, at: usize) -> Option<u64> {
    let positions = batch.column_by_name("row")?.as_primitive_opt::<UInt64Type>()?;
    positions.is_valid(at).then(|| positions.value(at))
}

/// The texts of a list in a row of `rows.parquet`; nothing where there is no such column.
pub(crate) fn texts(batch: &RecordBatch, name: &str, row: usize) -> Option<Vec<String>> {
    let values = batch.column_by_name(name)?.as_list_opt::<i32>()?.value(row);
    Some(values.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned).collect())
}
