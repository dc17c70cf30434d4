//! What came in: sources, roles, and blocks of rows with typed views.

pub mod answer;
mod batch;
mod date;
mod image;
mod key;
pub mod pair;
pub mod read;
mod role;
mod schema;
pub mod split;
mod word;

pub use batch::{Batch, MAX_TEXT_BYTES};
pub(crate) use batch::{encoded_picture, picture, strings};
pub(crate) use date::{DAY, MONTH, date};
pub use image::{Image, MAX_IMAGE_PIXELS};
pub use key::{Key, Keyed};
pub use role::{Choices, ColumnRole, Role, infer};
pub use schema::{Class, Label, Schema};
pub(crate) use schema::{LabelValues, MOST_CLASSES};
pub use word::words;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// Batches in the order of the manifest, as a reader yields them.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A file or stream that rows came from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct File {
    /// Path as the user would name it, or `stdin`.
    pub name: String,
    /// Size on disk.
    pub bytes: u64,
    /// BLAKE3 of the bytes, hex.
    pub blake3: String,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// Rows it holds; known once it has been read to its end.
    pub rows: u64,
}

/// Rows that can be read more than once, always in the same order.
pub trait Source: Send + Sync {
    /// The Arrow schema that every batch has.
    fn schema(&self) -> SchemaRef;

    /// Reads all rows from the first. With `columns`, only those (indices into [`Source::schema`], ascending) are read
    /// and the batches hold them alone.
    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches>;

    /// The files behind the rows, in manifest order, with digests and row counts.
    fn files(&self) -> Result<Vec<File>>;

    /// The rows as they lie on a cluster, where they do; [`Source::scan`] fails then.
    fn spread(&self) -> Option<&read::Spread> {
        None
    }

    /// Number of rows if it is known without reading (Parquet and IPC footers), for progress alone.
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}
