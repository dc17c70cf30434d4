//! The page: causes and a part of the listed rows, each with its forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::sample::{Sample, Samples};
use crate::error::{Error, Result};
use crate::report::{Report, visible};
use crate::review::{ListedRow, Ruling};

const TEMPLATE: &str = include_str!("assets/review.html");
const STYLE: &str = concat!(include_str!("../report/assets/palette.css"), include_str!("assets/review.css"));
/// Rows on a page.
const ROWS: usize = 50;
/// Characters of a name and of a reason.
const NAME: usize = 160;
const REASON: usize = 1_000;

/// Which rows are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Filter {
    /// A detector's code.
    pub(super) code: String,
    /// A cause's fingerprint.
    pub(super) cause: String,
    /// A label.
    pub(super) label: String,
    /// `open`, `confirmed`, `dismissed`, or all.
    pub(super) state: String,
    /// A part of the reason or label, whatever its case.
    pub(super) text: String,
    /// Pages before this one.
    pub(super) page: usize,
}

fn state(ruling: Option<Ruling>) -> &'static str {
    match ruling {
        Some(Ruling::Confirm) => "confirmed",
        Some(Ruling::Dismiss) => "dismissed",
        Some(Ruling::Undo) | None => "open",
    }
}

impl Filter {
    pub(super) fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "code" => filter.code = value.into_owned(),
                "cause" => filter.cause = value.into_owned(),
                "label" => filter.label = value.into_owned(),
                "state" => filter.state = value.into_owned(),
                "text" => filter.text = value.into_owned(),
                "page" => filter.page = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        filter
    }

    /// The filter as a query, without what it leaves open.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let page = self.page.to_string();
        let parts = [
            ("code", &self.code),
            ("cause", &self.cause),
            ("label", &self.label),
            ("state", &self.state),
            ("text", &self.text),
            ("page", &page),
        ];
        for (key, value) in parts {
            if !value.is_empty() && (key != "page" || self.page > 0) {
                query.append_pair(key, value);
            }
        }
        query.finish()
    }

    pub(super) fn shows(&self, row: &ListedRow, ruling: Option<Ruling>) -> bool {
        let text = self.text.to_lowercase();
        let label = row.label.as_deref().unwrap_or("");
        (self.code.is_empty() || row.codes.contains(&self.code))
            && (self.cause.is_empty() || row.causes.contains(&self.cause))
            && (self.label.is_empty() || label == self.label)
            && (self.state.is_empty() || state(ruling) == self.state)
            && (text.is_empty()
                || row.reason.to_lowercase().contains(&text)
                || label.to_lowercase().contains(&text)
                || row.row.to_string() == text)
    }
}

#[derive(Serialize)]
struct CauseLine<'a> {
    fingerprint: &'a str,
    title: String,
    code: &'a str,
    tier: &'static str,
    rows: usize,
    confirmed: usize,
    dismissed: usize,
    picture: Option<String>,
}

#[derive(Serialize)]
struct RowLine<'a> {
    row: u64,
    label: String,
    tier: &'a str,
    codes: String,
    reason: String,
    state: &'static str,
    sample: Option<&'a Sample>,
}

/// Everything that the page shows.
#[derive(Serialize)]
pub(super) struct View<'a> {
    style: &'static str,
    name: String,
    verdict: &'static str,
    by: String,
    filter: &'a Filter,
    query: String,
    codes: Vec<&'a str>,
    labels: Vec<String>,
    causes: Vec<CauseLine<'a>>,
    rows: Vec<RowLine<'a>>,
    shown: usize,
    listed: usize,
    open: usize,
    confirmed: usize,
    dismissed: usize,
    before: Option<String>,
    after: Option<String>,
    page: usize,
    pages: usize,
    missing: Option<&'a str>,
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}

impl<'a> View<'a> {
    pub(super) fn new(
        report: &'a Report,
        listed: &'a [ListedRow],
        settled: &[Option<Ruling>],
        samples: &'a Samples,
        filter: &'a Filter,
        by: &str,
    ) -> Self {
        let count = |wanted: &str| settled.iter().filter(|ruling| state(**ruling) == wanted).count();
        let shown: Vec<(&ListedRow, Option<Ruling>)> =
            listed.iter().zip(settled.iter().copied()).filter(|(row, ruling)| filter.shows(row, *ruling)).collect();
        let pages = shown.len().div_ceil(ROWS).max(1);
        let page = filter.page.min(pages - 1);
        let to = |page: usize| Filter { page, ..filter.clone() }.query();
        let row = |(row, ruling): &(&'a ListedRow, Option<Ruling>)| RowLine {
            row: row.row,
            label: visible(row.label.as_deref().unwrap_or(""), NAME),
            tier: if row.tier == "alarm" { "alarm" } else { "suspect" },
            codes: visible(&row.codes.join(", "), NAME),
            reason: visible(&row.reason, REASON),
            state: state(*ruling),
            sample: samples.get(row.row),
        };
        let cause = |group: &'a crate::report::json::ReportGroup| {
            let of = |wanted: &str| {
                let rows = listed.iter().zip(settled).filter(|(row, _)| row.causes.contains(&group.fingerprint));
                rows.filter(|(_, ruling)| wanted.is_empty() || state(**ruling) == wanted).count()
            };
            CauseLine {
                fingerprint: &group.fingerprint,
                title: visible(&group.title, REASON),
                code: &group.code,
                tier: group.tier.name(),
                rows: of(""),
                confirmed: of("confirmed"),
                dismissed: of("dismissed"),
                picture: crate::report::picture(group),
            }
        };
        Self {
            style: STYLE,
            name: report.data.files.first().map_or_else(String::new, |file| visible(&file.name, NAME)),
            verdict: report.verdict.name(),
            by: visible(by, NAME),
            filter,
            query: filter.query(),
            codes: distinct(listed.iter().flat_map(|row| row.codes.iter().map(String::as_str))),
            labels: distinct(listed.iter().filter_map(|row| row.label.clone())).into_iter().take(500).collect(),
            causes: report.groups.iter().take(100).map(cause).collect(),
            rows: shown.iter().skip(page * ROWS).take(ROWS).map(row).collect(),
            shown: shown.len(),
            listed: listed.len(),
            open: count("open"),
            confirmed: count("confirmed"),
            dismissed: count("dismissed"),
            before: page.checked_sub(1).map(to),
            after: (page + 1 < pages).then(|| to(page + 1)),
            page: page + 1,
            pages,
            missing: samples.missing.as_deref(),
        }
    }

    /// The page and its content-security policy.
    pub(super) fn render(&self) -> Result<(String, String)> {
        let fail = |e: minijinja::Error| Error::output("review.html", e);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The name's ending turns escaping on.
        environment.add_template("review.html", TEMPLATE).map_err(fail)?;
        let body = environment.get_template("review.html").and_then(|template| template.render(Serde(self))).map_err(fail)?;
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        Ok((body, policy))
    }
}
