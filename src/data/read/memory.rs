//! Rows that are in memory already: for programs that call foretaste as a library.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use ndarray::{ArrayBase, Data, Ix1, Ix2};

use super::digest::{Digest, of_bytes};
use crate::data::{Batches, File, Source};
use crate::error::{Error, Place, Result};

/// A table in memory as a [`Source`].
pub struct Memory {
    batch: RecordBatch,
    file: File,
}

impl Memory {
    /// Wraps a table. `name` stands for it in the report; its digests are those of the table as an Arrow IPC stream.
    pub fn new(name: &str, batches: &[RecordBatch]) -> Result<Self> {
        let wrong = |e: arrow::error::ArrowError| Error::input(Place::source(name), e.to_string());
        let first = batches.first().ok_or_else(|| Error::input(Place::source(name), "holds no batch"))?;
        let batch = concat_batches(&first.schema(), batches).map_err(wrong)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(wrong)?;
        writer.write(&batch).map_err(wrong)?;
        let bytes = writer.into_inner().map_err(wrong)?;
        let Digest { bytes, blake3, sha256 } = of_bytes(&bytes);
        let rows = batch.num_rows() as u64;
        Ok(Self { batch, file: File { name: name.to_owned(), bytes, blake3, sha256, rows } })
    }

    /// Wraps a [`linfa::DatasetBase`] of numbers with class indices: its feature columns by their names, or `x0`, `x1`, …,
    /// and the targets as `label`.
    pub fn from_linfa<R, T>(name: &str, dataset: &linfa::DatasetBase<ArrayBase<R, Ix2>, ArrayBase<T, Ix1>>) -> Result<Self>
    where
        R: Data<Elem = f64>,
        T: Data<Elem = usize>,
    {
        let names = dataset.feature_names();
        let title = |j: usize| names.get(j).filter(|n| !n.is_empty()).cloned().unwrap_or_else(|| format!("x{j}"));
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for (j, column) in dataset.records.columns().into_iter().enumerate() {
            columns.push((title(j), Arc::new(column.iter().copied().collect::<Float64Array>())));
        }
        let labels: UInt64Array = dataset.targets.iter().map(|label| Some(*label as u64)).collect();
        columns.push(("label".to_owned(), Arc::new(labels)));
        let batch = RecordBatch::try_from_iter(columns).map_err(|e| Error::input(Place::source(name), e.to_string()))?;
        Self::new(name, &[batch])
    }
}

impl Source for Memory {
    fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    fn scan(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let batch = match columns {
            None => self.batch.clone(),
            Some(columns) => {
                self.batch.project(columns).map_err(|e| Error::input(Place::source(self.file.name.as_str()), e.to_string()))?
            }
        };
        Ok(Box::new(std::iter::once(Ok(batch))))
    }

    fn files(&self) -> Result<Vec<File>> {
        Ok(vec![self.file.clone()])
    }

    fn rows_hint(&self) -> Option<u64> {
        Some(self.file.rows)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_linfa_dataset_becomes_columns_and_labels() {
        let dataset = linfa::DatasetBase::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], array![0_usize, 1, 1]);
        let source = Memory::from_linfa("points", &dataset).unwrap();
        assert_eq!(source.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["x0", "x1", "label"]);
        let batches: Vec<RecordBatch> = source.scan(Some(&[1, 2])).unwrap().map(Result::unwrap).collect();
        assert_eq!((batches[0].num_rows(), batches[0].num_columns()), (3, 2));
        let file = &source.files().unwrap()[0];
        assert_eq!((file.name.as_str(), file.rows, file.blake3.len(), file.sha256.len()), ("points", 3, 64, 64));
    }

    #[test]
    fn no_batch_is_an_error() {
        assert!(Memory::new("nothing", &[]).is_err());
    }
}
