//! Counts of hashed items in fixed memory: a count-min sketch and a filter for items that come at least twice.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most cells that a sketch may have, so that bytes from elsewhere cannot ask for more memory.
const MAX_CELLS: usize = 1 << 26;

/// Largest filter: 2³⁰ cells in 256 MB.
const MAX_FILTER_BITS: u32 = 30;

/// Rows of a sketch where nothing else is asked for.
pub const DEPTH: usize = 2;

/// Count-min sketch (Cormode and Muthukrishnan 2005): `depth` rows of `2^bits` saturating counters. An estimate is never
/// below the true count (up to saturation). Items come as 64-bit keyed hashes, so that nobody can aim at a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Counter {
    bits: u32,
    depth: usize,
    #[serde(serialize_with = "write_runs")]
    cells: Vec<u32>,
}

#[derive(Deserialize)]
struct Stored {
    bits: u32,
    depth: usize,
    #[serde(deserialize_with = "read_runs")]
    cells: Vec<u32>,
}

impl TryFrom<Stored> for Counter {
    type Error = &'static str;

    fn try_from(Stored { bits, depth, cells }: Stored) -> Result<Self, Self::Error> {
        let expected = 1_usize.checked_shl(bits).and_then(|width| width.checked_mul(depth));
        if depth == 0 || expected != Some(cells.len()) {
            return Err("a counter has the wrong number of cells");
        }
        Ok(Self { bits, depth, cells })
    }
}

/// Cells with every run of zeros as a zero and the run's length: most cells of a large sketch are empty.
fn write_runs<S: Serializer>(cells: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut runs: Vec<u32> = Vec::new();
    for part in cells.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        match part {
            [0, ..] => runs.extend([0, part.len() as u32]),
            _ => runs.extend(part),
        }
    }
    runs.serialize(serializer)
}

fn read_runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let mut runs = Vec::<u32>::deserialize(deserializer)?.into_iter();
    let mut cells = Vec::new();
    while let Some(value) = runs.next() {
        let length = if value == 0 { runs.next().unwrap_or_default() as usize } else { 1 };
        if length > MAX_CELLS - cells.len() {
            return Err(serde::de::Error::custom("a counter has too many cells"));
        }
        cells.resize(cells.len() + length, value);
    }
    Ok(cells)
}

impl Counter {
    /// An empty sketch of `depth` rows (at least 1) of `2^bits` cells each, 4 bytes per cell. `bits` is lowered until
    /// the sketch has at most 2²⁶ cells.
    #[must_use]
    pub fn new(bits: u32, depth: usize) -> Self {
        let depth = depth.clamp(1, MAX_CELLS);
        let bits = bits.min((MAX_CELLS / depth).ilog2());
        Self { bits, depth, cells: vec![0; depth << bits] }
    }

    /// A sketch of the same shape with nothing in it.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self::new(self.bits, self.depth)
    }

    /// Position of a hash's cell in every row. Double hashing (Kirsch and Mitzenmacher 2006): row 0 takes the low bits.
    fn positions(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let (bits, depth) = (self.bits, self.depth);
        let mask = (1_u64 << bits) - 1;
        let step = (hash >> 32) | 1;
        (0..depth).map(move |row| (row << bits) + (hash.wrapping_add(step.wrapping_mul(row as u64)) & mask) as usize)
    }

    /// Counts an item `count` times.
    pub fn add(&mut self, hash: u64, count: u32) {
        for position in self.positions(hash) {
            if let Some(cell) = self.cells.get_mut(position) {
                *cell = cell.saturating_add(count);
            }
        }
    }

    /// Adds another sketch; exact. Returns false, and changes nothing, where the shapes differ.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if (self.bits, self.depth) != (other.bits, other.depth) {
            return false;
        }
        for (cell, count) in self.cells.iter_mut().zip(&other.cells) {
            *cell = cell.saturating_add(*count);
        }
        true
    }

    /// At least how often the item came, and more where it shares its cell in every row.
    #[must_use]
    pub fn estimate(&self, hash: u64) -> u32 {
        self.positions(hash).filter_map(|position| self.cells.get(position)).copied().min().unwrap_or_default()
    }

    /// The cells, row after row.
    #[must_use]
    pub fn cells(&self) -> &[u32] {
        &self.cells
    }

    /// The smallest support, at least `at_least`, that at most `cap` cells of the first row reach: whatever has it can
    /// be listed in memory proportional to `cap`. `u32::MAX` where even that many cells are saturated.
    #[must_use]
    pub fn floor(&self, cap: usize, at_least: u32) -> u32 {
        let first = self.cells.iter().take(1 << self.bits);
        let mut reaching: Vec<u32> = first.copied().filter(|&count| count >= at_least).collect();
        if reaching.len() <= cap {
            return at_least;
        }
        let (_, &mut beyond, _) = reaching.select_nth_unstable_by(cap, |a, b| b.cmp(a));
        beyond.saturating_add(1)
    }
}

