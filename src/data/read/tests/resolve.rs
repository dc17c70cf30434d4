//! What the user names.

use super::Folder;
use crate::data::read::{Options, open};

fn names(folder: &Folder, input: &str) -> Vec<String> {
    let prefix = format!("{}/", folder.0.path().display());
    let source = folder.open(&[input]).unwrap();
    source.files().unwrap().into_iter().map(|file| file.name.replace(&prefix, "")).collect()
}

#[test]
fn folders_and_patterns_are_sorted() {
    let folder = Folder::new();
    for file in ["d/b.csv", "d/a.csv.gz", "d/sub/0.csv", "d/.hidden.csv", "d/_tmp/x.csv", "d/README.md", "d/sub/.git/y.csv"] {
        let text = b"x\n1\n";
        folder.write(file, if file.contains(".gz") { super::gzip(text) } else { text.to_vec() });
    }
    assert_eq!(names(&folder, "d"), ["d/a.csv.gz", "d/b.csv", "d/sub/0.csv"]);
    assert_eq!(names(&folder, "d/*.csv"), ["d/b.csv"]);
    // A pattern says what it matches, as in a shell: only names that begin with a dot must be asked for.
    assert_eq!(names(&folder, "d/**/*.csv*"), ["d/_tmp/x.csv", "d/a.csv.gz", "d/b.csv", "d/sub/0.csv"]);
}

#[test]
fn what_describes_data_is_not_read_as_data() {
    let folder = Folder::new();
    for file in ["d/a.csv", "d/foretaste-report/rows.csv", "d/mine/rows.csv"] {
        folder.write(file, "x\n1\n");
    }
    for file in ["d/dataset_info.json", "d/b.JSON.gz", "d/mine/report.json"] {
        folder.write(file, "{\"x\": 1}\n");
    }
    folder.write("d/foretaste-report/report.json", "{\"schema\": \"foretaste.report/1\", \"verdict\": \"pass\"}\n");
    assert_eq!(names(&folder, "d"), ["d/a.csv", "d/mine/rows.csv"]);
    assert_eq!(names(&folder, "d/dataset_info.json"), ["d/dataset_info.json"]);
}

#[cfg(unix)]
#[test]
fn links_to_files_are_followed_and_to_folders_are_not() {
    let folder = Folder::new();
    folder.write("blobs/1.csv", "x\n1\n");
    std::fs::create_dir(folder.name("d")).unwrap();
    std::os::unix::fs::symlink(folder.name("blobs/1.csv"), folder.name("d/a.csv")).unwrap();
    std::os::unix::fs::symlink(folder.name("d"), folder.name("d/loop")).unwrap();
    assert_eq!(names(&folder, "d"), ["d/a.csv"]);
    assert_eq!(folder.message(&["d", "blobs/1.csv"]), "blobs/1.csv: named twice: it is the same as d/a.csv");
}

#[test]
fn what_cannot_be_found_is_named() {
    let folder = Folder::new();
    folder.write("shards/train.parquet", "x");
    folder.write("empty/notes.md", "x");
    assert_eq!(
        folder.error(&["shards/trian.parquet"]),
        ("shards/trian.parquet: no such file".to_owned(), "Did you mean 'shards/train.parquet'?".to_owned())
    );
    assert_eq!(folder.error(&["shards/other.csv"]), ("shards/other.csv: no such file".to_owned(), String::new()));
    assert_eq!(folder.message(&["shards/*.csv"]), "shards/*.csv: no file matches");
    assert_eq!(folder.message(&["shards/[.csv"]), "shards/[.csv: not a pattern: invalid range pattern");
    assert_eq!(folder.message(&["empty"]), format!("{}: the folder holds no data file", "empty"));
    assert_eq!(open(&[], &Options::default()).err().unwrap().to_string(), "inputs: no input is named");
}

#[test]
fn a_file_named_twice_is_refused() {
    let folder = Folder::new();
    folder.write("a.csv", "x\n1\n");
    let (message, help) = folder.error(&["a.csv", "./a.csv"]);
    assert_eq!(message, "./a.csv: named twice: it is the same as a.csv");
    assert_eq!(help, "Rows must not count twice; name each file once.");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_spooled() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let folder = Folder::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = super::gzip(b"{\"x\": 1}\n{\"x\": 2}\n");
    writer.write_all(&bytes).unwrap();
    drop(writer);
    let name = format!("/dev/fd/{}", reader.as_raw_fd());
    let source = open(std::slice::from_ref(&name), &folder.options()).unwrap();
    let files = source.files().unwrap();
    assert_eq!((files[0].name.as_str(), files[0].bytes, files[0].rows), (name.as_str(), bytes.len() as u64, 2));
    assert_eq!(files[0].blake3, blake3::hash(&bytes).to_hex().as_str());
    assert_eq!(super::all(source.as_ref(), None).num_rows(), 2);
    assert_eq!(super::all(source.as_ref(), None).num_rows(), 2);
    let spooled = || std::fs::read_dir(folder.0.path()).unwrap().count();
    assert_eq!(spooled(), 1);
    drop(source);
    assert_eq!(spooled(), 0);
}
