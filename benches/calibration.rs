//! What clean data comes to: false causes, rows listed for nothing, and p-values where labels mean nothing.
//!
//! `cargo bench --bench calibration -- [FOLDER] [--only SUBSTRING] [--seeds N] [--permutations N] [--csv FILE]`
//!
//! - *Clean*: every kind of [`Torture`] set, made anew for each of 10 seeds, and the clean packs that ship and those of
//!   FOLDER, scanned with as many keys. The share of runs with any cause, and of rows listed.
//! - *Null*: up to 500 rows of each clean set, labels permuted 100 times: no detector has anything to find that needs labels.
//!   Of each, the smallest p-value over its causes, corrected for its candidates (1 without a cause), and how often that lies
//!   under 1, 5 and 10%; `<` marks a share whose 99% upper bound is under the level, `>` one whose 99% lower bound is over it. Runs of a
//!   set share its rows and differ in their labels. `--csv` writes every p-value; `benches/calibration.py` draws them.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use common::{Arguments, Case, Failure, Nowhere, cases, order, run};
use foretaste::data::Choices;
use foretaste::data::read::Memory;
use foretaste::finding::Verdict;
use foretaste::run::{Outcome, Status};
use foretaste::stats::tail::binomial_sf;
use foretaste_datasets::synth::Torture;
use foretaste_datasets::{read_parquet, shipped};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows of a set whose labels are permuted.
const PERMUTED_ROWS: usize = 500;
/// Levels at which p-values are counted.
const LEVELS: [f64; 3] = [0.01, 0.05, 0.1];

/// Scans of one kind of clean data.
#[derive(Default)]
struct Tally {
    runs: usize,
    verdicts: BTreeMap<Verdict, usize>,
    with_cause: usize,
    codes: BTreeMap<String, usize>,
    rows: u64,
    listed: u64,
    /// Rows listed by detector.
    by: BTreeMap<String, u64>,
    worst: f64,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        *self.verdicts.entry(outcome.verdict).or_default() += 1;
        self.with_cause += usize::from(!outcome.findings.is_empty());
        for finding in &outcome.findings {
            *self.codes.entry(format!("{} ({})", finding.code, finding.tier.name())).or_default() += 1;
        }
        for unit in outcome.units.iter().filter(|unit| unit.flagged > 0) {
            *self.by.entry(unit.code.clone()).or_default() += unit.flagged;
        }
        self.rows += outcome.data.rows;
        self.listed += outcome.flagged_rows;
        self.worst = self.worst.max(outcome.flagged_rows as f64 / outcome.data.rows.max(1) as f64);
    }

    fn merge(&mut self, from: &Self) {
        self.runs += from.runs;
        self.with_cause += from.with_cause;
        self.rows += from.rows;
        self.listed += from.listed;
        self.worst = self.worst.max(from.worst);
        for (verdict, runs) in &from.verdicts {
            *self.verdicts.entry(*verdict).or_default() += runs;
        }
    }

    fn line(&self, name: &str) -> String {
        let of = |verdict| self.verdicts.get(&verdict).copied().unwrap_or(0);
        let share = self.listed as f64 / self.rows.max(1) as f64;
        let causes: Vec<String> = self.codes.iter().map(|(code, count)| format!("{code} × {count}")).collect();
        let by: Vec<String> = self.by.iter().map(|(code, rows)| format!("{code} {rows} rows")).collect();
        format!(
            "{name:<28} {:>4} {:>5} {:>5} {:>5} {:>7.3} {:>10.4}% {:>10.4}%  {}",
            self.runs,
            of(Verdict::Pass),
            of(Verdict::Warn),
            of(Verdict::Fail),
            self.with_cause as f64 / self.runs.max(1) as f64,
            100.0 * share,
            100.0 * self.worst,
            [causes, by].concat().join(", ")
        )
    }
}

/// A clean set that lies in a file.
struct Clean {
    name: String,
    batch: RecordBatch,
    label: Option<String>,
    choices: Choices,
}

fn clean_sets(folder: &std::path::Path) -> Result<Vec<Clean>, Failure> {
    let mut sets = Vec::new();
    for name in ["digits", "wine", "breast_cancer"] {
        let label = Some("label".to_owned());
        let choices = Choices { label: label.clone(), ..Choices::default() };
        sets.push(Clean { name: name.to_owned(), batch: read_parquet(shipped(&format!("{name}.parquet")))?, label, choices });
    }
    for case in cases(folder)?.into_iter().filter(|case| case.clean && !["wine_clean", "breast_cancer_clean"].contains(&&*case.name)) {
        let choices = case.choices();
        let Case { name, data, label, .. } = case;
        sets.push(Clean { name, batch: read_parquet(data)?, label, choices });
    }
    Ok(sets)
}

/// A table, scanned on one thread.
fn scanned(name: &str, batch: &RecordBatch, choices: &Choices, seed: u64, only: &[&str]) -> Result<Outcome, String> {
    let text = |error: foretaste::error::Error| format!("{name}: {error}");
    let source = Memory::new(name, std::slice::from_ref(batch)).map_err(text)?;
    let outcome = run(&source, &order(choices.clone(), seed, 1, only), &mut Nowhere).map_err(text)?;
    match outcome.units.iter().find_map(|unit| if let Status::Failed(why) = &unit.status { Some((&unit.code, why)) } else { None }) {
        Some((code, why)) => Err(format!("{name}: {code} failed: {why}")),
        None => Ok(outcome),
    }
}

