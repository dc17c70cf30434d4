//! Scans every pack of a folder of data sets with known truth and prints what was decided and how well.
//!
//! `cargo bench --bench packs -- [FOLDER] [--only SUBSTRING] [--kind A,B] [--seed N] [--seeds N] [--listed] [--verbose] [--json FILE]`; the
//! folder holds `catalog.jsonl` and, for each pack, a Parquet file and a truth file. Without the folder it says so and stops. `--seeds`
//! scans each pack with as many seeds, from `--seed` on; `--listed` asks for no scores, so that detectors which only rank do not run.

#![allow(clippy::unwrap_used, reason = "a pack or an answer that lacks its columns ends the bench, and should")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::too_many_lines, reason = "one table from top to bottom")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use common::{Arguments, Case, Failure, cases, order, run};
use foretaste::data::read::{Options, open};
use foretaste::evaluate::{Answer, Evaluation, Flags, Measures, Truth};
use foretaste::finding::Verdict;
use foretaste::run::{Outcome, Sink};

/// A pack's verdict, recall, precision and false-positive rate.
type Judged = (Verdict, Option<f64>, Option<f64>, f64);

/// The answer, and a few reasons to look at.
#[derive(Default)]
struct Kept {
    answer: Answer,
    reasons: Vec<String>,
    scores: bool,
}

impl Sink for Kept {
    fn rows(&mut self, rows: &RecordBatch) -> foretaste::error::Result<()> {
        let reasons = rows.column_by_name("reason").unwrap().as_string::<i32>();
        self.reasons.extend(reasons.iter().flatten().take(5 - self.reasons.len().min(5)).map(str::to_owned));
        self.answer.rows(rows)
    }

    fn scores(&mut self, scores: &RecordBatch) -> foretaste::error::Result<()> {
        self.answer.scores(scores)
    }

    fn wants_scores(&self) -> bool {
        self.scores
    }
}

/// A label column of several has flags of its own.
fn truth(case: &Case) -> Result<Truth, Failure> {
    let own = case.label.as_ref().filter(|_| !case.other_labels.is_empty()).map(|label| format!("flipped_{label}"));
    let flags = Flags { bad: own.into_iter().collect(), ..Flags::default() };
    Ok(Truth::read(&case.truth.display().to_string(), &flags, None)?)
}

