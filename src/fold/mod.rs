//! The contract of everything that looks at data.
//!
//! A unit is a *fold*: it is told what to look for (a brief), looks at blocks of rows with a state, merges its states,
//! and closes them into a model, or asks for another scan. Because states merge, the same code runs on one thread, on
//! all cores, over a file larger than memory and on a cluster, and gives the same answer ([`Law`] says how exactly).
//!
//! ```text
//! begin ─► brief ─► observe … observe ─► merge ─► close ─► model ─► score
//!            ▲                                      │
//!            └────────────── next scan ◄────────────┘
//! ```

mod atlas;
mod erase;
#[cfg(test)]
pub(crate) mod law;
mod wire;
mod without_scan;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use atlas::{Atlas, Located};
pub use erase::{AnyBrief, AnyModel, AnyState, Unit, derived, detector};
pub use wire::{Envelope, Wire};
pub(crate) use without_scan::without_scan;

use crate::data::{Batch, Schema};
use crate::error::Result;
use crate::finding::{Evidence, Family, Group, Tier};

/// How far two ways of splitting the same rows may disagree. A law test checks it for every unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law {
    /// Bit for bit.
    Exact,
    /// Floating-point sums in another order.
    Rounded {
        /// Largest relative difference of any score.
        relative: f64,
    },
}

/// What a detector needs in the data; a unit whose needs are not met is skipped, and the report says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A label column with at least two classes.
    Classes,
    /// Either of the two: something that rows can be told apart by.
    Targets,
    /// A column of answers of which some repeat each other, in place of a label column.
    Answers,
    /// A column of numbers to predict, in place of a label column.
    Number,
    /// At least one numeric feature column.
    Numeric,
    /// At least one numeric or categorical feature column.
    Table,
    /// At least one text column.
    Text,
    /// An image column.
    Image,
    /// Numeric feature columns or an embedding.
    Vectors,
    /// An embedding.
    Embedding,
    /// A column of network addresses and one of content hashes.
    Addresses,
    /// A reference that the user trusts.
    Reference,
    /// Class probabilities that the user gave.
    Probabilities,
    /// Any content at all: features, text, image, embedding or probabilities.
    Content,
}

/// How a detector's row scores become a decision; the policy alone applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The score is a posterior probability, 0 to 1, that the row is bad: listed while the mean of 1 − score over the
    /// list stays under the false-discovery rate.
    Posterior,
    /// Rows are listed because a group that they belong to was.
    Group,
    /// Says something of the data as a whole, in its notes; the score ranks rows without a claim.
    Note,
    /// A ranking without a claim, and nothing else: no work where nobody asked for scores.
    Rank,
}

/// What a unit is. One constant per unit; the registry, the manual, the report and the README's table read it.
#[derive(Debug)]
pub struct Info {
    /// Stable id, `family.name`; never reused.
    pub code: &'static str,
    /// Family, over which error rates are controlled.
    pub family: Family,
    /// One line: what it finds.
    pub summary: &'static str,
    /// What the data must have.
    pub needs: &'static [Need],
    /// Codes of units whose models [`Fold::begin`] reads; they are closed first. Missing ones are not an error.
    pub after: &'static [&'static str],
    /// Codes of units whose columns [`Fold::observe`] or [`Detect::score`] reads from the batch.
    pub reads: &'static [&'static str],
    /// How exactly its states merge.
    pub law: Law,
    /// Version of state and model; changes whenever their meaning does.
    pub version: u32,
    /// How its row scores become a decision.
    pub claim: Claim,
    /// Surprisal, nats, from which its row scores count in its family's where the policy fuses those by how rare each is, and that is taken
    /// off: 0 where all of its order means something. `None` for a detector that looks for something else than the rest of its family, or that
    /// makes the mean worse.
    pub fused: Option<f64>,
    /// The strongest tier that it can reach.
    pub max_tier: Tier,
    /// The manual, Markdown.
    pub manual: &'static str,
}

