//! What the benches over data sets share: the catalog of packs, and one scan.

// Each bench takes what it needs.
#![allow(dead_code, unreachable_pub, clippy::missing_panics_doc)]

use std::path::{Path, PathBuf};

use foretaste::data::{Choices, Source};
use foretaste::detect;
use foretaste::error::Result;
use foretaste::run::{Order, Outcome, Silent, Sink, scan};

pub type Failure = Box<dyn std::error::Error>;

/// The arguments after the name of the bench.
pub struct Arguments(Vec<String>);

impl Arguments {
    pub fn read() -> Self {
        Self(std::env::args().skip(1).filter(|a| a != "--bench").collect())
    }

    /// What follows a flag.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.0.iter().position(|a| a == flag).and_then(|i| self.0.get(i + 1)).map(String::as_str)
    }

    /// A number that follows a flag.
    pub fn number(&self, flag: &str, otherwise: u64) -> u64 {
        self.value(flag).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|a| a == flag)
    }

    /// The folder of packs, by default `../shared/data`.
    pub fn folder(&self) -> PathBuf {
        self.0.first().filter(|a| !a.starts_with("--")).map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from)
    }
}

/// One label column of one pack.
pub struct Case {
    pub name: String,
    pub modality: String,
    pub kind: String,
    pub data: PathBuf,
    pub truth: PathBuf,
    pub label: Option<String>,
    pub other_labels: Vec<String>,
    pub clean: bool,
}

impl Case {
    pub fn choices(&self) -> Choices {
        Choices { label: self.label.clone(), ignore: self.other_labels.clone(), ..Choices::default() }
    }
}

/// Every label column of every pack; none without a catalog.
pub fn cases(folder: &Path) -> std::result::Result<Vec<Case>, Failure> {
    let catalog = folder.join("catalog.jsonl");
    let mut out = Vec::new();
    if !catalog.exists() {
        return Ok(out);
    }
    for line in std::fs::read_to_string(catalog)?.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let labels: Vec<String> =
            entry["label_columns"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        let truth = folder.join(text("truth"));
        for label in labels.iter().map(|l| Some(l.clone())).chain(labels.is_empty().then_some(None)) {
            let name = if labels.len() > 1 { format!("{}:{}", text("name"), label.clone().unwrap_or_default()) } else { text("name") };
            let other_labels = labels.iter().filter(|l| Some(*l) != label.as_ref()).cloned().collect();
            let clean = text("kind") == "clean" || name.ends_with("clean_copy");
            out.push(Case {
                name,
                modality: text("modality"),
                kind: text("kind"),
                data: folder.join(text("data")),
                truth: truth.clone(),
                label,
                other_labels,
                clean,
            });
        }
    }
    Ok(out)
}

/// A scan with default settings.
pub fn order(choices: Choices, seed: u64, threads: usize, only: &[&str]) -> Order {
    Order { choices, threads, only: only.iter().map(|&entry| entry.to_owned()).collect(), ..Order::new(seed) }
}

/// Runs it with every detector.
pub fn run(source: &dyn Source, order: &Order, sink: &mut (dyn Sink + Send)) -> Result<Outcome> {
    scan(source, detect::all(), order, sink, &Silent)
}

/// Takes rows and forgets them.
pub struct Nowhere;

impl Sink for Nowhere {
    fn rows(&mut self, _: &arrow::record_batch::RecordBatch) -> Result<()> {
        Ok(())
    }

    fn scores(&mut self, _: &arrow::record_batch::RecordBatch) -> Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}
