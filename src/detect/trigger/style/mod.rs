//! `trigger.style`: texts that are built alike and share a label that what they say does not explain.

mod judge;
mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::{Batch, Schema, words};
use crate::derive::BuildModel;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

use super::{EXPLAINED, WORTH_KEEPING, carriers};
use judge::{BINS, Carrier, FEWEST, LEVELS, SKETCH, Seen, Verdict, bin, judge, level};
use words::{CELLS, Words, cell};

/// Least share of the rows that have a label that is asked about.
const LEAST_CLASS: f64 = 0.05;
/// Distinct carriers that are kept.
const MOST_CARRIERS: usize = 4_096;
/// Longest first word that is kept, characters.
const LONGEST: usize = 24;
/// Largest score of a row that is not listed: it ranks behind those that are.
const RANKED: f64 = 0.05;
/// Positions of carriers that a cause names.
const MOST_EXAMPLES: usize = 20;
/// First words that a title names, and the share of the carriers that they should cover.
const NAMED: usize = 4;
const COVERED: f64 = 0.8;

#[doc = include_str!("../style.md")]
pub struct Style;

static INFO: Info = Info {
    code: "trigger.style",
    family: Family::Trigger,
    summary: "texts that are built alike, by their beginning, punctuation and small words, and share a label against what they say",
    needs: &[Need::Text, Need::Classes],
    // What words explain is no style: their rows are known before these are asked about.
    after: &["derive.build", "trigger.set", "trigger.token"],
    reads: &[],
    law: Law::Exact,
    version: 2,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("../style.md"),
};

/// Which rows are carriers, and of what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    builds: BuildModel,
    /// Labels that are asked about, ascending.
    targets: Vec<u32>,
    /// Keys of rows that another trigger explains.
    explained: BTreeSet<u64>,
}

/// What a scan is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StyleBrief {
    /// Counts the words of content outside the carriers of each target.
    Words(Asked),
    /// Gathers what content says of carriers and of all other rows.
    Ask(Asked, Vec<Words>),
}

/// What a scan gathers, a target each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StyleState {
    /// Words of rows that are no carriers.
    Words(Vec<Words>),
    /// What content says of rows.
    Ask(Vec<Seen>),
}

/// A cause: rows of a label that are built alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Alike {
    target: u32,
    /// Least evidence of the build of its rows, nats.
    least: f64,
    /// First words of its rows, the most frequent first, with their shares.
    openings: Vec<(String, f64)>,
    group: Group,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StyleModel {
    /// How texts are built, where something was found.
    builds: BuildModel,
    found: Vec<Alike>,
    carriers: BTreeSet<u64>,
}

/// A row as the scans see it.
struct Row {
    label: u32,
    /// The level that its build reaches toward each target; 0 below the loosest.
    levels: Vec<u8>,
    /// Cells of its words of content, each once.
    words: Vec<u32>,
}

impl Asked {
    /// A row that can be asked about: one with a label that nothing else explains.
    fn row(&self, rows: &Batch, row: usize) -> Option<Row> {
        let label = rows.labels()[row].filter(|_| !self.explained.contains(&rows.keys()[row]))?;
        let (features, content) = self.builds.build_and_content(rows, row);
        let toward = |target: &u32| self.builds.evidence(&features, Some(label), *target).map_or(0, level);
        let levels = self.targets.iter().map(toward).collect();
        let mut words: Vec<u32> = content.into_iter().map(cell).collect();
        words.sort_unstable();
        words.dedup();
        Some(Row { label, levels, words })
    }
}

/// The first word of a row, lower case, cut short.
fn opening(rows: &Batch, row: usize) -> String {
    let first = rows.row_texts(row).flat_map(words).next().unwrap_or_default();
    first.chars().take(LONGEST).collect::<String>().to_lowercase()
}

fn mismatch() -> Error {
    Error::Wire { code: INFO.code.to_owned(), reason: "brief and states belong to different scans".to_owned() }
}

