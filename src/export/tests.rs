use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListBuilder, StringArray, StringBuilder, UInt64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::finding::Standing;
use crate::report::{Options, Writer, sample, visible};
use crate::run::{Outcome, Sink, rows_schema};

/// What a spreadsheet, a page, a pull request or a terminal would take for its own.
const CODES: [&str; 7] = [
    "=cmd|' /C calc'!A0",
    "[click](javascript:alert(1)) {0} @team #1 https://evil.example www.evil.example",
    "a|b`c`\\|d",
    "]]><!-- &lt; \u{FFFE}\u{FFFF}\u{0}\u{B}",
    "\u{202E}\u{1b}[31m\r\n<script>alert(1)</script>",
    "\"; DROP, 'x'",
    "+\u{200B}1",
];

fn lists(values: &[Vec<String>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in values {
        for v in value {
            builder.values().append_value(v);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Listed rows with these reasons, ids and labels, none of which has a cause.
fn rows(texts: &[String]) -> RecordBatch {
    let n = texts.len();
    let text = || -> ArrayRef { Arc::new(StringArray::from_iter_values(texts)) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values((0..n as u64).map(|row| row * 100))),
        text(),
        text(),
        text(),
        lists(&vec![vec!["label".to_owned()]; n]),
        lists(&vec![vec!["label.crossfit".to_owned()]; n]),
        lists(&vec![Vec::new(); n]),
        Arc::new(StringArray::from(vec!["suspect"; n])),
        Arc::new(Float64Array::from(vec![1e-9; n])),
        text(),
        Arc::new(StringArray::from(vec!["{}"; n])),
    ];
    RecordBatch::try_new(rows_schema(Some(&DataType::Utf8)), columns).unwrap()
}

fn report(outcome: &Outcome, texts: &[String]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&home.path().join("report"), Options::default()).unwrap();
    if !texts.is_empty() {
        writer.rows(&rows(texts)).unwrap();
    }
    writer.finish(outcome, &sample::settings()).unwrap();
    home
}

fn registry() -> Vec<&'static Info> {
    crate::detect::all().iter().map(|unit| unit.info()).collect()
}

fn written(home: &TempDir, form: Form) -> String {
    let mut out = Vec::new();
    export(&home.path().join("report"), form, &registry(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The poisoned outcome with hostile text in every field, and a cell of a megabyte.
fn hostile() -> TempDir {
    let mut outcome = sample::hostile(1_000);
    let evil = |part: &str| format!("{part}{}", CODES.join(" "));
    outcome.findings[0].group.title = evil("");
    outcome.findings[1].group.title = evil("=");
    outcome.findings[1].standing = Standing::Waived { reason: evil("["), expires: "2027-01-01".to_owned() };
    outcome.data.files[0].name = format!("/data/{}.parquet", CODES.join("'\""));
    let mut texts: Vec<String> = CODES.iter().map(|&code| code.to_owned()).collect();
    texts.push(sample::evil(1 << 20));
    report(&outcome, &texts)
}

fn homes() -> Vec<(&'static str, TempDir)> {
    let mut accepted = sample::poisoned();
    accepted.findings[0].standing = Standing::Known;
    vec![
        ("clean", report(&sample::clean(), &[])),
        ("poisoned", report(&sample::poisoned(), &["a label that content contradicts".to_owned()])),
        ("accepted", report(&accepted, &[])),
        ("hostile", hostile()),
    ]
}

const SCHEMAS: [(Form, &str); 4] = [
    (Form::Sarif, include_str!("../../tests/schemas/sarif-2.1.0.schema.json")),
    (Form::CycloneDx, include_str!("../../tests/schemas/cyclonedx-1.6.schema.json")),
    (Form::InToto, include_str!("../../tests/schemas/in-toto-statement-1.schema.json")),
    (Form::Croissant, include_str!("../../tests/schemas/croissant-1.0.schema.json")),
];

fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn check(document: &Value, schema: &str, which: &str) {
    let errors: Vec<String> = validator(schema).iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{which}: {errors:#?}");
}

#[test]
fn json_forms_meet_their_schemas() {
    for (which, home) in homes() {
        for (form, schema) in SCHEMAS {
            check(&serde_json::from_str(&written(&home, form)).unwrap(), schema, &format!("{which}, {form:?}"));
        }
    }
}

#[test]
fn the_schemas_refuse_what_is_broken() {
    let breaks: [&[(&str, Value)]; 4] = [
        &[("/version", json!("2.2")), ("/runs/0/tool/driver/name", json!(1)), ("/runs/0/artifacts/0/length", json!(-2))],
        &[("/specVersion", json!(6)), ("/components/0/type", json!("dataset")), ("/components/0/hashes/0/content", json!("ab"))],
        &[("/subject", json!([])), ("/subject/0/digest", json!({})), ("/predicate/verdict", json!("maybe"))],
        &[("/distribution", json!([])), ("/distribution/0/sha256", json!("ab")), ("/conformsTo", json!("croissant"))],
    ];
    let home = report(&sample::poisoned(), &[]);
    for ((form, schema), breaks) in SCHEMAS.into_iter().zip(breaks) {
        let validator = validator(schema);
        let sound: Value = serde_json::from_str(&written(&home, form)).unwrap();
        for (pointer, value) in breaks {
            let mut broken = sound.clone();
            *broken.pointer_mut(pointer).unwrap() = value.clone();
            assert!(!validator.is_valid(&broken), "{form:?}: {pointer}");
        }
    }
}

#[test]
fn no_form_shows_what_is_hidden() {
    let home = hostile();
    for form in Form::ALL {
        let text = written(&home, form);
        assert!(text.len() < 2 << 20, "{form:?} is {} bytes", text.len());
        let layout = |c: char| c == '\n' || (c == '\r' && form == Form::Csv);
        let hidden = text.chars().find(|&c| !layout(c) && visible(&c.to_string(), 20) != c.to_string());
        assert_eq!(hidden, None, "{form:?}");
    }
}

#[test]
fn sarif_has_a_result_a_cause_and_a_row() {
    let home = report(&sample::poisoned(), &(0..1_200).map(|row| format!("reason {row} [x](1) {{0}}")).collect::<Vec<_>>());
    let log: Value = serde_json::from_str(&written(&home, Form::Sarif)).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 + 1_000);
    assert_eq!((&results[0]["level"], &results[1]["level"], &results[2]["level"]), (&json!("error"), &json!("warning"), &json!("warning")));
    for result in results {
        let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][at]["id"], result["ruleId"]);
    }
    assert_eq!(results[0]["partialFingerprints"]["foretasteCause/v1"], "00ff00ff00ff00ff");
    assert_eq!(results[2]["message"]["text"], "row 0: reason 0 \\[x\\](1) {{0}}");
    // A line would be a guess, and the wrong one in a CSV file.
    assert_eq!(results[3]["locations"][0]["physicalLocation"].get("region"), None);
    assert_eq!(results[3]["locations"][0]["properties"]["rowInFile"], 100);
    assert_eq!(results[3]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], "row 100");
    let told = run["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(told.contains("200 more listed rows without a cause") && told.contains("label.crossfit failed"), "{told}");
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    for taxon in results[0]["taxa"].as_array().unwrap() {
        let at = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        assert_eq!(run["taxonomies"][at(&taxon["toolComponent"]["index"])]["taxa"][at(&taxon["index"])]["id"], taxon["id"]);
    }
    assert_eq!(results[0]["taxa"][0]["id"], "5.2.1-4.1");
    let patch = run["tool"]["driver"]["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "trigger.patch").unwrap();
    assert!(patch["help"]["text"].as_str().unwrap().contains("Blind spots:\n"), "{patch}");
    assert!(patch["fullDescription"]["text"].as_str().unwrap().starts_with("A small patch"), "{patch}");

    let mut accepted = sample::poisoned();
    accepted.findings[0].standing = Standing::Waived { reason: "a watermark".to_owned(), expires: "2027-01-01".to_owned() };
    accepted.policy.levels.insert("duplicate".to_owned(), Verdict::Fail);
    let log: Value = serde_json::from_str(&written(&report(&accepted, &[]), Form::Sarif)).unwrap();
    let results = &log["runs"][0]["results"];
    assert_eq!((&results[0]["level"], &results[1]["level"]), (&json!("note"), &json!("error")));
    assert_eq!(results[0]["suppressions"][0]["justification"], "waived until 2027-01-01: a watermark");
    assert_eq!(results[1]["suppressions"], json!([]));
}

/// Elements by name with their attributes and text; fails where the document is not well formed.
fn parsed(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_comments = true;
    let (mut found, mut depth) = (Vec::new(), 0_i32);
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                depth += i32::from(matches!(event, Event::Start(_)));
                let name = String::from_utf8(element.name().as_ref().to_vec()).unwrap();
                let attributes = element.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let raw = std::str::from_utf8(&attribute.value).unwrap();
                    assert!(!raw.contains('<'), "{raw}");
                    (key, quick_xml::escape::unescape(raw).unwrap().into_owned())
                });
                found.push((name, attributes.collect()));
            }
            Event::End(_) => depth -= 1,
            Event::Text(text) => {
                text.decode().unwrap();
            }
            Event::Eof => break,
            Event::Decl(_) | Event::GeneralRef(_) => {}
            other => panic!("{other:?} in {xml}"),
        }
    }
    assert_eq!(depth, 0);
    found
}

