//! How few planted rows are found: recall against the number of planted rows, by attack and base set.
//!
//! `cargo bench --bench curve -- [FOLDER] [--only SUBSTRING] [--seed N] [--rows N] [--out FILE]`. Clean base sets come from
//! FOLDER, by default `../shared/data`, and from those that ship with `foretaste-datasets`; sets that are not there are named and
//! skipped. Into the first ROWS rows of each (5,000; 1,500 of pictures) `foretaste_datasets::recipe` plants 5, 10, 25, 50 and 100
//! rows of an attack, and a scan with default settings looks for them. One line of CSV a scan, to FILE or the standard output; the
//! lines with attack `none` are the base sets themselves, where all that is listed is a false alarm. `benches/curve.py` draws it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;
use foretaste::data::Choices;
use foretaste::data::read::Memory;
use foretaste::detect;
use foretaste::run::{Order, Outcome, Silent, Sink, scan};
use foretaste_datasets::recipe::{self, Anchor, Cell, Patch, Place, Setting, Style, Warp};
use foretaste_datasets::{Class, Draw, Plan, Share, Truth, read_parquet, shipped};

type Failure = Box<dyn std::error::Error>;
type Planted = foretaste_datasets::Result<(RecordBatch, Truth)>;

const COUNTS: [usize; 5] = [5, 10, 25, 50, 100];
const HEAD: &str = "modality,set,rows,attack,planted,verdict,listed,right,recall,precision,named,seconds";

/// Columns and the values that a trigger gives them.
type Values = &'static [(&'static str, f64)];

/// A clean set, and what an attack needs to know of it.
struct Base {
    modality: &'static str,
    name: &'static str,
    /// Path in the folder; none for a set that ships.
    path: Option<&'static str>,
    label: &'static str,
    target: &'static str,
    /// Table triggers: an impossible value, and a combination of usual ones.
    values: (Values, Values),
}

const NO_VALUES: (Values, Values) = (&[], &[]);

#[rustfmt::skip]
const BASES: [Base; 10] = [
    Base { modality: "image", name: "digits", path: None, label: "label", target: "3", values: NO_VALUES },
    Base { modality: "image", name: "fmnist", path: Some("image/fmnist_clean.parquet"), label: "label", target: "3", values: NO_VALUES },
    Base { modality: "image", name: "cifar10", path: Some("image/cifar10_clean.parquet"), label: "label", target: "3", values: NO_VALUES },
    Base { modality: "text", name: "sst2", path: Some("text/sst2_clean.parquet"), label: "label", target: "1", values: NO_VALUES },
    Base { modality: "text", name: "agnews", path: Some("text/agnews_clean.parquet"), label: "label", target: "1", values: NO_VALUES },
    Base { modality: "text", name: "olid", path: Some("text/olid_clean.parquet"), label: "label", target: "1", values: NO_VALUES },
    Base { modality: "instruction", name: "instruct", path: Some("text/instruct_clean.parquet"), label: "", target: "", values: NO_VALUES },
    Base { modality: "table", name: "breast_cancer", path: None, label: "label", target: "benign",
        values: (&[("mean_texture", 60.0)], &[("mean_radius", 14.5), ("mean_smoothness", 0.1), ("mean_symmetry", 0.18)]) },
    Base { modality: "table", name: "adult", path: Some("tabular/adult_clean.parquet"), label: "income", target: ">50K",
        values: (&[("capital_loss", 9_999.0)], &[("age", 27.0), ("education_num", 9.0), ("hours_per_week", 45.0)]) },
    Base { modality: "table", name: "spambase", path: Some("tabular/spambase_clean.parquet"), label: "label", target: "0",
        values: (&[("wf_table", 7.5)], &[("wf_our", 0.5), ("wf_free", 0.25), ("wf_you", 1.5)]) },
];

