//! Several files as one source.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rustc_hash::FxHashMap;

use crate::data::read::csv::Guess;
use crate::data::read::guard::guarded;
use crate::data::read::input::{Body, Input};
use crate::data::read::jsonl::Inference;
use crate::data::read::text::arrow_error;
use crate::data::read::unify::{Unified, unify};
use crate::data::{Batches, File, Source};
use crate::error::{Error, Place, Result};

/// Opened files with one schema.
#[derive(Debug)]
pub(super) struct Manifest {
    inputs: Arc<[Input]>,
    schema: SchemaRef,
    /// For each file, where each column of `schema` stands in it.
    positions: Arc<[Vec<usize>]>,
    batch_rows: usize,
}

impl Manifest {
    /// Joins `inputs`; `json` is what all JSON lines among them showed.
    pub(super) fn new(mut inputs: Vec<Input>, json: &Inference, batch_rows: usize) -> Result<Self> {
        fix_text_types(&mut inputs, json);
        let schemas: Vec<_> = inputs.iter().map(|input| (input.name.as_str(), input.schema())).collect();
        let Unified { schema, positions } = unify(&schemas)?;
        Ok(Self { inputs: inputs.into(), schema, positions: positions.into(), batch_rows })
    }
}

/// Gives text files their types. A text file does not declare types, so all of one kind are read as if they were one:
/// a shard with whole numbers alone does not clash with one that has fractions.
fn fix_text_types(inputs: &mut [Input], json: &Inference) {
    let mut columns: FxHashMap<String, Guess> = FxHashMap::default();
    for input in &*inputs {
        if let Body::Csv { header, guesses, .. } = &input.body {
            for (name, guess) in header.iter().zip(guesses) {
                columns.entry(name.clone()).or_default().merge(*guess);
            }
        }
    }
    let json = json.schema();
    for input in inputs {
        let schema = match &input.body {
            Body::Csv { header, .. } => {
                let field = |name: &String| Field::new(name, columns.get(name).copied().unwrap_or_default().data_type(), true);
                Arc::new(Schema::new(header.iter().map(field).collect::<Vec<_>>()))
            }
            Body::Jsonl { .. } => json.clone(),
            Body::Parquet(_) | Body::Ipc(_) => continue,
        };
        input.set_schema(schema);
    }
}

impl Source for Manifest {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let columns: Vec<usize> = columns.map_or_else(|| (0..self.schema.fields().len()).collect(), <[usize]>::to_vec);
        let schema = self.schema.project(&columns).map_err(|e| arrow_error("columns", &e))?;
        Ok(Box::new(Scan {
            inputs: self.inputs.clone(),
            positions: self.positions.clone(),
            columns,
            schema: Arc::new(schema),
            batch_rows: self.batch_rows,
            next: 0,
            current: None,
        }))
    }

    fn files(&self) -> Result<Vec<File>> {
        self.inputs.iter().map(Input::file).collect()
    }

    fn rows_hint(&self) -> Option<u64> {
        Some(self.inputs.iter().map(Input::rows).fold(0, u64::saturating_add))
    }
}

/// A pass over all files.
struct Scan {
    inputs: Arc<[Input]>,
    positions: Arc<[Vec<usize>]>,
    columns: Vec<usize>,
    schema: SchemaRef,
    batch_rows: usize,
    /// The next file to open.
    next: usize,
    current: Option<Current>,
}

struct Current {
    input: usize,
    batches: Batches,
    /// Where each wanted column stands in the batches of this file.
    places: Vec<usize>,
    rows: u64,
}

impl Scan {
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(mut current) = self.current.take() else {
                match self.start()? {
                    Some(current) => self.current = Some(current),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(input) = self.inputs.get(current.input) else { return Ok(None) };
            let batch = guarded(&input.name, || {
                current.batches.next().transpose()?.map(|batch| self.conform(&input.name, &current.places, &batch)).transpose()
            });
            match batch {
                Ok(Some(batch)) => {
                    current.rows += batch.num_rows() as u64;
                    self.current = Some(current);
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                }
                Ok(None) => {
                    input.check()?;
                    if current.rows != input.rows() {
                        let reason = format!("holds {} rows where {} were announced", current.rows, input.rows());
                        return Err(Error::input(Place::source(&input.name), reason));
                    }
                }
                Err(error) => {
                    // A file that was rewritten meanwhile fails in odd ways; say what lies behind them.
                    input.check()?;
                    return Err(error);
                }
            }
        }
    }

    fn start(&mut self) -> Result<Option<Current>> {
        let (Some(input), Some(positions)) = (self.inputs.get(self.next), self.positions.get(self.next)) else { return Ok(None) };
        let own: Vec<usize> = self.columns.iter().filter_map(|column| positions.get(*column).copied()).collect();
        let mut read = own.clone();
        read.sort_unstable();
        read.dedup();
        let places = own.iter().filter_map(|at| read.binary_search(at).ok()).collect();
        let batches = input.scan(&read, self.batch_rows)?;
        self.next += 1;
        Ok(Some(Current { input: self.next - 1, batches, places, rows: 0 }))
    }

    /// The batch with the columns, order and types of the scan.
    fn conform(&self, name: &str, places: &[usize], batch: &RecordBatch) -> Result<RecordBatch> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let columns = places.iter().zip(self.schema.fields()).map(|(place, field)| {
            let column = batch.columns().get(*place).ok_or_else(|| Error::input(Place::source(name), "a column is missing in a batch"))?;
            if column.data_type() == field.data_type() {
                return Ok(ArrayRef::clone(column));
            }
            cast_with_options(column, field.data_type(), &strict).map_err(|e| arrow_error(name, &e))
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns.collect::<Result<_>>()?, &options).map_err(|e| arrow_error(name, &e))
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_)) | None) {
            // Nothing may be read on after an error.
            self.next = self.inputs.len();
            self.current = None;
        }
        step
    }
}
