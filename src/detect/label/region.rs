//! `label.region`: rows of one source, time, level or range whose labels contradict their content.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use arrow::array::Array;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, DAY, MONTH, Role, Schema, date, strings};
use crate::derive::{SampleModel, softmax};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::interval::{IntervalNull, IntervalParams};
use crate::stats::tail::binomial_sf;

use super::noise::most_likely;

/// Code of the unit whose column holds the logits.
const CONTENT: &str = "derive.content";
/// Hash domain of values.
const PART: u8 = 64;
/// Content that gives a class at least this probability is sure. Only rows of sure content are counted.
const SURE: f64 = 0.9;
/// Parts of a column that are followed: those with the smallest keyed hashes.
const MOST_PARTS: usize = 1_024;
/// Columns that are followed, in their order.
const MOST_COLUMNS: usize = 256;
/// Ranges of a numeric column, equally full.
const RANGES: usize = 8;
/// Expected contradictions are summed in units of this.
const UNITS: f64 = 1_048_576.0;
/// Fewest contradictions of a region.
const FEWEST: u64 = 10;
/// Least difference between the share of contradictions in the region and outside.
const LEAST_LIFT: f64 = 0.05;
/// Least background that is believed: hardly any set is without wrong labels.
const LEAST_BACKGROUND: f64 = 0.005;
/// Largest share of the sure rows that a region may hold.
const MOST_SUPPORT: f64 = 0.5;
/// Bytes of a part, estimated.
const PART_BYTES: usize = 256;
/// Longest value shown.
const LONGEST: usize = 200;
/// Positions shown of a cause.
const EXAMPLES: usize = 20;

#[doc = include_str!("region.md")]
pub struct Region;

static INFO: Info = Info {
    code: "label.region",
    family: Family::Label,
    summary: "one source, time, level or range of a column whose labels contradict content",
    needs: &[Need::Classes],
    after: &["derive.sample", CONTENT],
    reads: &[CONTENT],
    law: Law::Exact,
    version: 2,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Suspect,
    manual: include_str!("region.md"),
};

/// How a column is cut into parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Cut {
    /// By value.
    Values,
    /// By the first characters of a date: [`MONTH`] or [`DAY`].
    Dates(usize),
    /// By where these numbers begin.
    Ranges(Vec<f64>),
}

/// What is looked at: columns with their cuts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionBrief {
    columns: Vec<(usize, Cut)>,
    /// Cuts of columns that were left out for want of memory.
    left_out: usize,
}

/// Rows of sure content in one part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    rows: u64,
    contradicting: u64,
    /// Contradictions that content expects, in units.
    expected: u64,
    /// The part as people read it.
    name: String,
    /// First positions of contradictions, ascending.
    first: Vec<u64>,
}

impl Tally {
    fn add(&mut self, seen: &Seen) {
        self.rows = self.rows.saturating_add(1);
        self.expected = self.expected.saturating_add(seen.expected);
        if seen.contradicts {
            self.contradicting = self.contradicting.saturating_add(1);
            self.first.push(seen.position);
        }
        self.settle();
    }

    fn merge(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.contradicting = self.contradicting.saturating_add(other.contradicting);
        self.expected = self.expected.saturating_add(other.expected);
        self.first.extend(other.first);
        if self.name.is_empty() {
            self.name = other.name;
        }
        self.settle();
    }

    fn settle(&mut self) {
        if self.first.len() > EXAMPLES {
            self.first.sort_unstable();
            self.first.truncate(EXAMPLES);
        }
    }

    fn share(&self) -> f64 {
        self.contradicting as f64 / self.rows.max(1) as f64
    }
}

/// What a worker gathers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegionState {
    all: Tally,
    /// By place of the column in the brief: parts by hash.
    parts: Vec<BTreeMap<u64, Tally>>,
}

/// A region whose labels contradict content.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cause {
    /// Place of the column in the brief.
    at: usize,
    part: u64,
    column: String,
    tally: Tally,
    /// Share of contradictions outside.
    outside: f64,
    /// Largest share that is tolerated.
    null: f64,
    p: f64,
}

