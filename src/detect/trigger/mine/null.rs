//! The null hypotheses of a miner's candidates.

use crate::data::{Label, Schema};
use crate::stats::interval::{IntervalNull, IntervalParams};

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

    /// Of a label that no row is misread for.
    pub(super) fn usual(&self) -> &IntervalNull {
        &self.sure
    }
}
