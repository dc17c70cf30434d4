//! `outlier.maha`: rows whose values are far from the rest taken together.

use ndarray::{Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{copies, sample, short};
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::detect::without_scan;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::covariance::TrimmedMahalanobis;
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::robust::quantile;

/// Share of the rows that a refit keeps.
const KEEP: f64 = 0.85;
/// Refits on the inner rows.
const REFITS: usize = 3;
/// Most columns that a covariance is taken of; more are projected.
const MOST_COLUMNS: usize = 512;
/// Columns after projection.
const PROJECTED: usize = 256;
/// Projected columns that each column adds to.
const TARGETS: usize = 4;
/// Fewest rows a class, on average, for distances to class means.
const ROWS_A_CLASS: usize = 20;
/// Columns that an explanation names.
const NAMED: usize = 3;

#[doc = include_str!("maha.md")]
pub struct Maha;

static INFO: Info = Info {
    code: "outlier.maha",
    family: Family::Outlier,
    summary: "rows whose values are far from the rest taken together",
    needs: &[Need::Vectors],
    after: &["derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Tail,
    max_tier: Tier::Suspect,
    manual: include_str!("maha.md"),
};

/// A sparse random projection (Kane and Nelson 2014).
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Projection {
    /// For each column the projected columns that it is added to, or taken from where the flag is set.
    targets: Vec<[(u16, bool); TARGETS]>,
}

impl Projection {
    fn new(columns: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut target = || (rng.random_range(0..PROJECTED as u16), rng.random::<bool>());
        Self { targets: (0..columns).map(|_| std::array::from_fn(|_| target())).collect() }
    }

    fn apply(&self, rows: &Array2<f32>) -> Array2<f32> {
        let mut out = Array2::<f32>::zeros((rows.nrows(), PROJECTED));
        let size = (TARGETS as f32).sqrt().recip();
        for (row, mut out) in rows.outer_iter().zip(out.outer_iter_mut()) {
            for (value, targets) in row.iter().zip(&self.targets) {
                for &(target, negative) in targets {
                    if let Some(slot) = out.get_mut(usize::from(target)) {
                        *slot += if negative { -size * value } else { size * value };
                    }
                }
            }
        }
        out
    }
}

/// The fitted distances.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MahaModel {
    /// Whether the embedding is looked at, or else the numeric columns.
    embedding: bool,
    scale: Standardizer,
    projection: Option<Projection>,
    /// One mean a class for embeddings of labelled sets, else one.
    distance: TrimmedMahalanobis,
    /// Name, 1 % and 99 % quantile of each column.
    columns: Vec<(String, f32, f32)>,
}

impl MahaModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Result<Self> {
        let embedding = data.first(Role::Embedding);
        let names: Vec<String> = match embedding {
            Some(column) => (0..data.columns[column].width.unwrap_or(0)).map(|j| format!("{}[{j}]", data.columns[column].name)).collect(),
            None => data.with_role(Role::Numeric).into_iter().map(|column| data.columns[column].name.clone()).collect(),
        };
        let copies = copies(sample);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (row, &n) in sample.rows.iter().zip(&copies) {
            let vector = if embedding.is_some() { &row.embedding } else { &row.numeric };
            if vector.len() == names.len() && vector.iter().any(|x| x.is_finite()) {
                for _ in 0..n {
                    values.extend_from_slice(vector);
                    labels.push(row.label);
                }
            }
        }
        let wrong = |reason: &str| Error::Detector { code: INFO.code, reason: reason.to_owned() };
        let rows = Array2::from_shape_vec((labels.len(), names.len()), values).map_err(|_| wrong("the sample's rows differ in width"))?;
        if rows.is_empty() {
            return Err(wrong("no row of the sample has a value"));
        }
        let scale = Standardizer::fit(rows.view(), Scaling::Robust);
        let projection = (names.len() > MOST_COLUMNS).then(|| Projection::new(names.len(), data.key.seed()));
        let ready = prepared(&scale, projection.as_ref(), rows.view())?;
        let classes = data.classes();
        let labelled: Vec<(usize, u32)> = labels.iter().enumerate().filter_map(|(i, label)| Some((i, (*label)?))).collect();
        let distance = if embedding.is_some() && classes > 1 && labelled.len() >= ROWS_A_CLASS * classes {
            let (kept, labels): (Vec<usize>, Vec<u32>) = labelled.into_iter().unzip();
            TrimmedMahalanobis::fit_classes(ready.select(Axis(0), &kept).view(), &labels, classes, KEEP, REFITS)?
        } else {
            TrimmedMahalanobis::fit(ready.view(), KEEP, REFITS)?
        };
        let columns = names.into_iter().zip(rows.axis_iter(Axis(1))).map(|(name, column)| {
            let mut sorted: Vec<f64> = column.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x)).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let at = |q| quantile(&sorted, q).map_or(f32::NAN, |x| x as f32);
            (name, at(0.01), at(0.99))
        });
        Ok(Self { embedding: embedding.is_some(), scale, projection, distance, columns: columns.collect() })
    }

    /// Squared distance of each row to the nearest mean.
    fn distances2(&self, ready: &Array2<f32>) -> Result<Vec<f32>> {
        if self.distance.classes() == 1 {
            return self.distance.distances2(ready.view(), None);
        }
        let to_all = self.distance.distances2_to_all(ready.view())?;
        Ok(to_all.outer_iter().map(|to| to.iter().copied().fold(f32::INFINITY, f32::min)).collect())
    }

    /// Values of a block, rows × columns; NaN for missing.
    fn values(&self, rows: &Batch) -> Result<Array2<f32>> {
        let values = if self.embedding { rows.embedding()?.unwrap_or_default() } else { rows.numeric().mapv(single) };
        if values.dim() != (rows.rows(), self.columns.len()) {
            let reason = format!("rows have {} columns, the model has {}", values.ncols(), self.columns.len());
            return Err(Error::Detector { code: INFO.code, reason });
        }
        Ok(values)
    }
}

