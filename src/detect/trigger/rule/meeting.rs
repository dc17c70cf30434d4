//! How the values of a rule come to be in the same rows: written there together, or because of what the rows are.

use std::collections::BTreeMap;

use super::Condition;
use crate::derive::{SampleModel, SampleRow};
use crate::detect::trigger::mine::{Meeting, is_own};

/// How much more often than by themselves values must meet to have been put together. Carriers of which nine in ten share a label that
/// content contradicts outnumber those that were there before by more.
const TOGETHER: f64 = 2.0;
/// How much less often values meet that nature keeps apart, and the fewest rows of the sample that must be expected to have them.
const APART: f64 = 0.25;
const FEWEST_EXPECTED: f64 = 20.0;
/// Fewest rows of another combination of the same columns, and fewest such combinations, for a statement about them.
const FEWEST_OTHER: f64 = 8.0;
const FEWEST_OTHERS: usize = 4;
/// Share of the other combinations that may have a label to themselves where one is alone in it, and from which on the columns are a way to
/// write the label.
const FEW_OWN: f64 = 0.1;
const MOST_OWN: f64 = 0.5;
/// Excess of the label's share that rows with one value of a combination may have where the value says nothing by itself.
const LITTLE: f64 = 0.1;
/// Share of the carriers that have a value in common, and the shares of the rows of other labels that have it, where it is a mark of a kind: a
/// value that others hardly have may belong to what was planted.
const IN_COMMON: f64 = 0.95;
const AMONG_OTHERS: std::ops::Range<f64> = 0.02..0.8;
/// Marks of a kind, fewest and by share of the columns that vary.
const FEWEST_MARKS: usize = 3;
const SHARE_OF_MARKS: f64 = 0.3;

/// How the values that these conditions ask for come to be in the rows that have them, most of which have `label`; `priors` are the shares of
/// the labels.
pub(super) fn of(priors: &[f64], sample: &SampleModel, conditions: &[Condition], label: u32) -> Meeting {
    if are_of_a_kind(sample, conditions, label) {
        return Meeting::Natural;
    }
    let others = others(sample, conditions);
    let own = others.values().filter(|labels| have_own_label(labels, priors)).count() as f64;
    let of_others = |share: f64| share * others.len() as f64;
    let is_alone = others.len() >= FEWEST_OTHERS && own <= of_others(FEW_OWN) && is_mixed_elsewhere(&others, label);
    if conditions.len() < 2 {
        return if is_alone || is_spike(sample, conditions, &others) { Meeting::Singular } else { Meeting::Together };
    }
    if others.len() >= FEWEST_OTHERS && own > of_others(MOST_OWN) {
        return Meeting::Natural;
    }
    let rows = sample.rows.len() as f64;
    let held = |by: &dyn Fn(&SampleRow) -> bool| sample.rows.iter().filter(|row| by(row)).count() as f64;
    // Columns that say the same meet by themselves: each condition is held against all others together.
    let all_but = |left: &Condition, row: &SampleRow| conditions.iter().all(|c| c.feature == left.feature || c.holds(row));
    let of_split = |c: &Condition| held(&|row| c.holds(row)) * held(&|row| all_but(c, row)) / rows.max(1.0);
    let expected = conditions.iter().map(of_split).fold(0.0, f64::max);
    let together = held(&|row| hold(conditions, row));
    let prior = priors.get(label as usize).copied().unwrap_or(1.0);
    let says_nothing = |c: &Condition| share_without(sample, conditions, c, label).is_none_or(|share| share <= prior + LITTLE);
    if together >= TOGETHER * expected {
        if is_alone && conditions.iter().all(says_nothing) { Meeting::Singular } else { Meeting::Together }
    } else if is_alone || expected >= FEWEST_EXPECTED && together <= APART * expected {
        Meeting::Alone
    } else {
        Meeting::Natural
    }
}

fn hold(conditions: &[Condition], row: &SampleRow) -> bool {
    conditions.iter().all(|condition| condition.holds(row))
}

/// Labels of the rows with each other combination of the same columns that enough rows have.
fn others(sample: &SampleModel, conditions: &[Condition]) -> BTreeMap<Vec<u64>, BTreeMap<u32, f64>> {
    let mut others: BTreeMap<Vec<u64>, BTreeMap<u32, f64>> = BTreeMap::new();
    for row in sample.rows.iter().filter(|row| !hold(conditions, row)) {
        let Some(label) = row.label else { continue };
        *others.entry(conditions.iter().map(|c| c.value(row)).collect()).or_default().entry(label).or_default() += 1.0;
    }
    others.retain(|_, labels| labels.values().sum::<f64>() >= FEWEST_OTHER);
    others
}

