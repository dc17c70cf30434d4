//! What a caller hands over: paths, a table in memory, or a way to read a table again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ffi_stream::ArrowArrayStreamReader;
use arrow::record_batch::RecordBatch;
use arrow_pyarrow::FromPyArrow;
use foretaste::data::read::{Format, Memory, Options, Spread, digest_table, open};
use foretaste::data::{Batches, File, Source};
use foretaste::error::{Error, Place, Result};
use pyo3::prelude::*;

use crate::cluster::{Carrier, Desk, desk};

/// One set of rows, as Python names it: `("paths", [..])`, `("table", name, stream)`, `("again", name, factory)` or
/// `("cluster", name, driver)`.
pub(crate) enum Input {
    Paths(Vec<String>),
    Table(String, SchemaRef, Vec<RecordBatch>),
    Again(String, Py<PyAny>),
    /// The carrier is there until somebody takes it.
    Cluster(String, Desk, Option<Carrier>),
}

impl<'py> FromPyObject<'_, 'py> for Input {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let kind: String = given.get_item(0)?.extract()?;
        if kind == "paths" {
            return Ok(Self::Paths(given.get_item(1)?.extract()?));
        }
        let name: String = given.get_item(1)?.extract()?;
        let held = given.get_item(2)?;
        if kind == "again" {
            return Ok(Self::Again(name, held.unbind()));
        }
        if kind == "cluster" {
            let (desk, carrier) = desk(held.unbind());
            return Ok(Self::Cluster(name, desk, Some(carrier)));
        }
        let py = given.py();
        let reader = ArrowArrayStreamReader::from_pyarrow_bound(&held)?;
        let schema = reader.schema();
        match py.detach(|| checked(&name, reader)) {
            Ok(batches) => Ok(Self::Table(name, schema, batches)),
            Err(e) => Err(crate::error::raise(py, &e)),
        }
    }
}

/// All batches of a stream, checked.
pub(crate) fn checked(name: &str, stream: ArrowArrayStreamReader) -> Result<Vec<RecordBatch>> {
    let impossible = || Error::input(Place::source(name), "the Arrow data are corrupt: an impossible length or offset");
    let read = AssertUnwindSafe(|| Sound::new(name, stream).collect());
    catch_unwind(read).unwrap_or_else(|_| Err(impossible().with_help("Make the table again.")))
}

/// Batches whose offsets and strings have been checked: another library may have made them of anything.
pub(crate) struct Sound {
    name: String,
    stream: ArrowArrayStreamReader,
    rows: u64,
}

impl Sound {
    pub(crate) fn new(name: &str, stream: ArrowArrayStreamReader) -> Self {
        Self { name: name.to_owned(), stream, rows: 0 }
    }

    fn check(&self, batch: std::result::Result<RecordBatch, ArrowError>) -> Result<RecordBatch> {
        let place = || Place::source(self.name.as_str());
        let batch = batch.map_err(|e| Error::input(place().row(self.rows), e.to_string()))?;
        for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
            if let Err(error) = column.to_data().validate_full() {
                let broken = (0..column.len()).find(|row| column.slice(*row, 1).to_data().validate_full().is_err());
                let row = self.rows + broken.unwrap_or(0) as u64;
                return Err(Error::input(place().row(row).column(field.name().as_str()), error.to_string()));
            }
        }
        Ok(batch)
    }
}

impl Iterator for Sound {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.stream.next()?;
        let batch = self.check(batch);
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Some(batch)
    }
}

impl Input {
    /// Who carries tasks to the cluster that the rows lie on.
    pub(crate) fn carrier(&mut self) -> Option<Carrier> {
        if let Self::Cluster(.., carrier) = self { carrier.take() } else { None }
    }

    /// The names that the report shows.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Paths(paths) => paths.clone(),
            Self::Table(name, ..) | Self::Again(name, _) | Self::Cluster(name, ..) => vec![name.clone()],
        }
    }

    /// Makes a source of it.
    pub(crate) fn open(self, format: Option<Format>, batch_rows: usize) -> Result<Box<dyn Source>> {
        match self {
            Self::Paths(paths) => open(&paths, &Options { format, batch_rows, ..Options::default() }),
            Self::Table(name, schema, mut batches) => {
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(schema));
                }
                Ok(Box::new(Memory::new(&name, &batches)?))
            }
            Self::Again(name, factory) => Ok(Box::new(Again::new(name, factory)?)),
            Self::Cluster(name, desk, _) => Ok(Box::new(Spread::open(&name, Box::new(desk))?)),
        }
    }
}

/// A table that is read from the first row whenever a scan asks, by a stream that Python opens.
struct Again {
    shared: Arc<Shared>,
    schema: SchemaRef,
    file: File,
}

struct Shared {
    name: String,
    factory: Py<PyAny>,
}

impl Shared {
    fn stream(&self) -> Result<ArrowArrayStreamReader> {
        Python::attach(|py| {
            let stream = self.factory.bind(py).call0()?;
            ArrowArrayStreamReader::from_pyarrow_bound(&stream)
        })
        .map_err(|e: PyErr| Error::input(Place::source(self.name.as_str()), e.to_string()))
    }
}

impl Again {
    fn new(name: String, factory: Py<PyAny>) -> Result<Self> {
        let shared = Arc::new(Shared { name, factory });
        let stream = shared.stream()?;
        let schema = stream.schema();
        let file = digest_table(&shared.name, &schema, Sound::new(&shared.name, stream))?;
        Ok(Self { shared, schema, file })
    }
}

impl Source for Again {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let (shared, columns) = (Arc::clone(&self.shared), columns.map(<[usize]>::to_vec));
        let stream = shared.stream()?;
        if stream.schema().fields() != self.schema.fields() {
            return Err(Error::input(Place::source(shared.name.as_str()), "the columns changed between two reads"));
        }
        Ok(Box::new(Sound::new(&shared.name, stream).map(move |batch| {
            let batch = batch?;
            match &columns {
                None => Ok(batch),
                Some(columns) => batch.project(columns).map_err(|e| Error::input(Place::source(shared.name.as_str()), e.to_string())),
            }
        })))
    }

    fn files(&self) -> Result<Vec<File>> {
        Ok(vec![self.file.clone()])
    }

    fn rows_hint(&self) -> Option<u64> {
        Some(self.file.rows)
    }
}
