//! The one error type. Every variant says where it happened and, where there is one, what to do next.

use std::fmt;
use std::path::PathBuf;

/// Where in the data something went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// File, address or `stdin`.
    pub source: String,
    /// Row position from 0 within the whole input, where one row is to blame.
    pub row: Option<u64>,
    /// Column name, where one column is to blame.
    pub column: Option<String>,
}

impl Place {
    /// A place that is a whole source.
    pub fn source(source: impl Into<String>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }

    /// The same place, narrowed to a column.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// The same place, narrowed to a row.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column '{column}'")?;
        }
        Ok(())
    }
}

/// What can go wrong in a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data cannot be read or does not say what it must.
    #[error("{place}: {reason}")]
    Input {
        /// Where.
        place: Place,
        /// What is wrong, lower case, no full stop.
        reason: String,
        /// What the user can do next, a sentence.
        help: Option<String>,
    },
    /// A setting, flag or configuration file is wrong.
    #[error("{origin}: {reason}")]
    Config {
        /// The flag or file that holds the setting.
        origin: String,
        /// What is wrong.
        reason: String,
        /// What the user can do next, a sentence.
        help: Option<String>,
    },
    /// Bytes that claim to be a state, brief or model are not what this unit asked for.
    #[error("{code}: {reason}")]
    Wire {
        /// Code of the unit that read the bytes.
        code: String,
        /// What does not match.
        reason: String,
    },
    /// A detector could not finish; the run is incomplete.
    #[error("{code}: {reason}")]
    Detector {
        /// Code of the detector.
        code: &'static str,
        /// Why it stopped.
        reason: String,
    },
    /// A result could not be written; nothing was left half-written.
    #[error("{}: {reason}", path.display())]
    Output {
        /// The path that was to be written.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The caller asked to stop; nothing was left half-written.
    #[error("the scan was stopped")]
    Cancelled,
}

impl Error {
    /// An input error without a hint.
    pub fn input(place: Place, reason: impl Into<String>) -> Self {
        Self::Input { place, reason: reason.into(), help: None }
    }

    /// A configuration error without a hint.
    pub fn config(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { origin: origin.into(), reason: reason.into(), help: None }
    }

    /// An output error.
    pub fn output(path: impl Into<PathBuf>, reason: impl fmt::Display) -> Self {
        Self::Output { path: path.into(), reason: reason.to_string() }
    }

    /// The same error with a sentence that says what to do next; errors that carry no hint stay as they are.
    #[must_use]
    pub fn with_help(mut self, sentence: impl Into<String>) -> Self {
        if let Self::Input { help, .. } | Self::Config { help, .. } = &mut self {
            *help = Some(sentence.into());
        }
        self
    }

    /// What the user can do next, if it is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Input { help, .. } | Self::Config { help, .. } => help.as_deref(),
            _ => None,
        }
    }
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
