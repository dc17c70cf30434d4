//! What a run is told.

use crate::data::{Choices, Key};
use crate::finding::covers;
use crate::fold::Unit;
use crate::policy::{Gate, Policy};

/// What a run is told, beside its source.
#[derive(Debug, Clone)]
pub struct Order {
    /// Roles that the user gave.
    pub choices: Choices,
    /// Key of the run's hashes.
    pub key: Key,
    /// Threads to use; the answer does not depend on it.
    pub threads: usize,
    /// Memory budget, bytes.
    pub memory: usize,
    /// Error rates.
    pub policy: Policy,
    /// What findings come to.
    pub gate: Gate,
    /// Codes or families to run; all if empty.
    pub only: Vec<String>,
    /// Codes or families to leave out.
    pub skip: Vec<String>,
}

impl Order {
    /// An order as `foretaste scan` has it where the user says nothing: all detectors, roles inferred, one thread a core, 2 GiB.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            choices: Choices::default(),
            key: Key::from_seed(seed),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 2 << 30,
            policy: Policy::default(),
            gate: Gate::default(),
            only: Vec::new(),
            skip: Vec::new(),
        }
    }

    /// Whether the settings leave a detector out; derived units never are.
    pub(crate) fn leaves_out(&self, unit: &dyn Unit) -> bool {
        let named = |names: &[String]| names.iter().any(|name| covers(name, unit.info().code));
        unit.judges() && (named(&self.skip) || !self.only.is_empty() && !named(&self.only))
    }
}
