//! What a terminal shows at the end of a run: read in ten seconds.

use std::fmt::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::visible;
use super::words::{Gist, count, number, percent, plural, policy, standing};
use crate::finding::{Finding, Tier, Verdict};
use crate::run::{Breakdown, Outcome, Status};

/// Causes that are named; the report has the others.
const CAUSES: usize = 10;
/// Values that are named of each breakdown.
const VALUES: usize = 3;
/// Characters shown of a text from the data.
const TEXT: usize = 240;
/// Characters shown of a value.
const VALUE: usize = 30;
/// Columns of the terminal below which lines are no longer shortened.
const NARROWEST: usize = 40;

/// The summary of a run whose report lies at `report_path`, in lines of at most `width` columns where the words allow.
/// Ends in a line break. With `colour`, escape sequences are those of this function alone: the data brings none.
#[must_use]
pub fn render(outcome: &Outcome, report_path: &Path, colour: bool, width: usize) -> String {
    let mut page = Page { text: String::new(), colour, width: width.max(NARROWEST) };
    let gist = Gist::from(outcome);
    page.entry(&gist.verdict(), verdict_style(outcome), gist.headline());
    page.plain(&gist.figures());
    page.plain(&gist.label());
    let alone = gist.alone();
    if !outcome.findings.is_empty() || alone.is_some() {
        page.heading("Found");
        for finding in outcome.findings.iter().take(CAUSES) {
            page.cause(finding);
        }
        if let Some(more) = outcome.findings.len().checked_sub(CAUSES).filter(|&more| more > 0) {
            page.plain(&format!("and {} in the report", plural(more as u64, "more cause", "more causes")));
        }
        if let Some(alone) = alone {
            page.plain(&alone);
        }
    }
    if outcome.findings.is_empty() {
        page.heading("Why");
        for reason in outcome.reasons.iter().take(3) {
            page.plain(&visible(reason, TEXT));
        }
    }
    if !outcome.estimates.is_empty() {
        page.heading("Estimate");
        for estimate in &outcome.estimates {
            page.plain(&visible(estimate, TEXT));
        }
    }
    let failed: Vec<String> = outcome
        .units
        .iter()
        .filter_map(|unit| match &unit.status {
            Status::Failed(why) => Some(format!("{}: {}", visible(&unit.code, VALUE), visible(why, TEXT))),
            Status::Ran | Status::Skipped(_) => None,
        })
        .collect();
    if !failed.is_empty() {
        page.heading("Failed");
        for line in failed {
            page.plain(&line);
        }
    }
    let places: Vec<&Breakdown> = outcome.breakdown.iter().filter(|b| b.values.iter().any(|v| v.flagged > 0)).take(4).collect();
    if !places.is_empty() {
        page.heading("Where");
        for place in places {
            page.plain(&said(place));
        }
    }
    let rules = policy(&outcome.policy);
    if !rules.is_empty() {
        page.heading("Policy");
        for rule in rules {
            page.plain(&visible(&rule, TEXT));
        }
    }
    if let Some(power) = &outcome.power {
        page.heading("What it could have seen");
        for sentence in power.sentences() {
            page.plain(&sentence);
        }
    }
    page.heading("Next");
    for step in gist.next_steps() {
        page.item(&step);
    }
    page.heading("Report");
    page.plain(&visible(&report_path.join("report.html").display().to_string(), 1_000));
    page.text
}

/// A breakdown in a line: its first values with how many of their rows are listed.
fn said(breakdown: &Breakdown) -> String {
    let values: Vec<String> = breakdown
        .values
        .iter()
        .filter(|v| v.flagged > 0)
        .take(VALUES)
        .map(|v| format!("{}: {} of {} ({})", visible(&v.value, VALUE), count(v.flagged), count(v.rows), percent(v.flagged, v.rows)))
        .collect();
    format!("by {} – {}", visible(&breakdown.by, VALUE), values.join(" · "))
}