/// The regions in question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegionModel {
    brief: RegionBrief,
    causes: Vec<Cause>,
    tests: u64,
}

/// One row of sure content.
struct Seen {
    contradicts: bool,
    expected: u64,
    position: u64,
}

/// The rows of a block whose content is sure; `None` for the others.
fn seen(rows: &Batch) -> Vec<Option<Seen>> {
    let Some(logits) = rows.derived(CONTENT) else { return Vec::new() };
    let judge = |(row, (logits, label)): (usize, (ndarray::ArrayView1<'_, f32>, &Option<u32>))| {
        let label = (*label)?;
        if !logits.iter().all(|z| z.is_finite()) {
            return None;
        }
        let logits: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
        let (class, p) = most_likely(&softmax(&logits)).filter(|(_, p)| *p >= SURE)?;
        let expected = ((1.0 - p).max(0.0) * UNITS).round() as u64;
        Some(Seen { contradicts: class != label as usize, expected, position: rows.row_position(row) })
    };
    logits.outer_iter().zip(rows.labels()).enumerate().map(judge).collect()
}

/// The part of a column that each row is in: `None` for a null and for what cannot be cut.
fn parts(rows: &Batch, (column, cut): &(usize, Cut)) -> Vec<Option<u64>> {
    let hashed = |text: &str| {
        let mut hasher = rows.schema().key.hasher(PART);
        hasher.write_u64(*column as u64);
        hasher.part(text.as_bytes());
        hasher.finish64()
    };
    match cut {
        Cut::Values => strings(rows.record().column(*column)).iter().map(|text| text.map(hashed)).collect(),
        Cut::Dates(length) => {
            strings(rows.record().column(*column)).iter().map(|text| text.and_then(|text| date(text, *length)).map(hashed)).collect()
        }
        Cut::Ranges(cuts) => {
            let numeric = rows.schema().with_role(Role::Numeric);
            let Some(at) = numeric.iter().position(|numeric| numeric == column) else { return vec![None; rows.rows()] };
            let range = |value: f64| cuts.partition_point(|cut| *cut <= value) as u64;
            rows.numeric().column(at).iter().map(|value| (!value.is_nan()).then(|| range(*value))).collect()
        }
    }
}

/// A part as people read it, from the text of one of its rows.
fn name<'a>(cut: &Cut, part: u64, text: impl Fn() -> Option<&'a str>) -> String {
    match cut {
        Cut::Values => text().unwrap_or_default().chars().take(LONGEST).collect(),
        Cut::Dates(length) => text().and_then(|text| date(text, *length)).unwrap_or_default().to_owned(),
        Cut::Ranges(cuts) => {
            let part = part as usize;
            let low = part.checked_sub(1).and_then(|at| cuts.get(at)).map(|low| format!("from {low} "));
            let high = cuts.get(part).map(|high| format!("below {high}"));
            format!("{}{}", low.unwrap_or_default(), high.unwrap_or_default()).trim_end().to_owned()
        }
    }
}

/// Keeps the parts with the smallest hashes. A part that falls out of one state falls out of any that it is merged into.
fn bound(parts: &mut BTreeMap<u64, Tally>) {
    while parts.len() > MOST_PARTS {
        parts.pop_last();
    }
}

/// Where the ranges of each numeric column begin, in the order of the columns.
fn ranges(sample: &SampleModel, at: usize) -> Vec<f64> {
    let mut values: Vec<f32> = sample.rows.iter().filter_map(|row| row.numeric.get(at).copied()).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let mut cuts: Vec<f64> = (1..RANGES).filter_map(|r| values.get(r * values.len() / RANGES)).map(|v| f64::from(*v)).collect();
    cuts.dedup();
    cuts
}

fn null() -> Result<IntervalNull> {
    let usual = IntervalParams::default();
    let clip = (LEAST_BACKGROUND, usual.clip.1);
    IntervalNull::new(IntervalParams { min_purity: 0.0, relaxed_purity: 0.0, min_lift: LEAST_LIFT, max_support: 1.0, clip, ..usual })
}

