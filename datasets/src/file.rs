//! Parquet files in and out.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Error, Result};

/// Reads a whole Parquet file as one batch, all columns, rows in file order.
pub fn read_parquet(path: impl AsRef<Path>) -> Result<RecordBatch> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let parquet = |source| Error::Parquet { path: path.to_owned(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
    let schema = builder.schema().clone();
    let batches = builder.build().map_err(parquet)?.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

/// Writes a batch as a zstd-compressed Parquet file, replacing what was there.
pub fn write_parquet(path: impl AsRef<Path>, batch: &RecordBatch) -> Result<()> {
    let path = path.as_ref();
    let file = File::create(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let write = || {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(9)?)).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
        writer.write(batch)?;
        writer.close()
    };
    write().map(|_| ()).map_err(|source| Error::Parquet { path: path.to_owned(), source })
}

/// Path of a file that ships in this crate's `data/`, such as `digits.parquet` or `truth/digits_backdoor.parquet`.
#[must_use]
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_survives_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        for batch in [crate::synth::pictures(20, 8, 1, 3, 1).unwrap(), crate::synth::gaussian_classes(0, 2, 2, 1).unwrap()] {
            write_parquet(&path, &batch).unwrap();
            assert_eq!(read_parquet(&path).unwrap(), batch);
        }
    }

    #[test]
    fn missing_and_foreign_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        assert!(matches!(read_parquet(&path), Err(Error::File { .. })));
        std::fs::write(&path, b"not parquet").unwrap();
        assert!(matches!(read_parquet(&path), Err(Error::Parquet { .. })));
    }
}
