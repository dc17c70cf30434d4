//! From what was found to a verdict, as the user wants it: levels, budgets, waivers, and what is known from before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::finding::{Family, Finding, Standing, Tier, Verdict, covers};

/// Shortest reason of a waiver, characters.
const SHORTEST_REASON: usize = 3;
/// Causes that a verdict names.
const MOST_NAMED: usize = 5;

/// What the user wants findings to come to. Keys of both tables are codes (`trigger.patch`) or families (`trigger`); a code is
/// stronger than its family.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What a cause, or a listed row without a budget, comes to; without a level an alarm fails and anything else warns.
    pub levels: BTreeMap<String, Verdict>,
    /// Listed rows that are tolerated.
    pub budgets: BTreeMap<String, Budget>,
    /// Causes that were looked at and are accepted.
    pub waivers: Vec<Waiver>,
}

/// Listed rows that are tolerated: up to `share` of all rows, or up to `rows`; both given, the smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Share of all rows, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// A number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What more of them come to.
    #[serde(default = "warn")]
    pub over: Verdict,
}

fn warn() -> Verdict {
    Verdict::Warn
}

impl Budget {
    /// Rows that are tolerated of so many.
    #[must_use]
    pub fn of(&self, rows: u64) -> u64 {
        let share = self.share.map(|share| (share * rows as f64).floor() as u64);
        share.into_iter().chain(self.rows).min().unwrap_or(0)
    }
}

/// A cause that was looked at and is accepted for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The finding's fingerprint, as the report prints it.
    pub finding: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, `YYYY-MM-DD`.
    pub expires: Date,
}

impl Rules {
    /// Refuses keys that name no detector or family of `codes`, budgets without a limit, and waivers without a reason.
    pub fn check(&self, codes: &[&str]) -> Result<()> {
        let known = |key: &str| codes.iter().any(|code| covers(key, code));
        for (table, keys) in
            [("policy.levels", self.levels.keys().collect::<Vec<_>>()), ("policy.budgets", self.budgets.keys().collect::<Vec<_>>())]
        {
            if let Some(key) = keys.into_iter().find(|key| !known(key)) {
                return Err(Error::config(table, format!("there is no detector or family '{key}'"))
                    .with_help("Run 'foretaste explain' for the list of detectors."));
            }
        }
        for (key, budget) in &self.budgets {
            let origin = format!("policy.budgets.{key}");
            if budget.share.is_none() && budget.rows.is_none() {
                return Err(Error::config(origin, "needs 'share' or 'rows'"));
            }
            if let Some(share) = budget.share.filter(|share| !(0.0..=1.0).contains(share)) {
                return Err(Error::config(origin, format!("'share' must lie between 0 and 1, not {share}")));
            }
        }
        if let Some(waiver) = self.waivers.iter().find(|waiver| waiver.reason.trim().chars().count() < SHORTEST_REASON) {
            return Err(Error::config("policy.waivers", format!("the waiver of '{}' gives no reason", waiver.finding)));
        }
        Ok(())
    }
}

/// What an earlier report had: only what is new counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Where the report lies.
    pub report: String,
    /// When it was made.
    pub created: String,
    /// Fingerprints of its causes.
    pub findings: BTreeSet<String>,
    /// Rows that each detector listed.
    pub listed: BTreeMap<String, u64>,
    /// Rows in all.
    pub rows: u64,
}

/// Rules with what they are applied to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gate {
    /// What the user wants.
    pub rules: Rules,
    /// The earlier report.
    pub baseline: Option<Baseline>,
    /// The day of the run; without it no waiver has expired.
    pub today: Option<Date>,
}

/// Rows that a detector lists for reasons that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Code of the detector.
    pub code: &'a str,
    /// Its family.
    pub family: Family,
    /// Rows.
    pub rows: u64,
}

/// How far a waiver came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaiverState {
    /// It waives a cause of this run.
    Applied,
    /// Its last day is over.
    Expired,
    /// No cause has its fingerprint.
    Unused,
}

/// A waiver with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedWaiver {
    /// As in [`Waiver`].
    pub finding: String,
    /// As in [`Waiver`].
    pub reason: String,
    /// As in [`Waiver`].
    pub expires: Date,
    /// How far it came.
    pub state: WaiverState,
}

/// A budget beside what it was for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Family or code.
    pub of: String,
    /// Rows listed.
    pub listed: u64,
    /// Rows tolerated.
    pub allowed: u64,
    /// What more come to.
    pub over: Verdict,
}

