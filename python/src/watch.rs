//! A scan on a thread of its own, and the thread that waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foretaste::error::{Error, Result};
use foretaste::run::Progress;
use pyo3::prelude::*;

use crate::cluster::{Carrier, Waited};
use crate::error::{exception, raise};

/// How often the waiting thread looks for signals.
const LOOK: Duration = Duration::from_millis(50);
/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(200);
/// How long the waiting thread waits for a scan that it asked to stop. One that is in the middle of a long step ends on its own
/// after that, and its outcome is dropped.
const PATIENCE: Duration = Duration::from_millis(800);

/// The process that scanned first: threads do not survive a fork.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// What a scan is doing.
#[derive(Default)]
struct Doing {
    what: String,
    rows: u64,
    of: Option<u64>,
}

/// Shared by the scan and the thread that waits.
#[derive(Default)]
pub(crate) struct Watch {
    doing: Mutex<Doing>,
    stop: AtomicBool,
}

impl Progress for Watch {
    fn scan(&self, number: u32, what: &str, rows: Option<u64>) {
        *lock(&self.doing) = Doing { what: format!("scan {number}: {what}"), rows: 0, of: rows };
    }

    fn rows(&self, rows: u64) {
        let mut doing = lock(&self.doing);
        doing.rows = doing.rows.saturating_add(rows);
    }

    fn busy(&self, what: &str) {
        *lock(&self.doing) = Doing { what: what.to_owned(), rows: 0, of: None };
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the scan leaves what came of it.
type Slot<T> = Arc<(Mutex<Option<Result<T>>>, Condvar)>;

/// Runs code whose panics are no business of the interpreter's: an error takes their place.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let broken = || Error::Wire {
        code: "foretaste".to_owned(),
        reason: "stopped at an internal error; please report it with the schema of the data".to_owned(),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(broken()))
}

/// Runs `work` on a new thread without the interpreter's lock, and carries its tasks to a cluster where it has one; stops it where a
/// signal comes, or an exception of `tick` or of the cluster.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    tick: Option<&Py<PyAny>>,
    carrier: Option<&Carrier>,
    work: impl FnOnce(&Watch) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let own = std::process::id();
    let first = PROCESS.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err_and(|first| first != own) {
        let help = "Start processes by 'spawn' or 'forkserver', or scan in the child alone.";
        let reason = "this process was forked from one that had scanned, and threads do not survive a fork";
        return Err(exception(py, "ForetasteError", reason, Some(help)));
    }
    let (watch, slot) = (Arc::new(Watch::default()), Slot::<T>::default());
    let (theirs, filled) = (Arc::clone(&watch), Arc::clone(&slot));
    let scan = move || {
        let ended = caught(|| work(&theirs));
        *lock(&filled.0) = Some(ended);
        filled.1.notify_all();
    };
    std::thread::Builder::new()
        .name("foretaste".to_owned())
        .spawn(scan)
        .map_err(|e| raise(py, &Error::config("threads", format!("no thread can be started: {e}"))))?;
    let mut shown = Instant::now();
    loop {
        let served = carrier.map_or(Ok(Waited::Over), |carrier| carrier.serve(py, LOOK));
        let patience = if matches!(served, Ok(Waited::Over)) { LOOK } else { Duration::ZERO };
        let ended = if served.is_ok() { py.detach(|| wait(&slot, patience)) } else { None };
        if let Some(ended) = ended {
            return ended.map_err(|e| raise(py, &e));
        }
        let mut looked = served.and_then(|_| py.check_signals());
        if looked.is_ok()
            && let Some(tick) = tick.filter(|_| shown.elapsed() >= SHOW)
        {
            shown = Instant::now();
            let (what, rows, of) = {
                let doing = lock(&watch.doing);
                (doing.what.clone(), doing.rows, doing.of)
            };
            looked = tick.call1(py, (what, rows, of)).map(|_| ());
        }
        if let Err(why) = looked {
            watch.stop.store(true, Ordering::Relaxed);
            py.detach(|| wait(&slot, PATIENCE));
            return Err(why);
        }
    }
}

/// What came of the scan, if it ends in time.
fn wait<T>(slot: &Slot<T>, most: Duration) -> Option<Result<T>> {
    let (mutex, ended) = &**slot;
    let (mut guard, _) = ended.wait_timeout_while(lock(mutex), most, |ended| ended.is_none()).unwrap_or_else(PoisonError::into_inner);
    guard.take()
}
