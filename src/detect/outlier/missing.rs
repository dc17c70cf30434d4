//! `outlier.missing`: rows whose gaps are not where other rows have theirs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{copies, ranking, sample};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::Result;
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Need, Step};

/// Most patterns that are told apart.
const MOST_PATTERNS: usize = 4_096;
/// Columns that an explanation names.
const NAMED: usize = 5;

#[doc = include_str!("missing.md")]
pub struct Missing;

static INFO: Info =
    ranking("outlier.missing", "rows whose missing values form a rare pattern", &[Need::Table], None, include_str!("missing.md"));

/// Which columns are missing: a bit a column, numeric ones first.
type Pattern = Vec<u64>;

/// How often each pattern occurs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MissingModel {
    /// Names of the columns in the order of a pattern's bits.
    columns: Vec<String>,
    patterns: BTreeMap<Pattern, u64>,
    rows: u64,
}

fn pattern(missing: impl Iterator<Item = bool>) -> Pattern {
    let mut words = Vec::new();
    for (at, missing) in missing.enumerate() {
        if at % 64 == 0 {
            words.push(0_u64);
        }
        if let Some(word) = words.last_mut().filter(|_| missing) {
            *word |= 1 << (at % 64);
        }
    }
    words
}

impl MissingModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Self {
        let columns = data.with_role(Role::Numeric).into_iter().chain(data.with_role(Role::Categorical));
        let columns = columns.filter_map(|column| Some(data.columns.get(column)?.name.clone())).collect();
        let mut patterns = BTreeMap::new();
        let mut rows = 0;
        for (row, n) in sample.rows.iter().zip(copies(sample)) {
            let own = pattern(row.numeric.iter().map(|x| x.is_nan()).chain(row.cells.iter().map(|hash| *hash == 0)));
            rows += n as u64;
            if patterns.len() < MOST_PATTERNS || patterns.contains_key(&own) {
                *patterns.entry(own).or_insert(0) += n as u64;
            }
        }
        Self { columns, patterns, rows }
    }

    fn of(rows: &Batch, row: usize) -> Pattern {
        let numbers = rows.numeric().row(row).into_iter().map(|x| x.is_nan());
        let cells = rows.cells().iter().map(|column| column.get(row).copied().flatten().is_none());
        pattern(numbers.chain(cells))
    }

    /// Rows of the sample with a pattern; one that it does not hold is as rare as can be.
    fn rows_with(&self, pattern: &[u64]) -> u64 {
        self.patterns.get(pattern).copied().unwrap_or(1)
    }
}

impl Fold for Missing {
    type Model = MissingModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), MissingModel>> {
        Ok(Step::Done(MissingModel::fit(data, sample(given, INFO.code)?)))
    }
}

impl Detect for Missing {
    fn score(&self, model: &MissingModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate().take(rows.rows()) {
            *slot = Some((model.rows.max(1) as f64 / model.rows_with(&MissingModel::of(rows, row)) as f64).ln().max(0.0));
        }
        Ok(())
    }

    fn explain(&self, model: &MissingModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let own = MissingModel::of(rows, row);
        let is_missing = |at: usize| own.get(at / 64).is_some_and(|word| (word >> (at % 64)) & 1 == 1);
        let missing: Vec<&str> =
            (0..model.columns.len()).filter(|at| is_missing(*at)).filter_map(|at| Some(model.columns.get(at)?.as_str())).collect();
        let said = match missing.len() {
            0 => "no value is missing".to_owned(),
            n if n <= NAMED => format!("{} missing", missing.join(", ")),
            n => format!("{} and {} more missing", missing.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "), n - NAMED),
        };
        let (with, all) = (model.rows_with(&own), model.rows);
        Ok(Evidence::new(format!("{said}, as in {with} of {all} rows looked at"), [("missing", json!(missing)), ("rows", json!(with))]))
    }

    fn notes(&self, model: &MissingModel) -> Vec<String> {
        let most = if model.patterns.len() < MOST_PATTERNS { "" } else { "at least " };
        vec![format!("patterns of missing values: {most}{}", model.patterns.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::super::fixture::scored;
    use super::*;

    #[test]
    fn a_rare_pattern_stands_out_and_a_usual_one_does_not() {
        let number =
            |f: &dyn Fn(usize) -> bool| -> ArrayRef { Arc::new((0..2_000).map(|i| (!f(i)).then_some(i as f64)).collect::<Float64Array>()) };
        let level: ArrayRef = Arc::new((0..2_000).map(|i| (i % 3 != 0).then_some("x")).collect::<StringArray>());
        // Column b is often missing, together with the level; in row 7 column a alone is.
        let columns = vec![
            ("a", Role::Numeric, number(&|i| i == 7)),
            ("b", Role::Numeric, number(&|i| i % 3 == 0)),
            ("level", Role::Categorical, level),
        ];
        let (model, rows, scores) = scored(&Missing, columns);
        assert!((0..2_000).filter(|i| *i != 7).all(|i| scores[i] < scores[7]), "{:?}", scores[7]);
        assert_eq!(Missing.explain(&model, &rows, 7).unwrap().reason, "a missing, as in 1 of 2000 rows looked at");
        assert_eq!(Missing.explain(&model, &rows, 0).unwrap().reason, "b, level missing, as in 667 of 2000 rows looked at");
        assert_eq!(Missing.explain(&model, &rows, 1).unwrap().reason, "no value is missing, as in 1332 of 2000 rows looked at");
    }

    #[test]
    fn patterns_over_more_than_a_word() {
        assert_eq!(pattern((0..130).map(|i| i == 0 || i == 129)), [1, 0, 2]);
        assert_eq!(pattern(std::iter::empty()), [0_u64; 0]);
    }
}
