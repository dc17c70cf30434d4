//! `label.crossfit`: labels that the rest of the data does not expect.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Role, Schema};
use crate::derive::Neighbours;
use crate::detect::without_scan;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::margin::{Margins, SecondGroup, margin};
use crate::stats::mixture::LabelMixture;
use crate::stats::multiple::PosteriorHistogram;
use crate::stats::tail::{normal_sf, poisson_binomial_sf};
use crate::stats::transition::TransitionMixture;

use super::noise::{LabelNoise, Moved, most_likely};

/// Code of the unit whose column holds the logits.
const CONTENT: &str = "derive.content";
/// Most logits in a fit; of more rows, evenly spaced ones are taken.
const MOST_LOGITS: usize = 1 << 21;
/// Largest p-value of a claim.
const LEVEL: f64 = 0.01;
/// Largest family-wise p-value of a cell.
const CELL_LEVEL: f64 = 0.001;
/// Smallest share of labels drawn from the prior that the notes mention without a claim.
const LEAST_EPSILON: f64 = 0.01;
/// Odds by which content may be wrong about its own certainty. Predictions are calibrated on average, not in their tails, and
/// a likelihood ratio takes that for wrong labels.
const TOLERATED_ODDS: f64 = 4.0;
/// Largest p-value for a second group of margins.
const SECOND_GROUP_LEVEL: f64 = 1e-4;
/// Fewest rows of a cell that may be called an attack.
const ATTACK_ROWS: f64 = 10.0;
/// A cell is one-directional where its reverse has at most this share of its rows.
const ONE_WAY: f64 = 1.0 / 3.0;
/// False-discovery rate at which the notes say whether rows can be named.
const NAMED_AT: f64 = 0.10;
/// Where less than this share of the wrong labels can be named, the notes say so.
const FEW_NAMED: f64 = 0.2;
/// Factor on posteriors that carry no claim, where others do: under the lowest bin of posteriors that can be told from 0.
const NO_CLAIM_BESIDE: f64 = 1.0 / 1_025.0;
/// Factor on posteriors where nothing carries a claim: none can be listed at a rate below a half.
const NO_CLAIM: f64 = 0.5;

/// Finds the logits of the sample's labelled rows (rows × classes) and their labels in the models given.
pub type SampleLogits = fn(&Given) -> Option<(Array2<f32>, Vec<u32>)>;

#[doc = include_str!("crossfit.md")]
pub struct Crossfit {
    logits: SampleLogits,
    neighbours: fn(&Given) -> Option<Neighbours>,
}

static INFO: Info = Info {
    code: "label.crossfit",
    family: Family::Label,
    summary: "labels that contradict the content, judged by a model that did not see the row",
    needs: &[Need::Classes],
    after: &[
        "derive.sample",
        CONTENT,
        "trigger.activation",
        "trigger.patch",
        "trigger.rule",
        "trigger.set",
        "trigger.spectral",
        "trigger.token",
    ],
    reads: &[CONTENT],
    law: Law::Exact,
    version: 1,
    claim: Claim::Posterior,
    fused: false,
    max_tier: Tier::Alarm,
    manual: include_str!("crossfit.md"),
};

/// How labels come about, as far as content tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CrossfitModel {
    /// Share of each class among the labels.
    priors: Vec<f64>,
    /// Names of the classes.
    names: Vec<String>,
    /// Rows of the set for each row of the fit.
    rows_each: f64,
    /// `None` where no content could be judged.
    fitted: Option<Fitted>,
    /// Finds the rows that a listed row is most like.
    neighbours: Option<Neighbours>,
}

/// What was found about the labels, and what it may claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    base: LabelMixture,
    noise: LabelNoise,
    /// Labels that content speaks against as a group of their own.
    second: Option<SecondGroup>,
    /// The cells that may claim, by source class, then label.
    cells: Vec<Moved>,
    /// Expected share of wrong labels among the rows of the fit, from what is claimed.
    wrong: f64,
    /// Share of the rows of the fit that can be named.
    named: f64,
}

/// What is thought of one row's label.
struct Judged {
    score: f64,
    /// Probability that the label is wrong, from what is claimed.
    claimed: f64,
    /// Index of the claiming cell that the row most probably came through, and the probability that it did.
    cell: Option<(usize, f64)>,
    /// Class that the content says, with its calibrated probability.
    says: (usize, f64),
}

