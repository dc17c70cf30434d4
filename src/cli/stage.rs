//! `foretaste stage`: a stream judged by a model.

use std::io::{BufWriter, Write};

use super::args::{DropFlag, Stage};
use super::{Engine, Exit, Terminal};
use crate::error::{Error, Result};
use crate::run::on_threads;
use crate::stage::{Drop, stage as judge};

impl From<DropFlag> for Drop {
    fn from(flag: DropFlag) -> Self {
        match flag {
            DropFlag::None => Self::None,
            DropFlag::Alarm => Self::Alarm,
            DropFlag::Flagged => Self::Flagged,
        }
    }
}

/// Judges stdin and writes stdout.
pub(super) fn stage(flags: &Stage, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let model = engine.model(&flags.model)?;
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let mut output = BufWriter::new(output);
    let passed = on_threads(flags.threads.unwrap_or(0), || judge(&model, input, &mut output, flags.drop.into()))??;
    output.flush().map_err(|e| Error::output("stdout", e))?;
    if !flags.quiet {
        let more = if passed.dropped > 0 { format!(", {} kept back", passed.dropped) } else { String::new() };
        terminal.note(&format!("{} rows, {} listed, {} of them at alarm{more}", passed.rows, passed.flagged, passed.alarms));
    }
    Ok(Exit::Clean)
}
