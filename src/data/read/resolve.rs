//! From what the user names to files: paths, patterns, folders, the standard input and addresses.

use std::ffi::OsStr;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::data::read::format::is_supported;
use crate::data::read::text::{io_reason, plain};
use crate::error::{Error, Place, Result};

/// Similarity from which a name is offered as what was meant.
const SIMILAR: f64 = 0.75;

/// One source of rows, not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A file that can be read again and again.
    File(PathBuf),
    /// A pipe or a device, which can be read once.
    Stream(PathBuf),
    /// The standard input.
    Stdin,
    /// An address such as `s3://bucket/key`.
    Address(String),
}

impl Found {
    /// What the user calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Stream(path) => path.display().to_string(),
            Self::Stdin => "stdin".to_owned(),
            Self::Address(address) => address.clone(),
        }
    }
}

/// All sources that `inputs` name, in the order given, sorted within each folder and pattern.
pub(super) fn resolve(inputs: &[String]) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for input in inputs {
        match input.as_str() {
            "-" => all.push(Found::Stdin),
            address if address.contains("://") => all.push(Found::Address(address.to_owned())),
            path => all.extend(local(path)?),
        }
    }
    refuse_repeats(&all)?;
    Ok(all)
}

fn local(input: &str) -> Result<Vec<Found>> {
    let path = Path::new(input);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => folder(path),
        Ok(metadata) if metadata.is_file() => Ok(vec![Found::File(path.to_owned())]),
        Ok(_) => Ok(vec![Found::Stream(path.to_owned())]),
        Err(_) if input.contains(['*', '?', '[']) => pattern(input),
        Err(error) => {
            let missing = Error::input(Place::source(input), io_reason(&error));
            Err(match similar(path) {
                Some(name) if error.kind() == std::io::ErrorKind::NotFound => missing.with_help(format!("Did you mean '{name}'?")),
                _ => missing,
            })
        }
    }
}

fn pattern(input: &str) -> Result<Vec<Found>> {
    let fail = |reason: String| Error::input(Place::source(input), reason);
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let mut paths = Vec::new();
    for path in glob::glob_with(input, options).map_err(|e| fail(format!("not a pattern: {}", plain(e.msg))))? {
        let path = path.map_err(|e| Error::input(Place::source(e.path().display().to_string()), io_reason(e.error())))?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(fail("no file matches".to_owned()));
    }
    paths.sort_unstable();
    Ok(paths.into_iter().map(Found::File).collect())
}

fn folder(path: &Path) -> Result<Vec<Found>> {
    let mut paths = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |e: std::io::Error| Error::input(Place::source(folder.display().to_string()), io_reason(&e));
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Names such as `_SUCCESS` and `_temporary` are what job runners leave beside the data.
            if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                continue;
            }
            let path = entry.path();
            // A linked file is data (caches link to their blobs); a linked folder could lead back here for ever.
            if entry.file_type().map_err(fail)?.is_dir() {
                // A report's tables tell of rows that are read already.
                let is_report = declared_schema(&path.join("report.json")).is_some_and(|name| name.starts_with("foretaste.report/"));
                if !is_report {
                    folders.push(path);
                }
            } else if path.is_file() && is_supported(&path) {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        let help = "Files of a folder are taken by extension: parquet, arrow, csv, tsv, jsonl and their .gz and .zst forms. \
                    Name a .json file itself. Pictures are read from a column of such a file.";
        return Err(Error::input(Place::source(path.display().to_string()), "the folder holds no data file").with_help(help));
    }
    paths.sort_unstable();
    Ok(paths.into_iter().map(Found::File).collect())
}

/// The name of the form that a JSON document says it has.
pub(crate) fn declared_schema(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let file = fs::File::open(path).ok()?;
    serde_json::from_reader(BufReader::new(file)).ok().map(|head: Head| head.schema)
}

fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(parent).ok()?.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let scored = names.map(|name| (strsim::normalized_damerau_levenshtein(&name, &wanted), name));
    // Equal scores are settled by name, as the order of a folder's entries is no one's choice.
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))?;
    (score >= SIMILAR).then(|| path.with_file_name(OsStr::new(&name)).display().to_string())
}

fn refuse_repeats(all: &[Found]) -> Result<()> {
    let mut seen = FxHashMap::default();
    for found in all {
        let key = match found {
            Found::File(path) | Found::Stream(path) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
            Found::Stdin => PathBuf::from("-"),
            Found::Address(address) => PathBuf::from(address),
        };
        if let Some(first) = seen.insert(key, found.name()) {
            let reason = format!("named twice: it is the same as {first}");
            return Err(Error::input(Place::source(found.name()), reason).with_help("Rows must not count twice; name each file once."));
        }
    }
    Ok(())
}
