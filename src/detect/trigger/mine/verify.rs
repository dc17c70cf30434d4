//! The verifier: a candidate is a trigger when its carriers share a label that their content, judged by a model that saw
//! none of them, does not explain.
//!
//! For carriers S with label j, c = |S| distinct rows, k of them labelled j, and q̄ the mean probability of j from the
//! content model without S, the null hypothesis allows the odds of j to be a fixed multiple of what content says; p is the
//! binomial upper tail at that rate, corrected for every testable candidate and for the choice of j.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Label, Schema};
use crate::derive::ContentModel;
use crate::detect::trigger::alike::{Alike, Extent};
use crate::detect::trigger::{EXPLAINED, NEARLY_ALL, WORTH_KEEPING};
use crate::error::Result;
use crate::finding::{Group, Tier};
use crate::stats::interval::IntervalNull;

use super::asked::{Asked, Place, evidence, name};
use super::candidate::Candidate;
use super::many::{many_of_label, usual};
use super::null::{Nulls, PURITY, null};
use super::opinion::{JUDGED, Opinion, judged, means};
use super::state::{Carriers, Described, Short};

/// Level at which the smallest detectable cause is stated.
const LEVEL: f64 = 0.004;
/// The same of an item that is made of values: some rows had it before, with labels of their own.
const MOSTLY: f64 = 0.7;
/// Share of its carriers that a cause must keep once those of stronger ones are taken away.
const OWN_SHARE: f64 = 0.5;
/// Share of its label's rows that an item may be in before what the label's other rows say of it is too little: the rest of the carriers, each
/// without the item, are asked as well then.
const MOST_OF_LABEL: f64 = 0.7;
/// Probability of the label from which on that rest tells it.
const TOLD_BY_REST: f64 = 0.5;
/// Share of all rows up to which a cause may be one that content does not deny, or one of values: what more rows do is a rule of the data. The same of
/// one value that content says nothing of.
const MOST_UNDENIED: f64 = 0.1;
const MOST_UNKNOWN: f64 = 0.05;
/// What looks like a cause and is none, as far as notes name it.
const MOST_DISMISSED: usize = 3;
/// Largest p-value, corrected, of a cause whose item stands where language puts it: it may have replaced what stood there, but of words that
/// grew some have a label that content denies as well, in few rows. So of one that only its place among its kind speaks for.
const GROWN_AT: f64 = 1e-6;
/// The same of a phrase, which is never more than suspect then: formulas of one author or one kind of text are denied as well.
const GROWN_PHRASE_AT: f64 = 1e-12;

/// Odds ratio that innocent structure may reach over what near rows have: those are a measurement, content is a model's word.
const NEAR_ODDS_RATIO: f64 = 2.0;

/// A verified candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Trigger {
    pub(super) item: u64,
    pub(super) target: u32,
    /// Columns that the item is made of, where it has any.
    pub(super) columns: Vec<u32>,
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

/// A candidate with its test.
struct Tested<'a> {
    candidate: Candidate<'a>,
    /// Which of the descriptions names it: one of `also`, or the first.
    described: &'a Described,
    background: f64,
    p: f64,
    carrying: u64,
    agreeing: u64,
    /// The same with near-copies of one another, which are one witness.
    all: (u64, u64),
    /// What content makes of the carriers.
    opinion: Opinion,
    place: Place,
    /// Columns that the item is made of, where it has any.
    columns: Vec<u32>,
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
    let mut verifier = Verifier { data, content, asked, nulls, near, tests, accepted: Vec::new(), dismissed: Vec::new() };
    for (short, carriers) in found {
        verifier.ask(Candidate::new(short, carriers))?;
    }
    let claimed = verifier.claimed();
    for (short, carriers) in found {
        if let Some(left) = Candidate::new(short, carriers).left(data, &claimed) {
            verifier.ask(left)?;
        }
    }
    verifier.dismiss_many_small();
    let claimed = verifier.claimed();
    let Verifier { mut accepted, dismissed, .. } = verifier;
    let certain: Vec<&Trigger> = accepted.iter().map(|(_, t)| t).filter(|t| t.group.corrected() <= EXPLAINED).collect();
    let is_usual = usual(&certain);
    for (_, trigger) in accepted.iter_mut().filter(|(_, t)| asked.may_be_a_sign && !(asked.hidden)(t.item) && is_usual(t)) {
        trigger.group.max_tier = Tier::Suspect;
    }
    accepted.sort_by(|(_, a), (_, b)| a.group.p.total_cmp(&b.group.p).then((a.item, a.target).cmp(&(b.item, b.target))));
    Ok(Verified { triggers: accepted.into_iter().map(|(_, trigger)| trigger).collect(), claimed, dismissed })
}

