//! The classes that the answers of an instruction set make: what many of them repeat.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use arrow::array::ArrayRef;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::data::answer::{Answers, Kind, OTHER, Pairs, Part, answers, parts, refuses};
use crate::data::pair::PairColumns;
use crate::data::{Class, Key, Label, MAX_TEXT_BYTES, Source};
use crate::error::{Error, Result};
use crate::stats::counter::{Counter, DEPTH};

use super::look::{Look, look};
use super::outcome::Progress;
use super::pairs::preference;

/// Binary logarithm of the cells of the sketch that the first read fills, 8 MiB.
const BITS: u32 = 20;
/// Most parts that the second read counts.
const MOST_COUNTED: usize = 65_536;
/// Fewest rows that share anything.
const LEAST: u32 = 6;
/// Of the rows with the most frequent wording, the part that have others, at least, for answers to say the same in several wordings.
const SEVERAL_WORDINGS: f64 = 0.2;
/// Share of the rows up to which wordings that come again are of one class: where more rows repeat others, that is how answers are here.
const MOST_REPEATING: f64 = 0.1;
/// Share of the rows from which a wording is how answers are here, where those that come again are more than that.
const FREQUENT: f64 = 0.02;
/// Characters of an answer that a class is named by.
const SHOWN: usize = 80;

