//! An earlier report as a baseline.

use std::path::Path;

use super::Report;
use crate::error::Result;
use crate::policy::Baseline;

/// Reads what an earlier report had; `path` is its folder or its `report.json`.
///
/// # Errors
/// [`crate::error::Error::Input`] where there is no report of foretaste.
pub fn baseline(path: &Path) -> Result<Baseline> {
    let report = Report::read(path)?;
    Ok(Baseline {
        report: path.display().to_string(),
        created: report.created,
        findings: report.groups.into_iter().map(|group| group.fingerprint).collect(),
        listed: report.detectors.into_iter().filter(|detector| detector.flagged > 0).map(|d| (d.code, d.flagged)).collect(),
        rows: report.data.rows,
    })
}
