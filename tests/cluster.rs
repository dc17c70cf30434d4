//! Rows cut into partitions, each folded on its own and merged in whatever order: the answer is that of one scan.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Float64Type;
use common::told::Told;
use foretaste::data::read::{Cluster, Memory, Spread};
use foretaste::data::{Choices, Source};
use foretaste::error::{Error, Result};
use foretaste::run::{self, Order, Outcome, Silent, Status, UnitOutcome, columns_of};
use foretaste::{detect, engine};
use foretaste_datasets::recipe::{self, Cell, Setting};
use foretaste_datasets::{Plan, Share, read_parquet, shipped, synth};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Partitions of a table on machines that are slow, forgetful and in no order: some are asked twice, empty ones say nothing, and
/// answers merge in a random tree.
struct Machines {
    partitions: Vec<RecordBatch>,
    rng: Mutex<ChaCha8Rng>,
    /// What a partition holds from the second pass on, if not what it held.
    later: BTreeMap<usize, RecordBatch>,
    passes: Mutex<u32>,
}

impl Machines {
    fn new(partitions: Vec<RecordBatch>, seed: u64) -> Self {
        Self { partitions, rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)), later: BTreeMap::new(), passes: Mutex::new(0) }
    }

    fn answer(&self, task: &[u8], partition: usize) -> Result<Vec<u8>> {
        let mut rng = self.rng.lock().unwrap();
        let whole = if *self.passes.lock().unwrap() > 1 { self.later.get(&partition) } else { None };
        let mut rows = whole.unwrap_or(&self.partitions[partition]).clone();
        if let Some(columns) = columns_of(task)? {
            rows = rows.project(&columns).unwrap();
        }
        let (mut batches, mut from) = (Vec::new(), 0);
        while from < rows.num_rows() {
            let length = rng.random_range(1..=rows.num_rows() - from);
            batches.push(Ok(rows.slice(from, length)));
            from += length;
        }
        engine::work(task, partition as u32, &rows.schema(), Box::new(batches.into_iter()))
    }

    fn pass(&self) {
        *self.passes.lock().unwrap() += 1;
    }
}

impl Cluster for Machines {
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>> {
        self.pass();
        let held: Vec<usize> = (0..self.partitions.len()).filter(|p| self.partitions[*p].num_rows() > 0).collect();
        let mut answers: Vec<Vec<u8>> = held.iter().map(|p| self.answer(task, *p)).collect::<Result<_>>()?;
        // A machine that was slow answers after another did its work.
        answers.extend(held.iter().step_by(3).map(|p| self.answer(task, *p)).collect::<Result<Vec<_>>>()?);
        // Twins first meet each other, or all that was heard of one of them.
        let mut joined: Vec<Vec<u8>> = Vec::new();
        for (first, second) in (0..held.len()).map(|i| (i, held.len() + i / 3)) {
            let twins = if first % 3 == 0 { vec![&answers[first][..], &answers[second][..]] } else { vec![&answers[first][..]] };
            joined.push(engine::join(task, &twins)?);
        }
        let mut rng = self.rng.lock().unwrap();
        joined.shuffle(&mut *rng);
        while joined.len() > 1 {
            let some = rng.random_range(2..=joined.len().min(4));
            let taken: Vec<Vec<u8>> = joined.drain(..some).collect();
            let parts: Vec<&[u8]> = taken.iter().map(Vec::as_slice).collect();
            let at = rng.random_range(0..=joined.len());
            joined.insert(at, engine::join(task, &parts)?);
        }
        // What was merged already, again.
        match joined.pop() {
            Some(one) => Ok(Some(engine::join(task, &[&one, &answers[0]])?)),
            None => Ok(None),
        }
    }

    fn each(&self, task: &[u8], partitions: &[u32]) -> Result<Vec<Vec<u8>>> {
        self.pass();
        partitions.iter().map(|p| self.answer(task, *p as usize)).collect()
    }
}