/// Which items may have come more than once, in 2 bits per cell; `2^bits` cells. No item that did is missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredTwice")]
pub struct SeenTwice {
    bits: u32,
    once: Vec<u64>,
    twice: Vec<u64>,
}

#[derive(Deserialize)]
struct StoredTwice {
    bits: u32,
    once: Vec<u64>,
    twice: Vec<u64>,
}

impl TryFrom<StoredTwice> for SeenTwice {
    type Error = &'static str;

    fn try_from(StoredTwice { bits, once, twice }: StoredTwice) -> Result<Self, Self::Error> {
        let words = bits.checked_sub(6).and_then(|bits| 1_usize.checked_shl(bits));
        if words != Some(once.len()) || once.len() != twice.len() {
            return Err("a filter has the wrong number of cells");
        }
        Ok(Self { bits, once, twice })
    }
}

impl SeenTwice {
    /// Binary logarithm of the number of cells for so many items, 16 cells an item, so that one in sixteen that comes once
    /// is taken for one that comes again; fewer where they would not fit into `bytes`.
    #[must_use]
    pub fn bits_for(items: u64, bytes: usize) -> u32 {
        let wanted = items.saturating_mul(16).max(64).checked_next_power_of_two().map_or(63, u64::ilog2);
        // 2 bits a cell.
        wanted.min(bytes.saturating_mul(4).max(64).ilog2()).clamp(6, MAX_FILTER_BITS)
    }

    /// An empty filter of `2^bits` cells, `bits` from 6 to 30 (others are brought into this range).
    #[must_use]
    pub fn new(bits: u32) -> Self {
        let bits = bits.clamp(6, MAX_FILTER_BITS);
        let words = 1 << (bits - 6);
        Self { bits, once: vec![0; words], twice: vec![0; words] }
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let cell = hash & ((1 << self.bits) - 1);
        ((cell >> 6) as usize, 1 << (cell & 63))
    }

    /// Notes an item by its 64-bit keyed hash.
    pub fn insert(&mut self, hash: u64) {
        let (word, bit) = self.place(hash);
        if let (Some(once), Some(twice)) = (self.once.get_mut(word), self.twice.get_mut(word)) {
            *twice |= *once & bit;
            *once |= bit;
        }
    }

