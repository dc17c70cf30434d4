//! Text columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::Result;
use crate::column::{find, put_back, wrong_type};

/// A column of strings of any Arrow kind.
pub(crate) struct Texts<'a> {
    pub(crate) index: usize,
    column: &'a ArrayRef,
    values: LargeStringArray,
}

impl<'a> Texts<'a> {
    pub(crate) fn open(batch: &'a RecordBatch, name: &str) -> Result<Self> {
        let (index, column) = find(batch, name)?;
        if !matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            return Err(wrong_type(name, "text", column));
        }
        let values = cast(column, &DataType::LargeUtf8)?.as_string::<i64>().clone();
        Ok(Self { index, column, values })
    }

    /// The text of a row, if it is not null.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    /// The column with other texts in some rows.
    pub(crate) fn replaced(&self, rows: &[usize], texts: &[String]) -> Result<ArrayRef> {
        let new: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        put_back(self.column, rows, &cast(&new, self.column.data_type())?)
    }
}
