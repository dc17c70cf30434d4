//! Every format gives the same table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampSecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::{Folder, all, arrow, gzip, parquet, zstd};
use crate::data::read::{Format, Options, open};

fn messages() -> ListArray {
    let role: ArrayRef = Arc::new(StringArray::from(vec!["user", "assistant", "user", "user"]));
    let content: ArrayRef = Arc::new(StringArray::from(vec![Some("hallo"), Some("ciao"), None, Some("日本")]));
    let fields: Vec<_> = ["role", "content"].map(|name| Field::new(name, DataType::Utf8, true)).into();
    let items = StructArray::new(fields.into(), vec![role, content], None);
    let offsets = OffsetBuffer::from_lengths([2, 1, 0, 1, 0]);
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    ListArray::new(field, offsets, Arc::new(items), Some(vec![true, true, true, true, false].into()))
}

/// What every format can hold.
fn flat() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("id", Arc::new(Int64Array::from(vec![1, -2, i64::MAX, 4, 5]))),
        ("text", Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), Some("žluťoučký 🐎"), None, Some("na"), Some("007")]))),
        ("score", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-2.25e-9), Some(3.0), Some(0.1)]))),
        ("whole", Arc::new(Int64Array::from(vec![None, Some(0), Some(1), None, Some(2)]))),
    ]
}

fn typed() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None, Some(1.0)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(0), Some(-1), None, Some(20000), Some(1)]))),
        ("when", Arc::new(TimestampSecondArray::from(vec![Some(0), Some(1_700_000_000), None, Some(-5), Some(1)]))),
    ]
}

fn nested() -> Vec<(&'static str, ArrayRef)> {
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        Some(vec![]),
        None,
        Some(vec![Some(3)]),
        Some(vec![Some(4), Some(5)]),
    ]);
    vec![("list", Arc::new(list)), ("messages", Arc::new(messages()))]
}

fn binary() -> Vec<(&'static str, ArrayRef)> {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&[0x89_u8, 0x50][..]), None, Some(&[]), Some(&[255]), Some(&[1])]));
    let path: ArrayRef = Arc::new(StringArray::from(vec![Some("a.png"), None, None, Some("b.png"), None]));
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let embedding = FixedSizeListArray::new(
        Arc::new(Field::new_list_field(DataType::Float32, false)),
        2,
        Arc::new(Float32Array::from_iter_values((0..10_u8).map(f32::from))),
        None,
    );
    vec![
        ("image", Arc::new(StructArray::new(fields.into(), vec![bytes, path], None))),
        ("embedding", Arc::new(embedding)),
        ("kind", Arc::new(vec![Some("x"), Some("y"), None, Some("x"), Some("y")].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("view", Arc::new(StringViewArray::from(vec![Some("a view longer than twelve bytes"), None, Some("b"), Some("c"), Some("d")]))),
        (
            "price",
            Arc::new(Decimal128Array::from(vec![Some(123), None, Some(-5), Some(0), Some(1)]).with_precision_and_scale(9, 2).unwrap()),
        ),
        ("small", Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5]))),
    ]
}

fn table(columns: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    let metadata = HashMap::from([("huggingface".to_owned(), "{\"info\": {}}".to_owned())]);
    let schema = Schema::new_with_metadata(batch.schema().fields().clone(), metadata);
    batch.with_schema(Arc::new(schema)).unwrap()
}

fn same_rows(found: &RecordBatch, wanted: &RecordBatch) {
    assert_eq!(found.schema().fields(), wanted.schema().fields());
    // Compared as text, where NaN equals itself; dictionaries by what their keys stand for, as batches have their own.
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(_, value) => arrow::compute::cast(column, value).unwrap(),
        _ => column.clone(),
    };
    let text = |batch: &RecordBatch| format!("{:?}", batch.columns().iter().map(plain).collect::<Vec<_>>());
    assert_eq!(text(found), text(wanted));
}

/// Reads `file` at several batch sizes and projections and compares with `wanted`.
fn check(folder: &Folder, file: &str, wanted: &RecordBatch) {
    for batch_rows in [1, 2, 3, 8192] {
        let source = open(&[folder.name(file)], &Options { batch_rows, ..folder.options() }).unwrap();
        assert_eq!(source.rows_hint(), Some(wanted.num_rows() as u64));
        assert!(source.scan(None).unwrap().all(|batch| batch.unwrap().num_rows() <= batch_rows), "{file}");
        same_rows(&all(source.as_ref(), None), wanted);
        same_rows(&all(source.as_ref(), None), wanted);
        let some: Vec<usize> = (0..wanted.num_columns()).skip(1).step_by(2).collect();
        same_rows(&all(source.as_ref(), Some(&some)), &wanted.project(&some).unwrap());
        assert_eq!(all(source.as_ref(), Some(&[])).num_rows(), wanted.num_rows(), "{file}");
        let files = source.files().unwrap();
        let bytes = folder.read(file);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].rows, wanted.num_rows() as u64);
        assert_eq!((files[0].bytes, files[0].blake3.as_str()), (bytes.len() as u64, blake3::hash(&bytes).to_hex().as_str()));
    }
}