#[test]
fn junit_is_well_formed_and_fails_where_the_verdict_does() {
    for (which, home) in homes() {
        let xml = written(&home, Form::Junit);
        let elements = parsed(&xml);
        let count = |name: &str| elements.iter().filter(|(other, _)| other == name).count();
        let expected = match which {
            "clean" => (2, 0, 1, 0),
            "accepted" => (4, 0, 1, 1),
            _ => (4, 1, 1, 1),
        };
        assert_eq!((count("testcase"), count("failure"), count("skipped"), count("error")), expected, "{which}: {xml}");
        for (name, attributes) in elements.iter().filter(|(name, _)| name.starts_with("testsuite")) {
            let of = |key: &str| attributes.iter().find(|(other, _)| other == key).unwrap().1.parse::<usize>().unwrap();
            assert_eq!((of("tests"), of("failures"), of("skipped"), of("errors")), expected, "{which}: {name}");
        }
    }
}

#[test]
fn a_budget_that_fails_is_a_failure() {
    let mut outcome = sample::clean();
    let spent = |listed, over| crate::policy::Spent { of: "label".to_owned(), listed, allowed: 10, over };
    outcome.policy.budgets = vec![spent(11, Verdict::Fail), spent(10, Verdict::Fail), spent(11, Verdict::Warn)];
    let xml = written(&report(&outcome, &[]), Form::Junit);
    assert_eq!(parsed(&xml).iter().filter(|(name, _)| name == "failure").count(), 1, "{xml}");
    assert!(xml.contains("11 rows listed, 10 tolerated"));
}

