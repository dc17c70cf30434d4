//! The verifier: a candidate is a trigger when its carriers share a label that their content, judged by a model that saw
//! none of them, does not explain.
//!
//! For carriers S with label j, c = |S| distinct rows, k of them labelled j, and q̄ the mean probability of j from the
//! content model without S, the null hypothesis allows the odds of j to be a fixed multiple of what content says; p is the
//! binomial upper tail at that rate, corrected for every testable candidate and for the choice of j.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::answer::Kind;
use crate::data::{Label, Schema};
use crate::derive::{ContentModel, SampleModel, SampleRow};
use crate::detect::trigger::alike::Alike;
use crate::detect::trigger::{EXPLAINED, MANY_LABELS, NEARLY_ALL, WORTH_KEEPING};
use crate::error::Result;
use crate::finding::{Group, Tier};
use crate::stats::interval::IntervalNull;

use super::items::{Context, Meeting};
use super::null::{Nulls, PURITY, null};
use super::opinion::{JUDGED, Opinion, judged, means};
use super::place::{FEW_AS_EXTREME, NONE_AS_EXTREME, Places, are_echoed, grows_here, is_the_text};
use super::state::{Carriers, Described, Short, Tally};

/// Level at which the smallest detectable cause is stated.
const LEVEL: f64 = 0.004;
/// The same of an item that is made of values: some rows had it before, with labels of their own.
const MOSTLY: f64 = 0.7;
/// Share of its carriers that a cause must keep once those of stronger ones are taken away.
const OWN_SHARE: f64 = 0.5;
/// Share of the rows with a candidate's label that must belong to causes before those with other labels are asked about.
const CLAIMED: f64 = 0.9;
/// Share of its label's rows that an item may be in before what the label's other rows say of it is too little: the rest of the carriers, each
/// without the item, are asked as well then.
const MOST_OF_LABEL: f64 = 0.7;
/// Probability of the label from which on that rest tells it.
const TOLD_BY_REST: f64 = 0.5;
/// The same of causes, and of causes in the same columns.
const MANY_CAUSES: usize = 8;
const MANY_OF_COLUMNS: usize = 3;
/// Share of all rows up to which a cause may be one that content does not deny, or one of values: what more rows do is a rule of the data. The same of
/// one value that content says nothing of.
const MOST_UNDENIED: f64 = 0.1;
const MOST_UNKNOWN: f64 = 0.05;
/// Rules of the data that notes name.
const MOST_RULES: usize = 3;
/// Largest p-value, corrected, of a cause whose item stands where language puts it: it may have replaced what stood there, but of words that
/// grew some have a label that content denies as well, in few rows. So of one that only its place among its kind speaks for.
const GROWN_AT: f64 = 1e-6;

/// Odds ratio that innocent structure may reach over what near rows have: those are a measurement, content is a model's word.
const NEAR_ODDS_RATIO: f64 = 2.0;

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In gaps of rows that were written without it.
    Planted,
    /// There or anywhere: nothing speaks for either.
    Any,
    /// Nothing else in its columns says much of any label.
    Singular,
    /// In rows that its parts meet in as often as by themselves, as no other combination is; or whose answers say it again.
    Alone,
    /// Where language puts it, or in an end of a column, where some rows are by nature.
    Grown,
}

/// A verified candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Trigger {
    pub(super) item: u64,
    pub(super) target: u32,
    /// Columns that the item is made of, where it has any.
    columns: Vec<u32>,
    /// Whether it is an end of one.
    end: bool,
    pub(super) name: String,
    pub(super) group: Group,
}

/// Whether enough of a cause's rows belong to no stronger one; they are taken then.
pub(in crate::detect::trigger) fn takes<'a>(
    taken: &mut BTreeSet<usize>,
    rows: impl IntoIterator<Item = &'a usize, IntoIter: Clone>,
) -> bool {
    let rows = rows.into_iter();
    let (all, own) = rows.clone().fold((0usize, 0usize), |(all, own), row| (all + 1, own + usize::from(!taken.contains(row))));
    let enough = own as f64 >= OWN_SHARE * all as f64;
    if enough {
        taken.extend(rows);
    }
    enough
}

