use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::{ColumnRole, Key, Label};
use crate::stats::multiple::PosteriorHistogram;

pub(in crate::detect::label) const ROWS: usize = 3_000;
pub(in crate::detect::label) const CLASSES: usize = 6;

fn draw(rng: &mut ChaCha8Rng, logits: &[f32], sharpness: f32) -> u32 {
    let weights: Vec<f64> = logits.iter().map(|z| f64::from(sharpness * z).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let class = weights.iter().position(|w| {
        left -= w;
        left < 0.0
    });
    class.unwrap_or(0) as u32
}

/// Logits of classes that are `apart` nats apart, give or take half of it, and labels drawn from them: honest, or where
/// every other row is harder than its logits say.
pub(in crate::detect::label) fn simulate(seed: u64, apart: f32, hard: f32) -> (Array2<f32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut logits = Array2::from_shape_simple_fn((ROWS, CLASSES), || rng.random_range(-1.0..1.0));
    let mut labels = Vec::new();
    for (i, mut row) in logits.outer_iter_mut().enumerate() {
        row[i % CLASSES] += apart * rng.random_range(0.5..1.5);
        labels.push(draw(&mut rng, &row.to_vec(), if i % 2 == 0 { 1.0 } else { hard }));
    }
    (logits, labels)
}

/// Replaces every `every`th label by a uniform one; the rows whose label changed.
fn flip(labels: &mut [u32], every: usize, seed: u64) -> Vec<bool> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let clean = labels.to_vec();
    for label in labels.iter_mut().step_by(every) {
        *label = rng.random_range(0..CLASSES as u32);
    }
    labels.iter().zip(clean).map(|(now, before)| *now != before).collect()
}

fn batch(logits: Array2<f32>, labels: &[u32]) -> (Schema, Batch) {
    batch_of(CONTENT, logits, labels)
}

/// Rows with these labels and a derived column.
pub(in crate::detect::label) fn batch_of(code: &'static str, logits: Array2<f32>, labels: &[u32]) -> (Schema, Batch) {
    let column: ArrayRef = Arc::new(labels.iter().map(|l| Some(format!("c{l}"))).collect::<StringArray>());
    let record = RecordBatch::try_from_iter([("label", column)]).unwrap();
    let role = ColumnRole { name: "label".into(), data_type: "Utf8".into(), role: Role::Label, reason: String::new(), width: None };
    let counts = (0..CLASSES as u32).map(|k| (format!("c{k}"), labels.iter().filter(|l| **l == k).count() as u64));
    let schema = Schema {
        arrow: record.schema(),
        columns: vec![role],
        label: Some(Label::new(0, "label".into(), counts, 0)),
        rows: labels.len() as u64,
        key: Key::from_seed(1),
        unit_bytes: 1 << 20,
    };
    let batch = Batch::new(Arc::new(schema.clone()), record, 0);
    batch.derive(code, logits);
    (schema, batch)
}

/// Fits, scores and lists: model, scores, rows listed at 10 %.
fn run(logits: &Array2<f32>, labels: &[u32]) -> (CrossfitModel, Batch, Vec<Option<f64>>, Vec<bool>) {
    let (schema, batch) = batch(logits.clone(), labels);
    let model = CrossfitModel::fit(&schema, Some(&(logits.clone(), labels.to_vec())), None);
    let mut scores = vec![None; labels.len()];
    Crossfit::new(|_| None).score(&model, &batch, &mut scores).unwrap();
    let mut histogram = PosteriorHistogram::default();
    scores.iter().flatten().for_each(|score| histogram.add(*score));
    let listed = scores.iter().map(|s| histogram.threshold(0.1).is_some_and(|lowest| s.is_some_and(|s| s >= lowest))).collect();
    (model, batch, scores, listed)
}

pub(in crate::detect::label) fn both(a: &[bool], b: &[bool]) -> usize {
    a.iter().zip(b).filter(|(a, b)| **a && **b).count()
}

pub(in crate::detect::label) fn count(which: &[bool]) -> usize {
    which.iter().filter(|w| **w).count()
}

#[test]
fn clean_labels_are_not_listed() {
    for seed in 0..12 {
        // Separated, overlapping, and content that is surer than it should be in half of the rows.
        for (apart, hard) in [(8.0, 1.0), (3.0, 1.0), (8.0, 0.6)] {
            let (logits, labels) = simulate(seed, apart, hard);
            let (model, _, _, listed) = run(&logits, &labels);
            assert_eq!(count(&listed), 0, "seed {seed}, {apart}, {hard}");
            assert!(Crossfit::new(|_| None).groups(&model).is_empty());
        }
    }
}

