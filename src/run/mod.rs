//! Running a plan over a source.

mod outcome;

pub use outcome::*;
