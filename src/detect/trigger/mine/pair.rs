//! Pairs of first-level items that stand anywhere in the same row: a trigger of two words that does nothing unless both are there.
//!
//! Rows that hold one of the two alone, with labels of their own, dilute each word, but hardly hide that it goes with the label. So only items that do are
//! paired, those that do so most surely, and only with others that go with the same label: few enough to be counted exactly in the scan that
//! counts the second level.

use rustc_hash::FxHashMap;

use super::state::Table;
use crate::stats::tail::binomial_sf;

/// Fewest rows of an item that is paired.
const FEWEST: u32 = 8;
/// Largest probability that as many rows have a label by its share of all rows.
const LEVEL: f64 = 1e-4;
/// Items that are paired, where memory allows.
const MOST: usize = 512;

/// The items to pair, each with the label that it goes with; `most` is how many rows hold an item that is no common one, `cap` how many entries a
/// table may have.
pub(super) fn paired(table: &Table, priors: &[f64], most: u32, cap: usize) -> FxHashMap<u64, u32> {
    let room = most_paired(cap);
    let may_be = table.iter().filter(|(_, tally)| tally.feature && !tally.background && (FEWEST..=most).contains(&tally.rows));
    let mut ranked: Vec<(f64, u64, u32)> = may_be
        .filter_map(|(item, tally)| {
            let rows = u64::from(tally.with_label());
            let prior = |class: u32| priors.get(class as usize).copied().unwrap_or(1.0);
            let by_class = tally.classes.iter().map(|&(class, k)| (binomial_sf(u64::from(k), rows, prior(class)), *item, class));
            by_class.min_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)))
        })
        .filter(|(p, ..)| *p <= LEVEL)
        .collect();
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ranked.into_iter().take(room).map(|(_, item, label)| (item, label)).collect()
}

/// Items that are paired, where a table may have so many entries: their pairs take half as many at most.
pub(super) fn most_paired(cap: usize) -> usize {
    cap.isqrt().min(MOST)
}

#[cfg(test)]
mod tests {
    use super::super::state::Tally;
    use super::*;

    #[test]
    fn what_goes_with_a_label_is_paired_and_what_goes_with_any_is_not() {
        let of = |rows: u32, with: u32| Tally { rows, classes: vec![(0, rows - with), (1, with)], feature: true, ..Tally::default() };
        let counts = [(1, of(200, 90)), (2, of(200, 40)), (3, of(6, 6)), (4, of(900, 500)), (5, Tally { feature: false, ..of(200, 90) })];
        let table: Table = counts.into_iter().collect();
        let found = paired(&table, &[0.8, 0.2], 800, 1_000_000);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(1, 1)]);
    }
}
