//! Wrong labels.

mod conflict;

pub use conflict::{Conflict, ConflictModel};
