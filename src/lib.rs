//! foretaste tastes a training set before a model does.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod data;
pub mod error;
pub mod finding;
pub mod fold;
pub mod report;
pub mod run;
