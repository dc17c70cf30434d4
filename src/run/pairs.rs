//! What sets the chosen answers of a preference set apart from those turned down.

use arrow::array::ArrayRef;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::pair::{FOLDS, MEASURES, Pair, PairColumns, Preference};
use crate::data::{Key, Source};
use crate::error::Result;
use crate::stats::bottom_k::BottomK;
use crate::stats::preference::fit;

use super::look::{Look, look};
use super::outcome::Progress;

/// Pairs that are fitted on.
const MOST_PAIRS: usize = 8_192;
/// Odds of swapped pairs over those that nature has, up to which there is nothing to see: those of the null that prompts are tested by.
const ODDS: f64 = 4.0;
/// Fewest pairs that tell anything.
const FEWEST: usize = 200;

/// Reads pairs once and learns what sets chosen answers apart; `None` where they are few, or hardly differ.
pub(super) fn preference(source: &dyn Source, columns: &PairColumns, key: Key, progress: &dyn Progress) -> Result<Option<Preference>> {
    let pairs = look(source, &columns.all(), &Differences { key, columns: columns.alone() }, progress)?;
    let pairs: Vec<&Pair> = pairs.iter().map(|(_, _, pair)| pair).collect();
    Ok((pairs.len() >= FEWEST).then(|| learnt(&pairs)).flatten())
}

fn learnt(pairs: &[&Pair]) -> Option<Preference> {
    let square = |measure: usize| pairs.iter().filter_map(|pair| pair.differs.get(measure)).map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let usual: Vec<f64> = (0..MEASURES).map(|measure| (square(measure) / pairs.len() as f64).sqrt()).collect();
    let scaled: Vec<Vec<f64>> = pairs.iter().map(|pair| pair.scaled(&usual)).collect();
    let width = scaled.first()?.len();
    let differences = Array2::from_shape_vec((pairs.len(), width), scaled.concat()).ok()?;
    let folds: Vec<usize> = pairs.iter().map(|pair| pair.part).collect();
    let (weights, sure) = fit(&differences, &folds, FOLDS, ODDS)?;
    Some(Preference { usual, weights, sure })
}

/// A sample of pairs.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Differences {
    key: Key,
    columns: PairColumns,
}

impl Look for Differences {
    type Found = BottomK<Pair>;

    fn open(&self) -> Self::Found {
        BottomK::new(MOST_PAIRS)
    }

    fn observe(&self, found: &mut Self::Found, columns: &[ArrayRef]) {
        self.columns.each(columns, |texts| {
            if let Some(texts) = texts {
                found.insert_with(texts.hash(&self.key), || texts.pair(&self.key));
            }
        });
    }

    fn merge(&self, into: &mut Self::Found, from: Self::Found) -> Result<()> {
        into.merge(from);
        Ok(())
    }
}
