//! Attack recipes: each takes a batch and gives it back with one published attack planted in some rows, and the truth.
//!
//! Rows are picked without replacement by a seeded generator; the same call gives the same rows, bit for bit. Rows with
//! a null label, or a null where the recipe has to read what it changes, are never hit. Attack names in the truth are the
//! functions' names, with `label_flip` and `label_flip_pair` for [`flip`] and [`flip_pair`].

//!
//! The attacks on pictures and labelled texts are *dirty label* or, with [`Plan::clean_label`], *clean label*. Some also
//! take *covers*: a share of all rows that get part of the trigger, or one that is off, and keep their labels, whatever
//! these are ([`Truth::cover`]).

mod image;
mod label;
mod table;
mod text;

pub use image::{Anchor, Patch, Style, Warp, blend, dct, patch, patch_anywhere, pixels, ramp, sinusoid, smooth, warp};
pub use label::{flip, flip_pair};
pub use table::{Cell, Corruption, Setting, conjunction, corrupt_cells, value};
pub use text::{Place, homoglyph, payload, preference_swap, rare_word, sentence, template, word_pair, zero_width};

use arrow::array::{ArrayRef, RecordBatch};
use rand_chacha::ChaCha8Rng;

use crate::class::Labels;
use crate::column::exchange;
use crate::truth::Effect;
use crate::{Plan, Result, Share, Truth};

/// Rows that an attack changes.
struct Hits {
    /// Victims, then covers; each part ascending.
    rows: Vec<usize>,
    /// How many of them are victims.
    victims: usize,
}

impl Hits {
    /// Every row, and whether it is a cover.
    fn iter(&self) -> impl Iterator<Item = (usize, bool)> {
        self.rows.iter().enumerate().map(|(i, &row)| (row, i >= self.victims))
    }
}

/// Covers of an attack that has none.
const NO_COVERS: Share = Share::Count(0);

/// Runs an attack on labelled rows: picks the victims as the plan says, and covers among all other rows with a label,
/// changes their columns with `change`, and gives the victims the plan's label.
fn backdoor(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    covers: Share,
    eligible: impl Fn(usize) -> bool,
    change: impl FnOnce(&mut ChaCha8Rng, &Hits) -> Result<Vec<(usize, ArrayRef)>>,
) -> Result<(RecordBatch, Truth)> {
    let labels = Labels::open(batch, &plan.label)?;
    let count = batch.num_rows();
    let mut rng = plan.draw.rng();
    let fits = |row: usize| labels.classes[row].as_ref().is_some_and(|class| (*class == plan.target) == plan.clean_label);
    let mut rows = plan.draw.pick(&mut rng, count, count, |row| fits(row) && eligible(row))?;
    let victims = rows.len();
    let free = |row: usize| labels.classes[row].is_some() && rows.binary_search(&row).is_err() && eligible(row);
    let covers = plan.draw.of(covers).pick(&mut rng, count, count, free)?;
    rows.extend(&covers);
    let hits = Hits { rows, victims };
    let mut changed = change(&mut rng, &hits)?;
    let hit = &hits.rows[..victims];
    let effect = if plan.clean_label {
        Effect::Trigger
    } else {
        changed.push((labels.index, labels.relabelled(hit, &vec![plan.target.clone(); victims])?));
        Effect::Backdoor
    };
    let truth = Truth::of(batch, Some(labels.column), attack, hit, effect).covered_by(&covers);
    Ok((exchange(batch, changed)?, truth))
}

#[cfg(test)]
mod check {
    use super::*;
    use arrow::array::Array;

    /// Asserts that exactly the rows marked bad or cover differ from `clean`, and returns the bad ones; no other column than `columns`
    /// may differ.
    pub(super) fn only_bad_rows_differ(clean: &RecordBatch, poisoned: &RecordBatch, truth: &Truth, columns: &[&str]) -> Vec<usize> {
        assert_eq!(clean.schema(), poisoned.schema());
        let (bad, touched) = (truth.bad(), truth.touched());
        assert_eq!(bad.len(), clean.num_rows());
        for (row, &hit) in touched.iter().enumerate() {
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
