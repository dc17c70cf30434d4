//! Attack recipes: each takes a batch and gives it back with one published attack planted in some rows, and the truth.
//!
//! Rows are picked without replacement by a seeded generator; the same call gives the same rows, bit for bit. Rows with
//! a null label, or a null where the recipe has to read what it changes, are never hit. Attack names in the truth are the
//! functions' names, with `label_flip` and `label_flip_pair` for [`flip`] and [`flip_pair`].

mod image;
mod label;
mod table;
mod text;

pub use image::{Anchor, Patch, Style, blend, patch, patch_anywhere};
pub use label::{flip, flip_pair};
pub use table::{Cell, Corruption, Setting, conjunction, corrupt_cells, value};
pub use text::{rare_word, sentence};

use arrow::array::{ArrayRef, RecordBatch};
use rand_chacha::ChaCha8Rng;

use crate::class::Labels;
use crate::column::exchange;
use crate::truth::Effect;
use crate::{Plan, Result, Truth};

/// Runs a dirty-label attack: picks the victims, changes their columns with `change` and relabels them.
fn dirty_label(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    eligible: impl Fn(usize) -> bool,
    change: impl FnOnce(&mut ChaCha8Rng, &[usize]) -> Result<Vec<(usize, ArrayRef)>>,
) -> Result<(RecordBatch, Truth)> {
    let labels = Labels::open(batch, &plan.label)?;
    let mut rng = plan.draw.rng();
    let other = |row: usize| labels.classes[row].as_ref().is_some_and(|class| *class != plan.target);
    let rows = plan.draw.pick(&mut rng, batch.num_rows(), batch.num_rows(), |row| other(row) && eligible(row))?;
    let mut changed = change(&mut rng, &rows)?;
    changed.push((labels.index, labels.relabelled(&rows, &vec![plan.target.clone(); rows.len()])?));
    Ok((exchange(batch, changed)?, Truth::of(batch, Some(labels.column), attack, &rows, Effect::Backdoor)))
}

#[cfg(test)]
mod check {
    use super::*;
    use arrow::array::Array;

    /// Asserts that exactly the rows marked bad differ from `clean`, and returns them; no other column than `columns`
    /// may differ.
    pub(super) fn only_bad_rows_differ(clean: &RecordBatch, poisoned: &RecordBatch, truth: &Truth, columns: &[&str]) -> Vec<usize> {
        assert_eq!(clean.schema(), poisoned.schema());
        let bad = truth.bad();
        assert_eq!(bad.len(), clean.num_rows());
        for (row, &hit) in bad.iter().enumerate() {
            let differs = |name: &str| clean[name].slice(row, 1).as_ref() != poisoned[name].slice(row, 1).as_ref();
            for field in clean.schema().fields() {
                let allowed = hit && columns.contains(&field.name().as_str());
                assert!(allowed || !differs(field.name()), "row {row}, column {}", field.name());
            }
            assert_eq!(hit, columns.iter().any(|column| differs(column)), "row {row}");
        }
        (0..bad.len()).filter(|&row| bad[row]).collect()
    }

    /// The label of a row.
    pub(super) fn label(batch: &RecordBatch, row: usize) -> crate::Class {
        Labels::open(batch, "label").unwrap().classes[row].clone().unwrap()
    }
}
