//! The classes that the answers of an instruction set make: what many of them repeat.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::data::answer::{Answers, Kind, OTHER, Part, answers, parts};
use crate::data::{Class, Key, Label, MAX_TEXT_BYTES, Source};
use crate::error::Result;
use crate::stats::counter::{Counter, DEPTH};

use super::outcome::{Progress, go_on};

/// Binary logarithm of the cells of the sketch that the first read fills, 8 MiB.
const BITS: u32 = 20;
/// Most parts that the second read counts.
const MOST_COUNTED: usize = 65_536;
/// Fewest rows that share anything.
const LEAST: u32 = 6;
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
struct Counted {
    kind: Kind,
    rows: u32,
    said: String,
}

/// Reads a column of answers three times: (1) sketches how often each part comes, (2) counts the frequent ones, (3) counts
/// the rows of each class. Nothing depends on the order of the rows.
pub(super) fn read_answers(source: &dyn Source, column: usize, name: &str, key: Key, progress: &dyn Progress) -> Result<(Label, u64)> {
    let mut sketch = Counter::new(BITS, DEPTH);
    let (mut rows, mut nulls) = (0u64, 0u64);
    each_answer(source, column, progress, |answer| {
        rows += 1;
        match answer {
            Some(answer) => distinct(&key, answer).into_iter().for_each(|part| sketch.add(part.hash, 1)),
            None => nulls += 1,
        }
        progress.rows(1);
    })?;
    let floor = sketch.floor(MOST_COUNTED, LEAST);
    let mut counted: FxHashMap<u64, Counted> = FxHashMap::default();
    each_answer(source, column, progress, |answer| {
        for part in answer.map_or_else(Vec::new, |answer| distinct(&key, answer)) {
            if sketch.estimate(part.hash) >= floor {
                let counted = counted.entry(part.hash).or_insert_with(|| Counted { kind: part.kind, rows: 0, said: shown(part.said) });
                counted.rows = counted.rows.saturating_add(1);
                // The same words are written in many ways; the first by bytes names them, in whatever order rows come.
                let said = shown(part.said);
                if said < counted.said {
                    counted.said = said;
                }
            }
        }
    })?;
    let kept = keep(counted);
    let classes = Answers::new((1..).zip(&kept).map(|(class, (hash, part))| (*hash, class, part.kind)));
    let mut of_class = vec![0u64; kept.len() + 1];
    each_answer(source, column, progress, |answer| {
        if let Some(slot) = answer.and_then(|answer| of_class.get_mut(classes.class_of(&key, answer) as usize)) {
            *slot += 1;
        }
    })?;
    // Classes whose rows all belong to classes before them are no classes.
    let mut names = vec![Class { name: "otherwise".to_owned(), rows: of_class[OTHER as usize] }];
    let mut used = Vec::new();
    for ((hash, part), rows) in kept.iter().zip(&of_class[1..]).filter(|(_, rows)| **rows > 0) {
        used.push((*hash, names.len() as u32, part.kind));
        names.push(Class { name: part.kind.name(&part.said), rows: *rows });
    }
    let used = Answers::new(used);
    Ok((Label::of_answers(column, name.to_owned(), names, nulls, used), rows))
}

/// Calls back with every answer, cut to [`MAX_TEXT_BYTES`].
fn each_answer(source: &dyn Source, column: usize, progress: &dyn Progress, mut take: impl FnMut(Option<&str>)) -> Result<()> {
    for batch in source.scan(Some(&[column]))? {
        go_on(progress)?;
        for answer in &answers(batch?.column(0)) {
            take(answer.map(|a| &a[..a.floor_char_boundary(MAX_TEXT_BYTES)]));
        }
    }
    Ok(())
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
fn keep(counted: FxHashMap<u64, Counted>) -> Vec<(u64, Counted)> {
    let mut parts: Vec<(u64, Counted)> = counted.into_iter().filter(|(_, part)| part.rows >= bounds(part.kind).0).collect();
    parts.sort_by(|(a, x), (b, y)| x.kind.cmp(&y.kind).then(y.rows.cmp(&x.rows)).then(a.cmp(b)));
    let mut of_kind: FxHashMap<Kind, usize> = FxHashMap::default();
    parts.retain(|(_, part)| {
        let count = of_kind.entry(part.kind).or_default();
        *count += 1;
        *count <= bounds(part.kind).1
    });
    parts
}
