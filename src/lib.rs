//! foretaste tastes a training set before a model does.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
pub mod config;
pub mod data;
pub mod derive;
pub mod detect;
pub mod engine;
pub mod error;
pub mod finding;
pub mod fold;
pub mod policy;
pub mod report;
pub mod run;
pub mod stats;
