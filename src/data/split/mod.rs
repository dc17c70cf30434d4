//! Files parted by rows into two of the same form, and joined again.
//!
//! Text files (CSV, TSV, JSON lines) are parted by their bytes: no value is read and written anew, so what is joined again has the
//! bytes of the source. Tables (Parquet, Arrow) are parted by rows of record batches, with schema, metadata and compression
//! kept; what is joined again has equal rows in their order.

mod edit;
mod output;
mod table;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::read::format::{self, Format};
use crate::data::read::guard::guarded;
use crate::data::read::unpack::Packing;
use crate::error::{Error, Place, Result};

/// What the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    format: Format,
    packing: Packing,
}

/// The two files that a file is parted into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halves {
    /// Rows that stay.
    pub kept: PathBuf,
    /// Rows that were taken out.
    pub taken: PathBuf,
}

/// Values that rows get in one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// The column.
    pub column: String,
    /// New values by the positions of their rows, from 0.
    pub values: BTreeMap<u64, String>,
}

/// How a file was parted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parted {
    /// What its bytes are.
    pub form: Form,
    /// Rows that stay, those with a new value among them.
    pub kept: u64,
    /// Rows that were taken out, and the old form of those with a new value.
    pub taken: u64,
    /// Rows with a new value.
    #[serde(default)]
    pub edited: u64,
    /// BLAKE3 of the unpacked bytes of a text file, hex: what is joined again must have it.
    pub content: Option<String>,
}

impl Form {
    /// What the file at `path` holds; `name` is what the user calls it.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be told.
    pub fn of(name: &str, path: &Path, format: Option<Format>) -> Result<Self> {
        let (format, packing) = guarded(name, || format::detect(name, path, format))?;
        Ok(Self { format, packing })
    }

    fn is_text(self) -> bool {
        matches!(self.format, Format::Csv | Format::Tsv | Format::Jsonl)
    }
}

/// Parts the file at `path`: rows at the positions `out`, from 0, are taken, the others kept. Rows with an edit are in both halves: as
/// they were among those taken, with their new value among those kept. Writes both halves whole.
///
/// # Errors
/// [`Error::Input`] where the file cannot be read, has no row at one of the positions or cannot hold a new value, [`Error::Output`] where a half cannot
/// be written. Then the halves are worth nothing.
pub fn part(name: &str, path: &Path, form: Form, out: &BTreeSet<u64>, edits: &Edits, halves: &Halves) -> Result<Parted> {
    let parted = guarded(name, || {
        if form.is_text() { text::part(name, path, form, out, edits, halves) } else { table::part(name, path, form, out, edits, halves) }
    })?;
    if parted.taken != (out.len() + edits.values.len()) as u64 {
        let reason = format!("it has {} rows, fewer than the report tells of", parted.rows());
        return Err(Error::input(Place::source(name), reason));
    }
    Ok(parted)
}

impl Parted {
    fn rows(&self) -> u64 {
        (self.kept + self.taken).saturating_sub(self.edited)
    }
}

/// A value that a row cannot have.
fn unfit(name: &str, row: u64, edits: &Edits) -> Error {
    let value = edits.values.get(&row).map_or("", String::as_str);
    let reason = format!("row {row} cannot have '{}' in the column '{}'", shown(value), shown(&edits.column));
    Error::input(Place::source(name), reason).with_help("Decide about this row anew: confirm it, or choose a label that fits.")
}

/// The beginning of a text of the data.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Joins the halves of a file in the order that it had, and writes it to `to`: rows at the positions `out` come from those taken; of
/// these, `edited` are in the other half as well.
///
/// # Errors
/// [`Error::Input`] where the halves are not those that [`part`] wrote, [`Error::Output`] where `to` cannot be written.
pub fn join(name: &str, parted: &Parted, out: &BTreeSet<u64>, edited: &BTreeSet<u64>, halves: &Halves, to: &Path) -> Result<()> {
    let rows = guarded(name, || {
        if parted.form.is_text() {
            text::join(name, parted, out, edited, halves, to)
        } else {
            table::join(name, parted.form, out, edited, halves, to)
        }
    })?;
    let before = parted.rows();
    if rows == before { Ok(()) } else { Err(Error::input(Place::source(name), format!("its halves hold {rows} rows, not {before}"))) }
}

/// Whose turn it is at a position of the joined file.
fn turns(out: &BTreeSet<u64>) -> impl Iterator<Item = bool> {
    let mut next = out.iter().copied().peekable();
    (0_u64..).map(move |row| next.next_if_eq(&row).is_some())
}
