use std::sync::Arc;

use arrow::array::{Float64Array, StringArray};

use super::*;
use crate::data::Choices;
use crate::detect;
use crate::run::Silent;

/// Rows of three clear classes with a text and two numbers.
fn rows(count: usize) -> Memory {
    let word = |i: usize, k: usize| ["sun", "rain", "wind", "snow", "fog", "ice", "heat", "cloud"][(i * 7 + k * (3 + i % 5)) % 8];
    let text = |i: usize| {
        let mood = ["lovely", "dreadful", "strange"][i % 3];
        // A word of its own for every row, made of letters alone.
        let own: String = format!("{i:05}").bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        format!("{} {mood} {} {} {own}", word(i, 1), word(i, 2), word(i, 3))
    };
    let texts: StringArray = (0..count).map(|i| Some(text(i))).collect();
    let labels: StringArray = (0..count).map(|i| Some(["good", "bad", "odd"][i % 3])).collect();
    let number = |k: usize| (0..count).map(|i| ((i * (31 + k) + i / 7) % 97) as f64).collect::<Float64Array>();
    let columns: Vec<(&str, arrow::array::ArrayRef)> =
        vec![("text", Arc::new(texts)), ("a", Arc::new(number(1))), ("b", Arc::new(number(5))), ("label", Arc::new(labels))];
    Memory::new("rows", &[RecordBatch::try_from_iter(columns).unwrap()]).unwrap()
}

fn order() -> Order {
    Order {
        choices: Choices { label: Some("label".to_owned()), ..Choices::default() },
        threads: 2,
        memory: 1 << 30,
        only: vec!["trigger".to_owned(), "label".to_owned()],
        ..Order::new(5)
    }
}

fn measured(source: &Memory, order: &Order) -> Power {
    let outcome = scan(source, detect::all(), order, &mut Seen::default(), &Silent).unwrap();
    measure(source, detect::for_planted(), order, &outcome, &Silent).unwrap()
}

#[test]
fn planted_words_are_seen_and_what_does_not_fit_is_said() {
    let power = measured(&rows(3_000), &order());
    assert_eq!((power.rows, power.of), (3_000, 3_000));
    let of = |attack: Attack| power.reach.iter().find(|reach| reach.attack == attack).unwrap();
    assert!(of(Attack::Word).smallest.is_some_and(|rows| rows <= 16), "{:?}", of(Attack::Word));
    assert_eq!(of(Attack::Patch).untried.as_deref(), Some("there are no pictures"));
    let flips = &of(Attack::Flips).trials[0];
    assert_eq!(flips.rows, 60);
}

#[test]
fn the_rows_stay_as_they_are() {
    let source = rows(600);
    let before = source.files().unwrap();
    let outcome = scan(&source, detect::all(), &order(), &mut Seen::default(), &Silent).unwrap();
    let copy = |most, bytes| Copy::of(&source, &outcome, order().key, most, bytes).unwrap();
    let some = copy(100, usize::MAX);
    assert!((70..=130).contains(&some.rows()), "{}", some.rows());
    assert_eq!(some.classes(), ["bad", "good", "odd"]);
    assert!(copy(600, 1 << 13).rows() < 400);
    let whole = copy(600, usize::MAX);
    assert_eq!(whole.rows(), 600);
    let planted = plant::all(&whole, 3).unwrap();
    let original = source.scan(None).unwrap().next().unwrap().unwrap();
    let poisoned: Vec<usize> = planted.trials.iter().flat_map(|trial| trial.rows.iter().copied()).collect();
    let distinct: std::collections::BTreeSet<usize> = poisoned.iter().copied().collect();
    assert_eq!(distinct.len(), poisoned.len());
    let labels = |batch: &RecordBatch| crate::data::strings(batch.column_by_name("label").unwrap());
    for row in 0..600 {
        let same = labels(&original).value(row) == labels(&planted.batch).value(row);
        assert_eq!(same, !distinct.contains(&row), "row {row}");
    }
    assert_eq!(source.files().unwrap(), before);
}

#[test]
fn too_few_rows_or_classes_are_said_not_guessed() {
    let power = measured(&rows(60), &order());
    assert!(power.reach.iter().all(|reach| reach.untried.as_deref() == Some("there are too few rows")));
    let mut unlabelled = order();
    unlabelled.choices = Choices { ignore: vec!["label".to_owned()], ..Choices::default() };
    let power = measured(&rows(600), &unlabelled);
    assert!(power.reach.iter().all(|reach| reach.untried.as_deref() == Some("there is no label with two classes")));
}
