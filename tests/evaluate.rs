//! `foretaste evaluate` by the real binary: the shipped set against its truth.

#![allow(clippy::unwrap_used)]

mod common;

use common::Folder;
use foretaste_datasets::shipped;
use serde_json::Value;

fn shipped_name(name: &str) -> String {
    shipped(name).display().to_string()
}

#[test]
fn the_shipped_backdoor_is_measured_against_its_truth() {
    let folder = Folder::new();
    folder.scan(&[&shipped_name("digits_backdoor.parquet"), "--scores"], "r");
    let truth = shipped_name("truth/digits_backdoor.parquet");
    let told = folder.run(&["evaluate", "r", &truth, "--json"]);
    assert_eq!((told.status, told.err.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["schema"], &told["verdict"]), (&"foretaste.evaluation/1".into(), &"fail".into()));
    assert_eq!((&told["rows"], &told["bad"]), (&1_797.into(), &94.into()));
    assert_eq!(told["families"]["trigger"]["precision"], 1.0);
    let attacks = told["attacks"].as_object().unwrap();
    assert_eq!(attacks.values().map(|attack| attack["rows"].as_u64().unwrap()).sum::<u64>(), 94);
    assert!(attacks.values().any(|attack| attack["rows"] == 54 && attack["recall"] == 1.0), "{attacks:?}");

    let table = folder.run(&["evaluate", "r", &truth]).out;
    assert!(table.starts_with("1797 rows with known truth, 94 bad; the report's verdict: fail\n"), "{table}");
    for word in ["precision", "overall", "trigger.patch", "AUROC by family"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
}

#[test]
fn without_a_report_or_a_truth_it_says_so() {
    let folder = Folder::new();
    let truth = shipped_name("truth/digits_backdoor.parquet");
    let ended = folder.run(&["evaluate", "nowhere", &truth]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("nowhere/report.json") && ended.err.contains("help: Name the folder"), "{}", ended.err);
    folder.scan(&[&shipped_name("wine.parquet"), "--only", "duplicate"], "r");
    let ended = folder.run(&["evaluate", "r", &truth]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("digits_backdoor.parquet: it has 1797 rows, the data 178"), "{}", ended.err);
}
