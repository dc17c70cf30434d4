//! The one map from errors to Python's exceptions, which `foretaste/_errors.py` defines.

use foretaste::error::Error;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Flags that an error may name.
const FLAGS: [&str; 18] = [
    "--label",
    "--id",
    "--text",
    "--response",
    "--rejected",
    "--image",
    "--embedding",
    "--probs",
    "--source",
    "--time",
    "--address",
    "--digest",
    "--ignore",
    "--reference",
    "--format",
    "--baseline",
    "--power",
    "--skip",
];

/// The exception for an error: its message, and what to do next in `help`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Input { .. } => "InputError",
        Error::Config { .. } => "ConfigError",
        Error::Output { .. } => "OutputError",
        Error::Cancelled => "ScanCancelled",
        _ => "ForetasteError",
    };
    exception(py, class, &in_words(&error.to_string()), error.help().map(in_words).as_deref())
}

/// The command's flags as the arguments that they are here.
fn in_words(text: &str) -> String {
    FLAGS.iter().fold(text.to_owned(), |text, flag| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(flag) {
            let (before, after) = (&rest[..at], &rest[at + flag.len()..]);
            out.push_str(before);
            let ends = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            out.push_str(if ends { &flag[2..] } else { flag });
            rest = after;
        }
        out + rest
    })
}

/// An exception of `foretaste._errors` by its name.
pub(crate) fn exception(py: Python<'_>, class: &str, reason: &str, help: Option<&str>) -> PyErr {
    let made = py.import("foretaste._errors").and_then(|module| module.getattr(class)).and_then(|class| class.call1((reason, help)));
    match made {
        Ok(made) => PyErr::from_value(made),
        Err(_) => PyRuntimeError::new_err(reason.to_owned()),
    }
}
