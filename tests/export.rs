//! From a report to the forms of other programs, by the real binary.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Folder;
use foretaste_datasets::shipped;
use serde_json::Value;

#[test]
fn every_form_is_written_from_a_report_alone() {
    let folder = Folder::new();
    folder.write("di'gits \"1\".parquet", fs::read(shipped("digits_backdoor.parquet")).unwrap());
    assert_eq!(folder.scan(&["di'gits \"1\".parquet", "--only", "trigger.patch"], "report").status, Some(1));
    fs::remove_file(folder.path("di'gits \"1\".parquet")).unwrap();
    for form in ["sarif", "junit", "markdown", "csv", "cyclonedx", "croissant", "in-toto"] {
        let ended = folder.run(&["export", "report", "--format", form]);
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{form}");
        let written = folder.run(&["export", "report/report.json", "--format", form, "--out", "written"]);
        assert_eq!((written.status, written.out.as_str()), (Some(0), ""), "{form}: {}", written.err);
        assert_eq!(folder.bytes("written"), ended.out.as_bytes(), "{form}");
    }
    assert_eq!(folder.entries(), ["report", "written"]);
    let statement: Value = serde_json::from_slice(&folder.bytes("written")).unwrap();
    let report = folder.json("report");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], report["data"]["files"][0]["sha256"]);
    assert_eq!(statement["predicate"]["settingsDigest"]["blake3"], report["settings_digest"]);
    let log: Value = serde_json::from_str(&folder.run(&["export", "report", "--format", "sarif"]).out).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"trigger.patch".into(), &"error".into()));
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "di%27gits%20%221%22.parquet");
}

#[test]
fn an_export_that_fails_leaves_nothing() {
    let folder = Folder::new();
    let ended = folder.run(&["export", "report", "--format", "csv", "--out", "rows.csv"]);
    assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.starts_with("error: report: cannot be read as a report"), "{}", ended.err);
    assert_eq!(folder.entries(), [""; 0]);
}

/// A key of no other use, made by OpenSSL.
const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJRYMS6+l5Wb90REfUssnZG/rBqjSzHcC0nYZESA46vl\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAt+EWECeNz4lGdwtR/6PLuimTzd+siY29eM+kXALEpYk=\n-----END PUBLIC KEY-----\n";

#[test]
fn a_signed_report_is_verified_until_the_data_change() {
    let folder = Folder::new();
    folder.write("digits.parquet", std::fs::read(foretaste_datasets::shipped("digits_backdoor.parquet")).unwrap());
    folder.write("key.pem", KEY);
    folder.write("key.pub.pem", PUBLIC);
    let ended = folder.run(&["scan", "digits.parquet", "--only", "trigger.patch", "--sign", "nowhere.pem", "--out", "report"]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("openssl genpkey") && !folder.path("report").exists(), "{}", ended.err);
    assert_eq!(folder.run(&["scan", "digits.parquet", "--only", "trigger.patch", "--sign", "key.pem", "--out", "report"]).status, Some(1));
    let verify = ["verify", "report", "--key", "key.pub.pem", "--data", "digits.parquet"];
    let ended = folder.run(&verify);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.lines().count() >= 5 && ended.out.lines().all(|line| line.starts_with("ok ")), "{}", ended.out);
    let mut bytes = folder.bytes("digits.parquet");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.write("digits.parquet", bytes);
    let ended = folder.run(&verify);
    assert_eq!(ended.status, Some(1));
    assert!(ended.out.contains("FAILS  digits.parquet is not what was scanned"), "{}", ended.out);
}
