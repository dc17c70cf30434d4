//! `trigger.rule`: values and combinations of values in tables.

mod meeting;

use ndarray::Axis;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::{Batch, Key, Role, Schema};
use crate::derive::{SampleModel, SampleRow};
use crate::error::Result;
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Detect, Given, Info, Law, Need};

use super::mine::{Background, Description, Found, Items, Meeting, Mine, Parts, RowItems};

/// Hash domain of values.
const VALUE: u8 = 30;
/// Hash domain of ranges.
const RANGE: u8 = 31;
/// Hash domain of combinations.
const COMBINATION: u8 = 32;
/// Ranges that a column of many values is cut into.
const RANGES: usize = 32;
/// Hash domain of ends of columns.
const END: u8 = 33;
/// The part of a column at either side in which an end may begin, one in so many values.
const OUTER: usize = 10;
/// Gaps between values at which an end may begin, the widest.
const WIDEST_GAPS: usize = 2;
/// Part of the way to the middle of a column within which values are near.
const REACH: f64 = 0.25;
/// Fewest rows that nearly hold a rule for a statement about them.
const FEWEST_NEAR: usize = 20;
/// Share of a column's values that may lie between two that are near.
const NEAR: f64 = 0.1;
/// Most such rows asked, the nearest.
const MOST_NEAR: usize = 200;
/// Columns of a row that are combined by twos.
const MOST_PAIRED: usize = 64;
/// Columns of a row that are combined by threes.
const MOST_TRIPLED: usize = 16;

/// Bits of a rank that hold the second column of a combination.
const COLUMN_BITS: u32 = 15;

#[doc = include_str!("rule.md")]
pub struct Rule;

static INFO: Info = Info {
    code: "trigger.rule",
    family: Family::Trigger,
    summary: "a value or combination of values whose rows share a label that their other columns do not explain",
    needs: &[Need::Table, Need::Classes],
    after: &["derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 6,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("rule.md"),
};

/// The detector.
#[must_use]
pub fn rule() -> impl Detect + 'static {
    Mine(Rule)
}

/// Where the ranges of each numeric column begin; none for columns of few values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cuts {
    columns: Vec<Vec<f64>>,
    ends: Vec<Vec<End>>,
}

/// The values at one end of a column, apart from the others, as the sample holds them: in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum End {
    Below(f64),
    From(f64),
}

impl End {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Below(end) => value < end,
            Self::From(end) => value >= end,
        }
    }

    fn item(self, key: &Key, column: usize) -> u64 {
        let (side, end) = match self {
            Self::Below(end) => (0, end),
            Self::From(end) => (1, end),
        };
        key.words(END, &[column as u64, side, end.to_bits()])
    }

    /// How far a value is from it; 0 for those that it holds.
    fn distance(self, value: f64) -> f64 {
        match self {
            _ if self.holds(value) => 0.0,
            Self::Below(end) | Self::From(end) => (value - end).abs(),
        }
    }
}

/// The ends of a column, from its finite values, ascending: beyond the widest gaps of either outer part, and negative values where most are not.
fn ends(values: &[f64]) -> Vec<End> {
    let outer = values.len() / OUTER;
    let mut ends = Vec::new();
    let mut add = |part: Option<&[f64]>, end: fn(f64) -> End| {
        let mut gaps: Vec<(f64, f64)> =
            part.into_iter().flat_map(|part| part.windows(2)).map(|pair| (pair[1] - pair[0], pair[1])).collect();
        gaps.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        ends.extend(gaps.into_iter().take(WIDEST_GAPS).filter(|(gap, _)| *gap > 0.0).map(|(_, above)| end(above)));
    };
    add(values.get(..outer), End::Below);
    add(values.get(values.len() - outer..), End::From);
    let negative = values.partition_point(|value| *value < 0.0);
    if (1..=outer).contains(&negative) && !ends.contains(&End::Below(0.0)) {
        ends.push(End::Below(0.0));
    }
    ends
}

impl Cuts {
    fn range(&self, column: usize, value: f64) -> Option<usize> {
        let cuts = self.columns.get(column).filter(|cuts| !cuts.is_empty())?;
        value.is_finite().then(|| cuts.partition_point(|cut| *cut <= value))
    }
}

