//! How often labels contradict content, as a function of how sure content is: natural confusion fades, wrong labels do not.
//!
//! Where content calls a row `k` and gives class `j` probability `c`, the rate at which such rows are labelled `j` is
//! modelled as `scale exp(power ln c - bend ln² c) + floor`. The first part is confusion, with the tail that the data show
//! rather than the one that a temperature presumes; the second does not fade however sure content is, as labels that were
//! given without regard to the content (Rolnick et al. 2017 call it uniform noise) do not. Labels are counted in bins of
//! `ln c`, so a fit costs the same for any number of rows.

use serde::{Deserialize, Serialize};

use super::flat::Flat;

/// Bins per nat of `ln c`.
const PER_NAT: f64 = 32.0;
/// Bins from `ln c = -28` to 0; what is less likely falls into the first.
const BINS: usize = 896;
/// Shapes tried: powers of `c`, with bends of its logarithm.
const POWERS: [f64; 9] = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0];
const BENDS: [f64; 5] = [0.0, 0.05, 0.1, 0.2, 0.4];
/// Shapes (power, bend) beside these that hardly fade at first and then steeply, as confusion does where weak content is never
/// sure. They rise with `c` up to a half, and no class beside the most likely one has more.
const STEEPENING: [(f64, f64); 6] = [(-1.0, 0.8), (-0.5, 0.8), (0.0, 0.6), (0.0, 0.8), (0.5, 0.8), (1.0, 0.8)];
/// Most steps of expectation maximisation.
const MOST_STEPS: usize = 150;
/// Halvings of the range in which a floor's lower bound lies.
const HALVINGS: usize = 8;
/// Twice the log likelihood that a floor may lose before it is refuted at 10 %, one-sided.
const REFUTED: f64 = 1.642;
/// Smallest rate that enters a quotient or a logarithm.
const LEAST_RATE: f64 = 1e-300;

/// The rate of labels that contradict content.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Rate of natural confusion at `c = 1`.
    pub scale: f64,
    power: f64,
    bend: f64,
    /// Rate per unit that does not fade with `c`.
    pub floor: f64,
}

impl Curve {
    /// Rate of natural confusion where content gives the label the logarithm of a probability, floor apart.
    #[must_use]
    pub fn natural(&self, ln_p: f64) -> f64 {
        self.scale * shape(self.power, self.bend, ln_p)
    }

    /// The same confusion without a floor.
    #[must_use]
    pub fn fading(self) -> Self {
        self.with_floor(0.0)
    }

    /// The same confusion with another floor.
    #[must_use]
    pub fn with_floor(self, floor: f64) -> Self {
        Self { floor, ..self }
    }
}

fn shape(power: f64, bend: f64, ln_p: f64) -> f64 {
    let ln_p = ln_p.clamp(-(BINS as f64) / PER_NAT, 0.0);
    (power * ln_p - bend * ln_p * ln_p).exp()
}

/// What fell into one bin.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    trials: f64,
    units: f64,
    fixed: f64,
    hits: f64,
}

/// Rows that could have been given a label, and those that were, by how probable content finds it.
#[derive(Debug, Clone)]
pub struct Trials {
    bins: Vec<Bin>,
}

impl Default for Trials {
    fn default() -> Self {
        Self { bins: vec![Bin::default(); BINS] }
    }
}

/// A fitted curve beside one whose floor is held.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    /// The most likely curve.
    pub free: Curve,
    /// The most likely one with a tolerated floor.
    pub held: Curve,
    /// Twice the gain in log likelihood of the free curve; 0 where its floor is no higher than the tolerated one.
    pub lrt: f64,
}

impl Trials {
    /// Adds a row that content gives the label with probability `exp(ln_p)`. `units` is what one unit of the floor adds to
    /// its rate, `fixed` a rate that is known already; `hit` says whether it has the label.
    pub fn add(&mut self, ln_p: f64, units: f64, fixed: f64, hit: bool) {
        let at = ((ln_p * PER_NAT).floor() + BINS as f64).clamp(0.0, (BINS - 1) as f64);
        if let Some(bin) = self.bins.get_mut(at as usize) {
            bin.trials += 1.0;
            bin.units += units;
            bin.fixed += fixed;
            bin.hits += f64::from(u8::from(hit));
        }
    }

