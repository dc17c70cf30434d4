use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder, UInt64Array};
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

const NO_SCORES: Options = Options { scores: false };

fn lists(n: usize, value: &str) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for _ in 0..n {
        builder.values().append_value(value);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn rows(from: u64, n: usize, text: &str) -> RecordBatch {
    let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; n])) };
    let numbers: Vec<u64> = (from..from + n as u64).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(numbers.clone())),
        texts("train.parquet"),
        Arc::new(Int64Array::from_iter_values(numbers.iter().map(|&n| n.cast_signed() * 7))),
        texts(text),
        lists(n, "trigger"),
        lists(n, "trigger.patch"),
        lists(n, "0f0f"),
        texts("alarm"),
        Arc::new(Float64Array::from(vec![1e-9; n])),
        texts(text),
        texts("{}"),
    ];
    RecordBatch::try_new(rows_schema(Some(&DataType::Int64)), columns).unwrap()
}

/// A report with one listed row at each of the positions 3, 4 and 5, with hostile reasons.
pub(crate) fn written(out: &Path) {
    write(out, &[rows(3, 3, "<b>evil</b>")], &sample::poisoned()).unwrap();
}

/// What the script of a page reads of its rows.
fn block(page: &str) -> serde_json::Value {
    use base64::Engine;
    let text = pack::block(page, "rows-data").unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap()
}

/// `length` letters and digits that do not repeat.
fn noise(random: &mut rand_chacha::ChaCha8Rng, length: usize) -> String {
    use rand::RngExt;
    (0..length).map(|_| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz <>&\"'"[random.random_range(0..42)])).collect()
}

/// A schema of a picture, a text and a source.
fn pictured() -> crate::data::Schema {
    use crate::data::{ColumnRole, Key};
    let fields = [("image", DataType::Binary, Role::Image), ("text", DataType::Utf8, Role::Text), ("from", DataType::Utf8, Role::Source)];
    let column = |(name, data_type, role): &(&str, DataType, Role)| ColumnRole {
        name: (*name).to_owned(),
        data_type: data_type.to_string(),
        role: *role,
        reason: String::new(),
        width: None,
    };
    let arrow = fields.iter().map(|(name, data_type, _)| arrow::datatypes::Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>();
    crate::data::Schema {
        arrow: Arc::new(arrow::datatypes::Schema::new(arrow)),
        columns: fields.iter().map(column).collect(),
        label: None,
        rows: 1_000_000,
        key: Key::from_seed(1),
        unit_bytes: 1 << 20,
    }
}

#[test]
fn a_page_of_five_thousand_rows_stays_small_however_much_they_hold() {
    use rand::{RngExt, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let schema = pictured();
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    let mut writer = Writer::create(&out, NO_SCORES).unwrap();
    assert!(writer.wants_content());
    let mut last = RecordBatch::new_empty(Arc::clone(&schema.arrow));
    for from in (0..5_000).step_by(500) {
        let rows = rows(from, 500, "why");
        let mut columns = rows.columns().to_vec();
        columns[9] = Arc::new((0..500).map(|_| Some(noise(&mut random, 200))).collect::<StringArray>());
        writer.rows(&RecordBatch::try_new(rows.schema(), columns).unwrap()).unwrap();
        let mut png = || {
            let pixels: Vec<u8> = (0..64 * 64 * 3).map(|_| random.random()).collect();
            crate::data::Image { width: 64, height: 64, channels: 3, pixels }.to_png().unwrap()
        };
        let pngs: Vec<Vec<u8>> = (0..10).map(|_| png()).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow::array::BinaryArray::from_iter_values(pngs.iter().cycle().take(500))),
            Arc::new((0..500).map(|_| Some(noise(&mut random, 5_000))).collect::<StringArray>()),
            Arc::new((0..500).map(|i| (i % 3 > 0).then_some("mirror")).collect::<StringArray>()),
        ];
        last = RecordBatch::try_new(Arc::clone(&schema.arrow), columns).unwrap();
        writer.content(&schema, &last).unwrap();
    }
    let near = last.num_rows();
    let surroundings = Surroundings {
        rows: (0..1_000).map(|at| 5 * at).collect(),
        places: vec![[0.5, -0.5]; 1_000],
        nearest: (0..1_000).map(|at| (0..5).map(|by| (7 * at + by) % near).collect()).collect(),
        near: (0..near as u64).collect(),
        labels: vec![Some("<b>".to_owned()); near],
        content: last,
        ground: vec![([1.0, 1.0], None); 2_000],
    };
    writer.beside(&schema, &surroundings).unwrap();
    let mut outcome = sample::poisoned();
    outcome.flagged_rows = 5_000;
    writer.finish(&outcome, &sample::settings()).unwrap();
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let block = block(&page);
    let kept = block["cells"].as_object().unwrap();
    assert_eq!((block["row"].as_array().unwrap().len(), block["sources"].clone()), (5_000, serde_json::json!(["null", "mirror"])));
    assert!(kept.len() > 200, "{} rows have their content", kept.len());
    assert!(kept.values().all(|cells| cells[0].as_str().is_some_and(|text| text.chars().count() <= 2_000)));
    assert!(pack::block(&page, "pictures-data").unwrap().len() > 500_000);

    let again = reopen(&out, &Desk::Server("ada".to_owned())).unwrap();
    for id in ["rows-data", "pictures-data", "beside-data"] {
        assert!(pack::block(&page, id).is_some_and(|block| !block.is_empty() && pack::block(&again.text, id) == Some(block)), "{id}");
    }
    fs::remove_file(out.join("report.html")).unwrap();
    let without = self::block(&reopen(&out, &Desk::Browser).unwrap().text);
    assert_eq!((without["row"].clone(), without["cells"].clone()), (block["row"].clone(), serde_json::json!({})));
}

