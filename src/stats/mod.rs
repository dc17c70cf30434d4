//! Statistics without opinions: what detectors compute with, free of I/O and threads, the same bits for the same input.

pub mod bottom_k;
pub mod counter;
pub mod covariance;
pub mod design;
pub mod features;
pub mod normal;
pub mod ridge;
mod spd;
