//! Models that rank rows that come later.

use arrow::array::{Array, Float64Array, RecordBatchReader};
use arrow::compute::concat_batches;
use arrow::ffi_stream::ArrowArrayStreamReader;
use arrow_pyarrow::{FromPyArrow, ToPyArrow};
use foretaste::engine;
use foretaste::error::{Error, Place};
use foretaste::run::Ranker as Ranks;
use pyo3::prelude::*;

use crate::data::{Input, checked};
use crate::error::raise;
use crate::watch;

/// Models of a run, held by Python.
#[pyclass(frozen)]
pub(crate) struct Ranker(Ranks);

/// Fits the detectors that the settings name to data.
#[pyfunction]
pub(crate) fn rank(py: Python<'_>, data: Input, settings: &str) -> PyResult<Ranker> {
    let settings = crate::read_settings(settings, None, None).map_err(|e| raise(py, &e))?;
    watch::run(py, None, None, move |progress| {
        let source = data.open(None, settings.run.batch_rows)?;
        engine::rank(source.as_ref(), &settings, progress)
    })
    .map(Ranker)
}

#[pymethods]
impl Ranker {
    /// The combined score of each row of a table as a pyarrow array.
    fn score<'py>(&self, py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let reader = ArrowArrayStreamReader::from_pyarrow_bound(rows)?;
        let scores = py.detach(|| {
            watch::caught(|| {
                let schema = reader.schema();
                let batches = checked("rows", reader)?;
                let table = concat_batches(&schema, &batches).map_err(|e| Error::input(Place::source("rows"), e.to_string()))?;
                self.0.score(&table)
            })
        });
        Float64Array::from(scores.map_err(|e| raise(py, &e))?).to_data().to_pyarrow(py)
    }
}
