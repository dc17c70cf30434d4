//! Parquet and Arrow files, batch by batch.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, make_array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, cast, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use tempfile::TempPath;

use super::output::Output;
use super::{Edits, Form, Halves, Parted, turns, unfit};
use crate::data::read::format::Format;
use crate::data::read::ipc;
use crate::data::read::text::{arrow_error, io_reason, plain};
use crate::data::read::unpack::{self, Packing};
use crate::data::strings;
use crate::error::{Error, Place, Result};

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 4_096;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// How a table is written so that it is like its source.
enum Style {
    Parquet(Box<WriterProperties>),
    File(Option<CompressionType>),
    Stream(Option<CompressionType>),
}

/// A table that is read.
struct Table<'a> {
    name: &'a str,
    schema: SchemaRef,
    batches: Batches,
    style: Style,
    /// Where a compressed file was unpacked to; removed with the table.
    _unpacked: Option<TempPath>,
}

/// The properties that a Parquet file shows: codec of each column, size of row groups, key-value metadata.
fn properties(metadata: &ParquetMetaData) -> WriterProperties {
    let largest = metadata.row_groups().iter().filter_map(|group| usize::try_from(group.num_rows()).ok()).max();
    let mut builder = WriterProperties::builder();
    if let Some(rows) = largest.filter(|rows| *rows > 0) {
        builder = builder.set_max_row_group_row_count(Some(rows));
    }
    for column in metadata.row_groups().first().into_iter().flat_map(RowGroupMetaData::columns) {
        builder = builder.set_column_compression(column.column_path().clone(), column.compression());
    }
    // The writer adds the Arrow schema itself.
    let pairs = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let pairs: Vec<_> = pairs.into_iter().filter(|pair| pair.key != "ARROW:schema").collect();
    builder.set_key_value_metadata((!pairs.is_empty()).then_some(pairs)).build()
}

impl<'a> Table<'a> {
    fn open(name: &'a str, path: &Path, form: Form) -> Result<Self> {
        let fail = |reason: String| Error::input(Place::source(name), reason);
        let unpacked = match form.packing {
            Packing::None => None,
            packing => Some(unpack::to_file(name, path, packing, u64::MAX, &std::env::temp_dir())?),
        };
        let path = unpacked.as_deref().unwrap_or(path);
        let file = File::open(path).map_err(|e| fail(io_reason(&e)))?;
        let (schema, batches, style): (SchemaRef, Batches, Style) = match form.format {
            Format::Parquet => {
                let wrong = |e: ParquetError| fail(plain(&e.to_string()));
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(wrong)?;
                let style = Style::Parquet(Box::new(properties(builder.metadata())));
                let schema = builder.schema().clone();
                (schema, Box::new(builder.with_batch_size(BATCH_ROWS).build().map_err(wrong)?), style)
            }
            Format::ArrowStream => {
                let codec = ipc::codec(name, path, true)?;
                let reader = StreamReader::try_new_buffered(file, None).map_err(|e| arrow_error(name, &e))?;
                (reader.schema(), Box::new(reader), Style::Stream(codec))
            }
            _ => {
                let codec = ipc::codec(name, path, false)?;
                let reader = FileReader::try_new_buffered(file, None).map_err(|e| arrow_error(name, &e))?;
                (with_metadata(&reader.schema(), reader.custom_metadata()), Box::new(reader), Style::File(codec))
            }
        };
        Ok(Self { name, schema, batches, style, _unpacked: unpacked })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.batches.next().transpose().map_err(|e| arrow_error(self.name, &e))
    }
}

/// The metadata in a file's footer come back with the schema, where other readers look for them too.
fn with_metadata(schema: &SchemaRef, custom: &HashMap<String, String>) -> SchemaRef {
    let mut metadata = schema.metadata().clone();
    metadata.extend(custom.clone());
    SchemaRef::new(schema.as_ref().clone().with_metadata(metadata))
}

enum Kind {
    Parquet(Box<ArrowWriter<Output>>),
    File(Box<FileWriter<Output>>),
    Stream(Box<StreamWriter<Output>>),
}

/// A table that is written.
struct Writer {
    path: PathBuf,
    form: Kind,
}

