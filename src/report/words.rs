//! How a report speaks: numbers, lists, the verdict in a sentence and what to do next.

use std::collections::BTreeMap;

use super::{Report, visible};
use crate::data::{Class, ColumnRole, Role};
use crate::finding::{Family, Standing, Tier, Verdict};
use crate::policy::{Applied, WaiverState};
use crate::run::{Outcome, Status};

/// Detectors that are named for the rows that they list each by itself.
const ALONE: usize = 5;
/// Characters shown of a column's name and of a code.
const NAME: usize = 60;

/// A count with its digits in threes: `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `a, b and c`.
pub(super) fn list(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A number to three significant digits; `–` where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value.filter(|v| v.is_finite()) else { return "–".to_owned() };
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.1e}")
    } else {
        let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

/// A share of a whole, in per cent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    match share {
        s if part > 0 && s < 0.01 => "<0.01%".to_owned(),
        s if s < 1.0 && part > 0 => format!("{s:.2}%"),
        s if s < 10.0 => format!("{s:.1}%"),
        s => format!("{s:.0}%"),
    }
}

/// A size in the largest unit that leaves at least one.
pub(super) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (n.max(1).ilog2() / 10).min(4);
    match (power, units.get(power as usize)) {
        (0, _) | (_, None) => format!("{n} B"),
        (_, Some(unit)) => format!("{:.1} {unit}", n as f64 / (1u64 << (10 * power)) as f64),
    }
}

/// A duration.
pub(super) fn seconds(value: Option<f64>) -> String {
    match value {
        Some(s) if s >= 90.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
        Some(s) if s >= 10.0 => format!("{s:.0} s"),
        Some(s) if s.is_finite() => format!("{s:.1} s"),
        _ => "–".to_owned(),
    }
}

/// Why a cause does not count; nothing where it does.
pub(crate) fn standing(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Open => None,
        Standing::Waived { reason, expires } => Some(format!("waived until {expires}: {reason}")),
        Standing::Known => Some("known from the earlier report".to_owned()),
    }
}

/// The rules of the verdict, one a line; none where there is no policy.
pub(super) fn policy(applied: &Applied) -> Vec<String> {
    let levels = applied.levels.iter().map(|(of, level)| format!("{of}: what is found comes to {}", level.name()));
    let budgets = applied.budgets.iter().map(|spent| {
        let state = if spent.listed > spent.allowed { "over" } else { "within" };
        format!("{}: {} rows listed, {} tolerated ({state}); more come to {}", spent.of, spent.listed, spent.allowed, spent.over.name())
    });
    let waivers = applied.waivers.iter().map(|waiver| {
        let state = match waiver.state {
            WaiverState::Applied => "applied",
            WaiverState::Expired => "expired",
            WaiverState::Unused => "no cause has this fingerprint",
        };
        format!("waiver of {} until {} ({state}): {}", waiver.finding, waiver.expires, waiver.reason)
    });
    let baseline = applied.baseline.iter().map(|earlier| {
        let causes = plural(earlier.findings.len() as u64, "cause", "causes");
        format!("known from the report {} of {}: {causes}", earlier.report, earlier.created)
    });
    levels.chain(budgets).chain(waivers).chain(baseline).collect()
}

/// What a run came to, as far as a sentence says it.
#[derive(Debug)]
pub(crate) struct Gist<'a> {
    verdict: Verdict,
    complete: bool,
    /// Tier of each cause, and whether it counts.
    causes: Vec<(Tier, bool)>,
    flagged_rows: u64,
    /// Whether more looks wrong than rows are listed for.
    estimated: bool,
    rows: u64,
    detectors: u64,
    ran: u64,
    /// Codes of units that failed.
    failed: Vec<&'a str>,
    /// Rows that detectors list without a cause, by code.
    alone: Vec<(&'a str, u64)>,
    /// The column that holds the label or what takes its part, and the classes in it.
    label: Option<(&'a ColumnRole, &'a [Class])>,
}

