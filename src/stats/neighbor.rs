//! Distance to the k-th nearest row of a small reference.
//!
//! A subsampled reference ranks better than all rows: odd rows that resemble each other are not each other's neighbours
//! (Sugiyama and Borgwardt 2013, "Rapid distance-based outlier detection via sampling").

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows whose products with the reference are made at once.
const BLOCK: usize = 256;

/// The rows that others are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// m × d.
    rows: Array2<f32>,
    /// Squared lengths.
    lengths2: Vec<f32>,
}

impl Reference {
    /// Takes rows (m × d, finite; their squares must not overflow).
    #[must_use]
    pub fn new(rows: Array2<f32>) -> Self {
        let lengths2 = rows.outer_iter().map(|row| row.dot(&row)).collect();
        Self { rows, lengths2 }
    }

    /// The rows, m × d.
    #[must_use]
    pub fn rows(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// Number of reference rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Euclidean distance of every row to its `k`-th nearest reference row, 1 the nearest, or to the farthest where
    /// there are fewer; NaN where there is none to compare with. `own` is the position of a row in the reference, which is then left
    /// out for it. Fails where widths differ.
    pub fn kth_distances(&self, rows: ArrayView2<f32>, own: &[Option<usize>], k: usize) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(rows.nrows());
        let products = |rows: ArrayView2<f32>| rows.dot(&self.rows.t());
        self.each(rows, own, k, products, |row, nearest| {
            out.push(nearest.last().map_or(f32::NAN, |(last, _)| (last + row.dot(&row)).max(0.0).sqrt()));
        })?;
        Ok(out)
    }

    /// Positions of every row's `k` nearest reference rows, the nearest first, of equals the earlier; fewer where there are fewer.
    /// `own` and failures as in [`kth_distances`](Self::kth_distances).
    pub fn nearest(&self, rows: ArrayView2<f32>, own: &[Option<usize>], k: usize) -> Result<Vec<Vec<u32>>> {
        let mut out = Vec::with_capacity(rows.nrows());
        // Asked for a row or a few: a matrix product would first copy the whole reference into its own order.
        let products = |rows: ArrayView2<f32>| {
            let mut out = Array2::zeros((rows.nrows(), self.len()));
            rows.outer_iter().zip(out.outer_iter_mut()).for_each(|(row, mut products)| products.assign(&self.rows.dot(&row)));
            out
        };
        self.each(rows, own, k, products, |_, nearest| out.push(nearest.iter().map(|(_, at)| *at).collect()))?;
        Ok(out)
    }

    /// Calls `take` with every row and its nearest reference rows: squared distance less the row's squared length, and position.
    fn each(
        &self,
        rows: ArrayView2<f32>,
        own: &[Option<usize>],
        k: usize,
        products: impl Fn(ArrayView2<f32>) -> Array2<f32>,
        mut take: impl FnMut(ArrayView1<f32>, &[(f32, u32)]),
    ) -> Result<()> {
        if rows.ncols() != self.rows.ncols() || own.len() != rows.nrows() {
            let reason = format!("{} × {} rows do not fit a reference of width {}", rows.nrows(), rows.ncols(), self.rows.ncols());
            return Err(Error::Detector { code: "neighbor", reason });
        }
        let k = k.max(1);
        let mut nearest: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
        for (rows, own) in rows.axis_chunks_iter(Axis(0), BLOCK).zip(own.chunks(BLOCK)) {
            let products = products(rows);
            for ((row, products), own) in rows.outer_iter().zip(products.outer_iter()).zip(own) {
                nearest.clear();
                for (j, (product, length2)) in products.iter().zip(&self.lengths2).enumerate() {
                    // What is common to all distances of the row is left to the caller.
                    let distance = length2 - 2.0 * product;
                    if nearest.len() >= k && nearest.last().is_some_and(|(last, _)| *last <= distance) || *own == Some(j) {
                        continue;
                    }
                    nearest.insert(nearest.partition_point(|(x, _)| *x <= distance), (distance, j as u32));
                    nearest.truncate(k);
                }
                take(row, &nearest);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_scikit_learn() {
        let rows = Array2::from_shape_fn((7, 2), |(i, j)| ((i * i + 3 * j * i) % 11) as f32);
        let reference = Reference::new(rows.clone());
        // sklearn.neighbors.NearestNeighbors(n_neighbors=3).fit(rows).kneighbors()[0][:, 2]; tolerance 1e-5.
        let expected = [7.810_25, 4.472_136, 4.123_105_5, 6.0, 4.123_105_5, 3.162_277_7, 4.472_136_f32];
        let own: Vec<Option<usize>> = (0..7).map(Some).collect();
        for (found, expected) in reference.kth_distances(rows.view(), &own, 3).unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn nearest_rows_come_in_order() {
        let reference = Reference::new(Array2::from_shape_fn((5, 1), |(i, _)| [4.0, 0.0, 1.0, 1.0, 9.0][i]));
        let row = Array2::from_elem((1, 1), 1.0);
        assert_eq!(reference.nearest(row.view(), &[None], 4).unwrap(), [[2, 3, 1, 0]]);
        assert_eq!(reference.nearest(row.view(), &[Some(2)], 9).unwrap(), [[3, 1, 0, 4]]);
    }

    #[test]
    fn few_rows_and_wrong_widths() {
        let one = Reference::new(Array2::from_elem((1, 2), 3.0));
        let row = Array2::zeros((1, 2));
        assert!((one.kth_distances(row.view(), &[None], 5).unwrap()[0] - 18.0_f32.sqrt()).abs() < 1e-6);
        assert!(one.kth_distances(row.view(), &[Some(0)], 5).unwrap()[0].is_nan());
        assert!(one.kth_distances(Array2::zeros((1, 3)).view(), &[None], 5).is_err());
        assert!(Reference::new(Array2::zeros((0, 2))).is_empty() && one.len() == 1);
    }
}
