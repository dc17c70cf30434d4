//! A naive Bayes guess of a row's label from its features, without the row itself and without chosen features.
//!
//! The evidence of a feature f for class k is `ln((c_fk + a·π_k) / ((c_f + a)·π_k))`, with `c_fk` the rows of class k that
//! hold f, π the class priors and a a pseudo-count; the row's own count is taken out. Evidence adds up and is tempered by
//! one factor β, fitted by leave-one-out likelihood, since features are far from independent.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::derive::softmax;

/// Pseudo-count of every feature.
const PSEUDO: f64 = 2.0;
/// Tempering factors tried.
const BETAS: [f64; 12] = [0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0];

/// Rows that hold a feature, by class, ascending.
pub(super) type ClassCounts = Vec<(u32, u32)>;

/// The guesser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bayes {
    counts: FxHashMap<u64, ClassCounts>,
    priors: Vec<f64>,
    beta: f64,
}

impl Bayes {
    /// A guesser from feature counts; `sample` holds rows with their features for the tempering.
    pub(super) fn fit(counts: FxHashMap<u64, ClassCounts>, priors: Vec<f64>, sample: &[(&[u64], u32)]) -> Self {
        let mut bayes = Self { counts, priors, beta: 1.0 };
        let likelihood = |bayes: &Self, beta: f64| -> f64 {
            sample
                .iter()
                .map(|(features, label)| bayes.probability(&bayes.evidence(features, Some(*label)), beta, *label).max(1e-9).ln())
                .sum()
        };
        let best = BETAS.iter().map(|&beta| (likelihood(&bayes, beta), beta)).max_by(|a, b| a.0.total_cmp(&b.0));
        bayes.beta = best.map_or(0.1, |(_, beta)| beta);
        bayes
    }

    /// Summed evidence for each class of features, with one row of class `own` taken out of every count.
    pub(super) fn evidence(&self, features: &[u64], own: Option<u32>) -> Vec<f64> {
        let mut sum = vec![0.0; self.priors.len()];
        self.add(&mut sum, features, own, 1.0);
        sum
    }

    fn add(&self, sum: &mut [f64], features: &[u64], own: Option<u32>, sign: f64) {
        let mut common = 0.0;
        for counts in features.iter().filter_map(|f| self.counts.get(f)) {
            let total: f64 = counts.iter().map(|(_, n)| f64::from(*n)).sum::<f64>() - f64::from(u8::from(own.is_some()));
            common += (PSEUDO / (total.max(0.0) + PSEUDO)).ln();
            for &(class, n) in counts {
                let n = f64::from(n) - f64::from(u8::from(own == Some(class)));
                if let (Some(slot), Some(prior)) = (sum.get_mut(class as usize), self.priors.get(class as usize)) {
                    *slot += sign * (1.0 + n.max(0.0) / (PSEUDO * prior.max(1e-9))).ln();
                }
            }
        }
        for slot in sum.iter_mut() {
            *slot += sign * common;
        }
    }

    /// Probability of a class for a row whose summed evidence is `evidence`, without some of its features.
    pub(super) fn without(&self, evidence: &[f64], features: &[u64], own: Option<u32>, class: u32) -> f64 {
        let mut rest = evidence.to_vec();
        self.add(&mut rest, features, own, -1.0);
        self.probability(&rest, self.beta, class)
    }

    fn probability(&self, evidence: &[f64], beta: f64, class: u32) -> f64 {
        let logits: Vec<f64> = evidence.iter().zip(&self.priors).map(|(e, prior)| beta * e + prior.max(1e-12).ln()).collect();
        softmax(&logits).get(class as usize).copied().unwrap_or(0.0)
    }
}
