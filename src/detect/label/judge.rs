//! What labels say of content: the fit of all parts, and what it makes of one row.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::stats::margin::{Margins, SecondGroup, margin};
use crate::stats::mixture::LabelMixture;
use crate::stats::multiple::PosteriorHistogram;
use crate::stats::tail::{normal_sf, poisson_binomial_sf};
use crate::stats::transition::TransitionMixture;

use super::noise::{Found, LabelNoise, Moved, Way, most_likely};

/// Most logits in a fit; of more rows, evenly spaced ones are taken.
const MOST_LOGITS: usize = 1 << 21;
/// Largest p-value of a claim.
const LEVEL: f64 = 0.01;
/// Largest family-wise p-value of a cell.
const CELL_LEVEL: f64 = 0.001;
/// Odds by which content may be wrong about its own certainty. Predictions are calibrated on average, not in their tails, and
/// a likelihood ratio takes that for wrong labels.
const TOLERATED_ODDS: f64 = 4.0;
/// Smallest share of labels drawn from the prior that the notes mention without a claim.
const LEAST_EPSILON: f64 = 0.01;
/// Share of the labels that probabilities of the user's may contradict before they are no judge of any.
const MOST_CONTRADICTED: f64 = 0.5;
/// The same of own content, of two classes, for a second group of margins to be asked; and the least share of each class that content must
/// recognise, because the rows of a class that it does not see are a group of their own as well.
const MOST_CONTRADICTED_OF_TWO: f64 = 0.1;
const LEAST_RECOGNISED: f64 = 0.6;
/// Largest p-value for a second group of margins.
const SECOND_GROUP_LEVEL: f64 = 1e-4;
/// Fewest rows of a cell that is a cause.
const LEAST_MOVED: f64 = 1.0;
/// How many times the probability of the label that of another class must be for the row to be named, whatever is claimed of all rows.
const CONTRADICTS: f64 = 4.0;
/// Least posterior of a row that belongs to a cell, whatever the rate.
const LEAST_MEMBER: f64 = 0.5;
/// False-discovery rate at which rows belong to a cell, and at which the notes say whether rows can be named.
const NAMED_AT: f64 = 0.10;
/// Factor on posteriors that carry no claim, where others do: under the lowest bin of posteriors that can be told from 0.
const NO_CLAIM_BESIDE: f64 = 1.0 / 1_025.0;
/// Factor on posteriors where nothing carries a claim: none can be listed at a rate below a half.
const NO_CLAIM: f64 = 0.5;

/// What was found about the labels, and what it may claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fitted {
    pub(super) base: LabelMixture,
    pub(super) noise: LabelNoise,
    /// Labels that content speaks against as a group of their own.
    second: Option<SecondGroup>,
    /// What may claim: cells by source class, then label, and labels that rows of all classes have.
    pub(super) cells: Vec<Moved>,
    /// Expected share of wrong labels among the rows of the fit, from what is claimed.
    pub(super) wrong: f64,
    /// Least posterior of a row that can be named, where any can.
    lowest: Option<f64>,
    /// Share of the rows of the fit that can be named.
    pub(super) named: f64,
    /// Share of the rows whose label content contradicts, where it contradicts too many to be believed.
    pub(super) too_weak: Option<f64>,
}

/// What is thought of one row's label.
pub(super) struct Judged {
    pub(super) score: f64,
    /// Index of the claiming cell that the row most probably came through, and the probability that it did.
    pub(super) cell: Option<(usize, f64)>,
    /// Class that the content says, with its calibrated probability.
    pub(super) says: (usize, f64),
}

/// Logits with labels, row by row.
pub(super) struct Rows {
    logits: Vec<f32>,
    labels: Vec<u32>,
    classes: usize,
}

