//! Rows that lie on other machines, in partitions: what a census of them says, and whether they are still the same.
//!
//! ```text
//! census ─► rows and digests of each partition ─► position of each partition's first row
//!              └─► every later read of a partition must find the very rows that the census found
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::digest::Hashers;
use super::unify::unique_names;
use super::watched::{Counted, Digester, Slice, changed};
use crate::data::{Batches, File, Source};
use crate::error::{Error, Place, Result};

/// First bytes of the task that asks for a census; the name of the rows follows.
const CENSUS: &[u8] = b"foretaste.census/1\n";

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
    /// Versions of the workers.
    tools: BTreeSet<String>,
    /// Arrow schemas, as IPC streams without a batch, with the first partition that has each.
    schemas: BTreeMap<Vec<u8>, u32>,
    counted: BTreeMap<u32, Counted>,
    /// The first trouble, by partition.
    broken: Option<Broken>,
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
/// An answer that cannot be written.
pub fn census(name: &str, partition: u32, schema: &Schema, batches: Batches) -> Result<Vec<u8>> {
    let (mut counted, mut broken) = (BTreeMap::new(), None);
    match Digester::new(name, schema) {
        Ok(mut digester) => {
            for batch in batches {
                if let Err(error) = batch.and_then(|batch| digester.observe(&batch)) {
                    broken = Some(Broken::new(partition, digester.rows, error));
                    break;
                }
            }
            if digester.rows > 0 {
                counted.insert(partition, digester.finish());
            }
        }
        Err(error) => broken = Some(Broken::new(partition, 0, error)),
    }
    let census = Census {
        tools: BTreeSet::from([env!("CARGO_PKG_VERSION").to_owned()]),
        schemas: BTreeMap::from([(schema_to_bytes(&Schema::new(schema.fields().clone()))?, partition)]),
        counted,
        broken,
    };
    postcard::to_stdvec(&census).map_err(|e| wire(e.to_string()))
}

/// Joins the answers to a census.
///
/// # Errors
/// Bytes that are no such answer. What is wrong with the rows, as a partition that answered twice in two ways, is in the answer.
pub fn join_census<'a>(name: &str, answers: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut joined: Option<Census> = None;
    for answer in answers {
        let census: Census = postcard::from_bytes(answer).map_err(|e| wire(e.to_string()))?;
        let Some(into) = &mut joined else {
            joined = Some(census);
            continue;
        };
        let mut broken: Vec<Broken> = into.broken.take().into_iter().chain(census.broken).collect();
        for (schema, first) in census.schemas {
            into.schemas.entry(schema).and_modify(|held| *held = first.min(*held)).or_insert(first);
        }
        into.tools.extend(census.tools);
        for (partition, counted) in census.counted {
            if into.counted.get(&partition).is_some_and(|other| *other != counted) {
                broken.push(Broken::new(partition, 0, changed(name, partition, None)));
            }
            into.counted.insert(partition, counted);
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
        let own = env!("CARGO_PKG_VERSION");
        if let Some(other) = census.tools.iter().find(|tool| *tool != own) {
            let versions = format!("workers have version {other} of foretaste, this machine has {own}");
            return Err(Error::config("cluster", versions).with_help("Install the same version everywhere."));
        }
        let place = |partition: u32, row: u64| {
            let before: u64 = census.counted.range(..partition).map(|(_, counted)| counted.rows).sum();
            Place::source(name).row(before + row)
        };
        if let Some(broken) = census.broken {
            let place = Place { column: broken.column, ..place(broken.partition, broken.row) };
            return Err(Error::Input { place, reason: broken.reason, help: broken.help });
        }
        let mut schemas: Vec<(u32, &Vec<u8>)> = census.schemas.iter().map(|(schema, first)| (*first, schema)).collect();
        schemas.sort_unstable();
        let schema = match schemas[..] {
            [] => return Err(wire("no partition said what its columns are")),
            [(_, schema)] => schema_of_bytes(schema)?,
            [(_, first), (partition, other), ..] => {
                let difference = difference(&*schema_of_bytes(first)?, &*schema_of_bytes(other)?);
                let reason = format!("the partitions do not have the same columns: {difference}");
                return Err(Error::input(place(partition, 0), reason));
            }
        };
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
            let slice = counted.slice(partition, first_row, columns);
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
