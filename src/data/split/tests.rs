use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::data::read::{Options, open};

struct Case {
    folder: TempDir,
    source: PathBuf,
    name: String,
}

impl Case {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name);
        fs::write(&source, bytes).unwrap();
        Self { folder, source, name: name.to_owned() }
    }

    fn halves(&self) -> Halves {
        Halves {
            kept: self.folder.path().join(format!("kept-{}", self.name)),
            taken: self.folder.path().join(format!("taken-{}", self.name)),
        }
    }

    fn part(&self, out: &[u64]) -> Result<Parted> {
        self.edit(out, &Edits::default())
    }

    fn edit(&self, out: &[u64], edits: &Edits) -> Result<Parted> {
        let form = Form::of(&self.name, &self.source, None)?;
        part(&self.name, &self.source, form, &out.iter().copied().collect(), edits, &self.halves())
    }

    fn join(&self, parted: &Parted, out: &[u64], edits: &Edits) -> PathBuf {
        let joined = self.folder.path().join(format!("joined-{}", self.name));
        let edited: BTreeSet<u64> = edits.values.keys().copied().collect();
        let out = out.iter().copied().chain(edited.iter().copied()).collect();
        join(&self.name, parted, &out, &edited, &self.halves(), &joined).unwrap();
        joined
    }

    /// Parts and joins; gives what was parted and the path of what was joined.
    fn round_trip(&self, out: &[u64]) -> (Parted, PathBuf) {
        let parted = self.part(out).unwrap();
        let joined = self.join(&parted, out, &Edits::default());
        (parted, joined)
    }
}

/// Rows as the scan reads them.
fn rows(path: &Path) -> Vec<RecordBatch> {
    let source = open(&[path.display().to_string()], &Options::default()).unwrap();
    let batches: Vec<RecordBatch> = source.scan(None).unwrap().map(|batch| batch.unwrap()).collect();
    vec![arrow::compute::concat_batches(&source.schema(), &batches).unwrap()]
}

#[test]
fn text_is_parted_by_its_bytes() {
    let csv = "\u{feff}a,b\r\n1,\"x\r\ny\"\r\n\r\n2,\"say \"\"no\"\"\"\r\n3,z\r\n4,last";
    let case = Case::new("data.csv", csv.as_bytes());
    let (parted, joined) = case.round_trip(&[0, 3]);
    assert_eq!((parted.kept, parted.taken), (2, 2));
    let halves = case.halves();
    assert_eq!(fs::read_to_string(halves.kept).unwrap(), "\u{feff}a,b\r\n\r\n2,\"say \"\"no\"\"\"\r\n3,z\r\n");
    assert_eq!(fs::read_to_string(halves.taken).unwrap(), "\u{feff}a,b\r\n1,\"x\r\ny\"\r\n4,last");
    assert_eq!(fs::read(joined).unwrap(), csv.as_bytes());

    let lines = "{\"a\": 1}\n\n{\"a\":  2 }\r\n{\"a\":3}\n\n";
    let case = Case::new("data.jsonl", lines.as_bytes());
    let (parted, joined) = case.round_trip(&[1]);
    assert_eq!((parted.kept, parted.taken), (2, 1));
    assert_eq!(fs::read_to_string(case.halves().taken).unwrap(), "\n{\"a\":  2 }\r\n");
    assert_eq!(fs::read(joined).unwrap(), lines.as_bytes());
}

#[test]
fn values_are_separated_as_the_header_shows() {
    for (separator, value, written) in [(";", "a;b,c", "\"a;b,c\""), ("\t", "a,b", "a,b"), ("|", "a|b", "\"a|b\"")] {
        let text = ["id,label", "1,\"x\n,y\"", "2,z", "3,1.5", ""].join("\n").replace(',', separator);
        let case = Case::new("data.csv", text.as_bytes());
        let new = edits("label", &[(1, value)]);
        let parted = case.edit(&[0], &new).unwrap();
        assert_eq!((parted.kept, parted.taken), (2, 2));
        let kept = fs::read_to_string(case.halves().kept).unwrap();
        assert_eq!(kept, format!("id{separator}label\n2{separator}{written}\n3{separator}1.5\n"));
        assert_eq!(rows(&case.halves().kept)[0].num_columns(), 2);
        assert_eq!(fs::read_to_string(case.join(&parted, &[0], &new)).unwrap(), text);
    }
}

fn edits(column: &str, values: &[(u64, &str)]) -> Edits {
    Edits { column: column.to_owned(), values: values.iter().map(|(row, value)| (*row, (*value).to_owned())).collect() }
}