/// What became of the candidates.
pub(super) struct Verified {
    /// Those that are causes, strongest first.
    pub(super) triggers: Vec<Trigger>,
    /// Keys of the rows that the certain ones claim.
    pub(super) claimed: BTreeSet<u64>,
    /// What looks like a cause and is none, in words.
    pub(super) dismissed: Vec<String>,
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
    /// What looks like a cause and is none, in words.
    dismissed: Vec<String>,
}

impl Verifier<'_> {
    /// Keys of the rows that the certain causes claim.
    fn claimed(&self) -> BTreeSet<u64> {
        self.accepted.iter().filter(|(_, t)| t.group.corrected() <= EXPLAINED).flat_map(|(rows, _)| rows.iter().copied()).collect()
    }

    /// Lets go of causes that there are too many of.
    fn dismiss_many_small(&mut self) {
        let asked = self.asked;
        let is_small = |trigger: &Trigger| asked.may_be_a_kind && trigger.group.rows < u64::from(asked.alarm_from);
        let small = many_of_label(self.accepted.iter().filter(|(_, trigger)| is_small(trigger)).map(|(_, trigger)| trigger.target));
        self.accepted.retain(|(_, trigger)| !is_small(trigger) || !small.contains_key(&trigger.target));
        let told = small.iter().map(|(label, patches)| {
            let name = self.data.class_name(*label);
            format!("{patches} patches in few pictures labelled {name} each: parts that its pictures have, and no cause")
        });
        self.dismissed.extend(told);
    }

    /// Remembers what looks like a cause, and why it is none.
    fn no_cause(&mut self, short: &Short, described: &Described, (carrying, agreeing): (u64, u64), why: &str) {
        let shared = self.data.shared(short.label, agreeing, carrying);
        self.dismissed.push(format!("{} in {} rows, {shared}: {why}, and no cause", name(described), short.tally.rows));
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
        let all @ (mut carrying, mut agreed) = candidate.distinct(nulls);
        let p = |carrying: u64, agreed: u64, background: f64| {
            Some(null.test(carrying, agreed, background, data.rows)?.max(near(carrying, agreed)?))
        };
        let is_worth = |p: Option<f64>| p.is_some_and(|p| p * tests as f64 <= WORTH_KEEPING);
        if is_worth(p(carrying, agreed, background))
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
        if !is_worth(p(carrying.saturating_sub(gone), agreed.saturating_sub(gone), background)) {
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
        // Of all rows: of a table whose rows repeat, few are distinct.
        let is_in = |share: f64| f64::from(short.tally.rows) > share * data.rows as f64;
        let in_many = is_in(MOST_UNDENIED);
        // Cover rows belong to an attack, and what content does not deny may well be none.
        let is_none = match opinion {
            // A way to draw a label has it, but for hardly any.
            _ if asked.may_be_a_kind => opinion.doubt().is_some() && (agreed as f64) < NEARLY_ALL * carrying as f64,
            Opinion::Own | Opinion::Unknown if (asked.hidden)(short.item) => false,
            // Of the rows of a value many have it by nature.
            _ if !columns.is_empty() && (agreed as f64) < MOSTLY * carrying as f64 => true,
            _ if matches!(place, Place::Alone | Place::Grown) && p * tests as f64 > GROWN_AT => true,
            _ if place == Place::Grown && opinion != Opinion::Denied => true,
            _ if place == Place::Grown && asked.is_phrase(short) && p * tests as f64 > GROWN_PHRASE_AT => true,
            Opinion::Denied => short.tally.end && (agreed as f64) < PURITY * carrying as f64,
            // A combination of values that say nothing by themselves is no natural sign; rows that had it before need not agree.
            Opinion::AsAny if place == Place::Singular && columns.len() > 1 => in_many || p * tests as f64 > GROWN_AT,
            Opinion::AsAny if columns.len() == 1 && is_in(MOST_UNKNOWN) => true,
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
        let own: Vec<u64> = agreeing.iter().copied().collect();
        let alike = asked.sample.filter(|_| asked.may_be_a_kind).and_then(|sample| Alike::new(sample, &own));
        if alike.is_some_and(|alike| alike.are_one_kind(short.label, Extent::Small)) {
            self.no_cause(short, described, all, "its pictures are of one kind, nearest to one another");
            return Ok(());
        }
        if in_many && !columns.is_empty() {
            self.no_cause(short, described, all, "in so many it is a rule of the data");
            return Ok(());
        }
        if widened.is_some() {
            self.accepted.retain(|(rows, other)| !covers(rows, other));
        }
        let tested = Tested { described, background, p, carrying, agreeing: agreed, all, opinion, place, columns, candidate };
        self.accepted.push((agreeing, tested.into_trigger(data, null, tests, asked)));
        Ok(())
    }
}

impl Tested<'_> {
    fn into_trigger(self, data: &Schema, null: &IntervalNull, tests: u64, asked: &Asked<'_>) -> Trigger {
        let name = name(self.described).to_owned();
        let Candidate { short, carriers, without, .. } = &self.candidate;
        let what = if data.label.as_ref().is_some_and(|l| l.answers().is_some()) { "answer" } else { "label" };
        let (carrying, agreeing) = self.all;
        let all = data.shared(short.label, agreeing, carrying);
        // Where a label is a reading, rows that do not tell are carriers all the same.
        let in_doubt = data.label.as_ref().and_then(Label::in_doubt) == Some(short.label);
        let all = if in_doubt { format!("of {carrying} that tell {all}") } else { all };
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
        let is_formula = self.place == Place::Grown && asked.is_phrase(short);
        let sure = !in_doubt && !is_formula && (hidden || if asked.may_be_a_kind { nature.is_none() } else { is_denied });
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
                agreeing,
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
pub(super) fn notes(data: &Schema, null: &IntervalNull, tests: u64, floor: u32, aside: usize, dismissed: &[String]) -> Vec<String> {
    let rarest = data.priors().into_iter().fold(1.0, f64::min);
    let seen = |background: f64| null.smallest_detectable(background, LEVEL, tests).map(|c| c.max(u64::from(floor)));
    let mut notes = Vec::new();
    if let Some(count) = seen(0.02) {
        notes.push(format!("would have seen a trigger of this kind from {count} rows on where content contradicts the label"));
    }
    if let Some(count) = seen(rarest.max(0.02)) {
        notes.push(format!("and from {count} rows on where content says nothing of the label"));
    }
    notes.extend(dismissed.iter().take(MOST_DISMISSED).cloned());
    if aside > 0 {
        notes.push(format!("{aside} values are causes only where their rows say otherwise: in their columns a fifth of the frequent values has a label of its own"));
    }
    if floor > super::LEAST_SUPPORT {
        notes.push(format!("items in fewer than {floor} rows were not looked at: more of them are there than the memory budget holds"));
    }
    notes
}
