//! How well scores rank the rows that are bad. Everywhere `scores` and `bad` have one entry a row, higher scores are worse, a row
//! without a score has `-∞`, and rows with equal scores share what they earn, so that no measure depends on the order of rows.

/// Area under the ROC curve: the chance that a bad row scores over a good one, 0 to 1 (Mann–Whitney). `None` without both kinds.
#[must_use]
pub fn auroc(scores: &[f64], bad: &[bool]) -> Option<f64> {
    let (positives, negatives) = sizes(bad);
    let (mut good_above, mut lost) = (0.0, 0.0);
    for (hits, misses) in ties(scores, bad) {
        lost += hits * (good_above + misses / 2.0);
        good_above += misses;
    }
    (positives > 0.0 && negatives > 0.0).then(|| 1.0 - lost / (positives * negatives))
}

/// Average precision, 0 to 1: the mean, over bad rows, of the precision of the list that ends with their tie. `None` without a bad row.
#[must_use]
pub fn average_precision(scores: &[f64], bad: &[bool]) -> Option<f64> {
    let (positives, _) = sizes(bad);
    let (mut found, mut listed, mut sum) = (0.0, 0.0, 0.0);
    for (hits, misses) in ties(scores, bad) {
        found += hits;
        listed += hits + misses;
        sum += hits * found / listed;
    }
    (positives > 0.0).then(|| sum / positives)
}

/// Precision of the first `n` rows, where `n` is the number of bad rows; a tie over the edge counts by its expectation. `None` without
/// a bad row.
#[must_use]
pub fn precision_at_n(scores: &[f64], bad: &[bool]) -> Option<f64> {
    let (positives, _) = sizes(bad);
    let (mut left, mut found) = (positives, 0.0);
    for (hits, misses) in ties(scores, bad) {
        let taken = f64::min(left, hits + misses);
        found += hits * taken / (hits + misses);
        left -= taken;
    }
    (positives > 0.0).then(|| found / positives)
}

/// Numbers of bad and of good rows.
fn sizes(bad: &[bool]) -> (f64, f64) {
    let positives = bad.iter().filter(|b| **b).count();
    (positives as f64, (bad.len() - positives) as f64)
}

/// Bad and good rows of each distinct score, highest first.
fn ties(scores: &[f64], bad: &[bool]) -> Vec<(f64, f64)> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(bad.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq())
        .map(|tie| {
            let hits = tie.iter().filter(|(_, bad)| *bad).count();
            (hits as f64, (tie.len() - hits) as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9 on the same rows: `roc_auc_score` and `average_precision_score`.
    #[test]
    fn agrees_with_scikit_learn_ties_included() {
        let scores = [0.9, 0.8, 0.8, 0.7, 0.7, 0.7, 0.4, f64::NEG_INFINITY];
        let bad = [true, false, true, true, false, false, false, true];
        assert!((auroc(&scores, &bad).unwrap() - 0.593_75).abs() < 1e-12);
        assert!((average_precision(&scores, &bad).unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_over_the_edge_counts_by_its_expectation() {
        let bad = [true, true, false, false];
        assert_eq!(precision_at_n(&[3.0, 1.0, 1.0, 0.0], &bad), Some(0.75));
        assert_eq!(precision_at_n(&[1.0; 4], &bad), Some(0.5));
    }

    #[test]
    fn one_kind_of_rows_has_no_ranking() {
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(average_precision(&[1.0], &[false]), None);
        assert_eq!(precision_at_n(&[], &[]), None);
    }
}