/// Logits with labels, row by row.
struct Rows {
    logits: Vec<f32>,
    labels: Vec<u32>,
    classes: usize,
}

impl Rows {
    /// `None` where shapes do not agree or there is nothing to fit.
    fn new(logits: &Array2<f32>, labels: &[u32], classes: usize) -> Option<Self> {
        if logits.dim() != (labels.len(), classes) || logits.is_empty() {
            return None;
        }
        let step = logits.len() / MOST_LOGITS + 1;
        let taken = || (0..labels.len()).step_by(step);
        let logits = taken().flat_map(|i| logits.row(i).to_vec()).collect();
        Some(Self { logits, labels: taken().filter_map(|i| labels.get(i).copied()).collect(), classes })
    }

    fn iter(&self) -> impl Iterator<Item = (&[f32], u32)> {
        self.logits.chunks_exact(self.classes).zip(self.labels.iter().copied())
    }
}

/// Trials against the effect-size null: each row may do what its content makes it do with odds up to [`TOLERATED_ODDS`] times
/// those that content gives.
#[derive(Default)]
struct Excess {
    null: Vec<f64>,
    seen: u64,
}

impl Excess {
    fn add(&mut self, probability: f64, happened: bool) {
        let odds = TOLERATED_ODDS * probability;
        self.null.push((odds / (1.0 - probability + odds)).clamp(0.0, 1.0));
        self.seen += u64::from(happened);
    }

    fn p(&self) -> f64 {
        poisson_binomial_sf(self.seen, &self.null)
    }
}

/// Cells (from, to) that have more rows than content explains with tolerated odds, with their p-values.
fn exceeding(rows: &Rows, priors: &[f64], base: &LabelMixture) -> Option<BTreeMap<(u32, u32), f64>> {
    let transitions = TransitionMixture::fit(&rows.logits, rows.classes, &rows.labels, priors, base, CELL_LEVEL)?;
    let mut through: BTreeMap<(u32, u32), Excess> =
        transitions.cells().iter().map(|cell| ((cell.from, cell.to), Excess::default())).collect();
    for (row, label) in rows.iter().filter(|(row, _)| row.iter().all(|z| z.is_finite())) {
        let content = base.calibrated(row);
        let Some((top, _)) = most_likely(&content) else { continue };
        let from = top as u32;
        for ((_, to), excess) in through.range_mut((from, 0)..=(from, u32::MAX)) {
            excess.add(content.get(*to as usize).copied().unwrap_or(0.0), *to == label);
        }
    }
    let possible = priors.len() as f64 * (priors.len() as f64 - 1.0);
    let claims = transitions.cells().iter().filter_map(|cell| {
        // Both the likelihood ratio and the effect-size null must be refuted.
        let p = through.get(&(cell.from, cell.to))?.p().max(normal_sf(cell.lrt.max(0.0).sqrt()));
        (p * possible <= LEVEL).then_some(((cell.from, cell.to), p))
    });
    Some(claims.collect())
}

/// The labels that content speaks against as a group of their own.
fn second_group(rows: &Rows, beta: f64) -> Option<SecondGroup> {
    let mut margins = Margins::default();
    for margin in rows.iter().filter_map(|(row, label)| margin(row, label as usize)) {
        margins.add(beta * margin);
    }
    margins.second_group(SECOND_GROUP_LEVEL)
}

impl Fitted {
    fn new(rows: &Rows, priors: &[f64], trusted: bool) -> Option<Self> {
        let base = LabelMixture::fit(&rows.logits, rows.classes, &rows.labels, priors)?;
        let already = exceeding(rows, priors, &base)?;
        let (noise, cells) = LabelNoise::fit(rows.iter(), &base, priors, &already)?;
        let second = if trusted { second_group(rows, base.beta) } else { None };
        let mut fitted = Self { base, noise, second, cells, wrong: 0.0, named: 0.0 };
        fitted.look_over(rows, priors);
        Some(fitted)
    }

