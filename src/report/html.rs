//! The page for people: one file that needs no network, runs no script and prints.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::json::{Detector, Report, ReportGroup};
use super::listed::ListedRow;
use super::standards::{AttackClass, ProvisionEvidence};
use super::words::{Gist, bytes, count, number, percent, plural, policy, seconds, standing};
use super::{List, visible};
use crate::data::File;
use crate::error::{Error, Result};
use crate::finding::{Power, Reach};
use crate::run::{Breakdown, Outcome};

const TEMPLATE: &str = include_str!("assets/report.html");
const STYLE: &str = concat!(include_str!("assets/palette.css"), include_str!("assets/report.css"));

/// Characters shown of a name, a sentence and a piece of evidence.
const NAME: usize = 120;
const SENTENCE: usize = 600;
const EVIDENCE: usize = 1_200;
/// Items shown of a list; the rest is in `report.json`.
const ITEMS: usize = 100;
/// Pieces of evidence shown of a cause, and parts of each.
const PIECES: usize = 24;
const PARTS: usize = 40;
/// Most bytes of one picture and of all pictures, as base64.
const PICTURE: usize = 256 << 10;
const PICTURES: usize = 4 << 20;
/// The first bytes of every PNG, as base64.
const PNG: &str = "iVBORw0KGgo";

/// The page of a report with its listed rows.
pub(super) fn page(outcome: &Outcome, report: &Report, listed: List<ListedRow>) -> Result<String> {
    let fail = |e: minijinja::Error| Error::output("report.html", e);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_function("count", count);
    // The name's ending turns escaping on.
    environment.add_template("report.html", TEMPLATE).map_err(fail)?;
    let view = View::new(outcome, report, listed);
    environment.get_template("report.html").and_then(|template| template.render(Serde(&view))).map_err(fail)
}

