//! Several files as one table.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, LargeStringArray, NullArray,
    RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type};

use super::{Folder, all, parquet};

fn one(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

#[test]
fn columns_are_reordered_and_widened_to_the_first_file() {
    let folder = Folder::new();
    let first = one(vec![
        ("id", Arc::new(Int64Array::from(vec![1]))),
        ("text", Arc::new(StringArray::from(vec!["a"]))),
        ("x", Arc::new(Float64Array::from(vec![0.5]))),
        ("late", Arc::new(NullArray::new(1))),
    ]);
    let second = one(vec![
        ("x", Arc::new(Float32Array::from(vec![0.25]))),
        ("late", Arc::new(Int32Array::from(vec![7]))),
        ("text", Arc::new(vec!["b"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("id", Arc::new(UInt32Array::from(vec![2]))),
    ]);
    let third = one(vec![
        ("text", Arc::new(LargeStringArray::from(vec!["c"]))),
        ("x", Arc::new(Int32Array::from(vec![3]))),
        ("late", Arc::new(NullArray::new(1))),
        ("id", Arc::new(Int64Array::from(vec![3]))),
    ]);
    for (file, batch) in [("1.arrow", &first), ("2.arrow", &second), ("3.arrow", &third)] {
        folder.write(file, super::arrow(batch, false, false));
    }
    let source = folder.open(&["1.arrow", "2.arrow", "3.arrow"]).unwrap();
    let rows = all(source.as_ref(), None);
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    assert_eq!(rows.column(1).as_string::<i32>().iter().flatten().collect::<String>(), "abc");
    assert_eq!(rows.column(2).as_primitive::<arrow::datatypes::Float64Type>().values(), &[0.5, 0.25, 3.0]);
    assert_eq!(rows.column(3).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [None, Some(7), None]);
    let some = all(source.as_ref(), Some(&[1, 3]));
    assert_eq!(some, rows.project(&[1, 3]).unwrap());
    assert_eq!(source.files().unwrap().iter().map(|file| file.rows).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn text_shards_are_typed_together() {
    let folder = Folder::new();
    folder.write("a.csv", "n,m\n1,\n");
    folder.write("b.tsv", "m\tn\nx\t0.5\n");
    let source = folder.open(&["a.csv", "b.tsv"]).unwrap();
    assert_eq!(source.schema().field(0).data_type(), &DataType::Float64);
    assert_eq!(all(source.as_ref(), None).column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("x")]);
    folder.write("a.jsonl", "{\"n\": 1}\n");
    folder.write("b.jsonl", "{\"n\": 1.5, \"more\": \"x\"}\n");
    let source = folder.open(&["a.jsonl", "b.jsonl"]).unwrap();
    assert_eq!(source.schema().field(0).data_type(), &DataType::Float64);
    assert_eq!(all(source.as_ref(), None).column(1).null_count(), 1);
}

#[test]
fn mixed_shards_are_refused() {
    let folder = Folder::new();
    let numbers = one(vec![("age", Arc::new(Int64Array::from(vec![1])))]);
    let texts = one(vec![("age", Arc::new(StringArray::from(vec!["1"])))]);
    let floats = one(vec![("age", Arc::new(Float64Array::from(vec![1.0])))]);
    let other = one(vec![("Age", Arc::new(Int64Array::from(vec![1])))]);
    let more = one(vec![("age", Arc::new(Int64Array::from(vec![1]))), ("sex", Arc::new(Int64Array::from(vec![1])))]);
    for (file, batch) in [("a", &numbers), ("b", &texts), ("c", &floats), ("d", &other), ("e", &more)] {
        parquet(folder.name(&format!("{file}.parquet")), batch);
    }
    assert_eq!(folder.open(&["a.parquet"]).unwrap().schema().fields().len(), 1);
    let folder_name = format!("{}/", folder.0.path().display());
    let message = |second: &str| folder.message(&["a.parquet", second]).replace(&folder_name, "");
    assert_eq!(message("b.parquet"), "b.parquet, column 'age': holds Utf8 where a.parquet holds Int64");
    assert_eq!(message("c.parquet"), "c.parquet, column 'age': holds Float64 where a.parquet holds Int64");
    assert_eq!(message("d.parquet"), "d.parquet, column 'age': missing, but a.parquet has it");
    assert_eq!(message("e.parquet"), "e.parquet, column 'sex': missing in a.parquet");
}