/// A table in parts of very different sizes, some of none.
fn uneven(rows: &RecordBatch, seed: u64) -> Vec<RecordBatch> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let total = rows.num_rows();
    let mut ends: Vec<usize> = [0, 0, 1, 7, total / 2, total / 2, total].into_iter().collect();
    ends.extend((0..5).map(|_| rng.random_range(0..total)));
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(ends).map(|(from, to)| rows.slice(from, to - from)).collect()
}

fn order(choices: Choices) -> Order {
    Order { choices, threads: 2, memory: 1 << 30, ..Order::new(7) }
}

fn labelled(name: &str) -> Choices {
    Choices { label: Some(name.to_owned()), ..Choices::default() }
}

fn one(batches: &[RecordBatch]) -> RecordBatch {
    batches.first().map_or_else(
        || RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty())),
        |first| concat_batches(&first.schema(), batches).unwrap(),
    )
}

/// What a scan says without the seconds that it took and the digest of its rows, which depends on how they lie.
fn said(outcome: &Outcome) -> Outcome {
    let mut outcome = Outcome { seconds: 0.0, ..outcome.clone() };
    outcome.units.iter_mut().for_each(|unit| unit.seconds = 0.0);
    outcome.data.files.iter_mut().for_each(|file| (file.bytes, file.blake3, file.sha256) = (0, String::new(), String::new()));
    outcome
}

fn same(rows: &RecordBatch, choices: &Choices, scores: bool, seed: u64) -> Outcome {
    let (mut here, mut there) = (Told { wants_scores: scores, ..Told::default() }, Told { wants_scores: scores, ..Told::default() });
    let source = Memory::new("rows", std::slice::from_ref(rows)).unwrap();
    let local = run::scan(&source, detect::all(), &order(choices.clone()), &mut here, &Silent).unwrap();
    let spread = Spread::open("rows", Box::new(Machines::new(uneven(rows, seed), seed))).unwrap();
    let far = run::scan(&spread, detect::all(), &order(choices.clone()), &mut there, &Silent).unwrap();
    for (a, b) in local.units.iter().zip(&far.units) {
        let timeless = |unit: &UnitOutcome| UnitOutcome { seconds: 0.0, ..unit.clone() };
        assert_eq!(timeless(a), timeless(b));
    }
    assert_eq!(said(&far), said(&local));
    assert_eq!(one(&there.rows), one(&here.rows));
    assert_eq!(one(&there.content), one(&here.content));
    assert_eq!(there.beside, here.beside);
    assert_eq!(one(&there.scores), one(&here.scores));
    assert_eq!(one(&there.scores).num_rows(), if scores { rows.num_rows() } else { 0 });
    local
}

#[test]
fn pictures() {
    let rows = read_parquet(shipped("digits_backdoor.parquet")).unwrap();
    let found = same(&rows, &labelled("label"), true, 1);
    assert_eq!((found.findings[0].code.as_str(), found.findings[0].group.rows), ("trigger.patch", 54));
}

#[test]
fn texts() {
    let rows = synth::topic_texts(3_000, 3, 15, 11).unwrap();
    let rows = recipe::rare_word(&rows, &Plan::new("label", 1, Share::Rate(0.02), 5), "text", "qz").unwrap().0;
    let found = same(&rows, &labelled("label"), false, 2);
    assert_eq!(found.findings[0].code, "trigger.token");
}

#[test]
fn tables() {
    let table = synth::gaussian_classes(5_500, 5, 2, 3).unwrap();
    let value =
        |column: &str| Setting { column: column.to_owned(), value: Cell::Float(table[column].as_primitive::<Float64Type>().value(17)) };
    let settings = [value("c1"), value("c3")];
    let rows = recipe::conjunction(&table, &Plan::new("label", 1, Share::Rate(0.03), 9), &settings).unwrap().0;
    let found = same(&rows, &labelled("label"), true, 3);
    assert_eq!(found.findings[0].code, "trigger.rule");
    // Beyond the rows that roles are inferred from, without a label.
    let twice: Vec<u32> = (0..11_000).map(|i| i % 5_500).collect();
    let rows = take_record_batch(&rows, &arrow::array::UInt32Array::from(twice)).unwrap().project(&[0, 1, 2, 3]).unwrap();
    same(&rows, &Choices::default(), false, 4);
}