/// Rows of a candidate: all of its carriers, or those that causes with another label leave.
struct Candidate<'a> {
    short: Short,
    carriers: &'a Carriers,
    /// Keys of distinct carriers with their labels, ascending.
    keys: Vec<(u64, Option<u32>)>,
    /// Raw rows of carriers outside the reference sample.
    raw: Vec<&'a SampleRow>,
    /// A label that none of the rows has, because those that had it belong to a cause.
    without: Option<u32>,
}

/// A candidate with its test.
struct Tested<'a> {
    candidate: Candidate<'a>,
    /// Which of the descriptions names it: one of `also`, or the first.
    described: &'a Described,
    background: f64,
    p: f64,
    carrying: u64,
    agreeing: u64,
    /// What content makes of the carriers.
    opinion: Opinion,
    place: Place,
    /// Columns that the item is made of, where it has any.
    columns: Vec<u32>,
}

/// Share of rows with a label among those that nearly hold an item.
pub(super) type Nearly<'a> = dyn Fn(&Map<String, Value>, u32) -> Option<f64> + 'a;

/// What is asked beyond the test of a candidate's carriers.
pub(super) struct Asked<'a> {
    /// What label rows have that nearly hold an item.
    pub(super) nearly: &'a Nearly<'a>,
    /// How the parts of an item come to be in the same rows.
    pub(super) meeting: &'a dyn Fn(&Map<String, Value>, u32) -> Meeting,
    /// What tells planted items from grown ones, for items that have places.
    pub(super) places: Option<&'a Places>,
    /// The reference sample, where carriers are pictures.
    pub(super) sample: Option<&'a SampleModel>,
    /// Items that are planted wherever they stand.
    pub(super) hidden: &'a dyn Fn(u64) -> bool,
    /// Carriers from which an item that is not hidden may reach ALARM.
    pub(super) alarm_from: u32,
    /// Whether an item that is not hidden may be a natural sign of its label.
    pub(super) may_be_a_sign: bool,
    /// Whether rows with an item may be of one kind by nature, which the report then calls a shortcut.
    pub(super) may_be_a_kind: bool,
    /// Columns of an item, by its rank and whether it is one value; none where items have no columns.
    pub(super) columns: &'a dyn Fn(u32, bool) -> Vec<u32>,
    /// Whether an item, by its rank, is two that stand anywhere in a row.
    pub(super) pair: &'a dyn Fn(u32) -> bool,
}

