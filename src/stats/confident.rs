//! Confident learning: the joint of given and true labels, by counting rows that are confidently of a class.
//!
//! After Northcutt, Jiang, Chuang 2021; constants, roundings and orders are those of the reference implementation
//! (cleanlab 2.9), so that the same probabilities give the same joint and the same rows.

/// Differences up to this do not count.
const EQUAL: f64 = 1e-6;
/// Least threshold of a class.
const LEAST_THRESHOLD: f64 = 2e-6;
/// Threshold of a class without rows: no probability reaches it.
const NO_THRESHOLD: f64 = 2.0;

/// A square table of rows by given label (row) and by the class that they confidently are (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    classes: usize,
    counts: Vec<u64>,
}

/// Thresholds: the mean probability of a class among the rows that are labelled so. `sums` and `rows` by class.
#[must_use]
pub fn thresholds(sums: &[f64], rows: &[u64]) -> Vec<f64> {
    let mean = |(sum, rows): (&f64, &u64)| if *rows == 0 { NO_THRESHOLD } else { (sum / *rows as f64).max(LEAST_THRESHOLD) };
    sums.iter().zip(rows).map(mean).collect()
}

/// The most likely class, the first of equals.
#[must_use]
pub fn predicted(probabilities: &[f32]) -> Option<usize> {
    let best = probabilities.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(class, _)| class)
}

/// The class that a row confidently is: the one that reaches its threshold, the most likely class where several do.
#[must_use]
pub fn confident_class(probabilities: &[f32], thresholds: &[f64]) -> Option<usize> {
    let mut reached = probabilities.iter().zip(thresholds).enumerate().filter(|(_, (p, least))| f64::from(**p) >= **least - EQUAL);
    let (first, _) = reached.next()?;
    if reached.next().is_some() { predicted(probabilities) } else { Some(first) }
}

/// Rounds numbers to whole ones with the sum that they have when rounded.
fn round_keeping_sum(numbers: &[f64]) -> Vec<f64> {
    let mut whole: Vec<f64> = numbers.iter().map(|x| x.round_ties_even()).collect();
    let wanted = numbers.iter().sum::<f64>().round_ties_even();
    for _ in 0..=numbers.len() {
        let missing = (wanted - whole.iter().sum::<f64>()).round_ties_even();
        if missing.abs() <= EQUAL {
            break;
        }
        let mut order: Vec<(f64, usize)> = numbers.iter().zip(&whole).map(|(x, w)| x - w).zip(0..).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        if missing > 0.0 {
            order.reverse();
        }
        let changes = order.into_iter().take(missing.abs() as usize);
        for (_, at) in changes {
            if let Some(number) = whole.get_mut(at) {
                *number += missing.signum();
            }
        }
    }
    whole
}

impl Joint {
    /// A table of `classes` × `classes` zeros.
    #[must_use]
    pub fn zeros(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Rows labelled `label` that are `class`.
    #[must_use]
    pub fn at(&self, label: usize, class: usize) -> u64 {
        self.counts.get(label * self.classes + class).copied().unwrap_or(0)
    }

    /// Sets a cell; one outside the table is left alone.
    pub fn set(&mut self, label: usize, class: usize, count: u64) {
        if class < self.classes
            && let Some(cell) = self.counts.get_mut(label * self.classes + class)
        {
            *cell = count;
        }
    }

    /// All cells, label by label.
    #[must_use]
    pub fn cells(&self) -> &[u64] {
        &self.counts
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &[u64])> {
        self.counts.chunks_exact(self.classes.max(1)).enumerate()
    }

    /// The raw joint of confident counts, with at least one right row in each class, made to have as many rows per label as
    /// the data do (`rows`).
    #[must_use]
    pub fn calibrated(mut self, rows: &[u64]) -> Self {
        for class in 0..self.classes {
            self.set(class, class, self.at(class, class).max(1));
        }
        let label_rows = |label: usize| rows.get(label).copied().unwrap_or(0) as f64;
        let scaled: Vec<Vec<f64>> = self
            .rows()
            .map(|(label, counts)| {
                let total: u64 = counts.iter().sum();
                counts.iter().map(|count| *count as f64 / total.max(1) as f64 * label_rows(label)).collect()
            })
            .collect();
        let total: f64 = scaled.iter().map(|row| row.iter().sum::<f64>()).sum();
        let wanted: f64 = (0..self.classes).map(label_rows).sum();
        let factor = if total > 0.0 { wanted / total } else { 0.0 };
        let rounded = scaled.iter().flat_map(|row| {
            let row: Vec<f64> = row.iter().map(|count| count * factor).collect();
            round_keeping_sum(&row)
        });
        self.counts = rounded.map(|count| count.max(0.0) as u64).collect();
        self
    }

    /// How many rows of each label (row) to prune as being of another class (column), so that each label keeps at least one
    /// row; how many it keeps on the diagonal. From a calibrated joint.
    #[must_use]
    pub fn to_prune(&self) -> Self {
        let mut out = Self::zeros(self.classes);
        for (label, counts) in self.rows() {
            let kept = self.at(label, label);
            let short = 1_u64.saturating_sub(kept) as f64;
            let others = counts.iter().filter(|count| **count > 0).count() as f64 - 1.0;
            for (class, count) in counts.iter().enumerate() {
                let left = (*count as f64 - short / others.max(1.0)).max(0.0);
                out.set(label, class, if class == label { kept.max(1) } else { left as u64 });
            }
        }
        out
    }
}

/// Probability of the label.
#[must_use]
pub fn self_confidence(probabilities: &[f32], label: usize) -> Option<f64> {
    probabilities.get(label).map(|p| f64::from(*p))
}

/// Probability of the label less the largest other one, brought to 0..=1. Low where another class is clearly better.
#[must_use]
pub fn normalized_margin(probabilities: &[f32], label: usize) -> Option<f64> {
    let own = self_confidence(probabilities, label)?;
    let others = probabilities.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, p)| *p);
    let best = others.reduce(f32::max)?;
    Some(f64::midpoint(own - f64::from(best), 1.0))
}

/// `ln(1 + e) / e` with `e` the entropy of the prediction, over that of an even one, divided by the label's probability. Low
/// where a sure prediction gives the label little.
#[must_use]
pub fn confidence_weighted_entropy(probabilities: &[f32], label: usize) -> Option<f64> {
    let own = self_confidence(probabilities, label)?.max(EQUAL);
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    let entropy = probabilities.iter().map(|p| part(f64::from(*p))).sum::<f64>() / (probabilities.len() as f64).ln();
    let weighted = entropy / own;
    Some((weighted + 1.0).ln() / weighted.max(EQUAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_the_sum() {
        // cleanlab.internal.util.round_preserving_sum.
        let cases: [(&[f64], &[u64]); 4] =
            [(&[0.4, 0.35, 0.25], &[1, 0, 0]), (&[1.6, 1.7, 0.7], &[1, 2, 1]), (&[2.5, 0.5], &[2, 1]), (&[3.0, 0.2, 0.1], &[3, 0, 0])];
        for (numbers, whole) in cases {
            let rounded: Vec<u64> = round_keeping_sum(numbers).into_iter().map(|x| x as u64).collect();
            assert_eq!(rounded, whole, "{numbers:?}");
        }
        assert!(round_keeping_sum(&[]).is_empty());
    }

    #[test]
    fn a_class_that_has_no_rows_is_nobodys() {
        let least = thresholds(&[1.2, 0.0], &[2, 0]);
        assert_eq!(confident_class(&[0.3, 0.7], &least), None);
        assert_eq!(confident_class(&[0.6, 0.4], &least), Some(0));
    }
}