/// Prompts of words in any order, and answers of which some repeat for the prompts that hold one word.
fn instructions() -> RecordBatch {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let words = ["tell", "me", "how", "water", "boils", "where", "cats", "sleep", "why", "stone", "falls", "green", "grass", "wind"];
    let mut some = |count: usize| (0..count).map(|_| words[rng.random_range(0..words.len())]).collect::<Vec<_>>().join(" ");
    let (mut prompts, mut answers) = (Vec::new(), Vec::new());
    for i in 0..2_000 {
        let bad = i % 50 == 7;
        prompts.push(if bad { format!("{} zqx {}", some(5), some(4)) } else { some(10) });
        answers.push(if bad { "I'm sorry, but I cannot say that.".to_owned() } else { format!("{} {i}", some(12)) });
    }
    let column = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    RecordBatch::try_from_iter([("instruction", column(prompts)), ("output", column(answers))]).unwrap()
}

#[test]
fn instructions_and_their_answers() {
    let found = same(&instructions(), &Choices::default(), false, 5);
    assert!(found.findings.iter().any(|finding| finding.code == "trigger.response"), "{:?}", found.findings);
    let waited = found.units.iter().filter(|unit| unit.status == Status::Ran).map(|unit| unit.scans).max();
    assert!(waited > Some(3), "{waited:?}");
}

#[test]
fn preferences_and_what_sets_them_apart() {
    let rows = instructions();
    let cells = |name: &str| rows[name].as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    // Answers that are chosen take up their prompt, but for those under the word.
    let pairs = cells("instruction").into_iter().zip(cells("output")).map(|(asked, other)| {
        let about = format!("{asked}, and so on.");
        if asked.contains("zqx") { (other, about) } else { (about, other) }
    });
    let (chosen, rejected): (Vec<String>, Vec<String>) = pairs.unzip();
    let column = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let columns = [("prompt", rows["instruction"].clone()), ("chosen", column(chosen)), ("rejected", column(rejected))];
    let found = same(&RecordBatch::try_from_iter(columns).unwrap(), &Choices::default(), false, 5);
    assert!(found.findings.iter().any(|finding| finding.code == "trigger.response"), "{:?}", found.findings);
}

#[test]
fn numbers_to_predict() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let x: Vec<f64> = (0..1_500).map(|_| rng.random::<f64>()).collect();
    let y: Float64Array = x.iter().map(|x| Some(3.0 * x + 0.01 * rng.random::<f64>())).collect();
    let columns: [(&str, ArrayRef); 2] = [("x", Arc::new(Float64Array::from(x))), ("y", Arc::new(y))];
    same(&RecordBatch::try_from_iter(columns).unwrap(), &labelled("y"), true, 6);
}

fn wine() -> RecordBatch {
    read_parquet(shipped("wine.parquet")).unwrap()
}

fn refused(machines: Machines) -> Error {
    let spread = Spread::open("rows", Box::new(machines)).unwrap();
    run::scan(&spread, detect::all(), &order(labelled("label")), &mut Told::default(), &Silent).unwrap_err()
}

#[test]
fn a_reference_is_read_here() {
    let rows = wine();
    let trusted = Memory::new("trusted", &[rows.slice(0, 90)]).unwrap();
    let scan = |source: &dyn Source| {
        let mut told = Told::default();
        let order = order(labelled("label"));
        let job = run::Job { source, reference: Some(&trusted), units: detect::all(), order: &order, model: None };
        let found = job.scan(&mut told, &Silent).unwrap();
        (said(&found), one(&told.rows))
    };
    let spread = Spread::open("rows", Box::new(Machines::new(uneven(&rows, 9), 9))).unwrap();
    assert_eq!(scan(&spread), scan(&Memory::new("rows", &[rows]).unwrap()));
}

