use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::data::read::{Options, open};
use crate::run::{Order, Silent, scan};

const ROWS: usize = 1_797;

/// The answer of a scan of the shipped set, whose truth is known, for the patch alone.
fn answer() -> Answer {
    let source = open(&["datasets/data/digits_backdoor.parquet".to_owned()], &Options::default()).unwrap();
    let order = Order { threads: 2, memory: 1 << 30, only: vec!["trigger.patch".to_owned()], ..Order::new(1) };
    let mut answer = Answer::default();
    let outcome = scan(&*source, crate::detect::all(), &order, &mut answer, &Silent).unwrap();
    answer.concluded(&outcome)
}

fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let path = folder.join("truth.parquet");
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn truth(columns: Vec<(&str, ArrayRef)>, flags: &Flags, id: Option<&str>) -> Result<Truth> {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), columns);
    Truth::read(&path.display().to_string(), flags, id)
}

/// Flags that hold what the answer lists, but for the first listed row, and one row that it does not list.
fn nearly(answer: &Answer) -> Vec<bool> {
    let mut bad = vec![false; ROWS];
    for listed in &answer.listed()[1..] {
        bad[listed.row as usize] = true;
    }
    let free = (0..ROWS).find(|row| answer.listed().iter().all(|l| l.row as usize != *row)).unwrap();
    bad[free] = true;
    bad
}

#[test]
fn figures_follow_from_counts_by_position() {
    let answer = answer();
    let listed = answer.listed().len() as u64;
    assert!(listed > 20);
    let bad = nearly(&answer);
    let attacks: Vec<Option<&str>> = bad.iter().map(|b| b.then_some("badnets")).collect();
    let truth = truth(
        vec![("is_poisoned", Arc::new(BooleanArray::from(bad))), ("attack", Arc::new(StringArray::from(attacks)))],
        &Flags::default(),
        None,
    );
    let evaluation = Evaluation::new(&answer, &truth.unwrap()).unwrap();
    let overall = &evaluation.overall;
    assert_eq!((evaluation.rows, evaluation.bad, evaluation.unknown), (ROWS as u64, listed, 0));
    assert_eq!((overall.listed, overall.right), (listed, listed - 1));
    let share = (listed - 1) as f64 / listed as f64;
    assert_eq!((overall.recall, overall.precision), (Some(share), Some(share)));
    assert!((overall.f1.unwrap() - share).abs() < 1e-12);
    assert_eq!(overall.false_positive_rate, Some(1.0 / (ROWS as u64 - listed) as f64));
    assert_eq!(evaluation.families["trigger"], evaluation.detectors["trigger.patch"]);
    let attack = &evaluation.attacks["badnets"];
    assert_eq!((attack.rows, attack.listed), (listed, listed - 1));
    assert!(attack.auroc["trigger"] > 0.9);
}

#[test]
fn ids_find_rows_in_any_order_and_rows_without_truth_count_neither_way() {
    let answer = answer();
    let id = answer.id().unwrap().to_owned();
    let bad = nearly(&answer);
    let first = answer.listed()[0].row as usize;
    let mut rows: Vec<usize> = (0..ROWS).filter(|&row| row != first).collect();
    rows.reverse();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|&row| answer.ids()[row].clone().unwrap())));
    let flags: ArrayRef = Arc::new(BooleanArray::from(rows.iter().map(|&row| bad[row]).collect::<Vec<_>>()));
    let truth = truth(vec![(&id, ids), ("is_poisoned", flags)], &Flags::default(), Some(&id)).unwrap();
    let evaluation = Evaluation::new(&answer, &truth).unwrap();
    assert_eq!((evaluation.rows, evaluation.unknown), (ROWS as u64 - 1, 1));
    assert_eq!(evaluation.overall.precision, Some(1.0), "the listed row without a truth is no false one");
}

#[test]
fn a_list_of_bad_ids_is_a_truth_with_scores_and_without() {
    let with = answer();
    let without = with.without_scores();
    let bad = nearly(&with);
    let ids = (0..ROWS).filter(|&row| bad[row]).map(|row| with.ids()[row].clone().unwrap());
    let flags = Flags { on: Some("row_id".to_owned()), ..Flags::default() };
    let truth = truth(vec![("row_id", Arc::new(StringArray::from_iter_values(ids)))], &flags, None).unwrap();
    let full = Evaluation::new(&with, &truth).unwrap();
    let bare = Evaluation::new(&without, &truth).unwrap();
    assert!(full.overall.auroc.is_some() && bare.overall.auroc.is_none());
    let decided = |m: &Measures| (m.listed, m.right, m.recall, m.precision, m.f1, m.false_positive_rate);
    assert_eq!(decided(&full.overall), decided(&bare.overall));
    assert_eq!(full.overall.right, with.listed().len() as u64 - 1);
}

#[test]
fn what_does_not_fit_is_refused_with_the_way_out() {
    let answer = answer();
    let said = |columns: Vec<(&str, ArrayRef)>, flags: Flags| {
        let refused = truth(columns, &flags, None).and_then(|truth| Evaluation::new(&answer, &truth)).unwrap_err();
        format!("{refused} / {}", refused.help().unwrap_or_default())
    };
    let flags = || -> ArrayRef { Arc::new(BooleanArray::from(vec![true, false])) };
    let numbers = |values: Vec<Option<i64>>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let on = |name: &str| Flags { on: Some(name.to_owned()), ..Flags::default() };
    let short = said(vec![("is_bad", flags())], Flags::default());
    assert!(short.contains("it has 2 rows, the data 1797 / Name the column"), "{short}");
    let no_flags = said(vec![("n", numbers(vec![Some(1)]))], Flags::default());
    assert!(no_flags.contains("no boolean column") && no_flags.contains("--bad"), "{no_flags}");
    let unknown = said(vec![("is_bad", flags())], on("key"));
    assert!(unknown.contains("there is no such column / The columns are: is_bad."), "{unknown}");
    let number = said(vec![("n", numbers(vec![Some(1)]))], Flags { bad: vec!["n".to_owned()], ..Flags::default() });
    assert!(number.contains("a boolean column is needed"), "{number}");
    let null = said(vec![("key", numbers(vec![None]))], on("key"));
    assert!(null.contains("row 0: the id is null"), "{null}");
    let twice = said(vec![("key", numbers(vec![Some(4), Some(4)]))], on("key"));
    assert!(twice.contains("the id '4' comes twice"), "{twice}");
    let strangers = said(vec![("key", numbers(vec![Some(-1)]))], on("key"));
    assert!(strangers.contains("1 of 1 ids are not in the data"), "{strangers}");
}
