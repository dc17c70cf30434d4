//! What detectors by rule share: they mark spans of text, this counts who holds which kind of mark and decides what rows say.
//!
//! A mark that is next to impossible by accident makes its row suspect, unless so many rows hold it that it is how texts
//! look here; then it is told in one sentence instead. Every kind is a candidate for the question that triggers are asked, too: do its
//! rows share a label that the rest of their content does not explain?

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::{Batch, Schema};
use crate::derive::{ContentModel, SampleModel, SampleRow, Vectors, raw};
use crate::detect::trigger::{WORTH_KEEPING, background, null};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;

/// Carriers of a kind whose keys are kept.
const MOST_CARRIERS: usize = 4_096;
/// Of them, those outside the reference sample that are kept in raw form.
const MOST_RAW: usize = 64;
/// Carriers named by position.
const MOST_EXAMPLES: usize = 20;
/// Marks of a row that an explanation shows.
const SHOWN: usize = 8;
/// Characters shown on either side of a mark, and of a mark.
const CONTEXT: usize = 30;
const LONGEST: usize = 120;
/// Marks of a text that are looked at.
pub(super) const MOST_MARKS: usize = 256;
/// Bytes of a kept carrier, estimated, and of a raw row.
const CARRIER_BYTES: usize = 64;
const RAW_BYTES: usize = 8_192;
/// Odds ratio that innocent structure may reach.
const ODDS_RATIO: f64 = 4.0;
/// Rows that may hold a kind of mark in a set too small for shares to mean much.
const FEW: u64 = 3;
/// What is left of the suspicion of a mark that is usual.
const USUAL: f64 = 0.05;

/// A kind of mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Name in evidence: `tag_characters`.
    pub(super) code: &'static str,
    /// Name in sentences, plural: `tag characters`.
    pub(super) name: &'static str,
    /// Probability that a row with such a mark was tampered with, where few rows have one, 0 to 1.
    pub(super) belief: f64,
    /// Share of the rows up to which few rows have one.
    pub(super) usual: f64,
    /// Fewest rows for a claim: fewer teach a model nothing.
    pub(super) least: u64,
}

impl Kind {
    /// A kind that one row is enough for.
    pub(super) const fn new(code: &'static str, name: &'static str, belief: f64, usual: f64) -> Self {
        Self { code, name, belief, usual, least: 1 }
    }
}

/// A marked span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which of the rules' kinds.
    pub(super) kind: usize,
    /// Bytes of the text.
    pub(super) start: usize,
    pub(super) end: usize,
    /// What it is, for a person: `U+200B zero width space inside a word`.
    pub(super) what: String,
    /// What was hidden in it, if that can be read.
    pub(super) decoded: Option<String>,
}

/// What a detector by rule is.
pub(super) const fn info(code: &'static str, summary: &'static str, manual: &'static str) -> Info {
    Info {
        code,
        family: Family::Text,
        summary,
        needs: &[Need::Text],
        // The content model is asked for after the scan; it is fitted before it, as soon as the sample is there.
        after: &["derive.sample"],
        reads: &[],
        law: Law::Exact,
        version: 1,
        claim: Claim::Posterior,
        fused: None,
        max_tier: Tier::Alarm,
        manual,
    }
}

/// A set of rules.
pub(super) trait Rules: Send + Sync + 'static {
    /// What the detector is.
    const INFO: &'static Info;
    /// The kinds of marks.
    const KINDS: &'static [Kind];
    /// Whether they speak of answers as well as of prompts: what is odd in a prompt may be what was asked for.
    const IN_ANSWERS: bool = false;

    /// Marks of a text, in order; at most [`MOST_MARKS`].
    fn marks(text: &str) -> Vec<Mark>;
}

/// The detector of a set of rules.
pub(super) struct Marked<R>(PhantomData<R>);

