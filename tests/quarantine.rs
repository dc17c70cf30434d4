//! From a report to a cleaned copy and back, by the real binary.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Folder;
use foretaste_datasets::{read_parquet, shipped};
use serde_json::Value;

fn scanned(name: &str) -> Folder {
    let folder = Folder::new();
    folder.write(name, fs::read(shipped("digits_backdoor.parquet")).unwrap());
    assert_eq!(folder.scan(&[name, "--only", "trigger.patch"], "report").status, Some(1));
    folder
}

fn lines(folder: &Folder, path: &str) -> Vec<Value> {
    let text = String::from_utf8(folder.bytes(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn listed_rows_go_and_come_back() {
    let folder = scanned("digits.parquet");
    let ended = folder.run(&["quarantine", "report", "--out", "cleaned", "--by", "ada"]);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let manifest = serde_json::from_slice::<Value>(&folder.bytes("cleaned/quarantine.json")).unwrap();
    let report = folder.json("report");
    assert_eq!(manifest["removed"], report["flagged_rows"]);
    assert_eq!(manifest["kept"].as_u64().unwrap() + manifest["removed"].as_u64().unwrap(), 1_797);
    assert_eq!((&report["sanitisation"][0]["by"], &report["sanitisation"][0]["removed"]), (&"ada".into(), &manifest["removed"]));
    let ledger = lines(&folder, "cleaned/ledger.jsonl");
    assert_eq!(ledger.len() as u64, manifest["removed"].as_u64().unwrap());
    assert!(ledger.iter().all(|row| row["causes"][0] == report["groups"][0]["fingerprint"]));

    let ended = folder.run(&["scan", "cleaned/kept/digits.parquet", "--only", "trigger.patch", "--out", "again"]);
    assert_eq!(ended.status, Some(0), "{}", ended.out);

    let ended = folder.run(&["restore", "cleaned", "--out", "restored"]);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""));
    let rows = |path: &str| read_parquet(folder.path(path)).unwrap();
    assert_eq!(rows("restored/digits.parquet"), rows("digits.parquet"));
}

#[test]
fn reviewers_decide_what_goes() {
    let folder = scanned("digits.parquet");
    let report = folder.json("report");
    let cause = report["groups"][0]["fingerprint"].as_str().unwrap().to_owned();
    let first = &report["groups"][0]["examples"][0];
    let row = first.to_string();
    let flagged = report["flagged_rows"].as_u64().unwrap();
    for args in [
        ["decide", "report", "--cause", &cause, "--confirm", "--by", "ada"],
        ["decide", "report", "--row", &row, "--dismiss", "--by", "ada"],
    ] {
        let ended = folder.run(&args);
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    }
    assert_eq!(folder.run(&["quarantine", "report", "--out", "cleaned", "--by", "ada"]).status, Some(0));
    let manifest = serde_json::from_slice::<Value>(&folder.bytes("cleaned/quarantine.json")).unwrap();
    assert_eq!((&manifest["selection"], manifest["removed"].as_u64()), (&"confirmed".into(), Some(flagged - 1)));
    assert!(lines(&folder, "cleaned/ledger.jsonl").iter().all(|line| line["row"] != *first));
    let unknown = folder.run(&["decide", "report", "--row", "1000000", "--dismiss", "--by", "ada"]);
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.err.contains("--row: the report lists nothing under 1000000"), "{}", unknown.err);
}

#[test]
fn rows_get_the_label_that_a_reviewer_gives() {
    let folder = scanned("digits.parquet");
    let report = folder.json("report");
    let page = String::from_utf8(folder.bytes("report/report.html")).unwrap();
    let cause = report["groups"][0]["fingerprint"].as_str().unwrap().to_owned();
    let row = report["groups"][0]["examples"][0].to_string();
    let decide = |args: &[&str]| assert_eq!(folder.run(&[&["decide", "report", "--by", "ada"], args].concat()).status, Some(0));
    decide(&["--cause", &cause, "--confirm"]);
    for (label, help) in [("x", "The labels are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."), ("77", "Did you mean '7'?")] {
        let ended = folder.run(&["decide", "report", "--by", "ada", "--row", &row, "--relabel", label]);
        let said = format!("error: --relabel: no row of the data has the label '{label}'\nhelp: {help}\n");
        assert_eq!((ended.status, ended.err), (Some(2), said));
    }
    decide(&["--row", &row, "--relabel", "7"]);
    let ended = folder.run(&["quarantine", "report", "--out", "cleaned", "--by", "ada"]);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.contains("1 of them under another label"), "{}", ended.out);
    let manifest = serde_json::from_slice::<Value>(&folder.bytes("cleaned/quarantine.json")).unwrap();
    let flagged = report["flagged_rows"].as_u64().unwrap();
    assert_eq!((manifest["removed"].as_u64(), manifest["relabelled"].as_u64()), (Some(flagged - 1), Some(1)));
    assert_eq!(manifest["kept"].as_u64(), Some(1_797 - flagged + 1));
    assert_eq!(folder.json("report")["sanitisation"][0]["relabelled"], 1);
    let ledger = lines(&folder, "cleaned/ledger.jsonl");
    let line = ledger.iter().find(|line| line["row"] == report["groups"][0]["examples"][0]).unwrap();
    assert_eq!((&line["label"], &line["relabelled"]), (&"0".into(), &"7".into()));
    let now = String::from_utf8(folder.bytes("report/report.html")).unwrap();
    assert!(!page.contains("Done since") && now.contains("Done since") && now.contains("and relabelled 1"));

    let column = |path: &str| read_parquet(folder.path(path)).unwrap().column_by_name("label").unwrap().clone();
    let (before, kept) = (column("digits.parquet"), column("cleaned/kept/digits.parquet"));
    let sevens = |labels: &arrow::array::ArrayRef| {
        let labels = arrow::compute::cast(labels, &arrow::datatypes::DataType::Int64).unwrap();
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&labels).iter().filter(|label| *label == Some(7)).count()
    };
    assert_eq!(sevens(&kept), sevens(&before) + 1);
    assert_eq!(folder.run(&["restore", "cleaned", "--out", "restored"]).status, Some(0));
    let rows = |path: &str| read_parquet(folder.path(path)).unwrap();
    assert_eq!(rows("restored/digits.parquet"), rows("digits.parquet"));
}

#[test]
fn data_that_changed_are_left_alone() {
    let folder = scanned("digits.parquet");
    let mut bytes = folder.bytes("digits.parquet");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path("digits.parquet"), bytes).unwrap();
    let ended = folder.run(&["quarantine", "report", "--out", "cleaned", "--by", "ada"]);
    assert_eq!(ended.status, Some(2));
    assert!(!folder.path("cleaned").exists() && folder.json("report").get("sanitisation").is_none());
    assert_eq!(folder.entries(), ["digits.parquet", "report"]);
}
