//! The real binary in a temporary folder, and what it leaves there.

// Each test binary takes what it needs.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod told;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use arrow::array::RecordBatch;
use foretaste_datasets::{read_parquet, write_parquet};
use serde_json::Value;
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// An empty folder to work in.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn parquet(&self, name: &str, batch: &RecordBatch) {
        write_parquet(self.path(name), batch).unwrap();
    }

    pub fn csv(&self, name: &str, batch: &RecordBatch) {
        arrow::csv::Writer::new(File::create(self.path(name)).unwrap()).write(batch).unwrap();
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        command.args(args).current_dir(self.0.path());
        command
    }

    /// Runs the binary here.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    /// Runs the binary here with bytes on its standard input.
    pub fn feed<S: AsRef<OsStr>>(&self, args: &[S], bytes: &[u8]) -> Ended {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A program that refuses its input early closes the pipe; what it says is what counts.
            scope.spawn(move || stdin.write_all(bytes));
            child.wait_with_output().unwrap().into()
        })
    }

    /// Scans with seed 7 into the folder `report`; `args` begin with the inputs.
    pub fn scan(&self, args: &[&str], report: &str) -> Ended {
        self.run(&[&["scan"][..], args, &["--seed", "7", "--out", report]].concat())
    }

    pub fn rows(&self, report: &str) -> RecordBatch {
        read_parquet(self.path(report).join("rows.parquet")).unwrap()
    }

    pub fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    pub fn json(&self, report: &str) -> Value {
        serde_json::from_slice(&self.bytes(&format!("{report}/report.json"))).unwrap()
    }

    /// Everything that lies here, hidden or not, sorted.
    pub fn entries(&self) -> Vec<String> {
        names(self.0.path())
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