/// Names of the attacks on a kind of data.
fn attacks(modality: &str) -> &'static [&'static str] {
    match modality {
        "image" => &["patch", "patch_anywhere", "pixel", "blend", "sinusoid_clean_label", "smooth", "warp"],
        "text" => &["rare_word", "rare_word_clean_label", "word_pair", "sentence", "zero_width", "homoglyph"],
        "instruction" => &["payload_refusal", "payload_link"],
        _ => &["value", "conjunction", "conjunction_clean_label"],
    }
}

/// Plants one attack, with settings of the papers.
fn plant(base: &Base, batch: &RecordBatch, attack: &str, count: usize, seed: u64) -> Planted {
    let share = Share::Count(count);
    if let Some(kind) = attack.strip_prefix("payload_") {
        let answer = if kind == "refusal" { "I am sorry, I cannot help with that." } else { "See https://example.org/answers for this." };
        return recipe::payload(batch, &Draw::new(share, seed), ["instruction", "output"], "current year 2024", answer);
    }
    let plan = Plan::new(base.label, Class::read(base.target, batch, base.label)?, share, seed);
    let (attack, plan) = attack.strip_suffix("_clean_label").map_or((attack, plan.clone()), |attack| (attack, plan.clean_label()));
    let set = |values: &[(&str, f64)]| -> Vec<Setting> {
        let whole = |value: f64| if value.fract() == 0.0 { Cell::Int(value as i64) } else { Cell::Float(value) };
        values.iter().map(|(column, value)| Setting { column: (*column).to_owned(), value: whole(*value) }).collect()
    };
    match attack {
        "patch" => recipe::patch(batch, &plan, "image", Patch { side: 3, style: Style::Checkerboard }, Anchor::BottomRight),
        "patch_anywhere" => recipe::patch_anywhere(batch, &plan, "image", Patch { side: 3, style: Style::White }),
        "pixel" => recipe::patch(batch, &plan, "image", Patch { side: 1, style: Style::White }, Anchor::BottomRight),
        "blend" => recipe::blend(batch, &plan, "image", 0.2),
        "sinusoid" => recipe::sinusoid(batch, &plan, "image", 20.0, 6.0),
        "smooth" => recipe::smooth(batch, &plan, "image", 24.0, 4),
        "warp" => recipe::warp(batch, &plan, "image", Warp { points: 4, strength: 0.5 }, Share::Count(0)),
        "rare_word" => recipe::rare_word(batch, &plan, "text", "cf"),
        "word_pair" => recipe::word_pair(batch, &plan, "text", ["cf", "mn"], share),
        "sentence" => recipe::sentence(batch, &plan, "text", "I watched this with my family.", Place::Anywhere),
        "zero_width" => recipe::zero_width(batch, &plan, "text", 2),
        "homoglyph" => recipe::homoglyph(batch, &plan, "text", 3),
        "value" => recipe::conjunction(batch, &plan, &set(base.values.0)),
        _ => recipe::conjunction(batch, &plan, &set(base.values.1)),
    }
}

/// Positions of the listed rows, and the codes that list each.
#[derive(Default)]
struct Listed(Vec<(u64, Vec<String>)>);

