//! `drift.marginal`: columns whose values are not those of a trusted reference.

mod column;

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

use super::sample;
use crate::data::{Batch, Role, Schema};
use crate::derive::SampleModel;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

use column::{Part, Shift, columns};

/// Fewest rows on either side for a comparison.
const FEWEST: f64 = 50.0;
/// Fewest rows of a class on either side.
const FEWEST_OF_CLASS: f64 = 200.0;
/// Smallest distance of distributions that is worth a word, and smallest stability index.
const LEAST_DISTANCE: f64 = 0.05;
const LEAST_STABILITY: f64 = 0.1;
/// Larger than any p-value that says anything.
const TELLING: f64 = 0.01;
/// Levels whose names are looked up.
const NAMED: usize = 256;

#[doc = include_str!("marginal.md")]
pub struct Marginal;

static INFO: Info = Info {
    code: "drift.marginal",
    family: Family::Drift,
    summary: "columns whose values are not those of a trusted reference",
    needs: &[Need::Reference],
    after: &["derive.reference", "derive.sample"],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Suspect,
    manual: include_str!("marginal.md"),
};

/// Levels whose names are to be found in the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MarginalBrief {
    model: MarginalModel,
    /// (which of the categorical columns, hash), ascending.
    wanted: Vec<(usize, u64)>,
}

/// Names by column and hash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MarginalState {
    names: BTreeMap<(usize, u64), String>,
}

/// The columns that differ.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MarginalModel {
    shifts: Vec<Shift>,
    /// Comparisons made.
    tests: u64,
    note: String,
}

impl MarginalModel {
    fn fit(data: &Schema, here: &SampleModel, there: &SampleModel) -> Self {
        let (mut shifts, mut tests) = (Vec::new(), 0);
        let whole = (Part::new(here, None), Part::new(there, None));
        if whole.0.rows < FEWEST || whole.1.rows < FEWEST {
            let note = format!("too few rows to compare: {:.0} here, {:.0} in the reference", whole.0.rows, whole.1.rows);
            return Self { shifts, tests, note };
        }
        let columns = columns(data, here);
        for column in &columns {
            let compared = column.compare(&whole.0, &whole.1);
            tests += compared.len() as u64;
            shifts.extend(compared);
        }
        let telling = |shift: &Shift| shift.p < TELLING && (shift.distance >= LEAST_DISTANCE || shift.stability >= LEAST_STABILITY);
        shifts.retain(telling);
        // A class by itself is news only where the column as a whole is not.
        let known: Vec<String> = shifts.iter().map(|shift| shift.name.clone()).collect();
        for (class, label) in data.label.iter().flat_map(|label| label.classes.iter().enumerate()) {
            let parts = (Part::new(here, Some(class as u32)), Part::new(there, Some(class as u32)));
            if parts.0.rows < FEWEST_OF_CLASS || parts.1.rows < FEWEST_OF_CLASS {
                continue;
            }
            for column in columns.iter().filter(|column| !column.is_label()) {
                let compared = column.compare(&parts.0, &parts.1);
                tests += compared.len() as u64;
                let fresh = compared.into_iter().filter(|shift| telling(shift) && !known.contains(&shift.name));
                shifts.extend(fresh.map(|shift| Shift { class: Some(label.name.clone()), ..shift }));
            }
        }
        let note = format!("{tests} comparisons of {:.0} rows here with {:.0} of the reference", whole.0.rows, whole.1.rows);
        Self { shifts, tests, note }
    }
}

impl Fold for Marginal {
    type Brief = MarginalBrief;
    type State = MarginalState;
    type Model = MarginalModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<MarginalBrief, MarginalModel>> {
        let model = MarginalModel::fit(data, sample(given, "derive.sample", INFO.code)?, sample(given, "derive.reference", INFO.code)?);
        let mut wanted: Vec<(usize, u64)> = model.shifts.iter().filter_map(|shift| shift.level).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(NAMED);
        Ok(if wanted.is_empty() { Step::Done(model) } else { Step::Scan(MarginalBrief { model, wanted }) })
    }

    fn open(&self, _: &MarginalBrief) -> MarginalState {
        MarginalState::default()
    }

    fn observe(&self, brief: &MarginalBrief, state: &mut MarginalState, rows: &Batch) -> Result<()> {
        let columns = rows.schema().with_role(Role::Categorical);
        for &(position, hash) in &brief.wanted {
            if state.names.contains_key(&(position, hash)) {
                continue;
            }
            let cells = rows.cells().get(position);
            let row = cells.and_then(|cells| cells.iter().position(|cell| *cell == Some(hash)));
            if let (Some(row), Some(&column)) = (row, columns.get(position)) {
                state.names.insert((position, hash), rows.display(column, row));
            }
        }
        Ok(())
    }

    fn merge(&self, _: &MarginalBrief, into: &mut MarginalState, from: MarginalState) -> Result<()> {
        // Equal hashes are equal values, so it does not matter whose name stays.
        into.names.extend(from.names);
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, brief: MarginalBrief, state: MarginalState) -> Result<Step<MarginalBrief, MarginalModel>> {
        let mut model = brief.model;
        for shift in &mut model.shifts {
            shift.level_name = shift.level.and_then(|level| state.names.get(&level).cloned());
        }
        Ok(Step::Done(model))
    }

    fn max_bytes(&self, _: &Schema) -> usize {
        NAMED * 1_024
    }
}

impl Detect for Marginal {
    fn score(&self, _: &MarginalModel, _: &Batch, _: &mut [Option<f64>]) -> Result<()> {
        Ok(())
    }

    fn groups(&self, model: &MarginalModel) -> Vec<Group> {
        let group = |shift: &Shift| {
            let within = shift.class.as_ref().map_or_else(String::new, |class| format!(" within class {class}"));
            Group {
                title: format!(
                    "{}{within} differs from the reference: {} (distance {}, stability index {})",
                    shift.name,
                    shift.sentence(),
                    column::short(shift.distance),
                    column::short(shift.stability)
                ),
                cause: format!("{} of {}{within}", shift.what(), shift.name),
                attack_class: "distribution_shift".to_owned(),
                rows: shift.rows.round() as u64,
                agreeing: 0,
                label: shift.class.clone(),
                background: None,
                statistic: shift.statistic().to_owned(),
                value: shift.distance,
                p: shift.p,
                tests: model.tests,
                max_tier: Tier::Suspect,
                examples: Vec::new(),
                evidence: [
                    ("column", json!(shift.name)),
                    ("distance", json!(shift.distance)),
                    ("stability_index", json!(shift.stability)),
                    ("here", json!(shift.here)),
                    ("reference", json!(shift.there)),
                ]
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect(),
            }
        };
        model.shifts.iter().map(group).collect()
    }

    fn explain(&self, _: &MarginalModel, _: &Batch, _: usize) -> Result<Evidence> {
        Err(Error::Detector { code: INFO.code, reason: "a column differs, not a row".to_owned() })
    }

    fn notes(&self, model: &MarginalModel) -> Vec<String> {
        vec![model.note.clone()]
    }
}
