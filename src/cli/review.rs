//! `foretaste decide`, `quarantine` and `restore`: from listed rows to a cleaned copy, and back.

use jiff::Timestamp;

use super::args::{Decide, Quarantine, Restore, SelectionFlag};
use super::{Exit, Terminal};
use crate::error::Result;
use crate::quarantine::{Order, Selection, quarantine, restore as put_back};
use crate::review::{About, DECISIONS, Decision, Ruling, decide as record};

/// Records decisions.
pub(super) fn decide(flags: &Decide, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let (ruling, said) = if flags.ruling.confirm {
        (Ruling::Confirm, "confirmed")
    } else if flags.ruling.dismiss {
        (Ruling::Dismiss, "dismissed")
    } else {
        (Ruling::Undo, "open again")
    };
    let at = Timestamp::now();
    let rows = flags.row.iter().map(|row| About::Row(*row));
    let causes = flags.cause.iter().map(|cause| About::Cause(cause.clone()));
    let decisions: Vec<Decision> =
        rows.chain(causes).map(|about| Decision { at, by: flags.by.clone(), about, ruling, note: flags.note.clone() }).collect();
    let count = record(&flags.report, &decisions)?;
    let path = flags.report.join(DECISIONS);
    terminal.print(format!("{} {said}, noted in {}\n", rows_of(count as u64), path.display()).as_bytes())?;
    Ok(Exit::Clean)
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
    let text = format!(
        "{} removed ({which}), {} kept\nkept     {folder}/kept\nremoved  {folder}/removed\nledger   {folder}/ledger.jsonl\nTo undo: foretaste restore {folder} --out NEW-FOLDER\n",
        rows_of(done.removed),
        rows_of(done.kept),
    );
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

/// Puts the rows of a quarantine back.
pub(super) fn restore(flags: &Restore, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let done = put_back(&flags.from, &flags.out)?;
    let text = format!("{} in {}, {} of them put back\n", rows_of(done.kept + done.removed), done.folder.display(), done.removed);
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

fn rows_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}
