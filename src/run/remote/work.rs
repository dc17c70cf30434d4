//! The worker's side: a task and the rows of one partition in, an answer out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;

use crate::data::read::{Slice, Watched, asks_for_census, census, changed, schema_of_bytes};
use crate::data::{Batches, Schema};
use crate::error::{Error, Place, Result};
use crate::fold::Unit;

use super::super::beside::find;
use super::super::facts::Facts;
use super::super::feed::{Cache, Feed};
use super::super::known::Known;
use super::super::list::{Lister, Told};
use super::super::outcome::{Silent, Sink};
use super::super::score::Scoring;
use super::super::shared::{Rider, pool, ride};
use super::super::{Passenger, columns_for};
use super::{Answer, BRIEFS, Body, Failed, Piece, Ride, Rode, Score, Task, What, question, read_task, to_bytes, unit_of, wire};

/// Does a task with the rows of one partition, which come with these columns; `units` is the registry. What is wrong with the rows is
/// part of the answer, so that nobody takes it for a machine's fault and tries again.
///
/// # Errors
/// Bytes that are no task of this version, and an answer that cannot be written.
pub fn work(units: Vec<Box<dyn Unit>>, task: &[u8], partition: u32, schema: &SchemaRef, batches: Batches) -> Result<Vec<u8>> {
    if let Some(name) = asks_for_census(task) {
        return census(name, partition, schema, batches);
    }
    let question = question(task);
    let body = read_task(task).and_then(|task| {
        let rows = Rows::new(&task, partition, schema, batches)?;
        answer(units, task.what, question, rows)
    });
    to_bytes(&Answer { question, covers: vec![partition], body: body.map_err(|error| Failed::new(partition, error)) })
}

/// The rows of a partition, as they must be.
pub(super) struct Rows {
    pub(super) slice: Slice,
    pub(super) schema: SchemaRef,
    pub(super) batches: Watched,
}

impl Rows {
    pub(super) fn new(task: &Task, partition: u32, given: &SchemaRef, batches: Batches) -> Result<Self> {
        let found = task.slices.iter().find(|slice| slice.partition == partition);
        let slice = found.ok_or_else(|| changed(&task.name, partition, None))?.clone();
        let whole = schema_of_bytes(&task.arrow)?;
        let schema = match &task.columns {
            Some(columns) => Arc::new(whole.project(columns).map_err(|e| wire(e.to_string()))?),
            None => whole,
        };
        same_columns(&task.name, slice.first_row, &schema, given)?;
        let batches = Watched::new(&task.name, &slice, &schema, batches)?;
        Ok(Self { slice, schema, batches })
    }
}

fn same_columns(name: &str, first_row: u64, wanted: &ArrowSchema, given: &ArrowSchema) -> Result<()> {
    let place = || Place::source(name).row(first_row);
    if wanted.fields().len() != given.fields().len() {
        let counts = format!("a partition has {} columns where the others have {}", given.fields().len(), wanted.fields().len());
        return Err(Error::input(place(), counts));
    }
    match wanted.fields().iter().zip(given.fields()).find(|(a, b)| a.name() != b.name() || a.data_type() != b.data_type()) {
        Some((a, b)) => {
            let types = format!("a partition holds {} '{}' where the others hold {}", b.data_type(), b.name(), a.data_type());
            Err(Error::input(place().column(a.name().as_str()), types))
        }
        None => Ok(()),
    }
}

fn answer(units: Vec<Box<dyn Unit>>, what: What, question: u64, rows: Rows) -> Result<Body> {
    match what {
        What::Head(most) => head(most, rows),
        What::Look(look) => Ok(Body::Look(look.over(rows.batches)?)),
        What::Ride(task) => ride_here(units, &task, question, rows),
        What::Score(task) => score(units, &task, rows),
        What::List(task) => list(units, task, rows),
        What::Find(known, keys) => find_here(&known, &keys, rows),
        What::Mark(_) => Err(wire("marks are asked for by another door")),
    }
}

fn head(most: u64, rows: Rows) -> Result<Body> {
    let mut wanted = most.saturating_sub(rows.slice.first_row) as usize;
    let mut taken = Vec::new();
    // All rows are read, so that it is known that they are the right ones.
    for batch in rows.batches {
        let batch = batch?;
        let part = batch.num_rows().min(wanted);
        wanted -= part;
        if part > 0 {
            taken.push(batch.slice(0, part));
        }
    }
    let head = concat_batches(&rows.schema, &taken).map_err(|e| wire(e.to_string()))?;
    Ok(Body::Head(batch_to_bytes(&head)?))
}

/// A feed of a partition's blocks.
fn feed<'a>(schema: &Arc<Schema>, rows: Rows, cache: &'a mut Cache) -> Feed<'a> {
    let first_row = rows.slice.first_row;
    Feed::of(Box::new(rows.batches), first_row, schema, cache)
}

