//! What can go wrong when a recipe is applied.

use std::path::PathBuf;

/// Why a recipe, a generator or a file could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The batch has no column of that name.
    #[error("no column '{column}'")]
    MissingColumn {
        /// The name that was asked for.
        column: String,
    },
    /// The recipe does not work on columns of that type.
    #[error("column '{column}' is {found}, but this needs {expected}")]
    ColumnType {
        /// The column's name.
        column: String,
        /// Types that would do.
        expected: &'static str,
        /// The type it has.
        found: String,
    },
    /// One cell cannot be changed as asked.
    #[error("column '{column}', row {row}: {reason}")]
    Cell {
        /// The column's name.
        column: String,
        /// Row position from 0.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// More rows were asked for than the recipe may touch.
    #[error("{asked} rows asked for, but only {eligible} can carry this attack")]
    TooFewRows {
        /// Rows asked for.
        asked: usize,
        /// Rows that are neither null, nor spared, nor of the target class already.
        eligible: usize,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A file cannot be opened or made.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file is not the Parquet that it should be.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// The path.
        path: PathBuf,
        /// The reader's or writer's answer.
        source: parquet::errors::ParquetError,
    },
    /// Arrow refused an operation.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