    /// Rows with the label.
    #[must_use]
    pub fn hits(&self) -> f64 {
        self.bins.iter().map(|bin| bin.hits).sum()
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> f64 {
        self.bins.iter().map(|bin| bin.trials).sum()
    }

    /// What one unit of the floor adds to the rates of all rows.
    #[must_use]
    pub fn units(&self) -> f64 {
        self.bins.iter().map(|bin| bin.units).sum()
    }

    /// Share of the rows that have the label beyond those that the rates that are known already give it, at least 0.
    #[must_use]
    pub fn beyond_fixed(&self) -> f64 {
        let fixed: f64 = self.bins.iter().map(|bin| bin.fixed).sum();
        ((self.hits() - fixed) / self.rows().max(1.0)).max(0.0)
    }

    /// The bins that hold rows, with the `ln c` at their middle.
    fn filled(&self) -> Vec<(f64, Bin)> {
        let middle = |at: usize| (at as f64 + 0.5 - BINS as f64) / PER_NAT;
        self.bins.iter().enumerate().filter(|(_, bin)| bin.trials > 0.0).map(|(at, bin)| (middle(at), *bin)).collect()
    }

    /// How the hits rank among the rows.
    #[must_use]
    pub fn flat(&self) -> Flat {
        let filled = self.filled();
        Flat::new(filled.iter().map(|(ln_p, bin)| (ln_p.exp(), bin.trials, bin.hits)))
    }

    /// Fits the curve by maximum likelihood (labels as Poisson counts), freely and with a tolerated floor: `tolerated` or none, whichever
    /// is more likely, because without one confusion may fade at another pace.
    ///
    /// `None` where there are no rows.
    #[must_use]
    pub fn fit(&self, tolerated: f64) -> Option<Fit> {
        let filled = self.filled();
        let ((most, free), full) = (best(&filled, None)?, best(&filled, Some(tolerated))?);
        let none = if tolerated > 0.0 { best(&filled, Some(0.0))? } else { full };
        let (least, held) = if none.0 > full.0 { none } else { full };
        let lrt = if free.floor > tolerated { (2.0 * (most - least)).max(0.0) } else { 0.0 };
        Some(Fit { free, held, lrt })
    }

    /// The most likely curve with this floor. `None` where there are no rows.
    #[must_use]
    pub fn with_floor(&self, floor: f64) -> Option<Curve> {
        best(&self.filled(), Some(floor)).map(|(_, curve)| curve)
    }

    /// The most likely curve with the least floor that these rows do not refute at 10 %, one-sided (profile likelihood): a
    /// lower floor makes room for confusion that fades more slowly.
    ///
    /// `None` where there are no rows.
    #[must_use]
    pub fn least_floor(&self) -> Option<Curve> {
        let filled = self.filled();
        let (most, mut curve) = best(&filled, None)?;
        let (mut low, mut high) = (0.0, curve.floor);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            let (value, held) = best(&filled, Some(middle))?;
            if 2.0 * (most - value) > REFUTED {
                low = middle;
            } else {
                high = middle;
                curve = held;
            }
        }
        Some(curve)
    }

    /// Scales a curve to these rows: the scale that is most likely beside a prior of `weight` rows that follow the curve,
    /// with the fixed rates taken for granted.
    #[must_use]
    pub fn scaled(&self, curve: Curve, weight: f64) -> Curve {
        let filled = self.filled();
        let natural: Vec<f64> = filled.iter().map(|(ln_p, _)| curve.natural(*ln_p)).collect();
        let expected: f64 = filled.iter().zip(&natural).map(|((_, bin), rate)| bin.trials * rate).sum();
        let mut factor = 1.0;
        for _ in 0..MOST_STEPS {
            let mine =
                |((_, bin), rate): (&(f64, Bin), &f64)| bin.hits * factor * rate / (factor * rate + bin.fixed / bin.trials).max(LEAST_RATE);
            let next = (weight + filled.iter().zip(&natural).map(mine).sum::<f64>()) / (weight + expected).max(LEAST_RATE);
            let change = (next - factor).abs();
            factor = next;
            if change < 1e-6 {
                break;
            }
        }
        Curve { scale: curve.scale * factor, ..curve }
    }
}

/// The most likely curve with its log likelihood, freely or with its floor held. `None` where nothing is filled.
fn best(filled: &[(f64, Bin)], held: Option<f64>) -> Option<(f64, Curve)> {
    let shapes = POWERS.iter().flat_map(|power| BENDS.map(|bend| (*power, bend))).chain(STEEPENING);
    let fits = shapes.map(|(power, bend)| {
        let (scale, floor, value) = Sums::new(filled, power, bend).ascend(held);
        (value, Curve { scale, power, bend, floor })
    });
    let most = fits.reduce(|best, next| if next.0 > best.0 { next } else { best });
    most.filter(|_| !filled.is_empty())
}

/// What the likelihood of one shape needs: bins with hits, and totals.
struct Sums {
    /// Natural rate at scale 1, units per row, fixed rate, hits.
    hit: Vec<[f64; 4]>,
    natural: f64,
    units: f64,
    fixed: f64,
    hits: f64,
}

impl Sums {
    fn new(filled: &[(f64, Bin)], power: f64, bend: f64) -> Self {
        let mut sums = Self { hit: Vec::new(), natural: 0.0, units: 0.0, fixed: 0.0, hits: 0.0 };
        for (ln_p, bin) in filled {
            let rate = shape(power, bend, *ln_p);
            sums.natural += bin.trials * rate;
            sums.units += bin.units;
            sums.fixed += bin.fixed;
            sums.hits += bin.hits;
            if bin.hits > 0.0 {
                sums.hit.push([rate, bin.units / bin.trials, bin.fixed / bin.trials, bin.hits]);
            }
        }
        sums
    }

