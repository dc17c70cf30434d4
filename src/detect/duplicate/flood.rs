//! `duplicate.flood`: near-copies of a text that share a label which its content contradicts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::near::{Outline, outline};
use crate::data::{Batch, Role, Schema, strings};
use crate::derive::{ContentModel, SampleModel, SampleRow, Vectors, raw};
use crate::detect::trigger::{WORTH_KEEPING, backgrounds};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::{Counter, DEPTH};
use crate::stats::interval::{IntervalNull, IntervalParams};

/// Fewest rows of a flood.
const FEWEST: u32 = 6;
/// Rows kept of each band to find a cluster's centre.
const SEEN: usize = 8;
/// Estimate of a band's bytes.
const BAND_BYTES: usize = SEEN * (8 * 128 + 64) + 128;
/// Most clusters.
const MOST_CLUSTERS: usize = 4_096;
/// Distinct rows of a cluster whose keys are kept.
const MOST_KEYS: usize = 1_024;
/// Rows of a cluster outside the reference sample kept in raw form.
const MOST_RAW: usize = 16;
/// Positions that a cause names.
const MOST_EXAMPLES: usize = 20;
/// Sources of a cluster that are told apart.
const MOST_SOURCES: usize = 4;
/// Share of the label among the distinct rows.
const PURITY: f64 = 0.75;
/// Share of the rows up to which a shingle of the centre is missing where copies were altered at random. A template's slots
/// are missing from nearly all.
const ALTERED: f64 = 0.34;
/// Least share of the shingles missing anywhere that are missing in that way.
const SCATTERED: f64 = 0.5;
/// Least mean probability of its own label that content gives a row of another label for that row to be the source.
const SOURCE: f64 = 0.5;
/// Hash domain of sources.
const SOURCES: u8 = 52;
/// Odds ratio that copies may reach where their original is there as well.
const ORIGINAL_ODDS_RATIO: f64 = 2.0;

#[doc = include_str!("flood.md")]
pub struct Flood;

static INFO: Info = Info {
    code: "duplicate.flood",
    family: Family::Duplicate,
    summary: "near-copies of one text that share a label which its content contradicts",
    needs: &[Need::Text, Need::Classes],
    // The content model is asked for after the third scan; it is fitted after the first.
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 2,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("flood.md"),
};

/// What a scan looks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FloodBrief {
    /// How many rows share a band, in a sketch of `2^bits` cells a row.
    Count {
        /// Binary logarithm of the cells.
        bits: u32,
    },
    /// A few rows of each band that enough rows share.
    Gather {
        /// What the first scan counted.
        seen: Counter,
        /// Rows that are enough.
        floor: u32,
    },
    /// The rows of each cluster.
    Collect {
        /// Centres, by number.
        clusters: Clusters,
        /// Largest key of the reference sample.
        threshold: u64,
    },
}

/// Centres of clusters, and the bands that lead to them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Clusters {
    centres: Vec<Outline>,
    bands: BTreeMap<u64, u32>,
}

impl Clusters {
    /// The cluster of a row, the one whose centre is most like it. A row belongs to a cluster by its own likeness to the
    /// centre, never by way of another row.
    fn find(&self, outline: &Outline, bands: &[u64]) -> Option<u32> {
        let candidates: BTreeSet<u32> = bands.iter().filter_map(|band| self.bands.get(band)).copied().collect();
        let near = candidates.into_iter().filter_map(|at| Some((self.centres.get(at as usize)?, at)));
        let near = near.filter(|(centre, _)| centre.is_near(outline)).map(|(centre, at)| (centre.similarity(outline), at));
        near.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, at)| at)
    }
}

/// What a scan gathers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FloodState {
    /// Approximate counts of bands.
    Count(Counter),
    /// A few rows of each band, by band.
    Gather(BTreeMap<u64, BottomK<Outline>>),
    /// The rows of each cluster.
    Collect(Vec<Rows>),
}

/// The rows of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rows {
    count: u64,
    keys: BottomK<Option<u32>>,
    raw: BottomK<SampleRow>,
    /// Smallest positions by label.
    examples: BTreeMap<u32, BTreeSet<u64>>,
    /// Distinct rows that lack each shingle of the centre, in keys' bottom-k; see [`Rows::scattered`].
    missing: BottomK<Vec<u16>>,
    /// Hashes of sources, the smallest few.
    sources: BTreeSet<u64>,
}

