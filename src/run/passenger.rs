//! Units on their way through a run.

use std::sync::Arc;

use super::{MOST_SCANS, Order};
use crate::data::{Role, Schema};
use crate::error::Result;
use crate::finding::ScoreSpread;
use crate::fold::{AnyBrief, AnyModel, Claim, Need, Step, Unit};
use crate::policy;

/// Why a detector was skipped that the user did not want.
pub const LEFT_OUT: &str = "left out by the settings";

/// Which rows a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Data,
    Reference,
}

/// How far a unit has come.
pub(super) enum Phase {
    Waiting,
    Scanning(Rows, AnyBrief),
    Done(AnyModel),
    Skipped(String),
    Failed(String),
}

pub(super) struct Passenger {
    pub(super) unit: Box<dyn Unit>,
    pub(super) phase: Phase,
    pub(super) seconds: f64,
    pub(super) scans: u32,
    pub(super) bytes: u64,
    /// How its posteriors lie, once rows are scored.
    pub(super) spread: Option<ScoreSpread>,
}

impl Passenger {
    pub(super) fn new(unit: Box<dyn Unit>, phase: Phase) -> Self {
        Self { unit, phase, seconds: 0.0, scans: 0, bytes: 0, spread: None }
    }

    pub(super) fn code(&self) -> &'static str {
        self.unit.info().code
    }

    pub(super) fn settled(&self) -> bool {
        matches!(self.phase, Phase::Done(_) | Phase::Skipped(_) | Phase::Failed(_))
    }

    pub(super) fn listed(&self, rows: u64) -> policy::Listed<'_> {
        policy::Listed { code: self.code(), family: self.unit.info().family, rows }
    }

    pub(super) fn model(&self) -> Option<&AnyModel> {
        match &self.phase {
            Phase::Done(model) => Some(model),
            _ => None,
        }
    }

    /// Why the unit could not finish, with its code.
    pub(super) fn failure(&self) -> Option<(&'static str, &str)> {
        match &self.phase {
            Phase::Failed(why) => Some((self.code(), why)),
            _ => None,
        }
    }

    pub(super) fn step(&mut self, step: Result<Step<AnyBrief, AnyModel>>) {
        self.phase = match step {
            Ok(Step::Scan(_) | Step::Reference(_)) if self.scans >= MOST_SCANS => {
                Phase::Failed(format!("asked for more than {MOST_SCANS} scans"))
            }
            Ok(Step::Scan(brief)) => Phase::Scanning(Rows::Data, brief),
            Ok(Step::Reference(brief)) => Phase::Scanning(Rows::Reference, brief),
            Ok(Step::Done(model)) => Phase::Done(model),
            Err(error) => Phase::Failed(error.to_string()),
        };
    }
}

/// Decides which units come along.
pub(super) fn board(units: Vec<Box<dyn Unit>>, schema: &Schema, reference: bool, order: &Order, scores: bool) -> Vec<Passenger> {
    units
        .into_iter()
        .map(|unit| {
            let phase = if order.leaves_out(&*unit) {
                Phase::Skipped(LEFT_OUT.to_owned())
            } else if unit.judges() && unit.info().claim == Claim::Rank && !scores {
                Phase::Skipped("only ranks rows, and nobody asked for scores".to_owned())
            } else {
                match unit.info().needs.iter().find_map(|need| unmet(*need, schema, reference)) {
                    Some(why) => Phase::Skipped(why),
                    None => Phase::Waiting,
                }
            };
            Passenger::new(unit, phase)
        })
        .collect()
}

/// Why a need is not met.
fn unmet(need: Need, schema: &Schema, reference: bool) -> Option<String> {
    let has = |role| schema.first(role).is_some();
    let (met, why) = match need {
        Need::Classes => match &schema.label {
            None => (false, "needs a label column"),
            Some(label) if label.answers().is_some() => (false, "needs a label column"),
            Some(label) => (label.classes.len() > 1, "needs at least two classes; the label has one value"),
        },
        Need::Targets => match &schema.label {
            None => (false, "needs a label column, or one of answers"),
            Some(label) => (label.classes.len() > 1, "needs at least two classes; all rows are of one"),
        },
        Need::Answers => match schema.label.as_ref().filter(|label| label.answers().is_some()) {
            None => (false, "needs a column of answers, and no label column"),
            Some(label) => (label.classes.len() > 1, "no answer is repeated by enough rows"),
        },
        Need::Number => (has(Role::Target), "needs a label column of numbers to predict"),
        Need::Numeric => (has(Role::Numeric), "needs a numeric column"),
        Need::Table => (has(Role::Numeric) || has(Role::Categorical), "needs feature columns"),
        Need::Text => (!schema.text_columns().is_empty(), "needs a text column"),
        Need::Image => (has(Role::Image), "needs an image column"),
        Need::Vectors => (has(Role::Numeric) || has(Role::Embedding), "needs numeric columns or an embedding"),
        Need::Probabilities => (has(Role::Probabilities), "needs a column of class probabilities"),
        Need::Embedding => (has(Role::Embedding), "needs an embedding column"),
        Need::Addresses => (has(Role::Address) && has(Role::Digest), "needs a column of network addresses and one of content hashes"),
        Need::Reference => (reference, "needs a reference (--reference)"),
        Need::Content => (schema.has_content(), "needs a content column"),
    };
    (!met).then(|| why.to_owned())
}

/// Derived units whose column some of these units read.
pub(super) fn columns_for(passengers: &[Passenger], readers: impl Iterator<Item = usize>) -> Vec<(&dyn Unit, AnyModel)> {
    let wanted: Vec<&str> = readers.flat_map(|i| passengers[i].unit.info().reads.iter().copied()).collect();
    let derived = passengers.iter().filter(|p| !p.unit.judges() && wanted.contains(&p.code()));
    derived.filter_map(|p| Some((&*p.unit, Arc::clone(p.model()?)))).collect()
}
