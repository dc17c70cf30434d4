//! `drift.joint`: rows that a classifier tells from those of a trusted reference.

mod features;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sample;
use crate::data::{Batch, Schema};
use crate::derive::{SampleModel, SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::conformal::excess;
use crate::stats::ridge::Ridge;
use crate::stats::two_sample::mann_whitney;

use features::Features;

/// Most rows of each side.
const MOST_ROWS: usize = 8_192;
/// Fewest rows of each half of each side.
const FEWEST: usize = 50;
/// Penalty of the classifier; rows of features have about unit length.
const PENALTY: f64 = 1.0;
/// Smallest area under the curve that is worth a word; it is ½ where nothing differs.
const LEAST_AREA: f64 = 0.53;
/// Largest expected share of rows like the reference's among those listed.
const RATE: f64 = 0.1;
/// Share of the rows from which the whole set differs, not some rows.
const MOST_LISTED: f64 = 0.2;
/// Positions named.
const EXAMPLES: usize = 20;
/// Larger than any p-value that says anything.
const TELLING: f64 = 0.01;

#[doc = include_str!("joint.md")]
pub struct Joint;

static INFO: Info = Info {
    code: "drift.joint",
    family: Family::Drift,
    summary: "rows that a classifier tells from those of a trusted reference",
    needs: &[Need::Reference, Need::Content],
    after: &["derive.reference", "derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Suspect,
    manual: include_str!("joint.md"),
};

/// Tells the two sides apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Judge {
    features: Features,
    /// One fitted on each half of the rows; it judges the other half.
    halves: Vec<Ridge>,
    /// A cut for each half, infinite where it has none.
    cuts: [f64; 2],
    area: f64,
    p: f64,
}

/// The rows most unlike the reference.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JointState {
    beyond: u64,
    /// (score, position) of the highest.
    highest: Vec<(f64, u64)>,
}

/// The classifier, and what it finds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JointModel {
    judge: Option<Judge>,
    seen: JointState,
    note: String,
}

/// Which half a row belongs to; equal rows of both sides belong to the same.
fn half(key: u64) -> usize {
    (key.count_ones() % 2) as usize
}

/// Rows of a sample as often as they occur, evenly thinned to [`MOST_ROWS`], each with its half. Distinct rows alone would not
/// do: a larger set has more rare ones.
fn thinned(sample: &SampleModel) -> Vec<(usize, &SampleRow)> {
    let total: u64 = sample.counts.iter().sum();
    let scale = (MOST_ROWS as f64 / total.max(1) as f64).min(1.0);
    let (mut passed, mut out) = (0_u64, Vec::new());
    for ((row, key), count) in sample.rows.iter().zip(&sample.keys).zip(&sample.counts) {
        let before = (passed as f64 * scale).floor();
        passed = passed.saturating_add(*count);
        let copies = ((passed as f64 * scale).floor() - before) as usize;
        out.extend(std::iter::repeat_n((half(*key), row), copies.min(MOST_ROWS)));
    }
    out
}

impl Judge {
    fn fit(data: &Schema, here: &SampleModel, there: &SampleModel) -> Result<Option<Self>> {
        let (here_rows, there_rows) = (thinned(here), thinned(there));
        let sides: Vec<[Vec<&SampleRow>; 2]> = (0..2)
            .map(|of| [&here_rows, &there_rows].map(|rows| rows.iter().filter(|(half, _)| *half == of).map(|(_, row)| *row).collect()))
            .collect();
        if sides.iter().flatten().any(|side| side.len() < FEWEST) {
            return Ok(None);
        }
        let all: Vec<&SampleRow> = sides.iter().flatten().flatten().copied().collect();
        let features = Features::fit(&all, data.key.seed())?;
        let mut halves = Vec::new();
        for [ours, theirs] in &sides {
            let both: Vec<&SampleRow> = ours.iter().chain(theirs).copied().collect();
            // Both sides weigh the same, however many rows they have.
            let (high, low) = (both.len() as f32 / (2 * ours.len()) as f32, both.len() as f32 / (2 * theirs.len()) as f32);
            let targets = Array2::from_shape_fn((both.len(), 1), |(i, _)| if i < ours.len() { high } else { -low });
            halves.push(Ridge::fit(&features.map(&both)?, targets.view(), PENALTY)?);
        }
        let mut judge = Self { features, halves, cuts: [f64::INFINITY; 2], area: 0.0, p: 1.0 };
        let mut areas = Vec::new();
        for (h, [ours, theirs]) in sides.iter().enumerate() {
            let (ours, theirs) = (judge.judged(ours, h)?, judge.judged(theirs, h)?);
            let difference = mann_whitney(&ours, &theirs);
            areas.push(difference.effect);
            judge.p = judge.p.min(2.0 * difference.p);
            let once = |scores: &[f64]| scores.iter().map(|score| (*score, 1)).collect::<Vec<(f64, u64)>>();
            if let Some(found) = excess(&once(&theirs), &once(&ours), RATE)
                && let Some(cut) = judge.cuts.get_mut(h)
                && found.ln_p + (found.tests as f64).ln() < TELLING.ln()
                && found.beyond as f64 <= MOST_LISTED * ours.len() as f64
            {
                *cut = found.cut;
            }
        }
        judge.area = 0.5 * areas.iter().sum::<f64>();
        Ok(Some(judge))
    }

    /// Scores of rows of one half, by the model of the other.
    fn judged(&self, rows: &[&SampleRow], half: usize) -> Result<Vec<f64>> {
        let model =
            self.halves.get(1 - half.min(1)).ok_or_else(|| Error::Detector { code: INFO.code, reason: "lost a half".to_owned() })?;
        Ok(model.predict(&self.features.map(rows)?)?.column(0).iter().map(|score| f64::from(*score)).collect())
    }

