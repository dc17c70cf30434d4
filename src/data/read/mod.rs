//! Readers: from what the user names to rows that can be read again and again.
//!
//! Every file is read lazily and in bounded memory. Streams are copied to a temporary file first, so that they can be
//! read more than once; so are compressed Parquet and Arrow files, which need to seek.

pub(in crate::data) mod csv;
mod digest;
pub(in crate::data) mod format;
pub(in crate::data) mod guard;
mod input;
pub(in crate::data) mod ipc;
mod jsonl;
mod manifest;
mod memory;
mod parquet;
#[cfg(feature = "object-store")]
mod remote;
mod resolve;
mod spread;
mod stream;
pub(in crate::data) mod text;
mod unify;
pub(in crate::data) mod unpack;
mod watched;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::Source;
use crate::data::read::input::Input;
use crate::data::read::jsonl::Inference;
use crate::data::read::manifest::Manifest;
use crate::data::read::resolve::Found;
use crate::data::read::text::io_reason;
use crate::error::{Error, Place, Result};

pub use format::Format;
pub use memory::{Memory, digest_table};
pub(crate) use resolve::declared_schema;
pub use spread::{Cluster, Spread, asks_for_census, census, join_census};
pub(crate) use spread::{counted, schema_of_bytes, schema_to_bytes};
pub use stream::Stream;
pub(crate) use watched::changed;
pub use watched::{Slice, Watched};

/// How inputs are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Format of all inputs; by default each file's extension, else its first bytes, tell.
    pub format: Option<Format>,
    /// Most rows a batch holds, at least 1. It changes memory and speed, never the rows or their order.
    pub batch_rows: usize,
    /// Folder for temporary files; by default the system's.
    pub spool_dir: Option<PathBuf>,
    /// Most bytes that a compressed file may unpack to. Whatever this says, a file that unpacks to more than 64 MiB may
    /// not unpack to more than 1,000 times its size.
    pub unpack_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: None, batch_rows: 8192, spool_dir: None, unpack_limit: 64 << 30 }
    }
}

impl Options {
    fn spool(&self) -> PathBuf {
        self.spool_dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Opens what `inputs` name as one source: paths, patterns, folders (all supported files inside, sorted), `-` for the
/// standard input, and addresses if the crate is built with `object-store`.
///
/// Files come in the order given, those of a folder or pattern sorted by path. All must have the same columns; the
/// first file's order and types hold, and others are cast where no value can be lost. Text files are read once here to
/// find their types.
pub fn open(inputs: &[String], options: &Options) -> Result<Box<dyn Source>> {
    let mut opened = Vec::new();
    let mut json = Inference::default();
    for found in resolve::resolve(inputs)? {
        match &found {
            Found::File(path) => opened.push(Input::open(found.name(), path.clone(), options, &mut json)?),
            Found::Stream(path) => {
                let fail = |e: std::io::Error| Error::input(Place::source(found.name()), io_reason(&e));
                let mut stream = std::fs::File::open(path).map_err(fail)?;
                opened.push(spooled(found.name(), &mut stream, options, &mut json)?);
            }
            Found::Stdin => opened.push(spooled(found.name(), &mut std::io::stdin().lock(), options, &mut json)?),
            Found::Address(address) => opened.extend(fetch(address, options, &mut json)?),
        }
    }
    Ok(Box::new(Manifest::new(opened, &json, options.batch_rows.max(1))?))
}

fn spooled(name: String, stream: &mut dyn Read, options: &Options, json: &mut Inference) -> Result<Input> {
    let fail = |reason: &str| Error::input(Place::source(&name), reason);
    let mut head = Vec::with_capacity(8);
    stream.take(8).read_to_end(&mut head).map_err(|e| fail(&io_reason(&e)))?;
    // What cannot be read is refused before a stream without end fills the disk.
    if options.format.is_none() && !format::is_known(&head) {
        let help = "Say which it is with --format.";
        return Err(
            fail(if head.is_empty() { "the stream is empty" } else { "the format is not known from the first bytes" }).with_help(help)
        );
    }
    let (path, digest) = digest::spool(&name, &head, stream, &options.spool())?;
    Input::from_spool(name, path, digest, options, json)
}

/// The files that `inputs` name, in the order in which a scan reads them.
///
/// # Errors
/// [`Error::Input`] where one is not there, or is a stream or an address: those cannot be read twice.
pub(crate) fn files(inputs: &[String]) -> Result<Vec<PathBuf>> {
    let file = |found: Found| match found {
        Found::File(path) => Ok(path),
        other => Err(Error::input(Place::source(other.name()), "is no file")),
    };
    resolve::resolve(inputs)?.into_iter().map(file).collect()
}

/// SHA-256 of a file's bytes, hex.
pub(crate) fn digest_of(path: &Path) -> Result<String> {
    Ok(digest::of_file(&path.display().to_string(), path)?.sha256)
}

/// SHA-256 of bytes in memory, hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest::of_bytes(bytes).sha256
}

#[cfg(feature = "object-store")]
fn fetch(address: &str, options: &Options, json: &mut Inference) -> Result<Vec<Input>> {
    remote::fetch(address, options, json)
}

#[cfg(not(feature = "object-store"))]
fn fetch(address: &str, _: &Options, _: &mut Inference) -> Result<Vec<Input>> {
    let help = "Download the file and name the copy, or build with --features object-store.";
    Err(Error::input(Place::source(address), "this build does not read addresses").with_help(help))
}
