//! The listed rows of a report with all that it says of them.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::report::cell;
use crate::review::{self, position, texts};

/// A row of `rows.parquet`, as it stands there.
pub(super) struct Row {
    /// Position in the data, from 0.
    pub(super) position: u64,
    pub(super) file: String,
    /// None where the data has no id column or this row no id.
    pub(super) id: Option<String>,
    pub(super) label: Option<String>,
    pub(super) families: Vec<String>,
    pub(super) codes: Vec<String>,
    /// Fingerprints.
    pub(super) causes: Vec<String>,
    pub(super) tier: String,
    pub(super) q: Option<f64>,
    pub(super) reason: String,
}

/// Calls `take` with each listed row of the report in `folder`, in row order.
///
/// # Errors
/// As [`review::each`].
pub(super) fn each(folder: &Path, take: impl FnMut(Row) -> Result<()>) -> Result<()> {
    review::each(folder, of, take)
}

fn of(batch: &RecordBatch, at: usize) -> Option<Row> {
    let text = |name: &str| {
        let array = batch.column_by_name(name)?;
        Some(array.is_valid(at).then(|| cell(array, at)))
    };
    let q = batch.column_by_name("q")?.as_primitive_opt::<Float64Type>()?;
    Some(Row {
        position: position(batch, at)?,
        file: text("file")??,
        id: text("id").flatten(),
        label: text("label")?,
        families: texts(batch, "families", at)?,
        codes: texts(batch, "codes", at)?,
        causes: texts(batch, "causes", at)?,
        tier: text("tier")??,
        q: q.is_valid(at).then(|| q.value(at)).filter(|q| q.is_finite()),
        reason: text("reason")??,
    })
}
