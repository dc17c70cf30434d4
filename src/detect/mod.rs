//! Detectors, one file each, and the registry that lists them.

mod without_scan;

pub mod label;
pub mod outlier;

use without_scan::without_scan;
