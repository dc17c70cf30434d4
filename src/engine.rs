//! The local engine: reader, units, policy and report put together.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::{Engine, Request};
use crate::data::Key;
use crate::data::read::{self, Options};
use crate::error::{Error, Place, Result};
use crate::fold::Info;
use crate::folder::whole_file;
use crate::policy::{Gate, Policy};
use crate::power;
use crate::report::{self, Writer};
use crate::run::{self, Frozen, Order, Outcome, Progress};

/// Scans on this machine.
pub struct Local;

impl Engine for Local {
    fn scan(&self, request: &Request, progress: &dyn Progress) -> Result<(Outcome, PathBuf)> {
        let settings = &request.settings;
        let seed = settings.run.seed.unwrap_or_else(fresh_seed);
        let options = Options { format: request.format, batch_rows: settings.run.batch_rows, ..Options::default() };
        let source = read::open(&request.inputs, &options)?;
        let trusted = &settings.reference.inputs;
        let reference = if trusted.is_empty() { None } else { Some(read::open(trusted, &Options { format: None, ..options })?) };
        let created = jiff::Timestamp::now();
        let gate = Gate {
            rules: settings.policy.rules(),
            baseline: settings.policy.baseline.as_deref().map(report::baseline).transpose()?,
            today: Some(created.to_zoned(jiff::tz::TimeZone::UTC).date()),
        };
        let order = Order {
            choices: settings.roles.clone(),
            key: Key::from_seed(seed),
            threads: settings.run.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            memory: usize::try_from(settings.run.memory.0).unwrap_or(usize::MAX),
            policy: Policy { fdr: settings.decide.fdr, alarm_level: settings.decide.alarm_level },
            gate,
            only: settings.detectors.only.clone(),
            skip: settings.detectors.skip.clone(),
        };
        let mut writer = Writer::create(&settings.output.dir, report::Options { scores: settings.output.scores })?;
        let units = crate::detect::all();
        let mut model = Vec::new();
        let mut outcome = if request.model.is_some() {
            let (outcome, bytes) = run::scan_to_freeze(source.as_ref(), reference.as_deref(), units, &order, &mut writer, progress)?;
            model = bytes;
            outcome
        } else {
            run::scan_against(source.as_ref(), reference.as_deref(), units, &order, &mut writer, progress)?
        };
        if settings.run.power {
            outcome.power = Some(power::measure(source.as_ref(), crate::detect::all(), &order, &outcome, progress)?);
        }
        let told = report::Settings { values: settings.canonical_json()?, seed, created };
        let path = writer.finish(&outcome, &told)?;
        if let Some(to) = &request.model {
            whole_file(to, |mut file, shown| file.write_all(&model).map_err(|e| Error::output(shown, e)))?;
        }
        Ok((outcome, path))
    }

    fn model(&self, path: &Path) -> Result<Frozen> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Error::input(Place::source(&name), format!("the model cannot be read: {e}")))?;
        Frozen::read(&name, &bytes, crate::detect::all())
    }

    fn detectors(&self) -> Vec<&'static Info> {
        crate::detect::all().iter().map(|unit| unit.info()).filter(|info| info.family != crate::finding::Family::Derived).collect()
    }

    fn summary(&self, outcome: &Outcome, report: &Path, colour: bool, width: usize) -> String {
        report::render(outcome, report, colour, width)
    }
}

/// A seed that nobody can know before the run; below 2^53, so that every reader of JSON keeps its digits.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 11
}
