//! Compressed inputs: gzip and Zstandard, read through a limit so that a small file cannot fill a disk or run for ever.

use std::error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use crate::data::read::text::{io_reason, plain};
use crate::error::{Error, Place, Result};

/// Bytes that any compressed input may unpack to, whatever its ratio.
const FREE_BYTES: u64 = 64 << 20;
/// Unpacked bytes per compressed byte allowed beyond [`FREE_BYTES`]; real tables stay under about 100.
const MAX_RATIO: u64 = 1000;

/// How the bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::data) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn of_magic(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What a failed read of such a file means.
    pub(in crate::data) fn error(self, name: &str, error: &io::Error) -> Error {
        let place = Place::source(name);
        if let Some(limit) = error.get_ref().and_then(|inner| inner.downcast_ref::<TooLarge>()) {
            return Error::input(place, limit.to_string())
                .with_help("If the file is what you expect, unpack it first and name the result.");
        }
        match self {
            Self::None => Error::input(place, io_reason(error)),
            _ => Error::input(place, format!("corrupt {} data: {}", self.name(), plain(&error.to_string()))),
        }
    }
}

/// The compression that a name declares, and the name without its suffix.
pub(super) fn inner_name(path: &Path) -> (Packing, PathBuf) {
    let packing = match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("gz" | "gzip") => Packing::Gzip,
        Some("zst" | "zstd") => Packing::Zstd,
        _ => return (Packing::None, path.to_owned()),
    };
    (packing, path.with_extension(""))
}

/// The unpacked bytes of the file at `path`; reading fails with [`TooLarge`] beyond `limit` bytes or [`MAX_RATIO`].
pub(super) fn reader(name: &str, path: &Path, packing: Packing, limit: u64) -> Result<Box<dyn Read + Send>> {
    let fail = |e: &io::Error| Error::input(Place::source(name), io_reason(e));
    let file = File::open(path).map_err(|e| fail(&e))?;
    let bytes = file.metadata().map_err(|e| fail(&e))?.len();
    let limit = limit.min(bytes.saturating_mul(MAX_RATIO).max(FREE_BYTES));
    let inner: Box<dyn Read + Send> = match packing {
        Packing::None => return Ok(Box::new(file)),
        // Concatenated members are one stream to gzip's own tools, so they are here.
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, file))),
        Packing::Zstd => Box::new(zstd::Decoder::new(file).map_err(|e| packing.error(name, &e))?),
    };
    Ok(Box::new(Limited { inner, left: limit, limit }))
}

/// Unpacks the file at `path` into a temporary file in `dir`, for the formats that need to seek.
pub(in crate::data) fn to_file(name: &str, path: &Path, packing: Packing, limit: u64, dir: &Path) -> Result<TempPath> {
    let spool = |e: &io::Error| Error::output(dir, io_reason(e));
    let mut source = reader(name, path, packing, limit)?;
    let mut target = tempfile::Builder::new().prefix("foretaste-").tempfile_in(dir).map_err(|e| spool(&e))?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = source.read(&mut chunk).map_err(|e| packing.error(name, &e))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        io::Write::write_all(&mut target, bytes).map_err(|e| spool(&e))?;
    }
    Ok(target.into_temp_path())
}

/// A compressed input holds more than it may.
#[derive(Debug)]
struct TooLarge(u64);

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unpacks to more than {} bytes", self.0)
    }
}

impl error::Error for TooLarge {}

struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLarge(self.limit))),
        }
        Ok(read)
    }
}
