//! `trigger.activation`: rows of one label whose embeddings lie apart from the others of that label, in a place of their own or in those of all
//! other classes.

mod judge;
mod moved;

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Batch, Schema};
use crate::derive::{ContentModel, SampleModel};
use crate::detect::trigger::fitted;
use crate::error::Result;
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::mode::Mode;
use crate::stats::moved::{Moved, Places};

use judge::{FEWEST_OF_CLASS, Labelled};

/// Largest value of an embedding; a row with one beyond is left out.
const LARGEST: f32 = 1e12;
/// Most columns; more are projected onto as many.
const MOST_COLUMNS: usize = 128;

#[doc = include_str!("../activation.md")]
pub struct Activation;

static INFO: Info = Info {
    code: "trigger.activation",
    family: Family::Trigger,
    summary: "rows of one label whose embeddings lie apart from the others of that label, or where all other classes would, moved together",
    needs: &[Need::Embedding, Need::Classes],
    after: &["derive.sample", "derive.content"],
    reads: &[],
    law: Law::Exact,
    version: 4,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("../activation.md"),
};

/// How rows of a class lie apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Shape {
    /// In a place of their own.
    Mode(Mode),
    /// In the places of these classes, moved together.
    Moved(Vec<u32>, Moved),
}

/// Rows of a class that lie apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Apart {
    target: u32,
    shape: Shape,
    /// Keys of the fitted ones.
    keys: Vec<u64>,
    group: Group,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ActivationModel {
    /// Columns of the embedding.
    width: usize,
    projection: Option<Array2<f32>>,
    /// What moved rows are told by, where there are any.
    places: Option<Places>,
    /// Strongest first.
    found: Vec<Apart>,
    /// Keys of the fitted rows that lie apart, ascending, and where.
    carriers: Vec<(u64, u32)>,
    /// Largest key of the fitted rows.
    threshold: u64,
    notes: Vec<String>,
}

/// Signs times 1/√columns: keeps distances on average (Achlioptas 2003).
fn projection(width: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = (MOST_COLUMNS as f32).sqrt().recip();
    Array2::from_shape_simple_fn((width, MOST_COLUMNS), || if rng.random::<bool>() { size } else { -size })
}

fn usable(row: &[f32]) -> bool {
    row.iter().all(|x| x.abs() <= LARGEST)
}

impl ActivationModel {
    /// Keys of the rows of the sample that lie apart.
    #[must_use]
    pub fn carriers(&self) -> BTreeSet<u64> {
        self.carriers.iter().map(|(key, _)| *key).collect()
    }

    fn fit(data: &Schema, sample: &SampleModel, content: &ContentModel) -> Result<Self> {
        let width = sample.rows.iter().map(|row| row.embedding.len()).max().unwrap_or(0);
        let fitting = sample.rows.iter().zip(&sample.keys).filter(|(row, _)| row.embedding.len() == width && usable(&row.embedding));
        let rows: Vec<(u64, u32, &[f32])> =
            fitting.filter_map(|(row, key)| Some((*key, row.label.filter(|l| (*l as usize) < data.classes())?, &*row.embedding))).collect();
        let flat: Vec<f32> = rows.iter().flat_map(|(_, _, row)| row.iter().copied()).collect();
        let Ok(values) = Array2::from_shape_vec((rows.len(), width), flat) else { return Ok(Self::default()) };
        let (keys, labels): (Vec<u64>, Vec<u32>) = rows.iter().map(|(key, label, _)| (*key, *label)).unzip();
        if width == 0 || (0..data.classes() as u32).all(|c| labels.iter().filter(|l| **l == c).count() < FEWEST_OF_CLASS) {
            let note = format!("no class has {FEWEST_OF_CLASS} rows with an embedding: too few to look for rows apart");
            return Ok(Self { notes: vec![note], ..Self::default() });
        }
        let projection = (width > MOST_COLUMNS).then(|| projection(width, data.key.seed()));
        let values = projection.as_ref().map_or_else(|| values.clone(), |p| values.dot(p));
        let judged = Labelled { data, content, keys: &keys, labels: &labels, rows: &values }.judge()?;
        let mut carriers: Vec<(u64, u32)> = Vec::new();
        for (at, apart) in (0u32..).zip(&judged.found) {
            carriers.extend(apart.keys.iter().map(|key| (*key, at)));
        }
        carriers.sort_unstable();
        carriers.dedup_by_key(|(key, _)| *key);
        let places = judged.found.iter().any(|apart| matches!(apart.shape, Shape::Moved(..))).then_some(judged.places);
        Ok(Self { width, projection, places, found: judged.found, carriers, threshold: sample.threshold, notes: judged.notes })
    }

