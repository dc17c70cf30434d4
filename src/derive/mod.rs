//! Structure that detectors share, handed on as models and columns.

mod content;
mod sample;

pub use content::{Coarse, CoarseModel, Content, ContentModel, Neighbours, Target, TargetModel, Thin, softmax};
pub use sample::{ReferenceSample, Sample, SampleModel, SampleRow, word_hash, words};
pub(crate) use sample::{Vectors, raw};
