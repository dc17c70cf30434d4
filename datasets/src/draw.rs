//! How many rows an attack hits, which ones, and what it calls them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{Class, Error, Result, Truth};

/// How many rows to hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// A share of all rows, 0 to 1, rounded to the nearest row.
    Rate(f64),
    /// A number of rows.
    Count(usize),
}

impl Share {
    fn of(self, rows: usize) -> Result<usize> {
        match self {
            Self::Rate(rate) if (0.0..=1.0).contains(&rate) => Ok((rate * rows as f64).round() as usize),
            Self::Rate(rate) => Err(Error::Setting(format!("rate {rate} is not between 0 and 1"))),
            Self::Count(count) => Ok(count),
        }
    }
}

/// `count` of the given, or all if there are fewer, each set of them as likely.
pub(crate) fn some_of<T: Clone>(rng: &mut ChaCha8Rng, mut given: Vec<T>, count: usize) -> Vec<T> {
    given.partial_shuffle(rng, count).0.to_vec()
}

/// How many rows to hit, the seed that picks them, and the rows to leave alone. The same draw on the same rows always
/// gives the same result.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    share: Share,
    seed: u64,
    spared: Option<Vec<bool>>,
}

impl Draw {
    /// A draw among all rows.
    #[must_use]
    pub fn new(share: Share, seed: u64) -> Self {
        Self { share, seed, spared: None }
    }

    /// Leaves alone the rows that an earlier recipe hit, so that recipes can be stacked (see [`Truth::then`]).
    #[must_use]
    pub fn sparing(mut self, earlier: &Truth) -> Self {
        self.spared = Some(earlier.touched());
        self
    }

    /// The same draw of another number of rows.
    pub(crate) fn of(&self, share: Share) -> Self {
        Self { share, ..self.clone() }
    }

    pub(crate) fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed)
    }

    /// Picks rows without replacement, ascending; a rate is a share of `whole` rows.
    pub(crate) fn pick(&self, rng: &mut ChaCha8Rng, rows: usize, whole: usize, eligible: impl Fn(usize) -> bool) -> Result<Vec<usize>> {
        let spared = self.spared.as_deref().unwrap_or_default();
        if self.spared.is_some() && spared.len() != rows {
            return Err(Error::Setting(format!("the truth to spare has {} rows, the data {rows}", spared.len())));
        }
        let asked = self.share.of(whole)?;
        let free: Vec<usize> = (0..rows).filter(|&row| !spared.get(row).is_some_and(|&hit| hit) && eligible(row)).collect();
        if free.len() < asked {
            return Err(Error::TooFewRows { asked, eligible: free.len() });
        }
        let mut picked = some_of(rng, free, asked);
        picked.sort_unstable();
        Ok(picked)
    }
}

/// Which rows get a trigger, and with which label.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) label: String,
    pub(crate) target: Class,
    pub(crate) draw: Draw,
    pub(crate) clean_label: bool,
}

impl Plan {
    /// Dirty label: hits rows whose label in column `label` is neither null nor `target`, and relabels them `target`.
    pub fn new(label: impl Into<String>, target: impl Into<Class>, share: Share, seed: u64) -> Self {
        Self { label: label.into(), target: target.into(), draw: Draw::new(share, seed), clean_label: false }
    }

    /// Clean label: hits rows of class `target` instead and leaves their labels as they are. Published attacks also make
    /// the content of such rows hard to learn from, so that a model relies on the trigger; that needs a model and is
    /// left out here.
    #[must_use]
    pub fn clean_label(mut self) -> Self {
        self.clean_label = true;
        self
    }

    /// As [`Draw::sparing`].
    #[must_use]
    pub fn sparing(mut self, earlier: &Truth) -> Self {
        self.draw = self.draw.sparing(earlier);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_distinct_eligible_and_fixed_by_the_seed() {
        let pick = |seed| {
            let draw = Draw::new(Share::Rate(0.1), seed);
            draw.pick(&mut draw.rng(), 1000, 1000, |row| row % 2 == 1).unwrap()
        };
        let rows = pick(3);
        assert_eq!(rows.len(), 100);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rows.iter().all(|row| row % 2 == 1));
        assert_eq!(rows, pick(3));
        assert_ne!(rows, pick(4));
        assert!(rows.iter().filter(|&&row| row < 500).count().abs_diff(50) < 25, "rows are spread evenly");
    }

    #[test]
    fn impossible_shares_are_refused() {
        for rate in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(Share::Rate(rate).of(10), Err(Error::Setting(_))));
        }
        let draw = Draw::new(Share::Count(6), 0);
        let result = draw.pick(&mut draw.rng(), 10, 10, |row| row < 5);
        assert!(matches!(result, Err(Error::TooFewRows { asked: 6, eligible: 5 })));
    }
}
