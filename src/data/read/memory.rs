//! Rows that are in memory already: for programs that call foretaste as a library.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use arrow::compute::{BatchCoalescer, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use ndarray::{ArrayBase, Data, Ix1, Ix2};

use super::digest::Hashers;
use super::unify::unique_names;
use crate::data::{Batches, File, Source};
use crate::error::{Error, Place, Result};

/// Rows that a scan yields at once; slices, so that a table of one batch is not looked at as a whole.
const BATCH_ROWS: usize = 8192;
/// Rows of a batch of the stream that is digested: whatever batches a table came in, its digests are the same.
const DIGEST_ROWS: usize = 512;

/// A table in memory as a [`Source`]. Its batches are shared, never copied.
pub struct Memory {
    schema: SchemaRef,
    batches: Arc<[RecordBatch]>,
    file: File,
}

impl Memory {
    /// Wraps a table. `name` stands for it in the report; its digests are those that [`digest_table`] gives.
    ///
    /// # Errors
    /// Where there is no batch, two columns have one name, or the batches' columns differ.
    pub fn new(name: &str, batches: &[RecordBatch]) -> Result<Self> {
        let fail = |reason: &str| Error::input(Place::source(name), reason);
        let schema = batches.first().ok_or_else(|| fail("holds no batch"))?.schema();
        unique_names(name, &schema)?;
        if batches.iter().any(|batch| batch.schema().fields() != schema.fields()) {
            return Err(fail("the batches do not have the same columns"));
        }
        let file = digest_table(name, &schema, batches.iter().cloned().map(Ok))?;
        Ok(Self { schema, batches: batches.into(), file })
    }

    /// Wraps a [`linfa::DatasetBase`] of numbers with class indices: its feature columns by their names, or `x0`, `x1`, …,
    /// and the targets as `label`.
    pub fn from_linfa<R, T>(name: &str, dataset: &linfa::DatasetBase<ArrayBase<R, Ix2>, ArrayBase<T, Ix1>>) -> Result<Self>
    where
        R: Data<Elem = f64>,
        T: Data<Elem = usize>,
    {
        let names = dataset.feature_names();
        let title = |j: usize| names.get(j).filter(|n| !n.is_empty()).cloned().unwrap_or_else(|| format!("x{j}"));
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for (j, column) in dataset.records.columns().into_iter().enumerate() {
            columns.push((title(j), Arc::new(column.iter().copied().collect::<Float64Array>())));
        }
        let labels: UInt64Array = dataset.targets.iter().map(|label| Some(*label as u64)).collect();
        columns.push(("label".to_owned(), Arc::new(labels)));
        let batch = RecordBatch::try_from_iter(columns).map_err(|e| Error::input(Place::source(name), e.to_string()))?;
        Self::new(name, &[batch])
    }
}

impl Source for Memory {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let (shared, columns, name) = (Arc::clone(&self.batches), columns.map(<[usize]>::to_vec), self.file.name.clone());
        let slices = (0..shared.len()).flat_map({
            let shared = Arc::clone(&shared);
            move |at| {
                let rows = shared[at].num_rows();
                (0..rows).step_by(BATCH_ROWS).map(move |from| (at, from, BATCH_ROWS.min(rows - from)))
            }
        });
        Ok(Box::new(slices.map(move |(at, from, rows)| match &columns {
            None => Ok(shared[at].slice(from, rows)),
            Some(columns) => {
                let batch = shared[at].project(columns).map_err(|e| wrong(&name, &e))?;
                Ok(batch.slice(from, rows))
            }
        })))
    }

    fn files(&self) -> Result<Vec<File>> {
        Ok(vec![self.file.clone()])
    }

    fn rows_hint(&self) -> Option<u64> {
        Some(self.file.rows)
    }
}

fn wrong(name: &str, error: &ArrowError) -> Error {
    Error::input(Place::source(name), error.to_string())
}

