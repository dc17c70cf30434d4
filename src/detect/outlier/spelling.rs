//! `outlier.spelling`: levels that look like a frequent one misspelt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use strsim::osa_distance;

use super::{EXAMPLES, shorten};
use crate::data::{Batch, Role, Schema};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;

/// Most levels of a column; one with more holds names.
const MOST_LEVELS: usize = 1_024;
/// Bytes of a level that are kept.
const LEVEL_BYTES: usize = 200;
/// Rows that make a level frequent, at least, and how many times as frequent as its misspelling it is.
const FREQUENT_ROWS: u64 = 50;
const TIMES: u64 = 20;
/// Largest share of the rows that a misspelling has.
const RARE: f64 = 0.01;
/// Characters of a level from which one edit, or two, is a misspelling rather than another word.
const ONE_EDIT: usize = 7;
const TWO_EDITS: usize = 12;
/// Letters that a misspelt character could be.
const LETTERS: f64 = 26.0;

#[doc = include_str!("spelling.md")]
pub struct Spelling;

static INFO: Info = Info {
    code: "outlier.spelling",
    family: Family::Outlier,
    summary: "levels that look like a frequent one misspelt",
    needs: &[Need::Table],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Suspect,
    manual: include_str!("spelling.md"),
};

/// Levels of each categorical column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpellingState {
    columns: Vec<BottomK<String>>,
    /// First rows of each level, by column and hash.
    first: BTreeMap<(u32, u64), Vec<u64>>,
}

/// A misspelling, its rows, what it should be, and the rows of that.
type Slip = (String, u64, String, u64);

/// A column with misspelt levels.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Misspelt {
    /// Which of the categorical columns.
    position: usize,
    column: String,
    /// By hash of the level.
    levels: BTreeMap<u64, Slip>,
    p: f64,
    examples: Vec<u64>,
}

/// The columns that have any.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpellingModel {
    columns: Vec<Misspelt>,
    looked_at: usize,
    /// Comparisons over all columns.
    tests: u64,
}

/// A level without what is often written otherwise: case, and signs between words.
fn plain(level: &str) -> String {
    let words: Vec<String> = level.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join(" ")
}

/// How a level differs from another that it may be a misspelling of, as ln of the chance that a random word is as near; `None`
/// where it is another word.
fn nearness(level: &str, other: &str) -> Option<f64> {
    let (a, b) = (plain(level), plain(other));
    let digits = |text: &str| text.chars().filter(|c| c.is_numeric()).collect::<String>();
    let length = a.chars().count().min(b.chars().count());
    // Levels that differ in a number are numbered.
    if length < ONE_EDIT || digits(&a) != digits(&b) {
        return None;
    }
    let edits = osa_distance(&a, &b);
    if edits > 2 || edits == 2 && length < TWO_EDITS {
        return None;
    }
    // Each edit is at one of the positions, and one of about two kinds with any letter.
    let ways = (2.0 * LETTERS * (length + 1) as f64).ln();
    Some(edits as f64 * ways - length as f64 * LETTERS.ln())
}

impl Misspelt {
    /// Looks for misspellings among the levels of a column: name, rows and hash. Also says how many comparisons were made.
    fn find(position: usize, column: &str, levels: &[(u64, u64, &str)]) -> (Option<Self>, u64) {
        let rows: u64 = levels.iter().map(|(_, rows, _)| rows).sum();
        let frequent: Vec<&(u64, u64, &str)> = levels.iter().filter(|(_, rows, _)| *rows >= FREQUENT_ROWS).collect();
        let mut found = Self { position, column: column.to_owned(), levels: BTreeMap::new(), p: 1.0, examples: Vec::new() };
        let mut tests = 0;
        // Where frequent levels are that near to each other, nearness is no mistake in this column.
        let alike = |a: &(u64, u64, &str), b: &(u64, u64, &str)| a.1 < TIMES * b.1 && b.1 < TIMES * a.1 && nearness(a.2, b.2).is_some();
        if frequent.iter().enumerate().any(|(i, a)| frequent.iter().skip(i + 1).any(|b| alike(a, b))) {
            return (None, 0);
        }
        let mut best = 0.0_f64;
        for (hash, own, name) in levels.iter().filter(|(_, own, _)| *own as f64 <= RARE * rows as f64) {
            let mut nearest: Option<(f64, &str, u64)> = None;
            for (_, theirs, other) in frequent.iter().filter(|(_, theirs, _)| *theirs >= TIMES * own) {
                tests += 1;
                if let Some(ln_p) = nearness(name, other).filter(|ln_p| nearest.is_none_or(|near| *ln_p < near.0)) {
                    nearest = Some((ln_p, other, *theirs));
                }
            }
            if let Some((ln_p, other, theirs)) = nearest {
                best = best.min(ln_p);
                found.levels.insert(*hash, ((*name).to_owned(), *own, other.to_owned(), theirs));
            }
        }
        found.p = best.exp();
        ((!found.levels.is_empty()).then_some(found), tests)
    }
}

