//! `outlier.conformal`: rows that lie farther out than those of a trusted reference.

mod ensemble;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::shorten;
use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;
use crate::stats::conformal::{Excess, excess};

use ensemble::{ASKED, CODES, Ensemble, Scores};

/// Largest expected share of sound rows among those that lie beyond a cut.
const RATE: f64 = 0.1;
/// Most distinct rows of the data, and of the half of the reference that is held back, that the test looks at.
const MOST_ROWS: usize = 32_768;
/// Fewest distinct rows of a reference.
const FEWEST_ROWS: usize = 100;
/// Larger than any p-value that says anything.
const TELLING: f64 = 0.01;

#[doc = include_str!("../conformal.md")]
pub struct Conformal;

static INFO: Info = Info {
    code: "outlier.conformal",
    family: Family::Outlier,
    summary: "rows farther out than those of a trusted reference",
    needs: &[Need::Reference],
    after: &["derive.reference"],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("../conformal.md"),
};

/// What is asked of the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConformalBrief {
    ensemble: Ensemble,
    stage: Stage,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stage {
    /// Scores of the reference's rows with these keys, ascending.
    Calibrate(Vec<u64>),
    /// Scores of the data's rows.
    Judge(Vec<(Scores, u64)>),
    /// Rows beyond the cuts.
    Count(Vec<(Scores, u64)>, Box<Found>),
}

/// What the rows said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConformalState {
    scores: BottomK<Scores>,
    beyond: u64,
    examples: Vec<u64>,
}

/// The cuts that have an excess.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Found {
    /// A cut for each detector; infinite where it has none.
    cuts: [f64; ASKED],
    /// The best of them.
    by: usize,
    of_reference: u64,
    share: f64,
    ln_p: f64,
    tests: u64,
}

/// Sound rows, and what lies beyond them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConformalModel {
    ensemble: Ensemble,
    /// Sound rows that nothing was fitted on.
    held: Held,
    found: Option<(Found, u64, Vec<u64>)>,
    note: Option<String>,
}

/// Rows of the reference that nothing was fitted on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Held {
    rows: u64,
    /// For each detector its scores of them, ascending, each with the rows that score as high.
    ranks: Vec<Vec<(f64, u64)>>,
}

impl Held {
    fn new(scores: &[(Scores, u64)]) -> Self {
        let rank = |by: usize| {
            let own = scores.iter().filter_map(|(scores, count)| Some((*scores.get(by)?, *count)));
            let mut sorted: Vec<(f64, u64)> = own.filter(|(score, _)| !score.is_nan()).collect();
            sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            let mut rows = 0;
            for (_, count) in &mut sorted {
                rows += *count;
                *count = rows;
            }
            sorted.reverse();
            sorted
        };
        Self { rows: scores.iter().map(|(_, count)| count).sum(), ranks: (0..ASKED).map(rank).collect() }
    }

    /// Conformal p-value of a score.
    fn p(&self, by: usize, score: f64) -> f64 {
        let ranks = self.ranks.get(by).map_or(&[][..], Vec::as_slice);
        let above = ranks.get(ranks.partition_point(|(theirs, _)| *theirs < score)).map_or(0, |(_, rows)| *rows);
        (above + 1) as f64 / (self.rows + 1) as f64
    }
}

impl ConformalModel {
    fn silent(ensemble: Ensemble, held: Held, note: Option<String>) -> Self {
        Self { ensemble, held, found: None, note }
    }

    /// The first detector that a row lies beyond the cut of.
    fn beyond(&self, scores: &Scores) -> Option<usize> {
        self.found.as_ref().and_then(|(found, ..)| found.beyond(scores))
    }
}

