//! Detectors, one file each, and the registry that lists them.

pub mod duplicate;
pub mod label;
