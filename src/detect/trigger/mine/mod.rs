//! The miner that all trigger detectors share: from items in rows to causes.
//!
//! Scans: (1) count first-level items in a sketch; (2) count the frequent ones exactly, second-level items in a sketch;
//! (3) count the frequent second-level items exactly, beside them pairs of items that go with the same label (`pair.rs`), and with one scan more those that grow from them, where there are too
//! many parts to try all threes; (4) sum, over each shortlisted item's carriers, the probability of its label that the rest
//! of the row gives; (5) gather the carriers of the best. Then the verifier decides what is handed on. An item's own rows never vouch for it: neither in the cheap background of (4) nor in the verifier's.

mod aside;
mod asked;
mod bayes;
mod candidate;
mod grow;
mod items;
mod many;
mod null;
mod opinion;
mod pair;
mod place;
mod screen;
mod state;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) use items::{Background, Context, Description, Found, Items, Meeting, Parts, RowItems, Side};

use crate::data::{Batch, Label, Schema};
use crate::derive::{ContentModel, SampleModel, Vectors, raw, softmax};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Group};
use crate::fold::{Detect, Fold, Given, Info, Step};
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::{Counter, DEPTH};

pub(super) use aside::is_own;
use aside::{Aside, frequent_values, set_aside};
use asked::Asked;
use bayes::Bayes;
use grow::grown;
use null::Nulls;
pub(in crate::detect) use null::null;
pub(super) use opinion::{JUDGED, Opinion, judged, means};
pub(in crate::detect) use opinion::{background, backgrounds};
use pair::{most_paired, paired};
use place::Places;
use screen::most_uncommon;
use state::{Admitted, Brief, Carriers, Short, Stage, State, TEMPERING_ROWS, Table, UNIT};
pub(super) use verify::Trigger;
use verify::Verified;
pub(super) use verify::takes;

/// Fewest carriers of an item.
const LEAST_SUPPORT: u32 = 4;
/// Bytes of an exact table's entry, estimated.
const ENTRY_BYTES: usize = 184;
/// Hash domain of a row's texts.
const TEXT: u8 = 26;
/// Items counted in one go.
const COUNTED_TOGETHER: usize = 4_096;

/// A detector of triggers of one kind.
pub(super) struct Mine<I>(pub(super) I);

/// What a miner found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MineModel<L> {
    lens: L,
    carriers: BTreeSet<u64>,
    admitted: Admitted,
    triggers: Vec<Trigger>,
    /// Triggers by item and target: one patch may be planted toward several classes.
    items: BTreeMap<(u64, u32), u32>,
    notes: Vec<String>,
}

impl<L> MineModel<L> {
    /// Keys of the rows that carry a trigger together with its label; of a trigger in very many rows, those with the
    /// smallest keys.
    #[must_use]
    pub fn carriers(&self) -> &BTreeSet<u64> {
        &self.carriers
    }
}

