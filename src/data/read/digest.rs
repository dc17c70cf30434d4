//! BLAKE3 and SHA-256 of a source's bytes, both from one read, and the spooling of streams that can be read only once.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::Digest as _;
use tempfile::TempPath;

use crate::data::read::text::io_reason;
use crate::error::{Error, Place, Result};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Bytes below which two hashes are not worth two threads.
const SMALL: usize = 1 << 16;

/// What identifies the bytes of one source.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    pub(super) bytes: u64,
    pub(super) blake3: String,
    pub(super) sha256: String,
}

/// BLAKE3 and SHA-256 of bytes that come in pieces.
#[derive(Default)]
pub(super) struct Hashers {
    bytes: u64,
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
}

impl Hashers {
    pub(super) fn update(&mut self, chunk: &[u8]) {
        let Self { bytes, blake3, sha256 } = self;
        *bytes += chunk.len() as u64;
        if chunk.len() < SMALL {
            blake3.update(chunk);
            sha256.update(chunk);
            return;
        }
        rayon::join(|| blake3.update(chunk), || sha256.update(chunk));
    }

    pub(super) fn finish(self) -> Digest {
        let sha256 = self.sha256.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Digest { bytes: self.bytes, blake3: self.blake3.finalize().to_hex().to_string(), sha256 }
    }
}

/// The digest of bytes in memory.
pub(super) fn of_bytes(bytes: &[u8]) -> Digest {
    let mut hashers = Hashers::default();
    hashers.update(bytes);
    hashers.finish()
}

/// The digest of the file at `path`.
pub(super) fn of_file(name: &str, path: &Path) -> Result<Digest> {
    let fail = |e: io::Error| Error::input(Place::source(name), io_reason(&e));
    let mut file = File::open(path).map_err(fail)?;
    copy(&mut file, fail, |_| Ok(()))
}

/// Copies a stream to a temporary file in `dir`, so that it can be read again; `head` is what was already taken from it.
pub(super) fn spool(name: &str, head: &[u8], stream: &mut dyn Read, dir: &Path) -> Result<(TempPath, Digest)> {
    let fail = |e: io::Error| Error::input(Place::source(name), io_reason(&e));
    let disk = |e: io::Error| Error::output(dir, io_reason(&e));
    let mut target = tempfile::Builder::new().prefix("foretaste-").tempfile_in(dir).map_err(disk)?;
    let digest = copy(&mut head.chain(stream), fail, |chunk| target.write_all(chunk).map_err(disk))?;
    Ok((target.into_temp_path(), digest))
}

fn copy(source: &mut dyn Read, fail: impl Fn(io::Error) -> Error, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<Digest> {
    let mut hashers = Hashers::default();
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        source.take(CHUNK as u64).read_to_end(&mut chunk).map_err(&fail)?;
        if chunk.is_empty() {
            return Ok(hashers.finish());
        }
        hashers.update(&chunk);
        sink(&chunk)?;
    }
}
