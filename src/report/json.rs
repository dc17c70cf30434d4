//! The machine-readable report: `report.json`, described by `schemas/foretaste.report-1.schema.json`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::standards::Section;
use crate::data::{Class, ColumnRole, File};
use crate::error::{Error, Place, Result};
use crate::finding::{Family, Finding, Power, ScoreSpread, Standing, Tier, Verdict};
use crate::policy::Applied;
use crate::run::{Breakdown, DataFacts, FamilyCounts, Outcome, Status, UnitOutcome};

/// Name and version of the document's form.
pub const SCHEMA: &str = "foretaste.report/1";

/// The JSON Schema (draft 2020-12) that every `report.json` meets.
pub const JSON_SCHEMA: &str = include_str!("../../schemas/foretaste.report-1.schema.json");

/// How a run was set up, for the report alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Every setting that can change the result, as a JSON object.
    pub values: Value,
    /// Seed of the run's hashes.
    pub seed: u64,
    /// When the report was made.
    pub created: jiff::Timestamp,
}

impl Settings {
    /// BLAKE3 of the settings as canonical JSON, hex: object keys in byte order, no spaces, other values as
    /// `serde_json` writes them.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.values)
    }

    /// As [`digest`](Self::digest), of the tables `decide` and `policy` alone: equal where two runs were held to the same rules.
    #[must_use]
    pub fn policy_digest(&self) -> String {
        let table = |key: &str| self.values.get(key).cloned().unwrap_or_default();
        digest(&serde_json::json!({"decide": table("decide"), "policy": table("policy")}))
    }
}

fn digest(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                // Writing into a string cannot fail.
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// The whole document. Numbers that are not finite are `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What made the report.
    pub tool: Tool,
    /// When, RFC 3339 to the second, UTC.
    pub created: String,
    /// What the data set comes to.
    pub verdict: Verdict,
    /// Why, most important first.
    pub reasons: Vec<String>,
    /// How much more looks wrong than rows are listed for.
    #[serde(default)]
    pub estimates: Vec<String>,
    /// Whether every detector that should have run did.
    pub complete: bool,
    /// Wall seconds of the run.
    pub seconds: Option<f64>,
    /// Rows listed in all.
    pub flagged_rows: u64,
    /// What was found, worst first.
    pub groups: Vec<ReportGroup>,
    /// Counts per family.
    pub families: BTreeMap<String, FamilyCounts>,
    /// Listed rows by class, source and file.
    pub breakdown: Vec<Breakdown>,
    /// Every unit and how it fared.
    pub detectors: Vec<Detector>,
    /// What the data was.
    pub data: Data,
    /// The rules that made the verdict, as they were applied.
    #[serde(default)]
    pub policy: Applied,
    /// [`Settings::policy_digest`].
    #[serde(default)]
    pub policy_digest: String,
    /// What the scan could have seen, where that was measured.
    #[serde(default)]
    pub power: Option<Power>,
    /// What was done with listed rows since, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanitisation: Vec<Sanitisation>,
    /// The settings, to repeat the run.
    pub settings: Value,
    /// [`Settings::digest`].
    pub settings_digest: String,
    /// Seed of the run's hashes.
    pub seed: u64,
    /// What the run is evidence for.
    pub standards: Section,
}

/// Rows that were taken out of a copy of the data, or given another label there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sanitisation {
    /// When, RFC 3339, UTC.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Which rows: `flagged`, all that are listed, or `confirmed`, those that a reviewer confirmed.
    pub policy: String,
    /// Where the kept and the removed rows lie.
    pub folder: String,
    /// Rows kept.
    pub kept: u64,
    /// Rows removed.
    pub removed: u64,
    /// Rows kept under another label.
    #[serde(default)]
    pub relabelled: u64,
    /// Hash of the last line of the folder's ledger, which names every removed or relabelled row.
    pub ledger: String,
}

/// What made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `foretaste`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What the data was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Rows in all.
    pub rows: u64,
    /// Files in reading order.
    pub files: Vec<File>,
    /// Columns with roles and reasons.
    pub columns: Vec<ColumnRole>,
    /// Name of the label column.
    pub label: Option<String>,
    /// Its classes.
    pub classes: Vec<Class>,
    /// Nulls by column.
    pub nulls: BTreeMap<String, u64>,
    /// Values that could not be read, by column.
    pub unreadable: BTreeMap<String, u64>,
    /// Files of the trusted reference; none without one.
    #[serde(default)]
    pub reference: Vec<File>,
}