impl<R> Marked<R> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// What a worker has seen of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    rows: u64,
    keys: BottomK<Option<u32>>,
    raw: BottomK<SampleRow>,
    first: Vec<u64>,
}

impl Seen {
    fn new() -> Self {
        Self { rows: 0, keys: BottomK::new(MOST_CARRIERS), raw: BottomK::new(MOST_RAW), first: Vec::new() }
    }

    fn merge(&mut self, from: Self) {
        self.rows = self.rows.saturating_add(from.rows);
        self.keys.merge(from.keys);
        self.raw.merge(from.raw);
        self.first.extend(from.first);
        self.first.sort_unstable();
        self.first.truncate(MOST_EXAMPLES);
    }
}

/// What a worker has seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MarkState {
    /// Rows with a text.
    texts: u64,
    /// One a kind.
    kinds: Vec<Seen>,
}

/// What a scan is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MarkBrief {
    /// Largest key of the reference sample.
    threshold: u64,
}

/// How suspicious each kind is here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct MarkModel {
    /// One a kind, 0 to 1.
    beliefs: Vec<f64>,
    /// Which kind each group is about, and the class that it implies.
    implied: Vec<(usize, u32)>,
    groups: Vec<Group>,
    notes: Vec<String>,
}

/// The answer of a row, where the rules speak of answers.
fn answer<R: Rules>(rows: &Batch, row: usize) -> Option<&str> {
    if R::IN_ANSWERS { rows.answer(row) } else { None }
}

/// The texts of a row that the rules speak of.
fn texts<R: Rules>(rows: &Batch, row: usize) -> impl Iterator<Item = &str> {
    rows.row_texts(row).chain(answer::<R>(rows, row))
}

/// Marks with the text that each is in.
fn marked<'a, R: Rules>(texts: impl Iterator<Item = &'a str>) -> Vec<(&'a str, Mark)> {
    texts.flat_map(|text| R::marks(text).into_iter().map(move |mark| (text, mark))).collect()
}

impl<R: Rules> Marked<R> {
    /// Asks of each kind what is asked of a trigger.
    fn implied(data: &Schema, given: &Given, kinds: &[Seen]) -> Result<Vec<(usize, u32, Group)>> {
        let Some(content) = given.model::<ContentModel>("derive.content") else { return Ok(Vec::new()) };
        let asked: Vec<(usize, &Seen)> = kinds.iter().enumerate().filter(|(_, seen)| seen.rows > 0).collect();
        let tests = (asked.len() * data.classes()).max(1) as u64;
        let mut found = Vec::new();
        for (at, seen) in asked {
            let mut counts = vec![0_u64; data.classes()];
            seen.keys.iter().filter_map(|(_, _, label)| *label).for_each(|label| counts[label as usize] += 1);
            let Some((label, &agreeing)) = counts.iter().enumerate().max_by_key(|(at, n)| (**n, usize::MAX - at)) else { continue };
            let keys: Vec<u64> = seen.keys.iter().filter(|(_, _, label)| label.is_some()).map(|(key, _, _)| key).collect();
            let carrying: u64 = counts.iter().sum();
            let Some(q) = background(content, &keys, seen.raw.iter().map(|(_, _, row)| row), label as u32)? else { continue };
            let rows = data.rows * carrying / seen.rows.max(1);
            let Some(p) = null(ODDS_RATIO).test(carrying, agreeing, q, rows).filter(|p| p * tests as f64 <= WORTH_KEEPING) else {
                continue;
            };
            let kind = &R::KINDS[at];
            let all = data.shared(label as u32, agreeing, carrying);
            let group = Group {
                title: format!("{} in {carrying} rows, {all}; content alone would give that label to {:.0}%", kind.name, 100.0 * q),
                cause: kind.name.to_owned(),
                attack_class: "backdoor_trigger".to_owned(),
                rows: seen.rows,
                agreeing,
                label: Some(data.class_name(label as u32).to_owned()),
                background: Some(q),
                statistic: "carriers with the label, interval null".to_owned(),
                value: agreeing as f64,
                p,
                tests,
                max_tier: Tier::Alarm,
                examples: seen.first.clone(),
                evidence: [("kind".to_owned(), json!(kind.code))].into_iter().collect(),
            };
            found.push((at, label as u32, group));
        }
        found.sort_by(|a, b| a.2.p.total_cmp(&b.2.p).then(a.0.cmp(&b.0)));
        Ok(found)
    }

