//! What a caller hands over: paths, a table in memory, or a way to read a table again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ffi_stream::ArrowArrayStreamReader;
use arrow::record_batch::RecordBatch;
use arrow_pyarrow::FromPyArrow;
use foretaste::data::read::{Format, Memory, Options, digest_table, open};
use foretaste::data::{Batches, File, Source};
use foretaste::error::{Error, Place, Result};
use pyo3::prelude::*;

/// One set of rows, as Python names it: `("paths", [..])`, `("table", name, stream)` or `("again", name, factory)`.
pub(crate) enum Input {
    Paths(Vec<String>),
    Table(String, SchemaRef, Vec<RecordBatch>),
    Again(String, Py<PyAny>),
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
    let read = AssertUnwindSafe(|| stream.map(|batch| sound(name, batch)).collect());
    catch_unwind(read).unwrap_or_else(|_| Err(impossible().with_help("Make the table again.")))
}

/// A batch whose offsets and strings have been checked: another library may have made them of anything.
fn sound(name: &str, batch: std::result::Result<RecordBatch, ArrowError>) -> Result<RecordBatch> {
    let batch = batch.map_err(|e| Error::input(Place::source(name), e.to_string()))?;
    for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
        column.to_data().validate_full().map_err(|e| Error::input(Place::source(name).column(field.name().as_str()), e.to_string()))?;
    }
    Ok(batch)
}

impl Input {
    /// The names that the report shows.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Paths(paths) => paths.clone(),
            Self::Table(name, ..) | Self::Again(name, _) => vec![name.clone()],
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
        let file = digest_table(&shared.name, &schema, stream.map(|batch| sound(&shared.name, batch)))?;
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
        Ok(Box::new(stream.map(move |batch| {
            let batch = sound(&shared.name, batch)?;
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