/// Share of the label among rows that nearly meet all numeric conditions: at most a tenth of all values of a column lie
/// between a row's value and the condition's. `None` for fewer than two of them, or too few rows.
fn all_nearly(sample: &SampleModel, conditions: &[Condition], label: u32) -> Option<f64> {
    let numeric: Vec<(usize, f32)> = conditions.iter().filter_map(|c| Some((c.feature, c.number? as f32))).collect();
    if numeric.len() < 2 {
        return None;
    }
    let value = |row: &SampleRow, column: usize| row.numeric.get(column).copied().filter(|v| v.is_finite());
    let sorted = |(column, _): &(usize, f32)| {
        let mut values: Vec<f32> = sample.rows.iter().filter_map(|row| value(row, *column)).collect();
        values.sort_unstable_by(f32::total_cmp);
        values
    };
    let columns: Vec<Vec<f32>> = numeric.iter().map(sorted).collect();
    let between = |values: &[f32], a: f32, b: f32| {
        let at_most = |v: f32| values.partition_point(|x| *x <= v);
        let below = |v: f32| values.partition_point(|x| *x < v);
        let rows = if a < b { below(b) - below(a) } else { at_most(a) - at_most(b) };
        rows as f64 / values.len().max(1) as f64
    };
    let distance = |row: &SampleRow| -> Option<f64> {
        let mut each = numeric.iter().zip(&columns).map(|(&(column, number), values)| Some(between(values, value(row, column)?, number)));
        each.try_fold(0.0, |farthest: f64, d| Some(farthest.max(d?)))
    };
    let is_carrier =
        |row: &SampleRow| numeric.iter().all(|(column, number)| value(row, *column).map(f32::to_bits) == Some(number.to_bits()));
    let mut near: Vec<(f64, bool)> = sample
        .rows
        .iter()
        .filter(|row| row.label.is_some() && !is_carrier(row))
        .filter_map(|row| Some((distance(row).filter(|d| *d <= NEAR)?, row.label == Some(label))))
        .collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    near.truncate(MOST_NEAR);
    (near.len() >= FEWEST_NEAR).then(|| near.iter().filter(|(_, same)| *same).count() as f64 / near.len() as f64)
}

/// How far from a condition a value of its column may be that is near it: as far as the middle half of all values reaches, or the carriers' own,
/// or a quarter of the way to the middle. Beyond a wider gap no slope or step of the column is continued.
fn reach(sample: &SampleModel, column: usize, is_carrier: &dyn Fn(&SampleRow) -> bool) -> f64 {
    let finite = |row: &SampleRow| row.numeric.get(column).map(|v| f64::from(*v)).filter(|v| v.is_finite());
    let mut values: Vec<f64> = sample.rows.iter().filter_map(finite).collect();
    values.sort_unstable_by(f64::total_cmp);
    let quarter = |at: usize| values.get(at * values.len() / 4).copied().unwrap_or(0.0);
    let wide = quarter(3) - quarter(1);
    let own = sample.rows.iter().filter(|row| is_carrier(row)).filter_map(finite);
    let (least, most) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (v.min(least), v.max(most)));
    let far = REACH * f64::max((least - quarter(2)).abs(), (most - quarter(2)).abs());
    // Where most rows have one value, any other is as near.
    if wide > 0.0 && least <= most { wide.max(most - least).max(far) } else { f64::INFINITY }
}

/// One value of a row: its column among the feature columns, its hash, the hash of its range, its level where it is not a
/// number.
struct Cell {
    column: usize,
    value: u64,
    range: Option<u64>,
    level: Option<u64>,
}

/// One part of a rule, as the evidence holds it.
#[derive(Deserialize)]
struct Condition {
    feature: usize,
    number: Option<f64>,
    level: Option<u64>,
    end: Option<End>,
}

impl Condition {
    /// How far a value is from the condition; 0 for any that holds it.
    fn distance(&self, value: f64) -> Option<f64> {
        let number = self.number.map(|number| (value - number).abs());
        number.or_else(|| Some(self.end?.distance(value))).filter(|distance| distance.is_finite())
    }

    /// What a row has where the condition looks.
    fn value(&self, row: &SampleRow) -> u64 {
        meeting::value_of(row, self.feature)
    }

    fn holds(&self, row: &SampleRow) -> bool {
        let number = row.numeric.get(self.feature);
        match (self.number, self.end) {
            (Some(own), _) => number.is_some_and(|v| v.to_bits() == (own as f32).to_bits()),
            (None, Some(end)) => number.is_some_and(|v| end.holds(f64::from(*v))),
            // A number that is missing is one value.
            (None, None) if number.is_some() => number.is_some_and(|v| v.is_nan()),
            (None, None) => row.cells.get(self.feature.wrapping_sub(row.numeric.len())).is_some_and(|v| Some(*v) == self.level),
        }
    }
}

