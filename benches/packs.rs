//! Scans every pack of a folder of data sets with known truth and prints what was decided and how well.
//!
//! `cargo bench --bench packs -- [FOLDER] [--only SUBSTRING] [--seed N] [--verbose] [--content]`; with `--content` only the content
//! model runs and rows are ranked by how unlikely it finds their label. The folder holds `catalog.jsonl` and,
//! for each pack, a Parquet file and a truth file. Without the folder it says so and stops.

#![allow(clippy::unwrap_used, reason = "a pack or an answer that lacks its columns ends the bench, and should")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::too_many_lines, reason = "one table from top to bottom")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use foretaste::data::read::{Options, open};
use foretaste::data::{Batch, Choices, Key, Schema};
use foretaste::derive::{Content, Sample, softmax};
use foretaste::detect;
use foretaste::finding::{Evidence, Family, Tier, Verdict};
use foretaste::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step, derived, detector};
use foretaste::policy::Policy;
use foretaste::run::{Order, Outcome, Silent, Sink, scan};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Failure = Box<dyn std::error::Error>;

/// A pack's verdict, recall, precision and false-positive rate.
type Judged = (Verdict, Option<f64>, Option<f64>, f64);

/// One column of one pack.
struct Case {
    name: String,
    modality: String,
    kind: String,
    data: PathBuf,
    truth: PathBuf,
    label: Option<String>,
    other_labels: Vec<String>,
    clean: bool,
}

#[derive(Default)]
struct Kept {
    listed: BTreeMap<u64, Vec<String>>,
    reasons: Vec<String>,
    scores: Vec<RecordBatch>,
}

impl Sink for Kept {
    fn rows(&mut self, rows: &RecordBatch) -> foretaste::error::Result<()> {
        let at = rows.column_by_name("row").unwrap().as_primitive::<UInt64Type>();
        let families = rows.column_by_name("families").unwrap().as_list::<i32>();
        let reasons = rows.column_by_name("reason").unwrap().as_string::<i32>();
        for row in 0..rows.num_rows() {
            let families = families.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            self.listed.insert(at.value(row), families);
            if self.reasons.len() < 5 {
                self.reasons.push(reasons.value(row).to_owned());
            }
        }
        Ok(())
    }

    fn scores(&mut self, scores: &RecordBatch) -> foretaste::error::Result<()> {
        self.scores.push(scores.clone());
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        true
    }
}

fn cases(folder: &Path) -> Result<Vec<Case>, Failure> {
    let catalog = std::fs::read_to_string(folder.join("catalog.jsonl"))?;
    let mut out = Vec::new();
    for line in catalog.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let labels: Vec<String> =
            entry["label_columns"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        let truth = folder.join(text("truth"));
        for label in labels.iter().map(|l| Some(l.clone())).chain(labels.is_empty().then_some(None)) {
            let name = if labels.len() > 1 { format!("{}:{}", text("name"), label.clone().unwrap_or_default()) } else { text("name") };
            let other_labels = labels.iter().filter(|l| Some(*l) != label.as_ref()).cloned().collect();
            let clean = text("kind") == "clean" || name.ends_with("clean_copy");
            out.push(Case {
                name,
                modality: text("modality"),
                kind: text("kind"),
                data: folder.join(text("data")),
                truth: truth.clone(),
                label,
                other_labels,
                clean,
            });
        }
    }
    Ok(out)
}

fn read(path: &Path) -> Result<RecordBatch, Failure> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.build()?;
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    Ok(concat_batches(&batches[0].schema(), &batches)?)
}

