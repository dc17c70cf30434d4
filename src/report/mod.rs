//! The report: files for machines, a page for people, and a summary for the terminal. Decides nothing; only words what
//! a run found.

mod baseline;
mod beside;
mod cause;
mod content;
mod escape;
mod flips;
mod head;
mod html;
pub mod json;
mod listed;
mod marks;
mod names;
mod pack;
mod place;
mod reopen;
#[cfg(test)]
pub(crate) mod sample;
mod scores;
mod script;
pub mod standards;
mod summary;
mod table;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use serde::Serialize;

pub use baseline::baseline;
pub use escape::visible;
pub use json::{Report, Settings};
pub use place::SIGNED;
pub use summary::render;

use crate::data::{Role, Schema};
use crate::error::Result;
use crate::folder::Folder;
use crate::run::rows_schema;
use crate::run::{Outcome, Sink, Surroundings};
pub(crate) use html::{Desk, Html};
use listed::Listed;
pub(crate) use listed::cell;
pub(crate) use reopen::reopen;
use scores::Scores;
use table::{Table, scores_schema};

/// What a report holds beside what it always holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to write `scores.parquet`, the scores of every row.
    pub scores: bool,
}

/// Writes a report folder: `rows.parquet` and `scores.parquet` while the run goes on, the rest at its end.
///
/// The folder appears whole or not at all. A report of foretaste that is already there is replaced; any other folder
/// that is not empty is refused. Dropping the writer before [`Writer::finish`] leaves everything as it was.
pub struct Writer {
    folder: Folder,
    rows: Table,
    scores: Option<Table>,
    listed: Listed,
    histograms: Scores,
}

/// The first items of something, and how many were left out.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
    more: u64,
}

impl Writer {
    /// Starts a report that will lie in `out`; its parent folder must exist.
    ///
    /// # Errors
    /// [`crate::error::Error::Output`] if the report could not be put there.
    pub fn create(out: &Path, options: Options) -> Result<Self> {
        let folder = Folder::create(out, place::replaceable)?;
        let table = |name| Table::create(&folder.inside(name), folder.shown(name));
        let rows = table("rows.parquet")?;
        let scores = options.scores.then(|| table("scores.parquet")).transpose()?;
        Ok(Self { folder, rows, scores, listed: Listed::default(), histograms: Scores::default() })
    }

    /// Writes the rest, puts the folder into place and gives its path.
    ///
    /// # Errors
    /// [`crate::error::Error::Output`]; whatever lay in the place before is still there.
    pub fn finish(mut self, outcome: &Outcome, settings: &Settings) -> Result<PathBuf> {
        let report = Report::new(outcome, settings)?;
        let id = id_type(outcome);
        self.rows.close(&rows_schema(id.as_ref()))?;
        if let Some(scores) = self.scores {
            scores.close(&scores_schema(id.as_ref(), []))?;
        }
        self.folder.write("report.json", &report.to_json()?)?;
        let blocks = self.listed.blocks()?;
        let page = html::page(&report, &self.listed, &self.histograms, blocks, &Desk::Browser)?;
        self.folder.write("report.html", page.text.as_bytes())?;
        self.folder.commit()
    }
}

impl Sink for Writer {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        self.listed.add(rows);
        if self.scores.is_some() {
            self.histograms.listed(rows);
        }
        self.rows.write(rows)
    }

    fn scores(&mut self, scores: &RecordBatch) -> Result<()> {
        match &mut self.scores {
            Some(table) => {
                self.histograms.add(scores);
                table.write(scores)
            }
            None => Ok(()),
        }
    }

    fn content(&mut self, schema: &Schema, rows: &RecordBatch) -> Result<()> {
        self.listed.hold(schema, rows);
        Ok(())
    }

    fn beside(&mut self, schema: &Schema, surroundings: &Surroundings) -> Result<()> {
        self.listed.surround(schema, surroundings);
        Ok(())
    }

    fn wants_content(&self) -> bool {
        true
    }

    fn wants_scores(&self) -> bool {
        self.scores.is_some()
    }
}

/// The type of the id column, for files that hold no row.
fn id_type(outcome: &Outcome) -> Option<DataType> {
    outcome.data.columns.iter().find(|c| c.role == Role::Id)?.data_type.parse().ok()
}

#[cfg(test)]
pub(crate) use tests::written;

#[cfg(test)]
mod tests;
