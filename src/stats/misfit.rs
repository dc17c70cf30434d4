//! Numbers given without regard to content, among the misses of a model: which, and how many.
//!
//! A target is brought to normal scores `v`, so its distribution over all rows is a standard normal one whatever its unit and
//! skew. A model that did not see the row expects `m`, and misses by about `s` there. Right numbers follow
//! `t((v - m) / (σ s))`, Student's distribution with the tail that the data show (Lange, Little and Taylor 1989); numbers
//! given without regard to content follow `φ(v)`, which does not fade with the distance from `m`. The mixture
//! `(1 - ε) t + ε φ` is fitted by expectation maximisation.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

/// Degrees of freedom tried, from tails heavier than those of most residuals to nearly normal ones.
const FREEDOMS: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 40.0];
/// Most steps of expectation maximisation.
const MOST_STEPS: usize = 60;
/// Largest share of numbers given without regard to content.
const MOST_SHARE: f64 = 0.5;
/// Most rows that the fit looks at, evenly spaced.
const MOST_ROWS: usize = 8_192;
/// Halvings of the range in which the share's lower bound lies.
const HALVINGS: usize = 6;
/// Twice the log likelihood that a share may lose before it is refuted at 10 %, one-sided.
const REFUTED: f64 = 1.642;
/// How many times more often than the fitted tail says right numbers may miss by as much: a tail is fitted where rows are many, and
/// judges where they are few.
const TAIL_TOLERANCE: f64 = 3.0;
/// Smallest density that enters a quotient or a logarithm.
const LEAST: f64 = 1e-300;

/// One row's target in normal scores, beside what content says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Miss {
    /// The target.
    pub value: f64,
    /// What a model expects that did not see the row.
    pub expected: f64,
    /// By how much it usually misses there, above 0.
    pub usual: f64,
}

/// A fitted mixture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Misfit {
    /// Share of numbers given without regard to content: the estimate.
    pub share: f64,
    /// Its one-sided lower bound at 90 %, by which rows are judged.
    pub least: f64,
    /// Twice the gain in log likelihood over the tolerated share; 0 where the share is no larger.
    pub lrt: f64,
    /// Right numbers, at the lower bound.
    right: Student,
}

/// Student's distribution of misses, in units of the usual miss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Student {
    freedom: f64,
    scale: f64,
    /// Logarithm of the density's constant at scale 1.
    ln_constant: f64,
}

impl Student {
    fn new(freedom: f64, scale: f64) -> Self {
        let ln_constant = ln_gamma(0.5 * (freedom + 1.0)) - ln_gamma(0.5 * freedom) - 0.5 * (freedom * PI).ln();
        Self { freedom, scale, ln_constant }
    }

    fn squared(&self, miss: &Miss) -> f64 {
        ((miss.value - miss.expected) / (self.scale * miss.usual)).powi(2)
    }

    fn density(&self, miss: &Miss) -> f64 {
        let ln = self.ln_constant - 0.5 * (self.freedom + 1.0) * (self.squared(miss) / self.freedom).ln_1p();
        ln.exp() / (self.scale * miss.usual)
    }
}

fn normal_density(value: f64) -> f64 {
    (-0.5 * value * value).exp() / TAU.sqrt()
}

/// A point of the likelihood: its value, the share, right numbers.
type Point = (f64, f64, Student);

/// The most likely scale and share for some degrees of freedom.
fn ascend(misses: &[Miss], freedom: f64, held: Option<f64>) -> Point {
    let mut student = Student::new(freedom, 1.0);
    let mut share = held.unwrap_or(0.05);
    let mut value = f64::NEG_INFINITY;
    for _ in 0..MOST_STEPS {
        let (mut drawn, mut weight, mut squares, mut total) = (0.0, 0.0, 0.0, 0.0);
        for miss in misses {
            let (right, wrong) = ((1.0 - share) * student.density(miss), share * normal_density(miss.value));
            let both = (right + wrong).max(LEAST);
            total += both.ln();
            let is_right = right / both;
            drawn += 1.0 - is_right;
            let squared = student.squared(miss);
            weight += is_right;
            squares += is_right * (freedom + 1.0) / (freedom + squared) * squared;
        }
        let still = total - value < 1e-3;
        value = total;
        if still {
            break;
        }
        student.scale = (student.scale * (squares / weight.max(LEAST)).sqrt()).clamp(1e-6, 1e6);
        share = held.unwrap_or((drawn / misses.len() as f64).min(MOST_SHARE));
    }
    (value, share, student)
}

