//! Structure that detectors share, handed on as models and columns.

mod build;
mod content;
mod sample;

use crate::finding::{Family, Tier};
use crate::fold::{Claim, Info, Law};

pub use build::{Build, BuildModel};
pub(crate) use content::{Bins, HeldOut};
pub use content::{Coarse, CoarseModel, Content, ContentModel, Neighbours, Target, TargetModel, Thin, softmax};
pub use sample::{ReferenceSample, Sample, SampleModel, SampleRow, word_hash};
pub(crate) use sample::{Vectors, raw};

/// What derived units have in common.
const DERIVED: Info = Info {
    code: "",
    family: Family::Derived,
    summary: "",
    needs: &[],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Rank,
    fused: None,
    max_tier: Tier::Review,
    manual: "",
};
