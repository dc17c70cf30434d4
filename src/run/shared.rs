//! One shared scan: all units that want to look at the rows ride one read of them, in parallel.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::fold::{AnyBrief, AnyModel, AnyState, Law, Unit};

use super::feed::Feed;
use super::outcome::{Progress, go_on};

/// Leaves of the merge tree for units whose law is not exact: block *i* always goes to leaf *i* mod this, in order, so
/// that sums are formed in the same order whatever the number of threads.
const LEAVES: usize = 16;

/// A unit that rides a scan.
pub(super) struct Rider<'a> {
    pub(super) unit: &'a dyn Unit,
    pub(super) brief: AnyBrief,
}

/// What a rider brought home.
pub(super) struct Ridden {
    pub(super) state: Result<AnyState>,
    pub(super) seconds: f64,
}

/// Locks, and goes on after a panic elsewhere: every panic of a unit is caught and reported where it happened.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a unit's code; a panic becomes an error that names the unit.
pub(super) fn guarded<T>(code: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::Detector { code, reason: format!("panicked: {}", words(&*panic)) }))
}

fn words(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// What a worker does with a block: it is told the worker's number, the block's, and the block.
type Work<'a> = dyn Fn(usize, u64, &Arc<Batch>) -> Result<()> + Sync + 'a;

/// So many threads, all cores if 0.
pub(super) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let named = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("foretaste-{i}"));
    named.build().map_err(|e| Error::config("threads", e.to_string()))
}

/// Runs work on so many threads, all cores if 0; what it does in parallel stays on them.
///
/// # Errors
/// [`Error::Config`] where there cannot be so many.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    Ok(pool(threads)?.install(work))
}

/// Adds the columns of derived units to a block, those that it does not have yet.
pub(super) fn derive_columns(derive: &[(&dyn Unit, AnyModel)], block: &Batch) -> Result<()> {
    for (unit, model) in derive {
        let code = unit.info().code;
        if block.derived(code).is_none()
            && let Some(column) = guarded(code, || unit.column(model, block))?
        {
            block.derive(code, column);
        }
    }
    Ok(())
}

/// Calls `work` with every block, on all threads, with the derived columns attached that `derive` asks for. Blocks are
/// handed out in order.
pub(super) fn each_block(
    pool: &rayon::ThreadPool,
    workers: usize,
    feed: Feed<'_>,
    derive: &[(&dyn Unit, AnyModel)],
    progress: &dyn Progress,
    work: &Work<'_>,
) -> Result<()> {
    let feed = Mutex::new(feed);
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let run = |worker: usize| -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            go_on(progress)?;
            let Some((index, block)) = lock(&feed).next()? else { break };
            derive_columns(derive, &block)?;
            work(worker, index, &block)?;
            progress.rows(block.rows() as u64);
        }
        Ok(())
    };
    pool.scope(|scope| {
        for worker in 0..workers {
            let (run, stop, failure) = (&run, &stop, &failure);
            scope.spawn(move |_| {
                if let Err(error) = run(worker) {
                    stop.store(true, Ordering::Relaxed);
                    lock(failure).get_or_insert(error);
                }
            });
        }
    });
    match lock(&failure).take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The states of one rider: one a worker where the law is exact, since then any split gives the same bits; a fixed
/// number of leaves with ordered entry otherwise.
struct Slots {
    states: Vec<Mutex<Option<AnyState>>>,
    turn: Option<(Mutex<Vec<u64>>, Condvar)>,
    failed: Mutex<Option<Error>>,
    nanos: AtomicU64,
}

impl Slots {
    fn new(law: Law, workers: usize) -> Self {
        let (count, turn) = match law {
            Law::Exact => (workers, None),
            Law::Rounded { .. } => (LEAVES, Some((Mutex::new((0..LEAVES as u64).collect()), Condvar::new()))),
        };
        Self { states: (0..count).map(|_| Mutex::new(None)).collect(), turn, failed: Mutex::new(None), nanos: AtomicU64::new(0) }
    }

    fn observe(&self, rider: &Rider<'_>, worker: usize, index: u64, block: &Batch) {
        let slot = if self.turn.is_some() { index as usize % LEAVES } else { worker };
        if let Some((turns, changed)) = &self.turn {
            let mut turns = lock(turns);
            while turns[slot] != index {
                turns = changed.wait(turns).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if lock(&self.failed).is_none() {
            let start = Instant::now();
            let mut state = lock(&self.states[slot]);
            let seen = guarded(rider.unit.info().code, || {
                let state = match &mut *state {
                    Some(state) => state,
                    none => none.insert(rider.unit.open(&rider.brief)?),
                };
                rider.unit.observe(&rider.brief, state, block)
            });
            if let Err(error) = seen {
                lock(&self.failed).get_or_insert(error);
            }
            self.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        if let Some((turns, changed)) = &self.turn {
            lock(turns)[slot] += LEAVES as u64;
            changed.notify_all();
        }
    }

    /// Merges the slots in a fixed binary tree over their numbers.
    fn finish(self, rider: &Rider<'_>) -> Ridden {
        let start = Instant::now();
        let code = rider.unit.info().code;
        let state = match self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => guarded(code, || {
                let mut level: Vec<AnyState> = Vec::new();
                for slot in self.states {
                    level.extend(slot.into_inner().unwrap_or_else(PoisonError::into_inner));
                }
                while level.len() > 1 {
                    let mut above = Vec::with_capacity(level.len().div_ceil(2));
                    let mut states = level.into_iter();
                    while let Some(mut left) = states.next() {
                        if let Some(right) = states.next() {
                            rider.unit.merge(&rider.brief, &mut left, right)?;
                        }
                        above.push(left);
                    }
                    level = above;
                }
                match level.pop() {
                    Some(state) => Ok(state),
                    None => rider.unit.open(&rider.brief),
                }
            }),
        };
        Ridden { state, seconds: self.nanos.load(Ordering::Relaxed) as f64 * 1e-9 + start.elapsed().as_secs_f64() }
    }
}

/// Lets all riders see every block once. An error of the data ends the scan; an error of a rider ends that rider alone.
pub(super) fn ride(
    pool: &rayon::ThreadPool,
    workers: usize,
    feed: Feed<'_>,
    derive: &[(&dyn Unit, AnyModel)],
    riders: &[Rider<'_>],
    progress: &dyn Progress,
    also: &(dyn Fn(&Batch) + Sync),
) -> Result<Vec<Ridden>> {
    let slots: Vec<Slots> = riders.iter().map(|rider| Slots::new(rider.unit.info().law, workers)).collect();
    each_block(pool, workers, feed, derive, progress, &|worker, index, block| {
        also(block);
        for (rider, slots) in riders.iter().zip(&slots) {
            slots.observe(rider, worker, index, block);
        }
        Ok(())
    })?;
    Ok(riders.iter().zip(slots).map(|(rider, slots)| slots.finish(rider)).collect())
}
