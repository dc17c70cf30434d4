//! `trigger.spectral`: pictures of one label that are moved the same way.

mod verdict;
mod view;

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Batch, Schema};
use crate::derive::{ContentModel, SampleModel, Vectors, raw};
use crate::detect::trigger::fitted;
use crate::error::Result;
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::direction::{Direction, FAR, Whitening, search};
use crate::stats::interval::MOST_SUPPORT;
use crate::stats::shift::{Shift, shifts};
use crate::stats::wave::waves;

use verdict::{Pictures, Sought};
use view::{VIEWS, View};

/// Most rows of the sample that directions are sought in.
const MOST_ROWS: usize = 8_192;
/// Fewest.
const FEWEST_ROWS: usize = 200;
/// Pictures for each pixel, at least: fewer than one lie at right angles to each other once whitened, and then any few of them share a
/// direction that no other has.
const ROWS_EACH_PIXEL: f64 = 1.1;
/// Largest share of them that may lie along a direction.
const MOST_SHARE: f64 = MOST_SUPPORT;

#[doc = include_str!("../spectral.md")]
pub struct Spectral;

static INFO: Info = Info {
    code: "trigger.spectral",
    family: Family::Trigger,
    summary: "a pattern laid over pictures that share a label which the rest of them does not explain",
    needs: &[Need::Image, Need::Classes],
    after: &["derive.sample", "derive.content"],
    reads: &[],
    law: Law::Exact,
    version: 5,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("../spectral.md"),
};

/// Tells the carriers of a pattern from other pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Line {
    Direction(Direction),
    Shift(Shift),
    Wave(Shift),
}

impl Line {
    /// Whether a view (1 × d) that it was not found among has the pattern.
    fn holds(&self, whitening: &Whitening, view: ArrayView2<f32>) -> bool {
        match self {
            Self::Direction(direction) => direction.project(whitening.apply(view).view()).iter().any(|z| *z > FAR),
            Self::Shift(shift) => shift.holds(whitening.rotate(view).view()).contains(&true),
            Self::Wave(wave) => wave.holds(view).contains(&true),
        }
    }
}

/// One pattern that was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pattern {
    view: View,
    line: Line,
    /// Class that its pictures share.
    target: u32,
    /// Positions of the fitted rows that carry it with its label.
    #[serde(skip)]
    members: Vec<usize>,
    group: Group,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpectralModel {
    /// Samples of a picture.
    samples: usize,
    /// Of the views in which there is a pattern to look for.
    whitenings: Vec<(View, Whitening)>,
    patterns: Vec<Pattern>,
    /// Keys of the fitted rows that carry a pattern with its label, and which.
    carriers: Vec<(u64, u32)>,
    /// Largest key of the rows that the directions were sought in.
    threshold: u64,
    notes: Vec<String>,
}

impl SpectralModel {
    /// Keys of the rows of the sample that carry a pattern with its label.
    #[must_use]
    pub fn carriers(&self) -> BTreeSet<u64> {
        self.carriers.iter().map(|(key, _)| *key).collect()
    }

