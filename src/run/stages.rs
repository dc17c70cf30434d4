//! Shared scans: every unit that wants one rides the same read of the data.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rayon::prelude::*;

use super::feed::{Cache, Feed};
use super::outcome::go_on;
use super::passenger::{Phase, Rows, columns_for};
use super::remote::Far;
use super::shared::{Ridden, Rider, guarded, lock, ride};
use super::{Run, STATES_SHARE};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::fold::{AnyBrief, AnyModel, AnyState, Step, Unit};

/// A step that a unit took: its number, the seconds it needed, what came of it.
type Taken = (usize, f64, Result<Step<AnyBrief, AnyModel>>);

/// What a scan left for a unit to close: its brief and the merged state.
type Gathered = (AnyBrief, Result<AnyState>);

impl Run<'_> {
    /// Shared scans until every unit is settled.
    pub(super) fn stages(&mut self) -> Result<()> {
        loop {
            self.begin();
            go_on(self.progress)?;
            let riders = |rows: Rows| -> Vec<usize> {
                (0..self.passengers.len()).filter(|&i| matches!(self.passengers[i].phase, Phase::Scanning(of, _) if of == rows)).collect()
            };
            let (riders, comparing) = (riders(Rows::Data), riders(Rows::Reference));
            if riders.is_empty() && comparing.is_empty() && self.facts.complete() {
                break;
            }
            if !riders.is_empty() || !self.facts.complete() {
                let ridden = self.ride(&riders)?;
                self.progress.busy("closing the scan");
                self.close(&riders, ridden);
            }
            if !comparing.is_empty() {
                let ridden = self.ride_reference(&comparing)?;
                self.progress.busy("closing the scan");
                self.close(&comparing, ridden);
            }
        }
        for passenger in &mut self.passengers {
            if matches!(passenger.phase, Phase::Waiting) {
                passenger.phase = Phase::Failed("waits for a unit that waits for it".to_owned());
            }
        }
        Ok(())
    }

    /// Begins every unit whose predecessors are settled, round by round, those of a round in parallel.
    fn begin(&mut self) {
        loop {
            let waits_for = |code: &&str| self.passengers.iter().any(|p| p.code() == *code && !p.settled());
            let ready: Vec<usize> = (0..self.passengers.len())
                .filter(|&i| matches!(self.passengers[i].phase, Phase::Waiting))
                .filter(|&i| {
                    let info = self.passengers[i].unit.info();
                    !info.after.iter().chain(info.reads).any(waits_for)
                })
                .collect();
            if ready.is_empty() {
                return;
            }
            self.progress.busy("fitting");
            let (schema, given) = (&*self.schema, &self.given);
            let steps = self.each(&ready, |unit, _| guarded(unit.info().code, || unit.begin(schema, given)));
            self.file(steps);
        }
    }

    /// Closes the scan that these units rode.
    fn close(&mut self, riders: &[usize], ridden: Vec<Ridden>) {
        let mut work: BTreeMap<usize, Mutex<Option<Gathered>>> = BTreeMap::new();
        for (&i, ridden) in riders.iter().zip(ridden) {
            let passenger = &mut self.passengers[i];
            passenger.seconds += ridden.seconds;
            passenger.scans += 1;
            passenger.bytes = passenger.bytes.max(passenger.unit.max_bytes(&self.schema) as u64);
            if let Phase::Scanning(_, brief) = std::mem::replace(&mut passenger.phase, Phase::Waiting) {
                work.insert(i, Mutex::new(Some((brief, ridden.state))));
            }
        }
        let (schema, given) = (&*self.schema, &self.given);
        let steps = self.each(riders, |unit, i| {
            let code = unit.info().code;
            let Some((brief, state)) = work.get(&i).and_then(|slot| lock(slot).take()) else {
                return Err(Error::Detector { code, reason: "lost its state".to_owned() });
            };
            let state = state?;
            guarded(code, || unit.close(schema, given, brief, state))
        });
        self.file(steps);
    }

    /// Runs a step of some units in parallel and files what comes of it.
    fn each(&self, which: &[usize], work: impl Fn(&dyn Unit, usize) -> Result<Step<AnyBrief, AnyModel>> + Sync) -> Vec<Taken> {
        self.pool.install(|| {
            which
                .par_iter()
                .map(|&i| {
                    let start = Instant::now();
                    let step = go_on(self.progress).and_then(|()| work(&*self.passengers[i].unit, i));
                    (i, start.elapsed().as_secs_f64(), step)
                })
                .collect()
        })
    }

    /// Files what came of a round of steps.
    fn file(&mut self, steps: Vec<Taken>) {
        for (i, seconds, step) in steps {
            let passenger = &mut self.passengers[i];
            passenger.seconds += seconds;
            passenger.step(step);
            if let Some(model) = passenger.model() {
                self.given.insert(passenger.code(), Arc::clone(model));
            }
        }
    }

    /// Workers whose states fit the budget together.
    fn workers(&self, riders: &[usize]) -> usize {
        let one: usize = riders.iter().map(|&i| self.passengers[i].unit.max_bytes(&self.schema)).sum();
        (self.memory / STATES_SHARE / one.max(1)).clamp(1, self.threads)
    }

    /// One shared scan.
    fn ride(&mut self, riders: &[usize]) -> Result<Vec<Ridden>> {
        self.scans += 1;
        self.progress.scan(self.scans, "scanning", Some(self.schema.rows));
        if let Some(spread) = self.source.spread() {
            let ridden = Far::new(spread, self.progress).ride(&self.schema, &self.passengers, riders, &self.facts)?;
            self.facts.close();
            return Ok(ridden);
        }
        let workers = self.workers(riders);
        let mut cache = std::mem::replace(&mut self.cache, Cache::new(0));
        let ridden = {
            let feed = Feed::open(self.source, &self.schema, &mut cache)?;
            let derive = columns_for(&self.passengers, riders.iter().copied());
            let facts = &self.facts;
            ride(&self.pool, workers, feed, &derive, &self.aboard(riders), self.progress, &|block| facts.observe(block))?
        };
        self.cache = cache;
        self.facts.close();
        Ok(ridden)
    }

    /// One shared scan of the reference.
    fn ride_reference(&mut self, riders: &[usize]) -> Result<Vec<Ridden>> {
        self.scans += 1;
        let Some(reference) = &self.reference else {
            return Err(Error::config("reference", "a detector asks for one that was not given"));
        };
        self.progress.scan(self.scans, "scanning the reference", reference.rows_hint());
        let workers = self.workers(riders);
        let mut cache = std::mem::replace(&mut self.reference_cache, Cache::new(0));
        let ridden = {
            let feed = Feed::open(reference, &reference.schema, &mut cache)?;
            let derive = columns_for(&self.passengers, riders.iter().copied());
            ride(&self.pool, workers, feed, &derive, &self.aboard(riders), self.progress, &|_| ())?
        };
        self.reference_cache = cache;
        Ok(ridden)
    }

    /// These units with their briefs.
    fn aboard(&self, riders: &[usize]) -> Vec<Rider<'_>> {
        let rider = |&i: &usize| match &self.passengers[i].phase {
            Phase::Scanning(_, brief) => Some(Rider { unit: &*self.passengers[i].unit, brief: Arc::clone(brief) }),
            _ => None,
        };
        riders.iter().filter_map(rider).collect()
    }
}
