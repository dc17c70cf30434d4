//! Wrong labels without a trigger.

use arrow::array::RecordBatch;
use rand::RngExt;

use crate::class::Labels;
use crate::column::exchange;
use crate::truth::Effect;
use crate::{Class, Draw, Error, Result, Truth};

/// Uniform (symmetric) label noise: each victim gets one of the other classes that occur, each as likely (van Rooyen,
/// Menon, Williamson: *Learning with Symmetric Label Noise*, 2015). A rate is a share of all rows.
pub fn flip(batch: &RecordBatch, label: &str, draw: &Draw) -> Result<(RecordBatch, Truth)> {
    let labels = Labels::open(batch, label)?;
    let classes = labels.distinct();
    let mut rng = draw.rng();
    let rows = draw.pick(&mut rng, batch.num_rows(), batch.num_rows(), |row| labels.classes[row].is_some() && classes.len() > 1)?;
    let mut to = Vec::with_capacity(rows.len());
    for &row in &rows {
        let others: Vec<_> = classes.iter().filter(|&&class| labels.classes[row].as_ref() != Some(class)).collect();
        to.push((**others[rng.random_range(0..others.len())]).clone());
    }
    finish(batch, &labels, "label_flip", &rows, &to)
}

/// Pairwise (asymmetric) label noise: victims of class `from` are called `to` (Patrini et al.: *Making Deep Neural
/// Networks Robust to Label Noise: a Loss Correction Approach*, 2017). A rate is a share of the rows of class `from`.
pub fn flip_pair(batch: &RecordBatch, label: &str, from: &Class, to: &Class, draw: &Draw) -> Result<(RecordBatch, Truth)> {
    if from == to {
        return Err(Error::Setting(format!("rows of class '{from}' cannot be flipped to '{to}'")));
    }
    let labels = Labels::open(batch, label)?;
    let of_class = |row: usize| labels.classes[row].as_ref() == Some(from);
    let whole = (0..batch.num_rows()).filter(|&row| of_class(row)).count();
    let rows = draw.pick(&mut draw.rng(), batch.num_rows(), whole, of_class)?;
    finish(batch, &labels, "label_flip_pair", &rows, &vec![to.clone(); rows.len()])
}

fn finish(batch: &RecordBatch, labels: &Labels<'_>, attack: &str, rows: &[usize], to: &[Class]) -> Result<(RecordBatch, Truth)> {
    let flipped = exchange(batch, vec![(labels.index, labels.relabelled(rows, to)?)])?;
    Ok((flipped, Truth::of(batch, Some(labels.column), attack, rows, Effect::LabelError)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, LargeStringArray, StringArray};

    use super::super::check::{label, only_bad_rows_differ};
    use super::*;
    use crate::{Share, synth};

    #[test]
    fn uniform_flips_reach_every_other_class_alike() {
        let clean = synth::gaussian_classes(4_000, 2, 4, 1).unwrap();
        let draw = Draw::new(Share::Rate(0.3), 2);
        let (flipped, truth) = flip(&clean, "label", &draw).unwrap();
        let rows = only_bad_rows_differ(&clean, &flipped, &truth, &["label"]);
        assert_eq!(rows.len(), 1_200);
        assert_eq!(truth.bad(), truth.label_error());
        assert!(truth.poisoned().iter().all(|&hit| !hit));
        for from in 0..4 {
            let to: Vec<_> = rows.iter().filter(|&&row| label(&clean, row) == Class::Int(from)).map(|&row| label(&flipped, row)).collect();
            for class in (0..4).filter(|&class| class != from) {
                let share = to.iter().filter(|&to| *to == Class::Int(class)).count() as f64 / to.len() as f64;
                // 1/3 ± 4 standard errors at about 300 rows.
                assert!((share - 1.0 / 3.0).abs() < 0.11, "{from} to {class}: {share}");
            }
        }
        assert_eq!(flip(&clean, "label", &draw).unwrap(), (flipped, truth));
    }

    #[test]
    fn pair_flips_go_one_way() {
        let clean = synth::gaussian_classes(900, 2, 3, 1).unwrap();
        let ones = (0..900).filter(|&row| label(&clean, row) == Class::Int(1)).count();
        let draw = Draw::new(Share::Rate(0.5), 2);
        let (flipped, truth) = flip_pair(&clean, "label", &1.into(), &2.into(), &draw).unwrap();
        let rows = only_bad_rows_differ(&clean, &flipped, &truth, &["label"]);
        assert_eq!(rows.len(), (ones as f64 / 2.0).round() as usize);
        assert!(rows.iter().all(|&row| label(&clean, row) == Class::Int(1) && label(&flipped, row) == Class::Int(2)));
    }

    #[test]
    fn string_labels_and_null_labels_work() {
        let names = || (0..60).map(|row| if row % 10 == 9 { None } else { Some(["ham", "spam"][row % 2]) });
        let columns: [ArrayRef; 2] = [Arc::new(names().collect::<StringArray>()), Arc::new(names().collect::<LargeStringArray>())];
        for column in columns {
            let clean = RecordBatch::try_from_iter([("label", column)]).unwrap();
            let (flipped, truth) = flip(&clean, "label", &Draw::new(Share::Count(54), 1)).unwrap();
            let rows = only_bad_rows_differ(&clean, &flipped, &truth, &["label"]);
            assert!(rows.iter().all(|row| row % 10 != 9), "a null label stays");
            assert!(flip(&clean, "label", &Draw::new(Share::Count(55), 1)).is_err());
            let pair = flip_pair(&clean, "label", &"ham".into(), &"spam".into(), &Draw::new(Share::Count(3), 1)).unwrap();
            assert_eq!(pair.1.bad().iter().filter(|&&bad| bad).count(), 3);
            assert_eq!(Class::read("ham", &clean, "label").unwrap(), Class::from("ham"));
        }
    }

    #[test]
    fn wrong_columns_and_settings_are_refused() {
        let clean = synth::gaussian_classes(50, 2, 2, 1).unwrap();
        let draw = Draw::new(Share::Count(1), 1);
        assert!(matches!(flip(&clean, "c0", &draw), Err(Error::ColumnType { .. })));
        assert!(matches!(flip_pair(&clean, "label", &1.into(), &1.into(), &draw), Err(Error::Setting(_))));
        assert!(matches!(flip_pair(&clean, "label", &1.into(), &"x".into(), &draw), Err(Error::ColumnType { .. })));
        let one = synth::gaussian_classes(50, 2, 1, 1).unwrap();
        assert!(matches!(flip(&one, "label", &draw), Err(Error::TooFewRows { eligible: 0, .. })));
        assert_eq!(Class::read("1", &clean, "label").unwrap(), Class::Int(1));
        assert!(Class::read("one", &clean, "label").is_err());
    }
}
