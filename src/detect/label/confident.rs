//! `label.confident`: confident learning on the class probabilities that the user gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Role, Schema};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::confident::{
    Joint, confidence_weighted_entropy, confident_class, normalized_margin, predicted, self_confidence, thresholds,
};

/// Probabilities are summed in units of this, so that sums merge exactly: good to 1e-9 and for 2^33 rows.
const UNITS: f64 = (1_u64 << 30) as f64;
/// Bytes of a kept value, with the room that it may take before the list is cut.
const BYTES_EACH: usize = 32;

#[doc = include_str!("confident.md")]
pub struct Confident;

static INFO: Info = Info {
    code: "label.confident",
    family: Family::Label,
    summary: "labels that the given class probabilities rank as doubtful (confident learning)",
    needs: &[Need::Classes, Need::Probabilities],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Note,
    fused: None,
    max_tier: Tier::Review,
    manual: include_str!("confident.md"),
};

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ConfidentBrief {
    /// Sum the probability of the label, by label.
    Sum,
    /// Count rows by label and by the class that they confidently are, for these thresholds.
    Count {
        /// Rows by label.
        rows: Vec<u64>,
        /// Thresholds by class.
        thresholds: Vec<f64>,
    },
    /// Keep the values that decide what is pruned.
    Prune(Quotas),
}

/// The joint, and how many rows to prune.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quotas {
    rows: Vec<u64>,
    thresholds: Vec<f64>,
    /// Calibrated joint, label by label.
    joint: Vec<u64>,
    /// Rows to prune by (label, class).
    by_noise_rate: BTreeMap<(u32, u32), u64>,
    /// Rows to prune by label.
    by_class: BTreeMap<u32, u64>,
}

/// What a worker gathers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ConfidentState {
    /// Rows and summed probabilities by label.
    Sums(Vec<(u64, u64)>),
    /// Rows by (label, class).
    Counts(BTreeMap<(u32, u32), u64>),
    /// Largest values by (label, class): margins `p(class) - p(label)`, and on the diagonal `-p(label)`.
    Largest(BTreeMap<(u32, u32), Largest>),
}

/// The largest of many values; merges exactly.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Largest {
    most: usize,
    values: Vec<f64>,
}

impl Largest {
    fn new(most: u64) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), values: Vec::new() }
    }

    fn add(&mut self, value: f64) {
        self.values.push(value);
        if self.values.len() >= self.most.saturating_mul(2).saturating_add(16) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.values.len() > self.most && self.most > 0 {
            self.values.select_nth_unstable_by(self.most - 1, |a, b| b.total_cmp(a));
        }
        self.values.truncate(self.most);
    }

    /// The smallest of the largest values.
    fn least(mut self) -> Option<f64> {
        self.cut();
        self.values.into_iter().min_by(f64::total_cmp)
    }
}

/// Thresholds, joint, and from which values on rows are pruned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidentModel {
    rows: Vec<u64>,
    thresholds: Vec<f64>,
    joint: Vec<u64>,
    /// Least margin that is pruned, by (label, class); `None` where pruning took too much memory.
    by_noise_rate: Option<BTreeMap<(u32, u32), f64>>,
    /// Largest probability of the label that is pruned, by label.
    by_class: Option<BTreeMap<u32, f64>>,
    /// Why there is no joint.
    reason: Option<String>,
}

/// What confident learning says of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// Probability of the label.
    pub self_confidence: f64,
    /// 0 where another class is certain, 1 where the label is.
    pub normalized_margin: f64,
    /// Entropy of the prediction weighted by the label's probability, turned so that low is doubtful.
    pub confidence_weighted_entropy: f64,
    /// The class that is predicted.
    pub predicted: usize,
    /// Off the diagonal of the joint: confidently of another class.
    pub confident_learning: bool,
    /// Pruned by the noise rate of a pair of classes.
    pub prune_by_noise_rate: bool,
    /// Pruned by the noise rate of its label.
    pub prune_by_class: bool,
}

impl Doubt {
    /// Whether another class is predicted.
    #[must_use]
    pub fn predicted_neq_given(&self, label: usize) -> bool {
        self.predicted != label
    }

    /// Pruned by both ways.
    #[must_use]
    pub fn both(&self) -> bool {
        self.prune_by_noise_rate && self.prune_by_class
    }
}

impl ConfidentModel {
    fn without(reason: String) -> Self {
        Self { rows: Vec::new(), thresholds: Vec::new(), joint: Vec::new(), by_noise_rate: None, by_class: None, reason: Some(reason) }
    }

