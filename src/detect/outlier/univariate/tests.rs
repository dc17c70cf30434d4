use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};

use super::super::fixture::{normals, table};
use super::*;
use crate::stats::multiple::PosteriorHistogram;

const ROWS: usize = 5_000;

fn numbers(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

struct Run {
    rows: Batch,
    model: UnivariateModel,
    scores: Vec<Option<f64>>,
    listed: Vec<usize>,
}

fn run(columns: Vec<(&str, Role, ArrayRef)>) -> Run {
    let (schema, rows, given) = table(columns);
    let Ok(Step::Done(model)) = Univariate.begin(&schema, &given) else { panic!("no model") };
    let mut scores = vec![None; rows.rows()];
    Detect::score(&Univariate, &model, &rows, &mut scores).unwrap();
    let mut histogram = PosteriorHistogram::default();
    scores.iter().flatten().for_each(|score| histogram.add(*score));
    let lowest = histogram.threshold(0.1).unwrap_or(2.0);
    let listed = (0..scores.len()).filter(|&i| scores[i].is_some_and(|s| s >= lowest)).collect();
    Run { rows, model, scores, listed }
}

/// Values of named kinds: the first three have heavy tails.
fn values(kind: &str, seed: u64) -> Vec<f64> {
    let normals = normals(seed, 4 * ROWS);
    let at = |i: usize, j: usize| normals[4 * i + j];
    (0..ROWS)
        .map(|i| match kind {
            "t3" => at(i, 0) / ((at(i, 1).powi(2) + at(i, 2).powi(2) + at(i, 3).powi(2)) / 3.0).sqrt(),
            "lognormal" => at(i, 0).exp(),
            // Two squared normals are exponential.
            "pareto" => (0.5 * (at(i, 0).powi(2) + at(i, 1).powi(2))).exp(),
            "age" => (40.0 + 13.0 * at(i, 0)).round().clamp(17.0, 90.0),
            "flag" => f64::from(at(i, 0) > 0.3),
            "sparse" => {
                if at(i, 0) > 2.5 {
                    at(i, 1).exp()
                } else {
                    0.0
                }
            }
            _ => at(i, 0),
        })
        .collect()
}

#[test]
fn natural_extremes_are_not_listed() {
    for kind in ["t3", "lognormal", "pareto", "age", "flag", "sparse", "normal"] {
        let shares: Vec<usize> = (0..20).map(|seed| run(vec![("x", Role::Numeric, numbers(&values(kind, seed)))]).listed.len()).collect();
        // At most one row in a thousand, in 19 of 20 seeds.
        assert!(shares.iter().filter(|&&n| n > ROWS / 1_000).count() <= 1, "{kind}: {shares:?}");
    }
}

#[test]
fn sentinels_are_found() {
    for (kind, sentinel) in [
        ("age", 999.0),
        ("age", -99.0),
        ("normal", 999.0),
        ("normal", -99.0),
        ("lognormal", -99.0),
        ("lognormal", 9_999.0),
        ("t3", 9_999.0),
        ("flag", 999.0),
    ] {
        for seed in 0..5 {
            let mut values = values(kind, seed);
            let planted: Vec<usize> = (0..20).map(|i| 17 + 243 * i).collect();
            for &i in &planted {
                values[i] = sentinel;
            }
            let run = run(vec![("x", Role::Numeric, numbers(&values)), ("y", Role::Numeric, numbers(&self::values("normal", 99)))]);
            let found = planted.iter().filter(|i| run.listed.contains(i)).count();
            assert!(found >= 18, "{kind} {sentinel} seed {seed}: {found}");
            assert!(run.listed.len() <= found + 5, "{kind} {sentinel} seed {seed}: {}", run.listed.len());
        }
    }
}

/// One in a hundred of the values, more than a level has rows, stands in grams where kilograms belong.
#[test]
fn values_in_another_unit_are_found_however_many() {
    for (kind, shift) in [("normal", 50.0), ("age", 0.0)] {
        let mut weights: Vec<f64> = values(kind, 3).iter().map(|x| 5.0 * x + shift).collect();
        weights.iter_mut().step_by(100).for_each(|x| *x *= 1_000.0);
        let run = run(vec![("weight", Role::Numeric, numbers(&weights)), ("other", Role::Numeric, numbers(&values("normal", 4)))]);
        let right = run.listed.iter().filter(|row| **row % 100 == 0).count();
        assert!(right >= ROWS / 100 - 2 && run.listed.len() <= right + 1, "{kind}: {right} of {}", run.listed.len());
        let evidence = Univariate.explain(&run.model, &run.rows, 100).unwrap();
        assert!(evidence.reason.contains("divided by 1000 it would be usual"), "{}", evidence.reason);
    }
}

#[test]
fn a_code_close_to_the_values_of_a_continuous_column_is_found() {
    for seed in 0..5 {
        // Weights as in a census: right-skewed, far above 0, hardly one twice.
        let mut weights: Vec<f64> = normals(seed, ROWS).iter().map(|z| (12.1 + 0.5 * z).exp().round()).collect();
        let planted: Vec<usize> = (0..12).map(|i| 5 + 400 * i).collect();
        // Another column tells rows with one value from copies of one row.
        let others = numbers(&values("normal", 100 + seed));
        let run = |weights: &[f64]| run(vec![("w", Role::Numeric, numbers(weights)), ("x", Role::Numeric, others.clone())]);
        let clean = run(&weights);
        assert_eq!(clean.listed, [] as [usize; 0], "seed {seed}");
        for &i in &planted {
            weights[i] = -1.0;
        }
        assert_eq!(run(&weights).listed, planted, "seed {seed}");
        // Values cut off at an end are there many times as well, and next to the others.
        let mut sorted = weights.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let cut: Vec<f64> = weights.iter().map(|w| w.clamp(sorted[20], sorted[ROWS - 10])).collect();
        assert_eq!(run(&cut).listed, [] as [usize; 0], "seed {seed}");
    }
}

#[test]
fn one_typing_error_is_found_and_explained() {
    let mut ages = values("age", 7);
    ages[1_234] = 405.0;
    let run = run(vec![("age", Role::Numeric, numbers(&ages)), ("x", Role::Numeric, numbers(&values("normal", 8)))]);
    assert_eq!(run.listed, [1_234]);
    let evidence = Univariate.explain(&run.model, &run.rows, 1_234).unwrap();
    assert!(evidence.reason.starts_with("age is 405.0; usual range 17 to 7"), "{}", evidence.reason);
}

/// Puts an error into a row.
type Planted = fn([f64; 4]) -> [f64; 4];

#[test]
fn corrupt_cells_are_named_with_what_is_usual() {
    // Ages, hours, incomes and weights of a census; each kind of error in some rows of its own.
    let skewed = |seed, middle: f64| normals(seed, ROWS).iter().map(|z| (middle + 0.4 * z).exp().round()).collect::<Vec<f64>>();
    let columns = [values("age", 1), values("age", 2), skewed(3, 10.0), skewed(4, 12.0)];
    let errors: [(&str, usize, &str, Planted); 6] = [
        ("sentinel 999", 100, "age is 999.0; usual range 17 to ", |[_, h, i, w]| [999.0, h, i, w]),
        ("sentinel -99", 300, "hours is -99.0; usual range 17 to ", |[a, _, i, w]| [a, -99.0, i, w]),
        ("sentinel -1", 500, "weight is -1.0; usual range ", |[a, h, i, _]| [a, h, i, -1.0]),
        ("minutes for hours", 700, "hours is ", |[a, h, i, w]| [a, 60.0 * h, i, w]),
        ("thousandfold", 900, "income is ", |[a, h, i, w]| [a, h, 1_000.0 * i, w]),
        ("swapped columns", 1_100, "age is ", |[a, h, i, w]| [i, h, a, w]),
    ];
    let mut rows: Vec<[f64; 4]> = (0..ROWS).map(|i| [0, 1, 2, 3].map(|j: usize| columns[j][i])).collect();
    let planted = |first: usize| (first..first + 12).map(|i| 3 * i);
    for (_, first, _, error) in errors {
        planted(first).for_each(|at| rows[at] = error(rows[at]));
    }
    let column = |j: usize| numbers(&rows.iter().map(|row| row[j]).collect::<Vec<f64>>());
    let names = ["age", "hours", "income", "weight"];
    let run = run(names.into_iter().enumerate().map(|(j, name)| (name, Role::Numeric, column(j))).collect());
    for (what, first, said, _) in errors {
        let found: Vec<usize> = planted(first).filter(|at| run.listed.contains(at)).collect();
        assert!(found.len() >= 11, "{what}: {} of 12", found.len());
        for at in found {
            let reason = Univariate.explain(&run.model, &run.rows, at).unwrap().reason;
            assert!(reason.contains(said) && reason.contains("; usual range "), "{what}: {reason}");
        }
    }
    assert!(run.listed.len() <= 72, "{}", run.listed.len());
}

#[test]
fn a_value_that_many_rows_share_is_a_level() {
    let mut gains = values("lognormal", 1);
    (0..25).for_each(|i| gains[i * 200] = 99_999.0);
    let few = run(vec![("gain", Role::Numeric, numbers(&gains)), ("x", Role::Numeric, numbers(&values("normal", 2)))]);
    assert_eq!(few.listed.len(), 25);
    (0..50).for_each(|i| gains[i * 100] = 99_999.0);
    let many = run(vec![("gain", Role::Numeric, numbers(&gains)), ("x", Role::Numeric, numbers(&values("normal", 2)))]);
    assert_eq!(many.listed, [] as [usize; 0]);
}

#[test]
fn rare_levels_rank_but_are_not_listed() {
    let mut colours: Vec<&str> = (0..ROWS).map(|i| if i % 3 == 0 { "red" } else { "blue" }).collect();
    colours[77] = "bleu";
    let colours: ArrayRef = Arc::new(StringArray::from(colours));
    let run = run(vec![("colour", Role::Categorical, colours), ("x", Role::Numeric, numbers(&values("normal", 4)))]);
    assert_eq!(run.listed, [] as [usize; 0]);
    let above = run.scores.iter().filter(|s| **s > run.scores[77]).count();
    assert!(above <= 2, "{above}");
    let evidence = Univariate.explain(&run.model, &run.rows, 77).unwrap();
    assert_eq!(evidence.reason, "colour is 'bleu', as are 1 of 5000 rows looked at");
}

#[test]
fn nothing_to_judge_is_not_zero() {
    let mut values = values("normal", 5);
    values[0] = f64::NAN;
    values[1] = f64::INFINITY;
    values[2] = 1e300;
    let constant = numbers(&vec![4.0; ROWS]);
    let run = run(vec![("x", Role::Numeric, numbers(&values)), ("nothing", Role::Numeric, numbers(&vec![f64::NAN; ROWS]))]);
    assert_eq!((run.scores[0], run.scores[1]), (None, None));
    assert!(run.listed == [2] && Univariate.explain(&run.model, &run.rows, 0).is_err());
    let (schema, rows, given) = table(vec![("c", Role::Numeric, constant)]);
    let Ok(Step::Done(model)) = Univariate.begin(&schema, &given) else { panic!("no model") };
    let mut scores = vec![None; ROWS];
    Detect::score(&Univariate, &model, &rows, &mut scores).unwrap();
    assert!(scores.iter().all(|s| s.is_some_and(|s| s <= 0.0)));
    assert!(Univariate.begin(&schema, &Given::default()).is_err());
}
