//! Whether an item was put where it stands.
//!
//! Prompts that ask the same thing in many words get the same answer, and share words that no other prompt has; so do the
//! prompts of a planted trigger. The difference is where the words stand. A planted word stands in a gap of a text that was
//! written without it: its neighbours are neighbours of each other in other rows as often as those of any gap are. What
//! stands before or after a whole prompt has beside it what begins or ends other prompts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::items::{Context, Side};
use crate::data::Key;
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::Counter;
use crate::stats::tail::chi_squared_sf;

/// Hash domain of permutations.
const PERMUTED: u8 = 23;
/// Expected count from which on a neighbouring word is a category of its own.
const LEAST_EXPECTED: f64 = 1.5;
/// Carriers with the same neighbouring word from which on it is one in any case.
const REPEATED: f64 = 4.0;
/// Level of the test that words are not from the same distribution.
const LEVEL: f64 = 1e-3;
/// Least excess of its statistic a carrier.
const LEAST_EFFECT: f64 = 0.15;
/// Times that items are put into another gap of their rows.
const PERMUTATIONS: u64 = 199;
/// How many of these may differ as much for items that grew, where that alone decides.
pub(super) const FEW_AS_EXTREME: usize = 3;
/// The same where something else must speak for planting as well.
pub(super) const NONE_AS_EXTREME: usize = 0;
/// Share of a text from which on an item is that text.
const MOST_OF_TEXT: f32 = 2.0 / 3.0;
/// The same from which on it is a part of a template.
const MUCH_OF_TEXT: f32 = 0.3;
/// Rows whose first and last words are kept.
const MOST_ENDS: usize = 8_192;
/// Fewest gaps that must be expected to be found elsewhere for a statement.
const EXPECTED: f64 = 3.0;
/// Share of that number that planted places reach.
const REACHED: f64 = 0.5;
/// Fewest carriers at one end of their rows for a statement about them.
const FEWEST_ENDS: usize = 8;
/// Standard errors by which the mean logarithm of a neighbour's frequency may lie below the others'.
const ERRORS: f64 = 3.0;
/// Share of all carriers about which there must be a statement.
const STATED: f64 = 0.5;
/// Share of all carriers from which on those that stand where language puts them speak against planting.
const AGAINST: f64 = 0.25;
/// Share of the carriers from which on a pair of words that hardly any other rows have is a part of what they share.
const COMPANION: f64 = 0.25;
/// Share of the carriers whose answers say the item, from which on it is what they answer.
const ECHOED: f64 = 0.5;

/// First and last words of some rows, by text column.
pub(super) type Ends = BottomK<Vec<(u32, [Side; 2])>>;

/// What the whole set says about places.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect::trigger) struct Places {
    /// Rows of each pair of words, approximately.
    pub(super) pairs: Counter,
    /// Ends of rows.
    pub(super) ends: Ends,
}

/// Whether answers say the item where they are like others: prompts that ask for one thing are answered alike.
pub(super) fn are_echoed(contexts: &[&Context]) -> bool {
    let echoed = contexts.iter().filter(|context| context.echoed).count();
    echoed > 0 && echoed as f64 >= ECHOED * contexts.len() as f64
}

impl Places {
    /// Nothing seen.
    pub(super) fn new(pairs: Counter) -> Self {
        Self { pairs, ends: BottomK::new(MOST_ENDS) }
    }

    /// Adds what other rows say; false where the sketches have different shapes.
    #[must_use]
    pub(super) fn merge(&mut self, other: Self) -> bool {
        self.ends.merge(other.ends);
        self.pairs.merge(&other.pairs)
    }

    /// Whether the places of an item say that it was planted; `ends` tells whether places at the ends of rows count.
    pub(super) fn planted(&self, contexts: &[&Context], ends: bool, key: &Key) -> bool {
        let (planted, grown) = self.shares(contexts, ends, key);
        planted >= STATED && grown < AGAINST
    }

    /// Whether they say that it grew there.
    pub(super) fn grown(&self, contexts: &[&Context], key: &Key) -> bool {
        let (planted, grown) = self.shares(contexts, true, key);
        grown >= STATED && grown > planted
    }