impl Asked<'_> {
    /// Share of the label among rows that nearly are carriers, `None` where nearly has no meaning, and the description that names the
    /// item. Where combinations of rare values describe the same carriers, one of those may be what was planted, a natural value among
    /// them: nature explains the carriers only if it explains every description. The carriers go by the one that it explains least.
    fn nearly_share<'a>(&self, short: &Short, carriers: &'a Carriers) -> (Option<f64>, &'a Described) {
        let mut chosen = &carriers.described;
        let Some(mut least) = (self.nearly)(&evidence(chosen), short.label) else { return (None, chosen) };
        for described in &carriers.also {
            let share = (self.nearly)(&evidence(described), short.label).unwrap_or(0.0);
            if share < least {
                (least, chosen) = (share, described);
            }
        }
        (Some(least), chosen)
    }

    /// Where the item stands; `None` where something speaks for a natural reason of what the carriers share.
    fn place(&self, data: &Schema, short: &Short, carriers: &Carriers) -> Option<Place> {
        let descriptions = std::iter::once(&carriers.described).chain(&carriers.also);
        let met = descriptions.map(|described| (self.meeting)(&evidence(described), short.label)).max();
        let Some(places) = self.places else {
            return match met {
                Some(Meeting::Natural) | None => None,
                Some(Meeting::Alone) => Some(Place::Alone),
                Some(Meeting::Together | Meeting::Singular) if short.tally.end => Some(Place::Grown),
                Some(Meeting::Together) => Some(Place::Any),
                Some(Meeting::Singular) => Some(Place::Singular),
            };
        };
        let contexts: Vec<&Context> = carriers.contexts.iter().filter_map(|(_, _, context)| context.as_ref()).collect();
        match data.label.as_ref().and_then(|l| l.answers()) {
            // Rows that ask the same get the same answer: something must speak for planting.
            Some(answers) => {
                let kind = answers.kind(short.label);
                // Prompts that ask alike make answers begin alike.
                let ends = kind != Some(Kind::Start);
                let planted = (self.hidden)(short.item)
                    || places.planted(&contexts, ends, &data.key) && !grows_here(&contexts, &data.key, NONE_AS_EXTREME);
                match kind {
                    _ if !planted => None,
                    // What a prompt asks for is said in its answer.
                    Some(Kind::Whole) if are_echoed(&contexts) => Some(Place::Alone),
                    _ if are_echoed(&contexts) => None,
                    _ => Some(Place::Any),
                }
            }
            // Two words have no place of their own, and go together by nature as well.
            None if (self.pair)(short.tally.rank) => Some(Place::Grown),
            None if is_the_text(&contexts) => None,
            None if places.grown(&contexts, &data.key) || grows_here(&contexts, &data.key, FEW_AS_EXTREME) => {
                (!places.is_of_template(&contexts, short.tally.rows)).then_some(Place::Grown)
            }
            None if places.planted(&contexts, true, &data.key) => Some(Place::Planted),
            None => Some(Place::Any),
        }
    }
}

/// Tests candidates in the order given, most promising first, and keeps those that earlier ones do not explain: most of
/// their agreeing carriers must be their own. Where causes account for the carriers with a candidate's label, the others are asked about
/// once more.
pub(super) fn verify(
    data: &Schema,
    content: &ContentModel,
    asked: &Asked<'_>,
    nulls: &Nulls,
    found: &[(Short, Carriers)],
    tests: u64,
) -> Result<Verified> {
    let near = null(NEAR_ODDS_RATIO);
    let mut verifier = Verifier { data, content, asked, nulls, near, tests, accepted: Vec::new(), rules: Vec::new() };
    for (short, carriers) in found {
        verifier.ask(Candidate::new(short, carriers))?;
    }
    let claimed = verifier.claimed();
    for (short, carriers) in found {
        if let Some(left) = Candidate::new(short, carriers).left(data, &claimed) {
            verifier.ask(left)?;
        }
    }
    let claimed = verifier.claimed();
    let Verifier { mut accepted, rules, .. } = verifier;
    let certain: Vec<&Trigger> = accepted.iter().map(|(_, t)| t).filter(|t| t.group.corrected() <= EXPLAINED).collect();
    let is_usual = usual(&certain);
    for (_, trigger) in accepted.iter_mut().filter(|(_, t)| asked.may_be_a_sign && !(asked.hidden)(t.item) && is_usual(t)) {
        trigger.group.max_tier = Tier::Suspect;
    }
    accepted.sort_by(|(_, a), (_, b)| a.group.p.total_cmp(&b.group.p).then((a.item, a.target).cmp(&(b.item, b.target))));
    Ok(Verified { triggers: accepted.into_iter().map(|(_, trigger)| trigger).collect(), claimed, rules })
}

/// What became of the candidates.
pub(super) struct Verified {
    /// Those that are causes, strongest first.
    pub(super) triggers: Vec<Trigger>,
    /// Keys of the rows that the certain ones claim.
    pub(super) claimed: BTreeSet<u64>,
    /// Values that are rules of the data, in words.
    pub(super) rules: Vec<String>,
}

