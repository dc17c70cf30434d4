//! `foretaste export`: a report in the forms of other programs.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use super::args::{Export, FormFlag};
use super::{Engine, Exit, Terminal};
use crate::error::{Error, Result};
use crate::export::{Form, export as write};
use crate::folder::whole_file;

impl From<FormFlag> for Form {
    fn from(flag: FormFlag) -> Self {
        match flag {
            FormFlag::Sarif => Self::Sarif,
            FormFlag::Junit => Self::Junit,
            FormFlag::Markdown => Self::Markdown,
            FormFlag::Csv => Self::Csv,
            FormFlag::Cyclonedx => Self::CycloneDx,
            FormFlag::Croissant => Self::Croissant,
            FormFlag::InToto => Self::InToto,
        }
    }
}

/// Writes one form to a file, or on stdout; an export that fails leaves and prints nothing.
pub(super) fn export(flags: &Export, engine: &dyn Engine, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let fill = |file: &File, shown: &Path| {
        let mut out = BufWriter::new(file);
        write(&flags.report, flags.format.into(), &engine.detectors(), &mut out)?;
        out.flush().map_err(|e| Error::output(shown, e))
    };
    if let Some(path) = &flags.out {
        whole_file(path, fill)?;
    } else {
        let stdout = Path::new("stdout");
        let mut spool = tempfile::tempfile().map_err(|e| Error::output(stdout, e))?;
        fill(&spool, stdout)?;
        spool.rewind().map_err(|e| Error::output(stdout, e))?;
        terminal.print(spool)?;
    }
    Ok(Exit::Clean)
}
