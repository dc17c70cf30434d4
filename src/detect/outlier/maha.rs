//! `outlier.maha`: rows whose values are far from the rest taken together.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::peers::Peers;
use super::posterior::{graded, posterior};
use super::projection::{MOST_COLUMNS, Projection};
use super::side::Side;
use super::vectors::{Sampled, Vectors, named, usual};
use super::{copies, sample, short};
use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::Result;
use crate::finding::{Evidence, Family, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::covariance::TrimmedMahalanobis;
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::robust::quantile;

/// Share of the rows that a refit keeps.
const KEEP: f64 = 0.85;
/// Refits on the inner rows.
const REFITS: usize = 3;
/// Fewest rows a class, on average, for distances to class means.
const ROWS_A_CLASS: usize = 20;
/// Fewest rows of a sample a column for its distances to say where those of other rows end: those of rows that were fitted
/// are shorter, by a factor of about (1 + columns / rows)².
const ROWS_A_COLUMN: usize = 20;

/// Largest share that one column may have in the squared distance of a row that is listed.
const MOST_OF_ONE: f32 = 2.0 / 3.0;

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
    version: 3,
    claim: Claim::Posterior,
    fused: Some(0.0),
    max_tier: Tier::Suspect,
    manual: include_str!("maha.md"),
};

/// The fitted distances.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MahaModel {
    vectors: Vectors,
    scale: Standardizer,
    projection: Option<Projection>,
    /// One mean a class for embeddings of labelled sets, else one.
    distance: TrimmedMahalanobis,
    /// 1 % and 99 % quantile of each column.
    usual: Vec<(f32, f32)>,
    /// Where the distances of the sample end; `None` where nothing can be said of that.
    end: Option<Side>,
    /// ln of the number of chances for a gap: rows of the set for each row of the sample.
    ln_tests: f64,
}