impl Found {
    fn new(calibration: &[(Scores, u64)], data: &[(Scores, u64)]) -> Option<Self> {
        let of = |rows: &[(Scores, u64)], by: usize| -> Vec<(f64, u64)> {
            rows.iter().filter_map(|(scores, count)| Some((*scores.get(by)?, *count))).collect()
        };
        // A detector has something to say where its excess is significant, whatever it would list; those that do share the rate,
        // so that their lists together keep it.
        let with_rate = |by: usize, rate: f64| excess(&of(calibration, by), &of(data, by), rate);
        let corrected = |excess: &Excess| excess.ln_p + ((ASKED as u64 * excess.tests) as f64).ln();
        let telling: Vec<usize> =
            (0..ASKED).filter(|&by| with_rate(by, f64::INFINITY).is_some_and(|excess| corrected(&excess) < TELLING.ln())).collect();
        let rate = RATE / telling.len().max(1) as f64;
        let telling: Vec<(usize, Excess)> = telling.into_iter().filter_map(|by| Some((by, with_rate(by, rate)?))).collect();
        let (by, best) = telling.iter().min_by(|a, b| a.1.ln_p.total_cmp(&b.1.ln_p)).copied()?;
        let mut cuts = [f64::INFINITY; ASKED];
        for (by, excess) in &telling {
            if let Some(cut) = cuts.get_mut(*by) {
                *cut = excess.cut;
            }
        }
        let tests = ASKED as u64 * best.tests;
        Some(Self { cuts, by, of_reference: best.of_reference, share: best.share, ln_p: best.ln_p, tests })
    }

    fn beyond(&self, scores: &Scores) -> Option<usize> {
        self.cuts.iter().zip(scores).position(|(cut, score)| score > cut)
    }
}

/// The rows of a sample with even or odd rank of their keys, which are hashes: a random half.
fn half(sample: &SampleModel, odd: bool) -> SampleModel {
    let kept: Vec<usize> = (0..sample.rows.len()).filter(|i| (i % 2 == 1) == odd).collect();
    SampleModel {
        keys: kept.iter().filter_map(|&i| sample.keys.get(i).copied()).collect(),
        rows: kept.iter().filter_map(|&i| sample.rows.get(i).cloned()).collect(),
        counts: kept.iter().filter_map(|&i| sample.counts.get(i).copied()).collect(),
        threshold: sample.threshold,
    }
}

fn scored(sample: &BottomK<Scores>) -> Vec<(Scores, u64)> {
    sample.iter().map(|(_, count, scores)| (*scores, count)).collect()
}

impl Fold for Conformal {
    type Brief = ConformalBrief;
    type State = ConformalState;
    type Model = ConformalModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<ConformalBrief, ConformalModel>> {
        let missing = || Error::Detector { code: INFO.code, reason: "there is no reference to compare with".to_owned() };
        let reference: &SampleModel = given.model("derive.reference").ok_or_else(missing)?;
        let rows = reference.rows.len();
        let (learnt, held) = (half(reference, false), half(reference, true));
        let none = |ensemble, note: String| Ok(Step::Done(ConformalModel::silent(ensemble, Held::default(), Some(note))));
        if rows < FEWEST_ROWS {
            let empty = Ensemble::fit(data, SampleModel { keys: Vec::new(), rows: Vec::new(), counts: Vec::new(), threshold: 0 });
            return none(empty, format!("the reference has {rows} distinct rows, fewer than the {FEWEST_ROWS} that say what is usual"));
        }
        let ensemble = Ensemble::fit(data, learnt);
        if ensemble.is_empty() {
            return none(ensemble, "there is no table and no embedding to look at".to_owned());
        }
        Ok(Step::Reference(ConformalBrief { ensemble, stage: Stage::Calibrate(held.keys) }))
    }

    fn open(&self, _: &ConformalBrief) -> ConformalState {
        ConformalState { scores: BottomK::new(MOST_ROWS), beyond: 0, examples: Vec::new() }
    }

    fn observe(&self, brief: &ConformalBrief, state: &mut ConformalState, rows: &Batch) -> Result<()> {
        for (row, (scores, key)) in brief.ensemble.scores(rows)?.into_iter().zip(rows.keys()).enumerate() {
            match &brief.stage {
                Stage::Calibrate(keys) if keys.binary_search(key).is_err() => {}
                Stage::Calibrate(_) | Stage::Judge(_) => {
                    state.scores.insert(*key, scores);
                }
                Stage::Count(_, found) => {
                    if found.beyond(&scores).is_some() {
                        state.beyond += 1;
                        state.examples.push(rows.row_position(row));
                    }
                }
            }
        }
        shorten(&mut state.examples);
        Ok(())
    }

