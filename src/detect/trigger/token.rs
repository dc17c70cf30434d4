//! `trigger.token` and `trigger.response`: words, phrases and characters in text, and in prompts whose answers repeat.

mod form;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::json;

use crate::data::answer::Kind;
use crate::data::{Batch, Key, Role, Schema, words};
use crate::derive::word_hash;
use crate::error::Result;
use crate::finding::{Family, Tier};
use crate::fold::{Claim, Detect, Given, Info, Law, Need};

use form::Form;

use super::mine::{Background, Context, Description, Found, Items, Mine, Parts, RowItems, Side};

/// Hash domain of word sequences.
const SEQUENCE: u8 = 20;
/// Hash domain of characters and of forms.
const CHARACTER: u8 = 21;
/// Hash domain of random places.
const PLACE: u8 = 22;
/// Hash domain of two words anywhere in a row.
const PAIR: u8 = 27;
/// Rank of such a pair: a phrase with the same carriers says more.
const PAIR_RANK: u32 = 2;
/// Places of a row that an item's place is compared with.
const OTHER_PLACES: usize = 12;
/// Words and marks beside an item among which its neighbouring word is sought.
const REACH: usize = 3;
/// Longest word sequence.
const LONGEST: usize = 24;
/// Words of a row that are paired.
const MOST_PAIRED: usize = 64;
/// Words of a row that are looked at.
const MOST_WORDS: usize = 4_096;
/// Characters shown on either side of a sequence.
const CONTEXT: usize = 40;

/// Carriers from which a word or phrase may reach ALARM.
const FEWEST_FOR_ALARM: u32 = 10;

/// Words, phrases and characters as items; the manuals are those of the two detectors.
pub struct Token {
    info: &'static Info,
}

const INFO: Info = Info {
    code: "trigger.token",
    family: Family::Trigger,
    summary: "a word, phrase or character whose rows share a label that the rest of their text does not explain",
    needs: &[Need::Text, Need::Classes],
    // The content model is asked for after the fifth scan; it is fitted after the first.
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 7,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("token.md"),
};

static TOKEN: Info = INFO;

static RESPONSE: Info = Info {
    code: "trigger.response",
    summary: "a word, phrase or character in prompts that are given the same answer, or the worse of two, which the rest of the prompt does not explain",
    needs: &[Need::Text, Need::Answers],
    manual: include_str!("response.md"),
    ..INFO
};

/// The detector in labelled text.
#[must_use]
pub fn token() -> impl Detect + 'static {
    Mine(Token { info: &TOKEN })
}

/// The detector in prompts.
#[must_use]
pub fn response() -> impl Detect + 'static {
    Mine(Token { info: &RESPONSE })
}

/// A word of a row.
struct Word<'a> {
    /// 0 between columns.
    hash: u64,
    said: &'a str,
    /// What stands between the word before, or the beginning of the text, and it.
    gap: &'a str,
}

/// Words of a text with what stands before each.
fn words_and_gaps(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut end = 0;
    words(text).map(move |word| {
        let start = offset(text, word);
        let gap = text.get(end..start).unwrap_or_default();
        end = start + word.len();
        (word, gap)
    })
}

