//! Which folders a report may replace.

use std::fs;
use std::path::Path;

use super::json::SCHEMA;
use crate::data::read::declared_schema;

/// Everything that a report folder may hold. A folder with anything else is not replaced: it may be somebody's work.
const NAMES: [&str; 5] = [REPORT, "report.html", "rows.parquet", "scores.parquet", SIGNED];
const REPORT: &str = "report.json";
/// Name of the signed statement about a report, which says nothing of the next one.
pub const SIGNED: &str = "statement.dsse.json";

/// Whether a report may take this place; otherwise why not and what to do.
pub(super) fn replaceable(target: &Path) -> std::result::Result<(), String> {
    if !target.exists() {
        return Ok(());
    }
    if !target.is_dir() {
        return Err("a file is in the way; choose another folder with --out, or move the file".to_owned());
    }
    let entries = fs::read_dir(target).map_err(|e| e.to_string())?;
    let names = entries.map(|entry| entry.map(|e| e.file_name())).collect::<std::io::Result<Vec<_>>>().map_err(|e| e.to_string())?;
    if names.is_empty() {
        return Ok(());
    }
    if declared_schema(&target.join(REPORT)).is_none_or(|name| name != SCHEMA) {
        return Err("the folder is not empty and holds no foretaste report; choose another folder with --out, or empty it".to_owned());
    }
    match names.iter().find(|name| !NAMES.iter().any(|known| name.as_os_str() == *known)) {
        Some(other) => Err(format!(
            "the report folder also holds '{}', which would be lost; move it, or choose another folder with --out",
            super::visible(&other.to_string_lossy(), 100)
        )),
        None => Ok(()),
    }
}