    /// Adds another filter; exact. Returns false, and changes nothing, where the sizes differ.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.bits != other.bits {
            return false;
        }
        let here = self.once.iter_mut().zip(&mut self.twice);
        for ((once, twice), (other_once, other_twice)) in here.zip(other.once.iter().zip(&other.twice)) {
            *twice |= other_twice | (*once & other_once);
            *once |= other_once;
        }
        true
    }

    /// False only where the item certainly came at most once; true also where it shares its cell.
    #[must_use]
    pub fn maybe_repeated(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.twice.get(word).is_some_and(|twice| twice & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn counted(items: &[(u64, u32)]) -> Counter {
        let mut counter = Counter::new(4, DEPTH);
        for &(hash, count) in items {
            counter.add(hash, count);
        }
        counter
    }

    fn both(mut a: Counter, b: &Counter) -> Counter {
        assert!(a.merge(b));
        a
    }

    fn seen(hashes: &[u64]) -> SeenTwice {
        let mut filter = SeenTwice::new(6);
        for &hash in hashes {
            filter.insert(hash);
        }
        filter
    }

    fn joined(mut a: SeenTwice, b: &SeenTwice) -> SeenTwice {
        assert!(a.merge(b));
        a
    }

    fn items() -> impl Strategy<Value = Vec<(u64, u32)>> {
        let count = prop_oneof![0_u32..5, Just(u32::MAX), Just(u32::MAX / 2)];
        let hash = prop_oneof![any::<u64>(), 0_u64..8];
        prop::collection::vec((hash, count), 0..20)
    }

    proptest! {
        #[test]
        fn counters_merge_exactly_and_never_undercount(a in items(), b in items(), c in items()) {
            let all: Vec<(u64, u32)> = a.iter().chain(&b).chain(&c).copied().collect();
            let whole = counted(&all);
            let (x, y, z) = (counted(&a), counted(&b), counted(&c));
            prop_assert_eq!(&both(both(x.clone(), &y), &z), &whole);
            prop_assert_eq!(&both(x.clone(), &both(y.clone(), &z)), &whole);
            prop_assert_eq!(both(x.clone(), &y), both(y, &x));
            let mut truth: BTreeMap<u64, u32> = BTreeMap::new();
            for (hash, count) in all {
                let total = truth.entry(hash).or_default();
                *total = total.saturating_add(count);
            }
            prop_assert!(truth.iter().all(|(&hash, &count)| whole.estimate(hash) >= count));
            let bytes = postcard::to_stdvec(&whole).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Counter>(&bytes).unwrap(), whole);
        }

        #[test]
        fn floor_is_the_smallest_that_fits(a in items(), cap in 0_usize..12, at_least in 0_u32..4) {
            let counter = counted(&a);
            let reach = |support: u32| counter.cells()[..16].iter().filter(|&&count| count >= support).count();
            let floor = counter.floor(cap, at_least);
            prop_assert!(floor >= at_least);
            prop_assert!(reach(floor) <= cap || floor == u32::MAX);
            prop_assert!(floor == at_least || reach(floor - 1) > cap);
        }

        #[test]
        fn filters_merge_exactly_and_miss_nothing(
            a in prop::collection::vec(0_u64..100, 0..20),
            b in prop::collection::vec(0_u64..100, 0..20),
            c in prop::collection::vec(0_u64..100, 0..20),
        ) {
            let all: Vec<u64> = a.iter().chain(&b).chain(&c).copied().collect();
            let whole = seen(&all);
            let (x, y, z) = (seen(&a), seen(&b), seen(&c));
            prop_assert_eq!(&joined(joined(x.clone(), &y), &z), &whole);
            prop_assert_eq!(&joined(x.clone(), &joined(y.clone(), &z)), &whole);
            prop_assert_eq!(joined(x.clone(), &y), joined(y, &x));
            for hash in 0..100 {
                let sharing = all.iter().filter(|&&other| other % 64 == hash % 64).count();
                prop_assert_eq!(whole.maybe_repeated(hash), sharing > 1);
            }
            let bytes = postcard::to_stdvec(&whole).unwrap();
            prop_assert_eq!(postcard::from_bytes::<SeenTwice>(&bytes).unwrap(), whole);
        }
    }

    #[test]
    fn other_shapes_do_not_merge() {
        assert!(!Counter::new(4, 1).merge(&Counter::new(4, 2)));
        assert!(!Counter::new(4, 2).merge(&Counter::new(5, 2)));
        assert!(!SeenTwice::new(6).merge(&SeenTwice::new(7)));
    }

    #[test]
    fn rows_of_the_sketch_differ() {
        let mut counter = Counter::new(8, 2);
        counter.add(1 << 40 | 3, 5);
        assert_eq!((counter.estimate(1 << 40 | 3), counter.estimate(2 << 41 | 1 << 33 | 3)), (5, 0));
        assert_eq!(counter.cells()[3], 5);
    }

    #[test]
    fn empty_cells_cost_nothing_and_bombs_are_refused() {
        assert!(postcard::to_stdvec(&Counter::new(16, 2)).unwrap().len() < 16);
        let bomb = postcard::to_stdvec(&(30_u32, 1_usize, vec![0_u32, 1 << 30])).unwrap();
        assert!(postcard::from_bytes::<Counter>(&bomb).is_err());
        let short = postcard::to_stdvec(&(4_u32, 2_usize, vec![0_u32, 31])).unwrap();
        assert!(postcard::from_bytes::<Counter>(&short).is_err());
        let odd = postcard::to_stdvec(&(7_u32, vec![0_u64], vec![0_u64])).unwrap();
        assert!(postcard::from_bytes::<SeenTwice>(&odd).is_err());
        assert_eq!(Counter::new(60, 2).cells().len(), 1 << 26);
    }
}
