//! `outlier.contrast`: rows whose values do not go together.

use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{copies, ranking, sample};
use crate::data::{Batch, Role, Schema};
use crate::derive::{Bins, HeldOut, SampleModel, SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Need, Step};
use crate::stats::boost::{Binned, Boosted};
use crate::stats::cross_boost::{FEWEST_ROWS, FOLDS, Known, MOST_COLUMNS, cross_fit, growth, most_rows};

/// Surprisal, nats, from which its scores count in the family's. Odd rows that form a group look more real than others, because their odd values
/// go together: the order of what looks real says nothing.
const COUNTS_FROM: f64 = 1.0;
/// Added to the run's seed where rows are mixed.
const MIXING: u64 = 0x6d69_7865;
/// Values of other rows that an explanation puts in the place of a row's own; fewer than [`FEWEST_ROWS`].
const DONORS: usize = 64;
/// Columns that an explanation names.
const NAMED: usize = 3;

#[doc = include_str!("contrast.md")]
pub struct Contrast;

static INFO: Info =
    ranking("outlier.contrast", "rows whose values do not go together", &[Need::Table], Some(COUNTS_FROM), include_str!("contrast.md"));

/// The classifier; nothing where there are too few rows or columns, or no column says anything of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContrastModel(Option<Fitted>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    bins: Bins,
    boosted: Boosted,
    /// Of the sample's rows.
    held: HeldOut,
    /// Bins of some rows of the sample, rows × columns.
    donors: Array2<u8>,
}

impl Fitted {
    fn fit(data: &Schema, sample: &SampleModel) -> Option<Self> {
        let (numbers, categories) = (data.with_role(Role::Numeric).len(), data.with_role(Role::Categorical).len());
        let width = numbers + categories;
        // One column goes together with nothing.
        if !(2..=MOST_COLUMNS).contains(&width) || sample.rows.len() < FEWEST_ROWS {
            return None;
        }
        let bins = Bins::fit(&sample.rows, numbers, categories);
        let table = bins.map(&sample.rows);
        let real: Vec<usize> = copies(sample).into_iter().enumerate().flat_map(|(row, n)| std::iter::repeat_n(row, n)).collect();
        let most = (most_rows(width, 1) / 2).min(real.len());
        let (seed, mut rng) = (data.key.seed(), ChaCha8Rng::seed_from_u64(data.key.seed() ^ MIXING));
        let from: Vec<usize> = (0..most).map(|at| real[at * real.len() / most]).collect();
        // Beside every row one like it, with the value of some other row in one column.
        let mut mixed = table.select(Axis(0), &from);
        for mut row in mixed.outer_iter_mut() {
            let column = rng.random_range(0..width);
            row[column] = table[(from[rng.random_range(0..from.len())], column)];
        }
        let both = ndarray::concatenate(Axis(0), &[table.view(), mixed.view()]).ok()?;
        let rows: Vec<usize> = from.iter().copied().chain(sample.rows.len()..both.nrows()).collect();
        let labels: Vec<u32> = (0..rows.len()).map(|at| u32::from(at >= from.len())).collect();
        // Copies of a row, and what was made of them, share its part.
        let parts: Vec<usize> = from.iter().chain(&from).map(|row| row % FOLDS).collect();
        let known = Known { rows: &rows, labels: &labels, parts: &parts, classes: 2 };
        let ordered = bins.ordered();
        let binned = Binned { bins: both.view(), ordered: &ordered };
        let (boosted, logits) = cross_fit(binned, known, growth(width, 1, rows.len()), seed).filter(|(boosted, _)| boosted.rounds() > 0)?;
        let count = sample.rows.len();
        let own: Vec<usize> = (0..count).collect();
        let logits = odds(&logits.select(Axis(0), &own));
        let held = HeldOut { keys: sample.keys.clone(), threshold: sample.threshold, labels: vec![None; count], logits };
        let donors: Vec<usize> = (0..DONORS).map(|at| at * count / DONORS).collect();
        let donors = table.select(Axis(0), &donors);
        Some(Self { bins, boosted, held, donors })
    }

    /// Log odds that rows were mixed, rows × 1.
    fn mixed(&self, bins: &Array2<u8>) -> Array2<f32> {
        odds(&self.boosted.logits(bins.view()))
    }

    /// By how much the log odds fall with a fitting value in a column: that of the tenth of other rows whose value fits best. One a column.
    fn falls(&self, row: &SampleRow) -> Vec<f64> {
        let bins = self.bins.map(std::slice::from_ref(row));
        let own = f64::from(self.mixed(&bins)[(0, 0)]);
        let fall = |column: usize| {
            let mut changed = Array2::from_shape_fn((self.donors.nrows(), bins.ncols()), |(_, j)| bins[(0, j)]);
            changed.column_mut(column).assign(&self.donors.column(column));
            let mut odds: Vec<f64> = self.mixed(&changed).iter().map(|&z| f64::from(z)).collect();
            odds.sort_unstable_by(f64::total_cmp);
            own - odds.get(odds.len() / 10).copied().unwrap_or(own)
        };
        (0..bins.ncols()).map(fall).collect()
    }
}