impl Rows {
    /// `None` where shapes do not agree or there is nothing to fit.
    pub(super) fn new(logits: &Array2<f32>, labels: &[u32], classes: usize) -> Option<Self> {
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

/// Share of the rows whose label is not the most likely class.
fn contradicted(rows: &Rows) -> f64 {
    let margins = rows.iter().filter_map(|(row, label)| margin(row, label as usize));
    let (against, all) = margins.fold((0u64, 0u64), |(against, all), margin| (against + u64::from(margin < 0.0), all + 1));
    against as f64 / all.max(1) as f64
}

/// Whether own content tells two classes apart well enough for a group of margins to be wrong labels.
fn tells_two_apart(rows: &Rows) -> bool {
    if rows.classes != 2 || contradicted(rows) > MOST_CONTRADICTED_OF_TWO {
        return false;
    }
    let (mut own, mut all) = ([0u64; 2], [0u64; 2]);
    for (row, label) in rows.iter() {
        let Some((own, all)) = own.get_mut(label as usize).zip(all.get_mut(label as usize)) else { continue };
        *all += 1;
        *own += u64::from(margin(row, label as usize).is_some_and(|margin| margin > 0.0));
    }
    let recognised = |class: usize| all[class] > 0 && own[class] as f64 >= LEAST_RECOGNISED * all[class] as f64;
    recognised(0) && recognised(1)
}

impl Fitted {
    /// `linear` holds what a simpler model says of the same rows: what it shows of how labels came about stands where `rows` contradict
    /// enough labels that could have come so.
    pub(super) fn new(rows: &Rows, linear: Option<&Rows>, priors: &[f64], trusted: bool) -> Option<Self> {
        let noise = |rows: &Rows, beneath: Option<&Found>| {
            let base = LabelMixture::fit(&rows.logits, rows.classes, &rows.labels, priors)?;
            let already = exceeding(rows, priors, &base)?;
            Some((LabelNoise::fit(rows.iter(), &base, priors, &already, beneath)?, base))
        };
        let beneath = linear.and_then(|rows| noise(rows, None)).map(|(found, _)| found);
        let ((mut noise, mut cells), base) = noise(rows, beneath.as_ref())?;
        let too_weak = trusted.then(|| contradicted(rows)).filter(|share| *share > MOST_CONTRADICTED);
        // Of two classes all errors are of one kind, and only a hill of its own tells wrong labels from confusion.
        let tells = if trusted { too_weak.is_none() } else { tells_two_apart(rows) };
        let second = if tells { second_group(rows, base.beta) } else { None };
        if too_weak.is_some() {
            noise.uniform = false;
            cells.clear();
        }
        cells.retain(|cell| cell.expected >= LEAST_MOVED);
        let mut fitted = Self { base, noise, second, cells, wrong: 0.0, lowest: None, named: 0.0, too_weak };
        fitted.look_over(rows);
        Some(fitted)
    }

    /// Estimates how many labels of these rows are wrong, and how many of them would be listed.
    fn look_over(&mut self, rows: &Rows) {
        let judged: Vec<f64> = rows.iter().filter_map(|(row, label)| Some(self.judge(row, label)?.score)).collect();
        let mut histogram = PosteriorHistogram::default();
        for score in &judged {
            histogram.add(*score);
        }
        let count = judged.len().max(1) as f64;
        self.lowest = histogram.threshold(NAMED_AT).map(|lowest| lowest.max(LEAST_MEMBER));
        let named = judged.iter().filter(|score| self.lowest.is_some_and(|lowest| **score >= lowest)).count();
        let moved = self.cells.iter().map(|cell| cell.expected).sum::<f64>() / count;
        let drawn = if self.noise.uniform { self.noise.share } else { 0.0 };
        let apart = self.second.as_ref().map_or(0.0, |group| group.share);
        (self.wrong, self.named) = ((moved + drawn).max(apart), named as f64 / count);
    }

    pub(super) fn judge(&self, logits: &[f32], label: u32) -> Option<Judged> {
        if !logits.iter().all(|z| z.is_finite()) {
            return None;
        }
        let calibrated = self.base.calibrated(logits);
        let says = most_likely(&calibrated)?;
        let wrong = self.noise.wrong(&calibrated, label)?;
        let from = says.0 as u32;
        let came = |(at, claim): (usize, &Moved)| match claim.way {
            Way::Pair { from: of, to } => ((of, to) == (from, label)).then_some((at, wrong.moved)),
            Way::Toward(to) => (to == label && from != label).then_some((at, wrong.toward)),
            Way::Shift(_) => (wrong.shifted > 0.0).then_some((at, wrong.shifted)),
        };
        let cell = self.cells.iter().enumerate().filter_map(came).max_by(|a, b| a.1.total_cmp(&b.1));
        let margin = margin(logits, label as usize)?;
        let apart = self.second.as_ref().map_or(0.0, |group| group.posterior(self.base.beta * margin));
        let drawn = if self.noise.uniform { wrong.drawn } else { 0.0 };
        let own = *calibrated.get(label as usize)?;
        let other = calibrated.iter().enumerate().filter(|(class, _)| *class != label as usize).map(|(_, p)| *p).fold(0.0, f64::max);
        let most = if other < CONTRADICTS * own { NO_CLAIM } else { 1.0 };
        let claimed = if self.claims() { (wrong.moved + wrong.shifted + wrong.toward + drawn).max(apart).clamp(0.0, most) } else { 0.0 };
        let beside = if self.claims() { NO_CLAIM_BESIDE } else { NO_CLAIM };
        let ranked = beside * 0.5 * (1.0 + other - own);
        Some(Judged { score: claimed.max(ranked).clamp(0.0, 1.0), cell, says })
    }

    /// Claims no more than labels toward some of the classes that they are claimed toward.
    pub(super) fn keep_toward(&mut self, keep: impl Fn(u32) -> bool) {
        self.noise.uniform = false;
        self.second = None;
        self.cells.retain(|cell| matches!(cell.way, Way::Toward(to) if keep(to)));
    }

    /// Whether labels may be wrong although nothing is claimed.
    pub(super) fn suspects(&self) -> bool {
        self.base.p <= LEVEL && self.base.epsilon >= LEAST_EPSILON
    }

    /// The claiming cell that a row can be said to have come through.
    pub(super) fn member(&self, judged: &Judged) -> Option<usize> {
        judged.cell.filter(|(_, posterior)| self.lowest.is_some_and(|lowest| *posterior >= lowest)).map(|(at, _)| at)
    }

    pub(super) fn claims(&self) -> bool {
        self.noise.uniform || self.second.is_some() || !self.cells.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Rows of two classes, one in ten of the second, which content is now sure and now unsure of; a share of the labels is turned. Of the
    /// second class content sees the share `seen`.
    fn rows(turned: f64, seen: f64) -> (Rows, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut flat, mut labels, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..8_000u32 {
            let class = u32::from(row % 10 == 0);
            let says = if rng.random::<f64>() < seen { class } else { 0 };
            let sure: f64 = rng.random_range(0.0..10.0);
            let errs = rng.random::<f64>() < 1.0 / (1.0 + sure.exp());
            let margin = if (says == 1) == errs { sure } else { -sure };
            flat.extend([margin / 2.0, -margin / 2.0].map(|z| z as f32));
            let is_wrong = rng.random::<f64>() < turned;
            labels.push(if is_wrong { 1 - class } else { class });
            wrong.push(is_wrong);
        }
        (Rows::new(&Array2::from_shape_vec((labels.len(), 2), flat).unwrap(), &labels, 2).unwrap(), wrong)
    }

    fn listed(rows: &Rows) -> Vec<bool> {
        let fitted = Fitted::new(rows, None, &[0.9, 0.1], false).unwrap();
        rows.iter().map(|(row, label)| fitted.judge(row, label).unwrap().score >= 0.8).collect()
    }

    #[test]
    fn wrong_labels_of_two_classes_that_content_knows_are_a_group() {
        let (rows, wrong) = rows(0.03, 1.0);
        let listed = listed(&rows);
        let right = listed.iter().zip(&wrong).filter(|(listed, wrong)| **listed && **wrong).count();
        let (all, planted) = (listed.iter().filter(|listed| **listed).count(), wrong.iter().filter(|wrong| **wrong).count());
        assert!(2 * right >= planted && 10 * right >= 9 * all, "{right} of {all}, {planted} planted");
    }

    #[test]
    fn a_class_that_content_does_not_see_is_no_group() {
        assert!(!listed(&rows(0.0, 1.0).0).contains(&true), "labels are right");
        for (seen, tells) in [(1.0, true), (0.8, true), (0.4, false), (0.0, false)] {
            assert_eq!(tells_two_apart(&rows(0.0, seen).0), tells, "of the second class content sees {seen}");
        }
    }
}
