//! Local outlier factor (Breunig, Kriegel, Ng and Sander 2000): how much sparser a row's surroundings are than its neighbours'.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows whose products with the anchors are made at once.
const BLOCK: usize = 256;
/// Added to a mean reach before it is inverted, as scikit-learn does, so that copies have a density.
const LEAST_REACH: f64 = 1e-10;

/// Anchors with their densities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lof {
    neighbors: usize,
    /// m × d.
    anchors: Array2<f32>,
    lengths2: Vec<f64>,
    /// Distance of each anchor to its farthest of the neighbours.
    reach: Vec<f64>,
    /// Local reachability density of each anchor.
    density: Vec<f64>,
}

impl Lof {
    /// Fits anchors (m × d, finite), each judged by its `neighbors` nearest others, or all where there are fewer.
    pub fn fit(anchors: Array2<f32>, neighbors: usize) -> Result<Self> {
        let lengths2 = anchors.outer_iter().map(|row| f64::from(row.dot(&row))).collect();
        let mut lof = Self { neighbors: neighbors.max(1), anchors, lengths2, reach: Vec::new(), density: Vec::new() };
        let own: Vec<Option<usize>> = (0..lof.anchors.nrows()).map(Some).collect();
        let near = lof.nearest(lof.anchors.view(), &own)?;
        lof.reach = near.iter().map(|near| near.last().map_or(0.0, |last| last.1)).collect();
        lof.density = near.iter().map(|near| lof.density_of(near)).collect();
        Ok(lof)
    }

    /// The factor of each row, about 1 where it is as dense as its neighbours, larger where sparser; NaN without anchors. `own` is
    /// the position of a row among the anchors, which is then not its neighbour. Fails where widths differ.
    pub fn factors(&self, rows: ArrayView2<f32>, own: &[Option<usize>]) -> Result<Vec<f64>> {
        let factor = |near: &Vec<(usize, f64)>| {
            let densities = near.iter().filter_map(|(j, _)| self.density.get(*j));
            densities.sum::<f64>() / near.len() as f64 / self.density_of(near)
        };
        Ok(self.nearest(rows, own)?.iter().map(factor).collect())
    }

    fn density_of(&self, near: &[(usize, f64)]) -> f64 {
        let reach = near.iter().map(|(j, distance)| self.reach.get(*j).map_or(*distance, |reach| reach.max(*distance)));
        (reach.sum::<f64>() / near.len() as f64 + LEAST_REACH).recip()
    }

    /// Position and distance of the nearest anchors of each row, nearest first.
    fn nearest(&self, rows: ArrayView2<f32>, own: &[Option<usize>]) -> Result<Vec<Vec<(usize, f64)>>> {
        if rows.ncols() != self.anchors.ncols() || own.len() != rows.nrows() {
            let reason = format!("{} × {} rows do not fit anchors of width {}", rows.nrows(), rows.ncols(), self.anchors.ncols());
            return Err(Error::Detector { code: "lof", reason });
        }
        let mut out = Vec::with_capacity(rows.nrows());
        for (rows, own) in rows.axis_chunks_iter(Axis(0), BLOCK).zip(own.chunks(BLOCK)) {
            let products = rows.dot(&self.anchors.t());
            for ((row, products), own) in rows.outer_iter().zip(products.outer_iter()).zip(own) {
                out.push(self.nearest_of(row, products, *own));
            }
        }
        Ok(out)
    }

    fn nearest_of(&self, row: ArrayView1<f32>, products: ArrayView1<f32>, own: Option<usize>) -> Vec<(usize, f64)> {
        let length2 = f64::from(row.dot(&row));
        let mut nearest: Vec<(usize, f64)> = Vec::with_capacity(self.neighbors + 1);
        for (j, (product, anchor2)) in products.iter().zip(&self.lengths2).enumerate() {
            let distance2 = anchor2 - 2.0 * f64::from(*product);
            if own == Some(j) || nearest.len() >= self.neighbors && nearest.last().is_some_and(|last| last.1 <= distance2) {
                continue;
            }
            nearest.insert(nearest.partition_point(|near| near.1 <= distance2), (j, distance2));
            nearest.truncate(self.neighbors);
        }
        for near in &mut nearest {
            near.1 = (near.1 + length2).max(0.0).sqrt();
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden;

    #[test]
    fn factors_match_scikit_learn() {
        let golden = golden::outlier();
        let lof = Lof::fit(golden.rows.clone(), 10).unwrap();
        let own: Vec<Option<usize>> = (0..golden.rows.nrows()).map(Some).collect();
        for (i, factor) in lof.factors(golden.rows.view(), &own).unwrap().into_iter().enumerate() {
            // Tolerance 1e-3: distances from products in single precision.
            golden::close("lof", i, factor, golden.lof[i], 1e-3);
        }
    }

    #[test]
    fn few_anchors_and_wrong_widths() {
        let one = Lof::fit(Array2::zeros((1, 2)), 5).unwrap();
        assert!(one.factors(Array2::zeros((1, 2)).view(), &[Some(0)]).unwrap()[0].is_nan());
        assert!(one.factors(Array2::zeros((1, 3)).view(), &[None]).is_err());
        let copies = Lof::fit(Array2::zeros((9, 2)), 5).unwrap();
        assert!(copies.factors(Array2::from_elem((1, 2), 3.0).view(), &[None]).unwrap()[0] > 1.0);
    }
}
