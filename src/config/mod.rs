//! The settings of a run: defaults, then the configuration file, then the flags.

mod file;
mod nearest;
mod size;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use file::{DEFAULT_FILE, find, load};
pub use nearest::nearest;
pub use size::{InvalidSize, Size};

use crate::data::Choices;
use crate::error::{Error, Result};
use crate::finding::{Verdict, covers};
use crate::policy::{Budget, Rules, Waiver};

/// Everything that a run can be told, as a configuration file holds it; `docs/configuration.md` documents each key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which column plays which part; everything that is not given is inferred.
    pub roles: Choices,
    /// What the data is compared with.
    pub reference: Reference,
    /// How a run uses the machine.
    pub run: Run,
    /// When a finding counts.
    pub decide: Decide,
    /// What findings come to.
    pub policy: Policy,
    /// Which detectors run.
    pub detectors: Detectors,
    /// What is written where.
    pub output: Output,
}

/// A reference that the user trusts; the `[reference]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {
    /// Files, folders, globs or addresses with the columns of the data; empty means that there is none.
    pub inputs: Vec<String>,
}

/// How a run uses the machine; the `[run]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Seed of everything random; without one it is drawn at random.
    pub seed: Option<u64>,
    /// Worker threads, 1 to 1024; without a number all cores.
    pub threads: Option<usize>,
    /// Memory that the run may hold, at least 16 MiB.
    pub memory: Size,
    /// Rows in a block, 1 to 1,048,576.
    pub batch_rows: usize,
    /// Whether to measure what the scan could have seen.
    pub power: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self { seed: None, threads: None, memory: Size(2 << 30), batch_rows: 8192, power: false }
    }
}

/// When a finding counts; the `[decide]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decide {
    /// Largest expected share of wrongly listed rows among the rows listed as suspect, over 0 and at most 0.5.
    pub fdr: f64,
    /// Chance that a clean data set raises any alarm, over 0 and at most 0.5.
    pub alarm_level: f64,
    /// The mildest verdict that makes the exit status 1.
    pub fail_on: FailOn,
}

impl Default for Decide {
    fn default() -> Self {
        Self { fdr: 0.10, alarm_level: 0.01, fail_on: FailOn::Fail }
    }
}

/// The mildest verdict that makes the exit status 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    /// The verdict fail alone.
    #[default]
    Fail,
    /// The verdicts warn and fail.
    Warn,
    /// No verdict.
    Never,
}

impl FailOn {
    /// Whether a verdict is over this policy.
    #[must_use]
    pub fn is_exceeded_by(self, verdict: Verdict) -> bool {
        match self {
            Self::Fail => verdict >= Verdict::Fail,
            Self::Warn => verdict >= Verdict::Warn,
            Self::Never => false,
        }
    }
}

/// What findings come to; the `[policy]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// As in [`Rules`].
    pub levels: BTreeMap<String, Verdict>,
    /// As in [`Rules`].
    pub budgets: BTreeMap<String, Budget>,
    /// As in [`Rules`].
    pub waivers: Vec<Waiver>,
    /// An earlier report, its folder or its `report.json`: only what is new counts.
    pub baseline: Option<PathBuf>,
}

impl Policy {
    /// The rules alone.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { levels: self.levels.clone(), budgets: self.budgets.clone(), waivers: self.waivers.clone() }
    }
}

/// Which detectors run; the `[detectors]` table. Entries are codes (`trigger.patch`) or families (`trigger`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detectors {
    /// Run these alone; empty means all.
    pub only: Vec<String>,
    /// Leave these out; stronger than `only`.
    pub skip: Vec<String>,
}

