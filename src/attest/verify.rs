//! What still holds of a report: its signature, its files, the data that it is about, the chain of decisions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::envelope::Envelope;
use super::key::Trusted;
use crate::data::read::{digest_of, files};
use crate::error::{Error, Place, Result};
use crate::report::{Report, SIGNED, visible};
use crate::review::{DECISIONS, Review};

/// Characters of a name that are shown.
const SHOWN: usize = 200;

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It was not asked, or cannot be.
    Open,
}

/// One check, and what a person is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What came of it.
    pub check: Check,
    /// In one sentence; text from files is made harmless.
    pub text: String,
}

impl Finding {
    fn new(check: Check, text: impl Into<String>) -> Self {
        Self { check, text: text.into() }
    }

    fn holds_if(holds: bool, yes: impl Into<String>, no: impl Into<String>) -> Self {
        if holds { Self::new(Check::Holds, yes) } else { Self::new(Check::Fails, no) }
    }
}

/// What the checks need of a statement.
#[derive(Deserialize)]
struct Statement {
    subject: Vec<Named>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Predicate {
    verdict: String,
    report: Named,
    #[serde(default)]
    files: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Named {
    fn is(&self, sha256: &str) -> bool {
        self.digest.get("sha256").is_some_and(|digest| digest == sha256)
    }
}

/// Checks the report in `folder`: its signature by `key`, its files against the statement, the files of `data` against the report, and
/// the chain of decisions. Without `data` the files are looked for where the scan found them.
///
/// # Errors
/// [`Error::Input`] where there is no report, or data that were named cannot be read; what merely does not hold is a finding.
pub fn verify(folder: &Path, key: Option<&Trusted>, data: &[String]) -> Result<Vec<Finding>> {
    let report = Report::read(folder)?;
    let mut findings = signature(folder, key, &report)?;
    findings.extend(about_data(&report, data)?);
    findings.extend(decisions(folder));
    Ok(findings)
}

fn signature(folder: &Path, key: Option<&Trusted>, report: &Report) -> Result<Vec<Finding>> {
    let path = folder.join(SIGNED);
    if !path.exists() {
        let unsigned = if key.is_some() { Check::Fails } else { Check::Open };
        return Ok(vec![Finding::new(unsigned, "the report is not signed")]);
    }
    let fail = |why: String| Error::input(Place::source(path.display().to_string()), why);
    let bytes = fs::read(&path).map_err(|e| fail(e.to_string()))?;
    let broken = |why: &str| Ok(vec![Finding::new(Check::Fails, format!("{SIGNED} {why}"))]);
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&bytes) else { return broken("is no envelope") };
    let payload = match envelope.payload() {
        Ok(payload) => payload,
        Err(why) => return broken(&why),
    };
    let Ok(statement) = serde_json::from_slice::<Statement>(&payload) else { return broken("holds no statement of foretaste") };
    let mut findings = Vec::new();
    if let Some(key) = key {
        let holds = envelope.is_signed_by(&payload, key);
        findings.push(Finding::holds_if(
            holds,
            format!("signed by the key {}", short(&key.id()?)),
            "the signature is not of this key, or the statement was changed",
        ));
    } else {
        let keys: Vec<String> = envelope.keys().iter().map(|key| shown(short(key))).collect();
        let text = format!("signed, it says, by the key {}: name the public key that you trust with --key", keys.join(", "));
        findings.push(Finding::new(Check::Open, text));
    }
    for file in std::iter::once(&statement.predicate.report).chain(&statement.predicate.files) {
        // The statement may be anyone's: a name must stay inside the folder.
        let Some(inside) = Path::new(&file.name).file_name().filter(|name| *name == file.name.as_str()) else {
            return broken("names a file outside the report");
        };
        let shown = shown(&file.name);
        let holds = digest_of(&folder.join(inside)).is_ok_and(|sha256| file.is(&sha256));
        findings.push(Finding::holds_if(
            holds,
            format!("{shown} is as it was signed"),
            format!("{shown} is missing or was changed since it was signed"),
        ));
    }
    let same = statement.subject.len() == report.data.files.len()
        && statement.subject.iter().zip(&report.data.files).all(|(subject, file)| subject.is(&file.sha256))
        && statement.predicate.verdict == report.verdict.name();
    findings.push(Finding::holds_if(
        same,
        "the statement is about the data and the verdict of the report",
        "the statement is about other data or another verdict than the report",
    ));
    Ok(findings)
}

fn shown(text: &str) -> String {
    visible(text, SHOWN)
}

fn short(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}

fn about_data(report: &Report, data: &[String]) -> Result<Vec<Finding>> {
    let scanned = &report.data.files;
    if scanned.is_empty() {
        return Ok(vec![Finding::new(Check::Open, "the report names no file of the data")]);
    }
    let paths: Vec<PathBuf> = if data.is_empty() { scanned.iter().map(|file| PathBuf::from(&file.name)).collect() } else { files(data)? };
    if paths.len() != scanned.len() {
        let text = format!("the report is about {} files, and {} are there", scanned.len(), paths.len());
        return Ok(vec![Finding::new(Check::Fails, text)]);
    }
    let mut findings = Vec::new();
    for (path, file) in paths.iter().zip(scanned) {
        let shown = shown(&path.display().to_string());
        findings.push(match digest_of(path) {
            Ok(sha256) => {
                Finding::holds_if(sha256 == file.sha256, format!("{shown} is what was scanned"), format!("{shown} is not what was scanned"))
            }
            Err(_) if data.is_empty() => Finding::new(Check::Open, format!("{shown} is not here: name the data with --data")),
            Err(error) => return Err(error),
        });
    }
    Ok(findings)
}

fn decisions(folder: &Path) -> Option<Finding> {
    let path = folder.join(DECISIONS);
    path.exists().then(|| match Review::read(&[path]) {
        Ok(_) => Finding::new(Check::Holds, format!("the chain of {DECISIONS} is whole")),
        Err(error) => Finding::new(Check::Fails, error.to_string()),
    })
}
