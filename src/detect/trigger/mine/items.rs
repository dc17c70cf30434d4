//! What a miner looks for in a row: items, and the features that a cheap background is made of.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::{Batch, Schema};
use crate::derive::SampleModel;
use crate::error::Result;
use crate::fold::{Given, Info, Wire};

/// Which of a row's features an item is made of: at most eight positions, and of how many all told.
#[derive(Clone, Copy, Default)]
pub(in crate::detect::trigger) struct Parts {
    at: [u16; 8],
    held: u8,
    size: u8,
    background: bool,
    end: bool,
    rank: u32,
}

impl Parts {
    /// Adds a feature; what does not fit is left in the background. A feature that comes again counts, but is held once.
    pub(in crate::detect::trigger) fn push(&mut self, feature: usize) {
        self.size = self.size.saturating_add(1);
        let held = &self.at[..self.held as usize];
        if let Ok(feature) = u16::try_from(feature)
            && held.len() < self.at.len()
            && !held.contains(&feature)
        {
            self.at[self.held as usize] = feature;
            self.held += 1;
        }
    }

    /// The same, for an item that serves the background alone and is no candidate.
    pub(in crate::detect::trigger) fn background_only(mut self) -> Self {
        self.background = true;
        self
    }

    /// The same, for an end of a column: some rows are there by nature.
    pub(in crate::detect::trigger) fn end(mut self) -> Self {
        self.end = true;
        self
    }

    /// Whether the item is an end of a column.
    pub(super) fn is_end(&self) -> bool {
        self.end
    }

    /// Number of features, those that are not held and those that come again among them.
    pub(super) fn size(&self) -> u8 {
        self.size
    }

    /// The same, for an item that is named rather than one of a higher rank that has the same carriers.
    pub(in crate::detect::trigger) fn ranked(mut self, rank: u32) -> Self {
        self.rank = rank;
        self
    }

    /// Its rank.
    pub(super) fn rank(&self) -> u32 {
        self.rank
    }

    /// Whether the item is no candidate.
    pub(super) fn is_background(&self) -> bool {
        self.background
    }

    /// Positions in the row's features.
    pub(in crate::detect::trigger) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.at[..self.held as usize].iter().map(|p| *p as usize)
    }
}

impl FromIterator<usize> for Parts {
    fn from_iter<T: IntoIterator<Item = usize>>(features: T) -> Self {
        let mut parts = Self::default();
        features.into_iter().for_each(|f| parts.push(f));
        parts
    }
}

/// What one row holds.
#[derive(Default)]
pub(in crate::detect::trigger) struct Found {
    /// Distinct features, keyed hashes. Every feature is an item as well.
    pub(in crate::detect::trigger) features: Vec<u64>,
    /// Items, keyed hashes, and what they are made of.
    pub(in crate::detect::trigger) items: Vec<(u64, Parts)>,
}

impl Found {
    /// Empties the lists for the next row.
    pub(super) fn clear(&mut self) {
        self.features.clear();
        self.items.clear();
    }

    /// Drops repeated items; the first of each is kept.
    pub(super) fn dedup(&mut self) {
        self.items.sort_unstable_by_key(|(item, _)| *item);
        self.items.dedup_by_key(|(item, _)| *item);
    }
}

/// An item in the words of a person.
pub(in crate::detect::trigger) struct Description {
    /// Names it: `the words "cf"`, `a 3×3 patch at (24,24)`, `age = 31 and hours_per_week = 37`.
    pub(in crate::detect::trigger) name: String,
    /// What the report shows.
    pub(in crate::detect::trigger) evidence: Map<String, Value>,
}

/// What stands beside something in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::detect::trigger) enum Side {
    /// No word: the row begins or ends there, or there are only marks.
    Edge,
    /// A word, by its hash.
    Word(u64),
}

impl Side {
    /// The word, if it is one.
    pub(super) fn word(self) -> Option<u64> {
        match self {
            Self::Word(word) => Some(word),
            Self::Edge => None,
        }
    }
}

/// The sides of an item, left and right, and of places chosen at random in the same row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Context {
    /// The item's.
    pub(in crate::detect::trigger) own: [Side; 2],
    /// The others'.
    pub(in crate::detect::trigger) random: Vec<[Side; 2]>,
    /// The item's, with the one at an edge of its row as it is.
    pub(in crate::detect::trigger) beside: [Side; 2],
    /// The item that its direct neighbours would be without it.
    pub(in crate::detect::trigger) pair: Option<u64>,
    /// The items that the direct neighbours of the others are.
    pub(in crate::detect::trigger) gaps: Vec<u64>,
    /// Text column.
    pub(in crate::detect::trigger) column: u32,
    /// The item's own words and marks.
    pub(in crate::detect::trigger) words: Vec<u64>,
    /// Their share of the text.
    pub(in crate::detect::trigger) share: f32,
    /// Whether the row's answer says them where it is like others.
    pub(in crate::detect::trigger) echoed: bool,
}

/// How the label of a row is guessed without an item, to rank items before the verifier looks at few of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::trigger) enum Background {
    /// Naive Bayes over the row's other features.
    Features,
    /// The content model's prediction; for items that it hardly sees.
    Content,
}

