//! Arrow IPC files and streams. Their lengths are checked against the file before the library allocates by them.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader, read_footer_length};
use arrow::ipc::{Block, CompressionType, Message, root_as_footer, root_as_message};

use crate::data::Batches;
use crate::data::read::text::{arrow_error, io_reason, plain};
use crate::error::{Error, Place, Result};

/// Bytes that one record batch may unpack to. It is decoded whole, so this bounds what a forged length can ask for.
pub(super) const MAX_BATCH_BYTES: u64 = 4 << 30;

/// An IPC file or stream whose messages have been checked.
#[derive(Debug)]
pub(super) struct Ipc {
    pub(super) schema: SchemaRef,
    stream: bool,
    /// Rows that the batch messages declare.
    pub(super) rows: u64,
}

impl Ipc {
    /// Checks the messages of the file at `path`, reading their headers alone, and reads the schema.
    pub(super) fn load(name: &str, path: &Path, stream: bool) -> Result<Self> {
        let mut walk = Walk::new(name, path)?;
        let rows = if stream { walk.stream()? } else { walk.file()? };
        let mut ipc = Self { schema: SchemaRef::new(Schema::empty()), stream, rows };
        let (schema, _) = ipc.reader(name, path, None)?;
        ipc.schema = schema;
        Ok(ipc)
    }

    /// Batches of the columns `read` (ascending, not empty) of the file at `path`.
    pub(super) fn scan(&self, name: &str, path: &Path, read: &[usize], batch_rows: usize) -> Result<Batches> {
        let (_, batches) = self.reader(name, path, Some(read.to_vec()))?;
        let name = name.to_owned();
        let rows = batch_rows.max(1);
        Ok(Box::new(batches.flat_map(move |batch| {
            let (batch, error) = match batch {
                Ok(batch) => (Some(batch), None),
                Err(e) => (None, Some(Err(arrow_error(&name, &e)))),
            };
            // A file's batches may be far longer than what the caller asked for; slices share their buffers.
            let slices = batch.into_iter().flat_map(move |batch| {
                (0..batch.num_rows()).step_by(rows).map(move |at| Ok(batch.slice(at, rows.min(batch.num_rows() - at))))
            });
            error.into_iter().chain(slices)
        })))
    }

    fn reader(&self, name: &str, path: &Path, read: Option<Vec<usize>>) -> Result<(SchemaRef, Raw)> {
        let file = File::open(path).map_err(|e| Error::input(Place::source(name), io_reason(&e)))?;
        let fail = |e: &ArrowError| arrow_error(name, e);
        if self.stream {
            let reader = StreamReader::try_new_buffered(file, read).map_err(|e| fail(&e))?;
            Ok((reader.schema(), Box::new(reader)))
        } else {
            let reader = FileReader::try_new_buffered(file, read).map_err(|e| fail(&e))?;
            Ok((reader.schema(), Box::new(reader)))
        }
    }
}

/// How the batches of the file at `path` are compressed, if they are.
pub(in crate::data) fn codec(name: &str, path: &Path, stream: bool) -> Result<Option<CompressionType>> {
    let mut walk = Walk::new(name, path)?;
    if stream {
        walk.stream()?
    } else {
        walk.file()?
    };
    Ok(walk.codec)
}

type Raw = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + Send>;

/// Reads message headers and seeks over bodies.
struct Walk<'a> {
    name: &'a str,
    file: BufReader<File>,
    bytes: u64,
    /// How the last compressed batch is compressed.
    codec: Option<CompressionType>,
}

impl<'a> Walk<'a> {
    fn new(name: &'a str, path: &Path) -> Result<Self> {
        let fail = |e: &std::io::Error| Error::input(Place::source(name), io_reason(e));
        let file = File::open(path).map_err(|e| fail(&e))?;
        let bytes = file.metadata().map_err(|e| fail(&e))?.len();
        Ok(Self { name, file: BufReader::new(file), bytes, codec: None })
    }

    fn fail(&self, reason: &str) -> Error {
        Error::input(Place::source(self.name), reason)
    }

    fn truncated(&self) -> Error {
        self.fail("truncated: a message of the Arrow file ends after the file does").with_help("Copy or download the file again.")
    }