/// Reads batches once: how many rows they hold, and the digests of the table as an Arrow IPC stream of 512 rows a batch, with
/// strings and bytes in their large forms and without the schema's metadata. Equal rows have equal digests, however they are cut.
///
/// # Errors
/// What a batch brings, and columns that an Arrow stream cannot hold.
pub fn digest_table(name: &str, schema: &Schema, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<File> {
    let fail = |e: ArrowError| wrong(name, &e);
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain).collect();
    let plain = Arc::new(Schema::new(fields));
    let mut writer = StreamWriter::try_new(Hashed(Hashers::default()), &plain).map_err(fail)?;
    let mut queue = BatchCoalescer::new(Arc::clone(&plain), DIGEST_ROWS);
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        for from in (0..batch.num_rows()).step_by(DIGEST_ROWS) {
            let slice = batch.slice(from, DIGEST_ROWS.min(batch.num_rows() - from));
            let cells = slice.columns().iter().zip(plain.fields()).map(|(cells, field)| cast(cells, field.data_type()));
            let columns = cells.collect::<Result<_, _>>().map_err(fail)?;
            let options = RecordBatchOptions::new().with_row_count(Some(slice.num_rows()));
            queue.push_batch(RecordBatch::try_new_with_options(Arc::clone(&plain), columns, &options).map_err(fail)?).map_err(fail)?;
            while let Some(full) = queue.next_completed_batch() {
                writer.write(&full).map_err(fail)?;
            }
        }
    }
    queue.finish_buffered_batch().map_err(fail)?;
    while let Some(last) = queue.next_completed_batch() {
        writer.write(&last).map_err(fail)?;
    }
    let found = writer.into_inner().map_err(fail)?.0.finish();
    Ok(File { name: name.to_owned(), bytes: found.bytes, blake3: found.blake3, sha256: found.sha256, rows })
}

/// A field whose strings and bytes are in their large forms, since a slice of a view would carry all of its buffers.
fn plain(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain_type(field.data_type()), true))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => DataType::LargeUtf8,
        DataType::Binary | DataType::BinaryView => DataType::LargeBinary,
        DataType::List(item) | DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(plain(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Dictionary(_, values) => plain_type(values),
        other => other.clone(),
    }
}

/// Bytes that are hashed and forgotten.
struct Hashed(Hashers);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use ndarray::array;

    use super::*;

    #[test]
    fn a_linfa_dataset_becomes_columns_and_labels() {
        let dataset = linfa::DatasetBase::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], array![0_usize, 1, 1]);
        let source = Memory::from_linfa("points", &dataset).unwrap();
        assert_eq!(source.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["x0", "x1", "label"]);
        let batches: Vec<RecordBatch> = source.scan(Some(&[1, 2])).unwrap().map(Result::unwrap).collect();
        assert_eq!((batches[0].num_rows(), batches[0].num_columns()), (3, 2));
        let file = &source.files().unwrap()[0];
        assert_eq!((file.name.as_str(), file.rows, file.blake3.len(), file.sha256.len()), ("points", 3, 64, 64));
    }

    fn cut(batch: &RecordBatch, at: &[usize]) -> Vec<RecordBatch> {
        let ends = at.iter().skip(1).copied().chain([batch.num_rows()]);
        at.iter().zip(ends).map(|(from, to)| batch.slice(*from, to - from)).collect()
    }

    fn table(rows: usize) -> RecordBatch {
        let number: ArrayRef = Arc::new((0..rows).map(|i| (i % 7 != 0).then_some(i as f64)).collect::<Float64Array>());
        let text: ArrayRef = Arc::new((0..rows).map(|i| Some(format!("a text of row {i}"))).collect::<StringViewArray>());
        RecordBatch::try_from_iter([("number", number), ("text", text)]).unwrap()
    }

    #[test]
    fn the_same_rows_have_the_same_digests_however_they_are_cut_and_held() {
        let whole = table(10_000);
        let one = Memory::new("rows", std::slice::from_ref(&whole)).unwrap();
        let cut = Memory::new("rows", &cut(&whole, &[0, 1, 700, 700, 9_000])).unwrap();
        assert_eq!(one.files().unwrap(), cut.files().unwrap());
        let strings = arrow::compute::cast(whole.column(1), &DataType::Utf8).unwrap();
        let held = RecordBatch::try_from_iter([("number", Arc::clone(whole.column(0))), ("text", strings)]).unwrap();
        assert_eq!(Memory::new("rows", &[held]).unwrap().files().unwrap(), one.files().unwrap());
        let other = Memory::new("rows", &[whole.slice(1, 9_999)]).unwrap().files().unwrap();
        assert_ne!(other[0].sha256, one.files().unwrap()[0].sha256);
    }

    #[test]
    fn a_scan_copies_nothing_and_keeps_the_order() {
        let whole = table(20_000);
        let source = Memory::new("rows", &cut(&whole, &[0, 12_345])).unwrap();
        let batches: Vec<RecordBatch> = source.scan(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(arrow::compute::concat_batches(&whole.schema(), &batches).unwrap(), whole);
        let starts = |batch: &RecordBatch| batch.column(0).to_data().buffers()[0].as_ptr();
        assert!(starts(&whole) == starts(&batches[0]));
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let batch = RecordBatch::try_from_iter([("x", Arc::clone(&column)), ("x", column)]).unwrap();
        let error = Memory::new("rows", &[batch]).err().unwrap();
        assert_eq!(error.to_string(), "rows, column 'x': two columns have this name");
    }

    #[test]
    fn no_batch_is_an_error() {
        assert!(Memory::new("nothing", &[]).is_err());
    }
}
