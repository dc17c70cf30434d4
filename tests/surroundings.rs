//! Where listed rows lie among others, and the rows that they are most like: of pictures, texts and tables.

#![allow(clippy::unwrap_used)]

mod common;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::UInt64Type;
use common::told::Told;
use foretaste::data::read::Memory;
use foretaste::detect;
use foretaste::run::{Order, Silent, Surroundings, scan};
use foretaste_datasets::{Plan, Share, Truth, read_parquet, recipe, shipped, synth};

/// Positions of the listed rows, and what lies beside them.
fn look(rows: &RecordBatch) -> (Vec<u64>, Option<Surroundings>) {
    let mut told = Told::default();
    let source = Memory::new("rows", std::slice::from_ref(rows)).unwrap();
    let outcome = scan(&source, detect::all(), &Order::new(1), &mut told, &Silent).unwrap();
    assert!(outcome.complete);
    let listed = told.rows.iter().flat_map(|rows| rows["row"].as_primitive::<UInt64Type>().values().to_vec());
    (listed.collect(), told.beside)
}

/// What must hold of any: rows are named once, with their own content, and none is beside itself.
fn check(rows: &RecordBatch, beside: &Surroundings) {
    assert!(beside.rows.is_sorted() && beside.rows.len() == beside.nearest.len() && beside.rows.len() == beside.places.len());
    assert_eq!((beside.near.len(), beside.labels.len()), (beside.content.num_rows(), beside.content.num_rows()));
    assert!(beside.near.windows(2).all(|pair| pair[0] < pair[1]));
    for (at, near) in beside.near.iter().enumerate() {
        assert_eq!(beside.content.slice(at, 1), rows.slice(*near as usize, 1));
    }
    for (row, nearest) in beside.rows.iter().zip(&beside.nearest) {
        assert!(nearest.len() <= 5 && nearest.iter().all(|at| beside.near[*at] != *row));
    }
    assert!(beside.places.iter().chain(beside.ground.iter().map(|(place, _)| place)).flatten().all(|x| x.is_finite()));
    assert!(beside.ground.len() >= 1_000 && beside.ground.iter().all(|(_, class)| class.is_some()));
}

/// Share of the nearest of some listed rows that have a label.
fn share(beside: &Surroundings, of: impl Fn(u64) -> bool, label: impl Fn(u64) -> String) -> f64 {
    let pairs = beside.rows.iter().zip(&beside.nearest).filter(|(row, _)| of(**row));
    let votes: Vec<bool> = pairs.flat_map(|(row, near)| near.iter().map(|at| beside.labels[*at].as_ref() == Some(&label(*row)))).collect();
    assert!(votes.len() >= 50, "{}", votes.len());
    votes.iter().filter(|vote| **vote).count() as f64 / votes.len() as f64
}

fn labels(rows: &RecordBatch) -> StringArray {
    arrow::compute::cast(&rows["label"], &arrow::datatypes::DataType::Utf8).unwrap().as_string::<i32>().clone()
}

#[test]
fn flipped_digits_lie_beside_what_they_are() {
    let clean = read_parquet(shipped("digits.parquet")).unwrap();
    let rows = read_parquet(shipped("digits_backdoor.parquet")).unwrap();
    let truth = Truth::from_batch(&read_parquet(shipped("truth/digits_backdoor.parquet")).unwrap()).unwrap();
    let (listed, beside) = look(&rows);
    let beside = beside.unwrap();
    check(&rows, &beside);
    assert_eq!(beside.rows, listed);
    let (given, right) = (labels(&rows), labels(&clean));
    let flipped =
        |row: u64| truth.bad()[row as usize] && !truth.poisoned()[row as usize] && given.value(row as usize) != right.value(row as usize);
    assert!(share(&beside, flipped, |row| right.value(row as usize).to_owned()) > 0.8);
}

#[test]
fn texts_lie_beside_texts_of_their_words() {
    let clean = synth::topic_texts(3_000, 3, 15, 11).unwrap();
    let (rows, _) = recipe::rare_word(&clean, &Plan::new("label", 1, Share::Rate(0.02), 5), "text", "qz").unwrap();
    let (listed, beside) = look(&rows);
    let beside = beside.unwrap();
    check(&rows, &beside);
    assert_eq!(beside.rows, listed);
    // Carriers were written for other labels, and share words with rows of these as well as the planted one with each other.
    let texts = |row: u64| rows["text"].slice(row as usize, 1);
    let words = |row: u64| -> Vec<String> {
        let text = arrow::compute::cast(&texts(row), &arrow::datatypes::DataType::Utf8).unwrap();
        text.as_string::<i32>().value(0).split_whitespace().map(str::to_owned).collect()
    };
    for (row, nearest) in beside.rows.iter().zip(&beside.nearest) {
        let own = words(*row);
        assert!(!nearest.is_empty() && nearest.iter().all(|at| words(beside.near[*at]).iter().any(|word| own.contains(word))));
    }
}

#[test]
fn tables_with_levels_and_sets_without_a_label() {
    let table = synth::gaussian_classes(2_500, 5, 2, 3).unwrap();
    let level: ArrayRef = std::sync::Arc::new((0..2_500).map(|i| Some(["a", "b", "c"][i % 3])).collect::<StringArray>());
    let mut columns: Vec<(String, ArrayRef)> =
        table.schema().fields().iter().map(|f| f.name().clone()).zip(table.columns().to_vec()).collect();
    columns.push(("level".to_owned(), level));
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let value = |column: &str| recipe::Setting {
        column: column.to_owned(),
        value: recipe::Cell::Float(table[column].as_primitive::<arrow::datatypes::Float64Type>().value(17)),
    };
    let (rows, _) = recipe::conjunction(&table, &Plan::new("label", 1, Share::Rate(0.03), 9), &[value("c1"), value("c3")]).unwrap();
    let (listed, beside) = look(&rows);
    let beside = beside.unwrap();
    check(&rows, &beside);
    // They share two numbers with each other, and hardly anything with the others of their label.
    let is_listed = |at: &usize| listed.binary_search(&beside.near[*at]).is_ok();
    let all: Vec<bool> = beside.nearest.iter().flatten().map(is_listed).collect();
    assert!(all.iter().filter(|near| **near).count() * 2 > all.len(), "{} rows are near", all.len());

    let unlabelled = rows.project(&[0, 1, 2, 3, 4]).unwrap();
    assert!(look(&unlabelled).1.is_none(), "where nothing is told apart, no map is drawn");
}