    fn bytes_at(&mut self, at: u64, length: u64) -> Result<Vec<u8>> {
        if at.checked_add(length).is_none_or(|end| end > self.bytes) {
            return Err(self.truncated());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| self.truncated())?];
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| self.fail(&io_reason(&e)))?;
        Ok(bytes)
    }

    fn file(&mut self) -> Result<u64> {
        const TAIL: u64 = 10;
        let missing = self.fail("truncated: the Arrow file's footer is missing").with_help("Copy or download the file again.");
        let tail_at = self.bytes.checked_sub(TAIL);
        let tail = tail_at.map(|at| self.bytes_at(at, TAIL)).transpose()?.and_then(|tail| <[u8; 10]>::try_from(tail).ok());
        let (Some(tail_at), Some(length)) = (tail_at, tail.and_then(|tail| read_footer_length(tail).ok())) else {
            return Err(missing);
        };
        let Some(footer_at) = tail_at.checked_sub(length as u64) else { return Err(missing) };
        let footer = self.bytes_at(footer_at, length as u64)?;
        let footer = root_as_footer(&footer).map_err(|e| self.fail(&format!("the Arrow footer is corrupt: {}", plain(&e.to_string()))))?;
        for block in footer.dictionaries().iter().flatten() {
            self.block(block)?;
        }
        let mut rows = 0_u64;
        for block in footer.recordBatches().iter().flatten() {
            rows = rows.saturating_add(self.block(block)?);
        }
        Ok(rows)
    }

    fn block(&mut self, block: &Block) -> Result<u64> {
        let lengths = (u64::try_from(block.offset()), u64::try_from(block.metaDataLength()), u64::try_from(block.bodyLength()));
        let (Ok(at), Ok(head), Ok(body)) = lengths else {
            return Err(self.fail("the Arrow footer is corrupt: a block has a negative length"));
        };
        let bytes = self.bytes_at(at, head)?;
        let skip = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
        self.message(bytes.get(skip..).unwrap_or_default(), at.saturating_add(head), body)
    }

    fn stream(&mut self) -> Result<u64> {
        let (mut at, mut rows) = (0_u64, 0_u64);
        while at < self.bytes {
            let mut length = self.bytes_at(at, 4)?;
            at += 4;
            if length == [0xff; 4] {
                length = self.bytes_at(at, 4)?;
                at += 4;
            }
            let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_le_bytes);
            if length == 0 {
                break;
            }
            let bytes = self.bytes_at(at, u64::from(length))?;
            at += u64::from(length);
            let body = root_as_message(&bytes).map_or(0, |message| message.bodyLength());
            let body = u64::try_from(body).map_err(|_| self.truncated())?;
            rows = rows.saturating_add(self.message(&bytes, at, body)?);
            at = at.saturating_add(body);
        }
        Ok(rows)
    }

    /// Checks one message and returns the rows it adds.
    fn message(&mut self, bytes: &[u8], body_at: u64, body: u64) -> Result<u64> {
        let message: Message<'_> =
            root_as_message(bytes).map_err(|e| self.fail(&format!("an Arrow message is corrupt: {}", plain(&e.to_string()))))?;
        if body_at.checked_add(body).is_none_or(|end| end > self.bytes) {
            return Err(self.truncated());
        }
        let name = self.name;
        let (rows, codec) = checked_rows(
            &message,
            body,
            |at| Ok(<[u8; 8]>::try_from(self.bytes_at(body_at.saturating_add(at), 8)?).ok()),
            |why| Error::input(Place::source(name), why),
        )?;
        self.codec = codec.or(self.codec);
        Ok(rows)
    }
}

/// Checks what a message declares about a body of so many bytes, before the library allocates by it, and returns the rows it adds
/// and how it is compressed. `prefix` gives eight bytes of the body, `None` where it ends before.
pub(super) fn checked_rows(
    message: &Message<'_>,
    body: u64,
    mut prefix: impl FnMut(u64) -> Result<Option<[u8; 8]>>,
    fail: impl Fn(&str) -> Error,
) -> Result<(u64, Option<CompressionType>)> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok((0, None)) };
    // Compressed buffers begin with the length they unpack to, which the library allocates at once.
    let (mut unpacked, mut codec) = (0_u64, None);
    if let Some(compression) = batch.compression() {
        codec = Some(compression.codec());
        for buffer in batch.buffers().iter().flatten() {
            let (Ok(at), Ok(length)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
                return Err(fail("an Arrow message is corrupt: a buffer has a negative length"));
            };
            if length >= 8 {
                let declared = prefix(at)?.map_or(0, i64::from_le_bytes);
                unpacked = unpacked.saturating_add(u64::try_from(declared).unwrap_or(length));
            }
        }
    }
    if unpacked.max(body) > MAX_BATCH_BYTES {
        let help = "Write the file again with smaller record batches.";
        return Err(fail(&format!("a record batch holds more than {MAX_BATCH_BYTES} bytes")).with_help(help));
    }
    let rows = u64::from(u32::try_from(batch.length()).map_err(|_| fail("an Arrow message is corrupt: its row count is impossible"))?);
    Ok((if dictionary.is_some() { 0 } else { rows }, codec))
}