impl Detectors {
    /// Whether the detector with this code is to run.
    #[must_use]
    pub fn wants(&self, code: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|entry| covers(entry, code))) && !self.skip.iter().any(|entry| covers(entry, code))
    }

    /// Refuses entries that name no detector or family among `codes`, and a choice that leaves no detector.
    pub fn check(&self, codes: &[&str]) -> Result<()> {
        for (key, entries) in [("detectors.only", &self.only), ("detectors.skip", &self.skip)] {
            if let Some(unknown) = entries.iter().find(|entry| !codes.iter().any(|code| covers(entry, code))) {
                let families = codes.iter().filter_map(|code| code.split_once('.').map(|(family, _)| family));
                let help = match nearest(unknown, codes.iter().copied().chain(families)) {
                    Some(near) => format!("Did you mean '{near}'?"),
                    None => "Run 'foretaste explain' for the list of detectors.".to_owned(),
                };
                return Err(Error::config(key, format!("there is no detector or family '{unknown}'")).with_help(help));
            }
        }
        if codes.iter().any(|code| self.wants(code)) {
            return Ok(());
        }
        Err(Error::config("detectors", "'only' and 'skip' together leave no detector to run"))
    }
}

/// What is written where; the `[output]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Folder of the report.
    pub dir: PathBuf,
    /// Whether the scores of every row are written.
    pub scores: bool,
    /// A file for figures of the run in the text format of Prometheus.
    pub metrics: Option<PathBuf>,
}

impl Default for Output {
    fn default() -> Self {
        Self { dir: PathBuf::from("foretaste-report"), scores: false, metrics: None }
    }
}

/// Smallest memory budget: below it not even one block of rows per thread is sure to fit.
const MIN_MEMORY: Size = Size(16 << 20);

