//! The scoring read: a summary of each detector's scores over all rows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::error::Result;
use crate::fold::Info;
use crate::policy::{Fusion, ScoreSummary, fusion};

use super::feed::Feed;
use super::outcome::Progress;
use super::shared::{each_block, guarded, lock};
use super::{Passenger, columns_for};

/// Whether a detector's scores are learnt to be fused.
pub(super) fn fused(info: &Info, scores: bool) -> bool {
    scores && info.fused.is_some() && fusion(info.family) == Fusion::Surprisal
}

/// Who is to score.
pub(super) struct Scoring<'a> {
    pub(super) passengers: &'a [Passenger],
    pub(super) which: &'a [usize],
    /// Whether scores are wanted, not lists alone.
    pub(super) scores: bool,
}

/// What came of it, in the order of [`Scoring::which`]; failures by the units' positions.
pub(super) struct Scored {
    pub(super) summaries: Vec<ScoreSummary>,
    pub(super) seconds: Vec<f64>,
    pub(super) failed: BTreeMap<usize, String>,
}

impl Scoring<'_> {
    /// Summaries that have seen nothing.
    pub(super) fn fresh(&self) -> Vec<ScoreSummary> {
        let summary = |i: &usize| {
            let info = self.passengers[*i].unit.info();
            ScoreSummary::new(info.claim, fused(info, self.scores))
        };
        self.which.iter().map(summary).collect()
    }

    /// Scores every block.
    pub(super) fn run(&self, pool: &rayon::ThreadPool, workers: usize, feed: Feed<'_>, progress: &dyn Progress) -> Result<Scored> {
        let slots: Vec<Mutex<Vec<ScoreSummary>>> = (0..workers).map(|_| Mutex::new(self.fresh())).collect();
        let failed: Mutex<BTreeMap<usize, String>> = Mutex::new(BTreeMap::new());
        let seconds: Vec<Mutex<f64>> = self.which.iter().map(|_| Mutex::new(0.0)).collect();
        let derive = columns_for(self.passengers, self.which.iter().copied());
        each_block(pool, workers, feed, &derive, progress, &|worker, _, block| {
            let mut slot = lock(&slots[worker]);
            for (at, &i) in self.which.iter().enumerate() {
                let (unit, Some(model)) = (&*self.passengers[i].unit, self.passengers[i].model()) else { continue };
                let start = Instant::now();
                let mut scores = vec![None; block.rows()];
                match guarded(unit.info().code, || unit.score(model, block, &mut scores)) {
                    Ok(()) => slot[at].observe(block.keys(), &scores),
                    Err(error) => {
                        lock(&failed).entry(i).or_insert_with(|| error.to_string());
                    }
                }
                *lock(&seconds[at]) += start.elapsed().as_secs_f64();
            }
            Ok(())
        })?;
        let mut summaries = self.fresh();
        for slot in slots {
            for (into, from) in summaries.iter_mut().zip(slot.into_inner().unwrap_or_else(PoisonError::into_inner)) {
                into.merge(from);
            }
        }
        let seconds = seconds.iter().map(|seconds| *lock(seconds)).collect();
        Ok(Scored { summaries, seconds, failed: failed.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}
