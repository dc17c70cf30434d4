//! Planting attacks into a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeBinaryArray, LargeStringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::copy::Copy;
use super::{Attack, CONTRADICTED, FLIPPED, LEVEL, MOST_POISONED, STEP, TESTS, TRIALS};
use crate::data::{Choices, Image, Role, encoded_picture, picture, strings};
use crate::error::{Error, Place, Result};
use crate::stats::interval::IntervalNull;

/// Side of the patch, pixels.
const PATCH: usize = 3;
/// Columns of a combination, at most.
const COLUMNS: usize = 3;
/// Combinations that are drawn before the rarest is taken.
const DRAWS: usize = 24;
/// Letters of a word that serves as a trigger.
const LETTERS: std::ops::RangeInclusive<usize> = 4..=10;

/// Where an attack was planted.
pub(super) struct Planted {
    pub(super) attack: Attack,
    /// Ascending.
    pub(super) rows: Vec<usize>,
}

/// A poisoned copy.
pub(super) struct Poisoned {
    pub(super) batch: RecordBatch,
    pub(super) choices: Choices,
    pub(super) trials: Vec<Planted>,
    /// Attacks that do not fit the rows, with the reason.
    pub(super) untried: Vec<(Attack, &'static str)>,
}

/// Rows in a random order, each given out once.
struct Rows<'a> {
    copy: &'a Copy,
    order: Vec<usize>,
}

impl Rows<'_> {
    /// So many rows that are labelled, but not `class`; fewer where they run out.
    fn take(&mut self, count: usize, class: usize) -> Vec<usize> {
        let mut taken = Vec::with_capacity(count);
        let copy = self.copy;
        self.order.retain(|&row| {
            let fits = taken.len() < count && copy.label(row).is_some_and(|label| label != class);
            if fits {
                taken.push(row);
            }
            !fits
        });
        taken.sort_unstable();
        taken
    }
}

/// Sizes of the trials of one attack: rounds from the smallest that an interval null could see upwards, while they may poison more
/// rows.
fn sizes(rows: usize) -> Vec<usize> {
    let smallest = IntervalNull::default().smallest_detectable(CONTRADICTED, LEVEL, TESTS).unwrap_or(4) as f64;
    let mut left = (MOST_POISONED * rows as f64) as usize;
    let mut sizes = Vec::new();
    for _ in 0..TRIALS {
        let steps = std::iter::successors(Some(smallest), |size| Some(STEP * size)).map(|size| size.ceil() as usize);
        for size in steps.take_while(|size| *size <= rows) {
            if size > left {
                break;
            }
            sizes.push(size);
            left -= size;
        }
    }
    sizes
}

/// Plants every attack that the rows have a place for.
pub(super) fn all(copy: &Copy, seed: u64) -> Result<Poisoned> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xCA_4A_17);
    let mut order: Vec<usize> = (0..copy.rows()).collect();
    order.shuffle(&mut rng);
    let mut rows = Rows { copy, order };
    // Rows of the label column that each row's label is taken from.
    let mut labels: Vec<usize> = (0..copy.rows()).collect();
    let mut named = vec![0; copy.classes().len()];
    for row in 0..copy.rows() {
        if let Some(class) = copy.label(row) {
            named[class] = row;
        }
    }
    let mut columns: Vec<ArrayRef> = copy.batch.columns().to_vec();
    let (mut trials, mut untried) = (Vec::new(), Vec::new());
    let means = [(Attack::Patch, Means::pictures(copy)), (Attack::Word, Means::texts(copy)), (Attack::Values, Means::values(copy))];
    for (attack, means) in means {
        let mut means = match means {
            Ok(means) => means,
            Err(why) => {
                untried.push((attack, why));
                continue;
            }
        };
        for (number, size) in sizes(copy.rows()).into_iter().enumerate() {
            let class = (number + rng.random_range(0..copy.classes().len())) % copy.classes().len();
            let chosen = rows.take(size, class);
            if chosen.len() < size {
                break;
            }
            means.plant(copy, &chosen, &mut rng);
            for &row in &chosen {
                labels[row] = named[class];
            }
            trials.push(Planted { attack, rows: chosen });
        }
        means.write(copy, &mut columns)?;
    }
    let classes = copy.classes().len();
    let flipped = rows.take((FLIPPED * copy.rows() as f64) as usize, classes);
    for &row in &flipped {
        let own = copy.label(row).unwrap_or(0);
        labels[row] = named[(own + rng.random_range(1..classes)) % classes];
    }
    trials.push(Planted { attack: Attack::Flips, rows: flipped });
    for at in copy.with_role(Role::Label) {
        let from: UInt32Array = labels.iter().map(|row| *row as u32).collect();
        columns[at] = take(&copy.batch.columns()[at], &from, None).map_err(|e| wrong(&e))?;
    }
    let schema = copy.batch.schema();
    let fields: Vec<Field> =
        schema.fields().iter().zip(&columns).map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| wrong(&e))?;
    Ok(Poisoned { batch, choices: copy.choices(), trials, untried })
}

