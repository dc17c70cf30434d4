//! Structure that detectors share, handed on as models and columns.

mod content;
mod sample;

pub use content::{Thin, Content, ContentModel, Neighbours, Target, TargetModel, softmax};
pub use sample::{ReferenceSample, Sample, SampleModel, SampleRow, word_hash, words};
pub(crate) use sample::{Vectors, raw};
