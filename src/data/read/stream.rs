//! Arrow IPC streams that are read once, as they come: a message at a time, and no more memory than its batch needs.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};

use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use arrow::record_batch::RecordBatch;

use super::guard::guarded;
use super::ipc::{MAX_BATCH_BYTES, checked_rows};
use super::text::{arrow_error, io_reason, plain};
use crate::error::{Error, Place, Result};

/// What ends a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// Longest header of a message.
const MAX_HEAD: u64 = 64 << 20;

/// A stream whose schema was read.
pub struct Stream<R> {
    name: String,
    from: R,
    decoder: StreamDecoder,
    schema: Option<SchemaRef>,
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl<R: Read> Stream<R> {
    /// Reads the schema; `name` stands for the stream in errors.
    ///
    /// # Errors
    /// [`Error::Input`] where it does not begin with a schema.
    pub fn open(name: &str, from: R) -> Result<Self> {
        let decoder = StreamDecoder::new();
        let mut stream = Self { name: name.to_owned(), from, decoder, schema: None, ready: VecDeque::new(), ended: false };
        let help = "It must be an Arrow IPC stream; pyarrow writes one with pyarrow.ipc.new_stream.";
        if !stream.message().map_err(|e| e.with_help(help))? {
            return Err(stream.fail("the stream is empty").with_help(help));
        }
        if stream.schema.is_none() {
            return Err(stream.fail("the stream does not begin with a schema").with_help(help));
        }
        Ok(stream)
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone().unwrap_or_else(|| SchemaRef::new(Schema::empty()))
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Input`] where the stream is cut off or corrupt.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.ended {
            self.ended = !self.message()?;
        }
        Ok(self.ready.pop_front())
    }

    fn fail(&self, why: &str) -> Error {
        Error::input(Place::source(&self.name), why)
    }

    /// Reads so many bytes; memory grows with what comes, not with what a length promises.
    fn take(&mut self, bytes: u64) -> Result<Vec<u8>> {
        let mut taken = Vec::new();
        let read = self.from.by_ref().take(bytes).read_to_end(&mut taken);
        read.map_err(|e| self.fail(&io_reason(&e)))?;
        if taken.len() as u64 == bytes { Ok(taken) } else { Err(self.fail("truncated: the stream ends inside a message")) }
    }

    fn length(&mut self) -> Result<Option<u32>> {
        let mut first = [0; 1];
        loop {
            match self.from.read(&mut first) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.fail(&io_reason(&e))),
            }
        }
        let mut word = first.to_vec();
        word.extend(self.take(3)?);
        if word == [0xff; 4] {
            word = self.take(4)?;
        }
        Ok(<[u8; 4]>::try_from(word).ok().map(u32::from_le_bytes).filter(|length| *length > 0))
    }

    /// Reads one message and hands it to the decoder; `false` at the end.
    fn message(&mut self) -> Result<bool> {
        let Some(length) = self.length()? else {
            // A message without a body is decoded once more comes: the end of a stream, written or not.
            self.decode(END.to_vec())?;
            return Ok(false);
        };
        if u64::from(length) > MAX_HEAD {
            return Err(self.fail("an Arrow message is corrupt: its header is longer than any schema"));
        }
        let head = self.take(u64::from(length))?;
        let message = root_as_message(&head).map_err(|e| self.fail(&format!("an Arrow message is corrupt: {}", plain(&e.to_string()))))?;
        let body_bytes =
            u64::try_from(message.bodyLength()).map_err(|_| self.fail("an Arrow message is corrupt: its length is negative"))?;
        if body_bytes > MAX_BATCH_BYTES {
            return Err(self.fail(&format!("a record batch holds more than {MAX_BATCH_BYTES} bytes")));
        }
        let body = self.take(body_bytes)?;
        let prefix = |at: u64| {
            let at = usize::try_from(at).ok()?;
            <[u8; 8]>::try_from(body.get(at..at.checked_add(8)?)?).ok()
        };
        checked_rows(&message, body_bytes, |at| Ok(prefix(at)), |why| self.fail(why))?;
        if let Some(schema) = message.header_as_schema() {
            self.schema = Some(guarded(&self.name, || Ok(SchemaRef::new(fb_to_schema(schema))))?);
        }
        let mut bytes = vec![0xff; 4];
        bytes.extend(length.to_le_bytes());
        bytes.extend(head);
        bytes.extend(body);
        self.decode(bytes)?;
        Ok(true)
    }

    fn decode(&mut self, bytes: Vec<u8>) -> Result<()> {
        let Self { name, decoder, ready, .. } = self;
        let mut buffer = Buffer::from_vec(bytes);
        while !buffer.is_empty() {
            ready.extend(guarded(name, || decoder.decode(&mut buffer).map_err(|e| arrow_error(name, &e)))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new((0..rows).collect::<Int64Array>());
        let texts: ArrayRef = Arc::new((0..rows).map(|i| Some(format!("row {i}"))).collect::<StringArray>());
        RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
    }

    fn bytes() -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch(1).schema()).unwrap();
        for rows in [3, 0, 2_000] {
            writer.write(&batch(rows)).unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn batches_come_as_they_were_written() {
        let bytes = bytes();
        let mut stream = Stream::open("s", &bytes[..]).unwrap();
        let mut rows = Vec::new();
        while let Some(batch) = stream.next_batch().unwrap() {
            rows.push(batch.num_rows());
        }
        assert_eq!(rows, [3, 0, 2_000]);
        assert_eq!(stream.schema().fields().len(), 2);
    }

    #[test]
    fn rows_without_a_body_are_not_lost() {
        let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(5));
        let batch = RecordBatch::try_from_iter([("n", nulls)]).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        // With and without the end marker.
        for bytes in [&bytes[..], &bytes[..bytes.len() - END.len()]] {
            let mut stream = Stream::open("s", bytes).unwrap();
            assert_eq!(stream.next_batch().unwrap().map(|batch| batch.num_rows()), Some(5));
            assert!(stream.next_batch().unwrap().is_none());
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_or_corrupt_is_refused_and_nothing_panics() {
        let whole = bytes();
        let read = |bytes: &[u8]| -> Result<usize> {
            let mut stream = Stream::open("s", bytes)?;
            let mut rows = 0;
            while let Some(batch) = stream.next_batch()? {
                rows += batch.num_rows();
            }
            Ok(rows)
        };
        assert!(read(b"").unwrap_err().to_string().contains("empty"));
        assert!(read(b"a,b\\n1,2\\n3,4 and so on").is_err());
        assert!(read(&whole[..whole.len() / 2]).unwrap_err().to_string().contains("truncated"));
        for at in 0..whole.len().min(2_000) {
            let mut bad = whole.clone();
            bad[at] ^= 0x55;
            // It may still be a stream; what matters is that it ends in an answer.
            let _ = read(&bad);
        }
    }
}
