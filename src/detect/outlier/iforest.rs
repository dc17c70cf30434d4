//! `outlier.iforest`: rows that a few random cuts set apart.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::level::Levels;
use super::vectors::single;
use super::{copies, ranking, sample, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Need, Step};
use crate::stats::isolation::IsolationForest;
use crate::stats::robust::median;

/// Trees.
const TREES: usize = 200;
/// Rows that a tree is grown on.
const SUBSAMPLE: usize = 256;
/// Columns that an explanation names.
const NAMED: usize = 3;

#[doc = include_str!("iforest.md")]
pub struct Iforest;

static INFO: Info =
    ranking("outlier.iforest", "rows that a few random cuts set apart", &[Need::Table], Some(0.0), include_str!("iforest.md"));

/// The forest and what it looks at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IforestModel {
    /// Index in the schema of each column of the forest: numeric ones, then categorical ones with few levels.
    columns: Vec<usize>,
    /// Of the numeric columns.
    medians: Vec<f32>,
    levels: Vec<Levels>,
    forest: IsolationForest,
}

impl IforestModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Self {
        let mut columns = data.with_role(Role::Numeric);
        let medians: Vec<f32> = (0..columns.len())
            .map(|j| {
                let values = sample.rows.iter().filter_map(|row| row.numeric.get(j)).filter(|x| x.is_finite());
                median(&mut values.map(|&x| f64::from(x)).collect::<Vec<f64>>()).unwrap_or(0.0) as f32
            })
            .collect();
        let copies = copies(sample);
        let mut levels = Vec::new();
        for (position, column) in data.with_role(Role::Categorical).into_iter().enumerate() {
            if let Some(found) = Levels::fit(position, sample, &copies) {
                columns.push(column);
                levels.push(found);
            }
        }
        let width = columns.len();
        let mut values = Vec::new();
        for (row, n) in sample.rows.iter().zip(copies) {
            let numbers = medians.iter().zip(&row.numeric).map(|(middle, &x)| filled(x, *middle));
            let cell = |levels: &Levels| levels.surprisal(row.cells.get(levels.position()).copied().unwrap_or(0)) as f32;
            let cells = levels.iter().map(cell);
            let one: Vec<f32> = numbers.chain(cells).collect();
            if one.len() == width {
                (0..n).for_each(|_| values.extend_from_slice(&one));
            }
        }
        let rows = Array2::from_shape_vec((values.len() / width.max(1), width), values).unwrap_or_default();
        Self { columns, medians, levels, forest: IsolationForest::fit(rows.view(), TREES, SUBSAMPLE, data.key.seed()) }
    }

    /// What the forest looks at, rows × columns, and whether each row has any value.
    fn values(&self, rows: &Batch) -> (Array2<f32>, Vec<bool>) {
        let mut out = Array2::zeros((rows.rows(), self.forest.columns()));
        let mut any = vec![false; rows.rows()];
        for (i, (mut out, any)) in out.outer_iter_mut().zip(&mut any).enumerate() {
            let numbers = self.medians.iter().zip(rows.numeric().row(i)).map(|(middle, &x)| (filled(single(x), *middle), !x.is_nan()));
            let cells = self.levels.iter().map(|levels| {
                let cell = rows.cells().get(levels.position()).and_then(|column| *column.get(i)?);
                (levels.surprisal(cell.unwrap_or(0)) as f32, cell.is_some())
            });
            for (slot, (value, present)) in out.iter_mut().zip(numbers.chain(cells)) {
                *slot = value;
                *any |= present;
            }
        }
        (out, any)
    }
}

/// Missing values are put in the middle, infinities at the ends.
fn filled(value: f32, middle: f32) -> f32 {
    if value.is_nan() { middle } else { value.clamp(f32::MIN, f32::MAX) }
}

impl Fold for Iforest {
    type Model = IforestModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), IforestModel>> {
        Ok(Step::Done(IforestModel::fit(data, sample(given, INFO.code)?)))
    }
}