impl Rows {
    fn new() -> Self {
        Self {
            count: 0,
            keys: BottomK::new(MOST_KEYS),
            raw: BottomK::new(MOST_RAW),
            examples: BTreeMap::new(),
            missing: BottomK::new(64),
            sources: BTreeSet::new(),
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.keys.merge(other.keys);
        self.raw.merge(other.raw);
        self.missing.merge(other.missing);
        for (label, positions) in other.examples {
            for position in positions {
                self.example(label, position);
            }
        }
        other.sources.into_iter().for_each(|source| self.source(source));
    }

    fn example(&mut self, label: u32, position: u64) {
        let positions = self.examples.entry(label).or_default();
        positions.insert(position);
        if positions.len() > MOST_EXAMPLES {
            positions.pop_last();
        }
    }

    fn source(&mut self, source: u64) {
        self.sources.insert(source);
        if self.sources.len() > MOST_SOURCES {
            self.sources.pop_last();
        }
    }

    /// Whether the copies differ from the centre here and there, as texts do that were altered to differ, and not in the
    /// slots of a template. Copies that differ in case or punctuation alone were altered as well.
    fn scattered(&self) -> bool {
        let rows = self.missing.len();
        let mut lacking: BTreeMap<u16, usize> = BTreeMap::new();
        for (_, _, missing) in self.missing.iter() {
            for shingle in missing {
                *lacking.entry(*shingle).or_default() += 1;
            }
        }
        let share = |lacking: usize| lacking as f64 / rows.max(1) as f64;
        let altered = lacking.values().filter(|n| share(**n) <= ALTERED).count();
        altered as f64 >= SCATTERED * lacking.len() as f64
    }
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FloodModel {
    clusters: Clusters,
    /// By cluster: rows, and cause.
    of_cluster: Vec<(u64, Option<u32>)>,
    groups: Vec<Group>,
    targets: Vec<u32>,
    notes: Vec<String>,
}

fn bits(data: &Schema) -> u32 {
    let budget = (data.unit_bytes / (4 * DEPTH)).max(1 << 10).ilog2();
    budget.min((data.rows.max(1).ilog2() + 6).min(24))
}

fn cap(data: &Schema) -> usize {
    (data.unit_bytes / 2 / BAND_BYTES).max(64)
}

fn mismatch() -> Error {
    Error::Detector { code: INFO.code, reason: "was handed the state of another scan".to_owned() }
}

impl Fold for Flood {
    type Brief = FloodBrief;
    type State = FloodState;
    type Model = FloodModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<FloodBrief, FloodModel>> {
        Ok(Step::Scan(FloodBrief::Count { bits: bits(data) }))
    }

    fn open(&self, brief: &FloodBrief) -> FloodState {
        match brief {
            FloodBrief::Count { bits } => FloodState::Count(Counter::new(*bits, DEPTH)),
            FloodBrief::Gather { .. } => FloodState::Gather(BTreeMap::new()),
            FloodBrief::Collect { clusters, .. } => FloodState::Collect(clusters.centres.iter().map(|_| Rows::new()).collect()),
        }
    }

    fn observe(&self, brief: &FloodBrief, state: &mut FloodState, rows: &Batch) -> Result<()> {
        let key = rows.schema().key;
        let outlines = (0..rows.rows()).filter_map(|row| outline(rows, row, &key).map(|(outline, bands)| (row, outline, bands)));
        match (brief, state) {
            (FloodBrief::Count { .. }, FloodState::Count(counter)) => {
                outlines.for_each(|(_, _, bands)| bands.iter().for_each(|band| counter.add(*band, 1)));
            }
            (FloodBrief::Gather { seen, floor }, FloodState::Gather(bands)) => {
                for (row, outline, own) in outlines {
                    for band in own.into_iter().filter(|band| seen.estimate(*band) >= *floor) {
                        bands.entry(band).or_insert_with(|| BottomK::new(SEEN)).insert_with(rows.keys()[row], || outline.clone());
                    }
                }
            }
            (FloodBrief::Collect { clusters, threshold }, FloodState::Collect(collected)) => {
                let vectors = Vectors::of(rows)?;
                let sources = rows.schema().first(Role::Source).map(|c| strings(rows.record().column(c)));
                for (row, outline, bands) in outlines {
                    let Some(at) = clusters.find(&outline, &bands).map(|at| at as usize) else { continue };
                    let (Some(found), Some(centre)) = (collected.get_mut(at), clusters.centres.get(at)) else { continue };
                    let (row_key, label) = (rows.keys()[row], rows.labels()[row]);
                    found.count += 1;
                    found.keys.insert(row_key, label);
                    found.missing.insert_with(row_key, || lacking(centre, &outline));
                    if let Some(label) = label {
                        found.example(label, rows.row_position(row));
                    }
                    if row_key > *threshold {
                        found.raw.insert_with(row_key, || raw(rows, row, &vectors));
                    }
                    if let Some(source) = sources.as_ref().and_then(|s| s.iter().nth(row).flatten()) {
                        found.source(key.bytes(SOURCES, source.as_bytes()));
                    }
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn merge(&self, _: &FloodBrief, into: &mut FloodState, from: FloodState) -> Result<()> {
        match (into, from) {
            (FloodState::Count(counter), FloodState::Count(other)) => {
                if !counter.merge(&other) {
                    return Err(mismatch());
                }
            }
            (FloodState::Gather(bands), FloodState::Gather(others)) => {
                for (band, rows) in others {
                    match bands.entry(band) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            entry.insert(rows);
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge(rows),
                    }
                }
            }
            (FloodState::Collect(rows), FloodState::Collect(others)) => {
                rows.iter_mut().zip(others).for_each(|(into, from)| into.merge(from));
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn close(&self, data: &Schema, given: &Given, brief: FloodBrief, state: FloodState) -> Result<Step<FloodBrief, FloodModel>> {
        match (brief, state) {
            (FloodBrief::Count { .. }, FloodState::Count(seen)) => {
                let floor = seen.floor(cap(data), FEWEST);
                Ok(Step::Scan(FloodBrief::Gather { seen, floor }))
            }
            (FloodBrief::Gather { floor, .. }, FloodState::Gather(bands)) => {
                let clusters = centres(bands);
                if clusters.centres.is_empty() {
                    let notes = vec![format!("no text is nearly equal to {} others", floor.saturating_sub(1))];
                    return Ok(Step::Done(FloodModel { notes, ..FloodModel::default() }));
                }
                let threshold = given.model::<SampleModel>("derive.sample").map_or(0, |s| s.threshold);
                Ok(Step::Scan(FloodBrief::Collect { clusters, threshold }))
            }
            (FloodBrief::Collect { clusters, .. }, FloodState::Collect(rows)) => {
                let content = given.model::<ContentModel>("derive.content").ok_or_else(|| Error::Detector {
                    code: INFO.code,
                    reason: "needs the content model to judge near-copies".to_owned(),
                })?;
                Ok(Step::Done(judge(data, content, clusters, &rows)?))
            }
            _ => Err(mismatch()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        ((4 * DEPTH) << bits(data)) + cap(data) * BAND_BYTES
    }
}

/// Positions of the centre's shingles that a text lacks.
fn lacking(centre: &Outline, text: &Outline) -> Vec<u16> {
    let lacks = |shingle: &u64| text.shingles().binary_search(shingle).is_err();
    (0u16..).zip(centre.shingles()).filter(|(_, shingle)| lacks(shingle)).map(|(at, _)| at).collect()
}

/// Clusters of the bands that enough distinct rows share. The centre of a band is the row with the smallest key; a band
/// whose rows are mostly unlike their centre came about by chance and leads nowhere. A band whose centre is like an earlier
/// one leads to the same cluster.
fn centres(bands: BTreeMap<u64, BottomK<Outline>>) -> Clusters {
    let mut clusters = Clusters::default();
    for (band, rows) in bands {
        let mut rows = rows.into_items();
        let Some(centre) = rows.next() else { continue };
        let (near, far): (Vec<Outline>, Vec<Outline>) = rows.partition(|row| centre.is_near(row));
        if near.len() < 2 || far.len() > near.len() {
            continue;
        }
        let known = clusters.centres.iter().position(|other| other.is_near(&centre));
        let at = match known {
            Some(at) => at,
            None if clusters.centres.len() < MOST_CLUSTERS => {
                clusters.centres.push(centre);
                clusters.centres.len() - 1
            }
            None => continue,
        };
        clusters.bands.insert(band, at as u32);
    }
    clusters
}

/// The null hypothesis of copies; of those whose original is among the rows, with the label that content gives them, less is left to nature.
fn null(has_original: bool) -> IntervalNull {
    let usual = IntervalParams { min_purity: PURITY, relaxed_purity: PURITY, ..IntervalParams::default() };
    let odds_ratio = if has_original { ORIGINAL_ODDS_RATIO } else { usual.odds_ratio };
    IntervalNull::new(IntervalParams { odds_ratio, ..usual }).unwrap_or_default()
}

/// Which clusters are floods.
fn judge(data: &Schema, content: &ContentModel, clusters: Clusters, rows: &[Rows]) -> Result<FloodModel> {
    let mut model = FloodModel { clusters, ..FloodModel::default() };
    let tests = rows.len().max(1) as u64 * data.classes().max(1) as u64;
    let has_source = data.first(Role::Source).is_some();
    for found in rows {
        let at = flood(data, content, found, tests, has_source)?.map(|(label, group)| {
            model.groups.push(group);
            model.targets.push(label);
            (model.groups.len() - 1) as u32
        });
        model.of_cluster.push((found.count, at));
    }
    let total: u64 = rows.iter().map(|r| r.count).sum();
    let largest = rows.iter().map(|r| r.count).max().unwrap_or(0);
    model.notes.push(format!("texts with near-copies: {} in {total} rows; the most frequent one is there {largest} times", rows.len()));
    Ok(model)
}

/// The cause that a cluster is, if it is one, with its label.
fn flood(data: &Schema, content: &ContentModel, found: &Rows, tests: u64, has_source: bool) -> Result<Option<(u32, Group)>> {
    let mut of_label: BTreeMap<u32, u64> = BTreeMap::new();
    found.keys.iter().filter_map(|(_, _, label)| *label).for_each(|label| *of_label.entry(label).or_default() += 1);
    let Some((label, agreeing)) = of_label.iter().map(|(l, n)| (*l, *n)).max_by_key(|(l, n)| (*n, std::cmp::Reverse(*l))) else {
        return Ok(None);
    };
    let keys: Vec<u64> = found.keys.iter().map(|(key, _, _)| key).collect();
    let carrying: u64 = of_label.values().sum();
    if carrying < u64::from(FEWEST) {
        return Ok(None);
    }
    let Some(means) = backgrounds(content, &keys, keys.len(), found.raw.iter().map(|(_, _, row)| row))? else { return Ok(None) };
    let Some(background) = means.get(label as usize).copied() else { return Ok(None) };
    // Rows of one template are no independent witnesses of a label that content does not know. What speaks for a flood is
    // the row that was copied, with the label that content gives it; or copies altered to differ; or a single source.
    let original = of_label.keys().find(|l| **l != label && means.get(**l as usize).is_some_and(|q| *q >= SOURCE));
    let Some(p) = null(original.is_some()).test(carrying, agreeing, background, data.rows) else { return Ok(None) };
    let altered = found.scattered();
    let one_source = has_source && found.sources.len() == 1;
    if p * tests as f64 > WORTH_KEEPING || !(original.is_some() || altered || one_source) {
        return Ok(None);
    }
    let all = data.shared(label, agreeing, carrying);
    let mut evidence = Map::new();
    evidence.insert("altered".to_owned(), json!(altered));
    evidence.insert("one_source".to_owned(), json!(one_source));
    evidence.insert("original_label".to_owned(), json!(original.map(|l| data.class_name(*l))));
    let rows = found.count;
    let group = Group {
        title: format!(
            "{carrying} different near-copies of one text in {rows} rows, {all}; content alone would give that label to {:.0}%",
            100.0 * background
        ),
        cause: format!("near-copies labelled {}", data.class_name(label)),
        attack_class: "duplicate_flooding".to_owned(),
        rows,
        agreeing,
        label: Some(data.class_name(label).to_owned()),
        background: Some(background),
        statistic: "near-copies with the label, interval null".to_owned(),
        value: agreeing as f64,
        p,
        tests,
        max_tier: Tier::Alarm,
        examples: found.examples.get(&label).into_iter().flatten().copied().collect(),
        evidence,
    };
    Ok(Some((label, group)))
}

impl FloodModel {
    /// The cluster of each row.
    fn found(&self, rows: &Batch) -> Vec<Option<(u64, Option<u32>)>> {
        let key = rows.schema().key;
        let of = |row: usize| {
            let (outline, bands) = outline(rows, row, &key)?;
            self.of_cluster.get(self.clusters.find(&outline, &bands)? as usize).copied()
        };
        if self.clusters.centres.is_empty() { vec![None; rows.rows()] } else { (0..rows.rows()).map(of).collect() }
    }
}

impl Detect for Flood {
    fn score(&self, model: &FloodModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for ((slot, found), label) in out.iter_mut().zip(model.found(rows)).zip(rows.labels()) {
            let cause = found.and_then(|(_, at)| at).filter(|at| model.targets.get(*at as usize).copied() == *label);
            let strength = cause.and_then(|at| model.groups.get(at as usize)).map_or(0.0, Group::strength);
            *slot = label.map(|_| strength);
        }
        Ok(())
    }

    fn groups(&self, model: &FloodModel) -> Vec<Group> {
        model.groups.clone()
    }

    fn members(&self, model: &FloodModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if model.groups.is_empty() {
            return Ok(());
        }
        for ((slot, found), label) in out.iter_mut().zip(model.found(rows)).zip(rows.labels()) {
            *slot = found.and_then(|(_, at)| at).filter(|at| model.targets.get(*at as usize).copied() == *label);
        }
        Ok(())
    }

    fn explain(&self, model: &FloodModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let found = model.found(rows).get(row).copied().flatten();
        let Some((count, cause)) = found else { return Ok(Evidence::new("no other text is nearly equal", [])) };
        let group = cause.and_then(|at| model.groups.get(at as usize));
        let Some(group) = group else { return Ok(Evidence::new(format!("one of {count} nearly equal texts"), [("rows", json!(count))])) };
        let reason = format!(
            "one of {count} near-copies of a text, {} of them labelled '{}' against {:.0}% expected",
            group.agreeing,
            group.label.clone().unwrap_or_default(),
            100.0 * group.background.unwrap_or(0.0)
        );
        Ok(Evidence::new(reason, [("rows", json!(count)), ("flood", json!(group.evidence))]))
    }

    fn notes(&self, model: &FloodModel) -> Vec<String> {
        model.notes.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{Fixture, check, survives};

    const PLAIN: usize = 900;
    const COPIES: usize = 16;

    fn word(number: usize) -> String {
        let syllables = ["ba", "ne", "ri", "to", "lu", "ma", "so", "de"];
        [number % 8, number / 8 % 8, number / 64 % 8].map(|s| syllables[s]).concat()
    }

    /// Texts of two topics with their labels; then near-copies of rows 0 and 2, of topic "a", with the label `label`. Altered
    /// copies differ from the original in a word anywhere, others all in the third word, as a template's do.
    fn texts(seed: u64, label: &str, altered: bool) -> RecordBatch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut said: Vec<(Vec<String>, &str)> = Vec::new();
        for row in 0..PLAIN {
            let topic = row % 2;
            let words =
                (0..16).map(|_| word(if rng.random_bool(0.5) { 60 * topic + rng.random_range(0..60) } else { rng.random_range(120..400) }));
            said.push((words.collect(), ["a", "b"][topic]));
        }
        for copy in 0..2 * COPIES {
            let mut text = said[copy / COPIES * 2].0.clone();
            let at = if altered { rng.random_range(0..16) } else { 2 };
            text[at] = word(400 + copy);
            said.push((text, label));
        }
        let text: StringArray = said.iter().map(|(words, _)| Some(words.join(" "))).collect();
        let label: StringArray = said.iter().map(|(_, label)| Some(*label)).collect();
        let columns: [(&str, ArrayRef); 2] = [("text", Arc::new(text)), ("label", Arc::new(label))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ready(rows: RecordBatch) -> Fixture {
        Fixture::new(rows, Some("label")).after(&Sample).after_column(Content)
    }

    #[test]
    fn a_flood_under_a_wrong_label_is_found_whole_without_its_original() {
        let fixture = ready(texts(1, "b", true));
        let model = fixture.model(&Flood);
        assert_eq!(model.groups.len(), 2, "{:?}", model.notes);
        assert!(model.groups.iter().all(|g| g.corrected() < 1e-4 && g.label.as_deref() == Some("b")), "{:?}", model.groups);
        let listed: Vec<usize> =
            fixture.members(&Flood, &model).iter().enumerate().filter(|(_, m)| m.is_some()).map(|(row, _)| row).collect();
        assert_eq!(listed, (PLAIN..PLAIN + 2 * COPIES).collect::<Vec<_>>());
    }

    #[test]
    fn copies_with_the_label_of_their_content_are_no_flood() {
        for seed in 1..4 {
            let model = ready(texts(seed, "a", true)).model(&Flood);
            assert!(model.groups.is_empty(), "{:?}", model.groups);
            assert!(model.notes[0].starts_with("texts with near-copies: 2 in 34 rows"), "{:?}", model.notes);
        }
    }

    #[test]
    fn the_slots_of_a_template_are_not_scattered() {
        let scattered = |altered: bool| {
            let fixture = ready(texts(2, "b", altered));
            let model = fixture.model(&Flood);
            model.groups.iter().filter(|g| g.evidence["altered"] == json!(true)).count()
        };
        assert_eq!((scattered(true), scattered(false)), (2, 0));
    }

    #[test]
    fn laws_hold_and_hostile_rows_do_no_harm() {
        check(|| Flood, &ready(texts(3, "b", true)));
        survives(|| Flood, |fixture| fixture);
    }
}
