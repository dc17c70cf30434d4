//! Multinomial logistic regression by a fixed bound on its curvature: `½ XᵀX` is at least the Hessian of every class (Böhning 1992), so
//! one factor serves all steps, which momentum hastens (Nesterov 1983).

use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::spd::{BLOCK, Cholesky, add_gram};

/// Steps; weights are then far closer to the optimum than noise moves it.
const STEPS: usize = 30;

/// Weights (D × K) that minimise the negative log likelihood of the labels of rows (n × D) plus ½ `penalty` times the squared weights.
/// `None` where rows are not finite, labels are not below `classes`, or numbers of rows differ.
#[must_use]
pub fn fit(rows: ArrayView2<f32>, labels: &[u32], classes: usize, penalty: f64) -> Option<Array2<f32>> {
    if rows.nrows() != labels.len() || labels.iter().any(|label| *label as usize >= classes) {
        return None;
    }
    let mut gram = Array2::<f64>::zeros((rows.ncols(), rows.ncols()));
    for block in rows.axis_chunks_iter(Axis(0), BLOCK) {
        add_gram(block, gram.view_mut());
    }
    gram.mapv_inplace(|sum| sum / 2.0);
    let bound = Cholesky::new(gram.view(), penalty)?;
    let mut weights = Array2::<f32>::zeros((rows.ncols(), classes));
    let (mut ahead, mut pace) = (weights.clone(), 1.0f64);
    for _ in 0..STEPS {
        let mut errors = rows.dot(&ahead);
        for (mut row, label) in errors.outer_iter_mut().zip(labels) {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.mapv_inplace(|z| (z - top).exp());
            let sum = row.sum();
            row.mapv_inplace(|odds| -odds / sum);
            row[*label as usize] += 1.0;
        }
        let mut ascent = rows.t().dot(&errors).mapv(f64::from);
        Zip::from(&mut ascent).and(&ahead).for_each(|slope, weight| *slope -= penalty * f64::from(*weight));
        let next = &ahead + &bound.solve(ascent.view()).mapv(|step| step as f32);
        let faster = f64::midpoint(1.0, (1.0 + 4.0 * pace * pace).sqrt());
        ahead = &next + &((&next - &weights) * ((pace - 1.0) / faster) as f32);
        (weights, pace) = (next, faster);
    }
    weights.iter().all(|weight| weight.is_finite()).then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes in two dimensions beside a constant; every tenth label is another.
    fn data() -> (Array2<f32>, Vec<u32>) {
        let noise = |i: usize, j: usize| ((i * 37 + j * 101) % 53) as f32 / 26.0 - 1.0;
        let rows = Array2::from_shape_fn((300, 3), |(i, j)| match (j, i % 3) {
            (0, _) => 1.0,
            (1, 0) | (2, 1) => 1.0 + noise(i, j),
            _ => noise(i, j),
        });
        (rows, (0..300).map(|i| if i % 10 == 9 { (i + 1) as u32 % 3 } else { i as u32 % 3 }).collect())
    }

    #[test]
    fn slope_is_zero_at_the_end() {
        let (rows, labels) = data();
        let weights = fit(rows.view(), &labels, 3, 1.0).unwrap();
        let logits = rows.dot(&weights);
        let mut errors = logits.mapv(f32::exp);
        for (mut row, label) in errors.outer_iter_mut().zip(&labels) {
            let sum = row.sum();
            row.mapv_inplace(|odds| odds / sum);
            row[*label as usize] -= 1.0;
        }
        let slope = rows.t().dot(&errors) + &weights;
        assert!(slope.iter().all(|s| s.abs() < 0.05), "{slope}");
        let right = logits.outer_iter().enumerate().filter(|(i, row)| (0..3).all(|k| row[i % 3] >= row[k])).count();
        assert!(right > 240, "{right}");
    }

    #[test]
    fn hostile_input() {
        let (mut rows, labels) = data();
        assert!(fit(rows.view(), &labels[1..], 3, 1.0).is_none());
        assert!(fit(rows.view(), &labels, 2, 1.0).is_none());
        rows[(4, 1)] = f32::NAN;
        assert!(fit(rows.view(), &labels, 3, 1.0).is_none());
        assert!(fit(Array2::zeros((0, 3)).view(), &[], 2, 1.0).is_some());
    }
}
