//! Values that are set aside: values of columns that speak for themselves.
//!
//! Where many of a column's frequent values have a label of their own (amounts of a tax table, error codes), one more of
//! them is no news, however little the other columns explain it. It is if they deny it.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::state::{Table, Tally};
use super::verify::is_denied;

/// Fewest rows of a frequent value.
const FREQUENT: u32 = 10;
/// Share of a value's rows with one label from which on that label is its own.
const PURE: f64 = 0.9;
/// Least excess of that share over the label's share of all rows.
const LIFT: f64 = 0.25;
/// Fewest other values of the column that must have a label of their own.
const FEWEST_OTHERS: u32 = 2;
/// Least share of them among the other frequent values: an attacker would have to fill a fifth of the column.
const LEAST_SHARE: f64 = 0.2;

/// Frequent values of a column, and how many of them have a label of their own, by label.
#[derive(Default)]
struct Kin {
    values: u32,
    pure: BTreeMap<u32, u32>,
}

/// The values with a label of their own in columns where enough others have the same. `table` holds first-level items, whose
/// rank is their column.
pub(super) fn set_aside(table: &Table, priors: &[f64], most: u32) -> FxHashSet<u64> {
    let own_label = |tally: &Tally| {
        tally.classes.iter().find_map(|&(class, k)| {
            let share = f64::from(k) / f64::from(tally.rows.max(1));
            (share >= PURE && share - priors.get(class as usize).copied().unwrap_or(1.0) >= LIFT).then_some(class)
        })
    };
    let asked = |tally: &Tally| tally.feature && !tally.background && (FREQUENT..=most).contains(&tally.rows);
    let mut columns: BTreeMap<u32, Kin> = BTreeMap::new();
    for tally in table.values().filter(|t| asked(t)) {
        let kin = columns.entry(tally.rank).or_default();
        kin.values += 1;
        if let Some(class) = own_label(tally) {
            *kin.pure.entry(class).or_default() += 1;
        }
    }
    let speaks = |kin: &Kin, class: u32| {
        let pure = kin.pure.get(&class).copied().unwrap_or(0);
        let (others, values) = (pure.saturating_sub(1), kin.values.saturating_sub(1));
        others >= FEWEST_OTHERS && f64::from(others) >= LEAST_SHARE * f64::from(values)
    };
    let is_aside = |tally: &Tally| {
        // A value in few rows is no better evidence than one in many.
        let few = tally.feature && !tally.background && tally.rows < FREQUENT;
        let class = own_label(tally).filter(|_| asked(tally) || few);
        class.is_some_and(|class| columns.get(&tally.rank).is_some_and(|kin| speaks(kin, class)))
    };
    table.iter().filter(|(_, tally)| is_aside(tally)).map(|(item, _)| *item).collect()
}

/// Whether the other values of `rows` rows give a label less than all rows are given it, so that one more value that speaks for itself is
/// news: relabelled rows look so, those of an amount that stands for a class do not.
pub(super) fn is_news(given: f64, rows: u64, prior: f64) -> bool {
    is_denied(given, (given * (1.0 - given) / rows.max(1) as f64).sqrt(), prior)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[(u32, u32, u32)]) -> Table {
        let tally = |&(column, rows, of_one): &(u32, u32, u32)| Tally {
            rows,
            classes: vec![(0, rows - of_one), (1, of_one)],
            feature: true,
            rank: column,
            ..Tally::default()
        };
        (0..).zip(values.iter().map(tally)).collect()
    }

    #[test]
    fn a_value_among_values_that_speak_for_themselves_is_no_candidate() {
        let column = table(&[(3, 50, 50), (3, 30, 30), (3, 40, 39), (3, 60, 12), (3, 20, 3), (3, 8, 8), (4, 50, 50), (4, 50, 10)]);
        let set = set_aside(&column, &[0.75, 0.25], 1_000);
        assert_eq!(set.len(), 4);
        let aside: Vec<bool> = (0..8).map(|item| set.contains(&item)).collect();
        assert_eq!(aside, [true, true, true, false, false, true, false, false]);
    }

    #[test]
    fn only_rows_that_are_otherwise_of_another_label_are_news() {
        assert!(is_news(0.15, 200, 0.24));
        // Few rows, too little less, and rows that are of the label by all else.
        assert!(!is_news(0.15, 20, 0.24) && !is_news(0.22, 10_000, 0.24) && !is_news(0.6, 200, 0.24));
    }

    #[test]
    fn one_value_alone_stays_a_candidate() {
        let mut values = vec![(0, 50, 50)];
        values.extend((0..20).map(|i| (0, 40, 8 + i % 5)));
        assert!(set_aside(&table(&values), &[0.75, 0.25], 1_000).is_empty());
        // Nor do two values that an attacker planted excuse each other.
        values.extend([(0, 50, 50), (0, 50, 50)]);
        assert!(set_aside(&table(&values), &[0.75, 0.25], 1_000).is_empty());
    }
}
