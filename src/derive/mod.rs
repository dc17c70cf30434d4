//! Structure that detectors share, handed on as models and columns.

mod sample;

pub use sample::{Sample, SampleModel, SampleRow};
