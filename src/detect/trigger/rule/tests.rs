use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use foretaste_datasets::recipe::{Cell, Setting, value};
use foretaste_datasets::{Plan, Share};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::derive::{Content, Sample};
use crate::fold::law::{self, Fixture};

const ROWS: usize = 3_000;
/// Amounts of a class; one in three rows has any.
const AMOUNTS: i64 = 8;

/// Three measurements, of which the first tells one class in four, and amounts that each stand for a class, even ones for the other.
fn measured() -> RecordBatch {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut columns: [Vec<f64>; 3] = Default::default();
    let (mut amounts, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..ROWS {
        for column in &mut columns {
            column.push(rng.random::<f64>());
        }
        let told = columns[0].last().copied().unwrap_or(0.0) + 0.2 * rng.random::<f64>();
        let class = i64::from(told > 0.85);
        let amount = 100 + 2 * rng.random_range(0..AMOUNTS) + class;
        amounts.push(if rng.random::<f64>() < 1.0 / 3.0 { amount } else { 0 });
        labels.push(class);
    }
    let [a, b, c] = columns.map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
    let (amount, label) = (Arc::new(Int64Array::from(amounts)) as ArrayRef, Arc::new(Int64Array::from(labels)) as ArrayRef);
    RecordBatch::try_from_iter([("a", a), ("b", b), ("c", c), ("amount", amount), ("label", label)]).unwrap()
}

fn fixture(rows: RecordBatch) -> Fixture {
    Fixture::new(rows, Some("label")).after(&Sample).after_column(Content)
}

#[test]
fn amounts_that_stand_for_a_class_are_no_causes() {
    let clean = fixture(measured());
    assert!(rule().groups(&clean.model(&rule())).is_empty());
}

#[test]
fn a_planted_amount_among_them_is_a_cause_by_the_laws() {
    let plan = Plan::new("label", 1, Share::Count(120), 5);
    let planted = Setting { column: "amount".to_owned(), value: Cell::Int(999) };
    let (poisoned, truth) = value(&measured(), &plan, &planted).unwrap();
    let fixture = fixture(poisoned);
    let model = fixture.model(&rule());
    let groups = rule().groups(&model);
    assert!(groups.len() == 1 && groups[0].cause == "amount = 999", "{groups:?}");
    let members: Vec<bool> = fixture.members(&rule(), &model).iter().map(Option::is_some).collect();
    assert_eq!(members, truth.poisoned());
    law::check(rule, &fixture);
}

#[test]
fn values_out_of_bounds_that_are_all_different_are_one_cause() {
    let clean = measured();
    let labels = clean["label"].as_primitive::<Int64Type>().values().to_vec();
    // Some rows of the first class get a value that no other row has, and the other label.
    let planted: Vec<bool> = labels.iter().enumerate().map(|(row, label)| *label == 0 && row % 25 == 0).collect();
    let count = planted.iter().filter(|planted| **planted).count() as u64;
    for (name, moved) in [("b below 0", -1.0), ("b from", 10.0)] {
        let b = clean["b"].as_primitive::<Float64Type>().values().iter().zip(&planted);
        let b: Float64Array = b.map(|(b, planted)| if *planted { moved * (1.0 + b) } else { *b }).collect();
        let labels: Int64Array = labels.iter().zip(&planted).map(|(label, planted)| if *planted { 1 } else { *label }).collect();
        let column = |name: &str| (name.to_owned(), clean[name].clone());
        let rows = RecordBatch::try_from_iter([
            column("a"),
            ("b".to_owned(), Arc::new(b) as ArrayRef),
            column("c"),
            column("amount"),
            ("label".to_owned(), Arc::new(labels) as ArrayRef),
        ]);
        let fixture = fixture(rows.unwrap());
        let model = fixture.model(&rule());
        let groups = rule().groups(&model);
        assert!(groups.len() == 1 && groups[0].cause.starts_with(name) && groups[0].rows == count, "{count}: {groups:?}");
        let members: Vec<bool> = fixture.members(&rule(), &model).iter().map(Option::is_some).collect();
        assert_eq!(members, planted);
        law::check(rule, &fixture);
    }
}

/// Eighteen columns of three levels each, of which rows miss some, so that some have few values to combine; the label is in one row of four.
fn wide(planted: impl Fn(usize) -> bool) -> RecordBatch {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut columns: Vec<Vec<i64>> = vec![Vec::new(); 18];
    let mut labels = Vec::new();
    for row in 0..ROWS {
        for (at, column) in columns.iter_mut().enumerate() {
            let alone = i64::try_from(1_000_000 + row * 18 + at).unwrap();
            column.push(if at > 2 && rng.random::<f64>() < 0.08 { alone } else { rng.random_range(0..3) });
        }
        if planted(row) {
            columns.iter_mut().take(3).for_each(|column| column[row] = 2);
        } else if columns.iter().take(3).all(|column| column[row] == 2) {
            columns[2][row] = 1;
        }
        labels.push(i64::from(planted(row) || rng.random_range(0..4) == 0));
    }
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("c{at:02}"), Arc::new(Int64Array::from(column)) as ArrayRef));
    RecordBatch::try_from_iter(named.chain([("label".to_owned(), Arc::new(Int64Array::from(labels)) as ArrayRef)])).unwrap()
}

#[test]
fn three_common_values_of_a_wide_table_are_a_cause_by_the_laws() {
    let planted = |row: usize| row.is_multiple_of(20);
    let fixture = fixture(wide(planted));
    let model = fixture.model(&rule());
    let groups = rule().groups(&model);
    assert!(groups.len() == 1 && groups[0].cause == "c00 = 2 and c01 = 2 and c02 = 2", "{groups:?}");
    let members: Vec<bool> = fixture.members(&rule(), &model).iter().map(Option::is_some).collect();
    assert_eq!(members, (0..ROWS).map(planted).collect::<Vec<_>>());
    law::check(rule, &fixture);
}

#[test]
fn ends_begin_beyond_gaps_once_each() {
    let values: Vec<f64> = (0..90).map(f64::from).chain([200.0; 20]).collect();
    assert_eq!(ends(&values), [End::Below(1.0), End::Below(2.0)]);
    let apart: Vec<f64> = (0..100).map(f64::from).chain([200.0; 3]).collect();
    assert!(ends(&apart).contains(&End::From(200.0)));
}

#[test]
fn values_beyond_a_wide_gap_are_not_near() {
    let row = |value: f32| SampleRow { numeric: vec![value], ..SampleRow::default() };
    let sample = |values: &[f32]| SampleModel {
        keys: (0..values.len() as u64).collect(),
        counts: vec![1; values.len()],
        rows: values.iter().map(|value| row(*value)).collect(),
        threshold: u64::MAX,
    };
    let column: Vec<f32> = (0..100).map(|value| value as f32).collect();
    let at = |value: f32| reach(&sample(&column), 0, &move |row: &SampleRow| row.numeric[0].to_bits() == value.to_bits()).to_string();
    assert_eq!((at(50.0), at(60.0)), ("50".to_owned(), "50".to_owned()), "the middle half");
    let far = reach(&sample(&[&column[..], &[1_050.0]].concat()), 0, &|row| row.numeric[0] > 1_000.0);
    assert_eq!(far.to_string(), "250", "a quarter of the way");
    let same = reach(&sample(&[0.0; 9]), 0, &|_| true);
    assert!(same.is_infinite() && reach(&sample(&[]), 0, &|_| true).is_infinite() && at(-1.0) == "inf");
}
