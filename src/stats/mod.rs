//! Pure maths: slices in, numbers out. Nothing here reads, allocates without bound, or draws from a
//! source that is not seeded, so every result is the same for the same input.

pub mod bayes;
pub mod boost;
pub mod bottom_k;
pub mod confident;
pub mod conformal;
pub mod confusion;
pub mod counter;
pub mod covariance;
pub mod cross_boost;
pub mod design;
pub mod direction;
pub mod features;
pub mod flat;
#[cfg(test)]
mod golden;
pub mod interval;
pub mod isolation;
pub mod lof;
pub mod margin;
pub mod marginal;
pub mod misfit;
pub mod mixture;
pub mod mode;
pub mod moved;
pub mod multiple;
pub mod neighbor;
pub mod normal;
pub mod patches;
pub mod pool;
pub mod pot;
pub mod preference;
pub mod projection;
pub mod ranking;
pub mod residual;
pub mod ridge;
pub mod robust;
pub mod shift;
mod spd;
pub mod tail;
pub mod transition;
pub mod two_sample;
pub mod wave;