    /// Score of each row of a block, and its half.
    fn of_block(&self, rows: &Batch) -> Result<Vec<(f64, usize)>> {
        let vectors = Vectors::of(rows)?;
        let all: Vec<SampleRow> = (0..rows.rows()).map(|row| raw(rows, row, &vectors)).collect();
        let mut out = vec![(f64::NAN, 0); all.len()];
        for h in 0..2 {
            let which: Vec<usize> = (0..all.len()).filter(|&i| rows.keys().get(i).is_some_and(|key| half(*key) == h)).collect();
            let mine: Vec<&SampleRow> = which.iter().filter_map(|&i| all.get(i)).collect();
            for (i, score) in which.into_iter().zip(self.judged(&mine, h)?) {
                if let Some(slot) = out.get_mut(i) {
                    *slot = (score, h);
                }
            }
        }
        Ok(out)
    }

    fn is_beyond(&self, score: f64, half: usize) -> bool {
        self.cuts.get(half).is_some_and(|cut| score > *cut)
    }

    fn differs(&self) -> bool {
        self.area >= LEAST_AREA && self.p < TELLING
    }
}

impl Fold for Joint {
    type Brief = JointModel;
    type State = JointState;
    type Model = JointModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<JointModel, JointModel>> {
        let (here, there) = (sample(given, "derive.sample", INFO.code)?, sample(given, "derive.reference", INFO.code)?);
        let judge = Judge::fit(data, here, there)?;
        let note = match &judge {
            Some(judge) => {
                format!("a classifier tells rows here from rows of the reference with an area under the curve of {:.3}", judge.area)
            }
            None => format!("too few rows to compare: {} here, {} in the reference", here.rows.len(), there.rows.len()),
        };
        let differs = judge.as_ref().is_some_and(Judge::differs);
        let model = JointModel { judge, seen: JointState::default(), note };
        Ok(if differs { Step::Scan(model) } else { Step::Done(model) })
    }

    fn open(&self, _: &JointModel) -> JointState {
        JointState::default()
    }

    fn observe(&self, brief: &JointModel, state: &mut JointState, rows: &Batch) -> Result<()> {
        let Some(judge) = &brief.judge else { return Ok(()) };
        for (row, (score, half)) in judge.of_block(rows)?.into_iter().enumerate() {
            state.beyond += u64::from(judge.is_beyond(score, half));
            state.highest.push((score, rows.row_position(row)));
        }
        shorten(&mut state.highest);
        Ok(())
    }

    fn merge(&self, _: &JointModel, into: &mut JointState, from: JointState) -> Result<()> {
        into.beyond += from.beyond;
        into.highest.extend(from.highest);
        shorten(&mut into.highest);
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, brief: JointModel, state: JointState) -> Result<Step<JointModel, JointModel>> {
        Ok(Step::Done(JointModel { seen: state, ..brief }))
    }

    fn max_bytes(&self, _: &Schema) -> usize {
        EXAMPLES * 32
    }
}

/// Keeps the highest scores.
fn shorten(highest: &mut Vec<(f64, u64)>) {
    highest.retain(|(score, _)| score.is_finite());
    highest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    highest.truncate(EXAMPLES);
}

impl Detect for Joint {
    fn score(&self, model: &JointModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        if let Some(judge) = &model.judge {
            for (slot, (score, _)) in out.iter_mut().zip(judge.of_block(rows)?) {
                // Targets average 0, and are ±1 for sides of one size.
                *slot = Some((score + 1.0).max(0.0)).filter(|score| score.is_finite());
            }
        }
        Ok(())
    }

    fn groups(&self, model: &JointModel) -> Vec<Group> {
        let Some(judge) = model.judge.as_ref().filter(|judge| judge.differs()) else { return Vec::new() };
        let which = match model.seen.beyond {
            0 => "no few rows carry the difference".to_owned(),
            rows => format!("{rows} rows carry most of the difference"),
        };
        vec![Group {
            title: format!("rows differ from the reference taken together (area under the curve {:.2}); {which}", judge.area),
            cause: "joint distribution".to_owned(),
            attack_class: "distribution_shift".to_owned(),
            rows: model.seen.beyond,
            agreeing: 0,
            label: None,
            background: None,
            statistic: "area under the curve of a classifier".to_owned(),
            value: judge.area,
            p: judge.p.clamp(0.0, 1.0),
            tests: 1,
            max_tier: Tier::Suspect,
            examples: model.seen.highest.iter().map(|(_, row)| *row).collect(),
            evidence: [("area_under_curve".to_owned(), json!(judge.area))].into_iter().collect(),
        }]
    }

    fn members(&self, model: &JointModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if let Some(judge) = model.judge.as_ref().filter(|judge| judge.differs() && model.seen.beyond > 0) {
            for (slot, (score, half)) in out.iter_mut().zip(judge.of_block(rows)?) {
                *slot = judge.is_beyond(score, half).then_some(0);
            }
        }
        Ok(())
    }

    fn explain(&self, model: &JointModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let judge = model.judge.as_ref().ok_or_else(|| Error::Detector { code: INFO.code, reason: "nothing was compared".to_owned() })?;
        let score = judge.of_block(rows)?.get(row).map_or(f64::NAN, |(score, _)| *score);
        Ok(Evidence::new(
            "unlike the reference: hardly a row of the reference looks as much like the rest of this set",
            [("score", json!(score)), ("area_under_curve", json!(judge.area))],
        ))
    }

    fn notes(&self, model: &JointModel) -> Vec<String> {
        vec![model.note.clone()]
    }
}
