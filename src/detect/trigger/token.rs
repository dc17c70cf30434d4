//! `trigger.token`: words, phrases and characters in text.

use serde_json::json;

use crate::data::{Batch, Key, Schema};
use crate::derive::{word_hash, words};
use crate::error::Result;
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Detect, Given, Info, Law, Need};

use super::mine::{Background, Description, Found, Items, Mine, Parts, RowItems};

/// Hash domain of word sequences.
const SEQUENCE: u8 = 20;
/// Hash domain of characters.
const CHARACTER: u8 = 21;
/// Longest word sequence.
const LONGEST: usize = 8;
/// Words of a row that are looked at.
const MOST_WORDS: usize = 4_096;
/// Characters shown on either side of a sequence.
const CONTEXT: usize = 40;

#[doc = include_str!("token.md")]
pub struct Token;

static INFO: Info = Info {
    code: "trigger.token",
    family: Family::Trigger,
    summary: "a word, phrase or character whose rows share a label that the rest of their text does not explain",
    needs: &[Need::Text, Need::Classes],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    max_tier: Tier::Alarm,
    manual: include_str!("token.md"),
};

/// The detector.
#[must_use]
pub fn token() -> impl Detect + 'static {
    Mine(Token)
}

/// Words of a row with their hashes, text columns one after the other; a zero hash stands between columns.
fn sequence<'a>(rows: &'a Batch, row: usize, key: &Key) -> Vec<(u64, &'a str)> {
    let mut out = Vec::new();
    for column in 0..rows.texts().len() {
        let Some(text) = rows.text(column, row) else { continue };
        out.extend(words(text).take(MOST_WORDS.saturating_sub(out.len())).map(|w| (word_hash(key, w), w)));
        out.push((0, ""));
    }
    out
}

/// Characters that are neither ASCII nor a letter that the row mostly uses are items of their own: invisible characters and
/// look-alikes sit inside words.
fn unusual(word: &str) -> impl Iterator<Item = char> + '_ {
    word.chars().filter(|c| !c.is_ascii())
}

struct Row<'a> {
    rows: &'a Batch,
    key: Key,
}

impl Row<'_> {
    fn features(&self, words: &[(u64, &str)], found: &mut Found) -> Vec<usize> {
        let mut index = rustc_hash::FxHashMap::default();
        words
            .iter()
            .map(|(hash, _)| {
                *index.entry(*hash).or_insert_with(|| {
                    if *hash != 0 {
                        found.features.push(*hash);
                    }
                    found.features.len().saturating_sub(1)
                })
            })
            .collect()
    }
}

impl RowItems for Row<'_> {
    fn first(&mut self, row: usize, found: &mut Found) {
        let words = sequence(self.rows, row, &self.key);
        let at = self.features(&words, found);
        for (i, (hash, word)) in words.iter().enumerate().filter(|(_, (hash, _))| *hash != 0) {
            found.items.push((*hash, std::iter::once(at[i]).collect()));
            for c in unusual(word) {
                found.items.push((self.key.words(CHARACTER, &[u64::from(c)]), std::iter::once(at[i]).collect()));
            }
            if let Some((next, _)) = words.get(i + 1).filter(|(next, _)| *next != 0) {
                found.items.push((self.key.join(SEQUENCE, *hash, *next), [at[i], at[i + 1]].into_iter().collect()));
            }
        }
    }

    fn second(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, found: &mut Found) {
        let words = sequence(self.rows, row, &self.key);
        let at = self.features(&words, found);
        let hashes: Vec<u64> = words.iter().map(|(hash, _)| *hash).collect();
        let joined: Vec<bool> = hashes.windows(2).map(|w| w[0] != 0 && w[1] != 0 && admitted(self.key.join(SEQUENCE, w[0], w[1]))).collect();
        for start in 0..joined.len() {
            let run = joined[start..].iter().take(LONGEST - 1).take_while(|j| **j).count();
            let mut parts: Parts = at[start..=start + 1].iter().copied().collect();
            let mut phrase = self.key.join(SEQUENCE, hashes[start], hashes[start + 1]);
            for end in start + 2..=start + run {
                phrase = self.key.join(SEQUENCE, phrase, hashes[end]);
                parts.push(at[end]);
                found.items.push((phrase, parts));
            }
        }
    }
}

impl Items for Token {
    type Lens = ();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lens(&self, _: &Schema, _: &Given) -> Result<()> {
        Ok(())
    }

    fn background(&self) -> Background {
        Background::Features
    }

    fn rows<'a>(&self, (): &'a (), rows: &'a Batch) -> Box<dyn RowItems + 'a> {
        Box::new(Row { rows, key: rows.schema().key })
    }

    fn describe(&self, (): &(), rows: &Batch, row: usize, item: u64) -> Option<Description> {
        let key = rows.schema().key;
        for column in 0..rows.texts().len() {
            let Some(text) = rows.text(column, row) else { continue };
            let words: Vec<(u64, &str)> = words(text).take(MOST_WORDS).map(|w| (word_hash(&key, w), w)).collect();
            let hashes: Vec<u64> = words.iter().map(|(hash, _)| *hash).collect();
            for start in 0..words.len() {
                if let Some(c) = unusual(words[start].1).find(|c| key.words(CHARACTER, &[u64::from(*c)]) == item) {
                    return Some(described(&format!("the character U+{:04X}", u32::from(c)), text, words[start].1, words[start].1));
                }
                let mut hash = hashes[start];
                for length in 1..=LONGEST.min(words.len() - start) {
                    if length > 1 {
                        hash = key.join(SEQUENCE, hash, hashes[start + length - 1]);
                    }
                    if hash == item {
                        let kind = if length == 1 { "word" } else { "phrase" };
                        let said = words[start..start + length].iter().map(|(_, w)| w.to_lowercase()).collect::<Vec<_>>().join(" ");
                        return Some(described(&format!("the {kind} \"{said}\""), text, words[start].1, words[start + length - 1].1));
                    }
                }
            }
        }
        None
    }
}

/// A description with the text around the words from `first` to `last`, which are parts of `text`.
fn described(name: &str, text: &str, first: &str, last: &str) -> Description {
    let offset = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let (start, end) = (offset(first), offset(last) + last.len());
    let before = text[..start].char_indices().rev().take(CONTEXT).last().map_or(start, |(i, _)| i);
    let after = text[end..].char_indices().nth(CONTEXT).map_or(text.len(), |(i, _)| end + i);
    let parts = [("before", &text[before..start]), ("match", &text[start..end]), ("after", &text[end..after])];
    Description { name: name.to_owned(), evidence: parts.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect() }
}