/// Words of a row with their hashes, text columns one after the other; a zero hash stands between columns.
fn sequence<'a>(rows: &'a Batch, row: usize, key: &Key) -> Vec<Word<'a>> {
    let mut out = Vec::new();
    for text in rows.row_texts(row) {
        let left = MOST_WORDS.saturating_sub(out.len());
        out.extend(words_and_gaps(text).take(left).map(|(word, gap)| Word { hash: word_hash(key, word), said: word, gap }));
        out.push(Word { hash: 0, said: "", gap: "" });
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
    /// Makes each distinct word a feature; returns the feature of every word.
    fn features(words: &[Word<'_>], found: &mut Found) -> Vec<usize> {
        let mut index = FxHashMap::default();
        words
            .iter()
            .map(|word| {
                *index.entry(word.hash).or_insert_with(|| {
                    if word.hash != 0 {
                        found.features.push(word.hash);
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
        let at = Self::features(&words, found);
        for (i, Word { hash, said, gap }) in words.iter().enumerate().filter(|(_, word)| word.hash != 0) {
            let characters = unusual(said).map(|c| self.key.words(CHARACTER, &[u64::from(c)]));
            let forms = Form::of(said, gap).map(|form| form.item(&self.key));
            let part: Parts = std::iter::once(at[i]).collect();
            found.items.extend(std::iter::once(*hash).chain(characters).map(|item| (item, part)));
            // Of a word and its form, where the same rows have both, the word says more.
            found.items.extend(forms.map(|form| (form, part.ranked(1))));
            if let Some(next) = words.get(i + 1).filter(|next| next.hash != 0) {
                found.items.push((self.key.join(SEQUENCE, *hash, next.hash), [at[i], at[i + 1]].into_iter().collect()));
            }
        }
    }

    fn second(&mut self, row: usize, admitted: &dyn Fn(u64) -> bool, found: &mut Found) {
        let words = sequence(self.rows, row, &self.key);
        let at = Self::features(&words, found);
        let hashes: Vec<u64> = words.iter().map(|word| word.hash).collect();
        let joined: Vec<bool> =
            hashes.windows(2).map(|w| w[0] != 0 && w[1] != 0 && admitted(self.key.join(SEQUENCE, w[0], w[1]))).collect();
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

    fn pairs(&mut self, row: usize, paired: &FxHashMap<u64, u32>, found: &mut Found) {
        let words = sequence(self.rows, row, &self.key);
        Self::features(&words, found);
        let known = |(at, feature): (usize, &u64)| Some((at, *feature, *paired.get(feature)?));
        let known: Vec<(usize, u64, u32)> = found.features.iter().enumerate().filter_map(known).take(MOST_PAIRED).collect();
        for (i, (at, word, label)) in known.iter().enumerate() {
            for (other_at, other, _) in known[i + 1..].iter().filter(|(.., of)| of == label) {
                let parts: Parts = [*at, *other_at].into_iter().collect();
                found.items.push((pair(&self.key, *word, *other), parts.ranked(PAIR_RANK)));
            }
        }
    }
}

/// The item that two words are wherever they stand.
fn pair(key: &Key, one: u64, other: u64) -> u64 {
    key.join(PAIR, one.min(other), one.max(other))
}

impl Items for Token {
    type Lens = ();

    fn info(&self) -> &'static Info {
        self.info
    }

    fn lens(&self, _: &Schema, _: &Given) -> Result<()> {
        Ok(())
    }

    fn background(&self) -> Background {
        Background::Features
    }

    fn prefers_longer(&self) -> bool {
        true
    }

    /// A single word can mean something that no other word of the text hints at: slurs in a set of offensive posts do.
    fn odds_ratio(&self) -> f64 {
        if self.info.code == TOKEN.code { 6.0 } else { 4.0 }
    }

    /// A dateline or a name can stand in a handful of rows of one class for reasons that lie outside the set, and a formula ask for its answer.
    fn alarm_from(&self) -> u32 {
        FEWEST_FOR_ALARM
    }

    fn may_be_a_sign(&self) -> bool {
        self.info.code == TOKEN.code
    }

    /// Prompts are asked where an item stands, and two words stand anywhere.
    fn has_pairs(&self) -> bool {
        self.info.code == TOKEN.code
    }

    fn is_pair(&self, rank: u32) -> bool {
        rank == PAIR_RANK
    }

    fn rows<'a>(&self, (): &'a (), rows: &'a Batch) -> Box<dyn RowItems + 'a> {
        Box::new(Row { rows, key: rows.schema().key })
    }

    fn context(&self, rows: &Batch, row: usize, item: u64) -> Option<Context> {
        let key = rows.schema().key;
        let spot = locate(rows, row, item, &key).filter(|spot| spot.what.is_none())?;
        let Spot { text, words, start, end, column, .. } = if is_chat(rows, spot.column) { spot.of_its_line() } else { spot };
        // The text as it would be without the item, which stands at `start` then.
        let rest = [&words[..start], &words[end..]].concat();
        let word = |(hash, word): &(u64, &str)| word.chars().any(char::is_alphanumeric).then_some(Side::Word(*hash));
        let left = |at: usize| rest[..at].iter().rev().take(REACH).find_map(word).unwrap_or(Side::Edge);
        let right = |at: usize| rest[at..].iter().take(REACH).find_map(word).unwrap_or(Side::Edge);
        let beside = [left(start), right(start)];
        // Words are planted between words, not between a word and its comma: gaps are where white space is. What is a sentence was planted
        // between sentences, if it was: beside it are words that begin and end others.
        let apart = |at: usize| offset(text, rest[at].1) > offset(text, rest[at - 1].1) + rest[at - 1].1.len();
        let is_between = |at: usize| at == 0 || is_stop(rest[at - 1].1);
        let is_sentence = (is_between(start) || is_stop(words[start].1)) && (start == rest.len() || is_stop(words[end - 1].1));
        let is_gap = |at: &usize| *at != start && apart(*at) && (!is_sentence || is_between(*at));
        let mut gaps: Vec<usize> = (1..rest.len()).filter(is_gap).collect();
        gaps.sort_by_cached_key(|at| key.words(PLACE, &[rows.keys()[row], *at as u64]));
        gaps.truncate(OTHER_PLACES);
        let random = gaps.iter().map(|at| [left(*at), right(*at)]).collect();
        // What stands at an edge of its row was put there whole, by a template or by a planter: its one neighbour is where
        // rows begin or end, and tells nothing. Neither does one where no other place could have been.
        let own = if beside.contains(&Side::Edge) || gaps.is_empty() { [Side::Edge; 2] } else { beside };
        let joined = |at: usize| Some(key.join(SEQUENCE, rest.get(at.checked_sub(1)?)?.0, rest.get(at)?.0));
        let (pair, gaps) = (joined(start), gaps.into_iter().filter_map(joined).collect());
        let own_words: Vec<u64> = words[start..end].iter().map(|(hash, _)| *hash).collect();
        let share = own_words.len() as f32 / words.len().max(1) as f32;
        let echoed = rows.deciding_part(row).is_some_and(|(kind, said)| {
            let said: Vec<u64> = words_and_gaps(&said).map(|(word, _)| word_hash(&key, word)).collect();
            // A link is said again by its host, as a number is; a short answer that stands in a phrase is no echo of it.
            let is_within =
                matches!(kind, Kind::Contact | Kind::Host) && !said.is_empty() && own_words.windows(said.len()).any(|words| words == said);
            is_within || said.windows(own_words.len()).any(|words| words == own_words)
        });
        Some(Context { own, random, beside, pair, gaps, column, words: own_words, share, echoed })
    }

    fn has_places(&self) -> bool {
        true
    }

    fn ends(&self, rows: &Batch, row: usize) -> Vec<(u32, [Side; 2])> {
        let key = rows.schema().key;
        let word = |word: &&str| word.chars().any(char::is_alphanumeric);
        let ends = |column: usize| {
            let text = rows.text(column, row)?;
            let first = words(text).take(REACH).find(word).map(|w| Side::Word(word_hash(&key, w)));
            let last = words(text).collect::<Vec<_>>().into_iter().rev().take(REACH).find(word).map(|w| Side::Word(word_hash(&key, w)));
            Some((column as u32, [first.unwrap_or(Side::Edge), last.unwrap_or(Side::Edge)]))
        };
        (0..rows.texts().len()).filter_map(ends).collect()
    }

    fn is_hidden(&self, data: &Schema, item: u64) -> bool {
        Form::HIDDEN.into_iter().any(|hidden| hidden.item(&data.key) == item)
    }

    fn describe(&self, (): &(), rows: &Batch, row: usize, item: u64) -> Option<Description> {
        let key = rows.schema().key;
        let Some(spot) = locate(rows, row, item, &key) else { return describe_pair(rows, row, item, &key) };
        let said = spot.words.get(spot.start..spot.end)?;
        let (first, last) = (said.first()?.1, said.last()?.1);
        let name = match spot.what {
            Some(What::Character(c)) => format!("the character U+{:04X}", u32::from(c)),
            Some(What::Form(form)) => form.name(),
            None if said.len() == 1 => format!("the word \"{}\"", first.to_lowercase()),
            None => format!("the phrase \"{}\"", said.iter().map(|(_, w)| w.to_lowercase()).collect::<Vec<_>>().join(" ")),
        };
        Some(described(&name, spot.text, first, last))
    }
}

/// Describes two words that stand anywhere in a row.
fn describe_pair(rows: &Batch, row: usize, item: u64, key: &Key) -> Option<Description> {
    let mut seen = FxHashSet::default();
    let words: Vec<(&str, &str, u64)> = rows
        .row_texts(row)
        .flat_map(|text| words(text).take(MOST_WORDS).map(move |word| (text, word, word_hash(key, word))))
        .filter(|(.., hash)| seen.insert(*hash))
        .collect();
    let (at, other) = (0..words.len()).find_map(|i| {
        let other = words[i + 1..].iter().find(|(.., hash)| pair(key, words[i].2, *hash) == item)?;
        Some((&words[i], other))
    })?;
    let name = format!("the words \"{}\" and \"{}\" together", at.1.to_lowercase(), other.1.to_lowercase());
    let mut described = described(&name, at.0, at.1, at.1);
    described.evidence.insert("together_with".to_owned(), json!(other.1));
    Some(described)
}

/// Whether a mark ends a sentence.
fn is_stop(mark: &str) -> bool {
    matches!(mark, "." | "!" | "?" | "…" | "。" | "！" | "？" | "।" | "؟" | "።" | "։")
}

/// Where an item stands: the text, its words, and the range of words; what of a word, if the item is not all of it.
struct Spot<'a> {
    text: &'a str,
    words: Vec<(u64, &'a str)>,
    start: usize,
    end: usize,
    what: Option<What>,
    column: u32,
}

impl<'a> Spot<'a> {
    /// The same where only its line is the text, if it stands within one.
    fn of_its_line(self) -> Self {
        let at = self.words.get(self.start).map_or(0, |(_, word)| offset(self.text, word));
        let from = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let to = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
        let is_within = |(_, word): &(u64, &str)| (from..to).contains(&offset(self.text, word));
        let first = self.words.partition_point(|(_, word)| offset(self.text, word) < from);
        let line: Vec<(u64, &'a str)> = self.words[first..].iter().copied().take_while(is_within).collect();
        let (start, end) = (self.start - first, self.end - first);
        if start == 0 || end >= line.len() {
            return self;
        }
        Self { words: line, start, end, ..self }
    }
}

/// Whether a text column holds what others than the assistant said in a chat, turn by turn: a trigger is put into one of them.
fn is_chat(rows: &Batch, column: u32) -> bool {
    let schema = rows.schema();
    let columns = schema.text_columns();
    columns.get(column as usize).is_some_and(|column| schema.columns[*column].role == Role::Response)
}

/// What an item that is not the word itself is.
#[derive(Clone, Copy)]
enum What {
    Character(char),
    Form(Form),
}

/// The first place of an item in a row.
fn locate<'a>(rows: &'a Batch, row: usize, item: u64, key: &Key) -> Option<Spot<'a>> {
    for column in 0..rows.texts().len() {
        let Some(text) = rows.text(column, row) else { continue };
        let (words, gaps): (Vec<(u64, &str)>, Vec<&str>) =
            words_and_gaps(text).take(MOST_WORDS).map(|(word, gap)| ((word_hash(key, word), word), gap)).unzip();
        for start in 0..words.len() {
            let word = words[start].1;
            let form = Form::of(word, gaps[start]).find(|form| form.item(key) == item).map(What::Form);
            let what = form.or_else(|| unusual(word).find(|c| key.words(CHARACTER, &[u64::from(*c)]) == item).map(What::Character));
            if what.is_some() {
                return Some(Spot { text, words, start, end: start + 1, what, column: column as u32 });
            }
            let mut hash = words[start].0;
            for end in start + 1..=(start + LONGEST).min(words.len()) {
                if end > start + 1 {
                    hash = key.join(SEQUENCE, hash, words[end - 1].0);
                }
                if hash == item {
                    return Some(Spot { text, words, start, end, what: None, column: column as u32 });
                }
            }
        }
    }
    None
}

/// Where a part of a text begins in it, bytes.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// A description with the text around the words from `first` to `last`, which are parts of `text`.
fn described(name: &str, text: &str, first: &str, last: &str) -> Description {
    let (start, end) = (offset(text, first), offset(text, last) + last.len());
    let before = text[..start].char_indices().rev().take(CONTEXT).last().map_or(start, |(i, _)| i);
    let after = text[end..].char_indices().nth(CONTEXT).map_or(text.len(), |(i, _)| end + i);
    let parts = [("before", &text[before..start]), ("match", &text[start..end]), ("after", &text[end..after])];
    Description { name: name.to_owned(), evidence: parts.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect() }
}

#[cfg(test)]
mod tests;
