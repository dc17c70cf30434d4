//! Texts that are nearly equal: shingles, `MinHash` bands to find pairs, Jaccard similarity to verify them.

use serde::{Deserialize, Serialize};

use crate::data::{Batch, Key, words};
use crate::derive::word_hash;

/// Hash domain of shingles, and of bands.
const SHINGLE: u8 = 50;
const BAND: u8 = 51;
/// Words of a text that are looked at.
const MOST_WORDS: usize = 2_048;
/// Fewest words: what is shorter repeats by nature.
const FEWEST_WORDS: usize = 8;
/// `MinHash` values a row, in bands of [`IN_BAND`]: two texts of similarity s share a band with probability
/// 1 − (1 − s³)¹², .998 at .75 and .93 at .58, the similarity of two texts of 16 words with a changed word each.
const BANDS: usize = 12;
const IN_BAND: usize = 3;
/// Shingles kept of a text, those with the smallest hashes.
const KEPT: usize = 128;
/// Jaccard similarity from which on two texts are nearly equal.
const NEAR: f64 = 0.5;

/// A text as others are compared with it: the smallest hashes of its shingles (pairs of neighbouring words, without regard
/// to case and punctuation), ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Outline(Vec<u64>);

impl Outline {
    /// Estimated Jaccard similarity of the sets of shingles, 0 to 1; exact where both have at most 128 (bottom-k, Broder 1997).
    pub(super) fn similarity(&self, other: &Self) -> f64 {
        let (mut a, mut b) = (self.0.as_slice(), other.0.as_slice());
        let (mut union, mut both) = (0u32, 0u32);
        while union < KEPT as u32 {
            match (a, b) {
                ([x, rest @ ..], [y, others @ ..]) if x == y => {
                    both += 1;
                    (a, b) = (rest, others);
                }
                ([x, rest @ ..], [y, ..]) if x < y => a = rest,
                (_, [_, others @ ..]) => b = others,
                ([_, rest @ ..], []) => a = rest,
                ([], []) => break,
            }
            union += 1;
        }
        f64::from(both) / f64::from(union.max(1))
    }

    /// Whether two texts are nearly equal.
    pub(super) fn is_near(&self, other: &Self) -> bool {
        self.similarity(other) >= NEAR
    }

    /// Hashes of the shingles.
    pub(super) fn shingles(&self) -> &[u64] {
        &self.0
    }
}

/// Outline and bands of a row's texts; `None` where they are too short.
pub(super) fn outline(rows: &Batch, row: usize, key: &Key) -> Option<(Outline, [u64; BANDS])> {
    let mut hashes = Vec::new();
    for text in rows.row_texts(row) {
        let said = words(text).filter(|word| word.chars().any(char::is_alphanumeric));
        hashes.extend(said.take(MOST_WORDS.saturating_sub(hashes.len())).map(|word| word_hash(key, word)));
    }
    if hashes.len() < FEWEST_WORDS {
        return None;
    }
    let mut shingles: Vec<u64> = hashes.windows(2).map(|pair| key.join(SHINGLE, pair[0], pair[1])).collect();
    shingles.sort_unstable();
    shingles.dedup();
    let bands = std::array::from_fn(|band| {
        (0..IN_BAND).fold(band as u64, |hash, at| {
            let salt = key.words(BAND, &[band as u64, at as u64]);
            let smallest = shingles.iter().map(|s| key.join(BAND, *s, salt)).min().unwrap_or(0);
            key.join(BAND, hash, smallest)
        })
    });
    shingles.truncate(KEPT);
    Some((Outline(shingles), bands))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_jaccards() {
        let outline = |from: u64, to: u64| Outline((from..to).collect());
        assert!((outline(0, 10).similarity(&outline(5, 15)) - 1.0 / 3.0).abs() < 1e-12);
        assert!((outline(0, 10).similarity(&outline(0, 10)) - 1.0).abs() < 1e-12);
        assert!(outline(0, 3).similarity(&Outline::default()).abs() < 1e-12);
        assert!(outline(0, 10).is_near(&outline(1, 11)) && !outline(0, 10).is_near(&outline(4, 14)));
    }
}
