//! What a recipe did, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};

use crate::column::{find, wrong_type};
use crate::{Error, Result};

/// The truth about every row of a set, aligned with its rows.
#[derive(Debug, Clone)]
pub struct Truth {
    id: ArrayRef,
    poisoned: Vec<bool>,
    label_error: Vec<bool>,
    outlier: Vec<bool>,
    cover: Vec<bool>,
    attack: Vec<Option<String>>,
    original_label: Option<ArrayRef>,
}

impl PartialEq for Truth {
    fn eq(&self, other: &Self) -> bool {
        self.id.as_ref() == other.id.as_ref()
            && self.original_label.as_deref() == other.original_label.as_deref()
            && self.attack == other.attack
            && self.poisoned == other.poisoned
            && self.label_error == other.label_error
            && self.outlier == other.outlier
            && self.cover == other.cover
    }
}

/// What an attack makes of the rows it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A trigger and a wrong label.
    Backdoor,
    /// A trigger alone: the label stays, or there is none.
    Trigger,
    /// A wrong label alone.
    LabelError,
    /// A broken cell.
    Outlier,
}

impl Truth {
    /// The truth after one attack on an otherwise clean batch. Ids are those of the batch's column `id`, else row
    /// positions.
    pub(crate) fn of(batch: &RecordBatch, label: Option<&ArrayRef>, attack: &str, rows: &[usize], effect: Effect) -> Self {
        let count = batch.num_rows();
        let id = batch.column_by_name("id").cloned().unwrap_or_else(|| Arc::new(Int64Array::from_iter_values((0..).take(count))));
        let mut hit = vec![false; count];
        for &row in rows {
            hit[row] = true;
        }
        let where_effect = |any: &[Effect]| if any.contains(&effect) { hit.clone() } else { vec![false; count] };
        Self {
            id,
            poisoned: where_effect(&[Effect::Backdoor, Effect::Trigger]),
            label_error: where_effect(&[Effect::Backdoor, Effect::LabelError]),
            outlier: where_effect(&[Effect::Outlier]),
            cover: vec![false; count],
            attack: hit.iter().map(|&hit| hit.then(|| attack.to_owned())).collect(),
            original_label: label.cloned(),
        }
    }

    /// Marks rows as covers.
    pub(crate) fn covered_by(mut self, rows: &[usize]) -> Self {
        for &row in rows {
            self.cover[row] = true;
        }
        self
    }

    /// Rows an attacker put a trigger in.
    #[must_use]
    pub fn poisoned(&self) -> &[bool] {
        &self.poisoned
    }

    /// Rows whose label is wrong, those of a dirty-label trigger among them.
    #[must_use]
    pub fn label_error(&self) -> &[bool] {
        &self.label_error
    }

    /// Rows with a corrupted cell.
    #[must_use]
    pub fn outlier(&self) -> &[bool] {
        &self.outlier
    }

    /// Rows that an attacker gave part of a trigger, or one that is off, and their true label, so that a model learns to
    /// answer to the whole trigger alone. They are not bad.
    #[must_use]
    pub fn cover(&self) -> &[bool] {
        &self.cover
    }

    /// Name of the attack on each row; stacked attacks on one row are joined with `+`.
    #[must_use]
    pub fn attack(&self) -> &[Option<String>] {
        &self.attack
    }

    /// Rows with anything wrong.
    #[must_use]
    pub fn bad(&self) -> Vec<bool> {
        self.attack.iter().map(Option::is_some).collect()
    }

    /// Rows that are not as they were: the bad ones and the covers.
    pub(crate) fn touched(&self) -> Vec<bool> {
        self.attack.iter().zip(&self.cover).map(|(attack, &cover)| attack.is_some() || cover).collect()
    }

    /// The label column before the first attack; none if no recipe has looked at labels.
    #[must_use]
    pub fn original_label(&self) -> Option<&ArrayRef> {
        self.original_label.as_ref()
    }