impl RegionModel {
    fn new(data: &Schema, brief: RegionBrief, state: &RegionState) -> Result<Self> {
        let interval = null()?;
        let (mut causes, mut tests) = (Vec::new(), 0_u64);
        let expected = |tally: &Tally| tally.expected as f64 / UNITS;
        for (at, parts) in state.parts.iter().enumerate() {
            for (part, tally) in parts.iter().filter(|(_, tally)| tally.rows >= FEWEST) {
                tests += 1;
                if tally.contradicting < FEWEST || tally.rows as f64 > MOST_SUPPORT * state.all.rows as f64 {
                    continue;
                }
                let rest = state.all.rows.saturating_sub(tally.rows);
                let outside = state.all.contradicting.saturating_sub(tally.contradicting) as f64;
                // Content is off by as much outside: that is not this region's doing.
                let few = FEWEST as f64;
                let off = (outside + few) / ((expected(&state.all) - expected(tally)).max(0.0) + few);
                let outside = outside / rest.max(1) as f64;
                let background = (off * expected(tally) / tally.rows as f64).max(outside).min(1.0);
                let null = interval.null_rate(background);
                if tally.share() - background < LEAST_LIFT {
                    continue;
                }
                let p = binomial_sf(tally.contradicting, tally.rows, null);
                let column = brief.columns.get(at).and_then(|(column, _)| data.columns.get(*column));
                let column = column.map_or_else(String::new, |column| column.name.clone());
                causes.push(Cause { at, part: *part, column, tally: tally.clone(), outside, null, p });
            }
        }
        causes.retain(|cause| cause.p * tests as f64 <= 0.5);
        causes.sort_by(|a, b| a.p.total_cmp(&b.p).then((a.at, a.part).cmp(&(b.at, b.part))));
        Ok(Self { brief, causes, tests })
    }

    /// For each row, the first cause that it belongs to: it is in the region and contradicts content.
    fn of_rows(&self, rows: &Batch) -> Vec<Option<usize>> {
        let mut out = vec![None; rows.rows()];
        if self.causes.is_empty() {
            return out;
        }
        let seen = seen(rows);
        let mut columns: BTreeMap<usize, Vec<Option<u64>>> = BTreeMap::new();
        for (index, cause) in self.causes.iter().enumerate() {
            let Some(column) = self.brief.columns.get(cause.at) else { continue };
            let parts = columns.entry(cause.at).or_insert_with(|| parts(rows, column));
            for ((slot, seen), part) in out.iter_mut().zip(&seen).zip(parts) {
                let inside = *part == Some(cause.part);
                if slot.is_none() && inside && seen.as_ref().is_some_and(|seen| seen.contradicts) {
                    *slot = Some(index);
                }
            }
        }
        out
    }
}

impl Fold for Region {
    type Brief = RegionBrief;
    type State = RegionState;
    type Model = RegionModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<RegionBrief, RegionModel>> {
        let mut columns: Vec<(usize, Cut)> = data.with_role(Role::Source).into_iter().map(|column| (column, Cut::Values)).collect();
        for column in data.with_role(Role::Time) {
            columns.extend([(column, Cut::Dates(MONTH)), (column, Cut::Dates(DAY))]);
        }
        columns.extend(data.with_role(Role::Categorical).into_iter().map(|column| (column, Cut::Values)));
        if let Some(sample) = given.model::<SampleModel>("derive.sample") {
            let numeric = data.with_role(Role::Numeric).into_iter().enumerate();
            columns.extend(numeric.map(|(at, column)| (column, Cut::Ranges(ranges(sample, at)))));
        }
        let most = (data.unit_bytes / (PART_BYTES * MOST_PARTS)).min(MOST_COLUMNS);
        let left_out = columns.len().saturating_sub(most);
        columns.truncate(most);
        let brief = RegionBrief { columns, left_out };
        if brief.columns.is_empty() {
            return Ok(Step::Done(RegionModel { brief, causes: Vec::new(), tests: 0 }));
        }
        Ok(Step::Scan(brief))
    }