    /// Whether an item is a part of a template: much of what its rows say, or its rows, of which there are `carriers`, share another pair of words
    /// that hardly any others have.
    pub(super) fn is_of_template(&self, contexts: &[&Context], carriers: u32) -> bool {
        if fills(contexts, MUCH_OF_TEXT) {
            return true;
        }
        let mut shared: BTreeMap<u64, u32> = BTreeMap::new();
        for context in contexts {
            let gaps: BTreeSet<u64> = context.gaps.iter().copied().collect();
            for pair in gaps {
                *shared.entry(pair).or_default() += 1;
            }
        }
        let each = contexts.len() as f64 / f64::from(carriers.max(1));
        let is_companion = |(pair, rows): (&u64, &u32)| {
            let (rows, all) = (f64::from(*rows), each * f64::from(self.pairs.estimate(*pair)));
            rows >= COMPANION * contexts.len() as f64 && rows >= COMPANION * all
        };
        shared.iter().any(is_companion)
    }

    /// Shares of the carriers that stand as planted items do, and where language puts the item; of the rest nothing is known.
    fn shares(&self, contexts: &[&Context], ends: bool, key: &Key) -> (f64, f64) {
        let (mut planted, mut grown) = (0, 0);
        let mut state = |verdict: Option<bool>, carriers: usize| match verdict {
            Some(true) => planted += carriers,
            Some(false) => grown += carriers,
            None => {}
        };
        let inner: Vec<&&Context> = contexts.iter().filter(|c| !c.beside.contains(&Side::Edge)).collect();
        state(self.in_gaps(&inner), inner.len());
        for side in 0..if ends { 2 } else { 0 } {
            let at_end: Vec<&&Context> =
                contexts.iter().filter(|c| c.beside[side] == Side::Edge && c.beside[1 - side] != Side::Edge).collect();
            state(self.at_end(&at_end, side, key), at_end.len());
        }
        let share = |carriers: usize| carriers as f64 / contexts.len().max(1) as f64;
        (share(planted), share(grown))
    }

    /// Whether the neighbours of an item are neighbours of each other elsewhere, as those of random gaps in the same rows are.
    fn in_gaps(&self, contexts: &[&&Context]) -> Option<bool> {
        let elsewhere = |pair: u64, own: u32| self.pairs.estimate(pair) > own;
        let (mut seen, mut expected) = (0.0, 0.0);
        for context in contexts {
            seen += f64::from(u8::from(context.pair.is_some_and(|pair| elsewhere(pair, 0))));
            let again = context.gaps.iter().filter(|gap| elsewhere(**gap, 1)).count();
            expected += again as f64 / context.gaps.len().max(1) as f64;
        }
        (expected >= EXPECTED).then_some(seen >= REACHED * expected)
    }

    /// Whether what stands beside an item at the beginning (side 0) or end (side 1) of rows is what other rows begin or end
    /// with. An item that is in the same rows as more of a template than was planted is asked about each of its parts as well.
    fn at_end(&self, contexts: &[&&Context], side: usize, key: &Key) -> Option<bool> {
        if contexts.len() < FEWEST_ENDS {
            return None;
        }
        let columns: BTreeSet<u32> = contexts.iter().map(|c| c.column).collect();
        let ends = self.ends.iter().flat_map(|(_, _, ends)| ends).filter(|(column, _)| columns.contains(column));
        let others = Others::new(ends.filter_map(|(_, ends)| ends[side].word()).collect());
        let own: Vec<u64> = contexts.iter().filter_map(|c| c.beside[1 - side].word()).collect();
        let within = contexts.first().map_or(&[][..], |c| &c.words);
        let parts = if side == 0 { within.get(1..) } else { within.split_last().map(|(_, rest)| rest) };
        let is_like = others.are_like(&own, key)?;
        Some(is_like || parts.unwrap_or_default().iter().any(|word| others.are_like(&vec![*word; own.len()], key) == Some(true)))
    }
}

/// The words that rows begin or end with.
struct Others {
    words: Vec<u64>,
    counts: BTreeMap<u64, f64>,
    /// Share of the words that other rows begin or end with as well.
    again: f64,
    /// Mean and standard deviation of the logarithm of a word's share among the others.
    moments: (f64, f64),
}

