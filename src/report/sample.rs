//! Outcomes to test the report with.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json::Settings;
use crate::data::{Class, ColumnRole, File, Role};
use crate::finding::{Family, Finding, Group, Standing, Tier, Verdict};
use crate::policy::Applied;
use crate::run::{Breakdown, BreakdownRow, DataFacts, FamilyCounts, Outcome, Status, UnitOutcome};

/// A 16 × 16 picture.
pub(super) const PICTURE: &str = concat!(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAmklEQVR42l3HoQ6DMQgEYB4HVYWqQlWhUKgqFApVheLFu038yba7XL4c4F8AB01eorY98lQD",
    "Eot51iPglJ1Ny6IGqx9Atvwe4PLmXdMOaQ4JQEmyYn8E1Fo5fVjL4aANaL8F3BR8pG34zFUK6FxGKY+AISOVjs3a3L4A0/jZzcuAx5VHhS3qvHIBK92E6eP7",
    "E2DXyfBtKosv3Rc+b1ThsLVANAAAAABJRU5ErkJggg==",
);

pub(crate) fn settings() -> Settings {
    Settings {
        values: json!({"roles": {"label": "label"}, "policy": {"fdr": 0.1, "alarm_level": 0.01}, "only": [], "skip": []}),
        seed: 18_446_744_073_709_551_615,
        created: "2026-11-22T20:15:00Z".parse().unwrap(),
    }
}

fn unit(code: &str, family: Family, status: Status, flagged: u64, notes: &[&str]) -> UnitOutcome {
    let notes = notes.iter().map(|&n| n.to_owned()).collect();
    UnitOutcome {
        code: code.to_owned(),
        family,
        status,
        seconds: 1.25,
        bytes: 1_572_864,
        scans: 2,
        flagged,
        lowest_p: None,
        notes,
        spread: None,
    }
}

fn column(name: &str, data_type: &str, role: Role, reason: &str) -> ColumnRole {
    ColumnRole { name: name.to_owned(), data_type: data_type.to_owned(), role, reason: reason.to_owned(), width: None }
}

pub(crate) fn clean() -> Outcome {
    let file = File {
        name: "train.parquet".to_owned(),
        bytes: 1_234_567,
        blake3: blake3::hash(b"train").to_hex().to_string(),
        sha256: "ab".repeat(32),
        rows: 12_000,
    };
    let columns = vec![
        column("image", "Struct(\"bytes\": Binary, \"path\": Utf8)", Role::Image, "pictures, 28×28×1"),
        column("label", "Int64", Role::Label, "named like a label"),
        column("uid", "Utf8", Role::Id, "named like an id, all values differ"),
    ];
    Outcome {
        verdict: Verdict::Pass,
        reasons: vec!["no detector found anything that it claims".to_owned()],
        estimates: Vec::new(),
        complete: true,
        data: DataFacts {
            files: vec![file],
            rows: 12_000,
            columns,
            nulls: BTreeMap::from([("image".to_owned(), 0), ("label".to_owned(), 0), ("uid".to_owned(), 0)]),
            label: Some("label".to_owned()),
            classes: (0..10).map(|i| Class { name: i.to_string(), rows: 1_200 }).collect(),
            unreadable: BTreeMap::new(),
            reference: Vec::new(),
        },
        units: vec![
            unit("trigger.patch", Family::Trigger, Status::Ran, 0, &["a 3×3 patch in 14 rows of one class would have been seen"]),
            unit("trigger.token", Family::Trigger, Status::Skipped("there is no text column".to_owned()), 0, &[]),
        ],
        findings: Vec::new(),
        families: BTreeMap::from([("trigger".to_owned(), FamilyCounts::default())]),
        flagged_rows: 0,
        breakdown: Vec::new(),
        policy: Applied::default(),
        power: None,
        seconds: 3.5,
    }
}