impl Writer {
    fn create(path: &Path, like: &Table<'_>, packing: Packing) -> Result<Self> {
        let output = Output::create(path, packing)?;
        let wrong = |e: &dyn std::fmt::Display| Error::output(path, e);
        let options = |codec: Option<CompressionType>| IpcWriteOptions::default().try_with_compression(codec).map_err(|e| wrong(&e));
        let form = match &like.style {
            Style::Parquet(properties) => {
                let writer = ArrowWriter::try_new(output, like.schema.clone(), Some(properties.as_ref().clone()));
                Kind::Parquet(Box::new(writer.map_err(|e| wrong(&e))?))
            }
            Style::File(codec) => {
                let writer = FileWriter::try_new_with_options(output, &like.schema, options(*codec)?);
                Kind::File(Box::new(writer.map_err(|e| wrong(&e))?))
            }
            Style::Stream(codec) => {
                let writer = StreamWriter::try_new_with_options(output, &like.schema, options(*codec)?);
                Kind::Stream(Box::new(writer.map_err(|e| wrong(&e))?))
            }
        };
        Ok(Self { path: path.to_owned(), form })
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.form {
            Kind::Parquet(writer) => writer.write(batch).map_err(|e| Error::output(&self.path, e)),
            Kind::File(writer) => writer.write(batch).map_err(|e| Error::output(&self.path, e)),
            Kind::Stream(writer) => writer.write(batch).map_err(|e| Error::output(&self.path, e)),
        }
    }

    fn finish(self) -> Result<()> {
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.path, e);
        let output = match self.form {
            Kind::Parquet(writer) => writer.into_inner().map_err(|e| fail(&e))?,
            Kind::File(mut writer) => {
                writer.finish().map_err(|e| fail(&e))?;
                writer.into_inner().map_err(|e| fail(&e))?
            }
            Kind::Stream(mut writer) => {
                writer.finish().map_err(|e| fail(&e))?;
                writer.into_inner().map_err(|e| fail(&e))?
            }
        };
        output.finish()
    }
}

/// A column with a dictionary that gets values which the dictionary has: it stays the same dictionary.
fn coded(old: &ArrayRef, wanted: &StringArray) -> Option<ArrayRef> {
    let coded = old.as_any_dictionary_opt()?;
    let levels = strings(coded.values());
    let keys = cast(coded.keys(), &DataType::Int64).ok()?;
    let level = |value: &str| (0_i64..).zip(levels.iter()).find(|(_, level)| *level == Some(value)).map(|(at, _)| at);
    let keys = keys.as_primitive::<Int64Type>().iter().zip(wanted).map(|(key, value)| match value {
        Some(value) => level(value).map(Some),
        None => Some(key),
    });
    let keys: Int64Array = keys.collect::<Option<Vec<Option<i64>>>>()?.into();
    let keys = cast(&keys, coded.keys().data_type()).ok()?;
    let data = keys.to_data().into_builder().data_type(old.data_type().clone()).add_child_data(coded.values().to_data());
    Some(make_array(data.build().ok()?))
}

