//! `label.conflict`: equal content with different labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::{Batch, Role, Schema};
use crate::detect::duplicate::{CopiesModel, Labelled, Repeated};
use crate::error::Result;
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step, without_scan};
use crate::stats::interval::IntervalNull;
use crate::stats::tail::binomial_sf;

/// Largest share of contents that may repeat: beyond it equal rows are ordinary, and no copies.
const MOST_REPEATING: f64 = 0.05;
/// Share of repeated contents with more than one label below which agreement is the rule.
const TOLERATED: f64 = 0.1;
/// Contents with more rows than this are floods: their majority may be the attacker's.
const FLOOD: u64 = 16;
/// Fewest contents that must run in one direction.
const FEWEST_DIRECTED: u64 = 8;
/// Corrected p-value below which agreement counts as the rule and a direction is a cause of its own.
const ESTABLISHED: f64 = 1e-4;
/// Positions shown of a cause.
const EXAMPLES: usize = 20;

#[doc = include_str!("conflict.md")]
pub struct Conflict;

static INFO: Info = Info {
    code: "label.conflict",
    family: Family::Label,
    summary: "equal content with different labels",
    needs: &[Need::Classes, Need::Content],
    after: &[CopiesModel::CODE],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("conflict.md"),
};

/// The rows with one content and one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Side {
    /// Class index.
    label: u32,
    rows: u64,
    /// Positions of the first few.
    first: Vec<u64>,
}

/// A content with at least two labelled rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Copies {
    content: u128,
    /// Ascending by class index.
    sides: Vec<Side>,
    /// Position of the first row, whatever its label.
    first: Option<u64>,
}

impl Copies {
    fn of(repeated: &Repeated) -> Option<Self> {
        let side = |part: &Labelled| Some(Side { label: part.label?, rows: part.rows, first: part.first.clone() });
        let sides = repeated.labels.iter().filter_map(side).collect();
        let copies = Self { content: repeated.content, sides, first: repeated.first() };
        (copies.rows() > 1).then_some(copies)
    }

    fn rows(&self) -> u64 {
        self.sides.iter().fold(0, |sum, side| sum.saturating_add(side.rows))
    }

    fn rows_labelled(&self, label: u32) -> u64 {
        self.sides.iter().find(|side| side.label == label).map_or(0, |side| side.rows)
    }

    fn agrees(&self) -> bool {
        self.sides.len() == 1
    }

    /// The label that more rows have than any other, unless the content is a flood.
    fn majority(&self) -> Option<u32> {
        let most = self.sides.iter().max_by_key(|side| side.rows)?;
        let alone = self.sides.iter().filter(|side| side.rows == most.rows).count() == 1;
        (alone && self.rows() <= FLOOD).then_some(most.label)
    }

    /// The majority's label and each side that has another one.
    fn minority(&self) -> impl Iterator<Item = (u32, &Side)> {
        let majority = self.majority();
        self.sides.iter().filter_map(move |side| Some((majority.filter(|label| *label != side.label)?, side)))
    }
}

/// Why rows are claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cause {
    /// Class indices of majority and minority, with their names, where all conflicts of the cause have these.
    direction: Option<[(u32, String); 2]>,
    /// Contents in conflict.
    contents: u64,
    /// Rows that carry the minority's label.
    rows: u64,
    /// Share of the statistic under the null, 0 to 1.
    null: f64,
    /// Observed share, 0 to 1.
    share: f64,
    p: f64,
    tests: u64,
    max_tier: Tier,
    examples: Vec<u64>,
}

/// What the copies of a set say of its labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictModel {
    /// Contents whose rows have different labels, ascending by hash.
    conflicts: Vec<Copies>,
    /// Hashes of the repeated contents whose rows agree, ascending.
    agreeing: Vec<u128>,
    causes: Vec<Cause>,
    notes: Vec<String>,
}

impl ConflictModel {
    fn conflict(&self, rows: &Batch, row: usize) -> Option<&Copies> {
        let content = rows.content().get(row)?;
        self.conflicts.binary_search_by(|copies| copies.content.cmp(content)).ok().and_then(|at| self.conflicts.get(at))
    }
}

/// Whether, and how surely, copies of one content have one label here.
struct Agreement {
    /// Largest share of contents with more than one label that chance gives or a rule tolerates.
    null: f64,
    /// Share of repeated contents with more than one label.
    share: f64,
    /// `P(Bin(contents, null) <= conflicts)`.
    p: f64,
}

fn agreement(data: &Schema, conflicts: usize, agreeing: usize) -> Agreement {
    let chance: f64 = data.priors().iter().map(|p| p * p).sum();
    let null = (1.0 - IntervalNull::default().null_rate(chance)).min(TOLERATED);
    let contents = (conflicts + agreeing) as u64;
    Agreement { null, share: conflicts as f64 / contents.max(1) as f64, p: binomial_sf(agreeing as u64, contents, 1.0 - null) }
}