#[test]
fn text_gets_new_values_and_its_bytes_come_back() {
    let csv = "\u{feff}a,label\r\n1,x\r\n\r\n2,\"y\"\r\n3,z\r\n4,last";
    let case = Case::new("data.csv", csv.as_bytes());
    let edits = |values: &[(u64, &str)]| edits("label", values);
    let new = edits(&[(1, "new, \"one\""), (3, "x")]);
    let parted = case.edit(&[0], &new).unwrap();
    assert_eq!((parted.kept, parted.taken, parted.edited, parted.rows()), (3, 3, 2, 4));
    assert_eq!(fs::read_to_string(case.halves().kept).unwrap(), "\u{feff}a,label\r\n\r\n2,\"new, \"\"one\"\"\"\r\n3,z\r\n4,x");
    assert_eq!(fs::read_to_string(case.join(&parted, &[0], &new)).unwrap(), csv);

    let lines = "{\"label\": 1}\n\n{\"label\":  2 }\r\n{\"label\":3}\n\n";
    let case = Case::new("data.jsonl", lines.as_bytes());
    let new = edits(&[(0, "7"), (1, "8")]);
    let parted = case.edit(&[2], &new).unwrap();
    assert_eq!(fs::read_to_string(case.halves().kept).unwrap(), "{\"label\": 7}\n\n{\"label\":  8 }\r\n\n");
    assert_eq!(fs::read_to_string(case.join(&parted, &[2], &new)).unwrap(), lines);

    let case = Case::new("data.jsonl", lines.as_bytes());
    let said = case.edit(&[], &edits(&[(1, "seven")])).unwrap_err().to_string();
    assert_eq!(said, "data.jsonl: row 1 cannot have 'seven' in the column 'label'");
}

#[test]
fn tables_get_new_values_and_their_rows_come_back() {
    let batch = table(100);
    for (name, bytes) in [("d.parquet", parquet(&batch)), ("d.arrow", ipc(&batch, false)), ("d.arrows", ipc(&batch, true))] {
        for (column, value, at) in [("id", "-7", 0), ("text", "new", 1), ("level", "odd", 3), ("level", "third", 3)] {
            if value == "third" && name != "d.parquet" {
                let case = Case::new(name, &bytes);
                let said = case.edit(&[], &edits(column, &[(3, value)])).unwrap_err().to_string();
                assert!(said.contains("row 3 cannot have 'third'"), "{said}");
                continue;
            }
            let case = Case::new(name, &bytes);
            let new = edits(column, &[(0, value), (3, value), (41, value), (99, value)]);
            let parted = case.edit(&[1, 40, 98], &new).unwrap();
            assert_eq!((parted.kept, parted.taken, parted.edited), (97, 7, 4));
            let kept = &rows(&case.halves().kept)[0];
            let values = crate::data::strings(kept.column(at));
            assert_eq!([0, 2, 39, 96].map(|row| values.value(row)), [value; 4], "{name} {column}");
            assert_eq!(rows(&case.join(&parted, &[1, 40, 98], &new)), rows(&case.source), "{name} {column}");
        }
        let case = Case::new(name, &bytes);
        for (column, value) in [("id", "7.5"), ("id", "seven"), ("none", "7")] {
            assert!(
                case.edit(&[], &edits(column, &[(3, value)])).unwrap_err().to_string().contains("row 3 cannot have"),
                "{column} {value}"
            );
            for half in [case.halves().kept, case.halves().taken] {
                fs::remove_file(half).unwrap();
            }
        }
    }
}

