//! Bad input: each refusal by its words and its status, and nothing half-written behind it; and what is counted rather
//! than refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use arrow::ipc::writer::StreamWriter;
use common::{Ended, Folder};
use foretaste_datasets::{read_parquet, shipped, synth};

/// A small clean table: `id`, `c0`, `c1`, `label`.
fn table() -> RecordBatch {
    synth::gaussian_classes(300, 2, 2, 1).unwrap()
}

fn table_bytes() -> Vec<u8> {
    let folder = Folder::new();
    folder.parquet("t.parquet", &table());
    folder.bytes("t.parquet")
}

/// The batch with one column exchanged.
#[allow(clippy::needless_pass_by_value)] // every caller makes the column for this one call
fn with(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema_ref().index_of(name).unwrap()] = column;
    let columns = batch.schema_ref().fields().iter().zip(columns).map(|(field, column)| (field.name().clone(), column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Asserts that a scan is refused in these words and that the folder holds what it held before.
fn refused(folder: &Folder, args: &[&str], said: &str) {
    let before = folder.entries();
    let ended = folder.scan(args, "report");
    assert_eq!(ended, Ended { status: Some(2), out: String::new(), err: said.to_owned() }, "{args:?}");
    assert_eq!(folder.entries(), before, "{args:?} leaves something behind");
}

/// Asserts that a scan comes to its end, and gives the report.
fn accepted(folder: &Folder, args: &[&str]) -> serde_json::Value {
    let mut before = folder.entries();
    let ended = folder.scan(args, "report");
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{args:?}: {}", ended.out);
    before.push("report".to_owned());
    before.sort();
    before.dedup();
    assert_eq!(folder.entries(), before);
    folder.json("report")
}

#[test]
fn files_that_are_not_what_they_say() {
    let folder = Folder::new();
    let whole = table_bytes();
    folder.write("cut.parquet", &whole[..whole.len() / 2]);
    let said = "error: cut.parquet: truncated: the Parquet footer is missing\nhelp: Copy or download the file again.\n";
    refused(&folder, &["cut.parquet"], said);
    folder.write("text.parquet", "hello, world");
    refused(&folder, &["text.parquet"], "error: text.parquet: not a Parquet file: it does not begin with PAR1\n");
    folder.write("empty.parquet", "");
    refused(&folder, &["empty.parquet"], "error: empty.parquet: the file is empty\nhelp: See whether what writes it has ended.\n");
    folder.write("latin.csv", b"c0,label\n1,a\n2,caf\xe9\n");
    let help = "help: Text must be UTF-8. Save the file so, for example with: iconv -f latin1 -t utf-8 OLD > NEW\n";
    refused(&folder, &["latin.csv"], &format!("error: latin.csv: encountered invalid UTF-8 data for line 3 and field 2\n{help}"));
}

#[test]
fn a_page_that_breaks_in_the_middle_of_a_scan() {
    let folder = Folder::new();
    let mut bytes = table_bytes();
    // The header of the first page; the footer, which is all that is read when a file is opened, stays whole.
    bytes[4..36].fill(0xff);
    folder.write("t.parquet", &bytes);
    let ended = folder.scan(&["t.parquet"], "report");
    assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.starts_with("error: t.parquet: "), "{}", ended.err);
    assert_eq!(folder.entries(), ["t.parquet"]);
}

#[test]
fn sets_without_rows() {
    let folder = Folder::new();
    folder.parquet("none.parquet", &table().slice(0, 0));
    let said = "error: none.parquet: holds no rows\nhelp: Check that the file is the training set and was written to its end.\n";
    refused(&folder, &["none.parquet"], said);
    folder.write("head.csv", "c0,label\n");
    refused(&folder, &["head.csv"], &said.replace("none.parquet", "head.csv"));
}

#[test]
fn labels_that_are_none() {
    let folder = Folder::new();
    let table = table();
    folder.parquet("null.parquet", &with(&table, "label", Arc::new(Int64Array::new_null(300))));
    let said = "error: null.parquet, column 'label': all 300 labels are null\nhelp: Name another column with --label.\n";
    refused(&folder, &["null.parquet"], said);
    folder.parquet("t.parquet", &table);
    let said = "error: t.parquet: there is no column 'lable' for --label\nhelp: Did you mean 'label'?\n";
    refused(&folder, &["t.parquet", "--label", "lable"], said);
    let said = "error: t.parquet: there is no column 'zzz' for --label\nhelp: The columns are: id, c0, c1, label.\n";
    refused(&folder, &["t.parquet", "--label", "zzz"], said);
}

#[test]
fn one_class_is_scanned_without_what_needs_two() {
    let folder = Folder::new();
    folder.parquet("one.parquet", &with(&table(), "label", Arc::new(Int64Array::from(vec![1; 300]))));
    let report = accepted(&folder, &["one.parquet"]);
    let rule = report["detectors"].as_array().unwrap().iter().find(|d| d["code"] == "trigger.rule").unwrap();
    assert_eq!((&rule["status"], &rule["why"]), (&"skipped".into(), &"needs at least two classes; the label has one value".into()));
}

#[test]
fn numbers_that_are_none_are_counted() {
    let folder = Folder::new();
    let mut values: Vec<Option<f64>> = (0..300).map(|row| Some(f64::from(row % 17) * 0.5)).collect();
    values[3] = Some(f64::NAN);
    values[4] = Some(f64::INFINITY);
    values[250] = Some(f64::NEG_INFINITY);
    values[7] = None;
    folder.parquet("t.parquet", &with(&table(), "c1", Arc::new(Float64Array::from(values))));
    let report = accepted(&folder, &["t.parquet"]);
    assert_eq!(report["data"]["unreadable"], serde_json::json!({ "c1": 3 }));
    folder.write("t.csv", format!("c0,c1,label\n{}", "1.5,NaN,a\n2.5,inf,b\n3.5,0.25,a\n".repeat(20)));
    let report = accepted(&folder, &["t.csv"]);
    assert_eq!(report["data"]["unreadable"], serde_json::json!({ "c1": 40 }));
}

#[test]
fn shards_that_do_not_fit_together() {
    let folder = Folder::new();
    let table = table();
    folder.parquet("a.parquet", &table);
    let texts = StringArray::from_iter_values((0..300).map(|row| format!("{row}x")));
    folder.parquet("b.parquet", &with(&table, "c1", Arc::new(texts)));
    let said = "error: b.parquet, column 'c1': holds Utf8 where a.parquet holds Float64\nhelp: Give the column one type in all files.\n";
    refused(&folder, &["a.parquet", "b.parquet"], said);
    folder.parquet("c.parquet", &table.project(&[0, 1, 3]).unwrap());
    refused(&folder, &["a.parquet", "c.parquet"], "error: c.parquet, column 'c1': missing, but a.parquet has it\n");
}

#[test]
fn places_that_cannot_be_written() {
    let folder = Folder::new();
    folder.parquet("t.parquet", &table());
    let run = |out: &str| folder.run(&["scan", "t.parquet", "--out", out]);
    let missing = run("no/such/folder");
    let parent = folder.path("no/such").canonicalize().unwrap_or_else(|_| std::fs::canonicalize(folder.path("")).unwrap().join("no/such"));
    let said = format!("error: no/such/folder: the folder {} does not exist; make it first\n", parent.display());
    assert_eq!((missing.status, missing.err), (Some(2), said));
    let file = run("t.parquet");
    let said = "error: t.parquet: a file is in the way; choose another folder with --out, or move the file\n";
    assert_eq!((file.status, file.err.as_str()), (Some(2), said));
    // Nobody may make folders there, not even an administrator.
    #[cfg(target_os = "linux")]
    {
        let proc = run("/proc/report");
        assert_eq!((proc.status, proc.out.as_str()), (Some(2), ""));
        assert!(proc.err.starts_with("error: /proc/report: the folder /proc cannot be written: "), "{}", proc.err);
    }
    assert_eq!(folder.entries(), ["t.parquet"]);
}

#[test]
fn settings_that_do_not_exist() {
    let folder = Folder::new();
    folder.parquet("t.parquet", &table());
    folder.write("mine.toml", "[run]\nseed = 1\nthreds = 2\n");
    let said = "error: mine.toml:3: unknown key 'threds'\nhelp: Did you mean 'threads'?\n";
    refused(&folder, &["t.parquet", "--config", "mine.toml"], said);
}

/// A PNG of one colour.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::GrayImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_that_do_not_decode_are_counted() {
    let folder = Folder::new();
    let digits = read_parquet(shipped("digits.parquet")).unwrap().slice(0, 400);
    let column = digits["image"].clone();
    let cells = column.as_any().downcast_ref::<StructArray>().unwrap();
    let bytes = cells.column_by_name("bytes").unwrap().as_any().downcast_ref::<BinaryArray>().unwrap();
    let mut files: Vec<Option<Vec<u8>>> = bytes.iter().map(|file| file.map(<[u8]>::to_vec)).collect();
    files[1] = Some(b"not a picture".to_vec());
    files[2] = Some(Vec::new());
    files[3] = Some(png(64, 64)[..40].to_vec());
    files[4] = Some(png(40_000, 1));
    // A header that claims more pixels than any memory holds, with a correct checksum.
    files[5] = Some(claims(u32::MAX >> 1, u32::MAX >> 1));
    let broken: BinaryArray = files.iter().map(Option::as_deref).collect();
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let paths = cells.column_by_name("path").unwrap().clone();
    let image: ArrayRef = Arc::new(StructArray::try_new(fields.into(), vec![Arc::new(broken), paths], None).unwrap());
    folder.parquet("t.parquet", &with(&digits, "image", image));
    let report = accepted(&folder, &["t.parquet"]);
    assert_eq!(report["data"]["unreadable"], serde_json::json!({ "image": 5 }));
    assert_eq!(report["verdict"], "pass");
}

