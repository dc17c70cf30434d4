//! The page for people: one file that needs no network and prints. Without its script it can be read; with it, rows can be searched
//! and decided about.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::cause::{Cause, PICTURES, PIECES, Pair};
use super::flips::Flips;
use super::head::Head;
use super::json::{Detector, Report, ReportGroup, Sanitisation};
use super::listed::{Blocks, Listed, ListedRow};
use super::pack::inert;
use super::scores::{Chart, Scores};
use super::script::{SCRIPT, digest};
use super::standards::{AttackClass, ProvisionEvidence};
use super::words::{Gist, bytes, count, percent, plural, policy, seconds};
use super::{List, visible};
use crate::data::File;
use crate::error::{Error, Result};
use crate::finding::{Power, Reach};
use crate::run::Breakdown;

const TEMPLATE: &str = include_str!("assets/report.html");
const STYLE: &str = concat!(include_str!("assets/palette.css"), include_str!("assets/report.css"), include_str!("assets/desk.css"));

/// Characters shown of a name and of a sentence.
pub(super) const NAME: usize = 120;
pub(super) const SENTENCE: usize = 600;
/// Items shown of a list; the rest is in `report.json`.
pub(super) const ITEMS: usize = 100;
/// Causes named beside the verdict.
const NAMED: usize = 3;

/// Who keeps the decisions that are made in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Desk {
    /// The browser.
    Browser,
    /// The server that the page comes from, for this reviewer.
    Server(String),
}

/// A page and its content-security policy.
pub(crate) struct Html {
    pub(crate) text: String,
    pub(crate) policy: String,
}

/// The page of a report with its listed rows.
pub(super) fn page(report: &Report, listed: &Listed, scores: &Scores, blocks: Blocks, desk: &Desk) -> Result<Html> {
    let fail = |e: minijinja::Error| Error::output("report.html", e);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_function("count", count);
    // The name's ending turns escaping on.
    environment.add_template("report.html", TEMPLATE).map_err(fail)?;
    let view = View::new(report, listed, scores, blocks, desk)?;
    let text = environment.get_template("report.html").and_then(|template| template.render(Serde(&view))).map_err(fail)?;
    Ok(Html { text, policy: view.content_policy })
}

/// Nothing but this script, this style and pictures in the page itself; no markup is ever made of text.
fn content_policy(desk: &Desk) -> String {
    let connect = if *desk == Desk::Browser { "'none'" } else { "'self'" };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        digest(&SCRIPT),
        digest(STYLE)
    )
}

