//! The Parquet files of a report, written as the rows come.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{Error, Result};

/// Rows handed to Parquet at once, however the caller cut them: page borders follow these cuts, and the same rows must
/// give the same file.
const BATCH_ROWS: usize = 4_096;
/// Rows of a row group; what is buffered before it reaches the disk.
const GROUP_ROWS: usize = 131_072;
/// Buffered bytes after which a row group ends early, since evidence can be long.
const GROUP_BYTES: usize = 64 << 20;

/// The columns of `scores.parquet`: `row`, the user's `id`, one nullable number for each name in `scores` (families,
/// then detector codes; higher is worse), and `combined`.
pub(super) fn scores_schema<'a>(id_type: Option<&DataType>, scores: impl IntoIterator<Item = &'a str>) -> SchemaRef {
    let mut fields = vec![Field::new("row", DataType::UInt64, false)];
    fields.extend(id_type.map(|data_type| Field::new("id", data_type.clone(), true)));
    fields.extend(scores.into_iter().chain(["combined"]).map(|name| Field::new(name, DataType::Float64, true)));
    Arc::new(Schema::new(fields))
}

/// A Parquet file that takes its schema from its first batch.
pub(super) struct Table {
    file: Option<File>,
    /// Where the file will be in the end, for messages.
    shown: PathBuf,
    open: Option<Open>,
}

struct Open {
    writer: ArrowWriter<File>,
    queue: BatchCoalescer,
}

impl Table {
    pub(super) fn create(path: &Path, shown: PathBuf) -> Result<Self> {
        let file = File::create_new(path).map_err(|e| Error::output(&shown, e))?;
        Ok(Self { file: Some(file), shown, open: None })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.open(&batch.schema())?;
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.shown, e);
        let Some(open) = &mut self.open else { return Ok(()) };
        if batch.schema().fields() != open.queue.schema().fields() {
            return Err(fail(&"the columns of these rows are not those of the rows before"));
        }
        open.queue.push_batch(batch.clone()).map_err(|e| fail(&e))?;
        open.drain().map_err(|e| fail(&e))
    }

    /// Ends the file; `schema` is used if no batch ever came.
    pub(super) fn close(mut self, schema: &SchemaRef) -> Result<()> {
        self.open(schema)?;
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.shown, e);
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.queue.finish_buffered_batch().map_err(|e| fail(&e))?;
        open.drain().map_err(|e| fail(&e))?;
        let file = open.writer.into_inner().map_err(|e| fail(&e))?;
        file.sync_all().map_err(|e| fail(&e))
    }

    fn open(&mut self, schema: &SchemaRef) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| Error::output(&self.shown, e))?;
        self.open = Some(Open { writer, queue: BatchCoalescer::new(schema.clone(), BATCH_ROWS) });
        Ok(())
    }
}

impl Open {
    fn drain(&mut self) -> parquet::errors::Result<()> {
        while let Some(batch) = self.queue.next_completed_batch() {
            self.writer.write(&batch)?;
            if self.writer.in_progress_size() > GROUP_BYTES {
                self.writer.flush()?;
            }
        }
        Ok(())
    }
}
