//! Listed rows taken out of a copy of the data, or given another label there, and put back.
//!
//! The source is never written. A quarantine is a folder with `kept/` and `removed/`, files of the source's form and names in each,
//! a `ledger.jsonl` with a line for every removed or relabelled row, and `quarantine.json`, which says what was done. It appears whole or not at all.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File as Handle};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::data::split::{Edits, Form, Halves, Parted, join, part};
use crate::data::{File, Role};
use crate::error::{Error, Place, Result};
use crate::folder::{Folder, fresh, whole_file};
use crate::ledger::{self, Ledger};
use crate::report::json::Sanitisation;
use crate::report::{Desk, Report, reopen, visible};
use crate::review::{ListedRow, Review, Ruling, listed};

/// Name and version of `quarantine.json`'s form.
const SCHEMA: &str = "foretaste.quarantine/1";
const MANIFEST: &str = "quarantine.json";
const LEDGER: &str = "ledger.jsonl";
const KEPT: &str = "kept";
const REMOVED: &str = "removed";
const PAGE: &str = "report.html";
/// Characters of a label that an error shows.
const LABEL: usize = 80;

/// Which listed rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// All of them, but for those that a reviewer dismissed.
    Flagged,
    /// Those that a reviewer confirmed.
    Confirmed,
}

impl Selection {
    /// The name that files and the command line use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flagged => "flagged",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Folder of the report.
    pub report: PathBuf,
    /// Where the quarantine will lie.
    pub out: PathBuf,
    /// Ledgers of decisions.
    pub decisions: Vec<PathBuf>,
    /// Which rows go.
    pub selection: Selection,
    /// Who asks.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The folder.
    pub folder: PathBuf,
    /// Rows kept.
    pub kept: u64,
    /// Rows removed.
    pub removed: u64,
    /// Rows kept under another label.
    pub relabelled: u64,
}

/// `quarantine.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    schema: String,
    at: Timestamp,
    by: String,
    selection: Selection,
    /// Those with another label among them.
    kept: u64,
    removed: u64,
    #[serde(default)]
    relabelled: u64,
    /// Hash of the ledger's last line.
    ledger: String,
    files: Vec<Entry>,
}

/// One file of the source.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// As the report names it.
    source: String,
    /// BLAKE3 of the source's bytes, hex.
    blake3: String,
    /// Its name in `kept/` and `removed/`.
    name: String,
    #[serde(flatten)]
    parted: Parted,
}

/// A line of the ledger: one row that was removed or relabelled.
#[derive(Debug, Serialize, Deserialize)]
struct Moved {
    /// Position in `quarantine.json`'s list of files.
    file: usize,
    /// Position in that file, from 0.
    file_row: u64,
    at: Timestamp,
    by: String,
    /// The label that it is kept under; nothing where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relabelled: Option<String>,
    #[serde(flatten)]
    listed: ListedRow,
}