#[test]
fn uniform_flips_are_listed() {
    for seed in 20..26 {
        let (logits, mut labels) = simulate(seed, 10.0, 1.0);
        let wrong = flip(&mut labels, 17, seed);
        let (model, batch, _, listed) = run(&logits, &labels);
        let (planted, found, right) = (count(&wrong), count(&listed), both(&wrong, &listed));
        assert!(right * 2 >= planted, "seed {seed}: {right} of {planted}");
        assert!(right * 100 >= found * 88, "seed {seed}: {right} of {found}");
        let row = (0..ROWS).find(|&i| wrong[i] && listed[i]).unwrap();
        let evidence = Crossfit::new(|_| None).explain(&model, &batch, row).unwrap();
        let expected = format!("labelled 'c{}', content says 'c{}' (", labels[row], row % CLASSES);
        assert!(evidence.reason.starts_with(&expected), "{}", evidence.reason);
        let notes = Crossfit::new(|_| None).notes(&model);
        assert!(notes[0].ends_with("% of labels look wrong"), "{notes:?}");
    }
}

#[test]
fn targeted_flips_are_one_cause() {
    let (logits, mut labels) = simulate(40, 10.0, 1.0);
    let moved: Vec<usize> = (0..ROWS).filter(|&i| labels[i] == 2).step_by(8).collect();
    for &i in &moved {
        labels[i] = 4;
    }
    let (model, batch, _, _) = run(&logits, &labels);
    let groups = Crossfit::new(|_| None).groups(&model);
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert!(group.title.contains("rows of class c2 are labelled c4"), "{}", group.title);
    assert!(group.rows.abs_diff(moved.len() as u64) <= 10 && group.p * (group.tests as f64) < 1e-9, "{group:?}");
    assert_eq!((group.tests, group.max_tier, group.label.as_deref()), (30, Tier::Alarm, Some("c4")));
    let mut members = vec![None; ROWS];
    Crossfit::new(|_| None).members(&model, &batch, &mut members).unwrap();
    let found = moved.iter().filter(|&&i| members[i] == Some(0)).count();
    let all = members.iter().flatten().count();
    assert!(found * 10 >= moved.len() * 6 && found * 20 >= all * 19, "{found} of {all}, {} moved", moved.len());
}

#[test]
fn labels_moved_from_all_classes_to_one_are_one_cause() {
    for seed in 70..74 {
        let (logits, mut labels) = simulate(seed, 10.0, 1.0);
        let moved: Vec<usize> = (0..ROWS).step_by(19).filter(|&i| labels[i] != 4).collect();
        for &i in &moved {
            labels[i] = 4;
        }
        let (model, batch, _, listed) = run(&logits, &labels);
        let groups = Crossfit::new(|_| None).groups(&model);
        let [group] = &groups[..] else { panic!("seed {seed}: {groups:?}") };
        assert!(group.title.contains("rows of all other classes are labelled c4"), "{}", group.title);
        assert!(group.rows.abs_diff(moved.len() as u64) <= 40 && group.p * (group.tests as f64) < 1e-4, "seed {seed}: {group:?}");
        assert_eq!((group.tests, group.max_tier, group.label.as_deref()), (6, Tier::Alarm, Some("c4")));
        let found = moved.iter().filter(|&&i| listed[i]).count();
        assert!(
            found * 10 >= moved.len() * 7 && found * 10 >= count(&listed) * 9,
            "seed {seed}: {found} of {}, {} listed",
            moved.len(),
            count(&listed)
        );
        let mut members = vec![None; ROWS];
        Crossfit::new(|_| None).members(&model, &batch, &mut members).unwrap();
        assert!(moved.iter().filter(|&&i| members[i] == Some(0)).count() * 10 >= moved.len() * 6);
    }
}

