//! Text files, record by record, each with the bytes that it has.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::output::Output;
use super::{Edits, Form, Halves, Parted, edit, turns, unfit};
use crate::data::read::csv;
use crate::data::read::format::Format;
use crate::data::read::text::{self, MAX_RECORD};
use crate::data::read::unpack::Packing;
use crate::error::{Error, Place, Result};

const BOM: &[u8] = "\u{feff}".as_bytes();

/// How records end.
enum Cut {
    /// At line ends; a blank line is no record.
    Lines,
    /// As the CSV reader of a scan does it, at lines of values that this byte separates.
    Csv(Box<Reader>, u8),
}

/// The records of a text file.
struct Records<'a> {
    name: &'a str,
    packing: Packing,
    reader: Box<dyn BufRead + Send>,
    cut: Cut,
    content: blake3::Hasher,
}

impl<'a> Records<'a> {
    fn open(name: &'a str, path: &Path, form: Form) -> Result<Self> {
        // The scan has read the file under its limit; a compressed one still meets the limit of its ratio.
        let open = || text::open(name, path, form.packing, u64::MAX);
        let cut_at = |delimiter| Cut::Csv(Box::new(ReaderBuilder::new().delimiter(delimiter).build()), delimiter);
        let cut = match form.format {
            Format::Csv => cut_at(csv::delimiter(name, form.packing, open()?.as_mut())?),
            Format::Tsv => cut_at(b'\t'),
            _ => Cut::Lines,
        };
        Ok(Self { name, packing: form.packing, reader: open()?, cut, content: blake3::Hasher::new() })
    }

    /// Reads what stands before the first record into `bytes`: a byte-order mark, a header.
    fn head(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        if matches!(self.cut, Cut::Csv(..)) {
            self.next(bytes)?;
            return Ok(());
        }
        let packing = self.packing;
        let marked = self.reader.fill_buf().map_err(|e| packing.error(self.name, &e))?.starts_with(BOM);
        if marked {
            self.reader.consume(BOM.len());
            bytes.extend_from_slice(BOM);
            self.content.update(BOM);
        }
        Ok(())
    }

    /// Reads the next record into `bytes`, with its line end and the blank lines before it. At the end of the file there is none,
    /// and `bytes` holds the blank lines that are left.
    fn next(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        bytes.clear();
        let found = match &mut self.cut {
            Cut::Lines => Self::line(self.name, self.packing, &mut self.reader, bytes),
            Cut::Csv(cutter, _) => Self::record(self.name, self.packing, &mut self.reader, cutter, bytes),
        }?;
        self.content.update(bytes);
        Ok(found)
    }

    fn line(name: &str, packing: Packing, reader: &mut dyn BufRead, bytes: &mut Vec<u8>) -> Result<bool> {
        loop {
            let start = bytes.len();
            reader.take(MAX_RECORD as u64 + 1).read_until(b'\n', bytes).map_err(|e| packing.error(name, &e))?;
            bounded(name, bytes)?;
            let line = bytes.get(start..).unwrap_or_default();
            if line.is_empty() || !line.trim_ascii().is_empty() {
                return Ok(!line.is_empty());
            }
        }
    }

    fn record(name: &str, packing: Packing, reader: &mut dyn BufRead, cutter: &mut Reader, bytes: &mut Vec<u8>) -> Result<bool> {
        // Only where a record ends is asked for; what its fields hold goes nowhere.
        let (mut fields, mut ends) = ([0; 1 << 12], [0; 1 << 8]);
        loop {
            let buffer = reader.fill_buf().map_err(|e| packing.error(name, &e))?;
            let (result, used, _, _) = cutter.read_record(buffer, &mut fields, &mut ends);
            bytes.extend_from_slice(buffer.get(..used).unwrap_or_default());
            reader.consume(used);
            bounded(name, bytes)?;
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
            }
        }
        let line_end = bytes.last() == Some(&b'\r') && reader.fill_buf().map_err(|e| packing.error(name, &e))?.first() == Some(&b'\n');
        if line_end {
            reader.consume(1);
            bytes.push(b'\n');
        }
        Ok(true)
    }

    fn content(&self) -> String {
        self.content.finalize().to_hex().to_string()
    }
}