/// Bad rows: the flipped column's own flags, or any flag.
fn truth(case: &Case) -> Result<Vec<bool>, Failure> {
    let batch = read(&case.truth)?;
    let flags = |name: &str| -> Option<BooleanArray> { batch.column_by_name(name).map(|c| c.as_boolean().clone()) };
    if let Some(flipped) = case.label.as_ref().and_then(|l| flags(&format!("flipped_{l}"))) {
        return Ok(flipped.iter().map(|v| v == Some(true)).collect());
    }
    let all: Vec<BooleanArray> = ["is_poisoned", "is_label_error", "is_outlier"].into_iter().filter_map(flags).collect();
    Ok((0..batch.num_rows()).map(|row| all.iter().any(|f| f.is_valid(row) && f.value(row))).collect())
}

/// Area under the ROC curve with ties shared; rows without a score rank lowest.
fn auroc(scores: &[f64], bad: &[bool]) -> Option<f64> {
    let positives = bad.iter().filter(|b| **b).count() as f64;
    let negatives = bad.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut sum, mut at) = (0.0, 0);
    while at < order.len() {
        let end = (at..order.len()).find(|&i| scores[order[i]] > scores[order[at]]).unwrap_or(order.len());
        let rank = (at + 1 + end) as f64 / 2.0;
        sum += rank * order[at..end].iter().filter(|&&i| bad[i]).count() as f64;
        at = end;
    }
    Some((sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Share of bad rows among as many rows with the highest scores as there are bad ones.
fn precision_at_bad(scores: &[f64], bad: &[bool]) -> Option<f64> {
    let positives = bad.iter().filter(|b| **b).count();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    (positives > 0).then(|| order[..positives].iter().filter(|&&i| bad[i]).count() as f64 / positives as f64)
}

fn column(scores: &[RecordBatch], name: &str) -> Option<Vec<f64>> {
    let mut out = Vec::new();
    for batch in scores {
        let values = cast(batch.column_by_name(name)?, &DataType::Float64).ok()?;
        out.extend(values.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NEG_INFINITY)));
    }
    Some(out)
}

fn run(case: &Case, seed: u64, content: bool) -> Result<(Outcome, Kept), Failure> {
    let source = open(&[case.data.display().to_string()], &Options::default())?;
    let order = Order {
        choices: Choices { label: case.label.clone(), ignore: case.other_labels.clone(), ..Choices::default() },
        key: Key::from_seed(seed),
        threads: 2,
        memory: 2 << 30,
        policy: Policy::default(),
        only: Vec::new(),
        skip: Vec::new(),
    };
    let mut kept = Kept::default();
    let units = if content { vec![derived(Sample), derived(Content), detector(Unlikely)] } else { detect::all() };
    let outcome = scan(&*source, units, &order, &mut kept, &Silent)?;
    Ok((outcome, kept))
}

/// Scores rows by how unlikely the content model finds their label: what it can do before anything is decided.
struct Unlikely;

static UNLIKELY: Info = Info {
    code: "label.unlikely",
    family: Family::Label,
    summary: "labels that content finds unlikely",
    needs: &[Need::Classes],
    after: &["derive.content"],
    reads: &["derive.content"],
    law: Law::Exact,
    version: 1,
    claim: Claim::Rank,
    max_tier: Tier::Review,
    manual: "",
};

impl Fold for Unlikely {
    type Brief = ();
    type State = ();
    type Model = ();

    fn info(&self) -> &'static Info {
        &UNLIKELY
    }

    fn begin(&self, _: &Schema, _: &Given) -> foretaste::error::Result<Step<(), ()>> {
        Ok(Step::Done(()))
    }

    fn open(&self, (): &()) {}

    fn observe(&self, (): &(), (): &mut (), _: &Batch) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn merge(&self, (): &(), (): &mut (), (): ()) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, (): (), (): ()) -> foretaste::error::Result<Step<(), ()>> {
        Ok(Step::Done(()))
    }

    fn max_bytes(&self, _: &Schema) -> usize {
        0
    }
}

