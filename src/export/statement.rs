//! An in-toto Statement of version 1: the files of the data as subjects, what the scan came to as predicate. [`crate::attest`] signs it.

use serde_json::{Value, json};

use super::Material;
use super::text::{name, word};
use crate::data::File;
use crate::data::read::digest_of;
use crate::error::Result;
use crate::finding::Standing;
use crate::report::json::ReportGroup;
use crate::review::DECISIONS;

/// Names the fields of the predicate; another number where one changes its meaning.
const PREDICATE: &str = "urn:foretaste:verdict:1";
/// The listed rows.
const ROWS: &str = "rows.parquet";
/// The page, which is what most people read.
const PAGE: &str = "report.html";
/// Causes in the predicate; `causes` says how many there are.
const CAUSES: usize = 1_000;

/// The statement. A signer puts it into an envelope (DSSE) as it stands.
pub(super) fn statement(material: &Material<'_>) -> Result<Value> {
    let report = &material.report;
    let subjects: Vec<Value> = material.files()?.iter().map(descriptor).collect();
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "tool": {"name": "foretaste", "version": word(&report.tool.version)},
            "scannedOn": word(&report.created),
            "verdict": report.verdict.name(),
            "complete": report.complete,
            "rows": report.data.rows,
            "listedRows": report.flagged_rows,
            "causes": report.groups.len(),
            "findings": report.groups.iter().take(CAUSES).map(finding).collect::<Vec<_>>(),
            "policyDigest": {"blake3": word(&report.policy_digest)},
            "settingsDigest": {"blake3": word(&report.settings_digest)},
            "reference": report.data.reference.iter().map(descriptor).collect::<Vec<_>>(),
            "report": {"name": "report.json", "digest": {"sha256": &material.digest}},
            "files": beside(material)?,
        },
    }))
}

/// The files beside `report.json` that say what was found, listed and decided.
fn beside(material: &Material<'_>) -> Result<Vec<Value>> {
    let present = [ROWS, PAGE, DECISIONS].into_iter().filter(|name| material.folder.join(name).is_file());
    present.map(|name| Ok(json!({"name": name, "digest": {"sha256": digest_of(&material.folder.join(name))?}}))).collect()
}

/// A resource descriptor.
fn descriptor(file: &File) -> Value {
    json!({"name": name(&file.name), "digest": {"sha256": file.sha256.to_ascii_lowercase(), "blake3": file.blake3.to_ascii_lowercase()}})
}

fn finding(group: &ReportGroup) -> Value {
    let standing = match group.standing {
        Standing::Open => "open",
        Standing::Waived { .. } => "waived",
        Standing::Known => "known",
    };
    json!({
        "code": word(&group.code),
        "fingerprint": word(&group.fingerprint),
        "tier": group.tier.name(),
        "standing": standing,
        "rows": group.rows,
    })
}