impl<I: Items> Mine<I> {
    fn code(&self) -> &'static str {
        self.0.info().code
    }

    fn nulls(&self, data: &Schema) -> Nulls {
        Nulls::new(data, self.0.odds_ratio())
    }

    /// Counter cells: half of the unit's bytes over the sketch's rows of 4-byte cells; fewer for few rows.
    fn bits(data: &Schema) -> u32 {
        let budget = (data.unit_bytes / 2 / (4 * DEPTH)).max(1 << 12).ilog2();
        budget.min((data.rows.max(1).ilog2() + 12).min(25))
    }

    fn table_cap(data: &Schema) -> usize {
        (data.unit_bytes / 2 / ENTRY_BYTES).max(4_096)
    }

    #[allow(clippy::too_many_arguments)] // everything that two scans gathered comes together here, once
    fn screen(
        &self,
        data: &Schema,
        lens: I::Lens,
        first: Table,
        second: Option<&Table>,
        admitted: Admitted,
        sample: &state::Tempering,
        floor: u32,
    ) -> Step<Brief<I::Lens>, MineModel<I::Lens>> {
        let empty = Table::default();
        let short = self.shortlist(data, [&first, second.unwrap_or(&empty)], &admitted.aside);
        if short.is_empty() {
            return Step::Done(self.nothing(data, lens, 1, floor, &admitted));
        }
        let frequent = if self.0.has_columns() { frequent_values(&first, most_uncommon(data)) } else { BTreeMap::new() };
        let bayes = (self.0.background() == Background::Features).then(|| {
            let counts = first.into_iter().filter(|(_, t)| t.feature).map(|(f, t)| (f, t.classes)).collect();
            let rows: Vec<(&[u64], u32)> = sample.iter().map(|(_, _, (features, label))| (features.as_slice(), *label)).collect();
            Bayes::fit(counts, data.priors(), &rows)
        });
        Step::Scan(Brief { lens, stage: Stage::Screen { admitted, bayes, short, frequent, floor } })
    }

    /// Notes a carrier of a candidate.
    fn carry(&self, lens: &I::Lens, rows: &Batch, row: usize, short: &Short, carriers: &mut Carriers) {
        let (key, label) = (rows.keys()[row], rows.labels()[row]);
        carriers.keys.insert(key, label);
        if let Some(label) = label {
            carriers.example(label, rows.row_position(row));
        }
        carriers.contexts.insert_with(key, || self.0.context(rows, row, short.item));
        let describe = |item: u64| match self.0.describe(lens, rows, row, item) {
            Some(described) => (described.name, Value::Object(described.evidence).to_string()),
            None => (self.code().to_owned(), "{}".to_owned()),
        };
        carriers.described.insert_with(key, || describe(short.item));
        for (also, described) in short.also.iter().zip(&mut carriers.also) {
            described.insert_with(key, || describe(*also));
        }
    }

    fn nothing(&self, data: &Schema, lens: I::Lens, tests: u64, floor: u32, admitted: &Admitted) -> MineModel<I::Lens> {
        MineModel {
            lens,
            carriers: BTreeSet::new(),
            admitted: Admitted::default(),
            triggers: Vec::new(),
            items: BTreeMap::new(),
            notes: verify::notes(data, self.nulls(data).usual(), tests, floor, admitted.aside.len(), &[]),
        }
    }
}

impl<I: Items> Fold for Mine<I> {
    type Brief = Brief<I::Lens>;
    type State = State;
    type Model = MineModel<I::Lens>;

    fn info(&self) -> &'static Info {
        self.0.info()
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<Self::Brief, Self::Model>> {
        Ok(Step::Scan(Brief { lens: self.0.lens(data, given)?, stage: Stage::Count { bits: Self::bits(data) } }))
    }

    fn open(&self, brief: &Self::Brief) -> State {
        match &brief.stage {
            Stage::Count { bits } => State::Count { counter: Counter::new(*bits, DEPTH), sample: BottomK::new(TEMPERING_ROWS) },
            Stage::First { counter, .. } => State::Tallies { table: Table::default(), counter: counter.emptied() },
            Stage::Second { .. } | Stage::Third { .. } => State::Tallies { table: Table::default(), counter: Counter::new(6, DEPTH) },
            Stage::Screen { short, .. } => State::Screen { sums: vec![(0, 0); short.len()] },
            Stage::Carry { short, pairs, .. } => State::Carry {
                carriers: short.iter().map(Carriers::new).collect(),
                places: pairs.map(|bits| Places::new(Counter::new(bits, DEPTH))),
            },
        }
    }

