//! `foretaste review`, `decide`, `quarantine` and `restore`: from listed rows to a cleaned copy, and back.

use std::path::Path;

use jiff::Timestamp;

use super::args::{Decide, Quarantine, Restore, Review, SelectionFlag};
use super::{Exit, Terminal};
use crate::config::nearest;
use crate::data::Role;
use crate::error::{Error, Result};
use crate::ledger;
use crate::quarantine::{Order, Selection, quarantine, restore as put_back};
use crate::report::{Report, visible};
use crate::review::{About, DECISIONS, Decision, Ruling, decide as record, listed, merge};
use crate::serve::Page;

/// Rows of a conflict that are named, and characters of a name.
const CONFLICTS: usize = 20;
const NAME: usize = 80;
/// Labels that an error names.
const LABELS: usize = 10;

/// Serves the page until the command is stopped.
pub(super) fn serve_page(flags: &Review, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let page = Page::open(&flags.report, &flags.by, flags.port)?;
    terminal.print(format!("{}\nOpen this address in a browser on this machine; stop with Ctrl-C.\n", page.address()).as_bytes())?;
    page.serve()?;
    Ok(Exit::Clean)
}

/// Records decisions.
pub(super) fn decide(flags: &Decide, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let path = flags.report.join(DECISIONS);
    if let Some(other) = &flags.ruling.merge {
        return merge_ledger(flags, other, terminal);
    }
    let (ruling, said) = if flags.ruling.confirm {
        (Ruling::Confirm, "confirmed".to_owned())
    } else if flags.ruling.dismiss {
        (Ruling::Dismiss, "dismissed".to_owned())
    } else if let Some(label) = &flags.ruling.relabel {
        known_label(&Report::read(&flags.report)?, label)?;
        (Ruling::Relabel { label: label.clone() }, format!("to be labelled {}", visible(label, NAME)))
    } else {
        (Ruling::Undo, "open again".to_owned())
    };
    let at = Timestamp::now();
    let by = flags.by.clone().unwrap_or_default();
    let rows = flags.row.iter().map(|row| About::Row(*row));
    let causes = flags.cause.iter().map(|cause| About::Cause(cause.clone()));
    let decisions: Vec<Decision> =
        rows.chain(causes).map(|about| Decision { at, by: by.clone(), about, ruling: ruling.clone(), note: flags.note.clone() }).collect();
    let count = record(&flags.report, &decisions)?;
    terminal.print(format!("{} {said}, noted in {}\n", rows_of(count as u64), path.display()).as_bytes())?;
    Ok(Exit::Clean)
}

/// Fails where no row of the data has the label: a quarantine could not give it to one.
fn known_label(report: &Report, label: &str) -> Result<()> {
    let data = &report.data;
    let fail = |why: String| Error::config("--relabel", why);
    if !data.columns.iter().any(|column| column.role == Role::Label && data.label.as_ref() == Some(&column.name)) {
        let help = "Confirm or dismiss the row, or scan again and name the column with --label.";
        return Err(fail("the data have no column of labels".to_owned()).with_help(help));
    }
    let classes = || data.classes.iter().map(|class| class.name.as_str());
    if classes().any(|class| class == label) {
        return Ok(());
    }
    let help = nearest(label, classes()).map_or_else(
        || {
            let some: Vec<String> = classes().take(LABELS).map(|class| visible(class, NAME)).collect();
            let more = if data.classes.len() > LABELS { ", …" } else { "" };
            format!("The labels are {}{more}.", some.join(", "))
        },
        |near| format!("Did you mean '{}'?", visible(near, NAME)),
    );
    Err(fail(format!("no row of the data has the label '{}'", visible(label, NAME))).with_help(help))
}

/// Takes another ledger in; rows of which the two say different things are named.
fn merge_ledger(flags: &Decide, other: &Path, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let merged = merge(&flags.report, &listed(&flags.report)?, &ledger::read(other)?.0)?;
    let mut lines = vec![format!("{} decided by {}", rows_of(merged.taken as u64), other.display())];
    for conflict in merged.conflicts.iter().take(CONFLICTS) {
        let said = |decision: &Decision| format!("{} says {}", visible(&decision.by, NAME), visible(&word(&decision.ruling), NAME));
        lines.push(format!("row {}: {}, {}", conflict.row, said(&conflict.ours), said(&conflict.theirs)));
    }
    if merged.conflicts.len() > CONFLICTS {
        lines.push(format!("and {} more", merged.conflicts.len() - CONFLICTS));
    }
    if !merged.conflicts.is_empty() {
        lines.push(format!("{} left as they were: the two ledgers differ", rows_of(merged.conflicts.len() as u64)));
    }
    terminal.print(format!("{}\n", lines.join("\n")).as_bytes())?;
    Ok(if merged.conflicts.is_empty() { Exit::Clean } else { Exit::Findings })
}

fn word(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Confirm => "confirm".to_owned(),
        Ruling::Dismiss => "dismiss".to_owned(),
        Ruling::Relabel { label } => format!("label {label}"),
        Ruling::Note => "nothing".to_owned(),
        Ruling::Undo => "undo".to_owned(),
    }
}

/// Takes listed rows out of a copy of the data.
pub(super) fn quarantine_rows(flags: Quarantine, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let own = flags.report.join(DECISIONS);
    let decisions = if flags.decisions.is_empty() && own.exists() { vec![own] } else { flags.decisions };
    let selection = match flags.policy {
        Some(SelectionFlag::Flagged) => Selection::Flagged,
        None if decisions.is_empty() => Selection::Flagged,
        Some(SelectionFlag::Confirmed) | None => Selection::Confirmed,
    };
    let order = Order { report: flags.report, out: flags.out, decisions, selection, by: flags.by, at: Timestamp::now() };
    let done = quarantine(&order)?;
    let which = match selection {
        Selection::Flagged => "listed and not dismissed",
        Selection::Confirmed => "confirmed",
    };
    let folder = done.folder.display();
    let relabelled = if done.relabelled > 0 { format!(", {} of them under another label", done.relabelled) } else { String::new() };
    let text = format!(
        "{} removed ({which}), {} kept{relabelled}\nkept     {folder}/kept\nremoved  {folder}/removed\nledger   {folder}/ledger.jsonl\nTo undo: foretaste restore {folder} --out NEW-FOLDER\n",
        rows_of(done.removed),
        rows_of(done.kept),
    );
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

/// Puts the rows of a quarantine back.
pub(super) fn restore(flags: &Restore, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let done = put_back(&flags.from, &flags.out)?;
    let back = done.removed + done.relabelled;
    let text = format!("{} in {}, {} of them put back\n", rows_of(done.kept + done.removed), done.folder.display(), back);
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

fn rows_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}
