//! Wrong labels: rows whose label does not fit their content, or that of their copies.

mod conflict;
mod crossfit;

pub use conflict::{Conflict, ConflictModel};
pub use crossfit::{Crossfit, CrossfitModel, SampleLogits};
