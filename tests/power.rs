//! `foretaste scan --power` by the real binary: what it says of the shipped digits.

#![allow(clippy::unwrap_used)]

mod common;

use common::Folder;
use foretaste_datasets::shipped;

#[test]
fn planted_patches_and_flips_of_digits_are_seen_and_told() {
    let folder = Folder::new();
    let data = shipped("digits_backdoor.parquet").display().to_string();
    let before = std::fs::read(&data).unwrap();
    let ended = folder.scan(&[&data, "--power"], "r");
    assert_eq!((ended.status, ended.err.as_str()), (Some(1), ""));
    assert!(ended.out.contains("What it could have seen"), "{}", ended.out);

    let report = folder.json("r");
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schemas/foretaste.report-1.schema.json")).unwrap();
    let wrong: Vec<String> = jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|e| e.to_string()).collect();
    assert_eq!(wrong, [""; 0]);
    assert_eq!((&report["power"]["rows"], &report["power"]["of"]), (&1_797.into(), &1_797.into()));
    let reach = |attack: &str| report["power"]["reach"].as_array().unwrap().iter().find(|reach| reach["attack"] == attack).unwrap();
    let count = |trial: &serde_json::Value, key: &str| trial[key].as_u64().unwrap();
    let patches = reach("patch")["trials"].as_array().unwrap();
    assert!(patches.iter().any(|trial| count(trial, "rows") >= 8 && count(trial, "listed") == count(trial, "rows")), "{patches:?}");
    let flips = &reach("flips")["trials"][0];
    assert!(2 * count(flips, "listed") >= count(flips, "rows") && count(flips, "rows") == 35, "{flips}");
    assert_eq!(reach("word")["untried"], "there is no column of plain text");

    let page = String::from_utf8(folder.bytes("r/report.html")).unwrap();
    assert!(page.contains("What the scan could have seen") && page.contains("labels flipped at random"));
    // Nothing planted leaves memory, and the data stays as it was.
    assert_eq!(folder.entries(), ["r"]);
    assert_eq!(std::fs::read(&data).unwrap(), before);
}
