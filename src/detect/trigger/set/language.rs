//! What a set's language is like: how its words are spelt, and between which words another word has room.
//!
//! Neither looks at labels, so that words may be chosen by them without paying for the choice.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::data::Key;
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::Counter;

/// Hash domain of words as types.
const TYPE: u8 = 23;
/// Hash domain of word classes.
const CLASS: u8 = 24;
/// Hash domain of neighbouring classes.
const BESIDE: u8 = 25;
/// Distinct words whose spelling is learnt.
const TYPES: usize = 16_384;
/// Characters of a word that are looked at.
const LONGEST: usize = 32;
/// Weight of the shorter context, in observations.
const SHORTER: f64 = 5.0;
/// Weight of "left and right are independent", in observations.
const INDEPENDENT: f64 = 20.0;
/// Largest evidence of one place, either way.
const MOST_EVIDENCE: f64 = 3.0;

/// Where a row begins, where it ends, and what stands for no class.
pub(super) const EDGES: [u64; 2] = [1, 2];

/// A uniform sample of the distinct words of a set.
pub(super) type Types = BottomK<String>;

/// An empty sample of words.
pub(super) fn types() -> Types {
    BottomK::new(TYPES)
}

fn type_key(key: &Key, hash: u64) -> u64 {
    key.words(TYPE, &[hash])
}

/// Adds a word, given with its hash.
pub(super) fn see(types: &mut Types, key: &Key, hash: u64, word: &str) {
    types.insert_with(type_key(key, hash), || word.to_lowercase().chars().take(LONGEST).collect());
}

/// Whether a word is one that a set of triggers could hold: two letters or more and nothing else.
pub(super) fn is_word(word: &str) -> bool {
    word.chars().nth(1).is_some() && word.chars().all(char::is_alphabetic)
}

/// How the words of a set are spelt: counts of one to three characters over distinct words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spelling {
    counts: [FxHashMap<u64, u32>; 3],
    characters: f64,
    threshold: u64,
}

/// Up to three characters as one number; characters have 21 bits.
fn pack(characters: &[char]) -> u64 {
    characters.iter().fold(0, |packed, c| (packed << 21) | u64::from(*c))
}

/// A word between marks for its begin, twice, and its end.
fn framed(word: &str) -> Vec<char> {
    let inside = word.chars().flat_map(char::to_lowercase).take(LONGEST);
    ['\u{1}', '\u{1}'].into_iter().chain(inside).chain(std::iter::once('\u{2}')).collect()
}

impl Spelling {
    /// Learns from a sample of words.
    pub(super) fn of(types: &Types) -> Self {
        let mut counts: [FxHashMap<u64, u32>; 3] = Default::default();
        let mut characters = 0.0;
        for (_, _, word) in types.iter().filter(|(_, _, word)| is_word(word)) {
            let framed = framed(word);
            for end in 3..=framed.len() {
                characters += 1.0;
                for (length, table) in counts.iter_mut().enumerate() {
                    *table.entry(pack(&framed[end - length - 1..end])).or_default() += 1;
                }
            }
        }
        Self { counts, characters, threshold: types.threshold() }
    }

    /// Mean surprise a character of a word, nats: −ln p of each character after the two before it, interpolated with
    /// shorter contexts, the word's own counts taken out.
    pub(super) fn surprise(&self, key: &Key, hash: u64, word: &str) -> f64 {
        let own = if type_key(key, hash) <= self.threshold { 1.0 } else { 0.0 };
        let count = |characters: &[char]| {
            let table = &self.counts[characters.len() - 1];
            (f64::from(table.get(&pack(characters)).copied().unwrap_or(0)) - own).max(0.0)
        };
        let alphabet = self.counts[0].len() as f64 + 1.0;
        let framed = framed(word);
        let mut sum = 0.0;
        for end in 3..=framed.len() {
            let mut p = (count(&framed[end - 1..end]) + 1.0) / (self.characters + alphabet);
            for length in 2..=3 {
                // A context came as often as it ended anything but a word; marks of the begin came once a word.
                let before = &framed[end - length..end - 1];
                let context = if before.iter().all(|c| *c == '\u{1}') { self.words() - own } else { count(before) };
                p = (count(&framed[end - length..end]) + SHORTER * p) / (context.max(0.0) + SHORTER);
            }
            sum -= p.min(1.0).ln();
        }
        sum / (framed.len() - 2) as f64
    }

