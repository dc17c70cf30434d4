//! Parquet: the footer once, then row groups page by page.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::data::Batches;
use crate::data::read::text::{arrow_error, io_reason, plain};
use crate::error::{Error, Place, Result};

/// Decoded bytes that a batch aims to stay under, so that images do not come 8,192 at a time.
const BATCH_BYTES: u64 = 64 << 20;

/// A Parquet file whose footer has been read.
#[derive(Debug)]
pub(super) struct Parquet {
    metadata: ArrowReaderMetadata,
    /// Rows that the footer promises.
    pub(super) rows: u64,
}

impl Parquet {
    /// Reads the footer of the file at `path`.
    pub(super) fn load(name: &str, path: &Path) -> Result<Self> {
        let fail = |reason: String| Error::input(Place::source(name), reason);
        let mut file = File::open(path).map_err(|e| fail(io_reason(&e)))?;
        let mut tail = [0; 4];
        let read = file.seek(SeekFrom::End(-4)).and_then(|at| file.read_exact(&mut tail).map(|()| at));
        // The smallest file has magic, footer length and magic again; encrypted footers end in PARE.
        if !matches!(read, Ok(8..)) || !matches!(&tail, b"PAR1" | b"PARE") {
            return Err(fail("truncated: the Parquet footer is missing".to_owned()).with_help("Copy or download the file again."));
        }
        let unreadable = |e: &ParquetError| fail(format!("not a readable Parquet file: {}", plain(&e.to_string())));
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| unreadable(&e))?;
        let rows = metadata.metadata().row_groups().iter().try_fold(0_u64, |sum, group| {
            let rows = u64::try_from(group.num_rows()).ok()?;
            sum.checked_add(rows)
        });
        let rows = rows.ok_or_else(|| fail("not a readable Parquet file: a row group has a negative number of rows".to_owned()))?;
        Ok(Self { metadata, rows })
    }

    /// The Arrow schema, with the file's own key-value metadata.
    pub(super) fn schema(&self) -> SchemaRef {
        self.metadata.schema().clone()
    }

    /// Batches of the columns `read` (ascending) of the file at `path`.
    pub(super) fn scan(&self, name: &str, path: &Path, read: &[usize], batch_rows: usize) -> Result<Batches> {
        let fail = |reason: String| Error::input(Place::source(name), reason);
        let file = File::open(path).map_err(|e| fail(io_reason(&e)))?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), read.iter().copied());
        let rows = self.rows_per_batch(&mask, batch_rows);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let reader = builder.with_projection(mask).with_batch_size(rows).build().map_err(|e| fail(plain(&e.to_string())))?;
        let name = name.to_owned();
        Ok(Box::new(reader.map(move |batch| batch.map_err(|e| arrow_error(&name, &e)))))
    }

    /// Rows whose columns stay under [`BATCH_BYTES`] in the row group with the largest rows, as far as the footer tells.
    fn rows_per_batch(&self, mask: &ProjectionMask, batch_rows: usize) -> usize {
        let row_bytes = self.metadata.metadata().row_groups().iter().map(|group| {
            let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
            let bytes: u64 = leaves.map(|(_, column)| u64::try_from(column.uncompressed_size()).unwrap_or(0)).fold(0, u64::saturating_add);
            bytes / u64::try_from(group.num_rows()).unwrap_or(0).max(1)
        });
        let fitting = BATCH_BYTES / row_bytes.max().unwrap_or(0).max(1);
        batch_rows.min(usize::try_from(fitting).unwrap_or(usize::MAX)).max(1)
    }
}