    /// The calibrated joint of given (rows) and true labels (columns), label by label.
    #[must_use]
    pub fn joint(&self) -> &[u64] {
        &self.joint
    }

    /// Mean probability of each class among the rows labelled so.
    #[must_use]
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Judges one row; `None` where a probability is not one, or the label is unknown.
    #[must_use]
    pub fn judge(&self, probabilities: &[f32], label: u32) -> Option<Doubt> {
        let at = label as usize;
        if probabilities.len() != self.thresholds.len() || !usable(probabilities) {
            return None;
        }
        let own = *probabilities.get(at)?;
        let predicted = predicted(probabilities)?;
        // A row whose label is as likely as any is not pruned, whatever the quotas.
        let open = probabilities.iter().any(|p| *p > own) && self.rows.get(at).is_some_and(|rows| *rows > 1);
        let margin = |class: u32| probabilities.get(class as usize).map(|p| f64::from(*p) - f64::from(own));
        let mut cells = self.by_noise_rate.iter().flat_map(|cells| cells.range((label, 0)..=(label, u32::MAX)));
        let prune_by_noise_rate = open && cells.any(|((_, class), least)| margin(*class).is_some_and(|margin| margin >= *least));
        let most = self.by_class.as_ref().and_then(|labels| labels.get(&label));
        let class = confident_class(probabilities, &self.thresholds);
        Some(Doubt {
            self_confidence: self_confidence(probabilities, at)?,
            normalized_margin: normalized_margin(probabilities, at)?,
            confidence_weighted_entropy: confidence_weighted_entropy(probabilities, at)?,
            predicted,
            confident_learning: probabilities.iter().any(|p| *p > own) && class.is_some_and(|class| class != at),
            prune_by_noise_rate,
            prune_by_class: open && most.is_some_and(|most| f64::from(own) <= *most),
        })
    }
}

fn usable(probabilities: &[f32]) -> bool {
    probabilities.iter().all(|p| (0.0..=1.0).contains(p))
}

/// Rows with usable probabilities of all classes and a label.
fn each_row(rows: &Batch, classes: usize, mut with: impl FnMut(&[f32], u32)) -> Result<()> {
    let Some(given) = rows.probabilities()?.filter(|given| given.ncols() == classes) else { return Ok(()) };
    let given = given.as_standard_layout();
    for (row, label) in given.outer_iter().zip(rows.labels()) {
        if let Some((row, label)) = row.to_slice().zip(*label)
            && usable(row)
        {
            with(row, label);
        }
    }
    Ok(())
}

impl Quotas {
    fn new(rows: Vec<u64>, thresholds: Vec<f64>, counts: &BTreeMap<(u32, u32), u64>) -> Self {
        let classes = rows.len();
        let mut joint = Joint::zeros(classes);
        for ((label, class), count) in counts {
            joint.set(*label as usize, *class as usize, *count);
        }
        let joint = joint.calibrated(&rows);
        let to_prune = joint.to_prune();
        let (mut by_noise_rate, mut by_class) = (BTreeMap::new(), BTreeMap::new());
        for (label, held) in rows.iter().enumerate().filter(|(_, rows)| **rows > 1) {
            let pruned = held.saturating_sub(to_prune.at(label, label));
            if pruned > 0 {
                by_class.insert(label as u32, pruned);
            }
            for class in (0..classes).filter(|class| *class != label && to_prune.at(label, *class) > 0) {
                by_noise_rate.insert((label as u32, class as u32), to_prune.at(label, class));
            }
        }
        Self { rows, thresholds, joint: joint.cells().to_vec(), by_noise_rate, by_class }
    }

    /// Values that a state keeps.
    fn kept(&self) -> u64 {
        self.by_noise_rate.values().chain(self.by_class.values()).fold(0, |sum, quota| sum.saturating_add(*quota))
    }
}

impl Fold for Confident {
    type Brief = ConfidentBrief;
    type State = ConfidentState;
    type Model = ConfidentModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<ConfidentBrief, ConfidentModel>> {
        let classes = data.classes();
        let width = data.first(Role::Probabilities).and_then(|at| data.columns.get(at)).and_then(|column| column.width);
        if width != Some(classes) {
            let reason = format!("{classes} classes do not fit probabilities of {}", width.unwrap_or(0));
            return Ok(Step::Done(ConfidentModel::without(reason)));
        }
        if classes.saturating_mul(classes).saturating_mul(BYTES_EACH) > data.unit_bytes {
            return Ok(Step::Done(ConfidentModel::without(format!("the joint of {classes} classes takes too much memory"))));
        }
        Ok(Step::Scan(ConfidentBrief::Sum))
    }