#[derive(Serialize)]
struct View {
    style: &'static str,
    script: &'static str,
    content_policy: String,
    head: String,
    blocks: Blocks,
    tool: String,
    created: String,
    name: String,
    verdict: &'static str,
    complete: bool,
    headline: &'static str,
    figures: String,
    seconds: String,
    reasons: Vec<String>,
    estimates: Vec<String>,
    steps: Vec<String>,
    named: List<Named>,
    causes: List<Cause>,
    sanitised: Vec<Sanitised>,
    listed: List<ListedRow>,
    flips: Option<Flips>,
    charts: Vec<Chart>,
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

/// A cause in a line.
#[derive(Serialize)]
struct Named {
    title: String,
    /// What follows the first semicolon.
    rest: String,
}

impl Named {
    fn new(group: &ReportGroup) -> Self {
        let title = visible(&group.title, SENTENCE);
        let (title, rest) = title.split_once("; ").unwrap_or((&title, ""));
        Self { title: title.to_owned(), rest: rest.to_owned() }
    }
}

/// What was done with listed rows.
#[derive(Serialize)]
struct Sanitised {
    at: String,
    said: String,
}

impl Sanitised {
    fn new(done: &Sanitisation) -> Self {
        let (by, folder) = (visible(&done.by, NAME), visible(&done.folder, NAME));
        let removed = plural(done.removed, "row", "rows");
        let relabelled = if done.relabelled > 0 { format!(" and relabelled {}", count(done.relabelled)) } else { String::new() };
        Self {
            at: done.at.chars().take(19).collect::<String>().replace('T', " "),
            said: format!(
                "{by} took {removed} out of a copy{relabelled} ({}), {} kept, in {folder}",
                visible(&done.policy, NAME),
                count(done.kept)
            ),
        }
    }
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
    pub(super) fn of<S>(items: &[S], most: usize, line: impl FnMut(&S) -> T) -> Self {
        Self { items: items.iter().take(most).map(line).collect(), more: items.len().saturating_sub(most) as u64 }
    }
}

impl View {
    fn new(report: &Report, listed: &Listed, scores: &Scores, blocks: Blocks, desk: &Desk) -> Result<Self> {
        let data = &report.data;
        let gist = Gist::from(report);
        let name = match &data.files[..] {
            [] => "no file".to_owned(),
            [one] => visible(&one.name, NAME),
            [first, rest @ ..] => {
                format!("{} and {}", visible(&first.name, NAME), plural(rest.len() as u64, "more file", "more files"))
            }
        };
        let standard = &report.standards.standard;
        let mut pictures = PICTURES;
        let settings = serde_json::to_string_pretty(&report.settings).unwrap_or_default();
        let settings: Vec<String> = settings.lines().take(ITEMS * 4).map(|line| visible(line, SENTENCE)).collect();
        let at = |column: &str| data.nulls.get(column).copied().unwrap_or(0);
        let bad = |column: &str| data.unreadable.get(column).copied().unwrap_or(0);
        let plain = listed.plain();
        Ok(Self {
            style: STYLE,
            script: &SCRIPT,
            content_policy: content_policy(desk),
            head: inert(&Head::new(report, desk))?,
            blocks,
            tool: format!("{} {}", report.tool.name, report.tool.version),
            created: report.created.replace('T', " ").replace('Z', " UTC"),
            name,
            verdict: report.verdict.name(),
            complete: report.complete,
            headline: gist.headline(),
            figures: gist.figures(),
            seconds: seconds(report.seconds),
            reasons: sentences(&report.reasons),
            estimates: sentences(&report.estimates),
            steps: gist.next_steps(),
            causes: List::of(&report.groups, ITEMS, |group| Cause::new(group, report, &mut pictures)),
            named: List::of(&report.groups, NAMED, Named::new),
            sanitised: report.sanitisation.iter().take(ITEMS).map(Sanitised::new).collect(),
            with_id: listed.has_id(),
            with_file: data.files.len() > 1,
            listed: plain,
            flips: Flips::new(listed.pairs()),
            charts: scores.charts(&report.detectors),
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
        })
    }
}

fn sentences(texts: &[String]) -> Vec<String> {
    texts.iter().take(PIECES).map(|text| visible(text, SENTENCE)).collect()
}

/// A provision's evidence names columns and labels of the data.
fn shown_provision(provision: &ProvisionEvidence) -> ProvisionEvidence {
    ProvisionEvidence { evidence: sentences(&provision.evidence), ..provision.clone() }
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
    use crate::run::Outcome;

    fn render(outcome: &Outcome) -> String {
        let report = Report::new(outcome, &sample::settings()).unwrap();
        let mut listed = Listed::default();
        let blocks = listed.blocks().unwrap();
        page(&report, &listed, &Scores::default(), blocks, &Desk::Browser).unwrap().text
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
    fn the_page_runs_its_own_script_and_loads_nothing() {
        let page = render(&sample::poisoned());
        let inside = |start: &str, end: &str| page.split(start).nth(1).unwrap().split(end).next().unwrap().to_owned();
        let (style, script) = (inside("<style>", "</style>"), inside("<script type=\"module\">", "</script>"));
        let policy = format!("default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}';", digest(&script), digest(&style));
        assert!(page.contains(&policy));
        assert_eq!((page.matches("<style").count(), page.matches("<script").count()), (1, 5));
        assert!(page.contains("connect-src 'none'"));
        for part in ["<link", "javascript:", "@import", "url(", " style=", " onclick", "http-equiv=\"refresh"] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let sound = render(&sample::poisoned());
        let page = render(&sample::hostile(1));
        // The classes in the head keep their own text, which a ledger has to repeat.
        let shown = |page: &str| {
            let (before, rest) = page.split_once("<script type=\"application/json\"").unwrap();
            format!("{before}{}", rest.split_once("</script>").unwrap().1)
        };
        for part in ["<script", "<img", "\u{202E}", "\u{1b}", "\u{200B}", "\u{E0041}", "\u{9b}", "\0"] {
            assert_eq!(
                shown(&page).matches(part).count(),
                shown(&sound).matches(part).count() - 2 * usize::from(part == "<img"),
                "{part:?}"
            );
        }
        assert_eq!(page.matches("<script").count(), sound.matches("<script").count());
        assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;") && page.contains("{{ 7*7 }}"));
        assert!(page.contains("⟨U+202E⟩⟨U+001B⟩]0;owned⟨U+0007⟩"));
        // As many tags as a sound page has, but for the picture that was none, which a sound page shows twice.
        let tags = |page: &str| page.matches('<').count();
        assert!(tags(&page) <= tags(&sound) + 40, "{} {}", tags(&page), tags(&sound));
    }

    #[test]
    fn a_page_stays_small_whatever_it_is_given() {
        let own = render(&sample::clean()).len();
        let mut outcome = sample::hostile(1_000_000);
        outcome.findings[0].group.title = sample::evil(10_000_000);
        let page = render(&outcome);
        assert!(page.len() < own + 200_000, "{} {own}", page.len());
        outcome = sample::poisoned();
        outcome.findings = vec![outcome.findings[0].clone(); 5_000];
        outcome.data.classes = vec![outcome.data.classes[0].clone(); 50_000];
        let page = render(&outcome);
        assert!(page.len() < own + 1_000_000, "{}", page.len());
        assert!(page.contains("4,900 more") && page.contains("49,900 more"));
    }
}
