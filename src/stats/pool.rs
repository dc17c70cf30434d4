//! Logarithmic opinion pool (Genest and Zidek 1986): one opinion from several, `p ∝ Π pₑ^wₑ`, with the weights that predict held-out
//! labels best (stacking, Wolpert 1992).

use ndarray::{Array2, ArrayView2};

/// Steps by which weights are changed, from coarse to fine.
const STEPS: [f64; 4] = [0.4, 0.2, 0.1, 0.05];
/// Most rounds over all opinions at one step.
const ROUNDS: usize = 8;
/// Most cells that the likelihood is taken of; of more rows, evenly spaced ones are.
const MOST_CELLS: usize = 1 << 18;
/// Share of labels drawn from nowhere: one wrong label must not weigh more than many right ones.
const STRAY: f64 = 0.02;
/// Loss of mean log likelihood up to which an opinion is done without.
const WORTH: f64 = 1e-4;

/// Weights of opinions (each rows × classes, logits on one scale, of rows that they did not see) for labels below the number of
/// classes: from equal weights each is moved by turns while that helps, and what adds next to nothing has none in the end. Rows with a
/// logit that is not finite are left out; where shapes do not agree the first opinion stands alone.
#[must_use]
pub fn weights(opinions: &[ArrayView2<'_, f32>], labels: &[u32]) -> Vec<f64> {
    let Some(first) = opinions.first() else { return Vec::new() };
    if opinions.iter().any(|opinion| opinion.dim() != first.dim()) || labels.len() != first.nrows() {
        return (0..opinions.len()).map(|at| if at == 0 { 1.0 } else { 0.0 }).collect();
    }
    let step = first.len().div_ceil(MOST_CELLS).max(1);
    let finite = |row: &usize| opinions.iter().all(|opinion| opinion.row(*row).iter().all(|z| z.is_finite()));
    let rows: Vec<usize> = (0..labels.len()).step_by(step).filter(finite).collect();
    let value = |weights: &[f64]| likelihood(opinions, labels, &rows, weights);
    let mut weights = vec![1.0 / opinions.len() as f64; opinions.len()];
    let mut best = value(&weights);
    for step in STEPS {
        for _ in 0..ROUNDS {
            let before = best;
            for at in 0..weights.len() {
                for moved in [weights[at] + step, (weights[at] - step).max(0.0)] {
                    let was = std::mem::replace(&mut weights[at], moved);
                    let now = value(&weights);
                    if now > best {
                        best = now;
                    } else {
                        weights[at] = was;
                    }
                }
            }
            if best <= before {
                break;
            }
        }
    }
    for at in (0..weights.len()).rev() {
        let was = std::mem::replace(&mut weights[at], 0.0);
        let now = value(&weights);
        if was > 0.0 && (now < best - WORTH || weights.iter().all(|weight| *weight <= 0.0)) {
            weights[at] = was;
        } else {
            best = best.min(now);
        }
    }
    weights
}

/// Weighted sum of opinions.
#[must_use]
pub fn pooled(opinions: &[ArrayView2<'_, f32>], weights: &[f64]) -> Array2<f32> {
    let mut out = Array2::zeros(opinions.first().map_or((0, 0), ArrayView2::dim));
    for (opinion, weight) in opinions.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        out.scaled_add(*weight as f32, opinion);
    }
    out
}

fn likelihood(opinions: &[ArrayView2<'_, f32>], labels: &[u32], rows: &[usize], weights: &[f64]) -> f64 {
    let classes = opinions.first().map_or(0, ArrayView2::ncols);
    let mut logits = vec![0.0f64; classes];
    let mut sum = 0.0;
    for &row in rows {
        logits.fill(0.0);
        for (opinion, weight) in opinions.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
            for (slot, z) in logits.iter_mut().zip(opinion.row(row)) {
                *slot += weight * f64::from(*z);
            }
        }
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let odds: f64 = logits.iter().map(|z| (z - top).exp()).sum();
        let own = logits.get(labels[row] as usize).map_or(0.0, |z| (z - top).exp() / odds);
        sum += (STRAY / classes as f64 + (1.0 - STRAY) * own).ln();
    }
    sum / rows.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An opinion that is right about rows whose number leaves a rest below `right` by 10, and silent about the others.
    fn opinion(right: std::ops::Range<usize>) -> (Array2<f32>, Vec<u32>) {
        let labels: Vec<u32> = (0..900).map(|i| i as u32 % 3).collect();
        let speaks = |i: usize| right.contains(&(i % 10));
        (Array2::from_shape_fn((900, 3), |(i, k)| if speaks(i) && k == i % 3 { 2.0 } else { 0.0 }), labels)
    }

    #[test]
    fn opinions_that_complete_each_other_both_count() {
        let ((a, labels), (b, _)) = (opinion(0..5), opinion(5..10));
        let found = weights(&[a.view(), b.view()], &labels);
        assert!(found[0] >= 1.0 && found[1] >= 1.0, "{found:?}");
        assert_eq!(pooled(&[a.view(), b.view()], &[1.0, 0.0]), a);
    }

    #[test]
    fn what_adds_nothing_has_no_weight() {
        let (a, labels) = opinion(0..7);
        let noise = Array2::from_shape_fn((900, 3), |(i, k)| ((i * 7 + k * 13) % 11) as f32 / 5.0);
        let found = weights(&[a.view(), noise.view(), Array2::zeros((900, 3)).view()], &labels);
        assert!(found[0] >= 1.0 && found[1..].iter().all(|weight| *weight <= 0.0), "{found:?}");
    }

    #[test]
    fn hostile_input() {
        let (mut a, labels) = opinion(0..7);
        a.row_mut(3).fill(f32::NAN);
        assert!(weights(&[a.view()], &labels)[0] >= 1.0);
        assert!(weights(&[], &labels).is_empty());
        assert_eq!(weights(&[a.view(), Array2::zeros((2, 3)).view()], &labels), [1.0, 0.0]);
        assert_eq!(weights(&[Array2::zeros((0, 3)).view()], &[]), [1.0]);
    }
}