    fn open(&self, brief: &ConfidentBrief) -> ConfidentState {
        match brief {
            ConfidentBrief::Sum => ConfidentState::Sums(Vec::new()),
            ConfidentBrief::Count { .. } => ConfidentState::Counts(BTreeMap::new()),
            ConfidentBrief::Prune(quotas) => {
                let cells = quotas.by_noise_rate.iter().map(|(cell, quota)| (*cell, *quota));
                let labels = quotas.by_class.iter().map(|(label, quota)| ((*label, *label), *quota));
                ConfidentState::Largest(cells.chain(labels).map(|(cell, quota)| (cell, Largest::new(quota))).collect())
            }
        }
    }

    fn observe(&self, brief: &ConfidentBrief, state: &mut ConfidentState, rows: &Batch) -> Result<()> {
        let classes = rows.schema().classes();
        match (brief, state) {
            (ConfidentBrief::Sum, ConfidentState::Sums(sums)) => {
                sums.resize(sums.len().max(classes), (0, 0));
                each_row(rows, classes, |row, label| {
                    if let Some(((rows, sum), p)) = sums.get_mut(label as usize).zip(row.get(label as usize)) {
                        *rows = rows.saturating_add(1);
                        *sum = sum.saturating_add((f64::from(*p) * UNITS).round() as u64);
                    }
                })
            }
            (ConfidentBrief::Count { thresholds, .. }, ConfidentState::Counts(counts)) => each_row(rows, classes, |row, label| {
                if let Some(class) = confident_class(row, thresholds) {
                    let count = counts.entry((label, class as u32)).or_default();
                    *count = count.saturating_add(1);
                }
            }),
            (ConfidentBrief::Prune(_), ConfidentState::Largest(cells)) => each_row(rows, classes, |row, label| {
                let Some(own) = row.get(label as usize) else { return };
                for ((_, class), largest) in cells.range_mut((label, 0)..=(label, u32::MAX)) {
                    let p = if *class == label { 0.0 } else { row.get(*class as usize).copied().unwrap_or(0.0) };
                    largest.add(f64::from(p) - f64::from(*own));
                }
            }),
            _ => Err(mixed()),
        }
    }

    fn merge(&self, _: &ConfidentBrief, into: &mut ConfidentState, from: ConfidentState) -> Result<()> {
        match (into, from) {
            (ConfidentState::Sums(into), ConfidentState::Sums(from)) => {
                into.resize(into.len().max(from.len()), (0, 0));
                for ((rows, sum), (more, plus)) in into.iter_mut().zip(from) {
                    *rows = rows.saturating_add(more);
                    *sum = sum.saturating_add(plus);
                }
            }
            (ConfidentState::Counts(into), ConfidentState::Counts(from)) => {
                for (cell, more) in from {
                    let count = into.entry(cell).or_default();
                    *count = count.saturating_add(more);
                }
            }
            (ConfidentState::Largest(into), ConfidentState::Largest(from)) => {
                for (cell, more) in from {
                    if let Some(largest) = into.get_mut(&cell) {
                        largest.values.extend(more.values);
                        largest.cut();
                    }
                }
            }
            _ => return Err(mixed()),
        }
        Ok(())
    }