/// Parts the data of a report.
///
/// # Errors
/// [`Error::Input`] where the report or its data cannot be read or the data are no longer those that were scanned,
/// [`Error::Config`] where reviewers disagree, [`Error::Output`] where the folder cannot be written. Then nothing was written.
pub fn quarantine(order: &Order) -> Result<Done> {
    let report = Report::read(&order.report)?;
    let review = Review::read(&order.decisions)?;
    let listed = listed(&order.report)?;
    let settled = review.settle(listed.iter().map(|row| (row.row, &row.causes[..])))?;
    let (labels, column) = relabels(&report, &listed, &settled)?;
    let goes = |ruling: &Option<Ruling>| match order.selection {
        Selection::Flagged => !matches!(ruling, Some(Ruling::Dismiss | Ruling::Relabel { .. })),
        Selection::Confirmed => *ruling == Some(Ruling::Confirm),
    };
    let is_moved = |row: &ListedRow, ruling: &Option<Ruling>| labels.contains_key(&row.row) || goes(ruling);
    let out: Vec<ListedRow> = listed.into_iter().zip(settled).filter(|(row, ruling)| is_moved(row, ruling)).map(|(row, _)| row).collect();
    let folder = Folder::create(&order.out, fresh)?;
    for name in [KEPT, REMOVED] {
        fs::create_dir(folder.inside(name)).map_err(|e| Error::output(folder.shown(name), e))?;
    }
    let mut manifest = Manifest {
        schema: SCHEMA.to_owned(),
        at: order.at,
        by: order.by.clone(),
        selection: order.selection,
        kept: 0,
        removed: 0,
        relabelled: 0,
        ledger: String::new(),
        files: Vec::new(),
    };
    let mut record = Ledger::create(&folder.inside(LEDGER))?;
    let mut first = 0;
    for (file, name) in report.data.files.iter().zip(names(&report.data.files)) {
        let rows = out.iter().filter(|row| (first..first + file.rows).contains(&row.row));
        let mut edits = Edits { column: column.clone(), values: BTreeMap::new() };
        let mut positions = BTreeSet::new();
        for row in rows.clone() {
            match labels.get(&row.row) {
                Some(label) => drop(edits.values.insert(row.row - first, label.clone())),
                None => drop(positions.insert(row.row - first)),
            }
        }
        let parted = part_file(file, &positions, &edits, &halves(&folder, &name))?;
        for row in rows {
            let (at, by, relabelled) = (order.at, order.by.clone(), labels.get(&row.row).cloned());
            record.add(&Moved { file: manifest.files.len(), file_row: row.row - first, at, by, relabelled, listed: row.clone() })?;
        }
        manifest.kept += parted.kept;
        manifest.removed += parted.taken - parted.edited;
        manifest.relabelled += parted.edited;
        manifest.files.push(Entry { source: file.name.clone(), blake3: file.blake3.clone(), name, parted });
        first += file.rows;
    }
    if manifest.kept + manifest.removed != report.data.rows || manifest.removed + manifest.relabelled != out.len() as u64 {
        let reason =
            format!("{} rows kept and {} removed are not the {} that were scanned", manifest.kept, manifest.removed, report.data.rows);
        return Err(Error::input(Place::source(order.report.display().to_string()), reason));
    }
    manifest.ledger = record.finish()?;
    folder.write(MANIFEST, &json(&manifest)?)?;
    let done = Done { folder: folder.commit()?, kept: manifest.kept, removed: manifest.removed, relabelled: manifest.relabelled };
    tell(&order.report, report, &manifest, &done.folder)?;
    Ok(done)
}

