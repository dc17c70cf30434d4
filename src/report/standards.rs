//! What a run is evidence for: provisions of EN 304 223 and entries of attack taxonomies.

use serde::{Deserialize, Serialize};

use super::json::{SCHEMA, Settings};
use super::words::{count, list, plural};
use crate::data::Role;
use crate::error::{Error, Result};
use crate::finding::{Family, Tier};
use crate::run::{Outcome, Status};

/// The provisions and taxonomies that foretaste knows, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The standard.
    pub standard: Standard,
    /// What is true of every report.
    pub statements: Vec<String>,
    /// Development-phase provisions that a scan of data bears on.
    pub provisions: Vec<Provision>,
    /// Kinds of finding.
    pub attack_classes: Vec<AttackClass>,
}

/// Which text the provisions are numbered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standard {
    /// Its number.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Year and month.
    pub published: String,
    /// Address of the text.
    pub url: String,
}

/// One provision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Number in the standard.
    pub id: String,
    /// How it is cited.
    pub citation: String,
    /// `shall` or `should`.
    pub strength: String,
    /// `direct` (a scan gives the main technical evidence) or `supporting` (other evidence is needed too).
    pub relevance: String,
    /// Whom it is addressed to.
    pub addressed_to: Vec<String>,
    /// What it asks for.
    pub summary: String,
    /// Facts of a run that bear on it.
    pub facts: Vec<Fact>,
    /// What a scan does not show.
    pub not_shown: String,
    /// What a person must still record.
    pub to_record: String,
}

/// A kind of finding and what others call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackClass {
    /// The key that a cause names as its attack class.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whether looking at data can show it.
    pub detectable_in_data: String,
    /// Entries of taxonomies.
    pub entries: Vec<Entry>,
}

/// An entry of a taxonomy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The taxonomy.
    pub list: String,
    /// Its version.
    pub version: String,
    /// The id within it.
    pub id: String,
    /// The entry's name.
    pub name: String,
}

/// Something that a run can say for a provision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    /// What was scanned.
    Inventory,
    /// Digests of the files.
    Digests,
    /// Which detectors ran over which share of the data.
    Checks,
    /// What was found.
    Findings,
    /// What each detector could have seen.
    Power,
    /// Where the listed rows are named.
    Rows,
    /// What it takes to repeat the run.
    Repeat,
    /// Whether the data says where rows came from.
    Source,
    /// Whether the data says when rows were made.
    Time,
    /// Values that are missing or cannot be read.
    Gaps,
    /// Triggers that tests can be built from.
    Triggers,
    /// The report as a document.
    Report,
}

/// The section of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The standard.
    pub standard: Standard,
    /// What is true of every report.
    pub statements: Vec<String>,
    /// Provisions with this run's evidence.
    pub provisions: Vec<ProvisionEvidence>,
    /// The kinds of finding in this report and their entries in taxonomies.
    pub taxonomies: Vec<AttackClass>,
}

/// A provision with this run's evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionEvidence {
    /// Number in the standard.
    pub id: String,
    /// How it is cited.
    pub citation: String,
    /// `shall` or `should`.
    pub strength: String,
    /// `direct` or `supporting`.
    pub relevance: String,
    /// Whom it is addressed to.
    pub addressed_to: Vec<String>,
    /// What it asks for.
    pub summary: String,
    /// What this run shows, sentences.
    pub evidence: Vec<String>,
    /// What it does not show.
    pub not_shown: String,
    /// What a person must still record.
    pub to_record: String,
}

impl Catalogue {
    /// The catalogue that ships with foretaste.
    pub fn embedded() -> Result<Self> {
        serde_json::from_str(include_str!("standards.json")).map_err(|e| Error::config("standards.json", e.to_string()))
    }

    /// The kind of finding with a key.
    #[must_use]
    pub fn attack_class(&self, key: &str) -> Option<&AttackClass> {
        self.attack_classes.iter().find(|class| class.key == key)
    }
}

impl Section {
    /// The section of a run.
    pub fn new(outcome: &Outcome, settings: &Settings) -> Result<Self> {
        let catalogue = Catalogue::embedded()?;
        let found = |class: &&AttackClass| outcome.findings.iter().any(|f| f.group.attack_class == class.key);
        let taxonomies = catalogue.attack_classes.iter().filter(found).cloned().collect();
        let provisions = catalogue
            .provisions
            .into_iter()
            .map(|provision| ProvisionEvidence {
                evidence: provision.facts.iter().map(|fact| fact.sentence(outcome, settings)).collect(),
                id: provision.id,
                citation: provision.citation,
                strength: provision.strength,
                relevance: provision.relevance,
                addressed_to: provision.addressed_to,
                summary: provision.summary,
                not_shown: provision.not_shown,
                to_record: provision.to_record,
            })
            .collect();
        Ok(Self { standard: catalogue.standard, statements: catalogue.statements, provisions, taxonomies })
    }
}

