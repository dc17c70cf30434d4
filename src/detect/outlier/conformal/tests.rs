use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::record_batch::RecordBatch;

use super::super::fixture::normals;
use super::*;
use crate::derive::{ReferenceSample, Sample};
use crate::fold::law::{self, Fixture};
use crate::policy::Policy;

/// Rows of one population: two numbers that move together, one with a heavy end, and a level. Rows in `odd` have an impossible
/// pair of values.
fn rows(seed: u64, count: usize, odd: &BTreeSet<usize>) -> RecordBatch {
    let z = normals(seed, 4 * count);
    let x = |i: usize| z[4 * i];
    let number = |f: &dyn Fn(usize) -> f64| -> ArrayRef { Arc::new((0..count).map(|i| Some(f(i))).collect::<Float64Array>()) };
    let level = |i: usize| if z[4 * i + 3] > 1.0 { "rare" } else { "usual" };
    RecordBatch::try_from_iter([
        ("a", number(&x)),
        ("b", number(&|i| if odd.contains(&i) { -4.0 * x(i).signum() } else { x(i) + 0.3 * z[4 * i + 1] })),
        ("w", number(&|i| z[4 * i + 2].exp())),
        ("kind", Arc::new((0..count).map(|i| Some(level(i))).collect::<StringArray>())),
    ])
    .unwrap()
}

fn fixture(data: RecordBatch, reference: RecordBatch) -> Fixture {
    Fixture::new(data, None).against(reference).after(&ReferenceSample)
}

#[test]
fn it_keeps_the_laws() {
    let odd: BTreeSet<usize> = (0..60).map(|i| 3 + 20 * i).collect();
    for odd in [BTreeSet::new(), odd] {
        law::check(|| Conformal, &fixture(rows(1, 1_200, &odd), rows(2, 600, &BTreeSet::new())));
    }
    law::survives(
        || Conformal,
        |fixture| {
            let reference = fixture.rows.clone();
            fixture.against(reference).after(&ReferenceSample)
        },
    );
}

#[test]
fn rows_beyond_the_reference_are_an_alarm() {
    let odd: BTreeSet<usize> = (0..60).map(|i| 3 + 30 * i).collect();
    let fixture = fixture(rows(3, 2_000, &odd), rows(4, 2_000, &BTreeSet::new()));
    let model = fixture.model(&Conformal);
    let groups = Conformal.groups(&model);
    assert_eq!(groups.len(), 1, "{:?}", Conformal.notes(&model));
    let finding = Policy::default().decide(&INFO, groups[0].clone(), 1).unwrap();
    assert_eq!(finding.tier, Tier::Alarm, "{finding:?}");
    let listed: Vec<usize> = fixture.members(&Conformal, &model).iter().enumerate().filter_map(|(i, cause)| cause.map(|_| i)).collect();
    let right = listed.iter().filter(|i| odd.contains(i)).count();
    assert!(right >= 55 && right * 10 >= listed.len() * 9, "{right} of {}", listed.len());
    assert_eq!(groups[0].rows, listed.len() as u64);
    let block = &fixture.cut([2_000])[0];
    let evidence = Conformal.explain(&model, block, 3).unwrap();
    assert!(evidence.reason.starts_with("beyond the reference (p 0.00") && evidence.reason.contains("b = "), "{}", evidence.reason);
}

#[test]
fn rows_of_the_same_population_are_not() {
    for seed in 0..10 {
        let model = fixture(rows(100 + seed, 1_500, &BTreeSet::new()), rows(200 + seed, 1_000, &BTreeSet::new())).model(&Conformal);
        let decided: Vec<_> = Conformal.groups(&model).into_iter().filter_map(|g| Policy::default().decide(&INFO, g, 1)).collect();
        assert_eq!(decided, [], "seed {seed}");
    }
}

#[test]
fn copies_of_one_outlier_are_no_excess() {
    let odd: BTreeSet<usize> = [7].into();
    let one = rows(5, 1_000, &odd);
    let copies = arrow::compute::concat_batches(&one.schema(), &vec![one.slice(7, 1); 40]).unwrap();
    let data = arrow::compute::concat_batches(&one.schema(), [&one, &copies]).unwrap();
    let model = fixture(data, rows(6, 1_000, &BTreeSet::new())).model(&Conformal);
    assert!(model.found.is_none());
}

#[test]
fn a_reference_too_small_says_so() {
    let model = fixture(rows(7, 500, &BTreeSet::new()), rows(8, 50, &BTreeSet::new())).model(&Conformal);
    assert!(Conformal.notes(&model)[0].contains("50 distinct rows"), "{:?}", Conformal.notes(&model));
    let missing = Fixture::new(rows(7, 50, &BTreeSet::new()), None).after(&Sample);
    assert!(Conformal.begin(&missing.schema, &missing.given).is_err());
}
