//! What listed rows hold, for a person to look at.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::data::read::{Options, open};
use crate::data::{Role, picture};
use crate::error::Result;
use crate::report::{Report, cell, visible};
use crate::review::ListedRow;

/// Listed rows whose content is kept.
const MOST_ROWS: usize = 5_000;
/// Pictures kept, and the most bytes of one.
const MOST_PICTURES: usize = 1_000;
const MOST_BYTES: usize = 128 << 10;
/// Columns shown of a row, and characters of a cell.
const MOST_COLUMNS: usize = 40;
const CELL: usize = 600;

/// One row.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Sample {
    /// Name and value.
    pub(super) cells: Vec<(String, String)>,
    /// The row's picture as PNG, decoded and encoded anew.
    pub(super) picture: Option<String>,
}

/// Rows by position.
#[derive(Debug, Default)]
pub(super) struct Samples {
    rows: BTreeMap<u64, Sample>,
    /// Why nothing can be shown.
    pub(super) missing: Option<String>,
}

impl Samples {
    /// Reads the first listed rows from the data of the report, where they are still there.
    pub(super) fn read(report: &Report, listed: &[ListedRow]) -> Self {
        let wanted: BTreeSet<u64> = listed.iter().take(MOST_ROWS).map(|row| row.row).collect();
        if wanted.is_empty() {
            return Self::default();
        }
        Self::gather(report, &wanted)
            .unwrap_or_else(|error| Self { rows: BTreeMap::new(), missing: Some(visible(&error.to_string(), CELL)) })
    }

    pub(super) fn get(&self, row: u64) -> Option<&Sample> {
        self.rows.get(&row)
    }

    fn gather(report: &Report, wanted: &BTreeSet<u64>) -> Result<Self> {
        let names: Vec<String> = report.data.files.iter().map(|file| file.name.clone()).collect();
        let pictures: BTreeSet<&str> = report.data.columns.iter().filter(|c| c.role == Role::Image).map(|c| c.name.as_str()).collect();
        let mut samples = Self::default();
        let mut first = 0;
        let mut shown = 0;
        for batch in open(&names, &Options::default())?.scan(None)? {
            let batch = batch?;
            let end = first + batch.num_rows() as u64;
            for &row in wanted.range(first..end) {
                let mut sample = of(&batch, (row - first) as usize, &pictures);
                shown += usize::from(sample.picture.is_some());
                if shown > MOST_PICTURES {
                    sample.picture = None;
                }
                samples.rows.insert(row, sample);
            }
            first = end;
            if wanted.last().is_none_or(|last| *last < first) {
                break;
            }
        }
        Ok(samples)
    }
}

fn of(batch: &RecordBatch, row: usize, pictures: &BTreeSet<&str>) -> Sample {
    let mut sample = Sample::default();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()).take(MOST_COLUMNS) {
        if pictures.contains(field.name().as_str()) {
            sample.picture = sample.picture.or_else(|| png(array, row));
        } else {
            sample
                .cells
                .push((visible(field.name(), CELL), visible(&if array.is_null(row) { "null".to_owned() } else { cell(array, row) }, CELL)));
        }
    }
    sample
}

fn png(array: &ArrayRef, row: usize) -> Option<String> {
    let bytes = picture(array, row)?.to_png()?;
    (bytes.len() <= MOST_BYTES).then(|| format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}
