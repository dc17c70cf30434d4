//! Time and memory of confident learning on many class probabilities, beside cleanlab's mode for big sets.
//!
//! `cargo bench --bench confident -- [ROWS] [CLASSES]`; by default 1,000,000 × 100. The same random probabilities are written as
//! Parquet and as `NumPy` files; `label.confident` alone scans the former (two threads, `--memory 1GiB`), and cleanlab's
//! `find_label_issues_batched` reads the latter through `$PYTHON` (default `python3`), if it has the package. Every
//! measurement is a process of its own, whose peak memory the kernel tells at its end.

#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use foretaste::data::Choices;
use foretaste::data::read::{Options, open};
use foretaste::detect;
use foretaste::run::{Order, Silent, Sink, scan};
use parquet::arrow::ArrowWriter;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Failure = Box<dyn std::error::Error>;

/// Rows made and written at once.
const CHUNK: usize = 16_384;
/// Scans a file; a run of this bench in a process of its own.
const SCAN: &str = "--confident-learning-of";
const CLEANLAB: &str = "import sys; from cleanlab.experimental.label_issues_batched import find_label_issues_batched as f; \
    print(len(f(labels_file=sys.argv[1], pred_probs_file=sys.argv[2], batch_size=10000, n_jobs=int(sys.argv[3]), verbose=False)))";

/// The header of a `NumPy` file of little-endian numbers.
fn header(kind: &str, shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    while !(text.len() + 11).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or_default().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes()].concat()
}

/// Probabilities that favour a class more or less, 5 % of labels wrong.
fn make(folder: &Path, rows: usize, classes: usize) -> Result<(), Failure> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let list = DataType::FixedSizeList(Arc::clone(&item), i32::try_from(classes)?);
    let schema = Arc::new(Schema::new(vec![Field::new("label", DataType::Int64, false), Field::new("pred_probs", list, false)]));
    let mut parquet = ArrowWriter::try_new(File::create(folder.join("set.parquet"))?, Arc::clone(&schema), None)?;
    let mut labels_file = BufWriter::new(File::create(folder.join("labels.npy"))?);
    let mut matrix_file = BufWriter::new(File::create(folder.join("pred_probs.npy"))?);
    labels_file.write_all(&header("<i8", &format!("{rows},")))?;
    matrix_file.write_all(&header("<f4", &format!("{rows}, {classes}")))?;
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut left = rows;
    while left > 0 {
        let count = left.min(CHUNK);
        let (mut labels, mut matrix) = (Vec::with_capacity(count), Vec::with_capacity(count * classes));
        for _ in 0..count {
            let class = rng.random_range(0..classes);
            let mut odds: Vec<f32> = (0..classes).map(|_| rng.random::<f32>().powi(4)).collect();
            odds[class] += classes as f32 * rng.random::<f32>();
            let sum: f32 = odds.iter().sum();
            matrix.extend(odds.iter().map(|odds| odds / sum));
            let given = if rng.random::<f32>() < 0.05 { rng.random_range(0..classes) } else { class };
            labels.push(i64::try_from(given)?);
        }
        for label in &labels {
            labels_file.write_all(&label.to_le_bytes())?;
        }
        for p in &matrix {
            matrix_file.write_all(&p.to_le_bytes())?;
        }
        let lists = FixedSizeListArray::new(Arc::clone(&item), i32::try_from(classes)?, Arc::new(Float32Array::from(matrix)), None);
        parquet.write(&RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(labels)), Arc::new(lists)])?)?;
        left -= count;
    }
    parquet.close()?;
    Ok(())
}

struct Nothing;

impl Sink for Nothing {
    fn rows(&mut self, _: &RecordBatch) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> foretaste::error::Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

fn confident(path: &str) -> Result<(), Failure> {
    let order = Order {
        choices: Choices { label: Some("label".to_owned()), ..Choices::default() },
        threads: 2,
        memory: 1 << 30,
        only: vec!["label.confident".to_owned()],
        ..Order::new(7)
    };
    let outcome = scan(&*open(&[path.to_owned()], &Options::default())?, detect::all(), &order, &mut Nothing, &Silent)?;
    for unit in outcome.units.iter().filter(|unit| unit.code == "label.confident") {
        println!("{:?}, {} scans: {}", unit.status, unit.scans, unit.notes.join("; "));
    }
    Ok(())
}

/// Seconds, peak resident bytes where the kernel tells, and the output of a command.
fn measure(command: &mut Command) -> Result<(f64, Option<u64>, String), Failure> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).max(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = start.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}", output.status).into());
    }
    Ok((seconds, peak.map(|kib| kib << 10), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, path] = &args[..]
        && flag == SCAN
    {
        return confident(path);
    }
    let number = |at: usize, default: usize| args.get(at).map_or(Ok(default), |arg| arg.replace('_', "").parse());
    let (rows, classes) = (number(0, 1_000_000)?, number(1, 100)?);
    let folder = tempfile::tempdir()?;
    make(folder.path(), rows, classes)?;
    let show = |name: &str, (seconds, peak, said): &(f64, Option<u64>, String)| {
        let peak = peak.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string());
        println!("{name:<22} {seconds:>8.2} s {peak:>7} MiB  {said}");
    };
    println!("{rows} rows of {classes} probabilities");
    let ours = measure(Command::new(std::env::current_exe()?).arg(SCAN).arg(folder.path().join("set.parquet")))?;
    show("label.confident", &ours);
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&python).args(["-c", "import cleanlab"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        println!("{python} has no cleanlab here: its time is not measured.");
        return Ok(());
    }
    for jobs in ["1", "2"] {
        let mut command = Command::new(&python);
        command.args(["-W", "ignore", "-c", CLEANLAB]);
        command.arg(folder.path().join("labels.npy")).arg(folder.path().join("pred_probs.npy")).arg(jobs);
        let theirs = measure(&mut command)?;
        show(&format!("cleanlab, {jobs} process(es)"), &theirs);
        println!("{:>22} {:.1} times as fast", "", theirs.0 / ours.0);
    }
    Ok(())
}