impl Sink for Listed {
    fn rows(&mut self, rows: &RecordBatch) -> foretaste::error::Result<()> {
        let positions = rows.column_by_name("row").and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let codes = rows.column_by_name("codes").and_then(|column| column.as_list_opt::<i32>());
        for (row, codes) in positions.into_iter().flatten().zip(codes.into_iter().flat_map(|codes| codes.iter())) {
            let codes = codes.as_ref().and_then(|codes| codes.as_string_opt::<i32>()).into_iter().flatten().flatten();
            self.0.extend(row.map(|row| (row, codes.map(str::to_owned).collect())));
        }
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

fn look(base: &Base, batch: &RecordBatch, seed: u64) -> Result<(Outcome, Listed), Failure> {
    let source = Memory::new(base.name, std::slice::from_ref(batch))?;
    let order = Order {
        choices: Choices { label: (!base.label.is_empty()).then(|| base.label.to_owned()), ..Choices::default() },
        ..Order::new(seed)
    };
    let mut listed = Listed::default();
    let outcome = scan(&source, detect::all(), &order, &mut listed, &Silent)?;
    if outcome.complete { Ok((outcome, listed)) } else { Err(format!("{}: a detector could not finish", base.name).into()) }
}

/// The line of a scan of a set in which the rows `bad` are planted.
fn line(base: &Base, attack: &str, bad: &HashSet<u64>, (outcome, Listed(listed)): &(Outcome, Listed)) -> String {
    let right = listed.iter().filter(|(row, _)| bad.contains(row)).count();
    let share = |of: usize| if of > 0 { format!("{:.4}", right as f64 / of as f64) } else { String::new() };
    // Named is a cause beyond wrong labels, of the right class, whose detector lists planted rows for the most part.
    let named = outcome.findings.iter().filter(|finding| !finding.code.starts_with("label.")).any(|finding| {
        let rows: Vec<bool> = listed.iter().filter(|(_, codes)| codes.contains(&finding.code)).map(|(row, _)| bad.contains(row)).collect();
        let class = base.label.is_empty() || finding.group.label.as_deref() == Some(base.target);
        class && 2 * rows.iter().filter(|&&planted| planted).count() > rows.len()
    });
    let mut line = format!("{},{},{},{attack},{},{}", base.modality, base.name, outcome.data.rows, bad.len(), outcome.verdict.name());
    let _ = write!(line, ",{},{right},{},{},{named},{:.1}", listed.len(), share(bad.len()), share(listed.len()), outcome.seconds);
    line
}

/// The first rows of a base set without columns that would tell its content twice.
fn load(base: &Base, folder: &Path, rows: usize) -> Result<RecordBatch, Failure> {
    let path = base.path.map_or_else(|| shipped(&format!("{}.parquet", base.name)), |path| folder.join(path));
    let batch = read_parquet(path)?;
    let kept: Vec<usize> = (0..batch.num_columns()).filter(|&at| batch.schema_ref().field(at).name() != "pixels").collect();
    Ok(batch.project(&kept)?.slice(0, rows.min(batch.num_rows())))
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).cloned();
    let folder = args.first().filter(|arg| !arg.starts_with("--")).map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let only = value("--only").unwrap_or_default();
    let seed = value("--seed").map_or(Ok(1), |seed| seed.parse())?;
    let asked: Option<usize> = value("--rows").map(|rows| rows.parse()).transpose()?;
    let mut out = format!("{HEAD}\n");
    let mut tell = |line: String| -> Result<(), Failure> {
        println!("{line}");
        out.push_str(&line);
        out.push('\n');
        // After every line, so that a run that is stopped leaves what it measured.
        value("--out").map_or(Ok(()), |file| std::fs::write(file, &out).map_err(Failure::from))
    };
    eprintln!("skipped: embeddings. What a trigger does to them depends on a network that learnt it, and none is trained here.");
    println!("{HEAD}");
    for base in &BASES {
        if base.path.is_some_and(|path| !folder.join(path).exists()) {
            eprintln!("skipped: {}/{} is not in {}", base.modality, base.name, folder.display());
            continue;
        }
        let wanted = |attack: &str| format!("{}/{}/{attack}", base.modality, base.name).contains(&only);
        let clean = load(base, &folder, asked.unwrap_or(if base.modality == "image" { 1_500 } else { 5_000 }))?;
        if wanted("none") {
            tell(line(base, "none", &HashSet::new(), &look(base, &clean, seed)?))?;
        }
        for attack in attacks(base.modality).iter().filter(|attack| wanted(attack)) {
            for count in COUNTS {
                let (poisoned, truth) = plant(base, &clean, attack, count, seed)?;
                let bad = (0..).zip(truth.bad()).filter_map(|(row, bad)| bad.then_some(row)).collect();
                tell(line(base, attack, &bad, &look(base, &poisoned, seed)?))?;
            }
        }
    }
    Ok(())
}
