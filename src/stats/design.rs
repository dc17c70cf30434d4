//! Data rows of a linear model: dense columns followed by sparse ones.

use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::error::{Error, Result};

fn wrong(reason: impl Into<String>) -> Error {
    Error::Detector { code: "design", reason: reason.into() }
}

/// Sparse rows: per row the columns that are not zero, strictly ascending, with their values.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    offsets: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl Csr {
    /// No rows yet, `width` columns.
    #[must_use]
    pub fn empty(width: usize) -> Self {
        Self { offsets: vec![0], indices: Vec::new(), values: Vec::new(), width }
    }

    /// Compressed sparse rows: row `i` holds `indices[offsets[i]..offsets[i + 1]]`. Fails unless the offsets start at 0,
    /// never fall and end at the number of entries, and every row's indices ascend strictly and stay below `width`.
    pub fn new(offsets: Vec<usize>, indices: Vec<u32>, values: Vec<f32>, width: usize) -> Result<Self> {
        if indices.len() != values.len() || offsets.first() != Some(&0) || offsets.last() != Some(&indices.len()) {
            return Err(wrong("offsets, indices and values of the sparse rows do not fit together"));
        }
        for pair in offsets.windows(2) {
            let row = indices.get(pair[0]..pair[1]).ok_or_else(|| wrong("offsets of the sparse rows fall"))?;
            if row.windows(2).any(|two| two[0] >= two[1]) || row.last().is_some_and(|&last| last as usize >= width) {
                return Err(wrong("columns of a sparse row do not ascend or exceed the width"));
            }
        }
        Ok(Self { offsets, indices, values, width })
    }

    /// Appends a row from (column, value) pairs in any order; values of the same column add up, as in feature hashing.
    /// Fails, and appends nothing, where a column is not below the width.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) -> Result<()> {
        let mut entries: Vec<(u32, f32)> = entries.into_iter().collect();
        // Stable: equal columns add up in the order given, so that the sum has the same bits every time.
        entries.sort_by_key(|&(column, _)| column);
        if entries.last().is_some_and(|&(column, _)| column as usize >= self.width) {
            return Err(wrong("a column of a sparse row exceeds the width"));
        }
        let start = self.indices.len();
        for (column, value) in entries {
            if self.indices.len() > start
                && self.indices.last() == Some(&column)
                && let Some(last) = self.values.last_mut()
            {
                *last += value;
            } else {
                self.indices.push(column);
                self.values.push(value);
            }
        }
        self.offsets.push(self.indices.len());
        Ok(())
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Entries of a row in ascending column order; none where there is no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> + Clone + '_ {
        let range = match self.offsets.get(row..).unwrap_or_default() {
            [from, to, ..] => *from..*to,
            _ => 0..0,
        };
        self.indices[range.clone()].iter().zip(&self.values[range]).map(|(&column, &value)| (column as usize, value))
    }

    /// Entries by column: rows ascending, with their values.
    #[must_use]
    pub fn columns(&self) -> Vec<Vec<(u32, f32)>> {
        let mut columns = vec![Vec::new(); self.width];
        for row in 0..self.rows() {
            for (column, value) in self.row(row) {
                columns[column].push((row as u32, value));
            }
        }
        columns
    }
}

/// Rows × D: D1 dense columns (perhaps none) followed by D2 sparse ones (perhaps none).
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    dense: Array2<f32>,
    sparse: Csr,
}

impl Design {
    /// Both parts of the same rows. Fails where their numbers of rows differ.
    pub fn new(dense: Array2<f32>, sparse: Csr) -> Result<Self> {
        if dense.nrows() != sparse.rows() {
            return Err(wrong(format!("{} dense rows but {} sparse rows", dense.nrows(), sparse.rows())));
        }
        Ok(Self { dense, sparse })
    }

    /// Dense rows.
    #[must_use]
    pub fn dense(dense: Array2<f32>) -> Self {
        let offsets = vec![0; dense.nrows() + 1];
        Self { dense, sparse: Csr { offsets, indices: Vec::new(), values: Vec::new(), width: 0 } }
    }

    /// Sparse rows.
    #[must_use]
    pub fn sparse(sparse: Csr) -> Self {
        Self { dense: Array2::zeros((sparse.rows(), 0)), sparse }
    }