    /// Estimates how many labels of these rows are wrong, and how many of them would be listed.
    fn look_over(&mut self, rows: &Rows, priors: &[f64]) {
        let (mut judged, mut histogram, mut wrong) = (Vec::new(), PosteriorHistogram::default(), 0.0);
        for (row, label) in rows.iter() {
            if let Some(row) = self.judge(row, label, priors) {
                histogram.add(row.score);
                wrong += row.claimed;
                judged.push(row.score);
            }
        }
        let count = judged.len().max(1) as f64;
        let named = histogram.threshold(NAMED_AT).map_or(0, |lowest| judged.iter().filter(|score| **score >= lowest).count());
        (self.wrong, self.named) = (wrong / count, named as f64 / count);
    }

    fn judge(&self, logits: &[f32], label: u32, priors: &[f64]) -> Option<Judged> {
        if !logits.iter().all(|z| z.is_finite()) {
            return None;
        }
        let calibrated = self.base.calibrated(logits);
        let says = most_likely(&calibrated)?;
        let wrong = self.noise.wrong(&calibrated, label, priors)?;
        let cell = self.cells.iter().position(|cell| (cell.from as usize, cell.to) == (says.0, label)).map(|at| (at, wrong.moved));
        let margin = margin(logits, label as usize)?;
        let apart = self.second.as_ref().map_or(0.0, |group| group.posterior(self.base.beta * margin));
        let claimed = (wrong.moved + if self.noise.uniform { wrong.drawn } else { 0.0 }).max(apart).clamp(0.0, 1.0);
        let own = *calibrated.get(label as usize)?;
        let other = calibrated.iter().enumerate().filter(|(class, _)| *class != label as usize).map(|(_, p)| *p).fold(0.0, f64::max);
        let beside = if self.claims() { NO_CLAIM_BESIDE } else { NO_CLAIM };
        let ranked = beside * 0.5 * (1.0 + other - own);
        Some(Judged { score: claimed.max(ranked).clamp(0.0, 1.0), claimed, cell, says })
    }

    fn claims(&self) -> bool {
        self.noise.uniform || self.second.is_some() || !self.cells.is_empty()
    }
}

impl CrossfitModel {
    fn fit(data: &Schema, given: Option<(Array2<f32>, Vec<u32>)>) -> Self {
        let priors = data.priors();
        let classes = || data.label.iter().flat_map(|label| &label.classes);
        let rows = given.and_then(|(logits, labels)| Rows::new(&logits, &labels, priors.len()));
        // Given probabilities are taken to know the class wherever they are sure; our own content may be sure and blind.
        let trusted = data.first(Role::Probabilities).is_some();
        let fitted = rows.and_then(|rows| Fitted::new(&rows, &priors, trusted));
        let labelled: u64 = classes().map(|class| class.rows).sum();
        let rows_each = fitted.as_ref().map_or(1.0, |fitted| labelled as f64 / fitted.base.rows.max(1) as f64).max(1.0);
        Self { names: classes().map(|class| class.name.clone()).collect(), priors, rows_each, fitted, neighbours: None }
    }

    fn judge(&self, logits: ArrayView1<f32>, label: Option<u32>) -> Option<Judged> {
        let logits = logits.to_vec();
        if logits.len() != self.priors.len() {
            return None;
        }
        self.fitted.as_ref()?.judge(&logits, label?, &self.priors)
    }

    fn name(&self, class: usize) -> &str {
        self.names.get(class).map_or("", String::as_str)
    }

    fn group(&self, cell: &Moved, tests: u64) -> Group {
        let (from, to) = (self.name(cell.from as usize), self.name(cell.to as usize));
        let rows = (cell.expected * self.rows_each).round() as u64;
        let attack = cell.expected >= ATTACK_ROWS && cell.reverse < ONE_WAY * cell.expected;
        let evidence = json!({
            "from": from, "to": to, "rate": cell.rate, "reverse_rows": (cell.reverse * self.rows_each).round(),
        });
        Group {
            title: format!("about {rows} rows of class {from} are labelled {to}, more than confusion explains"),
            cause: format!("labels moved from {from} to {to}"),
            attack_class: "label_flip".to_owned(),
            rows,
            agreeing: rows,
            label: Some(to.to_owned()),
            background: None,
            statistic: "likelihood ratio".to_owned(),
            value: cell.lrt,
            p: cell.p,
            tests,
            max_tier: if attack { Tier::Alarm } else { Tier::Suspect },
            examples: Vec::new(),
            evidence: evidence.as_object().cloned().unwrap_or_default(),
        }
    }
}

