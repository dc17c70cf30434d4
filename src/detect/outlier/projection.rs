//! Wide rows in fewer columns.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Most columns that a covariance is taken of; more are projected.
pub(super) const MOST_COLUMNS: usize = 512;
/// Columns after projection.
const PROJECTED: usize = 256;
/// Projected columns that each column adds to.
const TARGETS: usize = 4;

/// A sparse random projection (Kane and Nelson 2014).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Projection {
    /// For each column the projected columns that it is added to, or taken from where the flag is set.
    targets: Vec<[(u16, bool); TARGETS]>,
}

impl Projection {
    pub(super) fn new(columns: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut target = || (rng.random_range(0..PROJECTED as u16), rng.random::<bool>());
        Self { targets: (0..columns).map(|_| std::array::from_fn(|_| target())).collect() }
    }

    pub(super) fn apply(&self, rows: &Array2<f32>) -> Array2<f32> {
        let mut out = Array2::<f32>::zeros((rows.nrows(), PROJECTED));
        let size = (TARGETS as f32).sqrt().recip();
        for (row, mut out) in rows.outer_iter().zip(out.outer_iter_mut()) {
            for (value, targets) in row.iter().zip(&self.targets) {
                for &(target, negative) in targets {
                    if let Some(slot) = out.get_mut(usize::from(target)) {
                        *slot += if negative { -size * value } else { size * value };
                    }
                }
            }
        }
        out
    }
}