impl Others {
    fn new(words: Vec<u64>) -> Self {
        let counts = counts(&words);
        let again = counts.values().filter(|n| **n > 1.0).sum::<f64>() / (words.len() as f64).max(1.0);
        let mut others = Self { words, counts, again, moments: (0.0, 0.0) };
        others.moments = moments(others.counts.iter().map(|(word, n)| (others.ln_share(*word, 1.0), *n)));
        others
    }

    fn ln_share(&self, word: u64, taken: f64) -> f64 {
        ((self.counts.get(&word).copied().unwrap_or(0.0) - taken + 0.5) / (self.words.len() as f64 + 1.0)).ln()
    }

    /// Whether other words are of the same distribution; `None` where too few of them could be known from these.
    fn are_like(&self, own: &[u64], key: &Key) -> Option<bool> {
        let expected = own.len() as f64 * self.again;
        if expected < EXPECTED {
            return None;
        }
        let known = own.iter().filter(|word| self.counts.contains_key(word)).count() as f64;
        let (own_mean, _) = moments(own.iter().map(|word| (self.ln_share(*word, 0.0), 1.0)));
        let (mean, deviation) = self.moments;
        let error = deviation / (own.len() as f64).max(1.0).sqrt();
        Some(known >= REACHED * expected && own_mean >= mean - ERRORS * error && !differ(own, &self.words, key))
    }
}

fn counts(words: &[u64]) -> BTreeMap<u64, f64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(*word).or_default() += 1.0;
    }
    counts
}

/// Whether an item stands where language puts it. Planted items are put into text that was written without them, so the
/// words beside them are as those beside the other gaps of the same rows; what belongs to a language, a template or a copied
/// article has words of its own beside it. Asked of each side by a statistic of homogeneity, against its values with the item in
/// another gap of each row. Edges and punctuation are left out: triggers may be prefixes, suffixes or sentences.
pub(super) fn grows_here(contexts: &[&Context], key: &Key, most_as_extreme: usize) -> bool {
    (0..2).any(|side| {
        let word = |sides: &[Side; 2]| sides[side].word();
        let gaps =
            |c: &&Context| -> Option<Vec<u64>> { Some(std::iter::once(word(&c.own)?).chain(c.random.iter().filter_map(word)).collect()) };
        let rows: Vec<Vec<u64>> = contexts.iter().filter_map(gaps).collect();
        let with_item_in = |gap: &dyn Fn(usize, usize) -> usize| {
            let (mut own, mut random) = (BTreeMap::new(), BTreeMap::new());
            for (row, words) in rows.iter().enumerate() {
                let chosen = gap(row, words.len());
                for (at, word) in words.iter().enumerate() {
                    *if at == chosen { &mut own } else { &mut random }.entry(*word).or_default() += 1.0;
                }
            }
            homogeneity(&own, &random)
        };
        let Some(found) = with_item_in(&|_, _| 0).filter(Homogeneity::is_doubtful) else { return false };
        let drawn = |draw: u64| with_item_in(&|row, gaps| (key.words(PERMUTED, &[draw, row as u64]) % gaps as u64) as usize);
        let as_extreme = (0..PERMUTATIONS).filter(|draw| drawn(*draw).is_some_and(|other| other.statistic >= found.statistic));
        as_extreme.take(most_as_extreme + 1).count() <= most_as_extreme
    })
}

/// Whether the item is this share of most of its texts, at least.
fn fills(contexts: &[&Context], share: f32) -> bool {
    2 * contexts.iter().filter(|context| context.share >= share).count() > contexts.len()
}

/// Whether most rows hardly say anything but the item: nobody put it into a text that was written without it.
pub(super) fn is_the_text(contexts: &[&Context]) -> bool {
    fills(contexts, MOST_OF_TEXT)
}

/// Whether two samples of words come from clearly different distributions. Where most words are rare the statistic is larger than its
/// distribution says, so it is compared with what it is when the words are dealt to the samples anew.
fn differ(own: &[u64], others: &[u64], key: &Key) -> bool {
    let Some(found) = homogeneity(&counts(own), &counts(others)).filter(Homogeneity::is_doubtful) else { return false };
    let mut all: Vec<u64> = own.iter().chain(others).copied().collect();
    let mut sum = 0.0;
    for draw in 0..PERMUTATIONS {
        for at in 0..own.len() {
            let other = at as u64 + key.words(PERMUTED, &[draw, at as u64]) % (all.len() - at) as u64;
            all.swap(at, other as usize);
        }
        let (own, others) = all.split_at(own.len());
        let dealt = homogeneity(&counts(own), &counts(others)).map_or(0.0, |dealt| dealt.statistic);
        if dealt >= found.statistic {
            return false;
        }
        sum += dealt;
    }
    (found.statistic - sum / PERMUTATIONS as f64) / found.words >= LEAST_EFFECT
}