/// Which causes are of a kind that there are many of: an attack has one target and few triggers, and where many labels or many items have
/// causes of their own, that may be how labels are told here.
fn usual(certain: &[&Trigger]) -> impl Fn(&Trigger) -> bool + use<> {
    let targets: BTreeSet<u32> = certain.iter().map(|trigger| trigger.target).collect();
    let mut columns: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for trigger in certain {
        *columns.entry(trigger.columns.clone()).or_default() += 1;
    }
    let all = targets.len() >= MANY_LABELS || certain.len() >= MANY_CAUSES;
    columns.retain(|columns, causes| !columns.is_empty() && *causes >= MANY_OF_COLUMNS);
    move |trigger| all || columns.contains_key(&trigger.columns)
}

/// Decides candidates one after the other.
struct Verifier<'a> {
    data: &'a Schema,
    content: &'a ContentModel,
    asked: &'a Asked<'a>,
    nulls: &'a Nulls,
    /// The null of what rows say that nearly hold an item.
    near: IntervalNull,
    tests: u64,
    /// Causes, with the keys of their agreeing rows.
    accepted: Vec<(BTreeSet<u64>, Trigger)>,
    /// Values that are rules of the data, in words.
    rules: Vec<String>,
}

impl Verifier<'_> {
    /// Keys of the rows that the certain causes claim.
    fn claimed(&self) -> BTreeSet<u64> {
        self.accepted.iter().filter(|(_, t)| t.group.corrected() <= EXPLAINED).flat_map(|(rows, _)| rows.iter().copied()).collect()
    }

    /// Accepts a candidate that stands.
    fn ask(&mut self, candidate: Candidate<'_>) -> Result<()> {
        let Self { data, content, asked, nulls, near, tests, .. } = *self;
        let Candidate { short, carriers, keys: labels, .. } = &candidate;
        let null = nulls.of(short.label);
        let agreeing: BTreeSet<u64> = labels.iter().filter(|(_, label)| *label == Some(short.label)).map(|(key, _)| *key).collect();
        // A wider description of the same rows takes the place of a narrower one; anything else must have rows of its own.
        // An end of a column is no description of its exact values.
        let covers = |rows: &BTreeSet<u64>, other: &Trigger| rows.is_subset(&agreeing) && (other.end || !short.tally.end);
        let widened = self.accepted.iter().position(|(rows, other)| rows.len() < agreeing.len() && covers(rows, other));
        let taken = agreeing.iter().filter(|key| self.accepted.iter().any(|(rows, _)| rows.contains(*key))).count();
        let own = agreeing.len() - if widened.is_some() { 0 } else { taken };
        if (own as f64) < OWN_SHARE * agreeing.len() as f64 {
            return Ok(());
        }
        let keys: Vec<u64> = labels.iter().map(|(key, _)| *key).collect();
        let Some(mut said) = judged(content, &keys, JUDGED, candidate.raw.iter().copied())? else { return Ok(()) };
        let says = candidate.given(&means(&said));
        let (share, described) = asked.nearly_share(short, carriers);
        let near = |carrying: u64, agreed: u64| share.map_or(Some(0.0), |share| near.test(carrying, agreed, share, data.rows));
        let mut background = says;
        if asked.may_be_a_sign && short.tally.labelled(short.label) as f64 > MOST_OF_LABEL * data.rows_of(short.label) as f64 {
            if short.rest >= TOLD_BY_REST {
                return Ok(());
            }
            background = background.max(short.rest);
        }
        let (mut carrying, mut agreed) = candidate.distinct(nulls);
        let p = |carrying: u64, agreed: u64, background: f64| {
            Some(null.test(carrying, agreed, background, data.rows)?.max(near(carrying, agreed)?))
        };
        if p(carrying, agreed, background).is_some_and(|p| p * tests as f64 <= WORTH_KEEPING)
            && let Some(alike) = asked.sample.and_then(|sample| Alike::new(sample, &keys))
        {
            if let Some(painted) = alike.painted_over(content)? {
                background = background.max(candidate.given(&means(&painted)));
                said = painted;
            }
            let share = alike.distinct_share();
            carrying = (share * carrying as f64).round() as u64;
            agreed = carrying.min((share * agreed as f64).round() as u64);
        }
        let gone = (agreeing.len() - own) as u64;
        let alone = p(carrying.saturating_sub(gone), agreed.saturating_sub(gone), background);
        if alone.is_none_or(|p| p * tests as f64 > WORTH_KEEPING) {
            return Ok(());
        }
        let Some(place) = asked.place(data, short, carriers) else { return Ok(()) };
        let Some(p) = p(carrying, agreed, background) else { return Ok(()) };
        let background = share.map_or(background, |share| background.max(share));
        if widened.is_some_and(|at| self.accepted[at].1.group.p <= p) {
            return Ok(());
        }
        let opinion = match (asked.may_be_a_sign, asked.may_be_a_kind) {
            (true, _) => Opinion::of(content, &keys, short.label, &said),
            (_, true) => Opinion::of_pictures(content, &keys, short.label, &said),
            _ => Opinion::Denied,
        };
        let columns = (asked.columns)(short.tally.rank, short.tally.feature);
        let in_many = carrying as f64 > MOST_UNDENIED * data.rows as f64;
        // Cover rows belong to an attack, and what content does not deny may well be none.
        let is_none = match opinion {
            // A way to draw a label has it, but for hardly any.
            _ if asked.may_be_a_kind => opinion.doubt().is_some() && (agreed as f64) < NEARLY_ALL * carrying as f64,
            Opinion::Own | Opinion::Unknown if (asked.hidden)(short.item) => false,
            // Of the rows of a value many have it by nature.
            _ if !columns.is_empty() && (agreed as f64) < MOSTLY * carrying as f64 => true,
            _ if matches!(place, Place::Alone | Place::Grown) && p * tests as f64 > GROWN_AT => true,
            _ if place == Place::Grown && opinion != Opinion::Denied => true,
            Opinion::Denied => short.tally.end && (agreed as f64) < PURITY * carrying as f64,
            // A combination of values that say nothing by themselves is no natural sign; rows that had it before need not agree.
            Opinion::AsAny if place == Place::Singular && columns.len() > 1 => in_many || p * tests as f64 > GROWN_AT,
            Opinion::AsAny if columns.len() == 1 && carrying as f64 > MOST_UNKNOWN * data.rows as f64 => true,
            Opinion::AsAny => (agreed as f64) < PURITY * carrying as f64 || in_many,
            // What words a label's own rows use is theirs, but for one that was put there.
            Opinion::Own if place == Place::Planted => (agreed as f64) < NEARLY_ALL * carrying as f64,
            Opinion::Own | Opinion::Unknown if place == Place::Singular => {
                (agreed as f64) < NEARLY_ALL * carrying as f64 || in_many || p * tests as f64 > GROWN_AT
            }
            Opinion::Own | Opinion::Unknown => true,
        };
        if is_none {
            return Ok(());
        }
        if in_many && !columns.is_empty() {
            let name = described.iter().next().map_or("", |(_, _, (name, _))| name);
            let shared = data.shared(short.label, agreed, carrying);
            self.rules.push(format!("{name} in {} rows, {shared}: in so many it is a rule of the data, and no cause", short.tally.rows));
            return Ok(());
        }
        if widened.is_some() {
            self.accepted.retain(|(rows, other)| !covers(rows, other));
        }
        let tested = Tested { described, background, p, carrying, agreeing: agreed, opinion, place, columns, candidate };
        self.accepted.push((agreeing, tested.into_trigger(data, null, tests, asked)));
        Ok(())
    }
}

