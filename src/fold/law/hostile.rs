//! Ordinary rows of every role, and rows that an attacker, or bad luck, may send.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, StringArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use super::schema_with;
use crate::data::{Choices, Schema};

/// Encoded picture of one colour gradient.
fn png(seed: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([seed, (x * 31) as u8, (y * 31) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// 60 ordinary rows of every role: two numbers, a category, a text, a picture, an embedding, probabilities and a label.
pub(crate) fn healthy() -> RecordBatch {
    let rows = 0..60_i32;
    let numbers = |scale: f64| -> ArrayRef { Arc::new(rows.clone().map(|i| Some((f64::from(i) * scale).sin())).collect::<Float64Array>()) };
    let words = |f: &dyn Fn(i32) -> String| -> ArrayRef { Arc::new(rows.clone().map(|i| Some(f(i))).collect::<StringArray>()) };
    let vectors = |width: i32, f: &dyn Fn(i32, i32) -> f32| -> ArrayRef {
        let values: Float32Array = rows.clone().flat_map(|i| (0..width).map(move |j| (i, j))).map(|(i, j)| Some(f(i, j))).collect();
        Arc::new(FixedSizeListArray::new(Arc::new(Field::new("item", DataType::Float32, true)), width, Arc::new(values), None))
    };
    let pictures: Vec<Vec<u8>> = rows.clone().map(|i| png(i as u8)).collect();
    let pictures: BinaryArray = pictures.iter().map(|bytes| Some(bytes.as_slice())).collect();
    let columns: [(&str, ArrayRef); 8] = [
        ("x", numbers(1.7)),
        ("y", numbers(0.3)),
        ("kind", words(&|i| format!("kind{}", i % 4))),
        ("text", words(&|i| format!("row {i} says a few words of its own, the {}th time", i * i))),
        ("picture", Arc::new(pictures)),
        ("vector", vectors(4, &|i, j| (i as f32 * 0.7 + j as f32).cos())),
        ("probs", vectors(2, &|i, j| if i % 2 == j { 0.8 } else { 0.2 })),
        ("label", words(&|i| if i % 2 == 0 { "a".to_owned() } else { "b".to_owned() })),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// What a run knows of [`healthy`] rows and of all [`hostile`] ones.
pub(crate) fn healthy_schema() -> Arc<Schema> {
    let name = |name: &str| Some(name.to_owned());
    let choices = Choices {
        label: name("label"),
        text: vec!["text".to_owned()],
        image: name("picture"),
        embedding: name("vector"),
        probs: name("probs"),
        ..Choices::default()
    };
    schema_with(&healthy(), &choices)
}

/// A column of [`healthy`] with other values in it.
fn changed(changes: &[(&str, ArrayRef)]) -> RecordBatch {
    let rows = healthy();
    let column = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, column)| Arc::clone(column));
    let columns =
        rows.schema().fields().iter().zip(rows.columns()).map(|(f, c)| column(f.name()).unwrap_or_else(|| Arc::clone(c))).collect();
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// Rows that an attacker, or bad luck, may send, by name; all with the schema of [`healthy`].
pub(crate) fn hostile() -> Vec<(&'static str, RecordBatch)> {
    let rows = healthy();
    let count = rows.num_rows();
    let nulls = rows.columns().iter().map(|column| new_null_array(column.data_type(), count)).collect();
    let number = |values: &[f64]| -> ArrayRef { Arc::new((0..count).map(|i| Some(values[i % values.len()])).collect::<Float64Array>()) };
    let word = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; count])) };
    let vector = |value: f32| -> ArrayRef {
        let values = Float32Array::from(vec![value; 4 * count]);
        Arc::new(FixedSizeListArray::new(Arc::new(Field::new("item", DataType::Float32, true)), 4, Arc::new(values), None))
    };
    let broken: ArrayRef = Arc::new(BinaryArray::from(vec![b"\x89PNG\r\n\x1a\nnot a picture".as_slice(); count]));
    let tiny = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, -0.0];
    let long = "\u{202e}a\u{0301}\u{0}\u{1f600} ".repeat(5_000);
    vec![
        ("nulls", RecordBatch::try_new(rows.schema(), nulls).unwrap()),
        ("odd numbers", changed(&[("x", number(&tiny)), ("y", number(&[f64::NAN])), ("vector", vector(f32::NAN))])),
        ("huge numbers", changed(&[("x", number(&[f64::MAX, f64::MIN])), ("y", number(&[1e308])), ("vector", vector(f32::MAX))])),
        ("constants", changed(&[("x", number(&[1.0])), ("y", number(&[0.0])), ("kind", word("k")), ("vector", vector(0.0))])),
        ("empty strings", changed(&[("kind", word("")), ("text", word(""))])),
        ("long odd text", changed(&[("text", word(&long)), ("kind", word(&long))])),
        ("broken pictures", changed(&[("picture", broken)])),
        ("one class", changed(&[("label", word("a"))])),
        ("unknown class", changed(&[("label", word("never seen"))])),
        ("one row", rows.slice(0, 1)),
        ("the same row", {
            let indices = UInt32Array::from(vec![3; count]);
            let columns = rows.columns().iter().map(|c| take(c, &indices, None).unwrap()).collect();
            RecordBatch::try_new(rows.schema(), columns).unwrap()
        }),
        ("no rows", rows.slice(0, 0)),
    ]
}
