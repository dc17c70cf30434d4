//! Peaks over threshold: the tail of a score beyond its largest ordinary values, by a generalised Pareto fit.
//!
//! A p-value from here is an extrapolation and does not carry an alarm: on clean data the realised rate at a nominal 10^-3
//! is up to about twice that.

use serde::{Deserialize, Serialize};

/// Fewest exceedances for a fit.
const FEWEST: usize = 30;

/// Fewest different values among the kept exceedances: below this the score is discrete and has no Pareto tail.
const FEWEST_DISTINCT: usize = 10;

/// Share of the exceedances, from the top, that the fit does not look at: where the anomalies would be.
const TRIMMED: f64 = 0.1;

/// Range of the shape. Outside it the moments of few exceedances say little.
const SHAPE: (f64, f64) = (-0.4, 0.5);

/// The tail of a score above a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    threshold: f64,
    share_above: f64,
    shape: f64,
    scale: f64,
    exceedances: u64,
    deviation: f64,
}

impl Tail {
    /// Fits a generalised Pareto distribution to the values of a sample that lie above `threshold`, which are the share
    /// `share_above` (0..=1) of the whole sample. Order does not matter; NaN and values at or below the threshold are left
    /// out.
    ///
    /// The largest tenth of the exceedances is censored rather than dropped: it counts as lying somewhere above the others,
    /// and the fit equates the partial probability-weighted moments `∫_0^F Q(t) (1 - t)^r dt`, r = 0, 1, of sample and
    /// model up to the censoring point F (Wang 1990; Hosking and Wallis 1987 for F = 1). A clean tail is therefore not
    /// made too light, as it would be by dropping its largest values, and anomalies up to a tenth of the exceedances have no
    /// pull. The shape is clipped to -0.4..=0.5.
    ///
    /// `None` where there is no continuous tail to fit: under 30 exceedances, under 10 different values among those kept,
    /// infinite values among those kept, or a threshold or share that is not a number in range.
    #[must_use]
    pub fn fit(exceedances: &[f64], threshold: f64, share_above: f64) -> Option<Self> {
        if !threshold.is_finite() || !(0.0..=1.0).contains(&share_above) {
            return None;
        }
        let mut excess: Vec<f64> = exceedances.iter().filter(|&&x| x > threshold).map(|x| x - threshold).collect();
        excess.sort_unstable_by(f64::total_cmp);
        let n = excess.len();
        let kept = n - (n as f64 * TRIMMED) as usize;
        let body = excess.get(..kept)?;
        let largest = *body.last()?;
        let distinct = 1 + body.windows(2).filter(|pair| pair.first() < pair.last()).count();
        if n < FEWEST || distinct < FEWEST_DISTINCT || !largest.is_finite() {
            return None;
        }
        // In units of the largest kept value, sums can neither overflow nor vanish.
        let moment = |weight: fn(f64) -> f64| {
            let sum: f64 = body.iter().enumerate().map(|(i, x)| x / largest * weight((n - 1 - i) as f64 / (n - 1) as f64)).sum();
            sum / n as f64
        };
        let (plain, weighted) = (moment(|_| 1.0), moment(|above| above));
        let open = 1.0 - kept as f64 / n as f64;
        let shape = shape_of(weighted / plain, open);
        let scale = largest * plain / partial_moment(0.0, shape, open);
        let mut tail = Self { threshold, share_above, shape, scale, exceedances: n as u64, deviation: 0.0 };
        tail.deviation = tail.deviation_from(body, n);
        (scale.is_finite() && scale > 0.0).then_some(tail)
    }

    /// `P(X >= x)` for a value of the same population, not conditional on being above the threshold. 1 below the threshold,
    /// where the tail says nothing, and NaN for NaN. With a negative shape the tail has an end, beyond which this is 0.
    #[must_use]
    pub fn survival(&self, x: f64) -> f64 {
        if x < self.threshold { 1.0 } else { self.share_above * self.survival_above((x - self.threshold) / self.scale) }
    }

    /// Survival of the standardised excess.
    fn survival_above(&self, excess: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            return (-excess).exp();
        }
        let base = self.shape * excess;
        if base <= -1.0 { 0.0 } else { (-base.ln_1p() / self.shape).exp() }
    }

    /// Largest distance between the fitted and the empirical distribution of the kept exceedances (Kolmogorov-Smirnov).
    fn deviation_from(&self, body: &[f64], n: usize) -> f64 {
        body.iter().enumerate().fold(0.0, |worst, (i, x)| {
            let fitted = 1.0 - self.survival_above(x / self.scale);
            let (before, after) = (i as f64 / n as f64, (i + 1) as f64 / n as f64);
            worst.max((fitted - before).abs()).max((fitted - after).abs())
        })
    }

    /// Shape of the generalised Pareto distribution: above 0 the tail is heavy, below 0 it has an end.
    #[must_use]
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// Scale of the generalised Pareto distribution, in units of the score, above 0.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Where the tail begins, in units of the score.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Number of exceedances behind the fit, the censored tenth included.
    #[must_use]
    pub fn exceedances(&self) -> u64 {
        self.exceedances
    }

    /// How badly the fit fits: largest distance between fitted and empirical distribution over the kept exceedances, 0..=1.
    /// Above about `1.36 / sqrt(exceedances)` the tail is not Pareto-like and its p-values should not be used.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.deviation
    }
}

