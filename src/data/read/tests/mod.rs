//! Tests of the readers, by what they must get right.

mod bad;
mod formats;
#[cfg(feature = "object-store")]
mod remote;
mod resolve;
mod shards;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use tempfile::TempDir;

use super::{Options, open};
use crate::data::Source;
use crate::error::Result;

/// A folder for one test, with names as the user would write them.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn name(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.name(file)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.0.path().join(file)).unwrap()
    }

    fn open(&self, files: &[&str]) -> Result<Box<dyn Source>> {
        let names: Vec<String> = files.iter().map(|file| self.name(file)).collect();
        open(&names, &self.options())
    }

    fn options(&self) -> Options {
        Options { spool_dir: Some(self.0.path().to_owned()), ..Options::default() }
    }

    /// The message and the help of the error that opening or reading ends in, without the folder.
    fn error(&self, files: &[&str]) -> (String, String) {
        let error = match self.open(files) {
            Ok(source) => source.scan(None).unwrap().find_map(Result::err).expect("an error"),
            Err(error) => error,
        };
        let folder = format!("{}/", self.0.path().display());
        let help = error.help().unwrap_or_default().replace(&folder, "");
        (error.to_string().replace(&folder, ""), help)
    }

    fn message(&self, files: &[&str]) -> String {
        self.error(files).0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn parquet(path: impl AsRef<Path>, batch: &RecordBatch) {
    let properties = parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let file = File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn arrow(batch: &RecordBatch, stream: bool, zstd: bool) -> Vec<u8> {
    let codec = zstd.then_some(arrow::ipc::CompressionType::ZSTD);
    let options = arrow::ipc::writer::IpcWriteOptions::default().try_with_compression(codec).unwrap();
    let mut bytes = Vec::new();
    // Two batches, so that reading stops at no batch's end.
    let half = batch.num_rows() / 2;
    let parts = [batch.slice(0, half), batch.slice(half, batch.num_rows() - half)];
    if stream {
        let mut writer = arrow::ipc::writer::StreamWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
        for part in &parts {
            writer.write(part).unwrap();
        }
        writer.finish().unwrap();
    } else {
        let mut writer = arrow::ipc::writer::FileWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
        for part in &parts {
            writer.write(part).unwrap();
        }
        writer.finish().unwrap();
    }
    bytes
}

/// All rows of a source in one batch.
fn all(source: &dyn Source, columns: Option<&[usize]>) -> RecordBatch {
    let schema: SchemaRef = match columns {
        Some(columns) => Arc::new(source.schema().project(columns).unwrap()),
        None => source.schema(),
    };
    let batches: Vec<_> = source.scan(columns).unwrap().map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.schema() == schema && batch.num_rows() > 0));
    if schema.fields().is_empty() {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        return RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
    }
    concat_batches(&schema, &batches).unwrap()
}