    /// Scale and floor by expectation maximisation, with their log likelihood.
    fn ascend(&self, held: Option<f64>) -> (f64, f64, f64) {
        let mut scale = 0.5 * self.hits / self.natural.max(LEAST_RATE);
        let mut floor = held.unwrap_or(0.25 * self.hits / self.units.max(LEAST_RATE));
        for _ in 0..MOST_STEPS {
            let (mut natural, mut flat) = (0.0, 0.0);
            for [rate, units, fixed, hits] in &self.hit {
                let share = hits / (scale * rate + floor * units + fixed).max(LEAST_RATE);
                natural += scale * rate * share;
                flat += floor * units * share;
            }
            let next = natural / self.natural.max(LEAST_RATE);
            let next_floor = held.unwrap_or(flat / self.units.max(LEAST_RATE));
            let still = (next - scale).abs() <= 1e-5 * scale + 1e-12 && (next_floor - floor).abs() <= 1e-6 * floor + 1e-9;
            (scale, floor) = (next, next_floor);
            if still {
                break;
            }
        }
        let gained = |[rate, units, fixed, hits]: &[f64; 4]| hits * (scale * rate + floor * units + fixed).max(LEAST_RATE).ln();
        let value = self.hit.iter().map(gained).sum::<f64>() - scale * self.natural - floor * self.units - self.fixed;
        (scale, floor, value)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Rows whose `ln c` is uniform over -10..0, hit at the rate that `rate` gives it.
    fn drawn(seed: u64, rows: usize, rate: impl Fn(f64) -> f64) -> Trials {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut trials = Trials::default();
        for _ in 0..rows {
            let ln_p = rng.random_range(-10.0..0.0);
            trials.add(ln_p, 1.0, 0.0, rng.random::<f64>() < rate(ln_p));
        }
        trials
    }

    #[test]
    fn a_floor_is_told_from_confusion_that_fades() {
        for seed in 0..6 {
            for power in [1.0, 1.6, 2.2] {
                let clean = drawn(seed, 20_000, |ln_p| 0.5 * (power * ln_p).exp()).fit(0.005).unwrap();
                assert!(clean.lrt < 6.0 && clean.free.floor < 0.006, "seed {seed}, power {power}: {clean:?}");
                let noisy = drawn(seed, 20_000, |ln_p| 0.5 * (power * ln_p).exp() + 0.02).fit(0.005).unwrap();
                assert!(noisy.lrt > 15.0 && (noisy.free.floor - 0.02).abs() < 0.008, "seed {seed}, power {power}: {noisy:?}");
                let middle = noisy.free.natural(-1.0) / (0.5 * (-power).exp());
                assert!((middle - 1.0).abs() < 0.25, "seed {seed}, power {power}: {middle}");
            }
        }
    }

    #[test]
    fn a_floor_within_the_tolerance_is_no_evidence() {
        for seed in 10..16 {
            let fit = drawn(seed, 20_000, |ln_p| 0.4 * (1.5 * ln_p).exp() + 0.01).fit(0.01).unwrap();
            assert!(fit.lrt < 8.0, "{fit:?}");
            assert!((fit.held.floor - 0.01).abs() < 1e-12);
        }
    }

    #[test]
    fn nine_in_ten_lower_bounds_hold() {
        let truth = 0.02;
        let bounds: Vec<f64> =
            (100..140).map(|seed| drawn(seed, 6_000, |ln_p| 0.5 * (1.3 * ln_p).exp() + truth).least_floor().unwrap().floor).collect();
        let hold = bounds.iter().filter(|bound| **bound <= truth).count();
        // 36 of 40 expected.
        assert!((33..40).contains(&hold) && bounds.iter().all(|bound| *bound > 0.3 * truth), "{hold}, {bounds:?}");
    }

    #[test]
    fn what_is_known_already_is_not_counted_twice() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut trials = Trials::default();
        for _ in 0..20_000 {
            let ln_p: f64 = rng.random_range(-10.0..0.0);
            trials.add(ln_p, 1.0, 0.03, rng.random::<f64>() < 0.4 * ln_p.exp() + 0.03);
        }
        let fit = trials.fit(0.0).unwrap();
        assert!(fit.free.floor < 0.004 && fit.lrt < 6.0, "{fit:?}");
        let scaled = trials.scaled(Curve { scale: 1.0, power: 1.0, bend: 0.0, floor: 0.0 }, 1.0);
        assert!((scaled.scale - 0.4).abs() < 0.03, "{scaled:?}");
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert!(Trials::default().fit(0.01).is_none() && Trials::default().least_floor().is_none());
        let mut one = Trials::default();
        one.add(f64::NEG_INFINITY, 1.0, 0.0, false);
        let fit = one.fit(0.01).unwrap();
        assert!(fit.lrt <= 0.0 && fit.free.floor.is_finite() && fit.free.natural(f64::NEG_INFINITY).is_finite());
    }
}
