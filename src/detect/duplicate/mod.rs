//! Copies.

mod copies;
mod exact;
mod flood;
mod near;

pub use copies::{CopiesModel, Labelled, Repeated};
pub use exact::Exact;
pub use flood::{Flood, FloodModel};
