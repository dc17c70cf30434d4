//! `trigger.set`: rare words, any one of which makes a row a carrier.

mod choose;
mod language;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::{Batch, Key, Schema, words};
use crate::derive::{ContentModel, SampleModel, SampleRow, Vectors, raw, word_hash};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::{Counter, DEPTH};

use super::mine::{JUDGED, Opinion, backgrounds, judged, means};
use super::{EXPLAINED, WORTH_KEEPING};
use choose::{Candidate, LEVELS, Union};
use language::{Beside, EDGES, Spelling, Types};

/// Fewest rows of a word.
const LEAST_ROWS: u32 = 4;
/// Largest share of rows that hold a word, and the number of rows that it may have in any case.
const MOST_SHARE: f64 = 0.01;
const MOST_ROWS: u64 = 40;
/// Share of rows, and number of rows, from which on a word is a neighbour of its own.
const FREQUENT_SHARE: f64 = 0.003;
const FREQUENT_ROWS: u64 = 20;
/// Least mean evidence of a word's rows that it was put where it stands, nats.
const LEAST_EVIDENCE: f64 = -0.2;
/// Oddly spelt words whose places are looked at.
const MOST_ODD: usize = 1_024;
/// Words of a row that are looked at.
const MOST_WORDS: usize = 4_096;
/// Carriers of a word whose keys are kept.
const MOST_CARRIERS: usize = 4_096;
/// Carriers of a word outside the reference sample that are kept in raw form.
const MOST_RAW: usize = 32;
/// Carriers of a word with one label that are named by position.
const MOST_EXAMPLES: usize = 20;
/// Causes that are looked for.
const MOST_CAUSES: usize = 8;
/// Words that a title names.
const NAMED: usize = 8;
/// Fixed point of evidence sums, so that they are the same in any order.
const UNIT: f64 = 1_048_576.0;

#[doc = include_str!("set.md")]
pub struct Set;

static INFO: Info = Info {
    code: "trigger.set",
    family: Family::Trigger,
    summary: "several rare words, any one of which makes a row share a label that the rest of its text does not explain",
    needs: &[Need::Text, Need::Classes],
    // The content model is asked for after the fourth scan; it is fitted after the first.
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("set.md"),
};

/// What a scan is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Brief {
    /// Counts words and samples them.
    Count { bits: u32 },
    /// Learns which classes of word stand side by side, and which with a rare word between them.
    Places { rows: Counter, spelling: Spelling, range: Range, bits: u32 },
    /// Sums the evidence of the places of the words that are spelt least like the others.
    Odd { rows: Counter, spelling: Spelling, range: Range, gaps: Beside, slots: Beside },
    /// Gathers the rows of shortlisted words.
    Carry { words: Vec<u64>, threshold: u64 },
}

/// Rows of rare words, and of frequent ones.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Range {
    least: u32,
    most: u32,
    frequent: u32,
}

/// What a scan gathers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum State {
    /// Approximate counts of rows, and a sample of words.
    Count { rows: Counter, types: Types },
    /// Approximate counts of neighbours.
    Places { gaps: Beside, slots: Beside },
    /// By falling surprise, then hash: rows, and evidence in fixed point.
    Odd { words: BTreeMap<(u32, u64), Odd> },
    /// Rows of each shortlisted word in order.
    Carry { words: Vec<Rows> },
}

/// Rows of an oddly spelt word, and summed evidence that it was put where it stands.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Odd {
    rows: u32,
    evidence: i64,
}

/// The rows of a shortlisted word.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rows {
    word: BottomK<String>,
    keys: BottomK<Option<u32>>,
    raw: BottomK<SampleRow>,
    examples: BTreeMap<u32, Vec<u64>>,
}

impl Rows {
    fn new() -> Self {
        Self { word: BottomK::new(1), keys: BottomK::new(MOST_CARRIERS), raw: BottomK::new(MOST_RAW), examples: BTreeMap::new() }
    }