/// A value in single precision, as samples are kept; one that is too large for it stays the largest.
fn single(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn prepared(scale: &Standardizer, projection: Option<&Projection>, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
    let rows = scale.transform(rows)?;
    Ok(projection.map_or_else(|| rows.clone(), |projection| projection.apply(&rows)))
}

/// Where a squared distance over `m` columns lies on the scale of a standard normal variable (Wilson and Hilferty 1931).
fn normal_scale(distance2: f64, m: f64) -> f64 {
    let spread = 2.0 / (9.0 * m);
    ((distance2 / m).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// `ln(1 + eˣ)`: positive, and the same order and upper tail.
fn positive(x: f64) -> f64 {
    if x > 30.0 { x } else { x.exp().ln_1p() }
}

impl Fold for Maha {
    type Model = MahaModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), MahaModel>> {
        Ok(Step::Done(MahaModel::fit(data, sample(given, INFO.code)?)?))
    }
}

impl Detect for Maha {
    fn score(&self, model: &MahaModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let values = model.values(rows)?;
        let ready = prepared(&model.scale, model.projection.as_ref(), values.view())?;
        let distances = model.distances2(&ready)?;
        for (row, (slot, &distance)) in out.iter_mut().zip(&distances).enumerate() {
            let present = values.row(row).iter().filter(|x| !x.is_nan()).count();
            if present == 0 {
                continue;
            }
            let m = present.min(ready.ncols()) as f64;
            *slot = Some(positive(normal_scale(f64::from(distance), m))).filter(|score| score.is_finite());
        }
        Ok(())
    }

    fn explain(&self, model: &MahaModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let values = model.values(rows)?;
        let one = values.select(Axis(0), &[row]);
        let ready = prepared(&model.scale, model.projection.as_ref(), one.view())?;
        let distance = model.distances2(&ready)?.first().copied().unwrap_or(f32::NAN).sqrt();
        let usual = (ready.ncols() as f32).sqrt();
        let far = format!("{} times the usual distance", short(f64::from(distance / usual)));
        if model.embedding || model.projection.is_some() {
            let from = if model.distance.classes() > 1 { "every class" } else { "the rest" };
            return Ok(Evidence::new(format!("far from {from}: {far}"), [("distance", json!(distance))]));
        }
        let mut shares: Vec<(usize, f32)> = model.distance.contributions(ready.row(0), 0)?.into_iter().enumerate().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let named = shares.iter().take(NAMED).filter(|(_, share)| *share > 0.0).filter_map(|&(j, share)| {
            let ((name, low, high), value) = (model.columns.get(j)?, *one.get((0, j))?);
            let number = |x: f32| short(f64::from(x));
            let text = format!("{name} = {} (usual {} to {})", number(value), number(*low), number(*high));
            Some((text, json!({"column": name, "value": value, "usual": [low, high], "share": share})))
        });
        let (texts, details): (Vec<String>, Vec<serde_json::Value>) = named.unzip();
        let reason = format!("far from the rest taken together: {}", texts.join(", "));
        Ok(Evidence::new(reason, [("distance", json!(distance)), ("columns", json!(details))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::super::fixture::{normals, table};
    use super::*;

    const ROWS: usize = 3_000;

    fn score(columns: Vec<(&str, Role, ArrayRef)>) -> (MahaModel, Batch, Vec<Option<f64>>) {
        let (schema, rows, given) = table(columns);
        let Ok(Step::Done(model)) = Maha.begin(&schema, &given) else { panic!("no model") };
        let mut scores = vec![None; rows.rows()];
        Detect::score(&Maha, &model, &rows, &mut scores).unwrap();
        (model, rows, scores)
    }

    fn embedding(values: &[f64], width: usize) -> ArrayRef {
        let flat = Float32Array::from_iter_values(values.iter().map(|x| *x as f32));
        let field = Arc::new(Field::new("item", DataType::Float32, true));
        Arc::new(FixedSizeListArray::new(field, i32::try_from(width).unwrap(), Arc::new(flat), None))
    }

    /// Share of pairs of an odd and a usual row that are in the right order.
    fn auroc(scores: &[Option<f64>], odd: impl Fn(usize) -> bool) -> f64 {
        let of = |which: bool| (0..scores.len()).filter(|&i| odd(i) == which).map(|i| scores[i].unwrap()).collect::<Vec<f64>>();
        let (odd, usual) = (of(true), of(false));
        let wins: usize = odd.iter().map(|a| usual.iter().filter(|b| a > *b).count()).sum();
        wins as f64 / (odd.len() * usual.len()) as f64
    }

    /// Two columns that move together, with rows (every 100th) where they do not; neither value is unusual alone.
    fn pair() -> Vec<(&'static str, Role, ArrayRef)> {
        let z = normals(1, 3 * ROWS);
        let x: Vec<f64> = (0..ROWS).map(|i| z[3 * i]).collect();
        let y = (0..ROWS).map(|i| if i % 100 == 0 { -x[i].signum() * 1.5 } else { x[i] + 0.2 * z[3 * i + 1] });
        let y: ArrayRef = Arc::new(Float64Array::from_iter_values(y));
        let w: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(|i| z[3 * i + 2])));
        vec![("x", Role::Numeric, Arc::new(Float64Array::from(x))), ("y", Role::Numeric, y), ("w", Role::Numeric, w)]
    }

    #[test]
    fn values_that_do_not_go_together_are_far() {
        let (model, rows, scores) = score(pair());
        assert!(auroc(&scores, |i| i % 100 == 0) > 0.95);
        let evidence = Maha.explain(&model, &rows, 0).unwrap();
        assert!(evidence.reason.starts_with("far from the rest taken together: "), "{}", evidence.reason);
        assert!(evidence.reason.contains("y = ") && evidence.reason.contains("(usual -2."), "{}", evidence.reason);
    }

    #[test]
    fn rows_far_from_every_class_stand_out_in_an_embedding() {
        for width in [16, 600] {
            let z = normals(2, ROWS * width);
            // Two classes apart in some columns; odd rows between them there, and a little off everywhere else.
            let value = |i: usize, j: usize| match j {
                0..12 if !i.is_multiple_of(60) => 4.0 * (i % 2) as f64 - 2.0,
                12.. if i.is_multiple_of(60) => 0.6,
                _ => 0.0,
            };
            let values: Vec<f64> = (0..ROWS * width).map(|at| 0.3 * z[at] + value(at / width, at % width)).collect();
            let labels: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| if i % 2 == 0 { "a" } else { "b" })));
            let (model, rows, scores) = score(vec![("e", Role::Embedding, embedding(&values, width)), ("label", Role::Label, labels)]);
            assert_eq!((model.distance.classes(), model.projection.is_some()), (2, width > MOST_COLUMNS));
            assert!(auroc(&scores, |i| i % 60 == 0) > 0.95, "{width}");
            assert!(Maha.explain(&model, &rows, 60).unwrap().reason.starts_with("far from every class: "));
        }
    }

    #[test]
    fn missing_values_neither_accuse_nor_excuse() {
        let z = normals(3, 4 * ROWS);
        let column = |j: usize| -> ArrayRef {
            Arc::new(
                (0..ROWS)
                    .map(|i| match i {
                        0 => None,
                        1 => (j == 0).then_some(f64::INFINITY),
                        // One value and far out, or nothing special about it.
                        2 => (j == 0).then_some(60.0),
                        3 => (j == 0).then_some(0.4),
                        _ => Some(z[4 * i + j]),
                    })
                    .collect::<Float64Array>(),
            )
        };
        let (_, _, scores) = score(vec![("a", Role::Numeric, column(0)), ("b", Role::Numeric, column(1)), ("c", Role::Numeric, column(2))]);
        assert_eq!((scores[0], scores[1]), (None, None));
        let mut sorted: Vec<f64> = scores.iter().flatten().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        assert!(scores[2].unwrap() > quantile(&sorted, 0.99).unwrap());
        assert!(scores[3].unwrap() < quantile(&sorted, 0.6).unwrap());
        let nothing: ArrayRef = Arc::new(Float64Array::from(vec![None; 50]));
        let (schema, _, given) = table(vec![("a", Role::Numeric, nothing)]);
        assert!(Maha.begin(&schema, &given).is_err());
        assert!(Maha.begin(&schema, &Given::default()).is_err());
    }

    #[test]
    fn squared_distances_become_normal() {
        // scipy.stats.norm.isf(scipy.stats.chi2.sf(20, 8)) = 2.3139; Wilson and Hilferty are within 0.02 of it.
        assert!((normal_scale(20.0, 8.0) - 2.313_9).abs() < 0.02, "{}", normal_scale(20.0, 8.0));
        assert!(positive(-50.0) > 0.0 && (positive(40.0) - 40.0).abs() < 1e-12);
    }
}
