//! The trusted reference in the columns of the data.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::data::{Batches, File, Schema, Source};
use crate::error::{Error, Place, Result};

use super::align::Columns;

/// A reference whose batches have the columns of the data, by name, cast where types differ; columns that no detector looks
/// at may be missing and are null.
pub(super) struct Aligned<'a> {
    source: &'a dyn Source,
    /// What a run knows of the data, with columns that may hold nulls.
    pub(super) schema: Arc<Schema>,
    columns: Arc<Columns>,
}

impl<'a> Aligned<'a> {
    /// Finds the columns of the data in the reference.
    pub(super) fn new(source: &'a dyn Source, data: &Schema) -> Result<Self> {
        let name = source.files()?.first().map_or_else(|| "the reference".to_owned(), |file| file.name.clone());
        let columns = Columns::find("the reference", name, &source.schema(), data)?;
        let schema = Arc::new(Schema { arrow: Arc::clone(&columns.schema), ..data.clone() });
        Ok(Self { source, schema, columns: Arc::new(columns) })
    }
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
                Some(columns) => batch.project(columns).map_err(|e| Error::input(Place::source(shared.name()), e.to_string())),
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