fn read(path: &Path) -> (SchemaRef, Vec<RecordBatch>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    (schema, reader.build().unwrap().map(Result::unwrap).collect())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(out: &Path, batches: &[RecordBatch], outcome: &Outcome) -> Result<PathBuf> {
    let mut writer = Writer::create(out, NO_SCORES)?;
    for batch in batches {
        writer.rows(batch)?;
    }
    writer.finish(outcome, &sample::settings())
}

#[test]
fn a_report_is_written_whole() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    let mut writer = Writer::create(&out, Options { scores: true }).unwrap();
    assert!(writer.wants_scores());
    assert!(!out.exists());
    for from in [0, 700, 1400] {
        writer.rows(&rows(from, 700, "why")).unwrap();
    }
    let scores = scores_schema(None, ["trigger", "trigger.patch"]);
    let column = |v: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![v; 3])) };
    let columns = vec![Arc::new(UInt64Array::from(vec![0, 1, 2])) as ArrayRef, column(1.0), column(2.0), column(3.0)];
    writer.scores(&RecordBatch::try_new(scores.clone(), columns).unwrap()).unwrap();
    let mut outcome = sample::poisoned();
    outcome.flagged_rows = 2_100;
    let place = writer.finish(&outcome, &sample::settings()).unwrap();

    assert_eq!(place, out.canonicalize().unwrap());
    assert_eq!(names(&out), ["report.html", "report.json", "rows.parquet", "scores.parquet"]);
    assert_eq!(names(home.path()), ["report"]);
    let (schema, batches) = read(&out.join("rows.parquet"));
    assert_eq!(schema, rows_schema(Some(&DataType::Int64)));
    assert_eq!(arrow::compute::concat_batches(&schema, &batches).unwrap(), rows(0, 2_100, "why"));
    assert_eq!(read(&out.join("scores.parquet")).0, scores);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("2,000 more"), "the plain table says how many rows it leaves out");
    assert_eq!(page.matches("<td class=\"n\">").count(), 100);
    assert_eq!(block(&page)["row"].as_array().unwrap().len(), 2_100);
}

#[test]
fn files_without_rows_have_the_columns_of_the_data() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    let mut outcome = sample::clean();
    for (id, data_type) in [("Utf8", DataType::Utf8), ("Int64", DataType::Int64), ("Decimal128(20, 0)", DataType::Decimal128(20, 0))] {
        outcome.data.columns[2].data_type = id.to_owned();
        let writer = Writer::create(&out, Options { scores: true }).unwrap();
        writer.finish(&outcome, &sample::settings()).unwrap();
        let (schema, batches) = read(&out.join("rows.parquet"));
        assert_eq!(schema, rows_schema(Some(&data_type)));
        assert!(batches.iter().all(|b| b.num_rows() == 0));
        assert_eq!(read(&out.join("scores.parquet")).0, scores_schema(Some(&data_type), []));
    }
    outcome.data.columns.truncate(2);
    write(&out, &[], &outcome).unwrap();
    assert_eq!(read(&out.join("rows.parquet")).0, rows_schema(None));
    assert_eq!(names(&out), ["report.html", "report.json", "rows.parquet"], "the scores of the report before are gone");
}

