//! The opinion on text: naive Bayes on every word and word pair.

use ndarray::Array2;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::Result;
use crate::stats::bayes::NaiveBayes;
use crate::stats::design::Csr;

/// Most words and word pairs.
const MOST_WORDS: usize = 1 << 17;
/// Most cells of words × classes.
const MOST_CELLS: usize = 1 << 24;

/// Words with their weights, and their sums by class.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Words {
    /// Column and inverse document frequency of a word.
    vocabulary: FxHashMap<u32, (u32, f32)>,
    bayes: NaiveBayes,
}

impl Words {
    /// Sums rows and returns the logits of all of them, each without itself. `None` without text.
    pub(super) fn fit(rows: &[SampleRow], labels: &[Option<u32>], classes: usize) -> Result<Option<(Self, Array2<f32>)>> {
        let mut counts: FxHashMap<u32, u32> = FxHashMap::default();
        for token in rows.iter().flat_map(|row| &row.tokens) {
            *counts.entry(*token).or_default() += 1;
        }
        let mut words: Vec<(u32, u32)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
        if words.is_empty() {
            return Ok(None);
        }
        words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        words.truncate(MOST_WORDS.min(MOST_CELLS / classes.max(1)));
        let weight = |count: u32| ((1.0 + rows.len() as f32) / (1.0 + count as f32)).ln() + 1.0;
        let vocabulary = (0u32..).zip(words).map(|(column, (word, count))| (word, (column, weight(count)))).collect();
        let csr = sparse(&vocabulary, rows)?;
        let bayes = NaiveBayes::fit(&csr, labels, classes)?;
        let logits = bayes.leave_one_out(&csr, labels)?;
        Ok(Some((Self { vocabulary, bayes }, logits)))
    }

    /// Logits of rows, rows × classes.
    pub(super) fn logits(&self, rows: &[SampleRow]) -> Result<Array2<f32>> {
        Ok(self.bayes.predict(&sparse(&self.vocabulary, rows)?))
    }
}

/// Weights of rows' words, each row of length 1.
fn sparse(vocabulary: &FxHashMap<u32, (u32, f32)>, rows: &[SampleRow]) -> Result<Csr> {
    let mut out = Csr::empty(vocabulary.len());
    for row in rows {
        let hits: Vec<(u32, f32)> = row.tokens.iter().filter_map(|token| vocabulary.get(token).copied()).collect();
        let length = hits.iter().map(|(_, w)| w * w).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        out.push(hits.into_iter().map(|(column, weight)| (column, weight / length)))?;
    }
    Ok(out)
}