/// Adds up conflicts: contents, rows, first positions.
fn totals<'a>(sides: impl Iterator<Item = &'a Side>) -> (u64, u64, Vec<u64>) {
    let (mut contents, mut rows, mut examples) = (0, 0_u64, Vec::new());
    for side in sides {
        contents += 1;
        rows = rows.saturating_add(side.rows);
        examples.extend(&side.first);
    }
    examples.sort_unstable();
    examples.truncate(EXAMPLES);
    (contents, rows, examples)
}

/// Pairs of classes between which conflicts run one way more than the number of copies of either class explains.
fn directions(data: &Schema, conflicts: &[Copies], led: &BTreeMap<u32, u64>, most: Tier) -> Vec<Cause> {
    let mut sides: BTreeMap<(u32, u32), Vec<&Side>> = BTreeMap::new();
    for (majority, side) in conflicts.iter().flat_map(Copies::minority) {
        sides.entry((majority, side.label)).or_default().push(side);
    }
    let name = |label: u32| data.class_name(label).to_owned();
    let classes = data.classes() as u64;
    // Half of the error is spent here, half on the conflicts as a whole.
    let tests = 2 * classes * classes.saturating_sub(1);
    let judge = |(&(from, to), there): (&(u32, u32), &Vec<&Side>)| {
        let back = sides.get(&(to, from)).map_or(0, Vec::len) as u64;
        let led_by = |label| led.get(&label).copied().unwrap_or_default() as f64;
        let null = IntervalNull::default().null_rate(led_by(from) / (led_by(from) + led_by(to)).max(1.0));
        let (contents, rows, examples) = totals(there.iter().copied());
        let p = binomial_sf(contents, contents + back, null);
        let share = contents as f64 / (contents + back) as f64;
        let direction = Some([(from, name(from)), (to, name(to))]);
        let cause = Cause { direction, contents, rows, null, share, p, tests, max_tier: most, examples };
        (contents >= FEWEST_DIRECTED && p * tests as f64 <= ESTABLISHED).then_some(cause)
    };
    sides.iter().filter_map(judge).collect()
}

/// Reads the copies of a set.
fn judge(data: &Schema, copies: &CopiesModel) -> ConflictModel {
    let mut model = ConflictModel::default();
    let mut led = BTreeMap::<u32, u64>::new();
    for copies in copies.contents().iter().filter_map(Copies::of) {
        if let Some(majority) = copies.majority() {
            *led.entry(majority).or_default() += 1;
        }
        if copies.agrees() {
            model.agreeing.push(copies.content);
        } else {
            model.conflicts.push(copies);
        }
    }
    let (conflicts, agreeing) = (model.conflicts.len(), model.agreeing.len());
    if conflicts == 0 {
        model.notes.push(match agreeing {
            0 => "no labelled content repeats".to_owned(),
            _ => format!("none of {agreeing} repeated contents has more than one label"),
        });
        return model;
    }
    let (contents, rows, examples) = totals(model.conflicts.iter().flat_map(Copies::minority).map(|(_, side)| side));
    model.notes.push(format!(
        "{conflicts} of {} repeated contents have more than one label; {rows} rows contradict the majority of their copies",
        conflicts + agreeing
    ));
    let agreement = agreement(data, conflicts, agreeing);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    if copies.repeating_share() > MOST_REPEATING {
        let share = percent(copies.repeating_share());
        model.notes.push(format!("nothing is claimed: {share} of all contents repeat, so that equal rows are ordinary here and no copies"));
    } else if 2.0 * agreement.p > ESTABLISHED {
        let (share, null) = (percent(agreement.share), percent(agreement.null));
        model
            .notes
            .push(format!("nothing is claimed: {share} of repeated contents have more than one label, not clearly fewer than {null}"));
    } else if rows > 0 {
        // Rows of a table can be equal without being copies; texts, pictures and embeddings hardly.
        let rich = [Role::Text, Role::Image, Role::Embedding].into_iter().any(|role| data.first(role).is_some());
        let Agreement { null, share, p } = agreement;
        model.causes = directions(data, &model.conflicts, &led, if rich { Tier::Alarm } else { Tier::Suspect });
        model.causes.push(Cause { direction: None, contents, rows, null, share, p, tests: 2, max_tier: Tier::Suspect, examples });
    }
    model
}

impl Fold for Conflict {
    type Model = ConflictModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ConflictModel>> {
        Ok(Step::Done(match given.model::<CopiesModel>(CopiesModel::CODE) {
            Some(copies) => judge(data, copies),
            None => {
                ConflictModel { notes: vec![format!("nothing was judged: {} did not run", CopiesModel::CODE)], ..ConflictModel::default() }
            }
        }))
    }
}

