//! Running units over a source: stages of shared scans, then scoring, decisions and listed rows.
//!
//! ```text
//! profile ─► scan 1 ─► close ─► scan 2 ─► close … ─► score ─► decide ─► list
//! ```
//!
//! Every scan is one read of the data that all units ride which want one. The cost of a run is the largest number of
//! scans that any unit asks for, not their sum. Blocks that fit the budget stay in memory between scans.

mod align;
mod answers;
mod beside;
mod decide;
mod facts;
mod feed;
mod frozen;
mod known;
mod list;
mod look;
mod mark;
mod order;
mod outcome;
mod pairs;
mod passenger;
mod places;
mod profile;
mod ranker;
mod reference;
mod remote;
mod score;
mod shared;
mod stages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

pub use beside::Surroundings;
pub use frozen::{Accepted, Frozen, Judged};
pub use list::rows_schema;
pub use order::Order;
pub use outcome::*;
pub use passenger::LEFT_OUT;
pub use ranker::{Ranker, rank};
pub use remote::{Contents, Marked, columns_of, contents, join, mark, mark_task, work};
pub use shared::on_threads;

use crate::data::{Schema, Source};
use crate::error::Result;
use crate::fold::{Claim, Given, Info, Unit};
use crate::policy::{Listing, Policy, Surprisal};

use facts::Facts;
use feed::{Cache, Feed};
use passenger::{Passenger, Phase, board, columns_for};
use reference::Aligned;
use remote::Far;
use score::Scoring;
use shared::pool;

/// Part of the memory budget that one state of one unit may hold. Fixed, so that bounded forms keep the same rows
/// whatever the number of threads.
const UNIT_SHARE: usize = 32;
/// Part of the budget for all states that are open at once; fewer threads work where more would not fit.
const STATES_SHARE: usize = 2;
/// Part of the budget for blocks kept between scans.
const CACHE_SHARE: usize = 4;
/// A unit that asks for more scans than this has lost its way.
const MOST_SCANS: u32 = 32;

/// A scan to be.
pub struct Job<'a> {
    /// The rows.
    pub source: &'a dyn Source,
    /// Rows that the user trusts: their columns have the data's names and types that fit, in any order.
    pub reference: Option<&'a dyn Source>,
    /// Who looks at them.
    pub units: Vec<Box<dyn Unit>>,
    /// How.
    pub order: &'a Order,
    /// Where the bytes of a [`Frozen`] model of the run go, if they are wanted.
    pub model: Option<&'a mut Vec<u8>>,
}

impl Job<'_> {
    /// Scans, and hands listed rows to `sink`.
    ///
    /// # Errors
    /// Bad input, a wrong role, a reference that lacks a column of the data or holds another type there, or a sink or model that cannot be
    /// written. A detector that fails is no error: the outcome names it and is not complete.
    pub fn scan(self, sink: &mut (dyn Sink + Send), progress: &dyn Progress) -> Result<Outcome> {
        let start = Instant::now();
        let Self { source, reference, units, order, model } = self;
        let policy = order.policy.checked()?;
        let mut run = Run::prepare(source, reference, units, order, sink.wants_scores(), progress)?;
        run.stages()?;
        let (listings, rarity) = run.score(&policy, sink.wants_scores())?;
        run.decide_and_list(&policy, &order.gate, &listings, &rarity, sink, model, start)
    }
}

/// Scans a source with these units and hands listed rows to `sink`; a [`Job`] without a reference.
///
/// # Errors
/// As [`Job::scan`].
pub fn scan(
    source: &dyn Source,
    units: Vec<Box<dyn Unit>>,
    order: &Order,
    sink: &mut (dyn Sink + Send),
    progress: &dyn Progress,
) -> Result<Outcome> {
    Job { source, reference: None, units, order, model: None }.scan(sink, progress)
}

struct Run<'a> {
    source: &'a dyn Source,
    reference: Option<Aligned<'a>>,
    reference_cache: Cache,
    schema: Arc<Schema>,
    pool: rayon::ThreadPool,
    threads: usize,
    memory: usize,
    cache: Cache,
    passengers: Vec<Passenger>,
    given: Given,
    facts: Facts,
    scans: u32,
    progress: &'a dyn Progress,
}

impl<'a> Run<'a> {
    /// Profiles the data and decides which units come along.
    fn prepare(
        source: &'a dyn Source,
        reference: Option<&'a dyn Source>,
        units: Vec<Box<dyn Unit>>,
        order: &Order,
        scores: bool,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let threads = order.threads.max(1);
        let pool = pool(threads)?;
        let schema = Arc::new(profile::profile(source, &order.choices, order.key, order.memory / UNIT_SHARE, progress)?);
        let reference = reference.map(|reference| Aligned::new(reference, &schema)).transpose()?;
        let passengers = board(units, &schema, reference.is_some(), order, scores);
        if source.spread().is_some() {
            remote::can_be_spread(&passengers)?;
        }
        Ok(Self {
            source,
            reference,
            reference_cache: Cache::new(order.memory / CACHE_SHARE / 2),
            schema: Arc::clone(&schema),
            pool,
            threads,
            memory: order.memory,
            cache: Cache::new(order.memory / CACHE_SHARE),
            passengers,
            given: Given::default(),
            facts: Facts::new(&schema),
            scans: 0,
            progress,
        })
    }

    /// Detectors with a model, which alone judge rows.
    fn judges(&self) -> Vec<usize> {
        (0..self.passengers.len()).filter(|&i| self.passengers[i].unit.judges() && self.passengers[i].model().is_some()).collect()
    }

    /// Scores every row once and decides which scores are listed; with `scores` also learns how rare the scores of families
    /// are that are fused by that. A detector that fails here is marked and lists nothing.
    fn score(&mut self, policy: &Policy, scores: bool) -> Result<(BTreeMap<usize, Listing>, BTreeMap<usize, Surprisal>)> {
        let scored = |info: &Info| info.claim == Claim::Posterior || score::fused(info, scores);
        let which: Vec<usize> = self.judges().into_iter().filter(|&i| scored(self.passengers[i].unit.info())).collect();
        let mut listings: BTreeMap<usize, Listing> =
            self.judges().into_iter().map(|i| (i, Listing::of(self.passengers[i].unit.info().claim))).collect();
        let mut rarity = BTreeMap::new();
        if which.is_empty() {
            return Ok((listings, rarity));
        }
        self.progress.scan(self.scans + 1, "scoring", Some(self.schema.rows));
        let scoring = Scoring { passengers: &self.passengers, which: &which, scores };
        let scored = if let Some(spread) = self.source.spread() {
            Far::new(spread, self.progress).score(&self.schema, &scoring)?
        } else {
            let mut cache = std::mem::replace(&mut self.cache, Cache::new(0));
            let scored = scoring.run(&self.pool, self.threads, Feed::open(self.source, &self.schema, &mut cache)?, self.progress)?;
            self.cache = cache;
            scored
        };
        for ((&i, summary), seconds) in which.iter().zip(scored.summaries).zip(scored.seconds) {
            let listing = summary.list(policy.fdr);
            let passenger = &mut self.passengers[i];
            passenger.seconds += seconds;
            passenger.spread = summary.spread(&listing);
            listings.insert(i, listing);
            rarity.extend(summary.surprisal().map(|rare| (i, rare)));
        }
        for (i, why) in scored.failed {
            self.passengers[i].phase = Phase::Failed(why);
            listings.remove(&i);
        }
        Ok((listings, rarity))
    }
}
