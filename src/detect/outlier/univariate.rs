//! `outlier.univariate`: values far from the rest of their column.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::level::{FEWEST, Levels};
use super::posterior::{graded, posterior};
use super::side::Side;
use super::{copies, sample, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::detect::without_scan;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::robust::quantile;

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
    version: 1,
    claim: Claim::Posterior,
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
    fn fit(column: usize, name: &str, values: &mut [f64]) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let centre = quantile(values, 0.5)?;
        let usual = (quantile(values, 0.01)?, quantile(values, 0.99)?);
        let upper = Side::fit(values, centre);
        values.reverse();
        for value in values.iter_mut() {
            *value = -*value;
        }
        Some(Self { column, name: name.to_owned(), usual, lower: Side::fit(values, -centre), upper })
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
}

impl UnivariateModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Self {
        let copies = copies(sample);
        let repeated = || sample.rows.iter().zip(&copies);
        let name = |column: usize| data.columns.get(column).map_or("", |c| c.name.as_str());
        let numeric = data.with_role(Role::Numeric).into_iter().enumerate().map(|(j, column)| {
            let cells = repeated().filter_map(|(row, &n)| Some((*row.numeric.get(j)?, n))).filter(|(x, _)| !x.is_nan());
            let mut values: Vec<f64> = cells.flat_map(|(x, n)| std::iter::repeat_n(rounded(f64::from(x)), n)).collect();
            Numeric::fit(column, name(column), &mut values)
        });
        let numeric: Vec<Option<Numeric>> = numeric.collect();
        let categorical = data.with_role(Role::Categorical).into_iter().enumerate();
        let categorical = categorical.filter_map(|(position, column)| {
            Some(Categorical { column, name: name(column).to_owned(), levels: Levels::fit(position, sample, &copies)? })
        });
        let categorical = categorical.collect();
        let sides = 2 * numeric.iter().flatten().count().max(1);
        let rows_each = data.rows as f64 / copies.iter().sum::<usize>().max(1) as f64;
        Self { numeric, categorical, ln_tests: (sides as f64 * rows_each.max(1.0)).ln() }
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
        for (column, value) in self.numeric(rows, row) {
            surprisal = Some(surprisal.unwrap_or(0.0).max(column.surprisal(value)));
            ln_gap = ln_gap.min(column.ln_gap(value));
        }
        for (column, hash) in self.categorical(rows, row) {
            surprisal = Some(surprisal.unwrap_or(0.0).max(column.levels.surprisal(hash)));
        }
        Some(graded(surprisal?, ln_gap + self.ln_tests))
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
            let reason = format!("{} is {shown}; usual range {} to {}", column.name, short(low), short(high));
            let surprisal = column.surprisal(value);
            let detail = json!({"column": column.name, "value": shown, "usual": [low, high], "surprisal": surprisal});
            parts.push((column.ln_gap(value), surprisal, reason, detail));
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
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::super::fixture::{normals, table};
    use super::*;
    use crate::stats::multiple::PosteriorHistogram;

    const ROWS: usize = 5_000;

