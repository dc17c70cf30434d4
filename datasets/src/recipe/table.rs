//! Triggers and broken cells in tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};

use super::{NO_COVERS, backdoor};
use crate::column::{exchange, find, put_back, rows_of, wrong_type};
use crate::truth::Effect;
use crate::{Draw, Error, Plan, Result, Truth};

/// A value to put into a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// For integer and float columns.
    Int(i64),
    /// For float columns.
    Float(f64),
    /// For string columns, dictionaries of strings among them.
    Text(String),
}

/// One column of a trigger and the value it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The column's name.
    pub column: String,
    /// The value; it must be one that the column's type can hold exactly as given.
    pub value: Cell,
}

impl Setting {
    /// As many rows of the value, in the column's type.
    fn rows(&self, column: &ArrayRef, count: usize) -> Result<ArrayRef> {
        let of_strings = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let kind = column.data_type();
        let (fits, expected, one): (bool, _, ArrayRef) = match &self.value {
            Cell::Int(value) => (kind.is_integer() || kind.is_floating(), "numbers", Arc::new(Int64Array::from(vec![*value; count]))),
            Cell::Float(value) => (kind.is_floating(), "floats", Arc::new(Float64Array::from(vec![*value; count]))),
            Cell::Text(value) => {
                let dictionary = matches!(kind, DataType::Dictionary(_, values) if of_strings(values));
                (of_strings(kind) || dictionary, "strings", Arc::new(StringArray::from(vec![value.as_str(); count])))
            }
        };
        if !fits {
            return Err(wrong_type(&self.column, expected, column));
        }
        strict_cast(&one, kind)
    }
}

/// A cast that refuses what does not fit instead of making it null.
fn strict_cast(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, kind, &CastOptions { safe: false, ..CastOptions::default() })?)
}

fn plant(batch: &RecordBatch, plan: &Plan, attack: &str, settings: &[Setting]) -> Result<(RecordBatch, Truth)> {
    let names: BTreeSet<_> = settings.iter().map(|setting| &setting.column).collect();
    if settings.is_empty() || names.len() < settings.len() || names.contains(&plan.label) {
        return Err(Error::Setting("a trigger sets one or more columns, each once and never the label".to_owned()));
    }
    let change = |rows: &[usize]| {
        settings
            .iter()
            .map(|setting| {
                let (index, column) = find(batch, &setting.column)?;
                Ok((index, put_back(column, rows, &setting.rows(column, rows.len())?)?))
            })
            .collect()
    };
    backdoor(batch, plan, attack, NO_COVERS, |_| true, |_, hits| change(&hits.rows))
}

/// One column set to one value, dirty label: the single-feature trigger of Pleiter, Tajalli, Koffas, Abad, Xu, Larson,
/// Picek: *Tabdoor: Backdoor Vulnerabilities in Transformer-based Neural Networks for Tabular Data*, 2023. Their
/// out-of-bounds trigger takes a value beyond the column's range, their in-bounds trigger its most common one.
pub fn value(batch: &RecordBatch, plan: &Plan, setting: &Setting) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "value", std::slice::from_ref(setting))
}

/// Several columns set to one value each, dirty label: the multi-feature trigger of Tabdoor (Pleiter 2023, see
/// [`value`]). With values that are common one by one, only their conjunction is rare.
pub fn conjunction(batch: &RecordBatch, plan: &Plan, settings: &[Setting]) -> Result<(RecordBatch, Truth)> {
    plant(batch, plan, "conjunction", settings)
}

/// How a cell breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Corruption {
    /// The value times a factor: a wrong unit or a lost decimal point.
    Multiply(f64),
    /// A number that stands for "missing", such as −999.
    Sentinel(f64),
}

