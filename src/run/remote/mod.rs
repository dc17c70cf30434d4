//! A run over rows on other machines: the same briefs, states and models, in tasks that go to the rows and answers that come back.
//!
//! ```text
//!      driver                       worker, one a partition                    anywhere
//! Far ── task ──────────────► work: the same feed, ride, score, list ── answer ─┐
//!  ▲                                                                            ▼
//!  └──────────────────────── one answer ◄──────────────────────── join: two answers become one
//! ```
//!
//! A task is all that a worker is told, and names the rows that each partition must hold. An answer is a function of the task and
//! the partition alone, says which partitions it speaks for, and bears the digest of its task: answers of another scan or
//! another pass are refused, and one that came twice counts once.

mod far;
mod join;
mod mark;
mod work;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(super) use far::Far;
pub use join::{Contents, contents, join};
pub use mark::{Marked, mark, mark_task};
pub use work::work;

use crate::data::read::{Slice, asks_for_census};
use crate::error::{Error, Place, Result};
use crate::fold::{Law, Unit};
use crate::policy::ScoreSummary;

use super::facts::Counts;
use super::known::Known;
use super::list::{Listed, Told};
use super::look::AnyLook;
use super::{Passenger, Phase};

/// What the briefs answer, for their envelopes.
const BRIEFS: u64 = 0x0062_7269_6566_7331;

/// All that a worker is told.
#[derive(Serialize, Deserialize)]
struct Task {
    tool: String,
    /// What the rows are called.
    name: String,
    /// The Arrow schema of all columns.
    arrow: Vec<u8>,
    /// The columns that are read, ascending; all if `None`.
    columns: Option<Vec<usize>>,
    /// What they must hold in each partition.
    slices: Vec<Slice>,
    what: What,
}

#[derive(Serialize, Deserialize)]
enum What {
    /// The first so many rows of the whole, as far as they are here.
    Head(u64),
    Look(AnyLook),
    Ride(Ride),
    Score(Score),
    List(Told),
    /// Rows with one of these keys are wanted.
    Find(Known, Vec<u64>),
    /// Listed rows, as an Arrow stream, whose places are to be marked.
    Mark(Vec<u8>),
}

#[derive(Serialize, Deserialize)]
struct Ride {
    known: Known,
    /// Briefs by the units' codes.
    riders: Vec<(String, Vec<u8>)>,
    /// Whether facts are counted as well.
    facts: bool,
}

#[derive(Serialize, Deserialize)]
struct Score {
    known: Known,
    /// Codes of units.
    which: Vec<String>,
    scores: bool,
}

/// What one partition says, or many.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// Digest of the task.
    question: u64,
    /// Partitions that it speaks for, ascending.
    covers: Vec<u32>,
    body: Result<Body, Failed>,
}

#[derive(Serialize, Deserialize)]
enum Body {
    /// Rows as an Arrow stream.
    Head(Vec<u8>),
    /// Bytes that the look reads.
    Look(Vec<u8>),
    Ride {
        /// In the order of the task's riders.
        riders: Vec<Rode>,
        facts: Option<Counts>,
    },
    Score {
        summaries: Vec<ScoreSummary>,
        seconds: Vec<f64>,
        /// By code.
        failed: Vec<(String, String)>,
    },
    List {
        pieces: Vec<Piece>,
        /// By the positions that the units have in the registry.
        listed: Listed,
    },
    /// Rows that were asked for, as [`Found`](super::beside::Found) has them, and they as an Arrow stream.
    Find(Vec<(u64, u64, Option<String>)>, Vec<u8>),
}

/// What a rider brought home.
#[derive(Serialize, Deserialize)]
struct Rode {
    state: Result<Vec<u8>, Failed>,
    seconds: f64,
}

/// What a sink is told, as an Arrow stream.
#[derive(Serialize, Deserialize)]
enum Piece {
    Rows(Vec<u8>),
    Content(Vec<u8>),
    Scores(Vec<u8>),
}

/// An error on its way, with the partition that it comes from; of several the one from the first partition is told.
#[derive(Serialize, Deserialize)]
struct Failed {
    partition: u32,
    why: Why,
}

#[derive(Serialize, Deserialize)]
enum Why {
    Input { source: String, row: Option<u64>, column: Option<String>, reason: String, help: Option<String> },
    Config { origin: String, reason: String, help: Option<String> },
    Other { code: String, reason: String },
}

impl Failed {
    fn new(partition: u32, error: Error) -> Self {
        let why = match error {
            Error::Input { place: Place { source, row, column }, reason, help } => Why::Input { source, row, column, reason, help },
            Error::Config { origin, reason, help } => Why::Config { origin, reason, help },
            Error::Detector { code, reason } => Why::Other { code: code.to_owned(), reason },
            Error::Wire { code, reason } => Why::Other { code, reason },
            other => Why::Other { code: "worker".to_owned(), reason: other.to_string() },
        };
        Self { partition, why }
    }

    /// The one of the earlier partition.
    fn or(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.partition < self.partition => other,
            _ => self,
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed.why {
            Why::Input { source, row, column, reason, help } => Self::Input { place: Place { source, row, column }, reason, help },
            Why::Config { origin, reason, help } => Self::Config { origin, reason, help },
            Why::Other { code, reason } => Self::Wire { code, reason },
        }
    }
}

fn wire(reason: impl Into<String>) -> Error {
    Error::Wire { code: "cluster".to_owned(), reason: reason.into() }
}

/// Bytes of a value that travels.
pub(super) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|e| wire(format!("cannot be written: {e}")))
}

/// The value that travelled.
pub(super) fn of_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| wire(format!("damaged: {e}")))
}

/// The number that tells answers to this task from all others.
fn question(task: &[u8]) -> u64 {
    let mut first = [0; 8];
    blake3::Hasher::new().update(task).finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// A task by its bytes.
fn read_task(bytes: &[u8]) -> Result<Task> {
    // The version stands first, so that it can be read whatever comes after it.
    let (tool, _) = postcard::take_from_bytes::<String>(bytes).map_err(|e| wire(format!("no task: {e}")))?;
    if tool != env!("CARGO_PKG_VERSION") {
        let versions = format!("this worker has version {} of foretaste, the scan has {tool}", env!("CARGO_PKG_VERSION"));
        return Err(Error::config("cluster", versions).with_help("Install the same version everywhere."));
    }
    of_bytes(bytes)
}

/// The columns that a task reads, ascending indices into those of the rows; `None` if all.
///
/// # Errors
/// Bytes that are no task of this version.
pub fn columns_of(task: &[u8]) -> Result<Option<Vec<usize>>> {
    if asks_for_census(task).is_some() { Ok(None) } else { Ok(read_task(task)?.columns) }
}

/// Refuses units whose states depend on how rows are cut.
pub(super) fn can_be_spread(passengers: &[Passenger]) -> Result<()> {
    let rounded = |p: &&Passenger| matches!(p.unit.info().law, Law::Rounded { .. }) && matches!(p.phase, Phase::Waiting);
    match passengers.iter().find(rounded) {
        Some(p) => {
            Err(Error::config("cluster", format!("{} sums numbers in the order of the rows, and cannot be spread over machines", p.code()))
                .with_help("Leave it out with --skip."))
        }
        None => Ok(()),
    }
}

/// The unit of a code.
fn unit_of<'a>(units: impl IntoIterator<Item = &'a dyn Unit>, code: &str) -> Result<&'a dyn Unit> {
    units.into_iter().find(|unit| unit.info().code == code).ok_or_else(|| wire(format!("this build has no unit {code}")))
}