    fn numbers(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    struct Run {
        rows: Batch,
        model: UnivariateModel,
        scores: Vec<Option<f64>>,
        listed: Vec<usize>,
    }

    fn run(columns: Vec<(&str, Role, ArrayRef)>) -> Run {
        let (schema, rows, given) = table(columns);
        let Ok(Step::Done(model)) = Univariate.begin(&schema, &given) else { panic!("no model") };
        let mut scores = vec![None; rows.rows()];
        Detect::score(&Univariate, &model, &rows, &mut scores).unwrap();
        let mut histogram = PosteriorHistogram::default();
        scores.iter().flatten().for_each(|score| histogram.add(*score));
        let lowest = histogram.threshold(0.1).unwrap_or(2.0);
        let listed = (0..scores.len()).filter(|&i| scores[i].is_some_and(|s| s >= lowest)).collect();
        Run { rows, model, scores, listed }
    }

    /// Values of named kinds: the first three have heavy tails.
    fn values(kind: &str, seed: u64) -> Vec<f64> {
        let normals = normals(seed, 4 * ROWS);
        let at = |i: usize, j: usize| normals[4 * i + j];
        (0..ROWS)
            .map(|i| match kind {
                "t3" => at(i, 0) / ((at(i, 1).powi(2) + at(i, 2).powi(2) + at(i, 3).powi(2)) / 3.0).sqrt(),
                "lognormal" => at(i, 0).exp(),
                // Two squared normals are exponential.
                "pareto" => (0.5 * (at(i, 0).powi(2) + at(i, 1).powi(2))).exp(),
                "age" => (40.0 + 13.0 * at(i, 0)).round().clamp(17.0, 90.0),
                "flag" => f64::from(at(i, 0) > 0.3),
                "sparse" => {
                    if at(i, 0) > 2.5 {
                        at(i, 1).exp()
                    } else {
                        0.0
                    }
                }
                _ => at(i, 0),
            })
            .collect()
    }

    #[test]
    fn natural_extremes_are_not_listed() {
        for kind in ["t3", "lognormal", "pareto", "age", "flag", "sparse", "normal"] {
            let shares: Vec<usize> =
                (0..20).map(|seed| run(vec![("x", Role::Numeric, numbers(&values(kind, seed)))]).listed.len()).collect();
            // At most one row in a thousand, in 19 of 20 seeds.
            assert!(shares.iter().filter(|&&n| n > ROWS / 1_000).count() <= 1, "{kind}: {shares:?}");
        }
    }

    #[test]
    fn sentinels_are_found() {
        for (kind, sentinel) in [
            ("age", 999.0),
            ("age", -99.0),
            ("normal", 999.0),
            ("normal", -99.0),
            ("lognormal", -99.0),
            ("lognormal", 9_999.0),
            ("t3", 9_999.0),
            ("flag", 999.0),
        ] {
            for seed in 0..5 {
                let mut values = values(kind, seed);
                let planted: Vec<usize> = (0..20).map(|i| 17 + 243 * i).collect();
                for &i in &planted {
                    values[i] = sentinel;
                }
                let run = run(vec![("x", Role::Numeric, numbers(&values)), ("y", Role::Numeric, numbers(&self::values("normal", 99)))]);
                let found = planted.iter().filter(|i| run.listed.contains(i)).count();
                assert!(found >= 18, "{kind} {sentinel} seed {seed}: {found}");
                assert!(run.listed.len() <= found + 5, "{kind} {sentinel} seed {seed}: {}", run.listed.len());
            }
        }
    }

    #[test]
    fn a_code_close_to_the_values_of_a_continuous_column_is_found() {
        for seed in 0..5 {
            // Weights as in a census: right-skewed, far above 0, hardly one twice.
            let mut weights: Vec<f64> = normals(seed, ROWS).iter().map(|z| (12.1 + 0.5 * z).exp().round()).collect();
            let planted: Vec<usize> = (0..12).map(|i| 5 + 400 * i).collect();
            let clean = run(vec![("w", Role::Numeric, numbers(&weights))]);
            assert_eq!(clean.listed, [] as [usize; 0], "seed {seed}");
            for &i in &planted {
                weights[i] = -1.0;
            }
            assert_eq!(run(vec![("w", Role::Numeric, numbers(&weights))]).listed, planted, "seed {seed}");
            // Values cut off at an end are there many times as well, and next to the others.
            let mut sorted = weights.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let cut: Vec<f64> = weights.iter().map(|w| w.clamp(sorted[20], sorted[ROWS - 10])).collect();
            assert_eq!(run(vec![("w", Role::Numeric, numbers(&cut))]).listed, [] as [usize; 0], "seed {seed}");
        }
    }

    #[test]
    fn one_typing_error_is_found_and_explained() {
        let mut ages = values("age", 7);
        ages[1_234] = 405.0;
        let run = run(vec![("age", Role::Numeric, numbers(&ages)), ("x", Role::Numeric, numbers(&values("normal", 8)))]);
        assert_eq!(run.listed, [1_234]);
        let evidence = Univariate.explain(&run.model, &run.rows, 1_234).unwrap();
        assert!(evidence.reason.starts_with("age is 405.0; usual range 17 to 7"), "{}", evidence.reason);
    }

    /// Puts an error into a row.
    type Planted = fn([f64; 4]) -> [f64; 4];

    #[test]
    fn corrupt_cells_are_named_with_what_is_usual() {
        // Ages, hours, incomes and weights of a census; each kind of error in some rows of its own.
        let skewed = |seed, middle: f64| normals(seed, ROWS).iter().map(|z| (middle + 0.4 * z).exp().round()).collect::<Vec<f64>>();
        let columns = [values("age", 1), values("age", 2), skewed(3, 10.0), skewed(4, 12.0)];
        let errors: [(&str, usize, &str, Planted); 6] = [
            ("sentinel 999", 100, "age is 999.0; usual range 17 to ", |[_, h, i, w]| [999.0, h, i, w]),
            ("sentinel -99", 300, "hours is -99.0; usual range 17 to ", |[a, _, i, w]| [a, -99.0, i, w]),
            ("sentinel -1", 500, "weight is -1.0; usual range ", |[a, h, i, _]| [a, h, i, -1.0]),
            ("minutes for hours", 700, "hours is ", |[a, h, i, w]| [a, 60.0 * h, i, w]),
            ("thousandfold", 900, "income is ", |[a, h, i, w]| [a, h, 1_000.0 * i, w]),
            ("swapped columns", 1_100, "age is ", |[a, h, i, w]| [i, h, a, w]),
        ];
        let mut rows: Vec<[f64; 4]> = (0..ROWS).map(|i| [0, 1, 2, 3].map(|j: usize| columns[j][i])).collect();
        let planted = |first: usize| (first..first + 12).map(|i| 3 * i);
        for (_, first, _, error) in errors {
            planted(first).for_each(|at| rows[at] = error(rows[at]));
        }
        let column = |j: usize| numbers(&rows.iter().map(|row| row[j]).collect::<Vec<f64>>());
        let names = ["age", "hours", "income", "weight"];
        let run = run(names.into_iter().enumerate().map(|(j, name)| (name, Role::Numeric, column(j))).collect());
        for (what, first, said, _) in errors {
            let found: Vec<usize> = planted(first).filter(|at| run.listed.contains(at)).collect();
            assert!(found.len() >= 11, "{what}: {} of 12", found.len());
            for at in found {
                let reason = Univariate.explain(&run.model, &run.rows, at).unwrap().reason;
                assert!(reason.contains(said) && reason.contains("; usual range "), "{what}: {reason}");
            }
        }
        assert!(run.listed.len() <= 72, "{}", run.listed.len());
    }

    #[test]
    fn a_value_that_many_rows_share_is_a_level() {
        let mut gains = values("lognormal", 1);
        (0..25).for_each(|i| gains[i * 200] = 99_999.0);
        let few = run(vec![("gain", Role::Numeric, numbers(&gains)), ("x", Role::Numeric, numbers(&values("normal", 2)))]);
        assert_eq!(few.listed.len(), 25);
        (0..50).for_each(|i| gains[i * 100] = 99_999.0);
        let many = run(vec![("gain", Role::Numeric, numbers(&gains)), ("x", Role::Numeric, numbers(&values("normal", 2)))]);
        assert_eq!(many.listed, [] as [usize; 0]);
    }

    #[test]
    fn rare_levels_rank_but_are_not_listed() {
        let mut colours: Vec<&str> = (0..ROWS).map(|i| if i % 3 == 0 { "red" } else { "blue" }).collect();
        colours[77] = "bleu";
        let colours: ArrayRef = Arc::new(StringArray::from(colours));
        let run = run(vec![("colour", Role::Categorical, colours), ("x", Role::Numeric, numbers(&values("normal", 4)))]);
        assert_eq!(run.listed, [] as [usize; 0]);
        let above = run.scores.iter().filter(|s| **s > run.scores[77]).count();
        assert!(above <= 2, "{above}");
        let evidence = Univariate.explain(&run.model, &run.rows, 77).unwrap();
        assert_eq!(evidence.reason, "colour is 'bleu', as are 1 of 5000 rows looked at");
    }

    #[test]
    fn nothing_to_judge_is_not_zero() {
        let mut values = values("normal", 5);
        values[0] = f64::NAN;
        values[1] = f64::INFINITY;
        values[2] = 1e300;
        let constant = numbers(&vec![4.0; ROWS]);
        let run = run(vec![("x", Role::Numeric, numbers(&values)), ("nothing", Role::Numeric, numbers(&vec![f64::NAN; ROWS]))]);
        assert_eq!((run.scores[0], run.scores[1]), (None, None));
        assert!(run.listed == [2] && Univariate.explain(&run.model, &run.rows, 0).is_err());
        let (schema, rows, given) = table(vec![("c", Role::Numeric, constant)]);
        let Ok(Step::Done(model)) = Univariate.begin(&schema, &given) else { panic!("no model") };
        let mut scores = vec![None; ROWS];
        Detect::score(&Univariate, &model, &rows, &mut scores).unwrap();
        assert!(scores.iter().all(|s| s.is_some_and(|s| s <= 0.0)));
        assert!(Univariate.begin(&schema, &Given::default()).is_err());
    }
}