/// The rules as they were applied, for the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Levels that were set.
    pub levels: BTreeMap<String, Verdict>,
    /// Budgets with what was listed.
    pub budgets: Vec<Spent>,
    /// Waivers with their state.
    pub waivers: Vec<UsedWaiver>,
    /// The earlier report that is known.
    pub baseline: Option<Baseline>,
}

impl Applied {
    /// What a cause comes to; nothing where it does not count.
    #[must_use]
    pub fn cause(&self, code: &str, family: Family, tier: Tier, standing: &Standing) -> Option<Verdict> {
        (*standing == Standing::Open).then(|| level(&self.levels, code, family, usual(tier)))
    }
}

/// What a cause comes to where the user sets no level.
fn usual(tier: Tier) -> Verdict {
    if tier == Tier::Alarm { Verdict::Fail } else { Verdict::Warn }
}

fn level(levels: &BTreeMap<String, Verdict>, code: &str, family: Family, usual: Verdict) -> Verdict {
    levels.get(code).or_else(|| levels.get(family.name())).copied().unwrap_or(usual)
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What made it so, the most important first; empty where nothing counts.
    pub reasons: Vec<String>,
    /// The rules as applied.
    pub applied: Applied,
}

impl Gate {
    /// Whether a cause counts.
    #[must_use]
    pub fn standing(&self, fingerprint: &str) -> Standing {
        let valid = |waiver: &&Waiver| waiver.finding == fingerprint && !self.is_over(waiver);
        if let Some(waiver) = self.rules.waivers.iter().find(valid) {
            Standing::Waived { reason: waiver.reason.clone(), expires: waiver.expires.to_string() }
        } else if self.baseline.as_ref().is_some_and(|baseline| baseline.findings.contains(fingerprint)) {
            Standing::Known
        } else {
            Standing::Open
        }
    }

    fn is_over(&self, waiver: &Waiver) -> bool {
        self.today.is_some_and(|today| waiver.expires < today)
    }

    /// What a detector's finding comes to by the levels.
    fn level(&self, code: &str, family: Family, usual: Verdict) -> Verdict {
        level(&self.rules.levels, code, family, usual)
    }

