//! `foretaste scan`: settings together, scan, summary.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::args::{FormatFlag, Scan};
use super::progress::Bar;
use super::{Engine, Exit, Request, Terminal};
use crate::attest::{Signer, sign};
use crate::config::{self, Settings};
use crate::data::read::Format;
use crate::error::{Error, Result};
use crate::run::{Progress, Silent};

/// Scans and says what was found; keeps what was learnt where `model` says.
pub(super) fn scan(flags: Scan, model: Option<PathBuf>, folder: &Path, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let settings = settings(&flags, folder, engine, terminal)?;
    // A key that cannot be read shows before the work, not after it.
    let signer = flags.output.sign.as_deref().map(Signer::read).transpose()?;
    let policy = settings.decide.fail_on;
    let json = flags.wants_json();
    let shown = terminal.is_interactive() && !flags.talk.quiet && !flags.talk.no_progress;
    let request = Request { format: flags.format.and_then(input_format), inputs: flags.inputs, settings, model };
    let progress: Box<dyn Progress> = if shown { Box::new(Bar::on_stderr()) } else { Box::new(Silent) };
    let scanned = engine.scan(&request, progress.as_ref());
    // The bar has to be gone before anything else is written.
    drop(progress);
    let (outcome, report) = scanned?;
    if let Some(signer) = signer {
        sign(&report, &signer)?;
    }
    if let Some(path) = &request.model
        && !flags.talk.quiet
    {
        terminal.note(&format!("model in {}", path.display()));
    }
    if json {
        let path = report.join("report.json");
        let file = File::open(&path).map_err(|e| Error::output(&path, format!("cannot be read back: {e}")))?;
        terminal.print(file)?;
    } else if !flags.talk.quiet {
        let summary = engine.summary(&outcome, &report, terminal.colour(), terminal.width());
        terminal.print(summary.as_bytes())?;
    }
    Ok(match outcome.complete {
        false => Exit::Broken,
        true if policy.is_exceeded_by(outcome.verdict) => Exit::Findings,
        true => Exit::Clean,
    })
}

/// Defaults, then the file, then the flags.
fn settings(flags: &Scan, folder: &Path, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Result<Settings> {
    let mut settings = match config::find(flags.config.as_deref(), folder) {
        Some(path) => {
            let settings = config::load(&path)?;
            // A file that nobody named may be somebody else's, and can leave detectors out: even a quiet scan says so.
            if flags.config.is_none() {
                terminal.note(&format!("settings from {}", path.display()));
            }
            settings
        }
        None => Settings::default(),
    };
    flags.apply(&mut settings);
    let codes: Vec<&str> = engine.detectors().iter().map(|info| info.code).collect();
    settings.check_against(&codes)?;
    Ok(settings)
}

fn input_format(flag: FormatFlag) -> Option<Format> {
    match flag {
        FormatFlag::Parquet => Some(Format::Parquet),
        FormatFlag::Ipc => Some(Format::Arrow),
        FormatFlag::IpcStream => Some(Format::ArrowStream),
        FormatFlag::Csv => Some(Format::Csv),
        FormatFlag::Tsv => Some(Format::Tsv),
        FormatFlag::Jsonl => Some(Format::Jsonl),
        FormatFlag::Json => None,
    }
}