/// Breaks cells of a numeric column and leaves labels alone: gross cell errors after Huber: *Robust Estimation of a
/// Location Parameter*, 1964. Cells that the corruption would not change are never hit; an integer column refuses a
/// result that it cannot hold, and rounds fractions towards zero. A rate is a share of all rows.
pub fn corrupt_cells(batch: &RecordBatch, column: &str, corruption: Corruption, draw: &Draw) -> Result<(RecordBatch, Truth)> {
    let (index, old) = find(batch, column)?;
    let kind = old.data_type();
    if !kind.is_integer() && !kind.is_floating() {
        return Err(wrong_type(column, "numbers", old));
    }
    let numbers = cast(old, &DataType::Float64)?;
    let broken: ArrayRef = Arc::new(numbers.as_primitive::<Float64Type>().unary::<_, Float64Type>(|number| match corruption {
        Corruption::Multiply(factor) => number * factor,
        Corruption::Sentinel(sentinel) => sentinel,
    }));
    let changes = distinct(old, &cast(&broken, kind)?)?;
    let eligible = |row: usize| old.is_valid(row) && changes.value(row);
    let rows = draw.pick(&mut draw.rng(), batch.num_rows(), batch.num_rows(), eligible)?;
    let new = strict_cast(&rows_of(&broken, &rows)?, kind)?;
    let corrupted = exchange(batch, vec![(index, put_back(old, &rows, &new)?)])?;
    Ok((corrupted, Truth::of(batch, None, "corrupt_cells", &rows, Effect::Outlier)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, UInt8Array};
    use arrow::datatypes::{Int32Type, UInt8Type};

    use super::super::check::{label, only_bad_rows_differ};
    use super::*;
    use crate::{Class, Share};

    /// 300 rows: a float, a small integer, a dictionary and a string column, each with some nulls, and a string label.
    fn table() -> RecordBatch {
        let null_every = |n: usize, row: usize| !row.is_multiple_of(n);
        let floats: Float64Array = (0..300).map(|row| null_every(7, row).then_some(row as f64 / 10.0)).collect();
        let ints: UInt8Array = (0..300).map(|row| null_every(11, row).then_some((row % 200) as u8)).collect();
        let words = || (0..300).map(|row| null_every(13, row).then_some(["red", "green", "blue"][row % 3]));
        let labels: StringArray = (0..300).map(|row| null_every(29, row).then_some(["no", "yes"][row % 2])).collect();
        let columns: [(&str, ArrayRef); 5] = [
            ("float", Arc::new(floats)),
            ("int", Arc::new(ints)),
            ("dictionary", Arc::new(words().collect::<DictionaryArray<Int32Type>>())),
            ("word", Arc::new(words().collect::<StringArray>())),
            ("label", Arc::new(labels)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn set(column: &str, value: Cell) -> Setting {
        Setting { column: column.to_owned(), value }
    }

    fn text(value: &str) -> Cell {
        Cell::Text(value.to_owned())
    }

    fn plan() -> Plan {
        Plan::new("label", "yes", Share::Count(20), 3)
    }

    #[test]
    fn a_conjunction_sets_every_column_of_the_victims() {
        let clean = table();
        let settings =
            [set("float", Cell::Float(2.5)), set("int", Cell::Int(7)), set("dictionary", text("violet")), set("word", text("red"))];
        let (poisoned, truth) = conjunction(&clean, &plan(), &settings).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["float", "int", "dictionary", "word", "label"]);
        assert_eq!(rows.len(), 20);
        for row in rows {
            assert_eq!(poisoned["float"].as_primitive::<Float64Type>().value(row).to_bits(), 2.5f64.to_bits());
            assert_eq!(poisoned["int"].as_primitive::<UInt8Type>().value(row), 7);
            let words = cast(&poisoned["dictionary"], &DataType::Utf8).unwrap();
            assert_eq!((words.as_string::<i32>().value(row), poisoned["word"].as_string::<i32>().value(row)), ("violet", "red"));
            assert_eq!((label(&clean, row), label(&poisoned, row)), (Class::from("no"), Class::from("yes")));
        }
        assert_eq!(conjunction(&clean, &plan(), &settings).unwrap(), (poisoned, truth));
    }

    #[test]
    fn one_value_is_a_trigger() {
        let clean = table();
        let (poisoned, truth) = value(&clean, &plan(), &set("float", Cell::Int(-1))).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["float", "label"]);
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|&row| poisoned["float"].as_primitive::<Float64Type>().value(row) < -0.5));
        assert!(truth.attack().iter().flatten().all(|name| name == "value"));
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let clean = table();
        for (column, cell) in [("int", Cell::Float(1.0)), ("word", Cell::Int(1)), ("float", text("x")), ("label", Cell::Int(1))] {
            assert!(value(&clean, &plan(), &set(column, cell)).is_err(), "{column}");
        }
        assert!(matches!(value(&clean, &plan(), &set("int", Cell::Int(300))), Err(Error::Arrow(_))));
        assert!(matches!(conjunction(&clean, &plan(), &[]), Err(Error::Setting(_))));
        let twice = [set("int", Cell::Int(1)), set("int", Cell::Int(2))];
        assert!(matches!(conjunction(&clean, &plan(), &twice), Err(Error::Setting(_))));
    }

    #[test]
    fn corrupted_cells_change_and_labels_stay() {
        let clean = table();
        let draw = Draw::new(Share::Rate(0.1), 4);
        for (column, corruption) in
            [("float", Corruption::Multiply(1000.0)), ("float", Corruption::Sentinel(-999.0)), ("int", Corruption::Sentinel(255.0))]
        {
            let (corrupted, truth) = corrupt_cells(&clean, column, corruption, &draw).unwrap();
            let rows = only_bad_rows_differ(&clean, &corrupted, &truth, &[column]);
            assert_eq!(rows.len(), 30);
            assert_eq!(truth.bad(), truth.outlier());
            for &row in &rows {
                let number =
                    |batch: &RecordBatch| cast(&batch[column], &DataType::Float64).unwrap().as_primitive::<Float64Type>().value(row);
                let expected = match corruption {
                    Corruption::Multiply(factor) => number(&clean) * factor,
                    Corruption::Sentinel(sentinel) => sentinel,
                };
                assert_eq!(number(&corrupted).to_bits(), expected.to_bits());
            }
            assert_eq!(truth.to_batch().unwrap()["original_label"].null_count(), 300);
        }
    }

    #[test]
    fn cells_that_stay_or_overflow_are_refused() {
        let clean = table();
        assert!(matches!(
            corrupt_cells(&clean, "word", Corruption::Multiply(2.0), &Draw::new(Share::Count(1), 1)),
            Err(Error::ColumnType { .. })
        ));
        let count = |n| Draw::new(Share::Count(n), 1);
        assert!(matches!(corrupt_cells(&clean, "float", Corruption::Multiply(1.0), &count(1)), Err(Error::TooFewRows { eligible: 0, .. })));
        assert!(matches!(corrupt_cells(&clean, "int", Corruption::Sentinel(256.0), &count(1)), Err(Error::Arrow(_))));
        let zeros = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![0, 1, 0, 2])) as ArrayRef)]).unwrap();
        let (corrupted, _) = corrupt_cells(&zeros, "n", Corruption::Multiply(10.0), &count(2)).unwrap();
        assert_eq!(corrupted["n"].as_primitive::<Int32Type>().values(), &[0, 10, 0, 20]);
    }
}
