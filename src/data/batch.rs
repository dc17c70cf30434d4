//! A block of rows with typed views, each made once however many units look at it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, LargeListArray, LargeStringArray, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, UInt8Type};
use arrow::record_batch::RecordBatch;
use ndarray::Array2;

use super::{Image, Role, Schema, answer};
use crate::error::{Error, Place, Result};

/// Texts are read up to this many bytes (cut at a character boundary); longer ones are counted in the report.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Hash domain of row content.
const CONTENT: u8 = 1;
/// Hash domain of a cell's value.
const CELL: u8 = 2;
/// Hash domain of row content together with the label.
const ROW: u8 = 3;

/// A block of consecutive rows. Views are made on first use and shared.
pub struct Batch {
    schema: Arc<Schema>,
    record: RecordBatch,
    first_row: u64,
    derived: RwLock<BTreeMap<&'static str, Arc<Array2<f32>>>>,
    labels: OnceLock<Vec<Option<u32>>>,
    numeric: OnceLock<Array2<f64>>,
    cells: OnceLock<Vec<Vec<Option<u64>>>>,
    texts: OnceLock<Vec<LargeStringArray>>,
    answers: OnceLock<Option<LargeStringArray>>,
    images: OnceLock<Vec<Option<Image>>>,
    content: OnceLock<Vec<u128>>,
    keys: OnceLock<Vec<u64>>,
}

impl Batch {
    /// Wraps rows that start at position `first_row` of the input.
    #[must_use]
    pub fn new(schema: Arc<Schema>, record: RecordBatch, first_row: u64) -> Self {
        Self {
            schema,
            record,
            first_row,
            derived: RwLock::default(),
            labels: OnceLock::new(),
            numeric: OnceLock::new(),
            cells: OnceLock::new(),
            texts: OnceLock::new(),
            answers: OnceLock::new(),
            images: OnceLock::new(),
            content: OnceLock::new(),
            keys: OnceLock::new(),
        }
    }

    /// What is known of the data.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The rows as they came.
    #[must_use]
    pub fn record(&self) -> &RecordBatch {
        &self.record
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.record.num_rows()
    }

    /// Position of the first row in the input.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// A derived column, if its unit has run.
    #[must_use]
    pub fn derived(&self, code: &str) -> Option<Arc<Array2<f32>>> {
        self.derived.read().unwrap_or_else(PoisonError::into_inner).get(code).cloned()
    }

    /// Adds a derived column, rows × width.
    pub fn derive(&self, code: &'static str, column: Array2<f32>) {
        self.derived.write().unwrap_or_else(PoisonError::into_inner).insert(code, Arc::new(column));
    }

