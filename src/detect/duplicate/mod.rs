//! Copies.

mod copies;
mod exact;

pub use copies::{CopiesModel, Labelled, Repeated};
pub use exact::Exact;
