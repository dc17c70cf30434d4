//! Bottom-k sample: the items with the smallest keys.
//!
//! With keyed hashes as keys it is a uniform sample of the distinct items that does not depend on their order or on how
//! they were split, and merges exactly (Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches").

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

/// The `capacity` items with the smallest keys, each with how often it came. Equal keys are the same item.
///
/// Counts are exact: an item is refused only when `capacity` smaller keys are there, and those never leave again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored<T>", bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct BottomK<T> {
    capacity: usize,
    items: BTreeMap<u64, (u64, T)>,
    // Kept apart from the map so that a refusal, nearly every insertion into a long stream, is one comparison.
    #[serde(skip_serializing)]
    threshold: u64,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Stored<T> {
    capacity: usize,
    items: BTreeMap<u64, (u64, T)>,
}

impl<T> TryFrom<Stored<T>> for BottomK<T> {
    type Error = &'static str;

    fn try_from(Stored { capacity, items }: Stored<T>) -> Result<Self, Self::Error> {
        if items.len() > capacity {
            return Err("a bottom-k sample holds more items than its capacity");
        }
        let mut sample = Self { capacity, items, threshold: u64::MAX };
        sample.settle();
        Ok(sample)
    }
}

impl<T> BottomK<T> {
    /// An empty sample of at most `capacity` items; 0 keeps nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, items: BTreeMap::new(), threshold: u64::MAX }
    }

    /// Counts an item, or refuses it where enough smaller keys are there. Returns whether it is now in the sample.
    pub fn insert(&mut self, key: u64, item: T) -> bool {
        self.insert_with(key, || item)
    }

    /// As [`insert`](Self::insert), and builds the item only where it is new and kept.
    pub fn insert_with(&mut self, key: u64, item: impl FnOnce() -> T) -> bool {
        if key > self.threshold {
            return false;
        }
        match self.items.entry(key) {
            Entry::Occupied(mut entry) => {
                let (count, _) = entry.get_mut();
                *count = count.saturating_add(1);
                true
            }
            Entry::Vacant(entry) => {
                entry.insert((1, item()));
                self.settle();
                self.items.contains_key(&key)
            }
        }
    }

    /// Adds another sample: the result is the sample of both streams, exactly. Where the capacities differ the smaller
    /// one holds, because beyond it the smaller sample knows nothing.
    pub fn merge(&mut self, other: Self) {
        self.capacity = self.capacity.min(other.capacity);
        for (key, (count, item)) in other.items {
            match self.items.entry(key) {
                Entry::Occupied(mut entry) => {
                    let (total, _) = entry.get_mut();
                    *total = total.saturating_add(count);
                }
                Entry::Vacant(entry) => {
                    entry.insert((count, item));
                }
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.items.len() > self.capacity {
            self.items.pop_last();
        }
        let full = self.items.len() == self.capacity;
        self.threshold = self.items.last_key_value().filter(|_| full).map_or(u64::MAX, |(&key, _)| key);
    }

    /// The largest key that can still be in the sample: the largest kept key when the sample is full, else `u64::MAX`.
    #[must_use]
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// (key, count, item) in ascending key order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, &T)> {
        self.items.iter().map(|(&key, (count, item))| (key, *count, item))
    }

    /// The items in ascending key order.
    pub fn into_items(self) -> impl Iterator<Item = T> {
        self.items.into_values().map(|(_, item)| item)
    }

    /// How often the item with this key came, if it is in the sample.
    #[must_use]
    pub fn count(&self, key: u64) -> Option<u64> {
        self.items.get(&key).map(|&(count, _)| count)
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(capacity: usize, keys: &[u64]) -> BottomK<u64> {
        let mut sample = BottomK::new(capacity);
        for &key in keys {
            sample.insert(key, key * 2);
        }
        sample
    }

    fn merged(mut a: BottomK<u64>, b: &BottomK<u64>) -> BottomK<u64> {
        a.merge(b.clone());
        a
    }

    proptest! {
        #[test]
        fn equals_sorting_and_merges_exactly(
            capacity in 0_usize..12,
            a in prop::collection::vec(0_u64..40, 0..60),
            b in prop::collection::vec(0_u64..40, 0..60),
            c in prop::collection::vec(0_u64..40, 0..60),
        ) {
            let all: Vec<u64> = a.iter().chain(&b).chain(&c).copied().collect();
            let mut counts = BTreeMap::new();
            for key in &all {
                *counts.entry(*key).or_insert(0_u64) += 1;
            }
            let expected: Vec<(u64, u64)> = counts.into_iter().take(capacity).collect();
            let whole = sample(capacity, &all);
            prop_assert_eq!(whole.iter().map(|(key, count, _)| (key, count)).collect::<Vec<_>>(), expected.clone());
            prop_assert!(whole.iter().all(|(key, _, item)| *item == key * 2));
            let full = capacity > 0 && expected.len() == capacity;
            prop_assert_eq!(whole.threshold(), if full { expected[capacity - 1].0 } else { u64::MAX });

            let (a, b, c) = (sample(capacity, &a), sample(capacity, &b), sample(capacity, &c));
            prop_assert_eq!(&merged(merged(a.clone(), &b), &c), &whole);
            prop_assert_eq!(&merged(a.clone(), &merged(b.clone(), &c)), &whole);
            prop_assert_eq!(merged(b.clone(), &a), merged(a.clone(), &b));
            prop_assert_eq!(merged(a.clone(), &BottomK::new(capacity)), a);

            let bytes = postcard::to_stdvec(&whole).unwrap();
            prop_assert_eq!(postcard::from_bytes::<BottomK<u64>>(&bytes).unwrap(), whole);
        }

        #[test]
        fn the_smaller_capacity_holds(
            a in prop::collection::vec(0_u64..40, 0..60),
            b in prop::collection::vec(0_u64..40, 0..60),
        ) {
            let all: Vec<u64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(merged(sample(9, &a), &sample(4, &b)), sample(4, &all));
            prop_assert_eq!(merged(sample(4, &b), &sample(9, &a)), sample(4, &all));
        }
    }

    #[test]
    fn refusals_build_nothing() {
        let mut small = sample(2, &[5, 3]);
        assert!(!small.insert_with(6, || unreachable!()));
        assert!(small.insert_with(5, || unreachable!()));
        assert_eq!(small.count(5), Some(2));
        assert!(small.insert(1, 2));
        assert_eq!((small.count(5), small.len(), small.threshold()), (None, 2, 3));
        assert_eq!(small.into_items().collect::<Vec<_>>(), [2, 6]);
    }

    #[test]
    fn overfull_bytes_are_refused() {
        let bytes = postcard::to_stdvec(&(1_usize, BTreeMap::from([(1_u64, (1_u64, 0_u64)), (2, (1, 0))]))).unwrap();
        assert!(postcard::from_bytes::<BottomK<u64>>(&bytes).is_err());
    }
}
