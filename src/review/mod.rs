//! What reviewers decide about listed rows, kept in an append-only ledger beside the report.

mod listed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use listed::{ListedRow, listed};
pub(crate) use listed::{each, position, texts};

use crate::error::{Error, Result};
use crate::ledger::{self, Ledger};

/// Name of the ledger in a report's folder.
pub const DECISIONS: &str = "decisions.jsonl";
/// Rows of a conflict that an error names.
const NAMED: usize = 5;

/// What a reviewer says of a row or a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// It is poisoned or wrong, and shall go.
    Confirm,
    /// It is sound, and shall stay.
    Dismiss,
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
    rows: BTreeMap<u64, (usize, Ruling)>,
    causes: BTreeMap<&'a str, (usize, Ruling)>,
}

impl<'a> Words<'a> {
    fn of(ledger: &'a [Decision]) -> Self {
        let mut words = Self::default();
        for (at, decision) in ledger.iter().enumerate() {
            match &decision.about {
                About::Row(row) => words.rows.insert(*row, (at, decision.ruling)),
                About::Cause(cause) => words.causes.insert(cause, (at, decision.ruling)),
            };
        }
        words
    }

    /// What holds for a row.
    fn about(&self, row: u64, causes: &[String]) -> Option<Ruling> {
        let of_causes = causes.iter().filter_map(|cause| self.causes.get(cause.as_str()));
        let last = self.rows.get(&row).into_iter().chain(of_causes).max_by_key(|(at, _)| *at);
        last.map(|(_, ruling)| *ruling).filter(|ruling| *ruling != Ruling::Undo)
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
    /// [`Error::Config`] where one reviewer confirms a row that another dismisses.
    pub fn settle<'a>(&self, rows: impl Iterator<Item = (u64, &'a [String])>) -> Result<Vec<Option<Ruling>>> {
        let words: Vec<Words<'_>> = self.ledgers.iter().map(|ledger| Words::of(ledger)).collect();
        let mut settled = Vec::new();
        let mut conflicts = Vec::new();
        for (row, causes) in rows {
            let mut said = words.iter().filter_map(|words| words.about(row, causes));
            let first = said.next();
            if said.any(|other| Some(other) != first) {
                conflicts.push(row);
            }
            settled.push(first);
        }
        if conflicts.is_empty() {
            return Ok(settled);
        }
        let named: Vec<String> = conflicts.iter().take(NAMED).map(u64::to_string).collect();
        let more = if conflicts.len() > NAMED { ", …" } else { "" };
        let reason = format!("reviewers disagree about {} rows: {}{more}", conflicts.len(), named.join(", "));
        Err(Error::config("--decisions", reason).with_help("Settle them with foretaste decide in one of the ledgers."))
    }
}

/// Adds decisions to the ledger of the report in `folder`, which is started where there is none; gives how many listed rows they
/// are about.
///
/// # Errors
/// As [`Ledger::open`]; [`Error::Config`] where one is about a row or cause that the report does not list.
pub fn decide(folder: &Path, decisions: &[Decision]) -> Result<usize> {
    let rows = listed(folder)?;
    let about = |about: &About, row: &ListedRow| match about {
        About::Row(at) => row.row == *at,
        About::Cause(cause) => row.causes.contains(cause),
    };
    for decision in decisions {
        if !rows.iter().any(|row| about(&decision.about, row)) {
            let (flag, what) = match &decision.about {
                About::Row(row) => ("--row", row.to_string()),
                About::Cause(cause) => ("--cause", format!("'{cause}'")),
            };
            let help = "rows.parquet in the report's folder has the listed rows, with the fingerprints of their causes.";
            return Err(Error::config(flag, format!("the report lists nothing under {what}")).with_help(help));
        }
    }
    add(&folder.join(DECISIONS), decisions)?;
    Ok(rows.iter().filter(|row| decisions.iter().any(|decision| about(&decision.about, row))).count())
}

fn add(path: &Path, decisions: &[Decision]) -> Result<()> {
    let (mut ledger, _) = Ledger::open::<Decision>(path)?;
    for decision in decisions {
        ledger.add(decision)?;
    }
    ledger.finish().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(about: About, ruling: Ruling) -> Decision {
        Decision { at: Timestamp::UNIX_EPOCH, by: "ada".to_owned(), about, ruling, note: None }
    }

    fn ledger(name: &str, decisions: &[Decision], folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join(name);
        add(&path, decisions).unwrap();
        path
    }

    #[test]
    fn the_last_word_holds_and_a_row_can_leave_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let cause = || About::Cause("f00d".to_owned());
        let path = ledger(
            "a.jsonl",
            &[
                decision(About::Row(5), Ruling::Dismiss),
                decision(cause(), Ruling::Confirm),
                decision(About::Row(2), Ruling::Dismiss),
                decision(About::Row(3), Ruling::Undo),
            ],
            &folder,
        );
        let of = ["f00d".to_owned()];
        let rows = [(1, &of[..]), (2, &of[..]), (3, &of[..]), (4, &[][..]), (5, &of[..])];
        let settled = Review::read(&[path]).unwrap().settle(rows.into_iter()).unwrap();
        let (confirm, dismiss) = (Some(Ruling::Confirm), Some(Ruling::Dismiss));
        assert_eq!(settled, [confirm, dismiss, None, None, confirm]);
    }

    #[test]
    fn reviewers_who_disagree_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let one = ledger("a.jsonl", &[decision(About::Row(1), Ruling::Confirm), decision(About::Row(2), Ruling::Confirm)], &folder);
        let other = ledger("b.jsonl", &[decision(About::Row(2), Ruling::Dismiss)], &folder);
        let review = Review::read(&[one, other]).unwrap();
        assert_eq!(review.settle([(1, &[][..])].into_iter()).unwrap(), [Some(Ruling::Confirm)]);
        let said = review.settle([(1, &[][..]), (2, &[][..])].into_iter()).unwrap_err().to_string();
        assert!(said.ends_with("reviewers disagree about 1 rows: 2"), "{said}");
    }
}
