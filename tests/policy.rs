//! Policies by the real binary: waivers, levels, budgets and a baseline on the shipped backdoor.

#![allow(clippy::unwrap_used)]

mod common;

use common::Folder;
use foretaste_datasets::shipped;
use serde_json::Value;

fn backdoor() -> String {
    shipped("digits_backdoor.parquet").display().to_string()
}

/// Scans for triggers under a policy; status and report.
fn scanned(folder: &Folder, policy: &str, flags: &[&str], report: &str) -> (Option<i32>, Value) {
    folder.write("policy.toml", policy);
    let data = backdoor();
    let args = [&[data.as_str(), "--only", "trigger", "--config", "policy.toml"][..], flags].concat();
    let ended = folder.scan(&args, report);
    assert_eq!(ended.err, "");
    (ended.status, folder.json(report))
}

#[test]
fn a_waived_cause_no_longer_fails_but_is_still_told() {
    let folder = Folder::new();
    let (status, plain) = scanned(&folder, "", &[], "plain");
    assert_eq!((status, &plain["verdict"]), (Some(1), &"fail".into()));
    let groups = plain["groups"].as_array().unwrap();
    assert!(!groups.is_empty() && groups.iter().all(|group| group["standing"]["is"] == "open"));
    let waivers: Vec<String> = groups
        .iter()
        .map(|group| {
            format!("[[policy.waivers]]\nfinding = {}\nreason = 'planted for a drill'\nexpires = '9999-12-31'\n", group["fingerprint"])
        })
        .collect();
    let (status, waived) = scanned(&folder, &waivers.concat(), &[], "waived");
    assert_eq!((status, &waived["verdict"]), (Some(0), &"pass".into()));
    assert_eq!(waived["flagged_rows"], plain["flagged_rows"]);
    assert!(waived["groups"].as_array().unwrap().iter().all(|group| group["standing"]["is"] == "waived"));
    assert!(waived["policy"]["waivers"].as_array().unwrap().iter().all(|waiver| waiver["state"] == "applied"));
    assert!(waived["reasons"][0].as_str().unwrap().starts_with("waived until 9999-12-31 (planted for a drill): "));
    assert_ne!(waived["policy_digest"], plain["policy_digest"]);
    let page = String::from_utf8(folder.bytes("waived/report.html")).unwrap();
    assert!(page.contains("waived until 9999-12-31: planted for a drill"));

    let expired = waivers.concat().replace("9999-12-31", "2020-01-01");
    let (status, expired) = scanned(&folder, &expired, &[], "expired");
    assert_eq!((status, &expired["policy"]["waivers"][0]["state"]), (Some(1), &"expired".into()));
}

#[test]
fn only_what_is_new_counts_against_a_baseline() {
    let folder = Folder::new();
    let (_, first) = scanned(&folder, "", &[], "first");
    for baseline in ["first", "first/report.json"] {
        let (status, second) = scanned(&folder, "", &["--baseline", baseline], "second");
        assert_eq!((status, &second["verdict"]), (Some(0), &"pass".into()), "{:?}", second["reasons"]);
        assert_eq!(second["policy"]["baseline"]["rows"], first["data"]["rows"]);
    }
    // A fingerprint names the cause, whatever the seed; the shipped set's patch is the same in both.
    let data = backdoor();
    let args = ["scan", &data, "--only", "trigger.patch", "--baseline", "first", "--seed", "8", "--out", "other"];
    assert_eq!(folder.run(&args).status, Some(0));
    let ended = folder.scan(&[&backdoor(), "--baseline", "nowhere"], "third");
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("nowhere: cannot be read as a report"), "{}", ended.err);
}

#[test]
fn levels_and_budgets_make_the_verdict() {
    let folder = Folder::new();
    let (status, lenient) = scanned(&folder, "[policy.levels]\ntrigger = 'warn'\n", &[], "lenient");
    assert_eq!((status, &lenient["verdict"]), (Some(0), &"warn".into()));
    let budget = |rows: u64| format!("[policy.levels]\ntrigger = 'pass'\n[policy.budgets]\ntrigger = {{ rows = {rows}, over = 'fail' }}\n");
    let (status, within) = scanned(&folder, &budget(2_000), &[], "within");
    assert_eq!((status, &within["verdict"]), (Some(0), &"pass".into()));
    let (status, over) = scanned(&folder, &budget(3), &[], "over");
    assert_eq!((status, &over["policy"]["budgets"][0]["allowed"]), (Some(1), &3.into()));
    assert!(over["reasons"][0].as_str().unwrap().ends_with("more than the 3 that the policy allows"));
    folder.write("policy.toml", "[policy.levels]\ntriger = 'warn'\n");
    let ended = folder.scan(&[&backdoor(), "--config", "policy.toml"], "wrong");
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("policy.levels: there is no detector or family 'triger'"), "{}", ended.err);
}
