//! Rows beside listed ones: where listed rows lie among all, and the rows that they are most like. For people who look at listed rows;
//! nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;
use rustc_hash::FxHashSet;

use crate::data::{Batch, Schema};
use crate::error::{Error, Place, Result};
use crate::fold::{Atlas, Located};

use super::Run;
use super::feed::{Cache, Feed};
use super::outcome::{Progress, Sink};
use super::remote::Far;
use super::shared::{each_block, guarded, lock};

/// Most listed rows that are looked at.
const MOST_ROWS: usize = 1_000;
/// Rows that are shown beside one.
const NEAREST: usize = 5;

/// Where listed rows lie, and the rows that they are most like.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// Positions of the listed rows that were looked at, ascending: all, or evenly spread ones.
    pub rows: Vec<u64>,
    /// Where they lie on a map; its scale is its own.
    pub places: Vec<[f32; 2]>,
    /// The rows that each is most like, the most alike first: indices of `near`.
    pub nearest: Vec<Vec<usize>>,
    /// Positions of those rows; of equal rows the first.
    pub near: Vec<u64>,
    /// Their labels, as listed rows have them.
    pub labels: Vec<Option<String>>,
    /// They as the data has them.
    pub content: RecordBatch,
    /// Rows that the map was drawn from: place, and class where they have one.
    pub ground: Vec<([f32; 2], Option<u32>)>,
}

/// Hands everything on to a sink, and keeps evenly spread listed rows.
pub(super) struct Keeping<'a> {
    sink: &'a mut (dyn Sink + Send),
    /// Bytes that the rows may take.
    most_bytes: usize,
    kept: Vec<(Vec<u64>, RecordBatch)>,
    rows: usize,
    bytes: usize,
    /// Every so many listed rows one is kept.
    step: u64,
    /// Listed rows so far, and the positions of the last ones.
    seen: u64,
    last: Vec<u64>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(sink: &'a mut (dyn Sink + Send), memory: usize) -> Self {
        // Each of them may bring its nearest along.
        let most_bytes = memory / (1 + NEAREST);
        Self { sink, most_bytes, kept: Vec::new(), rows: 0, bytes: 0, step: 1, seen: 0, last: Vec::new() }
    }

    fn keep(&mut self, content: &RecordBatch) -> Result<()> {
        let first = self.seen;
        self.seen += content.num_rows() as u64;
        let wanted: Vec<usize> = (0..content.num_rows()).filter(|at| (first + *at as u64).is_multiple_of(self.step)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let positions: Vec<u64> = wanted.iter().filter_map(|at| self.last.get(*at).copied()).collect();
        let part = taken(content, &wanted)?;
        self.rows += wanted.len();
        self.bytes += part.get_array_memory_size();
        self.kept.push((positions, part));
        while self.rows > MOST_ROWS || self.bytes > self.most_bytes && self.rows > 1 {
            self.thin()?;
        }
        Ok(())
    }

    /// Lets every other row go.
    fn thin(&mut self) -> Result<()> {
        self.step *= 2;
        let (mut at, mut kept) = (0usize, Vec::new());
        for (positions, part) in std::mem::take(&mut self.kept) {
            let wanted: Vec<usize> = (0..positions.len()).filter(|i| (at + i).is_multiple_of(2)).collect();
            at += positions.len();
            if !wanted.is_empty() {
                kept.push((wanted.iter().map(|i| positions[*i]).collect(), taken(&part, &wanted)?));
            }
        }
        self.rows = kept.iter().map(|(positions, _): &(Vec<u64>, RecordBatch)| positions.len()).sum();
        self.bytes = kept.iter().map(|(_, part)| part.get_array_memory_size()).sum();
        self.kept = kept;
        Ok(())
    }

    /// The kept rows: positions, and they as the data has them.
    pub(super) fn into_rows(self, schema: &Schema) -> Result<(Vec<u64>, RecordBatch)> {
        let parts: Vec<RecordBatch> = self.kept.iter().map(|(_, part)| part.clone()).collect();
        let rows = concat_batches(&schema.arrow, &parts).map_err(|e| misfit(&e))?;
        Ok((self.kept.into_iter().flat_map(|(positions, _)| positions).collect(), rows))
    }
}

impl Sink for Keeping<'_> {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let positions = rows.column_by_name("row").and_then(|column| column.as_primitive_opt::<UInt64Type>());
        self.last = positions.map(|positions| positions.values().to_vec()).unwrap_or_default();
        self.sink.rows(rows)
    }

    fn scores(&mut self, scores: &RecordBatch) -> Result<()> {
        self.sink.scores(scores)
    }

    fn wants_scores(&self) -> bool {
        self.sink.wants_scores()
    }

    fn content(&mut self, schema: &Schema, rows: &RecordBatch) -> Result<()> {
        self.keep(rows)?;
        self.sink.content(schema, rows)
    }

    fn wants_content(&self) -> bool {
        self.sink.wants_content()
    }
}

/// Some rows of the data: key, position, label as listed rows have it; and they as the data has them.
pub(super) struct Found {
    pub(super) rows: Vec<(u64, u64, Option<String>)>,
    pub(super) content: RecordBatch,
}