/// The rows that each detector lists beside its causes, given both by code.
fn alone<'a>(listed: impl Iterator<Item = (&'a str, u64)>, causes: &[(&str, u64)]) -> Vec<(&'a str, u64)> {
    let of_causes = |code: &str| causes.iter().filter(|(of, _)| *of == code).fold(0_u64, |sum, (_, rows)| sum.saturating_add(*rows));
    listed.map(|(code, rows)| (code, rows.saturating_sub(of_causes(code)))).filter(|(_, rows)| *rows > 0).collect()
}

/// The column that holds the label or what takes its part; a number to predict has no classes.
fn label<'a>(columns: &'a [ColumnRole], name: Option<&str>, classes: &'a [Class]) -> Option<(&'a ColumnRole, &'a [Class])> {
    let is_label = |column: &&ColumnRole| name.map_or(column.role == Role::Target, |name| column.name == name);
    columns.iter().find(is_label).map(|column| (column, classes))
}

/// The first two classes that differ by spaces or case alone.
fn alike(classes: &[Class]) -> Option<[&str; 2]> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    classes.iter().find_map(|class| Some([seen.insert(class.name.trim().to_lowercase(), &class.name)?, class.name.as_str()]))
}

impl<'a> From<&'a Outcome> for Gist<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let detectors = || outcome.units.iter().filter(|u| u.family != Family::Derived);
        let causes: Vec<(&str, u64)> = outcome.findings.iter().map(|f| (f.code.as_str(), f.group.rows)).collect();
        let data = &outcome.data;
        Self {
            verdict: outcome.verdict,
            complete: outcome.complete,
            causes: outcome.findings.iter().map(|f| (f.tier, f.standing == Standing::Open)).collect(),
            flagged_rows: outcome.flagged_rows,
            estimated: !outcome.estimates.is_empty(),
            rows: outcome.data.rows,
            detectors: detectors().count() as u64,
            ran: detectors().filter(|u| u.status == Status::Ran).count() as u64,
            failed: outcome.units.iter().filter(|u| matches!(u.status, Status::Failed(_))).map(|u| u.code.as_str()).collect(),
            alone: alone(detectors().map(|u| (u.code.as_str(), u.flagged)), &causes),
            label: label(&data.columns, data.label.as_deref(), &data.classes),
        }
    }
}

impl<'a> From<&'a Report> for Gist<'a> {
    fn from(report: &'a Report) -> Self {
        let detectors = || report.detectors.iter().filter(|d| d.family != Family::Derived);
        let causes: Vec<(&str, u64)> = report.groups.iter().map(|g| (g.code.as_str(), g.rows)).collect();
        let data = &report.data;
        Self {
            verdict: report.verdict,
            complete: report.complete,
            causes: report.groups.iter().map(|g| (g.tier, g.standing == Standing::Open)).collect(),
            flagged_rows: report.flagged_rows,
            estimated: !report.estimates.is_empty(),
            rows: report.data.rows,
            detectors: detectors().count() as u64,
            ran: detectors().filter(|d| d.status == "ran").count() as u64,
            failed: report.detectors.iter().filter(|d| d.status == "failed").map(|d| d.code.as_str()).collect(),
            alone: alone(detectors().map(|d| (d.code.as_str(), d.flagged)), &causes),
            label: label(&data.columns, data.label.as_deref(), &data.classes),
        }
    }
}

