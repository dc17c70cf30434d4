//! `outlier.knn`: rows with few others near them.

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::vectors::{Sampled, Vectors};
use super::{ranking, sample, short};
use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::Evidence;
use crate::fold::without_scan;
use crate::fold::{Detect, Fold, Given, Info, Need, Step};
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::neighbor::Reference;
use crate::stats::robust::median;

/// Most rows of the reference.
const REFERENCE: usize = 1_024;
/// Which neighbour's distance is taken.
const NEIGHBOR: usize = 5;

#[doc = include_str!("knn.md")]
pub struct Knn;

static INFO: Info = ranking("outlier.knn", "rows with few others near them", &[Need::Vectors], Some(0.0), include_str!("knn.md"));

/// The reference.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnnModel {
    vectors: Vectors,
    /// Of numeric columns; directions of embeddings need none.
    scale: Option<Standardizer>,
    reference: Reference,
    /// Keys of the reference's rows, ascending.
    keys: Vec<u64>,
    /// Median distance of the reference's own rows.
    usual: f64,
}

/// Rows of length 1; one without a direction is 0.
fn directions(rows: ArrayView2<f32>) -> Array2<f32> {
    let mut rows = rows.mapv(|x| if x.is_finite() { x } else { 0.0 });
    for mut row in rows.outer_iter_mut() {
        // In units of the largest value, squares do not overflow.
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        if largest > 0.0 {
            row.mapv_inplace(|x| x / largest);
            let length = row.dot(&row).sqrt();
            row.mapv_inplace(|x| x / length);
        }
    }
    rows
}

impl KnnModel {
    fn fit(data: &Schema, sample: &SampleModel) -> Result<Self> {
        let vectors = Vectors::of(data);
        let Sampled { rows, mut keys, .. } = vectors.sampled(sample, INFO.code)?;
        let scale = (!vectors.embedding).then(|| Standardizer::fit(rows.view(), Scaling::Winsorized));
        let most = REFERENCE.min(rows.nrows());
        // Keys are hashes, so the smallest are a uniform sample.
        keys.truncate(most);
        let mut model = Self { vectors, scale, reference: Reference::new(Array2::zeros((0, 0))), keys, usual: f64::NAN };
        let ready = model.prepared(rows.view().split_at(Axis(0), most).0)?;
        model.reference = Reference::new(ready.clone());
        let own: Vec<Option<usize>> = (0..most).map(Some).collect();
        let distances = model.reference.kth_distances(ready.view(), &own, NEIGHBOR)?;
        let mut distances: Vec<f64> = distances.into_iter().filter(|x| x.is_finite()).map(f64::from).collect();
        model.usual = median(&mut distances).unwrap_or(0.0);
        Ok(model)
    }

    fn prepared(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.scale.as_ref().map_or_else(|| Ok(directions(rows)), |scale| scale.transform(rows))
    }

    /// Distance of each row of a block; NaN where it has no value or nothing to be compared with.
    fn distances(&self, rows: &Batch) -> Result<Vec<f32>> {
        let values = self.vectors.of_block(rows, INFO.code)?;
        let own: Vec<Option<usize>> = rows.keys().iter().map(|key| self.keys.binary_search(key).ok()).collect();
        let mut distances = self.reference.kth_distances(self.prepared(values.view())?.view(), &own, NEIGHBOR)?;
        for (distance, row) in distances.iter_mut().zip(values.outer_iter()) {
            if !row.iter().any(|x| x.is_finite()) {
                *distance = f32::NAN;
            }
        }
        Ok(distances)
    }
}

impl Fold for Knn {
    type Model = KnnModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), KnnModel>> {
        Ok(Step::Done(KnnModel::fit(data, sample(given, INFO.code)?)?))
    }
}

impl Detect for Knn {
    fn score(&self, model: &KnnModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (slot, distance) in out.iter_mut().zip(model.distances(rows)?) {
            *slot = Some(f64::from(distance)).filter(|distance| distance.is_finite());
        }
        Ok(())
    }

    fn explain(&self, model: &KnnModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let distance = model.distances(rows)?.get(row).copied().filter(|distance| distance.is_finite()).map(f64::from);
        let nothing = || Error::Detector { code: INFO.code, reason: "a row without values cannot be explained".to_owned() };
        let distance = distance.ok_or_else(nothing)?;
        let (near, all) = (NEIGHBOR.min(model.reference.len()), model.reference.len());
        let reason = format!(
            "neighbour {near} among {all} rows is at a distance of {}; in the middle of them it is at {}",
            short(distance),
            short(model.usual)
        );
        Ok(Evidence::new(reason, [("distance", json!(distance)), ("usual", json!(model.usual))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array};

    use super::super::fixture::{normals, scored, table};
    use super::*;
    use crate::data::Role;

    const ROWS: usize = 2_000;

    fn column(values: impl Fn(usize) -> Option<f64>) -> ArrayRef {
        Arc::new((0..ROWS).map(values).collect::<Float64Array>())
    }

    #[test]
    fn rows_between_two_clouds_have_no_neighbours() {
        let z = normals(1, 2 * ROWS);
        let at = |j: usize| {
            let z = z.clone();
            column(move |i| Some(if i < 6 { 0.3 * z[2 * i + j] } else { 6.0 * (i % 2) as f64 - 3.0 + 0.5 * z[2 * i + j] }))
        };
        let (model, rows, scores) = scored(&Knn, vec![("x", Role::Numeric, at(0)), ("y", Role::Numeric, at(1))]);
        let above = |i: usize| scores.iter().filter(|s| **s > scores[i]).count();
        assert!((0..6).all(|i| above(i) < 60), "{:?}", (0..6).map(above).collect::<Vec<_>>());
        assert!(Knn.explain(&model, &rows, 0).unwrap().reason.starts_with("neighbour 5 among 1024 rows is at a distance of "));
    }

    #[test]
    fn missing_and_extreme_values() {
        let z = normals(2, 2 * ROWS);
        let x = column(|i| match i {
            0 => None,
            1 => Some(f64::INFINITY),
            2 => Some(1e300),
            _ => Some(z[2 * i]),
        });
        let y = column(|i| (i > 1).then(|| z[2 * i + 1]));
        let (model, rows, scores) = scored(&Knn, vec![("x", Role::Numeric, x), ("y", Role::Numeric, y)]);
        assert_eq!((scores[0], scores[1]), (None, None));
        assert!(scores[2..].iter().all(|score| score.is_some_and(f64::is_finite)));
        assert!(Knn.explain(&model, &rows, 0).is_err());
        let (schema, _, given) = table(vec![("a", Role::Numeric, column(|_| None))]);
        assert!(Knn.begin(&schema, &given).is_err() && Knn.begin(&schema, &Given::default()).is_err());
    }

    #[test]
    fn directions_have_length_one() {
        let rows = directions(ndarray::arr2(&[[3.0, 4.0], [f32::MAX, 0.0], [0.0, 0.0], [f32::NAN, -2.0]]).view());
        assert_eq!(rows, ndarray::arr2(&[[0.6, 0.8], [1.0, 0.0], [0.0, 0.0], [0.0, -1.0]]));
    }
}