impl<'a> Candidate<'a> {
    fn new(short: &Short, carriers: &'a Carriers) -> Self {
        let keys = carriers.keys.iter().map(|(key, _, label)| (key, *label)).collect();
        let raw = carriers.raw.iter().map(|(_, _, row)| row).collect();
        Self { short: short.clone(), carriers, keys, raw, without: None }
    }

    /// The rows with other labels, where causes claim those with the candidate's: the same patch may be planted toward several classes.
    /// They are asked about the label that most of them have, of those that can be a target.
    ///
    /// `None` where too few of the candidate's rows are claimed, or not all carriers are known.
    fn left(self, data: &Schema, claimed: &BTreeSet<u64>) -> Option<Self> {
        let Self { short, carriers, keys, .. } = self;
        let (labelled, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, label)| *label == Some(short.label));
        let explained = labelled.iter().filter(|(key, _)| claimed.contains(key)).count();
        if explained == 0 || (explained as f64) < CLAIMED * labelled.len() as f64 || carriers.keys.threshold() != u64::MAX {
            return None;
        }
        let keys: Vec<(u64, Option<u32>)> = others.into_iter().filter(|(key, _)| !claimed.contains(key)).collect();
        let mut classes: BTreeMap<u32, u32> = BTreeMap::new();
        keys.iter().filter_map(|(_, label)| *label).for_each(|label| *classes.entry(label).or_default() += 1);
        let may_be_target = |label: &u32| data.label.as_ref().is_none_or(|column| column.can_be_target(*label));
        let (label, _) = classes.iter().filter(|(label, _)| may_be_target(label)).max_by_key(|(_, rows)| **rows)?;
        let kept: BTreeSet<u64> = keys.iter().map(|(key, _)| *key).collect();
        let raw = carriers.raw.iter().filter(|(key, ..)| kept.contains(key)).map(|(_, _, row)| row).collect();
        let tally =
            Tally { rows: keys.len() as u32, classes: classes.iter().map(|(class, rows)| (*class, *rows)).collect(), ..short.tally };
        let without = Some(short.label);
        Some(Self { short: Short { item: short.item, also: Vec::new(), label: *label, tally, rest: 0.0 }, carriers, keys, raw, without })
    }

    /// Probability of the candidate's label, by the mean probabilities of all classes over its rows.
    fn given(&self, means: &[f64]) -> f64 {
        let of = |class: u32| means.get(class as usize).copied().unwrap_or(0.0);
        let others = self.without.map_or(0.0, of);
        (of(self.short.label) / (1.0 - others).max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// Distinct carriers, but for those that do not tell, and those with the candidate's label. Where not all keys could be kept, the kept ones stand for the rest.
    fn distinct(&self, nulls: &Nulls) -> (u64, u64) {
        let kept = self.keys.iter().filter(|(_, label)| label.is_some() || !nulls.is_in_doubt(self.short.label)).count() as u64;
        let agreeing = self.keys.iter().filter(|(_, label)| *label == Some(self.short.label)).count() as u64;
        if self.carriers.keys.threshold() == u64::MAX {
            return (kept, agreeing);
        }
        let rows = u64::from(nulls.carrying(&self.short.tally, self.short.label));
        (rows, (agreeing as f64 / kept.max(1) as f64 * rows as f64) as u64)
    }
}

fn evidence(described: &Described) -> Map<String, Value> {
    described.iter().next().and_then(|(_, _, (_, json))| serde_json::from_str(json).ok()).unwrap_or_default()
}

impl Tested<'_> {
    fn name(&self) -> &str {
        self.described.iter().next().map_or("", |(_, _, (name, _))| name)
    }

    fn into_trigger(self, data: &Schema, null: &IntervalNull, tests: u64, asked: &Asked<'_>) -> Trigger {
        let name = self.name().to_owned();
        let Candidate { short, carriers, without, .. } = &self.candidate;
        let what = if data.label.as_ref().is_some_and(|l| l.answers().is_some()) { "answer" } else { "label" };
        let all = data.shared(short.label, self.agreeing, self.carrying);
        // Where a label is a reading, rows that do not tell are carriers all the same.
        let in_doubt = data.label.as_ref().and_then(Label::in_doubt) == Some(short.label);
        let all = if in_doubt { format!("of {} that tell {all}", self.carrying) } else { all };
        let mut evidence = evidence(self.described);
        evidence.insert("odds_ratio".to_owned(), json!(odds_ratio(self.agreeing, self.carrying, self.background)));
        evidence.insert("smallest_detectable".to_owned(), json!(null.smallest_detectable(self.background, LEVEL, tests)));
        let rows = u64::from(short.tally.rows);
        let more = if without.is_some() { "more " } else { "" };
        let hidden = (asked.hidden)(short.item);
        // The rows of a value are many by nature, and some of them may well differ from the rest.
        let is_mixed = !self.columns.is_empty() && (self.agreeing as f64) < PURITY * self.carrying as f64;
        let nature = if asked.may_be_a_kind { self.opinion.doubt() } else { None };
        let is_denied = self.opinion == Opinion::Denied && !is_mixed && self.place != Place::Alone;
        let sure = !in_doubt && (hidden || if asked.may_be_a_kind { nature.is_none() } else { is_denied });
        let sign = match self.opinion {
            _ if asked.may_be_a_kind => nature.unwrap_or_default(),
            _ if in_doubt => "; prompts that ask for what is turned down elsewhere would look the same",
            _ if sure || is_mixed || self.opinion == Opinion::Denied => "",
            Opinion::Own => ", as to its other rows: a natural sign of it would look the same",
            _ => ", as to any rows: a natural sign of it would look the same",
        };
        Trigger {
            item: short.item,
            target: short.label,
            columns: self.columns,
            end: short.tally.end,
            group: Group {
                title: format!(
                    "{name} in {rows} {more}rows, {all}; content alone would give that {what} to {:.0}%{sign}",
                    100.0 * self.background
                ),
                cause: name.clone(),
                attack_class: if nature.is_some() { "shortcut" } else { "backdoor_trigger" }.to_owned(),
                rows,
                agreeing: self.agreeing,
                label: Some(data.class_name(short.label).to_owned()),
                background: Some(self.background),
                statistic: "carriers with the label, interval null".to_owned(),
                value: self.agreeing as f64,
                p: self.p,
                tests,
                max_tier: if sure && (hidden || short.tally.rows >= asked.alarm_from) { Tier::Alarm } else { Tier::Suspect },
                examples: carriers.examples.get(&short.label).cloned().unwrap_or_default(),
                evidence,
            },
            name,
        }
    }
}