    /// The verdict over causes, and over listed rows by detector and by family (where a row counts once). Rows that are listed for
    /// causes that do not count are in neither.
    #[must_use]
    pub fn judge(&self, findings: &[Finding], by_code: &[Listed<'_>], by_family: &BTreeMap<Family, u64>, rows: u64) -> Judgement {
        let mut verdict = Verdict::Pass;
        let mut reasons = Vec::new();
        for finding in findings.iter().filter(|finding| finding.standing == Standing::Open) {
            let level = self.level(&finding.code, finding.family, usual(finding.tier));
            verdict = verdict.max(level);
            if level == Verdict::Fail && reasons.len() < MOST_NAMED {
                reasons.push(finding.group.title.clone());
            }
        }
        let mut budgets = Vec::new();
        let mut spend = |of: &str, listed: u64, budget: &Budget, reasons: &mut Vec<String>| {
            let spent = Spent { of: of.to_owned(), listed, allowed: budget.of(rows), over: budget.over };
            let over = listed > spent.allowed;
            if over {
                reasons.push(format!("{of} lists {listed} rows, more than the {} that the policy allows", spent.allowed));
            }
            budgets.push(spent);
            if over { budget.over } else { Verdict::Pass }
        };
        for (of, budget) in &self.rules.budgets {
            let listed = match by_family.iter().find(|(family, _)| family.name() == of) {
                Some((_, rows)) => *rows,
                None => by_code.iter().filter(|listed| listed.code == of).map(|listed| listed.rows).sum(),
            };
            verdict = verdict.max(spend(of, listed, budget, &mut reasons));
        }
        let budgeted = |listed: &Listed<'_>| [listed.code, listed.family.name()].iter().any(|key| self.rules.budgets.contains_key(*key));
        for listed in by_code.iter().filter(|listed| listed.rows > 0 && !budgeted(listed)) {
            if !self.is_known(*listed, rows) {
                verdict = verdict.max(self.level(listed.code, listed.family, Verdict::Warn));
            }
        }
        reasons.extend(self.set_aside(findings));
        let applied =
            Applied { levels: self.rules.levels.clone(), budgets, waivers: self.waivers(findings), baseline: self.baseline.clone() };
        Judgement { verdict, reasons, applied }
    }

    /// Whether an earlier report listed as large a share of the rows.
    fn is_known(&self, listed: Listed<'_>, rows: u64) -> bool {
        self.baseline.as_ref().is_some_and(|baseline| {
            let before = baseline.listed.get(listed.code).copied().unwrap_or(0);
            u128::from(listed.rows) * u128::from(baseline.rows) <= u128::from(before) * u128::from(rows)
        })
    }

    fn waivers(&self, findings: &[Finding]) -> Vec<UsedWaiver> {
        let state = |waiver: &Waiver| {
            if self.is_over(waiver) {
                WaiverState::Expired
            } else if findings.iter().any(|finding| finding.fingerprint == waiver.finding) {
                WaiverState::Applied
            } else {
                WaiverState::Unused
            }
        };
        let used = |waiver: &Waiver| {
            let Waiver { finding, reason, expires } = waiver.clone();
            UsedWaiver { finding, reason, expires, state: state(waiver) }
        };
        self.rules.waivers.iter().map(used).collect()
    }

    /// Sentences about causes that do not count, and about waivers that no longer do.
    fn set_aside(&self, findings: &[Finding]) -> Vec<String> {
        let mut out = Vec::new();
        for finding in findings {
            if let Standing::Waived { reason, expires } = &finding.standing {
                out.push(format!("waived until {expires} ({reason}): {}", finding.group.title));
            }
        }
        let known = findings.iter().filter(|finding| finding.standing == Standing::Known).count();
        if known > 0 {
            out.push(format!("{known} of the causes were in the earlier report already"));
        }
        for waiver in self.rules.waivers.iter().filter(|waiver| self.is_over(waiver)) {
            if findings.iter().any(|finding| finding.fingerprint == waiver.finding) {
                out.push(format!("the waiver of {} expired on {}", waiver.finding, waiver.expires));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Group;

    const CODES: [&str; 3] = ["label.crossfit", "outlier.univariate", "trigger.patch"];

    fn finding(code: &str, family: Family, tier: Tier, gate: &Gate) -> Finding {
        let group = Group {
            title: format!("something in {code}"),
            cause: "cause".to_owned(),
            attack_class: "backdoor_trigger".to_owned(),
            rows: 50,
            agreeing: 50,
            label: None,
            background: None,
            statistic: "rows".to_owned(),
            value: 50.0,
            p: 1e-9,
            tests: 1,
            max_tier: tier,
            examples: Vec::new(),
            evidence: serde_json::Map::new(),
        };
        let fingerprint = format!("print of {code}");
        Finding { code: code.to_owned(), family, tier, q: 1e-9, standing: gate.standing(&fingerprint), fingerprint, group }
    }

    fn gate(rules: &str) -> Gate {
        let rules: Rules = toml::from_str(rules).unwrap();
        rules.check(&CODES).unwrap();
        Gate { rules, baseline: None, today: Some("2026-06-01".parse().unwrap()) }
    }

    /// An alarm of `trigger.patch` and so many rows of `label.crossfit`, of 1,000.
    fn judged(gate: &Gate, alarm: bool, rows: u64) -> Judgement {
        let findings: Vec<Finding> = alarm.then(|| finding("trigger.patch", Family::Trigger, Tier::Alarm, gate)).into_iter().collect();
        let listed = Listed { code: "label.crossfit", family: Family::Label, rows };
        gate.judge(&findings, &[listed], &BTreeMap::from([(Family::Label, rows)]), 1_000)
    }

    #[test]
    fn without_rules_alarms_fail_and_rows_warn() {
        let plain = Gate::default();
        assert_eq!(judged(&plain, false, 0).verdict, Verdict::Pass);
        assert_eq!(judged(&plain, false, 1).verdict, Verdict::Warn);
        let judgement = judged(&plain, true, 0);
        assert_eq!((judgement.verdict, judgement.reasons), (Verdict::Fail, vec!["something in trigger.patch".to_owned()]));
        let suspect = finding("label.region", Family::Label, Tier::Suspect, &plain);
        assert_eq!(plain.judge(&[suspect], &[], &BTreeMap::new(), 10).verdict, Verdict::Warn);
    }

    #[test]
    fn levels_of_codes_are_stronger_than_those_of_families() {
        assert_eq!(judged(&gate("levels = { trigger = 'warn' }"), true, 0).verdict, Verdict::Warn);
        assert_eq!(judged(&gate("levels = { trigger = 'warn', 'trigger.patch' = 'fail' }"), true, 0).verdict, Verdict::Fail);
        assert_eq!(judged(&gate("levels = { label = 'pass' }"), false, 9).verdict, Verdict::Pass);
        assert_eq!(judged(&gate("levels = { label = 'fail' }"), false, 9).verdict, Verdict::Fail);
    }

    #[test]
    fn budgets_tolerate_rows_up_to_their_limit() {
        let budget = gate("budgets = { label = { share = 0.02, over = 'fail' } }");
        assert_eq!(judged(&budget, false, 20).verdict, Verdict::Pass);
        let over = judged(&budget, false, 21);
        assert_eq!(over.verdict, Verdict::Fail);
        assert_eq!(over.reasons, ["label lists 21 rows, more than the 20 that the policy allows"]);
        assert_eq!(over.applied.budgets, [Spent { of: "label".to_owned(), listed: 21, allowed: 20, over: Verdict::Fail }]);
        let both = gate("budgets = { 'label.crossfit' = { share = 0.5, rows = 3 } }");
        assert_eq!([3, 4].map(|rows| judged(&both, false, rows).verdict), [Verdict::Pass, Verdict::Warn]);
    }

    #[test]
    fn waivers_hold_until_their_last_day_and_for_their_cause_alone() {
        let waived = |finding: &str, expires: &str| {
            gate(&format!("waivers = [{{ finding = '{finding}', reason = 'newsroom tag', expires = '{expires}' }}]"))
        };
        let held = judged(&waived("print of trigger.patch", "2026-06-01"), true, 0);
        assert_eq!(held.verdict, Verdict::Pass);
        assert_eq!(held.reasons, ["waived until 2026-06-01 (newsroom tag): something in trigger.patch"]);
        assert_eq!(held.applied.waivers[0].state, WaiverState::Applied);
        let over = judged(&waived("print of trigger.patch", "2026-05-31"), true, 0);
        assert_eq!((over.verdict, over.applied.waivers[0].state), (Verdict::Fail, WaiverState::Expired));
        assert_eq!(over.reasons[1], "the waiver of print of trigger.patch expired on 2026-05-31");
        let other = judged(&waived("another", "2027-01-01"), true, 0);
        assert_eq!((other.verdict, other.applied.waivers[0].state), (Verdict::Fail, WaiverState::Unused));
    }

    #[test]
    fn what_an_earlier_report_had_is_known() {
        let mut known = Gate::default();
        let before = Baseline { listed: BTreeMap::from([("label.crossfit".to_owned(), 10)]), rows: 1_000, ..Baseline::default() };
        known.baseline = Some(Baseline { findings: BTreeSet::from(["print of trigger.patch".to_owned()]), ..before });
        let judgement = judged(&known, true, 10);
        assert_eq!((judgement.verdict, judgement.reasons.len()), (Verdict::Pass, 1));
        assert_eq!(judged(&known, false, 11).verdict, Verdict::Warn);
        let new = finding("trigger.token", Family::Trigger, Tier::Alarm, &known);
        assert_eq!(known.judge(&[new], &[], &BTreeMap::new(), 10).verdict, Verdict::Fail);
    }

    #[test]
    fn rules_that_say_nothing_are_refused() {
        for (rules, said) in [
            ("levels = { triger = 'warn' }", "policy.levels: there is no detector or family 'triger'"),
            ("budgets = { label = { over = 'fail' } }", "policy.budgets.label: needs 'share' or 'rows'"),
            ("budgets = { label = { share = 2.0 } }", "policy.budgets.label: 'share' must lie between 0 and 1, not 2"),
            ("waivers = [{ finding = 'ab', reason = ' ', expires = '2026-01-01' }]", "policy.waivers: the waiver of 'ab' gives no reason"),
        ] {
            let rules: Rules = toml::from_str(rules).unwrap();
            assert_eq!(rules.check(&CODES).unwrap_err().to_string(), said);
        }
        assert!(toml::from_str::<Rules>("waivers = [{ finding = 'ab', reason = 'why' }]").is_err());
        assert!(toml::from_str::<Rules>("waivers = [{ finding = 'ab', reason = 'why', expires = 'soon' }]").is_err());
    }
}
