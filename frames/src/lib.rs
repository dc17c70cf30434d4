//! polars frames in and out: a [`LazyFrame`] is scanned, and comes back with what was found beside each row.
//!
//! ```
//! use foretaste::run::{Order, Silent};
//! use polars::prelude::{IntoLazy, col, df};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Whole numbers that decide the label, and one row that comes 40 times, under each label in turn.
//! let number = |i: i64| if i < 40 { 7 } else { i * 37 % 1_000 };
//! let label = |i: i64| if i < 40 { i % 2 == 0 } else { number(i) > 500 };
//! let frame = df!(
//!     "x" => (0..2_000).map(number).collect::<Vec<_>>(),
//!     "y" => (0..2_000).map(|i| if i < 40 { 3 } else { i * 91 % 977 }).collect::<Vec<_>>(),
//!     "label" => (0..2_000).map(label).collect::<Vec<_>>(),
//! )?;
//! let order = Order {
//!     threads: 2,
//!     memory: 1 << 30,
//!     ..Order::new(1)
//! };
//! let scanned = foretaste_frames::scan("frame", frame.lazy(), &order, &Silent)?;
//! let kept = scanned.frame.filter(col("foretaste_flagged").not()).collect()?;
//!
//! assert_eq!(kept.height() as u64, 2_000 - scanned.outcome.flagged_rows);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod border;
#[cfg(test)]
mod tests;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use foretaste::data::read::Memory;
use foretaste::detect;
use foretaste::error::{Error, Place, Result};
use foretaste::run::{self, Order, Outcome, Progress, Sink};
use polars::prelude::{Column, DataFrame, IntoColumn, IntoLazy, LazyFrame, NamedFrom, PolarsError, Series};

/// What a scan of a frame gives back.
pub struct Scanned {
    /// What was found.
    pub outcome: Outcome,
    /// The frame with `foretaste_flagged` (boolean), `foretaste_tier`, `foretaste_q` and `foretaste_reason` (null for rows that are not
    /// listed), and `foretaste_codes` (list of strings, empty for those).
    pub frame: LazyFrame,
}

/// Collects a frame as a source, which `name` stands for in the report. Its columns are shared, not copied.
///
/// # Errors
/// A frame that cannot be collected, has no column, or one that Arrow cannot hold.
pub fn source(name: &str, frame: LazyFrame) -> Result<Memory> {
    let frame = frame.collect().map_err(|e| wrong(name, &e))?;
    held(name, frame).map(|(source, _)| source)
}

/// Scans a frame with all detectors.
///
/// # Errors
/// As [`source`] and [`run::scan`], and a frame that has a column of one of the names that are added.
pub fn scan(name: &str, frame: LazyFrame, order: &Order, progress: &dyn Progress) -> Result<Scanned> {
    let frame = frame.collect().map_err(|e| wrong(name, &e))?;
    if let Some(column) = frame.columns().iter().find(|column| ADDED.contains(&column.name().as_str())) {
        return Err(Error::input(Place::source(name).column(column.name().as_str()), "the scan adds a column of this name")
            .with_help("Rename it; it may be from a scan before."));
    }
    let (source, mut frame) = held(name, frame)?;
    let mut listed = Listed::default();
    let outcome = run::scan(&source, detect::all(), order, &mut listed, progress)?;
    let columns = listed.columns(frame.height());
    frame.hstack_mut(&columns).map_err(|e| wrong(name, &e))?;
    Ok(Scanned { outcome, frame: frame.lazy() })
}

/// Columns that a scan adds.
const ADDED: [&str; 5] = ["foretaste_flagged", "foretaste_tier", "foretaste_q", "foretaste_codes", "foretaste_reason"];

fn wrong(name: &str, error: &PolarsError) -> Error {
    Error::input(Place::source(name), error.to_string())
}

fn held(name: &str, mut frame: DataFrame) -> Result<(Memory, DataFrame)> {
    frame.align_chunks();
    let batches = border::batches(&frame).map_err(|e| Error::input(Place::source(name), e.to_string()))?;
    Ok((Memory::new(name, &batches)?, frame))
}

/// Listed rows as they come.
#[derive(Default)]
struct Listed(Vec<(usize, Row)>);

struct Row {
    tier: String,
    q: f64,
    codes: Vec<String>,
    reason: String,
}

impl Sink for Listed {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let missing = || Error::input(Place::source("listed rows"), "a column is missing");
        let column = |name: &str| rows.column_by_name(name).ok_or_else(missing);
        let (positions, q) = (column("row")?.as_primitive::<UInt64Type>(), column("q")?.as_primitive::<Float64Type>());
        let (tiers, reasons) = (column("tier")?.as_string::<i32>(), column("reason")?.as_string::<i32>());
        let codes = column("codes")?.as_list::<i32>();
        for row in 0..rows.num_rows() {
            let at = usize::try_from(positions.value(row)).map_err(|_| missing())?;
            let codes = codes.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            let (tier, reason) = (tiers.value(row).to_owned(), reasons.value(row).to_owned());
            self.0.push((at, Row { tier, q: q.value(row), codes, reason }));
        }
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

impl Listed {
    /// The columns that are added, in the order of [`ADDED`].
    fn columns(&self, height: usize) -> Vec<Column> {
        let mut of_row: Vec<Option<&Row>> = vec![None; height];
        for (at, row) in &self.0 {
            if let Some(slot) = of_row.get_mut(*at) {
                *slot = Some(row);
            }
        }
        let text = |of: fn(&Row) -> &str| of_row.iter().map(|row| row.map(of)).collect::<Vec<_>>();
        let [flagged, tier, q, codes, reason] = ADDED;
        // An empty list for rows that are not listed, as in a stage; the last, which is cut off, tells the type where there is no row.
        let codes_of = |row: Option<&Row>| Series::new("".into(), row.map_or(&[][..], |row| &row.codes));
        let lists: Vec<Series> = of_row.iter().copied().chain([None]).map(codes_of).collect();
        vec![
            Series::new(flagged.into(), of_row.iter().map(Option::is_some).collect::<Vec<_>>()).into_column(),
            Series::new(tier.into(), text(|row| &row.tier)).into_column(),
            Series::new(q.into(), of_row.iter().map(|row| row.map(|row| row.q)).collect::<Vec<_>>()).into_column(),
            Series::new(codes.into(), lists).slice(0, height).into_column(),
            Series::new(reason.into(), text(|row| &row.reason)).into_column(),
        ]
    }
}