/// A statistic by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<f64>,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportGroup {
    /// Code of the detector.
    pub code: String,
    /// Its family.
    pub family: Family,
    /// A sentence that names the cause.
    pub title: String,
    /// How strong the claim is.
    pub tier: Tier,
    /// The cause without counts.
    pub cause: String,
    /// Stable across runs.
    pub fingerprint: String,
    /// Whether it counts towards the verdict.
    #[serde(default)]
    pub standing: Standing,
    /// Key into `standards.taxonomies`.
    pub attack_class: String,
    /// Rows that carry the cause.
    pub rows: u64,
    /// Carriers with the shared label.
    pub agreeing: u64,
    /// The shared label.
    pub label: Option<String>,
    /// Share of carriers that content alone would give that label.
    pub background: Option<f64>,
    /// What was tested.
    pub statistic: Statistic,
    /// p-value before correction.
    pub p: Option<f64>,
    /// Candidates that were testable.
    pub tests: u64,
    /// p-value after every correction.
    pub q: Option<f64>,
    /// Positions of up to 20 carriers.
    pub examples: Vec<u64>,
    /// What a person wants to see.
    pub evidence: Map<String, Value>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// Code of the unit.
    pub code: String,
    /// Its family.
    pub family: Family,
    /// `ran`, `skipped` or `failed`.
    pub status: String,
    /// Why it was skipped or failed.
    pub why: Option<String>,
    /// Processor seconds.
    pub seconds: Option<f64>,
    /// Largest size of its state, bytes.
    pub bytes: u64,
    /// Scans that it asked for.
    pub scans: u32,
    /// Rows that it listed.
    pub flagged: u64,
    /// Estimates, limits, the smallest cause it could have seen.
    pub notes: Vec<String>,
    /// Rows by the probability of being wrong that it gives them, 0 to 1 in equal bins, of a detector that lists rows by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<ScoreSpread>,
}

impl Report {
    /// The document of a run.
    pub fn new(outcome: &Outcome, settings: &Settings) -> Result<Self> {
        Ok(Self {
            schema: SCHEMA.to_owned(),
            tool: Tool { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            created: settings.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            verdict: outcome.verdict,
            reasons: outcome.reasons.clone(),
            estimates: outcome.estimates.clone(),
            complete: outcome.complete,
            seconds: finite(outcome.seconds),
            flagged_rows: outcome.flagged_rows,
            groups: outcome.findings.iter().map(ReportGroup::from).collect(),
            families: outcome.families.clone(),
            breakdown: outcome.breakdown.clone(),
            detectors: outcome.units.iter().map(Detector::from).collect(),
            data: Data::from(&outcome.data),
            policy: outcome.policy.clone(),
            policy_digest: settings.policy_digest(),
            power: outcome.power.clone(),
            sanitisation: Vec::new(),
            settings: settings.values.clone(),
            settings_digest: settings.digest(),
            seed: settings.seed,
            standards: Section::new(outcome, settings)?,
        })
    }

    /// Reads the report at `path`, a report's folder or its `report.json`.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no report of foretaste.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self::with_bytes(path)?.0)
    }

    /// As [`read`](Self::read), with the bytes that were read.
    pub(crate) fn with_bytes(path: &Path) -> Result<(Self, Vec<u8>)> {
        let file = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
        let fail = |why: String| {
            let help = "Name the folder that a foretaste scan wrote, or its report.json.";
            Error::input(Place::source(file.display().to_string()), why).with_help(help)
        };
        let bytes = std::fs::read(&file).map_err(|e| fail(format!("cannot be read as a report: {e}")))?;
        let report = serde_json::from_slice(&bytes).map_err(|e| fail(format!("is no report of foretaste: {e}")))?;
        Ok((report, bytes))
    }

    /// What names this report among others, whatever was done since: BLAKE3 of when, how and what was scanned, hex.
    #[must_use]
    pub fn id(&self) -> String {
        let files: Vec<&str> = self.data.files.iter().map(|file| file.blake3.as_str()).collect();
        digest(&serde_json::json!([self.created, self.settings_digest, self.seed, files, self.flagged_rows]))
    }

    /// The document as indented JSON with a final line break.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::output("report.json", e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl From<&Finding> for ReportGroup {
    fn from(finding: &Finding) -> Self {
        let group = &finding.group;
        Self {
            code: finding.code.clone(),
            family: finding.family,
            title: group.title.clone(),
            tier: finding.tier,
            cause: group.cause.clone(),
            fingerprint: finding.fingerprint.clone(),
            standing: finding.standing.clone(),
            attack_class: group.attack_class.clone(),
            rows: group.rows,
            agreeing: group.agreeing,
            label: group.label.clone(),
            background: group.background.and_then(finite),
            statistic: Statistic { name: group.statistic.clone(), value: finite(group.value) },
            p: finite(group.p),
            tests: group.tests,
            q: finite(finding.q),
            examples: group.examples.clone(),
            evidence: group.evidence.clone(),
        }
    }
}

