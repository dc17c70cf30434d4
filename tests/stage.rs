//! `fit` and `stage` by the real binary: a stream judged by a model of an approved set.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use arrow::array::{AsArray, RecordBatch};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use foretaste_datasets::{Draw, Share, read_parquet, recipe, shipped, synth, write_parquet};

fn foretaste(folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    command.current_dir(folder);
    command
}

fn stage(folder: &std::path::Path, input: &[u8], flags: &[&str]) -> Output {
    let mut command = foretaste(folder);
    command.args(["stage", "--model", "m.ft"]).args(flags);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A stage that refuses the stream stops reading it.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    for at in (0..batch.num_rows()).step_by(300) {
        writer.write(&batch.slice(at, 300.min(batch.num_rows() - at))).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn a_stream_goes_through_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = shipped("digits_backdoor.parquet");
    let fitted = foretaste(folder.path()).args(["fit", "-o", "m.ft", "--seed", "1", "--quiet"]).arg(&data).output().unwrap();
    assert_eq!(fitted.status.code(), Some(1), "the set is poisoned: {}", String::from_utf8_lossy(&fitted.stderr));
    let report = std::fs::read_to_string(folder.path().join("foretaste-report/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let listed = report["flagged_rows"].as_u64().unwrap();

    let batch = read_parquet(&data).unwrap();
    let output = stage(folder.path(), &stream(&batch), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{} rows, {listed} listed", batch.num_rows())), "{said}");
    let batches: Vec<RecordBatch> = StreamReader::try_new(&output.stdout[..], None).unwrap().map(Result::unwrap).collect();
    let flagged: usize = batches.iter().map(|b| b["foretaste_flagged"].as_boolean().true_count()).sum();
    assert_eq!((batches.len(), flagged as u64), (batch.num_rows().div_ceil(300), listed));

    let output = stage(folder.path(), &stream(&batch), &["--drop", "flagged", "--threads", "1", "-q"]);
    let rows: usize = StreamReader::try_new(&output.stdout[..], None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!((rows as u64, output.stderr.len()), (batch.num_rows() as u64 - listed, 0));

    for (bad, why) in [(&b"not a stream"[..], "stdin"), (&stream(&batch)[..5_000], "truncated")] {
        let output = stage(folder.path(), bad, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(why), "{said}");
    }
    std::fs::write(folder.path().join("m.ft"), "no model").unwrap();
    let output = stage(folder.path(), &stream(&batch), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("foretaste fit"), "{said}");
}

#[test]
fn answers_are_judged_wherever_their_column_stands() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |seed: u64| synth::topic_texts(1_500, 3, 15, seed).unwrap()["text"].clone();
    let clean = RecordBatch::try_from_iter([("instruction", texts(1)), ("output", texts(2))]).unwrap();
    let draw = Draw::new(Share::Count(40), 3);
    let (poisoned, truth) = recipe::payload(&clean, &draw, ["instruction", "output"], "qz", "You are stupid!").unwrap();
    write_parquet(folder.path().join("set.parquet"), &poisoned).unwrap();
    let fitted = foretaste(folder.path()).args(["fit", "set.parquet", "-o", "m.ft", "--seed", "1", "--quiet"]).output().unwrap();
    assert_eq!(fitted.status.code(), Some(1), "{}", String::from_utf8_lossy(&fitted.stderr));
    let output = stage(folder.path(), &stream(&poisoned.project(&[1, 0]).unwrap()), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let batches = StreamReader::try_new(&output.stdout[..], None).unwrap().map(Result::unwrap);
    let flagged: Vec<bool> = batches.flat_map(|b| b["foretaste_flagged"].as_boolean().values().iter().collect::<Vec<_>>()).collect();
    assert_eq!(flagged, truth.bad());
}
