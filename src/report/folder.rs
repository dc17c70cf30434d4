//! A report folder that appears whole or not at all.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::json::SCHEMA;
use crate::error::{Error, Result};

/// Everything that a report folder may hold. A folder with anything else is not replaced: it may be somebody's work.
const NAMES: [&str; 4] = [REPORT, "report.html", "rows.parquet", "scores.parquet"];
const REPORT: &str = "report.json";

/// A folder that is filled out of sight and then takes the place of `target`.
pub(super) struct Folder {
    target: PathBuf,
    /// Holds the new folder and, for a moment, the one that it replaces. Dropping it removes both.
    hidden: TempDir,
    filling: PathBuf,
}

impl Folder {
    /// Checks that `out` can be written and starts an empty folder beside it.
    pub(super) fn create(out: &Path) -> Result<Self> {
        // A link is followed, so that what it points to is replaced and not the link.
        let target = if out.symlink_metadata().is_ok() {
            out.canonicalize().map_err(|e| Error::output(out, e))?
        } else {
            std::path::absolute(out).map_err(|e| Error::output(out, e))?
        };
        replaceable(&target).map_err(|reason| Error::output(out, reason))?;
        let Some(parent) = target.parent() else {
            return Err(Error::output(out, "this is no place for a report folder; name a folder that is new"));
        };
        if !parent.is_dir() {
            return Err(Error::output(out, format!("the folder {} does not exist; make it first", parent.display())));
        }
        let hidden = tempfile::Builder::new()
            .prefix(".foretaste-")
            .tempdir_in(parent)
            .map_err(|e| Error::output(out, format!("the folder {} cannot be written: {e}", parent.display())))?;
        // The temporary folder is closed to other users; the report folder has the rights that the user's folders have.
        let filling = hidden.path().join("report");
        fs::create_dir(&filling).map_err(|e| Error::output(out, e))?;
        Ok(Self { target, hidden, filling })
    }

    /// Where a file lies until the folder is put into place.
    pub(super) fn inside(&self, name: &str) -> PathBuf {
        self.filling.join(name)
    }

    /// Where a file will lie.
    pub(super) fn shown(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// Writes a whole file to the disk.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut file = File::create_new(self.inside(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|e| Error::output(self.shown(name), e))
    }

    /// Puts the folder into place; a report that was there before is gone only once the new one stands.
    pub(super) fn commit(self) -> Result<PathBuf> {
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.target, e);
        sync(&self.filling).map_err(|e| fail(&e))?;
        // The run took a while; what lies there now may not be what lay there at its start.
        replaceable(&self.target).map_err(|reason| fail(&reason))?;
        let aside = self.hidden.path().join("before");
        let before = self.target.exists();
        if before {
            fs::rename(&self.target, &aside).map_err(|e| fail(&e))?;
        }
        if let Err(error) = fs::rename(&self.filling, &self.target) {
            if before && fs::rename(&aside, &self.target).is_err() {
                let kept = self.hidden.keep();
                return Err(Error::output(&self.target, format!("{error}; the report that was there is now in {}", kept.display())));
            }
            return Err(fail(&error));
        }
        if let Some(parent) = self.target.parent() {
            sync(parent).map_err(|e| fail(&e))?;
        }
        Ok(self.target)
    }
}

/// Makes renames in a folder last; only Unix lets a folder be opened for that.
fn sync(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether a report may take this place; otherwise why not and what to do.
fn replaceable(target: &Path) -> std::result::Result<(), String> {
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
    if !is_report(&target.join(REPORT)) {
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

fn is_report(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let Ok(file) = File::open(path) else { return false };
    serde_json::from_reader(BufReader::new(file)).is_ok_and(|head: Head| head.schema == SCHEMA)
}
