//! Two groups of margins: labels that content supports, and a second group that it speaks against.
//!
//! A row's margin is the logit of its label less the largest other one. Among right labels margins thin out towards the left:
//! the more content speaks against a label, the rarer it is. A second hill left of a valley does not come from them, whatever
//! the scale of the logits, as long as content is sometimes unsure; where it never is, its own mistakes make such a hill. Left
//! of the valley the right labels are taken to thin out as fast as just right of it (a log-linear tail, after the empirical
//! null of Efron 2004), which gives the local false discovery rate without a model of either group.

use serde::{Deserialize, Serialize};

use super::tail::binomial_sf;

/// Margins beyond this, in nats, share the outermost bin.
const WIDEST: usize = 16;
/// Bins of one nat.
const BINS: usize = 2 * WIDEST;
/// Bins left of margin 0 that hold no hill: there, rows that content is unsure of can gather in any set.
const UNSURE: usize = 2;
/// Bins right of margin 0 that may hold the valley.
const VALLEY_BEYOND: usize = 1;
/// Least fall of the log density of right labels per bin; a flatter flank says nothing of what lies beyond the valley.
const LEAST_SLOPE: f64 = 0.3;

/// How many margins fell where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Margins {
    bins: Vec<u64>,
}

impl Default for Margins {
    fn default() -> Self {
        Self { bins: vec![0; BINS] }
    }
}

/// A second group of margins that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondGroup {
    /// Chance of such a hill among margins that thin out, corrected for the pairs of bins compared.
    pub p: f64,
    /// Expected share of all rows that belong to it.
    pub share: f64,
    /// Probability of the second group in the middle of each bin up to the valley, falling.
    posterior: Vec<f64>,
}

/// The margin of a label in a row of logits; `None` where there is no other class or a logit is not finite.
#[must_use]
pub fn margin(logits: &[f32], label: usize) -> Option<f64> {
    let own = *logits.get(label)?;
    let others = logits.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, z)| *z);
    let best = others.fold(f32::NEG_INFINITY, f32::max);
    let margin = f64::from(own) - f64::from(best);
    margin.is_finite().then_some(margin)
}

impl Margins {
    /// Adds one margin; one that is not finite is not counted.
    pub fn add(&mut self, margin: f64) {
        if margin.is_finite()
            && let Some(bin) = self.bins.get_mut(place(margin) as usize)
        {
            *bin += 1;
        }
    }

    fn at(&self, bin: usize) -> u64 {
        self.bins.get(bin).copied().unwrap_or(0)
    }

    /// The second group, where its hill is beyond chance at `level`.
    #[must_use]
    pub fn second_group(&self, level: f64) -> Option<SecondGroup> {
        let last = WIDEST + VALLEY_BEYOND;
        let pairs = (0..WIDEST - UNSURE).flat_map(|hill| (hill + 1..=last).map(move |valley| (hill, valley)));
        let tests = pairs.clone().count() as f64;
        let tested = pairs.filter(|&(hill, valley)| self.at(hill) > self.at(valley)).map(|(hill, valley)| {
            let (high, low) = (self.at(hill), self.at(valley));
            (binomial_sf(high, high + low, 0.5) * tests, hill)
        });
        let (p, hill) = tested.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(p, _)| *p <= level)?;
        let valley = (hill + 1..=last).min_by_key(|bin| self.at(*bin))?;
        let (near, far) = (self.at(valley + 1) as f64, self.at(valley + 2) as f64);
        let slope = (far / near).ln();
        if !slope.is_finite() || slope < LEAST_SLOPE {
            return None;
        }
        let mut posterior = Vec::with_capacity(valley + 1);
        let (mut most, mut members) = (0.0_f64, 0.0);
        for bin in (0..=valley).rev() {
            let right = near * (-slope * (valley + 1 - bin) as f64).exp();
            let here = self.at(bin) as f64;
            if here > 0.0 {
                most = most.max(1.0 - right / here);
            }
            members += most * here;
            posterior.push(most);
        }
        posterior.reverse();
        let rows: u64 = self.bins.iter().sum();
        Some(SecondGroup { p, share: members / rows.max(1) as f64, posterior })
    }
}

/// Where a margin lies, in bins.
fn place(margin: f64) -> f64 {
    (margin + WIDEST as f64).clamp(0.0, (BINS - 1) as f64 + 0.5)
}

impl SecondGroup {
    /// Probability that a row with this margin belongs to the second group: between the middles of bins by straight lines,
    /// 0 beyond the valley.
    #[must_use]
    pub fn posterior(&self, margin: f64) -> f64 {
        let at = place(margin) - 0.5;
        let value = |bin: f64| if bin < 0.0 { self.posterior.first() } else { self.posterior.get(bin as usize) }.copied().unwrap_or(0.0);
        let (left, share) = (at.floor(), at - at.floor());
        if margin.is_nan() { 0.0 } else { value(left) * (1.0 - share) + value(left + 1.0) * share }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Margins of right labels, whose odds grow with the margin, and of a share of wrong ones around -3.
    fn drawn(seed: u64, rows: usize, wrong: f64) -> (Margins, Vec<(f64, bool)>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut margins = Margins::default();
        let mut all = Vec::new();
        for _ in 0..rows {
            let is_wrong = rng.random::<f64>() < wrong;
            let sure: f64 = rng.random_range(0.0..8.0);
            let margin = if is_wrong {
                rng.random_range(-6.0..-4.0)
            } else if rng.random::<f64>() < 1.0 / (1.0 + (1.2 * sure).exp()) {
                -sure
            } else {
                sure
            };
            margins.add(margin);
            all.push((margin, is_wrong));
        }
        (margins, all)
    }

    #[test]
    fn right_labels_have_no_second_group() {
        for seed in 0..20 {
            assert_eq!(drawn(seed, 20_000, 0.0).0.second_group(1e-4), None, "seed {seed}");
        }
    }

    #[test]
    fn a_second_group_is_found_and_told_apart() {
        for seed in 0..5 {
            let (margins, rows) = drawn(seed, 20_000, 0.08);
            let group = margins.second_group(1e-4).unwrap();
            assert!((group.share - 0.08).abs() < 0.02, "{group:?}");
            let listed: Vec<bool> = rows.iter().filter(|(m, _)| group.posterior(*m) >= 0.8).map(|(_, wrong)| *wrong).collect();
            let right = listed.iter().filter(|wrong| **wrong).count();
            assert!(right * 10 >= listed.len() * 9 && right >= 1_200, "{right} of {}", listed.len());
            let steps: Vec<f64> = (-170..40).map(|m| group.posterior(f64::from(m) / 10.0)).collect();
            assert!(steps.windows(2).all(|w| w[0] >= w[1] - 1e-12), "{steps:?}");
        }
    }

    #[test]
    fn margins_of_odd_rows() {
        assert_eq!(margin(&[1.0, 3.0, 2.5], 2), Some(-0.5));
        assert_eq!((margin(&[1.0], 0), margin(&[1.0, f32::NAN], 1), margin(&[1.0, 2.0], 5)), (None, None, None));
        let mut margins = Margins::default();
        margins.add(f64::NAN);
        margins.add(1e300);
        assert_eq!(margins.second_group(0.5), None);
    }
}