fn best(misses: &[Miss], held: Option<f64>) -> Option<Point> {
    let fits = FREEDOMS.iter().map(|freedom| ascend(misses, *freedom, held));
    fits.reduce(|best, next| if next.0 > best.0 { next } else { best }).filter(|fit| fit.0.is_finite())
}

impl Misfit {
    /// Fits the mixture to rows whose numbers are finite; `tolerated` is the share that says nothing.
    ///
    /// `None` where there are no rows, or the likelihood is not finite.
    #[must_use]
    pub fn fit(misses: &[Miss], tolerated: f64) -> Option<Self> {
        let usable = |miss: &&Miss| miss.value.is_finite() && miss.expected.is_finite() && miss.usual.is_finite() && miss.usual > 0.0;
        let usable: Vec<Miss> = misses.iter().filter(usable).copied().collect();
        let taken: Vec<Miss> = usable.iter().step_by(usable.len().div_ceil(MOST_ROWS).max(1)).copied().collect();
        if taken.is_empty() {
            return None;
        }
        let (most, share, mut right) = best(&taken, None)?;
        let lrt = if share > tolerated { (2.0 * (most - best(&taken, Some(tolerated))?.0)).max(0.0) } else { 0.0 };
        let (mut low, mut high) = (0.0, share);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            let (value, _, student) = best(&taken, Some(middle))?;
            if 2.0 * (most - value) > REFUTED {
                low = middle;
            } else {
                (high, right) = (middle, student);
            }
        }
        Some(Self { share, least: high, lrt, right })
    }

    /// Probability that a row's number was given without regard to its content, if `share` of all numbers are.
    #[must_use]
    pub fn posterior(&self, miss: &Miss, share: f64) -> f64 {
        let (right, wrong) = ((1.0 - share) * self.right.density(miss), share * normal_density(miss.value));
        wrong / (TAIL_TOLERANCE * right + wrong).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (TAU * rng.random::<f64>()).cos()
    }

    /// Rows whose content explains 15 of 16 parts of the variance, with misses of `freedom` degrees; a share of them wrong.
    fn drawn(seed: u64, freedom: usize, wrong: f64) -> (Vec<Miss>, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let row = |_| {
            let expected = 0.9375_f64.sqrt() * normal(&mut rng);
            let squares: f64 = (0..freedom).map(|_| normal(&mut rng).powi(2)).sum();
            let value = expected + 0.25 * normal(&mut rng) / (squares / freedom as f64).sqrt();
            let is_wrong = rng.random::<f64>() < wrong;
            (Miss { value: if is_wrong { normal(&mut rng) } else { value }, expected, usual: 0.25 }, is_wrong)
        };
        (0..4_000).map(row).unzip()
    }

    #[test]
    fn heavy_tails_are_no_wrong_numbers() {
        for seed in 0..4 {
            for freedom in [2, 4, 30] {
                let fit = Misfit::fit(&drawn(seed, freedom, 0.0).0, 0.01).unwrap();
                assert!(fit.lrt < 6.0, "seed {seed}, {freedom}: {fit:?}");
            }
        }
    }

    #[test]
    fn wrong_numbers_are_counted_and_named() {
        for seed in 10..14 {
            let (misses, wrong) = drawn(seed, 5, 0.05);
            let fit = Misfit::fit(&misses, 0.01).unwrap();
            assert!((fit.share - 0.05).abs() < 0.012 && fit.least < fit.share && fit.lrt > 30.0, "{fit:?}");
            let listed: Vec<bool> =
                misses.iter().zip(&wrong).filter(|(miss, _)| fit.posterior(miss, fit.least) > 0.6).map(|(_, wrong)| *wrong).collect();
            let right = listed.iter().filter(|wrong| **wrong).count();
            assert!(right * 10 >= listed.len() * 9 && right >= 40, "{right} of {}", listed.len());
        }
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(Misfit::fit(&[], 0.01), None);
        assert_eq!(Misfit::fit(&[Miss { value: f64::NAN, expected: 0.0, usual: 1.0 }], 0.01), None);
        let one = Misfit::fit(&[Miss { value: 0.0, expected: 0.0, usual: 1.0 }], 0.01).unwrap();
        assert!(one.posterior(&Miss { value: 1e300, expected: -1e300, usual: 1.0 }, 0.1).is_finite());
    }
}
