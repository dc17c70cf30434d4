//! Append-only records: JSON lines, each with the hash of the line before it, so that a line that was changed, moved or taken out
//! shows.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Place, Result};

/// What stands for the line before the first.
const START: &str = "foretaste.ledger/1";
/// Longest line in bytes.
const MAX_LINE: u64 = 16 << 20;

/// One line: its place in the chain and what it records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line<T> {
    /// BLAKE3 of the line before, without its line break, hex.
    previous: String,
    #[serde(flatten)]
    entry: T,
}

fn digest(line: &[u8]) -> String {
    blake3::hash(line).to_hex().to_string()
}

/// A ledger that is being written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    previous: String,
}

impl Ledger {
    /// Starts a ledger where nothing is yet.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(|e| Error::output(path, e))?;
        Ok(Self { path: path.to_owned(), file, previous: digest(START.as_bytes()) })
    }

    /// Goes on with a ledger, or starts one, after its chain was checked; gives what it holds.
    ///
    /// # Errors
    /// As [`read`]; [`Error::Output`] where nothing can be added.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<T>)> {
        if !path.exists() {
            return Ok((Self::create(path)?, Vec::new()));
        }
        let (entries, previous) = chain(path)?;
        let file = OpenOptions::new().append(true).open(path).map_err(|e| Error::output(path, e))?;
        Ok((Self { path: path.to_owned(), file, previous }, entries))
    }

    /// Adds a line in one write.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn add<T: Serialize>(&mut self, entry: &T) -> Result<()> {
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.path, e);
        let mut line = serde_json::to_vec(&Line { previous: self.previous.clone(), entry }).map_err(|e| fail(&e))?;
        let hash = digest(&line);
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| fail(&e))?;
        self.previous = hash;
        Ok(())
    }

    /// Brings all lines to the disk; gives the hash of the last one, which stands for the whole ledger.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn finish(self) -> Result<String> {
        self.file.sync_all().map_err(|e| Error::output(&self.path, e))?;
        Ok(self.previous)
    }
}

/// The entries of a ledger, and the hash of its last line.
///
/// # Errors
/// [`Error::Input`] where it cannot be read, a line is no entry, or the chain is broken.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, String)> {
    chain(path)
}

fn chain<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, String)> {
    let fail = |why: String| Error::input(Place::source(path.display().to_string()), why);
    let mut reader = BufReader::new(File::open(path).map_err(|e| fail(e.to_string()))?);
    let (mut entries, mut previous) = (Vec::new(), digest(START.as_bytes()));
    let mut line = Vec::new();
    loop {
        line.clear();
        std::io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line).map_err(|e| fail(e.to_string()))?;
        let number = entries.len() + 1;
        let Some(text) = line.strip_suffix(b"\n") else {
            if line.is_empty() {
                return Ok((entries, previous));
            }
            return Err(fail(format!("line {number} has no end: it was cut off, or is longer than {MAX_LINE} bytes")));
        };
        let parsed: Line<T> = serde_json::from_slice(text).map_err(|e| fail(format!("line {number} is no entry: {e}")))?;
        if parsed.previous != previous {
            let help = "Use a copy of the ledger from before the change.";
            return Err(
                fail(format!("the chain is broken at line {number}: a line before it was changed, moved or taken out")).with_help(help)
            );
        }
        previous = digest(text);
        entries.push(parsed.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Entry {
        row: u64,
        note: String,
    }

    fn entry(row: u64) -> Entry {
        Entry { row, note: "a \"quoted\"\nnote".to_owned() }
    }

    #[test]
    fn what_was_added_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::create(&path).unwrap();
        ledger.add(&entry(1)).unwrap();
        ledger.add(&entry(2)).unwrap();
        let first = ledger.finish().unwrap();
        let (mut ledger, before) = Ledger::open::<Entry>(&path).unwrap();
        assert_eq!(before, [entry(1), entry(2)]);
        ledger.add(&entry(3)).unwrap();
        let second = ledger.finish().unwrap();
        assert_ne!(first, second);
        assert_eq!(read::<Entry>(&path).unwrap(), (vec![entry(1), entry(2), entry(3)], second));
        assert!(Ledger::create(&path).is_err());
    }

    #[test]
    fn any_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::create(&path).unwrap();
        for row in 0..4 {
            ledger.add(&entry(row)).unwrap();
        }
        ledger.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed = text.replacen("\"row\":1", "\"row\":7", 1);
        let without = [lines[0], lines[2], lines[3]].join("\n") + "\n";
        let swapped = [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n";
        for (bad, at) in [(changed, 3), (without, 2), (swapped, 2)] {
            std::fs::write(&path, bad).unwrap();
            let said = read::<Entry>(&path).unwrap_err().to_string();
            assert!(said.contains(&format!("the chain is broken at line {at}")), "{said}");
        }
        std::fs::write(&path, text.trim_end()).unwrap();
        assert!(read::<Entry>(&path).unwrap_err().to_string().contains("line 4 has no end"));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read::<Entry>(&path).unwrap_err().to_string().contains("line 1 is no entry"));
    }
}