impl Fact {
    fn sentence(self, outcome: &Outcome, settings: &Settings) -> String {
        let data = &outcome.data;
        match self {
            Self::Inventory => {
                let bytes: u64 = data.files.iter().map(|f| f.bytes).sum();
                let classes = match &data.label {
                    Some(label) => format!("{} in the label column '{label}'", plural(data.classes.len() as u64, "class", "classes")),
                    None => "no label column".to_owned(),
                };
                let files = plural(data.files.len() as u64, "file", "files");
                let columns = plural(data.columns.len() as u64, "column", "columns");
                format!("Scanned {files} of {} bytes: {} rows, {columns}, {classes}.", count(bytes), count(data.rows))
            }
            Self::Digests => {
                format!("BLAKE3 and SHA-256 digests of {} stand under data.", plural(data.files.len() as u64, "file", "files"))
            }
            Self::Checks => checks(outcome),
            Self::Findings => findings(outcome),
            Self::Power => {
                let (mut ran, mut with_notes) = (0, 0);
                for unit in claiming(outcome).filter(|u| u.status == Status::Ran) {
                    ran += 1;
                    with_notes += u64::from(!unit.notes.is_empty());
                }
                format!(
                    "What it could have seen, or how far it reaches, is noted for {} of {} that ran.",
                    count(with_notes),
                    plural(ran, "detector", "detectors")
                )
            }
            Self::Rows => match outcome.flagged_rows {
                0 => "No row is listed.".to_owned(),
                rows => format!("rows.parquet names each listed row ({}) with its position, file, reason and evidence.", count(rows)),
            },
            Self::Repeat => format!(
                "foretaste {}, seed {}, settings digest {}: with the same files the run can be repeated and compared.",
                env!("CARGO_PKG_VERSION"),
                settings.seed,
                settings.digest()
            ),
            Self::Source => role(outcome, Role::Source, "where rows came from"),
            Self::Time => role(outcome, Role::Time, "when rows were made or fetched"),
            Self::Gaps => {
                let nulls: u64 = data.nulls.values().sum();
                let unreadable: u64 = data.unreadable.values().sum();
                format!("{} missing and {} unreadable, by column under data.", plural(nulls, "value", "values"), count(unreadable))
            }
            Self::Triggers => {
                let triggers = outcome.findings.iter().filter(|f| f.family == Family::Trigger).count() as u64;
                match triggers {
                    0 => "No trigger was found that a test could be built from.".to_owned(),
                    n => {
                        format!("{} with evidence to build tests from, under groups.", plural(n, "trigger candidate", "trigger candidates"))
                    }
                }
            }
            Self::Report => format!("This report: report.json ({SCHEMA}), report.html and rows.parquet."),
        }
    }
}

fn claiming(outcome: &Outcome) -> impl Iterator<Item = &crate::run::UnitOutcome> {
    outcome.units.iter().filter(|u| u.family != Family::Derived)
}

fn checks(outcome: &Outcome) -> String {
    let codes =
        |wanted: fn(&Status) -> bool| -> Vec<&str> { claiming(outcome).filter(|u| wanted(&u.status)).map(|u| u.code.as_str()).collect() };
    let ran = codes(|s| matches!(s, Status::Ran));
    let skipped = codes(|s| matches!(s, Status::Skipped(_)));
    let failed = codes(|s| matches!(s, Status::Failed(_)));
    let mut said = vec![if ran.is_empty() {
        "No detector ran.".to_owned()
    } else {
        format!("{} ran over all {} rows: {}.", plural(ran.len() as u64, "detector", "detectors"), count(outcome.data.rows), list(&ran))
    }];
    for (codes, what) in [(skipped, "Skipped"), (failed, "Failed, so the run is incomplete")] {
        if !codes.is_empty() {
            said.push(format!("{what}: {}.", list(&codes)));
        }
    }
    said.join(" ")
}

fn findings(outcome: &Outcome) -> String {
    let at = |tier| outcome.findings.iter().filter(|f| f.tier == tier).count() as u64;
    format!(
        "Verdict {}{}: {} at tier alarm, {} at tier suspect, {} listed.",
        outcome.verdict.name(),
        if outcome.complete { "" } else { ", incomplete" },
        plural(at(Tier::Alarm), "cause", "causes"),
        count(at(Tier::Suspect)),
        plural(outcome.flagged_rows, "row", "rows"),
    )
}