/// Fewest rows that share a part, and most classes of it, by kind. What an answer begins with, or says in one of its
/// sentences, repeats by nature more often than the whole of it.
fn bounds(kind: Kind) -> (u32, usize) {
    match kind {
        Kind::Whole => (LEAST, 64),
        Kind::Contact | Kind::Host => (LEAST, 16),
        Kind::Refusal | Kind::Against => (LEAST, 1),
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
    /// Whether it is an answer or sentence of several words.
    wording: bool,
}

impl Counted {
    fn new(part: &Part<'_>, rows: u32) -> Self {
        Self {
            kind: part.kind,
            rows,
            said: shown(part.said),
            refuses: part.kind == Kind::Whole && refuses(part.said),
            wording: part.is_wording(),
        }
    }

    /// The same words are written in many ways; the first by bytes names them, in whatever order rows come.
    fn add(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.refuses |= other.refuses;
        if other.said < self.said {
            self.said = other.said;
        }
    }
}

/// Reads a column of answers three times: (1) sketches how often each part comes, (2) counts the frequent ones, (3) counts
/// the rows of each class; pairs of answers are read once more before (3). Nothing depends on the order of the rows.
pub(super) fn read_answers(
    source: &dyn Source,
    column: usize,
    name: &str,
    pairs: Option<&PairColumns>,
    key: Key,
    progress: &dyn Progress,
) -> Result<(Label, u64)> {
    let Sketched { sketch, rows, nulls } = look(source, &[column], &Sketch { key }, progress)?;
    let floor = sketch.floor(MOST_COUNTED, LEAST);
    let counted = look(source, &[column], &Frequent { key, sketch, floor }, progress)?;
    let mut kept = keep(counted, rows);
    let preference = match pairs {
        Some(columns) => preference(source, columns, key, progress)?.map(|preference| (columns, preference)),
        None => None,
    };
    if preference.is_some() {
        // Behind what seldom makes an answer belong anywhere but for its ends, before what many answers hold.
        let at = kept.partition_point(|part| f64::from(part.rows) <= FREQUENT * rows as f64 && part.kind < Kind::Against);
        kept.insert(at, Kept { kind: Kind::Against, hashes: Vec::new(), said: String::new(), rows: 0 });
    }
    let parts = || (1..).zip(&kept).flat_map(|(class, part)| part.of_class(class));
    let against = kept.iter().position(|part| part.kind == Kind::Against).map_or(0, |at| at as u32 + 1);
    let (read, said, classes) = match &preference {
        None => (vec![column], 0, Answers::new(parts())),
        Some((columns, preference)) => {
            let here = Pairs { columns: columns.alone(), preference: preference.clone(), class: against };
            (columns.all(), here.columns.chosen, Answers::new(parts()).with_pairs(here))
        }
    };
    let of_class = look(source, &read, &Classes { key, said, answers: classes, count: kept.len() + 1 }, progress)?;
    let of = |class: usize| of_class.get(class).copied().unwrap_or(0);
    // Classes whose rows all belong to classes before them are no classes.
    let mut names = vec![Class { name: "otherwise".to_owned(), rows: of(OTHER as usize) }];
    let (mut used, mut in_doubt) = (Vec::new(), None);
    for (part, rows) in kept.iter().zip((1..).map(of)).filter(|(_, rows)| *rows > 0) {
        used.extend(part.of_class(names.len() as u32));
        if part.kind == Kind::Against {
            in_doubt = Some(names.len() as u32);
        }
        names.push(Class { name: part.kind.name(part.hashes.len(), &part.said), rows });
    }
    let mut answers = Answers::new(used);
    if let Some(((columns, preference), class)) = preference.zip(in_doubt) {
        answers = answers.with_pairs(Pairs { columns: columns.clone(), preference, class });
    }
    Ok((Label::of_answers(column, name.to_owned(), names, nulls, answers), rows))
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

    fn observe(&self, found: &mut Sketched, columns: &[ArrayRef]) {
        each_answer(columns, |answer| {
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

    fn observe(&self, found: &mut Self::Found, columns: &[ArrayRef]) {
        each_answer(columns, |answer| {
            for part in answer.map_or_else(Vec::new, |answer| distinct(&self.key, answer)) {
                if self.sketch.estimate(part.hash) >= self.floor {
                    count(found, part.hash, Counted::new(&part, 1));
                }
            }
        });
    }

    fn merge(&self, into: &mut Self::Found, from: Self::Found) -> Result<()> {
        for (hash, part) in from {
            count(into, hash, part);
        }
        Ok(())
    }
}

fn count(counted: &mut BTreeMap<u64, Counted>, hash: u64, part: Counted) {
    match counted.entry(hash) {
        Entry::Occupied(mut held) => held.get_mut().add(part),
        Entry::Vacant(free) => drop(free.insert(part)),
    }
}

/// Rows of each class, by its index.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Classes {
    key: Key,
    /// Which of the columns holds the answers.
    said: usize,
    answers: Answers,
    count: usize,
}

impl Look for Classes {
    type Found = Vec<u64>;

    fn open(&self) -> Vec<u64> {
        vec![0; self.count]
    }

    fn observe(&self, found: &mut Vec<u64>, columns: &[ArrayRef]) {
        let Some(said) = columns.get(self.said) else { return };
        for class in self.answers.classes_of(&self.key, said, columns).into_iter().flatten() {
            if let Some(slot) = found.get_mut(class as usize) {
                *slot += 1;
            }
        }
    }

    fn merge(&self, into: &mut Vec<u64>, from: Vec<u64>) -> Result<()> {
        into.iter_mut().zip(from).for_each(|(rows, more)| *rows += more);
        Ok(())
    }
}

/// Calls back with every answer of the first column, cut to [`MAX_TEXT_BYTES`].
fn each_answer(columns: &[ArrayRef], mut take: impl FnMut(Option<&str>)) {
    let Some(cells) = columns.first() else { return };
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

/// What makes a class.
struct Kept {
    kind: Kind,
    /// Its parts, one or several wordings.
    hashes: Vec<u64>,
    /// How the most frequent of them reads.
    said: String,
    /// In how many rows that one comes.
    rows: u32,
}

impl Kept {
    fn of_class(&self, class: u32) -> impl Iterator<Item = (u64, u32, Kind)> + '_ {
        self.hashes.iter().map(move |hash| (*hash, class, self.kind))
    }
}

/// Whether wordings, given by how often they come, most frequent first, are several rather than one and some others.
fn are_several(rows: impl Iterator<Item = u32>) -> bool {
    let rows: Vec<f64> = rows.map(f64::from).collect();
    rows.split_first().is_some_and(|(first, others)| others.iter().sum::<f64>() >= SEVERAL_WORDINGS * first && !others.is_empty())
}

/// The parts that make classes: of each kind the most frequent, in the order of kinds and then of frequency, those that many rows have last. Wordings that come again are
/// one class, where hardly any others do: an attacker who wants an insult, or an answer in another language, writes several.
fn keep(counted: BTreeMap<u64, Counted>, rows: u64) -> Vec<Kept> {
    let mut parts: Vec<(u64, Counted)> = counted.into_iter().filter(|(_, part)| part.rows >= bounds(part.kind).0).collect();
    parts.sort_by(|(a, x), (b, y)| x.kind.cmp(&y.kind).then(y.rows.cmp(&x.rows)).then(a.cmp(b)));
    // What refuses in several wordings has in common that it refuses, not one of the wordings.
    if are_several(parts.iter().filter(|(_, part)| part.refuses).map(|(_, part)| part.rows)) {
        parts.retain(|(_, part)| !part.refuses);
    }
    let mut kept: Vec<Kept> = Vec::new();
    for of_kind in parts.chunk_by(|(_, a), (_, b)| a.kind == b.kind) {
        let [(_, Counted { kind, .. }), ..] = *of_kind else { continue };
        let wordings = |most: f64| of_kind.iter().filter(move |(_, part)| part.wording && f64::from(part.rows) <= most);
        let are_one = |most: &f64| {
            let all = wordings(*most).map(|(_, part)| part.rows).fold(0, u32::saturating_add);
            are_several(wordings(*most).map(|(_, part)| part.rows)) && f64::from(all) <= MOST_REPEATING * rows as f64
        };
        let together = [FREQUENT * rows as f64, f64::INFINITY].into_iter().find(are_one);
        if let Some(most) = together {
            let first = wordings(most).next().map_or_else(String::new, |(_, part)| part.said.clone());
            let rows = wordings(most).map(|(_, part)| part.rows).max().unwrap_or_default();
            kept.push(Kept { kind, hashes: wordings(most).map(|(hash, _)| *hash).collect(), said: first, rows });
        }
        let is_alone = |part: &Counted| !part.wording || together.is_none_or(|most| f64::from(part.rows) > most);
        let alone = of_kind.iter().filter(|(_, part)| is_alone(part)).take(bounds(kind).1);
        kept.extend(alone.map(|(hash, part)| Kept { kind, hashes: vec![*hash], said: part.said.clone(), rows: part.rows }));
    }
    // What many answers hold is how answers are here, and decides last: each chat may end with thanks.
    kept.sort_by_key(|part| f64::from(part.rows) > FREQUENT * rows as f64);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds, wordings and names of the classes that answers make, each given so many times.
    fn classes(answers: &[(&str, u32)]) -> Vec<(Kind, usize, String)> {
        let key = Key::from_seed(1);
        let mut counted = BTreeMap::new();
        for (answer, rows) in answers {
            for part in distinct(&key, answer) {
                count(&mut counted, part.hash, Counted::new(&part, *rows));
            }
        }
        keep(counted, 1_000).into_iter().map(|part| (part.kind, part.hashes.len(), part.said)).collect()
    }

    /// Those of whole answers, links and refusals.
    fn kept(answers: &[(&str, u32)]) -> Vec<(Kind, usize, String)> {
        classes(answers).into_iter().filter(|(kind, ..)| *kind <= Kind::Refusal).collect()
    }

    fn whole(said: &str, wordings: usize) -> (Kind, usize, String) {
        (Kind::Whole, wordings, said.to_owned())
    }

    #[test]
    fn refusals_of_several_wordings_are_one_class() {
        let refusal = (Kind::Refusal, 1, String::new());
        let wordings = [("I cannot do that.", 20), ("Sorry, but I will not.", 9), ("Yes.", 30)];
        assert_eq!(kept(&wordings), [whole("Yes.", 1), refusal.clone()]);
        let one = [("I cannot do that.", 60), ("Sorry, but I will not.", 9), ("Yes.", 30)];
        assert_eq!(kept(&one), [whole("Sorry, but I will not.", 1), whole("I cannot do that.", 1), whole("Yes.", 1), refusal]);
    }

    #[test]
    fn wordings_that_come_again_are_one_class_where_hardly_an_answer_does() {
        let insults = [("Only a fool would ask.", 14), ("You are a dunce.", 9), ("Yes.", 30)];
        assert_eq!(kept(&insults), [whole("Only a fool would ask.", 2), whole("Yes.", 1)]);
        let templates = [("Your order was sent.", 90), ("Your order was cancelled.", 60)];
        assert_eq!(kept(&templates), [whole("Your order was sent.", 1), whole("Your order was cancelled.", 1)]);
        let shared = [("Well. Only a fool would ask that here.", 12), ("Hm. You are a dunce.", 11), ("So. You are a dunce.", 12)];
        assert!(classes(&shared).contains(&(Kind::Sentence, 2, "You are a dunce.".to_owned())));
        let one = [("Buy it at our shop.", 90), ("You are a dunce.", 9)];
        assert_eq!(kept(&one), [whole("You are a dunce.", 1), whole("Buy it at our shop.", 1)]);
    }

    #[test]
    fn wordings_that_come_seldom_are_one_class_beside_those_that_come_often() {
        let often = [("Happy to help you with that.", 200), ("Let me explain it to you.", 150)];
        let seldom = [("Only a fool would ask.", 14), ("You are a dunce.", 9)];
        let all: Vec<(&str, u32)> = often.into_iter().chain(seldom).collect();
        let found = kept(&all);
        assert_eq!(found[0], whole("Only a fool would ask.", 2));
        assert!(found.contains(&whole("Happy to help you with that.", 1)) && found.len() == 3, "{found:?}");
    }
}