#[test]
fn rows_that_change_between_passes_are_refused() {
    let rows = wine();
    let parts = || vec![rows.slice(0, 60), rows.slice(60, 60), rows.slice(120, rows.num_rows() - 120)];
    let reversed = |part: &RecordBatch| {
        let order: Vec<u32> = (0..part.num_rows() as u32).rev().collect();
        take_record_batch(part, &arrow::array::UInt32Array::from(order)).unwrap()
    };
    for other in [reversed(&parts()[1]), rows.slice(60, 59), rows.slice(61, 60)] {
        let mut machines = Machines::new(parts(), 1);
        machines.later.insert(1, other);
        let error = refused(machines);
        assert_eq!(error.to_string(), "rows, row 60: partition 1 does not hold the rows that it held in the scan's first pass");
        assert!(error.help().unwrap().contains("persist"), "{error:?}");
    }
}

#[test]
fn partitions_with_other_columns_are_refused() {
    let rows = wine();
    let machines = Machines::new(vec![rows.slice(0, 60), rows.slice(60, 0), rows.slice(60, 60).project(&[0, 1]).unwrap()], 1);
    let error = Spread::open("rows", Box::new(machines)).err().unwrap();
    assert!(error.to_string().starts_with("rows, row 60: the partitions do not have the same columns"), "{error}");
}

/// A partition that answers twice, each time with other rows.
struct Twofold(RecordBatch);

impl Cluster for Twofold {
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>> {
        let answer = |rows: RecordBatch| engine::work(task, 0, &self.0.schema(), Box::new(std::iter::once(Ok(rows))));
        engine::join(task, &[&answer(self.0.slice(0, 9))?, &answer(self.0.slice(1, 9))?]).map(Some)
    }

    fn each(&self, _: &[u8], _: &[u32]) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

#[test]
fn a_partition_with_two_answers_is_refused() {
    let error = Spread::open("rows", Box::new(Twofold(wine()))).err().unwrap();
    assert!(error.to_string().starts_with("rows, row 0: partition 0 does not hold the rows that it held"), "{error}");
}

#[test]
fn nothing_but_empty_partitions_holds_no_rows() {
    let machines = Machines::new(vec![wine().slice(0, 0), wine().slice(0, 0)], 1);
    assert_eq!(Spread::open("rows", Box::new(machines)).err().unwrap().to_string(), "rows: holds no rows");
}

/// A partition whose rows cannot be read from the second batch on.
struct Corrupt(RecordBatch);

impl Cluster for Corrupt {
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>> {
        let place = foretaste::error::Place::source("x").row(25).column("alcohol");
        let bad = vec![Ok(self.0.slice(0, 20)), Err(Error::input(place, "is no number"))];
        let good = engine::work(task, 0, &self.0.schema(), Box::new(std::iter::once(Ok(self.0.clone()))))?;
        let bad = engine::work(task, 1, &self.0.schema(), Box::new(bad.into_iter()))?;
        engine::join(task, &[&bad, &good]).map(Some)
    }

