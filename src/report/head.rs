//! What the page's script knows of the report.

use serde::Serialize;

use super::cause::Place;
use super::html::{Desk, ITEMS, NAME, SENTENCE};
use super::json::{Report, ReportGroup};
use super::visible;
use crate::data::Role;

/// Classes that a row can be relabelled to from a list.
const CLASSES: usize = 2_000;

/// What the script knows of the report; the text of labels is the data's own, as a ledger must have it.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    id: String,
    desk: &'static str,
    by: &'a str,
    flagged: u64,
    label: Option<&'a str>,
    classes: Vec<Value<'a>>,
    causes: Vec<HeadCause>,
}

/// A value of the data, and how it is shown.
#[derive(Serialize)]
struct Value<'a> {
    value: &'a str,
    shown: String,
}

#[derive(Serialize)]
struct HeadCause {
    fingerprint: String,
    title: String,
    place: Option<Place>,
}

impl<'a> Head<'a> {
    pub(super) fn new(report: &'a Report, desk: &'a Desk) -> Self {
        let data = &report.data;
        let cause = |group: &ReportGroup| HeadCause {
            fingerprint: visible(&group.fingerprint, NAME),
            title: visible(&group.title, SENTENCE),
            place: Place::of(&group.evidence),
        };
        let class = |class: &'a crate::data::Class| Value { value: &class.name, shown: visible(&class.name, NAME) };
        Self {
            id: report.id(),
            desk: if *desk == Desk::Browser { "browser" } else { "server" },
            by: if let Desk::Server(by) = desk { by } else { "" },
            flagged: report.flagged_rows,
            label: data
                .columns
                .iter()
                .find(|c| c.role == Role::Label && data.label.as_ref() == Some(&c.name))
                .map(|c| c.name.as_str())
                .filter(|name| name.len() < SENTENCE),
            // A class of a megabyte is no choice in a list.
            classes: data.classes.iter().filter(|class| class.name.len() < SENTENCE).take(CLASSES).map(class).collect(),
            causes: report.groups.iter().take(ITEMS).map(cause).collect(),
        }
    }
}