fn role(outcome: &Outcome, role: Role, what: &str) -> String {
    let data = &outcome.data;
    match data.columns.iter().find(|c| c.role == role) {
        None => format!("No column says {what}."),
        Some(column) => {
            let nulls = data.nulls.get(&column.name).copied().unwrap_or(0);
            format!("Column '{}' says {what}; it is missing in {} of {} rows.", column.name, count(nulls), count(data.rows))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::sample;

    #[test]
    fn ids_are_unique_and_texts_are_there() {
        let catalogue = Catalogue::embedded().unwrap();
        let ids: BTreeSet<&str> = catalogue.provisions.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids.len(), catalogue.provisions.len());
        let keys: BTreeSet<&str> = catalogue.attack_classes.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys.len(), catalogue.attack_classes.len());
        for provision in &catalogue.provisions {
            assert!(provision.id.starts_with("5.2."), "{}", provision.id);
            assert_eq!(provision.citation, format!("EN 304 223 V2.1.1, provision {}", provision.id));
            assert!(["shall", "should"].contains(&provision.strength.as_str()));
            assert!(["direct", "supporting"].contains(&provision.relevance.as_str()));
            assert!(!provision.facts.is_empty() && !provision.not_shown.is_empty() && !provision.to_record.is_empty());
        }
        for class in &catalogue.attack_classes {
            let entries: BTreeSet<_> = class.entries.iter().map(|e| (&e.list, &e.version, &e.id)).collect();
            assert_eq!(entries.len(), class.entries.len(), "{}", class.key);
            assert!(class.entries.iter().all(|e| !e.version.is_empty() && !e.name.is_empty()), "{}", class.key);
        }
    }

    #[test]
    fn the_provisions_that_data_scans_serve_directly_are_there() {
        let catalogue = Catalogue::embedded().unwrap();
        let direct: Vec<&str> = catalogue.provisions.iter().filter(|p| p.relevance == "direct").map(|p| p.id.as_str()).collect();
        assert_eq!(direct, ["5.2.1-4.1", "5.2.4-2", "5.2.4-2.1"]);
        assert_eq!(catalogue.provisions.len(), 20);
    }

    #[test]
    fn every_attack_class_that_a_detector_may_name_is_known() {
        let catalogue = Catalogue::embedded().unwrap();
        for key in [
            "label_flip",
            "availability_poisoning",
            "targeted_poisoning",
            "clean_label_poisoning",
            "backdoor_trigger",
            "clean_label_backdoor",
            "shortcut",
            "dataset_supply_chain",
            "split_view_poisoning",
            "frontrunning_poisoning",
            "duplicate_flooding",
            "false_content",
            "unintended_corruption",
            "distribution_shift",
            "retrieval_poisoning",
        ] {
            assert!(catalogue.attack_class(key).is_some(), "{key}");
        }
        assert!(catalogue.attack_class("magic").is_none());
    }

    #[test]
    fn the_statements_say_what_a_report_is_not() {
        let said = Catalogue::embedded().unwrap().statements.join(" ");
        for part in [
            "never a statement of conformity",
            "sets no metric, threshold",
            "not absence of poisoning",
            "does not satisfy provision 5.2.4-1.2",
        ] {
            assert!(said.contains(part), "{part}");
        }
    }

    #[test]
    fn evidence_follows_the_run() {
        let section = |outcome: &Outcome| Section::new(outcome, &sample::settings()).unwrap();
        let evidence = |section: &Section, id: &str| section.provisions.iter().find(|p| p.id == id).unwrap().evidence.join(" ");
        let poisoned = section(&sample::poisoned());
        let checked = evidence(&poisoned, "5.2.1-4.1");
        assert!(checked.contains("2 detectors ran over all 12,000 rows"), "{checked}");
        assert!(checked.contains("Failed, so the run is incomplete: label.crossfit."), "{checked}");
        assert!(checked.contains("Verdict fail, incomplete: 1 cause at tier alarm, 1 at tier suspect, 152 rows listed."), "{checked}");
        assert!(evidence(&poisoned, "5.2.4-2").contains("Column 'source' says where rows came from; it is missing in 12 of 12,000 rows."));
        assert!(evidence(&poisoned, "5.2.5-4.1").contains("1 trigger candidate with evidence"));
        assert_eq!(poisoned.taxonomies.iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), ["backdoor_trigger", "duplicate_flooding"]);
        let clean = section(&sample::clean());
        assert!(evidence(&clean, "5.2.4-2").contains("No column says where rows came from."));
        assert!(evidence(&clean, "5.2.1-3").contains("No row is listed."));
        assert!(clean.taxonomies.is_empty());
    }
}
