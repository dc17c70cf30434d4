//! A file that is written, compressed as its source was.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;

use crate::data::read::unpack::Packing;
use crate::error::{Error, Result};

enum Packer {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

/// A new file.
pub(super) struct Output {
    path: PathBuf,
    packer: Packer,
}

impl Output {
    pub(super) fn create(path: &Path, packing: Packing) -> Result<Self> {
        let open = || -> io::Result<Packer> {
            let file = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
            Ok(match packing {
                Packing::None => Packer::Plain(file),
                Packing::Gzip => Packer::Gzip(GzEncoder::new(file, flate2::Compression::default())),
                Packing::Zstd => Packer::Zstd(zstd::Encoder::new(file, 0)?),
            })
        };
        let packer = open().map_err(|e| Error::output(path, e))?;
        Ok(Self { path: path.to_owned(), packer })
    }

    /// Writes bytes, with the file named where that fails.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| Error::output(&self.path, e))
    }

    /// Brings everything to the disk.
    pub(super) fn finish(self) -> Result<()> {
        let Self { path, packer } = self;
        let finish = || -> io::Result<()> {
            let buffered = match packer {
                Packer::Plain(file) => file,
                Packer::Gzip(encoder) => encoder.finish()?,
                Packer::Zstd(encoder) => encoder.finish()?,
            };
            buffered.into_inner()?.sync_all()
        };
        finish().map_err(|e| Error::output(path, e))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packer {
            Packer::Plain(file) => file.write(bytes),
            Packer::Gzip(encoder) => encoder.write(bytes),
            Packer::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.packer {
            Packer::Plain(file) => file.flush(),
            Packer::Gzip(encoder) => encoder.flush(),
            Packer::Zstd(encoder) => encoder.flush(),
        }
    }
}