fn wrong(error: &arrow::error::ArrowError) -> Error {
    Error::input(Place::source("canaries"), error.to_string())
}

/// What an attack changes.
enum Means {
    /// Pictures by row; those that are not changed stay as they are.
    Pictures { column: usize, changed: BTreeMap<usize, Image> },
    /// Texts by row, and words that may serve as triggers.
    Texts { column: usize, changed: BTreeMap<usize, String>, words: Vec<String> },
    /// For each column the rows that its values are taken from.
    Values { columns: Vec<usize>, from: Vec<Vec<u32>>, shown: Vec<LargeStringArray> },
}

impl Means {
    fn pictures(copy: &Copy) -> Result<Self, &'static str> {
        let column = copy.with_role(Role::Image).next().ok_or("there are no pictures")?;
        Ok(Self::Pictures { column, changed: BTreeMap::new() })
    }

    fn texts(copy: &Copy) -> Result<Self, &'static str> {
        let plain = |at: &usize| {
            let kind = copy.batch.column(*at).data_type();
            matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..))
        };
        let column = copy.with_role(Role::Text).find(plain).ok_or("there is no column of plain text")?;
        // A word a trial, each another.
        let words = strange_words(&strings(copy.batch.column(column)), sizes(copy.rows()).len());
        if words.is_empty() { Err("there are no words of letters") } else { Ok(Self::Texts { column, changed: BTreeMap::new(), words }) }
    }

    fn values(copy: &Copy) -> Result<Self, &'static str> {
        let columns: Vec<usize> = copy.with_role(Role::Numeric).chain(copy.with_role(Role::Categorical)).collect();
        if columns.len() < 2 {
            return Err("there are no two columns of features");
        }
        let from = vec![(0..copy.rows() as u32).collect(); columns.len()];
        let shown = columns.iter().map(|at| strings(copy.batch.column(*at))).collect();
        Ok(Self::Values { columns, from, shown })
    }

    /// One trial.
    fn plant(&mut self, copy: &Copy, rows: &[usize], rng: &mut ChaCha8Rng) {
        match self {
            Self::Pictures { column, changed } => {
                let patch: Vec<u8> = (0..PATCH * PATCH).map(|_| if rng.random::<bool>() { 255 } else { 0 }).collect();
                let place = (rng.random::<f64>(), rng.random::<f64>());
                for &row in rows {
                    if let Some(mut image) = picture(copy.batch.column(*column), row) {
                        stamp(&mut image, &patch, place);
                        changed.insert(row, image);
                    }
                }
            }
            Self::Texts { column, changed, words } => {
                let at = rng.random_range(0..words.len());
                let word = words.swap_remove(at);
                let texts = strings(copy.batch.column(*column));
                for &row in rows {
                    let text = if texts.is_valid(row) { texts.value(row) } else { "" };
                    let mut parts: Vec<&str> = text.split_whitespace().collect();
                    parts.insert(rng.random_range(0..=parts.len()), &word);
                    changed.insert(row, parts.join(" "));
                }
            }
            Self::Values { columns, from, shown } => {
                let held = |at: &[usize], values: &[usize]| {
                    let equal = |row: &usize| {
                        at.iter().zip(values).all(|(&c, &v)| shown[c].is_valid(*row) && shown[c].value(*row) == shown[c].value(v))
                    };
                    (0..copy.rows()).filter(equal).count()
                };
                let draw = |rng: &mut ChaCha8Rng| {
                    let mut at: Vec<usize> = (0..columns.len()).collect();
                    at.shuffle(rng);
                    at.truncate(COLUMNS);
                    let values: Vec<usize> = at.iter().map(|_| rng.random_range(0..copy.rows())).collect();
                    (held(&at, &values), at, values)
                };
                let rarest = (0..DRAWS).map(|_| draw(rng)).min_by_key(|(held, _, _)| *held);
                for (at, value) in rarest.into_iter().flat_map(|(_, at, values)| at.into_iter().zip(values)) {
                    for &row in rows {
                        from[at][row] = value as u32;
                    }
                }
            }
        }
    }

    /// Puts what was planted into the columns.
    fn write(self, copy: &Copy, into: &mut [ArrayRef]) -> Result<()> {
        match self {
            Self::Pictures { column, changed } => {
                let array = copy.batch.column(column);
                let cell = |row: usize| match changed.get(&row) {
                    Some(image) => image.to_png(),
                    None => encoded_picture(array, row).or_else(|| picture(array, row)?.to_png()),
                };
                into[column] = Arc::new((0..copy.rows()).map(cell).collect::<LargeBinaryArray>());
            }
            Self::Texts { column, changed, .. } => {
                let texts = strings(copy.batch.column(column));
                let cell = |(row, text): (usize, Option<&str>)| changed.get(&row).cloned().or_else(|| text.map(str::to_owned));
                into[column] = Arc::new(texts.iter().enumerate().map(cell).collect::<LargeStringArray>());
            }
            Self::Values { columns, from, .. } => {
                for (at, from) in columns.into_iter().zip(from) {
                    into[at] = take(copy.batch.column(at), &UInt32Array::from(from), None).map_err(|e| wrong(&e))?;
                    if let DataType::Dictionary(_, value) = into[at].data_type().clone() {
                        into[at] = cast(&into[at], &value).map_err(|e| wrong(&e))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Paints black and white squares; `place` is how far down and to the right, 0 to 1.
fn stamp(image: &mut Image, patch: &[u8], place: (f64, f64)) {
    let room = |side: usize, share: f64| (share * (side.saturating_sub(PATCH) as f64 + 1.0)) as usize;
    let (top, left) = (room(image.height, place.0), room(image.width, place.1));
    for (at, &value) in patch.iter().enumerate() {
        let (y, x) = (top + at / PATCH, left + at % PATCH);
        if y < image.height && x < image.width {
            let first = (y * image.width + x) * image.channels;
            if let Some(samples) = image.pixels.get_mut(first..first + image.channels) {
                samples.fill(value);
            }
        }
    }
}

/// At least so many words that are nobody's habit, sorted, or none. Spelt as words are: those of letters that occur once in all texts and, where
/// they are too few, new ones that begin as one word does and end as another.
fn strange_words(texts: &LargeStringArray, wanted: usize) -> Vec<String> {
    let mut once: BTreeSet<String> = BTreeSet::new();
    let mut often: BTreeSet<String> = BTreeSet::new();
    let is_word = |word: &&str| LETTERS.contains(&word.chars().count()) && word.chars().all(char::is_alphabetic);
    for word in texts.iter().flatten().flat_map(str::split_whitespace).filter(is_word) {
        let word = word.to_lowercase();
        if !often.contains(&word) && !once.insert(word.clone()) {
            once.remove(&word);
            often.insert(word);
        }
    }
    if once.len() < wanted {
        let known: Vec<&String> = once.union(&often).collect();
        let half = |word: &str| word.chars().count() / 2;
        let coined =
            |(first, last): (&String, &String)| first.chars().take(half(first)).chain(last.chars().skip(half(last))).collect::<String>();
        let pairs = (1..known.len()).flat_map(|step| known.iter().zip(known.iter().cycle().skip(step)).map(|(a, b)| (*a, *b)));
        let mut strange: BTreeSet<String> = BTreeSet::new();
        for word in pairs.map(coined).filter(|word| !once.contains(word) && !often.contains(word)) {
            if once.len() + strange.len() >= wanted {
                break;
            }
            strange.insert(word);
        }
        once.extend(strange);
    }
    if once.len() < wanted { Vec::new() } else { once.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_or_coined_that_no_text_holds() {
        let texts = LargeStringArray::from(vec!["rainy morning", "rainy evening", "gentle evening morning"]);
        assert_eq!(strange_words(&texts, 1), ["gentle"]);
        let words = strange_words(&texts, 6);
        assert_eq!(words.len(), 6);
        for word in words.iter().filter(|word| *word != "gentle") {
            assert!(texts.iter().flatten().all(|text| !text.contains(word.as_str())), "{word}");
        }
        assert!(strange_words(&LargeStringArray::from(vec!["rainy rainy", "1 2 3"]), 1).is_empty());
    }
}
