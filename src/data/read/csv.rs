//! Values separated by commas, tabs, semicolons or bars. Types are inferred from every value, by the parsers that read it later, so that no
//! value can fail to fit the type of its column.

use std::io::{BufRead, Read as _};
use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::{Decoder, Format};
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use rayon::prelude::*;
use regex::Regex;

use crate::data::read::text::{self, MAX_COLUMNS, Push};
use crate::data::read::unpack::Packing;
use crate::error::{Error, Place, Result};

/// Longest header in bytes.
const MAX_HEADER: u64 = 16 << 20;
/// What separates values: the comma, and what other programs write in its place.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
const BOM: &[u8] = "\u{feff}".as_bytes();
/// What stands for a missing value: nothing, and what the usual tools write. `NaN` is a number to the parser, and missing to all who
/// read it.
static MISSING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^(?:|NA|N/A|n/a|null|NULL|nan|#N/A)$").ok());

/// The kinds of value seen in a column, one bit a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Guess(u16);

impl Guess {
    const BOOL: u16 = 1;
    const INT: u16 = 1 << 1;
    const FLOAT: u16 = 1 << 2;
    const DATE: u16 = 1 << 3;
    /// A date that no nanosecond timestamp reaches, so the column cannot become one.
    const FAR_DATE: u16 = 1 << 4;
    const SECOND: u16 = 1 << 5;
    const MILLI: u16 = 1 << 6;
    const MICRO: u16 = 1 << 7;
    const NANO: u16 = 1 << 8;
    const TEXT: u16 = 1 << 9;
    const TIMES: u16 = Self::SECOND | Self::MILLI | Self::MICRO | Self::NANO;

    fn observe(&mut self, value: &str) {
        if self.0 & Self::TEXT == 0 {
            self.0 |= Self::kind(value);
        }
    }

    /// Joins what two files showed of one column.
    pub(super) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn kind(value: &str) -> u16 {
        let bytes = value.as_bytes();
        let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
        if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            // A leading zero is part of a code ("007", "02139"), and a number beyond i64 would lose digits as a float:
            // both stay as they are written.
            let exact = digits.len() == 1 || !digits.starts_with(b"0");
            return if exact && Int64Type::parse(value).is_some() { Self::INT } else { Self::TEXT };
        }
        if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
            return Self::BOOL;
        }
        let number = digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
            || matches!(value, "NaN" | "inf" | "-inf" | "Inf" | "-Inf" | "Infinity" | "-Infinity");
        if number && Float64Type::parse(value).is_some() {
            return Self::FLOAT;
        }
        Self::time(value).unwrap_or(Self::TEXT)
    }

    fn time(value: &str) -> Option<u16> {
        let (date, rest) = value.split_at_checked(10)?;
        let shaped = date.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        if !shaped {
            return None;
        }
        if rest.is_empty() {
            Date32Type::parse(value)?;
            let near = string_to_timestamp_nanos(&format!("{value}T00:00:00")).is_ok();
            return Some(if near { Self::DATE } else { Self::FAR_DATE });
        }
        if !rest.starts_with(['T', ' ']) || string_to_timestamp_nanos(value).is_err() {
            return None;
        }
        let fraction = rest.split_once('.').map_or(0, |(_, tail)| tail.bytes().take_while(u8::is_ascii_digit).count());
        match fraction {
            0 => Some(Self::SECOND),
            1..=3 => Some(Self::MILLI),
            4..=6 => Some(Self::MICRO),
            7..=9 => Some(Self::NANO),
            _ => None,
        }
    }

    /// The narrowest type that holds every value seen; `Null` if there was none.
    pub(super) fn data_type(self) -> DataType {
        let only = |kinds: u16| self.0 & !kinds == 0;
        match self.0 {
            0 => DataType::Null,
            Self::BOOL => DataType::Boolean,
            Self::INT => DataType::Int64,
            _ if only(Self::INT | Self::FLOAT) => DataType::Float64,
            _ if only(Self::DATE | Self::FAR_DATE) => DataType::Date32,
            seen if only(Self::DATE | Self::TIMES) => {
                let unit = [(Self::NANO, TimeUnit::Nanosecond), (Self::MICRO, TimeUnit::Microsecond), (Self::MILLI, TimeUnit::Millisecond)];
                let unit = unit.into_iter().find(|(bit, _)| seen & bit != 0).map_or(TimeUnit::Second, |(_, unit)| unit);
                DataType::Timestamp(unit, None)
            }
            _ => DataType::Utf8,
        }
    }
}

