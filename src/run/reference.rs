//! The trusted reference in the columns of the data.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::data::{Batches, File, Role, Schema, Source};
use crate::error::{Error, Place, Result};

/// A reference whose batches have the columns of the data, by name, cast where types differ; columns that no detector looks
/// at may be missing and are null.
pub(super) struct Aligned<'a> {
    source: &'a dyn Source,
    /// What a run knows of the data, with columns that may hold nulls.
    pub(super) schema: Arc<Schema>,
    columns: Arc<Columns>,
}

/// Where the columns of the data are in the reference.
struct Columns {
    name: String,
    schema: SchemaRef,
    /// Columns of the reference that are read, ascending.
    read: Vec<usize>,
    /// For each column of the data its position among those.
    positions: Vec<Option<usize>>,
}

impl<'a> Aligned<'a> {
    /// Finds the columns of the data in the reference.
    pub(super) fn new(source: &'a dyn Source, data: &Schema) -> Result<Self> {
        let name = source.files()?.first().map_or_else(|| "the reference".to_owned(), |file| file.name.clone());
        let theirs = source.schema();
        let mut positions = Vec::new();
        for (field, column) in data.arrow.fields().iter().zip(&data.columns) {
            let found = theirs.index_of(field.name()).ok();
            let place = || Place::source(name.as_str()).column(field.name().as_str());
            let looked_at = column.role.is_content() || matches!(column.role, Role::Label | Role::Probabilities);
            if let Some(at) = found.filter(|_| looked_at) {
                let (from, to) = (theirs.field(at).data_type(), field.data_type());
                if !comparable(from, to) {
                    return Err(Error::input(place(), format!("the reference holds {from} where the data holds {to}"))
                        .with_help("Give the column one type in both, or leave it out with --ignore."));
                }
            } else if looked_at {
                let known: Vec<&str> = theirs.fields().iter().take(8).map(|field| field.name().as_str()).collect();
                return Err(Error::input(place(), "the data has this column and the reference does not")
                    .with_help(format!("The reference must hold the columns of the data; it has: {}.", known.join(", "))));
            }
            positions.push(found.filter(|_| looked_at));
        }
        let mut read: Vec<usize> = positions.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let positions = positions.into_iter().map(|at| read.binary_search(&at?).ok()).collect();
        // Nulls are no reason to refuse a reference, whatever the data declares.
        let fields: Vec<Field> = data.arrow.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let arrow = Arc::new(arrow::datatypes::Schema::new_with_metadata(fields, data.arrow.metadata().clone()));
        let schema = Arc::new(Schema { arrow: Arc::clone(&arrow), ..data.clone() });
        Ok(Self { source, schema, columns: Arc::new(Columns { name, schema: arrow, read, positions }) })
    }
}

impl Columns {
    fn align(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let source = || Place::source(self.name.as_str());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.positions.len());
        for (field, position) in self.schema.fields().iter().zip(&self.positions) {
            let place = || source().column(field.name().as_str());
            columns.push(match position.and_then(|at| batch.columns().get(at)) {
                Some(column) => exactly(column, field.data_type()).map_err(|why| {
                    Error::input(place(), format!("the reference does not fit the data: {why}"))
                        .with_help("Give the column one type in both, or leave it out with --ignore.")
                })?,
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

impl Source for Aligned<'_> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let (shared, chosen) = (Arc::clone(&self.columns), columns.map(<[usize]>::to_vec));
        Ok(Box::new(self.source.scan(Some(&self.columns.read))?.map(move |batch| {
            let batch = shared.align(&batch?)?;
            match &chosen {
                Some(columns) => batch.project(columns).map_err(|e| Error::input(Place::source(shared.name.as_str()), e.to_string())),
                None => Ok(batch),
            }
        })))
    }

    fn files(&self) -> Result<Vec<File>> {
        self.source.files()
    }

    fn rows_hint(&self) -> Option<u64> {
        self.source.rows_hint()
    }
}
