//! Rows that lie on other machines, in partitions: what a census of them says, and whether they are still the same.
//!
//! ```text
//! census ─► rows and digests of each partition ─► position of each partition's first row
//!              └─► every later read of a partition must find the very rows that the census found
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use serde::{Deserialize, Serialize};

use super::digest::Hashers;
use super::unify::unique_names;
use crate::data::{Batches, File, Source};
use crate::error::{Error, Place, Result};

/// First bytes of the task that asks for a census; the name of the rows follows.
const CENSUS: &[u8] = b"foretaste.census/1\n";
/// Rows that are hashed at once, so that the copy that is hashed stays small.
const HASHED_ROWS: usize = 512;
/// Bytes of a column's digest.
const DIGEST: usize = 16;

/// Machines that hold rows in partitions, number them, and run tasks there. What tasks and answers hold is the engine's business.
///
/// Partitions without rows need not answer. A partition that is asked twice, since somebody doubted that the first would ever
/// answer, gives the same answer twice; only one of them counts.
pub trait Cluster: Send + Sync {
    /// Runs a task on every partition and joins the answers, in any order and any tree; `None` where no partition holds a row.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and whatever keeps the machines from answering.
    fn joined(&self, task: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Runs a task on these partitions, ascending, and gives back one answer each in their order.
    ///
    /// # Errors
    /// As [`joined`](Self::joined).
    fn each(&self, task: &[u8], partitions: &[u32]) -> Result<Vec<Vec<u8>>>;
}

/// What a census found in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    rows: u64,
    /// Bytes of the rows in the form that is hashed.
    bytes: u64,
    /// A digest of each column.
    columns: Vec<[u8; DIGEST]>,
}

/// A value that is no sound Arrow, or rows that cannot be one set with the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Broken {
    partition: u32,
    /// Position within the partition.
    row: u64,
    column: Option<String>,
    reason: String,
    help: Option<String>,
}

impl Broken {
    /// An error at a position of a partition.
    fn new(partition: u32, row: u64, error: Error) -> Self {
        match error {
            Error::Input { place, reason, help } => Self { partition, row: place.row.unwrap_or(row), column: place.column, reason, help },
            other => Self { partition, row, column: None, reason: other.to_string(), help: None },
        }
    }
}

/// The answer to a census, of one partition or of many.
#[derive(Debug, Serialize, Deserialize)]
struct Census {
    tool: String,
    /// The Arrow schema as an IPC stream without a batch.
    arrow: Vec<u8>,
    counted: BTreeMap<u32, Counted>,
    /// The first trouble, by partition.
    broken: Option<Broken>,
}

/// What a later read of some columns of a partition must find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Number of the partition.
    pub partition: u32,
    /// Position of its first row in the whole input.
    pub first_row: u64,
    /// Its rows.
    pub rows: u64,
    /// Digest of the columns that are read.
    digest: [u8; DIGEST],
}

/// Rows spread over machines, as a [`Source`] that knows its columns, files and rows, and cannot be read from here: tasks go to the
/// rows instead.
pub struct Spread {
    name: String,
    cluster: Box<dyn Cluster>,
    schema: SchemaRef,
    counted: BTreeMap<u32, Counted>,
    file: File,
}

fn wire(reason: impl Into<String>) -> Error {
    Error::Wire { code: "census".to_owned(), reason: reason.into() }
}

/// An Arrow schema as bytes: an IPC stream without a batch.
pub(crate) fn schema_to_bytes(schema: &Schema) -> Result<Vec<u8>> {
    StreamWriter::try_new(Vec::new(), schema).and_then(StreamWriter::into_inner).map_err(|e| no_schema(&e))
}

fn no_schema(error: &ArrowError) -> Error {
    Error::Wire { code: "schema".to_owned(), reason: error.to_string() }
}

/// The Arrow schema of an IPC stream's beginning.
pub(crate) fn schema_of_bytes(bytes: &[u8]) -> Result<SchemaRef> {
    StreamReader::try_new(bytes, None).map(|reader| reader.schema()).map_err(|e| no_schema(&e))
}

/// The name of the rows, where a task asks for a census of them.
#[must_use]
pub fn asks_for_census(task: &[u8]) -> Option<&str> {
    std::str::from_utf8(task.strip_prefix(CENSUS)?).ok()
}

/// Counts and digests the rows of a partition; errors of the data are part of the answer, so that they name a position in the whole.
///
/// # Errors
/// Columns that no digest can be made of, and an answer that cannot be written.
pub fn census(name: &str, partition: u32, schema: &Schema, batches: Batches) -> Result<Vec<u8>> {
    let mut digester = Digester::new(name, schema)?;
    let mut broken = None;
    for batch in batches {
        if let Err(error) = batch.and_then(|batch| digester.observe(&batch)) {
            broken = Some(Broken::new(partition, digester.rows, error));
            break;
        }
    }
    let counted = Some((partition, digester.finish())).filter(|(_, counted)| counted.rows > 0);
    let census = Census {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        arrow: schema_to_bytes(&Schema::new(schema.fields().clone()))?,
        counted: counted.into_iter().collect(),
        broken,
    };
    postcard::to_stdvec(&census).map_err(|e| wire(e.to_string()))
}

