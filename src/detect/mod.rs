//! Detectors, one file each, and the registry that lists them.

pub mod drift;
pub mod duplicate;
pub mod label;
pub mod outlier;
pub mod provenance;
pub mod text;
pub mod trigger;

use crate::derive::{Build, Coarse, CoarseModel, Content, ContentModel, ReferenceSample, Sample, Target, Thin};
use crate::fold::{Given, Unit, derived, detector};

/// All units: derived structure first, then detectors by code.
#[must_use]
pub fn all() -> Vec<Box<dyn Unit>> {
    vec![
        derived(Sample),
        derived(ReferenceSample),
        derived(Content),
        derived(Coarse),
        derived(Target),
        derived(Build),
        detector(drift::Joint),
        detector(drift::Marginal),
        detector(duplicate::Exact),
        detector(duplicate::Flood),
        detector(label::Coarse::new(views)),
        detector(label::Confident),
        detector(label::Conflict),
        detector(crossfit().beside(|given| given.model::<ContentModel>("derive.content")?.neighbours())),
        detector(label::Region),
        detector(label::Residual),
        detector(outlier::Conformal),
        detector(outlier::Conjunction),
        detector(outlier::Contrast),
        detector(outlier::Copula::new()),
        detector(outlier::Histogram::new()),
        detector(outlier::Iforest),
        detector(outlier::Knn),
        detector(outlier::Lof::new()),
        detector(outlier::Maha),
        detector(outlier::Missing),
        detector(outlier::Residual::new()),
        detector(outlier::Spelling),
        detector(outlier::Univariate),
        detector(provenance::Address),
        detector(text::code()),
        detector(text::Gibberish),
        detector(text::inject()),
        detector(text::Style),
        detector(text::unicode()),
        detector(trigger::Activation),
        detector(trigger::patch()),
        detector(trigger::response()),
        detector(trigger::rule()),
        detector(trigger::Set),
        detector(trigger::Spectral),
        detector(trigger::Style),
        detector(trigger::token()),
    ]
}

/// What pictures say as a whole; carriers of located triggers are explained.
fn views(given: &Given) -> Option<label::Views> {
    let (logits, labels) = given.model::<CoarseModel>("derive.coarse")?.sample_logits(&trigger::carriers(given))?;
    let claimed = given.model::<label::CrossfitModel>("label.crossfit");
    let claimed = claimed.map(|model| model.toward().map(|claim| (claim.to, claim.p)).collect()).unwrap_or_default();
    Some(label::Views { logits, labels, claimed })
}

/// Units that judge rows with planted attacks: for each attack the detector that looks for it, on a cheaper content model. What other
/// detectors would list of it as well is left out, as is all that they cost.
#[must_use]
pub fn for_planted() -> Vec<Box<dyn Unit>> {
    vec![
        derived(Sample),
        derived(Thin),
        detector(crossfit()),
        detector(trigger::patch()),
        detector(trigger::rule()),
        detector(trigger::token()),
    ]
}

fn crossfit() -> label::Crossfit {
    label::Crossfit::new(|given| given.model::<ContentModel>("derive.content")?.sample_logits(&trigger::carriers(given)))
        .under(|given| given.model::<ContentModel>("derive.content")?.linear_logits(&trigger::carriers(given)))
}
