//! The part of the Python package that is Rust: data in by the Arrow C stream interface, a report's folder out.
//!
//! The scan runs on a thread of its own without the interpreter's lock. The thread that called waits, wakes up a few times a
//! second to show progress and to look for signals, and asks the scan to stop where one came.

// What Python hands over is owned by the call.
#![allow(clippy::needless_pass_by_value)]

mod cluster;
mod data;
mod error;
mod ranker;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use foretaste::cli::{self, Engine, Exit, Terminal};
use foretaste::config::{self, Settings};
use foretaste::data::read::Format;
use foretaste::engine::{self, Local};
use foretaste::error::Error;
use foretaste::export::{Form, export as write_form};
use pyo3::prelude::*;
use serde_json::Value;

use data::Input;
use error::raise;

/// Scans data against an optional reference and writes a report to `out`, which must not exist; gives back its path.
///
/// `settings` is JSON in the form of a configuration file, laid over those of the file `config` and the tables `[decide]` and
/// `[policy]` of the file `policy`. `tick` is called a few times a second with what is done, the rows done and all rows.
#[pyfunction]
#[pyo3(signature = (data, reference, settings, config, policy, format, out, tick))]
#[allow(clippy::too_many_arguments)]
fn scan(
    py: Python<'_>,
    mut data: Input,
    reference: Option<Input>,
    settings: &str,
    config: Option<PathBuf>,
    policy: Option<PathBuf>,
    format: Option<&str>,
    out: PathBuf,
    tick: Option<Py<PyAny>>,
) -> PyResult<String> {
    let format = format.map(read_format).transpose().map_err(|e| raise(py, &e))?;
    let mut settings = read_settings(settings, config.as_deref(), policy.as_deref()).map_err(|e| raise(py, &e))?;
    settings.output.dir = out;
    if let Some(reference) = &reference {
        settings.reference.inputs = reference.names();
    }
    let carrier = data.carrier();
    watch::run(py, tick.as_ref(), carrier.as_ref(), move |progress| {
        let batch_rows = settings.run.batch_rows;
        let source = data.open(format, batch_rows)?;
        let reference = reference.map(|reference| reference.open(None, batch_rows)).transpose()?;
        let (_, path) = engine::scan(source.as_ref(), reference.as_deref(), &settings, progress)?;
        Ok(path.to_string_lossy().into_owned())
    })
}

fn read_format(name: &str) -> Result<Format, Error> {
    Ok(match name {
        "parquet" => Format::Parquet,
        "ipc" | "arrow" => Format::Arrow,
        "ipc-stream" | "arrow-stream" => Format::ArrowStream,
        "csv" => Format::Csv,
        "tsv" => Format::Tsv,
        "jsonl" => Format::Jsonl,
        other => {
            return Err(Error::config("format", format!("there is no format '{other}'"))
                .with_help("Choose one of parquet, ipc, ipc-stream, csv, tsv and jsonl."));
        }
    })
}

/// Defaults, then the file, then the policy's file, then what was given.
fn read_settings(given: &str, config: Option<&Path>, policy: Option<&Path>) -> Result<Settings, Error> {
    let broken = |e: serde_json::Error| Error::config("settings", e.to_string());
    let mut settings = config.map_or_else(|| Ok(Settings::default()), config::load)?;
    if let Some(path) = policy {
        let held = config::load(path)?;
        (settings.decide, settings.policy) = (held.decide, held.policy);
    }
    let mut values = serde_json::to_value(settings).map_err(broken)?;
    let given: Value = serde_json::from_str(given).map_err(broken)?;
    for (table, entries) in given.as_object().into_iter().flatten() {
        for (key, value) in entries.as_object().into_iter().flatten() {
            let Some(held) = values.get_mut(table) else { return Err(Error::config(table, "there is no such table")) };
            held[key] = value.clone();
            // One by one, so that the error says which.
            let probe = serde_json::json!({table: {key: value}});
            serde_json::from_value::<Settings>(probe).map_err(|e| Error::config(key, e.to_string()))?;
        }
    }
    let settings = serde_json::from_value::<Settings>(values).map_err(broken)?;
    let units = Local.detectors();
    let codes: Vec<&str> = units.iter().map(|info| info.code).collect();
    settings.check_against(&codes)?;
    Ok(settings)
}

/// Code, family and summary of every detector, in the order of codes.
#[pyfunction]
fn detectors() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    Local.detectors().iter().map(|info| (info.code, info.family.name(), info.summary, info.manual)).collect()
}

/// A report's folder in the form of another program.
#[pyfunction]
fn export(py: Python<'_>, report: PathBuf, form: &str) -> PyResult<Vec<u8>> {
    let form = match form {
        "sarif" => Form::Sarif,
        "junit" => Form::Junit,
        "markdown" => Form::Markdown,
        "csv" => Form::Csv,
        "cyclonedx" => Form::CycloneDx,
        "croissant" => Form::Croissant,
        "in-toto" => Form::InToto,
        other => {
            let help = "Choose one of sarif, junit, markdown, csv, cyclonedx, croissant and in-toto.";
            return Err(raise(py, &Error::config("form", format!("there is no form '{other}'")).with_help(help)));
        }
    };
    let written = py.detach(|| {
        watch::caught(|| {
            let mut bytes = Vec::new();
            write_form(&report, form, &Local.detectors(), &mut bytes)?;
            Ok(bytes)
        })
    });
    written.map_err(|e| raise(py, &e))
}

/// Text with everything made visible that would hide or move something on a terminal or a page.
#[pyfunction]
fn visible(text: &str, limit: usize) -> String {
    foretaste::report::visible(text, limit)
}

/// The command line; `args` begins with the program's name. Gives back the exit status.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    let ended = py.detach(|| watch::caught(|| Ok(cli::run(args, Path::new(""), &Local, &mut Terminal::standard()))));
    match ended {
        Ok(Exit::Clean) => 0,
        Ok(Exit::Findings) => 1,
        _ => 2,
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Panics are caught and raised as exceptions where they happen; the default hook would print them as well.
    std::panic::set_hook(Box::new(|_| {}));
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(scan, module)?)?;
    module.add_class::<cluster::Marks>()?;
    module.add_function(wrap_pyfunction!(cluster::work, module)?)?;
    module.add_function(wrap_pyfunction!(cluster::join, module)?)?;
    module.add_function(wrap_pyfunction!(cluster::columns_of, module)?)?;
    module.add_function(wrap_pyfunction!(cluster::contents, module)?)?;
    module.add_function(wrap_pyfunction!(cluster::mark_task, module)?)?;
    module.add_function(wrap_pyfunction!(cluster::mark, module)?)?;
    module.add_class::<ranker::Ranker>()?;
    module.add_function(wrap_pyfunction!(ranker::rank, module)?)?;
    module.add_function(wrap_pyfunction!(detectors, module)?)?;
    module.add_function(wrap_pyfunction!(export, module)?)?;
    module.add_function(wrap_pyfunction!(visible, module)?)?;
    module.add_function(wrap_pyfunction!(main, module)?)
}
