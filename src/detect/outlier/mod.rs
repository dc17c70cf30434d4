//! Rows that belong nowhere.

mod conformal;
mod conjunction;
mod contrast;
mod copula;
mod end;
mod histogram;
mod iforest;
mod knn;
mod level;
mod lof;
mod maha;
mod missing;
mod peers;
mod posterior;
mod projection;
mod rank;
mod residual;
mod side;
mod spelling;
#[cfg(test)]
mod torture;
mod univariate;
mod vectors;

pub use conformal::{Conformal, ConformalModel};
pub use conjunction::{Conjunction, ConjunctionModel};
pub use contrast::{Contrast, ContrastModel};
pub use copula::{Copula, CopulaMethod};
pub use histogram::{Histogram, HistogramMethod};
pub use iforest::{Iforest, IforestModel};
pub use knn::{Knn, KnnModel};
pub use lof::{Lof, LofMethod};
pub use maha::{Maha, MahaModel};
pub use missing::{Missing, MissingModel};
pub use rank::{Method, Ranked, RankedModel};
pub use residual::{Residual, ResidualMethod};
pub use spelling::{Spelling, SpellingModel};
pub use univariate::{Univariate, UnivariateModel};

use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Given, Info, Law, Need};

/// Rows that the sample stands for in a fit, at most; each distinct row stands for at least itself.
const MOST_COPIES: f64 = 65_536.0;
/// Positions that a cause names.
const EXAMPLES: usize = 20;

/// What a unit is that is fitted on the reference sample and ranks rows without a claim; `fused` as in [`Info::fused`].
const fn ranking(code: &'static str, summary: &'static str, needs: &'static [Need], fused: Option<f64>, manual: &'static str) -> Info {
    Info {
        code,
        family: Family::Outlier,
        summary,
        needs,
        after: &["derive.sample"],
        reads: &[],
        law: Law::Exact,
        version: 1,
        claim: Claim::Rank,
        fused,
        max_tier: Tier::Review,
        manual,
    }
}

/// The reference sample.
fn sample<'a>(given: &'a Given, code: &'static str) -> Result<&'a SampleModel> {
    let missing = || Error::Detector { code, reason: "there is no reference sample to fit".to_owned() };
    given.model("derive.sample").filter(|sample: &&SampleModel| !sample.rows.is_empty()).ok_or_else(missing)
}

/// How often each row of the sample enters a fit: as often as it occurs, thinned evenly where that would be too much.
fn copies(sample: &SampleModel) -> Vec<usize> {
    let total: f64 = sample.counts.iter().map(|&count| count as f64).sum();
    let thin = (MOST_COPIES / total).min(1.0);
    sample.counts.iter().map(|&count| ((count as f64 * thin).round() as usize).max(1)).collect()
}

/// Keeps the first positions, as many as a cause names.
fn shorten(positions: &mut Vec<u64>) {
    positions.sort_unstable();
    positions.truncate(EXAMPLES);
}

/// A number as a person reads it: four significant digits.
fn short(value: f64) -> String {
    if value.fract().abs() <= 0.0 && value.abs() < 1e7 {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.*}", (3.0 - magnitude).max(0.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod fixture {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray};
    use arrow::record_batch::RecordBatch;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use crate::data::{Batch, ColumnRole, Key, Label, Role, Schema};
    use crate::derive::Sample;
    use crate::fold::{Detect, Fold, Given, Step};

    /// A block with these columns, and the models given once its sample was taken.
    pub(super) fn table(columns: Vec<(&str, Role, ArrayRef)>) -> (Schema, Batch, Given) {
        let roles = columns.iter().map(|(name, role, array)| ColumnRole {
            name: (*name).to_owned(),
            data_type: array.data_type().to_string(),
            role: *role,
            reason: String::new(),
            width: array.as_fixed_size_list_opt().map(|list| list.value_length() as usize),
        });
        let roles: Vec<ColumnRole> = roles.collect();
        let label = columns.iter().position(|(_, role, _)| *role == Role::Label).map(|column| {
            let mut counts = std::collections::BTreeMap::new();
            for value in crate::data::strings(&columns[column].2).iter().flatten() {
                *counts.entry(value.to_owned()).or_insert(0) += 1;
            }
            Label::new(column, "label".to_owned(), counts, 0)
        });
        let record = RecordBatch::try_from_iter(columns.into_iter().map(|(name, _, array)| (name, array))).unwrap();
        let rows = record.num_rows() as u64;
        let schema = Schema { arrow: record.schema(), columns: roles, label, rows, key: Key::from_seed(3), unit_bytes: 1 << 26 };
        let batch = Batch::new(Arc::new(schema.clone()), record, 0);
        let Ok(Step::Scan(brief)) = Sample.begin(&schema, &Given::default()) else { panic!("no scan") };
        let mut state = Sample.open(&brief);
        Sample.observe(&brief, &mut state, &batch).unwrap();
        let Ok(Step::Done(sample)) = Sample.close(&schema, &Given::default(), brief, state) else { panic!("no model") };
        let mut given = Given::default();
        given.insert("derive.sample", Arc::new(sample));
        (schema, batch, given)
    }

    /// As [`table`], then the detector's model and its scores of all rows.
    pub(super) fn scored<D: Detect>(detector: &D, columns: Vec<(&str, Role, ArrayRef)>) -> (D::Model, Batch, Vec<Option<f64>>) {
        let (schema, rows, given) = table(columns);
        let Ok(Step::Done(model)) = detector.begin(&schema, &given) else { panic!("no model") };
        let mut scores = vec![None; rows.rows()];
        detector.score(&model, &rows, &mut scores).unwrap();
        (model, rows, scores)
    }

    pub(super) fn normals(seed: u64, count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut one = || (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos();
        (0..count).map(|_| one()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Sample;
    use crate::fold::Detect;
    use crate::fold::law::{self, Fixture};

    fn keeps_the_laws<D: Detect>(make: impl Fn() -> D) {
        law::check(&make, &Fixture::new(law::healthy(), None).after(&Sample));
        law::survives(&make, |fixture| fixture.after(&Sample));
    }

    #[test]
    fn all_keep_the_laws() {
        keeps_the_laws(Copula::new);
        keeps_the_laws(Histogram::new);
        keeps_the_laws(Lof::new);
        keeps_the_laws(Residual::new);
        keeps_the_laws(|| Conjunction);
        keeps_the_laws(|| Contrast);
        keeps_the_laws(|| Missing);
        keeps_the_laws(|| Iforest);
        keeps_the_laws(|| Knn);
        keeps_the_laws(|| Maha);
        keeps_the_laws(|| Univariate);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(999.0, "999"), (0.123_456, "0.1235"), (12.30, "12.3"), (1.5e9, "1.500e9"), (-0.5, "-0.5"), (123_456.7, "123457")]
        {
            assert_eq!(short(value), text);
        }
        for value in [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            assert!(!short(value).is_empty());
        }
    }

    #[test]
    fn copies_are_bounded() {
        let model = |counts: Vec<u64>| SampleModel { keys: Vec::new(), rows: Vec::new(), counts, threshold: u64::MAX };
        assert_eq!(copies(&model(vec![1, 3, 1])), [1, 3, 1]);
        let flood = copies(&model(vec![1, u64::MAX, u64::MAX, 7]));
        assert!(flood.iter().sum::<usize>() <= MOST_COPIES as usize + 4, "{flood:?}");
        assert_eq!(flood[0], 1);
    }
}