impl Settings {
    /// Checks every value that has a range; the error's origin is the key.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [("decide.fdr", self.decide.fdr), ("decide.alarm_level", self.decide.alarm_level)] {
            if !(value > 0.0 && value <= 0.5) {
                return Err(Error::config(key, format!("must be over 0 and at most 0.5, not {value}")));
            }
        }
        if let Some(threads) = self.run.threads.filter(|threads| !(1..=1024).contains(threads)) {
            return Err(
                Error::config("run.threads", format!("must be from 1 to 1024, not {threads}")).with_help("Leave it out to use all cores.")
            );
        }
        if self.run.memory < MIN_MEMORY {
            let reason = format!("must be at least {MIN_MEMORY}, not {}", self.run.memory);
            return Err(Error::config("run.memory", reason).with_help("Give a size with its unit, such as 2GiB."));
        }
        if !(1..=1 << 20).contains(&self.run.batch_rows) {
            return Err(Error::config("run.batch_rows", format!("must be from 1 to 1048576, not {}", self.run.batch_rows)));
        }
        if self.output.dir.as_os_str().is_empty() {
            return Err(Error::config("output.dir", "must not be empty"));
        }
        Ok(())
    }

    /// As [`check`](Self::check), and refuses names that no detector or family among `codes` has.
    pub fn check_against(&self, codes: &[&str]) -> Result<()> {
        self.check()?;
        self.detectors.check(codes)?;
        self.policy.rules().check(codes)
    }

    /// The settings that can change what is found and decided, as JSON with sorted keys, the base of the settings'
    /// digest. Threads, the size of a block, power and the output are not part of it: they never change a finding, so runs
    /// that differ in them alone stay comparable.
    pub fn canonical_json(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self).map_err(|e| Error::config("settings", e.to_string()))?;
        if let Some(tables) = value.as_object_mut() {
            tables.remove("output");
            if let Some(run) = tables.get_mut("run").and_then(Value::as_object_mut) {
                run.remove("threads");
                run.remove("batch_rows");
                run.remove("power");
            }
        }
        value.sort_all_objects();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_and_reason(settings: &Settings) -> String {
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().check().unwrap();
    }

    #[test]
    fn values_out_of_range_are_refused_by_key() {
        let mut settings = Settings::default();
        for bad in [0.0, -0.1, 0.51, f64::NAN, f64::INFINITY] {
            settings.decide.fdr = bad;
            assert_eq!(origin_and_reason(&settings), format!("decide.fdr: must be over 0 and at most 0.5, not {bad}"));
        }
        settings = Settings { run: Run { threads: Some(0), ..Run::default() }, ..Settings::default() };
        assert_eq!(origin_and_reason(&settings), "run.threads: must be from 1 to 1024, not 0");
        settings = Settings { run: Run { memory: Size(5), ..Run::default() }, ..Settings::default() };
        assert_eq!(origin_and_reason(&settings), "run.memory: must be at least 16MiB, not 5B");
        settings = Settings { run: Run { batch_rows: 0, ..Run::default() }, ..Settings::default() };
        assert_eq!(origin_and_reason(&settings), "run.batch_rows: must be from 1 to 1048576, not 0");
        settings = Settings { output: Output { dir: PathBuf::new(), ..Output::default() }, ..Settings::default() };
        assert_eq!(origin_and_reason(&settings), "output.dir: must not be empty");
    }

    #[test]
    fn detectors_are_chosen_by_code_and_family() {
        let choice = Detectors { only: vec!["trigger".into(), "label.conflict".into()], skip: vec!["trigger.rule".into()] };
        let wanted = |code| choice.wants(code);
        assert!(wanted("trigger.patch") && wanted("label.conflict"));
        assert!(!wanted("trigger.rule") && !wanted("label.crossfit") && !wanted("triggers.other"));
        assert!(Detectors::default().wants("trigger.patch"));
    }

    #[test]
    fn unknown_detectors_and_empty_choices_are_refused() {
        let codes = ["trigger.patch", "trigger.token", "label.conflict"];
        let only = |entry: &str| Detectors { only: vec![entry.into()], skip: Vec::new() };
        let error = only("triger.patch").check(&codes).unwrap_err();
        assert_eq!(error.to_string(), "detectors.only: there is no detector or family 'triger.patch'");
        assert_eq!(error.help(), Some("Did you mean 'trigger.patch'?"));
        let error = only("lable").check(&codes).unwrap_err();
        assert_eq!(error.help(), Some("Did you mean 'label'?"));
        only("label").check(&codes).unwrap();
        let none = Detectors { only: vec!["label".into()], skip: vec!["label.conflict".into()] };
        assert_eq!(none.check(&codes).unwrap_err().to_string(), "detectors: 'only' and 'skip' together leave no detector to run");
    }

    #[test]
    fn the_exit_policy_counts_from_its_verdict_on() {
        let exceeded = |policy: FailOn| [Verdict::Pass, Verdict::Warn, Verdict::Fail].map(|verdict| policy.is_exceeded_by(verdict));
        assert_eq!(exceeded(FailOn::Fail), [false, false, true]);
        assert_eq!(exceeded(FailOn::Warn), [false, true, true]);
        assert_eq!(exceeded(FailOn::Never), [false, false, false]);
    }

    #[test]
    fn the_canonical_form_holds_what_changes_findings_alone() {
        let base = Settings::default();
        let mut same = base.clone();
        same.run.threads = Some(7);
        same.run.batch_rows = 1000;
        same.output.dir = PathBuf::from("elsewhere");
        assert_eq!(base.canonical_json().unwrap(), same.canonical_json().unwrap());
        let mut other = base.clone();
        other.decide.fdr = 0.05;
        assert_ne!(base.canonical_json().unwrap(), other.canonical_json().unwrap());
        let expected = concat!(
            r#"{"decide":{"alarm_level":0.01,"fail_on":"fail","fdr":0.1},"detectors":{"only":[],"skip":[]},"policy":{"baseline":null,"budgets":{},"levels":{},"waivers":[]},"reference":{"inputs":[]},"#,
            r#""roles":{"address":null,"digest":null,"embedding":null,"id":null,"ignore":[],"image":null,"label":null,"probs":null,"rejected":null,"response":null,"source":null,"#,
            r#""text":[],"time":null},"run":{"memory":"2GiB","seed":null}}"#
        );
        assert_eq!(base.canonical_json().unwrap().to_string(), expected);
    }

    #[test]
    fn every_key_is_documented() {
        let document = include_str!("../../docs/configuration.md");
        let value = serde_json::to_value(Settings::default()).unwrap();
        let mut keys = 0;
        for (table, entries) in value.as_object().unwrap() {
            let start = document.find(&format!("\n## `[{table}]`")).unwrap_or_else(|| panic!("[{table}] is not documented"));
            let section = &document[start + 1..];
            let section = section.find("\n## ").map_or(section, |end| &section[..end]);
            for key in entries.as_object().unwrap().keys() {
                assert!(section.contains(&format!("\n| `{key}` |")), "[{table}] {key} is not documented");
                keys += 1;
            }
        }
        assert_eq!(document.matches("\n| `").count(), keys, "the document has a key that does not exist");
    }
}