impl Detect for Unlikely {
    fn score(&self, (): &(), rows: &Batch, out: &mut [Option<f64>]) -> foretaste::error::Result<()> {
        let Some(logits) = rows.derived("derive.content") else { return Ok(()) };
        for ((slot, row), label) in out.iter_mut().zip(logits.outer_iter()).zip(rows.labels()) {
            let logits: Vec<f64> = row.iter().map(|z| f64::from(*z)).collect();
            let own = label.and_then(|label| softmax(&logits).get(label as usize).copied());
            *slot = own.filter(|p| p.is_finite()).map(|p| -p.max(f64::MIN_POSITIVE).ln());
        }
        Ok(())
    }

    fn explain(&self, (): &(), _: &Batch, _: usize) -> foretaste::error::Result<Evidence> {
        Ok(Evidence::new(String::new(), []))
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    let folder = args.first().filter(|a| !a.starts_with("--")).map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    if !folder.join("catalog.jsonl").exists() {
        println!("skipped: {} holds no catalog.jsonl", folder.display());
        return Ok(());
    }
    let only = value("--only").unwrap_or_default();
    let seed = value("--seed").and_then(|s| s.parse().ok()).unwrap_or(1);
    let verbose = args.iter().any(|a| a == "--verbose");
    let content = args.iter().any(|a| a == "--content");
    println!(
        "{:<44} {:>6} {:>6} {:>5} {:>7} {:>6} {:>6} {:>8}  {:<38} seconds",
        "pack", "rows", "bad", "said", "listed", "recall", "precis", "fpr", "AUROC by family"
    );
    let (mut errors, mut clean_worst, mut alarms, mut wrong_clean) = (Vec::new(), 0.0f64, 0, 0);
    let mut kinds: BTreeMap<(String, String), Vec<Judged>> = BTreeMap::new();
    for case in cases(&folder)?.into_iter().filter(|c| format!("{}/{}", c.modality, c.name).contains(&only)) {
        let start = Instant::now();
        let name = format!("{}/{}", case.modality, case.name);
        let (outcome, kept) = match run(&case, seed, content) {
            Ok(done) => done,
            Err(error) => {
                println!("{name:<44} error: {error}");
                errors.push(name);
                continue;
            }
        };
        let bad = truth(&case)?;
        let positives = bad.iter().filter(|b| **b).count();
        let hits = kept.listed.keys().filter(|r| bad[**r as usize]).count();
        let recall = (positives > 0).then(|| hits as f64 / positives as f64);
        let precision = (!kept.listed.is_empty()).then(|| hits as f64 / kept.listed.len() as f64);
        let fpr = (kept.listed.len() - hits) as f64 / (bad.len() - positives).max(1) as f64;
        let families = ["trigger", "label", "duplicate", "outlier"];
        let area = |family: &&str| {
            let scores = column(&kept.scores, family)?;
            let area = auroc(&scores, &bad)?;
            let at_bad = precision_at_bad(&scores, &bad).filter(|_| *family == "label");
            Some(format!("{family} {area:.3}") + &at_bad.map_or_else(String::new, |p| format!("/{p:.3}")))
        };
        let areas: Vec<String> = families.iter().filter_map(area).collect();
        let show = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        println!(
            "{name:<44} {:>6} {positives:>6} {:>5} {:>7} {:>6} {:>6} {fpr:>8.5}  {:<38} {:.1}",
            bad.len(),
            outcome.verdict.name(),
            kept.listed.len(),
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
            let by: BTreeSet<&String> = kept.listed.values().flatten().collect();
            println!("    families {by:?}");
            for reason in &kept.reasons {
                println!("    {reason}");
            }
        }
        if case.clean {
            clean_worst = clean_worst.max(kept.listed.len() as f64 / bad.len() as f64);
            alarms += usize::from(outcome.verdict == Verdict::Fail);
            wrong_clean += usize::from(outcome.verdict == Verdict::Fail || kept.listed.len() as f64 > 0.001 * bad.len() as f64);
        }
        kinds.entry((case.kind.clone(), case.modality.clone())).or_default().push((outcome.verdict, recall, precision, fpr));
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
