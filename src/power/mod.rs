//! What a scan could have seen: poison is planted into a copy of the user's rows in memory, and looked for.
//!
//! A trial plants one attack into some rows; the detectors that look for what is planted then judge the copy as they judged the data,
//! and an attack counts as seen when at least half of its rows are listed. Several trials share a copy, each in rows of its own. Nothing
//! planted leaves memory.

mod copy;
mod plant;
#[cfg(test)]
mod tests;

use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;

use crate::data::read::Memory;
use crate::data::{Role, Source};
use crate::error::{Error, Result};
use crate::finding::{Attack, Power, Reach, Trial};
use crate::fold::Unit;
use crate::policy::Gate;
use crate::run::{Order, Outcome, Progress, Sink, scan};

use copy::Copy;

/// Most rows of a copy.
const MOST_ROWS: u64 = 16_384;
/// Rows up to which a copy is whole. Of more it holds half: what was seen there, where content is known less well, is seen among all
/// rows as well. Half of fewer rows says too little of flips: of 100 in 5,000 rows of Fashion-MNIST 76 are listed, of 48 in half of
/// them none.
const WHOLE: u64 = 8_192;
/// The same for rows of values alone: how many combinations of values recur often enough for a look grows faster than the rows, so
/// that a whole copy costs as much as the scan.
const WHOLE_TABLE: u64 = 2_048;
/// Fewest rows that a copy is worth making of.
const FEWEST_ROWS: usize = 200;
/// Part of the memory budget that a copy may take.
const COPY_SHARE: usize = 8;
/// Step from one size of trial to the next.
const STEP: f64 = 1.5;
/// Most trials of each size.
const TRIALS: usize = 2;
/// Level, and tests, at which the smallest trial is the smallest that could be seen at all, where content contradicts the label.
const LEVEL: f64 = 0.004;
const TESTS: u64 = 10_000;
/// What content gives a label that it contradicts.
const CONTRADICTED: f64 = 0.02;
/// Largest share of the copy that all trials of an attack may poison together.
const MOST_POISONED: f64 = 0.04;
/// Share of labels that are given at random.
const FLIPPED: f64 = 0.02;

/// Which rows were listed by which families.
#[derive(Default)]
struct Seen(Vec<(usize, Vec<String>)>);

impl Sink for Seen {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let wrong = || Error::Detector { code: "power", reason: "listed rows have other columns than they should".to_owned() };
        let positions = rows.column_by_name("row").and_then(|column| column.as_primitive_opt::<UInt64Type>()).ok_or_else(wrong)?;
        let families = rows.column_by_name("families").and_then(|column| column.as_list_opt::<i32>()).ok_or_else(wrong)?;
        for (at, row) in positions.values().iter().enumerate() {
            let families = families.value(at);
            let families = families.as_string_opt::<i32>().ok_or_else(wrong)?;
            self.0.push((*row as usize, families.iter().flatten().map(str::to_owned).collect()));
        }
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

/// Plants attacks into a copy of the rows that `outcome` is about and scans it with `units`, those that look for what is planted.
///
/// # Errors
/// As [`scan`]. Rows that nothing can be planted into are no error: the attack is then untried, with the reason.
pub fn measure(source: &dyn Source, units: Vec<Box<dyn Unit>>, order: &Order, outcome: &Outcome, progress: &dyn Progress) -> Result<Power> {
    let start = Instant::now();
    progress.busy("planting canaries");
    let of = outcome.data.rows;
    let is_table = !outcome.data.columns.iter().any(|column| matches!(column.role, Role::Image | Role::Text | Role::Embedding));
    let whole = if is_table { WHOLE_TABLE } else { WHOLE };
    let most = if of <= whole { of } else { of.div_ceil(2).min(MOST_ROWS) };
    let copy = Copy::of(source, outcome, order.key, most, order.memory / COPY_SHARE)?;
    let untried = |why: &str| Attack::ALL.iter().map(|attack| Reach::untried(*attack, why)).collect();
    let rows = copy.rows() as u64;
    let without = |why: &str| Power { rows, of, reach: untried(why), seconds: start.elapsed().as_secs_f64() };
    if copy.rows() < FEWEST_ROWS {
        return Ok(without("there are too few rows"));
    }
    if copy.classes().len() < 2 {
        return Ok(without("there is no label with two classes"));
    }
    let planted = plant::all(&copy, order.key.seed())?;
    if !units.iter().any(|unit| unit.judges() && !order.leaves_out(&**unit)) {
        return Ok(without("no detector that looks for it was to run"));
    }
    let order = Order { choices: planted.choices.clone(), gate: Gate::default(), ..order.clone() };
    let mut seen = Seen::default();
    scan(&Memory::new("canaries", &[planted.batch])?, units, &order, &mut seen, progress)?;
    let mut reach = Vec::new();
    for attack in Attack::ALL {
        let trials = planted.trials.iter().filter(|trial| trial.attack == attack).map(|trial| {
            let listed = |row: &usize| {
                let at = seen.0.binary_search_by_key(row, |(row, _)| *row);
                at.is_ok_and(|at| seen.0[at].1.iter().any(|family| family == attack.family().name()))
            };
            Trial { rows: trial.rows.len() as u64, listed: trial.rows.iter().filter(|row| listed(row)).count() as u64 }
        });
        let trials: Vec<Trial> = trials.collect();
        let untried = planted.untried.iter().find(|(of, _)| *of == attack);
        reach.push(match untried {
            Some((_, why)) => Reach::untried(attack, why),
            None if trials.is_empty() => Reach::untried(attack, "there are too few rows"),
            None => Reach::new(attack, trials),
        });
    }
    Ok(Power { rows, of, reach, seconds: start.elapsed().as_secs_f64() })
}