    fn observe(&self, brief: &Self::Brief, state: &mut State, rows: &Batch) -> Result<()> {
        let mut extract = self.0.rows(&brief.lens, rows);
        let mut found = Found::default();
        let (keys, labels) = (rows.keys(), rows.labels());
        match (&brief.stage, state) {
            (Stage::Count { .. }, State::Count { counter, sample }) => {
                let mut counting = Counting::new(counter);
                for row in 0..rows.rows() {
                    first_items(&mut *extract, row, &mut found);
                    counting.add(&found);
                    if let Some(label) = labels[row] {
                        sample.insert_with(keys[row], || (found.features.clone(), label));
                    }
                }
            }
            (Stage::First { counter: seen, floor, .. }, State::Tallies { table, counter }) => {
                let mut counting = Counting::new(counter);
                for row in 0..rows.rows() {
                    first_items(&mut *extract, row, &mut found);
                    let features: FxHashSet<u64> = found.features.iter().copied().collect();
                    for (item, parts) in found.items.iter().filter(|(item, _)| seen.estimate(*item) >= *floor) {
                        table.entry(*item).or_default().add(keys[row], labels[row], features.contains(item), *parts);
                    }
                    if extract.has_second() {
                        second_items(&mut *extract, row, &|item| seen.estimate(item) >= *floor, None, &mut found);
                        counting.add(&found);
                    }
                }
            }
            (Stage::Second { first, admitted, counter: seen, floor, .. }, State::Tallies { table, .. }) => {
                for row in 0..rows.rows() {
                    second_items(&mut *extract, row, &|item| admitted.holds(item), Some(admitted), &mut found);
                    let frequent = |item: u64| seen.estimate(item) >= *floor;
                    tally_combined(table, (keys[row], labels[row]), &found, frequent, admitted, first);
                    if !admitted.paired.is_empty() {
                        pairs(&mut *extract, row, admitted, &mut found);
                        tally_combined(table, (keys[row], labels[row]), &found, |_| true, admitted, first);
                    }
                }
            }
            (Stage::Third { first, admitted, .. }, State::Tallies { table, .. }) => {
                for row in 0..rows.rows() {
                    third_items(&mut *extract, row, admitted, &mut found);
                    tally_combined(table, (keys[row], labels[row]), &found, |_| true, admitted, first);
                }
            }
            (Stage::Screen { admitted, bayes, short, .. }, State::Screen { sums }) => {
                let index: FxHashMap<u64, usize> = short.iter().enumerate().map(|(at, s)| (s.item, at)).collect();
                let content = rows.derived("derive.content");
                let priors = rows.schema().priors();
                for (row, &given) in labels.iter().enumerate() {
                    all_items(&mut *extract, row, admitted, &mut found);
                    let evidence = bayes.as_ref().map(|b| b.evidence(&found.features, given));
                    for (item, parts) in &found.items {
                        let Some(&at) = index.get(item) else { continue };
                        let label = short[at].label;
                        let q = match (bayes, &evidence, &content) {
                            (Some(bayes), Some(evidence), _) => {
                                let own: Vec<u64> = parts.iter().filter_map(|p| found.features.get(p).copied()).collect();
                                bayes.without(evidence, &own, given, label)
                            }
                            (_, _, Some(content)) => {
                                let logits: Vec<f64> = content.row(row).iter().map(|v| f64::from(*v)).collect();
                                softmax(&logits).get(label as usize).copied().filter(|q| q.is_finite()).unwrap_or(1.0)
                            }
                            _ => priors.get(label as usize).copied().unwrap_or(1.0),
                        };
                        sums[at].0 += (q * UNIT).round() as u64;
                        sums[at].1 += 1;
                    }
                }
            }
            (Stage::Carry { admitted, short, threshold, .. }, State::Carry { carriers, places }) => {
                let index: FxHashMap<u64, usize> = short.iter().enumerate().map(|(at, s)| (s.item, at)).collect();
                let vectors = Vectors::of(rows)?;
                for (row, &key) in keys.iter().enumerate() {
                    all_items(&mut *extract, row, admitted, &mut found);
                    if let Some(places) = places {
                        found.items.iter().for_each(|(item, _)| places.pairs.add(*item, 1));
                        places.ends.insert_with(text_key(rows, row), || self.0.ends(rows, row));
                    }
                    for (item, _) in &found.items {
                        let Some(&at) = index.get(item) else { continue };
                        self.carry(&brief.lens, rows, row, &short[at], &mut carriers[at]);
                        if key > *threshold {
                            carriers[at].raw.insert_with(key, || raw(rows, row, &vectors));
                        }
                    }
                }
            }
            _ => return Err(mismatch(self.code())),
        }
        Ok(())
    }