/// The start of a PNG file with this size in its header.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 0, 0, 0, 0]);
    let crc = chunk.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    [b"\x89PNG\r\n\x1a\n\0\0\0\r", &chunk[..], &(!crc).to_be_bytes()].concat()
}

#[test]
fn a_huge_cell_is_cut_and_counted() {
    let folder = Folder::new();
    let texts = synth::topic_texts(300, 2, 20, 1).unwrap();
    let mut cells: Vec<String> =
        arrow::array::AsArray::as_string::<i32>(&texts["text"]).iter().map(|text| text.unwrap().to_owned()).collect();
    cells[5] = "word ".repeat(20 << 20);
    folder.parquet("t.parquet", &with(&texts, "text", Arc::new(StringArray::from(cells))));
    let report = accepted(&folder, &["t.parquet"]);
    assert_eq!(report["data"]["unreadable"], serde_json::json!({ "text": 1 }));
}

#[test]
fn a_stream_is_a_stage_of_a_pipe() {
    let folder = Folder::new();
    let batch = read_parquet(shipped("wine.parquet")).unwrap();
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let ended = folder.feed(&["scan", "-", "--format", "ipc", "--quiet"], &bytes);
    assert_eq!(ended, Ended { status: Some(0), out: String::new(), err: String::new() });
    let report = folder.json("foretaste-report");
    assert_eq!((&report["data"]["rows"], &report["data"]["files"][0]["name"]), (&178.into(), &"stdin".into()));
    std::fs::remove_dir_all(folder.path("foretaste-report")).unwrap();
    let cut = folder.feed(&["scan", "-", "--format", "ipc"], &bytes[..bytes.len() / 2]);
    let said = "error: stdin: truncated: a message of the Arrow file ends after the file does\nhelp: Copy or download the file again.\n";
    assert_eq!(cut, Ended { status: Some(2), out: String::new(), err: said.to_owned() });
    let empty = folder.feed(&["scan", "-"], b"");
    assert_eq!(empty.err, "error: stdin: the stream is empty\nhelp: Say which it is with --format.\n");
    assert_eq!(empty.status, Some(2));
    assert!(folder.entries().is_empty());
}
