use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::record_batch::RecordBatch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::derive::{ReferenceSample, Sample};
use crate::finding::Finding;
use crate::fold::Detect;
use crate::fold::law::{self, Fixture};
use crate::policy::Policy;

/// What is different about a set.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// `x` moves up.
    Values,
    /// One level takes over.
    Levels,
    /// `y` is missing now and then.
    Missing,
    /// `x` moves up in class b.
    OfClass,
    /// `x` and `y` no longer move together in one row of seven; either alone looks as before.
    Joint,
}

fn rows(seed: u64, count: usize, change: Change) -> RecordBatch {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut x, mut y, mut kind, mut label) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let normal = |rng: &mut ChaCha8Rng| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    for _ in 0..count {
        let (a, b, c) = (normal(&mut rng), normal(&mut rng), rng.random::<f64>());
        let class = if rng.random::<f64>() < 0.05 { "b" } else { "a" };
        let moved = match change {
            Change::Values => 0.5,
            Change::OfClass if class == "b" => 1.0,
            _ => 0.0,
        };
        let apart = change == Change::Joint && rng.random::<f64>() < 0.15;
        x.push(Some(a + moved));
        let follows = if apart { -a } else { a };
        y.push((change != Change::Missing || c > 0.2).then_some(follows + 0.2 * b));
        let taken = if change == Change::Levels { 0.7 } else { 0.4 };
        kind.push(Some(if c < taken {
            "red"
        } else if c < 0.9 {
            "green"
        } else {
            "blue"
        }));
        label.push(Some(class));
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("y", Arc::new(Float64Array::from(y))),
        ("kind", Arc::new(StringArray::from(kind))),
        ("label", Arc::new(StringArray::from(label))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn fixture(data: RecordBatch, reference: RecordBatch) -> Fixture {
    Fixture::new(data, Some("label")).against(reference).after(&Sample).after(&ReferenceSample)
}

fn decided<D: Detect>(detector: &D, fixture: &Fixture) -> Vec<Finding> {
    let model = fixture.model(detector);
    detector.groups(&model).into_iter().filter_map(|group| Policy::default().decide(detector.info(), group, 2)).collect()
}

#[test]
fn they_keep_the_laws() {
    for change in [Change::Nothing, Change::Levels, Change::Joint] {
        let fixture = fixture(rows(1, 1_500, change), rows(2, 1_000, Change::Nothing));
        law::check(|| Marginal, &fixture);
        law::check(|| Joint, &fixture);
    }
    let prepare = |fixture: Fixture| {
        let reference = fixture.rows.clone();
        fixture.against(reference).after(&Sample).after(&ReferenceSample)
    };
    law::survives(|| Marginal, prepare);
    law::survives(|| Joint, prepare);
    let against_healthy = |fixture: Fixture| fixture.against(law::healthy()).after(&Sample).after(&ReferenceSample);
    law::survives(|| Marginal, against_healthy);
    law::survives(|| Joint, against_healthy);
}

#[test]
fn halves_of_one_set_do_not_differ() {
    for seed in 0..10 {
        let fixture = fixture(rows(10 + seed, 2_000, Change::Nothing), rows(50 + seed, 2_000, Change::Nothing));
        assert_eq!(decided(&Marginal, &fixture), [], "seed {seed}");
        assert_eq!(decided(&Joint, &fixture), [], "seed {seed}");
    }
}

#[test]
fn rare_rows_of_a_larger_set_are_no_difference() {
    // The larger set has more distinct rows, all of them rare.
    let of = |seed: u64, count: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut column = || -> ArrayRef {
            Arc::new((0..count).map(|_| Some(format!("level {}", (-8.0 * rng.random::<f64>().ln()) as u32))).collect::<StringArray>())
        };
        RecordBatch::try_from_iter([("a", column()), ("b", column()), ("c", column())]).unwrap()
    };
    let fixture = Fixture::new(of(1, 40_000), None).against(of(2, 1_500)).after(&Sample).after(&ReferenceSample);
    assert_eq!(decided(&Marginal, &fixture), []);
    assert_eq!(decided(&Joint, &fixture), []);
}

#[test]
fn what_differs_is_named() {
    for (change, title) in [
        (Change::Values, "x differs from the reference: the median is 0."),
        (Change::Levels, "kind differs from the reference: 'red' is in "),
        (Change::Missing, "y differs from the reference: 19.97% is missing here and 0% there"),
        (Change::OfClass, "x within class b differs from the reference: the median is "),
    ] {
        let found = decided(&Marginal, &fixture(rows(3, 6_000, change), rows(4, 6_000, Change::Nothing)));
        assert!(found.iter().any(|f| f.group.title.starts_with(title)), "{title}: {found:?}");
        assert!(found.iter().all(|f| f.tier == crate::finding::Tier::Suspect));
    }
}

#[test]
fn a_difference_of_no_column_alone_is_found_with_its_rows() {
    let fixture = fixture(rows(5, 4_000, Change::Joint), rows(6, 4_000, Change::Nothing));
    assert_eq!(decided(&Marginal, &fixture), []);
    let found = decided(&Joint, &fixture);
    assert_eq!(found.len(), 1, "{found:?}");
    let model = fixture.model(&Joint);
    let listed: Vec<usize> = fixture.members(&Joint, &model).iter().enumerate().filter_map(|(i, c)| c.map(|_| i)).collect();
    let value = |name: &str, i: usize| fixture.rows.column_by_name(name).unwrap().as_any().downcast_ref::<Float64Array>().unwrap().value(i);
    let apart = listed.iter().filter(|&&i| (value("x", i) - value("y", i)).abs() > 0.6).count();
    assert!(listed.len() > 50 && apart * 10 >= listed.len() * 8, "{apart} of {}", listed.len());
    assert_eq!(found[0].group.rows, listed.len() as u64);
}
