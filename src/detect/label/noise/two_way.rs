//! Rows labelled toward one class that natural confusion, which runs both ways, leaves unexplained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Natural rows, at most, for each row of the opposite direction.
const NATURAL_EACH: f64 = 2.0;
/// Share of the rows that may be natural.
const MOST_NATURAL: f64 = 0.10;

/// Rows that content calls one of some classes and that have one label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TwoWay {
    /// What content calls them, ascending.
    sources: Vec<u32>,
    /// Rows of the fit.
    pub(super) rows: u64,
    /// Share of them that may be natural.
    natural: f64,
}

impl TwoWay {
    /// The sources with the fewest rows of the opposite direction for each of theirs, while at most one in ten of their rows together
    /// may be natural. `rows` counts them by what content says and by their label.
    pub(super) fn new(rows: &BTreeMap<(u32, u32), u64>, to: u32) -> Self {
        let count = |says: u32, label: u32| rows.get(&(says, label)).copied().unwrap_or(0);
        let says = rows.keys().filter(|(says, label)| *label == to && *says != to).map(|(says, _)| *says);
        let mut all: Vec<(u64, u64, u32)> = says.map(|says| (count(says, to), count(to, says), says)).collect();
        // Of equal shares the sources with more rows come first.
        all.sort_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)).then(b.0.cmp(&a.0)).then(a.2.cmp(&b.2)));
        let (mut forth, mut back) = (0, 0);
        let mut kept = (0, Self::default());
        for (at, (more, opposite, _)) in all.iter().enumerate() {
            (forth, back) = (forth + more, back + opposite);
            // One more: none seen is not none.
            let natural = NATURAL_EACH * (back + 1) as f64 / forth as f64;
            if natural <= MOST_NATURAL {
                kept = (at + 1, Self { sources: Vec::new(), rows: forth, natural });
            }
        }
        let (count, found) = kept;
        let mut sources: Vec<u32> = all.into_iter().take(count).map(|(.., says)| says).collect();
        sources.sort_unstable();
        Self { sources, ..found }
    }

    /// Least probability that a row with the label is wrong, by what content calls it.
    pub(super) fn wrong(&self, says: u32) -> f64 {
        if self.sources.binary_search(&says).is_ok() { 1.0 - self.natural } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_run_both_ways_are_left_out() {
        let rows = [((0, 9), 30), ((9, 0), 0), ((1, 9), 30), ((9, 1), 1), ((2, 9), 40), ((9, 2), 30), ((0, 1), 7)];
        let two_way = TwoWay::new(&BTreeMap::from(rows), 9);
        assert_eq!((two_way.sources.clone(), two_way.rows), (vec![0, 1], 60));
        assert!((two_way.wrong(0) - (1.0 - 4.0 / 60.0)).abs() < 1e-12);
        assert_eq!((two_way.wrong(2), two_way.wrong(9)), (0.0, 0.0));
    }

    #[test]
    fn a_few_rows_are_too_few() {
        assert_eq!(TwoWay::new(&BTreeMap::from([((0, 9), 19)]), 9), TwoWay::default());
        assert_eq!(TwoWay::new(&BTreeMap::from([((0, 9), 20)]), 9).rows, 20);
        assert_eq!(TwoWay::new(&BTreeMap::new(), 9).rows, 0);
    }
}