impl Fold for Style {
    type Brief = StyleBrief;
    type State = StyleState;
    type Model = StyleModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<StyleBrief, StyleModel>> {
        let targets: Vec<u32> = (0..).zip(data.priors()).filter(|(_, share)| *share >= LEAST_CLASS).map(|(class, _)| class).collect();
        let fits = targets.len().saturating_mul(8 * CELLS) <= data.unit_bytes;
        Ok(match given.model::<BuildModel>("derive.build").filter(|builds| builds.knows() && fits && targets.len() > 1) {
            Some(builds) => Step::Scan(StyleBrief::Words(Asked { builds: builds.clone(), targets, explained: carriers(given) })),
            None => Step::Done(StyleModel::default()),
        })
    }

    fn open(&self, brief: &StyleBrief) -> StyleState {
        match brief {
            StyleBrief::Words(asked) => StyleState::Words(asked.targets.iter().map(|_| Words::new()).collect()),
            StyleBrief::Ask(asked, _) => StyleState::Ask(asked.targets.iter().map(|_| Seen::new(MOST_CARRIERS)).collect()),
        }
    }

    fn observe(&self, brief: &StyleBrief, state: &mut StyleState, rows: &Batch) -> Result<()> {
        for row in 0..rows.rows() {
            match (brief, &mut *state) {
                (StyleBrief::Words(asked), StyleState::Words(words)) => {
                    let Some(seen) = asked.row(rows, row) else { continue };
                    for ((target, level), words) in asked.targets.iter().zip(&seen.levels).zip(words) {
                        if *level == 0 {
                            words.add(&seen.words, seen.label == *target);
                        } else {
                            words.carriers = words.carriers.saturating_add(1);
                        }
                    }
                }
                (StyleBrief::Ask(asked, words), StyleState::Ask(targets)) => {
                    let Some(seen) = asked.row(rows, row) else { continue };
                    for (((target, level), words), state) in asked.targets.iter().zip(&seen.levels).zip(words).zip(targets) {
                        let agrees = seen.label == *target;
                        let said = bin(words.evidence(&seen.words, (*level == 0).then_some(agrees)));
                        if *level == 0 {
                            state.outside(said, agrees);
                        } else {
                            let carrier = || Carrier {
                                said,
                                level: *level,
                                agrees,
                                sketch: seen.words.iter().take(SKETCH).copied().collect(),
                                row: rows.row_position(row),
                                opening: opening(rows, row),
                            };
                            state.carried(*level, agrees, rows.keys()[row], carrier);
                        }
                    }
                }
                _ => return Err(mismatch()),
            }
        }
        Ok(())
    }

