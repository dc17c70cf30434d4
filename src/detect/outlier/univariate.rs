//! `outlier.univariate`: values far from the rest of their column.

mod kind;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::level::{FEWEST, Levels};
use super::peers::Peers;
use super::posterior::{graded, posterior};
use super::side::Side;
use super::{copies, sample, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::robust::quantile;
use kind::in_another_unit;

#[doc = include_str!("univariate.md")]
pub struct Univariate;

static INFO: Info = Info {
    code: "outlier.univariate",
    family: Family::Outlier,
    summary: "values far from the rest of their column, such as sentinels and unit errors",
    needs: &[Need::Table],
    after: &["derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 3,
    claim: Claim::Posterior,
    fused: Some(0.0),
    max_tier: Tier::Suspect,
    manual: include_str!("univariate.md"),
};

/// A numeric column.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Numeric {
    /// Index in the schema.
    column: usize,
    name: String,
    /// 1 % and 99 % quantile.
    usual: (f64, f64),
    middle: f64,
    /// Rows of the sample with a value.
    rows: u64,
    /// Fitted to the negated values.
    lower: Option<Side>,
    upper: Option<Side>,
}

/// A categorical column with few levels.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Categorical {
    /// Index in the schema.
    column: usize,
    name: String,
    levels: Levels,
}

/// What is usual in each column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnivariateModel {
    /// One a numeric column; `None` where too few rows have a value.
    numeric: Vec<Option<Numeric>>,
    categorical: Vec<Categorical>,
    /// ln of the number of chances for a gap: sides of columns, times rows of the set for each row of the sample.
    ln_tests: f64,
}

/// A value as the detector sees it: samples are kept in single precision.
fn rounded(value: f64) -> f64 {
    f64::from(value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32)
}

impl Numeric {
    /// Fits the values of distinct rows, each with the times that it counts.
    fn fit(column: usize, name: &str, mut cells: Vec<(f64, usize)>) -> Option<Self> {
        cells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut distinct: Vec<f64> = cells.iter().map(|cell| cell.0).collect();
        let values: Vec<f64> = cells.into_iter().flat_map(|(x, n)| std::iter::repeat_n(x, n)).collect();
        if values.len() < FEWEST {
            return None;
        }
        let centre = quantile(&values, 0.5)?;
        let rows = values.len() as u64;
        let above = in_another_unit(&values, centre);
        let mirrored: Vec<f64> = values.iter().rev().map(|x| -x).collect();
        let below = in_another_unit(&mirrored, -centre);
        let within = values.get(below..values.len() - above)?;
        let usual = (quantile(within, 0.01)?, quantile(within, 0.99)?);
        let upper = Side::fit(&values, &distinct, centre, above);
        distinct.reverse();
        for x in &mut distinct {
            *x = -*x;
        }
        let lower = Side::fit(&mirrored, &distinct, -centre, below);
        Some(Self { column, name: name.to_owned(), usual, middle: centre, rows, lower, upper })
    }

    /// Each side with the value as that side sees it.
    fn sides(&self, value: f64) -> impl Iterator<Item = (&Side, f64)> {
        let value = rounded(value);
        self.lower.iter().map(move |side| (side, -value)).chain(self.upper.iter().map(move |side| (side, value)))
    }

    fn surprisal(&self, value: f64) -> f64 {
        self.sides(value).map(|(side, x)| side.surprisal(x)).fold(0.0, f64::max)
    }

    fn ln_gap(&self, value: f64) -> f64 {
        self.sides(value).map(|(side, x)| side.ln_gap(x)).fold(0.0, f64::min)
    }

    fn is_grouped(&self, value: f64) -> bool {
        self.sides(value).any(|(side, x)| side.is_grouped(x))
    }

    /// Finds the groups on both sides; `at` is the position among the numeric columns.
    fn mark(&mut self, ln_tests: f64, at: usize, sample: &SampleModel, peers: &Peers) {
        let value = |row: usize| sample.rows.get(row).and_then(|row| row.numeric.get(at)).map_or(f64::NAN, |&x| rounded(f64::from(x)));
        for (side, sign) in self.lower.iter_mut().map(|side| (side, -1.0)).chain(self.upper.iter_mut().map(|side| (side, 1.0))) {
            side.mark(ln_tests, |is_beyond| peers.are_grouped(Some(at), |row| is_beyond(sign * value(row))));
        }
    }
}

