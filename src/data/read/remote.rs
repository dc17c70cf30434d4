//! Object stores: what an address names is downloaded to temporary files and read from there.

use std::io::{self, Read};

use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};
use url::{Position, Url};

use crate::data::read::Options;
use crate::data::read::digest;
use crate::data::read::format::is_supported;
use crate::data::read::input::Input;
use crate::data::read::jsonl::Inference;
use crate::data::read::text::plain;
use crate::error::{Error, Place, Result};

/// Bytes asked for at once.
const CHUNK: u64 = 8 << 20;

/// Downloads what `address` names: an object, a prefix ("folder") or, with `*`, all objects that match. Credentials and
/// endpoints come from the environment variables that the stores' own tools read.
pub(super) fn fetch(address: &str, options: &Options, json: &mut Inference) -> Result<Vec<Input>> {
    let fail = |reason: String| Error::input(Place::source(address), reason);
    let url = Url::parse(address).map_err(|e| fail(format!("not an address: {}", plain(&e.to_string()))))?;
    let (store, path) = object_store::parse_url_opts(&url, std::env::vars()).map_err(|e| fail(store_reason(&e)))?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| fail(plain(&e.to_string())))?;
    let remote = Remote { store: store.as_ref(), runtime: &runtime, address, base: &url[..Position::BeforePath] };
    remote.fetch(&path, options, json)
}

/// A store and what the user calls it.
pub(super) struct Remote<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) runtime: &'a Runtime,
    /// The address as the user wrote it.
    pub(super) address: &'a str,
    /// The address up to the object's path.
    pub(super) base: &'a str,
}

impl Remote<'_> {
    /// Downloads and opens what `path` names, sorted by path.
    pub(super) fn fetch(&self, path: &Path, options: &Options, json: &mut Inference) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        for object in self.resolve(path)? {
            let name = format!("{}/{}", self.base, object.location);
            let mut reader = Download { remote: self, object, at: 0, chunk: io::Cursor::default() };
            let (path, digest) = digest::spool(&name, &[], &mut reader, &options.spool())?;
            inputs.push(Input::from_spool(name, path, digest, options, json)?);
        }
        Ok(inputs)
    }

    fn fail(&self, error: &StoreError) -> Error {
        Error::input(Place::source(self.address), store_reason(error))
    }

    fn resolve(&self, path: &Path) -> Result<Vec<ObjectMeta>> {
        let pattern = path.as_ref().contains('*').then(|| Pattern::new(path.as_ref())).transpose();
        let pattern = pattern.map_err(|e| Error::input(Place::source(self.address), format!("not a pattern: {}", plain(e.msg))))?;
        if pattern.is_none() {
            match self.runtime.block_on(self.store.head(path)) {
                Ok(object) => return Ok(vec![object]),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(self.fail(&error)),
            }
        }
        let prefix: Path = path.parts().take_while(|part| !part.as_ref().contains('*')).collect();
        let mut found = self.list(prefix)?;
        let matching = MatchOptions { require_literal_separator: true, require_literal_leading_dot: true, ..MatchOptions::new() };
        found.retain(|object| match &pattern {
            Some(pattern) => pattern.matches_with(object.location.as_ref(), matching),
            None => {
                let mut inner = object.location.prefix_match(path).into_iter().flatten();
                inner.all(|part| !part.as_ref().starts_with(['.', '_'])) && is_supported(std::path::Path::new(object.location.as_ref()))
            }
        });
        if found.is_empty() {
            let reason = if pattern.is_some() { "no file matches" } else { "no such file, and no folder with a data file" };
            return Err(Error::input(Place::source(self.address), reason));
        }
        found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    fn list(&self, prefix: Path) -> Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        let mut folders = vec![prefix];
        while let Some(folder) = folders.pop() {
            let listing = self.runtime.block_on(self.store.list_with_delimiter(Some(&folder))).map_err(|e| self.fail(&e))?;
            objects.extend(listing.objects);
            folders.extend(listing.common_prefixes);
        }
        Ok(objects)
    }
}

/// An object, read in ranges of [`CHUNK`] bytes.
struct Download<'a> {
    remote: &'a Remote<'a>,
    object: ObjectMeta,
    at: u64,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.chunk.read(buffer)?;
        if read > 0 || self.at >= self.object.size || buffer.is_empty() {
            return Ok(read);
        }
        let end = self.object.size.min(self.at.saturating_add(CHUNK));
        let range = Some((self.at..end).into());
        // The tag keeps ranges of two versions of an object from being joined.
        let options = GetOptions { range, if_match: self.object.e_tag.clone(), ..GetOptions::default() };
        let Remote { store, runtime, .. } = self.remote;
        let bytes = runtime.block_on(async { store.get_opts(&self.object.location, options).await?.bytes().await });
        let bytes = bytes.map_err(|e| io::Error::other(store_reason(&e)))?;
        if bytes.len() as u64 != end - self.at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at = end;
        self.chunk = io::Cursor::new(bytes.into());
        self.chunk.read(buffer)
    }
}

fn store_reason(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { .. } => "no such file".to_owned(),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => "permission denied".to_owned(),
        StoreError::Precondition { .. } => "changed while it was read".to_owned(),
        other => plain(&other.to_string()),
    }
}
