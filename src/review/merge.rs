//! One reviewer's ledger taken into another's.

use std::path::Path;

use super::{About, DECISIONS, Decision, ListedRow, Words, note};
use crate::error::Result;
use crate::ledger;

/// A row of which two ledgers say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The row.
    pub row: u64,
    /// What the ledger of the report says.
    pub ours: Decision,
    /// What the other one says.
    pub theirs: Decision,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Decisions that were taken over, a row each.
    pub taken: usize,
    /// Rows that were left as they are.
    pub conflicts: Vec<Conflict>,
}

/// Takes into the ledger of the report in `folder` what another ledger says of listed rows that nothing is said of yet, under the
/// name and time of the other reviewer. Where both speak and differ, the row is left as it is.
///
/// # Errors
/// As [`ledger::read`] for either ledger, and [`super::decide`].
pub fn merge(folder: &Path, rows: &[ListedRow], other: &[Decision]) -> Result<Merged> {
    let path = folder.join(DECISIONS);
    let own: Vec<Decision> = if path.exists() { ledger::read(&path)?.0 } else { Vec::new() };
    let (ours, theirs) = (Words::of(&own), Words::of(other));
    let mut merged = Merged::default();
    let mut taken = Vec::new();
    for row in rows {
        match (ours.about(row.row, &row.causes), theirs.about(row.row, &row.causes)) {
            (None, Some(said)) => taken.push(Decision { about: About::Row(row.row), ..said.clone() }),
            (Some(ours), Some(theirs)) if ours.ruling != theirs.ruling => {
                merged.conflicts.push(Conflict { row: row.row, ours: ours.clone(), theirs: theirs.clone() });
            }
            _ => {}
        }
    }
    if !taken.is_empty() {
        note(folder, rows, &taken)?;
    }
    merged.taken = taken.len();
    Ok(merged)
}