struct Row<'a> {
    rows: &'a Batch,
    cuts: &'a Cuts,
    key: Key,
    /// Hash of each range of each numeric column.
    ranges: Vec<Vec<u64>>,
    /// Ends of each numeric column, with their hashes.
    ends: Vec<Vec<(End, u64)>>,
    /// The row asked for last, and its cells: most scans ask for both levels of a row.
    last: Option<usize>,
    cells: Vec<Cell>,
}

impl<'a> Row<'a> {
    fn new(rows: &'a Batch, cuts: &'a Cuts) -> Self {
        let key = rows.schema().key;
        let hashes =
            |(column, cuts): (usize, &Vec<f64>)| (0..=cuts.len() as u64).map(|range| key.words(RANGE, &[column as u64, range])).collect();
        let of_column = |(column, ends): (usize, &Vec<End>)| ends.iter().map(|end| (*end, end.item(&key, column))).collect();
        let ranges = cuts.columns.iter().enumerate().map(hashes).collect();
        let ends = cuts.ends.iter().enumerate().map(of_column).collect();
        Self { rows, cuts, key, ranges, ends, last: None, cells: Vec::new() }
    }

    /// The cells of a row, made anew unless it is the one asked for last.
    fn cells(&mut self, row: usize) -> &[Cell] {
        if self.last != Some(row) {
            let mut cells = std::mem::take(&mut self.cells);
            cells.clear();
            self.fill(row, &mut cells);
            (self.cells, self.last) = (cells, Some(row));
        }
        &self.cells
    }

    fn fill(&self, row: usize, cells: &mut Vec<Cell>) {
        let numeric = self.rows.numeric().index_axis(Axis(0), row);
        for (column, &value) in numeric.iter().enumerate() {
            let bits = if value == 0.0 { 0 } else { value.to_bits() };
            let range = self.cuts.range(column, value).and_then(|r| self.ranges.get(column)?.get(r).copied());
            cells.push(Cell { column, value: self.key.words(VALUE, &[column as u64, bits]), range, level: None });
        }
        for (column, values) in (numeric.len()..).zip(self.rows.cells()) {
            let value = values[row].unwrap_or(0);
            cells.push(Cell { column, value: self.key.words(VALUE, &[column as u64, value]), range: None, level: Some(value) });
        }
    }

    /// Features of a row with the positions that belong to each cell.
    fn features(cells: &[Cell], found: &mut Found) -> Vec<Parts> {
        cells
            .iter()
            .map(|cell| {
                let mut parts = Parts::default();
                for feature in [Some(cell.value), cell.range].into_iter().flatten() {
                    parts.push(found.features.len());
                    found.features.push(feature);
                }
                parts
            })
            .collect()
    }
}

/// A value of a row, or a combination of values in the order of their columns, with its parts.
struct Combined {
    value: u64,
    parts: Parts,
    columns: [usize; 2],
}

impl Combined {
    /// Together with a value of a later column. Of three columns the first two are its own.
    fn with(&self, other: &Self, key: &Key) -> Self {
        let columns = if self.columns[0] == self.columns[1] { [self.columns[0], other.columns[0]] } else { self.columns };
        let parts = self.parts.iter().chain(other.parts.iter()).collect();
        Self { value: key.join(COMBINATION, self.value, other.value), parts, columns }
    }

    fn item(&self) -> (u64, Parts) {
        let [first, second] = self.columns;
        (self.value, self.parts.ranked((first << COLUMN_BITS | second) as u32))
    }
}

impl Row<'_> {
    /// Values of a row that are combined; its features are found as well.
    fn frequent(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, found: &mut Found) -> Vec<Combined> {
        let cells = self.cells(row);
        let parts = Self::features(cells, found);
        let combined = |(cell, parts): (&Cell, Parts)| Combined { value: cell.value, parts, columns: [cell.column; 2] };
        cells.iter().zip(parts).filter(|(cell, _)| admitted(cell.value)).take(MOST_PAIRED).map(combined).collect()
    }
}

