//! Calibrated label mixture: how many labels were drawn without regard to the content, and which.
//!
//! `p(y | x) = (1 - epsilon) softmax(beta z)_y + epsilon prior_y`, with logits `z` that were made without the row itself. A
//! temperature alone would have to flatten every prediction to make room for a few wrong labels; the second part takes them,
//! and the likelihood ratio of the two says whether there are any.

use serde::{Deserialize, Serialize};

use super::tail::normal_sf;

/// Largest share of labels drawn from the prior; beyond it the two parts cannot be told apart.
const MOST_EPSILON: f64 = 0.6;

/// Bounds on `beta` times the root mean square of the centred logits: nearly uniform to nearly certain predictions.
const SHARPNESS: (f64, f64) = (1e-3, 1e3);

/// Smallest likelihood of a row that enters a quotient, so that its square stays finite.
pub(super) const LEAST_LIKELIHOOD: f64 = 1e-100;

/// Rows of logits with their labels. Rows with a logit that is not finite, or a label beyond the classes, are passed over.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    logits: &'a [f32],
    labels: &'a [u32],
    pub(super) classes: usize,
}

impl<'a> Rows<'a> {
    /// `None` where the shapes do not agree or there are fewer than two classes.
    pub(super) fn new(logits: &'a [f32], classes: usize, labels: &'a [u32]) -> Option<Self> {
        (classes >= 2 && labels.len().checked_mul(classes) == Some(logits.len())).then_some(Self { logits, labels, classes })
    }

    /// Usable rows in order: logits, label, and the label's logit.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [f32], usize, f32)> {
        self.logits.chunks_exact(self.classes).zip(self.labels).filter_map(|(row, &label)| {
            let own = *row.get(label as usize)?;
            row.iter().all(|z| z.is_finite()).then_some((row, label as usize, own))
        })
    }
}

pub(super) fn largest(row: &[f32]) -> f64 {
    f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

/// Whether there is one probability per class.
pub(super) fn are_priors(priors: &[f64], classes: usize) -> bool {
    priors.len() == classes && priors.iter().all(|p| (0.0..=1.0).contains(p))
}

/// A fitted label mixture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelMixture {
    /// Factor on the logits, above 0.
    pub beta: f64,
    /// Share of labels drawn from the prior, 0..=0.6. Of these, a share `1 - prior_y` is wrong.
    pub epsilon: f64,
    /// Log likelihood at the fit, in nats, over `rows`.
    pub log_likelihood: f64,
    /// Twice the gain in log likelihood over `epsilon = 0` with `beta` fitted anew; at least 0.
    pub lrt: f64,
    /// Probability of such a gain without wrong labels, `P(chi^2_1 >= lrt) / 2` because 0 is the edge of the range of
    /// epsilon (Self and Liang 1987); 1 where there is no gain.
    pub p: f64,
    /// Rows behind the fit.
    pub rows: u64,
}

impl LabelMixture {
    /// Fits `beta` and `epsilon` by maximum likelihood.
    ///
    /// `logits` holds rows × `classes`, row by row; `labels` one class per row; `priors` the share of each class among the
    /// labels. Rows with a logit that is not finite or a label beyond the classes are left out. Sums run in row order. Each
    /// of the typically 20 passes takes one exponential per logit: fit large data on a sample.
    ///
    /// `None` where shapes do not agree, there are fewer than two classes, no usable rows, or no spread in the logits.
    #[must_use]
    pub fn fit(logits: &[f32], classes: usize, labels: &[u32], priors: &[f64]) -> Option<Self> {
        let rows = Rows::new(logits, classes, labels)?;
        if !are_priors(priors, classes) {
            return None;
        }
        let climb = Climb::new(rows, priors)?;
        let null = climb.ascend(climb.at(-climb.spread.ln(), 0.0), false);
        // The likelihood can have a second hill where a larger share of wrong labels lets the rest be more certain.
        let starts = [(0.2, 0.02), (0.7, 0.1), (1.2, 0.3)];
        let start = starts.map(|(step, epsilon)| climb.at(null.theta + step, epsilon));
        let best = start.into_iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
        let fitted = climb.ascend(best, true);
        let fitted = if fitted.value > null.value { fitted } else { null };
        let lrt = 2.0 * (fitted.value - null.value);
        Some(Self {
            beta: fitted.theta.exp(),
            epsilon: fitted.epsilon,
            log_likelihood: fitted.value,
            lrt,
            p: half_chi_squared_sf(lrt),
            rows: climb.count,
        })
    }

