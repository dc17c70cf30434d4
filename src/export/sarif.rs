//! SARIF 2.1.0: a rule a detector, a result a cause, and one a listed row that belongs to no cause.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Material;
use super::rows::{Row, each};
use super::text::{name, sentence, uri, word};
use crate::error::Result;
use crate::finding::{Standing, Verdict};
use crate::fold::Info;
use crate::report::json::{Detector, ReportGroup};
use crate::report::words::{number, plural, standing};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Rows without a cause that become results; viewers take a few thousand.
const ROWS: usize = 1_000;

/// The log, of one run.
pub(super) fn log(material: &Material<'_>) -> Result<Value> {
    let report = &material.report;
    let rules = Rules::new(material);
    let taxonomies = Taxonomies::new(material);
    let mut results: Vec<Value> = report.groups.iter().map(|group| of_cause(material, group, &rules, &taxonomies)).collect();
    let mut more = 0_u64;
    let mut taken = 0;
    each(&material.folder, |row| {
        if row.causes.is_empty() && taken < ROWS {
            results.push(of_row(material, &row, &rules));
            taken += 1;
        } else if row.causes.is_empty() {
            more += 1;
        }
        Ok(())
    })?;
    Ok(json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "foretaste",
                "version": word(&report.tool.version),
                "rules": rules.rules,
                "supportedTaxonomies": taxonomies.references(),
            }},
            "taxonomies": taxonomies.components(),
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts(material),
            "invocations": [invocation(material, more)],
            "results": results,
            "properties": {
                "verdict": report.verdict.name(),
                "rows": report.data.rows,
                "listedRows": report.flagged_rows,
                "rowsLeftOut": more,
                "settingsDigest": word(&report.settings_digest),
                "policyDigest": word(&report.policy_digest),
                "reportSha256": &material.digest,
            },
        }],
    }))
}

/// A sentence for a message: in one, brackets are links and braces places to fill (3.11.5, 3.11.6), unless they are written so.
fn message(text: &str) -> Value {
    let mut out = String::new();
    for c in sentence(text).chars() {
        match c {
            '\\' | '[' | ']' => out.extend(['\\', c]),
            '{' | '}' => out.extend([c, c]),
            c => out.push(c),
        }
    }
    json!({"text": out})
}

/// The detectors.
struct Rules {
    rules: Vec<Value>,
    /// By code as it is shown, the index in `rules`.
    index: BTreeMap<String, usize>,
}

impl Rules {
    fn new(material: &Material<'_>) -> Self {
        let mut out = Self { rules: Vec::new(), index: BTreeMap::new() };
        for (detector, info) in material.detectors() {
            let code = word(&detector.code);
            // A log may not say the same twice, whatever a report that was tampered with says.
            if !out.index.contains_key(&code) {
                out.index.insert(code, out.rules.len());
                out.rules.push(rule(detector, info));
            }
        }
        out
    }

    /// The keys of a result that name its rule.
    fn named(&self, code: &str) -> Map<String, Value> {
        let code = word(code);
        let at = self.index.get(&code).map(|at| ("ruleIndex".to_owned(), (*at).into()));
        std::iter::once(("ruleId".to_owned(), code.into())).chain(at).collect()
    }
}

fn rule(detector: &Detector, info: Option<&Info>) -> Value {
    let mut rule = json!({"id": word(&detector.code), "properties": {"family": detector.family.name(), "tags": ["data-poisoning"]}});
    if let (Some(info), Some(rule)) = (info, rule.as_object_mut()) {
        let (finds, blind) = (section(info.manual, "What it finds"), section(info.manual, "Blind spots"));
        let more = format!("'foretaste explain {}' prints its manual.", info.code);
        rule.insert("shortDescription".to_owned(), json!({"text": info.summary}));
        rule.insert("fullDescription".to_owned(), json!({"text": finds}));
        rule.insert(
            "help".to_owned(),
            json!({"text": format!("{finds}\n\nBlind spots:\n{blind}\n\n{more}"), "markdown": format!("{finds}\n\n**Blind spots**\n\n{blind}\n\n{more}")}),
        );
    }
    rule
}

/// What a manual says under a heading.
fn section<'a>(manual: &'a str, heading: &str) -> &'a str {
    let of = |part: &'a str| part.strip_prefix(heading)?.strip_prefix('\n');
    manual.split("\n## ").find_map(of).unwrap_or_default().trim()
}

fn artifacts(material: &Material<'_>) -> Vec<Value> {
    let artifact = |file: &crate::data::File| {
        json!({
            "location": {"uri": uri(&file.name)},
            "description": {"text": name(&file.name)},
            "length": file.bytes,
            "roles": ["analysisTarget"],
            "hashes": {"sha-256": &file.sha256, "blake3": &file.blake3},
            "properties": {"rows": file.rows},
        })
    };
    material.report.data.files.iter().map(artifact).collect()
}