    fn merge(&self, _: &Self::Brief, into: &mut State, from: State) -> Result<()> {
        match (into, from) {
            (State::Count { counter, sample }, State::Count { counter: other, sample: rows }) => {
                if !counter.merge(&other) {
                    return Err(mismatch(self.code()));
                }
                sample.merge(rows);
            }
            (State::Tallies { table, counter }, State::Tallies { table: other, counter: cells }) => {
                if !counter.merge(&cells) {
                    return Err(mismatch(self.code()));
                }
                #[allow(clippy::iter_over_hash_type)] // sums of whole numbers do not depend on the order
                for (item, tally) in &other {
                    table.entry(*item).or_default().merge(tally);
                }
            }
            (State::Screen { sums }, State::Screen { sums: other }) => {
                for (into, from) in sums.iter_mut().zip(other) {
                    into.0 += from.0;
                    into.1 += from.1;
                }
            }
            (State::Carry { carriers, places }, State::Carry { carriers: other, places: more }) => {
                if let (Some(places), Some(more)) = (places, more)
                    && !places.merge(more)
                {
                    return Err(mismatch(self.code()));
                }
                for (into, from) in carriers.iter_mut().zip(other) {
                    into.merge(from);
                }
            }
            _ => return Err(mismatch(self.code())),
        }
        Ok(())
    }

    fn close(&self, data: &Schema, given: &Given, brief: Self::Brief, state: State) -> Result<Step<Self::Brief, Self::Model>> {
        let Brief { lens, stage } = brief;
        let cap = Self::table_cap(data);
        match (stage, state) {
            (Stage::Count { .. }, State::Count { counter, sample }) => {
                let floor = counter.floor(cap, LEAST_SUPPORT);
                Ok(Step::Scan(Brief { lens, stage: Stage::First { counter, floor, sample } }))
            }
            (Stage::First { floor, sample, .. }, State::Tallies { mut table, counter }) => {
                table.retain(|_, tally| tally.rows >= floor);
                let most = most_uncommon(data);
                let common = table.iter().filter(|(_, t)| t.background || t.rows > most).map(|(item, _)| *item).collect();
                let Aside { values: aside, told } =
                    if self.0.has_columns() { set_aside(&table, &data.priors(), most) } else { Aside::default() };
                let paired = if self.0.has_pairs() { paired(&table, &data.priors(), most, cap) } else { FxHashMap::default() };
                let admitted = Admitted { items: table.keys().copied().collect(), aside, told, common, paired, ..Admitted::default() };
                let next = counter.floor(cap, LEAST_SUPPORT).max(floor);
                if admitted.paired.is_empty() && counter.cells().iter().all(|cell| *cell < next) {
                    return Ok(self.screen(data, lens, table, None, admitted, &sample, floor));
                }
                Ok(Step::Scan(Brief { lens, stage: Stage::Second { first: table, admitted, counter, floor: next, sample } }))
            }
            (Stage::Second { first, mut admitted, floor, sample, .. }, State::Tallies { mut table, .. }) => {
                table.retain(|_, tally| tally.rows >= floor);
                if let Some(parts) = self.0.parts_to_grow_by(data) {
                    admitted.grown = grown(&first, &table, data, parts, cap);
                }
                if admitted.grown.is_empty() {
                    return Ok(self.screen(data, lens, first, Some(&table), admitted, &sample, floor));
                }
                Ok(Step::Scan(Brief { lens, stage: Stage::Third { first, second: table, admitted, floor, sample } }))
            }
            (Stage::Third { first, mut second, admitted, floor, sample }, State::Tallies { table, .. }) => {
                // Rows with few parts had the same among their combinations; here all rows are counted.
                second.extend(table.into_iter().filter(|(_, tally)| tally.rows >= floor));
                Ok(self.screen(data, lens, first, Some(&second), admitted, &sample, floor))
            }
            (Stage::Screen { admitted, short, frequent, floor, .. }, State::Screen { sums }) => {
                let (short, tests) = self.candidates(data, short, &sums, &admitted, &frequent);
                if short.is_empty() {
                    return Ok(Step::Done(self.nothing(data, lens, tests, floor, &admitted)));
                }
                let threshold = given.model::<SampleModel>("derive.sample").map_or(0, |s| s.threshold);
                let pairs = self.0.has_places().then(|| Self::bits(data));
                Ok(Step::Scan(Brief { lens, stage: Stage::Carry { admitted, short, tests, threshold, floor, pairs } }))
            }
            (Stage::Carry { admitted, short, tests, floor, .. }, State::Carry { carriers, places }) => {
                let content = given.model::<ContentModel>("derive.content").ok_or_else(|| Error::Detector {
                    code: self.code(),
                    reason: "needs the content model to verify candidates".to_owned(),
                })?;
                let sample = given.model::<SampleModel>("derive.sample");
                let nearly = |evidence: &Map<String, Value>, label: u32| self.0.nearly(data, sample?, evidence, label);
                let meeting = |evidence: &Map<String, Value>, label: u32| {
                    sample.map_or(Meeting::Together, |sample| self.0.meeting(data, sample, evidence, label))
                };
                let hidden = |item: u64| self.0.is_hidden(data, item);
                let asked = Asked {
                    nearly: &nearly,
                    meeting: &meeting,
                    places: places.as_ref(),
                    sample,
                    hidden: &hidden,
                    alarm_from: self.0.alarm_from(),
                    may_be_a_sign: self.0.may_be_a_sign(),
                    may_be_a_kind: self.0.may_be_a_kind(),
                    columns: &|rank, alone| self.0.columns_of(rank, alone),
                    pair: &|rank| self.0.is_pair(rank),
                };
                let found: Vec<(Short, Carriers)> = short.into_iter().zip(carriers).collect();
                let nulls = self.nulls(data);
                let Verified { triggers, claimed, dismissed } = verify::verify(data, content, &asked, &nulls, &found, tests)?;
                let notes = verify::notes(data, nulls.usual(), tests, floor, admitted.aside.len(), &dismissed);
                let items = triggers.iter().zip(0u32..).map(|(t, at)| ((t.item, t.target), at)).collect();
                Ok(Step::Done(MineModel { lens, carriers: claimed, admitted, triggers, items, notes }))
            }
            _ => Err(mismatch(self.code())),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        let pairs = if self.0.has_pairs() { most_paired(Self::table_cap(data)).pow(2) / 2 } else { 0 };
        (Self::table_cap(data) + pairs) * ENTRY_BYTES + ((4 * DEPTH) << Self::bits(data))
    }
}

/// Counts the items of many rows together: one at a time each would wait for its cells to come from memory.
struct Counting<'a> {
    counter: &'a mut Counter,
    waiting: Vec<u64>,
}

