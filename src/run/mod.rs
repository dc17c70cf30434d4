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
mod facts;
mod feed;
mod frozen;
mod known;
mod list;
mod look;
mod mark;
mod outcome;
mod places;
mod profile;
mod ranker;
mod reference;
mod remote;
mod score;
mod shared;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub use beside::Surroundings;
pub use frozen::{Accepted, Frozen, Judged};
pub use list::rows_schema;
pub use outcome::*;
pub use ranker::{Ranker, rank};
pub use remote::{Contents, Marked, columns_of, contents, join, mark, mark_task, work};
pub use shared::on_threads;

use crate::data::{Choices, Key, Role, Schema, Source};
use crate::error::{Error, Result};
use crate::finding::{Family, Finding, Group, ScoreSpread, Tier, Verdict, covers};
use crate::fold::{AnyBrief, AnyModel, AnyState, Claim, Given, Info, Need, Step, Unit};
use crate::policy::{self, Gate, Judgement, Listing, Policy, Surprisal};

use beside::Keeping;
use facts::Facts;
use feed::{Cache, Feed};
use list::{Claimed, Lister};
use outcome::go_on;
use reference::Aligned;
use remote::Far;
use score::Scoring;
use shared::{Ridden, Rider, guarded, lock, pool, ride};

/// Part of the memory budget that one state of one unit may hold. Fixed, so that bounded forms keep the same rows
/// whatever the number of threads.
const UNIT_SHARE: usize = 32;
/// Part of the budget for all states that are open at once; fewer threads work where more would not fit.
const STATES_SHARE: usize = 2;
/// Part of the budget for blocks kept between scans.
const CACHE_SHARE: usize = 4;
/// A unit that asks for more scans than this has lost its way.
const MOST_SCANS: u32 = 32;

/// What a run is told, beside its source.
#[derive(Debug, Clone)]
pub struct Order {
    /// Roles that the user gave.
    pub choices: Choices,
    /// Key of the run's hashes.
    pub key: Key,
    /// Threads to use; the answer does not depend on it.
    pub threads: usize,
    /// Memory budget, bytes.
    pub memory: usize,
    /// Error rates.
    pub policy: Policy,
    /// What findings come to.
    pub gate: Gate,
    /// Codes or families to run; all if empty.
    pub only: Vec<String>,
    /// Codes or families to leave out.
    pub skip: Vec<String>,
}

impl Order {
    /// An order as `foretaste scan` has it where the user says nothing: all detectors, roles inferred, one thread a core, 2 GiB.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            choices: Choices::default(),
            key: Key::from_seed(seed),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 2 << 30,
            policy: Policy::default(),
            gate: Gate::default(),
            only: Vec::new(),
            skip: Vec::new(),
        }
    }

    /// Whether the settings leave a detector out; derived units never are.
    pub(crate) fn leaves_out(&self, unit: &dyn Unit) -> bool {
        let named = |names: &[String]| names.iter().any(|name| covers(name, unit.info().code));
        unit.judges() && (named(&self.skip) || !self.only.is_empty() && !named(&self.only))
    }
}

/// Which rows a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Data,
    Reference,
}

/// How far a unit has come.
enum Phase {
    Waiting,
    Scanning(Rows, AnyBrief),
    Done(AnyModel),
    Skipped(String),
    Failed(String),
}

struct Passenger {
    unit: Box<dyn Unit>,
    phase: Phase,
    seconds: f64,
    scans: u32,
    bytes: u64,
    /// How its posteriors lie, once rows are scored.
    spread: Option<ScoreSpread>,
}

impl Passenger {
    fn new(unit: Box<dyn Unit>, phase: Phase) -> Self {
        Self { unit, phase, seconds: 0.0, scans: 0, bytes: 0, spread: None }
    }

    fn code(&self) -> &'static str {
        self.unit.info().code
    }

    fn settled(&self) -> bool {
        matches!(self.phase, Phase::Done(_) | Phase::Skipped(_) | Phase::Failed(_))
    }

    fn listed(&self, rows: u64) -> policy::Listed<'_> {
        policy::Listed { code: self.code(), family: self.unit.info().family, rows }
    }

    fn model(&self) -> Option<&AnyModel> {
        match &self.phase {
            Phase::Done(model) => Some(model),
            _ => None,
        }
    }

    /// Why the unit could not finish, with its code.
    fn failure(&self) -> Option<(&'static str, &str)> {
        match &self.phase {
            Phase::Failed(why) => Some((self.code(), why)),
            _ => None,
        }
    }

    fn step(&mut self, step: Result<Step<AnyBrief, AnyModel>>) {
        self.phase = match step {
            Ok(Step::Scan(_) | Step::Reference(_)) if self.scans >= MOST_SCANS => {
                Phase::Failed(format!("asked for more than {MOST_SCANS} scans"))
            }
            Ok(Step::Scan(brief)) => Phase::Scanning(Rows::Data, brief),
            Ok(Step::Reference(brief)) => Phase::Scanning(Rows::Reference, brief),
            Ok(Step::Done(model)) => Phase::Done(model),
            Err(error) => Phase::Failed(error.to_string()),
        };
    }
}

