//! What the scans of a miner gather.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize, Serializer};

use crate::derive::SampleRow;
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::Counter;

use super::bayes::{Bayes, ClassCounts};
use super::items::{Context, Found, Parts};
use super::place::Places;

/// Rows kept for tempering the naive Bayes guess.
pub(super) const TEMPERING_ROWS: usize = 2_048;
/// Carriers of a candidate whose keys are kept.
pub(super) const MOST_CARRIERS: usize = 4_096;
/// Carriers outside the reference sample that are kept in raw form.
pub(super) const MOST_RAW: usize = 64;
/// Carriers whose contexts are kept.
const MOST_CONTEXTS: usize = 512;
/// Carriers named by position.
const MOST_EXAMPLES: usize = 20;
/// Fixed point of probability sums, so that they are the same in any order.
pub(super) const UNIT: f64 = 1_048_576.0;

/// One item's rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Tally {
    /// Rows that hold it, labelled or not.
    pub(super) rows: u32,
    /// Labelled ones by class, ascending.
    pub(super) classes: ClassCounts,
    /// Sum of the carriers' keys: items with the same carriers have the same signature.
    pub(super) signature: u64,
    /// Whether it is a feature.
    pub(super) feature: bool,
    /// Features that it is made of.
    pub(super) size: u8,
    /// Of items with the same carriers the one with the lowest rank is named.
    pub(super) rank: u32,
    /// Whether it serves the background alone and is no candidate.
    pub(super) background: bool,
    /// Whether it is an end of a column.
    pub(super) end: bool,
    /// Features that it is made of and that few rows hold, where that is known.
    pub(super) rare: u8,
    /// The two first-level items that it is made of, zeros where those are more or not known.
    pub(super) made_of: [u64; 2],
}

impl Tally {
    /// Rows with any label.
    pub(super) fn with_label(&self) -> u32 {
        self.classes.iter().fold(0, |rows, (_, more)| rows.saturating_add(*more))
    }

    /// Rows with a label.
    pub(super) fn labelled(&self, label: u32) -> u64 {
        self.classes.iter().find(|(class, _)| *class == label).map_or(0, |(_, rows)| u64::from(*rows))
    }

    pub(super) fn add(&mut self, key: u64, label: Option<u32>, feature: bool, parts: Parts) {
        self.rows = self.rows.saturating_add(1);
        self.signature = self.signature.wrapping_add(key);
        self.feature |= feature;
        self.size = self.size.max(parts.size());
        self.rank = self.rank.max(parts.rank());
        self.background |= parts.is_background();
        self.end |= parts.is_end();
        if let Some(label) = label {
            bump(&mut self.classes, label, 1);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.signature = self.signature.wrapping_add(other.signature);
        self.feature |= other.feature;
        self.size = self.size.max(other.size);
        self.rank = self.rank.max(other.rank);
        self.background |= other.background;
        self.end |= other.end;
        self.rare = self.rare.max(other.rare);
        self.made_of = self.made_of.max(other.made_of);
        for &(class, rows) in &other.classes {
            bump(&mut self.classes, class, rows);
        }
    }
}

fn bump(classes: &mut ClassCounts, class: u32, rows: u32) {
    match classes.binary_search_by_key(&class, |(c, _)| *c) {
        Ok(at) => classes[at].1 = classes[at].1.saturating_add(rows),
        Err(at) => classes.insert(at, (class, rows)),
    }
}

/// Items by hash.
pub(in crate::detect::trigger) type Table = FxHashMap<u64, Tally>;

/// A shortlisted item: its target label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Short {
    pub(super) item: u64,
    /// Items with the same carriers that say more of them.
    pub(super) also: Vec<u64>,
    pub(super) label: u32,
    pub(super) tally: Tally,
    /// Mean probability of the label that the rest of its rows gives, 0 until that is known.
    pub(super) rest: f64,
}

/// What a scan is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Brief<L> {
    pub(super) lens: L,
    pub(super) stage: Stage,
}

/// First-level items that are frequent enough to build on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Admitted {
    /// All of them.
    #[serde(serialize_with = "in_order")]
    pub(super) items: FxHashSet<u64>,
    /// Those among them that were set aside.
    #[serde(serialize_with = "in_order")]
    pub(super) aside: FxHashSet<u64>,
    /// Those among these that take a clear denial.
    #[serde(serialize_with = "in_order")]
    pub(super) told: FxHashSet<u64>,
    /// Those in too many rows to be candidates, and those that serve the background alone.
    #[serde(serialize_with = "in_order")]
    pub(super) common: FxHashSet<u64>,
    /// Combinations of two that are grown by a third part.
    #[serde(serialize_with = "in_order")]
    pub(super) grown: FxHashSet<u64>,
    /// Features that are paired wherever they stand in a row, with the label that each goes with.
    #[serde(serialize_with = "pairs_in_order")]
    pub(super) paired: FxHashMap<u64, u32>,
}

