//! The opinion on text: naive Bayes on every word and word pair, and on the letters of single words.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::derive::SampleRow;
use crate::error::Result;
use crate::stats::bayes::NaiveBayes;

use super::vocabulary::Vocabulary;

/// Most words and word pairs.
const MOST_WORDS: usize = 1 << 17;
/// Most cells of words × classes.
const MOST_CELLS: usize = 1 << 24;

/// Words with their weights, and their sums by class.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Words {
    vocabulary: Vocabulary,
    bayes: NaiveBayes,
}

impl Words {
    /// Sums rows and returns the logits of all of them, each without itself. `None` without text.
    pub(super) fn fit(rows: &[SampleRow], labels: &[Option<u32>], classes: usize) -> Result<Option<(Self, Array2<f32>)>> {
        let vocabulary = Vocabulary::new(rows.iter().map(tokens), MOST_WORDS.min(MOST_CELLS / classes.max(1)));
        if vocabulary.is_empty() {
            return Ok(None);
        }
        let csr = vocabulary.map(rows.iter().map(tokens))?;
        let bayes = NaiveBayes::fit(&csr, labels, classes)?;
        let logits = bayes.leave_one_out(&csr, labels)?;
        Ok(Some((Self { vocabulary, bayes }, logits)))
    }

    /// Logits of rows, rows × classes.
    pub(super) fn logits(&self, rows: &[SampleRow]) -> Result<Array2<f32>> {
        Ok(self.bayes.predict(&self.vocabulary.map(rows.iter().map(tokens))?))
    }
}

fn tokens(row: &SampleRow) -> Vec<u64> {
    row.tokens.iter().chain(&row.letters).map(|token| u64::from(*token)).collect()
}