fn check_packed(folder: &Folder, file: &str, wanted: &RecordBatch) {
    let bytes = folder.read(file);
    check(folder, file, wanted);
    folder.write(&format!("{file}.gz"), gzip(&bytes));
    check(folder, &format!("{file}.gz"), wanted);
    folder.write(&format!("{file}.zst"), zstd(&bytes));
    check(folder, &format!("{file}.zst"), wanted);
    // Without any extension the first bytes tell, but for delimited text, which has none of its own.
    if !file.contains("sv") {
        folder.write("bare", gzip(&bytes));
        check(folder, "bare", wanted);
    }
}

#[test]
fn binary_formats_give_the_table_back() {
    let folder = Folder::new();
    let wanted = table([flat(), typed(), nested(), binary()].concat());
    parquet(folder.name("t.parquet"), &wanted);
    check_packed(&folder, "t.parquet", &wanted);
    for (stream, zstd, file) in
        [(false, false, "t.arrow"), (true, false, "t.arrows"), (false, true, "tz.feather"), (true, true, "tz.arrow")]
    {
        folder.write(file, arrow(&wanted, stream, zstd));
        check_packed(&folder, file, &wanted);
        assert_eq!(folder.open(&[file]).unwrap().schema().metadata()["huggingface"], "{\"info\": {}}");
    }
    assert_eq!(folder.open(&["t.parquet"]).unwrap().schema().metadata()["huggingface"], "{\"info\": {}}");
}

#[test]
fn delimited_text_gives_the_table_back() {
    let folder = Folder::new();
    let wanted = table([flat(), typed()].concat());
    for (file, delimiter) in [("t.csv", b','), ("t.tsv", b'\t')] {
        let mut bytes = Vec::new();
        let mut writer = arrow::csv::WriterBuilder::new().with_delimiter(delimiter).build(&mut bytes);
        writer.write(&wanted).unwrap();
        drop(writer);
        folder.write(file, &bytes);
        check_packed(&folder, file, &wanted);
    }
}

#[test]
fn json_lines_give_the_table_back() {
    let folder = Folder::new();
    let wanted = table([flat(), nested()].concat());
    let mut bytes = Vec::new();
    let mut writer = arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(&mut bytes);
    writer.write(&wanted).unwrap();
    writer.finish().unwrap();
    folder.write("t.jsonl", &bytes);
    check_packed(&folder, "t.jsonl", &wanted);
}

#[test]
fn digests_are_those_of_the_bytes() {
    let folder = Folder::new();
    folder.write("a.csv", "x\nabc\n");
    let files = folder.open(&["a.csv"]).unwrap().files().unwrap();
    // `printf 'x\nabc\n' | sha256sum`
    assert_eq!(files[0].sha256, "f2a1bb4d80be54356410ad6b92512ab31db97ef2fd837cc12267b6eb2a4c7522");
    assert_eq!(files[0].bytes, 6);
}

#[test]
fn types_are_inferred_from_every_value() {
    let folder = Folder::new();
    let mut text = String::from("n,f,zip,big,b,d,ts,mix,none\n");
    for _ in 0..20_000 {
        text += "1,1,12345,1,true,2024-01-02,2024-01-02,1,\n";
    }
    text += "2,0.5,02139,18446744073709551615,False,0001-01-01,2024-01-02T03:04:05.123456,x,\n";
    folder.write("t.csv", &text);
    let source = folder.open(&["t.csv"]).unwrap();
    let types: Vec<String> = source.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    let timestamp = "Timestamp(µs)".to_owned();
    assert_eq!(types, ["Int64", "Float64", "Utf8", "Utf8", "Boolean", "Date32", &timestamp, "Utf8", "Null"]);
    assert_eq!(all(source.as_ref(), None).num_rows(), 20_001);
}

