//! Folders and files that appear whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// Whether a folder may take a place; otherwise why not and what to do.
pub(crate) type Replaceable = fn(&Path) -> std::result::Result<(), String>;

/// A folder that is filled out of sight and then takes the place of `target`.
pub(crate) struct Folder {
    target: PathBuf,
    /// Holds the new folder and, for a moment, the one that it replaces. Dropping it removes both.
    hidden: TempDir,
    filling: PathBuf,
    replaceable: Replaceable,
}

impl Folder {
    /// Checks that `out` can be written and starts an empty folder beside it.
    pub(crate) fn create(out: &Path, replaceable: Replaceable) -> Result<Self> {
        // A link is followed, so that what it points to is replaced and not the link.
        let target = if out.symlink_metadata().is_ok() {
            out.canonicalize().map_err(|e| Error::output(out, e))?
        } else {
            std::path::absolute(out).map_err(|e| Error::output(out, e))?
        };
        replaceable(&target).map_err(|reason| Error::output(out, reason))?;
        let Some(parent) = target.parent() else {
            return Err(Error::output(out, "this is no place for a folder; name one that is new"));
        };
        if !parent.is_dir() {
            return Err(Error::output(out, format!("the folder {} does not exist; make it first", parent.display())));
        }
        let hidden = tempfile::Builder::new()
            .prefix(".foretaste-")
            .tempdir_in(parent)
            .map_err(|e| Error::output(out, format!("the folder {} cannot be written: {e}", parent.display())))?;
        // The temporary folder is closed to other users; this one has the rights that the user's folders have.
        let filling = hidden.path().join("new");
        fs::create_dir(&filling).map_err(|e| Error::output(out, e))?;
        Ok(Self { target, hidden, filling, replaceable })
    }

    /// Where a file lies until the folder is put into place.
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        self.filling.join(name)
    }

    /// Where a file will lie.
    pub(crate) fn shown(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// Writes a whole file to the disk.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut file = File::create_new(self.inside(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|e| Error::output(self.shown(name), e))
    }

    /// Puts the folder into place; a folder that was there before is gone only once the new one stands.
    pub(crate) fn commit(self) -> Result<PathBuf> {
        let fail = |e: &dyn std::fmt::Display| Error::output(&self.target, e);
        sync(&self.filling).map_err(|e| fail(&e))?;
        // The run took a while; what lies there now may not be what lay there at its start.
        (self.replaceable)(&self.target).map_err(|reason| fail(&reason))?;
        let before = self.target.exists();
        if before && exchange(&self.filling, &self.target).is_ok() {
            return self.settled();
        }
        let aside = self.hidden.path().join("before");
        if before {
            fs::rename(&self.target, &aside).map_err(|e| fail(&e))?;
        }
        if let Err(error) = fs::rename(&self.filling, &self.target) {
            if before && fs::rename(&aside, &self.target).is_err() {
                let kept = self.hidden.keep();
                return Err(Error::output(&self.target, format!("{error}; what was there is now in {}", kept.display())));
            }
            return Err(fail(&error));
        }
        self.settled()
    }

    /// Makes what was put into place last.
    fn settled(self) -> Result<PathBuf> {
        if let Some(parent) = self.target.parent() {
            sync(parent).map_err(|e| Error::output(&self.target, e))?;
        }
        Ok(self.target)
    }
}

/// Lets two folders change places in one step, so that one of them stands there whenever a run is killed; not every system and disk can.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Makes renames in a folder last; only Unix lets a folder be opened for that.
fn sync(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Lets a folder take a place where nothing is, or an empty folder.
pub(crate) fn fresh(target: &Path) -> std::result::Result<(), String> {
    if !target.exists() {
        return Ok(());
    }
    if !target.is_dir() {
        return Err("a file is in the way; choose another folder with --out".to_owned());
    }
    let empty = fs::read_dir(target).map_err(|e| e.to_string())?.next().is_none();
    if empty { Ok(()) } else { Err("the folder is not empty; choose another folder with --out, or empty it".to_owned()) }
}

/// Writes a file that appears whole or not at all; `fill` gets it with its path.
pub(crate) fn whole_file(path: &Path, fill: impl FnOnce(&File, &Path) -> Result<()>) -> Result<()> {
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
    let file = builder.tempfile_in(folder).map_err(|e| fail(&e))?;
    fill(file.as_file(), path)?;
    file.as_file().sync_all().map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e))?;
    Ok(())
}