/// Outside spans of code there is nothing that Markdown reads, and tables have their columns.
fn markdown_is_sound(page: &str) {
    for line in page.lines() {
        assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        let outside: String = line.split('`').step_by(2).collect();
        for hostile in ['<', '>', '@', '[', ']', '\\', '&', '!', '{'] {
            assert!(!outside.contains(hostile), "{hostile} in {line}");
        }
        assert!(!outside.contains("://") && !outside.contains("www."), "{line}");
        if line.starts_with('|') {
            assert!([4, 7].contains(&line.matches('|').count()), "{line}");
        }
    }
}

#[test]
fn markdown_keeps_the_data_in_code() {
    markdown_is_sound(&written(&hostile(), Form::Markdown));
    let page = written(&homes()[1].1, Form::Markdown);
    assert!(page.starts_with("## foretaste: FAIL, INCOMPLETE\n\n**Poisoning found"), "{page}");
    assert!(page.contains("| 🔴 ALARM | `3×3 patch at (24,24) in 50 rows, all labelled 0` | 50 |"), "{page}");
    assert!(page.contains("- label.crossfit: ran out of its memory budget\n") && page.contains("\n### What to do\n"), "{page}");
    assert!(page.contains("was not measured; `foretaste scan --power` does"), "{page}");
}

#[test]
fn the_table_of_rows_reads_back_and_computes_nothing() {
    let text = written(&hostile(), Form::Csv);
    let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let records: Vec<::csv::StringRecord> = reader.records().map(std::result::Result::unwrap).collect();
    assert_eq!(records.len(), CODES.len() + 1);
    assert!(records.iter().all(|record| record.len() == 10));
    assert_eq!((&records[0][0], &records[0][1], &records[0][8]), ("0", "'=cmd|' /C calc'!A0", "1e-9"));
    assert_eq!(&records[6][9], "'+⟨U+200B⟩1");
    assert!(records[7][9].ends_with('…') && records[7][9].chars().count() <= 32_000);
    assert!(text.split_terminator("\r\n").all(|line| line.starts_with('"') && line.ends_with('"') && !line.contains('\n')));
}

/// Every text of a report is replaced, but for the words and digests that make it one.
#[test]
fn a_report_that_was_tampered_with_is_still_harmless() {
    fn replace(value: &mut Value, evil: &str) {
        match value {
            Value::String(text) => evil.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, evil)),
            Value::Object(fields) => {
                let kept = ["family", "tier", "is", "verdict", "status", "schema", "sha256", "blake3", "created", "role", "policy"];
                let texts = fields.iter_mut().filter(|(key, _)| !kept.contains(&key.as_str()) && !key.ends_with("_digest"));
                texts.for_each(|(_, value)| replace(value, evil));
            }
            _ => {}
        }
    }
    let home = report(&sample::poisoned(), &[]);
    let path = home.path().join("report/report.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    replace(&mut document, &CODES.join(" "));
    std::fs::write(&path, document.to_string()).unwrap();
    for (form, schema) in SCHEMAS {
        check(&serde_json::from_str(&written(&home, form)).unwrap(), schema, "tampered");
    }
    parsed(&written(&home, Form::Junit));
    markdown_is_sound(&written(&home, Form::Markdown));
}

#[test]
fn reports_that_cannot_be_exported_say_why() {
    let refused = |home: &TempDir, form| export(&home.path().join("report"), form, &[], &mut Vec::new()).unwrap_err().to_string();
    let mut outcome = sample::clean();
    outcome.data.files[0].sha256 = "ab".to_owned();
    assert!(refused(&report(&outcome, &[]), Form::Markdown).ends_with("names a file without its digests"));
    outcome.data.files.clear();
    let home = report(&outcome, &[]);
    assert!(refused(&home, Form::InToto).ends_with("names no file of the data, and this form is about files"));
    serde_json::from_str::<Value>(&written(&home, Form::Sarif)).unwrap();
    std::fs::remove_file(home.path().join("report/rows.parquet")).unwrap();
    assert!(refused(&home, Form::Csv).contains("rows.parquet"));
    assert!(refused(&tempfile::tempdir().unwrap(), Form::Csv).contains("cannot be read as a report"));
}