/// Log odds of the second of two classes, rows × 1.
fn odds(logits: &Array2<f32>) -> Array2<f32> {
    (&logits.column(1) - &logits.column(0)).insert_axis(Axis(1))
}

impl Fold for Contrast {
    type Model = ContrastModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ContrastModel>> {
        Ok(Step::Done(ContrastModel(Fitted::fit(data, sample(given, INFO.code)?))))
    }
}

impl Detect for Contrast {
    fn score(&self, model: &ContrastModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(fitted) = &model.0 else { return Ok(()) };
        let column = fitted.held.column(rows, |others| Ok(fitted.mixed(&fitted.bins.map(others))))?;
        for (slot, score) in out.iter_mut().zip(column.column(0)) {
            *slot = Some(f64::from(*score));
        }
        Ok(())
    }

    fn explain(&self, model: &ContrastModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let missing = || Error::Detector { code: INFO.code, reason: "a row without a score cannot be explained".to_owned() };
        let fitted = model.0.as_ref().filter(|_| row < rows.rows()).ok_or_else(missing)?;
        let columns: Vec<usize> = [Role::Numeric, Role::Categorical].into_iter().flat_map(|role| rows.schema().with_role(role)).collect();
        let falls = fitted.falls(&raw(rows, row, &Vectors::of(rows)?));
        let mut falls: Vec<(usize, f64)> = columns.into_iter().zip(falls).collect();
        falls.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let most = falls.first().map_or(0.0, |(_, fall)| *fall);
        let named = falls.iter().take(NAMED).filter(|(_, fall)| *fall > 0.0 && *fall >= 0.5 * most).filter_map(|&(column, fall)| {
            let name = rows.schema().columns.get(column)?.name.as_str();
            let value = rows.display(column, row);
            Some((format!("{name} = {value}"), json!({"column": name, "value": value, "fall": fall})))
        });
        let (texts, details): (Vec<String>, Vec<serde_json::Value>) = named.unzip();
        let reason = match texts.as_slice() {
            [] => "its values do not go together; no column stands out".to_owned(),
            [first, others @ ..] => {
                let others = if others.is_empty() { String::new() } else { format!(" (or {})", others.join(", ")) };
                format!("{first}{others} does not go with the rest of the row")
            }
        };
        Ok(Evidence::new(reason, [("columns", json!(details))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::super::fixture::{normals, scored, table};
    use super::*;

    const ROWS: usize = 2_000;

    /// y follows x but in the first ten rows, and the shape goes with the sign of x but in the next ten; each value is ordinary by itself.
    fn columns() -> Vec<(&'static str, Role, ArrayRef)> {
        let z = normals(1, 3 * ROWS);
        let x: Vec<f64> = (0..ROWS).map(|i| if i < 10 { 1.2 + 0.1 * i as f64 } else { z[i] }).collect();
        let y = (0..ROWS).map(|i| if i < 10 { 1.5 - x[i] * x[i] } else { x[i] + 0.1 * z[ROWS + i] });
        let shape = (0..ROWS).map(|i| if (x[i] > 0.0) == (10..20).contains(&i) { "flat" } else { "round" });
        vec![
            ("x", Role::Numeric, Arc::new(Float64Array::from(x.clone()))),
            ("y", Role::Numeric, Arc::new(y.collect::<Float64Array>())),
            ("free", Role::Numeric, Arc::new(Float64Array::from(z[2 * ROWS..].to_vec()))),
            ("shape", Role::Categorical, Arc::new(shape.map(Some).collect::<StringArray>())),
        ]
    }

    #[test]
    fn values_that_do_not_go_together_rank_first_and_are_named() {
        let (model, rows, scores) = scored(&Contrast, columns());
        let above = |i: usize| scores.iter().filter(|s| **s > scores[i]).count();
        assert!((0..20).all(|i| above(i) < 60), "{:?}", (0..20).map(above).collect::<Vec<_>>());
        let reason = Contrast.explain(&model, &rows, 3).unwrap().reason;
        assert!(reason.contains("y = -0.75") && !reason.contains("free"), "{reason}");
        let reason = Contrast.explain(&model, &rows, 12).unwrap().reason;
        assert!(reason.starts_with("shape = ") && reason.ends_with("does not go with the rest of the row"), "{reason}");
    }

    #[test]
    fn one_column_goes_together_with_nothing() {
        let one: ArrayRef = Arc::new(Float64Array::from(normals(2, 300)));
        let (model, rows, scores) = scored(&Contrast, vec![("a", Role::Numeric, one.clone())]);
        assert!(scores.iter().all(Option::is_none) && Contrast.explain(&model, &rows, 0).is_err());
        let (schema, _, _) = table(vec![("a", Role::Numeric, one)]);
        assert!(Contrast.begin(&schema, &Given::default()).is_err());
    }
}
