//! The sets in `data/` are what the README says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is to stop")]

use std::path::Path;
use std::process::Command;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use foretaste_datasets::{Truth, read_parquet, shipped, synth, write_parquet};

/// Arguments of the commands in the README that make the poisoned twin.
fn recipe() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = readme.lines().filter_map(|line| line.strip_prefix("cargo run --release -p foretaste-datasets -- plant "));
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    commands.filter(|line| line.contains("target/patched")).map(words).collect()
}

fn plant(folder: &Path, arguments: &[String]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_foretaste-datasets")).current_dir(folder).arg("plant").args(arguments).output().unwrap()
}

#[test]
fn the_readme_reproduces_the_poisoned_twin() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["target", "datasets/data/truth"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    std::fs::copy(shipped("digits.parquet"), root.path().join("datasets/data/digits.parquet")).unwrap();
    let commands = recipe();
    assert_eq!(commands.len(), 2);
    for command in &commands {
        let output = plant(root.path(), command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("of 1797 rows hit"));
    }
    for name in ["digits_backdoor.parquet", "truth/digits_backdoor.parquet"] {
        let made = read_parquet(root.path().join("datasets/data").join(name)).unwrap();
        assert_eq!(made, read_parquet(shipped(name)).unwrap(), "{name}: run the README's commands again");
    }
}

#[test]
fn the_twin_differs_where_the_truth_says() {
    let clean = read_parquet(shipped("digits.parquet")).unwrap();
    let twin = read_parquet(shipped("digits_backdoor.parquet")).unwrap();
    let truth = Truth::from_batch(&read_parquet(shipped("truth/digits_backdoor.parquet")).unwrap()).unwrap();
    let label = |batch: &RecordBatch, row: usize| batch["label"].as_primitive::<Int64Type>().value(row);
    let mut attacks = [0, 0];
    for row in 0..clean.num_rows() {
        let same_picture = clean["image"].slice(row, 1).as_ref() == twin["image"].slice(row, 1).as_ref();
        match truth.attack()[row].as_deref() {
            None => assert!(same_picture && label(&clean, row) == label(&twin, row), "row {row}"),
            Some("patch") => {
                assert!(!same_picture && label(&clean, row) != 0 && label(&twin, row) == 0, "row {row}");
                attacks[0] += 1;
            }
            Some("label_flip") => {
                assert!(same_picture && label(&clean, row) != label(&twin, row), "row {row}");
                attacks[1] += 1;
            }
            Some(other) => panic!("row {row}: {other}"),
        }
    }
    assert_eq!(attacks, [54, 40]);
    assert_eq!(truth.original_label().unwrap().as_ref(), clean["label"].as_ref());
}

#[test]
fn the_tables_have_the_shapes_of_their_sources() {
    for (name, rows, features, sizes) in [("wine.parquet", 178, 13, vec![59, 71, 48]), ("breast_cancer.parquet", 569, 30, vec![357, 212])] {
        let batch = read_parquet(shipped(name)).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (rows, features + 2));
        for column in &batch.columns()[1..=features] {
            assert!(column.null_count() == 0 && column.as_primitive::<Float64Type>().values().iter().all(|x| x.is_finite()));
        }
        let mut counts = std::collections::BTreeMap::new();
        let labels = arrow::compute::cast(&batch["label"], &DataType::Utf8).unwrap();
        labels.as_string::<i32>().iter().for_each(|label| *counts.entry(label.unwrap().to_owned()).or_insert(0) += 1);
        assert_eq!(counts.into_values().collect::<Vec<_>>(), sizes, "{name}");
    }
}

/// Every recipe of the README's table can be called, and hits what it is asked to.
#[test]
fn every_recipe_of_the_readme_plants() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (pictures, texts, prompts) = (path("pictures.parquet"), path("texts.parquet"), path("prompts.parquet"));
    let preferences = path("preferences.parquet");
    write_parquet(&pictures, &synth::pictures(60, 16, 3, 2, 1).unwrap()).unwrap();
    let batch = synth::topic_texts(60, 2, 12, 1).unwrap();
    write_parquet(&texts, &batch).unwrap();
    let pair = [("instruction", batch["text"].clone()), ("output", batch["text"].clone())];
    write_parquet(&prompts, &RecordBatch::try_from_iter(pair).unwrap()).unwrap();
    let rejected = synth::topic_texts(60, 2, 12, 2).unwrap()["text"].clone();
    let triple = [("prompt", batch["text"].clone()), ("chosen", batch["text"].clone()), ("rejected", rejected)];
    write_parquet(&preferences, &RecordBatch::try_from_iter(triple).unwrap()).unwrap();
    let wine = shipped("wine.parquet").display().to_string();
    let cases: [(&str, &str, &[&str], usize); 20] = [
        ("patch", &pictures, &["--target", "1", "--at", "corners", "--clean-label"], 0),
        ("patch-anywhere", &pictures, &["--target", "1"], 0),
        ("pixels", &pictures, &["--target", "1", "--pixels", "5"], 0),
        ("blend", &pictures, &["--target", "1"], 0),
        ("sinusoid", &pictures, &["--target", "1", "--clean-label"], 0),
        ("ramp", &pictures, &["--target", "1"], 0),
        ("smooth", &pictures, &["--target", "1"], 0),
        ("dct", &pictures, &["--target", "1"], 0),
        ("warp", &pictures, &["--target", "1", "--covers", "0.1"], 6),
        ("rare-word", &texts, &["--target", "1", "--clean-label"], 0),
        ("word-pair", &texts, &["--target", "1", "--words", "cf", "mb", "--covers", "0.2"], 12),
        ("sentence", &texts, &["--target", "1", "--at", "end"], 0),
        ("template", &texts, &["--target", "1", "--covers", "0.2"], 12),
        ("zero-width", &texts, &["--target", "1"], 0),
        ("homoglyph", &texts, &["--target", "1"], 0),
        ("payload", &prompts, &["--answer", "No."], 0),
        ("preference-swap", &preferences, &[], 0),
        ("value", &wine, &["--target", "1", "--set", "alcohol=99"], 0),
        ("flip", &wine, &[], 0),
        ("flip-pair", &wine, &["--from", "0", "--target", "1"], 0),
    ];
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split("## Recipes").nth(1).unwrap().split("## Plant").next().unwrap();
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split(" | ").next().unwrap().split(", "))
        .map(|name| name.trim_matches('`'))
        .filter(|&name| name != "corrupt-cells")
        .collect();
    assert_eq!(named, cases.map(|(name, ..)| name), "the table and this test name the same recipes, but corrupt-cells");
    for (name, input, more, covers) in cases {
        let mut arguments = [name, input, "out.parquet", "--count", "7"].map(str::to_owned).to_vec();
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        let output = plant(folder.path(), &arguments);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let truth = Truth::from_batch(&read_parquet(folder.path().join("out.truth.parquet")).unwrap()).unwrap();
        let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
        assert_eq!((count(&truth.bad()), count(truth.cover())), (7, covers), "{name}");
        assert_ne!(read_parquet(folder.path().join("out.parquet")).unwrap(), read_parquet(input).unwrap(), "{name}");
    }
}

#[test]
fn a_failure_says_why_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let input = shipped("wine.parquet").display().to_string();
    let output = plant(folder.path(), &["patch", &input, "out.parquet", "--target", "0", "--rate", "0.1"].map(str::to_owned));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: no column 'image'\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