/// How far two samples of words are from one distribution.
struct Homogeneity {
    /// Pearson's chi-squared.
    statistic: f64,
    freedom: f64,
    /// Words of the first sample.
    words: f64,
}

impl Homogeneity {
    /// Whether the distributions seem to differ, and by an effect that matters: many words make any difference significant.
    fn is_doubtful(&self) -> bool {
        chi_squared_sf(self.statistic, self.freedom) < LEVEL && (self.statistic - self.freedom) / self.words >= LEAST_EFFECT
    }
}

/// Compares two samples of words, of which those that are rare in both are one category. `None` for fewer than four words in either.
fn homogeneity(own: &BTreeMap<u64, f64>, others: &BTreeMap<u64, f64>) -> Option<Homogeneity> {
    let (n, m) = (own.values().sum::<f64>(), others.values().sum::<f64>());
    if n < 4.0 || m < 4.0 {
        return None;
    }
    let share = n / (n + m);
    let (mut statistic, mut categories) = (0.0, 0.0);
    let mut add = |seen: f64, all: f64| {
        let (expected, other) = (all * share, all * (1.0 - share));
        if all > 0.0 {
            statistic += (seen - expected).powi(2) / expected + (all - seen - other).powi(2) / other;
            categories += 1.0;
        }
    };
    let (mut own_rest, mut all_rest) = (0.0, n + m);
    for (word, &seen) in own {
        let all = seen + others.get(word).copied().unwrap_or(0.0);
        // A word that never stands beside the item says nothing of where language puts it.
        if seen >= REPEATED || all * share >= LEAST_EXPECTED {
            add(seen, all);
            all_rest -= all;
        } else {
            own_rest += seen;
        }
    }
    add(own_rest, all_rest);
    Some(Homogeneity { statistic, freedom: f64::max(categories - 1.0, 1.0), words: n })
}

/// Mean and standard deviation of values with weights.
fn moments(values: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let weight = values.clone().map(|(_, w)| w).sum::<f64>().max(1.0);
    let mean = values.clone().map(|(v, w)| v * w).sum::<f64>() / weight;
    (mean, (values.map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / weight).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of which few are frequent, as first words of prompts are.
    fn drawn(count: u64, seed: u64, key: &Key) -> Vec<u64> {
        (0..count).map(|at| ((key.words(0, &[seed, at]) % 1_000_000) as f64 / 1_000.0).sqrt().powi(3) as u64 / 40).collect()
    }

    #[test]
    fn words_of_one_distribution_do_not_differ_however_rare_they_are() {
        let key = Key::from_seed(1);
        let others = drawn(1_000, 1, &key);
        assert_eq!((2..22).filter(|seed| differ(&drawn(180, *seed, &key), &others, &key)).count(), 0);
        let ends = Others::new(others.clone());
        assert!((2..22).all(|seed| ends.are_like(&drawn(180, seed, &key), &key) == Some(true)));
        assert!(differ(&vec![7; 180], &others, &key));
        // Words that no row begins with.
        assert_eq!(ends.are_like(&(10_000..10_180).collect::<Vec<_>>(), &key), Some(false));
        // Where hardly any row begins as another one does, nothing can be said.
        assert_eq!(Others::new((0..1_000).collect()).are_like(&(2_000..2_180).collect::<Vec<_>>(), &key), None);
    }

    #[test]
    fn an_item_is_echoed_where_half_of_the_answers_say_it() {
        let context = |echoed: bool| Context {
            own: [Side::Edge; 2],
            random: Vec::new(),
            beside: [Side::Edge; 2],
            pair: None,
            gaps: Vec::new(),
            column: 0,
            words: Vec::new(),
            share: 0.1,
            echoed,
        };
        let (said, not) = (context(true), context(false));
        assert!(are_echoed(&[&said, &not]) && !are_echoed(&[&said, &not, &not]) && !are_echoed(&[]));
    }
}