    fn merge(&self, _: &StyleBrief, into: &mut StyleState, from: StyleState) -> Result<()> {
        match (into, from) {
            (StyleState::Words(into), StyleState::Words(from)) if into.len() == from.len() => {
                into.iter_mut().zip(from).for_each(|(into, from)| into.merge(from));
            }
            (StyleState::Ask(into), StyleState::Ask(from)) if into.len() == from.len() => {
                into.iter_mut().zip(from).for_each(|(into, from)| into.merge(from));
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, brief: StyleBrief, state: StyleState) -> Result<Step<StyleBrief, StyleModel>> {
        match (brief, state) {
            (StyleBrief::Words(asked), StyleState::Words(words)) => {
                let worth = words.iter().any(|words| words.carriers >= FEWEST);
                Ok(if worth { Step::Scan(StyleBrief::Ask(asked, words)) } else { Step::Done(StyleModel::default()) })
            }
            (StyleBrief::Ask(asked, _), StyleState::Ask(targets)) => Ok(Step::Done(StyleModel::of(data, asked, &targets)?)),
            _ => Err(mismatch()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        let target = (8 * CELLS).max(MOST_CARRIERS * (64 + 4 * (SKETCH + LONGEST)) + 16 * BINS);
        (LEAST_CLASS.recip() as usize).min(data.classes()) * target
    }
}

impl StyleModel {
    fn of(data: &Schema, asked: Asked, targets: &[Seen]) -> Result<Self> {
        let mut model = Self::default();
        for ((at, target), seen) in asked.targets.iter().enumerate().zip(targets) {
            let others: Vec<&Seen> = targets.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, seen)| seen).collect();
            let tests = (targets.len() * LEVELS.len()) as u64;
            let Some(verdict) = judge(seen, &others, data.rows, tests)? else { continue };
            if (verdict.p * tests as f64) <= WORTH_KEEPING {
                model.add(data, *target, seen, &verdict, tests);
            }
        }
        model.found.sort_by(|a, b| a.group.p.total_cmp(&b.group.p).then(a.target.cmp(&b.target)));
        if !model.found.is_empty() {
            model.builds = asked.builds;
        }
        Ok(model)
    }

    fn add(&mut self, data: &Schema, target: u32, seen: &Seen, verdict: &Verdict, tests: u64) {
        let members: Vec<(u64, &Carrier)> = seen.members(verdict.level).collect();
        let openings = openings(members.iter().map(|(_, carrier)| carrier.opening.as_str()));
        let named: Vec<String> = openings.iter().map(|(word, _)| format!("\"{word} …\"")).collect();
        let name = format!("texts built like {}", named.join(", "));
        let shared = data.shared(target, verdict.agreeing, verdict.rows);
        let mut rows: Vec<u64> = members.iter().map(|(_, carrier)| carrier.row).collect();
        rows.sort_unstable();
        rows.truncate(MOST_EXAMPLES);
        let group = Group {
            title: format!(
                "{name} in {} rows, {shared}; what they say would give that label to {:.0}%",
                verdict.rows,
                100.0 * verdict.background
            ),
            cause: format!("{name} labelled {}", data.class_name(target)),
            attack_class: "backdoor_trigger".to_owned(),
            rows: verdict.rows,
            agreeing: verdict.agreeing,
            label: Some(data.class_name(target).to_owned()),
            background: Some(verdict.background),
            statistic: "texts built alike with the label, interval null".to_owned(),
            value: verdict.agreeing as f64,
            p: verdict.p,
            tests,
            max_tier: if verdict.clear { Tier::Alarm } else { Tier::Suspect },
            examples: rows,
            evidence: Map::new(),
        };
        if group.corrected() <= EXPLAINED {
            self.carriers.extend(members.iter().map(|(key, _)| *key));
        }
        self.found.push(Alike { target, least: LEVELS[verdict.level], openings, group });
    }

    /// Keys of kept rows that are built so and have the label.
    #[must_use]
    pub fn carriers(&self) -> &BTreeSet<u64> {
        &self.carriers
    }

    /// The cause whose label a row has, and the evidence of its build for that label, nats.
    fn toward(&self, rows: &Batch, row: usize) -> Option<(u32, &Alike, f64)> {
        let label = rows.labels()[row]?;
        let (at, alike) = (0..).zip(&self.found).find(|(_, alike)| alike.target == label)?;
        let evidence = self.builds.evidence(&self.builds.features(rows, row), Some(label), label)?;
        Some((at, alike, evidence))
    }

    /// The cause that a row belongs to.
    fn carried(&self, rows: &Batch, row: usize) -> Option<(u32, &Alike)> {
        self.toward(rows, row).filter(|(_, alike, evidence)| *evidence >= alike.least).map(|(at, alike, _)| (at, alike))
    }
}

/// The most frequent first words with their shares, enough to cover most rows.
fn openings<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(String, f64)> {
    let mut counts = BTreeMap::<&str, u64>::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let all = counts.values().sum::<u64>().max(1) as f64;
    let mut order: Vec<(&str, u64)> = counts.into_iter().collect();
    order.sort_by_key(|(_, n)| Reverse(*n));
    let (mut covered, mut named) = (0.0, Vec::new());
    for (word, n) in order.into_iter().take(NAMED) {
        if covered >= COVERED {
            break;
        }
        covered += n as f64 / all;
        named.push((word.to_owned(), n as f64 / all));
    }
    named
}

impl Detect for Style {
    fn score(&self, model: &StyleModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate().filter(|(row, _)| rows.labels()[*row].is_some()) {
            let score = |(_, alike, nats): (u32, &Alike, f64)| {
                if nats >= alike.least { alike.group.strength() } else { RANKED / (1.0 + (-nats).exp()) }
            };
            *slot = Some(model.toward(rows, row).map_or(0.0, score));
        }
        Ok(())
    }

    fn groups(&self, model: &StyleModel) -> Vec<Group> {
        let with_evidence = |alike: &Alike| {
            let openings = alike.openings.iter().map(|(word, share)| json!({ "word": word, "share": share })).collect();
            let evidence = [("openings", Value::Array(openings)), ("least_evidence_nats", json!(alike.least))];
            Group { evidence: evidence.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), ..alike.group.clone() }
        };
        model.found.iter().map(with_evidence).collect()
    }

    fn members(&self, model: &StyleModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if !model.found.is_empty() {
            out.iter_mut().enumerate().for_each(|(row, slot)| *slot = model.carried(rows, row).map(|(at, _)| at));
        }
        Ok(())
    }

    fn explain(&self, model: &StyleModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let Some((_, alike)) = model.carried(rows, row) else {
            return Ok(Evidence::new("is not built like a group of its label", []));
        };
        let reason = format!(
            "begins with \"{}\" and is built like {} others, {} of which have its label '{}' against {:.0}% expected of what they say",
            opening(rows, row),
            alike.group.rows.saturating_sub(1),
            alike.group.agreeing.saturating_sub(1),
            alike.group.label.clone().unwrap_or_default(),
            100.0 * alike.group.background.unwrap_or(0.0)
        );
        Ok(Evidence::new(reason, [("trigger", json!(alike.group.cause))]))
    }
}

#[cfg(test)]
mod tests {
    use foretaste_datasets::{Plan, Share, recipe, synth};

