//! Bad input: each refusal by its exact message.

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Folder, arrow, gzip, parquet, zstd};
use crate::data::read::text::io_reason;
use crate::data::read::{Options, guard, open};
use crate::error::{Error, Result};

fn table() -> RecordBatch {
    let text: Vec<String> = (0..50).map(|i| format!("text {i}")).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("id", Arc::new(Int64Array::from_iter_values(0..50))), ("text", Arc::new(StringArray::from(text)))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet_bytes(folder: &Folder) -> Vec<u8> {
    parquet(folder.name("whole.parquet"), &table());
    folder.read("whole.parquet")
}

#[test]
fn truncated_files() {
    let folder = Folder::new();
    let whole = parquet_bytes(&folder);
    folder.write("t.parquet", &whole[..whole.len() / 2]);
    let help = "Copy or download the file again.".to_owned();
    assert_eq!(folder.error(&["t.parquet"]), ("t.parquet: truncated: the Parquet footer is missing".to_owned(), help.clone()));
    folder.write("short.parquet", b"PAR1");
    assert_eq!(folder.message(&["short.parquet"]), "short.parquet: truncated: the Parquet footer is missing");
    let file = arrow(&table(), false, false);
    folder.write("t.arrow", &file[..file.len() - 20]);
    assert_eq!(folder.error(&["t.arrow"]), ("t.arrow: truncated: the Arrow file's footer is missing".to_owned(), help.clone()));
    let stream = arrow(&table(), true, false);
    folder.write("t.arrows", &stream[..stream.len() - 100]);
    assert_eq!(folder.error(&["t.arrows"]), ("t.arrows: truncated: a message of the Arrow file ends after the file does".to_owned(), help));
}

#[test]
fn wrong_magic() {
    let folder = Folder::new();
    folder.write("a.parquet", "hello, world");
    assert_eq!(folder.error(&["a.parquet"]), ("a.parquet: not a Parquet file: it does not begin with PAR1".to_owned(), String::new()));
    folder.write("b.parquet", "{\"a\": 1}");
    assert_eq!(folder.error(&["b.parquet"]).1, "It looks like jsonl; if so, say --format jsonl.");
    folder.write("a.arrow", "hello, world");
    let message = "a.arrow: not an Arrow file: it begins neither with ARROW1 nor with a stream's first message";
    assert_eq!(folder.message(&["a.arrow"]), message);
    folder.write("a.csv", parquet_bytes(&folder));
    assert_eq!(folder.message(&["a.csv"]), "a.csv: not a csv file: its bytes are binary");
    folder.write("a.csv.gz", "a,b\n1,2\n");
    assert_eq!(folder.message(&["a.csv.gz"]), "a.csv.gz: not gzip data: its first bytes are others");
    folder.write("a.dat", "a,b\n1,2\n");
    let (message, help) = folder.error(&["a.dat"]);
    assert_eq!(message, "a.dat: the format is known neither from the extension nor from the first bytes");
    assert_eq!(help, "Say which it is with --format. The formats are parquet, arrow, arrow-stream, csv, tsv, jsonl.");
}

#[test]
fn empty_files() {
    let folder = Folder::new();
    for file in ["a.parquet", "a.csv", "a.jsonl", "a.arrow"] {
        folder.write(file, "");
        assert_eq!(folder.message(&[file]), format!("{file}: the file is empty"));
    }
    folder.write("blank.jsonl", "\n\n");
    assert_eq!(folder.message(&["blank.jsonl"]), "blank.jsonl: no columns");
    folder.write("blank.csv", "\n\n");
    assert_eq!(folder.message(&["blank.csv"]), "blank.csv: no columns");
    folder.write("none.arrow", arrow(&RecordBatch::new_empty(Arc::new(Schema::empty())), false, false));
    assert_eq!(folder.message(&["none.arrow"]), "none.arrow: no columns");
}

#[test]
fn repeated_column_names() {
    let folder = Folder::new();
    folder.write("a.csv", "x,y,x\n1,2,3\n");
    assert_eq!(folder.error(&["a.csv"]), ("a.csv, column 'x': two columns have this name".to_owned(), "Rename one of them.".to_owned()));
    let fields = vec![Field::new("x", DataType::Int64, true), Field::new("x", DataType::Int64, true)];
    folder.write("a.arrow", arrow(&RecordBatch::new_empty(Arc::new(Schema::new(fields))), false, false));
    assert_eq!(folder.message(&["a.arrow"]), "a.arrow, column 'x': two columns have this name");
    folder.write("a.jsonl", "{\"x\": 1}\n{\"o\": {\"y\": 1, \"y\": 2}}\n");
    assert_eq!(folder.message(&["a.jsonl"]), "a.jsonl, column 'o.y': line 2 names the key twice");
}

#[test]
fn foreign_files_say_what_to_do() {
    let folder = Folder::new();
    folder.write("wide.csv", b"\xff\xfea\0,\0b\0\n\0");
    let (message, help) = folder.error(&["wide.csv"]);
    assert_eq!(message, "wide.csv: this is UTF-16 text, which is not read");
    assert!(help.contains("iconv -f utf-16 -t utf-8"), "{help}");
    folder.write("x.npy", b"\x93NUMPY\x01\x00v\x00");
    let (message, help) = folder.error(&["x.npy"]);
    assert_eq!(message, "x.npy: this is a NumPy array, which is not read");
    assert!(help.contains("pyarrow"), "{help}");
    folder.write("cat.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF");
    assert!(folder.error(&["cat.jpg"]).1.contains("column of encoded pictures"));
}

#[test]
fn broken_text() {
    let folder = Folder::new();
    folder.write("ragged.csv", "a,b\n1,2\n3\n");
    assert_eq!(folder.message(&["ragged.csv"]), "ragged.csv: incorrect number of fields for line 3, expected 2 got 1");
    folder.write("more.csv", "a,b\n1,2\n3,4,5\n");
    assert_eq!(folder.message(&["more.csv"]), "more.csv: incorrect number of fields for line 3, expected 2 got 3");
    folder.write("utf8.csv", b"a,b\n1,2\n3,caf\xe9\n");
    let (message, help) = folder.error(&["utf8.csv"]);
    assert_eq!(message, "utf8.csv: encountered invalid UTF-8 data for line 3 and field 2");
    assert!(help.contains("iconv -f latin1 -t utf-8"), "{help}");
    folder.write("head.csv", b"caf\xe9,b\n1,2\n");
    assert_eq!(
        folder.message(&["head.csv"]),
        "head.csv: encountered UTF-8 error while reading CSV file: invalid utf-8: invalid UTF-8 in field 0 near byte index 3 at line 1"
    );
    folder.write("utf-8.csv", "a,b\n1,2\n3\n");
    assert!(!folder.error(&["utf-8.csv"]).1.contains("iconv"));
    folder.write("utf8.jsonl", b"{\"a\": \"x\"}\n{\"a\": \"caf\xe9\"}\n");
    let (message, help) = folder.error(&["utf8.jsonl"]);
    assert_eq!(message, "utf8.jsonl: line 2 is not valid JSON: invalid unicode code point at column 11");
    assert!(help.contains("iconv"), "{help}");
    folder.write("cut.jsonl", "{\"a\": 1}\n{\"a\": ");
    assert_eq!(folder.message(&["cut.jsonl"]), "cut.jsonl: line 2 is not valid JSON: EOF while parsing a value at column 5");
    folder.write("two.jsonl", "{\"a\": 1} {\"a\": 2}");
    assert_eq!(folder.message(&["two.jsonl"]), "two.jsonl: line 1 is not valid JSON: trailing characters at column 10");
    folder.write("array.json", "[{\"a\": 1}]");
    let (message, help) = folder.error(&["array.json"]);
    assert_eq!(message, "array.json: line 1 does not hold an object");
    assert_eq!(help, "A JSON lines file holds one object a line; an array of objects must be split into lines first.");
    folder.write("mixed.jsonl", "{\"m\": [{\"c\": \"x\"}]}\n{\"m\": [{\"c\": [1]}]}\n");
    assert_eq!(folder.message(&["mixed.jsonl"]), "mixed.jsonl, column 'm.c': line 2 holds a list where an earlier line holds text");
    folder.write("deep.jsonl", format!("{{\"a\": {}", "[".repeat(100_000)));
    assert_eq!(folder.message(&["deep.jsonl"]), "deep.jsonl: line 1 is not valid JSON: recursion limit exceeded at column 133");
}

#[test]
fn too_many_columns() {
    let folder = Folder::new();
    folder.write("a.csv", (0..100_001).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    assert_eq!(folder.message(&["a.csv"]), "a.csv: the header names more than 100000 columns");
    let keys = (0..100_001).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",");
    folder.write("a.jsonl", format!("{{{keys}}}"));
    assert_eq!(folder.message(&["a.jsonl"]), "a.jsonl: line 1 brings more than 100000 keys into the file");
}

#[test]
fn corrupt_compression() {
    let folder = Folder::new();
    let rows = (0..2000_u64).map(|i| format!("{},{}", i, i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let text = format!("a,b\n{}", rows.collect::<Vec<_>>().join("\n"));
    let packed = gzip(text.as_bytes());
    folder.write("cut.csv.gz", &packed[..packed.len() / 2]);
    let cut = folder.message(&["cut.csv.gz"]);
    assert!(cut.starts_with("cut.csv.gz: corrupt gzip data: "), "{cut}");
    let packed = zstd(text.as_bytes());
    folder.write("cut.csv.zst", &packed[..packed.len() / 2]);
    assert_eq!(folder.message(&["cut.csv.zst"]), "cut.csv.zst: corrupt zstd data: incomplete frame");
    let mut packed = gzip(&parquet_bytes(&folder));
    let last = packed.len() - 6;
    packed[last] ^= 0xff;
    folder.write("sum.parquet.gz", &packed);
    assert_eq!(
        folder.message(&["sum.parquet.gz"]),
        "sum.parquet.gz: corrupt gzip data: corrupt gzip stream does not have a matching checksum"
    );
}

#[test]
fn unpacking_is_bounded() {
    let folder = Folder::new();
    let text = format!("a\n\"{}", "0".repeat(80 << 20));
    folder.write("bomb.csv.zst", zstd(text.as_bytes()));
    let (message, help) = folder.error(&["bomb.csv.zst"]);
    assert_eq!(message, "bomb.csv.zst: unpacks to more than 67108864 bytes");
    assert_eq!(help, "If the file is what you expect, unpack it first and name the result.");
    folder.write("t.parquet.gz", gzip(&parquet_bytes(&folder)));
    let options = Options { unpack_limit: 100, ..folder.options() };
    let error = open(&[folder.name("t.parquet.gz")], &options).err().unwrap();
    assert_eq!(error.to_string(), format!("{}: unpacks to more than 100 bytes", folder.name("t.parquet.gz")));
}

#[test]
fn a_file_that_changes_meanwhile() {
    let folder = Folder::new();
    folder.write("a.csv", "x\n1\n2\n");
    let source = folder.open(&["a.csv"]).unwrap();
    folder.write("a.csv", "x\n1\n2\n3\n");
    let changed = format!("{}: changed while it was read", folder.name("a.csv"));
    let errors: Vec<String> = source.scan(None).unwrap().filter_map(Result::err).map(|e| e.to_string()).collect();
    assert_eq!(errors, std::slice::from_ref(&changed));
    assert_eq!(source.files().unwrap_err().to_string(), changed);
    folder.write("b.csv", "x\n1\n2\n");
    let source = open(&[folder.name("b.csv")], &Options { batch_rows: 1, ..folder.options() }).unwrap();
    let mut batches = source.scan(None).unwrap();
    assert_eq!(batches.next().unwrap().unwrap().num_rows(), 1);
    folder.write("b.csv", "x\n1\n2\n3\n");
    let error = batches.find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), format!("{}: changed while it was read", folder.name("b.csv")));
    assert!(batches.next().is_none());
}

#[test]
fn a_panic_in_a_decoder_is_an_input_error() {
    let error = guard::guarded::<()>("a.parquet", || panic!("slice out of range")).unwrap_err();
    assert_eq!(error.to_string(), "a.parquet: the data are corrupt: the decoder stopped at an impossible length or offset");
}

#[test]
fn flipped_bytes_never_escape() {
    let folder = Folder::new();
    let files =
        [("f.parquet", parquet_bytes(&folder)), ("f.arrow", arrow(&table(), false, true)), ("f.arrows", arrow(&table(), true, true))];
    let mut refused = 0;
    for (file, bytes) in &files {
        for at in (0..bytes.len()).step_by(23) {
            for flip in [0xff, 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                folder.write(file, &bytes);
                let outcome = folder.open(&[file]).and_then(|source| source.scan(None)?.try_for_each(|batch| batch.map(drop)));
                match outcome {
                    Ok(()) => {}
                    Err(Error::Input { .. }) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn system_errors_in_plain_words() {
    assert_eq!(io_reason(&io::Error::from(io::ErrorKind::PermissionDenied)), "permission denied");
    let folder = Folder::new();
    let options = Options { spool_dir: Some(folder.0.path().join("none")), ..Options::default() };
    folder.write("t.parquet.gz", gzip(&parquet_bytes(&folder)));
    let error = open(&[folder.name("t.parquet.gz")], &options).err().unwrap();
    assert_eq!(error.to_string(), format!("{}: no such file", folder.name("none")));
}

#[cfg(not(feature = "object-store"))]
#[test]
fn addresses_need_the_feature() {
    let error = open(&["s3://bucket/a.parquet".to_owned()], &Options::default()).err().unwrap();
    assert_eq!(error.to_string(), "s3://bucket/a.parquet: this build does not read addresses");
}