    /// What the content says: `softmax(beta z)`, one probability per class. All NaN where a logit is NaN or positive infinity.
    #[must_use]
    pub fn calibrated(&self, logits_row: &[f32]) -> Vec<f64> {
        softmax(logits_row, self.beta)
    }
}

/// The temperature `T` for which `softmax(z / T)` fits the labels best (Guo et al. 2017). Shapes and skipped rows as in
/// [`LabelMixture::fit`]; `None` for the same reasons.
#[must_use]
pub fn temperature(logits: &[f32], classes: usize, labels: &[u32]) -> Option<f64> {
    let climb = Climb::new(Rows::new(logits, classes, labels)?, &[])?;
    Some((-climb.ascend(climb.at(-climb.spread.ln(), 0.0), false).theta).exp())
}

/// Tail probability of a likelihood ratio whose parameter lies on the edge of its range under the null.
pub(super) fn half_chi_squared_sf(lrt: f64) -> f64 {
    if lrt > 0.0 { normal_sf(lrt.sqrt()) } else { 1.0 }
}

pub(super) fn softmax(row: &[f32], beta: f64) -> Vec<f64> {
    let top = largest(row);
    let mut weights: Vec<f64> = row.iter().map(|&z| (beta * (f64::from(z) - top)).exp()).collect();
    let total: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

/// The log likelihood at one point with its derivatives by `theta = ln beta` and `epsilon`.
#[derive(Clone, Copy)]
struct Point {
    theta: f64,
    epsilon: f64,
    value: f64,
    by_theta: f64,
    by_epsilon: f64,
    by_theta_twice: f64,
    by_both: f64,
    by_epsilon_twice: f64,
}

/// The likelihood as a hill to climb.
struct Climb<'a> {
    rows: Rows<'a>,
    priors: &'a [f64],
    /// Root mean square of the logits around their row's mean.
    spread: f64,
    count: u64,
}