#[test]
fn the_same_rows_give_the_same_file_however_they_are_cut() {
    let home = tempfile::tempdir().unwrap();
    let whole = rows(0, 10_000, "reason");
    let file = |name: &str, size: usize| {
        let out = home.path().join(name);
        let batches: Vec<RecordBatch> = (0..10_000).step_by(size).map(|at| whole.slice(at, size.min(10_000 - at))).collect();
        write(&out, &batches, &sample::poisoned()).unwrap();
        fs::read(out.join("rows.parquet")).unwrap()
    };
    let first = file("a", 10_000);
    assert_eq!(first, file("b", 1));
    assert_eq!(first, file("c", 977));
}

#[test]
fn dropping_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    let mut writer = Writer::create(&out, NO_SCORES).unwrap();
    writer.rows(&rows(0, 10, "why")).unwrap();
    drop(writer);
    assert!(names(home.path()).is_empty());
    write(&out, &[rows(0, 3, "old")], &sample::poisoned()).unwrap();
    let before = fs::read(out.join("rows.parquet")).unwrap();
    drop(Writer::create(&out, NO_SCORES).unwrap());
    assert_eq!(fs::read(out.join("rows.parquet")).unwrap(), before);
    assert_eq!(names(home.path()), ["report"]);
}

fn refusal(out: &Path) -> String {
    match Writer::create(out, NO_SCORES) {
        Ok(_) => panic!("{} was accepted", out.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn only_reports_and_empty_folders_are_replaced() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    fs::create_dir(&out).unwrap();
    write(&out, &[], &sample::clean()).unwrap();
    write(&out, &[rows(0, 3, "new")], &sample::poisoned()).unwrap();
    let report: Report = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report.verdict, crate::finding::Verdict::Fail);
    assert_eq!(names(home.path()), ["report"]);

    fs::write(out.join("notes.txt"), "mine").unwrap();
    assert!(refusal(&out).contains("also holds 'notes.txt', which would be lost"));
    fs::remove_file(out.join("notes.txt")).unwrap();
    fs::write(out.join("report.json"), r#"{"schema": "other/1"}"#).unwrap();
    assert!(refusal(&out).contains("holds no foretaste report; choose another folder with --out"));
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(refusal(&file).contains("a file is in the way"));
    assert!(refusal(&home.path().join("no/such/folder")).contains("no/such does not exist"));
    assert!(refusal(Path::new("/")).contains("the folder is not empty"));
    assert_eq!(names(home.path()), ["file", "report"]);
}

#[test]
fn what_appears_while_the_run_goes_on_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("report");
    let writer = Writer::create(&out, NO_SCORES).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), "mine").unwrap();
    assert!(writer.finish(&sample::clean(), &sample::settings()).is_err());
    assert_eq!(fs::read_to_string(out.join("thesis.tex")).unwrap(), "mine");
    assert_eq!(names(home.path()), ["report"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_rights_are_the_usual_ones() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let (real, link, usual) = (home.path().join("real"), home.path().join("link"), home.path().join("usual"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&usual).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let place = write(&link, &[], &sample::clean()).unwrap();
    assert_eq!(place, real.canonicalize().unwrap());
    assert!(link.is_symlink() && real.join("report.json").exists());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&real), mode(&usual));
}

#[test]
fn rows_with_other_columns_are_an_error() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&home.path().join("report"), NO_SCORES).unwrap();
    writer.rows(&rows(0, 2, "a")).unwrap();
    let other = rows(2, 2, "a").project(&[0, 1]).unwrap();
    assert!(writer.rows(&other).unwrap_err().to_string().contains("report/rows.parquet: the columns of these rows are not those"));
}

#[test]
fn a_writer_can_follow_the_run_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Writer>();
}