/// Scans a source with these units and hands listed rows to `sink`.
///
/// # Errors
/// Bad input, a wrong role, or a sink that cannot write. A detector that fails is no error: the outcome names it and is
/// not complete.
pub fn scan(
    source: &dyn Source,
    units: Vec<Box<dyn Unit>>,
    order: &Order,
    sink: &mut (dyn Sink + Send),
    progress: &dyn Progress,
) -> Result<Outcome> {
    scan_against(source, None, units, order, sink, progress)
}

/// As [`scan_against`]; also gives the bytes of a [`Frozen`] model of the run.
///
/// # Errors
/// As [`scan_against`], and a model that cannot be written.
pub fn scan_to_freeze(
    source: &dyn Source,
    reference: Option<&dyn Source>,
    units: Vec<Box<dyn Unit>>,
    order: &Order,
    sink: &mut (dyn Sink + Send),
    progress: &dyn Progress,
) -> Result<(Outcome, Vec<u8>)> {
    let mut model = Vec::new();
    let outcome = scan_into(source, reference, units, order, sink, progress, Some(&mut model))?;
    Ok((outcome, model))
}

/// As [`scan`], against a reference that the user trusts: its columns have the data's names and types that fit, in any order.
///
/// # Errors
/// As [`scan`], and a reference that lacks a column of the data or holds another type there.
pub fn scan_against(
    source: &dyn Source,
    reference: Option<&dyn Source>,
    units: Vec<Box<dyn Unit>>,
    order: &Order,
    sink: &mut (dyn Sink + Send),
    progress: &dyn Progress,
) -> Result<Outcome> {
    scan_into(source, reference, units, order, sink, progress, None)
}

fn scan_into(
    source: &dyn Source,
    reference: Option<&dyn Source>,
    units: Vec<Box<dyn Unit>>,
    order: &Order,
    sink: &mut (dyn Sink + Send),
    progress: &dyn Progress,
    model: Option<&mut Vec<u8>>,
) -> Result<Outcome> {
    let start = Instant::now();
    let policy = order.policy.checked()?;
    let mut run = Run::prepare(source, reference, units, order, sink.wants_scores(), progress)?;
    run.stages()?;
    let (listings, rarity) = run.score(&policy, sink.wants_scores())?;
    run.decide_and_list(&policy, &order.gate, &listings, &rarity, sink, model, start)
}

/// Decides which units come along.
fn board(units: Vec<Box<dyn Unit>>, schema: &Schema, reference: bool, order: &Order, scores: bool) -> Vec<Passenger> {
    units
        .into_iter()
        .map(|unit| {
            let phase = if order.leaves_out(&*unit) {
                Phase::Skipped("left out by the settings".to_owned())
            } else if unit.judges() && unit.info().claim == Claim::Rank && !scores {
                Phase::Skipped("only ranks rows, and nobody asked for scores".to_owned())
            } else {
                match unit.info().needs.iter().find_map(|need| unmet(*need, schema, reference)) {
                    Some(why) => Phase::Skipped(why),
                    None => Phase::Waiting,
                }
            };
            Passenger::new(unit, phase)
        })
        .collect()
}

/// Why a need is not met.
fn unmet(need: Need, schema: &Schema, reference: bool) -> Option<String> {
    let has = |role| schema.first(role).is_some();
    let (met, why) = match need {
        Need::Classes => match &schema.label {
            None => (false, "needs a label column"),
            Some(label) if label.answers().is_some() => (false, "needs a label column"),
            Some(label) => (label.classes.len() > 1, "needs at least two classes; the label has one value"),
        },
        Need::Targets => match &schema.label {
            None => (false, "needs a label column, or one of answers"),
            Some(label) => (label.classes.len() > 1, "needs at least two classes; all rows are of one"),
        },
        Need::Answers => match schema.label.as_ref().filter(|label| label.answers().is_some()) {
            None => (false, "needs a column of answers, and no label column"),
            Some(label) => (label.classes.len() > 1, "no answer is repeated by enough rows"),
        },
        Need::Number => (has(Role::Target), "needs a label column of numbers to predict"),
        Need::Numeric => (has(Role::Numeric), "needs a numeric column"),
        Need::Table => (has(Role::Numeric) || has(Role::Categorical), "needs feature columns"),
        Need::Text => (!schema.text_columns().is_empty(), "needs a text column"),
        Need::Image => (has(Role::Image), "needs an image column"),
        Need::Vectors => (has(Role::Numeric) || has(Role::Embedding), "needs numeric columns or an embedding"),
        Need::Probabilities => (has(Role::Probabilities), "needs a column of class probabilities"),
        Need::Embedding => (has(Role::Embedding), "needs an embedding column"),
        Need::Addresses => (has(Role::Address) && has(Role::Digest), "needs a column of network addresses and one of content hashes"),
        Need::Reference => (reference, "needs a reference (--reference)"),
        Need::Content => (schema.has_content(), "needs a content column"),
    };
    (!met).then(|| why.to_owned())
}

