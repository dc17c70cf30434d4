//! One file of a manifest: what it holds and how it is read again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Schema, SchemaRef};
use tempfile::TempPath;

use crate::data::read::Options;
use crate::data::read::csv::{self, CsvPush, Guess};
use crate::data::read::digest::{self, Digest};
use crate::data::read::format::{self, Format, Stamp};
use crate::data::read::guard::guarded;
use crate::data::read::ipc::Ipc;
use crate::data::read::jsonl::{Inference, JsonPush};
use crate::data::read::parquet::Parquet;
use crate::data::read::text::{self, Batched};
use crate::data::read::unpack::{self, Packing};
use crate::data::{Batches, File};
use crate::error::Result;

/// Rows of a batch while types are inferred.
const INFER_ROWS: usize = 8192;

/// A path that may be a temporary file, which is removed with the input.
#[derive(Debug)]
enum Bytes {
    Named(PathBuf),
    Temporary(TempPath),
}

impl Bytes {
    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Body {
    Parquet(Parquet),
    Ipc(Ipc),
    Csv { delimiter: u8, header: Vec<String>, guesses: Vec<Guess>, rows: u64 },
    Jsonl { rows: u64 },
}

/// One opened file.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    source: Bytes,
    /// Where a compressed binary file was unpacked to.
    unpacked: Option<TempPath>,
    packing: Packing,
    limit: u64,
    stamp: Stamp,
    digest: OnceLock<Digest>,
    pub(super) body: Body,
    schema: SchemaRef,
}

impl Input {
    /// Opens the file at `path`; what JSON lines show of their columns is added to `json`.
    pub(super) fn open(name: String, path: PathBuf, options: &Options, json: &mut Inference) -> Result<Self> {
        Self::new(name, Bytes::Named(path), OnceLock::new(), options, json)
    }

    /// Opens what a stream was spooled to.
    pub(super) fn from_spool(name: String, path: TempPath, digest: Digest, options: &Options, json: &mut Inference) -> Result<Self> {
        Self::new(name, Bytes::Temporary(path), OnceLock::from(digest), options, json)
    }

    fn new(name: String, source: Bytes, digest: OnceLock<Digest>, options: &Options, json: &mut Inference) -> Result<Self> {
        let stamp = Stamp::of(&name, source.path())?;
        let limit = options.unpack_limit;
        let (format, packing) = guarded(&name, || format::detect(&name, source.path(), options.format))?;
        let seeks = !matches!(format, Format::Csv | Format::Tsv | Format::Jsonl);
        let unpacked = (seeks && packing != Packing::None)
            .then(|| unpack::to_file(&name, source.path(), packing, limit, &options.spool()))
            .transpose()?;
        let path = unpacked.as_deref().unwrap_or(source.path());
        let text = || text::open(&name, path, packing, limit);
        let body = guarded(&name, || match format {
            Format::Parquet => Parquet::load(&name, path).map(Body::Parquet),
            Format::Arrow => Ipc::load(&name, path, false).map(Body::Ipc),
            Format::ArrowStream => Ipc::load(&name, path, true).map(Body::Ipc),
            Format::Csv | Format::Tsv => {
                let delimiter = if format == Format::Csv { csv::delimiter(&name, packing, text()?.as_mut())? } else { b'\t' };
                let header = csv::header(&name, packing, text()?.as_mut(), delimiter)?;
                let all: Vec<usize> = (0..header.len()).collect();
                let decoder = CsvPush::new(csv::as_text(&header), delimiter, &all, INFER_ROWS);
                let batches = Batched { name: name.clone(), packing, reader: text()?, decoder };
                let (guesses, rows) = csv::infer(batches, header.len())?;
                Ok(Body::Csv { delimiter, header, guesses, rows })
            }
            Format::Jsonl => Ok(Body::Jsonl { rows: json.read(&name, packing, text()?.as_mut())? }),
        })?;
        let schema = match &body {
            Body::Parquet(parquet) => parquet.schema(),
            Body::Ipc(ipc) => ipc.schema.clone(),
            // Text files have their types only once all of them have been read.
            Body::Csv { .. } | Body::Jsonl { .. } => Arc::new(Schema::empty()),
        };
        Ok(Self { name, source, unpacked, packing, limit, stamp, digest, body, schema })
    }

    /// The schema of the file itself.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Fixes the types of a text file.
    pub(super) fn set_schema(&mut self, schema: SchemaRef) {
        self.schema = schema;
    }

    /// Rows it holds, as its footer says or as they were counted.
    pub(super) fn rows(&self) -> u64 {
        match &self.body {
            Body::Parquet(parquet) => parquet.rows,
            Body::Ipc(ipc) => ipc.rows,
            Body::Csv { rows, .. } | Body::Jsonl { rows } => *rows,
        }
    }

    /// Batches of at least the columns `read` (ascending positions in [`Self::schema`]), in that order.
    pub(super) fn scan(&self, read: &[usize], batch_rows: usize) -> Result<Batches> {
        self.check()?;
        let path = self.unpacked.as_deref().unwrap_or(self.source.path());
        // These decoders take the number of rows from a column, so one is read even if none is wanted.
        let some = if read.is_empty() { &[0] } else { read };
        let text = || text::open(&self.name, path, self.packing, self.limit);
        let (name, packing) = (self.name.clone(), self.packing);
        guarded(&self.name, || match &self.body {
            Body::Parquet(parquet) => parquet.scan(&self.name, path, read, batch_rows),
            Body::Ipc(ipc) => ipc.scan(&self.name, path, some, batch_rows),
            Body::Csv { delimiter, .. } => {
                let decoder = CsvPush::new(self.schema(), *delimiter, read, batch_rows);
                Ok(Box::new(Batched { name, packing, reader: text()?, decoder }))
            }
            Body::Jsonl { .. } => {
                let fields: Vec<_> = some.iter().filter_map(|at| self.schema.fields().get(*at)).cloned().collect();
                let mut reader = text()?;
                let decoder = JsonPush::new(&name, reader.as_mut(), packing, Arc::new(Schema::new(fields)), batch_rows)?;
                Ok(Box::new(Batched { name, packing, reader, decoder }))
            }
        })
    }

    /// Fails if the file is no longer the one that was opened.
    pub(super) fn check(&self) -> Result<()> {
        self.stamp.check(&self.name, self.source.path())
    }

    /// Name, digests and rows. The bytes are read once, whatever the number of calls.
    pub(super) fn file(&self) -> Result<File> {
        let digest = if let Some(digest) = self.digest.get() {
            digest
        } else {
            self.check()?;
            let digest = digest::of_file(&self.name, self.source.path())?;
            self.check()?;
            self.digest.get_or_init(|| digest)
        };
        let Digest { bytes, blake3, sha256 } = digest.clone();
        Ok(File { name: self.name.clone(), bytes, blake3, sha256, rows: self.rows() })
    }
}