/// Writes a set in ascending order: a hash table's own order tells how the rows came in, and the same answer has to have the same bytes.
fn in_order<S: Serializer>(set: &FxHashSet<u64>, to: S) -> Result<S::Ok, S::Error> {
    let mut sorted: Vec<u64> = set.iter().copied().collect();
    sorted.sort_unstable();
    to.collect_seq(sorted)
}

/// The same of a table.
fn pairs_in_order<S: Serializer>(table: &FxHashMap<u64, u32>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(table.iter().collect::<BTreeMap<_, _>>())
}

impl Admitted {
    /// How many of these features few rows hold.
    pub(super) fn rare(&self, features: impl Iterator<Item = u64>) -> u8 {
        features.filter(|feature| self.items.contains(feature) && !self.common.contains(feature)).count() as u8
    }

    pub(super) fn holds(&self, item: u64) -> bool {
        self.items.contains(&item)
    }

    /// Drops the items of a row that are not worth a look.
    pub(super) fn keep_worth_a_look(&self, found: &mut Found) {
        if !self.aside.is_empty() {
            let Found { features, items } = found;
            items.retain(|(_, parts)| self.may_combine(parts.iter().filter_map(|at| features.get(at).copied())));
        }
    }

    /// Whether a combination of these features is worth a look. One that was set aside says by itself what it says together
    /// with common ones.
    fn may_combine(&self, features: impl Iterator<Item = u64>) -> bool {
        let (mut aside, mut rare) = (0, 0);
        for feature in features {
            if self.aside.contains(&feature) {
                aside += 1;
            } else if !self.common.contains(&feature) {
                rare += 1;
            }
        }
        aside != 1 || rare > 0
    }
}

/// Rows with their features, for tempering.
pub(in crate::detect::trigger) type Tempering = BottomK<(Vec<u64>, u32)>;

/// Which scan it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) enum Stage {
    /// Counts first-level items approximately.
    Count { bits: u32 },
    /// Counts frequent first-level items exactly, and second-level items approximately.
    First { counter: Counter, floor: u32, sample: Tempering },
    /// Counts frequent second-level items exactly.
    Second { first: Table, admitted: Admitted, counter: Counter, floor: u32, sample: Tempering },
    /// Counts items that grow from second-level items exactly.
    Third { first: Table, second: Table, admitted: Admitted, floor: u32, sample: Tempering },
    /// Sums the background probability of the target label over each shortlisted item's carriers; `frequent` is how many frequent values
    /// columns have.
    Screen { admitted: Admitted, bayes: Option<Bayes>, short: Vec<Short>, frequent: BTreeMap<u32, u32>, floor: u32 },
    /// Gathers the carriers of candidates; where items have places, also those, in a sketch of `2^pairs` cells a row.
    Carry { admitted: Admitted, short: Vec<Short>, tests: u64, threshold: u64, floor: u32, pairs: Option<u32> },
}

/// What a scan gathers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) enum State {
    /// Approximate counts, and rows for tempering.
    Count { counter: Counter, sample: Tempering },
    /// Exact counts, and approximate counts of the next level.
    Tallies { table: Table, counter: Counter },
    /// Sum of background probabilities in fixed point, and rows, of each shortlisted item in order.
    Screen { sums: Vec<(u64, u64)> },
    /// Carriers of each candidate in order.
    Carry { carriers: Vec<Carriers>, places: Option<Places> },
}

/// How an item reads, from the carrier with the smallest key: name, and evidence as JSON.
pub(super) type Described = BottomK<(String, String)>;

/// The carriers of one candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Carriers {
    /// Labels of the distinct carriers with the smallest keys.
    pub(super) keys: BottomK<Option<u32>>,
    /// Positions of the first carriers with each label.
    pub(super) examples: BTreeMap<u32, Vec<u64>>,
    /// Raw rows of carriers outside the reference sample.
    pub(super) raw: BottomK<SampleRow>,
    /// How the item reads.
    pub(super) described: Described,
    /// The same for the items that say more.
    pub(super) also: Vec<Described>,
    /// Where the item stands in some carriers.
    pub(super) contexts: BottomK<Option<Context>>,
}

impl Carriers {
    pub(super) fn new(short: &Short) -> Self {
        Self {
            keys: BottomK::new(MOST_CARRIERS),
            examples: BTreeMap::new(),
            raw: BottomK::new(MOST_RAW),
            described: BottomK::new(1),
            also: short.also.iter().map(|_| BottomK::new(1)).collect(),
            contexts: BottomK::new(MOST_CONTEXTS),
        }
    }

    pub(super) fn example(&mut self, label: u32, position: u64) {
        let examples = self.examples.entry(label).or_default();
        if examples.len() < MOST_EXAMPLES || examples.last().is_some_and(|last| position < *last) {
            let at = examples.partition_point(|p| *p < position);
            examples.insert(at, position);
            examples.truncate(MOST_EXAMPLES);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.keys.merge(other.keys);
        for (label, positions) in other.examples {
            for position in positions {
                self.example(label, position);
            }
        }
        self.raw.merge(other.raw);
        self.described.merge(other.described);
        self.also.iter_mut().zip(other.also).for_each(|(into, from)| into.merge(from));
        self.contexts.merge(other.contexts);
    }
}
