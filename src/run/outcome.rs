//! What a run found out, before the report words it.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::data::{Class, ColumnRole, File, Schema};
use crate::error::{Error, Result};
use crate::finding::{Family, Finding, Power, ScoreSpread, Verdict};
use crate::policy::Applied;

use super::beside::Surroundings;

/// How a unit fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status", content = "why")]
pub enum Status {
    /// It looked at all rows.
    Ran,
    /// The data has nothing for it, or the user left it out; says which.
    Skipped(String),
    /// It could not finish: the run is incomplete.
    Failed(String),
}

/// One unit's part in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Code of the unit.
    pub code: String,
    /// Its family.
    pub family: Family,
    /// How it fared.
    #[serde(flatten)]
    pub status: Status,
    /// Processor seconds over all threads.
    pub seconds: f64,
    /// Largest size of its state, bytes.
    pub bytes: u64,
    /// Scans that it asked for.
    pub scans: u32,
    /// Rows listed by it as suspect or alarm.
    pub flagged: u64,
    /// Smallest p-value of its causes, each corrected for their candidates, decided or not; none without a cause.
    pub lowest_p: Option<f64>,
    /// What it has to say of the whole set: estimates, limits, the smallest cause it could have seen.
    pub notes: Vec<String>,
    /// How the posteriors of listed and of other rows lie; none of a detector that lists no row by a posterior.
    pub spread: Option<ScoreSpread>,
}

/// Counts of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounts {
    /// Causes at tier alarm.
    pub alarm_groups: u64,
    /// Causes at tier suspect.
    pub suspect_groups: u64,
    /// Rows at tier alarm.
    pub alarm_rows: u64,
    /// Rows at tier suspect.
    pub suspect_rows: u64,
}

/// What the data was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Files with digests.
    pub files: Vec<File>,
    /// Rows in all.
    pub rows: u64,
    /// Columns with roles and reasons.
    pub columns: Vec<ColumnRole>,
    /// Nulls of each column, by name.
    pub nulls: BTreeMap<String, u64>,
    /// Name of the label column.
    pub label: Option<String>,
    /// Its classes.
    pub classes: Vec<Class>,
    /// Values that could not be read as what their column holds (images that do not decode, texts over the limit, NaN
    /// and infinities), by column; they are counted, not judged.
    pub unreadable: BTreeMap<String, u64>,
    /// Files of the trusted reference with digests; none without a reference.
    pub reference: Vec<File>,
}

/// Everything that a run found out. Listed rows travel separately, through a [`Sink`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it comes to.
    pub verdict: Verdict,
    /// Why, sentences; the first is the most important.
    pub reasons: Vec<String>,
    /// How much more looks wrong than rows are listed for, sentences without a full stop.
    pub estimates: Vec<String>,
    /// Whether every detector that should have run did.
    pub complete: bool,
    /// The data.
    pub data: DataFacts,
    /// Each unit, in registry order.
    pub units: Vec<UnitOutcome>,
    /// Causes, worst first.
    pub findings: Vec<Finding>,
    /// Counts per family.
    pub families: BTreeMap<String, FamilyCounts>,
    /// Rows listed in all (a row listed by two detectors counts once).
    pub flagged_rows: u64,
    /// Listed rows broken down by class, source and file: polars group-bys over the listed rows.
    pub breakdown: Vec<Breakdown>,
    /// The rules that made the verdict, as they were applied.
    pub policy: Applied,
    /// What the scan could have seen, where that was measured.
    pub power: Option<Power>,
    /// Wall seconds.
    pub seconds: f64,
}

/// Listed rows by the values of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// What the rows are grouped by: a label's, source's or time's column (`…, by month`), or `file`.
    pub by: String,
    /// Value, rows in all, rows listed; most listed first, at most 50.
    pub values: Vec<BreakdownRow>,
}

/// One value of a [`Breakdown`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakdownRow {
    /// The value as a person reads it.
    pub value: String,
    /// Rows with it.
    pub rows: u64,
    /// Listed rows with it.
    pub flagged: u64,
}

/// Takes what a run lists, block by block in row order.
pub trait Sink {
    /// Listed rows, in the columns of `rows.parquet`: `row` u64, `file` utf8, `id` (the user's type, absent without an
    /// id column), `label` utf8, `families` and `codes` list<utf8>, `tier` utf8, `q` f64, `reason` utf8, `evidence`
    /// utf8 (JSON).
    fn rows(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Scores of every row, if [`Sink::wants_scores`]: `row`, `id`, a nullable f64 a family, a detector code, and
    /// `combined`.
    fn scores(&mut self, scores: &RecordBatch) -> Result<()>;

    /// Whether scores of every row are wanted.
    fn wants_scores(&self) -> bool;

    /// The rows of the last call of [`Sink::rows`] with the columns of the data, if [`Sink::wants_content`].
    fn content(&mut self, _schema: &Schema, _rows: &RecordBatch) -> Result<()> {
        Ok(())
    }

    /// Where listed rows lie, and what they are most like, once all are listed, if [`Sink::wants_content`] and where that can be said.
    fn beside(&mut self, _schema: &Schema, _surroundings: &Surroundings) -> Result<()> {
        Ok(())
    }

    /// Whether listed rows are wanted with the columns of the data, and with what lies beside them.
    fn wants_content(&self) -> bool {
        false
    }
}

/// Told how far a run is; nothing but its end depends on it.
pub trait Progress: Send + Sync {
    /// A scan begins: its number from 1, what it does, and the rows it will read if known.
    fn scan(&self, number: u32, what: &str, rows: Option<u64>);
    /// So many more rows were read.
    fn rows(&self, rows: u64);
    /// The run is busy with something that is not reading.
    fn busy(&self, what: &str);
    /// Whether the run is to stop: asked before every block of rows and before every step of a unit. A run that stops ends with
    /// [`Error::Cancelled`].
    fn cancelled(&self) -> bool {
        false
    }
}

/// Ends a run that is to stop.
pub(super) fn go_on(progress: &dyn Progress) -> Result<()> {
    if progress.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// No progress shown.
pub struct Silent;

impl Progress for Silent {
    fn scan(&self, _: u32, _: &str, _: Option<u64>) {}
    fn rows(&self, _: u64) {}
    fn busy(&self, _: &str) {}
}
