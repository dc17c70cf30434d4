//! The null hypotheses of a miner's candidates.

use crate::data::{Label, Schema};
use crate::stats::interval::{IntervalNull, IntervalParams};

use super::state::Tally;

/// Share of agreeing carriers asked for; an attacker's cover rows may lower it once there are many carriers.
pub(super) const PURITY: f64 = 0.9;
/// The same where a label is read from the row and now and then misread.
const PURITY_IN_DOUBT: f64 = 0.7;

/// The null hypothesis of carriers that share a label.
pub(in crate::detect) fn null(odds_ratio: f64) -> IntervalNull {
    with_purity(odds_ratio, PURITY)
}

fn with_purity(odds_ratio: f64, min_purity: f64) -> IntervalNull {
    IntervalNull::new(IntervalParams { odds_ratio, min_purity, ..IntervalParams::default() }).unwrap_or_default()
}

/// The null hypotheses of all labels.
pub(super) struct Nulls {
    sure: IntervalNull,
    in_doubt: Option<(u32, IntervalNull)>,
}

impl Nulls {
    pub(super) fn new(data: &Schema, odds_ratio: f64) -> Self {
        let in_doubt = data.label.as_ref().and_then(Label::in_doubt);
        Self { sure: null(odds_ratio), in_doubt: in_doubt.map(|label| (label, with_purity(odds_ratio, PURITY_IN_DOUBT))) }
    }

    /// Of carriers that share a label.
    pub(super) fn of(&self, label: u32) -> &IntervalNull {
        match &self.in_doubt {
            Some((doubtful, null)) if *doubtful == label => null,
            _ => &self.sure,
        }
    }

    /// Rows with an item that are held against a label: those that may have it or another. A row without a label never agrees; where labels are
    /// readings it only does not tell.
    pub(super) fn carrying(&self, tally: &Tally, label: u32) -> u32 {
        if self.is_in_doubt(label) { tally.with_label() } else { tally.rows }
    }

    /// Whether a row without a label only does not tell whether it has this one.
    pub(super) fn is_in_doubt(&self, label: u32) -> bool {
        self.in_doubt.as_ref().is_some_and(|(doubtful, _)| *doubtful == label)
    }

    /// Of a label that no row is misread for.
    pub(super) fn usual(&self) -> &IntervalNull {
        &self.sure
    }
}