impl Fold for Spelling {
    type Brief = ();
    type State = SpellingState;
    type Model = SpellingModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<(), SpellingModel>> {
        let any = data.first(Role::Categorical).is_some();
        Ok(if any { Step::Scan(()) } else { Step::Done(SpellingModel::default()) })
    }

    fn open(&self, (): &()) -> SpellingState {
        SpellingState { columns: Vec::new(), first: BTreeMap::new() }
    }

    fn observe(&self, (): &(), state: &mut SpellingState, rows: &Batch) -> Result<()> {
        let columns = rows.schema().with_role(Role::Categorical);
        state.columns.resize_with(columns.len(), || BottomK::new(MOST_LEVELS));
        for ((position, cells), (&column, levels)) in rows.cells().iter().enumerate().zip(columns.iter().zip(&mut state.columns)) {
            for (row, hash) in cells.iter().enumerate().filter_map(|(row, hash)| Some((row, (*hash)?))) {
                let name = || rows.display(column, row).chars().take(LEVEL_BYTES / 4).collect();
                if levels.insert_with(hash, name) {
                    let first = state.first.entry((position as u32, hash)).or_default();
                    if first.len() < EXAMPLES {
                        first.push(rows.row_position(row));
                    } else if first.last().is_some_and(|last| *last > rows.row_position(row)) {
                        first.push(rows.row_position(row));
                        shorten(first);
                    }
                }
            }
        }
        state.tidy();
        Ok(())
    }

    fn merge(&self, (): &(), into: &mut SpellingState, from: SpellingState) -> Result<()> {
        if into.columns.len() < from.columns.len() {
            into.columns.resize_with(from.columns.len(), || BottomK::new(MOST_LEVELS));
        }
        for (into, from) in into.columns.iter_mut().zip(from.columns) {
            into.merge(from);
        }
        for (level, first) in from.first {
            let mine = into.first.entry(level).or_default();
            mine.extend(first);
            shorten(mine);
        }
        into.tidy();
        Ok(())
    }

    fn close(&self, data: &Schema, _: &Given, (): (), state: SpellingState) -> Result<Step<(), SpellingModel>> {
        let mut model = SpellingModel::default();
        for ((position, column), levels) in data.with_role(Role::Categorical).into_iter().enumerate().zip(&state.columns) {
            // A sketch that is full holds some of the levels: there are too many of them to be levels.
            if levels.len() >= MOST_LEVELS {
                continue;
            }
            let name = data.columns.get(column).map_or("", |column| column.name.as_str());
            let all: Vec<(u64, u64, &str)> = levels.iter().map(|(hash, rows, level)| (hash, rows, level.as_str())).collect();
            let (found, tests) = Misspelt::find(position, name, &all);
            model.looked_at += 1;
            model.tests += tests;
            if let Some(mut found) = found {
                let first = found.levels.keys().filter_map(|hash| state.first.get(&(position as u32, *hash)));
                found.examples = first.flatten().copied().collect();
                shorten(&mut found.examples);
                model.columns.push(found);
            }
        }
        Ok(Step::Done(model))
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        data.with_role(Role::Categorical).len() * MOST_LEVELS * (LEVEL_BYTES + 8 * EXAMPLES + 96)
    }
}

impl SpellingState {
    /// Forgets rows of levels that did not stay.
    fn tidy(&mut self) {
        let Self { columns, first } = self;
        first.retain(|(position, hash), _| columns.get(*position as usize).is_some_and(|levels| levels.count(*hash).is_some()));
    }
}

impl SpellingModel {
    /// Which of the causes a row belongs to.
    fn cause(&self, rows: &Batch, row: usize) -> Option<(usize, &Slip)> {
        self.columns.iter().enumerate().find_map(|(i, column)| {
            let hash = (*rows.cells().get(column.position)?.get(row)?)?;
            Some((i, column.levels.get(&hash)?))
        })
    }
}

impl Detect for Spelling {
    fn score(&self, model: &SpellingModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        if model.looked_at > 0 {
            for (row, slot) in out.iter_mut().enumerate() {
                *slot = Some(model.cause(rows, row).map_or(0.0, |(_, (_, own, _, theirs))| (*theirs as f64 / *own as f64).ln()));
            }
        }
        Ok(())
    }

    fn groups(&self, model: &SpellingModel) -> Vec<Group> {
        let group = |column: &Misspelt| {
            let rows = column.levels.values().map(|level| level.1).sum();
            let named: Vec<String> =
                column.levels.values().take(3).map(|(name, own, other, _)| format!("'{name}' ({own} rows) for '{other}'")).collect();
            let more = column.levels.len().checked_sub(named.len()).filter(|more| *more > 0);
            let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
            Group {
                title: format!("{} looks misspelt: {}{more}", column.column, named.join(", ")),
                cause: format!("misspelt levels of {}", column.column),
                attack_class: "unintended_corruption".to_owned(),
                rows,
                agreeing: rows,
                label: None,
                background: None,
                statistic: "ln chance of a random word".to_owned(),
                value: column.p.max(f64::MIN_POSITIVE).ln(),
                p: column.p.clamp(0.0, 1.0),
                tests: model.tests,
                max_tier: Tier::Suspect,
                examples: column.examples.clone(),
                evidence: column
                    .levels
                    .values()
                    .take(EXAMPLES)
                    .map(|(name, own, other, theirs)| (name.clone(), json!({"rows": own, "near": other, "rows_of_near": theirs})))
                    .collect(),
            }
        };
        model.columns.iter().map(group).collect()
    }