/// What separates the values of a CSV file, as its header shows: the comma, or where none stands outside quotes the most frequent of
/// the others. A file's parts have its header, so they show the same.
pub(in crate::data) fn delimiter(name: &str, packing: Packing, reader: &mut dyn BufRead) -> Result<u8> {
    let fail = |e: std::io::Error| packing.error(name, &e);
    if reader.fill_buf().map_err(fail)?.starts_with(BOM) {
        reader.consume(BOM.len());
    }
    let mut counts = [0_u32; SEPARATORS.len()];
    let (mut is_blank, mut starts, mut is_quoted, mut is_inside) = (true, true, false, false);
    for byte in reader.take(MAX_HEADER).bytes() {
        let byte = byte.map_err(fail)?;
        if !is_inside && matches!(byte, b'\r' | b'\n') {
            if is_blank {
                continue;
            }
            break;
        }
        is_blank = false;
        // As to the reader, a quote means something only in a field that begins with one.
        if starts {
            is_quoted = byte == b'"';
        }
        is_inside ^= is_quoted && byte == b'"';
        let count = SEPARATORS.iter().zip(&mut counts).find(|(separator, _)| !is_inside && **separator == byte);
        starts = count.is_some();
        if let Some((_, count)) = count {
            *count += 1;
        }
    }
    let [commas, others @ ..] = counts;
    let most = others.iter().copied().max().filter(|most| commas == 0 && *most > 0);
    Ok(SEPARATORS.into_iter().zip(counts).find(|(_, count)| Some(*count) == most).map_or(b',', |(separator, _)| separator))
}

/// The column names of a file.
pub(super) fn header(name: &str, packing: Packing, reader: &mut dyn BufRead, delimiter: u8) -> Result<Vec<String>> {
    // The CSV library reports a failed read in its own words; corrupt compressed data are noticed here first.
    reader.fill_buf().map_err(|e| packing.error(name, &e))?;
    let mut limited = std::io::Read::take(reader, MAX_HEADER);
    let format = Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) = format.infer_schema(&mut limited, Some(0)).map_err(|e| text::arrow_error(name, &e))?;
    if schema.fields().len() > MAX_COLUMNS {
        return Err(Error::input(Place::source(name), format!("the header names more than {MAX_COLUMNS} columns")));
    }
    // Without a column a decoder has nothing to split lines by.
    if schema.fields().is_empty() {
        return Err(Error::input(Place::source(name), "no columns"));
    }
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}

/// What every value of a file shows of its columns, and the number of rows, in one pass of bounded memory.
pub(super) fn infer(batches: impl Iterator<Item = Result<RecordBatch>>, columns: usize) -> Result<(Vec<Guess>, u64)> {
    let mut guesses = vec![Guess::default(); columns];
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        guesses.par_iter_mut().zip(batch.columns()).for_each(|(guess, column)| {
            column.as_string::<i32>().iter().flatten().for_each(|value| guess.observe(value));
        });
    }
    Ok((guesses, rows))
}

/// The schema that reads every column as it is written.
pub(super) fn as_text(header: &[String]) -> SchemaRef {
    Arc::new(Schema::new(header.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// A decoder for the columns `read` of `schema`.
pub(super) struct CsvPush {
    decoder: Decoder,
    rows: usize,
}

impl CsvPush {
    pub(super) fn new(schema: SchemaRef, delimiter: u8, read: &[usize], batch_rows: usize) -> Self {
        let rows = text::rows_for(schema.fields().len(), batch_rows);
        let mut builder = ReaderBuilder::new(schema).with_header(true).with_delimiter(delimiter).with_batch_size(rows);
        if let Some(missing) = &*MISSING {
            builder = builder.with_null_regex(missing.clone());
        }
        Self { decoder: builder.with_projection(read.to_vec()).build_decoder(), rows }
    }
}

impl Push for CsvPush {
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, ArrowError> {
        self.decoder.decode(bytes)
    }

    fn pending(&self) -> usize {
        self.rows.saturating_sub(self.decoder.capacity())
    }

    fn full(&self) -> usize {
        self.rows
    }

    fn at_boundary(&self, before: usize) -> bool {
        self.pending() > before
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.decoder.flush()
    }
}