    fn fit(data: &Schema, sample: &SampleModel, content: &ContentModel) -> Result<Self> {
        let Some(samples) = view::usual(sample.rows.iter().map(|row| row.pixels.as_slice())) else {
            return Ok(Self::default());
        };
        let fitting = sample.rows.iter().zip(&sample.keys).filter(|(row, _)| row.pixels.len() == samples);
        let rows: Vec<(u64, u32, &[u8])> =
            fitting.filter_map(|(row, key)| Some((*key, row.label?, row.pixels.as_slice()))).take(MOST_ROWS).collect();
        let width = view::shape(samples).map_or(0, |(side, _)| side * side);
        let fewest = FEWEST_ROWS.max((ROWS_EACH_PIXEL * width as f64).ceil() as usize);
        if rows.len() < fewest {
            let note = format!("{} labelled pictures of one size are too few to look for patterns: it takes {fewest}", rows.len());
            return Ok(Self { notes: vec![note], ..Self::default() });
        }
        let keys: Vec<u64> = rows.iter().map(|(key, ..)| *key).collect();
        let labels: Vec<u32> = rows.iter().map(|(_, label, _)| *label).collect();
        let most = (MOST_SHARE * rows.len() as f64) as usize;
        let pictures = Pictures { data, content, sample, keys: &keys, labels: &labels };
        let (mut tested, mut whitenings, mut of_one_kind) = (Vec::new(), Vec::new(), 0);
        for view in VIEWS {
            let flat: Vec<f32> = rows.iter().flat_map(|(_, _, pixels)| view.of(pixels)).collect();
            let Ok(seen) = Array2::from_shape_vec((rows.len(), width), flat) else { continue };
            let Some(whitening) = Whitening::fit(seen.view()) else { continue };
            let white = whitening.rotate(seen.view());
            let sought = Sought {
                waves: waves(seen.view(), width.isqrt(), &labels, data.classes(), most),
                shifts: shifts(white.view(), &labels, data.classes(), most, data.key.seed()),
                directions: search(whitening.to_length(white).view(), &labels, data.classes(), most, data.key.seed()),
            };
            let (found, left_out) = pictures.test(view, &seen, sought)?;
            tested.extend(found);
            of_one_kind += left_out;
            whitenings.push((view, whitening));
        }
        let (patterns, drawn_so) = pictures.strongest(tested);
        whitenings.retain(|(view, _)| patterns.iter().any(|pattern| pattern.view == *view));
        let mut carriers: Vec<(u64, u32)> = Vec::new();
        for (at, pattern) in (0u32..).zip(&patterns) {
            carriers.extend(pattern.members.iter().map(|&i| (keys[i], at)));
        }
        carriers.sort_unstable();
        carriers.dedup_by_key(|(key, _)| *key);
        let threshold = if rows.len() == MOST_ROWS { keys.last().copied().unwrap_or(0) } else { sample.threshold };
        let notes = [
            (of_one_kind, "patterns of pictures of one kind, nearest to one another, are no cause"),
            (drawn_so, "many patterns of one label, or of several, are how their pictures are drawn, and no cause"),
        ];
        let notes = notes.into_iter().filter(|(patterns, _)| *patterns > 0).map(|(_, note)| note.to_owned()).collect();
        Ok(Self { samples, whitenings, patterns, carriers, threshold, notes })
    }

    /// For each row the first pattern that it carries together with the pattern's label.
    fn carried(&self, rows: &Batch, which: std::ops::Range<usize>) -> Result<Vec<Option<u32>>> {
        let mut out = vec![None; which.len()];
        if self.patterns.is_empty() {
            return Ok(out);
        }
        let vectors = Vectors::of(rows)?;
        for (slot, row) in out.iter_mut().zip(which) {
            let (key, Some(label)) = (rows.keys()[row], rows.labels()[row]) else { continue };
            if key <= self.threshold {
                *slot = self.carriers.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| self.carriers[at].1);
                continue;
            }
            if !self.patterns.iter().any(|pattern| pattern.target == label) {
                continue;
            }
            let pixels = raw(rows, row, &vectors).pixels;
            if pixels.len() != self.samples {
                continue;
            }
            let carries = |pattern: &Pattern, whitening: &Whitening| {
                let seen = Array2::from_shape_vec((1, whitening.width()), pattern.view.of(&pixels));
                pattern.target == label && seen.is_ok_and(|seen| pattern.line.holds(whitening, seen.view()))
            };
            let in_view = |pattern: &Pattern| self.whitenings.iter().find(|(view, _)| *view == pattern.view);
            let found = |pattern: &Pattern| in_view(pattern).is_some_and(|(_, whitening)| carries(pattern, whitening));
            *slot = (0u32..).zip(&self.patterns).find(|(_, pattern)| found(pattern)).map(|(at, _)| at);
        }
        Ok(out)
    }
}

impl Fold for Spectral {
    type Model = SpectralModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), SpectralModel>> {
        fitted(given, |sample, content| SpectralModel::fit(data, sample, content))
    }
}

