//! What kind of bytes a file holds: by its extension, else by its first bytes.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::read::text::io_reason;
use crate::data::read::unpack::{self, Packing};
use crate::error::{Error, Place, Result};

/// A table format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC file (Feather 2). Whether it is a file or a stream is seen from its first bytes.
    Arrow,
    /// Arrow IPC stream, which the same extensions often hold.
    ArrowStream,
    /// Comma-separated values with a header, which tells whether semicolons, tabs or bars stand in for the commas.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// All formats, in the order in which help lists them.
    pub const ALL: [Self; 6] = [Self::Parquet, Self::Arrow, Self::ArrowStream, Self::Csv, Self::Tsv, Self::Jsonl];

    /// The name by which a user asks for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::ArrowStream => "arrow-stream",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
        }
    }

    fn of_extension(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "arrows" => Some(Self::ArrowStream),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }

    fn of_magic(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PAR1") {
            Some(Self::Parquet)
        } else if head.starts_with(b"ARROW1") {
            Some(Self::Arrow)
        } else if head.starts_with(&[0xff; 4]) {
            Some(Self::ArrowStream)
        } else if head.first() == Some(&b'{') {
            Some(Self::Jsonl)
        } else {
            None
        }
    }
}

/// What foreign files begin with, what they hold, and what to do with them.
const FOREIGN: [(&[u8], &str, &str); 11] = [
    (b"\xff\xfe", "UTF-16 text", RECODE_WIDE),
    (b"\xfe\xff", "UTF-16 text", RECODE_WIDE),
    (
        b"\x93NUMPY",
        "a NumPy array",
        "Write it as a column of vectors, for example with pyarrow: pq.write_table(pa.table({'embedding': list(array)}), 'x.parquet')",
    ),
    (b"PK\x03\x04", "a ZIP archive: a spreadsheet, NumPy arrays or packed files", "Unpack it, or export the sheet as CSV."),
    (b"\x89HDF", "HDF5", "Export the table as Parquet, for example with pandas: read_hdf(...).to_parquet('x.parquet')"),
    (b"%PDF", "a PDF document", "Data come as tables: Parquet, Arrow IPC, CSV or JSON lines."),
    (b"\x80\x04\x95", "a Python pickle", PICKLE),
    (b"\x80\x05\x95", "a Python pickle", PICKLE),
    (b"SQLite f", "an SQLite database", "Export the table as CSV or Parquet."),
    (b"\x89PNG", "a picture", PICTURES),
    (b"\xff\xd8\xff", "a picture", PICTURES),
];
const RECODE_WIDE: &str = "Text must be UTF-8. Save the file so, for example with: iconv -f utf-16 -t utf-8 OLD > NEW";
const PICKLE: &str = "A pickle can run code when it is loaded. Where it comes from a hand you trust, write its table as Parquet.";
const PICTURES: &str = "Pictures are read from a table: a Parquet file with a column of encoded pictures and one of labels, as Hugging Face's imagefolder writes it.";

/// The error that a file is of a kind that is not read, by its first bytes.
fn foreign(name: &str, head: &[u8]) -> Option<Error> {
    let (_, what, help) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(Error::input(Place::source(name), format!("this is {what}, which is not read")).with_help(*help))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| Error::config("--format", format!("unknown format '{name}'")).with_help(names()))
    }
}

fn names() -> String {
    format!("The formats are {}.", Format::ALL.map(Format::name).join(", "))
}

/// Whether a folder's file is one that a reader takes, by its name alone. What ends in `.json` mostly describes data that lie beside it,
/// so such a file is read only where it is named itself.
pub(super) fn is_supported(path: &Path) -> bool {
    let (_, name) = unpack::inner_name(path);
    let describes = name.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    !describes && Format::of_extension(&name).is_some()
}

/// Whether the first bytes alone tell the format, or at least a compression inside which they may.
pub(super) fn is_known(head: &[u8]) -> bool {
    Packing::of_magic(head) != Packing::None || Format::of_magic(head).is_some()
}

/// The format and compression of the file at `path`; `name` is what the user calls it.
pub(in crate::data) fn detect(name: &str, path: &Path, forced: Option<Format>) -> Result<(Format, Packing)> {
    let fail = |reason: &str| Error::input(Place::source(name), reason);
    let outer = head(unpack::reader(name, path, Packing::None, u64::MAX)?.as_mut()).map_err(|e| fail(&io_reason(&e)))?;
    if outer.is_empty() {
        return Err(fail("the file is empty").with_help("See whether what writes it has ended."));
    }
    let (declared, inner_name) = unpack::inner_name(Path::new(name));
    let packing = Packing::of_magic(&outer);
    if declared != Packing::None && declared != packing {
        return Err(fail(&format!("not {} data: its first bytes are others", declared.name())));
    }
    let head = match packing {
        Packing::None => outer,
        _ => head(unpack::reader(name, path, packing, u64::MAX)?.as_mut()).map_err(|e| packing.error(name, &e))?,
    };
    let magic = Format::of_magic(&head);
    if let Some(error) = foreign(name, &head).filter(|_| magic.is_none()) {
        return Err(error);
    }
    let Some(format) = forced.or_else(|| Format::of_extension(&inner_name)).or(magic) else {
        let help = format!("Say which it is with --format. {}", names());
        return Err(fail("the format is known neither from the extension nor from the first bytes").with_help(help));
    };
    let seen = |error: Error| match magic {
        Some(found) => error.with_help(format!("It looks like {found}; if so, say --format {found}.")),
        None => error,
    };
    match (format, magic) {
        (Format::Parquet, Some(Format::Parquet)) => Ok((Format::Parquet, packing)),
        (Format::Parquet, _) => Err(seen(fail("not a Parquet file: it does not begin with PAR1"))),
        (Format::Arrow | Format::ArrowStream, Some(found @ (Format::Arrow | Format::ArrowStream))) => Ok((found, packing)),
        (Format::Arrow | Format::ArrowStream, _) => {
            Err(seen(fail("not an Arrow file: it begins neither with ARROW1 nor with a stream's first message")))
        }
        (text, Some(Format::Parquet | Format::Arrow)) => Err(seen(fail(&format!("not a {text} file: its bytes are binary")))),
        (text, _) => Ok((text, packing)),
    }
}

fn head(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(8);
    reader.take(8).read_to_end(&mut head)?;
    Ok(head)
}

/// Size and time of a file, so that a change between two reads is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: Option<std::time::SystemTime>,
}

impl Stamp {
    /// The stamp of the file at `path` now.
    pub(super) fn of(name: &str, path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|e| Error::input(Place::source(name), io_reason(&e)))?;
        Ok(Self { bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Fails if the file at `path` is no longer the one that the stamp was taken of.
    pub(super) fn check(&self, name: &str, path: &Path) -> Result<()> {
        if Self::of(name, path)? == *self {
            return Ok(());
        }
        Err(Error::input(Place::source(name), "changed while it was read").with_help("Run again once nothing writes to it."))
    }
}
