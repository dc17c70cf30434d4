//! The listed rows that a person sees in the page.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;

use super::words::number;
use super::{List, visible};

/// Rows kept for the page.
const KEPT: usize = 1_000;
/// Characters kept of each cell.
const CELL: usize = 160;
/// Characters kept of a reason.
const REASON: usize = 400;

/// One listed row as the page shows it; every text is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ListedRow {
    row: String,
    id: Option<String>,
    file: String,
    label: String,
    tier: String,
    codes: String,
    q: String,
    reason: String,
}

impl ListedRow {
    /// Whether the data names its rows.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

/// The first listed rows and how many there were.
#[derive(Debug, Default)]
pub(super) struct Listed {
    rows: Vec<ListedRow>,
    total: u64,
}

impl Listed {
    /// Takes in rows with the columns of `rows.parquet`; columns that are not there stay blank.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.total += batch.num_rows() as u64;
        let column = |name: &str| batch.column_by_name(name);
        let text = |name: &str, row: usize, limit: usize| column(name).map(|array| visible(&cell(array, row), limit));
        for row in 0..batch.num_rows().min(KEPT - self.rows.len()) {
            let position = column("row").and_then(|a| a.as_primitive_opt::<UInt64Type>()).filter(|a| a.is_valid(row));
            let q = column("q").and_then(|a| a.as_primitive_opt::<Float64Type>()).filter(|a| a.is_valid(row));
            self.rows.push(ListedRow {
                row: position.map(|a| a.value(row).to_string()).unwrap_or_default(),
                id: text("id", row, CELL),
                file: text("file", row, CELL).unwrap_or_default(),
                label: text("label", row, CELL).unwrap_or_default(),
                tier: text("tier", row, CELL).unwrap_or_default(),
                codes: text("codes", row, CELL).unwrap_or_default(),
                q: number(q.map(|a| a.value(row))),
                reason: text("reason", row, REASON).unwrap_or_default(),
            });
        }
    }

    /// The rows, with how many more there are.
    pub(super) fn into_list(self) -> List<ListedRow> {
        List { more: self.total - self.rows.len() as u64, items: self.rows }
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
