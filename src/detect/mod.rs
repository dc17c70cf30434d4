//! Detectors, one file each, and the registry that lists them.

mod without_scan;

pub mod duplicate;
pub mod label;
pub mod outlier;
pub mod provenance;
pub mod text;
pub mod trigger;

use crate::derive::{Content, ContentModel, Sample};
use crate::fold::{Unit, derived, detector};

use without_scan::without_scan;

/// All units: derived structure first, then detectors by code.
#[must_use]
pub fn all() -> Vec<Box<dyn Unit>> {
    vec![
        derived(Sample),
        derived(Content),
        detector(duplicate::Exact),
        detector(label::Conflict),
        detector(label::Crossfit::new(|given| given.model::<ContentModel>("derive.content")?.sample_logits(&trigger::carriers(given)))),
        detector(outlier::Iforest),
        detector(outlier::Knn),
        detector(outlier::Maha),
        detector(outlier::Univariate),
        detector(provenance::Address),
        detector(text::code()),
        detector(text::Gibberish),
        detector(text::inject()),
        detector(text::Style),
        detector(text::unicode()),
        detector(trigger::Activation),
        detector(trigger::patch()),
        detector(trigger::rule()),
        detector(trigger::Set),
        detector(trigger::Spectral),
        detector(trigger::token()),
    ]
}