/// Derived units whose column some of these units read.
fn columns_for(passengers: &[Passenger], readers: impl Iterator<Item = usize>) -> Vec<(&dyn Unit, AnyModel)> {
    let wanted: Vec<&str> = readers.flat_map(|i| passengers[i].unit.info().reads.iter().copied()).collect();
    let derived = passengers.iter().filter(|p| !p.unit.judges() && wanted.contains(&p.code()));
    derived.filter_map(|p| Some((&*p.unit, Arc::clone(p.model()?)))).collect()
}

/// A step that a unit took: its number, the seconds it needed, what came of it.
type Taken = (usize, f64, Result<Step<AnyBrief, AnyModel>>);

/// What a unit says of the whole set.
#[derive(Default)]
struct Told {
    lowest_p: Option<f64>,
    notes: Vec<String>,
}

/// What a scan left for a unit to close: its brief and the merged state.
type Gathered = (AnyBrief, Result<AnyState>);

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

    /// Shared scans until every unit is settled.
    fn stages(&mut self) -> Result<()> {
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
        use rayon::prelude::*;
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

    /// Decides on causes, hands the listed rows to the sink in row order, and sums up; writes down what was learnt where `model` asks.
    #[allow(clippy::too_many_arguments)] // all that a run has come to
    fn decide_and_list(
        mut self,
        policy: &Policy,
        gate: &Gate,
        listings: &BTreeMap<usize, Listing>,
        rarity: &BTreeMap<usize, Surprisal>,
        sink: &mut (dyn Sink + Send),
        model: Option<&mut Vec<u8>>,
        start: Instant,
    ) -> Result<Outcome> {
        let files = self.source.files()?;
        let mut groups = BTreeMap::new();
        let mut told_of = BTreeMap::new();
        for &i in listings.keys() {
            let (unit, Some(model)) = (&*self.passengers[i].unit, self.passengers[i].model()) else { continue };
            let told = guarded(unit.info().code, || Ok((unit.groups(model)?, unit.notes(model)?)));
            match told {
                Ok((found, said)) => {
                    let lowest_p = found.iter().map(Group::corrected).min_by(f64::total_cmp);
                    groups.insert(i, found);
                    told_of.insert(i, Told { lowest_p, notes: said });
                }
                Err(error) => self.passengers[i].phase = Phase::Failed(error.to_string()),
            }
        }
        let causes_in =
            |family: Family| groups.iter().filter(|(i, g)| self.passengers[**i].unit.info().family == family && !g.is_empty()).count();
        let decided: BTreeMap<usize, Vec<Option<Finding>>> = groups
            .iter()
            .map(|(&i, groups)| {
                let info = self.passengers[i].unit.info();
                let decide = |group: &Group| {
                    let finding = policy.decide(info, group.clone(), causes_in(info.family))?;
                    Some(Finding { standing: gate.standing(&finding.fingerprint), ..finding })
                };
                (i, groups.iter().map(decide).collect())
            })
            .collect();
        let slim = |findings: &Vec<Option<Finding>>| findings.iter().map(|finding| finding.as_ref().map(Claimed::from)).collect();
        let claims: BTreeMap<usize, Vec<Option<Claimed>>> = decided.iter().map(|(&i, findings)| (i, slim(findings))).collect();
        if let Some(model) = model {
            *model = frozen::freeze(&self.schema, &self.passengers, listings, &claims)?;
        }
        let wanted = (sink.wants_scores(), sink.wants_content());
        let mut cache = std::mem::replace(&mut self.cache, Cache::new(0));
        let lister = Lister::new(&self.schema, &files, &self.passengers, listings, rarity, &claims, wanted);
        let mut failed = BTreeMap::new();
        let listed = if lister.has_work() {
            self.progress.scan(self.scans + 2, "listing rows", Some(self.schema.rows));
            let mut keeping = Keeping::new(sink, self.memory / UNIT_SHARE);
            let listed = self.list(&lister, &mut cache, &mut keeping)?;
            let (rows, content) = keeping.into_rows(&self.schema)?;
            failed.extend(self.look_beside(&rows, &content, &mut cache, sink)?);
            listed
        } else {
            lister.nothing(sink)?
        };
        for (i, why) in listed.failed.iter().chain(&failed) {
            self.passengers[*i].phase = Phase::Failed(why.clone());
        }
        let mut findings: Vec<Finding> = decided.into_values().flatten().flatten().collect();
        findings.sort_by(|a, b| {
            b.tier
                .cmp(&a.tier)
                .then(a.q.total_cmp(&b.q))
                .then(b.group.agreeing.cmp(&a.group.agreeing))
                .then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        self.sum_up(gate, findings, &listed, told_of, files, start)
    }

    /// One read that lists rows.
    fn list(&self, lister: &Lister<'_>, cache: &mut Cache, sink: &mut (dyn Sink + Send)) -> Result<list::Listed> {
        if let Some(spread) = self.source.spread() {
            return Far::new(spread, self.progress).list(lister, sink);
        }
        let feed = Feed::open(self.source, &self.schema, cache)?;
        let derive = columns_for(&self.passengers, lister.judges().iter().copied());
        lister.run(&self.pool, self.threads, feed, &derive, self.progress, sink)
    }

    fn sum_up(
        &self,
        gate: &Gate,
        findings: Vec<Finding>,
        listed: &list::Listed,
        mut told_of: BTreeMap<usize, Told>,
        files: Vec<crate::data::File>,
        start: Instant,
    ) -> Result<Outcome> {
        let breakdown = listed.places.breakdown(&self.schema, &self.facts, &files)?;
        let units: Vec<UnitOutcome> = self
            .passengers
            .iter()
            .enumerate()
            .map(|(i, p)| (i, p, told_of.remove(&i).unwrap_or_default()))
            .map(|(i, p, told)| UnitOutcome {
                code: p.code().to_owned(),
                family: p.unit.info().family,
                status: match &p.phase {
                    Phase::Done(_) => Status::Ran,
                    Phase::Skipped(why) => Status::Skipped(why.clone()),
                    Phase::Failed(why) => Status::Failed(why.clone()),
                    Phase::Waiting | Phase::Scanning(..) => Status::Failed("did not come to an end".to_owned()),
                },
                seconds: p.seconds,
                bytes: p.bytes,
                scans: p.scans,
                flagged: listed.by_unit.get(&i).copied().unwrap_or(0),
                lowest_p: told.lowest_p,
                notes: told.notes,
                spread: p.spread.clone(),
            })
            .collect();
        let mut families: BTreeMap<String, FamilyCounts> =
            Family::CLAIMING.iter().map(|f| (f.name().to_owned(), FamilyCounts::default())).collect();
        for finding in &findings {
            let counts = families.entry(finding.family.name().to_owned()).or_default();
            match finding.tier {
                Tier::Alarm => counts.alarm_groups += 1,
                _ => counts.suspect_groups += 1,
            }
        }
        for ((family, tier), rows) in &listed.by_family {
            let counts = families.entry(family.name().to_owned()).or_default();
            match tier {
                Tier::Alarm => counts.alarm_rows += rows,
                _ => counts.suspect_rows += rows,
            }
        }
        let complete = units.iter().all(|u| !matches!(u.status, Status::Failed(_)));
        let by_code: Vec<policy::Listed<'_>> = listed.open_by_unit.iter().map(|(&i, &rows)| self.passengers[i].listed(rows)).collect();
        let judgement = gate.judge(&findings, &by_code, &listed.open_by_family, self.schema.rows);
        let verdict = judgement.verdict;
        let label = self.schema.label.as_ref();
        Ok(Outcome {
            verdict,
            reasons: reasons(&judgement, listed.rows, self.schema.rows, &units),
            policy: judgement.applied,
            power: None,
            complete,
            data: DataFacts {
                files,
                rows: self.schema.rows,
                columns: self.schema.columns.clone(),
                nulls: self.facts.nulls(&self.schema),
                label: label.map(|l| l.name.clone()),
                classes: label.map(|l| l.classes.clone()).unwrap_or_default(),
                unreadable: self.facts.unreadable(&self.schema),
                reference: self.reference.as_ref().map(Source::files).transpose()?.unwrap_or_default(),
            },
            units,
            findings,
            families,
            flagged_rows: listed.rows,
            breakdown,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// The sentences behind a verdict, the most important first.
fn reasons(judgement: &Judgement, listed: u64, rows: u64, units: &[UnitOutcome]) -> Vec<String> {
    let mut reasons = judgement.reasons.clone();
    if listed > 0 {
        reasons.push(format!("{listed} of {rows} rows are listed for review"));
    } else if reasons.is_empty() && judgement.verdict == Verdict::Pass {
        reasons.push(format!("nothing in {rows} rows that clean data would not show"));
    }
    for unit in units {
        if let Status::Failed(why) = &unit.status {
            reasons.push(format!("incomplete: {} did not finish: {why}", unit.code));
        }
    }
    reasons
}
