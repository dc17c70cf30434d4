//! What a run knows of its data before it looks at rows: columns, roles, classes, key.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, SchemaRef};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::answer::{Answers, OTHER, has_prompts};
use super::{ColumnRole, Key, Role};

/// One value of the label column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The value as a person reads it.
    pub name: String,
    /// Rows that carry it.
    pub rows: u64,
}

/// Most classes of a label column.
pub(crate) const MOST_CLASSES: usize = 20_000;
/// Most values of a label column that are classes whatever the number of rows.
const FEW: usize = 20;

/// Rows up to which a value is hardly used, the share of such values, and the span of all values for each of them, beyond which whole numbers
/// are a quantity.
const RARE: u64 = 3;
const THIN: f64 = 0.2;
const GAPS: f64 = 1.25;

/// What the values of a label column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelValues {
    Classes,
    /// Numbers to predict.
    Numbers,
    /// Neither: nearly every row has its own.
    Names,
}

impl LabelValues {
    /// Judges by how many rows have each value. More than 20 values are no classes where fewer than four rows share one on average,
    /// or where numbers have fractions or thin out: whole numbers with gaps between them, many of them in hardly any row.
    pub(crate) fn of(data_type: &DataType, counts: &BTreeMap<String, u64>, labelled: u64) -> Self {
        let numeric = data_type.is_numeric();
        let fraction = |value: &String| value.parse::<f64>().is_ok_and(|value| value.fract().abs() > 0.0);
        let own = counts.len() as u64 * 4 > labelled.max(40);
        let many = counts.len() > FEW && (own || (numeric && (counts.keys().any(fraction) || thins_out(counts))));
        if !many && counts.len() <= MOST_CLASSES {
            Self::Classes
        } else if numeric {
            Self::Numbers
        } else {
            Self::Names
        }
    }
}

/// Whether whole numbers are a quantity: numbers of classes follow one another, and few of them are hardly used.
fn thins_out(counts: &BTreeMap<String, u64>) -> bool {
    let numbers = || counts.keys().filter_map(|value| value.parse::<f64>().ok());
    let (least, most) = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), n| (least.min(n), most.max(n)));
    let rare = counts.values().filter(|rows| **rows <= RARE).count();
    most - least + 1.0 > GAPS * counts.len() as f64 && rare as f64 > THIN * counts.len() as f64
}

/// The label column of a classification set, or the classes that the answers of an instruction set make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Label {
    /// Column index in the Arrow schema.
    pub column: usize,
    /// Column name.
    pub name: String,
    /// Classes, numbers in numeric order and strings in byte order; a row's label is an index into this list.
    pub classes: Vec<Class>,
    /// Rows without a label.
    pub nulls: u64,
    index: FxHashMap<String, u32>,
    answers: Option<Answers>,
}

impl Label {
    /// A label column with the rows that each of its values has.
    #[must_use]
    pub fn new(column: usize, name: String, counts: impl IntoIterator<Item = (String, u64)>, nulls: u64) -> Self {
        let mut classes: Vec<Class> = counts.into_iter().map(|(name, rows)| Class { name, rows }).collect();
        let number = |class: &Class| class.name.parse::<f64>().ok();
        classes.sort_by(|a, b| match (number(a), number(b)) {
            (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.name.cmp(&b.name)),
            (x, y) => y.is_some().cmp(&x.is_some()).then_with(|| a.name.cmp(&b.name)),
        });
        let index = (0u32..).zip(&classes).map(|(i, class)| (class.name.clone(), i)).collect();
        Self { column, name, classes, nulls, index, answers: None }
    }

    /// Classes made of a column's answers, in the order of their indices; the first holds all other answers.
    #[must_use]
    pub fn of_answers(column: usize, name: String, classes: Vec<Class>, nulls: u64, answers: Answers) -> Self {
        Self { column, name, classes, nulls, index: FxHashMap::default(), answers: Some(answers) }
    }

    /// How answers become classes; `None` where the user's labels are the classes.
    #[must_use]
    pub fn answers(&self) -> Option<&Answers> {
        self.answers.as_ref()
    }

    /// Whether a class can be what a trigger aims at: what all other answers have in common is nothing.
    #[must_use]
    pub fn can_be_target(&self, class: u32) -> bool {
        self.answers.is_none() || class != OTHER
    }

    /// What rows of a class are, as a title says it: `labelled spam`, `answered "no"`.
    #[must_use]
    pub fn said(&self, class: u32) -> String {
        let name = self.classes.get(class as usize).map_or("", |c| c.name.as_str());
        let what = if self.answers.is_some() { "answered" } else { "labelled" };
        format!("{what} {name}")
    }