impl Crossfit {
    /// The detector, with a way to find the logits that it is fitted to.
    #[must_use]
    pub fn new(logits: SampleLogits) -> Self {
        Self { logits, neighbours: |_| None }
    }

    /// With a way to find the rows that a listed row is most like, which its reason then names.
    #[must_use]
    pub fn beside(self, neighbours: fn(&Given) -> Option<Neighbours>) -> Self {
        Self { neighbours, ..self }
    }
}

impl Fold for Crossfit {
    type Model = CrossfitModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), CrossfitModel>> {
        Ok(Step::Done(CrossfitModel { neighbours: (self.neighbours)(given), ..CrossfitModel::fit(data, (self.logits)(given)) }))
    }
}

impl Detect for Crossfit {
    fn score(&self, model: &CrossfitModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(logits) = rows.derived(CONTENT) else { return Ok(()) };
        for ((slot, row), &label) in out.iter_mut().zip(logits.outer_iter()).zip(rows.labels()) {
            *slot = model.judge(row, label).map(|judged| judged.score);
        }
        Ok(())
    }

    fn groups(&self, model: &CrossfitModel) -> Vec<Group> {
        let classes = model.priors.len() as u64;
        let claims = model.fitted.iter().flat_map(|fitted| &fitted.cells);
        claims.map(|claim| model.group(claim, classes * classes.saturating_sub(1))).collect()
    }

    fn members(&self, model: &CrossfitModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        let Some(logits) = rows.derived(CONTENT) else { return Ok(()) };
        for ((slot, row), &label) in out.iter_mut().zip(logits.outer_iter()).zip(rows.labels()) {
            let cell = model.judge(row, label).and_then(|judged| judged.cell);
            *slot = cell.filter(|(_, posterior)| *posterior >= 0.5).map(|(at, _)| at as u32);
        }
        Ok(())
    }

    fn explain(&self, model: &CrossfitModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let wrong = |reason: &str| Error::Detector { code: INFO.code, reason: reason.to_owned() };
        let logits = rows.derived(CONTENT).ok_or_else(|| wrong("the content column is missing"))?;
        let label = rows.labels().get(row).copied().flatten();
        let judged = (row < logits.nrows()).then(|| model.judge(logits.row(row), label)).flatten();
        let (judged, label) = judged.zip(label).ok_or_else(|| wrong("a row that was not judged cannot be explained"))?;
        let (labelled, (class, share)) = (model.name(label as usize), judged.says);
        let says = model.name(class);
        let detail =
            [("label", json!(labelled)), ("suggested", json!(says)), ("probability", json!(share)), ("posterior", json!(judged.score))];
        let mut reason = format!("labelled '{labelled}', content says '{says}' ({share:.2})");
        if let Some(neighbours) = &model.neighbours {
            let labels = neighbours.labels(rows, row)?;
            let alike = labels.iter().filter(|label| **label as usize == class).count();
            reason = format!("{reason}; {alike} of {} nearest rows are '{says}'", labels.len());
        }
        Ok(Evidence::new(reason, detail))
    }