    fn close(
        &self,
        data: &Schema,
        _: &Given,
        brief: ConfidentBrief,
        state: ConfidentState,
    ) -> Result<Step<ConfidentBrief, ConfidentModel>> {
        match (brief, state) {
            (ConfidentBrief::Sum, ConfidentState::Sums(mut sums)) => {
                sums.resize(data.classes(), (0, 0));
                let rows: Vec<u64> = sums.iter().map(|(rows, _)| *rows).collect();
                let sums: Vec<f64> = sums.iter().map(|(_, sum)| *sum as f64 / UNITS).collect();
                let thresholds = thresholds(&sums, &rows);
                Ok(Step::Scan(ConfidentBrief::Count { rows, thresholds }))
            }
            (ConfidentBrief::Count { rows, thresholds }, ConfidentState::Counts(counts)) => {
                let quotas = Quotas::new(rows, thresholds, &counts);
                let bytes = quotas.kept().saturating_mul(BYTES_EACH as u64);
                if bytes > data.unit_bytes as u64 {
                    let Quotas { rows, thresholds, joint, .. } = quotas;
                    let model = ConfidentModel { rows, thresholds, joint, by_noise_rate: None, by_class: None, reason: None };
                    return Ok(Step::Done(model));
                }
                Ok(Step::Scan(ConfidentBrief::Prune(quotas)))
            }
            (ConfidentBrief::Prune(quotas), ConfidentState::Largest(cells)) => {
                let Quotas { rows, thresholds, joint, .. } = quotas;
                let (mut by_noise_rate, mut by_class) = (BTreeMap::new(), BTreeMap::new());
                for ((label, class), largest) in cells {
                    let Some(least) = largest.least() else { continue };
                    if label == class {
                        by_class.insert(label, -least);
                    } else {
                        by_noise_rate.insert((label, class), least);
                    }
                }
                let (by_noise_rate, by_class) = (Some(by_noise_rate), Some(by_class));
                Ok(Step::Done(ConfidentModel { rows, thresholds, joint, by_noise_rate, by_class, reason: None }))
            }
            _ => Err(mixed()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        data.unit_bytes
    }
}

fn mixed() -> Error {
    Error::Detector { code: INFO.code, reason: "a state of another scan was given".to_owned() }
}

impl Detect for Confident {
    fn score(&self, model: &ConfidentModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(given) = rows.probabilities()? else { return Ok(()) };
        for ((slot, row), label) in out.iter_mut().zip(given.outer_iter()).zip(rows.labels()) {
            *slot = label.and_then(|label| model.judge(&row.to_vec(), label)).map(|doubt| 1.0 - doubt.normalized_margin);
        }
        Ok(())
    }

    fn explain(&self, model: &ConfidentModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let unjudged = || Error::Detector { code: INFO.code, reason: "a row that was not judged cannot be explained".to_owned() };
        let given = rows.probabilities()?.ok_or_else(unjudged)?;
        let label = rows.labels().get(row).copied().flatten().ok_or_else(unjudged)?;
        let probabilities = if row < given.nrows() { given.row(row).to_vec() } else { Vec::new() };
        let doubt = model.judge(&probabilities, label).ok_or_else(unjudged)?;
        let name = |class: usize| {
            let class = rows.schema().label.as_ref().and_then(|label| label.classes.get(class));
            class.map_or_else(String::new, |class| class.name.clone())
        };
        let (labelled, predicted) = (name(label as usize), name(doubt.predicted));
        let reason = format!("labelled '{labelled}' ({:.3}), given probabilities say '{predicted}'", doubt.self_confidence);
        let detail = [
            ("self_confidence", json!(doubt.self_confidence)),
            ("normalized_margin", json!(doubt.normalized_margin)),
            ("confidence_weighted_entropy", json!(doubt.confidence_weighted_entropy)),
            ("predicted", json!(predicted)),
            ("confident_learning", json!(doubt.confident_learning)),
            ("prune_by_noise_rate", json!(doubt.prune_by_noise_rate)),
            ("prune_by_class", json!(doubt.prune_by_class)),
        ];
        Ok(Evidence::new(reason, detail))
    }

    fn notes(&self, model: &ConfidentModel) -> Vec<String> {
        if let Some(reason) = &model.reason {
            return vec![reason.clone()];
        }
        let classes = model.rows.len();
        let right: u64 = model.joint.iter().step_by(classes + 1).sum();
        let all: u64 = model.joint.iter().sum();
        let pruned = if model.by_class.is_some() { "" } else { "; too many to say which within memory" };
        vec![format!("confident learning counts {} of {all} labels as wrong{pruned}", all - right)]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, StringArray};
    use arrow::datatypes::{DataType, Field};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::fold::law::{Fixture, check, model, survives};

    #[derive(Deserialize)]
    struct Case {
        labels: Vec<u32>,
        probabilities: Vec<Vec<f32>>,
        thresholds: Vec<f64>,
        joint: Vec<Vec<u64>>,
        issues: BTreeMap<String, Vec<usize>>,
        scores: BTreeMap<String, Vec<f64>>,
    }

    type Score = fn(&Doubt) -> f64;
    type Filter = fn(&Doubt, usize) -> bool;

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../../tests/golden/confident.json")).unwrap()
    }

    fn batch(probabilities: &[Vec<f32>], labels: &[Option<u32>]) -> RecordBatch {
        let width = i32::try_from(probabilities[0].len()).unwrap();
        let values = Float32Array::from_iter_values(probabilities.iter().flatten().copied());
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let lists: ArrayRef = Arc::new(FixedSizeListArray::new(item, width, Arc::new(values), None));
        let labels: ArrayRef = Arc::new(labels.iter().map(|label| label.map(|label| label.to_string())).collect::<StringArray>());
        RecordBatch::try_from_iter([("label", labels), ("pred_probs", lists)]).unwrap()
    }

    fn whole(case: &Case) -> RecordBatch {
        batch(&case.probabilities, &case.labels.iter().map(|label| Some(*label)).collect::<Vec<_>>())
    }

    #[test]
    fn equals_the_reference_implementation() {
        for case in cases() {
            let fixture = Fixture::new(whole(&case), Some("label"));
            let model = model(&Confident, &fixture.schema, &fixture.given, &[fixture.rows]);
            // Tolerances: 1e-6 on thresholds and scores; counts and sets are equal.
            for (ours, theirs) in model.thresholds().iter().zip(&case.thresholds) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
            }
            assert_eq!(model.joint(), case.joint.concat());
            let doubts: Vec<Doubt> =
                case.probabilities.iter().zip(&case.labels).map(|(row, label)| model.judge(row, *label).unwrap()).collect();
            let scores: [(&str, Score); 3] = [
                ("self_confidence", |doubt| doubt.self_confidence),
                ("normalized_margin", |doubt| doubt.normalized_margin),
                ("confidence_weighted_entropy", |doubt| doubt.confidence_weighted_entropy),
            ];
            for (name, score) in scores {
                for (doubt, theirs) in doubts.iter().zip(&case.scores[name]) {
                    assert!((score(doubt) - theirs).abs() < 1e-6, "{name}: {} {theirs}", score(doubt));
                }
            }
            let filters: [(&str, Filter); 5] = [
                ("prune_by_noise_rate", |doubt, _| doubt.prune_by_noise_rate),
                ("prune_by_class", |doubt, _| doubt.prune_by_class),
                ("both", |doubt, _| doubt.both()),
                ("confident_learning", |doubt, _| doubt.confident_learning),
                ("predicted_neq_given", |doubt, label| doubt.predicted_neq_given(label)),
            ];
            for (name, filter) in filters {
                let ours: Vec<usize> = (0..doubts.len()).filter(|&row| filter(&doubts[row], case.labels[row] as usize)).collect();
                assert_eq!(ours, case.issues[name], "{name}");
            }
        }
    }

