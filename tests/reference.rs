//! Scans against a trusted reference by the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::UInt64Type;
use common::Folder;

/// Rows of one population; every 40th has impossible numbers where asked, and all of `x` moves where asked.
fn rows(first: u64, count: u64, odd: bool, moved: bool) -> RecordBatch {
    let unit = |i: u64, salt: u64| -> f64 {
        let mut z = (first + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let normal = |i: u64, salt: u64| (0..12).map(|k| unit(i, 100 * salt + k)).sum::<f64>() - 6.0;
    let is_odd = |i: u64| odd && i % 40 == 7;
    let number = |f: &dyn Fn(u64) -> f64| -> ArrayRef { Arc::new((0..count).map(|i| Some(f(i))).collect::<Float64Array>()) };
    let shift = if moved { 0.4 } else { 0.0 };
    let x = move |i: u64| normal(i, 1) + shift;
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new((0..count).map(|i| Some(first + i)).collect::<UInt64Array>())),
        ("x", number(&x)),
        ("y", number(&|i| if is_odd(i) { -3.0 * x(i).signum() - x(i) } else { x(i) + 0.3 * normal(i, 2) })),
        ("label", Arc::new((0..count).map(|i| Some(if unit(i, 9) < 0.5 { "a" } else { "b" })).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn codes(report: &serde_json::Value) -> Vec<(String, String)> {
    let text = |group: &serde_json::Value, key: &str| group[key].as_str().unwrap().to_owned();
    report["groups"].as_array().unwrap().iter().map(|group| (text(group, "code"), text(group, "tier"))).collect()
}

#[test]
fn sound_rows_pass_and_the_report_names_the_reference() {
    let folder = Folder::new();
    folder.parquet("data.parquet", &rows(0, 3_000, false, false));
    folder.parquet("clean.parquet", &rows(50_000, 2_000, false, false));
    let ended = folder.scan(&["data.parquet", "--reference", "clean.parquet"], "r");
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let report = folder.json("r");
    assert_eq!(report["verdict"], "pass", "{}", report["reasons"]);
    assert_eq!(report["data"]["reference"][0]["name"], "clean.parquet");
    assert_eq!(report["data"]["reference"][0]["rows"], 2_000);
    assert_eq!(report["data"]["reference"][0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(report["settings"]["reference"]["inputs"][0], "clean.parquet");
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schemas/foretaste.report-1.schema.json")).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&report));
    let page = String::from_utf8(folder.bytes("r/report.html")).unwrap();
    assert!(page.contains("Trusted reference") && page.contains("clean.parquet"));
    // Neither threads nor the size of a batch change a byte of what was found.
    folder.scan(&["data.parquet", "--reference", "clean.parquet", "--threads", "1", "--batch-rows", "77", "--scores"], "s");
    folder.scan(&["data.parquet", "--reference", "clean.parquet", "--threads", "2", "--batch-rows", "1000", "--scores"], "t");
    assert_eq!(folder.bytes("s/scores.parquet"), folder.bytes("t/scores.parquet"));
}

#[test]
fn outliers_and_moved_columns_are_found() {
    let folder = Folder::new();
    folder.parquet("odd.parquet", &rows(0, 3_000, true, false));
    folder.parquet("moved.parquet", &rows(0, 3_000, false, true));
    // Another format, columns in another order, and no id.
    let clean = rows(50_000, 3_000, false, false);
    let other = clean.project(&[3, 2, 1]).unwrap();
    folder.csv("clean.csv", &other);
    folder.write("foretaste.toml", "[reference]\ninputs = [\"clean.csv\"]\n");

    let ended = folder.scan(&["odd.parquet"], "odd");
    let report = folder.json("odd");
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert!(codes(&report).contains(&("outlier.conformal".to_owned(), "alarm".to_owned())), "{:?}", codes(&report));
    let listed = folder.rows("odd");
    let at = listed["row"].as_primitive::<UInt64Type>();
    let right = at.values().iter().filter(|row| *row % 40 == 7).count();
    // The stated rate of 10 % is a mean over lists; of one list of 80 rows it varies by 3 %.
    assert!(right >= 60 && right * 100 >= listed.num_rows() * 85, "{right} of {}", listed.num_rows());

    let ended = folder.scan(&["moved.parquet"], "moved");
    let report = folder.json("moved");
    assert_eq!(ended.status, Some(0), "drift warns: {}", ended.out);
    let titles: Vec<&str> = report["groups"].as_array().unwrap().iter().map(|group| group["title"].as_str().unwrap()).collect();
    assert!(titles.iter().any(|title| title.starts_with("x differs from the reference: the median is 0.")), "{titles:?}");
    assert!(codes(&report).iter().all(|(_, tier)| tier == "suspect"), "{:?}", codes(&report));
}

#[test]
fn a_reference_that_does_not_fit_is_refused() {
    let folder = Folder::new();
    let data = rows(0, 300, false, false);
    folder.parquet("data.parquet", &data);
    folder.parquet("narrow.parquet", &data.project(&[0, 1, 3]).unwrap());
    let words: ArrayRef = Arc::new((0..300).map(|_| Some("word")).collect::<StringArray>());
    let typed = RecordBatch::try_from_iter([("x", words), ("y", data["y"].clone()), ("label", data["label"].clone())]).unwrap();
    folder.parquet("typed.parquet", &typed);
    for (reference, said) in [
        ("narrow.parquet", "narrow.parquet, column 'y': the data has this column and the reference does not"),
        ("typed.parquet", "typed.parquet, column 'x': the reference holds "),
        ("missing.parquet", "missing.parquet"),
    ] {
        let ended = folder.scan(&["data.parquet", "--reference", reference], "r");
        assert_eq!(ended.status, Some(2), "{reference}: {}", ended.out);
        assert!(ended.err.contains(said), "{reference}: {}", ended.err);
    }
    assert!(!folder.entries().contains(&"r".to_owned()));
}