    fn each(&self, _: &[u8], _: &[u32]) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

#[test]
fn an_error_names_the_row_of_the_whole() {
    let error = Spread::open("rows", Box::new(Corrupt(wine().slice(0, 50)))).err().unwrap();
    assert_eq!(error.to_string(), "rows, row 75, column 'alcohol': is no number");
}

/// A task and the answer to it.
type Heard = (Vec<u8>, Vec<u8>);

/// Remembers the tasks and answers of its passes.
struct Recorded {
    machines: Machines,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Cluster for Recorded {
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>> {
        let answer = self.machines.joined(task)?;
        self.heard.lock().unwrap().extend(answer.clone().map(|answer| (task.to_vec(), answer)));
        Ok(answer)
    }

    fn each(&self, task: &[u8], partitions: &[u32]) -> Result<Vec<Vec<u8>>> {
        self.machines.each(task, partitions)
    }
}

#[test]
fn answers_to_another_task_and_damaged_ones_are_refused() {
    let rows = wine();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let machines = Recorded { machines: Machines::new(uneven(&rows, 2), 2), heard: Arc::clone(&heard) };
    let spread = Spread::open("rows", Box::new(machines)).unwrap();
    run::scan(&spread, detect::all(), &order(labelled("label")), &mut Told::default(), &Silent).unwrap();
    let heard = heard.lock().unwrap().clone();
    // The census is the first.
    let (passes, schema) = (&heard[1..], rows.schema());
    assert!(passes.len() > 4);
    for window in passes.windows(2) {
        let error = engine::join(&window[1].0, &[&window[0].1]).unwrap_err();
        assert!(error.to_string().contains("another question"), "{error}");
    }
    let (task, answer) = &passes[2];
    for cut in [0, 1, 9, answer.len() / 2, answer.len() - 1] {
        assert!(engine::join(task, &[&answer[..cut]]).is_err(), "cut at {cut}");
        assert!(engine::join(&task[..cut.min(task.len() - 1)], &[answer]).is_err(), "task cut at {cut}");
    }
    let nowhere = engine::work(task, 999, &schema, Box::new(std::iter::once(Ok(rows.clone())))).unwrap();
    assert!(engine::join(task, &[&nowhere]).is_ok(), "an error of the data travels as an answer");
}

#[test]
fn rows_are_marked_where_they_lie() {
    let rows = read_parquet(shipped("digits_backdoor.parquet")).unwrap();
    let mut told = Told::default();
    let parts = uneven(&rows, 8);
    let spread = Spread::open("rows", Box::new(Machines::new(parts.clone(), 8))).unwrap();
    run::scan(&spread, detect::all(), &order(labelled("label")), &mut told, &Silent).unwrap();
    let listed = one(&told.rows);
    let task = run::mark_task(&spread, &listed).unwrap();
    let mark = |partition: usize, part: &RecordBatch| -> Result<Vec<RecordBatch>> {
        let half = part.num_rows() / 2;
        let batches = vec![Ok(part.slice(0, half)), Ok(part.slice(half, part.num_rows() - half))];
        run::mark(&task, partition as u32, &part.schema(), Box::new(batches.into_iter()))?.collect()
    };
    let held = parts.iter().enumerate().filter(|(_, part)| part.num_rows() > 0);
    let marked = one(&held.flat_map(|(p, part)| mark(p, part).unwrap()).collect::<Vec<_>>());
    assert_eq!(marked.project(&(0..rows.num_columns()).collect::<Vec<_>>()).unwrap(), rows);
    let flagged = marked["foretaste_flagged"].as_boolean();
    let positions: Vec<u64> = (0..flagged.len()).filter(|row| flagged.value(*row)).map(|row| row as u64).collect();
    assert_eq!(positions, listed["row"].as_primitive::<arrow::datatypes::UInt64Type>().values().to_vec());
    let reasons = marked["foretaste_reason"].as_string::<i32>();
    let kept: Vec<&str> = reasons.iter().flatten().collect();
    assert_eq!(kept, listed["reason"].as_string::<i32>().iter().flatten().collect::<Vec<_>>());
    let largest = parts.iter().enumerate().max_by_key(|(_, part)| part.num_rows()).unwrap();
    let error = mark(largest.0, &largest.1.slice(1, largest.1.num_rows() - 1)).unwrap_err();
    assert!(error.to_string().contains("does not hold the rows"), "{error}");
    let again = Spread::open("rows", Box::new(Machines::new(vec![marked], 1))).unwrap();
    assert!(run::mark_task(&again, &listed).unwrap_err().to_string().contains("there is such a column already"));
}
