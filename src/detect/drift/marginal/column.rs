//! What is compared of a column, and how it differs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::{Role, Schema};
use crate::derive::{SampleModel, SampleRow};
use crate::stats::two_sample::{g_test, kolmogorov_smirnov, stability};

/// Bins of the stability index of a numeric column: tenths of the reference.
const BINS: usize = 10;
/// A categorical column whose values are nearly all different holds names, which always differ.
const MOST_LEVELS: f64 = 0.2;

/// Rows of a sample, of all classes or of one.
pub(super) struct Part<'a> {
    members: Vec<(&'a SampleRow, f64)>,
    /// Rows that the sample is worth in a test.
    pub(super) rows: f64,
}

impl<'a> Part<'a> {
    pub(super) fn new(sample: &'a SampleModel, class: Option<u32>) -> Self {
        let rows = sample.rows.iter().zip(&sample.counts).filter(|(row, _)| class.is_none() || row.label == class);
        let members: Vec<(&SampleRow, f64)> = rows.map(|(row, &count)| (row, count as f64)).collect();
        let (sum, squares) = members.iter().fold((0.0, 0.0), |(sum, squares), (_, w)| (sum + w, squares + w * w));
        // In a sample of the distinct rows equal ones came together, and are worth less than as many that differ (Kish 1965).
        let rows = if sample.is_whole() { sum } else { sum * sum / f64::max(squares, 1.0) };
        Self { members, rows }
    }
}

/// What of a row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Numeric(usize),
    Cell(usize),
    Label,
    Words,
    Brightness,
    Length,
}

/// A column, or a number that stands for one.
pub(super) struct Column {
    view: View,
    name: String,
    classes: Vec<String>,
}

/// A column that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shift {
    pub(super) name: String,
    pub(super) class: Option<String>,
    pub(super) kind: Kind,
    /// Largest distance of the distributions, or half the summed differences of the levels' shares.
    pub(super) distance: f64,
    pub(super) stability: f64,
    pub(super) p: f64,
    /// Median, or the share of the level that moved most, or of missing values.
    pub(super) here: f64,
    pub(super) there: f64,
    /// The level that moved most: which of the categorical columns, and hash.
    pub(super) level: Option<(usize, u64)>,
    pub(super) level_name: Option<String>,
    /// Rows compared here.
    pub(super) rows: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Values,
    Levels,
    Missing,
}

/// Four significant digits.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.*}", (3.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Shift {
    /// What is different, for a person.
    pub(super) fn sentence(&self) -> String {
        let percent = |share: f64| format!("{}%", short((1e4 * share).round() / 100.0));
        match self.kind {
            Kind::Values => format!("the median is {} here and {} there", short(self.here), short(self.there)),
            Kind::Missing => format!("{} is missing here and {} there", percent(self.here), percent(self.there)),
            Kind::Levels => {
                let level = self.level_name.as_ref().map_or_else(|| "a value".to_owned(), |name| format!("'{name}'"));
                format!("{level} is in {} of the rows here and in {} there", percent(self.here), percent(self.there))
            }
        }
    }

    /// What of the column differs.
    pub(super) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Values => "values",
            Kind::Levels => "levels",
            Kind::Missing => "missing values",
        }
    }

    /// Name of the test.
    pub(super) fn statistic(&self) -> &'static str {
        if self.kind == Kind::Values { "Kolmogorov–Smirnov distance" } else { "total variation distance" }
    }
}

/// All columns that can be compared.
pub(super) fn columns(data: &Schema, sample: &SampleModel) -> Vec<Column> {
    let name = |column: usize| data.columns.get(column).map_or_else(String::new, |c| c.name.clone());
    let plain = |view, name| Column { view, name, classes: Vec::new() };
    let mut out: Vec<Column> = Vec::new();
    out.extend(data.with_role(Role::Numeric).into_iter().enumerate().map(|(j, c)| plain(View::Numeric(j), name(c))));
    for (j, column) in data.with_role(Role::Categorical).into_iter().enumerate() {
        let mut levels: Vec<u64> = sample.rows.iter().filter_map(|row| row.cells.get(j).copied()).collect();
        let rows = levels.len();
        levels.sort_unstable();
        levels.dedup();
        if levels.len() as f64 <= MOST_LEVELS * rows as f64 {
            out.push(plain(View::Cell(j), name(column)));
        }
    }
    if let Some(label) = &data.label {
        let classes = label.classes.iter().map(|class| class.name.clone()).collect();
        out.push(Column { view: View::Label, name: label.name.clone(), classes });
    }
    for (role, view, of) in [
        (Role::Text, View::Words, "number of words in"),
        (Role::Image, View::Brightness, "brightness of"),
        (Role::Embedding, View::Length, "length of"),
    ] {
        out.extend(data.first(role).map(|column| plain(view, format!("{of} {}", name(column)))));
    }
    out
}

fn number(view: View, row: &SampleRow) -> f64 {
    let mean_square = |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    match view {
        View::Numeric(j) => row.numeric.get(j).map_or(f64::NAN, |x| f64::from(*x)),
        View::Words => row.tokens.len() as f64,
        View::Brightness if row.pixels.is_empty() => f64::NAN,
        View::Brightness => row.pixels.iter().map(|x| f64::from(*x)).sum::<f64>() / row.pixels.len() as f64,
        View::Length => Some(mean_square(&row.embedding).sqrt()).filter(|_| !row.embedding.is_empty()).unwrap_or(f64::NAN),
        View::Cell(_) | View::Label => f64::NAN,
    }
}

impl Column {
    /// Whether it is the label.
    pub(super) fn is_label(&self) -> bool {
        self.view == View::Label
    }

