//! A command that is killed in the middle leaves nothing half done, and succeeds when it is run again.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use common::Folder;
use foretaste_datasets::read_parquet;
use serde_json::Value;

/// Runs a command and kills it (SIGKILL) after a while; whether it was still running.
fn killed(folder: &Folder, args: &[&str], after: Duration) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    command.args(args).current_dir(folder.path("")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    sleep(after);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// A table whose values in one column are sentinels in some rows.
fn table(rows: u32) -> RecordBatch {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let a: Vec<f64> = (0..rows).map(|row| if row % 2_000 == 7 { -9_999.0 } else { next() + next() }).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", std::sync::Arc::new((0..i64::from(rows)).collect::<Int64Array>())),
        ("a", std::sync::Arc::new(Float64Array::from(a))),
        ("b", std::sync::Arc::new((0..rows).map(|_| Some(next())).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn a_quarantine_that_is_killed_is_there_whole_or_not_at_all() {
    let folder = Folder::new();
    folder.parquet("data.parquet", &table(400_000));
    folder.scan(&["data.parquet", "--id", "id", "--only", "outlier.univariate"], "report");
    assert!(folder.json("report")["flagged_rows"].as_u64().unwrap() > 100);
    let before = folder.bytes("data.parquet");
    let mut stopped = 0;
    for (i, after) in [1, 5, 10, 20, 40, 80, 160, 320].into_iter().enumerate() {
        let out = format!("out{i}");
        let args = ["quarantine", "report", "--out", out.as_str(), "--by", "ada"];
        stopped += usize::from(killed(&folder, &args, Duration::from_millis(after)));
        assert!(folder.bytes("data.parquet") == before, "the source is never written");
        serde_json::from_slice::<Value>(&folder.bytes("report/report.json")).unwrap();
        if !folder.path(&out).exists() {
            let again = folder.run(&args);
            assert_eq!((again.status, again.err.as_str()), (Some(0), ""), "{}", again.out);
        }
        let restored = format!("restored{i}");
        assert_eq!(folder.run(&["restore", out.as_str(), "--out", restored.as_str()]).status, Some(0));
        assert_eq!(read_parquet(folder.path(&restored).join("data.parquet")).unwrap(), read_parquet(folder.path("data.parquet")).unwrap());
    }
    assert!(stopped > 2, "only {stopped} were still running when they were killed");
}

#[test]
fn a_scan_that_is_killed_leaves_the_report_that_was_there() {
    let folder = Folder::new();
    folder.parquet("data.parquet", &table(100_000));
    let args = ["scan", "data.parquet", "--id", "id", "--only", "outlier.univariate", "--seed", "1", "--out", "report"];
    folder.run(&args);
    let rows = folder.bytes("report/rows.parquet");
    let mut stopped = 0;
    for after in [5, 20, 60, 120] {
        stopped += usize::from(killed(&folder, &args, Duration::from_millis(after)));
        serde_json::from_slice::<Value>(&folder.bytes("report/report.json")).unwrap();
        assert!(folder.bytes("report/rows.parquet") == rows, "{after} ms");
    }
    assert!(stopped > 0);
    assert!(folder.run(&args).status.is_some_and(|status| status < 2));
}