/// A batch whose first row is at `first`, with its edits; `open` says whether dictionaries may grow.
fn edited(name: &str, batch: &RecordBatch, first: u64, edits: &Edits, open: bool) -> Result<RecordBatch> {
    let rows = || first..first + batch.num_rows() as u64;
    let Some((row, _)) = edits.values.range(rows()).next() else { return Ok(batch.clone()) };
    let at = batch.schema().index_of(&edits.column).map_err(|_| unfit(name, *row, edits))?;
    let old = batch.column(at);
    let wanted: StringArray = rows().map(|row| edits.values.get(&row).map(String::as_str)).collect();
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let new = cast_with_options(&wanted, old.data_type(), &options).map_err(|_| unfit(name, *row, edits))?;
    // What the column makes of a value must read as the value.
    let read = strings(&new);
    for (i, row) in rows().enumerate().filter(|(i, _)| wanted.is_valid(*i)) {
        if read.is_null(i) || read.value(i) != wanted.value(i) {
            return Err(unfit(name, row, edits));
        }
    }
    let is_edited: BooleanArray = (0..batch.num_rows()).map(|i| Some(wanted.is_valid(i))).collect();
    let mut columns = batch.columns().to_vec();
    if let Some(column) = columns.get_mut(at) {
        *column = match coded(old, &wanted) {
            Some(column) => column,
            // Arrow files have one dictionary for all batches: a new value has no place in it.
            None if old.as_any_dictionary_opt().is_some() && !open => return Err(unfit(name, *row, edits)),
            None => zip(&is_edited, &new, old).map_err(|e| arrow_error(name, &e))?,
        };
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(|e| arrow_error(name, &e))
}

pub(super) fn part(name: &str, path: &Path, form: Form, out: &BTreeSet<u64>, edits: &Edits, halves: &Halves) -> Result<Parted> {
    let mut table = Table::open(name, path, form)?;
    let mut kept = Writer::create(&halves.kept, &table, form.packing)?;
    let mut taken = Writer::create(&halves.taken, &table, form.packing)?;
    let (mut rows_kept, mut rows_taken, mut rows_edited, mut first) = (0, 0, 0, 0);
    let mut turns = turns(out);
    while let Some(batch) = table.next()? {
        let is_out: Vec<bool> = turns.by_ref().take(batch.num_rows()).collect();
        let is_edited = |row: &u64| edits.values.contains_key(row);
        let is_taken: Vec<bool> = (first..).zip(&is_out).map(|(row, out)| *out || is_edited(&row)).collect();
        let count = |which: &[bool]| which.iter().filter(|one| **one).count() as u64;
        rows_taken += count(&is_taken);
        rows_kept += batch.num_rows() as u64 - count(&is_out);
        rows_edited += count(&is_taken) - count(&is_out);
        let new = edited(name, &batch, first, edits, form.format == Format::Parquet)?;
        first += batch.num_rows() as u64;
        if count(&is_taken) == 0 {
            kept.put(&batch)?;
            continue;
        }
        let stays: BooleanArray = is_out.iter().map(|out| Some(!out)).collect();
        kept.put(&filter_record_batch(&new, &stays).map_err(|e| arrow_error(name, &e))?)?;
        taken.put(&filter_record_batch(&batch, &BooleanArray::from(is_taken)).map_err(|e| arrow_error(name, &e))?)?;
    }
    kept.finish()?;
    taken.finish()?;
    Ok(Parted { form, kept: rows_kept, taken: rows_taken, edited: rows_edited, content: None })
}

/// Rows of a table that are asked for in order, a run at a time.
struct Rows<'a> {
    table: Table<'a>,
    batch: Option<RecordBatch>,
}

impl Rows<'_> {
    /// The next rows, at most `most` of them; `None` at the end.
    fn take(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            self.batch = self.table.next()?;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let Some(batch) = self.batch.take() else { return Ok(None) };
        let count = most.min(batch.num_rows());
        self.batch = Some(batch.slice(count, batch.num_rows() - count));
        Ok(Some(batch.slice(0, count)))
    }
}

pub(super) fn join(name: &str, form: Form, out: &BTreeSet<u64>, edited: &BTreeSet<u64>, halves: &Halves, to: &Path) -> Result<u64> {
    let mut kept = Rows { table: Table::open(name, &halves.kept, form)?, batch: None };
    let mut taken = Rows { table: Table::open(name, &halves.taken, form)?, batch: None };
    let mut joined = Writer::create(to, &kept.table, form.packing)?;
    let mut rows = 0_u64;
    let mut positions = out.iter().copied().peekable();
    loop {
        let run = match positions.peek() {
            Some(next) if *next <= rows => {
                // The new form of a row makes way for the old one.
                if positions.next().is_some_and(|row| edited.contains(&row)) {
                    kept.take(1)?;
                }
                taken.take(1)?
            }
            Some(next) => kept.take(usize::try_from(next - rows).unwrap_or(usize::MAX))?,
            None => kept.take(usize::MAX)?,
        };
        let Some(run) = run else { break };
        rows += run.num_rows() as u64;
        joined.put(&run)?;
    }
    joined.finish()?;
    Ok(rows)
}