/// Joins the answers to a census.
///
/// # Errors
/// Bytes that are no such answer. Partitions with other columns, and one that answered twice in two ways, are in the answer.
pub fn join_census<'a>(name: &str, answers: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut joined: Option<Census> = None;
    for answer in answers {
        let census: Census = postcard::from_bytes(answer).map_err(|e| wire(e.to_string()))?;
        let Some(into) = &mut joined else {
            joined = Some(census);
            continue;
        };
        let first = census.counted.keys().next().copied().unwrap_or(u32::MAX);
        let mut broken: Vec<Broken> = into.broken.take().into_iter().chain(census.broken).collect();
        if into.arrow != census.arrow {
            let difference = difference(&*schema_of_bytes(&into.arrow)?, &*schema_of_bytes(&census.arrow)?);
            let error = Error::input(Place::source(name), format!("the partitions do not have the same columns: {difference}"));
            broken.push(Broken::new(first, 0, error));
        }
        for (partition, counted) in census.counted {
            if into.counted.get(&partition).is_some_and(|other| *other != counted) {
                broken.push(Broken::new(partition, 0, changed(name, partition, None)));
            }
            into.counted.insert(partition, counted);
        }
        if into.tool != census.tool {
            into.tool = format!("{} and {}", into.tool, census.tool);
        }
        into.broken = broken.into_iter().min_by_key(|broken| (broken.partition, broken.row));
    }
    postcard::to_stdvec(&joined.ok_or_else(|| wire("nothing to join"))?).map_err(|e| wire(e.to_string()))
}

/// The partitions that an answer to a census speaks for.
pub(crate) fn counted(answer: &[u8]) -> Result<Vec<u32>> {
    let census: Census = postcard::from_bytes(answer).map_err(|e| wire(e.to_string()))?;
    Ok(census.counted.into_keys().collect())
}

/// The first field that two schemas do not share, in words.
fn difference(a: &Schema, b: &Schema) -> String {
    let differs = a.fields().iter().zip(b.fields()).find(|(x, y)| x != y);
    differs.map_or_else(|| format!("{} and {}", a.fields().len(), b.fields().len()), |(x, y)| format!("{x} and {y}"))
}

/// The error of a partition that does not hold the rows of the census.
pub(crate) fn changed(name: &str, partition: u32, first_row: Option<u64>) -> Error {
    let mut place = Place::source(name);
    place.row = first_row;
    Error::input(place, format!("partition {partition} does not hold the rows that it held in the scan's first pass")).with_help(
        "What makes these rows makes others, or in another order, each time: persist or checkpoint the data, or write it out and read it back, and scan that.",
    )
}

/// Digests of columns, the same however their rows are cut into batches.
struct Digester {
    name: String,
    converters: Vec<RowConverter>,
    hashers: Vec<blake3::Hasher>,
    rows: u64,
    bytes: u64,
}

