//! A summary for a pull request, in GitHub-flavoured Markdown.

use std::fmt::Write as _;
use std::io::Write;

use super::text::{NAME, word};
use super::{Material, broken};
use crate::error::Result;
use crate::finding::Verdict;
use crate::report::json::ReportGroup;
use crate::report::visible;
use crate::report::words::{Gist, count, number, plural, standing};

/// Causes that are named; the report has the others.
const CAUSES: usize = 20;
/// Files that are named.
const FILES: usize = 10;
/// Characters shown of a sentence.
const TEXT: usize = 300;

/// Writes the summary.
pub(super) fn write(material: &Material<'_>, out: &mut dyn Write) -> Result<()> {
    out.write_all(page(material).as_bytes()).map_err(|e| broken(&e))
}

fn page(material: &Material<'_>) -> String {
    let report = &material.report;
    let gist = Gist::from(report);
    let head = (gist.verdict(), gist.headline(), gist.figures(), prose(&gist.label()));
    let mut page = format!("## foretaste: {}\n\n**{}**\n\n{}\n\n{}\n", head.0, head.1, head.2, head.3);
    // Writing into a string cannot fail, here and below.
    if !report.groups.is_empty() {
        page.push_str("\n### Found\n\n| | Cause | Rows | q | Detector | Fingerprint |\n| --- | --- | ---: | ---: | --- | --- |\n");
        for group in report.groups.iter().take(CAUSES) {
            page.push_str(&cause(material, group));
        }
        if let Some(more) = report.groups.len().checked_sub(CAUSES).filter(|more| *more > 0) {
            let _ = writeln!(page, "\nand {} in the report", plural(more as u64, "more cause", "more causes"));
        }
    }
    if let Some(alone) = gist.alone() {
        let _ = writeln!(page, "\n{}", prose(&alone));
    }
    let failed = || report.detectors.iter().filter(|detector| detector.status == "failed");
    let why = report.reasons.iter().filter(|_| report.groups.is_empty()).take(3).map(|reason| prose(reason));
    let broke = failed().map(|d| format!("{}: {}", prose(&d.code), prose(d.why.as_deref().unwrap_or_default())));
    section(&mut page, "Why", why);
    section(&mut page, "Estimate", report.estimates.iter().map(|estimate| prose(estimate)));
    section(&mut page, "Failed", broke);
    section(&mut page, "What to do", gist.next_steps().iter().map(|step| prose(step)));
    match &report.power {
        Some(power) => section(&mut page, "What the scan could have seen", power.sentences().iter().map(|said| prose(said))),
        None => page.push_str("\nWhat the scan could have seen was not measured; `foretaste scan --power` does.\n"),
    }
    page.push_str("\n### Data\n\n| File | Rows | SHA-256 |\n| --- | ---: | --- |\n");
    for file in report.data.files.iter().take(FILES) {
        let _ = writeln!(page, "| {} | {} | {} |", code(&file.name, NAME), count(file.rows), code(&word(&file.sha256), TEXT));
    }
    if let Some(more) = report.data.files.len().checked_sub(FILES).filter(|more| *more > 0) {
        let _ = writeln!(page, "\nand {} in the report", plural(more as u64, "more file", "more files"));
    }
    let _ = writeln!(
        page,
        "\nMade by foretaste {} at {}, settings {}.",
        prose(&report.tool.version),
        code(&report.created, TEXT),
        code(&word(&report.settings_digest), TEXT)
    );
    page
}

fn section(page: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(page, "\n### {heading}\n");
        for line in lines {
            let _ = writeln!(page, "- {line}");
        }
    }
}

/// One line of the table of causes.
fn cause(material: &Material<'_>, group: &ReportGroup) -> String {
    let sign = match material.comes_to(group) {
        Some(Verdict::Fail) => "🔴",
        Some(Verdict::Warn) => "🟡",
        Some(Verdict::Pass) | None => "⚪",
    };
    let accepted = standing(&group.standing).map(|why| format!(", {}", prose(&why))).unwrap_or_default();
    format!(
        "| {sign} {} | {}{accepted} | {} | {} | {} | {} |\n",
        group.tier.name().to_uppercase(),
        code(&group.title, TEXT),
        count(group.rows),
        number(group.q),
        code(&word(&group.code), TEXT),
        code(&word(&group.fingerprint), TEXT),
    )
}

/// Text as a span of code, where Markdown, HTML, links, mentions and references mean nothing. What could end the span, or a cell
/// of a table, is shown as its code point.
fn code(text: &str, limit: usize) -> String {
    let mut span = String::from("`");
    for c in visible(text, limit).chars() {
        match c {
            '`' | '|' => {
                let _ = write!(span, "⟨U+{:04X}⟩", u32::from(c));
            }
            c => span.push(c),
        }
    }
    if span.trim_matches(['`', ' ']).is_empty() {
        return "–".to_owned();
    }
    span.push('`');
    span
}

/// A sentence as it stands where nothing in it can mean anything to Markdown, and otherwise as code.
fn prose(text: &str) -> String {
    let shown = visible(text, TEXT);
    let plain = |c: char| c.is_alphanumeric() || " ,.;:()%'’+=–—…×·/-".contains(c);
    let linked = ["://", "www.", "--"].iter().any(|part| shown.to_ascii_lowercase().contains(part));
    if shown.chars().all(plain) && !linked && shown.starts_with(char::is_alphanumeric) { shown } else { code(&shown, usize::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_data_is_markdown() {
        assert_eq!(code("](javascript:alert(1)) @team <b>", 100), "`](javascript:alert(1)) @team <b>`");
        assert_eq!(code("a`b|c\\", 100), "`a⟨U+0060⟩b⟨U+007C⟩c\\`");
        assert_eq!([code("", 9), code("  ", 9)], ["–", "–"]);
        assert_eq!(prose("Scan again after changes."), "Scan again after changes.");
        for hostile in ["see https://evil.example", "WWW.evil.example", "@team", "#1", "a_b_", "*a*", "![x](y)", "- item", "&lt;", "<!--"] {
            assert_eq!(prose(hostile), format!("`{hostile}`"));
        }
    }
}
