//! What kind of error an odd value may be.

use std::fmt::{Display, Formatter, Result};

use serde_json::{Value, json};

use super::super::short;
use super::{Numeric, UnivariateModel};
use crate::data::Batch;

/// Rows with one and the same odd value that make it a code.
const CODE_ROWS: u64 = 5;
/// By what values in another unit are larger or smaller: decimal places, and minutes for hours or seconds for minutes.
const FACTORS: [f64; 4] = [10.0, 60.0, 100.0, 1_000.0];

/// A kind of error.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Stands in the wrong column: (the other column, its value as shown).
    Swapped(String, String),
    /// Stands for "unknown" or the like: (rows with this very value, rows looked at).
    Code(u64, u64),
    /// In another unit: (times as large as it should be, what it should be).
    TooLarge(f64, f64),
    /// In another unit: (times as small as it should be, what it should be).
    TooSmall(f64, f64),
}

impl Kind {
    /// For machines.
    pub(super) fn detail(&self) -> Value {
        match self {
            Self::Swapped(other, value) => json!({"name": "swapped", "column": other, "value": value}),
            Self::Code(rows, of) => json!({"name": "code", "rows": rows, "of": of}),
            Self::TooLarge(factor, usual) => json!({"name": "unit", "times": factor, "usual": usual}),
            Self::TooSmall(factor, usual) => json!({"name": "unit", "times": factor.recip(), "usual": usual}),
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Swapped(other, value) => write!(f, "{other} is {value}, and each would be usual in the other's place"),
            Self::Code(rows, of) => write!(f, "{rows} of {of} rows looked at hold this very value, as they do a code"),
            Self::TooLarge(factor, usual) => write!(f, "divided by {factor} it would be usual: {}", short(*usual)),
            Self::TooSmall(factor, usual) => write!(f, "times {factor} it would be usual: {}", short(*usual)),
        }
    }
}

impl Numeric {
    fn is_usual(&self, value: f64) -> bool {
        self.usual.0 <= value && value <= self.usual.1
    }

    /// The factor that brings a value nearest to the middle of the column, where one brings it into the usual range.
    fn unit(&self, value: f64) -> Option<Kind> {
        let kinds = FACTORS.iter().flat_map(|&by| [Kind::TooLarge(by, value / by), Kind::TooSmall(by, value * by)]);
        let off = |kind: &Kind| match kind {
            Kind::TooLarge(_, usual) | Kind::TooSmall(_, usual) if self.is_usual(*usual) => Some((usual / self.middle).ln().abs()),
            _ => None,
        };
        let judged = kinds.filter_map(|kind| Some((off(&kind).filter(|off| off.is_finite())?, kind)));
        judged.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, kind)| kind)
    }
}

impl UnivariateModel {
    /// What kind of error a row's odd value may be, where it looks like one.
    pub(super) fn kind(&self, rows: &Batch, row: usize, column: &Numeric, value: f64) -> Option<Kind> {
        let fits = |(other, theirs): &(&Numeric, f64)| {
            other.column != column.column && other.is_usual(value) && !other.is_usual(*theirs) && column.is_usual(*theirs)
        };
        if let Some((other, _)) = self.numeric(rows, row).find(fits) {
            return Some(Kind::Swapped(other.name.clone(), rows.display(other.column, row)));
        }
        // Rows in another unit may share a value, but no one value holds most of them.
        let (same, apart) = column.sides(value).map(|(side, x)| side.rows_with(x)).max().unwrap_or_default();
        if same >= CODE_ROWS && 2 * same > apart { Some(Kind::Code(same, column.rows)) } else { column.unit(value) }
    }
}
