//! Clean sets that look wrong: what nature, sampling and collection do to data, and no attacker.

mod picture;
mod rule;
mod table;
mod text;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use clap::ValueEnum;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::gaussian::Classes;
use super::{draw_labels, normal, start};
use crate::Result;

/// A clean set that looks wrong. Each has `id` first and `label` last; nothing in it was planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Torture {
    /// Columns with log-normal, Cauchy, t and Pareto tails.
    HeavyTails,
    /// Most rows are copies of others.
    Duplicates,
    /// Nine of twelve classes hold half a percent of the rows each.
    TinyClasses,
    /// 300 classes of 20 rows.
    ManyClasses,
    /// Columns of thousands of levels; content determines the label by half.
    ManyValues,
    /// One row in 10,000 is of the second class.
    Skew,
    /// Columns that hold one value in nearly all rows.
    NearConstant,
    /// Counts and amounts with long tails.
    Counts,
    /// Sources that measure in ranges of their own, the rarest 2% of the rows.
    Sources,
    /// Rows sorted by label and value.
    Ordered,
    /// Every combination of six columns once, the label a function of them.
    Designed,
    /// The label is a function of two columns of four.
    TwoColumns,
    /// Values and shares of classes that move with time.
    TimeTrend,
    /// One level of a column occurs with one class alone, as a device of one ward does; the rest of the row agrees with the label.
    Device,
    /// Texts filled into a few templates a class.
    Templates,
    /// A footer of the source, which a class often comes from.
    Footers,
    /// Eighty near-copies of one text from one source in a row.
    Burst,
    /// A newsroom's tag before some texts of one class, whose words agree with the label.
    Newsroom,
    /// A white border around some pictures of one class, whose content agrees with the label.
    Border,
    /// A mark in the corner of some pictures of one class, whose content agrees with the label.
    Watermark,
    /// Pictures in series of one to eight frames.
    Frames,
}

impl Torture {
    /// All kinds.
    #[must_use]
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether the set holds a shortcut: an artefact that one class alone has, on rows whose content agrees.
    #[must_use]
    pub fn is_shortcut(self) -> bool {
        matches!(self, Self::Device | Self::Newsroom | Self::Border | Self::Watermark)
    }

    /// Makes the set: 1,700 to 6,000 rows, 20,000 for [`Torture::Skew`].
    pub fn make(self, seed: u64) -> Result<RecordBatch> {
        let rng = &mut start(seed, &[])?;
        match self {
            Self::HeavyTails => table::heavy_tails(rng),
            Self::Duplicates => table::duplicates(rng),
            Self::TinyClasses => table::tiny_classes(rng),
            Self::ManyClasses => table::many_classes(rng),
            Self::ManyValues => table::many_values(rng),
            Self::Skew => table::skew(rng),
            Self::NearConstant => table::near_constant(rng),
            Self::Counts => table::counts(rng),
            Self::Sources => table::sources(rng),
            Self::Ordered => table::ordered(rng),
            Self::Designed => rule::designed(rng),
            Self::TwoColumns => rule::two_columns(rng),
            Self::TimeTrend => table::time_trend(rng),
            Self::Device => rule::device(rng),
            Self::Templates => text::templates(rng),
            Self::Footers => text::footers(rng, seed),
            Self::Burst => text::burst(rng, seed),
            Self::Newsroom => text::newsroom(rng, seed),
            Self::Border => picture::border(rng, seed),
            Self::Watermark => picture::watermark(rng, seed),
            Self::Frames => picture::frames(rng, seed),
        }
    }
}

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    rng.random::<f64>().max(f64::MIN_POSITIVE)
}

fn numbers(name: &str, values: impl IntoIterator<Item = f64>) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(Float64Array::from_iter_values(values)))
}

fn texts<T: AsRef<str>>(name: &str, values: impl IntoIterator<Item = T>) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(StringArray::from_iter_values(values)))
}

/// Features of given labels: one Gaussian a class, rows × dims.
fn features(rng: &mut ChaCha8Rng, labels: &[usize], dims: usize, classes: usize) -> Vec<Vec<f64>> {
    let geometry = Classes::draw(rng, dims, classes);
    labels.iter().map(|&label| geometry.row(rng, label)).collect()
}

/// Columns `x0`, `x1`, … of rows of numbers.
fn columns(rows: &[Vec<f64>]) -> Vec<(String, ArrayRef)> {
    let dims = rows.first().map_or(0, Vec::len);
    (0..dims).map(|j| numbers(&format!("x{j}"), rows.iter().map(|row| row[j]))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use arrow::array::{Array, AsArray};

    use super::super::check::labels;
    use super::*;
    use crate::picture::Pictures;

    #[test]
    fn sets_have_their_shape_and_keep_their_seed() {
        let mut names = BTreeSet::new();
        for &kind in Torture::all() {
            let batch = kind.make(3).unwrap();
            assert!((1_700..=20_000).contains(&batch.num_rows()), "{kind:?}: {}", batch.num_rows());
            assert!(batch.columns().iter().all(|column| column.null_count() == 0));
            assert_eq!(batch, kind.make(3).unwrap(), "{kind:?}");
            assert_ne!(batch, kind.make(4).unwrap(), "{kind:?}");
            names.insert(kind.name());
        }
        assert_eq!(names.len(), Torture::all().len());
    }

    /// Labels of the rows of which `has` is true.
    fn labels_where(batch: &RecordBatch, has: impl Fn(usize) -> bool) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        labels(batch).into_iter().enumerate().filter(|(row, _)| has(*row)).for_each(|(_, label)| *counts.entry(label).or_default() += 1);
        counts
    }

    #[test]
    fn shortcuts_belong_to_one_class_and_not_to_all_of_it() {
        let device = Torture::Device.make(1).unwrap();
        let newsroom = Torture::Newsroom.make(1).unwrap();
        let watermark = Torture::Watermark.make(1).unwrap();
        let pictures = Pictures::open(&watermark, "image").unwrap();
        let border = Torture::Border.make(1).unwrap();
        let framed = Pictures::open(&border, "image").unwrap();
        let found = [
            (labels_where(&device, |row| device["device"].as_string::<i32>().value(row) == text::ODD_DEVICE), device.clone()),
            (labels_where(&newsroom, |row| newsroom["text"].as_string::<i32>().value(row).starts_with(text::TAG)), newsroom.clone()),
            (labels_where(&watermark, |row| picture::is_marked(&pictures.get(row).unwrap())), watermark.clone()),
            (labels_where(&border, |row| picture::is_framed(&framed.get(row).unwrap())), border.clone()),
        ];
        for (carriers, batch) in found {
            let (&class, &count) = carriers.first_key_value().unwrap();
            assert_eq!(carriers.len(), 1, "{carriers:?}");
            assert!(count >= 80 && count * 2 < labels(&batch).iter().filter(|label| **label == class).count(), "{count}");
        }
    }

    #[test]
    fn classes_are_as_rare_as_said() {
        let counts = |kind: Torture| labels_where(&kind.make(2).unwrap(), |_| true);
        assert_eq!(counts(Torture::Skew)[&1], 2);
        assert!(counts(Torture::ManyClasses).len() > 290);
        assert!(counts(Torture::TinyClasses).values().filter(|count| **count < 60).count() >= 8);
    }
}
