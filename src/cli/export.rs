//! `foretaste export`: a report in the forms of other programs.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::args::{Export, FormFlag};
use super::{Engine, Exit, Terminal};
use crate::error::{Error, Result};
use crate::export::{Form, export as write};

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
        place(path, fill)?;
    } else {
        let stdout = Path::new("stdout");
        let mut spool = tempfile::tempfile().map_err(|e| Error::output(stdout, e))?;
        fill(&spool, stdout)?;
        spool.rewind().map_err(|e| Error::output(stdout, e))?;
        terminal.print(spool)?;
    }
    Ok(Exit::Clean)
}

/// A file that appears whole or not at all.
fn place(path: &Path, fill: impl FnOnce(&File, &Path) -> Result<()>) -> Result<()> {
    let fail = |e: &dyn std::fmt::Display| Error::output(path, e);
    if path.is_dir() {
        return Err(fail(&"a folder is in the way; name a file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".foretaste-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary file is closed to other users; with this it gets the rights that the user's files have.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file: NamedTempFile = builder.tempfile_in(folder).map_err(|e| fail(&e))?;
    fill(file.as_file(), path)?;
    file.as_file().sync_all().map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e))?;
    Ok(())
}