    /// The cause of each row: the first group whose mark and label it has.
    fn member(model: &MarkModel, rows: &Batch, row: usize) -> Option<u32> {
        let label = rows.labels()[row]?;
        if !model.implied.iter().any(|(_, implied)| *implied == label) {
            return None;
        }
        // An answer that is the label says nothing of itself.
        let marks = marked::<R>(rows.row_texts(row));
        let has = |kind: usize| marks.iter().any(|(_, mark)| mark.kind == kind);
        (0u32..).zip(&model.implied).find(|(_, (kind, implied))| *implied == label && has(*kind)).map(|(at, _)| at)
    }
}

impl<R: Rules> Fold for Marked<R> {
    type Brief = MarkBrief;
    type State = MarkState;
    type Model = MarkModel;

    fn info(&self) -> &'static Info {
        R::INFO
    }

    fn begin(&self, _: &Schema, given: &Given) -> Result<Step<MarkBrief, MarkModel>> {
        Ok(Step::Scan(MarkBrief { threshold: given.model::<SampleModel>("derive.sample").map_or(u64::MAX, |s| s.threshold) }))
    }

    fn open(&self, _: &MarkBrief) -> MarkState {
        MarkState { texts: 0, kinds: R::KINDS.iter().map(|_| Seen::new()).collect() }
    }

    fn observe(&self, brief: &MarkBrief, state: &mut MarkState, rows: &Batch) -> Result<()> {
        let mut vectors = None;
        for row in 0..rows.rows() {
            state.texts += u64::from(texts::<R>(rows, row).next().is_some());
            let (of_content, of_answer) = (marked::<R>(rows.row_texts(row)), marked::<R>(answer::<R>(rows, row).into_iter()));
            let (key, position) = (rows.keys()[row], rows.row_position(row));
            let has = |marks: &[(&str, Mark)], kind: usize| marks.iter().any(|(_, mark)| mark.kind == kind);
            for (kind, seen) in state.kinds.iter_mut().enumerate() {
                let says = has(&of_content, kind);
                if !says && !has(&of_answer, kind) {
                    continue;
                }
                let label = rows.labels()[row].filter(|_| says);
                seen.rows = seen.rows.saturating_add(1);
                seen.keys.insert(key, label);
                if key > brief.threshold && label.is_some() {
                    if vectors.is_none() {
                        vectors = Some(Vectors::of(rows)?);
                    }
                    if let Some(vectors) = &vectors {
                        seen.raw.insert_with(key, || raw(rows, row, vectors));
                    }
                }
                if seen.first.len() < MOST_EXAMPLES || seen.first.last().is_some_and(|last| position < *last) {
                    seen.first.insert(seen.first.partition_point(|at| *at < position), position);
                    seen.first.truncate(MOST_EXAMPLES);
                }
            }
        }
        Ok(())
    }

    fn merge(&self, _: &MarkBrief, into: &mut MarkState, from: MarkState) -> Result<()> {
        if into.kinds.len() != from.kinds.len() {
            return Err(Error::Wire { code: R::INFO.code.to_owned(), reason: "states know different kinds of marks".to_owned() });
        }
        into.texts = into.texts.saturating_add(from.texts);
        into.kinds.iter_mut().zip(from.kinds).for_each(|(seen, other)| seen.merge(other));
        Ok(())
    }

    fn close(&self, data: &Schema, given: &Given, _: MarkBrief, state: MarkState) -> Result<Step<MarkBrief, MarkModel>> {
        let mut model = MarkModel::default();
        for (kind, seen) in R::KINDS.iter().zip(&state.kinds) {
            let few = (kind.usual * state.texts as f64).max(FEW as f64);
            let usual = seen.rows as f64 > few;
            model.beliefs.push(if usual || seen.rows < kind.least { kind.belief.min(USUAL) } else { kind.belief });
            if usual && kind.belief > USUAL {
                let note = "in so many rows they are how texts look here, and no row is listed for them";
                model.notes.push(format!("{} of {} rows hold {}: {note}", seen.rows, state.texts, kind.name));
            }
        }
        for (kind, label, group) in Self::implied(data, given, &state.kinds)? {
            model.implied.push((kind, label));
            model.groups.push(group);
        }
        Ok(Step::Done(model))
    }

    fn max_bytes(&self, _: &Schema) -> usize {
        R::KINDS.len() * (MOST_CARRIERS * CARRIER_BYTES + MOST_RAW * RAW_BYTES)
    }
}

