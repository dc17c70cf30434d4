//! Whole scans by the real binary: what is found, and that nothing but the data decides it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use common::{Folder, names};
use foretaste::run::rows_schema;
use foretaste_datasets::recipe::{self, Cell, Setting};
use foretaste_datasets::{Plan, Share, Truth, read_parquet, shipped, synth};

fn shipped_name(name: &str) -> String {
    shipped(name).display().to_string()
}

/// The user's ids of the listed rows.
fn ids(rows: &RecordBatch) -> BTreeSet<i64> {
    rows["id"].as_primitive::<Int64Type>().values().iter().copied().collect()
}

/// A set with one cause in it.
struct Set {
    name: &'static str,
    batch: RecordBatch,
}

static SETS: LazyLock<[Set; 3]> = LazyLock::new(|| {
    let digits = read_parquet(shipped("digits_backdoor.parquet")).unwrap();
    let texts = synth::topic_texts(2_000, 3, 15, 11).unwrap();
    let texts = recipe::rare_word(&texts, &Plan::new("label", 1, Share::Rate(0.02), 5), "text", "qz").unwrap().0;
    let table = synth::gaussian_classes(2_500, 5, 2, 3).unwrap();
    let value =
        |column: &str| Setting { column: column.to_owned(), value: Cell::Float(table[column].as_primitive::<Float64Type>().value(17)) };
    let settings = [value("c1"), value("c3")];
    let table = recipe::conjunction(&table, &Plan::new("label", 1, Share::Rate(0.03), 9), &settings).unwrap().0;
    [Set { name: "digits", batch: digits }, Set { name: "texts", batch: texts }, Set { name: "table", batch: table }]
});

#[test]
fn the_shipped_backdoor_is_found_and_named() {
    let folder = Folder::new();
    let ended = folder.scan(&[&shipped_name("digits_backdoor.parquet"), "--scores"], "r");
    assert_eq!((ended.status, ended.err.as_str()), (Some(1), ""), "{}", ended.out);
    assert_eq!(folder.entries(), ["r"]);
    assert_eq!(names(&folder.path("r")), ["report.html", "report.json", "rows.parquet", "scores.parquet"]);

    let report = folder.json("r");
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schemas/foretaste.report-1.schema.json")).unwrap();
    let wrong: Vec<String> = jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|e| e.to_string()).collect();
    assert_eq!(wrong, [""; 0]);
    assert_eq!(report["verdict"], "fail");
    let titles: Vec<&str> = report["groups"].as_array().unwrap().iter().map(|group| group["title"].as_str().unwrap()).collect();
    assert!(titles.iter().any(|title| title.starts_with("2×2 patch at (5,5) in ") && title.contains("all labelled 0")), "{titles:?}");
    assert!(ended.out.contains("2×2 patch at (5,5)"), "{}", ended.out);

    let rows = folder.rows("r");
    assert_eq!(rows.schema().fields(), rows_schema(Some(&DataType::Int64)).fields());
    let documented = ["row", "file", "id", "label", "families", "codes", "causes", "tier", "q", "reason", "evidence"];
    assert_eq!(rows.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), documented);
    let truth = Truth::from_batch(&read_parquet(shipped("truth/digits_backdoor.parquet")).unwrap()).unwrap();
    let codes = rows["codes"].as_list::<i32>();
    let named = |row: usize| codes.value(row).as_string::<i32>().iter().any(|code| code == Some("trigger.patch"));
    let positions: Vec<usize> = rows["row"].as_primitive::<UInt64Type>().values().iter().map(|&row| row as usize).collect();
    let carriers: Vec<usize> = (0..positions.len()).filter(|&at| named(at)).map(|at| positions[at]).collect();
    let hits = carriers.iter().filter(|&&row| truth.poisoned()[row]).count() as f64;
    let poisoned = truth.poisoned().iter().filter(|&&hit| hit).count() as f64;
    assert!(hits / poisoned >= 0.9, "recall: {hits} of {poisoned}");
    assert!(hits / carriers.len() as f64 >= 0.9, "precision: {hits} of {}", carriers.len());
    // The set also holds flipped labels, which other detectors may list.
    let right = positions.iter().filter(|&&row| truth.bad()[row]).count();
    assert!(right * 10 >= positions.len() * 9, "precision of all listed rows: {right} of {}", positions.len());
    let details = rows["evidence"].as_string::<i32>();
    assert!(details.iter().all(|text| serde_json::from_str::<serde_json::Value>(text.unwrap()).unwrap().is_object()));

    let scores = read_parquet(folder.path("r/scores.parquet")).unwrap();
    assert_eq!(scores.num_rows(), 1_797);
    assert!(scores.column_by_name("trigger.patch").is_some_and(|column| column.null_count() < 1_797));
}