    fn open(&self, brief: &RegionBrief) -> RegionState {
        RegionState { all: Tally::default(), parts: vec![BTreeMap::new(); brief.columns.len()] }
    }

    fn observe(&self, brief: &RegionBrief, state: &mut RegionState, rows: &Batch) -> Result<()> {
        let seen = seen(rows);
        seen.iter().flatten().for_each(|seen| state.all.add(seen));
        for (column, tallies) in brief.columns.iter().zip(&mut state.parts) {
            let texts = LazyCell::new(|| strings(rows.record().column(column.0)));
            for (row, (seen, part)) in seen.iter().zip(parts(rows, column)).enumerate() {
                let Some((seen, part)) = seen.as_ref().zip(part) else { continue };
                let text = || texts.is_valid(row).then(|| texts.value(row));
                let new = || Tally { name: name(&column.1, part, text), ..Tally::default() };
                tallies.entry(part).or_insert_with(new).add(seen);
            }
            bound(tallies);
        }
        Ok(())
    }

    fn merge(&self, _: &RegionBrief, into: &mut RegionState, from: RegionState) -> Result<()> {
        into.all.merge(from.all);
        for (into, from) in into.parts.iter_mut().zip(from.parts) {
            for (part, tally) in from {
                into.entry(part).or_default().merge(tally);
            }
            bound(into);
        }
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, brief: RegionBrief, mut state: RegionState) -> Result<Step<RegionBrief, RegionModel>> {
        for tally in state.parts.iter_mut().flat_map(BTreeMap::values_mut) {
            tally.first.sort_unstable();
        }
        RegionModel::new(data, brief, &state).map(Step::Done)
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        data.unit_bytes
    }
}

