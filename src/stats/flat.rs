//! Hits that keep no order: whether what is said to be unlikely happens as often where it is said to be least likely.
//!
//! Rows are ranked by the probability that content gives a label. Natural confusion gathers among the highest ranks; labels
//! that were given without regard to content fall on all ranks alike, whatever level of probability content has come to give
//! them. So a content model that was fitted to such labels, and has learnt to expect them at their average rate, shows
//! them still. The statistic is Fisher's: the sum of −ln of the ranks (1932), exponential under a rate that rises as a power of the rank.

use statrs::function::gamma::checked_gamma_ur;

/// Natural hits are taken to become more frequent at least in proportion to the rank, `P(rank ≤ x) = x²`: a quarter of them lie among
/// the lower half of the rows. Clean sets that are confused one way alone have been seen with up to 0.29, of a hundred hits.
const POWER: f64 = 2.0;
/// Smallest rank.
const LEAST_RANK: f64 = 1e-12;

/// Ranks of hits among rows, summed over any number of sets of rows that are ranked apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flat {
    rows: f64,
    hits: f64,
    /// Rows and hits in the lower half.
    low: [f64; 2],
    /// Sum of −ln of the ranks of the hits, 0 to 1 each.
    ranks: f64,
    /// The same where rows count as much as content expects of them.
    masses: f64,
}

impl Flat {
    /// Ranks the hits of one set of rows: `bins` hold the probability that content gives, rows, and hits, by ascending probability.
    /// Rows of one bin share its middle rank.
    pub fn new(bins: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Self {
        let (rows, mass) = bins.clone().fold((0.0, 0.0), |(rows, mass), (p, n, _)| (rows + n, mass + p * n));
        let mut flat = Self { rows, ..Self::default() };
        let (mut below, mut lighter) = (0.0, 0.0);
        for (p, n, hits) in bins {
            let (rank, share) = ((below + 0.5 * n) / rows, (lighter + 0.5 * p * n) / mass);
            below += n;
            lighter += p * n;
            flat.hits += hits;
            if rank < 0.5 {
                flat.low[0] += n;
                flat.low[1] += hits;
            }
            if hits > 0.0 {
                flat.ranks -= hits * rank.max(LEAST_RANK).ln();
                flat.masses -= hits * share.max(LEAST_RANK).ln();
            }
        }
        flat
    }

    /// Adds another set.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.hits += other.hits;
        self.low = [self.low[0] + other.low[0], self.low[1] + other.low[1]];
        self.ranks += other.ranks;
        self.masses += other.masses;
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> f64 {
        self.rows
    }

    /// Hits.
    #[must_use]
    pub fn hits(&self) -> f64 {
        self.hits
    }

    /// Rows and hits in the lower half of the ranks.
    #[must_use]
    pub fn low(&self) -> [f64; 2] {
        self.low
    }

    /// Sum of −ln of the ranks.
    #[must_use]
    pub fn statistic(&self) -> f64 {
        self.ranks
    }

    /// P-value of ranks this low, against confusion that gathers among the higher ranks, and against content that cannot tell
    /// the rows apart but knows how often the label comes: the larger one. 1 where there is no hit.
    #[must_use]
    pub fn p(&self) -> f64 {
        let upper = |sum: f64| checked_gamma_ur(self.hits, sum.max(0.0)).unwrap_or(1.0);
        if self.hits > 0.0 { upper(POWER * self.ranks).max(upper(self.masses)) } else { 1.0 }
    }

    /// Rate of hits that keep no order, beside natural ones that lie as low as they may.
    #[must_use]
    pub fn floor(&self) -> f64 {
        let [rows, hits] = self.low;
        let share = rows / self.rows;
        let natural = ((self.hits * share - hits) / (share - share.powf(POWER))).max(0.0);
        let rate = ((self.hits - natural) / self.rows).max(0.0);
        if rate.is_finite() { rate } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// 400 rows whose probability rises with the rank, hit at a rate that depends on it.
    fn drawn(seed: u64, p: impl Fn(f64) -> f64, rate: impl Fn(f64) -> f64) -> Flat {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<(f64, f64, f64)> = (0..400)
            .map(|i| (f64::from(i) + 0.5) / 400.0)
            .map(|rank| (p(rank), 1.0, f64::from(u8::from(rng.random::<f64>() < rate(rank)))))
            .collect();
        Flat::new(rows.into_iter())
    }

    #[test]
    fn hits_without_order_are_told_from_those_that_gather() {
        let p = |rank: f64| 0.3 * rank.powi(3);
        let (mut false_claims, mut found, mut floors) = (0, 0, 0.0);
        for seed in 0..200 {
            // As low as natural hits may lie, at the level of 5 %: at most some 10 of 200.
            false_claims += u32::from(drawn(seed, p, |rank| 0.2 * rank).p() <= 0.05);
            let flat = drawn(seed, p, |_| 0.1);
            found += u32::from(flat.p() <= 0.01);
            floors += flat.floor() / 200.0;
        }
        assert!(false_claims <= 17 && found >= 170, "{false_claims}, {found}");
        // What chance puts among the higher ranks counts as natural.
        assert!((0.075..0.1).contains(&floors), "{floors}");
    }

    #[test]
    fn content_that_cannot_tell_rows_apart_but_knows_the_rate_is_no_evidence() {
        let claims = (0..200).filter(|&seed| drawn(seed, |rank| 0.2 + 0.01 * rank, |_| 0.2).p() <= 0.05).count();
        assert!(claims <= 17, "{claims}");
    }

    #[test]
    fn parts_add_up_and_nothing_is_made_of_nothing() {
        let (a, b) = (drawn(1, |rank| rank, |_| 0.1), drawn(2, |rank| rank, |_| 0.1));
        let mut both = a;
        both.add(&b);
        assert!((both.hits() - a.hits() - b.hits()).abs() < 1e-12 && both.p() < a.p().max(b.p()));
        assert!((Flat::default().p() - 1.0).abs() < 1e-12 && Flat::default().floor() == 0.0);
        assert!((Flat::new([(0.0, 5.0, 0.0)].into_iter()).p() - 1.0).abs() < 1e-12);
    }
}