    fn words(&self) -> f64 {
        f64::from(self.counts[0].get(&pack(&['\u{2}'])).copied().unwrap_or(0))
    }
}

/// The class of a word as a neighbour: itself where it is frequent or a mark, else its last two characters.
pub(super) fn class(key: &Key, hash: u64, word: &str, rows: u32, frequent: u32) -> u64 {
    if rows >= frequent || !word.chars().next().is_some_and(char::is_alphabetic) {
        return hash;
    }
    let mut last = word.chars().rev().flat_map(char::to_lowercase);
    key.words(CLASS, &[last.next().map_or(0, u64::from), last.next().map_or(0, u64::from)])
}

/// How often classes stand side by side, and alone on either side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beside {
    counter: Counter,
    total: u64,
}

impl Beside {
    /// Nothing counted, in a sketch of two rows of `2^bits` cells.
    pub(super) fn new(bits: u32) -> Self {
        Self { counter: Counter::new(bits, crate::stats::counter::DEPTH), total: 0 }
    }

    fn hashes(key: &Key, [left, right]: [u64; 2]) -> [u64; 3] {
        [key.join(BESIDE, left, right), key.join(BESIDE, left, 0), key.join(BESIDE, 0, right)]
    }

    /// Counts a left and a right neighbour.
    pub(super) fn add(&mut self, key: &Key, sides: [u64; 2]) {
        for hash in Self::hashes(key, sides) {
            self.counter.add(hash, 1);
        }
        self.total += 1;
    }

    /// Adds other counts; false where they have another shape.
    #[must_use]
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        self.total += other.total;
        self.counter.merge(&other.counter)
    }

    /// Probability of the two neighbours together, one observation of them taken out if it is the place's own.
    fn probability(&self, key: &Key, sides: [u64; 2], own: f64) -> f64 {
        let total = self.total as f64 + 1.0;
        let [both, left, right] = Self::hashes(key, sides).map(|hash| f64::from(self.counter.estimate(hash)));
        let independent = (left + 1.0) / total * (right + 1.0) / total;
        ((both - own).max(0.0) + INDEPENDENT * independent) / (total + INDEPENDENT)
    }
}

/// Evidence that a word between these neighbours was put into a gap: ln of how likely they are as neighbours of each
/// other over how likely they are with a rare word between them.
pub(super) fn put_there(key: &Key, gaps: &Beside, slots: &Beside, sides: [u64; 2]) -> f64 {
    let ratio = gaps.probability(key, sides, 0.0) / slots.probability(key, sides, 1.0);
    ratio.ln().clamp(-MOST_EVIDENCE, MOST_EVIDENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_spelt_unlike_the_others_surprise() {
        let key = Key::from_seed(1);
        let mut types = types();
        let syllables = ["ba", "ne", "ri", "to", "lu", "ma"];
        let words: Vec<String> = (0..216).map(|i| [i % 6, i / 6 % 6, i / 36].map(|s| syllables[s]).concat()).collect();
        for word in words.iter().map(String::as_str).chain(["tq"]) {
            see(&mut types, &key, crate::derive::word_hash(&key, word), word);
        }
        let spelling = Spelling::of(&types);
        let surprise = |word: &str| spelling.surprise(&key, crate::derive::word_hash(&key, word), word);
        let usual = words.iter().map(|w| surprise(w)).fold(0.0, f64::max);
        assert!(surprise("tq") > 1.5 * usual, "{} against {usual}", surprise("tq"));
    }

    #[test]
    fn a_place_between_former_neighbours_is_a_gap() {
        let key = Key::from_seed(1);
        let (mut gaps, mut slots) = (Beside::new(12), Beside::new(12));
        for _ in 0..100 {
            gaps.add(&key, [10, 11]);
            gaps.add(&key, [20, 21]);
            slots.add(&key, [10, 21]);
        }
        assert!(put_there(&key, &gaps, &slots, [10, 11]) > 0.5);
        assert!(put_there(&key, &gaps, &slots, [10, 21]) < -0.5);
    }
}