pub(crate) fn poisoned() -> Outcome {
    let mut outcome = clean();
    let evidence: Value =
        json!({"picture": PICTURE, "place": "(24,24)", "size": [3, 3], "pixels": [[255, 0, 255], [0, 255, 0], [255, 0, 255]]});
    let patch = Group {
        title: "3×3 patch at (24,24) in 50 rows, all labelled 0".to_owned(),
        cause: "patch 3×3 at (24,24)".to_owned(),
        attack_class: "backdoor_trigger".to_owned(),
        rows: 50,
        agreeing: 50,
        label: Some("0".to_owned()),
        background: Some(0.12),
        statistic: "carriers with the label".to_owned(),
        value: 50.0,
        p: 1.2e-41,
        tests: 31_000,
        max_tier: Tier::Alarm,
        examples: (0..20).map(|i| i * 311).collect(),
        evidence: evidence.as_object().cloned().unwrap_or_default(),
    };
    let copies = Group {
        title: "one row 102 times, under 3 labels".to_owned(),
        cause: "copies of 9f2c".to_owned(),
        attack_class: "duplicate_flooding".to_owned(),
        rows: 102,
        agreeing: 60,
        label: None,
        background: None,
        statistic: "copies".to_owned(),
        value: 102.0,
        p: 2e-9,
        tests: 40,
        max_tier: Tier::Suspect,
        examples: vec![5, 17, 4_000],
        evidence: Map::new(),
    };
    outcome.verdict = Verdict::Fail;
    outcome.complete = false;
    outcome.reasons = vec!["trigger.patch: 3×3 patch at (24,24) in 50 rows, all labelled 0".to_owned(), "label.crossfit failed".to_owned()];
    outcome.units = vec![
        unit("duplicate.exact", Family::Duplicate, Status::Ran, 102, &[]),
        unit("trigger.patch", Family::Trigger, Status::Ran, 50, &["a 3×3 patch in 14 rows of one class would have been seen"]),
        unit("trigger.token", Family::Trigger, Status::Skipped("there is no text column".to_owned()), 0, &[]),
        unit("label.crossfit", Family::Label, Status::Failed("ran out of its memory budget".to_owned()), 0, &[]),
    ];
    outcome.findings = [
        ("trigger.patch", Family::Trigger, Tier::Alarm, 9.3e-37, patch),
        ("duplicate.exact", Family::Duplicate, Tier::Suspect, 8e-7, copies),
    ]
    .into_iter()
    .map(|(code, family, tier, q, group)| Finding {
        code: code.to_owned(),
        family,
        tier,
        q,
        fingerprint: "00ff00ff00ff00ff".to_owned(),
        standing: Standing::Open,
        group,
    })
    .collect();
    outcome.families = BTreeMap::from([
        ("trigger".to_owned(), FamilyCounts { alarm_groups: 1, alarm_rows: 50, ..FamilyCounts::default() }),
        ("duplicate".to_owned(), FamilyCounts { suspect_groups: 1, suspect_rows: 102, ..FamilyCounts::default() }),
    ]);
    outcome.flagged_rows = 152;
    outcome.data.columns.push(column("source", "Utf8", Role::Source, "named like a source"));
    outcome.data.nulls.insert("source".to_owned(), 12);
    outcome.data.unreadable.insert("image".to_owned(), 3);
    let value = |value: &str, rows, flagged| BreakdownRow { value: value.to_owned(), rows, flagged };
    outcome.breakdown = vec![
        Breakdown { by: "label".to_owned(), values: vec![value("0", 1_200, 120), value("7", 1_200, 32)] },
        Breakdown { by: "source".to_owned(), values: vec![value("mirror-b", 400, 150), value("upstream", 11_588, 2)] },
    ];
    outcome
}

/// The poisoned outcome with text that wants to be code in every field; each text is at least `length` bytes.
pub(crate) fn hostile(length: usize) -> Outcome {
    let evil = evil(length);
    let mut outcome = poisoned();
    let text = |target: &mut String| target.clone_from(&evil);
    outcome.reasons.iter_mut().chain(&mut outcome.estimates).for_each(text);
    for unit in &mut outcome.units {
        unit.notes = vec![evil.clone()];
        match &mut unit.status {
            Status::Ran => {}
            Status::Skipped(why) | Status::Failed(why) => text(why),
        }
    }
    for finding in &mut outcome.findings {
        let group = &mut finding.group;
        [&mut group.title, &mut group.cause, &mut group.statistic].into_iter().for_each(text);
        group.label = Some(evil.clone());
        group.evidence = Map::from_iter([
            ("picture".to_owned(), Value::from(format!("{PICTURE}\" onerror=\"alert(1)"))),
            (evil.clone(), json!({evil.clone(): [evil.clone(), {"deep": evil.clone()}]})),
        ]);
    }
    for breakdown in &mut outcome.breakdown {
        text(&mut breakdown.by);
        breakdown.values.iter_mut().for_each(|v| text(&mut v.value));
    }
    let data = &mut outcome.data;
    data.files.iter_mut().for_each(|f| text(&mut f.name));
    data.classes.iter_mut().for_each(|c| text(&mut c.name));
    for column in &mut data.columns {
        [&mut column.name, &mut column.data_type, &mut column.reason].into_iter().for_each(text);
    }
    data.label = Some(evil.clone());
    data.nulls = BTreeMap::from([(evil.clone(), 7)]);
    data.unreadable = BTreeMap::from([(evil, 8)]);
    outcome
}

/// HTML, script, bidirectional, terminal and invisible text.
pub(crate) fn evil(length: usize) -> String {
    let part = "</title></style><script>alert(1)</script>'\"><img src=x onerror=alert(1)>{{ 7*7 }}{% raw %}&lt;\
        \u{202E}\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{200B}\u{E0041}\r\n\t\0";
    part.repeat(length.div_ceil(part.len()).max(1))
}
