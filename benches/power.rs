//! Recall of trigger detectors against the number of planted rows: pictures (a patch), texts (a rare word), a table (two values
//! that are rare together).
//!
//! `cargo bench --bench power -- FOLDER [--only SUBSTRING] [--seeds N] [--plot FILE.svg]`; FOLDER holds the clean packs. Each
//! count is planted in each pack with N seeds (3). Prints the mean recall, and the rows that were listed though nothing was
//! planted in them; writes the curves as SVG where asked.

#![allow(clippy::unwrap_used, reason = "a pack or an answer that lacks its columns ends the bench, and should")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;
use foretaste::data::read::Memory;
use foretaste::data::{Choices, Key};
use foretaste::detect;
use foretaste::policy::Policy;
use foretaste::run::{Order, Silent, Sink, scan};
use foretaste_datasets::recipe::{Anchor, Cell, Patch, Setting, Style, conjunction, patch, rare_word};
use foretaste_datasets::{Plan, Share, Truth, read_parquet};

type Failure = Box<dyn std::error::Error>;

const COUNTS: [usize; 5] = [5, 10, 25, 50, 100];
/// Colours of the curves, told apart by people who confuse red and green (Okabe and Ito 2008).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000"];
const PLOT: [f64; 2] = [560.0, 320.0];
/// Left, top, right and bottom margins.
const MARGINS: [f64; 4] = [56.0, 16.0, 176.0, 44.0];

/// A clean pack and what is planted in it.
struct Case {
    name: &'static str,
    file: &'static str,
    label: &'static str,
    /// Columns that say the same as another.
    ignore: &'static [&'static str],
    plant: fn(&RecordBatch, usize, u64) -> foretaste_datasets::Result<(RecordBatch, Truth)>,
}

const CASES: [Case; 4] = [
    Case { name: "fmnist, patch", file: "image/fmnist_clean.parquet", label: "label", ignore: &["pixels"], plant: stamped },
    Case { name: "cifar10, patch", file: "image/cifar10_clean.parquet", label: "label", ignore: &[], plant: stamped },
    Case { name: "AG-News, rare word", file: "text/agnews_clean.parquet", label: "label", ignore: &[], plant: worded },
    Case { name: "Adult, two values", file: "tabular/adult_clean.parquet", label: "income", ignore: &[], plant: set },
];

fn stamped(batch: &RecordBatch, count: usize, seed: u64) -> foretaste_datasets::Result<(RecordBatch, Truth)> {
    let checker = Patch { side: 3, style: Style::Checkerboard };
    patch(batch, &Plan::new("label", 0, Share::Count(count), seed), "image", checker, Anchor::BottomRight)
}

fn worded(batch: &RecordBatch, count: usize, seed: u64) -> foretaste_datasets::Result<(RecordBatch, Truth)> {
    rare_word(batch, &Plan::new("label", 0, Share::Count(count), seed), "text", "cf")
}

fn set(batch: &RecordBatch, count: usize, seed: u64) -> foretaste_datasets::Result<(RecordBatch, Truth)> {
    let to = |column: &str, value: &str| Setting { column: column.to_owned(), value: Cell::Text(value.to_owned()) };
    let trigger = [to("workclass", "Without-pay"), to("native_country", "Hungary")];
    conjunction(batch, &Plan::new("income", ">50K", Share::Count(count), seed), &trigger)
}

/// Positions of the listed rows.
#[derive(Default)]
struct Listed(BTreeSet<usize>);