#[test]
fn labels_that_content_has_learnt_to_expect_are_suspect_by_their_number() {
    for seed in 90..94 {
        let (mut logits, mut labels) = simulate(seed, 10.0, 1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let others: Vec<usize> = (0..ROWS).step_by(23).filter(|&row| labels[row] != 4).collect();
        for row in others {
            labels[row] = 4;
            // As content does that saw other rows with the same pattern: somewhat likely, by no means the most likely.
            let own = logits[(row, row % CLASSES)];
            logits[(row, 4)] = own - rng.random_range(0.5..4.0);
        }
        let (model, ..) = run(&logits, &labels);
        let groups = Crossfit::new(|_| None).groups(&model);
        let group = groups.iter().find(|group| group.cause == "labels moved from all classes to c4");
        assert!(group.is_some_and(|group| group.max_tier == Tier::Suspect), "seed {seed}: {groups:?}");
    }
}

/// Logits as a model has them that was fitted to labels of which a tenth of class 2 were moved to 4: it gives them their rate.
fn learnt(seed: u64) -> (Array2<f32>, Vec<u32>) {
    let (mut logits, labels) = simulate(seed, 10.0, 1.0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for mut row in logits.rows_mut().into_iter().skip(2).step_by(CLASSES) {
        row[4] = row[2] - rng.random_range(0.8..3.6);
    }
    (logits, labels)
}

#[test]
fn moved_labels_that_content_has_learnt_to_expect_keep_no_order() {
    for seed in 100..104 {
        let (logits, clean) = learnt(seed);
        let mut labels = clean.clone();
        let moved: Vec<usize> = (2..ROWS).step_by(CLASSES * 8).filter(|&i| clean[i] == 2).collect();
        for &i in &moved {
            labels[i] = 4;
        }
        let (model, batch, _, listed) = run(&logits, &labels);
        let groups = Crossfit::new(|_| None).groups(&model);
        let [group] = &groups[..] else { panic!("seed {seed}: {groups:?}") };
        assert!(group.title.contains("rows of class c2 are labelled c4"), "{}", group.title);
        assert_eq!((group.max_tier, group.statistic.as_str()), (Tier::Suspect, "sum of −ln ranks"));
        let found = moved.iter().filter(|&&i| listed[i]).count();
        assert!(
            found * 2 >= moved.len() && found * 10 >= 9 * count(&listed),
            "seed {seed}: {found} of {}, {}",
            moved.len(),
            count(&listed)
        );
        let mut members = vec![None; ROWS];
        Crossfit::new(|_| None).members(&model, &batch, &mut members).unwrap();
        assert!(moved.iter().any(|&i| members[i] == Some(0)));
    }
}

#[test]
fn what_a_simpler_model_shows_stands_where_content_contradicts_the_rows() {
    for seed in 130..134 {
        let (simple, clean) = simulate(seed, 10.0, 1.0);
        let (logits, _) = learnt(seed);
        let mut labels = clean.clone();
        let moved: Vec<usize> = (2..ROWS).step_by(CLASSES * 8).filter(|&i| clean[i] == 2).collect();
        for &i in &moved {
            labels[i] = 4;
        }
        let groups = |logits: &Array2<f32>, simple: Option<&Array2<f32>>| {
            let schema = batch(logits.clone(), &labels).0;
            let model = CrossfitModel::fit(&schema, Some(&(logits.clone(), labels.clone())), simple);
            Crossfit::new(|_| None).groups(&model)
        };
        let [group] = &groups(&logits, Some(&simple))[..] else { panic!("seed {seed}") };
        assert_eq!((group.cause.as_str(), group.max_tier), ("labels moved from c2 to c4", Tier::Alarm));
        assert!(group.rows.abs_diff(moved.len() as u64) * 5 <= moved.len() as u64, "{} of {}", group.rows, moved.len());
        // Content that knows why the rows have their label has nothing against them, whatever a simpler model cannot see.
        let mut knows = simple.clone();
        for &i in &moved {
            knows.row_mut(i).swap(2, 4);
        }
        assert!(groups(&knows, None).is_empty() && groups(&knows, Some(&simple)).is_empty(), "seed {seed}");
    }
}

#[test]
fn confusion_that_content_expects_where_it_comes_is_no_move() {
    for seed in 110..116 {
        let (logits, mut labels) = learnt(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for i in (2..ROWS).step_by(CLASSES) {
            labels[i] = draw(&mut rng, &logits.row(i).to_vec(), 1.0);
        }
        let (model, _, _, listed) = run(&logits, &labels);
        assert!(Crossfit::new(|_| None).groups(&model).is_empty() && count(&listed) == 0, "seed {seed}");
    }
}

#[test]
fn labels_of_every_class_moved_to_the_next_are_one_cause() {
    for seed in 140..144 {
        let (logits, clean) = simulate(seed, 10.0, 1.0);
        let causes = |moved: &dyn Fn(usize, u32) -> u32| {
            let labels: Vec<u32> = clean.iter().enumerate().map(|(i, label)| moved(i, *label)).collect();
            let (model, ..) = run(&logits, &labels);
            (Crossfit::new(|_| None).groups(&model), labels.iter().zip(&clean).filter(|(now, before)| now != before).count() as u64)
        };
        // So few of each class that no pair shows by itself.
        let (groups, all) = causes(&|i, label| if i % 31 < 1 { (label + 1) % CLASSES as u32 } else { label });
        let [group] = &groups[..] else { panic!("seed {seed}: {groups:?}") };
        assert_eq!((group.cause.as_str(), group.max_tier), ("labels of all classes moved: c0 to c1, c1 to c2, c2 to c3 …", Tier::Alarm));
        assert!(group.rows.abs_diff(all) * 3 <= all, "seed {seed}: {} of {all}", group.rows);
        // As many of one pair, and as many to and fro, are no such rule.
        let (groups, _) = causes(&|i, label| if label == 2 && i % 7 < 1 { 3 } else { label });
        assert!(groups.len() == 1 && groups[0].cause == "labels moved from c2 to c3", "seed {seed}: {groups:?}");
        let (groups, _) = causes(&|i, label| match i % 31 {
            0 => (label + 1) % CLASSES as u32,
            1 => (label + CLASSES as u32 - 1) % CLASSES as u32,
            _ => label,
        });
        let is_rule = |group: &&Group| group.cause.starts_with("labels of all classes moved");
        assert!(groups.iter().filter(is_rule).all(|group| group.max_tier < Tier::Alarm), "seed {seed}: {groups:?}");
        assert!(causes(&|_, label| label).0.is_empty(), "seed {seed}");
    }
}

#[test]
fn probabilities_that_contradict_most_labels_claim_nothing() {
    let (logits, mut labels) = simulate(120, 10.0, 1.0);
    let mut rng = ChaCha8Rng::seed_from_u64(120);
    for label in &mut labels {
        if rng.random_bool(0.7) {
            *label = rng.random_range(0..CLASSES as u32);
        }
    }
    let (mut schema, batch) = batch(logits.clone(), &labels);
    let listed = |schema: &Schema| {
        let model = CrossfitModel::fit(schema, Some(&(logits.clone(), labels.clone())), None);
        let mut scores = vec![None; ROWS];
        Crossfit::new(|_| None).score(&model, &batch, &mut scores).unwrap();
        (scores.iter().flatten().filter(|score| **score > 0.5).count(), Crossfit::new(|_| None).notes(&model))
    };
    assert!(listed(&schema).0 > ROWS / 2, "own content is not told so");
    let mut given = schema.columns[0].clone();
    given.role = Role::Probabilities;
    schema.columns.push(given);
    let (rows, notes) = listed(&schema);
    assert!(rows == 0 && notes[0].contains("contradict 5") && notes[0].contains("too weak to judge any"), "{notes:?}");
}

#[test]
fn a_class_that_is_hard_to_tell_from_all_others_is_no_attack() {
    for seed in 80..84 {
        let (logits, mut labels) = simulate(seed, 10.0, 1.0);
        // A class for whatever fits nowhere else: content calls its rows anything, and rows of all classes by its name.
        for i in (0..ROWS).step_by(11) {
            labels[i] = if labels[i] == 4 {
                (i / 11 % 4) as u32
            } else if i % 3 == 0 {
                4
            } else {
                labels[i]
            };
        }
        let (model, ..) = run(&logits, &labels);
        let alarms = Crossfit::new(|_| None)
            .groups(&model)
            .iter()
            .filter(|group| group.cause.contains("all classes") && group.max_tier == Tier::Alarm)
            .count();
        assert_eq!(alarms, 0, "seed {seed}");
    }
}

#[test]
fn scores_without_a_claim_still_rank() {
    let (logits, mut labels) = simulate(50, 3.0, 1.0);
    let wrong = flip(&mut labels, 60, 50);
    let (model, _, scores, listed) = run(&logits, &labels);
    assert!(!model.fitted.as_ref().unwrap().claims() && count(&listed) == 0);
    let mean = |which: bool| {
        let of: Vec<f64> = scores.iter().zip(&wrong).filter(|(_, w)| **w == which).filter_map(|(s, _)| *s).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean(true) > 2.0 * mean(false), "{} {}", mean(true), mean(false));
    assert!(scores.iter().flatten().all(|s| *s > 0.0 && *s <= 0.5));
}

#[test]
fn what_cannot_be_judged_has_no_score() {
    let (mut logits, labels) = simulate(60, 8.0, 1.0);
    logits.row_mut(3).fill(f32::NAN);
    logits[(4, 1)] = f32::INFINITY;
    let (_, _, scores, _) = run(&logits, &labels);
    assert_eq!((scores[3], scores[4]), (None, None));
    assert!(scores[5].is_some());
    let (schema, batch) = batch(logits, &labels);
    for given in [
        None,
        Some((Array2::zeros((0, CLASSES)), vec![])),
        Some((Array2::zeros((2, 3)), vec![0, 1])),
        Some((Array2::zeros((2, CLASSES)), vec![0, 77])),
    ] {
        let model = CrossfitModel::fit(&schema, given.as_ref(), None);
        let mut out = vec![None; ROWS];
        let crossfit = Crossfit::new(|_| None);
        crossfit.score(&model, &batch, &mut out).unwrap();
        assert!(out.iter().all(Option::is_none) && crossfit.groups(&model).is_empty());
        assert_eq!(crossfit.notes(&model), ["content could not be judged"]);
        assert!(crossfit.explain(&model, &batch, 3).is_err());
    }
}
