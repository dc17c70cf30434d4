//! What kind of error an odd value may be.

use std::fmt::{Display, Formatter, Result};

use serde_json::{Value, json};

use super::super::short;
use super::{Numeric, UnivariateModel};
use crate::data::Batch;
use crate::stats::robust::quantile;

/// Rows with one and the same odd value that make it a code.
const CODE_ROWS: u64 = 5;
/// By what values in another unit are larger or smaller: decimal places, and minutes for hours or seconds for minutes.
const FACTORS: [f64; 4] = [10.0, 60.0, 100.0, 1_000.0];

/// Largest share of a column's values that may stand in another unit, and the least share of those beyond a gap that would then be usual.
const MOST_IN_ANOTHER: f64 = 0.02;
const LEAST_USUAL: f64 = 0.9;
/// Least spread of such values, put in the column's unit, in parts of the others': a code or a few rows of one kind repeat one value, not all.
const LEAST_SPREAD: f64 = 0.3;
/// Least ratio of distances from the centre at the gap that sets values in another unit apart.
const LEAST_RATIO: f64 = 2.0;

/// How many of the outermost values, ascending, lie beyond a gap and would be usual if they stood in another unit; 0 where they are no
/// such group. They may be more than a level has rows: no other part of the data is a multiple of the rest.
pub(super) fn in_another_unit(sorted: &[f64], centre: f64) -> usize {
    let n = sorted.len();
    let from = n - (MOST_IN_ANOTHER * n as f64) as usize;
    let ratio = |i: usize| {
        let (near, far) = (sorted[i - 1] - centre, sorted[i] - centre);
        if near > 0.0 { far / near } else { 1.0 }
    };
    let widest = (from.max(1)..n).map(|i| (ratio(i), i)).reduce(|best, next| if next.0 > best.0 { next } else { best });
    let Some((_, start)) = widest.filter(|(ratio, _)| *ratio >= LEAST_RATIO && ratio.is_finite()) else { return 0 };
    let (inside, beyond) = sorted.split_at(start);
    let Some((low, high)) = quantile(inside, 0.01).zip(quantile(inside, 0.99)) else { return 0 };
    let usual = |factor: &f64| beyond.iter().filter(|x| (low..=high).contains(&(**x / factor))).count();
    let spread = |values: &[f64]| quantile(values, 0.9).zip(quantile(values, 0.1)).map_or(0.0, |(high, low)| high - low);
    let fits = |factor: &f64| {
        usual(factor) as f64 >= LEAST_USUAL * beyond.len() as f64 && spread(beyond) / factor >= LEAST_SPREAD * spread(inside)
    };
    if FACTORS.iter().any(fits) { beyond.len() } else { 0 }
}

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