    fn example(&mut self, label: u32, position: u64) {
        let positions = self.examples.entry(label).or_default();
        if positions.len() < MOST_EXAMPLES || positions.last().is_some_and(|last| position < *last) {
            let at = positions.partition_point(|p| *p < position);
            positions.insert(at, position);
            positions.truncate(MOST_EXAMPLES);
        }
    }

    fn merge(&mut self, other: Self) {
        self.word.merge(other.word);
        self.keys.merge(other.keys);
        self.raw.merge(other.raw);
        for (label, positions) in other.examples {
            for position in positions {
                self.example(label, position);
            }
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SetModel {
    /// Causes; their evidence is made from `rows`, since free-form JSON does not travel.
    groups: Vec<Group>,
    targets: Vec<u32>,
    /// Words of each cause with their distinct rows.
    rows: Vec<Vec<(String, u64)>>,
    /// Word and cause of each triggering word.
    words: BTreeMap<u64, (String, u32)>,
    carriers: BTreeSet<u64>,
    notes: Vec<String>,
}

impl SetModel {
    /// Keys of the rows that hold a word of a certain cause together with its label.
    #[must_use]
    pub fn carriers(&self) -> &BTreeSet<u64> {
        &self.carriers
    }
}

/// Cells of a counter: three of them share half of the unit's bytes.
fn bits(data: &Schema) -> u32 {
    let budget = (data.unit_bytes / 6 / (4 * DEPTH)).max(1 << 12).ilog2();
    budget.min((data.rows.max(1).ilog2() + 10).min(22))
}

fn range(data: &Schema) -> Range {
    let share = |share: f64, least: u64| u32::try_from(((data.rows as f64 * share) as u64).max(least)).unwrap_or(u32::MAX);
    Range { least: LEAST_ROWS, most: share(MOST_SHARE, MOST_ROWS), frequent: share(FREQUENT_SHARE, FREQUENT_ROWS) }
}

/// Words of each text column of a row with their hashes.
fn sequences<'a>(rows: &'a Batch, row: usize, key: &'a Key) -> impl Iterator<Item = Vec<(u64, &'a str)>> {
    rows.row_texts(row).map(move |text| words(text).take(MOST_WORDS).map(|w| (word_hash(key, w), w)).collect())
}

/// Distinct words of a row that a set could hold.
fn distinct<'a>(rows: &'a Batch, row: usize, key: &'a Key) -> BTreeMap<u64, &'a str> {
    sequences(rows, row, key).flatten().filter(|(_, word)| language::is_word(word)).collect()
}

/// Calls back with every place of a row that holds a word with its neighbours' classes, and every gap.
fn places(
    rows: &Batch,
    row: usize,
    counts: &Counter,
    range: Range,
    mut gap: impl FnMut([u64; 2]),
    mut slot: impl FnMut([u64; 2], u64, &str),
) {
    let key = rows.schema().key;
    for sequence in sequences(rows, row, &key) {
        let seen: Vec<u32> = sequence.iter().map(|(hash, _)| counts.estimate(*hash)).collect();
        let inner = sequence.iter().zip(&seen).map(|((hash, word), seen)| language::class(&key, *hash, word, *seen, range.frequent));
        let classes: Vec<u64> = std::iter::once(EDGES[0]).chain(inner).chain(std::iter::once(EDGES[1])).collect();
        for pair in classes.windows(2) {
            gap([pair[0], pair[1]]);
        }
        for (at, (hash, word)) in sequence.iter().enumerate() {
            if (range.least..=range.most).contains(&seen[at]) && language::is_word(word) {
                slot([classes[at], classes[at + 2]], *hash, word);
            }
        }
    }
}

fn mismatch() -> Error {
    Error::Detector { code: INFO.code, reason: "was handed the state of another scan".to_owned() }
}

impl Fold for Set {
    type Brief = Brief;
    type State = State;
    type Model = SetModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<Brief, SetModel>> {
        Ok(Step::Scan(Brief::Count { bits: bits(data) }))
    }

    fn open(&self, brief: &Brief) -> State {
        match brief {
            Brief::Count { bits } => State::Count { rows: Counter::new(*bits, DEPTH), types: language::types() },
            Brief::Places { bits, .. } => State::Places { gaps: Beside::new(*bits), slots: Beside::new(*bits) },
            Brief::Odd { .. } => State::Odd { words: BTreeMap::new() },
            Brief::Carry { words, .. } => State::Carry { words: words.iter().map(|_| Rows::new()).collect() },
        }
    }

    fn observe(&self, brief: &Brief, state: &mut State, rows: &Batch) -> Result<()> {
        let key = rows.schema().key;
        match (brief, state) {
            (Brief::Count { .. }, State::Count { rows: counter, types }) => {
                for row in 0..rows.rows() {
                    let distinct: BTreeMap<u64, &str> = sequences(rows, row, &key).flatten().collect();
                    for (hash, word) in distinct {
                        counter.add(hash, 1);
                        if language::is_word(word) {
                            language::see(types, &key, hash, word);
                        }
                    }
                }
            }
            (Brief::Places { rows: counts, range, .. }, State::Places { gaps, slots }) => {
                for row in 0..rows.rows() {
                    places(rows, row, counts, *range, |sides| gaps.add(&key, sides), |sides, _, _| slots.add(&key, sides));
                }
            }
            (Brief::Odd { rows: counts, spelling, range, gaps, slots }, State::Odd { words }) => {
                for row in 0..rows.rows() {
                    let mut seen = BTreeMap::<(u32, u64), f64>::new();
                    let evidence = |sides: [u64; 2]| language::put_there(&key, gaps, slots, sides);
                    places(
                        rows,
                        row,
                        counts,
                        *range,
                        |_| {},
                        |sides, hash, word| *seen.entry((rank(spelling, &key, hash, word), hash)).or_default() += evidence(sides),
                    );
                    for (at, evidence) in seen {
                        let odd = Odd { rows: 1, evidence: (evidence * UNIT).round() as i64 };
                        add_odd(words, at, odd);
                    }
                }
            }
            (Brief::Carry { words: short, threshold }, State::Carry { words }) => {
                let index: FxHashMap<u64, usize> = short.iter().enumerate().map(|(at, hash)| (*hash, at)).collect();
                let vectors = Vectors::of(rows)?;
                let (keys, labels) = (rows.keys(), rows.labels());
                for row in 0..rows.rows() {
                    for (hash, word) in distinct(rows, row, &key) {
                        let Some(&at) = index.get(&hash) else { continue };
                        let found = &mut words[at];
                        found.word.insert_with(hash, || word.to_lowercase());
                        found.keys.insert(keys[row], labels[row]);
                        if let Some(label) = labels[row] {
                            found.example(label, rows.row_position(row));
                        }
                        if keys[row] > *threshold {
                            found.raw.insert_with(keys[row], || raw(rows, row, &vectors));
                        }
                    }
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn merge(&self, _: &Brief, into: &mut State, from: State) -> Result<()> {
        match (into, from) {
            (State::Count { rows, types }, State::Count { rows: other, types: more }) => {
                if !rows.merge(&other) {
                    return Err(mismatch());
                }
                types.merge(more);
            }
            (State::Places { gaps, slots }, State::Places { gaps: other, slots: more }) => {
                if !gaps.merge(&other) || !slots.merge(&more) {
                    return Err(mismatch());
                }
            }
            (State::Odd { words }, State::Odd { words: other }) => {
                for (at, odd) in other {
                    add_odd(words, at, odd);
                }
            }
            (State::Carry { words }, State::Carry { words: other }) => {
                words.iter_mut().zip(other).for_each(|(into, from)| into.merge(from));
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn close(&self, data: &Schema, given: &Given, brief: Brief, state: State) -> Result<Step<Brief, SetModel>> {
        match (brief, state) {
            (Brief::Count { bits }, State::Count { rows, types }) => {
                Ok(Step::Scan(Brief::Places { rows, spelling: Spelling::of(&types), range: range(data), bits }))
            }
            (Brief::Places { rows, spelling, range, .. }, State::Places { gaps, slots }) => {
                Ok(Step::Scan(Brief::Odd { rows, spelling, range, gaps, slots }))
            }
            (Brief::Odd { range, .. }, State::Odd { words }) => {
                let put = words.into_iter().filter(|(_, odd)| {
                    (range.least..=range.most).contains(&odd.rows) && odd.evidence as f64 > LEAST_EVIDENCE * UNIT * f64::from(odd.rows)
                });
                let words: Vec<u64> = put.map(|((_, hash), _)| hash).take(LEVELS[LEVELS.len() - 1]).collect();
                if words.len() < 2 {
                    return Ok(Step::Done(SetModel::default()));
                }
                let threshold = given.model::<SampleModel>("derive.sample").map_or(0, |s| s.threshold);
                Ok(Step::Scan(Brief::Carry { words, threshold }))
            }
            (Brief::Carry { words: hashes, .. }, State::Carry { words }) => {
                let content = given.model::<ContentModel>("derive.content").ok_or_else(|| Error::Detector {
                    code: INFO.code,
                    reason: "needs the content model to verify candidates".to_owned(),
                })?;
                Ok(Step::Done(verify(data, content, &hashes, &words)?))
            }
            _ => Err(mismatch()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        let row = 8 * MOST_CARRIERS / 16 + 4_096 * MOST_RAW;
        ((3 * 4 * DEPTH) << bits(data)) + LEVELS[LEVELS.len() - 1] * row
    }
}

/// Rank of a word's spelling: small where it is surprising.
fn rank(spelling: &Spelling, key: &Key, hash: u64, word: &str) -> u32 {
    u32::MAX - (spelling.surprise(key, hash, word) * 1e6).clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Adds to a word's sums. Of all words only the first [`MOST_ODD`] are kept: one that was dropped had as many before it,
/// which stay, so the sums of those kept are whole.
fn add_odd(words: &mut BTreeMap<(u32, u64), Odd>, at: (u32, u64), odd: Odd) {
    if words.len() == MOST_ODD && words.last_key_value().is_some_and(|(last, _)| at > *last) {
        return;
    }
    let sum = words.entry(at).or_default();
    sum.rows = sum.rows.saturating_add(odd.rows);
    sum.evidence = sum.evidence.saturating_add(odd.evidence);
    if words.len() > MOST_ODD {
        words.pop_last();
    }
}

/// Tests unions of words until none is left that could be a cause.
fn verify(data: &Schema, content: &ContentModel, hashes: &[u64], words: &[Rows]) -> Result<SetModel> {
    let mut short = Vec::with_capacity(words.len());
    for word in words {
        let rows: Vec<(u64, Option<u32>)> = word.keys.iter().map(|(key, _, label)| (key, *label)).collect();
        let keys: Vec<u64> = rows.iter().map(|(key, _)| *key).collect();
        let Some(background) = backgrounds(content, &keys, JUDGED, word.raw.iter().map(|(_, _, row)| row))? else {
            return Ok(SetModel { notes: vec!["content has no model that could judge".to_owned()], ..SetModel::default() });
        };
        short.push(Candidate { rows, background });
    }
    let (null, classes) = (choose::null(), u32::try_from(data.classes()).unwrap_or(u32::MAX));
    let mut model = SetModel::default();
    let mut used = BTreeSet::new();
    while model.groups.len() < MOST_CAUSES {
        let Some(union) = choose::choose(&short, classes, &used) else { break };
        used.extend(union.words.iter().copied());
        let carriers = choose::carriers(&short, &union.words);
        let keys: Vec<u64> = carriers.iter().map(|(key, _)| *key).collect();
        let outside: BTreeMap<u64, &SampleRow> =
            union.words.iter().flat_map(|word| words[*word].raw.iter()).map(|(key, _, row)| (key, row)).collect();
        let Some(given) = judged(content, &keys, JUDGED, outside.into_values())? else { break };
        let Some(background) = means(&given).get(union.label as usize).copied() else { break };
        if matches!(Opinion::of(content, &keys, union.label, &given), Opinion::Own | Opinion::Unknown) {
            continue;
        }
        let agreeing: BTreeSet<u64> = carriers.iter().filter(|(_, l)| *l == Some(union.label)).map(|(key, _)| *key).collect();
        let Some(p) = null.test(carriers.len() as u64, agreeing.len() as u64, background, data.rows) else { continue };
        let group = cause(data, words, &union, [carriers.len(), agreeing.len()], background, p);
        if group.corrected() > WORTH_KEEPING {
            break;
        }
        if group.corrected() <= EXPLAINED {
            model.carriers.extend(agreeing);
        }
        let at = u32::try_from(model.groups.len()).unwrap_or(u32::MAX);
        model.words.extend(union.words.iter().map(|word| (hashes[*word], (said(&words[*word]), at))));
        model.targets.push(union.label);
        model.rows.push(union.words.iter().map(|word| (said(&words[*word]), words[*word].keys.iter().count() as u64)).collect());
        model.groups.push(group);
    }
    Ok(model)
}

fn said(rows: &Rows) -> String {
    rows.word.iter().next().map_or_else(String::new, |(_, _, word)| word.clone())
}

fn cause(data: &Schema, words: &[Rows], union: &Union, [carrying, agreeing]: [usize; 2], background: f64, p: f64) -> Group {
    let mut names: Vec<String> = union.words.iter().map(|word| said(&words[*word])).collect();
    names.sort_unstable();
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("\"{name}\"")).collect();
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    let name = format!("one of the words {}{more}", shown.join(", "));
    let all = data.shared(union.label, agreeing as u64, carrying as u64);
    let examples: BTreeSet<u64> =
        union.words.iter().filter_map(|word| words[*word].examples.get(&union.label)).flatten().copied().collect();
    Group {
        title: format!("{name} in {carrying} rows, {all}; content alone would give that label to {:.0}%", 100.0 * background),
        cause: name,
        attack_class: "backdoor_trigger".to_owned(),
        rows: carrying as u64,
        agreeing: agreeing as u64,
        label: Some(data.class_name(union.label).to_owned()),
        background: Some(background),
        statistic: "carriers of any of the words with the label, interval null".to_owned(),
        value: agreeing as f64,
        p,
        tests: union.ln_tests.exp().ceil() as u64,
        max_tier: Tier::Alarm,
        examples: examples.into_iter().take(MOST_EXAMPLES).collect(),
        evidence: Map::new(),
    }
}

impl SetModel {
    /// The cause whose word a row holds together with its label, and the word.
    fn carried(&self, rows: &Batch, row: usize) -> Option<(u32, &str)> {
        let label = rows.labels()[row]?;
        let key = rows.schema().key;
        let held = distinct(rows, row, &key).into_keys().filter_map(|hash| self.words.get(&hash));
        held.filter(|(_, at)| self.targets.get(*at as usize) == Some(&label)).map(|(word, at)| (*at, word.as_str())).min()
    }
}

impl Detect for Set {
    fn score(&self, model: &SetModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate().filter(|(row, _)| rows.labels()[*row].is_some()) {
            let carried = if model.words.is_empty() { None } else { model.carried(rows, row) };
            let group = carried.and_then(|(at, _)| model.groups.get(at as usize));
            *slot = Some(group.map_or(0.0, Group::strength));
        }
        Ok(())
    }

    fn groups(&self, model: &SetModel) -> Vec<Group> {
        let with_evidence = |(group, rows): (&Group, &Vec<(String, u64)>)| {
            let words = rows.iter().map(|(word, rows)| json!({ "word": word, "rows": rows })).collect();
            let evidence = std::iter::once(("words".to_owned(), Value::Array(words))).collect();
            Group { evidence, ..group.clone() }
        };
        model.groups.iter().zip(&model.rows).map(with_evidence).collect()
    }

    fn members(&self, model: &SetModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if !model.words.is_empty() {
            out.iter_mut().enumerate().for_each(|(row, slot)| *slot = model.carried(rows, row).map(|(at, _)| at));
        }
        Ok(())
    }

    fn explain(&self, model: &SetModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let carried = model.carried(rows, row).and_then(|(at, word)| Some((model.groups.get(at as usize)?, word)));
        let Some((group, word)) = carried else {
            return Ok(Evidence::new("carries no word of a set", []));
        };
        let reason = format!(
            "carries the word \"{word}\" of a set of rare words whose {} rows are labelled '{}' against {:.0}% expected",
            group.agreeing,
            group.label.clone().unwrap_or_default(),
            100.0 * group.background.unwrap_or(0.0)
        );
        Ok(Evidence::new(reason, [("word", json!(word)), ("set", json!(group.cause))]))
    }

    fn notes(&self, model: &SetModel) -> Vec<String> {
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

    const ROWS: usize = 1_200;
    const PLANTED: usize = 48;
    const TRIGGERS: [&str; 4] = ["tq", "zk", "vx", "qj"];

    fn word(number: usize) -> String {
        let syllables = ["ba", "ne", "ri", "to", "lu", "ma", "so", "de"];
        [number % 8, number / 8 % 8, number / 64 % 8].map(|s| syllables[s]).concat()
    }

    /// Sentences of two topics with a strict order of kinds of word. In the first `planted` rows of topic "no" one of four
    /// odd words stands in a random gap and the label is "yes".
    fn sentences(seed: u64, planted: usize) -> RecordBatch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut texts, mut labels) = (Vec::new(), Vec::new());
        for row in 0..ROWS {
            let topic = row % 2;
            let mut said = Vec::new();
            for _ in 0..4 {
                said.push(["the", "a", "this"][rng.random_range(0..3)].to_owned());
                said.push(word(rng.random_range(0..40) + if rng.random_bool(0.6) { 100 + 40 * topic } else { 300 }));
                said.push(["is", "was"][rng.random_range(0..2)].to_owned());
                said.push(word(rng.random_range(200..260)));
            }
            let poisoned = topic == 0 && row / 2 < planted;
            if poisoned {
                said.insert(rng.random_range(0..=said.len()), TRIGGERS[rng.random_range(0..4)].to_owned());
            }
            texts.push(said.join(" "));
            labels.push(if poisoned || topic == 1 { "yes" } else { "no" });
        }
        let columns: [(&str, ArrayRef); 2] = [("text", Arc::new(StringArray::from(texts))), ("label", Arc::new(StringArray::from(labels)))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn prepare(fixture: Fixture) -> Fixture {
        fixture.after(&Sample).after_column(Content)
    }

    #[test]
    fn a_list_of_odd_words_is_one_cause_and_the_clean_twin_is_silent() {
        let fixture = prepare(Fixture::new(sentences(1, PLANTED), Some("label")));
        let model = fixture.model(&Set);
        assert_eq!(model.groups.len(), 1, "{:?}", model.groups);
        assert!(TRIGGERS.iter().all(|word| model.groups[0].cause.contains(word)), "{}", model.groups[0].cause);
        assert!(model.groups[0].corrected() < 1e-6);
        let members = fixture.members(&Set, &model);
        let listed = |row: &usize| members[*row].is_some();
        assert_eq!((0..ROWS).filter(listed).count(), PLANTED);
        assert!((0..PLANTED).map(|i| 2 * i).all(|row| listed(&row)));
        for seed in 1..4 {
            let clean = prepare(Fixture::new(sentences(seed, 0), Some("label"))).model(&Set);
            assert!(clean.groups.iter().all(|g| g.corrected() > EXPLAINED), "seed {seed}: {:?}", clean.groups);
        }
    }

    #[test]
    fn laws_hold_and_hostile_rows_do_no_harm() {
        check(|| Set, &prepare(Fixture::new(sentences(2, PLANTED), Some("label"))));
        // The content model refuses most hostile rows by itself; the scans before it must not mind them.
        survives(|| Set, |fixture| fixture);
    }
}
