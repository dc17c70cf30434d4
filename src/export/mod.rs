//! A report in the forms that other programs read. Scans nothing: what is written comes from `report.json` and `rows.parquet`.
//!
//! Both hold text from the data, and anyone may have written them: no text leaves here but through [`crate::report::visible`] and
//! what its form needs beyond that.

mod bom;
mod croissant;
mod csv;
mod junit;
mod markdown;
mod rows;
mod sarif;
mod statement;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::File;
use crate::data::read::sha256;
use crate::error::{Error, Place, Result};
use crate::finding::{Family, Verdict};
use crate::fold::Info;
use crate::report::Report;
use crate::report::json::{Detector, ReportGroup, SCHEMA};

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// SARIF 2.1.0 (OASIS): a rule a detector, a result a cause, and one a listed row without a cause.
    Sarif,
    /// JUnit XML: a test case a detector and a budget.
    Junit,
    /// GitHub-flavoured Markdown, a summary.
    Markdown,
    /// RFC 4180: the listed rows, with a heading.
    Csv,
    /// CycloneDX 1.6 (JSON): a component of type `data` a file.
    CycloneDx,
    /// Croissant 1.0 (JSON-LD): the distribution.
    Croissant,
    /// An in-toto Statement of version 1; [`crate::attest::sign`] signs it.
    InToto,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Sarif, Self::Junit, Self::Markdown, Self::Csv, Self::CycloneDx, Self::Croissant, Self::InToto];
}

/// What a form is made of.
struct Material<'a> {
    report: Report,
    /// Where the report lies.
    folder: PathBuf,
    /// SHA-256 of `report.json`, hex.
    digest: String,
    /// The registry.
    detectors: &'a [&'static Info],
}

/// Writes the report in `folder` in a form; `detectors` is the registry, for manuals.
///
/// # Errors
/// [`Error::Input`] where there is no report, or one that this form cannot be made of; [`Error::Output`] where `out` cannot be written.
pub fn export(folder: &Path, form: Form, detectors: &[&'static Info], out: &mut dyn Write) -> Result<()> {
    let material = Material::read(folder, detectors)?;
    match form {
        Form::Sarif => json(&sarif::log(&material)?, out),
        Form::Junit => junit::write(&material, out),
        Form::Markdown => markdown::write(&material, out),
        Form::Csv => csv::write(&material, out),
        Form::CycloneDx => json(&bom::bom(&material), out),
        Form::Croissant => json(&croissant::dataset(&material)?, out),
        Form::InToto => json(&statement::statement(&material)?, out),
    }
}

impl<'a> Material<'a> {
    fn read(folder: &Path, detectors: &'a [&'static Info]) -> Result<Self> {
        let (report, bytes) = Report::with_bytes(folder)?;
        let folder = if folder.is_dir() { folder } else { folder.parent().unwrap_or(Path::new("")) };
        let path = folder.join("report.json");
        let fail = |why: String| Error::input(Place::source(path.display().to_string()), why).with_help("Scan the data again.");
        if report.schema != SCHEMA {
            return Err(fail(format!("is not of the form {SCHEMA}")));
        }
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let unnamed = |file: &&File| !is_digest(&file.sha256) || !is_digest(&file.blake3);
        if report.data.files.iter().chain(&report.data.reference).find(unnamed).is_some() {
            return Err(fail("names a file without its digests".to_owned()));
        }
        if !is_digest(&report.settings_digest) || !is_digest(&report.policy_digest) {
            return Err(fail("has no digest of its settings or policy".to_owned()));
        }
        Ok(Self { report, folder: folder.to_owned(), digest: sha256(&bytes), detectors })
    }

    /// The detectors of the report with their entry in the registry, where it still has one.
    fn detectors(&self) -> impl Iterator<Item = (&Detector, Option<&'static Info>)> {
        let claiming = self.report.detectors.iter().filter(|detector| detector.family != Family::Derived);
        claiming.map(|detector| (detector, self.detectors.iter().copied().find(|info| info.code == detector.code)))
    }

    /// What a cause comes to; nothing where it does not count.
    fn comes_to(&self, group: &ReportGroup) -> Option<Verdict> {
        self.report.policy.cause(&group.code, group.family, group.tier, &group.standing)
    }

    /// The file that holds a row, and the row's place in it, from 0.
    fn place(&self, row: u64) -> Option<(usize, u64)> {
        let mut first = 0_u64;
        for (at, file) in self.report.data.files.iter().enumerate() {
            let end = first.saturating_add(file.rows);
            if row < end {
                return Some((at, row - first));
            }
            first = end;
        }
        None
    }

    /// An error where the report names no file: some forms are about nothing else.
    fn files(&self) -> Result<&[File]> {
        match &self.report.data.files[..] {
            [] => {
                let path = self.folder.join("report.json").display().to_string();
                Err(Error::input(Place::source(path), "names no file of the data, and this form is about files"))
            }
            files => Ok(files),
        }
    }
}

fn json(value: &Value, out: &mut dyn Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(|e| broken(&e))?;
    out.write_all(b"\n").map_err(|e| broken(&e))
}

/// The export could not be written.
fn broken(why: &dyn std::fmt::Display) -> Error {
    Error::output("export", why)
}