fn invocation(material: &Material<'_>, more: u64) -> Value {
    let report = &material.report;
    let failed = report.detectors.iter().filter(|detector| detector.status == "failed").map(|detector| {
        let why = detector.why.as_deref().unwrap_or_default();
        json!({"level": "error", "message": message(&format!("{} failed: {why}", detector.code))})
    });
    let left_out = (more > 0).then(|| {
        let said = format!("{} without a cause in rows.parquet.", plural(more, "more listed row", "more listed rows"));
        json!({"level": "note", "message": message(&said)})
    });
    let mut out = json!({
        "executionSuccessful": report.complete,
        "toolExecutionNotifications": failed.chain(left_out).collect::<Vec<_>>(),
    });
    // A time that is none would make the whole log invalid.
    if let (Ok(time), Some(out)) = (report.created.parse::<jiff::Timestamp>(), out.as_object_mut()) {
        out.insert("endTimeUtc".to_owned(), time.to_string().into());
    }
    out
}

fn of_cause(material: &Material<'_>, group: &ReportGroup, rules: &Rules, taxonomies: &Taxonomies) -> Value {
    let mut result = rules.named(&group.code);
    let level = match material.comes_to(group) {
        Some(Verdict::Fail) => "error",
        Some(Verdict::Warn) => "warning",
        Some(Verdict::Pass) | None => "note",
    };
    let said = format!("{} ({}, {}, q {})", group.title, group.tier.name(), plural(group.rows, "row", "rows"), number(group.q));
    let examples: BTreeSet<u64> = group.examples.iter().copied().collect();
    let mut locations = examples.into_iter().filter_map(|row| location(material, row));
    let first = locations.next().or_else(|| whole(material));
    result.extend([
        ("level".to_owned(), level.into()),
        ("message".to_owned(), message(&said)),
        ("locations".to_owned(), first.into_iter().collect()),
        ("relatedLocations".to_owned(), locations.collect()),
        ("partialFingerprints".to_owned(), json!({"foretasteCause/v1": word(&group.fingerprint)})),
        ("suppressions".to_owned(), suppressions(&group.standing)),
        ("taxa".to_owned(), taxonomies.of(&group.attack_class).into()),
        (
            "properties".to_owned(),
            json!({
                "tier": group.tier.name(),
                "attackClass": word(&group.attack_class),
                "rows": group.rows,
                "agreeing": group.agreeing,
                "label": group.label.as_deref().map(sentence),
                "p": group.p,
                "q": group.q,
            }),
        ),
    ]);
    Value::Object(result)
}

/// Why a cause does not count; empty where it does.
fn suppressions(of: &Standing) -> Value {
    let why = standing(of);
    why.iter().map(|why| json!({"kind": "external", "status": "accepted", "justification": sentence(why)})).collect()
}

fn of_row(material: &Material<'_>, row: &Row, rules: &Rules) -> Value {
    let code = row.codes.first().map_or("", String::as_str);
    let mut result = rules.named(code);
    let who = row.id.clone().unwrap_or_else(|| row.position.to_string());
    let print = blake3::hash(format!("{code}\n{who}").as_bytes()).to_hex();
    result.extend([
        ("level".to_owned(), if row.tier == "alarm" || row.tier == "suspect" { "warning" } else { "note" }.into()),
        ("message".to_owned(), message(&format!("row {}: {}", row.position, row.reason))),
        ("locations".to_owned(), location(material, row.position).or_else(|| whole(material)).into_iter().collect()),
        ("partialFingerprints".to_owned(), json!({"foretasteRow/v1": print.as_str()})),
        (
            "properties".to_owned(),
            json!({
                "tier": word(&row.tier),
                "codes": row.codes.iter().map(|code| word(code)).collect::<Vec<_>>(),
                "id": row.id.as_deref().map(sentence),
                "label": row.label.as_deref().map(sentence),
                "q": row.q,
            }),
        ),
    ]);
    Value::Object(result)
}

/// A row of the data: its position in the whole set as a name, and in its file, from 0. A line is not named: headings, blank lines and
/// line breaks in values shift lines of text against rows, binary files have none, and a report does not say where they are.
fn location(material: &Material<'_>, row: u64) -> Option<Value> {
    let (at, place) = material.place(row)?;
    let file = material.report.data.files.get(at)?;
    Some(json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(&file.name), "index": at}},
        "logicalLocations": [{"fullyQualifiedName": format!("row {row}"), "kind": "row"}],
        "properties": {"rowInFile": place},
    }))
}

