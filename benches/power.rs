//! Whether `--power` says the truth: the smallest attack that it says would have been seen, beside the smallest that is seen when
//! it is really planted.
//!
//! `cargo bench --bench power -- [FOLDER] [--only SUBSTRING] [--seeds N]`
//!
//! For each set and attack that fits it, the recipes of `datasets` plant rows by the counts of [`GRID`], each with several seeds, into
//! the whole set; the smallest count from which on at least nine tenths of the runs list half of the planted rows is what is really
//! seen. The sets: those that ship, synthetic texts, and clean packs of FOLDER where there is one.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod common;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use common::{Arguments, Failure, Nowhere, cases, order, run};
use foretaste::data::Choices;
use foretaste::data::read::Memory;
use foretaste::detect;
use foretaste::error::Result;
use foretaste::finding::{Attack, Reach, Trial};
use foretaste::power::measure;
use foretaste::run::{Silent, Sink};
use foretaste_datasets::recipe::{self, Anchor, Cell, Patch, Setting, Style};
use foretaste_datasets::{Class, Draw, Plan, Share, Truth, read_parquet, shipped, synth};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Counts of rows that are planted.
const GRID: [usize; 10] = [4, 6, 8, 11, 16, 23, 32, 45, 64, 90];
/// Share of the runs that must see an attack.
const SEEN: f64 = 0.9;

/// Positions and families of the listed rows.
#[derive(Default)]
struct Seen(Vec<(u64, Vec<String>)>);