/// The labels that reviewers give to rows, and the column that they go into.
fn relabels(report: &Report, listed: &[ListedRow], settled: &[Option<Ruling>]) -> Result<(BTreeMap<u64, String>, String)> {
    let label = |ruling: &Option<Ruling>| if let Some(Ruling::Relabel { label }) = ruling { Some(label.clone()) } else { None };
    let labels: BTreeMap<u64, String> = listed.iter().zip(settled).filter_map(|(row, ruling)| Some((row.row, label(ruling)?))).collect();
    let Some((row, _)) = labels.first_key_value() else { return Ok((labels, String::new())) };
    let fail = |why: String| Error::config("--decisions", why).with_help("Decide about this row anew: foretaste review, or decide.");
    let data = &report.data;
    let column = data.columns.iter().find(|column| column.role == Role::Label && data.label.as_ref() == Some(&column.name));
    let column = column.ok_or_else(|| fail(format!("row {row} is to be relabelled, but the data have no column of labels")))?;
    let classes: BTreeSet<&str> = data.classes.iter().map(|class| class.name.as_str()).collect();
    if let Some((row, label)) = labels.iter().find(|(_, label)| !classes.contains(label.as_str())) {
        return Err(fail(format!("row {row} is to be labelled '{}', which no row of the data is", visible(label, LABEL))));
    }
    Ok((labels, column.name.clone()))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::output(MANIFEST, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn halves(folder: &Folder, name: &str) -> Halves {
    Halves { kept: folder.inside(KEPT).join(name), taken: folder.inside(REMOVED).join(name) }
}

/// A name for each file inside one folder: its own, with a number before it where two would be the same.
fn names(files: &[File]) -> Vec<String> {
    let own = |file: &File| Path::new(&file.name).file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned());
    let distinct: BTreeSet<String> = files.iter().map(own).collect();
    let numbered = distinct.len() < files.len();
    files.iter().enumerate().map(|(i, file)| if numbered { format!("{i:05}-{}", own(file)) } else { own(file) }).collect()
}

/// Parts one file, and makes sure that it is the one that was scanned.
fn part_file(file: &File, positions: &BTreeSet<u64>, edits: &Edits, halves: &Halves) -> Result<Parted> {
    let path = Path::new(&file.name);
    let fail = |why: String, help: &str| Error::input(Place::source(&file.name), why).with_help(help);
    let size = fs::metadata(path).map_err(|e| {
        let help = "The report names its data as the scan was given them: run this in the folder where the scan ran. Data from a stream cannot be parted.";
        fail(format!("the data of the report cannot be read: {e}"), help)
    })?;
    let changed = || fail("changed since the scan".to_owned(), "Scan it again.");
    if size.len() != file.bytes {
        return Err(changed());
    }
    let parted = part(&file.name, path, Form::of(&file.name, path, None)?, positions, edits, halves)?;
    // After the last read, so that a change in between shows as well.
    let mut hasher = blake3::Hasher::new();
    let hashed = Handle::open(path).and_then(|handle| hasher.update_reader(handle).map(|hasher| hasher.finalize()));
    let hash = hashed.map_err(|e| fail(e.to_string(), "Scan it again."))?;
    if hash.to_hex().as_str() == file.blake3 { Ok(parted) } else { Err(changed()) }
}

/// Notes in the report what was done; its document and its page are each replaced in one step.
fn tell(folder: &Path, mut report: Report, manifest: &Manifest, done: &Path) -> Result<()> {
    report.sanitisation.push(Sanitisation {
        at: manifest.at.to_string(),
        by: manifest.by.clone(),
        policy: manifest.selection.name().to_owned(),
        folder: done.display().to_string(),
        kept: manifest.kept,
        removed: manifest.removed,
        relabelled: manifest.relabelled,
        ledger: manifest.ledger.clone(),
    });
    let replace = |name: &str, bytes: &[u8]| {
        whole_file(&folder.join(name), |mut file, shown| {
            let fail = |e: std::io::Error| Error::output(shown, e);
            file.write_all(bytes).map_err(fail)?;
            file.set_permissions(fs::metadata(shown).map_err(fail)?.permissions()).map_err(fail)
        })
    };
    replace("report.json", &report.to_json()?)?;
    if folder.join(PAGE).exists() { replace(PAGE, reopen(folder, &Desk::Browser)?.text.as_bytes()) } else { Ok(()) }
}

/// Puts the rows of a quarantine back: the files of the source, in a new folder.
///
/// # Errors
/// [`Error::Input`] where `from` is no quarantine or was changed, [`Error::Output`] where `out` cannot be written. Then nothing
/// was written.
pub fn restore(from: &Path, out: &Path) -> Result<Done> {
    let path = from.join(MANIFEST);
    let fail = |why: String| {
        Error::input(Place::source(path.display().to_string()), why).with_help("Name the folder that foretaste quarantine wrote.")
    };
    let bytes = fs::read(&path).map_err(|e| fail(e.to_string()))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| fail(format!("this is no quarantine of foretaste: {e}")))?;
    if manifest.schema != SCHEMA {
        return Err(fail(format!("its form is {}, this version reads {SCHEMA}", manifest.schema)));
    }
    let (moved, last) = ledger::read::<Moved>(&from.join(LEDGER))?;
    if last != manifest.ledger {
        return Err(fail(format!("{LEDGER} is not the one that was written with it")));
    }
    let folder = Folder::create(out, fresh)?;
    for (at, entry) in manifest.files.iter().enumerate() {
        // A name from a file that anyone may have written must stay inside the folder.
        let name = Path::new(&entry.name).file_name().filter(|name| *name == entry.name.as_str());
        let name = name.ok_or_else(|| fail(format!("'{}' is no name of a file", entry.name)))?;
        let of_file = || moved.iter().filter(|row| row.file == at);
        let positions: BTreeSet<u64> = of_file().map(|row| row.file_row).collect();
        let edited: BTreeSet<u64> = of_file().filter(|row| row.relabelled.is_some()).map(|row| row.file_row).collect();
        let halves = Halves { kept: from.join(KEPT).join(name), taken: from.join(REMOVED).join(name) };
        join(&entry.name, &entry.parted, &positions, &edited, &halves, &folder.inside(&entry.name))?;
    }
    Ok(Done { folder: folder.commit()?, kept: manifest.kept, removed: manifest.removed, relabelled: manifest.relabelled })
}