/// What comes after a scan.
pub enum Step<Brief, Model> {
    /// Look at all rows again, with this brief.
    Scan(Brief),
    /// Look at the rows of the trusted reference instead; only a unit with [`Need::Reference`] may ask for that.
    Reference(Brief),
    /// The unit is done.
    Done(Model),
}

/// Models of the units that were closed before, by code.
#[derive(Default, Clone)]
pub struct Given {
    models: BTreeMap<&'static str, Arc<dyn Any + Send + Sync>>,
}

impl Given {
    /// The model of a unit, if it ran and has this type.
    #[must_use]
    pub fn model<M: 'static>(&self, code: &str) -> Option<&M> {
        self.models.get(code)?.downcast_ref()
    }

    /// Adds a model.
    pub fn insert(&mut self, code: &'static str, model: Arc<dyn Any + Send + Sync>) {
        self.models.insert(code, model);
    }
}

/// A mergeable computation over all rows.
///
/// Laws, checked for every unit by `law`: an empty state is the identity of `merge`; `merge` is associative and
/// commutative within [`Info::law`]; observing rows in any split and merging equals observing them in one pass; brief,
/// state and model survive the wire; no input makes it panic.
pub trait Fold: Send + Sync {
    /// What every worker is told before a scan; never merged.
    type Brief: Wire + Clone;
    /// What a worker gathers during a scan.
    type State: Wire;
    /// The frozen outcome.
    type Model: Wire;

    /// What the unit is.
    fn info(&self) -> &'static Info;

    /// The first brief, or at once the model where the units given suffice.
    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<Self::Brief, Self::Model>>;

    /// An empty state.
    fn open(&self, brief: &Self::Brief) -> Self::State;

    /// Takes in a block of rows.
    fn observe(&self, brief: &Self::Brief, state: &mut Self::State, rows: &Batch) -> Result<()>;

    /// Joins two states of the same brief.
    fn merge(&self, brief: &Self::Brief, into: &mut Self::State, from: Self::State) -> Result<()>;

    /// Ends a scan.
    fn close(&self, data: &Schema, given: &Given, brief: Self::Brief, state: Self::State) -> Result<Step<Self::Brief, Self::Model>>;

    /// Upper bound of one state's size in bytes.
    fn max_bytes(&self, data: &Schema) -> usize;
}

/// A fold that judges rows.
pub trait Detect: Fold {
    /// Writes the suspicion of each row, higher is worse; `None` is "could not judge", never 0. `out` has one slot per
    /// row, all `None` at the start.
    fn score(&self, model: &Self::Model, rows: &Batch, out: &mut [Option<f64>]) -> Result<()>;

    /// What was found as causes.
    fn groups(&self, _model: &Self::Model) -> Vec<Group> {
        Vec::new()
    }

    /// For each row the index into [`Detect::groups`] of the cause that it is listed for. All `None` at the start.
    fn members(&self, _model: &Self::Model, _rows: &Batch, _out: &mut [Option<u32>]) -> Result<()> {
        Ok(())
    }

    /// Why a row is listed: asked for listed rows alone.
    fn explain(&self, model: &Self::Model, rows: &Batch, row: usize) -> Result<Evidence>;

    /// What the model says of the whole set, for the report: an estimate, a limit, the smallest cause it could have
    /// seen. Sentences, lower case, no full stop.
    fn notes(&self, _model: &Self::Model) -> Vec<String> {
        Vec::new()
    }

    /// Those of the notes that a reader of the verdict must not miss: that more is wrong than rows can be listed for.
    fn estimates(&self, _model: &Self::Model) -> Vec<String> {
        Vec::new()
    }
}

/// A fold that hands on structure as an ordinary column.
pub trait Derive: Fold {
    /// The column, rows × width; NaN where there is nothing to say. `None` where this model has no column.
    fn column(&self, model: &Self::Model, rows: &Batch) -> Result<Option<Array2<f32>>>;

    /// Where rows lie among each other, by this model; `None` where it cannot say.
    fn atlas(&self, _model: &Self::Model) -> Result<Option<Box<dyn Atlas>>> {
        Ok(None)
    }
}
