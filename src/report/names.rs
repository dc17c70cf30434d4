//! Texts that come again and again, kept once.

use std::collections::HashMap;
use std::hash::Hash;

/// Distinct values in the order of their first coming.
#[derive(Debug)]
pub(super) struct Names<T> {
    values: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { values: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Eq + Hash + Clone> Names<T> {
    /// The place of a value.
    pub(super) fn place(&mut self, value: T) -> u32 {
        let next = self.values.len() as u32;
        *self.places.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            next
        })
    }

    /// All values, by place.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}