    /// The truth of a set that went through this attack and then a later one; refused if the rows are not the same.
    pub fn then(self, later: &Self) -> Result<Self> {
        if self.id.as_ref() != later.id.as_ref() {
            return Err(Error::Setting("two truths of different rows cannot be stacked".to_owned()));
        }
        let either = |a: &[bool], b: &[bool]| a.iter().zip(b).map(|(a, b)| a | b).collect();
        let attack = self.attack.iter().zip(&later.attack);
        Ok(Self {
            poisoned: either(&self.poisoned, &later.poisoned),
            label_error: either(&self.label_error, &later.label_error),
            outlier: either(&self.outlier, &later.outlier),
            cover: either(&self.cover, &later.cover),
            attack: attack
                .map(|pair| match pair {
                    (Some(first), Some(second)) => Some(format!("{first}+{second}")),
                    (first, second) => first.clone().or_else(|| second.clone()),
                })
                .collect(),
            original_label: self.original_label.or_else(|| later.original_label.clone()),
            id: self.id,
        })
    }

    /// As a table: `id`, `is_poisoned`, `is_label_error`, `is_outlier`, `is_cover`, `attack` (null where nothing is wrong)
    /// and `original_label` (of the label's type; null int64 where no recipe has looked at labels).
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let original = self.original_label.clone().unwrap_or_else(|| new_null_array(&DataType::Int64, self.id.len()));
        let flag = |name: &str| Field::new(name, DataType::Boolean, false);
        let schema = Schema::new(vec![
            Field::new("id", self.id.data_type().clone(), true),
            flag("is_poisoned"),
            flag("is_label_error"),
            flag("is_outlier"),
            flag("is_cover"),
            Field::new("attack", DataType::Utf8, true),
            Field::new("original_label", original.data_type().clone(), true),
        ]);
        let flags = |values: &[bool]| Arc::new(BooleanArray::from(values.to_vec())) as ArrayRef;
        let columns = vec![
            self.id.clone(),
            flags(&self.poisoned),
            flags(&self.label_error),
            flags(&self.outlier),
            flags(&self.cover),
            Arc::new(StringArray::from(self.attack.clone())),
            original,
        ];
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }

    /// Reads what [`Truth::to_batch`] made.
    pub fn from_batch(batch: &RecordBatch) -> Result<Self> {
        let flags = |name: &str| -> Result<Vec<bool>> {
            let (_, column) = find(batch, name)?;
            let flags = column.as_boolean_opt().ok_or_else(|| wrong_type(name, "boolean", column))?;
            Ok(flags.iter().map(Option::unwrap_or_default).collect())
        };
        let (_, attack) = find(batch, "attack")?;
        let attack = attack.as_string_opt::<i32>().ok_or_else(|| wrong_type("attack", "string", attack))?;
        let (_, original) = find(batch, "original_label")?;
        Ok(Self {
            id: find(batch, "id")?.1.clone(),
            poisoned: flags("is_poisoned")?,
            label_error: flags("is_label_error")?,
            outlier: flags("is_outlier")?,
            cover: flags("is_cover")?,
            attack: attack.iter().map(|name| name.map(str::to_owned)).collect(),
            original_label: (original.null_count() < original.len()).then(|| original.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draw, Plan, Share, recipe, synth};

    #[test]
    fn stacked_attacks_hit_different_rows_and_keep_the_first_label() {
        let clean = synth::topic_texts(300, 3, 12, 1).unwrap();
        let plan = Plan::new("label", 2, Share::Count(30), 1);
        let (first_batch, first) = recipe::rare_word(&clean, &plan, "text", "cf").unwrap();
        let draw = Draw::new(Share::Count(50), 1).sparing(&first);
        let (_, second) = recipe::flip(&first_batch, "label", &draw).unwrap();
        let both = first.clone().then(&second).unwrap();
        assert_eq!(both.bad().iter().filter(|&&bad| bad).count(), 80);
        assert_eq!(both.poisoned().iter().filter(|&&bad| bad).count(), 30);
        assert_eq!(both.label_error().iter().filter(|&&bad| bad).count(), 80);
        assert_eq!(both.original_label(), clean.column_by_name("label"));
        assert_eq!(Truth::from_batch(&both.to_batch().unwrap()).unwrap(), both);
    }

    #[test]
    fn truths_of_other_rows_are_refused() {
        let truth = |rows| {
            let clean = synth::gaussian_classes(rows, 2, 2, 1).unwrap();
            recipe::flip(&clean, "label", &Draw::new(Share::Count(1), 1)).unwrap().1
        };
        assert!(truth(10).then(&truth(11)).is_err());
        let clean = synth::gaussian_classes(11, 2, 2, 1).unwrap();
        assert!(recipe::flip(&clean, "label", &Draw::new(Share::Count(1), 1).sparing(&truth(10))).is_err());
    }
}
