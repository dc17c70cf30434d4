//! How well a scan did, where the truth is known: what it listed and how it ranked, against the rows that are bad.

mod answer;
#[cfg(test)]
mod tests;
mod truth;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use answer::Answer;
pub use truth::{Flags, Truth};

use crate::error::Result;
use crate::finding::Verdict;
use crate::stats::ranking::{auroc, average_precision, precision_at_n};

/// Name and version of the document's form.
pub const SCHEMA: &str = "foretaste.evaluation/1";

/// What a scan is worth on one data set, against its truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the scan said of the whole set.
    pub verdict: Verdict,
    /// Rows whose truth is known; all figures are about these.
    pub rows: u64,
    /// Rows of them that are bad.
    pub bad: u64,
    /// Rows of the data that the truth says nothing of; they count neither way.
    pub unknown: u64,
    /// All that was listed, ranked by `combined`.
    pub overall: Measures,
    /// What each family listed, ranked by its own score.
    pub families: BTreeMap<String, Measures>,
    /// What each detector listed, ranked by its own score.
    pub detectors: BTreeMap<String, Measures>,
    /// The rows of each attack, where the truth names attacks.
    pub attacks: BTreeMap<String, Attack>,
}

/// Decisions and ranking against the truth. What has no meaning is `None`: a recall without a bad row, a precision without a listed one,
/// a ranking without scores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Rows listed.
    pub listed: u64,
    /// Bad rows listed.
    pub right: u64,
    /// Share of the bad rows that is listed.
    pub recall: Option<f64>,
    /// Share of the listed rows that is bad.
    pub precision: Option<f64>,
    /// Harmonic mean of recall and precision; 0 where bad rows exist and none is listed.
    pub f1: Option<f64>,
    /// Share of the good rows that is listed.
    pub false_positive_rate: Option<f64>,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Precision of as many rows as are bad.
    pub precision_at_n: Option<f64>,
}

/// How an attack fared: its rows against all good rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// Rows of the attack.
    pub rows: u64,
    /// Rows of it that are listed.
    pub listed: u64,
    /// Share of its rows that is listed.
    pub recall: f64,
    /// Area under the ROC curve of each score.
    pub auroc: BTreeMap<String, f64>,
}

/// The rows whose truth is known.
struct Joined {
    bad: Vec<bool>,
    /// Index of the attack.
    attack: Vec<Option<u32>>,
    /// Place of each row in the answer's scores; empty without scores.
    places: Vec<usize>,
    /// Index of each listed row among these rows; `None` where its truth is not known.
    listed: Vec<Option<usize>>,
}

impl Evaluation {
    /// Compares an answer with the truth.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] where rows of one cannot be found in the other.
    pub fn new(answer: &Answer, truth: &Truth) -> Result<Self> {
        let joined = truth.join(answer)?;
        let bad = joined.bad.iter().filter(|b| **b).count() as u64;
        let listed_by = |chosen: &dyn Fn(&answer::Listed) -> bool| -> Vec<usize> {
            answer.listed().iter().zip(&joined.listed).filter(|(l, _)| chosen(l)).filter_map(|(_, at)| *at).collect()
        };
        let ranked = |name: &str| -> Option<Vec<f64>> {
            let column = answer.score(name)?;
            Some(joined.places.iter().map(|&place| column.get(place).copied().unwrap_or(f64::NEG_INFINITY)).collect())
        };
        let measured = |listed: &[usize], scores: Option<Vec<f64>>| Measures::new(listed, &joined.bad, scores.as_deref());
        let every = listed_by(&|_| true);
        let names: BTreeSet<&str> = answer
            .score_names()
            .chain(answer.listed().iter().flat_map(|l| l.families.iter().chain(&l.codes).map(String::as_str)))
            .collect();
        let (mut families, mut detectors) = (BTreeMap::new(), BTreeMap::new());
        for name in names.into_iter().filter(|name| *name != answer::COMBINED) {
            let listed = listed_by(&|l| l.families.iter().chain(&l.codes).any(|n| n == name));
            let into = if name.contains('.') { &mut detectors } else { &mut families };
            into.insert(name.to_owned(), measured(&listed, ranked(name)));
        }
        let marked: BTreeSet<usize> = every.iter().copied().collect();
        let attacks = (0u32..).zip(&truth.attacks).map(|(number, name)| {
            let mine = |i: usize| joined.attack[i] == Some(number);
            let rows: Vec<usize> = (0..joined.bad.len()).filter(|&i| mine(i) && joined.bad[i]).collect();
            let listed = rows.iter().filter(|i| marked.contains(i)).count() as u64;
            // The rows of other attacks are neither hits nor misses of this one.
            let kept: Vec<usize> = (0..joined.bad.len()).filter(|&i| mine(i) || !joined.bad[i]).collect();
            let flags: Vec<bool> = kept.iter().map(|&i| joined.bad[i]).collect();
            let area = |name: &str| {
                let scores = ranked(name)?;
                Some((name.to_owned(), auroc(&kept.iter().map(|&i| scores[i]).collect::<Vec<f64>>(), &flags)?))
            };
            let auroc = answer.score_names().filter(|name| !name.contains('.')).filter_map(area).collect();
            let recall = if rows.is_empty() { 0.0 } else { listed as f64 / rows.len() as f64 };
            (name.clone(), Attack { rows: rows.len() as u64, listed, recall, auroc })
        });
        Ok(Self {
            schema: SCHEMA.to_owned(),
            verdict: answer.verdict(),
            rows: joined.bad.len() as u64,
            bad,
            unknown: answer.data_rows().saturating_sub(joined.bad.len() as u64),
            overall: measured(&every, ranked(answer::COMBINED)),
            families,
            detectors,
            attacks: attacks.filter(|(_, attack)| attack.rows > 0).collect(),
        })
    }
}

impl Measures {
    /// `listed` holds indices into `bad`; `scores` has one entry a row.
    fn new(listed: &[usize], bad: &[bool], scores: Option<&[f64]>) -> Self {
        let positives = bad.iter().filter(|b| **b).count() as u64;
        let negatives = bad.len() as u64 - positives;
        let right = listed.iter().filter(|&&i| bad[i]).count() as u64;
        let listed = listed.len() as u64;
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        Self {
            listed,
            right,
            recall: share(right, positives),
            precision: share(right, listed),
            f1: (positives > 0).then(|| 2.0 * right as f64 / (listed + positives) as f64),
            false_positive_rate: share(listed - right, negatives),
            auroc: scores.and_then(|s| auroc(s, bad)),
            average_precision: scores.and_then(|s| average_precision(s, bad)),
            precision_at_n: scores.and_then(|s| precision_at_n(s, bad)),
        }
    }
}