/// The rows of a block that have one of these keys; nothing where there are none.
fn found(block: &Batch, wanted: &FxHashSet<u64>) -> Result<Option<Found>> {
    let mut once = FxHashSet::default();
    let here = block.keys().iter().enumerate().filter(|(_, key)| wanted.contains(key));
    let here: Vec<(usize, u64)> = here.filter(|(_, key)| once.insert(**key)).map(|(row, key)| (row, *key)).collect();
    if here.is_empty() {
        return Ok(None);
    }
    let rows = here.iter().map(|(row, key)| (*key, block.row_position(*row), block.shown_label(*row))).collect();
    let at: Vec<usize> = here.iter().map(|(row, _)| *row).collect();
    Ok(Some(Found { rows, content: taken(block.record(), &at)? }))
}

/// As [`found`], over all rows.
pub(super) fn find(
    pool: &rayon::ThreadPool,
    workers: usize,
    feed: Feed<'_>,
    wanted: &FxHashSet<u64>,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    let parts = Mutex::new(BTreeMap::new());
    each_block(pool, workers, feed, &[], progress, &|_, index, block| {
        if let Some(part) = found(block, wanted)? {
            lock(&parts).insert(index, part);
        }
        Ok(())
    })?;
    let parts = std::mem::take(&mut *lock(&parts));
    Ok(parts.into_values().collect())
}

/// Listed rows on the map, before the rows that are near them were read.
struct Placed {
    rows: Vec<u64>,
    located: Vec<Located>,
    ground: Vec<([f32; 2], Option<u32>)>,
}

impl Placed {
    /// Places rows with these positions.
    fn new(atlas: &dyn Atlas, schema: &Arc<Schema>, rows: &[u64], content: &RecordBatch) -> Result<Self> {
        let located = atlas.locate(&Batch::new(Arc::clone(schema), content.clone(), 0), NEAREST)?;
        Ok(Self { rows: rows.to_vec(), located, ground: atlas.ground()? })
    }

    /// Keys of the rows that are near.
    fn wanted(&self) -> FxHashSet<u64> {
        self.located.iter().flat_map(|located| located.nearest.iter().copied()).collect()
    }

    /// With the rows that were found, in the order of the data.
    fn beside(self, schema: &Schema, found: &[Found]) -> Result<Surroundings> {
        let contents: Vec<&RecordBatch> = found.iter().map(|part| &part.content).collect();
        let all = concat_batches(&schema.arrow, contents).map_err(|e| misfit(&e))?;
        let mut first: BTreeMap<u64, usize> = BTreeMap::new();
        let rows: Vec<&(u64, u64, Option<String>)> = found.iter().flat_map(|part| &part.rows).collect();
        let kept: Vec<usize> =
            (0..rows.len()).filter(|at| !first.contains_key(&rows[*at].0) && first.insert(rows[*at].0, first.len()).is_none()).collect();
        let nearest = |located: &Located| located.nearest.iter().filter_map(|key| first.get(key).copied()).collect();
        Ok(Surroundings {
            nearest: self.located.iter().map(nearest).collect(),
            places: self.located.iter().map(|located| located.place).collect(),
            rows: self.rows,
            near: kept.iter().map(|at| rows[*at].1).collect(),
            labels: kept.iter().map(|at| rows[*at].2.clone()).collect(),
            content: taken(&all, &kept)?,
            ground: self.ground,
        })
    }
}

impl Run<'_> {
    /// Tells the sink where listed rows lie and what they are most like, where a unit can say; gives back the unit that failed to.
    pub(super) fn look_beside(
        &self,
        rows: &[u64],
        content: &RecordBatch,
        cache: &mut Cache,
        sink: &mut (dyn Sink + Send),
    ) -> Result<Option<(usize, String)>> {
        if rows.is_empty() {
            return Ok(None);
        }
        for (i, passenger) in self.passengers.iter().enumerate() {
            let (unit, Some(model)) = (&*passenger.unit, passenger.model()) else { continue };
            let place = || unit.atlas(model)?.map(|atlas| Placed::new(&*atlas, &self.schema, rows, content)).transpose();
            let placed = match self.pool.install(|| guarded(unit.info().code, place)) {
                Ok(None) => continue,
                Ok(Some(placed)) => placed,
                Err(error) => return Ok(Some((i, error.to_string()))),
            };
            self.progress.scan(self.scans + 3, "looking beside listed rows", Some(self.schema.rows));
            let found = if let Some(spread) = self.source.spread() {
                Far::new(spread, self.progress).find(&self.schema, &placed.wanted())?
            } else {
                let feed = Feed::open(self.source, &self.schema, cache)?;
                find(&self.pool, self.threads, feed, &placed.wanted(), self.progress)?
            };
            sink.beside(&self.schema, &placed.beside(&self.schema, &found)?)?;
            return Ok(None);
        }
        Ok(None)
    }
}

/// Copies of some rows.
fn taken(rows: &RecordBatch, at: &[usize]) -> Result<RecordBatch> {
    let at: UInt32Array = at.iter().map(|at| *at as u32).collect();
    take_record_batch(rows, &at).map_err(|e| misfit(&e))
}

fn misfit(error: &arrow::error::ArrowError) -> Error {
    Error::input(Place::source("listed rows"), format!("cannot be put into a table: {error}"))
}
