//! Finding columns and putting changed rows back.

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{interleave, take};

use crate::{Error, Result};

/// Position and content of a column.
pub(crate) fn find<'a>(batch: &'a RecordBatch, name: &str) -> Result<(usize, &'a ArrayRef)> {
    let index = batch.schema_ref().index_of(name).map_err(|_| Error::MissingColumn { column: name.to_owned() })?;
    Ok((index, batch.column(index)))
}

/// The given rows of a column, in the given order.
pub(crate) fn rows_of(column: &ArrayRef, rows: &[usize]) -> Result<ArrayRef> {
    let indices = UInt64Array::from_iter_values(rows.iter().map(|&row| row as u64));
    Ok(take(column, &indices, None)?)
}

/// The column with `rows[i]` replaced by row `i` of `new`, which has the same type; every other row is copied.
pub(crate) fn put_back(column: &ArrayRef, rows: &[usize], new: &ArrayRef) -> Result<ArrayRef> {
    let mut sources: Vec<_> = (0..column.len()).map(|row| (0, row)).collect();
    for (i, &row) in rows.iter().enumerate() {
        sources[row] = (1, i);
    }
    Ok(interleave(&[column.as_ref(), new.as_ref()], &sources)?)
}

/// The batch with some columns exchanged for others of the same type; schema and metadata stay.
pub(crate) fn exchange(batch: &RecordBatch, changed: Vec<(usize, ArrayRef)>) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    for (index, column) in changed {
        columns[index] = column;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The error of a column that has the wrong type.
pub(crate) fn wrong_type(name: &str, expected: &'static str, column: &ArrayRef) -> Error {
    Error::ColumnType { column: name.to_owned(), expected, found: column.data_type().to_string() }
}
