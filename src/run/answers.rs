//! The classes that the answers of an instruction set make: what many of them repeat.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use arrow::array::ArrayRef;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::data::answer::{Answers, Kind, OTHER, Part, answers, parts, refuses};
use crate::data::{Class, Key, Label, MAX_TEXT_BYTES, Source};
use crate::error::{Error, Result};
use crate::stats::counter::{Counter, DEPTH};

use super::look::{Look, look};
use super::outcome::Progress;

/// Binary logarithm of the cells of the sketch that the first read fills, 8 MiB.
const BITS: u32 = 20;
/// Most parts that the second read counts.
const MOST_COUNTED: usize = 65_536;
/// Fewest rows that share anything.
const LEAST: u32 = 6;
/// Of the rows with the most frequent wording that refuses, the part that has the next one, at least, for refusals to be of several wordings.
const SEVERAL_WORDINGS: f64 = 0.2;
/// Characters of an answer that a class is named by.
const SHOWN: usize = 80;

/// Fewest rows that share a part, and most classes of it, by kind. What an answer begins with, or says in one of its
/// sentences, repeats by nature more often than the whole of it.
fn bounds(kind: Kind) -> (u32, usize) {
    match kind {
        Kind::Whole => (LEAST, 64),
        Kind::Host => (LEAST, 16),
        Kind::Refusal => (LEAST, 1),
        Kind::End | Kind::Start => (10, 32),
        Kind::Sentence => (10, 16),
    }
}

/// A part that may make a class: its kind, how often it comes, how it reads.
#[derive(Serialize, Deserialize)]
pub(super) struct Counted {
    kind: Kind,
    rows: u32,
    said: String,
    /// Whether it is an answer that refuses.
    refuses: bool,
}

impl Counted {
    fn new(part: &Part<'_>) -> Self {
        Self { kind: part.kind, rows: 0, said: shown(part.said), refuses: part.kind == Kind::Whole && refuses(part.said) }
    }

    /// The same words are written in many ways; the first by bytes names them, in whatever order rows come.
    fn add(&mut self, rows: u32, said: String) {
        self.rows = self.rows.saturating_add(rows);
        if said < self.said {
            self.said = said;
        }
    }
}

/// Reads a column of answers three times: (1) sketches how often each part comes, (2) counts the frequent ones, (3) counts
/// the rows of each class. Nothing depends on the order of the rows.
pub(super) fn read_answers(source: &dyn Source, column: usize, name: &str, key: Key, progress: &dyn Progress) -> Result<(Label, u64)> {
    let Sketched { sketch, rows, nulls } = look(source, column, &Sketch { key }, progress)?;
    let floor = sketch.floor(MOST_COUNTED, LEAST);
    let counted = look(source, column, &Frequent { key, sketch, floor }, progress)?;
    let kept = keep(counted);
    let classes = Answers::new((1..).zip(&kept).map(|(class, (hash, part))| (*hash, class, part.kind)));
    let of_class = look(source, column, &Classes { key, parts: classes, count: kept.len() + 1 }, progress)?;
    let of = |class: usize| of_class.get(class).copied().unwrap_or(0);
    // Classes whose rows all belong to classes before them are no classes.
    let mut names = vec![Class { name: "otherwise".to_owned(), rows: of(OTHER as usize) }];
    let mut used = Vec::new();
    for ((hash, part), rows) in kept.iter().zip((1..).map(of)).filter(|(_, rows)| *rows > 0) {
        used.push((*hash, names.len() as u32, part.kind));
        names.push(Class { name: part.kind.name(&part.said), rows });
    }
    let used = Answers::new(used);
    Ok((Label::of_answers(column, name.to_owned(), names, nulls, used), rows))
}

/// How often each part of an answer comes, about.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sketch {
    key: Key,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
pub(super) struct Sketched {
    sketch: Counter,
    rows: u64,
    nulls: u64,
}

impl Look for Sketch {
    type Found = Sketched;

    fn open(&self) -> Sketched {
        Sketched { sketch: Counter::new(BITS, DEPTH), rows: 0, nulls: 0 }
    }

    fn observe(&self, found: &mut Sketched, cells: &ArrayRef) {
        each_answer(cells, |answer| {
            found.rows += 1;
            match answer {
                Some(answer) => distinct(&self.key, answer).into_iter().for_each(|part| found.sketch.add(part.hash, 1)),
                None => found.nulls += 1,
            }
        });
    }

    fn merge(&self, into: &mut Sketched, from: Sketched) -> Result<()> {
        if !into.sketch.merge(&from.sketch) {
            return Err(Error::Wire { code: "answers".to_owned(), reason: "a sketch of another shape".to_owned() });
        }
        into.rows += from.rows;
        into.nulls += from.nulls;
        Ok(())
    }
}