    /// Compares two parts; one entry for each test made, whatever came of it.
    pub(super) fn compare(&self, here: &Part<'_>, there: &Part<'_>) -> Vec<Shift> {
        match self.view {
            View::Cell(_) | View::Label => vec![self.levels(here, there)],
            _ => self.values(here, there),
        }
    }

    fn shift(&self, kind: Kind, here: &Part<'_>) -> Shift {
        let (name, rows) = (self.name.clone(), here.rows);
        Shift { name, class: None, kind, distance: 0.0, stability: 0.0, p: 1.0, here: 0.0, there: 0.0, level: None, level_name: None, rows }
    }

    fn values(&self, here: &Part<'_>, there: &Part<'_>) -> Vec<Shift> {
        let of = |part: &Part<'_>| {
            let all = part.members.iter().map(|(row, w)| (number(self.view, row), *w));
            let mut present: Vec<(f64, f64)> = all.filter(|(x, _)| x.is_finite()).collect();
            present.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let weight: f64 = present.iter().map(|(_, w)| w).sum();
            let all: f64 = part.members.iter().map(|(_, w)| w).sum();
            (present, weight, all)
        };
        let ((a, weight_a, all_a), (b, weight_b, all_b)) = (of(here), of(there));
        let mut out = Vec::new();
        if weight_a < all_a || weight_b < all_b {
            let bins = [(all_a - weight_a, all_b - weight_b), (weight_a, weight_b)];
            let (share_a, share_b) = (1.0 - weight_a / all_a, 1.0 - weight_b / all_b);
            let test = g_test(&bins, here.rows, there.rows);
            let distance = (share_a - share_b).abs();
            let shift = self.shift(Kind::Missing, here);
            out.push(Shift { distance, stability: test.effect, p: test.p, here: share_a, there: share_b, ..shift });
        }
        let (n, m) = (here.rows * weight_a / all_a, there.rows * weight_b / all_b);
        if n.min(m) < super::FEWEST {
            return out;
        }
        let test = kolmogorov_smirnov(&a, &b, n, m);
        let stability = stability(&binned(&b, &a, weight_b, n, m));
        let shift = self.shift(Kind::Values, here);
        out.push(Shift { distance: test.effect, stability, p: test.p, here: middle(&a, weight_a), there: middle(&b, weight_b), ..shift });
        out
    }

    fn levels(&self, here: &Part<'_>, there: &Part<'_>) -> Shift {
        let level = |row: &SampleRow| match self.view {
            View::Label => row.label.map_or(0, |class| u64::from(class) + 1),
            View::Cell(j) => row.cells.get(j).copied().unwrap_or(0),
            _ => 0,
        };
        let mut counts: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (row, w) in &here.members {
            counts.entry(level(row)).or_default().0 += w;
        }
        for (row, w) in &there.members {
            counts.entry(level(row)).or_default().1 += w;
        }
        let totals = counts.values().fold((0.0, 0.0), |sum, level| (sum.0 + level.0, sum.1 + level.1));
        let share = |level: (f64, f64)| (level.0 / f64::max(totals.0, 1.0), level.1 / f64::max(totals.1, 1.0));
        let moved = |level: (f64, f64)| share(level).0 - share(level).1;
        let levels: Vec<(f64, f64)> = counts.values().copied().collect();
        let test = g_test(&levels, here.rows, there.rows);
        let distance = 0.5 * levels.iter().map(|level| moved(*level).abs()).sum::<f64>();
        let most = counts.iter().max_by(|a, b| moved(*a.1).abs().total_cmp(&moved(*b.1).abs()));
        let (hash, counted) = most.map_or((0, (0.0, 0.0)), |(hash, counted)| (*hash, *counted));
        let name = match self.view {
            View::Label => hash.checked_sub(1).and_then(|class| self.classes.get(class as usize).cloned()),
            _ if hash == 0 => Some("null".to_owned()),
            _ => None,
        };
        let position = match self.view {
            View::Cell(j) if hash != 0 => Some((j, hash)),
            _ => None,
        };
        let shift = self.shift(Kind::Levels, here);
        Shift {
            distance,
            stability: test.effect,
            p: test.p,
            here: share(counted).0,
            there: share(counted).1,
            level: position,
            level_name: name,
            ..shift
        }
    }
}

/// Median of weighted values in ascending order.
fn middle(sorted: &[(f64, f64)], weight: f64) -> f64 {
    let mut passed = 0.0;
    sorted
        .iter()
        .find(|(_, w)| {
            passed += w;
            passed >= 0.5 * weight
        })
        .map_or(f64::NAN, |(x, _)| *x)
}

/// Rows of both samples in tenths of the first, as rows of `n` there and `m` here.
fn binned(reference: &[(f64, f64)], other: &[(f64, f64)], weight: f64, n: f64, m: f64) -> Vec<(f64, f64)> {
    let (mut cuts, mut passed) = (Vec::new(), 0.0);
    for &(x, w) in reference {
        passed += w;
        if passed >= (cuts.len() + 1) as f64 * weight / BINS as f64 && cuts.len() + 1 < BINS {
            cuts.push(x);
        }
    }
    cuts.dedup();
    let mut bins = vec![(0.0, 0.0); cuts.len() + 1];
    let total: f64 = other.iter().map(|(_, w)| w).sum();
    for (values, second) in [(other, false), (reference, true)] {
        for &(x, w) in values {
            if let Some(bin) = bins.get_mut(cuts.partition_point(|cut| *cut < x)) {
                if second {
                    bin.1 += w / weight * m;
                } else {
                    bin.0 += w / total * n;
                }
            }
        }
    }
    bins
}