impl Digester {
    fn new(name: &str, schema: &Schema) -> Result<Self> {
        let converter = |field: &Arc<arrow::datatypes::Field>| {
            RowConverter::new(vec![SortField::new(field.data_type().clone())]).map_err(|e| {
                Error::input(Place::source(name).column(field.name().as_str()), format!("holds a type that cannot be spread: {e}"))
                    .with_help("Leave the column out, or give it another type.")
            })
        };
        let converters = schema.fields().iter().map(converter).collect::<Result<Vec<_>>>()?;
        let hashers = vec![blake3::Hasher::new(); converters.len()];
        Ok(Self { name: name.to_owned(), converters, hashers, rows: 0, bytes: 0 })
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.converters.len() {
            return Err(Error::input(Place::source(&self.name).row(self.rows), "the number of columns changes"));
        }
        for from in (0..batch.num_rows()).step_by(HASHED_ROWS) {
            let rows = HASHED_ROWS.min(batch.num_rows() - from);
            for ((column, converter), hasher) in batch.columns().iter().zip(&self.converters).zip(&mut self.hashers) {
                let column: ArrayRef = column.slice(from, rows);
                let wrong = |e: ArrowError| Error::input(Place::source(&self.name).row(self.rows), e.to_string());
                let encoded = converter.convert_columns(&[column]).and_then(arrow::row::Rows::try_into_binary).map_err(wrong)?;
                hasher.update(encoded.values());
                self.bytes += encoded.values().len() as u64;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self) -> Counted {
        Counted { rows: self.rows, bytes: self.bytes, columns: self.hashers.iter().map(short).collect() }
    }
}

impl Counted {
    /// Digest of all columns, or of some.
    fn digest(&self, columns: Option<&[usize]>) -> [u8; DIGEST] {
        let mut hasher = blake3::Hasher::new();
        for (c, digest) in self.columns.iter().enumerate() {
            if columns.is_none_or(|columns| columns.contains(&c)) {
                hasher.update(digest);
            }
        }
        short(&hasher)
    }
}

fn short(hasher: &blake3::Hasher) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

/// The rows of a partition on their way to whoever looks at them; the last is followed by an error where they are not the rows of the
/// census.
pub struct Watched {
    batches: Batches,
    slice: Slice,
    name: String,
    digester: Option<Digester>,
}

impl Watched {
    /// Watches the columns that the slice is about.
    ///
    /// # Errors
    /// Columns that no digest can be made of.
    pub fn new(name: &str, slice: &Slice, schema: &Schema, batches: Batches) -> Result<Self> {
        Ok(Self { batches, slice: slice.clone(), name: name.to_owned(), digester: Some(Digester::new(name, schema)?) })
    }
}

impl Iterator for Watched {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let digester = self.digester.as_mut()?;
        let item = match self.batches.next() {
            Some(Ok(batch)) => digester.observe(&batch).map(|()| batch),
            Some(Err(Error::Input { place, reason, help })) => {
                let row = place.row.map(|row| row + self.slice.first_row);
                Err(Error::Input { place: Place { row, ..place }, reason, help })
            }
            Some(Err(error)) => Err(error),
            None => {
                let counted = self.digester.take()?.finish();
                let same = counted.rows == self.slice.rows && counted.digest(None) == self.slice.digest;
                return (!same).then(|| Err(changed(&self.name, self.slice.partition, Some(self.slice.first_row))));
            }
        };
        if item.is_err() {
            self.digester = None;
        }
        Some(item)
    }
}

impl Spread {
    /// Takes the census of rows that a cluster holds; `name` stands for them in the report and in errors.
    ///
    /// # Errors
    /// Where no partition holds a row, the partitions do not have the same columns, a value is no sound Arrow, or the workers have
    /// another version.
    pub fn open(name: &str, cluster: Box<dyn Cluster>) -> Result<Self> {
        let task = [CENSUS, name.as_bytes()].concat();
        let Some(answer) = cluster.joined(&task)? else {
            return Err(Error::input(Place::source(name), "holds no rows"));
        };
        let census: Census = postcard::from_bytes(&answer).map_err(|e| wire(e.to_string()))?;
        if census.tool != env!("CARGO_PKG_VERSION") {
            let versions = format!("the workers have version {} of foretaste, this machine has {}", census.tool, env!("CARGO_PKG_VERSION"));
            return Err(Error::config("cluster", versions).with_help("Install the same version everywhere."));
        }
        if let Some(broken) = census.broken {
            let before: u64 = census.counted.range(..broken.partition).map(|(_, counted)| counted.rows).sum();
            let place = Place { source: name.to_owned(), row: Some(before + broken.row), column: broken.column };
            return Err(Error::Input { place, reason: broken.reason, help: broken.help });
        }
        let schema = schema_of_bytes(&census.arrow)?;
        unique_names(name, &schema)?;
        let mut hashers = Hashers::default();
        for counted in census.counted.values() {
            hashers.update(&counted.rows.to_le_bytes());
            counted.columns.iter().for_each(|digest| hashers.update(digest));
        }
        let found = hashers.finish();
        let sum = |of: fn(&Counted) -> u64| census.counted.values().map(of).sum();
        let (bytes, rows) = (sum(|c| c.bytes), sum(|c| c.rows));
        let file = File { name: name.to_owned(), bytes, blake3: found.blake3, sha256: found.sha256, rows };
        Ok(Self { name: name.to_owned(), cluster, schema, counted: census.counted, file })
    }

    /// The name of the rows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the rows are.
    #[must_use]
    pub fn cluster(&self) -> &dyn Cluster {
        self.cluster.as_ref()
    }

    /// What a read of these columns, or of all, must find in each partition, by number.
    #[must_use]
    pub fn slices(&self, columns: Option<&[usize]>) -> Vec<Slice> {
        let mut first_row = 0;
        let slice = |(&partition, counted): (&u32, &Counted)| {
            let slice = Slice { partition, first_row, rows: counted.rows, digest: counted.digest(columns) };
            first_row += counted.rows;
            slice
        };
        self.counted.iter().map(slice).collect()
    }
}

impl Source for Spread {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn scan(&self, _: Option<&[usize]>) -> Result<Batches> {
        Err(Error::config("cluster", "rows that lie on a cluster are not read here"))
    }

    fn files(&self) -> Result<Vec<File>> {
        Ok(vec![self.file.clone()])
    }

    fn rows_hint(&self) -> Option<u64> {
        Some(self.file.rows)
    }

    fn spread(&self) -> Option<&Spread> {
        Some(self)
    }
}
