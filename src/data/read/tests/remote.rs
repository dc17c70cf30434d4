//! Object stores, by the one that lives in memory.

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};

use super::{Folder, all};
use crate::data::Source as _;
use crate::data::read::jsonl::Inference;
use crate::data::read::manifest::Manifest;
use crate::data::read::open;
use crate::data::read::remote::Remote;
use crate::error::Result;

fn fetch(store: &dyn ObjectStore, runtime: &Runtime, folder: &Folder, path: &str) -> Result<Manifest> {
    let address = format!("s3://bucket/{path}");
    let remote = Remote { store, runtime, address: &address, base: "s3://bucket" };
    let mut json = Inference::default();
    let inputs = remote.fetch(&Path::from(path), &folder.options(), &mut json)?;
    Manifest::new(inputs, &json, 8192)
}

#[test]
fn objects_prefixes_and_patterns() {
    let folder = Folder::new();
    let runtime = Builder::new_current_thread().build().unwrap();
    let store = InMemory::new();
    // Longer than one range, so that ranges are joined.
    let long = format!("x\n{}", "123456789\n".repeat(1 << 20));
    for (path, bytes) in [("d/b.csv", "x\n1\n"), ("d/sub/a.csv", &long), ("d/_tmp/c.csv", "y\n1\n"), ("d/notes.md", "z")] {
        runtime.block_on(store.put(&Path::from(path), bytes.as_bytes().to_vec().into())).unwrap();
    }
    let names = |path: &str| -> Vec<(String, u64)> {
        let files = fetch(&store, &runtime, &folder, path).unwrap().files().unwrap();
        files.into_iter().map(|file| (file.name, file.rows)).collect()
    };
    let (a, b) = (("s3://bucket/d/sub/a.csv".to_owned(), 1 << 20), ("s3://bucket/d/b.csv".to_owned(), 1));
    assert_eq!(names("d"), [b.clone(), a.clone()]);
    assert_eq!(names("d/*.csv"), [b]);
    assert_eq!(names("d/sub/a.csv"), [a]);
    let source = fetch(&store, &runtime, &folder, "d/sub/a.csv").unwrap();
    assert_eq!(all(&source, None).num_rows(), 1 << 20);
    assert_eq!(source.files().unwrap()[0].blake3, blake3::hash(long.as_bytes()).to_hex().as_str());
    let message = |path: &str| fetch(&store, &runtime, &folder, path).unwrap_err().to_string();
    assert_eq!(message("none.csv"), "s3://bucket/none.csv: no such file, and no folder with a data file");
    assert_eq!(message("d/*.parquet"), "s3://bucket/d/*.parquet: no file matches");
}

#[test]
fn an_unknown_scheme_is_refused() {
    let error = open(&["ftp://host/a.csv".to_owned()], &Folder::new().options()).err().unwrap();
    assert_eq!(error.to_string(), "ftp://host/a.csv: unable to recognise URL \"ftp://host/a.csv\"");
}