    fn notes(&self, model: &CrossfitModel) -> Vec<String> {
        let Some(fitted) = &model.fitted else {
            return vec!["content could not be judged".to_owned()];
        };
        let wrong = fitted.wrong;
        let mut notes = Vec::new();
        let suspected = fitted.base.p <= LEVEL && fitted.base.epsilon >= LEAST_EPSILON;
        let weak = if fitted.named < FEW_NAMED * wrong { "; content is too weak to say which" } else { "" };
        if fitted.claims() {
            notes.push(format!("about {:.1} % of labels look wrong{weak}", 100.0 * wrong));
        } else if suspected {
            let most = fitted.base.epsilon * (1.0 - model.priors.iter().map(|p| p * p).sum::<f64>());
            notes.push(format!(
                "up to about {:.1} % of labels may be wrong, or content is less sure than it seems; it is too weak to say which",
                100.0 * most
            ));
        } else {
            notes.push("no more labels contradict content than confusion explains".to_owned());
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::{ColumnRole, Key, Label};

    const ROWS: usize = 3_000;
    const CLASSES: usize = 6;

    fn draw(rng: &mut ChaCha8Rng, logits: &[f32], sharpness: f32) -> u32 {
        let weights: Vec<f64> = logits.iter().map(|z| f64::from(sharpness * z).exp()).collect();
        let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
        let class = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        class.unwrap_or(0) as u32
    }

    /// Logits of classes that are `apart` nats apart, give or take half of it, and labels drawn from them: honest, or where
    /// every other row is harder than its logits say.
    fn simulate(seed: u64, apart: f32, hard: f32) -> (Array2<f32>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut logits = Array2::from_shape_simple_fn((ROWS, CLASSES), || rng.random_range(-1.0..1.0));
        let mut labels = Vec::new();
        for (i, mut row) in logits.outer_iter_mut().enumerate() {
            row[i % CLASSES] += apart * rng.random_range(0.5..1.5);
            labels.push(draw(&mut rng, &row.to_vec(), if i % 2 == 0 { 1.0 } else { hard }));
        }
        (logits, labels)
    }

    /// Replaces every `every`th label by a uniform one; the rows whose label changed.
    fn flip(labels: &mut [u32], every: usize, seed: u64) -> Vec<bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let clean = labels.to_vec();
        for label in labels.iter_mut().step_by(every) {
            *label = rng.random_range(0..CLASSES as u32);
        }
        labels.iter().zip(clean).map(|(now, before)| *now != before).collect()
    }

    fn batch(logits: Array2<f32>, labels: &[u32]) -> (Schema, Batch) {
        let column: ArrayRef = Arc::new(labels.iter().map(|l| Some(format!("c{l}"))).collect::<StringArray>());
        let record = RecordBatch::try_from_iter([("label", column)]).unwrap();
        let role = ColumnRole { name: "label".into(), data_type: "Utf8".into(), role: Role::Label, reason: String::new(), width: None };
        let counts = (0..CLASSES as u32).map(|k| (format!("c{k}"), labels.iter().filter(|l| **l == k).count() as u64));
        let schema = Schema {
            arrow: record.schema(),
            columns: vec![role],
            label: Some(Label::new(0, "label".into(), counts, 0)),
            rows: labels.len() as u64,
            key: Key::from_seed(1),
            unit_bytes: 1 << 20,
        };
        let batch = Batch::new(Arc::new(schema.clone()), record, 0);
        batch.derive(CONTENT, logits);
        (schema, batch)
    }

    /// Fits, scores and lists: model, scores, rows listed at 10 %.
    fn run(logits: &Array2<f32>, labels: &[u32]) -> (CrossfitModel, Batch, Vec<Option<f64>>, Vec<bool>) {
        let (schema, batch) = batch(logits.clone(), labels);
        let model = CrossfitModel::fit(&schema, Some((logits.clone(), labels.to_vec())));
        let mut scores = vec![None; labels.len()];
        Crossfit::new(|_| None).score(&model, &batch, &mut scores).unwrap();
        let mut histogram = PosteriorHistogram::default();
        scores.iter().flatten().for_each(|score| histogram.add(*score));
        let listed = scores.iter().map(|s| histogram.threshold(0.1).is_some_and(|lowest| s.is_some_and(|s| s >= lowest))).collect();
        (model, batch, scores, listed)
    }

    fn both(a: &[bool], b: &[bool]) -> usize {
        a.iter().zip(b).filter(|(a, b)| **a && **b).count()
    }

    fn count(which: &[bool]) -> usize {
        which.iter().filter(|w| **w).count()
    }

    #[test]
    fn clean_labels_are_not_listed() {
        for seed in 0..12 {
            // Separated, overlapping, and content that is surer than it should be in half of the rows.
            for (apart, hard) in [(8.0, 1.0), (3.0, 1.0), (8.0, 0.6)] {
                let (logits, labels) = simulate(seed, apart, hard);
                let (model, _, _, listed) = run(&logits, &labels);
                assert_eq!(count(&listed), 0, "seed {seed}, {apart}, {hard}");
                assert!(Crossfit::new(|_| None).groups(&model).is_empty());
            }
        }
    }

    #[test]
    fn uniform_flips_are_listed() {
        for seed in 20..26 {
            let (logits, mut labels) = simulate(seed, 10.0, 1.0);
            let wrong = flip(&mut labels, 17, seed);
            let (model, batch, _, listed) = run(&logits, &labels);
            let (planted, found, right) = (count(&wrong), count(&listed), both(&wrong, &listed));
            assert!(right * 10 >= planted * 6, "seed {seed}: {right} of {planted}");
            assert!(right * 100 >= found * 85, "seed {seed}: {right} of {found}");
            let row = (0..ROWS).find(|&i| wrong[i] && listed[i]).unwrap();
            let evidence = Crossfit::new(|_| None).explain(&model, &batch, row).unwrap();
            let expected = format!("labelled 'c{}', content says 'c{}' (", labels[row], row % CLASSES);
            assert!(evidence.reason.starts_with(&expected), "{}", evidence.reason);
            let notes = Crossfit::new(|_| None).notes(&model);
            assert!(notes[0].ends_with("% of labels look wrong"), "{notes:?}");
        }
    }

    #[test]
    fn targeted_flips_are_one_cause() {
        let (logits, mut labels) = simulate(40, 10.0, 1.0);
        let moved: Vec<usize> = (0..ROWS).filter(|&i| labels[i] == 2).step_by(8).collect();
        for &i in &moved {
            labels[i] = 4;
        }
        let (model, batch, _, _) = run(&logits, &labels);
        let groups = Crossfit::new(|_| None).groups(&model);
        let [group] = &groups[..] else { panic!("{groups:?}") };
        assert!(group.title.contains("rows of class c2 are labelled c4"), "{}", group.title);
        assert!(group.rows.abs_diff(moved.len() as u64) <= 10 && group.p * (group.tests as f64) < 1e-9, "{group:?}");
        assert_eq!((group.tests, group.max_tier, group.label.as_deref()), (30, Tier::Alarm, Some("c4")));
        let mut members = vec![None; ROWS];
        Crossfit::new(|_| None).members(&model, &batch, &mut members).unwrap();
        let found = moved.iter().filter(|&&i| members[i] == Some(0)).count();
        let all = members.iter().flatten().count();
        assert!(found * 10 >= moved.len() * 9 && found * 10 >= all * 9, "{found} of {all}");
    }

    #[test]
    fn scores_without_a_claim_still_rank() {
        let (logits, mut labels) = simulate(50, 3.0, 1.0);
        let wrong = flip(&mut labels, 60, 50);
        let (model, _, scores, listed) = run(&logits, &labels);
        assert!(!model.fitted.as_ref().unwrap().claims() && count(&listed) == 0);
        let mean = |which: bool| {
            let of: Vec<f64> = scores.iter().zip(&wrong).filter(|(_, w)| **w == which).filter_map(|(s, _)| *s).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(true) > 2.0 * mean(false), "{} {}", mean(true), mean(false));
        assert!(scores.iter().flatten().all(|s| *s > 0.0 && *s <= 0.5));
    }

    #[test]
    fn what_cannot_be_judged_has_no_score() {
        let (mut logits, labels) = simulate(60, 8.0, 1.0);
        logits.row_mut(3).fill(f32::NAN);
        logits[(4, 1)] = f32::INFINITY;
        let (_, _, scores, _) = run(&logits, &labels);
        assert_eq!((scores[3], scores[4]), (None, None));
        assert!(scores[5].is_some());
        let (schema, batch) = batch(logits, &labels);
        for given in [
            None,
            Some((Array2::zeros((0, CLASSES)), vec![])),
            Some((Array2::zeros((2, 3)), vec![0, 1])),
            Some((Array2::zeros((2, CLASSES)), vec![0, 77])),
        ] {
            let model = CrossfitModel::fit(&schema, given);
            let mut out = vec![None; ROWS];
            let crossfit = Crossfit::new(|_| None);
            crossfit.score(&model, &batch, &mut out).unwrap();
            assert!(out.iter().all(Option::is_none) && crossfit.groups(&model).is_empty());
            assert_eq!(crossfit.notes(&model), ["content could not be judged"]);
            assert!(crossfit.explain(&model, &batch, 3).is_err());
        }
    }
}
