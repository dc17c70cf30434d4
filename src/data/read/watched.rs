//! Whether the rows of a partition are still those of the census: digests of columns, however rows are cut into batches.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use serde::{Deserialize, Serialize};

use crate::data::Batches;
use crate::error::{Error, Place, Result};

/// Rows that are hashed at once, so that the copy that is hashed stays small.
const HASHED_ROWS: usize = 512;
/// Bytes of a column's digest.
const DIGEST: usize = 16;

/// What a census found in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) rows: u64,
    /// Bytes of the rows in the form that is hashed.
    pub(super) bytes: u64,
    /// A digest of each column.
    pub(super) columns: Vec<[u8; DIGEST]>,
}

/// What a later read of some columns of a partition must find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Number of the partition.
    pub partition: u32,
    /// Position of its first row in the whole input.
    pub first_row: u64,
    /// Its rows.
    pub rows: u64,
    /// Digest of the columns that are read.
    digest: [u8; DIGEST],
}

/// The error of a partition that does not hold the rows of the census.
pub(crate) fn changed(name: &str, partition: u32, first_row: Option<u64>) -> Error {
    let mut place = Place::source(name);
    place.row = first_row;
    Error::input(place, format!("partition {partition} does not hold the rows that it held in the scan's first pass")).with_help(
        "What makes these rows makes others, or in another order, each time: persist or checkpoint the data, or write it out and read it back, and scan that.",
    )
}

/// Digests of columns, the same however their rows are cut into batches.
pub(super) struct Digester {
    name: String,
    converters: Vec<RowConverter>,
    hashers: Vec<blake3::Hasher>,
    pub(super) rows: u64,
    bytes: u64,
}

impl Digester {
    pub(super) fn new(name: &str, schema: &Schema) -> Result<Self> {
        let converter = |field: &Arc<Field>| {
            RowConverter::new(vec![SortField::new(field.data_type().clone())]).map_err(|e| {
                Error::input(Place::source(name).column(field.name().as_str()), format!("holds a type that cannot be spread: {e}"))
                    .with_help("Leave the column out, or give it another type.")
            })
        };
        let converters = schema.fields().iter().map(converter).collect::<Result<Vec<_>>>()?;
        let hashers = vec![blake3::Hasher::new(); converters.len()];
        Ok(Self { name: name.to_owned(), converters, hashers, rows: 0, bytes: 0 })
    }

    pub(super) fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.converters.len() {
            return Err(Error::input(Place::source(&self.name).row(self.rows), "the number of columns changes"));
        }
        for from in (0..batch.num_rows()).step_by(HASHED_ROWS) {
            let rows = HASHED_ROWS.min(batch.num_rows() - from);
            for ((column, converter), hasher) in batch.columns().iter().zip(&self.converters).zip(&mut self.hashers) {
                let column: ArrayRef = column.slice(from, rows);
                let wrong = |e: ArrowError| Error::input(Place::source(&self.name).row(self.rows), e.to_string());
                let encoded = converter.convert_columns(&[column]).and_then(Rows::try_into_binary).map_err(wrong)?;
                hasher.update(encoded.values());
                self.bytes += encoded.values().len() as u64;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub(super) fn finish(self) -> Counted {
        Counted { rows: self.rows, bytes: self.bytes, columns: self.hashers.iter().map(short).collect() }
    }
}

impl Counted {
    /// What a later read of some columns, or of all, must find.
    pub(super) fn slice(&self, partition: u32, first_row: u64, columns: Option<&[usize]>) -> Slice {
        Slice { partition, first_row, rows: self.rows, digest: self.digest(columns) }
    }

    /// Digest of all columns, or of some.
    fn digest(&self, columns: Option<&[usize]>) -> [u8; DIGEST] {
        let mut hasher = blake3::Hasher::new();
        for (c, digest) in self.columns.iter().enumerate() {
            if columns.is_none_or(|columns| columns.contains(&c)) {
                hasher.update(digest);
            }
        }
        short(&hasher)
    }
}

fn short(hasher: &blake3::Hasher) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

/// The rows of a partition on their way to whoever looks at them; the last is followed by an error where they are not the rows of the
/// census.
pub struct Watched {
    batches: Batches,
    slice: Slice,
    name: String,
    digester: Option<Digester>,
}

impl Watched {
    /// Watches the columns that the slice is about.
    ///
    /// # Errors
    /// Columns that no digest can be made of.
    pub fn new(name: &str, slice: &Slice, schema: &Schema, batches: Batches) -> Result<Self> {
        Ok(Self { batches, slice: slice.clone(), name: name.to_owned(), digester: Some(Digester::new(name, schema)?) })
    }
}

impl Iterator for Watched {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let digester = self.digester.as_mut()?;
        let item = match self.batches.next() {
            Some(Ok(batch)) => digester.observe(&batch).map(|()| batch),
            Some(Err(Error::Input { place, reason, help })) => {
                let row = place.row.map(|row| row + self.slice.first_row);
                Err(Error::Input { place: Place { row, ..place }, reason, help })
            }
            Some(Err(error)) => Err(error),
            None => {
                let counted = self.digester.take()?.finish();
                let same = counted.rows == self.slice.rows && counted.digest(None) == self.slice.digest;
                return (!same).then(|| Err(changed(&self.name, self.slice.partition, Some(self.slice.first_row))));
            }
        };
        if item.is_err() {
            self.digester = None;
        }
        Some(item)
    }
}
