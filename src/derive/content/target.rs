//! `derive.target`: what a row's content says its number should be, from a model that did not see the row.

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Schema};
use crate::derive::{DERIVED, SampleModel, SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::fold::{Derive, Fold, Given, Info, Need, Step, without_scan};
use crate::stats::features::{Scaling, Standardizer};
use crate::stats::misfit::Miss;
use crate::stats::ridge::Ridge;

use super::features::{Features, Room};
use super::{FEWEST_ROWS, PENALTIES};

const CODE: &str = "derive.target";
/// Misses beyond this quantile are cut to it before the usual miss is fitted: a wrong number must not make itself usual.
const CUT: f64 = 0.95;
/// Least usual miss, as a part of the median one.
const LEAST: f64 = 0.3;
/// Smallest usual miss, in normal scores.
const FLOOR: f32 = 1e-4;

/// Fits two closed-form ridge regressions on the reference sample, to the normal scores of the target and to the absolute
/// misses, and says of every row what its number should be without having seen it.
pub struct Target;

static INFO: Info = Info {
    code: CODE,
    summary: "what a row's content says its number should be",
    needs: &[Need::Number, Need::Content],
    after: &["derive.sample"],
    ..DERIVED
};

/// The model; `None` with too few rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetModel(Option<Fitted>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    features: Features,
    scores: Standardizer,
    /// Numbers of the sample in ascending order, to say what a score stands for.
    numbers: Vec<f32>,
    level: Ridge,
    spread: Ridge,
    least: f32,
    /// Keys of the sample's rows that have a number, ascending.
    keys: Vec<u64>,
    /// For each of them value, expected value and usual miss.
    held_out: Array2<f32>,
}

impl TargetModel {
    /// The sample's rows that have a number, each judged without itself.
    #[must_use]
    pub fn misses(&self) -> Vec<Miss> {
        self.0.iter().flat_map(|fitted| fitted.held_out.outer_iter()).filter_map(|row| Self::miss(&row.to_vec())).collect()
    }

    /// What a row of the column says; `None` where the row has no number.
    #[must_use]
    pub fn miss(row: &[f32]) -> Option<Miss> {
        let [value, expected, usual] = *row else { return None };
        let miss = Miss { value: f64::from(value), expected: f64::from(expected), usual: f64::from(usual) };
        (value.is_finite() && expected.is_finite() && usual > 0.0).then_some(miss)
    }

    /// Numbers that stand for normal scores: those of the sample, ascending, at most 257 of them.
    #[must_use]
    pub fn numbers(&self) -> Vec<f32> {
        let Some(numbers) = self.0.as_ref().map(|fitted| &fitted.numbers) else { return Vec::new() };
        let last = numbers.len().saturating_sub(1);
        (0..=256).filter_map(|at| numbers.get(at * last / 256).copied()).collect()
    }
}

fn column(values: impl IntoIterator<Item = f32>) -> Array2<f32> {
    Array1::from_iter(values).insert_axis(Axis(1))
}

impl Fitted {
    fn fit(sample: &SampleModel, seed: u64) -> Result<Option<Self>> {
        let known: Vec<usize> = (0..sample.rows.len()).filter(|&i| sample.rows[i].target.is_some()).collect();
        let mut numbers: Vec<f32> = known.iter().filter_map(|&i| sample.rows[i].target).collect();
        if known.len() < FEWEST_ROWS {
            return Ok(None);
        }
        let given = column(numbers.iter().copied());
        numbers.sort_unstable_by(f32::total_cmp);
        let scores = Standardizer::fit(given.view(), Scaling::NormalScores);
        let values = scores.transform(given.view())?;
        let features = Features::fit(&sample.rows, seed, Room::FULL)?;
        let rows: Vec<&SampleRow> = known.iter().map(|&i| &sample.rows[i]).collect();
        let design = features.map(&rows)?;
        let level = Ridge::choose(&design, values.view(), &PENALTIES)?;
        let expected = level.leave_one_out(&design, values.view())?;
        let misses: Vec<f32> = values.iter().zip(&expected).map(|(value, expected)| (value - expected).abs()).collect();
        let mut sorted = misses.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(0.0);
        let (cut, least) = (at(CUT), (LEAST as f32 * at(0.5)).max(FLOOR));
        let misses = column(misses.into_iter().map(|miss| miss.min(cut)));
        let spread = Ridge::choose(&design, misses.view(), &PENALTIES)?;
        let usual = spread.leave_one_out(&design, misses.view())?.mapv(|miss| miss.max(least));
        let held_out = ndarray::concatenate(Axis(1), &[values.view(), expected.view(), usual.view()]);
        let held_out = held_out.map_err(|e| Error::Detector { code: CODE, reason: e.to_string() })?;
        let keys = known.iter().map(|&i| sample.keys[i]).collect();
        Ok(Some(Self { features, scores, numbers, level, spread, least, keys, held_out }))
    }

    fn judge(&self, rows: &Batch) -> Result<Array2<f32>> {
        let mut out = Array2::from_elem((rows.rows(), 3), f32::NAN);
        let vectors = Vectors::of(rows)?;
        let mut outside = Vec::new();
        for (row, (key, target)) in rows.keys().iter().zip(rows.targets()).enumerate() {
            match (target, self.keys.binary_search(key)) {
                (None, _) => {}
                (Some(_), Ok(at)) => out.row_mut(row).assign(&self.held_out.row(at)),
                (Some(_), Err(_)) => outside.push(row),
            }
        }
        if outside.is_empty() {
            return Ok(out);
        }
        let raws: Vec<SampleRow> = outside.iter().map(|&row| raw(rows, row, &vectors)).collect();
        let design = self.features.map(&raws)?;
        let values = self.scores.transform(column(raws.iter().map(|row| row.target.unwrap_or(f32::NAN))).view())?;
        let (expected, usual) = (self.level.predict(&design)?, self.spread.predict(&design)?);
        // A number that is too large for single precision is not judged.
        for (at, &row) in outside.iter().enumerate().filter(|(at, _)| raws[*at].target.is_some()) {
            let usual = usual[(at, 0)].max(self.least);
            out.row_mut(row).assign(&Array1::from(vec![values[(at, 0)], expected[(at, 0)], usual]));
        }
        Ok(out)
    }
}

impl Fold for Target {
    type Model = TargetModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), TargetModel>> {
        let Some(sample) = given.model::<SampleModel>("derive.sample") else {
            return Err(Error::Detector { code: CODE, reason: "needs the reference sample".to_owned() });
        };
        Ok(Step::Done(TargetModel(Fitted::fit(sample, data.key.seed())?)))
    }
}

impl Derive for Target {
    fn column(&self, model: &TargetModel, rows: &Batch) -> Result<Option<Array2<f32>>> {
        model.0.as_ref().map(|fitted| fitted.judge(rows)).transpose()
    }
}
