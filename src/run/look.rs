//! Reads of one column, or of few, before the scans, each a state that merges, so that rows elsewhere are looked at where they are.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::{MOST_CLASSES, Source, strings};
use crate::error::Result;

use super::answers::{Classes, Frequent, Sketch};
use super::outcome::{Progress, go_on};
use super::pairs::Differences;
use super::remote::{Far, of_bytes, to_bytes};

/// What is asked of a column, and what the answer is gathered in.
pub(super) trait Look: Serialize + Clone + Into<AnyLook> {
    /// Gathered over rows in any order, and merged.
    type Found: Serialize + DeserializeOwned + Send;

    /// Nothing seen.
    fn open(&self) -> Self::Found;
    /// Takes in some rows, column by column.
    fn observe(&self, found: &mut Self::Found, columns: &[ArrayRef]);
    /// Joins what was found elsewhere.
    fn merge(&self, into: &mut Self::Found, from: Self::Found) -> Result<()>;
}

/// Any of them, as they travel.
#[derive(Serialize, Deserialize)]
pub(super) enum AnyLook {
    Values(Values),
    Sketch(Sketch),
    Frequent(Frequent),
    Classes(Classes),
    Differences(Differences),
}

macro_rules! any_look {
    ($($kind:ident),*) => {
        $(impl From<$kind> for AnyLook {
            fn from(look: $kind) -> Self {
                Self::$kind(look)
            }
        })*

        impl AnyLook {
            /// Looks at batches of the columns alone; gives back what was found as bytes.
            pub(super) fn over(&self, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Vec<u8>> {
                match self {
                    $(Self::$kind(look) => over(look, batches),)*
                }
            }

            /// Merges what was found in several places.
            pub(super) fn join(&self, found: &[Vec<u8>]) -> Result<Vec<u8>> {
                match self {
                    $(Self::$kind(look) => join(look, found),)*
                }
            }
        }
    };
}

any_look!(Values, Sketch, Frequent, Classes, Differences);

fn over<L: Look>(look: &L, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Vec<u8>> {
    let mut found = look.open();
    for batch in batches {
        look.observe(&mut found, batch?.columns());
    }
    to_bytes(&found)
}

fn join<L: Look>(look: &L, found: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut joined = look.open();
    for bytes in found {
        look.merge(&mut joined, of_bytes(bytes)?)?;
    }
    to_bytes(&joined)
}

/// Reads some columns, ascending, of all rows.
pub(super) fn look<L: Look>(source: &dyn Source, columns: &[usize], look: &L, progress: &dyn Progress) -> Result<L::Found> {
    if let Some(spread) = source.spread() {
        return Far::new(spread, progress).look(columns, look);
    }
    let mut found = look.open();
    for batch in source.scan(Some(columns))? {
        let batch = batch?;
        go_on(progress)?;
        progress.rows(batch.num_rows() as u64);
        look.observe(&mut found, batch.columns());
    }
    Ok(found)
}

/// How often each value of a label column comes.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Values;

/// Its answer: counts of at most [`MOST_CLASSES`] values and one more; of further ones only their rows.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) of: BTreeMap<String, u64>,
    pub(super) rows: u64,
    pub(super) nulls: u64,
}

impl Counts {
    fn add(&mut self, value: &str, rows: u64) {
        if let Some(count) = self.of.get_mut(value) {
            *count += rows;
        } else if self.of.len() <= MOST_CLASSES {
            self.of.insert(value.to_owned(), rows);
        }
    }
}

impl Look for Values {
    type Found = Counts;

    fn open(&self) -> Counts {
        Counts::default()
    }

    fn observe(&self, found: &mut Counts, columns: &[ArrayRef]) {
        let Some(values) = columns.first().map(strings) else { return };
        found.rows += values.len() as u64;
        found.nulls += values.null_count() as u64;
        values.iter().flatten().for_each(|value| found.add(value, 1));
    }

    fn merge(&self, into: &mut Counts, from: Counts) -> Result<()> {
        into.rows += from.rows;
        into.nulls += from.nulls;
        from.of.iter().for_each(|(value, rows)| into.add(value, *rows));
        Ok(())
    }
}
