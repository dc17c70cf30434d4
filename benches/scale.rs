//! Time and memory of a scan of a large table, beside reading the same file's columns and summing them.
//!
//! `cargo bench --bench scale -- [ROWS…] [--label]`; by default 5, 10 and 20 million rows of 20 float columns. Each table
//! is made in a temporary folder, scanned by the real binary with `--memory 1GiB`, then summed by polars (through
//! `python3`, if it has the package) and by the Arrow reader on one thread. Every measurement is a process of its own,
//! whose peak memory the kernel tells at its end.

#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::sum;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Failure = Box<dyn std::error::Error>;

const COLUMNS: usize = 20;
/// Rows made and written at once.
const CHUNK: usize = 65_536;
const GROUP_ROWS: usize = 1 << 20;
/// Sums the columns of a file on one thread; a run of this bench in a process of its own.
const SUM: &str = "--sum-columns-of";

/// Columns of different shapes, so that neither compression nor detectors have it easy: normal, correlated with the
/// column before, skewed and rounded ones take turns.
fn make(path: &Path, rows: usize, label: bool) -> Result<(), Failure> {
    let mut fields: Vec<Field> = (0..COLUMNS).map(|j| Field::new(format!("x{j}"), DataType::Float64, false)).collect();
    if label {
        fields.push(Field::new("label", DataType::Int64, false));
    }
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema.clone(), Some(properties))?;
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut left = rows;
    while left > 0 {
        let count = left.min(CHUNK);
        // The sum of four uniform numbers is as good as normal here.
        let mut normal = || (0..4).map(|_| rng.random::<f64>()).sum::<f64>() - 2.0;
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(COLUMNS);
        for j in 0..COLUMNS {
            let column = match j % 4 {
                0 => (0..count).map(|_| normal()).collect(),
                1 => columns[j - 1].iter().map(|x| 0.8 * x + 0.6 * normal()).collect(),
                2 => (0..count).map(|_| (2.0 * normal()).exp()).collect(),
                _ => (0..count).map(|_| (normal() * 10.0).round() / 10.0).collect(),
            };
            columns.push(column);
        }
        let classes = label.then(|| columns[0].iter().map(|x| i64::from(x + normal() > 0.0)).collect::<Int64Array>());
        let mut arrays: Vec<ArrayRef> = columns.into_iter().map(|column| Arc::new(Float64Array::from(column)) as ArrayRef).collect();
        arrays.extend(classes.map(|classes| Arc::new(classes) as ArrayRef));
        writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
        left -= count;
    }
    writer.close()?;
    Ok(())
}

fn sum_columns(path: &str) -> Result<(), Failure> {
    let mut sums = [0.0; COLUMNS];
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(8_192).build()? {
        for (sum_of, column) in sums.iter_mut().zip(batch?.columns()) {
            *sum_of += column.as_primitive_opt::<Float64Type>().and_then(sum).unwrap_or(0.0);
        }
    }
    println!("{sums:?}");
    Ok(())
}

/// Seconds and, where the kernel tells, peak resident bytes of a command that must end with one of these statuses.
fn measure(command: &mut Command, good: &[i32]) -> Result<(f64, Option<u64>), Failure> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    // The high-water mark only grows, so the last reading before the end counts; what comes after it is the exit.
    let ended = loop {
        peak = high_water(&status).max(peak);
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    if !ended.code().is_some_and(|code| good.contains(&code)) {
        return Err(format!("{command:?} ended with {ended}").into());
    }
    Ok((seconds, peak))
}

fn high_water(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn has_polars() -> bool {
    let python = Command::new("python3").args(["-c", "import polars"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    python.is_ok_and(|status| status.success())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, path] = &args[..]
        && flag == SUM
    {
        return sum_columns(path);
    }
    let label = args.iter().any(|arg| arg == "--label");
    let mut sizes =
        args.iter().filter(|arg| *arg != "--label").map(|arg| arg.replace('_', "").parse()).collect::<Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![5_000_000, 10_000_000, 20_000_000];
    }
    let polars = has_polars();
    if !polars {
        println!("python3 has no polars here: its baseline is skipped, and the ratio is to the Arrow reader on one thread.");
    }
    println!(
        "{:>11} {:>8} {:>8} {:>9} {:>9} {:>10} {:>10} {:>7}",
        "rows", "file MB", "scan s", "s per 1M", "peak MiB", "polars s", "arrow s", "ratio"
    );
    for rows in sizes {
        let folder = tempfile::tempdir()?;
        let table = folder.path().join("table.parquet");
        make(&table, rows, label)?;
        let mut scan = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        scan.arg("scan").arg(&table).args(["--memory", "1GiB", "--seed", "7", "--quiet", "--out"]).arg(folder.path().join("report"));
        let (seconds, peak) = measure(&mut scan, &[0, 1])?;
        let (arrow, _) = measure(Command::new(std::env::current_exe()?).arg(SUM).arg(&table), &[0])?;
        let script = "import polars, sys; print(polars.scan_parquet(sys.argv[1]).sum().collect())";
        let by_polars = if polars { Some(measure(Command::new("python3").args(["-c", script]).arg(&table), &[0])?.0) } else { None };
        println!(
            "{rows:>11} {:>8} {seconds:>8.2} {:>9.3} {:>9} {:>10} {arrow:>10.2} {:>7.2}",
            std::fs::metadata(&table)?.len() / 1_000_000,
            seconds * 1e6 / rows as f64,
            peak.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string()),
            by_polars.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}")),
            seconds / by_polars.unwrap_or(arrow)
        );
    }
    Ok(())
}
