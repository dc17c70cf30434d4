//! What is claimed of labels, and what may be wrong with one.

use serde::{Deserialize, Serialize};

/// A cause is one-directional where its reverse has at most this share of its rows.
const ONE_WAY: f64 = 1.0 / 3.0;
/// Least share of the rows that content calls a class and that have its label, moved ones left out, for content to know that class.
const KNOWN: f64 = 0.75;

/// How labels were moved. Classes are counted in their order: of numbers by value, else by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect::label) enum Way {
    /// From one class to another.
    Pair { from: u32, to: u32 },
    /// From all other classes to one, alike.
    Toward(u32),
    /// From every class to the one that comes so many places after it, where the first comes after the last.
    Shift(u32),
}

/// More rows of one label than confusion and uniform noise explain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::detect::label) struct Moved {
    pub(in crate::detect::label) way: Way,
    /// Share of the rows that could have been moved so.
    pub(in crate::detect::label) rate: f64,
    /// Expected rows of the fit.
    pub(in crate::detect::label) expected: f64,
    /// Of the rows that content calls the class they come from, and that have another label than they, the share with the label of that class; 1
    /// where they come from all.
    pub(super) known: f64,
    /// Expected rows of the opposite way.
    pub(in crate::detect::label) reverse: f64,
    /// Likelihood ratio against the tolerated floor, or the statistic of the ranks.
    pub(in crate::detect::label) value: f64,
    /// Not corrected for the number of cells.
    pub(in crate::detect::label) p: f64,
    /// What speaks for it.
    pub(in crate::detect::label) by: By,
}

/// What speaks for moved labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect::label) enum By {
    /// Their rate does not fade with the certainty of content.
    Floor,
    /// Their number alone: content has learnt to expect the label of some of them.
    Number,
    /// Content has learnt their rate, and ranks them as low as other rows.
    Ranks,
}

impl Moved {
    /// Whether hardly any rows go the opposite way, as they do where classes are alike.
    pub(in crate::detect::label) fn one_way(&self) -> bool {
        self.reverse < ONE_WAY * self.expected
    }

    /// Whether content knows the class that the rows come from: grades and ranks next to each other, or rows that say little, are called
    /// one class and have the labels of several.
    pub(in crate::detect::label) fn is_of_known_class(&self) -> bool {
        self.known >= KNOWN
    }
}

/// What may be wrong with one label.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::detect::label) struct Wrong {
    /// Probability that it was given without regard to content.
    pub(in crate::detect::label) drawn: f64,
    /// Probability that it was moved from the class that content says.
    pub(in crate::detect::label) moved: f64,
    /// Probability that it was moved as the labels of all classes were, to another place in their order.
    pub(in crate::detect::label) shifted: f64,
    /// Probability that it was moved from whatever class the row is of.
    pub(in crate::detect::label) toward: f64,
}