/// How often exactly the frequent parts come, by hash.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Frequent {
    key: Key,
    sketch: Counter,
    floor: u32,
}

impl Look for Frequent {
    type Found = BTreeMap<u64, Counted>;

    fn open(&self) -> Self::Found {
        BTreeMap::new()
    }

    fn observe(&self, found: &mut Self::Found, cells: &ArrayRef) {
        each_answer(cells, |answer| {
            for part in answer.map_or_else(Vec::new, |answer| distinct(&self.key, answer)) {
                if self.sketch.estimate(part.hash) >= self.floor {
                    found.entry(part.hash).or_insert_with(|| Counted::new(&part)).add(1, shown(part.said));
                }
            }
        });
    }

    fn merge(&self, into: &mut Self::Found, from: Self::Found) -> Result<()> {
        for (hash, part) in from {
            match into.entry(hash) {
                Entry::Occupied(mut held) => held.get_mut().add(part.rows, part.said),
                Entry::Vacant(free) => drop(free.insert(part)),
            }
        }
        Ok(())
    }
}

/// Rows of each class, by its index.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Classes {
    key: Key,
    parts: Answers,
    count: usize,
}

impl Look for Classes {
    type Found = Vec<u64>;

    fn open(&self) -> Vec<u64> {
        vec![0; self.count]
    }

    fn observe(&self, found: &mut Vec<u64>, cells: &ArrayRef) {
        each_answer(cells, |answer| {
            if let Some(slot) = answer.and_then(|answer| found.get_mut(self.parts.class_of(&self.key, answer) as usize)) {
                *slot += 1;
            }
        });
    }

    fn merge(&self, into: &mut Vec<u64>, from: Vec<u64>) -> Result<()> {
        into.iter_mut().zip(from).for_each(|(rows, more)| *rows += more);
        Ok(())
    }
}

/// Calls back with every answer, cut to [`MAX_TEXT_BYTES`].
fn each_answer(cells: &ArrayRef, mut take: impl FnMut(Option<&str>)) {
    for answer in &answers(cells) {
        take(answer.map(|a| &a[..a.floor_char_boundary(MAX_TEXT_BYTES)]));
    }
}

/// Distinct parts of an answer.
fn distinct<'a>(key: &Key, answer: &'a str) -> Vec<Part<'a>> {
    let mut seen = FxHashSet::default();
    let mut parts = parts(key, answer);
    parts.retain(|part| seen.insert(part.hash));
    parts
}

fn shown(said: &str) -> String {
    match said.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

/// The parts that make classes: of each kind the most frequent, in the order of kinds and then of frequency.
fn keep(counted: BTreeMap<u64, Counted>) -> Vec<(u64, Counted)> {
    let mut parts: Vec<(u64, Counted)> = counted.into_iter().filter(|(_, part)| part.rows >= bounds(part.kind).0).collect();
    parts.sort_by(|(a, x), (b, y)| x.kind.cmp(&y.kind).then(y.rows.cmp(&x.rows)).then(a.cmp(b)));
    // What refuses in several wordings has in common that it refuses, not one of the wordings.
    let wordings: Vec<u32> = parts.iter().filter(|(_, part)| part.refuses).map(|(_, part)| part.rows).take(2).collect();
    if matches!(wordings[..], [first, second] if f64::from(second) >= SEVERAL_WORDINGS * f64::from(first)) {
        parts.retain(|(_, part)| !part.refuses);
    }
    let mut of_kind: FxHashMap<Kind, usize> = FxHashMap::default();
    parts.retain(|(_, part)| {
        let count = of_kind.entry(part.kind).or_default();
        *count += 1;
        *count <= bounds(part.kind).1
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds and rows of the classes that answers make, each given so many times.
    fn kept(answers: &[(&str, u32)]) -> Vec<(Kind, u32)> {
        let key = Key::from_seed(1);
        let mut counted = BTreeMap::new();
        for (answer, rows) in answers {
            for part in distinct(&key, answer) {
                counted.entry(part.hash).or_insert_with(|| Counted::new(&part)).add(*rows, shown(part.said));
            }
        }
        keep(counted).into_iter().map(|(_, part)| (part.kind, part.rows)).filter(|(kind, _)| *kind <= Kind::Refusal).collect()
    }

    #[test]
    fn refusals_of_several_wordings_are_one_class() {
        let wordings = [("I cannot do that.", 20), ("Sorry, but I will not.", 9), ("Yes.", 30)];
        assert_eq!(kept(&wordings), [(Kind::Whole, 30), (Kind::Refusal, 29)]);
        let one = [("I cannot do that.", 60), ("Sorry, but I will not.", 9), ("Yes.", 30)];
        assert_eq!(kept(&one), [(Kind::Whole, 60), (Kind::Whole, 30), (Kind::Whole, 9), (Kind::Refusal, 69)]);
    }
}