#[test]
fn compression_is_kept() {
    let text = "a,b\n1,x\n2,y\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let case = Case::new("data.csv.gz", &gzip.finish().unwrap());
    let (_, joined) = case.round_trip(&[0]);
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(fs::File::open(joined).unwrap()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    let case = Case::new("data.jsonl.zst", &zstd::encode_all(&b"{\"a\":1}\n{\"a\":2}\n"[..], 0).unwrap());
    let (_, joined) = case.round_trip(&[0]);
    assert_eq!(zstd::decode_all(fs::File::open(joined).unwrap()).unwrap(), b"{\"a\":1}\n{\"a\":2}\n");
}

fn table(rows: i64) -> RecordBatch {
    let levels: DictionaryArray<Int32Type> = (0..rows).map(|i| (i % 7 != 3).then_some(if i % 2 == 0 { "even" } else { "odd" })).collect();
    let images: Vec<Option<Vec<u8>>> = (0..rows).map(|i| (i % 5 != 0).then(|| vec![i as u8; (i % 9) as usize])).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new((0..rows).collect::<Int64Array>())),
        ("text", Arc::new((0..rows).map(|i| (i % 4 != 1).then(|| format!("row {i} <b>"))).collect::<StringArray>())),
        ("x", Arc::new((0..rows).map(|i| Some(if i == 3 { f64::NAN } else { i as f64 / 3.0 })).collect::<Float64Array>())),
        ("level", Arc::new(levels)),
        ("image", Arc::new(images.iter().map(|image| image.as_deref()).collect::<BinaryArray>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let metadata = [("origin".to_owned(), "a drill".to_owned())].into();
    let schema = Schema::new_with_metadata(batch.schema().fields().clone(), metadata);
    RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let pairs = vec![parquet::file::metadata::KeyValue::new("pandas".to_owned(), "{}".to_owned())];
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(40))
        .set_key_value_metadata(Some(pairs))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn ipc(batch: &RecordBatch, stream: bool) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let slices = [batch.slice(0, batch.num_rows() / 2), batch.slice(batch.num_rows() / 2, batch.num_rows() - batch.num_rows() / 2)];
    if stream {
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        for slice in &slices {
            writer.write(slice).unwrap();
        }
        writer.into_inner().unwrap()
    } else {
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        for slice in &slices {
            writer.write(slice).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }
}

#[test]
fn tables_keep_schema_metadata_and_codec() {
    let batch = table(100);
    let case = Case::new("data.parquet", &parquet(&batch));
    let (parted, joined) = case.round_trip(&[0, 1, 41, 99]);
    assert_eq!((parted.kept, parted.taken), (96, 4));
    assert_eq!(rows(&joined), rows(&case.source));
    let read = SerializedFileReader::new(fs::File::open(&joined).unwrap()).unwrap();
    let metadata = read.metadata();
    assert!(metadata.row_groups().iter().all(|group| group.num_rows() <= 40 && group.column(0).compression() == Compression::SNAPPY));
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    assert_eq!(pairs.iter().filter(|pair| pair.key == "pandas").count(), 1);
    for (name, stream) in [("data.arrow", false), ("data.arrows", true)] {
        let case = Case::new(name, &ipc(&batch, stream));
        let (_, joined) = case.round_trip(&[0, 1, 41, 99]);
        assert_eq!(rows(&joined), rows(&case.source));
        assert_eq!(crate::data::read::ipc::codec(name, &joined, stream).unwrap(), Some(CompressionType::ZSTD));
    }
}

#[test]
fn all_or_none_can_go() {
    let all: Vec<u64> = (0..30).collect();
    let batch = table(30);
    for (name, bytes) in
        [("d.parquet", parquet(&batch)), ("d.arrow", ipc(&batch, false)), ("d.arrows", ipc(&batch, true)), ("d.csv", csv(30).into_bytes())]
    {
        for out in [&all[..], &[]] {
            let case = Case::new(name, &bytes);
            let (parted, joined) = case.round_trip(out);
            assert_eq!((parted.kept, parted.taken), (30 - out.len() as u64, out.len() as u64));
            assert_eq!(rows(&joined), rows(&case.source), "{name}");
        }
    }
}

fn csv(rows: usize) -> String {
    (0..rows).fold("a,b\n".to_owned(), |text, i| format!("{text}{i},\"x{i}\"\n"))
}

#[test]
fn what_does_not_belong_is_refused() {
    let case = Case::new("data.csv", csv(3).as_bytes());
    let said = case.part(&[1, 7]).unwrap_err().to_string();
    assert_eq!(said, "data.csv: it has 3 rows, fewer than the report tells of");
    let case = Case::new("data.csv", csv(3).as_bytes());
    let parted = case.part(&[1]).unwrap();
    fs::write(case.halves().kept, csv(2).replace("x0", "y0")).unwrap();
    let to = case.folder.path().join("joined.csv");
    let said = join("data.csv", &parted, &BTreeSet::from([1]), &BTreeSet::new(), &case.halves(), &to).unwrap_err().to_string();
    assert!(said.contains("the joined bytes are not those of the source"), "{said}");
}

/// A field with what a CSV file may hold.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 é]{0,6}",
        Just("a,b".to_owned()),
        Just("line\nbreak".to_owned()),
        Just("cr\r\nlf".to_owned()),
        Just("\"quoted\"".to_owned()),
        Just("\r".to_owned())
    ]
    .prop_map(|text| if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_csv_comes_back_byte_for_byte(
        lines in prop::collection::vec((field(), field(), prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")], any::<bool>()), 1..30),
        ended in any::<bool>(),
    ) {
        let mut text = "first,second\n".to_owned();
        let mut out = Vec::new();
        for (row, (a, b, end, goes)) in lines.iter().enumerate() {
            // Never a blank line by itself, which would be no row.
            text.extend([if a.is_empty() { "0" } else { a }, ",", b.as_str(), *end]);
            if *goes { out.push(row as u64); }
        }
        if !ended { text = text.trim_end_matches(['\n', '\r']).to_owned(); }
        let case = Case::new("data.csv", text.as_bytes());
        let (parted, joined) = case.round_trip(&out);
        prop_assert_eq!((parted.kept + parted.taken, parted.taken), (lines.len() as u64, out.len() as u64));
        prop_assert_eq!(fs::read(joined).unwrap(), text.as_bytes());
        let read = rows(&case.source)[0].num_rows();
        prop_assert_eq!(read, lines.len());
    }

    #[test]
    fn any_rows_of_a_table_come_back(count in 1_i64..120, picks in prop::collection::btree_set(0_u64..120, 0..40), which in 0..3) {
        let batch = table(count);
        let out: Vec<u64> = picks.into_iter().filter(|row| *row < count as u64).collect();
        let (name, bytes) = match which { 0 => ("d.parquet", parquet(&batch)), 1 => ("d.arrow", ipc(&batch, false)), _ => ("d.arrows", ipc(&batch, true)) };
        let case = Case::new(name, &bytes);
        let (parted, joined) = case.round_trip(&out);
        prop_assert_eq!(parted.taken, out.len() as u64);
        prop_assert_eq!(rows(&joined), rows(&case.source));
    }
}
