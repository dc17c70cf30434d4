use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Float64Type;
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;

use super::*;
use crate::data::read::{Memory, Options, open};
use crate::run::{Job, Order, Silent, Sink};

/// Positions of listed rows.
#[derive(Default)]
struct Listed(Vec<u64>);

impl Sink for Listed {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let at = rows.column_by_name("row").unwrap();
        self.0.extend(at.as_primitive::<arrow::datatypes::UInt64Type>().values());
        Ok(())
    }

    fn scores(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        false
    }
}

fn learn(batch: &RecordBatch) -> (Vec<u64>, Vec<u8>) {
    let order = Order { threads: 2, memory: 1 << 30, ..Order::new(1) };
    let source = Memory::new("train", std::slice::from_ref(batch)).unwrap();
    let mut listed = Listed::default();
    let mut model = Vec::new();
    let job = Job { source: &source, reference: None, units: crate::detect::all(), order: &order, model: Some(&mut model) };
    job.scan(&mut listed, &Silent).unwrap();
    (listed.0, model)
}

fn shipped() -> RecordBatch {
    let source = open(&["datasets/data/digits_backdoor.parquet".to_owned()], &Options::default()).unwrap();
    let batches: Vec<RecordBatch> = source.scan(None).unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&source.schema(), &batches).unwrap()
}

fn stream(batch: &RecordBatch, rows_each: usize) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    for at in (0..batch.num_rows()).step_by(rows_each) {
        writer.write(&batch.slice(at, rows_each.min(batch.num_rows() - at))).unwrap();
    }
    writer.into_inner().unwrap()
}

fn through(model: &Frozen, bytes: &[u8], drop: Drop) -> (Passed, RecordBatch) {
    let mut out = Vec::new();
    let passed = stage(model, bytes, &mut out, drop).unwrap();
    let reader = StreamReader::try_new(&out[..], None).unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(std::result::Result::unwrap).collect();
    (passed, arrow::compute::concat_batches(&schema, &batches).unwrap())
}

#[test]
fn a_stream_of_the_same_rows_is_judged_as_the_scan_judged_them() {
    let batch = shipped();
    let (listed, bytes) = learn(&batch);
    assert!(listed.len() > 20, "{}", listed.len());
    let model = Frozen::read("m", &bytes, crate::detect::all()).unwrap();
    for rows_each in [1, 100, 5_000] {
        let (passed, rows) = through(&model, &stream(&batch, rows_each), Drop::None);
        assert_eq!((passed.rows, passed.flagged, passed.dropped), (batch.num_rows() as u64, listed.len() as u64, 0));
        let flagged = rows.column_by_name("foretaste_flagged").unwrap().as_boolean();
        let at: Vec<u64> = (0..rows.num_rows()).filter(|&i| flagged.value(i)).map(|i| i as u64).collect();
        assert_eq!(at, listed, "batches of {rows_each}");
        let q = rows.column_by_name("foretaste_q").unwrap().as_primitive::<Float64Type>();
        let reason = rows.column_by_name("foretaste_reason").unwrap().as_string::<i32>();
        assert_eq!(q.iter().flatten().count(), listed.len());
        assert_eq!(reason.iter().flatten().count(), listed.len());
        // What came goes on as it is.
        assert_eq!(rows.project(&(0..batch.num_columns()).collect::<Vec<_>>()).unwrap().columns(), batch.columns());
    }
}

#[test]
fn listed_rows_stay_behind_where_that_is_asked() {
    let batch = shipped();
    let (listed, bytes) = learn(&batch);
    let model = Frozen::read("m", &bytes, crate::detect::all()).unwrap();
    let (passed, rows) = through(&model, &stream(&batch, 700), Drop::Flagged);
    assert_eq!((passed.dropped, rows.num_rows()), (listed.len() as u64, batch.num_rows() - listed.len()));
    assert_eq!(rows.column_by_name("foretaste_flagged").unwrap().as_boolean().true_count(), 0);
    let (passed, rows) = through(&model, &stream(&batch, 700), Drop::Alarm);
    assert!(passed.alarms > 20 && passed.alarms <= passed.flagged, "{passed:?}");
    assert_eq!(rows.num_rows() as u64, passed.rows - passed.alarms);
}

#[test]
fn columns_may_come_in_any_order_with_others_beside_them_but_must_be_there() {
    let batch = shipped();
    let (listed, bytes) = learn(&batch);
    let model = Frozen::read("m", &bytes, crate::detect::all()).unwrap();
    let mut columns: Vec<(String, ArrayRef)> =
        batch.schema().fields().iter().zip(batch.columns()).map(|(f, c)| (f.name().clone(), Arc::clone(c))).collect();
    columns.reverse();
    columns.push(("other".to_owned(), Arc::new(Int64Array::from(vec![7; batch.num_rows()]))));
    let turned = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(through(&model, &stream(&turned, 600), Drop::None).0.flagged, listed.len() as u64);

    let image = batch.schema().index_of("image").unwrap();
    let mut without = batch.clone();
    without.remove_column(image);
    let error = stage(&model, &stream(&without, 600)[..], Vec::new(), Drop::None).unwrap_err();
    assert!(error.to_string().contains("image") && error.to_string().contains("the stream does not"), "{error}");
    let (_, judged) = through(&model, &stream(&batch, 600), Drop::None);
    let error = stage(&model, &stream(&judged, 600)[..], Vec::new(), Drop::None).unwrap_err();
    assert!(error.to_string().contains("foretaste_flagged"), "{error}");
}

#[test]
fn a_model_that_is_damaged_or_foreign_is_refused() {
    let (_, bytes) = learn(&shipped());
    let refused = |bytes: &[u8]| Frozen::read("m", bytes, crate::detect::all()).err().map(|e| e.to_string()).unwrap();
    assert!(refused(b"PAR1").contains("is no model"));
    assert!(refused(&bytes[..30]).contains("cut off"));
    let mut damaged = bytes.clone();
    let last = damaged.len() - 9;
    damaged[last] ^= 1;
    assert!(refused(&damaged).contains("damaged"));
    let without: Vec<_> = crate::detect::all().into_iter().filter(|unit| !unit.info().code.starts_with("trigger")).collect();
    assert!(Frozen::read("m", &bytes, without).err().unwrap().to_string().contains("does not have"));
}