impl UnivariateModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Self {
        let copies = copies(sample);
        let repeated = || sample.rows.iter().zip(&copies);
        let name = |column: usize| data.columns.get(column).map_or("", |c| c.name.as_str());
        let numeric = data.with_role(Role::Numeric).into_iter().enumerate().map(|(j, column)| {
            let cells = repeated().filter_map(|(row, &n)| Some((*row.numeric.get(j)?, n))).filter(|(x, _)| !x.is_nan());
            Numeric::fit(column, name(column), cells.map(|(x, n)| (rounded(f64::from(x)), n)).collect())
        });
        let mut numeric: Vec<Option<Numeric>> = numeric.collect();
        let categorical = data.with_role(Role::Categorical).into_iter().enumerate();
        let categorical = categorical.filter_map(|(position, column)| {
            Some(Categorical { column, name: name(column).to_owned(), levels: Levels::fit(position, sample, &copies)? })
        });
        let categorical = categorical.collect();
        let sides = 2 * numeric.iter().flatten().count().max(1);
        let rows_each = data.rows as f64 / copies.iter().sum::<usize>().max(1) as f64;
        let ln_tests = (sides as f64 * rows_each.max(1.0)).ln();
        let peers = Peers::new(sample, &copies, data.key.seed());
        for (at, column) in numeric.iter_mut().enumerate().filter_map(|(at, column)| Some((at, column.as_mut()?))) {
            column.mark(ln_tests, at, sample, &peers);
        }
        Self { numeric, categorical, ln_tests }
    }

    fn numeric<'a>(&'a self, rows: &'a Batch, row: usize) -> impl Iterator<Item = (&'a Numeric, f64)> {
        let values = rows.numeric().row(row);
        self.numeric.iter().zip(values).filter_map(|(column, &value)| Some((column.as_ref()?, value))).filter(|(_, value)| !value.is_nan())
    }

    fn categorical<'a>(&'a self, rows: &'a Batch, row: usize) -> impl Iterator<Item = (&'a Categorical, u64)> {
        self.categorical.iter().filter_map(move |column| Some((column, (*rows.cells().get(column.levels.position())?.get(row)?)?)))
    }

    fn score(&self, rows: &Batch, row: usize) -> Option<f64> {
        let mut surprisal: Option<f64> = None;
        let mut ln_gap: f64 = 0.0;
        let mut is_grouped = false;
        for (column, value) in self.numeric(rows, row) {
            surprisal = Some(surprisal.unwrap_or(0.0).max(column.surprisal(value)));
            ln_gap = ln_gap.min(column.ln_gap(value));
            is_grouped |= column.is_grouped(value);
        }
        for (column, hash) in self.categorical(rows, row) {
            surprisal = Some(surprisal.unwrap_or(0.0).max(column.levels.surprisal(hash)));
        }
        let ln_p = if is_grouped { 0.0 } else { ln_gap + self.ln_tests };
        Some(graded(surprisal?, ln_p))
    }
}

impl Fold for Univariate {
    type Model = UnivariateModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), UnivariateModel>> {
        Ok(Step::Done(UnivariateModel::fit(data, sample(given, INFO.code)?)))
    }
}

impl Detect for Univariate {
    fn score(&self, model: &UnivariateModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate().take(rows.rows()) {
            *slot = model.score(rows, row);
        }
        Ok(())
    }

    fn explain(&self, model: &UnivariateModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let mut parts: Vec<(f64, f64, String, serde_json::Value)> = Vec::new();
        for (column, value) in model.numeric(rows, row) {
            let (low, high) = column.usual;
            let shown = rows.display(column.column, row);
            let mut reason = format!("{} is {shown}; usual range {} to {}", column.name, short(low), short(high));
            let (ln_gap, surprisal) = (column.ln_gap(value), column.surprisal(value));
            let mut detail = json!({"column": column.name, "value": shown, "usual": [low, high], "surprisal": surprisal});
            if let Some(kind) = posterior(ln_gap + model.ln_tests).and_then(|_| model.kind(rows, row, column, value)) {
                reason = format!("{reason}; {kind}");
                detail["kind"] = kind.detail();
            }
            parts.push((ln_gap, surprisal, reason, detail));
        }
        for (column, hash) in model.categorical(rows, row) {
            let shown = rows.display(column.column, row);
            let (with, all) = (column.levels.rows_with(hash), column.levels.rows());
            let reason = format!("{} is '{shown}', as are {with} of {all} rows looked at", column.name);
            let detail = json!({"column": column.name, "value": shown, "rows": with, "of": all});
            parts.push((0.0, column.levels.surprisal(hash), reason, detail));
        }
        parts.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let apart = parts.iter().filter(|part| posterior(part.0 + model.ln_tests).is_some()).count();
        parts.truncate(apart.clamp(1, 3));
        if parts.is_empty() {
            return Err(Error::Detector { code: INFO.code, reason: "a row without values cannot be explained".to_owned() });
        }
        let reason: Vec<String> = parts.iter().map(|part| part.2.clone()).collect();
        let details: Vec<serde_json::Value> = parts.into_iter().map(|part| part.3).collect();
        Ok(Evidence::new(reason.join(", "), [("columns", json!(details))]))
    }
}

#[cfg(test)]
mod tests;
