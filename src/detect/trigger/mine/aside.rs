//! Values that are set aside: values of columns that speak for themselves.
//!
//! Where many of a column's frequent values have a label of their own (amounts of a tax table, error codes), one more of
//! them is no news, however little the other columns explain it. It is if they deny it.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::opinion::is_denied;
use super::state::{Table, Tally};

/// Fewest rows of a frequent value.
const FREQUENT: u32 = 10;
/// Share of a value's rows with one label from which on that label is its own.
pub(super) const PURE: f64 = 0.9;
/// Least excess of that share over the label's share of all rows.
const LIFT: f64 = 0.25;
/// Fewest other values of the column that must have a label of their own.
const FEWEST_OTHERS: u32 = 2;
/// Least share of them among the other frequent values: an attacker would have to fill a fifth of the column.
const LEAST_SHARE: f64 = 0.2;

/// The same of values that have a label of their own, whichever, from which on the column tells labels value by value. What the rest of a row
/// says goes by the column's other values then: to be news, it must give one more value its label at most this part as often as it does all rows.
const FEWEST_TELLING: u32 = 3;
const LEAST_TELLING: f64 = 0.4;
const HARDLY: f64 = 0.4;

/// Share of a column's other rows whose values have one label each from which on the column is the label in other words, unless as many
/// have the same label.
const TELLS: f64 = 0.9;
/// Fewest other values whose label neither the rest of their rows nor all rows explain, and their share of the column's frequent ones, from
/// which on that is how values of the column are: buyers, machines and days have habits of their own.
const FEWEST_HABITS: u32 = 3;
const LEAST_HABITS: f64 = 0.05;
/// Level at which a value counts for that.
const HABIT_AT: f64 = 0.05;

/// Frequent values of a column, and how many of them have a label of their own, by label; and all its values' rows.
#[derive(Default)]
struct Kin {
    values: u32,
    pure: BTreeMap<u32, u32>,
    rows: u64,
    /// Rows of values that nearly always have one label.
    told: u64,
    classes: BTreeMap<u32, u64>,
}

impl Kin {
    fn add(&mut self, tally: &Tally) {
        self.rows += u64::from(tally.rows);
        self.told += told(tally);
        for &(class, rows) in &tally.classes {
            *self.classes.entry(class).or_default() += u64::from(rows);
        }
    }

    /// Whether enough of the other frequent values are among `pure` ones, this one with them.
    fn holds(&self, pure: u32, fewest: u32, share: f64) -> bool {
        let (others, values) = (pure.saturating_sub(1), self.values.saturating_sub(1));
        others >= fewest && f64::from(others) >= share * f64::from(values)
    }

    /// Whether the column's other values tell the label, more than one of them.
    fn tells_without(&self, tally: &Tally) -> bool {
        let rows = self.rows.saturating_sub(u64::from(tally.rows)) as f64;
        let own = |class: u32| tally.classes.iter().find(|(c, _)| *c == class).map_or(0, |(_, rows)| u64::from(*rows));
        let commonest = self.classes.iter().map(|(class, rows)| rows.saturating_sub(own(*class))).max().unwrap_or(0);
        let told = self.told.saturating_sub(told(tally)) as f64;
        told >= TELLS * rows && (commonest as f64) < TELLS * rows
    }
}

/// Whether a share of some rows with a label makes it their own, `prior` being its share of all rows.
pub(in crate::detect::trigger) fn is_own(share: f64, prior: f64) -> bool {
    share >= PURE && share - prior >= LIFT
}

/// A value's rows where they nearly all have one label.
fn told(tally: &Tally) -> u64 {
    let most = tally.classes.iter().map(|(_, rows)| *rows).max().unwrap_or(0);
    if f64::from(most) >= PURE * f64::from(tally.rows) { u64::from(tally.rows) } else { 0 }
}

/// Whether an item is a value in many rows, but not in too many.
pub(super) fn is_frequent(tally: &Tally, most: u32) -> bool {
    tally.feature && !tally.background && (FREQUENT..=most).contains(&tally.rows)
}

/// Values that are set aside.
#[derive(Default)]
pub(super) struct Aside {
    /// All of them: causes only where content denies their rows the label.
    pub(super) values: FxHashSet<u64>,
    /// Those of columns that tell labels value by value: only where it clearly does.
    pub(super) told: FxHashSet<u64>,
}

