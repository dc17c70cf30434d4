//! Other rows in the columns of the data: those of a trusted reference, or of a stream that a frozen scan judges.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::data::{Role, Schema};
use crate::error::{Error, Place, Result};

/// What to do about a column that does not fit.
const HELP: &str = "Give the column one type in both, or leave it out with --ignore.";

/// Where the columns of the data are in a table that has them by name, in any order, of types that fit. Columns that no detector
/// looks at may be missing and are null.
pub(super) struct Columns {
    /// What the table is, as in "the reference".
    what: &'static str,
    name: String,
    /// The data's columns, which may hold nulls here.
    pub(super) schema: SchemaRef,
    /// Columns of the table that are read, ascending.
    pub(super) read: Vec<usize>,
    /// For each column of the data its position among those.
    positions: Vec<Option<usize>>,
}

impl Columns {
    /// Finds the columns of the data in a table.
    pub(super) fn find(what: &'static str, name: String, theirs: &ArrowSchema, data: &Schema) -> Result<Self> {
        let mut positions = Vec::new();
        for (field, column) in data.arrow.fields().iter().zip(&data.columns) {
            let found = theirs.index_of(field.name()).ok();
            let place = || Place::source(name.as_str()).column(field.name().as_str());
            let looked_at =
                column.role.is_content() || matches!(column.role, Role::Label | Role::Probabilities | Role::Response | Role::Rejected);
            if let Some(at) = found.filter(|_| looked_at) {
                let (from, to) = (theirs.field(at).data_type(), field.data_type());
                if !comparable(from, to) {
                    return Err(Error::input(place(), format!("{what} holds {from} where the data holds {to}")).with_help(HELP));
                }
            } else if looked_at {
                let known: Vec<&str> = theirs.fields().iter().take(8).map(|field| field.name().as_str()).collect();
                return Err(Error::input(place(), format!("the data has this column and {what} does not"))
                    .with_help(format!("It must hold the columns of the data; it has: {}.", known.join(", "))));
            }
            positions.push(found.filter(|_| looked_at));
        }
        let mut read: Vec<usize> = positions.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let positions = positions.into_iter().map(|at| read.binary_search(&at?).ok()).collect();
        // Nulls are no reason to refuse rows, whatever the data declares.
        let fields: Vec<Field> = data.arrow.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(ArrowSchema::new_with_metadata(fields, data.arrow.metadata().clone()));
        Ok(Self { what, name, schema, read, positions })
    }

    /// The table's name, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A batch that holds the columns [`read`](Self::read) alone, in the columns of the data.
    pub(super) fn align(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let source = || Place::source(self.name.as_str());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.positions.len());
        for (field, position) in self.schema.fields().iter().zip(&self.positions) {
            let place = || source().column(field.name().as_str());
            columns.push(match position.and_then(|at| batch.columns().get(at)) {
                Some(column) => exactly(column, field.data_type())
                    .map_err(|why| Error::input(place(), format!("{} does not fit the data: {why}", self.what)).with_help(HELP))?,
                None => new_null_array(field.data_type(), batch.num_rows()),
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| Error::input(source(), e.to_string()))
    }
}

/// Casts a column; fails where a value would not stay what it is.
fn exactly(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(column, to, &strict).map_err(|e| e.to_string())?;
    if column.data_type().is_floating() && to.is_integer() {
        let back = cast_with_options(&cast, column.data_type(), &strict).map_err(|e| e.to_string())?;
        if back.as_ref() != column.as_ref() {
            return Err(format!("it holds fractions where the data holds {to}"));
        }
    }
    Ok(cast)
}

/// Whether values of one type can be compared with those of the other: numbers with numbers, text with text, lists of one
/// length with each other.
fn comparable(from: &DataType, to: &DataType) -> bool {
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = |t: &DataType| t.is_numeric() || matches!(t, DataType::Boolean);
    let bare = |t: &DataType| match t {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    let (a, b) = (bare(from), bare(to));
    if let (DataType::FixedSizeList(_, n), DataType::FixedSizeList(_, m)) = (&a, &b)
        && n != m
    {
        return false;
    }
    from == to
        || a.is_null()
        || (text(&a) && text(&b) || number(&a) && number(&b) || a == b || a.is_nested() && b.is_nested()) && can_cast_types(from, to)
}
