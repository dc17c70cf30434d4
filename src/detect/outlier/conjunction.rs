//! `outlier.conjunction`: levels that are frequent, but hardly ever together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::level::Levels;
use super::{copies, ranking, sample, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Need, Step};

/// Most columns of levels whose pairs are counted: the first.
const MOST_COLUMNS: usize = 32;
/// Most levels of such a column.
const MOST_LEVELS: usize = 128;

#[doc = include_str!("conjunction.md")]
pub struct Conjunction;

static INFO: Info =
    ranking("outlier.conjunction", "frequent levels that are hardly ever in one row", &[Need::Table], None, include_str!("conjunction.md"));

/// Counts of levels and of their pairs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConjunctionModel {
    /// (index in the schema, levels).
    columns: Vec<(usize, Levels)>,
    /// For each pair of columns, first before second, the rows of each pair of levels.
    pairs: BTreeMap<(u16, u16), BTreeMap<(u64, u64), u64>>,
    rows: u64,
}

/// A pair of levels in a row.
struct Pair {
    first: usize,
    second: usize,
    others: u64,
    expected: f64,
    score: f64,
}

impl ConjunctionModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Self {
        let copies = copies(sample);
        let columns = data.with_role(Role::Categorical).into_iter().enumerate();
        let fitted = columns.filter_map(|(position, column)| Some((column, Levels::fit(position, sample, &copies)?)));
        let columns: Vec<(usize, Levels)> = fitted.filter(|(_, levels)| levels.len() <= MOST_LEVELS).take(MOST_COLUMNS).collect();
        let mut model = Self { columns, pairs: BTreeMap::new(), rows: copies.iter().sum::<usize>() as u64 };
        for (row, n) in sample.rows.iter().zip(copies) {
            let cells =
                model.columns.iter().map(|(_, levels)| row.cells.get(levels.position()).copied().unwrap_or(0)).collect::<Vec<u64>>();
            for (i, &first) in cells.iter().enumerate().filter(|(_, hash)| **hash != 0) {
                for (j, &second) in cells.iter().enumerate().skip(i + 1).filter(|(_, hash)| **hash != 0) {
                    *model.pairs.entry((i as u16, j as u16)).or_default().entry((first, second)).or_insert(0) += n as u64;
                }
            }
        }
        model
    }

    /// The pair of a row's levels that is the least expected; `None` without two levels.
    fn oddest(&self, rows: &Batch, row: usize) -> Option<Pair> {
        let cell = |(_, levels): &(usize, Levels)| rows.cells().get(levels.position()).and_then(|column| *column.get(row)?).unwrap_or(0);
        let cells: Vec<u64> = self.columns.iter().map(cell).collect();
        let mut oddest: Option<Pair> = None;
        for (i, &first) in cells.iter().enumerate().filter(|(_, hash)| **hash != 0) {
            for (j, &second) in cells.iter().enumerate().skip(i + 1).filter(|(_, hash)| **hash != 0) {
                let (Some((_, a)), Some((_, b))) = (self.columns.get(i), self.columns.get(j)) else { continue };
                let together = self.pairs.get(&(i as u16, j as u16)).and_then(|pairs| pairs.get(&(first, second))).copied();
                // The row itself is no company.
                let others = together.unwrap_or(1).saturating_sub(1);
                let expected = a.rows_with(first) as f64 * b.rows_with(second) as f64 / self.rows.max(1) as f64;
                let score = ((expected + 1.0) / (others as f64 + 1.0)).ln().max(0.0);
                if oddest.as_ref().is_none_or(|pair| score > pair.score) {
                    oddest = Some(Pair { first: i, second: j, others, expected, score });
                }
            }
        }
        oddest
    }
}

impl Fold for Conjunction {
    type Model = ConjunctionModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ConjunctionModel>> {
        Ok(Step::Done(ConjunctionModel::fit(data, sample(given, INFO.code)?)))
    }
}

impl Detect for Conjunction {
    fn score(&self, model: &ConjunctionModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate().take(rows.rows()) {
            *slot = model.oddest(rows, row).map(|pair| pair.score);
        }
        Ok(())
    }

    fn explain(&self, model: &ConjunctionModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let none = || Error::Detector { code: INFO.code, reason: "the row has no two levels".to_owned() };
        let pair = model.oddest(rows, row).ok_or_else(none)?;
        let side = |at: usize| {
            let column = model.columns.get(at).map_or(0, |(column, _)| *column);
            let name = rows.schema().columns.get(column).map_or("", |column| column.name.as_str());
            (name, rows.display(column, row))
        };
        let ((a, x), (b, y)) = (side(pair.first), side(pair.second));
        let expected = short((10.0 * pair.expected).round() / 10.0);
        let (others, all) = (pair.others, model.rows);
        let reason = format!("{a} = {x} with {b} = {y}, as in {others} other rows of {all} looked at; by chance in {expected}");
        Ok(Evidence::new(reason, [("columns", json!([a, b])), ("others", json!(others)), ("expected", json!(pair.expected))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::super::fixture::scored;
    use super::*;

    #[test]
    fn levels_that_do_not_go_together_stand_out() {
        let text = |f: &dyn Fn(usize) -> &'static str| -> ArrayRef { Arc::new((0..2_000).map(|i| Some(f(i))).collect::<StringArray>()) };
        let columns = vec![
            ("sex", Role::Categorical, text(&|i| if i % 2 == 0 { "female" } else { "male" })),
            ("role", Role::Categorical, text(&|i| if i % 2 == 0 && i != 8 { "wife" } else { "husband" })),
            ("town", Role::Categorical, text(&|i| ["a", "b", "c"][i % 3])),
        ];
        let (model, rows, scores) = scored(&Conjunction, columns);
        assert!((0..2_000).filter(|i| *i != 8).all(|i| scores[i] < scores[8]));
        let reason = Conjunction.explain(&model, &rows, 8).unwrap().reason;
        assert_eq!(reason, "sex = female with role = husband, as in 0 other rows of 2000 looked at; by chance in 500.5");
    }

    #[test]
    fn one_column_has_no_pairs() {
        let one: ArrayRef = Arc::new((0..100).map(|i| Some(["x", "y"][i % 2])).collect::<StringArray>());
        let (model, rows, scores) = scored(&Conjunction, vec![("a", Role::Categorical, one)]);
        assert!(scores.iter().all(Option::is_none) && Conjunction.explain(&model, &rows, 0).is_err());
    }
}
