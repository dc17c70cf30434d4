//! The command line: flags in, a report and an exit status out.

mod args;
mod attest;
mod evaluate;
mod explain;
mod export;
mod progress;
mod review;
mod scan;
mod stage;
mod terminal;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

pub use terminal::Terminal;

use crate::config::Settings;
use crate::data::read::Format;
use crate::error::Result;
use crate::fold::Info;
use crate::run::{Frozen, Outcome, Progress};

/// What the user asked a scan to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Files, folders, globs, addresses, or `-` for stdin, as the user wrote them.
    pub inputs: Vec<String>,
    /// The format of the inputs; without one their names and first bytes tell.
    pub format: Option<Format>,
    /// Everything else, checked.
    pub settings: Settings,
    /// Where a model of the scan goes, if one is wanted.
    pub model: Option<PathBuf>,
}

/// What the command line drives.
pub trait Engine {
    /// Scans the inputs and writes the report; gives back what was found and the report's folder.
    fn scan(&self, request: &Request, progress: &dyn Progress) -> Result<(Outcome, PathBuf)>;

    /// Reads a model that [`Engine::scan`] made.
    fn model(&self, path: &Path) -> Result<Frozen>;

    /// What each detector is, in registry order.
    fn detectors(&self) -> Vec<&'static Info>;

    /// The outcome as a person reads it in a terminal of `width` columns; ends with a line break.
    fn summary(&self, outcome: &Outcome, report: &Path, colour: bool, width: usize) -> String;
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Status 0: all went well, and the verdict is within the policy.
    Clean,
    /// Status 1: the verdict is over the policy.
    Findings,
    /// Status 2: an error, or a scan that is not complete.
    Broken,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Clean => Self::SUCCESS,
            Exit::Findings => Self::from(1),
            Exit::Broken => Self::from(2),
        }
    }
}

/// Runs one command. `args` begins with the program's name; `folder` is where `foretaste.toml` is looked for.
pub fn run(args: impl IntoIterator<Item = OsString>, folder: &Path, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Exit {
    let cli = match args::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(said) => {
            terminal.clap(&said);
            return if said.exit_code() == 0 { Exit::Clean } else { Exit::Broken };
        }
    };
    terminal.set_colour(cli.color);
    let ended = match cli.command {
        args::Command::Scan(flags) => scan::scan(*flags, None, folder, engine, terminal),
        args::Command::Fit(flags) => scan::scan(flags.scan, Some(flags.model), folder, engine, terminal),
        args::Command::Stage(flags) => stage::stage(&flags, engine, terminal),
        args::Command::Evaluate(flags) => evaluate::evaluate(flags, terminal),
        args::Command::Review(flags) => review::serve_page(&flags, terminal),
        args::Command::Decide(flags) => review::decide(&flags, terminal),
        args::Command::Quarantine(flags) => review::quarantine_rows(flags, terminal),
        args::Command::Restore(flags) => review::restore(&flags, terminal),
        args::Command::Export(flags) => export::export(&flags, engine, terminal),
        args::Command::Sign(flags) => attest::sign_report(&flags, terminal),
        args::Command::Verify(flags) => attest::verify_report(&flags, terminal),
        args::Command::Explain { code } => explain::explain(code.as_deref(), engine, terminal),
    };
    ended.unwrap_or_else(|error| {
        terminal.report(&error);
        Exit::Broken
    })
}