    /// Estimate of the bytes that the block holds once all its views are made.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let made: usize = self
            .schema
            .columns
            .iter()
            .map(|column| match column.role {
                Role::Image => 4_096,
                Role::Numeric | Role::Categorical => 16,
                Role::Embedding | Role::Probabilities => 4 * column.width.unwrap_or(0),
                _ => 0,
            })
            .sum();
        // What the rows take themselves: they may be a slice of a table that is in memory anyhow.
        let views = |column: &ArrayRef| match column.data_type() {
            DataType::Utf8View => column.as_string_view().total_buffer_bytes_used(),
            DataType::BinaryView => column.as_binary_view().total_buffer_bytes_used(),
            _ => 0,
        };
        let held = |column: &ArrayRef| {
            let slice = column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
            slice + views(column)
        };
        self.record.columns().iter().map(held).sum::<usize>() + self.rows() * (made + 64 + 8 * self.schema.classes())
    }

    /// Class index of each row, of its answer where answers are the labels; `None` for a null, and for every row without a
    /// label column.
    #[must_use]
    pub fn labels(&self) -> &[Option<u32>] {
        self.labels.get_or_init(|| {
            let Some(label) = &self.schema.label else { return vec![None; self.rows()] };
            if let Some(classes) = label.answers() {
                return classes.classes_of(&self.schema.key, self.record.column(label.column), self.record.columns());
            }
            strings(self.record.column(label.column)).iter().map(|value| label.index_of(value?)).collect()
        })
    }

    /// The number that each row is to predict; `None` for null, NaN and infinity, and for every row without such a column.
    #[must_use]
    pub fn targets(&self) -> Vec<Option<f64>> {
        let Some(column) = self.schema.first(Role::Target) else { return vec![None; self.rows()] };
        doubles(self.record.column(column)).iter().map(|value| value.filter(|v| v.is_finite())).collect()
    }

    /// Numeric feature columns in schema order, rows × columns; NaN for null, NaN and infinity.
    #[must_use]
    pub fn numeric(&self) -> &Array2<f64> {
        self.numeric.get_or_init(|| {
            let columns = self.schema.with_role(Role::Numeric);
            let mut out = Array2::from_elem((self.rows(), columns.len()), f64::NAN);
            for (j, &column) in columns.iter().enumerate() {
                let values = doubles(self.record.column(column));
                for (row, value) in values.iter().enumerate() {
                    if let Some(value) = value.filter(|v| v.is_finite()) {
                        out[(row, j)] = value;
                    }
                }
            }
            out
        })
    }

    /// Keyed hash of each cell of the categorical feature columns, by column then row; `None` for null.
    #[must_use]
    pub fn cells(&self) -> &[Vec<Option<u64>>] {
        self.cells.get_or_init(|| {
            let key = &self.schema.key;
            let hash = |column: usize| {
                strings(self.record.column(column))
                    .iter()
                    .map(|value| {
                        let mut hasher = key.hasher(CELL);
                        hasher.write_u64(column as u64);
                        hasher.part(value?.as_bytes());
                        Some(hasher.finish64())
                    })
                    .collect()
            };
            self.schema.with_role(Role::Categorical).into_iter().map(hash).collect()
        })
    }

    /// Texts of the columns that [`Schema::text_columns`] names; chat messages are joined as `role: content` lines, or, where
    /// answers are the labels, those that are no answers as they are.
    #[must_use]
    pub fn texts(&self) -> &[LargeStringArray] {
        let view = |c: usize| match self.schema.columns[c].role {
            Role::Response => answer::prompts(self.record.column(c)),
            _ => texts(self.record.column(c)),
        };
        self.texts.get_or_init(|| self.schema.text_columns().into_iter().map(view).collect())
    }

    /// What makes a row's answer belong to its class, its kind and how it reads, where answers are the labels; `None` where it has none of its own.
    #[must_use]
    pub fn deciding_part(&self, row: usize) -> Option<(answer::Kind, String)> {
        let label = self.schema.label.as_ref()?;
        let classes = label.answers()?;
        let answer = answer::answers(&self.record.column(label.column).slice(row, 1));
        let answer = answer.iter().flatten().next().map(clip)?;
        classes.deciding(&self.schema.key, answer).map(|(_, part)| (part.kind, part.said.to_owned()))
    }

    /// A row's answer in an instruction set, cut to [`MAX_TEXT_BYTES`]; of a chat all answers as one text. `None` without one.
    #[must_use]
    pub fn answer(&self, row: usize) -> Option<&str> {
        let answers = || self.schema.first(Role::Response).map(|c| answer::answers(self.record.column(c)));
        let array = self.answers.get_or_init(answers).as_ref()?;
        array.is_valid(row).then(|| clip(array.value(row)))
    }

    /// One text cell, cut to [`MAX_TEXT_BYTES`]; `column` counts text columns.
    #[must_use]
    pub fn text(&self, column: usize, row: usize) -> Option<&str> {
        let array = self.texts().get(column)?;
        array.is_valid(row).then(|| clip(array.value(row)))
    }

    /// A row's texts, column by column; nulls are left out.
    pub fn row_texts(&self, row: usize) -> impl Iterator<Item = &str> {
        (0..self.texts().len()).filter_map(move |column| self.text(column, row))
    }

    /// Decoded pictures; `None` where there is none or it does not decode.
    #[must_use]
    pub fn images(&self) -> &[Option<Image>] {
        self.images.get_or_init(|| match self.schema.first(Role::Image) {
            None => vec![None; self.rows()],
            Some(column) => {
                let array = self.record.column(column);
                (0..self.rows()).map(|row| picture(array, row)).collect()
            }
        })
    }

    /// The embedding, rows × dimensions; all NaN for a null. `None` without an embedding column.
    pub fn embedding(&self) -> Result<Option<Array2<f32>>> {
        self.vectors(Role::Embedding)
    }

    /// Class probabilities, rows × classes; all NaN for a null. `None` without such a column.
    pub fn probabilities(&self) -> Result<Option<Array2<f32>>> {
        self.vectors(Role::Probabilities)
    }

    fn vectors(&self, role: Role) -> Result<Option<Array2<f32>>> {
        let Some(column) = self.schema.first(role) else { return Ok(None) };
        let info = &self.schema.columns[column];
        let array = self.record.column(column);
        let width = info.width.unwrap_or(0);
        let mut out = Array2::from_elem((self.rows(), width), f32::NAN);
        for row in 0..self.rows() {
            let Some(values) = list_values(array, row) else { continue };
            if values.len() != width {
                let place = Place::source("input").row(self.first_row + row as u64).column(info.name.as_str());
                return Err(Error::input(place, format!("a vector has {} values where the first had {width}", values.len()))
                    .with_help("Pad or drop the row, or leave the column out with --ignore."));
            }
            let values = floats(&values);
            for (slot, value) in out.row_mut(row).iter_mut().zip(values.iter()) {
                *slot = value.unwrap_or(f32::NAN);
            }
        }
        Ok(Some(out))
    }

    /// 128-bit keyed hash of each row's content: features, texts, picture and embedding, not label, id, source or time.
    /// Equal content has equal hashes whatever the encoding of its numbers, strings and pictures.
    #[must_use]
    pub fn content(&self) -> &[u128] {
        self.content.get_or_init(|| {
            let mut hashers: Vec<_> = (0..self.rows()).map(|_| self.schema.key.hasher(CONTENT)).collect();
            for row in 0..self.rows() {
                let hasher = &mut hashers[row];
                for value in self.numeric().row(row) {
                    hasher.write_u64(canonical(*value));
                }
                for column in self.cells() {
                    hasher.write_u64(column[row].unwrap_or(0));
                }
                for column in 0..self.texts().len() {
                    match self.texts()[column].is_valid(row).then(|| self.texts()[column].value(row)) {
                        Some(text) => hasher.part(text.as_bytes()),
                        None => hasher.write_u64(u64::MAX),
                    }
                }
            }
            if let Some(column) = self.schema.first(Role::Image) {
                let array = self.record.column(column);
                for (row, image) in self.images().iter().enumerate() {
                    match image {
                        Some(image) => {
                            hashers[row].write_u64(((image.width as u64) << 32) | image.height as u64);
                            hashers[row].part(&image.pixels);
                        }
                        None => hashers[row].part(&encoded_picture(array, row).unwrap_or_default()),
                    }
                }
            }
            // Class probabilities are no content, but all there is to tell rows apart where nothing else is given.
            let bare = !self.schema.columns.iter().any(|c| c.role.is_content());
            let vectors = self.schema.first(Role::Embedding).or_else(|| self.schema.first(Role::Probabilities).filter(|_| bare));
            if let Some(column) = vectors {
                let array = self.record.column(column);
                for (row, hasher) in hashers.iter_mut().enumerate() {
                    let Some(values) = list_values(array, row) else { continue };
                    for value in &doubles(&values) {
                        hasher.write_u64(canonical(value.unwrap_or(f64::NAN)));
                    }
                }
            }
            hashers.iter().map(super::key::Keyed::finish128).collect()
        })
    }

    /// The key of each row: a hash of content and label or target. Samples hold the rows with the smallest keys, so that they do
    /// not depend on order or partition; rows that are equal in content and label are one row to them.
    #[must_use]
    pub fn keys(&self) -> &[u64] {
        self.keys.get_or_init(|| {
            let targets = self.targets();
            let target = |row: usize| targets.get(row).copied().flatten().map_or(u64::MAX, canonical);
            let label = |row: usize| self.labels()[row].map_or_else(|| target(row), u64::from);
            self.content()
                .iter()
                .enumerate()
                .map(|(row, &hash)| self.schema.key.words(ROW, &[hash as u64, (hash >> 64) as u64, label(row)]))
                .collect()
        })
    }

    /// Position of a row in the whole input.
    #[must_use]
    pub fn row_position(&self, row: usize) -> u64 {
        self.first_row + row as u64
    }

    /// The value of a cell as a person reads it, cut to 200 characters.
    #[must_use]
    pub fn display(&self, column: usize, row: usize) -> String {
        let array = self.record.column(column).slice(row, 1);
        let text = strings(&array);
        if text.is_empty() || text.is_null(0) {
            return "null".to_owned();
        }
        let value = text.value(0);
        match value.char_indices().nth(200) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        }
    }

    /// A row's label for people: its cell, or the name of its class where answers are the labels; `None` without one.
    #[must_use]
    pub fn shown_label(&self, row: usize) -> Option<String> {
        let label = self.schema.label.as_ref()?;
        if label.answers().is_some() {
            return self.labels().get(row).copied().flatten().map(|class| self.schema.class_name(class).to_owned());
        }
        self.record.column(label.column).is_valid(row).then(|| self.display(label.column, row))
    }
}