    #[test]
    fn obeys_the_laws() {
        check(|| Confident, &Fixture::new(whole(&cases()[2]), Some("label")));
        survives(|| Confident, |fixture| fixture);
    }

    #[test]
    fn rows_that_cannot_be_judged_are_left_out() {
        let case = &cases()[0];
        let (mut probabilities, mut labels): (Vec<Vec<f32>>, Vec<Option<u32>>) =
            (case.probabilities.clone(), case.labels.iter().map(|label| Some(*label)).collect());
        for odd in [f32::NAN, f32::INFINITY, -0.5, 1.5] {
            probabilities.push(vec![odd, 0.2, 0.2, 0.2]);
            labels.push(Some(0));
        }
        probabilities.push(vec![0.25; 4]);
        labels.push(None);
        let clean = Fixture::new(whole(case), Some("label"));
        let odd = Fixture::with_schema(batch(&probabilities, &labels), Arc::clone(&clean.schema));
        let expected = model(&Confident, &clean.schema, &clean.given, &[clean.rows]);
        let found = model(&Confident, &odd.schema, &odd.given, std::slice::from_ref(&odd.rows));
        assert_eq!(found, expected);
        let block = Batch::new(Arc::clone(&odd.schema), odd.rows, 0);
        let mut scores = vec![None; labels.len()];
        Confident.score(&found, &block, &mut scores).unwrap();
        assert!(scores[..case.labels.len()].iter().all(Option::is_some) && scores[case.labels.len()..].iter().all(Option::is_none));
        assert!(Confident.explain(&found, &block, labels.len() - 1).is_err());
        assert!(Confident.explain(&found, &block, 0).unwrap().reason.contains("given probabilities say"));
    }

    #[test]
    fn a_joint_that_does_not_fit_is_said() {
        let fixture = Fixture::new(whole(&cases()[0]), Some("label")).unit_bytes(64);
        let model = model(&Confident, &fixture.schema, &fixture.given, &[fixture.rows]);
        assert!(Confident.notes(&model)[0].contains("too much memory"), "{model:?}");
    }
}
