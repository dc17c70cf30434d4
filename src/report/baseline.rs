//! An earlier report as a baseline.

use std::path::Path;

use super::Report;
use crate::error::{Error, Place, Result};
use crate::policy::Baseline;

/// Reads what an earlier report had; `path` is its folder or its `report.json`.
///
/// # Errors
/// [`Error::Input`] where there is no report of foretaste.
pub fn baseline(path: &Path) -> Result<Baseline> {
    let file = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    let fail = |why: String| {
        let help = "Name the folder that an earlier foretaste scan wrote, or its report.json.";
        Error::input(Place::source(file.display().to_string()), why).with_help(help)
    };
    let bytes = std::fs::read(&file).map_err(|e| fail(format!("cannot be read as a baseline: {e}")))?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|e| fail(format!("is no report of foretaste: {e}")))?;
    Ok(Baseline {
        report: path.display().to_string(),
        created: report.created,
        findings: report.groups.into_iter().map(|group| group.fingerprint).collect(),
        listed: report.detectors.into_iter().filter(|detector| detector.flagged > 0).map(|d| (d.code, d.flagged)).collect(),
        rows: report.data.rows,
    })
}
