//! Models of a run, kept to rank rows that come later.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;

use crate::data::{Batch, Schema, Source};
use crate::error::{Error, Place, Result};
use crate::fold::Unit;
use crate::policy::{Listing, Surprisal};

use super::list::Lister;
use super::outcome::Progress;
use super::shared::derive_columns;
use super::{Order, Passenger, Run, columns_for};

/// What a run learnt of a set, to rank rows with the same columns. A row's rank depends on the row and the models alone, never on the
/// rows beside it.
pub struct Ranker {
    schema: Arc<Schema>,
    passengers: Vec<Passenger>,
    listings: BTreeMap<usize, Listing>,
    rarity: BTreeMap<usize, Surprisal>,
}

/// Fits the units to a set, as [`scan`](super::scan) does, without listing its rows.
///
/// # Errors
/// As [`scan`](super::scan), and a unit that fails: what is ranked without it would not be what was asked for.
pub fn rank(source: &dyn Source, units: Vec<Box<dyn Unit>>, order: &Order, progress: &dyn Progress) -> Result<Ranker> {
    let policy = order.policy.checked()?;
    let mut run = Run::prepare(source, None, units, order, true, progress)?;
    run.stages()?;
    let (listings, rarity) = run.score(&policy, true)?;
    let Run { schema, passengers, .. } = run;
    match passengers.iter().find_map(Passenger::failure) {
        Some((code, reason)) => Err(Error::Detector { code, reason: reason.to_owned() }),
        None => Ok(Ranker { schema, passengers, listings, rarity }),
    }
}

impl Ranker {
    /// The combined score of each row, 0 to 1 and higher where it is worse, as `scores.parquet` has it; `None` where no detector could
    /// judge.
    ///
    /// # Errors
    /// Rows without the columns that the models were fitted on, and a detector that fails.
    pub fn score(&self, rows: &RecordBatch) -> Result<Vec<Option<f64>>> {
        if rows.schema().fields() != self.schema.arrow.fields() {
            return Err(Error::input(Place::source("rows"), "the columns are not those that the models were fitted on")
                .with_help("Give the same columns in the same order, with the same types."));
        }
        let claims = BTreeMap::new();
        let lister = Lister::new(&self.schema, &[], &self.passengers, &self.listings, &self.rarity, &claims, (true, false));
        let derive = columns_for(&self.passengers, self.listings.keys().copied());
        let mut scores = Vec::with_capacity(rows.num_rows());
        for from in (0..rows.num_rows()).step_by(self.schema.block_rows()) {
            let slice = rows.slice(from, self.schema.block_rows().min(rows.num_rows() - from));
            let block = Batch::new(Arc::clone(&self.schema), slice, from as u64);
            derive_columns(&derive, &block)?;
            let table = lister.rank(&block)?;
            let combined = table.column_by_name("combined").and_then(|column| column.as_primitive_opt::<Float64Type>());
            scores.extend(combined.into_iter().flatten());
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::read::Memory;
    use crate::run::{Silent, Sink, scan};

    fn table(rows: usize, seed: u64) -> RecordBatch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut column =
            || -> ArrayRef { Arc::new((0..rows).map(|_| Some(rng.random::<f64>() + rng.random::<f64>())).collect::<Float64Array>()) };
        RecordBatch::try_from_iter([("a", column()), ("b", column()), ("c", column())]).unwrap()
    }

    fn order() -> Order {
        Order { threads: 2, memory: 1 << 30, only: vec!["outlier".to_owned()], ..Order::new(3) }
    }

    #[derive(Default)]
    struct Scores(Vec<Option<f64>>);

    impl Sink for Scores {
        fn rows(&mut self, _: &RecordBatch) -> Result<()> {
            Ok(())
        }

        fn scores(&mut self, scores: &RecordBatch) -> Result<()> {
            self.0.extend(scores.column_by_name("combined").unwrap().as_primitive::<Float64Type>().iter());
            Ok(())
        }

        fn wants_scores(&self) -> bool {
            true
        }
    }

    #[test]
    fn rows_rank_as_in_the_scan_and_alone_as_among_others() {
        // The unit's own list is at hand where all is put together; the tests of a module may look further than the module.
        let units = crate::detect::all;
        let rows = table(5_000, 1);
        let source = Memory::new("rows", std::slice::from_ref(&rows)).unwrap();
        let mut scanned = Scores::default();
        scan(&source, units(), &order(), &mut scanned, &Silent).unwrap();
        let ranker = rank(&source, units(), &order(), &Silent).unwrap();
        let scores = ranker.score(&rows).unwrap();
        assert_eq!(scores, scanned.0);
        assert!(scores.iter().all(Option::is_some));
        assert_eq!(ranker.score(&rows.slice(4_321, 1)).unwrap(), scores[4_321..4_322]);
        let far =
            RecordBatch::try_from_iter(["a", "b", "c"].map(|name| (name, Arc::new(Float64Array::from(vec![50.0])) as ArrayRef))).unwrap();
        assert!(ranker.score(&far).unwrap()[0] >= scores.iter().copied().max_by(|a, b| a.partial_cmp(b).unwrap()).unwrap());
    }

    #[test]
    fn other_columns_are_refused() {
        let rows = table(200, 1);
        let source = Memory::new("rows", std::slice::from_ref(&rows)).unwrap();
        let ranker = rank(&source, crate::detect::all(), &order(), &Silent).unwrap();
        let error = ranker.score(&rows.project(&[0, 1]).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "rows: the columns are not those that the models were fitted on");
    }
}