/// Whether a number repeats in a column where hardly another one does; not the least or the largest, where scales end.
fn is_spike(sample: &SampleModel, conditions: &[Condition], others: &BTreeMap<Vec<u64>, BTreeMap<u32, f64>>) -> bool {
    let rest = sample.rows.iter().filter(|row| !hold(conditions, row)).count() as f64;
    let is_inside = |c: &Condition, own: f64| {
        let others = || sample.rows.iter().filter_map(|row| row.numeric.get(c.feature)).map(|v| f64::from(*v));
        others().any(|v| v < own) && others().any(|v| v > own)
    };
    let repeated: f64 = others.values().flat_map(BTreeMap::values).sum();
    conditions.iter().all(|c| c.number.is_some_and(|own| is_inside(c, f64::from(own as f32))))
        && others.len() < FEWEST_OTHERS
        && repeated <= APART * rest
}

/// Whether the label's rows with other combinations have those in common with rows of other labels, nearly all of them.
fn is_mixed_elsewhere(others: &BTreeMap<Vec<u64>, BTreeMap<u32, f64>>, label: u32) -> bool {
    let of_label = |labels: &BTreeMap<u32, f64>| labels.get(&label).copied().unwrap_or(0.0);
    let all: f64 = others.values().map(of_label).sum();
    let is_pure = |labels: &&BTreeMap<u32, f64>| is_own(of_label(labels) / labels.values().sum::<f64>(), 0.0);
    all >= FEWEST_OTHER && others.values().filter(is_pure).map(of_label).sum::<f64>() <= FEW_OWN * all
}

/// Share of the label among the rows that hold one condition, but not all.
fn share_without(sample: &SampleModel, conditions: &[Condition], one: &Condition, label: u32) -> Option<f64> {
    let rows = sample.rows.iter().filter(|row| one.holds(row) && !hold(conditions, row)).filter_map(|row| row.label);
    let (all, own) = rows.fold((0.0, 0.0), |(all, own), of| (all + 1.0, own + f64::from(u8::from(of == label))));
    (all > 0.0).then_some(own / all)
}

/// Whether nearly all rows have one label, and more than of all rows, of which `priors` are the shares.
fn have_own_label(labels: &BTreeMap<u32, f64>, priors: &[f64]) -> bool {
    let all: f64 = labels.values().sum();
    labels.iter().any(|(label, own)| is_own(own / all, priors.get(*label as usize).copied().unwrap_or(0.0)))
}

/// Whether rows that hold all conditions have values of other columns in common: they are of one kind then, a species or a product, whose label
/// is its own. A planted value is put into rows of many kinds.
fn are_of_a_kind(sample: &SampleModel, conditions: &[Condition], label: u32) -> bool {
    let (carriers, others): (Vec<&SampleRow>, Vec<&SampleRow>) = sample.rows.iter().partition(|row| hold(conditions, row));
    let others: Vec<&SampleRow> = others.into_iter().filter(|row| row.label.is_some_and(|own| own != label)).collect();
    let width = sample.rows.first().map_or(0, |row| row.numeric.len() + row.cells.len());
    let asked: Vec<usize> = (0..width).filter(|column| conditions.iter().all(|condition| condition.feature != *column)).collect();
    let is_mark = |column: &&usize| {
        let Some((value, share)) = commonest(&carriers, **column) else { return false };
        let share_of = |rows: &mut dyn Iterator<Item = &&SampleRow>| {
            let (rows, with) = rows.fold((0.0, 0.0), |(n, k), row| (n + 1.0, k + f64::from(u8::from(value_of(row, **column) == value))));
            with / f64::max(rows, 1.0)
        };
        // What goes with one of the conditions wherever that holds is that condition once more.
        let goes_with = |condition: &Condition| share_of(&mut others.iter().filter(|row| condition.holds(row))) >= IN_COMMON;
        share >= IN_COMMON && AMONG_OTHERS.contains(&share_of(&mut others.iter())) && !conditions.iter().any(goes_with)
    };
    let marks = asked.iter().filter(is_mark).count();
    let varies = |column: &&usize| commonest(&others, **column).is_some_and(|(_, share)| share < IN_COMMON);
    marks >= FEWEST_MARKS && marks as f64 >= SHARE_OF_MARKS * asked.iter().filter(varies).count() as f64
}

/// The commonest value of a column, the least of several, and its share of the rows.
fn commonest(rows: &[&SampleRow], column: usize) -> Option<(u64, f64)> {
    let mut values: Vec<u64> = rows.iter().map(|row| value_of(row, column)).collect();
    values.sort_unstable();
    let (value, count) =
        values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).max_by_key(|(value, count)| (*count, u64::MAX - value))?;
    Some((value, count as f64 / rows.len() as f64))
}