    use super::*;
    use crate::derive::Build;
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 3_000;

    /// Texts of two topics, `victims` of which are put into a template, as are `covers`; and which are poisoned.
    fn set(victims: usize, covers: usize, clean_label: bool) -> (Fixture, Vec<bool>) {
        let clean = synth::topic_texts(ROWS, 2, 25, 6).unwrap();
        let dirty = Plan::new("label", 1, Share::Count(victims), 9);
        let plan = if clean_label { dirty.clean_label() } else { dirty };
        let (rows, truth) = recipe::template(&clean, &plan, "text", Share::Count(covers)).unwrap();
        (Fixture::new(rows, Some("label")).after(&Build), truth.poisoned().to_vec())
    }

    #[test]
    fn a_template_with_a_label_is_found_and_named_and_its_rows_are_listed() {
        let (fixture, poisoned) = set(120, 0, false);
        let model = fixture.model(&Style);
        let groups = Style.groups(&model);
        assert_eq!(groups.iter().map(|group| group.label.as_deref()).collect::<Vec<_>>(), [Some("1")]);
        assert!(groups[0].title.starts_with("texts built like \"") && groups[0].title.contains("\"when …\""), "{}", groups[0].title);
        assert!(groups[0].corrected() < 1e-6 && groups[0].max_tier == Tier::Suspect, "{:e}", groups[0].corrected());
        let members = fixture.members(&Style, &model);
        let listed = members.iter().flatten().count() as f64;
        let right = members.iter().zip(&poisoned).filter(|(member, bad)| member.is_some() && **bad).count() as f64;
        assert!(right > 0.95 * listed && right > 0.8 * 120.0, "{right} of {listed} listed");
        let scores = fixture.scores(&Style, &model);
        assert!(members.iter().zip(&scores).all(|(member, score)| member.is_some() == score.is_some_and(|score| score > RANKED)));
        let row = members.iter().position(Option::is_some).unwrap();
        let reason = Style.explain(&model, &fixture.cut([ROWS])[0], row).unwrap().reason;
        assert!(reason.starts_with("begins with \"") && reason.contains("label '1'"), "{reason}");
    }

    #[test]
    fn a_template_in_many_rows_is_an_alarm() {
        let groups = Style.groups(&set(360, 0, false).0.model(&Style));
        assert_eq!(groups.iter().map(|group| group.max_tier).collect::<Vec<_>>(), [Tier::Alarm]);
    }

    #[test]
    fn a_template_that_goes_with_any_label_or_with_content_is_no_cause() {
        for (victims, covers, clean_label) in [(0, 0, false), (0, 120, false), (120, 0, true)] {
            let model = set(victims, covers, clean_label).0.model(&Style);
            assert!(model.found.iter().all(|alike| alike.group.corrected() > EXPLAINED), "{victims} {covers}: {:?}", model.found);
        }
    }

    #[test]
    fn laws_hold_and_hostile_rows_do_no_harm() {
        law::check(|| Style, &set(120, 0, false).0);
        law::survives(|| Style, |fixture| fixture.after(&Build));
    }
}
