//! Where rows lie among the labelled rows of the sample, by what they hold; labels are not looked at.

use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::data::Batch;
use crate::derive::{SampleRow, Vectors, raw};
use crate::error::{Error, Result};
use crate::fold::{Atlas, Located};
use crate::stats::design::Csr;
use crate::stats::projection::Projection;

use super::features::Features;
use super::near::Near;
use super::{CODE, Fitted};

/// Most rows that may be found, and that the map shows.
const MOST_ROWS: usize = 8_192;
const GROUND: usize = 2_048;
/// Rows that the map's directions are fitted to.
const FITTED_ON: usize = 1_024;
/// Fewest rows worth a map.
const LEAST_ROWS: usize = 100;
/// Seeds where the search for the map's directions starts; they are the same from anywhere.
const START: u64 = 1;

/// How alike rows are.
enum Space {
    /// Distances between dense rows.
    Dense(Near),
    /// Angles between rows of levels, words and ranges of numbers.
    Sparse(Items),
}

/// Sparse rows, by row and by column.
struct Items {
    rows: Csr,
    columns: Vec<Vec<(u32, f32)>>,
}

/// The map.
pub(super) struct ContentAtlas {
    features: Features,
    space: Space,
    /// Keys of the rows that may be found, ascending.
    keys: Vec<u64>,
    labels: Vec<u32>,
    /// The two directions in which rows differ most.
    map: Projection,
}

impl ContentAtlas {
    /// The map of a fitted model; `None` where there are too few rows, or the model was fitted elsewhere.
    pub(super) fn of(fitted: &Fitted) -> Result<Option<Self>> {
        let held = &fitted.held;
        let (space, keys) = if let Some(near) = fitted.panel.near() {
            (Space::Dense(near.clone()), near.keys(held))
        } else {
            let Some((design, _)) = &fitted.design else { return Ok(None) };
            let labelled: Vec<usize> = held.with_label().take(MOST_ROWS).collect();
            let rows = design.select(&labelled)?.sparse_part().clone();
            let keys = labelled.iter().map(|&i| held.keys[i]).collect();
            (Space::Sparse(Items { columns: rows.columns(), rows }), keys)
        };
        let labels = held.labels.iter().flatten().copied().take(keys.len()).collect();
        if keys.len() < LEAST_ROWS || matches!(&space, Space::Sparse(items) if items.rows.width() == 0) {
            return Ok(None);
        }
        let map = Projection::fit(space.first(FITTED_ON).view(), 2, START);
        Ok(Some(Self { features: fitted.features.clone(), space, keys, labels, map }))
    }

    /// Places of rows from where they lie in the space, rows × dimensions.
    fn on_the_map(&self, rows: ArrayView2<'_, f32>) -> Result<Vec<[f32; 2]>> {
        let mapped = self.map.map(rows)?;
        let at = |row: usize, axis: usize| mapped.get((row, axis)).copied().unwrap_or(0.0);
        Ok((0..mapped.nrows()).map(|row| [at(row, 0), at(row, 1)]).collect())
    }
}

impl Space {
    /// The first rows, rows × dimensions.
    fn first(&self, most: usize) -> Array2<f32> {
        match self {
            Self::Dense(near) => {
                let rows = near.reference().rows();
                rows.slice_axis(Axis(0), Slice::from(..most.min(rows.nrows()))).to_owned()
            }
            Self::Sparse(items) => dense(&items.rows, most),
        }
    }
}

/// The first of some sparse rows, with their zeros.
fn dense(rows: &Csr, most: usize) -> Array2<f32> {
    let mut out = Array2::zeros((most.min(rows.rows()), rows.width()));
    for (row, mut slot) in out.outer_iter_mut().enumerate() {
        for (column, value) in rows.row(row) {
            slot[column] = value;
        }
    }
    out
}

impl Items {
    /// The rows with the largest products with a row, the largest first, of equals the earlier; not those that share nothing with it.
    fn nearest(&self, row: impl Iterator<Item = (usize, f32)>, own: Option<usize>, most: usize) -> Vec<u32> {
        let mut products = vec![0.0f32; self.rows.rows()];
        for (column, value) in row {
            for (other, with) in self.columns.get(column).into_iter().flatten() {
                products[*other as usize] += value * with;
            }
        }
        let mut found: Vec<(f32, u32)> = (0u32..).zip(products).filter(|(_, product)| *product > 0.0).map(|(at, p)| (p, at)).collect();
        found.retain(|(_, at)| own != Some(*at as usize));
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(most);
        found.into_iter().map(|(_, at)| at).collect()
    }
}

impl Atlas for ContentAtlas {
    fn locate(&self, rows: &Batch, nearest: usize) -> Result<Vec<Located>> {
        let vectors = Vectors::of(rows)?;
        let raws: Vec<SampleRow> = (0..rows.rows()).map(|row| raw(rows, row, &vectors)).collect();
        let own: Vec<Option<usize>> = rows.keys().iter().map(|key| self.keys.binary_search(key).ok()).collect();
        let (places, found) = match &self.space {
            Space::Dense(near) => {
                let places = near.places(&self.features, &raws)?;
                let found = near.reference().nearest(places.view(), &own, nearest)?;
                (places, found)
            }
            Space::Sparse(items) => {
                let design = self.features.map(&raws)?;
                let sparse = design.sparse_part();
                let found = own.iter().enumerate().map(|(row, own)| items.nearest(sparse.row(row), *own, nearest));
                (dense(sparse, usize::MAX), found.collect())
            }
        };
        let places = self.on_the_map(places.view())?;
        if places.len() != found.len() {
            return Err(Error::Detector { code: CODE, reason: "could not place every row".to_owned() });
        }
        let keys = |found: Vec<u32>| found.into_iter().filter_map(|at| self.keys.get(at as usize).copied()).collect();
        Ok(places.into_iter().zip(found).map(|(place, found)| Located { place, nearest: keys(found) }).collect())
    }

    fn ground(&self) -> Result<Vec<([f32; 2], Option<u32>)>> {
        let places = self.on_the_map(self.space.first(GROUND).view())?;
        Ok(places.into_iter().zip(&self.labels).map(|(place, label)| (place, Some(*label))).collect())
    }
}
