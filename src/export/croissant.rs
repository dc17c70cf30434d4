//! Croissant 1.0 (JSON-LD): where the data lie and what they were when they were scanned. A fragment: name, licence and records of
//! the set are for its owner to add.

use serde_json::{Map, Value, json};

use super::Material;
use super::text::{name, uri, word};
use crate::data::File;
use crate::error::Result;
use crate::report::words::{Gist, plural};

/// Terms of the standard context that stand for the term of the same name in Croissant's vocabulary.
const TERMS: [&str; 26] = [
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
];

/// The standard context, so that whoever completes the fragment need not change it.
fn context() -> Value {
    let mut terms: Map<String, Value> = TERMS.iter().map(|term| ((*term).to_owned(), format!("cr:{term}").into())).collect();
    let others = [
        ("@language", json!("en")),
        ("@vocab", json!("https://schema.org/")),
        ("conformsTo", json!("dct:conformsTo")),
        ("cr", json!("http://mlcommons.org/croissant/")),
        ("data", json!({"@id": "cr:data", "@type": "@json"})),
        ("dataType", json!({"@id": "cr:dataType", "@type": "@vocab"})),
        ("dct", json!("http://purl.org/dc/terms/")),
        ("examples", json!({"@id": "cr:examples", "@type": "@json"})),
        ("rai", json!("http://mlcommons.org/croissant/RAI/")),
        ("sc", json!("https://schema.org/")),
    ];
    terms.extend(others.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(terms)
}

/// The data set with its distribution.
pub(super) fn dataset(material: &Material<'_>) -> Result<Value> {
    let report = &material.report;
    let files: Vec<Value> = material.files()?.iter().enumerate().map(|(at, file)| object(at, file)).collect();
    Ok(json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "data-set",
        "description": format!("{} with {} rows, scanned by foretaste.", plural(files.len() as u64, "file", "files"), report.data.rows),
        "distribution": files,
        "subjectOf": {
            "@type": "sc:Report",
            "name": "foretaste report",
            "url": "report.json",
            "dateCreated": word(&report.created),
            "abstract": format!("foretaste {}: {}", word(&report.tool.version), Gist::from(report).verdict()),
            "identifier": format!("sha256:{}", material.digest),
        },
    }))
}

fn object(at: usize, file: &File) -> Value {
    json!({
        "@type": "cr:FileObject",
        "@id": format!("file-{at}"),
        "name": name(&file.name),
        "contentUrl": uri(&file.name),
        "contentSize": format!("{} B", file.bytes),
        "encodingFormat": encoding(&file.name),
        "sha256": &file.sha256,
    })
}

/// The media type that a name's ending tells.
fn encoding(name: &str) -> &'static str {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "parquet" => "application/vnd.apache.parquet",
        "arrow" | "feather" | "ipc" => "application/vnd.apache.arrow.file",
        "arrows" => "application/vnd.apache.arrow.stream",
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "jsonl" | "ndjson" => "application/jsonlines",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        _ => "application/octet-stream",
    }
}