    /// These rows below each other. Fails where their columns differ.
    pub fn stacked(parts: &[Self]) -> Result<Self> {
        let dense: Vec<ArrayView2<'_, f32>> = parts.iter().map(Self::dense_part).collect();
        let dense = concatenate(Axis(0), &dense).map_err(|e| wrong(e.to_string()))?;
        let mut sparse = Csr::empty(parts.first().map_or(0, |part| part.sparse.width));
        for part in parts.iter().map(|part| &part.sparse) {
            if part.width != sparse.width {
                return Err(wrong(format!("rows of {} sparse columns below rows of {}", part.width, sparse.width)));
            }
            let before = sparse.indices.len();
            sparse.indices.extend_from_slice(&part.indices);
            sparse.values.extend_from_slice(&part.values);
            sparse.offsets.extend(part.offsets.iter().skip(1).map(|offset| before + offset));
        }
        Self::new(dense, sparse)
    }

    /// The rows at these positions, in this order. Fails where there is no such row.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if rows.iter().any(|&row| row >= self.rows()) {
            return Err(wrong("a row to be selected does not exist"));
        }
        let mut sparse = Csr::empty(self.sparse.width);
        for &row in rows {
            for (column, value) in self.sparse.row(row) {
                sparse.indices.push(column as u32);
                sparse.values.push(value);
            }
            sparse.offsets.push(sparse.indices.len());
        }
        Ok(Self { dense: self.dense.select(Axis(0), rows), sparse })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.dense.nrows()
    }

    /// Number of columns, D.
    #[must_use]
    pub fn width(&self) -> usize {
        self.dense.ncols() + self.sparse.width
    }

    /// The dense part, rows × D1.
    #[must_use]
    pub fn dense_part(&self) -> ArrayView2<'_, f32> {
        self.dense.view()
    }

    /// The sparse part, rows × D2.
    #[must_use]
    pub fn sparse_part(&self) -> &Csr {
        &self.sparse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_columns_add_up() {
        let mut csr = Csr::empty(4);
        csr.push([(3, 1.0), (0, 2.0), (3, 0.5)]).unwrap();
        csr.push([]).unwrap();
        assert_eq!(csr.row(0).collect::<Vec<_>>(), [(0, 2.0), (3, 1.5)]);
        assert_eq!((csr.row(1).count(), csr.row(2).count(), csr.rows()), (0, 0, 2));
        assert!(csr.push([(4, 1.0)]).is_err());
        assert_eq!(csr.rows(), 2);
    }

    #[test]
    fn crooked_rows_are_refused() {
        assert!(Csr::new(vec![0, 2], vec![0, 1], vec![1.0, 1.0], 2).is_ok());
        assert!(Csr::new(vec![], vec![], vec![], 2).is_err());
        assert!(Csr::new(vec![0, 2], vec![1, 1], vec![1.0, 1.0], 2).is_err());
        assert!(Csr::new(vec![0, 2], vec![0, 2], vec![1.0, 1.0], 2).is_err());
        assert!(Csr::new(vec![0, 3, 2], vec![0, 1], vec![1.0, 1.0], 2).is_err());
        assert!(Csr::new(vec![0, 1], vec![0, 1], vec![1.0, 1.0], 2).is_err());
        assert!(Design::new(Array2::zeros((2, 1)), Csr::empty(3)).is_err());
    }

    #[test]
    fn selects_rows_of_both_parts() {
        let sparse = Csr::new(vec![0, 1, 1, 2], vec![0, 1], vec![5.0, 7.0], 2).unwrap();
        let dense = Array2::from_shape_fn((3, 1), |(i, _)| i as f32);
        let chosen = Design::new(dense, sparse).unwrap().select(&[2, 0]).unwrap();
        assert_eq!(chosen.dense_part(), ndarray::arr2(&[[2.0], [0.0]]));
        assert_eq!(chosen.sparse_part(), &Csr::new(vec![0, 1, 2], vec![1, 0], vec![7.0, 5.0], 2).unwrap());
        assert!(chosen.select(&[2]).is_err());
        let parts = [chosen.select(&[0]).unwrap(), chosen.select(&[1]).unwrap()];
        assert_eq!(Design::stacked(&parts).unwrap(), chosen);
        assert!(Design::stacked(&[chosen, Design::dense(Array2::zeros((1, 1)))]).is_err());
    }
}