/// Bits of a number such that equal values, and all NaN, have equal bits.
fn canonical(value: f64) -> u64 {
    if value.is_nan() {
        u64::MAX
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// A text cut to [`MAX_TEXT_BYTES`] at a character boundary.
pub(super) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// Any scalar column as strings; nulls where a value has no string form.
pub(crate) fn strings(array: &ArrayRef) -> LargeStringArray {
    if let DataType::LargeUtf8 = array.data_type() {
        return array.as_string::<i64>().clone();
    }
    match cast(array, &DataType::LargeUtf8) {
        Ok(cast) => cast.as_string::<i64>().clone(),
        Err(_) => LargeStringArray::new_null(array.len()),
    }
}

/// Any numeric, boolean or temporal column as numbers; nulls where a value has no numeric form.
pub(super) fn doubles(array: &ArrayRef) -> Float64Array {
    let direct = match array.data_type() {
        DataType::Float64 => return array.as_primitive::<Float64Type>().clone(),
        DataType::Date32 => cast(array, &DataType::Int32).and_then(|a| cast(&a, &DataType::Float64)),
        t if t.is_temporal() => cast(array, &DataType::Int64).and_then(|a| cast(&a, &DataType::Float64)),
        _ => cast(array, &DataType::Float64),
    };
    match direct {
        Ok(cast) => cast.as_primitive::<Float64Type>().clone(),
        Err(_) => Float64Array::new_null(array.len()),
    }
}

fn floats(array: &ArrayRef) -> Float32Array {
    match cast(array, &DataType::Float32) {
        Ok(cast) => cast.as_primitive::<Float32Type>().clone(),
        Err(_) => Float32Array::new_null(array.len()),
    }
}

/// The values of one cell of a list column; `None` for null or another type.
pub(super) fn list_values(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::FixedSizeList(..) => array.as_any().downcast_ref::<FixedSizeListArray>().map(|a| a.value(row)),
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => array.as_any().downcast_ref::<LargeListArray>().map(|a| a.value(row)),
        _ => None,
    }
}

/// Encoded bytes of an image cell: the `bytes` field of a struct, or a binary column.
pub(crate) fn encoded_picture(array: &ArrayRef, row: usize) -> Option<Vec<u8>> {
    if array.is_null(row) {
        return None;
    }
    let bytes = match array.data_type() {
        DataType::Struct(_) => array.as_any().downcast_ref::<StructArray>()?.column_by_name("bytes")?.clone(),
        _ => array.clone(),
    };
    if bytes.is_null(row) {
        return None;
    }
    match bytes.data_type() {
        DataType::Binary => Some(bytes.as_binary::<i32>().value(row).to_vec()),
        DataType::LargeBinary => Some(bytes.as_binary::<i64>().value(row).to_vec()),
        DataType::BinaryView => Some(bytes.as_binary_view().value(row).to_vec()),
        DataType::FixedSizeBinary(_) => Some(bytes.as_fixed_size_binary().value(row).to_vec()),
        _ => None,
    }
}

/// The picture of an image cell.
pub(crate) fn picture(array: &ArrayRef, row: usize) -> Option<Image> {
    if let Some(bytes) = encoded_picture(array, row) {
        return Image::decode(&bytes).ok();
    }
    let samples = list_values(array, row)?;
    if samples.null_count() > 0 {
        return None;
    }
    let samples = cast(&samples, &DataType::UInt8).ok()?;
    Image::from_raw(samples.as_primitive::<UInt8Type>().values())
}

/// A text column as strings: scalars as they are, chat messages joined.
pub(super) fn texts(array: &ArrayRef) -> LargeStringArray {
    if matches!(array.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) {
        return (0..array.len()).map(|row| list_values(array, row).map(|turns| conversation(&turns))).collect();
    }
    strings(array)
}

/// Chat messages as `role: content` lines; a list of strings as lines.
fn conversation(turns: &ArrayRef) -> String {
    let Some(parts) = turns.as_any().downcast_ref::<StructArray>() else {
        return strings(turns).iter().flatten().collect::<Vec<_>>().join("\n");
    };
    let field = |names: &[&str]| names.iter().find_map(|name| parts.column_by_name(name)).map(strings);
    let (role, content) = (field(&["role", "from"]), field(&["content", "value", "text"]));
    let cell = |array: &Option<LargeStringArray>, i: usize| {
        array.as_ref().filter(|a| a.is_valid(i)).map(|a| a.value(i).to_owned()).unwrap_or_default()
    };
    (0..parts.len()).map(|i| format!("{}: {}", cell(&role, i), cell(&content, i))).collect::<Vec<_>>().join("\n")
}