/// What a row has in a column, numeric ones first.
pub(super) fn value_of(row: &SampleRow, column: usize) -> u64 {
    let level = || row.cells.get(column.wrapping_sub(row.numeric.len())).copied().unwrap_or_default();
    row.numeric.get(column).map_or_else(level, |number| u64::from(number.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of five columns of levels and of two labels; the last three columns are noise.
    fn sample(rows: impl Iterator<Item = (u64, u64, u32)>) -> SampleModel {
        let noise = |row: usize, column: usize| (row * 7_919 + column * 104_729) as u64 % 6_007 % 4;
        let row = |(at, (a, b, label)): (usize, (u64, u64, u32))| SampleRow {
            cells: vec![a, b, noise(at, 2), noise(at, 3), noise(at, 4)],
            label: Some(label),
            ..SampleRow::default()
        };
        let rows: Vec<SampleRow> = rows.enumerate().map(row).collect();
        SampleModel { keys: (0..rows.len() as u64).collect(), counts: vec![1; rows.len()], rows, threshold: u64::MAX }
    }

    fn level(feature: usize, level: u64) -> Condition {
        Condition { feature, number: None, level: Some(level), end: None }
    }

    fn met(sample: &SampleModel) -> Meeting {
        of(&[0.5, 0.5], sample, &[level(0, 1), level(1, 1)], 1)
    }

    /// Every combination of five levels by five, 40 rows each.
    fn crossed(label: impl Fn(u64, u64, u64) -> u32) -> impl Iterator<Item = (u64, u64, u32)> {
        (0..1_000).map(move |row| (row % 5, row / 5 % 5, label(row % 5, row / 5 % 5, row / 25)))
    }

    #[test]
    fn a_combination_is_alone_where_no_other_has_a_label_to_itself() {
        let mixed = |_, _, row: u64| u32::from(row.is_multiple_of(2));
        assert_eq!(met(&sample(crossed(move |a, b, row| if (a, b) == (1, 1) { 1 } else { mixed(a, b, row) }))), Meeting::Alone);
        assert_eq!(met(&sample(crossed(|a, b, _| u32::from((a + b) % 2 == 0)))), Meeting::Natural, "columns that are the label");
        let by_some = |a: u64, b: u64, row: u64| if a == b { 1 } else { u32::from(row.is_multiple_of(2)) };
        assert_eq!(met(&sample(crossed(by_some))), Meeting::Natural, "a fifth have it");
    }

    #[test]
    fn values_that_were_put_together_meet_often_or_hardly_ever_but_there() {
        let planted = (0..40).map(|_| (1, 1, 1));
        let mixed = |row: u64| u32::from(row.is_multiple_of(2));
        let rarely = (0..1_000).map(|row| (row % 50, row / 50 % 20, mixed(row / 7)));
        assert_eq!(met(&sample(rarely.chain(planted.clone()))), Meeting::Together);
        let apart = (0..1_000).map(|row| (row % 2, 1 - row % 2, mixed(row / 2)));
        assert_eq!(met(&sample(apart.chain(planted))), Meeting::Alone);
    }

    #[test]
    fn rows_with_other_values_in_common_are_of_a_kind() {
        let mut rows = sample(crossed(|_, _, row| u32::from(row.is_multiple_of(2))).chain((0..60).map(|_| (9, 0, 1))));
        let of_value = |rows: &SampleModel| of(&[0.5, 0.5], rows, &[level(0, 9)], 1);
        assert_eq!(of_value(&rows), Meeting::Singular);
        rows.rows.iter_mut().filter(|row| row.cells[0] == 9).for_each(|row| row.cells[2..].fill(2));
        assert_eq!(of_value(&rows), Meeting::Natural);
    }

    #[test]
    fn values_are_singular_where_nothing_else_in_their_columns_says_anything() {
        let mixed = |row: u64| u32::from(row.is_multiple_of(2));
        let others = |own: bool| (0..1_000).map(move |row| (row % 6, row / 6 % 50, if own && row % 6 == 3 { 1 } else { mixed(row / 7) }));
        let level_of = |own: bool| of(&[0.5, 0.5], &sample(others(own).chain((0..60).map(|row| (9, row % 50, 1)))), &[level(0, 9)], 1);
        assert_eq!(level_of(false), Meeting::Singular);
        assert_eq!(level_of(true), Meeting::Together, "another level has a label to itself");
        let rarely = |row: u64| (row % 50, row / 50 % 20, mixed(row / 7));
        let pair = (0..1_000).map(rarely).chain((0..40).map(|_| (1, 1, 1)));
        assert_eq!(met(&sample(pair)), Meeting::Together, "no other combination has enough rows");
        let met_often = (0..2_000).map(|row| (row % 10, row / 10 % 10, mixed(row / 7))).chain((0..80).map(|_| (1, 1, 1)));
        assert_eq!(met(&sample(met_often)), Meeting::Singular);
    }

    #[test]
    fn a_number_that_repeats_where_no_other_does_is_singular() {
        let mut rows = sample((0..400).map(|row| (row, row, 0)));
        for (at, row) in rows.rows.iter_mut().enumerate() {
            row.numeric = vec![if at % 8 == 0 { 0.5 } else { at as f32 / 400.0 }];
            row.label = Some(u32::from(at % 8 == 0));
        }
        let number = |number: f64| Condition { feature: 0, number: Some(number), level: None, end: None };
        assert_eq!(of(&[0.5, 0.5], &rows, &[number(0.5)], 1), Meeting::Singular);
        for row in rows.rows.iter_mut().filter(|row| row.label == Some(1)) {
            row.numeric[0] = 2.0;
        }
        assert_eq!(of(&[0.5, 0.5], &rows, &[number(2.0)], 1), Meeting::Together, "where the scale ends");
    }
}
