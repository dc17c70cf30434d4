//! From models and scores to findings, listed rows and a verdict.

use std::collections::BTreeMap;
use std::time::Instant;

use super::beside::Keeping;
use super::feed::{Cache, Feed};
use super::list::{Claimed, Listed, Lister};
use super::outcome::{DataFacts, FamilyCounts, Outcome, Sink, Status, UnitOutcome};
use super::passenger::{Phase, columns_for};
use super::remote::Far;
use super::shared::guarded;
use super::{Run, UNIT_SHARE, frozen};
use crate::data::{File, Source};
use crate::error::Result;
use crate::finding::{Family, Finding, Group, Tier, Verdict};
use crate::policy::{self, Gate, Judgement, Listing, Policy, Surprisal};

/// What a unit says of the whole set.
#[derive(Default)]
struct Told {
    lowest_p: Option<f64>,
    notes: Vec<String>,
    estimates: Vec<String>,
}

impl Run<'_> {
    /// Decides on causes, hands the listed rows to the sink in row order, and sums up; writes down what was learnt where `model` asks.
    #[allow(clippy::too_many_arguments)] // all that a run has come to
    pub(super) fn decide_and_list(
        mut self,
        policy: &Policy,
        gate: &Gate,
        listings: &BTreeMap<usize, Listing>,
        rarity: &BTreeMap<usize, Surprisal>,
        sink: &mut (dyn Sink + Send),
        model: Option<&mut Vec<u8>>,
        start: Instant,
    ) -> Result<Outcome> {
        let files = self.source.files()?;
        let mut groups = BTreeMap::new();
        let mut told_of = BTreeMap::new();
        for &i in listings.keys() {
            let (unit, Some(model)) = (&*self.passengers[i].unit, self.passengers[i].model()) else { continue };
            let told = guarded(unit.info().code, || Ok((unit.groups(model)?, unit.notes(model)?, unit.estimates(model)?)));
            match told {
                Ok((found, notes, estimates)) => {
                    let lowest_p = found.iter().map(Group::corrected).min_by(f64::total_cmp);
                    groups.insert(i, found);
                    told_of.insert(i, Told { lowest_p, notes, estimates });
                }
                Err(error) => self.passengers[i].phase = Phase::Failed(error.to_string()),
            }
        }
        let causes_in =
            |family: Family| groups.iter().filter(|(i, g)| self.passengers[**i].unit.info().family == family && !g.is_empty()).count();
        let decided: BTreeMap<usize, Vec<Option<Finding>>> = groups
            .iter()
            .map(|(&i, groups)| {
                let info = self.passengers[i].unit.info();
                let decide = |group: &Group| {
                    let finding = policy.decide(info, group.clone(), causes_in(info.family))?;
                    Some(Finding { standing: gate.standing(&finding.fingerprint), ..finding })
                };
                (i, groups.iter().map(decide).collect())
            })
            .collect();
        let slim = |findings: &Vec<Option<Finding>>| findings.iter().map(|finding| finding.as_ref().map(Claimed::from)).collect();
        let claims: BTreeMap<usize, Vec<Option<Claimed>>> = decided.iter().map(|(&i, findings)| (i, slim(findings))).collect();
        if let Some(model) = model {
            *model = frozen::freeze(&self.schema, &self.passengers, listings, &claims)?;
        }
        let wanted = (sink.wants_scores(), sink.wants_content());
        let mut cache = std::mem::replace(&mut self.cache, Cache::new(0));
        let lister = Lister::new(&self.schema, &files, &self.passengers, listings, rarity, &claims, wanted);
        let mut failed = BTreeMap::new();
        let listed = if lister.has_work() {
            self.progress.scan(self.scans + 2, "listing rows", Some(self.schema.rows));
            let mut keeping = Keeping::new(sink, self.memory / UNIT_SHARE);
            let listed = self.list(&lister, &mut cache, &mut keeping)?;
            let (rows, content) = keeping.into_rows(&self.schema)?;
            failed.extend(self.look_beside(&rows, &content, &mut cache, sink)?);
            listed
        } else {
            lister.nothing(sink)?
        };
        for (i, why) in listed.failed.iter().chain(&failed) {
            self.passengers[*i].phase = Phase::Failed(why.clone());
        }
        let mut findings: Vec<Finding> = decided.into_values().flatten().flatten().collect();
        findings.sort_by(|a, b| {
            b.tier
                .cmp(&a.tier)
                .then(a.q.total_cmp(&b.q))
                .then(b.group.agreeing.cmp(&a.group.agreeing))
                .then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        self.sum_up(gate, findings, &listed, told_of, files, start)
    }

    /// One read that lists rows.
    fn list(&self, lister: &Lister<'_>, cache: &mut Cache, sink: &mut (dyn Sink + Send)) -> Result<Listed> {
        if let Some(spread) = self.source.spread() {
            return Far::new(spread, self.progress).list(lister, sink);
        }
        let feed = Feed::open(self.source, &self.schema, cache)?;
        let derive = columns_for(&self.passengers, lister.judges().iter().copied());
        lister.run(&self.pool, self.threads, feed, &derive, self.progress, sink)
    }

    fn sum_up(
        &self,
        gate: &Gate,
        findings: Vec<Finding>,
        listed: &Listed,
        mut told_of: BTreeMap<usize, Told>,
        files: Vec<File>,
        start: Instant,
    ) -> Result<Outcome> {
        let estimates = told_of.values_mut().flat_map(|told| std::mem::take(&mut told.estimates)).collect();
        let breakdown = listed.places.breakdown(&self.schema, &self.facts, &files)?;
        let units: Vec<UnitOutcome> = self
            .passengers
            .iter()
            .enumerate()
            .map(|(i, p)| (i, p, told_of.remove(&i).unwrap_or_default()))
            .map(|(i, p, told)| UnitOutcome {
                code: p.code().to_owned(),
                family: p.unit.info().family,
                status: match &p.phase {
                    Phase::Done(_) => Status::Ran,
                    Phase::Skipped(why) => Status::Skipped(why.clone()),
                    Phase::Failed(why) => Status::Failed(why.clone()),
                    Phase::Waiting | Phase::Scanning(..) => Status::Failed("did not come to an end".to_owned()),
                },
                seconds: p.seconds,
                bytes: p.bytes,
                scans: p.scans,
                flagged: listed.by_unit.get(&i).copied().unwrap_or(0),
                lowest_p: told.lowest_p,
                notes: told.notes,
                spread: p.spread.clone(),
            })
            .collect();
        let mut families: BTreeMap<String, FamilyCounts> =
            Family::CLAIMING.iter().map(|f| (f.name().to_owned(), FamilyCounts::default())).collect();
        for finding in &findings {
            let counts = families.entry(finding.family.name().to_owned()).or_default();
            match finding.tier {
                Tier::Alarm => counts.alarm_groups += 1,
                _ => counts.suspect_groups += 1,
            }
        }
        for ((family, tier), rows) in &listed.by_family {
            let counts = families.entry(family.name().to_owned()).or_default();
            match tier {
                Tier::Alarm => counts.alarm_rows += rows,
                _ => counts.suspect_rows += rows,
            }
        }
        let complete = units.iter().all(|u| !matches!(u.status, Status::Failed(_)));
        let by_code: Vec<policy::Listed<'_>> = listed.open_by_unit.iter().map(|(&i, &rows)| self.passengers[i].listed(rows)).collect();
        let judgement = gate.judge(&findings, &by_code, &listed.open_by_family, self.schema.rows);
        let verdict = judgement.verdict;
        let label = self.schema.label.as_ref();
        Ok(Outcome {
            verdict,
            reasons: reasons(&judgement, listed.rows, self.schema.rows, &units),
            estimates,
            policy: judgement.applied,
            power: None,
            complete,
            data: DataFacts {
                files,
                rows: self.schema.rows,
                columns: self.schema.columns.clone(),
                nulls: self.facts.nulls(&self.schema),
                label: label.map(|l| l.name.clone()),
                classes: label.map(|l| l.classes.clone()).unwrap_or_default(),
                unreadable: self.facts.unreadable(&self.schema),
                reference: self.reference.as_ref().map(Source::files).transpose()?.unwrap_or_default(),
            },
            units,
            findings,
            families,
            flagged_rows: listed.rows,
            breakdown,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// The sentences behind a verdict, the most important first.
fn reasons(judgement: &Judgement, listed: u64, rows: u64, units: &[UnitOutcome]) -> Vec<String> {
    let mut reasons = judgement.reasons.clone();
    if listed > 0 {
        reasons.push(format!("{listed} of {rows} rows are listed for review"));
    } else if reasons.is_empty() && judgement.verdict == Verdict::Pass {
        reasons.push(format!("nothing in {rows} rows that clean data would not show"));
    }
    for unit in units {
        if let Status::Failed(why) = &unit.status {
            reasons.push(format!("incomplete: {} did not finish: {why}", unit.code));
        }
    }
    reasons
}