impl Detect for Conflict {
    fn score(&self, model: &ConflictModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, (slot, label)) in out.iter_mut().zip(rows.labels()).enumerate() {
            let (Some(label), Some(content)) = (label, rows.content().get(row)) else { continue };
            if let Some(copies) = model.conflict(rows, row) {
                let (all, same) = (copies.rows(), copies.rows_labelled(*label));
                *slot = Some(all.saturating_sub(same) as f64 / all.saturating_sub(1).max(1) as f64);
            } else if model.agreeing.binary_search(content).is_ok() {
                *slot = Some(0.0);
            }
        }
        Ok(())
    }

    fn groups(&self, model: &ConflictModel) -> Vec<Group> {
        model.causes.iter().map(Cause::group).collect()
    }

    fn members(&self, model: &ConflictModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        if model.causes.is_empty() {
            return Ok(());
        }
        for (row, (slot, label)) in out.iter_mut().zip(rows.labels()).enumerate() {
            let (Some(label), Some(copies)) = (label, model.conflict(rows, row)) else { continue };
            let Some(majority) = copies.majority().filter(|majority| majority != label) else { continue };
            let explains = |cause: &Cause| cause.direction.as_ref().is_none_or(|[(from, _), (to, _)]| (*from, *to) == (majority, *label));
            *slot = model.causes.iter().position(explains).map(|at| at as u32);
        }
        Ok(())
    }

    fn explain(&self, model: &ConflictModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let Some(copies) = model.conflict(rows, row) else { return Ok(Evidence::new("no copy of this row has another label", [])) };
        let classes = rows.schema().label.as_ref().map_or(&[][..], |label| &label.classes);
        let counted: Vec<(&str, u64)> =
            copies.sides.iter().filter_map(|side| Some((classes.get(side.label as usize)?.name.as_str(), side.rows))).collect();
        let list: Vec<String> = counted.iter().map(|(name, count)| format!("{count} labelled {name}")).collect();
        let reason = format!("the same content is there {} times, {}", copies.rows(), list.join(", "));
        let labels: Map<String, Value> = counted.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
        Ok(Evidence::new(reason, [("labels", labels.into()), ("first", copies.first.into())]))
    }

    fn notes(&self, model: &ConflictModel) -> Vec<String> {
        model.notes.clone()
    }
}

