//! What a scan answered: listed rows and scores, from a run or from the folder of its report.

use std::path::Path;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use serde::Deserialize;

use super::truth::ids;
use crate::data::read::{Options, open};
use crate::error::{Error, Place, Result};
use crate::finding::Verdict;
use crate::run::{Outcome, Sink};

/// The column that ranks rows over all families.
pub(super) const COMBINED: &str = "combined";

/// A listed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) row: u64,
    pub(super) id: Option<String>,
    pub(super) families: Vec<String>,
    pub(super) codes: Vec<String>,
}

/// A scan's answer. As a [`Sink`] it is filled by a run; [`Answer::read`] fills it from a report.
#[derive(Debug, Clone)]
pub struct Answer {
    verdict: Verdict,
    rows: u64,
    id: Option<String>,
    listed: Vec<Listed>,
    /// Scores by column; one entry a row of the data, `-∞` where there is none.
    scores: Vec<(String, Vec<f64>)>,
    /// The user's ids of all rows, where scores were kept; `None` for a null.
    ids: Vec<Option<String>>,
}

/// What is read of `report.json`.
#[derive(Deserialize)]
struct Head {
    verdict: Verdict,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    rows: u64,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    role: String,
}

impl Default for Answer {
    fn default() -> Self {
        Self { verdict: Verdict::Pass, rows: 0, id: None, listed: Vec::new(), scores: Vec::new(), ids: Vec::new() }
    }
}

impl Answer {
    /// Reads the report in a folder; a ranking needs its `scores.parquet`, which `--scores` writes.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder holds no report of foretaste.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("report.json");
        let fail = |why: String| {
            Error::input(Place::source(path.display().to_string()), why).with_help("Name the folder that foretaste scan wrote.")
        };
        let bytes = std::fs::read(&path).map_err(|e| fail(e.to_string()))?;
        let head: Head = serde_json::from_slice(&bytes).map_err(|e| fail(format!("this is no report of foretaste: {e}")))?;
        let id = head.data.columns.into_iter().find(|c| c.role == "id").map(|c| c.name);
        let mut answer = Self { verdict: head.verdict, rows: head.data.rows, id, ..Self::default() };
        let each = |name: &str| open(&[folder.join(name).display().to_string()], &Options::default())?.scan(None);
        for batch in each("rows.parquet")? {
            answer.rows(&batch?)?;
        }
        if folder.join("scores.parquet").exists() {
            for batch in each("scores.parquet")? {
                answer.scores(&batch?)?;
            }
        }
        Ok(answer)
    }

    /// Takes over what a run said of the whole set, once it has filled this answer.
    #[must_use]
    pub fn concluded(mut self, outcome: &Outcome) -> Self {
        self.verdict = outcome.verdict;
        self.rows = outcome.data.rows;
        self.id = outcome.data.columns.iter().find(|c| c.role == crate::data::Role::Id).map(|c| c.name.clone());
        self
    }

    /// The same answer as a report without scores holds it.
    #[cfg(test)]
    pub(super) fn without_scores(&self) -> Self {
        Self { scores: Vec::new(), ids: Vec::new(), ..self.clone() }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Rows of the data.
    pub(super) fn data_rows(&self) -> u64 {
        self.rows
    }

    /// Name of the data's id column.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Ids of all rows, in order; empty where scores were not kept.
    pub(super) fn ids(&self) -> &[Option<String>] {
        &self.ids
    }

    pub(super) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Names of the scores.
    pub(super) fn score_names(&self) -> impl Iterator<Item = &str> {
        self.scores.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn score(&self, name: &str) -> Option<&[f64]> {
        self.scores.iter().find(|(n, _)| n == name).map(|(_, values)| values.as_slice())
    }
}

impl Sink for Answer {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = column(batch, "row")?.as_primitive_opt::<UInt64Type>().ok_or_else(|| strange("row"))?;
        let (families, codes) = (texts(batch, "families")?, texts(batch, "codes")?);
        let ids = batch.column_by_name("id").map(ids).transpose()?;
        for (at, (families, codes)) in families.into_iter().zip(codes).enumerate() {
            let id = ids.as_ref().and_then(|ids| ids[at].clone());
            self.listed.push(Listed { row: rows.value(at), id, families, codes });
        }
        Ok(())
    }

    fn scores(&mut self, batch: &RecordBatch) -> Result<()> {
        for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
            match field.name().as_str() {
                "row" => {}
                "id" => self.ids.extend(ids(values)?),
                name => {
                    let values = cast(values, &DataType::Float64).map_err(|_| strange(name))?;
                    let values = values.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NEG_INFINITY));
                    match self.scores.iter_mut().find(|(n, _)| n == name) {
                        Some((_, all)) => all.extend(values),
                        None => self.scores.push((name.to_owned(), values.collect())),
                    }
                }
            }
        }
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        true
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| strange(name))
}

/// The lists of texts of a column.
fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<Vec<String>>> {
    let lists = column(batch, name)?.as_list_opt::<i32>().ok_or_else(|| strange(name))?;
    lists
        .iter()
        .map(|list| match list {
            None => Ok(Vec::new()),
            Some(list) => {
                let list = list.as_string_opt::<i32>().ok_or_else(|| strange(name))?;
                Ok(list.iter().flatten().map(str::to_owned).collect())
            }
        })
        .collect()
}

fn strange(column: &str) -> Error {
    Error::input(Place::source("the report").column(column), "the column is missing or of another type; it was not written by foretaste")
}
