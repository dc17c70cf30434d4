//! Differences from a trusted reference.

mod joint;
mod marginal;

pub use joint::{Joint, JointModel};
pub use marginal::{Marginal, MarginalModel};

use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::fold::Given;

/// A sample of rows that a unit of this family compares.
fn sample<'a>(given: &'a Given, of: &str, code: &'static str) -> Result<&'a SampleModel> {
    let missing = || Error::Detector { code, reason: format!("there is no {of} to compare") };
    given.model(of).ok_or_else(missing)
}

#[cfg(test)]
mod tests;