impl Cause {
    fn group(&self) -> Group {
        let Self { contents, rows, null: under_null, share, p, tests, max_tier, .. } = *self;
        let noun = if rows == 1 { "row repeats" } else { "rows repeat" };
        let (title, cause, statistic, label) = match &self.direction {
            Some([(_, from), (_, to)]) => (
                format!("{rows} {noun} other rows' content with label {to} instead of {from}"),
                format!("copies labelled {to} instead of {from}"),
                "share of conflicts in this direction",
                Some(to.clone()),
            ),
            None => (
                format!("{rows} {noun} other rows' content with a label that fewer of them have"),
                "copies with another label".to_owned(),
                "share of repeated contents with more than one label",
                None,
            ),
        };
        Group {
            title,
            cause,
            attack_class: "label_flip".to_owned(),
            rows,
            agreeing: rows,
            label,
            background: None,
            statistic: statistic.to_owned(),
            value: share,
            p,
            tests,
            max_tier,
            examples: self.examples.clone(),
            evidence: [("contents", json!(contents)), ("null_share", json!(under_null))]
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::data::Choices;
    use crate::detect::duplicate::Exact;
    use crate::fold::law::{self, Fixture};
    use crate::policy::Policy;

    /// Content and label of each row.
    type Rows = Vec<(usize, &'static str)>;

    /// `unique` contents that come once and `repeated` ones that come three times; one row of each of the first `flipped`
    /// repeated contents has the other label, those of the second class only where `both` says so.
    fn rows(unique: usize, repeated: usize, flipped: usize, both: bool) -> Rows {
        let label = |content: usize| if content.is_multiple_of(2) { "a" } else { "b" };
        let other = |label: &str| if label == "a" { "b" } else { "a" };
        let mut rows: Rows = (0..unique + repeated).map(|content| (content, label(content))).collect();
        for content in unique..unique + repeated {
            rows.push((content, label(content)));
            let place = content - unique;
            let flip = if both { place < flipped } else { place < 2 * flipped && label(content) == "a" };
            rows.push((content, if flip { other(label(content)) } else { label(content) }));
        }
        rows
    }

    fn fixture(rows: &Rows, text: bool) -> Fixture {
        let content: ArrayRef = if text {
            Arc::new(rows.iter().map(|row| Some(format!("the {}th of many messages", row.0))).collect::<StringArray>())
        } else {
            Arc::new(rows.iter().map(|row| Some(row.0 as f64 * 0.37)).collect::<Float64Array>())
        };
        let label: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("content", content), ("label", label)]).unwrap();
        let text = if text { vec!["content".to_owned()] } else { Vec::new() };
        let schema = law::schema_with(&batch, &Choices { label: Some("label".to_owned()), text, ..Choices::default() });
        Fixture::with_schema(batch, schema).after(&Exact)
    }

    fn decided(model: &ConflictModel) -> Vec<Tier> {
        Conflict.groups(model).into_iter().filter_map(|g| Policy::default().decide(&INFO, g, 1)).map(|f| f.tier).collect()
    }

    #[test]
    fn minorities_are_claimed_where_agreement_is_the_rule() {
        let rows = rows(10_000, 400, 12, true);
        let fixture = fixture(&rows, false);
        let model = fixture.model(&Conflict);
        assert_eq!(decided(&model), [Tier::Suspect]);
        let group = &Conflict.groups(&model)[0];
        assert_eq!((group.rows, group.examples.len(), group.tests), (12, 12, 2));
        // 12 or fewer of 400 at one in ten, summed term by term with whole binomial coefficients; tolerance 1e-9.
        assert!((group.p / 7.150_534_521_771_654e-8 - 1.0).abs() < 1e-9, "{:e}", group.p);
        let members = fixture.members(&Conflict, &model);
        let claimed: Vec<u64> = (0..).zip(&members).filter(|(_, member)| member.is_some()).map(|(row, _)| row).collect();
        assert_eq!(claimed, group.examples);
        let scores = fixture.scores(&Conflict, &model);
        assert_eq!((scores[0], scores[10_000], scores[10_399]), (None, Some(0.5), Some(0.0)));
        assert_eq!(scores[claimed[0] as usize], Some(1.0));
        let block = &fixture.cut([rows.len()])[0];
        let reason = Conflict.explain(&model, block, claimed[0] as usize).unwrap().reason;
        assert_eq!(reason, "the same content is there 3 times, 2 labelled a, 1 labelled b");
    }

    #[test]
    fn one_direction_alarms_for_texts_alone() {
        let rows = rows(30_000, 1_500, 60, false);
        for (text, tier) in [(true, Tier::Alarm), (false, Tier::Suspect)] {
            let fixture = fixture(&rows, text);
            let model = fixture.model(&Conflict);
            assert_eq!(decided(&model), [tier, Tier::Suspect]);
            let group = &Conflict.groups(&model)[0];
            assert_eq!(group.title, "60 rows repeat other rows' content with label b instead of a");
            assert_eq!(group.tests, 4);
            let members = fixture.members(&Conflict, &model);
            assert_eq!(members.iter().filter(|member| **member == Some(0)).count(), 60);
            assert_eq!(members.iter().flatten().count(), 60);
        }
    }

    fn says(rows: &Rows) -> String {
        let fixture = fixture(rows, false);
        let model = fixture.model(&Conflict);
        assert!(Conflict.groups(&model).is_empty());
        assert!(fixture.members(&Conflict, &model).iter().all(Option::is_none));
        Conflict.notes(&model).join("; ")
    }

    #[test]
    fn ordinary_sets_stay_silent() {
        assert_eq!(says(&rows(10_000, 0, 0, true)), "no labelled content repeats");
        assert_eq!(says(&rows(10_000, 400, 0, true)), "none of 400 repeated contents has more than one label");
        // Conflicts at the rate that annotators leave in clean sets.
        assert!(says(&rows(10_000, 400, 40, true)).contains("not clearly fewer than 10.0 %"));
        // A table whose rows are equal by chance.
        assert!(says(&rows(1_000, 400, 12, true)).contains("28.6 % of all contents repeat"));
    }

    #[test]
    fn ties_and_floods_name_nobody() {
        let mut rows = rows(10_000, 400, 0, true);
        rows.extend((0..6).map(|content| (content, if content % 2 == 0 { "b" } else { "a" })));
        rows.extend((0..20).map(|_| (8, "b")));
        assert!(says(&rows).starts_with("7 of 407 repeated contents have more than one label; 0 rows"));
    }

    #[test]
    fn laws_hold_and_a_missing_model_judges_nothing() {
        law::check(|| Conflict, &fixture(&rows(2_000, 100, 2, true), false));
        law::survives(|| Conflict, |fixture| fixture.after(&Exact));
        law::survives(|| Conflict, |fixture| fixture);
        let rows = rows(50, 10, 2, true);
        let fixture = fixture(&rows, false);
        let blind = law::model(&Conflict, &fixture.schema, &Given::default(), std::slice::from_ref(&fixture.rows));
        assert_eq!(Conflict.notes(&blind), ["nothing was judged: duplicate.exact did not run"]);
        assert!(fixture.scores(&Conflict, &blind).iter().all(Option::is_none));
    }
}