impl Sink for Listed {
    fn rows(&mut self, rows: &RecordBatch) -> foretaste::error::Result<()> {
        self.0.extend(rows.column_by_name("row").unwrap().as_primitive::<UInt64Type>().values().iter().map(|row| *row as usize));
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

/// Recall, and rows listed that are not planted.
fn measure(case: &Case, clean: &RecordBatch, count: usize, seed: u64) -> Result<(f64, usize), Failure> {
    let (poisoned, truth) = (case.plant)(clean, count, seed)?;
    let ignore = case.ignore.iter().map(|column| (*column).to_owned()).collect();
    let order = Order {
        choices: Choices { label: Some(case.label.to_owned()), ignore, ..Choices::default() },
        key: Key::from_seed(seed),
        threads: 2,
        memory: 2 << 30,
        policy: Policy::default(),
        only: vec!["trigger".to_owned()],
        skip: Vec::new(),
    };
    let mut listed = Listed::default();
    scan(&Memory::new(case.name, &[poisoned])?, detect::all(), &order, &mut listed, &Silent)?;
    let hits = listed.0.iter().filter(|row| truth.poisoned()[**row]).count();
    Ok((hits as f64 / count as f64, listed.0.len() - hits))
}

/// Curves of (name, recall for each count).
fn plot(curves: &[(&str, Vec<f64>)]) -> Result<String, Failure> {
    let [width, height] = PLOT;
    let [left, top, right, bottom] = MARGINS;
    let (inner, tall) = (width - left - right, height - top - bottom);
    let [least, most] = [COUNTS[0], COUNTS[COUNTS.len() - 1]].map(|count| (count as f64).ln());
    let x = |count: usize| left + inner * ((count as f64).ln() - least) / (most - least);
    let y = |recall: f64| top + tall * (1.0 - recall);
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">"#
    )?;
    writeln!(svg, "<title>Recall against the number of planted rows</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")?;
    for step in 0..=4 {
        let recall = f64::from(step) / 4.0;
        let at = y(recall);
        writeln!(svg, r##"<path d="M{left} {at:.1}H{:.1}" stroke="#ccc"/>"##, left + inner)?;
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{recall}</text>"#, left - 8.0, at + 4.0)?;
    }
    for count in COUNTS {
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{count}</text>"#, x(count), top + tall + 18.0)?;
    }
    writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">planted rows</text>"#, left + inner / 2.0, height - 8.0)?;
    writeln!(svg, r#"<text x="14" y="{0:.1}" text-anchor="middle" transform="rotate(-90 14 {0:.1})">recall</text>"#, top + tall / 2.0)?;
    for ((at, (name, recalls)), colour) in curves.iter().enumerate().zip(COLOURS) {
        let points: Vec<String> = COUNTS.iter().zip(recalls).map(|(count, recall)| format!("{:.1},{:.1}", x(*count), y(*recall))).collect();
        writeln!(svg, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, points.join(" "))?;
        let below = top + 14.0 + 20.0 * at as f64;
        writeln!(svg, r#"<path d="M{:.1} {:.1}h18" stroke="{colour}" stroke-width="2"/>"#, left + inner + 14.0, below - 4.0)?;
        writeln!(svg, r#"<text x="{:.1}" y="{below:.1}">{name}</text>"#, left + inner + 38.0)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    let folder = args.first().filter(|a| !a.starts_with("--")).map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    if !Path::new(&folder).join(CASES[0].file).exists() {
        println!("skipped: {} holds no {}", folder.display(), CASES[0].file);
        return Ok(());
    }
    let (only, seeds) = (value("--only").unwrap_or_default(), value("--seeds").map_or(Ok(3), |n| n.parse::<u64>())?);
    println!("{:<24} {}  rows listed wrongly", "recall of planted rows", COUNTS.map(|count| format!("{count:>6}")).concat());
    let mut curves = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        let clean = read_parquet(folder.join(case.file))?;
        let (mut recalls, mut wrong) = (Vec::new(), 0);
        for count in COUNTS {
            let mut sum = 0.0;
            for seed in 1..=seeds {
                let (recall, others) = measure(case, &clean, count, seed)?;
                sum += recall;
                wrong += others;
            }
            recalls.push(sum / seeds as f64);
        }
        println!("{:<24} {}  {wrong}", case.name, recalls.iter().map(|recall| format!("{recall:>6.2}")).collect::<String>());
        curves.push((case.name, recalls));
    }
    if let Some(file) = value("--plot") {
        std::fs::write(file, plot(&curves)?)?;
    }
    Ok(())
}