impl Detect for Iforest {
    fn score(&self, model: &IforestModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let (values, any) = model.values(rows);
        for ((slot, path), any) in out.iter_mut().zip(model.forest.paths(values.view())).zip(any) {
            *slot = any.then(|| model.forest.score(path));
        }
        Ok(())
    }

    fn explain(&self, model: &IforestModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let (values, any) = model.values(rows);
        let one = values.select(ndarray::Axis(0), &[row]);
        if any.get(row) != Some(&true) {
            return Err(Error::Detector { code: INFO.code, reason: "a row without values cannot be explained".to_owned() });
        }
        let path = model.forest.paths(one.view()).first().copied().unwrap_or(0.0);
        let mut shares: Vec<(usize, f64)> = model.forest.contributions(one.row(0)).into_iter().enumerate().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let named = shares.iter().take(NAMED).filter(|(_, share)| *share > 0.0).filter_map(|&(j, share)| {
            let column = *model.columns.get(j)?;
            let name = rows.schema().columns.get(column)?.name.as_str();
            let value = rows.display(column, row);
            Some((format!("{name} = {value}"), json!({"column": name, "value": value, "share": share})))
        });
        let (texts, details): (Vec<String>, Vec<serde_json::Value>) = named.unzip();
        let reason = format!(
            "set apart by {} random cuts, where {} are usual: {}",
            short((10.0 * path).round() / 10.0),
            short((10.0 * model.forest.usual()).round() / 10.0),
            if texts.is_empty() { "no column stands out".to_owned() } else { texts.join(", ") }
        );
        Ok(Evidence::new(reason, [("cuts", json!(path)), ("columns", json!(details))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::super::fixture::{normals, scored, table};
    use super::*;

    const ROWS: usize = 2_000;

    fn columns() -> Vec<(&'static str, Role, ArrayRef)> {
        let z = normals(1, 2 * ROWS);
        let x = (0..ROWS).map(|i| match i {
            0 => None,
            1..6 => Some(5.0 + 0.1 * z[i]),
            6 => Some(1e300),
            _ => Some(z[i]),
        });
        let y = (0..ROWS).map(|i| (i > 0).then(|| if i < 6 { -5.0 } else { z[ROWS + i] }));
        let colour = (0..ROWS).map(|i| (i > 0).then(|| if i % 250 == 9 { "bleu" } else { ["red", "blue"][i % 2] }));
        vec![
            ("x", Role::Numeric, Arc::new(x.collect::<Float64Array>())),
            ("y", Role::Numeric, Arc::new(y.collect::<Float64Array>())),
            ("colour", Role::Categorical, Arc::new(colour.collect::<StringArray>())),
        ]
    }

    #[test]
    fn a_small_cluster_and_a_rare_level_are_set_apart() {
        let (model, rows, scores) = scored(&Iforest, columns());
        let above = |i: usize| scores.iter().filter(|s| **s > scores[i]).count();
        assert!((1..6).all(|i| above(i) < 20), "{:?}", (1..6).map(above).collect::<Vec<_>>());
        assert!(above(9) < ROWS / 20, "{}", above(9));
        assert_eq!(scores[0], None);
        assert!(Iforest.explain(&model, &rows, 0).is_err());
        let reason = Iforest.explain(&model, &rows, 3).unwrap().reason;
        assert!(reason.starts_with("set apart by ") && reason.contains("y = -5.0") && reason.contains("x = 5."), "{reason}");
        assert!(Iforest.explain(&model, &rows, 9).unwrap().reason.contains("colour = bleu"));
    }

    #[test]
    fn nothing_to_look_at_is_no_score() {
        let nothing: ArrayRef = Arc::new(Float64Array::from(vec![None; 60]));
        let (_, _, scores) = scored(&Iforest, vec![("a", Role::Numeric, nothing.clone())]);
        assert!(scores.iter().all(Option::is_none));
        let (schema, _, _) = table(vec![("a", Role::Numeric, nothing)]);
        assert!(Iforest.begin(&schema, &Given::default()).is_err());
    }
}