/// The values with a label of their own in columns where enough others have one. `table` holds first-level items, whose
/// rank is their column.
pub(super) fn set_aside(table: &Table, priors: &[f64], most: u32) -> Aside {
    let own_label = |tally: &Tally| {
        tally.classes.iter().find_map(|&(class, k)| {
            let share = f64::from(k) / f64::from(tally.rows.max(1));
            is_own(share, priors.get(class as usize).copied().unwrap_or(1.0)).then_some(class)
        })
    };
    let asked = |tally: &Tally| is_frequent(tally, most);
    let mut columns: BTreeMap<u32, Kin> = BTreeMap::new();
    for tally in table.values().filter(|t| asked(t)) {
        let kin = columns.entry(tally.rank).or_default();
        kin.values += 1;
        if let Some(class) = own_label(tally) {
            *kin.pure.entry(class).or_default() += 1;
        }
    }
    for tally in table.values().filter(|t| t.feature && !t.background) {
        columns.entry(tally.rank).or_default().add(tally);
    }
    let speaks = |kin: &Kin, class: u32| kin.holds(kin.pure.get(&class).copied().unwrap_or(0), FEWEST_OTHERS, LEAST_SHARE);
    let is_aside = |tally: &Tally| {
        // A value in few rows is no better evidence than one in many.
        let few = tally.feature && !tally.background && tally.rows < FREQUENT;
        let Some(kin) = columns.get(&tally.rank).filter(|_| tally.feature && !tally.background) else { return false };
        let class = own_label(tally);
        class.filter(|_| asked(tally) || few).is_some_and(|class| speaks(kin, class)) || class.is_some() && kin.tells_without(tally)
    };
    let is_told = |tally: &Tally| {
        let kin = columns.get(&tally.rank).filter(|_| asked(tally) && own_label(tally).is_some());
        kin.is_some_and(|kin| kin.holds(kin.pure.values().sum(), FEWEST_TELLING, LEAST_TELLING))
    };
    let told: FxHashSet<u64> = table.iter().filter(|(_, tally)| is_told(tally)).map(|(item, _)| *item).collect();
    let values = table.iter().filter(|(item, tally)| told.contains(item) || is_aside(tally)).map(|(item, _)| *item).collect();
    Aside { values, told }
}

/// Whether the other values of `rows` rows give a label less than all rows are given it, so that one more value that speaks for itself is
/// news: relabelled rows look so, those of an amount that stands for a class do not.
pub(super) fn is_news(given: f64, rows: u64, prior: f64) -> bool {
    is_denied(given, (given * (1.0 - given) / rows.max(1) as f64).sqrt(), prior)
}

/// Whether a value of a column that tells labels value by value is news, whose rows are given its label so.
pub(super) fn is_clear_news(given: f64, prior: f64) -> bool {
    given <= HARDLY * prior
}

/// Number of frequent values of each column.
pub(super) fn frequent_values(table: &Table, most: u32) -> BTreeMap<u32, u32> {
    let mut columns: BTreeMap<u32, u32> = BTreeMap::new();
    for tally in table.values().filter(|tally| is_frequent(tally, most)) {
        *columns.entry(tally.rank).or_default() += 1;
    }
    columns
}

/// Columns whose values often have a label that nothing explains: one more is no news by itself. `values` are frequent values with their
/// column and p-value; `frequent` is how many the columns have.
pub(super) fn habitual(frequent: &BTreeMap<u32, u32>, values: impl Iterator<Item = (u32, f64)>) -> BTreeSet<u32> {
    let mut unexplained: BTreeMap<u32, u32> = BTreeMap::new();
    for (column, _) in values.filter(|(_, p)| *p <= HABIT_AT) {
        *unexplained.entry(column).or_default() += 1;
    }
    let of = |column: &u32| f64::from(frequent.get(column).copied().unwrap_or(0));
    unexplained.retain(|column, values| *values > FEWEST_HABITS && f64::from(*values - 1) >= LEAST_HABITS * of(column));
    unexplained.into_keys().collect()
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
        let Aside { values: set, told } = set_aside(&column, &[0.75, 0.25], 1_000);
        assert!(told.is_empty() && set.len() == 4);
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
    fn values_of_a_column_that_is_the_label_in_other_words_are_set_aside() {
        let leak = table(&[(0, 520, 0), (0, 280, 280), (0, 200, 200)]);
        // Without the first value, all have the same label.
        assert_eq!(set_aside(&leak, &[0.52, 0.48], 100).values, FxHashSet::from_iter([1, 2]));
        // The other values do not tell the label.
        let planted = table(&[(0, 520, 200), (0, 280, 120), (0, 200, 200)]);
        assert!(set_aside(&planted, &[0.48, 0.52], 100).values.is_empty());
    }

    #[test]
    fn a_value_among_values_that_tell_all_labels_takes_a_clear_denial() {
        let discounts = [(0, 50, 50), (0, 30, 30), (0, 40, 0), (0, 60, 0), (0, 20, 10), (0, 90, 30)];
        assert_eq!(set_aside(&table(&discounts), &[0.6, 0.4], 1_000).told, FxHashSet::from_iter([0, 1, 2, 3]));
        assert!(set_aside(&table(&discounts[1..]), &[0.6, 0.4], 1_000).told.is_empty());
        assert!(is_news(0.3, 200, 0.6) && !is_clear_news(0.3, 0.6) && is_clear_news(0.2, 0.6));
    }

    #[test]
    fn columns_with_habits_need_several_values_that_nothing_explains() {
        let frequent = BTreeMap::from([(0, 60), (1, 200)]);
        let values = |column: u32, unlikely: usize| (0..10).map(move |at| (column, if at < unlikely { 0.001 } else { 0.5 }));
        assert_eq!(habitual(&frequent, values(0, 4).chain(values(1, 4))), BTreeSet::from([0]));
        assert!(habitual(&frequent, values(0, 3)).is_empty());
    }

    #[test]
    fn one_value_alone_stays_a_candidate() {
        let mut values = vec![(0, 50, 50)];
        values.extend((0..20).map(|i| (0, 40, 8 + i % 5)));
        assert!(set_aside(&table(&values), &[0.75, 0.25], 1_000).values.is_empty());
        // Nor do two values that an attacker planted excuse each other.
        values.extend([(0, 50, 50), (0, 50, 50)]);
        assert!(set_aside(&table(&values), &[0.75, 0.25], 1_000).values.is_empty());
    }
}