    fn merge(&self, _: &ConformalBrief, into: &mut ConformalState, from: ConformalState) -> Result<()> {
        into.scores.merge(from.scores);
        into.beyond += from.beyond;
        into.examples.extend(from.examples);
        shorten(&mut into.examples);
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, brief: ConformalBrief, state: ConformalState) -> Result<Step<ConformalBrief, ConformalModel>> {
        let ensemble = brief.ensemble;
        Ok(match brief.stage {
            Stage::Calibrate(_) => Step::Scan(ConformalBrief { ensemble, stage: Stage::Judge(scored(&state.scores)) }),
            Stage::Judge(calibration) => match Found::new(&calibration, &scored(&state.scores)) {
                Some(found) => Step::Scan(ConformalBrief { ensemble, stage: Stage::Count(calibration, Box::new(found)) }),
                None => Step::Done(ConformalModel::silent(ensemble, Held::new(&calibration), None)),
            },
            Stage::Count(calibration, found) => {
                let found = Some((*found, state.beyond, state.examples));
                Step::Done(ConformalModel { ensemble, held: Held::new(&calibration), found, note: None })
            }
        })
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        MOST_ROWS.min(data.rows.max(1) as usize) * (16 + 8 * ASKED + 48)
    }
}

impl Detect for Conformal {
    fn score(&self, model: &ConformalModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        if model.held.rows == 0 {
            return Ok(());
        }
        for (slot, scores) in out.iter_mut().zip(model.ensemble.scores(rows)?) {
            let judged = scores.iter().enumerate().filter(|(_, score)| !score.is_nan());
            *slot = judged.map(|(by, score)| -model.held.p(by, *score).ln()).reduce(f64::max);
        }
        Ok(())
    }

    fn groups(&self, model: &ConformalModel) -> Vec<Group> {
        let Some((found, rows, examples)) = &model.found else { return Vec::new() };
        let sound = model.held.rows;
        let by = CODES.get(found.by).copied().unwrap_or_default();
        let among = match found.of_reference {
            0 => format!("than all {sound} rows held back of the reference"),
            few => format!("than all but {few} of {sound} rows held back of the reference"),
        };
        vec![Group {
            title: format!("{rows} rows lie farther out {among}"),
            cause: "rows beyond the reference".to_owned(),
            attack_class: "availability_poisoning".to_owned(),
            rows: *rows,
            agreeing: *rows,
            label: None,
            background: Some(found.share.min(1.0)),
            statistic: "conformal excess".to_owned(),
            value: -found.ln_p,
            p: found.ln_p.exp().clamp(0.0, 1.0),
            tests: found.tests,
            max_tier: Tier::Alarm,
            examples: examples.clone(),
            evidence: [("detector".to_owned(), json!(by)), ("expected_wrong_share".to_owned(), json!(found.share))].into_iter().collect(),
        }]
    }

    fn members(&self, model: &ConformalModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if model.found.is_some() {
            for (slot, scores) in out.iter_mut().zip(model.ensemble.scores(rows)?) {
                *slot = model.beyond(&scores).map(|_| 0);
            }
        }
        Ok(())
    }

    fn explain(&self, model: &ConformalModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let scores = model.ensemble.scores(rows)?.get(row).copied();
        let by = scores.and_then(|scores| Some((scores, model.beyond(&scores)?)));
        let (scores, by) = by.ok_or_else(|| Error::Detector { code: INFO.code, reason: "the row does not lie beyond".to_owned() })?;
        let p = model.held.p(by, scores.get(by).copied().unwrap_or(f64::NAN));
        let inner = model.ensemble.explain(by, rows, row).map_or_else(|| "far from the reference".to_owned(), |evidence| evidence.reason);
        let detector = CODES.get(by).copied().unwrap_or_default();
        let reason = format!("beyond the reference (p {}): {inner}", super::short(p));
        Ok(Evidence::new(reason, [("p", json!(p)), ("detector", json!(detector))]))
    }

    fn notes(&self, model: &ConformalModel) -> Vec<String> {
        let sound = model.held.rows;
        let held = (sound > 0).then(|| {
            format!("{sound} rows of the reference were held back; no p-value is below {}", super::short(1.0 / (sound + 1) as f64))
        });
        model.note.iter().cloned().chain(held).collect()
    }
}

#[cfg(test)]
mod tests;