impl<'a> Counting<'a> {
    fn new(counter: &'a mut Counter) -> Self {
        Self { counter, waiting: Vec::with_capacity(COUNTED_TOGETHER) }
    }

    fn add(&mut self, found: &Found) {
        self.waiting.extend(found.items.iter().map(|(item, _)| *item));
        if self.waiting.len() >= COUNTED_TOGETHER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.waiting.drain(..).for_each(|item| self.counter.add(item, 1));
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Key of a row's texts alone: a prompt that is answered in many ways is one text.
fn text_key(rows: &Batch, row: usize) -> u64 {
    let mut hasher = rows.schema().key.hasher(TEXT);
    for column in 0..rows.texts().len() {
        hasher.write(rows.text(column, row).unwrap_or_default().as_bytes());
        hasher.write(&[0]);
    }
    hasher.finish64()
}

/// Counts a row, by its key and label, for those of its combined items that are wanted; an item's first row tells what it is made of.
fn tally_combined(
    table: &mut Table,
    (key, label): (u64, Option<u32>),
    found: &Found,
    wanted: impl Fn(u64) -> bool,
    admitted: &Admitted,
    first: &Table,
) {
    for (item, parts) in found.items.iter().filter(|(item, _)| wanted(*item)) {
        let tally = table.entry(*item).or_default();
        tally.add(key, label, false, *parts);
        if tally.rows == 1 {
            let made_of = || parts.iter().filter_map(|at| found.features.get(at).copied());
            tally.rare = admitted.rare(made_of());
            let items = made_of().filter(|part| first.get(part).is_some_and(|part| !part.background));
            tally.made_of = items.collect::<Vec<u64>>().try_into().unwrap_or_default();
        }
    }
}

/// Features and distinct first-level items of a row.
fn first_items(extract: &mut dyn RowItems, row: usize, found: &mut Found) {
    found.clear();
    extract.first(row, found);
    if extract.repeats() {
        found.dedup();
    }
}

/// Features and distinct second-level items of a row; without those that are not worth a look, as far as that is known.
fn second_items(extract: &mut dyn RowItems, row: usize, admitted: &dyn Fn(u64) -> bool, known: Option<&Admitted>, found: &mut Found) {
    found.clear();
    extract.second(row, admitted, found);
    if let Some(known) = known {
        known.keep_worth_a_look(found);
    }
    if extract.repeats() {
        found.dedup();
    }
}

/// Features and distinct items of a row that grow from combinations of two.
fn third_items(extract: &mut dyn RowItems, row: usize, admitted: &Admitted, found: &mut Found) {
    found.clear();
    extract.third(row, &|item| admitted.holds(item), &admitted.grown, found);
    admitted.keep_worth_a_look(found);
    found.dedup();
}

/// Features and distinct pairs of a row.
fn pairs(extract: &mut dyn RowItems, row: usize, admitted: &Admitted, found: &mut Found) {
    found.clear();
    extract.pairs(row, &admitted.paired, found);
    found.dedup();
}

/// Features and distinct items of both levels.
fn all_items(extract: &mut dyn RowItems, row: usize, admitted: &Admitted, found: &mut Found) {
    found.clear();
    extract.first(row, found);
    if extract.has_second() {
        let mut second = Found::default();
        second_items(extract, row, &|item| admitted.holds(item), Some(admitted), &mut second);
        found.items.append(&mut second.items);
        if !admitted.grown.is_empty() {
            third_items(extract, row, admitted, &mut second);
            found.items.append(&mut second.items);
        }
        if !admitted.paired.is_empty() {
            pairs(extract, row, admitted, &mut second);
            found.items.append(&mut second.items);
        }
    }
    if extract.repeats() || !admitted.grown.is_empty() {
        found.dedup();
    }
}

fn mismatch(code: &'static str) -> Error {
    Error::Detector { code, reason: "was handed the state of another scan".to_owned() }
}

impl<I: Items> Detect for Mine<I> {
    fn score(&self, model: &Self::Model, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, trigger) in self.carried(model, rows, 0..rows.rows()).into_iter().enumerate() {
            if trigger.is_some() || rows.labels()[row].is_some() {
                out[row] = Some(trigger.map_or(0.0, |at| model.triggers[at as usize].group.strength()));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &Self::Model) -> Vec<Group> {
        model.triggers.iter().map(|t| t.group.clone()).collect()
    }

    fn members(&self, model: &Self::Model, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        for (slot, trigger) in out.iter_mut().zip(self.carried(model, rows, 0..rows.rows())) {
            *slot = trigger;
        }
        Ok(())
    }

    fn explain(&self, model: &Self::Model, rows: &Batch, row: usize) -> Result<Evidence> {
        let carried = self.carried(model, rows, row..row + 1).into_iter().flatten().next().and_then(|at| model.triggers.get(at as usize));
        let Some(trigger) = carried else {
            return Ok(Evidence::new("carries no trigger", []));
        };
        let g = &trigger.group;
        let said = match rows.schema().label.as_ref().filter(|l| l.answers().is_some()) {
            Some(answers) => answers.said(trigger.target),
            None => format!("labelled '{}'", g.label.as_deref().unwrap_or_default()),
        };
        let expected = 100.0 * g.background.unwrap_or(0.0);
        let reason = format!("carries {}, as do {} rows {said} against {expected:.0}% expected", trigger.name, g.agreeing);
        Ok(Evidence::new(reason, [("trigger", json!(trigger.name)), ("evidence", Value::Object(g.evidence.clone()))]))
    }

    fn notes(&self, model: &Self::Model) -> Vec<String> {
        model.notes.clone()
    }
}

impl<I: Items> Mine<I> {
    /// For each of some rows the strongest trigger that it carries together with the trigger's label.
    fn carried(&self, model: &MineModel<I::Lens>, rows: &Batch, which: std::ops::Range<usize>) -> Vec<Option<u32>> {
        if model.triggers.is_empty() {
            return vec![None; which.len()];
        }
        let mut extract = self.0.rows(&model.lens, rows);
        let mut found = Found::default();
        let in_doubt = rows.schema().label.as_ref().and_then(Label::in_doubt);
        let mut of_row = |row: usize| {
            // Where a label is a reading that does not tell, the trigger itself says what it is.
            let label = rows.labels()[row].or_else(|| in_doubt.filter(|_| rows.answer(row).is_some()))?;
            all_items(&mut *extract, row, &model.admitted, &mut found);
            found.items.iter().filter_map(|(item, _)| model.items.get(&(*item, label)).copied()).min()
        };
        which.map(&mut of_row).collect()
    }
}