    fn members(&self, model: &SpellingModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate() {
            *slot = model.cause(rows, row).map(|(cause, _)| cause as u32);
        }
        Ok(())
    }

    fn explain(&self, model: &SpellingModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let cause = model.cause(rows, row).and_then(|(cause, level)| Some((model.columns.get(cause)?, level)));
        let none = || Error::Detector { code: INFO.code, reason: "no level of the row is misspelt".to_owned() };
        let (column, (name, own, other, theirs)) = cause.ok_or_else(none)?;
        let reason = format!("{} is '{name}' in {own} rows, as '{other}' misspelt, which {theirs} rows have", column.column);
        Ok(Evidence::new(reason, [("column", json!(column.column)), ("level", json!(name)), ("near", json!(other))]))
    }

    fn notes(&self, model: &SpellingModel) -> Vec<String> {
        vec![format!("columns of levels looked at: {}; pairs of levels compared: {}", model.looked_at, model.tests)]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::fold::law::{self, Fixture};
    use crate::policy::Policy;

    const ROWS: usize = 6_000;

    fn table(level: impl Fn(usize) -> &'static str) -> RecordBatch {
        let levels: ArrayRef = Arc::new((0..ROWS).map(|i| Some(level(i))).collect::<StringArray>());
        let other: ArrayRef = Arc::new((0..ROWS).map(|i| Some(["yes", "no"][i % 2])).collect::<StringArray>());
        RecordBatch::try_from_iter_with_nullable([("job", levels, true), ("member", other, true)]).unwrap()
    }

    const JOBS: [&str; 4] = ["Exec-managerial", "Craft-repair", "Tech-support", "Sales"];

    fn titles(rows: RecordBatch) -> Vec<String> {
        let model = Fixture::new(rows, None).model(&Spelling);
        let groups = Spelling.groups(&model).into_iter();
        groups.filter_map(|group| Policy::default().decide(&INFO, group, 1)).map(|finding| finding.group.title).collect()
    }

    #[test]
    fn it_keeps_the_laws() {
        law::check(|| Spelling, &Fixture::new(table(|i| if i % 500 == 3 { "Craft-repiar" } else { JOBS[i % 4] }), None));
        law::check(|| Spelling, &Fixture::new(law::healthy(), None));
        law::survives(|| Spelling, |fixture| fixture);
    }

    #[test]
    fn misspelt_levels_are_listed_with_what_they_should_be() {
        let rows = table(|i| match i {
            _ if i % 500 == 3 => "Craft-repiar",
            _ if i % 700 == 4 => "Exec_managreial",
            _ => JOBS[i % 4],
        });
        let fixture = Fixture::new(rows, None);
        let model = fixture.model(&Spelling);
        let members = fixture.members(&Spelling, &model);
        let planted = |i: usize| i % 500 == 3 || i % 700 == 4;
        assert!(members.iter().enumerate().all(|(i, cause)| cause.is_some() == planted(i)));
        assert!(titles(fixture.rows.clone())[0].contains("'Craft-repiar' (12 rows) for 'Craft-repair'"), "{:?}", titles(fixture.rows));
        let block = &fixture.cut([ROWS])[0];
        let reason = Spelling.explain(&model, block, 3).unwrap().reason;
        assert_eq!(reason, "job is 'Craft-repiar' in 12 rows, as 'Craft-repair' misspelt, which 1500 rows have");
        assert!(Spelling.explain(&model, block, 5).is_err());
    }

    #[test]
    fn rare_levels_that_are_words_of_their_own_are_not() {
        assert_eq!(titles(table(|i| JOBS[i % 4])), [""; 0]);
        // Another word, a short one, a numbered one, one that is not rare, and one whose like is frequent as well.
        assert_eq!(titles(table(|i| if i % 500 == 3 { "Armed-Forces" } else { JOBS[i % 4] })), [""; 0]);
        assert_eq!(titles(table(|i| if i % 500 == 3 { "Salem" } else { JOBS[i % 4] })), [""; 0]);
        assert_eq!(titles(table(|i| if i % 500 == 3 { "district 12" } else { ["district 11", "district 13"][i % 2] })), [""; 0]);
        assert_eq!(titles(table(|i| if i % 50 == 3 { "Craft-repairs" } else { JOBS[i % 4] })), [""; 0]);
        let twins = ["Statistic", "Statistics", "Craft-repair"];
        assert_eq!(titles(table(|i| if i % 500 == 3 { "Craft-repairs" } else { twins[i % 3] })), [""; 0]);
    }
}
