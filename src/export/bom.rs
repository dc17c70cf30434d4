//! CycloneDX 1.6: the files of the data as components, with the report as evidence about them.

use serde_json::{Value, json};

use super::Material;
use super::text::{name, uri, word};
use crate::data::File;
use crate::report::words::Gist;

/// The bill of materials. It can stand alone, or its components go into that of a model.
pub(super) fn bom(material: &Material<'_>) -> Value {
    let report = &material.report;
    let property = |name: &str, value: String| json!({"name": format!("foretaste:{name}"), "value": value});
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(&material.digest),
        "version": 1,
        "metadata": {
            "timestamp": word(&report.created),
            "tools": {"components": [{"type": "application", "name": "foretaste", "version": word(&report.tool.version)}]},
            "component": {
                "type": "data",
                "bom-ref": "data-set",
                "name": "data set",
                "data": [{"type": "dataset", "name": "data set"}],
                "externalReferences": [{
                    "type": "evidence",
                    "url": "report.json",
                    "comment": format!("foretaste: {}", Gist::from(report).verdict()),
                    "hashes": [{"alg": "SHA-256", "content": &material.digest}],
                }],
                "properties": [
                    property("verdict", report.verdict.name().to_owned()),
                    property("complete", report.complete.to_string()),
                    property("rows", report.data.rows.to_string()),
                    property("listed_rows", report.flagged_rows.to_string()),
                    property("policy_digest", word(&report.policy_digest)),
                    property("settings_digest", word(&report.settings_digest)),
                ],
            },
        },
        "components": report.data.files.iter().enumerate().map(|(at, file)| component(at, file)).collect::<Vec<_>>(),
        "dependencies": [{"ref": "data-set", "dependsOn": (0..report.data.files.len()).map(reference).collect::<Vec<_>>()}],
    })
}

fn reference(at: usize) -> String {
    format!("file-{at}")
}

fn component(at: usize, file: &File) -> Value {
    json!({
        "type": "data",
        "bom-ref": reference(at),
        "name": name(&file.name),
        "hashes": [{"alg": "SHA-256", "content": &file.sha256}, {"alg": "BLAKE3", "content": &file.blake3}],
        "data": [{"type": "dataset", "name": name(&file.name), "contents": {"url": uri(&file.name)}}],
        "properties": [
            {"name": "foretaste:rows", "value": file.rows.to_string()},
            {"name": "foretaste:bytes", "value": file.bytes.to_string()},
        ],
    })
}

/// A UUID of version 8 (RFC 9562) that the report's digest gives, so that equal reports give equal bills.
fn serial(digest: &str) -> String {
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default().to_ascii_lowercase();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