fn verdict_style(outcome: &Outcome) -> Style {
    let colour = match outcome.verdict {
        Verdict::Fail => AnsiColor::Red,
        Verdict::Pass if outcome.complete => AnsiColor::Green,
        Verdict::Warn | Verdict::Pass => AnsiColor::Yellow,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

struct Page {
    text: String,
    colour: bool,
    width: usize,
}

impl Page {
    fn styled(&self, text: &str, style: Style) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&mut self, line: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A styled word and a sentence after it.
    fn entry(&mut self, word: &str, style: Style, sentence: &str) {
        let lines = wrap(&format!("{word}  {sentence}"), self.width, 2);
        let lead = self.styled(word, style);
        for (i, line) in lines.iter().enumerate() {
            match line.strip_prefix(word).filter(|_| i == 0) {
                Some(rest) => self.line(&format!("{lead}{rest}")),
                None => self.line(&format!("  {line}")),
            }
        }
    }

    fn heading(&mut self, word: &str) {
        let heading = self.styled(word, Style::new().bold());
        self.line("");
        self.line(&heading);
    }

    fn plain(&mut self, text: &str) {
        for line in wrap(text, self.width, 2) {
            self.line(&format!("  {line}"));
        }
    }

    fn item(&mut self, text: &str) {
        for (i, line) in wrap(text, self.width, 4).iter().enumerate() {
            self.line(&format!("  {} {line}", if i == 0 { "·" } else { " " }));
        }
    }

    fn cause(&mut self, finding: &Finding) {
        let (word, colour) = match finding.tier {
            Tier::Alarm => ("ALARM  ", AnsiColor::Red),
            Tier::Suspect => ("SUSPECT", AnsiColor::Yellow),
            Tier::Review => ("REVIEW ", AnsiColor::Cyan),
        };
        let lead = self.styled(word, Style::new().fg_color(Some(colour.into())));
        let group = &finding.group;
        for (i, line) in wrap(&visible(&group.title, TEXT), self.width, 11).iter().enumerate() {
            self.line(&if i == 0 { format!("  {lead}  {line}") } else { format!("           {line}") });
        }
        let standing = standing(&finding.standing).map_or_else(String::new, |said| format!(" · {}", visible(&said, TEXT)));
        let (code, rows) = (visible(&finding.code, VALUE), plural(group.rows, "row", "rows"));
        let facts = format!("{code} · {rows} · q {}{standing}", number(Some(finding.q)));
        for line in wrap(&facts, self.width, 11) {
            let faint = self.styled(&line, Style::new().dimmed());
            self.line(&format!("           {faint}"));
        }
    }
}

/// Breaks a text at its spaces into lines that leave room for an indent; longer words are cut apart.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let room = width.saturating_sub(indent).max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    let start = |lines: &mut Vec<String>, used: &mut usize| {
        lines.push(String::new());
        *used = 0;
    };
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            start(&mut lines, &mut used);
        } else if used > 0 {
            push(&mut lines, ' ', &mut used);
        }
        for c in word.chars() {
            if used == room {
                start(&mut lines, &mut used);
            }
            push(&mut lines, c, &mut used);
        }
    }
    lines
}

fn push(lines: &mut [String], c: char, used: &mut usize) {
    if let Some(line) = lines.last_mut() {
        line.push(c);
        *used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn plain(outcome: &Outcome, width: usize) -> String {
        render(outcome, Path::new("foretaste-report"), false, width)
    }

    #[test]
    fn a_clean_set() {
        insta::assert_snapshot!(plain(&sample::clean(), 100), @"
        PASS  Nothing was found.
          no cause · 0 of 12,000 rows listed (0.0%) · 1 of 2 detectors ran
          label: label (10 classes)

        Why
          no detector found anything that it claims

        Next
          · Keep this report with the data: its digests name exactly what was scanned.
          · Mind the limits: the report says what each detector could have seen.

        Report
          foretaste-report/report.html
        ");
    }

    #[test]
    fn a_poisoned_set() {
        insta::assert_snapshot!(plain(&sample::poisoned(), 80), @"
        FAIL, INCOMPLETE  Poisoning found: a structure that clean data does not show.
          2 causes (1 alarm, 1 suspect) · 152 of 12,000 rows listed (1.3%) · 2 of 4
          detectors ran
          label: label (10 classes)

        Found
          ALARM    3×3 patch at (24,24) in 50 rows, all labelled 0
                   trigger.patch · 50 rows · q 9.3e-37
          SUSPECT  one row 102 times, under 3 labels
                   duplicate.exact · 102 rows · q 8.0e-7

        Failed
          label.crossfit: ran out of its memory budget

        Where
          by label – 0: 120 of 1,200 (10%) · 7: 32 of 1,200 (2.7%)
          by source – mirror-b: 150 of 400 (38%) · upstream: 2 of 11,588 (0.02%)

        Next
          · Scan again: the run is incomplete (label.crossfit), so the verdict covers
            only what ran.
          · Do not train on this set yet. Check each cause against its example rows: a
            natural shortcut in the data can look like a trigger.
          · Set the listed rows aside (foretaste quarantine), find out where they came
            from, then scan again.

        Report
          foretaste-report/report.html
        ");
    }

    #[test]
    fn many_causes_are_cut() {
        let mut outcome = sample::poisoned();
        let first = outcome.findings[0].clone();
        outcome.findings = vec![first; 25];
        let said = plain(&outcome, 80);
        assert_eq!(said.matches("ALARM").count(), CAUSES);
        assert!(said.contains("and 15 more causes in the report"));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = render(&sample::poisoned(), Path::new("foretaste-report"), true, 80);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain(&sample::poisoned(), 80));
    }

    #[test]
    fn lines_stay_within_the_width() {
        for width in [40, 60, 100] {
            for outcome in [sample::clean(), sample::poisoned(), sample::hostile(500)] {
                for line in plain(&outcome, width).lines() {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn hostile_text_is_harmless_and_short() {
        let mut hostile = sample::hostile(1_000_000);
        hostile.findings[0].group.title = sample::evil(10_000_000);
        let said = plain(&hostile, 80);
        assert!(said.len() < 20_000, "{}", said.len());
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(!said.contains(['\u{202E}', '\u{200B}', '\u{E0041}']));
        let coloured = render(&hostile, Path::new("a\u{1b}[2Jb"), true, 80);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string().matches("a⟨U+001B⟩[2Jb").count(), 1);
        // Every escape sequence left is a colour of our own.
        assert!(
            coloured.split('\u{1b}').skip(1).all(
                |rest| rest.starts_with('[') && rest[1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
            )
        );
    }
}