impl<'a> Climb<'a> {
    fn new(rows: Rows<'a>, priors: &'a [f64]) -> Option<Self> {
        let (mut squares, mut count) = (0.0, 0_u64);
        for (row, ..) in rows.iter() {
            let mean = row.iter().map(|&z| f64::from(z)).sum::<f64>() / row.len() as f64;
            squares += row.iter().map(|&z| (f64::from(z) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            count += 1;
        }
        let spread = (squares / count as f64).sqrt();
        (spread > 0.0).then_some(Self { rows, priors, spread, count })
    }

    /// One pass over the rows.
    fn at(&self, theta: f64, epsilon: f64) -> Point {
        let beta = theta.exp();
        let mut point =
            Point { theta, epsilon, value: 0.0, by_theta: 0.0, by_epsilon: 0.0, by_theta_twice: 0.0, by_both: 0.0, by_epsilon_twice: 0.0 };
        for (row, label, own) in self.rows.iter() {
            let top = largest(row);
            let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
            for &z in row {
                let z = f64::from(z) - top;
                let weight = (beta * z).exp();
                total += weight;
                first += weight * z;
                second += weight * z * z;
            }
            let own = f64::from(own) - top;
            let (mean, square) = (first / total, second / total);
            // Derivatives of ln softmax by theta.
            let slope = beta * (own - mean);
            let bend = slope - beta * beta * (square - mean * mean);
            let ln_content = beta * own - total.ln();
            let content = ln_content.exp();
            let prior = self.priors.get(label).copied().unwrap_or(0.0);
            let likelihood = (1.0 - epsilon) * content + epsilon * prior;
            // Only the logarithm is still there when the content makes the label all but impossible.
            let underflown = epsilon * prior <= 0.0;
            point.value += if underflown { (-epsilon).ln_1p() + ln_content } else { likelihood.ln() };
            let trust = if underflown { 1.0 } else { (1.0 - epsilon) * content / likelihood };
            let exchange = (prior - content) / likelihood.max(LEAST_LIKELIHOOD);
            let gradient = trust * slope;
            point.by_theta += gradient;
            point.by_epsilon += exchange;
            point.by_theta_twice += trust * (bend + slope * slope) - gradient * gradient;
            point.by_both -= gradient / (1.0 - epsilon) + gradient * exchange;
            point.by_epsilon_twice -= exchange * exchange;
        }
        point
    }

    /// Newton's method with steps that are bounded, projected on the ranges and halved until they climb.
    fn ascend(&self, mut here: Point, free_epsilon: bool) -> Point {
        let (low, high) = ((SHARPNESS.0 / self.spread).ln(), (SHARPNESS.1 / self.spread).ln());
        for _ in 0..100 {
            let pinned = !free_epsilon
                || (here.epsilon <= 0.0 && here.by_epsilon <= 0.0)
                || (here.epsilon >= MOST_EPSILON && here.by_epsilon >= 0.0);
            let (step_theta, step_epsilon) = here.newton(pinned);
            let mut shrink = 1.0;
            let next = loop {
                let theta = (here.theta + shrink * step_theta).clamp(low, high);
                let epsilon = (here.epsilon + shrink * step_epsilon).clamp(0.0, MOST_EPSILON);
                let next = self.at(theta, epsilon);
                if next.value > here.value {
                    break Some(next);
                }
                shrink *= 0.25;
                if shrink < 1e-6 {
                    break None;
                }
            };
            let Some(next) = next else { break };
            let gain = next.value - here.value;
            here = next;
            if gain < 1e-7 + 1e-13 * here.value.abs() {
                break;
            }
        }
        here
    }
}

impl Point {
    /// Newton's step where the surface is concave, otherwise one along each axis; an axis is left alone if `pinned`.
    fn newton(&self, pinned: bool) -> (f64, f64) {
        let Self { by_theta, by_epsilon, by_theta_twice, by_both, by_epsilon_twice, .. } = *self;
        let determinant = by_theta_twice * by_epsilon_twice - by_both * by_both;
        let (theta, epsilon) = if pinned {
            (along(by_theta, by_theta_twice), 0.0)
        } else if by_theta_twice < 0.0 && determinant > 0.0 {
            (
                (by_both * by_epsilon - by_epsilon_twice * by_theta) / determinant,
                (by_both * by_theta - by_theta_twice * by_epsilon) / determinant,
            )
        } else {
            (along(by_theta, by_theta_twice), along(by_epsilon, by_epsilon_twice))
        };
        (theta.clamp(-1.0, 1.0), epsilon.clamp(-0.1, 0.1))
    }
}

fn along(slope: f64, bend: f64) -> f64 {
    slope / bend.abs().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: usize = 4;
    const PRIORS: [f64; CLASSES] = [0.25; CLASSES];

    /// 600 rows whose labels follow noisy logits; every `every`th label is replaced.
    fn wavy(every: usize) -> (Vec<f32>, Vec<u32>) {
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for i in 0..600 {
            let x = i as f64;
            let row: Vec<f64> = (0..4).map(|k| 3.0 * (1.3 * x + 2.1 * f64::from(k) + 0.7 * x * f64::from(k)).sin()).collect();
            let noisy = row.iter().enumerate().map(|(k, z)| z + (5.1 * x + 3.3 * (k * k) as f64).sin());
            let label = noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            logits.extend(row.iter().map(|&z| z as f32));
            labels.push(if every > 0 && i % every == 0 { (i * 7 / every) % CLASSES } else { label } as u32);
        }
        (logits, labels)
    }

    #[test]
    fn fit_matches_scipy() {
        let (logits, labels) = wavy(10);
        let fit = LabelMixture::fit(&logits, CLASSES, &labels, &PRIORS).unwrap();
        // scipy.optimize.minimize (L-BFGS-B, best of 12 starts) on the same likelihood; tolerance 1e-4, 1e-5 on likelihoods.
        assert!((fit.beta - 1.395_073_7).abs() < 1e-4, "{}", fit.beta);
        assert!((fit.epsilon - 0.080_150_1).abs() < 1e-4, "{}", fit.epsilon);
        assert!((fit.log_likelihood + 456.196_028).abs() < 1e-5, "{}", fit.log_likelihood);
        assert!((fit.lrt - 30.393_383_6).abs() < 2e-5, "{}", fit.lrt);
        // scipy.stats.chi2.sf(30.3933836, 1) / 2; relative tolerance 1e-4.
        assert!((fit.p / 1.763_646e-8 - 1.0).abs() < 1e-4, "{:e}", fit.p);
        assert_eq!(fit.rows, 600);
        let temperature = temperature(&logits, CLASSES, &labels).unwrap();
        assert!((temperature - 1.0 / 0.942_092_95).abs() < 1e-4, "{temperature}");
    }

    #[test]
    fn clean_labels_leave_nothing_to_the_prior() {
        let (logits, labels) = wavy(0);
        let fit = LabelMixture::fit(&logits, CLASSES, &labels, &PRIORS).unwrap();
        assert!(fit.epsilon < 1e-6, "{}", fit.epsilon);
        assert!((fit.beta - 1.578_064_2).abs() < 1e-4, "{}", fit.beta);
        assert!(fit.lrt < 1e-3 && fit.p > 0.4, "{} {}", fit.lrt, fit.p);
    }

    #[test]
    fn hostile_input_is_passed_over_or_refused() {
        let (mut logits, mut labels) = wavy(10);
        let clean = LabelMixture::fit(&logits, CLASSES, &labels, &PRIORS);
        logits.extend([f32::NAN, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, f32::INFINITY, 0.0, 0.0, 0.0]);
        labels.extend([0, 99, 1]);
        assert_eq!(LabelMixture::fit(&logits, CLASSES, &labels, &PRIORS), clean);
        assert_eq!(LabelMixture::fit(&logits, CLASSES, &labels[1..], &PRIORS), None);
        assert_eq!(LabelMixture::fit(&logits, CLASSES, &labels, &PRIORS[1..]), None);
        assert_eq!(LabelMixture::fit(&[], CLASSES, &[], &PRIORS), None);
        assert_eq!(LabelMixture::fit(&[1.0; 40], CLASSES, &[0; 10], &PRIORS), None);
        assert_eq!(temperature(&[1.0; 5], 1, &[0; 5]), None);
        // A class without a prior and logits at the ends of their range.
        let extreme = [f32::MAX, f32::MIN, 0.0, f32::MAX];
        let fit = LabelMixture::fit(&extreme, 2, &[1, 1], &[1.0, 0.0]).unwrap();
        assert!(fit.log_likelihood.is_finite() && fit.beta > 0.0 && (0.0..=0.6).contains(&fit.epsilon), "{fit:?}");
        assert!(fit.calibrated(&[f32::NAN, 0.0]).iter().all(|p| p.is_nan()));
    }

    #[test]
    fn perfect_predictions_end_at_the_bound() {
        let logits: Vec<f32> = (0..100).flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
        let fit = LabelMixture::fit(&logits, 2, &labels, &[0.5, 0.5]).unwrap();
        assert!(fit.beta.is_finite() && fit.epsilon < 1e-6 && fit.p > 0.01, "{fit:?}");
    }
}
