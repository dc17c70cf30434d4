//! The one place that erases types, so that a run can hold units of many kinds in one list.

use std::any::Any;
use std::sync::Arc;

use ndarray::Array2;

use super::{Atlas, Derive, Detect, Envelope, Given, Info, Step};
use crate::data::{Batch, Schema};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Group};

/// A brief whose type only its unit knows.
pub type AnyBrief = Arc<dyn Any + Send + Sync>;
/// A state whose type only its unit knows.
pub type AnyState = Box<dyn Any + Send + Sync>;
/// A model whose type only its unit knows.
pub type AnyModel = Arc<dyn Any + Send + Sync>;

/// A fold with its types erased. Units of [`Derive`] answer [`Unit::column`] and judge nothing; units of [`Detect`]
/// judge and have no column.
pub trait Unit: Send + Sync {
    /// See [`Fold::info`].
    fn info(&self) -> &'static Info;
    /// See [`Fold::begin`].
    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<AnyBrief, AnyModel>>;
    /// See [`Fold::open`].
    fn open(&self, brief: &AnyBrief) -> Result<AnyState>;
    /// See [`Fold::observe`].
    fn observe(&self, brief: &AnyBrief, state: &mut AnyState, rows: &Batch) -> Result<()>;
    /// See [`Fold::merge`].
    fn merge(&self, brief: &AnyBrief, into: &mut AnyState, from: AnyState) -> Result<()>;
    /// See [`Fold::close`].
    fn close(&self, data: &Schema, given: &Given, brief: AnyBrief, state: AnyState) -> Result<Step<AnyBrief, AnyModel>>;
    /// See [`Fold::max_bytes`].
    fn max_bytes(&self, data: &Schema) -> usize;
    /// The brief's bytes in their envelope; see [`Envelope`](super::Envelope).
    fn pack_brief(&self, question: u64, brief: &AnyBrief) -> Result<Vec<u8>>;
    /// The brief from its envelope.
    fn unpack_brief(&self, question: u64, bytes: &[u8]) -> Result<AnyBrief>;
    /// The state's bytes in their envelope.
    fn pack_state(&self, question: u64, state: &AnyState) -> Result<Vec<u8>>;
    /// The state from its envelope.
    fn unpack_state(&self, question: u64, bytes: &[u8]) -> Result<AnyState>;
    /// The model's bytes in their envelope.
    fn pack_model(&self, question: u64, model: &AnyModel) -> Result<Vec<u8>>;
    /// The model from its envelope.
    fn unpack_model(&self, question: u64, bytes: &[u8]) -> Result<AnyModel>;
    /// Whether the unit judges rows.
    fn judges(&self) -> bool;
    /// See [`Derive::column`].
    fn column(&self, model: &AnyModel, rows: &Batch) -> Result<Option<Array2<f32>>>;
    /// See [`Derive::atlas`].
    fn atlas(&self, model: &AnyModel) -> Result<Option<Box<dyn Atlas>>>;
    /// See [`Detect::score`].
    fn score(&self, model: &AnyModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()>;
    /// See [`Detect::groups`].
    fn groups(&self, model: &AnyModel) -> Result<Vec<Group>>;
    /// See [`Detect::members`].
    fn members(&self, model: &AnyModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()>;
    /// See [`Detect::explain`].
    fn explain(&self, model: &AnyModel, rows: &Batch, row: usize) -> Result<Evidence>;
    /// See [`Detect::notes`].
    fn notes(&self, model: &AnyModel) -> Result<Vec<String>>;
    /// See [`Detect::estimates`].
    fn estimates(&self, model: &AnyModel) -> Result<Vec<String>>;
}

/// A detector as a [`Unit`].
pub fn detector<D: Detect + 'static>(detect: D) -> Box<dyn Unit> {
    Box::new(Detector(detect))
}

/// A derived column as a [`Unit`].
pub fn derived<D: Derive + 'static>(derive: D) -> Box<dyn Unit> {
    Box::new(Derived(derive))
}

struct Detector<D>(D);
struct Derived<D>(D);

fn foreign(code: &str, what: &str) -> Error {
    Error::Wire { code: code.to_owned(), reason: format!("was handed a {what} of another unit") }
}