fn judged(case: &Case, seed: u64, scores: bool) -> Result<(Outcome, Kept), Failure> {
    let source = open(&[case.data.display().to_string()], &Options::default())?;
    let mut kept = Kept { scores, ..Kept::default() };
    let outcome = run(&*source, &order(case.choices(), seed, 2, &[]), &mut kept)?;
    Ok((outcome, kept))
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read();
    let folder = arguments.folder();
    if !folder.join("catalog.jsonl").exists() {
        println!("skipped: {} holds no catalog.jsonl", folder.display());
        return Ok(());
    }
    let only = arguments.value("--only").unwrap_or_default();
    let mut lines = String::new();
    let kinds_asked: Vec<&str> = arguments.value("--kind").into_iter().flat_map(|kinds| kinds.split(',')).collect();
    let (first, verbose, scores) = (arguments.number("--seed", 1), arguments.has("--verbose"), !arguments.has("--listed"));
    let seeds = first..first + arguments.number("--seeds", 1);
    println!(
        "{:<44} {:>6} {:>6} {:>5} {:>7} {:>6} {:>6} {:>8}  {:<38} seconds",
        "pack", "rows", "bad", "said", "listed", "recall", "precis", "fpr", "AUROC/precision at n by family"
    );
    let (mut errors, mut clean_worst, mut alarms, mut wrong_clean) = (Vec::new(), 0.0f64, 0, 0);
    let mut kinds: BTreeMap<(String, String), Vec<Judged>> = BTreeMap::new();
    let asked = |case: &Case| {
        format!("{}/{}", case.modality, case.name).contains(only) && (kinds_asked.is_empty() || kinds_asked.contains(&&*case.kind))
    };
    let cases: Vec<Case> = cases(&folder)?.into_iter().filter(asked).collect();
    for (case, seed) in cases.iter().flat_map(|case| seeds.clone().map(move |seed| (case, seed))) {
        let start = Instant::now();
        let name = format!("{}/{}", case.modality, case.name);
        let (outcome, kept) = match judged(case, seed, scores) {
            Ok(done) => done,
            Err(error) => {
                println!("{name:<44} error: {error}");
                errors.push(name);
                continue;
            }
        };
        let told = Evaluation::new(&kept.answer.concluded(&outcome), &truth(case)?)?;
        let Measures { listed, recall, precision, false_positive_rate, .. } = told.overall;
        let fpr = false_positive_rate.unwrap_or(0.0);
        let areas: Vec<String> =
            told.families.iter().filter_map(|(f, m)| Some(format!("{f} {:.3}/{:.3}", m.auroc?, m.precision_at_n?))).collect();
        let show = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        println!(
            "{name:<44} {:>6} {:>6} {:>5} {listed:>7} {:>6} {:>6} {fpr:>8.5}  {:<38} {:.1}",
            told.rows,
            told.bad,
            outcome.verdict.name(),
            show(recall),
            show(precision),
            areas.join(" "),
            start.elapsed().as_secs_f64()
        );
        for unit in outcome.units.iter().filter(|u| matches!(u.status, foretaste::run::Status::Failed(_))) {
            println!("    failed: {} {:?}", unit.code, unit.status);
            errors.push(name.clone());
        }
        if verbose {
            for finding in outcome.findings.iter().take(6) {
                println!("    {} q={:.1e} {}", finding.code, finding.q, finding.group.title);
            }
            for unit in &outcome.units {
                println!(
                    "    {:<20} {:?} {:.2}s scans {} listed {} {}",
                    unit.code,
                    unit.status,
                    unit.seconds,
                    unit.scans,
                    unit.flagged,
                    unit.notes.join("; ")
                );
            }
            for (name, m) in told.families.iter().chain(&told.detectors).filter(|(_, m)| m.listed > 0 || m.auroc.is_some()) {
                println!("    {name:<20} listed {} right {} AUROC {} AP {}", m.listed, m.right, show(m.auroc), show(m.average_precision));
            }
            for reason in &kept.reasons {
                println!("    {reason}");
            }
        }
        let areas: BTreeMap<&String, [Option<f64>; 2]> = told.families.iter().map(|(f, m)| (f, [m.auroc, m.average_precision])).collect();
        let line = serde_json::json!({
            "modality": case.modality, "pack": case.name, "kind": case.kind, "clean": case.clean, "seed": seed, "rows": told.rows, "bad": told.bad,
            "verdict": outcome.verdict.name(), "listed": listed, "recall": recall, "precision": precision, "fpr": fpr,
            "auroc_ap": areas, "seconds": start.elapsed().as_secs_f64(),
        });
        writeln!(lines, "{line}")?;
        if case.clean {
            let share = listed as f64 / told.rows as f64;
            clean_worst = clean_worst.max(share);
            alarms += usize::from(outcome.verdict == Verdict::Fail);
            wrong_clean += usize::from(outcome.verdict == Verdict::Fail || share > 0.001);
        }
        kinds.entry((case.kind.clone(), case.modality.clone())).or_default().push((outcome.verdict, recall, precision, fpr));
    }
    if let Some(file) = arguments.value("--json") {
        std::fs::write(file, lines)?;
    }
    println!(
        "\n{:<28} {:>5} {:>5} {:>5} {:>5} {:>8} {:>8} {:>9}",
        "kind, modality", "packs", "fail", "warn", "pass", "recall", "precis", "fpr"
    );
    for ((kind, modality), results) in &kinds {
        let count = |v| results.iter().filter(|r| r.0 == v).count();
        let mean = |values: Vec<f64>| if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / values.len() as f64 };
        println!(
            "{:<28} {:>5} {:>5} {:>5} {:>5} {:>8.3} {:>8.3} {:>9.5}",
            format!("{kind}, {modality}"),
            results.len(),
            count(Verdict::Fail),
            count(Verdict::Warn),
            count(Verdict::Pass),
            mean(results.iter().filter_map(|r| r.1).collect()),
            mean(results.iter().filter_map(|r| r.2).collect()),
            mean(results.iter().map(|r| r.3).collect())
        );
    }
    println!(
        "\nerrors: {} {errors:?}; clean packs: {alarms} alarms, {wrong_clean} over 0.1% listed or alarmed, worst share listed {clean_worst:.5}",
        errors.len()
    );
    Ok(())
}