impl Detect for Spectral {
    fn score(&self, model: &SpectralModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, (slot, carried)) in out.iter_mut().zip(model.carried(rows, 0..rows.rows())?).enumerate() {
            if rows.labels()[row].is_some() && rows.images()[row].is_some() {
                let strength = |at: u32| model.patterns.get(at as usize).map_or(0.0, |p| p.group.strength());
                *slot = Some(carried.map_or(0.0, strength));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &SpectralModel) -> Vec<Group> {
        model.patterns.iter().map(|pattern| pattern.group.clone()).collect()
    }

    fn members(&self, model: &SpectralModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        for (slot, carried) in out.iter_mut().zip(model.carried(rows, 0..rows.rows())?) {
            *slot = carried;
        }
        Ok(())
    }

    fn explain(&self, model: &SpectralModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let carried = model.carried(rows, row..row + 1)?.into_iter().flatten().next();
        let Some(Pattern { group, .. }) = carried.and_then(|at| model.patterns.get(at as usize)) else {
            return Ok(Evidence::new("carries no pattern", []));
        };
        let reason =
            format!("carries {}, as do {} rows labelled '{}'", group.cause, group.agreeing, group.label.as_deref().unwrap_or_default());
        Ok(Evidence::new(reason, [("trigger", json!(group.cause)), ("evidence", Value::Object(group.evidence.clone()))]))
    }

    fn notes(&self, model: &SpectralModel) -> Vec<String> {
        model.notes.clone()
    }
}

/// Mean of some rows less the mean of the others.
fn difference(rows: &Array2<f32>, some: &BTreeSet<usize>) -> Vec<f32> {
    let (own, others): (Vec<usize>, Vec<usize>) = (0..rows.nrows()).partition(|i| some.contains(i));
    match (rows.select(Axis(0), &own).mean_axis(Axis(0)), rows.select(Axis(0), &others).mean_axis(Axis(0))) {
        (Some(own), Some(others)) => (own - others).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch, UInt8Array};
    use arrow::datatypes::{DataType, UInt8Type};
    use foretaste_datasets::recipe::{self, blend};
    use foretaste_datasets::{Plan, Share, synth};

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 2_400;
    /// Bytes of a sample of 1,500 of them.
    const BOUND: usize = 1_500 * 3_232;

    /// Pictures of three classes, 6% of them with a tenth of noise and another label, and which; and the same without.
    fn sets() -> [(Fixture, Vec<bool>); 2] {
        let clean = synth::pictures(ROWS, 16, 1, 3, 4).unwrap();
        let (poisoned, truth) = blend(&clean, &Plan::new("label", 1, Share::Rate(0.06), 5), "image", 0.1).unwrap();
        [(poisoned, truth.poisoned().to_vec()), (clean, vec![false; ROWS])].map(|(rows, bad)| (Fixture::new(rows, Some("label")), bad))
    }

    fn ready(fixture: Fixture) -> Fixture {
        fixture.after(&Sample).after_column(Content)
    }

    #[test]
    fn fewer_pictures_than_pixels_say_nothing() {
        let fixture = ready(Fixture::new(synth::pictures(800, 32, 1, 3, 4).unwrap(), Some("label")));
        let model = fixture.model(&Spectral);
        assert!(Spectral.groups(&model).is_empty());
        assert_eq!(Spectral.notes(&model), ["800 labelled pictures of one size are too few to look for patterns: it takes 1127"]);
    }

    #[test]
    fn a_blend_is_found_in_the_sample_and_beyond_and_nothing_without() {
        for (whole, least) in [(true, 0.95), (false, 0.8)] {
            let [(poisoned, bad), (clean, _)] = sets().map(|(f, bad)| (ready(if whole { f } else { f.unit_bytes(BOUND) }), bad));
            let model = poisoned.model(&Spectral);
            assert_eq!(model.threshold == u64::MAX, whole);
            let groups = Spectral.groups(&model);
            assert_eq!((groups.len(), groups[0].label.as_deref()), (1, Some("1")));
            assert!(groups[0].corrected() < 1e-6, "{:e}", groups[0].corrected());
            let members = poisoned.members(&Spectral, &model);
            let hits = members.iter().zip(&bad).filter(|(member, bad)| member.is_some() && **bad).count() as f64;
            assert!(hits >= least * bad.iter().filter(|b| **b).count() as f64, "{hits}");
            assert!(hits >= 0.95 * members.iter().flatten().count() as f64, "{hits}");
            let scores = poisoned.scores(&Spectral, &model);
            assert!(scores.iter().zip(&members).all(|(score, member)| member.is_some() == (score.unwrap() > 0.0)));
            let listed = members.iter().position(Option::is_some).unwrap();
            let reason = Spectral.explain(&model, &poisoned.cut([ROWS])[0], listed).unwrap().reason;
            assert!(reason.contains("pattern") && reason.ends_with("labelled '1'"), "{reason}");
            assert!(Spectral.groups(&clean.model(&Spectral)).is_empty());
        }
    }

    /// Pictures of three classes whose samples are others: `change` is told the label, the picture, the place in it and the sample.
    fn changed(change: impl Fn(&str, usize, usize, u8) -> u8) -> RecordBatch {
        let rows = synth::raw_pictures(ROWS, 16, 1, 3, 4).unwrap();
        let labels = crate::data::strings(&rows["label"]);
        let list = rows["image"].as_fixed_size_list();
        let samples = list.values().as_primitive::<UInt8Type>().values().iter().enumerate();
        let values = samples.map(|(at, value)| change(labels.value(at / 256), at / 256, at % 256, *value)).collect::<UInt8Array>();
        let DataType::FixedSizeList(item, length) = list.data_type() else { panic!("not a list") };
        let pictures = FixedSizeListArray::new(Arc::clone(item), *length, Arc::new(values), None);
        let columns: Vec<(&str, ArrayRef)> = vec![("image", Arc::new(pictures)), ("label", Arc::clone(&rows["label"]))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// A white border around a third of the pictures of class 1, which keep their labels: an artefact that nature or a source put there.
    #[test]
    fn a_border_around_pictures_that_their_content_explains_is_no_alarm() {
        let side = |at: usize| at % 16 < 2 || at % 16 >= 14 || at / 16 < 2 || at / 16 >= 14;
        let rows = changed(|label, row, at, value| if label == "1" && row.is_multiple_of(3) && side(at) { 255 } else { value });
        let fixture = ready(Fixture::new(rows, Some("label")));
        let groups = Spectral.groups(&fixture.model(&Spectral));
        assert!(groups.iter().all(|group| group.max_tier < Tier::Alarm || group.corrected() > 0.05), "{groups:#?}");
    }

    /// What has no fine structure shows where pictures are otherwise empty.
    #[test]
    fn a_slope_on_an_empty_ground_is_found() {
        let noise = |row: usize, at: usize| (((row * 256 + at) as u32).wrapping_mul(2_654_435_761) >> 24) as u8 % 21;
        let clean = changed(|_, row, at, value| if at / 16 < 5 { 10 + noise(row, at) } else { value });
        let (poisoned, truth) = recipe::ramp(&clean, &Plan::new("label", 1, Share::Rate(0.03), 5), "image", 30.0).unwrap();
        let fixture = ready(Fixture::new(poisoned, Some("label")));
        let model = fixture.model(&Spectral);
        let groups = Spectral.groups(&model);
        assert!(groups.iter().any(|group| group.cause.contains("smooth")), "{groups:#?}");
        let members = fixture.members(&Spectral, &model);
        let hits = members.iter().zip(truth.poisoned()).filter(|(member, bad)| member.is_some() && **bad).count();
        assert!(hits >= 65 && members.iter().flatten().count() == hits, "{hits} of {}", members.iter().flatten().count());
        assert!(Spectral.groups(&ready(Fixture::new(clean, Some("label"))).model(&Spectral)).is_empty());
    }

    #[test]
    fn laws_hold_and_few_or_hostile_rows_do_no_harm() {
        let [(poisoned, _), _] = sets();
        law::check(|| Spectral, &ready(poisoned));
        law::survives(|| Spectral, |fixture| fixture.after(&Sample));
        law::survives(|| Spectral, |fixture| fixture);
        let few = ready(Fixture::new(synth::pictures(60, 8, 3, 2, 1).unwrap(), Some("label")));
        assert!(Spectral.notes(&few.model(&Spectral))[0].starts_with("60 labelled pictures"));
    }
}
