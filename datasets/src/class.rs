//! Values of a label column.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::column::{find, put_back, wrong_type};
use crate::{Error, Result};

/// One value of a label column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A value of an int64 column.
    Int(i64),
    /// A value of a string column.
    Text(String),
}

impl Class {
    /// Reads a class as the label column's type asks: `"0"` is a number for an int64 column and text for a string one.
    pub fn read(text: &str, batch: &RecordBatch, label: &str) -> Result<Self> {
        let (_, column) = find(batch, label)?;
        match column.data_type() {
            DataType::Int64 => {
                text.parse().map(Self::Int).map_err(|_| Error::Setting(format!("class '{text}' is no integer, but column '{label}' is")))
            }
            _ => Ok(Self::Text(text.to_owned())),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl From<i64> for Class {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Class {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A label column, read.
pub(crate) struct Labels<'a> {
    pub(crate) index: usize,
    pub(crate) column: &'a ArrayRef,
    pub(crate) classes: Vec<Option<Class>>,
    name: String,
}

impl<'a> Labels<'a> {
    pub(crate) fn open(batch: &'a RecordBatch, name: &str) -> Result<Self> {
        let (index, column) = find(batch, name)?;
        let text = |value: Option<&str>| value.map(Class::from);
        let classes = match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|value| value.map(Class::Int)).collect(),
            DataType::Utf8 => column.as_string::<i32>().iter().map(text).collect(),
            DataType::LargeUtf8 => column.as_string::<i64>().iter().map(text).collect(),
            _ => return Err(wrong_type(name, "int64 or string labels", column)),
        };
        Ok(Self { index, column, classes, name: name.to_owned() })
    }

    /// The classes that occur, ascending.
    pub(crate) fn distinct(&self) -> Vec<&Class> {
        self.classes.iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The column with new classes in some rows.
    pub(crate) fn relabelled(&self, rows: &[usize], to: &[Class]) -> Result<ArrayRef> {
        let mismatch = || Error::ColumnType {
            column: self.name.clone(),
            expected: "a target class of the label's own type",
            found: self.column.data_type().to_string(),
        };
        let ints = || to.iter().map(|class| if let Class::Int(value) = class { Ok(*value) } else { Err(mismatch()) });
        let texts = || to.iter().map(|class| if let Class::Text(value) = class { Ok(value.as_str()) } else { Err(mismatch()) });
        let new: ArrayRef = match self.column.data_type() {
            DataType::Int64 => Arc::new(Int64Array::from(ints().collect::<Result<Vec<_>>>()?)),
            DataType::Utf8 => Arc::new(StringArray::from(texts().collect::<Result<Vec<_>>>()?)),
            _ => Arc::new(LargeStringArray::from(texts().collect::<Result<Vec<_>>>()?)),
        };
        put_back(self.column, rows, &new)
    }
}
