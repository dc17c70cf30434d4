//! What a scan could have seen: attacks that were planted into a copy of the rows, and how many of their rows were listed.

use serde::{Deserialize, Serialize};

use super::Family;

/// Attacks that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// One word that no row holds otherwise, at a random place in a text, with one label.
    Word,
    /// A 3 × 3 patch at one place of a picture, with one label.
    Patch,
    /// Usual values of two or three columns, which no row holds together otherwise, with one label.
    Values,
    /// Labels drawn at random among the other classes.
    Flips,
}

impl Attack {
    /// All, in report order.
    pub const ALL: [Self; 4] = [Self::Patch, Self::Word, Self::Values, Self::Flips];

    /// What a row carries, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "a rare word with one label",
            Self::Patch => "a 3×3 patch with one label",
            Self::Values => "a combination of usual values with one label",
            Self::Flips => "labels flipped at random",
        }
    }

    /// The family that is to see it.
    #[must_use]
    pub fn family(self) -> Family {
        if self == Self::Flips { Family::Label } else { Family::Trigger }
    }
}

/// One attack planted into some rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Rows planted.
    pub rows: u64,
    /// Of these, rows listed by the family that is to see the attack.
    pub listed: u64,
}

impl Trial {
    /// Whether at least half of the rows were listed.
    #[must_use]
    pub fn seen(&self) -> bool {
        2 * self.listed >= self.rows.max(1)
    }
}

/// How well an attack was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The attack.
    pub attack: Attack,
    /// Trials, the smallest first.
    pub trials: Vec<Trial>,
    /// Rows of the smallest trials that were all seen, as all larger ones were, at least two in all: one alone may be luck.
    pub smallest: Option<u64>,
    /// Why it was not tried.
    pub untried: Option<String>,
}

impl Reach {
    /// From all trials of an attack.
    #[must_use]
    pub fn new(attack: Attack, mut trials: Vec<Trial>) -> Self {
        trials.sort_by_key(|trial| trial.rows);
        let missed = trials.iter().filter(|trial| !trial.seen()).map(|trial| trial.rows).max().unwrap_or(0);
        let seen: Vec<u64> = trials.iter().map(|trial| trial.rows).filter(|rows| *rows > missed).collect();
        let smallest = seen.first().copied().filter(|_| seen.len() > 1);
        Self { attack, trials, smallest, untried: None }
    }

    /// An attack that does not fit the rows.
    #[must_use]
    pub fn untried(attack: Attack, why: &str) -> Self {
        Self { attack, trials: Vec::new(), smallest: None, untried: Some(why.to_owned()) }
    }

    /// What a person is told of trials in `of` rows, a sentence without its full stop.
    #[must_use]
    pub fn sentence(&self, of: u64) -> String {
        let name = self.attack.name();
        if let Some(why) = &self.untried {
            return format!("{name}: not tried, {why}");
        }
        let share = |rows: u64| 100.0 * rows as f64 / of.max(1) as f64;
        if self.attack == Attack::Flips {
            let (rows, listed) = self.trials.iter().fold((0, 0), |(rows, listed), t| (rows + t.rows, listed + t.listed));
            return format!("{name}: {listed} of {rows} would have been listed where {:.1} % of all labels are flipped", share(rows));
        }
        match (self.smallest, self.trials.last()) {
            (Some(rows), _) => format!("{name}: seen from {rows} rows on ({:.2} %)", share(rows)),
            (None, Some(largest)) => format!("{name}: not seen reliably in up to {} rows ({:.2} %)", largest.rows, share(largest.rows)),
            (None, None) => format!("{name}: not tried"),
        }
    }
}

/// What a scan could have seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// Rows of the copy that was poisoned.
    pub rows: u64,
    /// Rows of the data.
    pub of: u64,
    /// Attack by attack.
    pub reach: Vec<Reach>,
    /// Wall seconds.
    pub seconds: f64,
}

impl Power {
    /// Sentences, attack by attack.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.reach.iter().map(|reach| reach.sentence(self.rows)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(trials: &[(u64, u64)]) -> Reach {
        Reach::new(Attack::Word, trials.iter().map(|&(rows, listed)| Trial { rows, listed }).collect())
    }

    #[test]
    fn the_smallest_size_is_above_every_miss() {
        assert_eq!(reach(&[(16, 16), (4, 0), (8, 8), (8, 8), (4, 4)]).smallest, Some(8));
        assert_eq!(reach(&[(8, 8), (16, 7), (32, 16), (48, 48)]).smallest, Some(32));
        assert_eq!(reach(&[(8, 8), (16, 7), (32, 16)]).smallest, None, "one alone may be luck");
        assert_eq!(reach(&[(8, 8), (16, 7)]).smallest, None);
        assert_eq!(reach(&[]).smallest, None);
    }

    #[test]
    fn sentences_say_what_was_tried() {
        assert_eq!(reach(&[(4, 0), (8, 8), (8, 8)]).sentence(1_000), "a rare word with one label: seen from 8 rows on (0.80 %)");
        assert_eq!(reach(&[(4, 0)]).sentence(1_000), "a rare word with one label: not seen reliably in up to 4 rows (0.40 %)");
        let flips = Reach::new(Attack::Flips, vec![Trial { rows: 20, listed: 5 }]);
        assert_eq!(flips.sentence(1_000), "labels flipped at random: 5 of 20 would have been listed where 2.0 % of all labels are flipped");
        assert_eq!(
            Reach::untried(Attack::Patch, "there are no pictures").sentence(9),
            "a 3×3 patch with one label: not tried, there are no pictures"
        );
    }
}
