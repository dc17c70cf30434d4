//! From polars' Arrow to the Arrow that foretaste reads, by the C data interface, which both speak.

// The one place that needs it: memory changes hands between two libraries that know nothing of each other's types.
#![allow(unsafe_code)]

use std::sync::Arc;

use arrow::array::{ArrayRef, make_array};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use polars::prelude::{Column, CompatLevel, DataFrame};
use polars_arrow::array::Array;
use polars_arrow::ffi::{export_array_to_c, export_field_to_c};

/// The chunks of a frame, whose columns are cut alike, as record batches over the same memory.
pub(crate) fn batches(frame: &DataFrame) -> Result<Vec<RecordBatch>, ArrowError> {
    let level = CompatLevel::newest();
    let columns: Vec<_> = frame.columns().iter().map(Column::as_materialized_series).collect();
    let fields: Vec<polars_arrow::datatypes::Field> = columns.iter().map(|series| series.field().to_arrow(level)).collect();
    let known = fields.iter().map(imported_field).collect::<Result<Vec<Field>, _>>()?;
    let schema = Arc::new(Schema::new(known));
    let chunks = columns.first().map_or(0, |series| series.n_chunks());
    (0..chunks)
        .map(|chunk| {
            let arrays = columns.iter().zip(&fields).map(|(series, field)| imported(series.to_arrow(chunk, level), field));
            let arrays = arrays.collect::<Result<Vec<ArrayRef>, _>>()?;
            let rows = arrays.first().map_or(0, |array| array.len());
            RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))
        })
        .collect()
}

fn imported_field(field: &polars_arrow::datatypes::Field) -> Result<Field, ArrowError> {
    let named = Field::try_from(&exported(field))?;
    Ok(named.with_nullable(true))
}

fn exported(field: &polars_arrow::datatypes::Field) -> FFI_ArrowSchema {
    let mut theirs = export_field_to_c(field);
    // SAFETY: both types are the `ArrowSchema` of the C data interface, laid out by its definition; polars has just filled this one. It is
    // moved out, and what is left behind is an empty one, so that it is released once.
    unsafe { FFI_ArrowSchema::from_raw((&raw mut theirs).cast()) }
}

fn imported(array: Box<dyn Array>, field: &polars_arrow::datatypes::Field) -> Result<ArrayRef, ArrowError> {
    let mut theirs = export_array_to_c(array);
    // SAFETY: as above, for `ArrowArray`.
    let ours = unsafe { FFI_ArrowArray::from_raw((&raw mut theirs).cast()) };
    // SAFETY: polars made array and field of one series, in the form that the interface asks for, and the memory stays where it is
    // until the imported array, which owns it now, releases it.
    let data = unsafe { from_ffi(ours, &exported(field)) }?;
    Ok(make_array(data))
}

// A move of one into the other would be out of bounds were they not alike.
const _: () = assert!(size_of::<FFI_ArrowArray>() == size_of::<polars_arrow::ffi::ArrowArray>());
const _: () = assert!(size_of::<FFI_ArrowSchema>() == size_of::<polars_arrow::ffi::ArrowSchema>());
