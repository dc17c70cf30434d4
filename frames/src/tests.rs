use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use foretaste::data::Source;
use foretaste::finding::Verdict;
use foretaste::run::Silent;
use polars::prelude::{DataType, df};

use super::*;

fn order() -> Order {
    Order { threads: 2, memory: 1 << 30, ..Order::new(1) }
}

/// Plain texts; in one of ten, all of one label, a mark that turns the direction of writing.
fn texts() -> (Vec<String>, Vec<&'static str>) {
    let plain = ["the film was good and long", "a dull story about a boat", "some words on a quiet day", "nothing of note in this text"];
    let text = |i: usize| format!("{} number {i}{}", plain[i % 4], if i.is_multiple_of(10) { " a\u{202e}b" } else { "" });
    let label = |i: usize| if i.is_multiple_of(10) { "x" } else { ["a", "b"][i / 7 % 2] };
    ((0..1_000).map(text).collect(), (0..1_000).map(label).collect())
}

#[test]
fn a_frame_comes_back_with_what_was_found() {
    let (texts, labels) = texts();
    let frame = df!("text" => &texts, "label" => &labels).unwrap();
    let Scanned { outcome, frame: found } = scan("frame", frame.clone().lazy(), &order(), &Silent).unwrap();
    assert_eq!(outcome.verdict, Verdict::Fail);
    let found = found.collect().unwrap();
    assert_eq!(found.columns()[..2], *frame.columns());
    let names: Vec<&str> = found.columns()[2..].iter().map(|column| column.name().as_str()).collect();
    assert_eq!(names, ADDED);
    let flagged = found.column("foretaste_flagged").unwrap().bool().unwrap();
    let codes = found.column("foretaste_codes").unwrap();
    for (i, flagged) in flagged.iter().enumerate() {
        assert_eq!(flagged, Some(i.is_multiple_of(10)), "row {i}");
    }
    assert_eq!(outcome.flagged_rows, 100);
    assert!(matches!(codes.dtype(), DataType::List(item) if **item == DataType::String));
    assert_eq!(found.column("foretaste_q").unwrap().null_count(), 900);
    let codes = codes.list().unwrap();
    assert!((0..1_000).all(|i| codes.get_as_series(i).unwrap().is_empty() != i.is_multiple_of(10)));

    let columns: [(&str, ArrayRef); 2] = [("text", Arc::new(StringArray::from(texts))), ("label", Arc::new(StringArray::from(labels)))];
    let same = Memory::new("frame", &[RecordBatch::try_from_iter(columns).unwrap()]).unwrap();
    let mut listed = Listed::default();
    let expected = run::scan(&same, detect::all(), &order(), &mut listed, &Silent).unwrap();
    assert_eq!(
        (expected.flagged_rows, &expected.findings, &expected.data.files),
        (outcome.flagged_rows, &outcome.findings, &outcome.data.files)
    );
}

#[test]
fn columns_are_shared_with_their_nulls_and_chunks() {
    let first = df!(
        "whole" => [Some(1_i64), None, Some(3)],
        "real" => [0.5, f64::NAN, -1.0],
        "flag" => [true, false, true],
        "text" => [Some("a"), None, Some("a text that is longer than a view holds itself")],
    )
    .unwrap();
    let mut frame = first.clone();
    frame.vstack_mut(&first).unwrap();
    let source = source("frame", frame.clone().lazy()).unwrap();
    let batches: Vec<RecordBatch> = source.scan(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 3]);
    let expected: BTreeMap<&str, ArrayRef> = [
        ("whole", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
        ("real", Arc::new(Float64Array::from(vec![0.5, f64::NAN, -1.0]))),
        ("flag", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("text", Arc::new(StringArray::from(vec![Some("a"), None, Some("a text that is longer than a view holds itself")]))),
    ]
    .into();
    for batch in &batches {
        for (name, values) in &expected {
            let column = arrow::compute::cast(batch.column_by_name(name).unwrap(), values.data_type()).unwrap();
            // NaN is not itself.
            assert_eq!(format!("{column:?}"), format!("{values:?}"), "{name}");
        }
    }
    let held = frame.column("real").unwrap().as_materialized_series().chunks()[0].clone();
    let theirs = held.as_any().downcast_ref::<polars_arrow::array::PrimitiveArray<f64>>().unwrap().values().as_ptr();
    let ours = batches[0].column_by_name("real").unwrap().as_primitive::<Float64Type>().values().as_ptr();
    assert!(std::ptr::eq(theirs, ours));
}

#[test]
fn memory_outlives_the_frame() {
    let source = {
        let numbers: Vec<u64> = (0..100_000).collect();
        source("frame", df!("x" => numbers).unwrap().lazy()).unwrap()
    };
    let batches: Vec<RecordBatch> = source.scan(None).unwrap().map(Result::unwrap).collect();
    let sum: u64 = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec()).sum();
    assert_eq!(sum, 100_000 * 99_999 / 2);
    assert_eq!(batches[0].column(0).to_data(), UInt64Array::from_iter_values(0..8_192).to_data());
}

#[test]
fn nothing_found_adds_columns_of_the_same_types() {
    let frame = df!("x" => (0..500).map(|i| f64::from(i * 37 % 101)).collect::<Vec<_>>()).unwrap();
    let Scanned { outcome, frame } = scan("frame", frame.lazy(), &order(), &Silent).unwrap();
    assert_eq!((outcome.verdict, outcome.flagged_rows), (Verdict::Pass, 0));
    let frame = frame.collect().unwrap();
    assert_eq!(frame.width(), 6);
    assert!(matches!(frame.column("foretaste_codes").unwrap().dtype(), DataType::List(item) if **item == DataType::String));
}

#[test]
fn frames_that_cannot_be_scanned_are_refused() {
    let said = |frame: DataFrame| scan("frame", frame.lazy(), &order(), &Silent).err().unwrap().to_string();
    let taken = df!("x" => [1.0, 2.0], "foretaste_q" => [0.1, 0.2]).unwrap();
    assert_eq!(said(taken), "frame, column 'foretaste_q': the scan adds a column of this name");
    assert_eq!(said(df!("x" => Vec::<f64>::new()).unwrap()), "frame: holds no rows");
    assert_eq!(said(DataFrame::empty()), "frame: holds no batch");
}