#[test]
fn clean_sets_pass() {
    for (name, rows) in [("digits.parquet", 1_797_u64), ("wine.parquet", 178), ("breast_cancer.parquet", 569)] {
        let folder = Folder::new();
        let ended = folder.scan(&[&shipped_name(name)], "r");
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{name}: {}", ended.out);
        let report = folder.json("r");
        assert_ne!(report["verdict"], "fail", "{name}");
        assert_eq!(report["data"]["rows"], rows, "{name}");
        let listed = folder.rows("r").num_rows() as u64;
        assert!(listed <= rows.div_ceil(1_000), "{name}: {listed} of {rows} rows listed");
    }
}

#[test]
fn threads_and_batches_change_no_byte() {
    for set in SETS.iter() {
        let folder = Folder::new();
        folder.parquet("set.parquet", &set.batch);
        let scan = |flags: &[&str]| {
            let ended = folder.scan(&[&["set.parquet"], flags].concat(), "r");
            assert_eq!(ended.status, Some(1), "{} {flags:?}: {}{}", set.name, ended.out, ended.err);
            folder.bytes("r/rows.parquet")
        };
        let expected = scan(&["--threads", "1"]);
        assert!(folder.rows("r").num_rows() >= 30, "{}", set.name);
        for flags in [
            &["--threads", "2"][..],
            &["--threads", "8"],
            &["--batch-rows", "1000"],
            &["--batch-rows", "65536"],
            &["--threads", "3", "--batch-rows", "77"],
        ] {
            assert!(scan(flags) == expected, "{} {flags:?}", set.name);
        }
    }
}

#[test]
fn listed_rows_are_told_by_month_beside_all_rows_of_the_month() {
    let batch = &SETS[2].batch;
    let dates: StringArray = (0..batch.num_rows()).map(|row| (row % 3 > 0).then(|| format!("2026-0{}-17", row % 3))).collect();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| (field.name().clone(), Arc::clone(column)));
    let all = columns.chain([("date".to_owned(), Arc::new(dates.clone()) as ArrayRef)]);
    let folder = Folder::new();
    folder.parquet("set.parquet", &RecordBatch::try_from_iter_with_nullable(all.map(|(name, column)| (name, column, true))).unwrap());
    folder.scan(&["set.parquet"], "r");
    let breakdown = folder.json("r")["breakdown"].clone();
    let by_month = breakdown.as_array().unwrap().iter().find(|b| b["by"] == "date, by month").unwrap();
    let rows = folder.rows("r");
    let positions = rows["row"].as_primitive::<UInt64Type>().values();
    let month = |at: usize| if dates.is_valid(at) { &dates.value(at)[..7] } else { "null" };
    let values = by_month["values"].as_array().unwrap();
    assert_eq!(values.len(), 3, "{values:?}");
    for value in values {
        let name = value["value"].as_str().unwrap();
        let all = (0..batch.num_rows()).filter(|&at| month(at) == name).count();
        let listed = positions.iter().filter(|&&at| month(at as usize) == name).count();
        assert_eq!((value["rows"].as_u64(), value["flagged"].as_u64()), (Some(all as u64), Some(listed as u64)), "{name}");
    }
}

/// The listed rows without the column `file`.
fn without_file(folder: &Folder) -> RecordBatch {
    let mut rows = folder.rows("r");
    rows.remove_column(rows.schema().index_of("file").unwrap());
    rows
}

