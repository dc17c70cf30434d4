//! Where rows lie among each other: asked for listed rows alone, for people who look at them. Nothing is decided by it.

use crate::data::Batch;
use crate::error::Result;

/// Where one row lies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Located {
    /// Its place on the map; the scale is the map's own.
    pub place: [f32; 2],
    /// Keys ([`Batch::keys`]) of the rows that it is most like, the most alike first, none of them its own.
    pub nearest: Vec<u64>,
}

/// A map of some rows, on which others can be placed.
pub trait Atlas: Send + Sync {
    /// Where the rows of a block lie, each with at most so many of its nearest.
    fn locate(&self, rows: &Batch, nearest: usize) -> Result<Vec<Located>>;

    /// The rows that the map was drawn from, or an even part of them: place, and class where they have one.
    fn ground(&self) -> Result<Vec<([f32; 2], Option<u32>)>>;
}