#[derive(Serialize)]
struct View {
    style: &'static str,
    style_hash: String,
    tool: String,
    created: String,
    name: String,
    verdict: &'static str,
    complete: bool,
    headline: &'static str,
    figures: String,
    seconds: String,
    reasons: Vec<String>,
    steps: Vec<String>,
    causes: List<Cause>,
    listed: List<ListedRow>,
    with_id: bool,
    with_file: bool,
    flagged: String,
    breakdown: Vec<Places>,
    detectors: Vec<Unit>,
    rows: String,
    files: List<FileLine>,
    reference: List<FileLine>,
    columns: List<ColumnLine>,
    label: Option<String>,
    classes: List<Pair>,
    standard: String,
    standard_url: String,
    statements: Vec<String>,
    provisions: Vec<ProvisionEvidence>,
    taxonomies: Vec<AttackClass>,
    power: Option<Reached>,
    policy: Vec<String>,
    policy_digest: String,
    seed: u64,
    digest: String,
    settings: String,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Cause {
    title: String,
    tier: &'static str,
    code: String,
    attack: String,
    facts: Vec<Pair>,
    picture: Option<String>,
    evidence: List<Pair>,
    examples: String,
    fingerprint: String,
    standing: Option<String>,
}

/// What the scan could have seen.
#[derive(Serialize)]
struct Reached {
    rows: String,
    sentences: Vec<String>,
    /// Rows planted, rows listed, trial by trial.
    trials: Vec<(&'static str, String, String)>,
}

impl Reached {
    fn new(power: &Power) -> Self {
        let line = |reach: &Reach| {
            let name = reach.attack.name();
            reach.trials.iter().map(move |trial| (name, count(trial.rows), count(trial.listed))).collect::<Vec<_>>()
        };
        Self { rows: count(power.rows), sentences: power.sentences(), trials: power.reach.iter().flat_map(line).collect() }
    }
}

#[derive(Serialize)]
struct Places {
    by: String,
    values: Vec<PlaceLine>,
}

#[derive(Serialize)]
struct PlaceLine {
    value: String,
    rows: String,
    flagged: String,
    percent: String,
    /// Per cent, 0 to 100, the length of its bar.
    share: f64,
}

#[derive(Serialize)]
struct Unit {
    code: String,
    status: String,
    why: Option<String>,
    flagged: String,
    seconds: String,
    bytes: String,
    scans: u32,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct FileLine {
    name: String,
    rows: String,
    bytes: String,
    blake3: String,
    sha256: String,
}

impl FileLine {
    fn new(file: &File) -> Self {
        Self {
            name: visible(&file.name, NAME),
            rows: count(file.rows),
            bytes: bytes(file.bytes),
            blake3: visible(&file.blake3, NAME),
            sha256: visible(&file.sha256, NAME),
        }
    }
}

#[derive(Serialize)]
struct ColumnLine {
    name: String,
    data_type: String,
    role: &'static str,
    reason: String,
    nulls: String,
    unreadable: String,
}

impl<T> List<T> {
    fn of<S>(items: &[S], most: usize, line: impl FnMut(&S) -> T) -> Self {
        Self { items: items.iter().take(most).map(line).collect(), more: items.len().saturating_sub(most) as u64 }
    }
}

impl View {
    fn new(outcome: &Outcome, report: &Report, listed: List<ListedRow>) -> Self {
        let data = &report.data;
        let gist = Gist::from(outcome);
        let standard = &report.standards.standard;
        let mut pictures = PICTURES;
        let settings = serde_json::to_string_pretty(&report.settings).unwrap_or_default();
        let settings: Vec<String> = settings.lines().take(ITEMS * 4).map(|line| visible(line, SENTENCE)).collect();
        let at = |column: &str| data.nulls.get(column).copied().unwrap_or(0);
        let bad = |column: &str| data.unreadable.get(column).copied().unwrap_or(0);
        Self {
            style: STYLE,
            style_hash: STANDARD.encode(Sha256::digest(STYLE)),
            tool: format!("{} {}", report.tool.name, report.tool.version),
            created: report.created.replace('T', " ").replace('Z', " UTC"),
            name: match &data.files[..] {
                [] => "no file".to_owned(),
                [one] => visible(&one.name, NAME),
                [first, rest @ ..] => {
                    format!("{} and {}", visible(&first.name, NAME), plural(rest.len() as u64, "more file", "more files"))
                }
            },
            verdict: report.verdict.name(),
            complete: report.complete,
            headline: gist.headline(),
            figures: gist.figures(),
            seconds: seconds(report.seconds),
            reasons: sentences(&report.reasons),
            steps: gist.next_steps(),
            causes: List::of(&report.groups, ITEMS, |group| Cause::new(group, report, &mut pictures)),
            with_id: listed.items.iter().any(ListedRow::has_id),
            with_file: data.files.len() > 1,
            listed,
            flagged: count(report.flagged_rows),
            breakdown: report.breakdown.iter().take(12).map(Places::new).collect(),
            detectors: report.detectors.iter().map(Unit::new).collect(),
            rows: count(data.rows),
            files: List::of(&data.files, ITEMS, FileLine::new),
            reference: List::of(&data.reference, ITEMS, FileLine::new),
            columns: List::of(&data.columns, ITEMS * 4, |column| ColumnLine {
                name: visible(&column.name, NAME),
                data_type: visible(&column.data_type, NAME),
                role: column.role.name(),
                reason: visible(&column.reason, SENTENCE),
                nulls: count(at(&column.name)),
                unreadable: count(bad(&column.name)),
            }),
            label: data.label.as_deref().map(|label| visible(label, NAME)),
            classes: List::of(&data.classes, ITEMS, |class| Pair { name: visible(&class.name, NAME), value: count(class.rows) }),
            standard: format!("{} {}", standard.name, standard.version),
            standard_url: standard.url.clone(),
            statements: report.standards.statements.clone(),
            provisions: report.standards.provisions.iter().map(shown_provision).collect(),
            taxonomies: report.standards.taxonomies.clone(),
            power: report.power.as_ref().map(Reached::new),
            policy: policy(&report.policy).iter().map(|line| visible(line, SENTENCE)).collect(),
            policy_digest: report.policy_digest.clone(),
            seed: report.seed,
            digest: report.settings_digest.clone(),
            settings: settings.join("\n"),
        }
    }
}

fn sentences(texts: &[String]) -> Vec<String> {
    texts.iter().take(PIECES).map(|text| visible(text, SENTENCE)).collect()
}

/// A provision's evidence names columns and labels of the data.
fn shown_provision(provision: &ProvisionEvidence) -> ProvisionEvidence {
    ProvisionEvidence { evidence: sentences(&provision.evidence), ..provision.clone() }
}

impl Cause {
    fn new(group: &ReportGroup, report: &Report, pictures: &mut usize) -> Self {
        let attack = report.standards.taxonomies.iter().find(|t| t.key == group.attack_class);
        let mut facts = vec![Pair { name: "rows".to_owned(), value: count(group.rows) }];
        let mut fact = |name: &str, value: String| facts.push(Pair { name: name.to_owned(), value });
        if let Some(label) = &group.label {
            fact("label", visible(label, NAME));
            fact("of these rows with it", format!("{} ({})", count(group.agreeing), percent(group.agreeing, group.rows)));
        }
        if let Some(background) = group.background {
            fact("expected without the cause", format!("{}%", number(Some(100.0 * background))));
        }
        fact(&visible(&group.statistic.name, NAME), number(group.statistic.value));
        fact("p", number(group.p));
        fact("tests", count(group.tests));
        fact("q, corrected", number(group.q));
        let pieces: Vec<(&String, &Value)> = group.evidence.iter().filter(|(key, _)| *key != "picture").collect();
        Self {
            title: visible(&group.title, SENTENCE),
            tier: group.tier.name(),
            code: visible(&group.code, NAME),
            attack: attack.map_or_else(|| visible(&group.attack_class, NAME), |class| class.name.clone()),
            facts,
            picture: picture(&group.evidence, pictures),
            evidence: List::of(&pieces, PIECES, |(key, value)| Pair { name: visible(key, NAME), value: said(value) }),
            examples: group.examples.iter().take(20).map(u64::to_string).collect::<Vec<_>>().join(", "),
            fingerprint: visible(&group.fingerprint, NAME),
            standing: standing(&group.standing).map(|said| visible(&said, SENTENCE)),
        }
    }
}

/// A picture as the address of an image, if it is a PNG in base64 and of a size that a page can hold.
pub(super) fn picture(evidence: &Map<String, Value>, left: &mut usize) -> Option<String> {
    let text = evidence.get("picture")?.as_str()?;
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if text.len() > PICTURE.min(*left) || !text.starts_with(PNG) || !text.bytes().all(base64) {
        return None;
    }
    *left -= text.len();
    Some(format!("data:image/png;base64,{text}"))
}

/// A piece of evidence in a line; lists and objects are cut by their parts before they are written out.
fn said(value: &Value) -> String {
    fn cut(value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::from(visible(text, NAME)),
            Value::Array(_) | Value::Object(_) if depth == 0 => Value::from("…"),
            Value::Array(items) => {
                let more = (items.len() > PARTS).then(|| Value::from("…"));
                items.iter().take(PARTS).map(|item| cut(item, depth - 1)).chain(more).collect()
            }
            Value::Object(map) => {
                map.iter().take(PARTS).map(|(key, value)| (visible(key, NAME), cut(value, depth - 1))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }
    match value {
        Value::String(text) => visible(text, EVIDENCE),
        Value::Number(n) if n.is_f64() => number(n.as_f64()),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let parts: Vec<String> = items.iter().take(PARTS).map(said).collect();
            let more = if items.len() > PARTS { ", …" } else { "" };
            visible(&format!("{}{more}", parts.join(", ")), EVIDENCE)
        }
        other => visible(&cut(other, 3).to_string(), EVIDENCE),
    }
}

impl Places {
    fn new(breakdown: &Breakdown) -> Self {
        let values = breakdown.values.iter().take(50).map(|v| PlaceLine {
            value: visible(&v.value, NAME),
            rows: count(v.rows),
            flagged: count(v.flagged),
            percent: percent(v.flagged, v.rows),
            share: (100.0 * v.flagged as f64 / v.rows.max(1) as f64).clamp(0.0, 100.0),
        });
        Self { by: visible(&breakdown.by, NAME), values: values.collect() }
    }
}

impl Unit {
    fn new(detector: &Detector) -> Self {
        Self {
            code: visible(&detector.code, NAME),
            status: detector.status.clone(),
            why: detector.why.as_deref().map(|why| visible(why, SENTENCE)),
            flagged: count(detector.flagged),
            seconds: seconds(detector.seconds),
            bytes: bytes(detector.bytes),
            scans: detector.scans,
            notes: sentences(&detector.notes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn render(outcome: &Outcome) -> String {
        let report = Report::new(outcome, &sample::settings()).unwrap();
        page(outcome, &report, List { items: Vec::new(), more: 0 }).unwrap()
    }

    #[test]
    fn the_page_says_what_was_found() {
        let page = render(&sample::poisoned());
        for part in [
            "Poisoning found: a structure that clean data does not show.",
            "3×3 patch at (24,24) in 50 rows, all labelled 0",
            "ran out of its memory budget",
            "a 3×3 patch in 14 rows of one class would have been seen",
            "EN 304 223 V2.1.1, provision <span class=\"nowrap\">5.2.1-4.1</span>",
            "AML.T0020",
            "18446744073709551615",
            "mirror-b",
            &format!("<img src=\"data:image/png;base64,{}\"", sample::PICTURE).replace('/', "&#x2f;"),
        ] {
            assert!(page.contains(part), "{part}");
        }
        let clean = render(&sample::clean());
        assert!(clean.contains("Nothing was found.") && !clean.contains("<img"));
    }

    #[test]
    fn the_page_runs_nothing_and_loads_nothing() {
        let page = render(&sample::poisoned());
        let hash = STANDARD.encode(Sha256::digest(page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap()));
        assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:;")));
        assert_eq!(page.matches("<style").count(), 1);
        for part in ["<script", "<link", "javascript:", "@import", "url(", " style="] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let sound = render(&sample::poisoned());
        let page = render(&sample::hostile(1));
        for part in ["<script", "<img", "49", "\u{202E}", "\u{1b}", "\u{200B}", "\u{E0041}", "\u{9b}", "\0"] {
            assert_eq!(page.matches(part).count(), sound.matches(part).count() - usize::from(part == "<img"), "{part:?}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"));
        assert!(page.contains("⟨U+202E⟩⟨U+001B⟩]0;owned⟨U+0007⟩"));
        // As many tags as a sound page has, but for the picture that was none.
        let tags = |page: &str| page.matches('<').count();
        assert!(tags(&page) <= tags(&sound) + 40, "{} {}", tags(&page), tags(&sound));
    }

    #[test]
    fn a_page_stays_small_whatever_it_is_given() {
        let mut outcome = sample::hostile(1_000_000);
        outcome.findings[0].group.title = sample::evil(10_000_000);
        assert!(render(&outcome).len() < 200_000);
        outcome = sample::poisoned();
        outcome.findings = vec![outcome.findings[0].clone(); 5_000];
        outcome.data.classes = vec![outcome.data.classes[0].clone(); 50_000];
        let page = render(&outcome);
        assert!(page.len() < 1_000_000, "{}", page.len());
        assert!(page.contains("4,900 more") && page.contains("49,900 more"));
    }

    #[test]
    fn only_pictures_become_pictures() {
        let mut left = PICTURES;
        let mut shown = |text: String| picture(&Map::from_iter([("picture".to_owned(), Value::from(text))]), &mut left);
        assert!(shown(sample::PICTURE.to_owned()).is_some());
        assert!(shown(format!("{}\"", sample::PICTURE)).is_none());
        assert!(shown("PHN2Zz4=".to_owned()).is_none());
        assert!(shown(format!("{PNG}{}", "A".repeat(PICTURE))).is_none());
        let large = format!("{PNG}{}", "A".repeat(PICTURE - 100));
        assert_eq!((0..100).filter(|_| shown(large.clone()).is_some()).count(), PICTURES / PICTURE);
    }

    #[test]
    fn evidence_reads_well() {
        let said = |text: &str| said(&serde_json::from_str(text).unwrap());
        assert_eq!([said("\"cf\""), said("3"), said("0.123456"), said("true")], ["cf", "3", "0.123", "true"]);
        assert_eq!(said(r#"["a", 1, null]"#), "a, 1, null");
        assert_eq!(said("[[1,2],[3,4]]"), "[[1,2],[3,4]]");
        assert_eq!(said(r#"{"a":[[[[1]]]]}"#), r#"{"a":[["…"]]}"#);
    }
}