impl Detect for Region {
    fn score(&self, model: &RegionModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        // Without a region there is no opinion; with one, rows outside are as good as any.
        if !model.causes.is_empty() {
            let member = model.of_rows(rows);
            for ((slot, cause), seen) in out.iter_mut().zip(member).zip(seen(rows)) {
                let excess = |cause: &Cause| (1.0 - cause.outside / cause.tally.share().max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
                *slot = seen.map(|_| cause.and_then(|cause| model.causes.get(cause)).map_or(0.0, excess));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &RegionModel) -> Vec<Group> {
        let group = |cause: &Cause| {
            let Cause { column, tally, outside, .. } = cause;
            let region = format!("{column} {}", tally.name);
            let evidence = json!({
                "column": column, "part": tally.name, "sure_rows": tally.rows, "share_outside": outside, "tolerated_share": null,
            });
            Group {
                title: format!(
                    "{} of {} labels with {region} contradict content that is sure; elsewhere {:.1} %",
                    tally.contradicting,
                    tally.rows,
                    100.0 * outside
                ),
                cause: format!("labels with {region}"),
                attack_class: "label_flip".to_owned(),
                rows: tally.contradicting,
                agreeing: tally.contradicting,
                label: None,
                background: Some(*outside),
                statistic: "share of sure rows that contradict".to_owned(),
                value: tally.share(),
                p: cause.p,
                tests: model.tests,
                max_tier: Tier::Suspect,
                examples: tally.first.clone(),
                evidence: evidence.as_object().cloned().unwrap_or_default(),
            }
        };
        model.causes.iter().map(group).collect()
    }

    fn members(&self, model: &RegionModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        for (slot, cause) in out.iter_mut().zip(model.of_rows(rows)) {
            *slot = cause.map(|cause| cause as u32);
        }
        Ok(())
    }

    fn explain(&self, model: &RegionModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let cause = model.of_rows(rows).get(row).copied().flatten().and_then(|cause| model.causes.get(cause));
        let Some(cause) = cause else {
            return Err(Error::Detector { code: INFO.code, reason: "a row of no region cannot be explained".to_owned() });
        };
        let reason = format!(
            "contradicts content, as do {:.0} % of the rows with {} {} (elsewhere {:.1} %)",
            100.0 * cause.tally.share(),
            cause.column,
            cause.tally.name,
            100.0 * cause.outside
        );
        Ok(Evidence::new(reason, [("column", json!(cause.column)), ("part", json!(cause.tally.name))]))
    }

    fn notes(&self, model: &RegionModel) -> Vec<String> {
        let left_out = model.brief.left_out;
        if left_out > 0 { vec![format!("{left_out} columns were not looked at for want of memory")] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use arrow::record_batch::RecordBatch;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{Fixture, check, survives};

    const ROWS: usize = 2_400;

    /// Three classes by two numbers, 1 % of labels wrong everywhere; labels for which `flips` holds (source, day, row) are moved.
    fn rows(seed: u64, noise: f64, flips: impl Fn(usize, usize, usize) -> bool) -> (RecordBatch, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut x, mut y, mut labels, mut sources, mut times, mut wrong) = (vec![], vec![], vec![], vec![], vec![], vec![]);
        for row in 0..ROWS {
            let (class, source, day) = (rng.random_range(0..3_usize), rng.random_range(0..12), rng.random_range(1..20));
            let mut near = || rng.random::<f64>() + rng.random::<f64>() - 1.0;
            x.push(4.0 * class as f64 + near());
            y.push(if class == 1 { 3.0 } else { 0.0 } + near());
            let flip = flips(source, day, row);
            let moved = flip || rng.random::<f64>() < noise;
            labels.push(format!("c{}", if moved { (class + 1) % 3 } else { class }));
            sources.push(format!("a{source}"));
            times.push(format!("2026-03-{day:02}T12:00:00"));
            wrong.push(flip);
        }
        let strings = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        let columns: [(&str, ArrayRef); 5] = [
            ("x", Arc::new(Float64Array::from(x))),
            ("y", Arc::new(Float64Array::from(y))),
            ("source", strings(sources)),
            ("time", strings(times)),
            ("label", strings(labels)),
        ];
        (RecordBatch::try_from_iter(columns).unwrap(), wrong)
    }

    fn prepared(fixture: Fixture) -> Fixture {
        fixture.after(&Sample).after_column(Content)
    }

    fn judged(batch: RecordBatch) -> (Vec<Group>, Vec<Option<u32>>) {
        let fixture = prepared(Fixture::new(batch, Some("label")));
        let model = fixture.model(&Region);
        (Region.groups(&model), fixture.members(&Region, &model))
    }

    #[test]
    fn a_source_is_named_and_its_clean_twin_is_not() {
        for seed in 0..4 {
            let (batch, wrong) = rows(seed, 0.01, |source, _, row| source == 3 && row % 2 == 0);
            let (groups, members) = judged(batch);
            assert_eq!(groups[0].cause, "labels with source a3", "{groups:?}");
            assert!(groups[0].p * (groups[0].tests as f64) < 1e-6 && groups[0].max_tier == Tier::Suspect);
            let found = members.iter().zip(&wrong).filter(|(member, wrong)| member.is_some() && **wrong).count();
            let (planted, listed) = (wrong.iter().filter(|w| **w).count(), members.iter().flatten().count());
            assert!(found * 10 >= planted * 8 && found * 10 >= listed * 9, "{found} of {planted}, {listed} listed");
            for noise in [0.01, 0.15] {
                // Noise that is everywhere is nobody's.
                assert!(judged(rows(seed, noise, |_, _, _| false).0).0.is_empty(), "seed {seed}, noise {noise}");
            }
        }
    }

    #[test]
    fn a_day_is_named() {
        let (batch, _) = rows(7, 0.01, |_, day, row| day == 5 && row % 2 == 0);
        let (groups, _) = judged(batch);
        assert_eq!(groups[0].cause, "labels with time 2026-03-05", "{groups:?}");
    }

    #[test]
    fn obeys_the_laws() {
        let (batch, _) = rows(1, 0.01, |source, _, row| source == 3 && row % 2 == 0);
        check(|| Region, &prepared(Fixture::new(batch.slice(0, 1_200), Some("label"))));
        survives(|| Region, |fixture| fixture.after(&Sample));
    }
}