fn bounded(name: &str, bytes: &[u8]) -> Result<()> {
    if bytes.len() <= MAX_RECORD {
        return Ok(());
    }
    Err(Error::input(Place::source(name), format!("a record is longer than {MAX_RECORD} bytes")))
}

/// How values of a column are replaced in records.
enum Editor {
    Csv(u8, usize),
    Json,
}

impl Editor {
    fn new(cut: &Cut, head: &[u8], column: &str) -> Option<Self> {
        match *cut {
            Cut::Lines => Some(Self::Json),
            Cut::Csv(_, delimiter) => Some(Self::Csv(delimiter, edit::place(head, delimiter, column)?)),
        }
    }

    fn edit(&self, record: &[u8], column: &str, value: &str) -> Option<Vec<u8>> {
        match self {
            Self::Csv(delimiter, at) => edit::csv(record, *delimiter, *at, value),
            Self::Json => edit::json(record, column, value),
        }
    }
}

pub(super) fn part(name: &str, path: &Path, form: Form, out: &BTreeSet<u64>, edits: &Edits, halves: &Halves) -> Result<Parted> {
    let mut records = Records::open(name, path, form)?;
    let mut kept = Output::create(&halves.kept, form.packing)?;
    let mut taken = Output::create(&halves.taken, form.packing)?;
    let mut bytes = Vec::new();
    records.head(&mut bytes)?;
    kept.put(&bytes)?;
    taken.put(&bytes)?;
    let editor = Editor::new(&records.cut, &bytes, &edits.column);
    let (mut rows_kept, mut rows_taken, mut edited) = (0, 0, 0);
    let mut turns = (0..).zip(turns(out));
    while records.next(&mut bytes)? {
        let Some((row, is_out)) = turns.next() else { break };
        let value = edits.values.get(&row).filter(|_| !is_out);
        if is_out || value.is_some() {
            rows_taken += 1;
            taken.put(&bytes)?;
        }
        if let Some(value) = value {
            let record = editor.as_ref().and_then(|editor| editor.edit(&bytes, &edits.column, value));
            kept.put(&record.ok_or_else(|| unfit(name, row, edits))?)?;
            edited += 1;
        } else if !is_out {
            kept.put(&bytes)?;
        }
        rows_kept += u64::from(!is_out);
    }
    kept.put(&bytes)?;
    kept.finish()?;
    taken.finish()?;
    Ok(Parted { form, kept: rows_kept, taken: rows_taken, edited, content: Some(records.content()) })
}

pub(super) fn join(name: &str, parted: &Parted, out: &BTreeSet<u64>, edited: &BTreeSet<u64>, halves: &Halves, to: &Path) -> Result<u64> {
    let mut kept = Records::open(name, &halves.kept, parted.form)?;
    let mut taken = Records::open(name, &halves.taken, parted.form)?;
    let mut joined = Output::create(to, parted.form.packing)?;
    let mut content = blake3::Hasher::new();
    let mut bytes = Vec::new();
    taken.head(&mut bytes)?;
    kept.head(&mut bytes)?;
    let mut rows = 0;
    for is_taken in turns(out) {
        content.update(&bytes);
        joined.put(&bytes)?;
        // The new form of a row makes way for the old one.
        let is_doubled = is_taken && edited.contains(&rows);
        let found = if is_taken { (!is_doubled || kept.next(&mut bytes)?) && taken.next(&mut bytes)? } else { kept.next(&mut bytes)? };
        if !found {
            break;
        }
        rows += 1;
    }
    content.update(&bytes);
    joined.put(&bytes)?;
    joined.finish()?;
    let content = content.finalize().to_hex().to_string();
    if parted.content.as_ref() == Some(&content) {
        Ok(rows)
    } else {
        Err(Error::input(Place::source(name), "its halves are not what was written: the joined bytes are not those of the source"))
    }
}