    /// The class that rows belong to whose answers do not tell, if anything else says that they do ([`Answers::class_in_doubt`]).
    #[must_use]
    pub fn in_doubt(&self) -> Option<u32> {
        self.answers.as_ref().and_then(Answers::class_in_doubt)
    }

    /// The class of a value.
    #[must_use]
    pub fn index_of(&self, value: &str) -> Option<u32> {
        self.index.get(value).copied()
    }
}

/// Columns, roles, classes and key of a run; frozen before the first shared scan, the same on every worker.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The Arrow schema of every batch.
    pub arrow: SchemaRef,
    /// A role for each column, in order.
    pub columns: Vec<ColumnRole>,
    /// The label, if there is one with at least one value.
    pub label: Option<Label>,
    /// Rows of the whole input.
    pub rows: u64,
    /// Key of the run's hashes.
    pub key: Key,
    /// Bytes that one unit may hold in all its states together.
    pub unit_bytes: usize,
}

impl Schema {
    /// Indices of the columns with a role, ascending.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Vec<usize> {
        (0..self.columns.len()).filter(|&c| self.columns[c].role == role).collect()
    }

    /// Columns that texts are read from, in the order of their views: those with the role of text, then one of answers that
    /// holds their prompts as well.
    #[must_use]
    pub fn text_columns(&self) -> Vec<usize> {
        let mut columns = self.with_role(Role::Text);
        columns.extend(self.first(Role::Response).filter(|&c| has_prompts(self.arrow.field(c).data_type()) || columns.is_empty()));
        columns
    }

    /// Whether any column is part of a row's content.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.columns.iter().any(|c| c.role.is_content()) || !self.text_columns().is_empty()
    }

    /// The only or first column with a role.
    #[must_use]
    pub fn first(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == role)
    }

    /// Number of classes, 0 without a label.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.label.as_ref().map_or(0, |label| label.classes.len())
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.label.as_ref()?.classes.get(class as usize)
    }

    /// Name of a class as a person reads it; empty for one that is not there.
    #[must_use]
    pub fn class_name(&self, class: u32) -> &str {
        self.class(class).map_or("", |class| class.name.as_str())
    }

    /// What carriers have in common, as a title says it: `all labelled spam`, `40 answered no`.
    #[must_use]
    pub fn shared(&self, class: u32, agreeing: u64, carrying: u64) -> String {
        let said = self.label.as_ref().map_or_else(String::new, |label| label.said(class));
        if agreeing == carrying { format!("all {said}") } else { format!("{agreeing} {said}") }
    }

    /// Rows of a class; 0 for one that is not there.
    #[must_use]
    pub fn rows_of(&self, class: u32) -> u64 {
        self.class(class).map_or(0, |class| class.rows)
    }

    /// Share of each class among labelled rows; empty without a label.
    #[must_use]
    pub fn priors(&self) -> Vec<f64> {
        let Some(label) = &self.label else { return Vec::new() };
        let total: u64 = label.classes.iter().map(|c| c.rows).sum();
        label.classes.iter().map(|c| c.rows as f64 / total.max(1) as f64).collect()
    }

    /// Rows of a block, the unit of work: fixed by the roles alone, so that the answer does not depend on how the
    /// input was cut into files, row groups or batches.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        if self.first(Role::Image).is_some() {
            512
        } else if !self.text_columns().is_empty() || self.first(Role::Embedding).is_some() {
            2_048
        } else {
            4_096
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_that_thin_out_are_a_quantity() {
        let of = |counts: &BTreeMap<String, u64>| LabelValues::of(&DataType::Int64, counts, counts.values().sum());
        let classes: BTreeMap<String, u64> = (0..100u64).map(|class| (class.to_string(), 50)).collect();
        assert_eq!(of(&classes), LabelValues::Classes);
        // Numbers of classes with gaps, and classes without that are hardly used.
        assert_eq!(of(&(0..90u64).map(|class| ((3 * class).to_string(), 20)).collect()), LabelValues::Classes);
        assert_eq!(of(&(0..90u64).map(|class| (class.to_string(), 1_000 / (class * class + 1) + 1)).collect()), LabelValues::Classes);
        assert_eq!(of(&(0..90u64).map(|n| ((n * n / 20).to_string(), 2_000 / (n * n + 1) + 1)).collect()), LabelValues::Numbers);
    }
}