impl MahaModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Result<Self> {
        let vectors = Vectors::of(data);
        let Sampled { rows: distinct, labels, keys, copies } = vectors.sampled(sample, INFO.code)?;
        let repeated: Vec<usize> = copies.iter().enumerate().flat_map(|(row, &n)| std::iter::repeat_n(row, n)).collect();
        let rows = distinct.select(Axis(0), &repeated);
        let scale = Standardizer::fit(rows.view(), Scaling::Robust);
        let columns = distinct.ncols();
        let projection = (columns > MOST_COLUMNS).then(|| Projection::new(columns, data.key.seed()));
        let ready = prepared(&scale, projection.as_ref(), rows.view())?;
        let classes = data.classes();
        let labelled: Vec<(usize, u32)> = repeated.iter().enumerate().filter_map(|(i, &row)| Some((i, (*labels.get(row)?)?))).collect();
        let distance = if vectors.embedding && classes > 1 && labelled.len() >= ROWS_A_CLASS * classes {
            let (kept, labels): (Vec<usize>, Vec<u32>) = labelled.into_iter().unzip();
            TrimmedMahalanobis::fit_classes(ready.select(Axis(0), &kept).view(), &labels, classes, KEEP, REFITS)?
        } else {
            TrimmedMahalanobis::fit(ready.view(), KEEP, REFITS)?
        };
        let usual = usual(rows.view());
        let ln_tests = (data.rows as f64 / repeated.len() as f64).max(1.0).ln();
        let mut model = Self { vectors, scale, projection, distance, usual, end: None, ln_tests };
        if !model.vectors.embedding && (sample.is_whole() || repeated.len() >= ROWS_A_COLUMN * ready.ncols()) {
            let ready = prepared(&model.scale, model.projection.as_ref(), distinct.view())?;
            let deviations = model.deviations(&distinct, &ready)?;
            let far: Vec<(u64, f64, usize)> =
                keys.iter().zip(deviations).zip(copies).filter_map(|((&key, far), n)| Some((key, far?, n))).collect();
            model.end = model.end_of(far, sample, data.key.seed());
        }
        Ok(model)
    }

    /// Where the sample ends: of its rows the key, how far out it is, and how often it counts.
    fn end_of(&self, mut far: Vec<(u64, f64, usize)>, sample: &SampleModel, seed: u64) -> Option<Side> {
        let mut of_row = vec![f64::NAN; sample.rows.len()];
        for (key, deviation, _) in &far {
            if let Some(slot) = sample.position(*key).and_then(|row| of_row.get_mut(row)) {
                *slot = *deviation;
            }
        }
        far.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        let distinct: Vec<f64> = far.iter().map(|row| row.1).collect();
        let all: Vec<f64> = far.iter().flat_map(|&(_, deviation, n)| std::iter::repeat_n(deviation, n)).collect();
        let mut end = Side::fit(&all, &distinct, quantile(&all, 0.5)?, 0)?;
        let peers = Peers::new(sample, &copies(sample), seed);
        end.mark(self.ln_tests, |is_beyond| peers.are_grouped(None, |row| of_row.get(row).is_some_and(|&far| is_beyond(far))));
        Some(end)
    }

    /// How far out each row is, above 0, about 0.7 in the middle; `None` where it has no value. Values and what the
    /// distance is taken of.
    fn deviations(&self, values: &Array2<f32>, ready: &Array2<f32>) -> Result<Vec<Option<f64>>> {
        let judge = |(row, &distance): (ArrayView1<f32>, &f32)| {
            let present = row.iter().filter(|x| x.is_finite()).count();
            let deviation = positive(normal_scale(f64::from(distance), present.min(ready.ncols()) as f64));
            (present > 0).then_some(deviation).filter(|deviation| deviation.is_finite())
        };
        Ok(values.outer_iter().zip(&self.distances2(ready)?).map(judge).collect())
    }

    /// Whether one column makes nearly all of a row's distance to the mean: then it is that value that is odd, not how values go
    /// together, and `outlier.univariate` is asked where the column ends.
    fn is_of_one_column(&self, ready: ArrayView1<f32>) -> Result<bool> {
        let shares = self.distance.contributions(ready, 0)?;
        let largest = shares.iter().copied().fold(0.0, f32::max);
        Ok(ready.len() > 1 && largest > MOST_OF_ONE * shares.iter().sum::<f32>())
    }

    /// Squared distance of each row to the nearest mean.
    fn distances2(&self, ready: &Array2<f32>) -> Result<Vec<f32>> {
        if self.distance.classes() == 1 {
            return self.distance.distances2(ready.view(), None);
        }
        let to_all = self.distance.distances2_to_all(ready.view())?;
        Ok(to_all.outer_iter().map(|to| to.iter().copied().fold(f32::INFINITY, f32::min)).collect())
    }
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
        let values = model.vectors.of_block(rows, INFO.code)?;
        let ready = prepared(&model.scale, model.projection.as_ref(), values.view())?;
        for ((slot, deviation), row) in out.iter_mut().zip(model.deviations(&values, &ready)?).zip(ready.outer_iter()) {
            let Some(deviation) = deviation else { continue };
            let end = model.end.as_ref().filter(|end| !end.is_grouped(deviation));
            let ln_p = end.map_or(0.0, |end| end.ln_gap(deviation) + model.ln_tests);
            let is_apart = posterior(ln_p).is_some() && !model.is_of_one_column(row)?;
            *slot = Some(graded(deviation, if is_apart { ln_p } else { 0.0 }));
        }
        Ok(())
    }

    fn notes(&self, model: &MahaModel) -> Vec<String> {
        let why = match model.end {
            Some(_) => return Vec::new(),
            None if model.vectors.embedding => "in an embedding a rare but sound activation is as far out as a corrupt row",
            None => "where distances end cannot be told from this sample",
        };
        vec![format!("{why}: rows are ranked and none is listed")]
    }

    fn explain(&self, model: &MahaModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let values = model.vectors.of_block(rows, INFO.code)?;
        let one = values.select(Axis(0), &[row]);
        let ready = prepared(&model.scale, model.projection.as_ref(), one.view())?;
        let distance = model.distances2(&ready)?.first().copied().unwrap_or(f32::NAN).sqrt();
        let middle = (ready.ncols() as f32).sqrt();
        let far = format!("{} times the usual distance", short(f64::from(distance / middle)));
        if model.vectors.embedding || model.projection.is_some() {
            let from = if model.distance.classes() > 1 { "every class" } else { "the rest" };
            return Ok(Evidence::new(format!("far from {from}: {far}"), [("distance", json!(distance))]));
        }
        let shares = model.distance.contributions(ready.row(0), 0)?.into_iter().map(f64::from).collect();
        let (texts, details) = named(&model.vectors.names, &model.usual, one.row(0), shares);
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
    use crate::data::Role;

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