impl<R: Rules> Detect for Marked<R> {
    fn score(&self, model: &MarkModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate() {
            if texts::<R>(rows, row).next().is_some() {
                let beliefs = marked::<R>(texts::<R>(rows, row)).into_iter().filter_map(|(_, mark)| model.beliefs.get(mark.kind).copied());
                *slot = Some(beliefs.fold(0.0, f64::max));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &MarkModel) -> Vec<Group> {
        model.groups.clone()
    }

    fn members(&self, model: &MarkModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if !model.implied.is_empty() {
            out.iter_mut().enumerate().for_each(|(row, slot)| *slot = Self::member(model, rows, row));
        }
        Ok(())
    }

    fn explain(&self, model: &MarkModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let mut marks = marked::<R>(texts::<R>(rows, row));
        let belief = |mark: &Mark| model.beliefs.get(mark.kind).copied().unwrap_or(0.0);
        marks.sort_by(|a, b| belief(&b.1).total_cmp(&belief(&a.1)));
        let Some((_, worst)) = marks.first() else { return Ok(Evidence::new("holds nothing that the rules mark", [])) };
        let more = marks.iter().filter(|(_, mark)| mark.kind == worst.kind).count() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let read = worst.decoded.as_ref().map_or_else(String::new, |text| format!(", which reads \"{text}\""));
        let reason = format!("holds {}{read}{more}", worst.what);
        let shown: Vec<Value> = marks.iter().take(SHOWN).map(|(text, mark)| shown::<R>(text, mark)).collect();
        Ok(Evidence::new(reason, [("marks", Value::Array(shown))]))
    }

    fn notes(&self, model: &MarkModel) -> Vec<String> {
        model.notes.clone()
    }
}

/// A mark as evidence: what it is and the text around it.
fn shown<R: Rules>(text: &str, mark: &Mark) -> Value {
    let mut out = Map::new();
    out.insert("kind".to_owned(), json!(R::KINDS.get(mark.kind).map_or("", |kind| kind.code)));
    out.insert("what".to_owned(), json!(mark.what));
    out.extend(mark.decoded.iter().map(|decoded| ("decoded".to_owned(), json!(decoded))));
    out.insert("at".to_owned(), json!(mark.start));
    let (before, inside, after) = (text.get(..mark.start), text.get(mark.start..mark.end), text.get(mark.end..));
    if let (Some(before), Some(inside), Some(after)) = (before, inside, after) {
        let from = before.char_indices().rev().take(CONTEXT).last().map_or(before.len(), |(at, _)| at);
        out.insert("before".to_owned(), json!(&before[from..]));
        out.insert("match".to_owned(), json!(cut(inside, LONGEST)));
        out.insert("after".to_owned(), json!(cut(after, CONTEXT)));
    }
    Value::Object(out)
}

/// The first characters of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}
