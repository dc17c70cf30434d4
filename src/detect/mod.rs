//! Detectors, one file each, and the registry that lists them.

pub mod duplicate;
pub mod label;
pub mod trigger;

use crate::derive::{Content, Sample};
use crate::fold::{Unit, derived, detector};

/// All units: derived structure first, then detectors by code.
#[must_use]
pub fn all() -> Vec<Box<dyn Unit>> {
    vec![
        derived(Sample),
        derived(Content),
        detector(duplicate::Exact),
        detector(label::Conflict),
        detector(trigger::patch()),
        detector(trigger::rule()),
        detector(trigger::token()),
    ]
}