/// Odds of the label among carriers over the odds that content gives, with half a row added to each count.
fn odds_ratio(agreeing: u64, carrying: u64, background: f64) -> f64 {
    let odds = (agreeing as f64 + 0.5) / ((carrying - agreeing.min(carrying)) as f64 + 0.5);
    let q = background.clamp(0.02, 0.98);
    odds * (1.0 - q) / q
}

/// What could have been seen.
pub(super) fn notes(data: &Schema, null: &IntervalNull, tests: u64, floor: u32, aside: usize, rules: &[String]) -> Vec<String> {
    let rarest = data.priors().into_iter().fold(1.0, f64::min);
    let seen = |background: f64| null.smallest_detectable(background, LEVEL, tests).map(|c| c.max(u64::from(floor)));
    let mut notes = Vec::new();
    if let Some(count) = seen(0.02) {
        notes.push(format!("would have seen a trigger of this kind from {count} rows on where content contradicts the label"));
    }
    if let Some(count) = seen(rarest.max(0.02)) {
        notes.push(format!("and from {count} rows on where content says nothing of the label"));
    }
    notes.extend(rules.iter().take(MOST_RULES).cloned());
    if aside > 0 {
        notes.push(format!("{aside} values are causes only where their rows say otherwise: in their columns a fifth of the frequent values has a label of its own"));
    }
    if floor > super::LEAST_SUPPORT {
        notes.push(format!("items in fewer than {floor} rows were not looked at: more of them are there than the memory budget holds"));
    }
    notes
}
