//! Rows on a cluster: tasks that a scan wants done, which Python carries there, and the worker's side of them.
//!
//! A scan runs on a thread of its own, and clusters are spoken to by the thread that called: its signals, sessions and job groups are
//! those of the user. So the scan leaves its tasks at a desk, and the thread that waits for it takes them from there.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatchReader;
use arrow::compute::concat_batches;
use arrow::ffi_stream::ArrowArrayStreamReader;
use arrow_pyarrow::{FromPyArrow, ToPyArrow};
use foretaste::data::Source;
use foretaste::data::read::{Cluster, Spread};
use foretaste::engine;
use foretaste::error::{Error, Place, Result};
use foretaste::run::{self, Marked};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::data::{Sound, checked};
use crate::error::raise;
use crate::watch;

/// A task on its way: for all partitions, whose answers are joined, or for some, one answer each.
struct Call {
    task: Vec<u8>,
    partitions: Option<Vec<u32>>,
    reply: SyncSender<Vec<Vec<u8>>>,
}

/// Where a scan leaves its tasks.
pub(crate) struct Desk(Mutex<Sender<Call>>);

/// Who carries them: a Python object with `joined(task)` and `each(task, partitions)`.
pub(crate) struct Carrier {
    driver: Py<PyAny>,
    calls: Mutex<Receiver<Call>>,
}

/// How waiting for a task ended.
pub(crate) enum Waited {
    /// It was done.
    Served,
    /// None came.
    Nothing,
    /// None will come.
    Over,
}

/// A desk, and who carries away what is left there.
pub(crate) fn desk(driver: Py<PyAny>) -> (Desk, Carrier) {
    let (sender, receiver) = channel();
    (Desk(Mutex::new(sender)), Carrier { driver, calls: Mutex::new(receiver) })
}

impl Desk {
    fn ask(&self, task: &[u8], partitions: Option<Vec<u32>>) -> Result<Vec<Vec<u8>>> {
        let (reply, answered) = sync_channel(1);
        let call = Call { task: task.to_vec(), partitions, reply };
        // Whoever carries has gone only where the scan is to end: an exception is on its way to the caller.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).send(call).map_err(|_| Error::Cancelled)?;
        answered.recv().map_err(|_| Error::Cancelled)
    }
}

impl Cluster for Desk {
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.ask(task, None)?.pop())
    }

    fn each(&self, task: &[u8], partitions: &[u32]) -> Result<Vec<Vec<u8>>> {
        self.ask(task, Some(partitions.to_vec()))
    }
}

impl Carrier {
    /// Waits for a task and carries it to the cluster.
    pub(crate) fn serve(&self, py: Python<'_>, most: Duration) -> PyResult<Waited> {
        let call = py.detach(|| self.calls.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(most));
        let call = match call {
            Ok(call) => call,
            Err(RecvTimeoutError::Timeout) => return Ok(Waited::Nothing),
            Err(RecvTimeoutError::Disconnected) => return Ok(Waited::Over),
        };
        let (driver, task) = (self.driver.bind(py), PyBytes::new(py, &call.task));
        let answers = match call.partitions {
            Some(partitions) => driver.call_method1("each", (task, partitions))?.extract()?,
            None => driver.call_method1("joined", (task,))?.extract::<Option<Vec<u8>>>()?.into_iter().collect(),
        };
        // A scan that does not wait any longer has ended, which the caller will see.
        let _ = call.reply.send(answers);
        Ok(Waited::Served)
    }
}

/// Does a task with the rows of a partition, a stream of Arrow batches.
#[pyfunction]
pub(crate) fn work<'py>(py: Python<'py>, task: &[u8], partition: u32, rows: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let reader = ArrowArrayStreamReader::from_pyarrow_bound(rows)?;
    let worked = py.detach(|| watch::caught(|| engine::work(task, partition, &reader.schema(), Box::new(Sound::new("partition", reader)))));
    worked.map(|answer| PyBytes::new(py, &answer)).map_err(|e| raise(py, &e))
}

/// Joins answers to a task.
#[pyfunction]
pub(crate) fn join<'py>(py: Python<'py>, task: &[u8], answers: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyBytes>> {
    let joined = py.detach(|| {
        watch::caught(|| {
            let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
            engine::join(task, &answers)
        })
    });
    joined.map(|answer| PyBytes::new(py, &answer)).map_err(|e| raise(py, &e))
}

/// The columns that a task reads, `None` if all.
#[pyfunction]
pub(crate) fn columns_of(py: Python<'_>, task: &[u8]) -> PyResult<Option<Vec<usize>>> {
    run::columns_of(task).map_err(|e| raise(py, &e))
}

/// The partitions that an answer speaks for, and the bytes of each unit's state in it.
#[pyfunction]
#[allow(clippy::type_complexity)] // what Python sees as a list and a dict
pub(crate) fn contents(py: Python<'_>, task: &[u8], answer: &[u8]) -> PyResult<(Vec<u32>, Vec<(String, usize)>)> {
    run::contents(task, answer).map(|found| (found.covers, found.states)).map_err(|e| raise(py, &e))
}

/// The task to mark listed rows in the rows that a scan saw, by the digest that its report gives of them.
#[pyfunction]
pub(crate) fn mark_task<'py>(
    py: Python<'py>,
    name: String,
    driver: Py<PyAny>,
    digest: String,
    listed: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let reader = ArrowArrayStreamReader::from_pyarrow_bound(listed)?;
    let (desk, carrier) = desk(driver);
    let task = watch::run(py, None, Some(&carrier), move |_| {
        let schema = reader.schema();
        let batches = checked("listed rows", reader)?;
        let listed = concat_batches(&schema, &batches).map_err(|e| Error::input(Place::source("listed rows"), e.to_string()))?;
        let spread = Spread::open(&name, Box::new(desk))?;
        if spread.files()?.iter().all(|file| file.blake3 != digest) {
            return Err(Error::input(
                Place::source(name.as_str()),
                "these are not the rows that were scanned, or they lie in other partitions",
            )
            .with_help(
                "Give the very data that was scanned, and persist it or write it out where its rows come in another order each time.",
            ));
        }
        run::mark_task(&spread, &listed)
    })?;
    Ok(PyBytes::new(py, &task))
}

/// The rows of a partition with marks, an iterator of batches.
#[pyclass]
pub(crate) struct Marks(Mutex<Marked>);

/// Marks the rows of a partition, a stream of Arrow batches.
#[pyfunction]
pub(crate) fn mark(py: Python<'_>, task: &[u8], partition: u32, rows: &Bound<'_, PyAny>) -> PyResult<Marks> {
    let reader = ArrowArrayStreamReader::from_pyarrow_bound(rows)?;
    let marked = watch::caught(|| run::mark(task, partition, &reader.schema(), Box::new(Sound::new("partition", reader))));
    marked.map(|marked| Marks(Mutex::new(marked))).map_err(|e| raise(py, &e))
}

#[pymethods]
impl Marks {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = py.detach(|| watch::caught(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next().transpose()));
        next.map_err(|e| raise(py, &e))?.map(|batch| batch.to_pyarrow(py)).transpose()
    }
}