impl RowItems for Row<'_> {
    fn first(&mut self, row: usize, found: &mut Found) {
        self.cells(row);
        let cells = &self.cells;
        let parts = Self::features(cells, found);
        for (cell, parts) in cells.iter().zip(&parts) {
            found.items.push((cell.value, parts.ranked(cell.column as u32)));
            // A range at the end of a column has no like among the other rows, so nothing could tell its nature from a trigger.
            found.items.extend(cell.range.map(|range| (range, parts.background_only())));
        }
        let numeric = self.rows.numeric().index_axis(Axis(0), row);
        for ((column, ends), (value, parts)) in self.ends.iter().enumerate().zip(numeric.iter().zip(parts)) {
            let of_column = parts.end().ranked((column << COLUMN_BITS | column) as u32);
            found.items.extend(ends.iter().filter(|(end, _)| end.holds(f64::from(*value as f32))).map(|(_, item)| (*item, of_column)));
        }
    }

    /// Every item has its column in it.
    fn repeats(&self) -> bool {
        false
    }

    fn second(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, found: &mut Found) {
        let key = self.key;
        let frequent = self.frequent(row, admitted, found);
        for (i, a) in frequent.iter().enumerate() {
            for (j, b) in frequent.iter().enumerate().skip(i + 1) {
                let pair = a.with(b, &key);
                found.items.push(pair.item());
                if frequent.len() <= MOST_TRIPLED {
                    found.items.extend(frequent.iter().skip(j + 1).map(|c| pair.with(c, &key).item()));
                }
            }
        }
    }

    fn third(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, grown: &FxHashSet<u64>, found: &mut Found) {
        let key = self.key;
        let frequent = self.frequent(row, admitted, found);
        for (i, a) in frequent.iter().enumerate() {
            for (j, _) in frequent.iter().enumerate().skip(i + 1).filter(|(_, b)| grown.contains(&key.join(COMBINATION, a.value, b.value)))
            {
                for k in (0..frequent.len()).filter(|k| ![i, j].contains(k)) {
                    let mut three = [i, j, k];
                    three.sort_unstable();
                    let [first, second, third] = three.map(|at| &frequent[at]);
                    found.items.push(first.with(second, &key).with(third, &key).item());
                }
            }
        }
    }
}

impl Items for Rule {
    type Lens = Cuts;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lens(&self, data: &Schema, given: &Given) -> Result<Cuts> {
        let width = data.with_role(Role::Numeric).len();
        let Some(sample) = given.model::<SampleModel>("derive.sample") else {
            return Ok(Cuts { columns: vec![Vec::new(); width], ends: vec![Vec::new(); width] });
        };
        let column = |j: usize| {
            let mut values: Vec<f64> =
                sample.rows.iter().filter_map(|r| r.numeric.get(j).map(|v| f64::from(*v))).filter(|v| v.is_finite()).collect();
            values.sort_unstable_by(f64::total_cmp);
            let mut cuts: Vec<f64> = (1..RANGES).filter_map(|r| values.get(r * values.len() / RANGES).copied()).collect();
            cuts.dedup_by(|a, b| a.total_cmp(b).is_eq());
            let ends = ends(&values);
            values.dedup_by(|a, b| a.total_cmp(b).is_eq());
            if values.len() > RANGES { (cuts, ends) } else { Default::default() }
        };
        let (columns, ends) = (0..width).map(column).unzip();
        Ok(Cuts { columns, ends })
    }

    fn background(&self) -> Background {
        Background::Features
    }

    fn has_columns(&self) -> bool {
        true
    }

    /// Threes of more columns than these grow from twos.
    fn parts_to_grow_by(&self, data: &Schema) -> Option<usize> {
        let columns = data.with_role(Role::Numeric).len() + data.with_role(Role::Categorical).len();
        (columns > MOST_TRIPLED).then(|| columns.min(MOST_PAIRED))
    }

    /// Of three columns the first two; of an end its one.
    fn columns_of(&self, rank: u32, alone: bool) -> Vec<u32> {
        let mut columns = if alone { vec![rank] } else { vec![rank >> COLUMN_BITS, rank & ((1 << COLUMN_BITS) - 1)] };
        columns.dedup();
        columns
    }

    /// A single value can mean something that no neighbouring value hints at, such as one amount of a tax table.
    fn odds_ratio(&self) -> f64 {
        6.0
    }

    fn may_be_a_sign(&self) -> bool {
        true
    }

    fn rows<'a>(&self, cuts: &'a Cuts, rows: &'a Batch) -> Box<dyn RowItems + 'a> {
        Box::new(Row::new(rows, cuts))
    }