fn seen<'a, T: 'static>(code: &str, what: &str, value: &'a (dyn Any + Send + Sync)) -> Result<&'a T> {
    value.downcast_ref().ok_or_else(|| foreign(code, what))
}

fn step<B: Send + Sync + 'static, M: Send + Sync + 'static>(step: Step<B, M>) -> Step<AnyBrief, AnyModel> {
    match step {
        Step::Scan(brief) => Step::Scan(Arc::new(brief)),
        Step::Reference(brief) => Step::Reference(Arc::new(brief)),
        Step::Done(model) => Step::Done(Arc::new(model)),
    }
}

/// The part of [`Unit`] that detectors and derived columns share.
macro_rules! fold_methods {
    () => {
        fn info(&self) -> &'static Info {
            self.0.info()
        }
        fn begin(&self, data: &Schema, given: &Given) -> Result<Step<AnyBrief, AnyModel>> {
            self.0.begin(data, given).map(step)
        }
        fn open(&self, brief: &AnyBrief) -> Result<AnyState> {
            Ok(Box::new(self.0.open(seen(self.info().code, "brief", &**brief)?)))
        }
        fn observe(&self, brief: &AnyBrief, state: &mut AnyState, rows: &Batch) -> Result<()> {
            let code = self.info().code;
            let state = state.downcast_mut().ok_or_else(|| foreign(code, "state"))?;
            self.0.observe(seen(code, "brief", &**brief)?, state, rows)
        }
        fn merge(&self, brief: &AnyBrief, into: &mut AnyState, from: AnyState) -> Result<()> {
            let code = self.info().code;
            let into = into.downcast_mut().ok_or_else(|| foreign(code, "state"))?;
            let from = from.downcast().map_err(|_| foreign(code, "state"))?;
            self.0.merge(seen(code, "brief", &**brief)?, into, *from)
        }
        fn close(&self, data: &Schema, given: &Given, brief: AnyBrief, state: AnyState) -> Result<Step<AnyBrief, AnyModel>> {
            let code = self.info().code;
            let brief = brief.downcast::<D::Brief>().map_err(|_| foreign(code, "brief"))?;
            let state = state.downcast::<D::State>().map_err(|_| foreign(code, "state"))?;
            let brief = Arc::try_unwrap(brief).unwrap_or_else(|shared| (*shared).clone());
            self.0.close(data, given, brief, *state).map(step)
        }
        fn max_bytes(&self, data: &Schema) -> usize {
            self.0.max_bytes(data)
        }
        fn pack_brief(&self, question: u64, brief: &AnyBrief) -> Result<Vec<u8>> {
            Envelope::pack::<D::Brief>(self.info(), question, seen(self.info().code, "brief", &**brief)?)
        }
        fn unpack_brief(&self, question: u64, bytes: &[u8]) -> Result<AnyBrief> {
            Ok(Arc::new(Envelope::unpack::<D::Brief>(self.info(), question, bytes)?))
        }
        fn pack_state(&self, question: u64, state: &AnyState) -> Result<Vec<u8>> {
            Envelope::pack::<D::State>(self.info(), question, seen(self.info().code, "state", &**state)?)
        }
        fn unpack_state(&self, question: u64, bytes: &[u8]) -> Result<AnyState> {
            Ok(Box::new(Envelope::unpack::<D::State>(self.info(), question, bytes)?))
        }
        fn pack_model(&self, question: u64, model: &AnyModel) -> Result<Vec<u8>> {
            Envelope::pack::<D::Model>(self.info(), question, seen(self.info().code, "model", &**model)?)
        }
        fn unpack_model(&self, question: u64, bytes: &[u8]) -> Result<AnyModel> {
            Ok(Arc::new(Envelope::unpack::<D::Model>(self.info(), question, bytes)?))
        }
    };
}

impl<D: Detect + 'static> Unit for Detector<D> {
    fold_methods!();

    fn judges(&self) -> bool {
        true
    }
    fn column(&self, _: &AnyModel, _: &Batch) -> Result<Option<Array2<f32>>> {
        Ok(None)
    }
    fn atlas(&self, _: &AnyModel) -> Result<Option<Box<dyn Atlas>>> {
        Ok(None)
    }
    fn score(&self, model: &AnyModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        self.0.score(seen(self.info().code, "model", &**model)?, rows, out)
    }
    fn groups(&self, model: &AnyModel) -> Result<Vec<Group>> {
        Ok(self.0.groups(seen(self.info().code, "model", &**model)?))
    }
    fn members(&self, model: &AnyModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        self.0.members(seen(self.info().code, "model", &**model)?, rows, out)
    }
    fn explain(&self, model: &AnyModel, rows: &Batch, row: usize) -> Result<Evidence> {
        self.0.explain(seen(self.info().code, "model", &**model)?, rows, row)
    }
    fn notes(&self, model: &AnyModel) -> Result<Vec<String>> {
        Ok(self.0.notes(seen(self.info().code, "model", &**model)?))
    }
    fn estimates(&self, model: &AnyModel) -> Result<Vec<String>> {
        Ok(self.0.estimates(seen(self.info().code, "model", &**model)?))
    }
}

impl<D: Derive + 'static> Unit for Derived<D> {
    fold_methods!();

    fn judges(&self) -> bool {
        false
    }
    fn column(&self, model: &AnyModel, rows: &Batch) -> Result<Option<Array2<f32>>> {
        self.0.column(seen(self.info().code, "model", &**model)?, rows)
    }
    fn atlas(&self, model: &AnyModel) -> Result<Option<Box<dyn Atlas>>> {
        self.0.atlas(seen(self.info().code, "model", &**model)?)
    }
    fn score(&self, _: &AnyModel, _: &Batch, _: &mut [Option<f64>]) -> Result<()> {
        Ok(())
    }
    fn groups(&self, _: &AnyModel) -> Result<Vec<Group>> {
        Ok(Vec::new())
    }
    fn members(&self, _: &AnyModel, _: &Batch, _: &mut [Option<u32>]) -> Result<()> {
        Ok(())
    }
    fn explain(&self, _: &AnyModel, _: &Batch, _: usize) -> Result<Evidence> {
        Err(Error::Detector { code: self.info().code, reason: "a derived column explains nothing".to_owned() })
    }
    fn notes(&self, _: &AnyModel) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn estimates(&self, _: &AnyModel) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
