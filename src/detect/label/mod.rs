//! Rows whose label does not fit their content.

mod crossfit;

pub use crossfit::{Crossfit, CrossfitModel, SampleLogits};
