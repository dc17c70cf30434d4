//! Rows in blocks of a fixed size, however the reader cut them: so the answer does not depend on files, row groups or
//! reader batches.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::data::{Batch, Batches, Schema, Source};
use crate::error::{Error, Place, Result};

/// Cuts a reader's batches into blocks of equal length; the last may be shorter.
struct Blocks {
    batches: Batches,
    arrow: SchemaRef,
    rows: usize,
    pending: Vec<RecordBatch>,
    held: usize,
    first_row: u64,
    ended: bool,
}

impl Blocks {
    fn new(batches: Batches, schema: &Schema, first_row: u64) -> Self {
        let (arrow, rows) = (Arc::clone(&schema.arrow), schema.block_rows());
        Self { batches, arrow, rows, pending: Vec::new(), held: 0, first_row, ended: false }
    }

    fn next(&mut self) -> Result<Option<(u64, RecordBatch)>> {
        while self.held < self.rows && !self.ended {
            match self.batches.next() {
                Some(batch) => {
                    let batch = batch?;
                    self.held += batch.num_rows();
                    if batch.num_rows() > 0 {
                        self.pending.push(batch);
                    }
                }
                None => self.ended = true,
            }
        }
        if self.held == 0 {
            return Ok(None);
        }
        let wanted = self.held.min(self.rows);
        let mut parts = Vec::new();
        let mut taken = 0;
        while taken < wanted {
            let Some(batch) = self.pending.first() else { break };
            let part = batch.num_rows().min(wanted - taken);
            parts.push(batch.slice(0, part));
            taken += part;
            if part == batch.num_rows() {
                self.pending.remove(0);
            } else {
                self.pending[0] = batch.slice(part, batch.num_rows() - part);
            }
        }
        let record = match &parts[..] {
            [one] => one.clone(),
            _ => concat_batches(&self.arrow, &parts)
                .map_err(|e| Error::input(Place::source("input"), format!("batches do not fit together: {e}")))?,
        };
        let first_row = self.first_row;
        self.first_row += taken as u64;
        self.held -= taken;
        Ok(Some((first_row, record)))
    }
}

/// Blocks that were read once and fit the budget: later scans take them from here, with all views made so far.
pub(super) struct Cache {
    budget: usize,
    used: usize,
    blocks: Vec<Arc<Batch>>,
    state: CacheState,
}

#[derive(PartialEq, Clone, Copy)]
enum CacheState {
    Filling,
    Full,
    Overflowed,
}

impl Cache {
    /// An empty cache of so many bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, used: 0, blocks: Vec::new(), state: CacheState::Filling }
    }

    fn keep(&mut self, index: u64, block: &Arc<Batch>) {
        if self.state != CacheState::Filling || index != self.blocks.len() as u64 {
            return;
        }
        self.used += block.footprint();
        if self.used > self.budget {
            self.state = CacheState::Overflowed;
            self.blocks = Vec::new();
        } else {
            self.blocks.push(Arc::clone(block));
        }
    }

    /// Every block was kept.
    fn end(&mut self) {
        if self.state == CacheState::Filling {
            self.state = CacheState::Full;
        }
    }
}

/// One scan's supply of blocks, shared by the workers under a lock.
pub(super) struct Feed<'a> {
    schema: Arc<Schema>,
    cache: &'a mut Cache,
    blocks: Option<Blocks>,
    next: u64,
}

impl<'a> Feed<'a> {
    /// Starts a scan from the first row.
    pub(super) fn open(source: &dyn Source, schema: &Arc<Schema>, cache: &'a mut Cache) -> Result<Self> {
        let blocks = if cache.state == CacheState::Full {
            None
        } else {
            if cache.state == CacheState::Filling {
                *cache = Cache::new(cache.budget);
            }
            Some(Blocks::new(source.scan(None)?, schema, 0))
        };
        Ok(Self { schema: Arc::clone(schema), cache, blocks, next: 0 })
    }

    /// Rows that start at a position of the input.
    pub(super) fn of(batches: Batches, first_row: u64, schema: &Arc<Schema>, cache: &'a mut Cache) -> Self {
        Self { schema: Arc::clone(schema), cache, blocks: Some(Blocks::new(batches, schema, first_row)), next: 0 }
    }

    /// The next block with its number.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Arc<Batch>)>> {
        let index = self.next;
        let block = match &mut self.blocks {
            None => self.cache.blocks.get(index as usize).cloned(),
            Some(blocks) => {
                let block = blocks.next()?.map(|(first_row, record)| Arc::new(Batch::new(Arc::clone(&self.schema), record, first_row)));
                match &block {
                    Some(block) => self.cache.keep(index, block),
                    None => self.cache.end(),
                }
                block
            }
        };
        self.next += 1;
        Ok(block.map(|block| (index, block)))
    }
}