impl Sink for Seen {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let families = rows["families"].as_list::<i32>();
        for (at, row) in rows["row"].as_primitive::<UInt64Type>().values().iter().enumerate() {
            let names = families.value(at);
            self.0.push((*row, names.as_string::<i32>().iter().flatten().map(str::to_owned).collect()));
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

struct Set {
    name: String,
    batch: RecordBatch,
    label: String,
    attacks: &'static [Attack],
}

const PICTURES: &[Attack] = &[Attack::Patch, Attack::Flips];
const TEXTS: &[Attack] = &[Attack::Word, Attack::Flips];
const TABLES: &[Attack] = &[Attack::Values, Attack::Flips];

fn sets(folder: &std::path::Path) -> std::result::Result<Vec<Set>, Failure> {
    let set = |name: &str, batch: RecordBatch, attacks| Set { name: name.to_owned(), batch, label: "label".to_owned(), attacks };
    let mut sets = vec![
        set("digits", read_parquet(shipped("digits.parquet"))?, PICTURES),
        set("breast_cancer", read_parquet(shipped("breast_cancer.parquet"))?, TABLES),
        set("synthetic texts", synth::topic_texts(5_000, 4, 30, 1)?, TEXTS),
    ];
    for case in cases(folder)? {
        let attacks = match case.name.as_str() {
            "fmnist_clean" => PICTURES,
            "sst2_clean" | "agnews_clean" => TEXTS,
            "adult_clean" | "spambase_clean" => TABLES,
            _ => continue,
        };
        sets.push(Set { batch: read_parquet(&case.data)?, label: case.label.unwrap_or_default(), name: case.name, attacks });
    }
    Ok(sets)
}

fn classes(set: &Set) -> std::result::Result<Vec<String>, Failure> {
    let labels = cast(&set.batch[set.label.as_str()], &DataType::Utf8)?;
    let mut names: Vec<String> = labels.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Three columns with values of rows, such that few rows hold them together.
fn combination(set: &Set, rng: &mut ChaCha8Rng) -> std::result::Result<Vec<Setting>, Failure> {
    let schema = set.batch.schema();
    let mut names: Vec<&String> =
        schema.fields().iter().map(|field| field.name()).filter(|name| **name != set.label && *name != "id").collect();
    let mut best: Option<(usize, Vec<Setting>)> = None;
    for _ in 0..24 {
        names.shuffle(rng);
        let mut settings = Vec::new();
        let mut held: Vec<usize> = (0..set.batch.num_rows()).collect();
        for name in names.iter().take(3) {
            let column = &set.batch[name.as_str()];
            let shown = cast(column, &DataType::Utf8)?;
            let shown = shown.as_string::<i32>();
            let from = rng.random_range(0..column.len());
            if shown.is_null(from) {
                continue;
            }
            let value = shown.value(from);
            held.retain(|&row| shown.is_valid(row) && shown.value(row) == value);
            let cell = match column.data_type() {
                kind if kind.is_integer() => Cell::Int(value.parse()?),
                kind if kind.is_floating() => Cell::Float(value.parse()?),
                _ => Cell::Text(value.to_owned()),
            };
            settings.push(Setting { column: (*name).clone(), value: cell });
        }
        if settings.len() == 3 && best.as_ref().is_none_or(|(least, _)| held.len() < *least) {
            best = Some((held.len(), settings));
        }
    }
    Ok(best.ok_or("no three columns of values")?.1)
}

/// Plants an attack into so many rows.
fn planted(set: &Set, classes: &[String], attack: Attack, count: usize, seed: u64) -> std::result::Result<(RecordBatch, Truth), Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let target = Class::read(&classes[rng.random_range(0..classes.len())], &set.batch, &set.label)?;
    let plan = Plan::new(&set.label, target, Share::Count(count), seed);
    Ok(match attack {
        Attack::Patch => {
            let room = if set.name == "digits" { 6 } else { 26 };
            let anchor = Anchor::At { x: rng.random_range(0..room), y: rng.random_range(0..room) };
            recipe::patch(&set.batch, &plan, "image", Patch { side: 3, style: Style::Checkerboard }, anchor)?
        }
        Attack::Word => {
            let text = if set.batch.schema().index_of("text").is_ok() { "text" } else { "sentence" };
            let word = ["cf", "mn", "tq", "quoll", "harquebus", "zephyr", "bogle"][seed as usize % 7];
            recipe::rare_word(&set.batch, &plan, text, word)?
        }
        Attack::Values => recipe::conjunction(&set.batch, &plan, &combination(set, &mut rng)?)?,
        Attack::Flips => recipe::flip(&set.batch, &set.label, &Draw::new(Share::Count(count), seed))?,
    })
}

/// How many of the planted rows the attack's family lists.
fn trial(set: &Set, classes: &[String], attack: Attack, count: usize, seed: u64) -> std::result::Result<Trial, String> {
    let (batch, truth) = planted(set, classes, attack, count, seed).map_err(|error| format!("{}: {error}", set.name))?;
    let choices = Choices { label: Some(set.label.clone()), ..Choices::default() };
    let text = |error: foretaste::error::Error| format!("{}: {error}", set.name);
    let source = Memory::new(&set.name, &[batch]).map_err(text)?;
    let mut seen = Seen::default();
    let _ = run(&source, &order(choices, seed, 1, &["trigger", "label"]), &mut seen).map_err(text)?;
    let family = attack.family().name();
    let bad = truth.bad();
    let right = |(row, families): &&(u64, Vec<String>)| bad.get(*row as usize) == Some(&true) && families.iter().any(|of| of == family);
    Ok(Trial { rows: count as u64, listed: seen.0.iter().filter(right).count() as u64 })
}

/// The smallest count of the grid that is really seen; it, and every larger one up to twice it, is.
fn smallest(set: &Set, classes: &[String], attack: Attack, seeds: u64, from: usize) -> std::result::Result<Option<usize>, String> {
    let seen = |at: usize| -> std::result::Result<bool, String> {
        let one = |seed| trial(set, classes, attack, GRID[at], seed);
        let trials: Vec<std::result::Result<Trial, String>> = (1..=seeds).into_par_iter().map(one).collect();
        let trials: Vec<Trial> = trials.into_iter().collect::<std::result::Result<_, _>>()?;
        Ok(trials.iter().filter(|trial| trial.seen()).count() as f64 >= SEEN * seeds as f64)
    };
    let mut at = from.min(GRID.len() - 1);
    if seen(at)? {
        while at > 0 && seen(at - 1)? {
            at -= 1;
        }
        return Ok(Some(GRID[at]));
    }
    for (larger, count) in GRID.iter().enumerate().skip(at + 1) {
        if seen(larger)? {
            return Ok(Some(*count));
        }
    }
    Ok(None)
}

fn main() -> std::result::Result<(), Failure> {
    let arguments = Arguments::read();
    let (only, seeds) = (arguments.value("--only").unwrap_or_default(), arguments.number("--seeds", 5));
    println!("{:<18} {:<8} {:>6} {:>6} {:>9} {:>8} {:>6}", "set", "attack", "rows", "copy", "said", "really", "ratio");
    for set in sets(&arguments.folder())?.iter().filter(|set| set.name.contains(only)) {
        let choices = Choices { label: Some(set.label.clone()), ..Choices::default() };
        let source = Memory::new(&set.name, std::slice::from_ref(&set.batch))?;
        let order = order(choices, 1, 2, &[]);
        let outcome = run(&source, &order, &mut Nowhere)?;
        let power = measure(&source, detect::for_planted(), &order, &outcome, &Silent)?;
        let classes = classes(set)?;
        for &attack in set.attacks {
            let Some(said) = power.reach.iter().find(|reach| reach.attack == attack) else { continue };
            let line = |said: &str, really: &str, ratio: &str| {
                let name = format!("{attack:?}").to_lowercase();
                println!("{:<18} {name:<8} {:>6} {:>6} {said:>9} {really:>8} {ratio:>6}", set.name, power.of, power.rows);
            };
            if attack == Attack::Flips {
                let share = |trials: &[Trial]| {
                    let (rows, listed) = trials.iter().fold((0, 0), |(rows, listed), t| (rows + t.rows, listed + t.listed));
                    listed as f64 / rows.max(1) as f64
                };
                let flipped: u64 = said.trials.iter().map(|trial| trial.rows).sum();
                let count = (flipped as f64 / power.rows as f64 * set.batch.num_rows() as f64).round() as usize;
                let trials: Vec<std::result::Result<Trial, String>> =
                    (1..=seeds.min(3)).into_par_iter().map(|seed| trial(set, &classes, attack, count, seed)).collect();
                let really = share(&trials.into_iter().collect::<std::result::Result<Vec<_>, _>>()?);
                let said = share(&said.trials);
                line(
                    &format!("{:.0}%", 100.0 * said),
                    &format!("{:.0}%", 100.0 * really),
                    &if said + really > 0.0 { format!("{:.2}", said / really) } else { "-".to_owned() },
                );
                continue;
            }
            let guess =
                said.smallest.map_or(GRID.len() - 1, |rows| GRID.iter().position(|count| *count as u64 >= rows).unwrap_or(GRID.len() - 1));
            let really = smallest(set, &classes, attack, seeds, guess)?;
            let (text, number) = words(said);
            let ratio = number.zip(really).map_or("-".to_owned(), |(said, really)| format!("{:.2}", said / really as f64));
            line(&text, &really.map_or(format!("> {}", GRID[GRID.len() - 1]), |rows| rows.to_string()), &ratio);
        }
    }
    Ok(())
}

/// What a reach says: the smallest count, or the largest that was missed.
fn words(said: &Reach) -> (String, Option<f64>) {
    match (said.smallest, said.trials.last()) {
        (Some(rows), _) => (rows.to_string(), Some(rows as f64)),
        (None, Some(largest)) => (format!("> {}", largest.rows), None),
        (None, None) => ("untried".to_owned(), None),
    }
}