/// The first file, where no row is known.
fn whole(material: &Material<'_>) -> Option<Value> {
    let file = material.report.data.files.first()?;
    Some(json!({"physicalLocation": {"artifactLocation": {"uri": uri(&file.name), "index": 0}}}))
}

/// EN 304 223 and the taxonomies of attacks that the report names.
struct Taxonomies {
    /// Name, and the rest of the component.
    lists: Vec<(String, Map<String, Value>)>,
    /// By list and id, the index in the list.
    ids: BTreeMap<(usize, String), usize>,
    /// By kind of attack, entries: list and id.
    classes: BTreeMap<String, Vec<(usize, String)>>,
}

impl Taxonomies {
    fn new(material: &Material<'_>) -> Self {
        let section = &material.report.standards;
        let standard = &section.standard;
        let provision = |provision: &crate::report::standards::ProvisionEvidence| {
            json!({
                "id": word(&provision.id),
                "name": word(&provision.citation),
                "shortDescription": {"text": sentence(&provision.summary)},
                "fullDescription": {"text": provision.evidence.iter().map(|said| sentence(said)).collect::<Vec<_>>().join(" ")},
                "properties": {
                    "strength": word(&provision.strength),
                    "relevance": word(&provision.relevance),
                    "notShown": sentence(&provision.not_shown),
                    "toRecord": sentence(&provision.to_record),
                },
            })
        };
        let en = Map::from_iter([
            ("version".to_owned(), word(&standard.version).into()),
            ("organization".to_owned(), "ETSI".into()),
            ("fullName".to_owned(), sentence(&standard.title).into()),
            ("isComprehensive".to_owned(), false.into()),
            ("shortDescription".to_owned(), json!({"text": section.statements.first().map(|said| sentence(said)).unwrap_or_default()})),
            ("taxa".to_owned(), Value::Array(Vec::new())),
        ]);
        let mut out = Self { lists: vec![(format!("ETSI {}", word(&standard.name)), en)], ids: BTreeMap::new(), classes: BTreeMap::new() };
        for of in &section.provisions {
            out.add(0, &of.id, provision(of));
        }
        let direct: Vec<(usize, String)> = section
            .provisions
            .iter()
            .filter(|provision| provision.relevance == "direct")
            .map(|provision| (0, word(&provision.id)))
            .collect();
        for class in &section.taxonomies {
            let mut entries = direct.clone();
            for entry in &class.entries {
                let list = out.list(&word(&entry.list), &word(&entry.version));
                out.add(list, &entry.id, json!({"id": word(&entry.id), "shortDescription": {"text": sentence(&entry.name)}}));
                entries.push((list, word(&entry.id)));
            }
            entries.sort_unstable();
            entries.dedup();
            out.classes.insert(class.key.clone(), entries);
        }
        out
    }

    /// The place of a taxonomy, which is added where it is not there yet.
    fn list(&mut self, name: &str, version: &str) -> usize {
        let known = self.lists.iter().position(|(other, rest)| other == name && rest.get("version").is_some_and(|v| v == version));
        known.unwrap_or_else(|| {
            let rest = [("version", version.into()), ("isComprehensive", false.into()), ("taxa", Value::Array(Vec::new()))];
            self.lists.push((name.to_owned(), rest.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()));
            self.lists.len() - 1
        })
    }

    /// Adds an entry to a list that does not have it yet.
    fn add(&mut self, list: usize, id: &str, taxon: Value) {
        let taxa = self.lists.get_mut(list).and_then(|(_, rest)| rest.get_mut("taxa")).and_then(Value::as_array_mut);
        let key = (list, word(id));
        if let Some(taxa) = taxa.filter(|_| !self.ids.contains_key(&key)) {
            self.ids.insert(key, taxa.len());
            taxa.push(taxon);
        }
    }

    fn components(&self) -> Vec<Value> {
        let component = |(name, rest): &(String, Map<String, Value>)| {
            let mut component = Map::from_iter([("name".to_owned(), Value::from(name.as_str()))]);
            component.extend(rest.clone());
            Value::Object(component)
        };
        self.lists.iter().map(component).collect()
    }

    fn references(&self) -> Vec<Value> {
        self.lists.iter().enumerate().map(|(at, (name, _))| json!({"name": name, "index": at})).collect()
    }

    /// What a kind of attack is called elsewhere, and the provisions that a scan of data serves.
    fn of(&self, class: &str) -> Vec<Value> {
        let reference = |(list, id): &(usize, String)| {
            let at = self.ids.get(&(*list, id.clone()))?;
            let (name, _) = self.lists.get(*list)?;
            Some(json!({"id": id, "index": at, "toolComponent": {"name": name, "index": list}}))
        };
        self.classes.get(class).into_iter().flatten().filter_map(reference).collect()
    }
}