impl From<&UnitOutcome> for Detector {
    fn from(unit: &UnitOutcome) -> Self {
        let (status, why) = match &unit.status {
            Status::Ran => ("ran", None),
            Status::Skipped(why) => ("skipped", Some(why.clone())),
            Status::Failed(why) => ("failed", Some(why.clone())),
        };
        Self {
            code: unit.code.clone(),
            family: unit.family,
            status: status.to_owned(),
            why,
            seconds: finite(unit.seconds),
            bytes: unit.bytes,
            scans: unit.scans,
            flagged: unit.flagged,
            notes: unit.notes.clone(),
            spread: unit.spread.clone(),
        }
    }
}

impl From<&DataFacts> for Data {
    fn from(data: &DataFacts) -> Self {
        Self {
            rows: data.rows,
            files: data.files.clone(),
            columns: data.columns.clone(),
            label: data.label.clone(),
            classes: data.classes.clone(),
            nulls: data.nulls.clone(),
            unreadable: data.unreadable.clone(),
            reference: data.reference.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    fn document(outcome: &Outcome) -> Value {
        let bytes = Report::new(outcome, &sample::settings()).unwrap().to_json().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn reports_meet_the_schema() {
        let validator = validator();
        for outcome in [sample::clean(), sample::poisoned(), sample::hostile(1_000)] {
            let document = document(&outcome);
            let errors: Vec<String> = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }

    #[test]
    fn broken_reports_do_not_meet_the_schema() {
        let validator = validator();
        let sound = document(&sample::poisoned());
        assert!(validator.is_valid(&sound));
        let breaks: [(&str, Value); 9] = [
            ("/schema", json!("foretaste.report/2")),
            ("/verdict", json!("maybe")),
            ("/created", json!(12)),
            ("/seed", json!(-1)),
            ("/settings_digest", json!("abc")),
            ("/groups/0/p", json!(1.5)),
            ("/groups/0/rows", json!(0.5)),
            ("/data/files/0/sha256", json!("")),
            ("/standards/provisions", json!([{}])),
        ];
        for (pointer, value) in breaks {
            let mut broken = sound.clone();
            *broken.pointer_mut(pointer).unwrap() = value;
            assert!(!validator.is_valid(&broken), "{pointer}");
        }
        for (pointer, key) in [("", "verdict"), ("/groups/0", "tier"), ("/detectors/0", "status"), ("/data", "rows")] {
            let mut broken = sound.clone();
            broken.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            assert!(!validator.is_valid(&broken), "without {pointer}/{key}");
            let mut broken = sound.clone();
            broken.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("surprise".to_owned(), json!(1));
            assert!(!validator.is_valid(&broken), "{pointer}/surprise");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_null() {
        let mut outcome = sample::poisoned();
        outcome.seconds = f64::NAN;
        outcome.findings[0].q = f64::INFINITY;
        outcome.findings[0].group.value = f64::NEG_INFINITY;
        let document = document(&outcome);
        for pointer in ["/seconds", "/groups/0/q", "/groups/0/statistic/value"] {
            assert_eq!(document.pointer(pointer), Some(&Value::Null), "{pointer}");
        }
        assert!(validator().is_valid(&document));
    }

    #[test]
    fn a_report_reads_back() {
        let report = Report::new(&sample::poisoned(), &sample::settings()).unwrap();
        let back: Report = serde_json::from_slice(&report.to_json().unwrap()).unwrap();
        assert_eq!(back, report);
    }

    #[test]
    fn the_settings_digest_ignores_the_order_of_keys() {
        let with = |text: &str| Settings { values: serde_json::from_str(text).unwrap(), ..sample::settings() }.digest();
        assert_eq!(with(r#"{"a": 1, "b": {"c": [1, "x"], "d": null}}"#), with(r#"{"b":{"d":null,"c":[1,"x"]},"a":1}"#));
        assert_ne!(with(r#"{"a": 1}"#), with(r#"{"a": 2}"#));
        assert_ne!(with(r#"{"a": [1, 2]}"#), with(r#"{"a": [2, 1]}"#));
        assert_eq!(with(r#"{"b": 1, "a": "é"}"#), blake3::hash(r#"{"a":"é","b":1}"#.as_bytes()).to_hex().to_string());
    }
}
