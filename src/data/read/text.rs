//! What the text readers share: bounded batches out of a push decoder, and plain words for library errors.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::data::read::unpack::{self, Packing};
use crate::error::{Error, Place, Result};

/// Longest record of a text file in bytes. A quote that never closes would otherwise swallow the file into memory.
pub(in crate::data) const MAX_RECORD: usize = 256 << 20;
/// Text bytes after which a batch ends early.
const BATCH_BYTES: usize = 32 << 20;
/// Most columns, nested ones included, that a text file may have.
pub(super) const MAX_COLUMNS: usize = 100_000;
/// Most cells that a text decoder reserves room for.
const MAX_CELLS: usize = 1 << 22;

/// Rows a batch may hold so that the decoder's reserve stays bounded.
pub(super) fn rows_for(columns: usize, batch_rows: usize) -> usize {
    batch_rows.min(MAX_CELLS / columns.max(1)).max(1)
}

/// The unpacked text of a file.
pub(in crate::data) fn open(name: &str, path: &Path, packing: Packing, limit: u64) -> Result<Box<dyn BufRead + Send>> {
    Ok(Box::new(BufReader::with_capacity(1 << 18, unpack::reader(name, path, packing, limit)?)))
}

/// A decoder that is fed bytes and gives batches.
pub(super) trait Push: Send {
    /// Takes bytes, returns how many.
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, ArrowError>;
    /// Rows taken since the last flush.
    fn pending(&self) -> usize;
    /// Rows that a batch holds.
    fn full(&self) -> usize;
    /// Whether the bytes taken end at the end of a record, given the rows pending before the last line was taken.
    fn at_boundary(&self, before: usize) -> bool;
    /// The rows taken so far.
    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError>;
}

/// Batches of at most the decoder's rows and about [`BATCH_BYTES`] of text.
pub(super) struct Batched<D> {
    pub(super) name: String,
    pub(super) packing: Packing,
    pub(super) reader: Box<dyn BufRead + Send>,
    pub(super) decoder: D,
}

impl<D: Push> Batched<D> {
    fn read(&mut self) -> Result<Option<RecordBatch>> {
        let Self { name, packing, reader, decoder } = self;
        let fail = |e: ArrowError| arrow_error(name, &e);
        let (mut batch_bytes, mut record_bytes) = (0, 0);
        loop {
            let buffer = reader.fill_buf().map_err(|e| packing.error(name, &e))?;
            // An empty slice tells a CSV decoder that the last record ends here.
            let ended = buffer.is_empty();
            let over = batch_bytes >= BATCH_BYTES;
            // Beyond the budget the text is fed line by line, so that the batch can end with a record.
            let line = if over { buffer.iter().position(|b| matches!(b, b'\n' | b'\r')).map(|end| end + 1) } else { None };
            let slice = buffer.get(..line.unwrap_or(buffer.len())).unwrap_or_default();
            let before = decoder.pending();
            let taken = decoder.decode(slice).map_err(fail)?;
            reader.consume(taken);
            batch_bytes += taken;
            record_bytes = if decoder.pending() > before { 0 } else { record_bytes + taken };
            if record_bytes > MAX_RECORD {
                let reason = format!("a record is longer than {MAX_RECORD} bytes");
                return Err(Error::input(Place::source(name.as_str()), reason).with_help("Look for a quote that is never closed."));
            }
            if ended || decoder.pending() >= decoder.full() && decoder.at_boundary(before) || line.is_some() && decoder.at_boundary(before)
            {
                return decoder.flush().map_err(fail);
            }
        }
    }
}

impl<D: Push> Iterator for Batched<D> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The input error that a library's error means.
pub(in crate::data) fn arrow_error(name: &str, error: &ArrowError) -> Error {
    let text = match error {
        ArrowError::CsvError(text)
        | ArrowError::JsonError(text)
        | ArrowError::ParseError(text)
        | ArrowError::IpcError(text)
        | ArrowError::ParquetError(text)
        | ArrowError::CastError(text)
        | ArrowError::SchemaError(text)
        | ArrowError::InvalidArgumentError(text) => plain(text),
        ArrowError::IoError(_, inner) => io_reason(inner),
        other => plain(&other.to_string()),
    };
    // The library's own words alone: a file may be called so.
    let encoding = text.to_lowercase().contains("utf-8");
    let error = Error::input(Place::source(name), text);
    if encoding { error.with_help(RECODE) } else { error }
}

/// What to do with text in another encoding.
pub(super) const RECODE: &str = "Text must be UTF-8. Save the file so, for example with: iconv -f latin1 -t utf-8 OLD > NEW";

/// A library's message as a reason: lower case, no full stop, one line of bounded length.
pub(in crate::data) fn plain(text: &str) -> String {
    let text = ["Parquet error: ", "EOF: ", "Arrow: "].iter().fold(text, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    let mut plain: String = text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut start = plain.chars();
    if let (Some(first), Some(second)) = (start.next(), start.next())
        && first.is_uppercase()
        && second.is_lowercase()
    {
        plain = first.to_lowercase().chain(plain.chars().skip(1)).collect();
    }
    plain.trim_end_matches(['.', ' ']).to_owned()
}

/// A system error as a reason.
pub(in crate::data) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        _ => plain(&error.to_string()),
    }
}