impl Gist<'_> {
    /// The verdict as it is shown: `FAIL, INCOMPLETE`.
    pub(crate) fn verdict(&self) -> String {
        format!("{}{}", self.verdict.name().to_uppercase(), if self.complete { "" } else { ", INCOMPLETE" })
    }

    /// What the data set comes to, in a line.
    pub(crate) fn headline(&self) -> &'static str {
        let unlabelled = self.label.is_none();
        let alarm = self.causes.contains(&(Tier::Alarm, true));
        let found = !self.causes.is_empty() || self.flagged_rows > 0;
        match (self.verdict, self.complete) {
            (Verdict::Fail, _) if !alarm => "The policy fails what was found.",
            (Verdict::Warn, _) if alarm => "A structure was found that clean data does not show; the policy only warns of it.",
            (Verdict::Pass, true) if found => "What was found is within the policy.",
            (Verdict::Fail, _) => "Poisoning found: a structure that clean data does not show.",
            (Verdict::Warn, true) => "Some rows need a look; nothing shows that the set was poisoned.",
            (Verdict::Warn, false) => "Some rows need a look, and not every detector could finish.",
            (Verdict::Pass, true) if unlabelled => "Nothing was found without a label to ask about.",
            (Verdict::Pass, true) if self.estimated => "No row and no cause is certain, but see the estimate.",
            (Verdict::Pass, true) => "Nothing was found.",
            (Verdict::Pass, false) => "Nothing was found yet: not every detector could finish.",
        }
    }

    /// What was found, in figures.
    pub(crate) fn figures(&self) -> String {
        let at = |wanted| self.causes.iter().filter(|(tier, _)| *tier == wanted).count() as u64;
        let causes = match (at(Tier::Alarm), at(Tier::Suspect)) {
            (0, 0) => "no cause".to_owned(),
            (a, 0) => format!("{} (alarm)", plural(a, "cause", "causes")),
            (0, s) => format!("{} (suspect)", plural(s, "cause", "causes")),
            (a, s) => format!("{} ({} alarm, {} suspect)", plural(a + s, "cause", "causes"), count(a), count(s)),
        };
        format!(
            "{causes} · {} of {} rows listed ({}) · {} of {} ran",
            count(self.flagged_rows),
            count(self.rows),
            percent(self.flagged_rows, self.rows),
            count(self.ran),
            plural(self.detectors, "detector", "detectors"),
        )
    }

    /// What was taken for the label. It quotes the data, made harmless.
    pub(crate) fn label(&self) -> String {
        let Some((column, classes)) = self.label else {
            return "no label column was found: detectors that need one did not run; name it with --label".to_owned();
        };
        let name = visible(&column.name, NAME);
        let number = classes.len() as u64;
        match column.role {
            Role::Target => format!("label: {name} (numbers to predict)"),
            Role::Response => format!("no label column was found; answers: {name} ({} that repeat)", count(number)),
            _ => {
                let two = alike(classes).map(|two| two.map(|class| format!("'{}'", visible(class, NAME))).join(" and "));
                let remark = two.map_or(String::new(), |two| format!("; {two} differ by spaces or case alone: are they one?"));
                let few = if number < 2 { "; detectors that compare classes did not run" } else { "" };
                format!("label: {name} ({}{few}{remark})", plural(number, "class", "classes"))
            }
        }
    }

    /// The rows that belong to no cause, by detector; nothing where all do.
    pub(crate) fn alone(&self) -> Option<String> {
        let (first, _) = self.alone.first()?;
        let mut parts: Vec<String> = self
            .alone
            .iter()
            .take(ALONE)
            .map(|(code, rows)| format!("{} by {}", plural(*rows, "row", "rows"), visible(code, NAME)))
            .collect();
        parts.extend(self.alone.len().checked_sub(ALONE).filter(|&more| more > 0).map(|more| format!("{more} more detectors")));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Some(format!("Each by itself: {}; 'foretaste explain {}' says how", list(&parts), visible(first, NAME)))
    }

    /// What a person does now, most urgent first.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if !self.complete {
            let which = if self.failed.is_empty() { String::new() } else { format!(" ({})", list(&self.failed)) };
            steps.push(format!("Scan again: the run is incomplete{which}, so the verdict covers only what ran."));
        }
        let said: [&str; 2] = match self.verdict {
            Verdict::Fail => [
                "Do not train on this set yet. Check each cause against its example rows: a natural shortcut in the data can look like a trigger.",
                "Set the listed rows aside (foretaste quarantine), find out where they came from, then scan again.",
            ],
            Verdict::Warn => [
                "Look through the listed rows (foretaste review), say of each whether it stays, and set the others aside (foretaste quarantine).",
                "Scan again after changes.",
            ],
            Verdict::Pass => [
                "Keep this report with the data: its digests name exactly what was scanned.",
                "Mind the limits: the report says what each detector could have seen.",
            ],
        };
        steps.extend(said.map(str::to_owned));
        if self.flagged_rows == 0 && !self.causes.is_empty() {
            let ranked = "No row could be singled out, so there is none to set aside: look through those that the detector of the cause ranks first \
                          (foretaste scan --scores).";
            steps.insert(1, ranked.to_owned());
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1_000), count(12_345_678)], ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([number(Some(0.0)), number(Some(0.25)), number(Some(12.345)), number(Some(1234.5))], ["0", "0.25", "12.3", "1234"]);
        assert_eq!([number(Some(1.23e-14)), number(Some(-2e9)), number(None), number(Some(f64::NAN))], ["1.2e-14", "-2.0e9", "–", "–"]);
        assert_eq!([percent(0, 0), percent(1, 1_000_000), percent(152, 12_000), percent(50, 100)], ["0.0%", "<0.01%", "1.3%", "50%"]);
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(u64::MAX)], ["0 B", "1023 B", "1.5 KiB", "16777216.0 TiB"]);
        assert_eq!([seconds(Some(0.04)), seconds(Some(61.0)), seconds(Some(125.0)), seconds(None)], ["0.0 s", "61 s", "2 min 5 s", "–"]);
        assert_eq!([list(&[]), list(&["a"]), list(&["a", "b", "c"])], ["", "a", "a, b and c"]);
    }

    #[test]
    fn an_incomplete_run_comes_first() {
        assert!(Gist::from(&sample::poisoned()).next_steps()[0].starts_with("Scan again: the run is incomplete (label.crossfit)"));
        assert!(Gist::from(&sample::clean()).next_steps()[0].starts_with("Keep this report"));
        let mut outcome = sample::clean();
        outcome.data.label = None;
        assert_eq!(Gist::from(&outcome).headline(), "Nothing was found without a label to ask about.");
        let estimate = Outcome { estimates: vec!["about 3.1 % of labels look wrong".to_owned()], ..sample::clean() };
        assert_eq!(Gist::from(&estimate).headline(), "No row and no cause is certain, but see the estimate.");
        outcome.complete = false;
        assert_eq!(Gist::from(&outcome).headline(), "Nothing was found yet: not every detector could finish.");
        let mut unnamed = sample::poisoned();
        assert!(!Gist::from(&unnamed).next_steps().iter().any(|step| step.contains("singled out")));
        unnamed.flagged_rows = 0;
        assert!(Gist::from(&unnamed).next_steps()[1].starts_with("No row could be singled out"));
    }

    #[test]
    fn rows_without_a_cause_are_told_of_by_detector() {
        let mut outcome = sample::poisoned();
        assert_eq!(Gist::from(&outcome).alone(), None);
        outcome.units[0].flagged = 103;
        outcome.units[2].flagged = 1_200;
        let said = "Each by itself: 1 row by duplicate.exact and 1,200 rows by trigger.token; 'foretaste explain duplicate.exact' says how";
        assert_eq!(Gist::from(&outcome).alone().as_deref(), Some(said));
    }

    #[test]
    fn the_label_is_named() {
        let mut outcome = sample::clean();
        let said = |outcome: &Outcome| Gist::from(outcome).label();
        assert_eq!(said(&outcome), "label: label (10 classes)");
        outcome.data.classes[0].name = "Cat".to_owned();
        outcome.data.classes[2].name = "cat ".to_owned();
        assert_eq!(said(&outcome), "label: label (10 classes; 'Cat' and 'cat ' differ by spaces or case alone: are they one?)");
        outcome.data.columns[1].role = Role::Response;
        assert_eq!(said(&outcome), "no label column was found; answers: label (10 that repeat)");
        outcome.data.label = None;
        assert!(said(&outcome).ends_with("name it with --label"));
        outcome.data.columns[1].role = Role::Target;
        assert_eq!(said(&outcome), "label: label (numbers to predict)");
    }

    #[test]
    fn a_report_says_what_its_outcome_says() {
        for outcome in [sample::clean(), sample::poisoned()] {
            let report = Report::new(&outcome, &sample::settings()).unwrap();
            let (of_outcome, of_report) = (Gist::from(&outcome), Gist::from(&report));
            let said = |gist: &Gist<'_>| (gist.verdict(), gist.headline(), gist.figures(), gist.label(), gist.alone(), gist.next_steps());
            assert_eq!(said(&of_outcome), said(&of_report));
        }
    }
}