#[test]
fn the_header_tells_what_separates_values() {
    let folder = Folder::new();
    let columns = |text: &str| {
        folder.write("t.csv", text);
        let source = folder.open(&["t.csv"]).unwrap();
        assert_eq!(all(source.as_ref(), None).num_rows(), 1, "{text}");
        source.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(columns("a;b;c\n1,5;2;3\n"), ["a", "b", "c"]);
    assert_eq!(columns("a\tb\n1;2\t3\n"), ["a", "b"]);
    assert_eq!(columns("\u{feff}\"a,\n\"\"x\"\"\"|b;c|d\r\n1|2|3\r\n"), ["a,\n\"x\"", "b;c", "d"]);
    assert_eq!(columns("a,b;c;d\n1,2\n"), ["a", "b;c;d"]);
    assert_eq!(columns("\n\r\n5\" disk;b\n1;2\n"), ["5\" disk", "b"]);
    assert_eq!(columns("a\n1;2\n"), ["a"]);
}

#[test]
fn what_the_usual_tools_write_for_a_missing_value_is_one() {
    let folder = Folder::new();
    folder.write("t.csv", "n,text\n1,x\nNA,NA\nN/A,n/a\nn/a,null\nnull,NULL\nNULL,nan\nnan,#N/A\n#N/A,\n,None\n2,na\n");
    let source = folder.open(&["t.csv"]).unwrap();
    assert_eq!(*source.schema().field(0).data_type(), DataType::Int64);
    let rows = all(source.as_ref(), None);
    assert_eq!(rows.column(0).null_count(), 8);
    let text: Vec<_> = rows.column(1).as_any().downcast_ref::<StringArray>().unwrap().iter().flatten().collect();
    assert_eq!(text, ["x", "None", "na"]);
}

#[test]
fn json_keeps_the_order_of_keys_and_reads_absent_keys_as_null() {
    let folder = Folder::new();
    folder.write("t.jsonl", "\u{feff}{\"z\": 1, \"a\": [], \"o\": {}}\n\n{\"z\": true, \"k\": 18446744073709551615, \"a\": [1.5]}\n{}");
    let source = folder.open(&["t.jsonl"]).unwrap();
    let names: Vec<String> = source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!(names, ["z Utf8", "a List(Float64)", "o Struct()", "k Utf8"]);
    let rows = all(source.as_ref(), None);
    let z: Vec<_> = rows.column(0).as_any().downcast_ref::<StringArray>().unwrap().iter().collect();
    assert_eq!(z, [Some("1"), Some("true"), None]);
    let k: Vec<_> = rows.column(3).as_any().downcast_ref::<StringArray>().unwrap().iter().collect();
    assert_eq!(k, [None, Some("18446744073709551615"), None]);
}

#[test]
fn large_records_end_a_batch_early() {
    let folder = Folder::new();
    let long = "x".repeat(1 << 20);
    for (file, text) in [
        ("t.csv", format!("a,b\n{}", format!("{long},\"1\r\n2\"\r\n").repeat(70))),
        ("t.jsonl", format!("{{\"a\": \"{long}\", \"b\": \"1\\r\\n2\"}}\n").repeat(70)),
    ] {
        folder.write(file, text);
        let sizes: Vec<usize> = folder.open(&[file]).unwrap().scan(None).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
        assert!(sizes.len() >= 3 && sizes.iter().all(|rows| *rows <= 34), "{sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), 70);
    }
}

#[test]
fn files_without_rows_are_read() {
    let folder = Folder::new();
    let empty = table(flat()).slice(0, 0);
    parquet(folder.name("t.parquet"), &empty);
    folder.write("t.arrow", arrow(&empty, false, false));
    folder.write("t.csv", "a,b\n");
    folder.write("bare.csv", "a,b");
    for file in ["t.parquet", "t.arrow", "t.csv", "bare.csv"] {
        let source = folder.open(&[file]).unwrap();
        assert_eq!(source.scan(None).unwrap().count(), 0);
        assert_eq!((source.rows_hint(), source.files().unwrap()[0].rows), (Some(0), 0));
    }
}

#[test]
fn the_format_may_be_named() {
    let folder = Folder::new();
    folder.write("data.txt", "a\tb\n1\t2\n");
    let options = Options { format: Some("tsv".parse().unwrap()), ..folder.options() };
    assert_eq!(open(&[folder.name("data.txt")], &options).unwrap().schema().fields().len(), 2);
    let error = "xls".parse::<Format>().unwrap_err();
    assert_eq!(error.to_string(), "--format: unknown format 'xls'");
    assert_eq!(error.help(), Some("The formats are parquet, arrow, arrow-stream, csv, tsv, jsonl."));
}