fn ride_here(units: Vec<Box<dyn Unit>>, task: &Ride, question: u64, rows: Rows) -> Result<Body> {
    let (schema, passengers) = (task.known.schema()?, task.known.board(units)?);
    let rider = |(code, brief): &(String, Vec<u8>)| {
        let unit = unit_of(passengers.iter().map(|p| &*p.unit), code)?;
        Ok(Rider { unit, brief: unit.unpack_brief(BRIEFS, brief)? })
    };
    let riders: Vec<Rider<'_>> = task.riders.iter().map(rider).collect::<Result<_>>()?;
    let aboard = passengers.iter().enumerate().filter(|(_, p)| task.riders.iter().any(|(code, _)| code == p.code())).map(|(i, _)| i);
    let derive = columns_for(&passengers, aboard);
    let facts = Facts::new(&schema);
    let (partition, mut cache) = (rows.slice.partition, Cache::new(0));
    let observe = |block: &crate::data::Batch| {
        if task.facts {
            facts.observe(block);
        }
    };
    let ridden = ride(&pool(1)?, 1, feed(&schema, rows, &mut cache), &derive, &riders, &Silent, &observe)?;
    let rode = ridden.into_iter().zip(&riders).map(|(ridden, rider)| {
        let packed = ridden.state.and_then(|state| rider.unit.pack_state(question, &state));
        Rode { state: packed.map_err(|error| Failed::new(partition, error)), seconds: ridden.seconds }
    });
    let riders = rode.collect();
    Ok(Body::Ride { riders, facts: task.facts.then(|| facts.into_counts()) })
}

fn find_here(known: &Known, keys: &[u64], rows: Rows) -> Result<Body> {
    let (schema, mut cache) = (known.schema()?, Cache::new(0));
    let wanted = keys.iter().copied().collect();
    let found = find(&pool(1)?, 1, feed(&schema, rows, &mut cache), &wanted, &Silent)?;
    let content = concat_batches(&schema.arrow, found.iter().map(|part| &part.content)).map_err(|e| wire(e.to_string()))?;
    Ok(Body::Find(found.into_iter().flat_map(|part| part.rows).collect(), batch_to_bytes(&content)?))
}

/// The positions of units.
fn positions(passengers: &[Passenger], codes: &[String]) -> Result<Vec<usize>> {
    let at = |code: &String| passengers.iter().position(|p| p.code() == code).ok_or_else(|| wire(format!("this build has no unit {code}")));
    codes.iter().map(at).collect()
}

fn score(units: Vec<Box<dyn Unit>>, task: &Score, rows: Rows) -> Result<Body> {
    let (schema, passengers) = (task.known.schema()?, task.known.board(units)?);
    let which = positions(&passengers, &task.which)?;
    let scoring = Scoring { passengers: &passengers, which: &which, scores: task.scores };
    let mut cache = Cache::new(0);
    let scored = scoring.run(&pool(1)?, 1, feed(&schema, rows, &mut cache), &Silent)?;
    let failed = scored.failed.into_iter().map(|(i, why)| (passengers[i].code().to_owned(), why)).collect();
    Ok(Body::Score { summaries: scored.summaries, seconds: scored.seconds, failed })
}

fn list(units: Vec<Box<dyn Unit>>, task: Told, rows: Rows) -> Result<Body> {
    let (schema, passengers) = (task.known.schema()?, task.known.board(units)?);
    let (listings, claims) = task.lists.at(&passengers)?;
    let rare = task.rarity.into_iter().map(|(code, rare)| Ok((positions(&passengers, &[code])?[0], rare)));
    let rarity: BTreeMap<usize, _> = rare.collect::<Result<_>>()?;
    let wanted = (task.scores, task.content);
    let lister = Lister::new(&schema, &task.files, &passengers, &listings, &rarity, &claims, wanted);
    let (mut pieces, mut cache) = (Pieces { wanted, pieces: Vec::new() }, Cache::new(0));
    let derive = columns_for(&passengers, lister.judges().iter().copied());
    let listed = lister.run(&pool(1)?, 1, feed(&schema, rows, &mut cache), &derive, &Silent, &mut pieces)?;
    Ok(Body::List { pieces: pieces.pieces, listed })
}

/// Keeps what a sink is told.
struct Pieces {
    wanted: (bool, bool),
    pieces: Vec<Piece>,
}

impl Sink for Pieces {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            self.pieces.push(Piece::Rows(batch_to_bytes(rows)?));
        }
        Ok(())
    }

    fn scores(&mut self, scores: &RecordBatch) -> Result<()> {
        self.pieces.push(Piece::Scores(batch_to_bytes(scores)?));
        Ok(())
    }

    fn content(&mut self, _: &Schema, rows: &RecordBatch) -> Result<()> {
        self.pieces.push(Piece::Content(batch_to_bytes(rows)?));
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        self.wanted.0
    }

    fn wants_content(&self) -> bool {
        self.wanted.1
    }
}

/// A batch as an Arrow stream.
pub(super) fn batch_to_bytes(batch: &RecordBatch) -> Result<Vec<u8>> {
    let written = StreamWriter::try_new(Vec::new(), &batch.schema()).and_then(|mut writer| {
        writer.write(batch)?;
        writer.into_inner()
    });
    written.map_err(|e| wire(e.to_string()))
}