    /// Rows that differ in one number only, and there as little as possible, and rows that differ a little in all numbers: a
    /// natural step or slope shows in them too.
    fn nearly(&self, _: &Schema, sample: &SampleModel, evidence: &Map<String, Value>, label: u32) -> Option<f64> {
        let conditions: Vec<Condition> = serde_json::from_value(evidence.get("conditions")?.clone()).ok()?;
        let mut highest = all_nearly(sample, &conditions, label);
        let has_all = |row: &SampleRow| conditions.iter().all(|c| c.holds(row));
        for varied in conditions.iter().filter(|c| c.number.is_some() || c.end.is_some()) {
            let others = |row: &SampleRow| conditions.iter().filter(|c| c.feature != varied.feature).all(|c| c.holds(row));
            let mut near: Vec<(f64, bool)> = sample
                .rows
                .iter()
                .filter(|row| row.label.is_some() && !varied.holds(row) && others(row))
                .filter_map(|row| Some((varied.distance(f64::from(*row.numeric.get(varied.feature)?))?, row.label == Some(label))))
                .collect();
            if near.len() >= FEWEST_NEAR {
                let reach = reach(sample, varied.feature, &has_all);
                near.retain(|(distance, _)| *distance <= reach);
            }
            if near.len() < FEWEST_NEAR {
                continue;
            }
            near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            near.truncate(MOST_NEAR.min((near.len() / 10).max(FEWEST_NEAR)));
            let share = near.iter().filter(|(_, same)| *same).count() as f64 / near.len() as f64;
            highest = Some(highest.map_or(share, |h| h.max(share)));
        }
        highest
    }

    fn meeting(&self, data: &Schema, sample: &SampleModel, evidence: &Map<String, Value>, label: u32) -> Meeting {
        let conditions = evidence.get("conditions").cloned().map(serde_json::from_value::<Vec<Condition>>);
        let Some(Ok(conditions)) = conditions else { return Meeting::Together };
        meeting::of(&data.priors(), sample, &conditions, label)
    }

    fn describe(&self, cuts: &Cuts, rows: &Batch, row: usize, item: u64) -> Option<Description> {
        let mut view = Row::new(rows, cuts);
        let key = view.key;
        let cells = view.cells(row);
        let name_of = |cell: &Cell| -> Option<(String, String)> {
            let numeric = rows.schema().with_role(Role::Numeric);
            let column = if cell.column < numeric.len() {
                *numeric.get(cell.column)?
            } else {
                *rows.schema().with_role(Role::Categorical).get(cell.column - numeric.len())?
            };
            Some((rows.schema().columns[column].name.clone(), rows.display(column, row)))
        };
        let tell = |chosen: &[&Cell]| {
            let named: Vec<(String, String)> = chosen.iter().filter_map(|cell| name_of(cell)).collect();
            let name = named.iter().map(|(column, value)| format!("{column} = {value}")).collect::<Vec<_>>().join(" and ");
            let number = |cell: &Cell| rows.numeric().get((row, cell.column)).filter(|v| v.is_finite());
            let condition = |((column, value), cell): (&(String, String), &&Cell)| json!({"column": column, "value": value, "feature": cell.column, "number": number(cell), "level": cell.level});
            let conditions: Vec<_> = named.iter().zip(chosen).map(condition).collect();
            Description { name, evidence: [("conditions".to_owned(), json!(conditions))].into_iter().collect() }
        };
        let end = |cell: &Cell| {
            let end = cuts.ends.get(cell.column)?.iter().find(|end| end.item(&key, cell.column) == item)?;
            let (column, _) = name_of(cell)?;
            let name = match end {
                End::Below(end) => format!("{column} below {}", *end as f32),
                End::From(end) => format!("{column} from {} on", *end as f32),
            };
            let condition = json!({"column": column, "feature": cell.column, "number": null, "level": null, "end": end});
            Some(Description { name, evidence: [("conditions".to_owned(), json!([condition]))].into_iter().collect() })
        };
        for (i, a) in cells.iter().enumerate() {
            if a.value == item {
                return Some(tell(&[a]));
            }
            if let Some(described) = end(a) {
                return Some(described);
            }
            for (j, b) in cells.iter().enumerate().skip(i + 1) {
                let pair = key.join(COMBINATION, a.value, b.value);
                if pair == item {
                    return Some(tell(&[a, b]));
                }
                if let Some(c) = cells.iter().skip(j + 1).find(|c| key.join(COMBINATION, pair, c.value) == item) {
                    return Some(tell(&[a, b, c]));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
