//! The report's page in a real browser. Chromium, Node and the packages of `tests/browser` (`npm ci`) are needed; where one is missing,
//! the test says that it was skipped. With `FORETASTE_BROWSER=required`, as in the checks, it fails instead.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, UInt64Type};
use common::Folder;
use common::told::Told;
use foretaste::data::read::{Options, open};
use foretaste::report::{self, Settings, Writer};
use foretaste::run::{Order, Silent, Sink, scan};
use foretaste_datasets::{Plan, Share, recipe, shipped, synth};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Rows of the large report.
const MANY: u64 = 100_000;

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The browser, or what is missing.
fn browser(scripts: &Path) -> std::result::Result<String, String> {
    let named = std::env::var("CHROMIUM").ok();
    let candidates = named.iter().map(String::as_str).chain(BROWSERS);
    let Some(browser) = candidates.into_iter().find(|name| runs(name)) else {
        return Err("there is no Chromium; install it, or name it in CHROMIUM".to_owned());
    };
    if !runs("node") {
        return Err("there is no Node".to_owned());
    }
    if !scripts.join("node_modules/playwright-core").is_dir() {
        return Err("its packages are not installed; run npm ci in tests/browser".to_owned());
    }
    let path = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", browser]).output().map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&path.stdout).trim().to_owned())
}

/// A report that lists the rows of a small one again and again.
fn write_many(out: &Path) {
    let source = open(&[shipped("digits_backdoor.parquet").display().to_string()], &Options::default()).unwrap();
    let order = Order { threads: 1, memory: 1 << 30, ..Order::new(7) };
    let mut kept = Told::default();
    let mut outcome = scan(source.as_ref(), foretaste::detect::all(), &order, &mut kept, &Silent).unwrap();
    let mut writer = Writer::create(out, report::Options::default()).unwrap();
    let mut written = 0;
    while written < MANY {
        for (rows, content) in kept.rows.iter().filter(|rows| rows.num_rows() > 0).zip(&kept.content) {
            let length = (MANY - written).min(rows.num_rows() as u64) as usize;
            let moved = UInt64Array::from_iter_values((written..).take(length).map(|row| 3 * row));
            let mut columns = rows.slice(0, length).columns().to_vec();
            assert!(columns[0].as_primitive_opt::<UInt64Type>().is_some_and(|rows| rows.null_count() == 0));
            columns[0] = Arc::new(moved) as ArrayRef;
            writer.rows(&RecordBatch::try_new(rows.schema(), columns).unwrap()).unwrap();
            writer.content(kept.schema.as_ref().unwrap(), &content.slice(0, length)).unwrap();
            written += length as u64;
        }
    }
    outcome.flagged_rows = MANY;
    let settings = Settings { values: serde_json::json!({}), seed: 7, created: jiff::Timestamp::UNIX_EPOCH };
    writer.finish(&outcome, &settings).unwrap();
}

/// A text that wants to run, whatever it is put into.
const EVIL: [&str; 6] = [
    "</script><script>window.pwned=1</script>",
    "\"><img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1>",
    "javascript:window.pwned=1//",
    "</style></title><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "{{7*7}}<!--\u{202e}\u{200b}${window.pwned=1}",
];

/// A set with hostile names and texts, in which a word stands for a label.
fn hostile() -> String {
    let clean = synth::topic_texts(2_000, 2, 20, 7).unwrap();
    let (poisoned, _) = recipe::rare_word(&clean, &Plan::new("label", 0, Share::Rate(0.04), 1), "text", "zqx").unwrap();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut csv = format!("{},{},source\n", quoted(&format!("text {}", EVIL[2])), quoted(&format!("label {}", EVIL[4])));
    let column = |name: &str| arrow::compute::cast(poisoned.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    let (texts, labels) = (column("text"), column("label"));
    let rows = texts.as_string::<i32>().iter().flatten().zip(labels.as_string::<i32>().iter().flatten());
    for (i, (text, label)) in rows.enumerate() {
        let evil = |by: usize| EVIL.get(i / by % EVIL.len()).unwrap();
        let label = if label == "0" { EVIL[0] } else { EVIL[1] };
        let _ = writeln!(csv, "{},{},{}", quoted(&format!("{text} {}", evil(1))), quoted(label), quoted(evil(7)));
    }
    csv
}

#[test]
fn the_page_works_in_a_browser() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let browser = match browser(&scripts) {
        Ok(browser) => browser,
        Err(missing) => {
            assert!(std::env::var("FORETASTE_BROWSER").as_deref() != Ok("required"), "the browser tests cannot run: {missing}");
            eprintln!("SKIPPED: the page was not tried in a browser: {missing}");
            return;
        }
    };
    let folder = Folder::new();
    folder.write("digits.parquet", std::fs::read(shipped("digits_backdoor.parquet")).unwrap());
    for report in ["digits", "served"] {
        assert_eq!(folder.scan(&["digits.parquet", "--scores"], report).status, Some(1));
    }
    let name = "a\"><img src=x onerror=window.pwned=1>.csv";
    folder.write(name, hostile());
    let (text, label) = (format!("text {}", EVIL[2]), format!("label {}", EVIL[4]));
    let ended = folder.scan(&[name, "--text", &text, "--label", &label, "--source", "source"], "hostile");
    assert_eq!((ended.status, ended.err.as_str()), (Some(1), ""), "{}", ended.out);
    write_many(&folder.path("many"));

    let long: String = (0..31_744_u32).map(|i| char::from(33 + (i % 90) as u8)).collect();
    let output = Command::new("node")
        .arg(scripts.join("run.js"))
        .env("FORETASTE_FIXTURES", folder.path(""))
        .env("FORETASTE_BINARY", env!("CARGO_BIN_EXE_foretaste"))
        .env("FORETASTE_CHROMIUM", browser)
        .env("FORETASTE_LONG_HASH", blake3::hash(long.as_bytes()).to_hex().as_str())
        .env("FORETASTE_DIGITS_ROWS", folder.json("digits")["flagged_rows"].to_string())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    eprintln!("{}", said.lines().find(|line| line.contains("first interaction")).unwrap_or("the figures are missing"));

    // What the page exported is a ledger that this program reads, and comes to the same.
    let ended = folder.run(&["decide", "digits", "--merge", "exported.jsonl"]);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let counts: serde_json::Value = serde_json::from_slice(&folder.bytes("exported.json")).unwrap();
    let total = counts["confirmed"].as_u64().unwrap() + counts["dismissed"].as_u64().unwrap();
    assert!(ended.out.starts_with(&format!("{total} rows decided by exported.jsonl")), "{} {counts}", ended.out);
}