/// How the parts of an item come to be in the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::detect::trigger) enum Meeting {
    /// By nature: as often as by themselves, and nothing sets the combination apart; in columns that are the label together; in rows of one kind.
    Natural,
    /// As often as by themselves, but no other combination of the columns is like it; or where nature keeps them apart.
    Alone,
    /// More often than by themselves: somebody or something put them together.
    Together,
    /// So do they, or it is one value; and neither parts nor anything else in the same columns say much of any label.
    Singular,
}

/// A kind of item.
pub(in crate::detect::trigger) trait Items: Send + Sync + 'static {
    /// What every worker must know to find items: bins, sizes.
    type Lens: Wire + Clone;

    /// The detector's info.
    fn info(&self) -> &'static Info;

    /// Makes the lens.
    fn lens(&self, data: &Schema, given: &Given) -> Result<Self::Lens>;

    /// How rows are guessed.
    fn background(&self) -> Background;

    /// Whether, of items with the same carriers, the longest says it best: a phrase rather than one of its words. Rules
    /// say it best with the fewest conditions.
    fn prefers_longer(&self) -> bool {
        false
    }

    /// Whether features are values of columns, and their rank is the column: values of one column are of a kind.
    fn has_columns(&self) -> bool {
        false
    }

    /// By how many parts a combination of two is grown in each row; `None` where all combinations worth a look are of the second level.
    fn parts_to_grow_by(&self, _data: &Schema) -> Option<usize> {
        None
    }

    /// Whether two features anywhere in a row are an item as well, as [`RowItems::pairs`] finds them.
    fn has_pairs(&self) -> bool {
        false
    }

    /// Whether an item with this rank is such a pair.
    fn is_pair(&self, _rank: u32) -> bool {
        false
    }

    /// Columns of an item with this rank, as far as that tells them; `alone` where it is one value.
    fn columns_of(&self, _rank: u32, _alone: bool) -> Vec<u32> {
        Vec::new()
    }

    /// Odds that the null hypothesis allows the label over those that content gives it: how far an innocent item may go
    /// beyond what the content model knows.
    fn odds_ratio(&self) -> f64 {
        4.0
    }

    /// Carriers from which an item may reach ALARM, unless it is hidden.
    fn alarm_from(&self) -> u32 {
        0
    }

    /// Whether an item may be a natural sign of a label that nothing else in its row knows of: a default on an earlier loan, a word that one
    /// class alone uses.
    fn may_be_a_sign(&self) -> bool {
        false
    }

    /// Whether the rows with an item may be of one kind by nature, as pictures that are drawn alike are: no alarm then, where content
    /// knows nothing of them or takes them for others of their label.
    fn may_be_a_kind(&self) -> bool {
        false
    }

    /// Prepares a block: what is costly a row is done once here.
    fn rows<'a>(&self, lens: &'a Self::Lens, rows: &'a Batch) -> Box<dyn RowItems + 'a>;

    /// What stands on both sides of an item in a row, and on both sides of some places chosen at random in the same row;
    /// `None` where items have no sides.
    fn context(&self, _rows: &Batch, _row: usize, _item: u64) -> Option<Context> {
        None
    }

    /// Whether items have places with neighbours.
    fn has_places(&self) -> bool {
        false
    }

    /// First and last word of each text column of a row, with the column; empty where items have no sides.
    fn ends(&self, _rows: &Batch, _row: usize) -> Vec<(u32, [Side; 2])> {
        Vec::new()
    }

    /// Whether an item is planted wherever it stands.
    fn is_hidden(&self, _data: &Schema, _item: u64) -> bool {
        false
    }

    /// Share of rows with the label among those that nearly hold the item, its carriers left out; `None` where nearly
    /// has no meaning. `evidence` is what [`Items::describe`] said.
    fn nearly(&self, _data: &Schema, _sample: &SampleModel, _evidence: &Map<String, Value>, _label: u32) -> Option<f64> {
        None
    }

    /// How the parts of an item come to be in the same rows. `evidence` as in [`Items::nearly`].
    fn meeting(&self, _data: &Schema, _sample: &SampleModel, _evidence: &Map<String, Value>, _label: u32) -> Meeting {
        Meeting::Together
    }

    /// Describes an item from a row that holds it.
    fn describe(&self, lens: &Self::Lens, rows: &Batch, row: usize, item: u64) -> Option<Description>;
}

/// The items of a block's rows.
pub(in crate::detect::trigger) trait RowItems {
    /// Features and first-level items.
    fn first(&mut self, row: usize, found: &mut Found);

    /// Items made of first-level items that are frequent enough; `admitted` tells. Features are given as well.
    fn second(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, found: &mut Found);

    /// Items made of one of the combinations of two in `grown` and one admitted first-level item more. Features are given as well.
    fn third(&mut self, _row: usize, _admitted: &dyn Fn(u64) -> bool, _grown: &FxHashSet<u64>, _found: &mut Found) {}

    /// Items that are two features anywhere in the row, both in `paired` with the same label. Features are given as well.
    fn pairs(&mut self, _row: usize, _paired: &FxHashMap<u64, u32>, _found: &mut Found) {}

    /// Whether there is a second level at all.
    fn has_second(&self) -> bool {
        true
    }

    /// Whether a row may be said to hold an item more than once.
    fn repeats(&self) -> bool {
        true
    }
}
