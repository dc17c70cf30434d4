//! Pure maths: slices in, numbers out. Nothing here reads, allocates without bound, runs in parallel or draws at random,
//! so every result is the same for the same input.

pub mod interval;
pub mod mixture;
pub mod multiple;
pub mod pot;
pub mod robust;
pub mod tail;
pub mod transition;