/// `∫_0^(1-open) Q(t) (1 - t)^r dt` of the generalised Pareto distribution with scale 1.
fn partial_moment(r: f64, shape: f64, open: f64) -> f64 {
    let power = |s: f64| (1.0 - open.powf(s)) / s;
    if shape.abs() < 1e-6 {
        // Limit for the exponential distribution, Q(t) = -ln(1 - t).
        let s = r + 1.0;
        let edge = if open > 0.0 { open.powf(s) * open.ln() } else { 0.0 };
        return (power(s) + edge) / s;
    }
    (power(r + 1.0 - shape) - power(r + 1.0)) / shape
}

/// The shape whose partial moments have this ratio; the ratio falls as the shape rises, so bisection finds it.
fn shape_of(ratio: f64, open: f64) -> f64 {
    let (mut low, mut high) = SHAPE;
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if partial_moment(1.0, middle, open) / partial_moment(0.0, middle, open) > ratio {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::robust::quantile;

    fn uniform(rng: &mut ChaCha8Rng) -> f64 {
        rng.random::<f64>().max(f64::MIN_POSITIVE)
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (-2.0 * uniform(rng).ln()).sqrt() * (std::f64::consts::TAU * uniform(rng)).cos()
    }

    fn student3(rng: &mut ChaCha8Rng) -> f64 {
        let chi: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
        normal(rng) / (chi / 3.0).sqrt()
    }

    fn fit(values: &mut [f64]) -> Tail {
        values.sort_unstable_by(f64::total_cmp);
        let threshold = quantile(values, 0.98).unwrap();
        let above: Vec<f64> = values.iter().copied().filter(|&v| v > threshold).collect();
        Tail::fit(&above, threshold, above.len() as f64 / values.len() as f64).unwrap()
    }

    #[test]
    fn realised_rate_stays_near_the_nominal_one() {
        type Draw = fn(&mut ChaCha8Rng) -> f64;
        let kinds: [(&str, Draw); 4] =
            [("normal", normal), ("exponential", |r| -uniform(r).ln()), ("t3", student3), ("lognormal", |r| normal(r).exp())];
        for (name, draw) in kinds {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let mut fresh: Vec<f64> = (0..500_000).map(|_| draw(&mut rng)).collect();
            fresh.sort_unstable_by(f64::total_cmp);
            let mut total = 0.0;
            for _ in 0..10 {
                let mut sample: Vec<f64> = (0..20_000).map(|_| draw(&mut rng)).collect();
                let tail = fit(&mut sample);
                let beyond = fresh.len() - fresh.partition_point(|&x| tail.survival(x) > 1e-3);
                let rate = beyond as f64 / fresh.len() as f64;
                assert!((0.3e-3..2.5e-3).contains(&rate), "{name}: {rate}");
                assert!(tail.deviation() < 0.07, "{name}: {}", tail.deviation());
                total += rate;
            }
            assert!((0.7e-3..1.5e-3).contains(&(total / 10.0)), "{name}: {total}");
        }
    }

    #[test]
    fn recovers_the_shape_of_a_pareto_tail() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (shape, tolerance) in [(-0.2_f64, 0.05), (0.0, 0.05), (0.3, 0.05)] {
            let excess: Vec<f64> = (0..40_000)
                .map(|_| if shape.abs() < 1e-9 { -uniform(&mut rng).ln() } else { (uniform(&mut rng).powf(-shape) - 1.0) / shape })
                .collect();
            let tail = Tail::fit(&excess, 0.0, 1.0).unwrap();
            assert!((tail.shape() - shape).abs() < tolerance, "{shape}: {}", tail.shape());
            assert!((tail.scale() - 1.0).abs() < 0.05, "{shape}: {}", tail.scale());
        }
    }

    #[test]
    fn anomalies_among_the_censored_have_no_pull() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let clean: Vec<f64> = (0..1_000).map(|_| 1.0 - uniform(&mut rng).ln()).collect();
        let mut dirty = clean.clone();
        dirty.sort_unstable_by(f64::total_cmp);
        for value in dirty.iter_mut().rev().take(100) {
            *value = f64::INFINITY;
        }
        let (clean, dirty) = (Tail::fit(&clean, 1.0, 0.02).unwrap(), Tail::fit(&dirty, 1.0, 0.02).unwrap());
        assert_eq!(clean, dirty);
        assert!(dirty.survival(f64::INFINITY) <= 0.0);
        assert!(dirty.survival(0.5) >= 1.0 && (dirty.survival(1.0) - 0.02).abs() < 1e-15);
        assert!(dirty.survival(f64::NAN).is_nan());
    }

    #[test]
    fn discrete_short_and_infinite_tails_are_refused() {
        assert_eq!(Tail::fit(&[2.0; 100], 1.0, 0.02), None);
        let few: Vec<f64> = (0..200).map(|i| 2.0 + f64::from(i % 8)).collect();
        assert_eq!(Tail::fit(&few, 1.0, 0.02), None);
        let rising: Vec<f64> = (1..30).map(f64::from).collect();
        assert_eq!(Tail::fit(&rising, 0.0, 0.02), None);
        let mut infinite: Vec<f64> = (1..100).map(f64::from).collect();
        infinite.extend([f64::INFINITY; 50]);
        assert_eq!(Tail::fit(&infinite, 0.0, 0.02), None);
        assert_eq!(Tail::fit(&[], 0.0, 0.02), None);
        let values: Vec<f64> = (1..200).map(|i| f64::from(i).sqrt()).collect();
        assert!(Tail::fit(&values, 0.0, 0.02).is_some());
        assert_eq!(Tail::fit(&values, f64::NAN, 0.02), None);
        assert_eq!(Tail::fit(&values, 0.0, 1.5), None);
        let huge: Vec<f64> = values.iter().map(|v| v * 1e306).collect();
        assert!(Tail::fit(&huge, 0.0, 0.02).is_some_and(|t| t.scale().is_finite()));
    }
}
