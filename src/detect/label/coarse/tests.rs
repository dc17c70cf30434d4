use super::super::crossfit::tests::{CLASSES, ROWS, batch_of, both, count, simulate};
use super::*;

const TO: u32 = 2;

/// Every `every`th row is given one label; which rows that are of another class.
fn relabel(labels: &mut [u32], every: usize) -> Vec<bool> {
    let relabelled = (0..ROWS).map(|i| i.is_multiple_of(every) && labels[i] != TO).collect();
    labels.iter_mut().step_by(every).for_each(|label| *label = TO);
    relabelled
}

fn run(logits: &Array2<f32>, labels: &[u32], claimed: &[(u32, f64)]) -> (CoarseModel, Vec<bool>) {
    let (schema, batch) = batch_of(COARSE, logits.clone(), labels);
    let views = Views { logits: logits.clone(), labels: labels.to_vec(), claimed: claimed.to_vec() };
    let model = CoarseModel::fit(&schema, Some(views));
    let mut members = vec![None; labels.len()];
    let detector = Coarse::new(|_| None);
    detector.members(&model, &batch, &mut members).unwrap();
    if let Some(row) = members.iter().position(Option::is_some) {
        let reason = detector.explain(&model, &batch, row).unwrap().reason;
        assert!(reason.starts_with(&format!("labelled 'c{TO}', the picture as a whole says 'c{}' (", row % CLASSES)), "{reason}");
    }
    (model, members.iter().map(Option::is_some).collect())
}

#[test]
fn labels_of_one_class_on_rows_of_all_are_found() {
    for seed in 0..6 {
        let (logits, mut labels) = simulate(seed, 10.0, 1.0);
        let planted = relabel(&mut labels, 25);
        let (model, listed) = run(&logits, &labels, &[]);
        let groups = Coarse::new(|_| None).groups(&model);
        assert_eq!(groups.iter().map(|group| group.label.as_deref()).collect::<Vec<_>>(), [Some("c2")], "seed {seed}");
        assert_eq!((groups[0].attack_class.as_str(), groups[0].max_tier), ("backdoor_trigger", Tier::Alarm));
        let right = both(&planted, &listed);
        assert!(right * 10 >= count(&planted) * 7, "seed {seed}: {right} of {}", count(&planted));
        assert!(right * 10 >= count(&listed) * 9, "seed {seed}: {right} of {}", count(&listed));
    }
}

#[test]
fn what_is_claimed_already_is_left_to_others() {
    for seed in 0..6 {
        let (logits, mut labels) = simulate(seed, 10.0, 1.0);
        relabel(&mut labels, 25);
        assert_eq!(count(&run(&logits, &labels, &[(TO, 0.0)]).1), 0, "seed {seed}");
    }
}

#[test]
fn clean_labels_are_not_listed() {
    for seed in 0..6 {
        for (apart, hard) in [(8.0, 1.0), (3.0, 1.0), (8.0, 0.6)] {
            let (logits, labels) = simulate(seed, apart, hard);
            assert_eq!(count(&run(&logits, &labels, &[]).1), 0, "seed {seed}, {apart}, {hard}");
        }
    }
}

#[test]
fn one_opinion_disagrees_with_none() {
    let (logits, labels) = simulate(1, 8.0, 1.0);
    let (schema, _) = batch_of(COARSE, logits, &labels);
    let model = CoarseModel::fit(&schema, None);
    let detector = Coarse::new(|_| None);
    assert!(detector.groups(&model).is_empty() && detector.notes(&model)[0].starts_with("all opinions"));
}
