//! What reviewers decide about listed rows, kept in an append-only ledger beside the report.

mod listed;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use listed::{ListedRow, listed};
pub(crate) use listed::{each, position, texts};
pub use merge::{Conflict, Merged, merge};

use crate::error::{Error, Result};
use crate::ledger::{self, Ledger};

/// Name of the ledger in a report's folder.
pub const DECISIONS: &str = "decisions.jsonl";
/// Rows of a conflict that an error names.
const NAMED: usize = 5;

/// What a reviewer says of a row or a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "ruling")]
pub enum Ruling {
    /// It is poisoned or wrong, and shall go.
    Confirm,
    /// It is sound, and shall stay.
    Dismiss,
    /// It shall stay under another label.
    Relabel {
        /// The right label, as the data would have it.
        label: String,
    },
    /// Nothing but what the note says.
    Note,
    /// What was said before no longer holds.
    Undo,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// The reviewer.
    pub by: String,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// What was decided.
    #[serde(flatten)]
    pub ruling: Ruling,
    /// Why, in the reviewer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The row at a position of the data, from 0.
    Row(u64),
    /// All rows of the cause with this fingerprint.
    Cause(String),
}

/// The decisions of one or more reviewers.
#[derive(Debug, Clone, Default)]
pub struct Review {
    /// By ledger, each in order.
    ledgers: Vec<Vec<Decision>>,
}

/// The last words of one ledger.
#[derive(Debug, Default)]
struct Words<'a> {
    rows: BTreeMap<u64, (usize, &'a Decision)>,
    causes: BTreeMap<&'a str, (usize, &'a Decision)>,
}

impl<'a> Words<'a> {
    fn of(ledger: &'a [Decision]) -> Self {
        let mut words = Self::default();
        for (at, decision) in ledger.iter().enumerate().filter(|(_, decision)| decision.ruling != Ruling::Note) {
            match &decision.about {
                About::Row(row) => words.rows.insert(*row, (at, decision)),
                About::Cause(cause) => words.causes.insert(cause, (at, decision)),
            };
        }
        words
    }

    /// What holds for a row.
    fn about(&self, row: u64, causes: &[String]) -> Option<&'a Decision> {
        let of_causes = causes.iter().filter_map(|cause| self.causes.get(cause.as_str()));
        let last = self.rows.get(&row).into_iter().chain(of_causes).max_by_key(|(at, _)| *at);
        last.map(|(_, decision)| *decision).filter(|decision| decision.ruling != Ruling::Undo)
    }
}

impl Review {
    /// Reads ledgers and checks their chains.
    ///
    /// # Errors
    /// As [`ledger::read`].
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let ledgers = paths.iter().map(|path| Ok(ledger::read(path)?.0)).collect::<Result<_>>()?;
        Ok(Self { ledgers })
    }

    /// What was decided about each of the rows, given with the fingerprints of their causes. In a ledger the last word holds.
    ///
    /// # Errors
    /// [`Error::Config`] where reviewers say different things of a row.
    pub fn settle<'a>(&self, rows: impl Iterator<Item = (u64, &'a [String])>) -> Result<Vec<Option<Ruling>>> {
        let words: Vec<Words<'_>> = self.ledgers.iter().map(|ledger| Words::of(ledger)).collect();
        let mut settled = Vec::new();
        let mut conflicts = Vec::new();
        for (row, causes) in rows {
            let mut said = words.iter().filter_map(|words| words.about(row, causes)).map(|decision| &decision.ruling);
            let first = said.next();
            if said.any(|other| Some(other) != first) {
                conflicts.push(row);
            }
            settled.push(first.cloned());
        }
        if conflicts.is_empty() {
            return Ok(settled);
        }
        let named: Vec<String> = conflicts.iter().take(NAMED).map(u64::to_string).collect();
        let more = if conflicts.len() > NAMED { ", …" } else { "" };
        let reason = format!("reviewers disagree about {} rows: {}{more}", conflicts.len(), named.join(", "));
        Err(Error::config("--decisions", reason).with_help(
            "foretaste review can merge one ledger into the other and shows where they differ; or settle them with foretaste decide.",
        ))
    }
}

/// Adds decisions to the ledger of the report in `folder`, which is started where there is none; gives how many listed rows they
/// are about.
///
/// # Errors
/// As [`Ledger::open`]; [`Error::Config`] where one is about a row or cause that the report does not list.
pub fn decide(folder: &Path, decisions: &[Decision]) -> Result<usize> {
    note(folder, &listed(folder)?, decisions)
}

/// As [`decide`], where the listed rows are at hand.
pub(crate) fn note(folder: &Path, rows: &[ListedRow], decisions: &[Decision]) -> Result<usize> {
    let known: BTreeSet<u64> = rows.iter().map(|row| row.row).collect();
    let causes: BTreeSet<&str> = rows.iter().flat_map(|row| row.causes.iter().map(String::as_str)).collect();
    let (mut about_rows, mut about_causes) = (BTreeSet::new(), BTreeSet::new());
    for decision in decisions {
        let (found, flag, what) = match &decision.about {
            About::Row(row) => {
                about_rows.insert(*row);
                (known.contains(row), "--row", row.to_string())
            }
            About::Cause(cause) => {
                about_causes.insert(cause.as_str());
                (causes.contains(cause.as_str()), "--cause", format!("'{cause}'"))
            }
        };
        if !found {
            let help = "rows.parquet in the report's folder has the listed rows, with the fingerprints of their causes.";
            return Err(Error::config(flag, format!("the report lists nothing under {what}")).with_help(help));
        }
    }
    add(&folder.join(DECISIONS), decisions)?;
    let is_about = |row: &&ListedRow| about_rows.contains(&row.row) || row.causes.iter().any(|cause| about_causes.contains(cause.as_str()));
    Ok(rows.iter().filter(is_about).count())
}

fn add(path: &Path, decisions: &[Decision]) -> Result<()> {
    let (mut ledger, _) = Ledger::open::<Decision>(path)?;
    for decision in decisions {
        ledger.add(decision)?;
    }
    ledger.finish().map(|_| ())
}