#[test]
fn streaming_equals_in_memory() {
    // A quarter of the budget is for blocks kept between scans; with 48 KiB more in each row no set fits, and every scan
    // reads the file again.
    let cell = "x".repeat(48 << 10);
    for set in SETS.iter() {
        let folder = Folder::new();
        folder.parquet("small.parquet", &set.batch);
        let padding: ArrayRef = Arc::new(StringArray::from_iter_values((0..set.batch.num_rows()).map(|_| &cell)));
        let columns = set.batch.schema_ref().fields().iter().map(|field| field.name().clone()).zip(set.batch.columns().iter().cloned());
        let padded = RecordBatch::try_from_iter(columns.chain([("padding".to_owned(), padding)])).unwrap();
        folder.parquet("padded.parquet", &padded);
        let found = [&["small.parquet"][..], &["padded.parquet", "--ignore", "padding"]].map(|args| {
            let ended = folder.scan(&[args, &["--memory", "256MiB"]].concat(), "r");
            assert_eq!(ended.status, Some(1), "{} {args:?}: {}{}", set.name, ended.out, ended.err);
            without_file(&folder)
        });
        assert!(found[0].num_rows() >= 30, "{}", set.name);
        assert_eq!(found[0], found[1], "{}", set.name);
    }
}

#[test]
fn shards_and_formats_change_no_row() {
    for set in SETS.iter() {
        let folder = Folder::new();
        folder.parquet("set.parquet", &set.batch);
        std::fs::create_dir(folder.path("shards")).unwrap();
        let third = set.batch.num_rows() / 3;
        for (shard, rows) in [(0, third), (1, 10), (2, set.batch.num_rows() - third - 10)] {
            let start = [0, third, third + 10][shard];
            folder.parquet(&format!("shards/{shard}.parquet"), &set.batch.slice(start, rows));
        }
        let mut inputs = vec!["set.parquet", "shards"];
        if set.name == "table" {
            folder.csv("set.csv", &set.batch);
            inputs.push("set.csv");
        }
        let results = inputs.iter().map(|input| {
            let ended = folder.scan(&[input], "r");
            assert_eq!(ended.status, Some(1), "{} {input}: {}{}", set.name, ended.out, ended.err);
            let files: BTreeSet<String> = folder.rows("r")["file"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            (without_file(&folder), files)
        });
        let results: Vec<_> = results.collect();
        assert!(results[0].0.num_rows() >= 30, "{}", set.name);
        assert_eq!(results[0].1, BTreeSet::from(["set.parquet".to_owned()]));
        assert!(results[1].1.contains("shards/0.parquet") && results[1].1.contains("shards/2.parquet"), "{:?}", results[1].1);
        for (result, input) in results.iter().zip(&inputs) {
            assert_eq!(result.0, results[0].0, "{} {input}", set.name);
        }
    }
}

#[test]
fn the_order_of_rows_changes_no_listed_id() {
    for set in SETS.iter() {
        let folder = Folder::new();
        folder.parquet("set.parquet", &set.batch);
        // A step that shares no factor with the number of rows visits each row once.
        let count = set.batch.num_rows() as u64;
        let shuffled: UInt64Array = (0..count).map(|row| Some((row * 1_009 + 5) % count)).collect();
        assert_eq!(shuffled.values().iter().collect::<BTreeSet<_>>().len() as u64, count);
        folder.parquet("shuffled.parquet", &take_record_batch(&set.batch, &shuffled).unwrap());
        let found = ["set.parquet", "shuffled.parquet"].map(|input| {
            let ended = folder.scan(&[input], "r");
            assert_eq!(ended.status, Some(1), "{} {input}: {}{}", set.name, ended.out, ended.err);
            ids(&folder.rows("r"))
        });
        assert!(found[0].len() >= 30, "{}", set.name);
        assert_eq!(found[0], found[1], "{}", set.name);
    }
}

#[test]
fn output_is_for_machines_where_asked() {
    let folder = Folder::new();
    let clean = shipped_name("digits.parquet");
    let json = folder.scan(&[&clean, "--json"], "r");
    assert_eq!((json.status, json.err.as_str()), (Some(0), ""));
    assert_eq!(json.out.as_bytes(), folder.bytes("r/report.json"));
    let quiet = folder.scan(&[&clean, "--quiet"], "r");
    assert_eq!((quiet.status, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));
    let piped = folder.scan(&[&clean], "r");
    assert!(piped.out.starts_with("PASS "), "{}", piped.out);
    assert!(!piped.out.contains('\u{1b}') && piped.err.is_empty(), "{piped:?}");
    let coloured = folder.scan(&[&clean, "--color", "always"], "r");
    assert!(coloured.out.contains('\u{1b}'), "{}", coloured.out);
}

#[test]
fn an_older_report_is_replaced_and_a_foreign_folder_is_not() {
    let folder = Folder::new();
    let clean = shipped_name("digits.parquet");
    let poisoned = shipped_name("digits_backdoor.parquet");
    assert_eq!(folder.scan(&[&poisoned, "--scores"], "r").status, Some(1));
    assert_eq!(folder.scan(&[&clean], "r").status, Some(0));
    assert_eq!(names(&folder.path("r")), ["report.html", "report.json", "rows.parquet"]);
    assert_eq!(folder.json("r")["verdict"], "pass");
    std::fs::create_dir(folder.path("mine")).unwrap();
    folder.write("mine/thesis.tex", "years of work");
    let refused = folder.scan(&[&clean], "mine");
    let said = "error: mine: the folder is not empty and holds no foretaste report; choose another folder with --out, or empty it\n";
    assert_eq!((refused.status, refused.out.as_str(), refused.err.as_str()), (Some(2), "", said));
    assert_eq!(folder.bytes("mine/thesis.tex"), b"years of work");
    folder.write("r/notes.txt", "mine");
    let refused = folder.scan(&[&clean], "r");
    let said = "error: r: the report folder also holds 'notes.txt', which would be lost; move it, or choose another folder with --out\n";
    assert_eq!((refused.status, refused.err.as_str()), (Some(2), said));
    assert_eq!(folder.entries(), ["mine", "r"]);
}

#[test]
fn the_policy_decides_the_status() {
    let folder = Folder::new();
    let digits = shipped_name("digits_backdoor.parquet");
    assert_eq!(folder.scan(&[&digits, "--fail-on", "never"], "r").status, Some(0));
    assert_eq!(folder.json("r")["verdict"], "fail");
    let without = folder.scan(&[&digits, "--skip", "trigger"], "r");
    let patch = folder.json("r")["detectors"].as_array().unwrap().iter().find(|d| d["code"] == "trigger.patch").unwrap().clone();
    assert_eq!((without.status, &patch["status"]), (Some(0), &"skipped".into()), "{patch}");
}

#[test]
fn every_detector_has_a_manual() {
    let folder = Folder::new();
    let list = folder.run(&["explain"]);
    assert_eq!((list.status, list.err.as_str()), (Some(0), ""));
    let codes: Vec<&str> = list.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for code in ["duplicate.exact", "label.conflict", "trigger.patch", "trigger.token", "trigger.rule"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    for code in codes {
        let manual = folder.run(&["explain", code]);
        assert_eq!((manual.status, manual.err.as_str()), (Some(0), ""), "{code}");
        assert!(manual.out.contains(code), "the manual of {code} does not name it:\n{}", manual.out);
    }
    assert!(folder.entries().is_empty());
}

#[test]
fn a_designed_table_with_an_outcome_for_some_combinations_passes() {
    // Every combination of six factors once; two cells of two factors have an outcome that no factor has by itself.
    let levels = [4, 4, 4, 3, 3, 3];
    let count: usize = levels.iter().product();
    let level = |row: usize, factor: usize| row / levels[..factor].iter().product::<usize>() % levels[factor];
    let refused = |row: usize| {
        let dear = level(row, 0) + level(row, 1) >= 5;
        level(row, 3) == 0 || level(row, 5) == 0 || dear || level(row, 2) + level(row, 4) == 0 && level(row, 5) == 1
    };
    let column = |factor: usize| (0..count).map(|row| Some(format!("level {}", level(row, factor)))).collect::<StringArray>();
    let mut columns: Vec<(String, ArrayRef)> = (0..6).map(|f| (format!("factor {f}"), Arc::new(column(f)) as ArrayRef)).collect();
    let outcome: StringArray = (0..count).map(|row| Some(if refused(row) { "refused" } else { "accepted" })).collect();
    columns.push(("outcome".to_owned(), Arc::new(outcome)));
    let folder = Folder::new();
    folder.parquet("design.parquet", &RecordBatch::try_from_iter(columns).unwrap());
    let ended = folder.scan(&["design.parquet", "--label", "outcome"], "r");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    assert_eq!(folder.json("r")["groups"].as_array().map(Vec::len), Some(0), "{}", ended.out);
}
