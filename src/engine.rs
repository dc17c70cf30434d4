//! The local engine: reader, units, policy and report put together.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;

use crate::cli::{Engine, Request};
use crate::config::Settings;
use crate::data::read::{self, Options};
use crate::data::{Batches, Key, Source};
use crate::error::{Error, Place, Result};
use crate::finding::Family;
use crate::fold::Info;
use crate::folder::whole_file;
use crate::metrics;
use crate::policy::{Gate, Policy};
use crate::power;
use crate::report::{self, Writer};
use crate::run::{self, Frozen, LEFT_OUT, Order, Outcome, Progress, Ranker, Status};

/// Scans on this machine.
pub struct Local;

impl Engine for Local {
    fn scan(&self, request: &Request, progress: &dyn Progress) -> Result<(Outcome, PathBuf)> {
        let settings = &request.settings;
        let options = Options { format: request.format, batch_rows: settings.run.batch_rows, ..Options::default() };
        let source = read::open(&request.inputs, &options)?;
        let trusted = &settings.reference.inputs;
        let reference = if trusted.is_empty() { None } else { Some(read::open(trusted, &Options { format: None, ..options })?) };
        scan_keeping(source.as_ref(), reference.as_deref(), settings, request.model.as_deref(), progress)
    }

    fn model(&self, path: &Path) -> Result<Frozen> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Error::input(Place::source(&name), format!("the model cannot be read: {e}")))?;
        Frozen::read(&name, &bytes, crate::detect::all())
    }

    fn detectors(&self) -> Vec<&'static Info> {
        crate::detect::all().iter().map(|unit| unit.info()).filter(|info| info.family != Family::Derived).collect()
    }

    fn summary(&self, outcome: &Outcome, report: &Path, colour: bool, width: usize) -> String {
        report::render(outcome, report, colour, width)
    }
}

/// Scans rows of any kind as these settings say, whose inputs are not read, and writes the report; gives back what was found and
/// the report's folder.
///
/// # Errors
/// As [`run::Job::scan`], and a report that cannot be written.
pub fn scan(
    source: &dyn Source,
    reference: Option<&dyn Source>,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<(Outcome, PathBuf)> {
    scan_keeping(source, reference, settings, None, progress)
}

/// As [`scan`]; also keeps what was learnt in the file `model`.
fn scan_keeping(
    source: &dyn Source,
    reference: Option<&dyn Source>,
    settings: &Settings,
    model: Option<&Path>,
    progress: &dyn Progress,
) -> Result<(Outcome, PathBuf)> {
    if settings.run.power && source.spread().is_some() {
        return Err(Error::config("--power", "poison is planted into a copy of the rows in memory, and rows on a cluster stay there")
            .with_help("Measure on a sample of the rows that is scanned here."));
    }
    let seed = settings.run.seed.unwrap_or_else(fresh_seed);
    let created = jiff::Timestamp::now();
    let gate = Gate {
        rules: settings.policy.rules(),
        baseline: settings.policy.baseline.as_deref().map(report::baseline).transpose()?,
        today: Some(created.to_zoned(jiff::tz::TimeZone::UTC).date()),
    };
    let order = order(settings, seed, gate);
    let mut writer = Writer::create(&settings.output.dir, report::Options { scores: settings.output.scores })?;
    let mut learnt = model.map(|_| Vec::new());
    let job = run::Job { source, reference, units: crate::detect::all(), order: &order, model: learnt.as_mut() };
    let mut outcome = job.scan(&mut writer, progress)?;
    somebody_looked(&outcome)?;
    if settings.run.power {
        outcome.power = Some(power::measure(source, crate::detect::for_planted(), &order, &outcome, progress)?);
    }
    let told = report::Settings { values: settings.canonical_json()?, seed, created };
    let path = writer.finish(&outcome, &told)?;
    if let Some((to, learnt)) = model.zip(learnt) {
        whole_file(to, |mut file, shown| file.write_all(&learnt).map_err(|e| Error::output(shown, e)))?;
    }
    if let Some(file) = &settings.output.metrics {
        metrics::write(file, &outcome, jiff::Timestamp::now().as_second())?;
    }
    Ok((outcome, path))
}

/// Nothing found by nobody is no pass.
fn somebody_looked(outcome: &Outcome) -> Result<()> {
    let mut why = Vec::new();
    for unit in outcome.units.iter().filter(|unit| unit.family != Family::Derived) {
        match &unit.status {
            Status::Skipped(reason) if reason != LEFT_OUT => why.push(format!("{} {reason}", unit.code)),
            Status::Skipped(_) => {}
            Status::Ran | Status::Failed(_) => return Ok(()),
        }
    }
    why.truncate(3);
    let what = if why.is_empty() {
        "the settings leave all detectors out".to_owned()
    } else {
        format!("no detector could look at these rows: {}", why.join("; "))
    };
    Err(Error::config("--only", what)
        .with_help("Name columns with --label, --text or --image, or other detectors; foretaste explain lists them."))
}

/// Does a task of a scan with the rows of one partition; see [`run::work`].
///
/// # Errors
/// As [`run::work`].
pub fn work(task: &[u8], partition: u32, schema: &SchemaRef, batches: Batches) -> Result<Vec<u8>> {
    run::work(crate::detect::all(), task, partition, schema, batches)
}

/// Joins answers to a task; see [`run::join`].
///
/// # Errors
/// As [`run::join`].
pub fn join(task: &[u8], answers: &[&[u8]]) -> Result<Vec<u8>> {
    run::join(&crate::detect::all(), task, answers)
}

/// Fits the detectors that these settings name to rows of any kind, to rank rows that come later.
///
/// # Errors
/// As [`run::rank`].
pub fn rank(source: &dyn Source, settings: &Settings, progress: &dyn Progress) -> Result<Ranker> {
    let seed = settings.run.seed.unwrap_or_else(fresh_seed);
    run::rank(source, crate::detect::all(), &order(settings, seed, Gate::default()), progress)
}

fn order(settings: &Settings, seed: u64, gate: Gate) -> Order {
    Order {
        choices: settings.roles.clone(),
        key: Key::from_seed(seed),
        threads: settings.run.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        memory: usize::try_from(settings.run.memory.0).unwrap_or(usize::MAX),
        policy: Policy { fdr: settings.decide.fdr, alarm_level: settings.decide.alarm_level },
        gate,
        only: settings.detectors.only.clone(),
        skip: settings.detectors.skip.clone(),
    }
}

/// A seed that nobody can know before the run; below 2^53, so that every reader of JSON keeps its digits.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 11
}