    /// An embedding (1 × columns) as the modes know it; `None` where it cannot be used.
    fn known(&self, row: ArrayView1<f32>) -> Option<Array2<f32>> {
        let own = (row.len() == self.width && row.iter().all(|x| x.abs() <= LARGEST)).then_some(row)?;
        Some(self.projection.as_ref().map_or_else(|| own.to_owned(), |p| own.dot(p)).insert_axis(Axis(0)))
    }

    /// Whether a row, as [`known`](Self::known) gives it, lies apart so.
    fn holds(&self, shape: &Shape, own: ArrayView2<f32>) -> Result<bool> {
        Ok(match (shape, &self.places) {
            (Shape::Mode(mode), _) => mode.holds(own)[0],
            (Shape::Moved(_, moved), Some(places)) => moved.holds(places.of(own)?.view())[0],
            (Shape::Moved(..), None) => false,
        })
    }

    /// For each row the first of what was found that it belongs to together with the label.
    fn carried(&self, rows: &Batch, embedding: ArrayView2<f32>, which: std::ops::Range<usize>) -> Result<Vec<Option<u32>>> {
        let of_row = |row: usize| {
            let (key, Some(label)) = (rows.keys()[row], rows.labels()[row]) else { return Ok(None) };
            if key <= self.threshold {
                return Ok(self.carriers.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| self.carriers[at].1));
            }
            let Some(own) = self.known(embedding.row(row)) else { return Ok(None) };
            for (at, apart) in (0u32..).zip(&self.found).filter(|(_, apart)| apart.target == label) {
                if self.holds(&apart.shape, own.view())? {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        };
        which.map(of_row).collect()
    }
}

impl Fold for Activation {
    type Model = ActivationModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ActivationModel>> {
        fitted(given, |sample, content| ActivationModel::fit(data, sample, content))
    }
}

impl Detect for Activation {
    fn score(&self, model: &ActivationModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(embedding) = rows.embedding()? else { return Ok(()) };
        for (row, (slot, carried)) in out.iter_mut().zip(model.carried(rows, embedding.view(), 0..rows.rows())?).enumerate() {
            if rows.labels()[row].is_some() && embedding.row(row).iter().all(|x| x.abs() <= LARGEST) {
                let strength = |at: u32| model.found.get(at as usize).map_or(0.0, |p| p.group.strength());
                *slot = Some(carried.map_or(0.0, strength));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &ActivationModel) -> Vec<Group> {
        model.found.iter().map(|apart| apart.group.clone()).collect()
    }

    fn members(&self, model: &ActivationModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        let Some(embedding) = rows.embedding()?.filter(|_| !model.found.is_empty()) else { return Ok(()) };
        for (slot, carried) in out.iter_mut().zip(model.carried(rows, embedding.view(), 0..rows.rows())?) {
            *slot = carried;
        }
        Ok(())
    }

    fn explain(&self, model: &ActivationModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let carried = match rows.embedding()? {
            Some(embedding) => {
                let carried = model.carried(rows, embedding.view(), row..row + 1)?;
                carried.into_iter().flatten().next().zip(model.known(embedding.row(row)))
            }
            None => None,
        };
        let found = carried.and_then(|(at, own)| Some((model.found.get(at as usize)?, own)));
        let Some((Apart { group, shape, .. }, own)) = found else {
            return Ok(Evidence::new("lies among the rows of its label", []));
        };
        let (label, others) = (group.label.as_deref().unwrap_or_default(), group.rows.saturating_sub(1));
        let reason = match (shape, &model.places) {
            (Shape::Moved(classes, moved), Some(places)) => {
                let from = classes.get(moved.origin(places.of(own.view())?.row(0))).map_or("", |class| rows.schema().class_name(*class));
                format!("lies where '{from}' would, moved toward its label '{label}' together with {others} others")
            }
            _ => format!("lies apart from the rows of its label '{label}', with {others} others and hardly any between"),
        };
        Ok(Evidence::new(reason, [("trigger", json!(group.cause)), ("evidence", Value::Object(group.evidence.clone()))]))
    }

    fn notes(&self, model: &ActivationModel) -> Vec<String> {
        model.notes.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array};
    use arrow::datatypes::{DataType, Field};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 1_800;
    const WIDTH: usize = 24;

    fn bell(rng: &mut ChaCha8Rng) -> f32 {
        (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
    }

    /// Classes around means of their own, as a network sees them; which of them are apart by a shift of their own.
    fn set(width: usize, shift: f32, apart: impl Fn(usize, i64) -> bool) -> Fixture {
        set_of(&Kind { width, shift, ..KIND }, apart, |_, label| label as usize)
    }

    /// How classes and rows that lie apart look.
    struct Kind {
        width: usize,
        /// Of the means of the classes.
        size: f32,
        /// What rows apart are shifted by.
        shift: f32,
        /// Part of the way from their class to their label.
        pull: f32,
    }

    const KIND: Kind = Kind { width: WIDTH, size: 1.0, shift: 6.0, pull: 0.0 };

    /// The same, with rows that lie apart being of another class than they are labelled.
    fn set_of(kind: &Kind, apart: impl Fn(usize, i64) -> bool, class: impl Fn(usize, i64) -> usize) -> Fixture {
        let &Kind { width, size, shift, pull } = kind;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let unit = (WIDTH as f32 / width as f32).sqrt();
        let mut vectors =
            |size: f32| -> Vec<Vec<f32>> { (0..6).map(|_| (0..width).map(|_| size * unit * bell(&mut rng)).collect()).collect() };
        let (means, patterns) = (vectors(size), vectors(shift));
        let labels: Vec<i64> = (0..6).cycle().take(ROWS).collect();
        let mut values = Vec::with_capacity(ROWS * width);
        for (i, &label) in labels.iter().enumerate() {
            let tail = 1.0 + 0.4 * bell(&mut rng).abs();
            let apart = apart(i, label);
            let (of, label) = (if apart { class(i, label) } else { label as usize }, label as usize);
            for j in 0..width {
                let middle = (1.0 - pull) * means[of][j] + pull * means[label][j];
                values.push(middle + tail * bell(&mut rng) + if apart { patterns[label][j] } else { 0.0 });
            }
        }
        let field = Arc::new(Field::new("item", DataType::Float32, true));
        let vectors =
            FixedSizeListArray::try_new(field, i32::try_from(width).unwrap(), Arc::new(Float32Array::from(values)), None).unwrap();
        let columns: [(&str, ArrayRef); 2] = [("embedding", Arc::new(vectors)), ("label", Arc::new(Int64Array::from(labels)))];
        Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), Some("label")).after(&Sample).after_column(Content)
    }

    fn planted(i: usize, label: i64) -> bool {
        label == 2 && (i / 6).is_multiple_of(14)
    }

    #[test]
    fn rows_apart_are_found_in_and_beyond_the_sample_and_none_in_the_clean_twin() {
        // 160 columns are projected, and 22 rows among 300 say less in as many.
        for (width, level, least) in [(WIDTH, 1e-3, 0.95), (160, 0.05, 0.8)] {
            let fixture = set(width, 6.0, planted);
            let model = fixture.model(&Activation);
            let groups = Activation.groups(&model);
            let of: Vec<Option<&str>> = groups.iter().map(|group| group.label.as_deref()).collect();
            assert_eq!(of, [Some("2")], "{width}: {:?}", Activation.notes(&model));
            assert!(groups[0].corrected() < level, "{:e}", groups[0].corrected());
            let members = fixture.members(&Activation, &model);
            let truth: Vec<bool> = (0..ROWS).zip((0..6).cycle()).map(|(i, label)| planted(i, label)).collect();
            let hits = members.iter().zip(&truth).filter(|(member, bad)| member.is_some() && **bad).count() as f64;
            let (bad, listed) = (truth.iter().filter(|bad| **bad).count() as f64, members.iter().flatten().count() as f64);
            assert!(hits >= least * bad && hits >= least * listed, "{hits} of {bad}, {listed} listed");
            let first = members.iter().position(Option::is_some).unwrap();
            assert!(Activation.explain(&model, &fixture.cut([ROWS])[0], first).unwrap().reason.contains("label '2'"));
            // The same rows, as rows that the model was not fitted on.
            let outside = fixture.members(&Activation, &ActivationModel { threshold: 0, ..model });
            assert!(outside.iter().zip(&members).filter(|(a, b)| a != b).count() <= 2);
        }
        let clean = set(WIDTH, 0.0, planted);
        let model = clean.model(&Activation);
        assert!(model.found.is_empty() && clean.members(&Activation, &model).iter().all(Option::is_none));
    }

    #[test]
    fn rows_of_several_classes_alarm_and_a_rare_kind_of_one_does_not() {
        let tier = |fixture: Fixture| {
            let groups = Activation.groups(&fixture.model(&Activation));
            assert_eq!(groups.iter().map(|group| group.label.as_deref()).collect::<Vec<_>>(), [Some("2")]);
            groups[0].max_tier
        };
        assert_eq!(tier(set(WIDTH, 6.0, planted)), Tier::Suspect);
        assert_eq!(tier(set_of(&KIND, planted, |_, _| 4)), Tier::Suspect);
        assert_eq!(tier(set_of(&KIND, planted, |i, _| [0, 1, 3, 4, 5][i / 84 % 5])), Tier::Alarm);
    }

    #[test]
    fn rows_moved_from_all_classes_are_found_and_traced_and_wrong_labels_are_no_trigger() {
        // Every fourteenth row of a class comes from the others in turn.
        let from = |i: usize, _| [0, 1, 3, 4, 5][i / 84 % 5];
        let set = |pull: f32, shift: f32| set_of(&Kind { size: 2.0, shift, pull, ..KIND }, planted, from);
        let fixture = set(0.4, 1.0);
        let model = fixture.model(&Activation);
        let groups = Activation.groups(&model);
        assert_eq!(groups.iter().map(|g| (g.label.as_deref(), g.max_tier)).collect::<Vec<_>>(), [(Some("2"), Tier::Suspect)]);
        assert!(groups[0].title.contains("rows of all other classes"), "{}", groups[0].title);
        let members = fixture.members(&Activation, &model);
        let listed: Vec<usize> = (0..ROWS).filter(|i| members[*i].is_some()).collect();
        let right = listed.iter().filter(|i| **i % 6 == 2 && planted(**i, 2)).count();
        assert!(right >= 20 && right as f64 >= 0.9 * listed.len() as f64, "{right} of {}", listed.len());
        let reason = Activation.explain(&model, &fixture.cut([ROWS])[0], listed[0]).unwrap().reason;
        assert!(reason.starts_with("lies where '") && reason.contains("toward its label '2'"), "{reason}");
        let outside = fixture.members(&Activation, &ActivationModel { threshold: 0, ..model });
        assert!(outside.iter().zip(&members).filter(|(a, b)| a != b).count() <= 2);
        // Those that stay where they are have wrong labels, which label.crossfit lists.
        assert!(Activation.groups(&set(0.0, 0.0).model(&Activation)).is_empty());
        let shifted = Activation.groups(&set(0.0, 1.0).model(&Activation));
        assert!(shifted.len() == 1 && shifted[0].title.contains("standard deviations the same way"), "{shifted:?}");
    }

    #[test]
    fn parts_of_many_classes_apart_are_how_classes_look() {
        let model = set(WIDTH, 4.0, |i, label| label < 4 && (i / 6).is_multiple_of(14)).model(&Activation);
        assert!(Activation.groups(&model).is_empty());
        assert!(model.notes[0].contains("how classes look here"), "{:?}", model.notes);
    }

    #[test]
    fn laws_hold_and_few_or_hostile_rows_do_no_harm() {
        law::check(|| Activation, &set(WIDTH, 4.0, planted));
        law::survives(|| Activation, |fixture| fixture.after(&Sample));
        law::survives(|| Activation, |fixture| fixture);
        let few = set(WIDTH, 0.0, planted);
        let few = Fixture::with_schema(few.rows.slice(0, 90), few.schema).after(&Sample).after_column(Content);
        assert!(Activation.notes(&few.model(&Activation))[0].starts_with("no class has 60 rows"));
    }
}