/// Scans one kind with every seed and prints its line.
fn table(name: &str, seeds: u64, all: &mut Tally, scan: impl Fn(u64) -> Result<Outcome, String> + Sync + Send) -> Result<(), Failure> {
    let outcomes: Vec<Result<Outcome, String>> = (1..=seeds).into_par_iter().map(scan).collect();
    let mut tally = Tally::default();
    for outcome in outcomes {
        tally.add(&outcome?);
    }
    println!("{}", tally.line(name));
    all.merge(&tally);
    Ok(())
}

fn clean(sets: &[Clean], only: &str, seeds: u64) -> Result<(), Failure> {
    println!(
        "{:<28} {:>4} {:>5} {:>5} {:>5} {:>7} {:>11} {:>11}  causes, and rows listed by",
        "clean set", "runs", "pass", "warn", "fail", "causes", "listed", "worst"
    );
    let (mut all, mut plain) = (Tally::default(), Tally::default());
    for &kind in Torture::all().iter().filter(|kind| kind.name().contains(only)) {
        let into = if kind.is_shortcut() { &mut plain } else { &mut all };
        let choices = Choices { label: Some("label".to_owned()), ..Choices::default() };
        table(&kind.name(), seeds, into, |seed| {
            scanned(&kind.name(), &kind.make(seed).map_err(|error| error.to_string())?, &choices, seed, &[])
        })?;
    }
    for set in sets.iter().filter(|set| set.name.contains(only)) {
        table(&set.name, seeds, &mut all, |seed| scanned(&set.name, &set.batch, &set.choices, seed, &[]))?;
    }
    println!("{}", plain.line("sets with a shortcut"));
    println!("{}", all.line("all others"));
    Ok(())
}

/// Up to so many rows of a set with permuted labels.
fn permuted(set: &Clean, label: &str, seed: u64) -> Result<RecordBatch, String> {
    let text = |error: arrow::error::ArrowError| format!("{}: {error}", set.name);
    let step = set.batch.num_rows().div_ceil(PERMUTED_ROWS).max(1);
    let rows: UInt32Array = (0..set.batch.num_rows()).step_by(step).map(|row| row as u32).collect();
    let some = take_record_batch(&set.batch, &rows).map_err(text)?;
    let at = some.schema().index_of(label).map_err(text)?;
    let mut order: Vec<u32> = (0..some.num_rows() as u32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut columns = some.columns().to_vec();
    columns[at] = take(&columns[at], &UInt32Array::from(order), None).map_err(text)?;
    RecordBatch::try_new(some.schema(), columns).map_err(text)
}

/// How a share of `hits` of `runs` compares to a level, at 99%.
fn mark(hits: u64, runs: u64, level: f64) -> char {
    let at_least = binomial_sf(hits, runs, level);
    let at_most = 1.0 - binomial_sf(hits + 1, runs, level);
    match () {
        () if at_least < 0.01 => '>',
        () if at_most < 0.01 => '<',
        () => ' ',
    }
}

fn null(sets: &[Clean], only: &str, permutations: u64, csv: Option<&str>) -> Result<(), Failure> {
    let mut p_values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (mut lines, mut with_cause, mut runs, mut rows, mut listed) = (String::from("set,seed,detector,p\n"), 0_u64, 0_u64, 0_u64, 0_u64);
    let families = ["trigger", "label", "duplicate", "text"];
    for set in sets.iter().filter(|set| set.name.contains(only)) {
        let Some(label) = &set.label else { continue };
        let outcomes: Vec<Result<Outcome, String>> = (1..=permutations)
            .into_par_iter()
            .map(|seed| scanned(&set.name, &permuted(set, label, seed)?, &set.choices, seed, &families))
            .collect();
        for (outcome, seed) in outcomes.into_iter().zip(1..) {
            let outcome: Outcome = outcome?;
            runs += 1;
            rows += outcome.data.rows;
            listed += outcome.flagged_rows;
            with_cause += u64::from(!outcome.findings.is_empty());
            let judging = outcome.units.iter().filter(|unit| unit.status == Status::Ran && !unit.code.starts_with("derive."));
            for unit in judging {
                let p = unit.lowest_p.unwrap_or(1.0);
                writeln!(lines, "{},{seed},{},{p:e}", set.name, unit.code)?;
                p_values.entry(unit.code.clone()).or_default().push(p);
            }
        }
    }
    println!("\n{:<22} {:>5} {:>9} {:>9} {:>9} {:>10}", "permuted labels", "runs", "p ≤ .01", "p ≤ .05", "p ≤ .1", "smallest");
    for (code, values) in &p_values {
        let of = values.len() as u64;
        let shares = LEVELS.map(|level| {
            let hits = values.iter().filter(|p| **p <= level).count() as u64;
            format!("{:>7.4} {}", hits as f64 / of.max(1) as f64, mark(hits, of, level))
        });
        println!("{code:<22} {of:>5} {} {:>10.1e}", shares.join(" "), values.iter().copied().fold(1.0, f64::min));
    }
    println!("any cause in {with_cause} of {runs} runs; {listed} of {rows} rows listed");
    if let Some(file) = csv {
        std::fs::write(file, lines)?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read();
    let only = arguments.value("--only").unwrap_or_default();
    let sets = clean_sets(&arguments.folder())?;
    let (seeds, permutations) = (arguments.number("--seeds", 10), arguments.number("--permutations", 100));
    if seeds > 0 {
        clean(&sets, only, seeds)?;
    }
    if permutations > 0 {
        null(&sets, only, permutations, arguments.value("--csv"))?;
    }
    Ok(())
}
