//! `foretaste explain`: what the detectors are.

use std::fmt::Write as _;

use super::{Engine, Exit, Terminal};
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::fold::Info;

/// Lists all detectors, those of a family, or prints a detector's manual.
pub(super) fn explain(name: Option<&str>, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let detectors = engine.detectors();
    let text = match name {
        None => list(&detectors),
        Some(name) => match detectors.iter().find(|info| info.code == name) {
            Some(info) => format!("{}\n", info.manual.trim_end()),
            None => list(&family(name, &detectors)?),
        },
    };
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

fn family(name: &str, detectors: &[&'static Info]) -> Result<Vec<&'static Info>> {
    let members: Vec<&'static Info> = detectors.iter().copied().filter(|info| info.family.name() == name).collect();
    if !members.is_empty() {
        return Ok(members);
    }
    let names = detectors.iter().flat_map(|info| [info.code, info.family.name()]);
    let help = match nearest(name, names) {
        Some(near) => format!("Did you mean '{near}'?"),
        None => "Run 'foretaste explain' for the list of detectors.".to_owned(),
    };
    Err(Error::config("explain", format!("there is no detector or family '{name}'")).with_help(help))
}

fn list(detectors: &[&'static Info]) -> String {
    let width = detectors.iter().map(|info| info.code.len()).max().unwrap_or(0);
    let mut text = String::new();
    for info in detectors {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:width$}  {}", info.code, info.summary);
    }
    text
}
