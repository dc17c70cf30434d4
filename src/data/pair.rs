//! Pairs of answers of a preference set: does the chosen one read like those that are chosen elsewhere?
//!
//! A pair is the difference between what two answers to one prompt are like. What sets chosen answers apart in the whole set is learnt
//! from the differences alone (`stats/preference.rs`); a pair is judged by weights that were fitted without it.

use arrow::array::{Array, ArrayRef, LargeStringArray};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::answer::{answers, last_turn, prompts, refuses};
use super::batch::texts;
use super::key::Key;
use super::word::words;

/// Hash domain of pairs, and of their parts.
const PAIR: u8 = 41;
const PART: u8 = 43;
/// Hash domain of the words of answers.
const WORD: u8 = 42;
/// Bytes of a prompt or an answer that are looked at.
const MOST_BYTES: usize = 8_192;
/// Characters from which a word says what a text is about, rather than how it is built.
const LONG_WORD: usize = 4;
/// Characters of a run that prompt and answer may share.
const RUN: usize = 4;
/// What an answer is like: [`Like::measures`].
pub const MEASURES: usize = 20;
/// Cells that the words of an answer are hashed into.
const CELLS: usize = 128;
/// Length of the vector of an answer's words, in units of a measure's usual difference.
const WORDS_WEIGH: f32 = 3.0;
/// Farthest that a measure goes, in units of its usual difference.
const FARTHEST: f64 = 4.0;
/// Parts into which pairs fall by hash; each is judged by weights fitted on the others.
pub const FOLDS: usize = 4;

/// The columns that pairs are read from, by their position among those that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairColumns {
    /// Text columns, which hold prompts.
    pub texts: Vec<usize>,
    /// The answers that are chosen.
    pub chosen: usize,
    /// Those that are turned down.
    pub rejected: usize,
}

impl PairColumns {
    /// All of them, ascending.
    #[must_use]
    pub fn all(&self) -> Vec<usize> {
        let mut all = self.texts.clone();
        all.extend([self.chosen, self.rejected]);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The same columns where only [`Self::all`] are read.
    #[must_use]
    pub fn alone(&self) -> Self {
        let all = self.all();
        let at = |column: &usize| all.partition_point(|other| other < column);
        Self { texts: self.texts.iter().map(at).collect(), chosen: at(&self.chosen), rejected: at(&self.rejected) }
    }

    /// Calls back with each row's texts; `None` where an answer is null, or both are the same.
    pub fn each(&self, columns: &[ArrayRef], mut take: impl FnMut(Option<&Texts<'_>>)) {
        let (Some(chosen), Some(rejected)) = (columns.get(self.chosen), columns.get(self.rejected)) else { return };
        let mut asked: Vec<LargeStringArray> = self.texts.iter().filter_map(|at| columns.get(*at)).map(texts).collect();
        asked.push(prompts(chosen));
        let (chosen, rejected) = (answers(chosen), answers(rejected));
        for row in 0..chosen.len() {
            let pair = answer(&chosen, row).zip(answer(&rejected, row)).filter(|(chosen, rejected)| chosen != rejected);
            let asked = || asked.iter().filter(|texts| texts.is_valid(row)).map(|texts| end(texts.value(row))).collect();
            take(pair.map(|(chosen, rejected)| Texts { asked: asked(), chosen, rejected }).as_ref());
        }
    }
}

/// The beginning of a row's last answer.
fn answer(answers: &LargeStringArray, row: usize) -> Option<&str> {
    answers.is_valid(row).then(|| start(last_turn(answers.value(row))))
}

/// The beginning of an answer.
fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_BYTES)]
}

/// The end of a prompt, where the last question stands.
fn end(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(MOST_BYTES))..]
}

/// A prompt and its two answers.
pub struct Texts<'a> {
    asked: Vec<&'a str>,
    chosen: &'a str,
    rejected: &'a str,
}

impl Texts<'_> {
    /// The same for equal prompts with equal answers.
    #[must_use]
    pub fn hash(&self, key: &Key) -> u64 {
        let mut hasher = key.hasher(PAIR);
        for text in self.asked.iter().copied().chain([self.chosen, self.rejected]) {
            hasher.part(text.as_bytes());
        }
        hasher.finish64()
    }

    /// How the answers differ.
    #[must_use]
    pub fn pair(&self, key: &Key) -> Pair {
        let prompt = Prompt::new(self.asked.iter().copied());
        let (is, is_not) = (Like::new(key, &prompt, self.chosen), Like::new(key, &prompt, self.rejected));
        let measures = is.measures.iter().zip(&is_not.measures).map(|(a, b)| (a - b) as f32);
        let words = is.words.iter().zip(&is_not.words).map(|(a, b)| WORDS_WEIGH * (a - b));
        // Equal answers fall into one part, whatever was asked: no pair is judged by its copy.
        let mut hasher = key.hasher(PART);
        hasher.part(self.chosen.as_bytes());
        hasher.part(self.rejected.as_bytes());
        Pair { part: (hasher.finish64() % FOLDS as u64) as usize, differs: measures.chain(words).collect() }
    }
}

/// What a prompt holds that its answer may say again.
struct Prompt {
    words: FxHashSet<String>,
    runs: FxHashSet<[char; RUN]>,
    /// Words of [`LONG_WORD`] characters or more.
    long: usize,
}

impl Prompt {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut words, mut runs) = (FxHashSet::default(), FxHashSet::default());
        for text in texts {
            let lower = text.to_lowercase();
            words.extend(self::words(&lower).map(str::to_owned));
            runs.extend(self::runs(&lower));
        }
        let long = words.iter().filter(|word| is_long(word)).count();
        Self { words, runs, long }
    }
}

fn is_long(word: &str) -> bool {
    word.chars().nth(LONG_WORD - 1).is_some()
}

/// Runs of characters.
fn runs(text: &str) -> FxHashSet<[char; RUN]> {
    let characters: Vec<char> = text.chars().collect();
    characters.windows(RUN).filter_map(|run| run.try_into().ok()).collect()
}

/// What an answer is like.
struct Like {
    /// Length, variety, what it shares with its prompt, and how it is written.
    measures: [f64; MEASURES],
    /// Its words, hashed with signs, of length 1.
    words: [f32; CELLS],
}

impl Like {
    fn new(key: &Key, prompt: &Prompt, answer: &str) -> Self {
        let lower = answer.to_lowercase();
        let all: Vec<&str> = words(&lower).collect();
        let distinct: FxHashSet<&str> = all.iter().copied().collect();
        Self { measures: Self::measures(prompt, answer, &lower, &all, &distinct), words: Self::cells(key, &distinct) }
    }

    fn measures(prompt: &Prompt, answer: &str, lower: &str, all: &[&str], distinct: &FxHashSet<&str>) -> [f64; MEASURES] {
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let spelt: Vec<usize> =
            all.iter().filter(|word| word.starts_with(char::is_alphanumeric)).map(|word| word.chars().count()).collect();
        let long = distinct.iter().filter(|word| is_long(word)).count();
        let both = distinct.iter().filter(|word| is_long(word) && prompt.words.contains(**word)).count();
        let runs = runs(lower);
        let runs_in_both = runs.iter().filter(|run| prompt.runs.contains(*run)).count();
        let characters = answer.chars().count();
        let of = |is: fn(char) -> bool| share(answer.chars().filter(|c| is(*c)).count(), characters);
        let ends_with = |marks: &[char]| f64::from(answer.trim_end().ends_with(marks));
        [
            (all.len() as f64).ln_1p(),
            (characters as f64).ln_1p(),
            share(distinct.len(), all.len()),
            share(all.iter().filter(|word| prompt.words.contains(**word)).count(), all.len()),
            share(both, prompt.long),
            share(both, long),
            (both as f64).ln_1p(),
            share(runs_in_both, prompt.runs.len()),
            share(runs_in_both, runs.len()),
            share(spelt.iter().sum(), spelt.len()),
            share(spelt.iter().filter(|length| **length < LONG_WORD).count(), spelt.len()),
            share(all.len() - spelt.len(), all.len()),
            of(char::is_uppercase),
            of(char::is_numeric),
            of(|c| c == '!'),
            (answer.lines().count() as f64).sqrt(),
            ends_with(&['.', '!', '?', '…', '。', '！', '？', '।', '؟', '"', '”', ')']),
            ends_with(&['?', '？', '؟']),
            f64::from(answer.trim_start().starts_with(char::is_uppercase)),
            f64::from(refuses(answer)),
        ]
    }

    fn cells(key: &Key, words: &FxHashSet<&str>) -> [f32; CELLS] {
        let mut cells = [0.0f32; CELLS];
        #[allow(clippy::iter_over_hash_type)] // sums of whole numbers do not depend on the order
        for word in words {
            let hash = key.bytes(WORD, word.as_bytes());
            cells[hash as usize % CELLS] += if hash >> 63 == 0 { 1.0 } else { -1.0 };
        }
        let length = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt().max(1.0);
        cells.map(|cell| cell / length)
    }
}

/// How the answer that was chosen differs from the one that was turned down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The part that it falls into, below [`FOLDS`].
    pub part: usize,
    /// [`MEASURES`] measures, then the words.
    pub differs: Vec<f32>,
}

impl Pair {
    /// Its coordinates, measures in units of their usual difference.
    #[must_use]
    pub fn scaled(&self, usual: &[f64]) -> Vec<f64> {
        let measure = |(value, usual): (&f32, &f64)| (f64::from(*value) / usual.max(f64::MIN_POSITIVE)).clamp(-FARTHEST, FARTHEST);
        let measures = self.differs.iter().zip(usual).map(measure);
        measures.chain(self.differs.iter().skip(usual.len()).map(|value| f64::from(*value))).collect()
    }
}

/// What is known of what sets chosen answers apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    /// Usual difference of each measure.
    pub usual: Vec<f64>,
    /// For each of [`FOLDS`] parts the weights that were fitted without it.
    pub weights: Vec<Vec<f64>>,
    /// How far from 0 a pair's margin must be for it to be sure.
    pub sure: f64,
}

/// What a pair says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The chosen answer reads like chosen ones.
    With,
    /// It is not sure which does.
    Unsure,
    /// The answer that was turned down does.
    Against,
}

impl Preference {
    /// How much more the chosen answer reads like chosen ones, about 1 on average.
    #[must_use]
    pub fn margin(&self, pair: &Pair) -> f64 {
        let weights = self.weights.get(pair.part).map_or(&[][..], Vec::as_slice);
        pair.scaled(&self.usual).iter().zip(weights).map(|(x, w)| x * w).sum()
    }

    /// What a pair says.
    #[must_use]
    pub fn reading(&self, pair: &Pair) -> Reading {
        match self.margin(pair) {
            margin if margin > self.sure => Reading::With,
            margin if margin < -self.sure => Reading::Against,
            _ => Reading::Unsure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn column(cells: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(cells.to_vec()))
    }

    #[test]
    fn a_pair_is_a_difference_that_changes_sign_when_it_is_swapped() {
        let (key, columns) = (Key::from_seed(3), PairColumns { texts: vec![4], chosen: 9, rejected: 2 });
        assert_eq!((columns.all(), columns.alone()), (vec![2, 4, 9], PairColumns { texts: vec![1], chosen: 2, rejected: 0 }));
        let long = "A harbour is a place where ships lie safe!\nIs it not?";
        let (prompts, short) = (column(&[Some("What is a harbour?"), None, Some(""), None]), [Some("no"), None, Some("Same."), Some("𝔛")]);
        let long = [Some(long), Some("alone"), Some("Same."), Some("")];
        let of = |prompts: &ArrayRef, chosen: &[Option<&str>], rejected: &[Option<&str>]| {
            let mut found = Vec::new();
            let columns = [column(rejected), Arc::clone(prompts), column(chosen)];
            PairColumns { texts: vec![1], chosen: 2, rejected: 0 }
                .each(&columns, |texts| found.push(texts.map(|texts| (texts.hash(&key), texts.pair(&key)))));
            found
        };
        let (there, back) = (of(&prompts, &long, &short), of(&prompts, &short, &long));
        assert_eq!(there.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
        let ((hash, there), (other, back)) = (there[0].as_ref().unwrap(), back[0].as_ref().unwrap());
        assert_eq!(there.differs.len(), MEASURES + CELLS);
        assert!(there.differs.iter().zip(&back.differs).all(|(a, b)| (a + b).abs() < 1e-6) && hash != other);
        // Longer, about what was asked, and a question at its end.
        assert!([0, 1, 4, 6, 8, 15, 17].iter().all(|at| there.differs[*at] > 0.0), "{:?}", &there.differs[..MEASURES]);
        // The same answers to another prompt differ otherwise, and are another entry of the same part.
        let asked = of(&column(&[Some("Who?"), None, None, None]), &long, &short);
        let (another, elsewhere) = asked[0].as_ref().unwrap();
        assert!(another != hash && elsewhere.differs != there.differs && elsewhere.part == there.part);
    }

    #[test]
    fn long_texts_are_read_where_answers_begin_and_prompts_end() {
        let text = format!("ä{}ß", "x".repeat(2 * MOST_BYTES));
        assert!(start(&text).starts_with('ä') && start(&text).len() <= MOST_BYTES);
        assert!(end(&text).ends_with('ß') && end(&text).len() <= MOST_BYTES);
    }

    #[test]
    fn a_pair_is_judged_by_the_weights_of_its_part() {
        let pair = Pair { part: 2, differs: vec![10.0, 0.5] };
        let preference = |sure| Preference { usual: vec![2.0], weights: vec![vec![], vec![], vec![-0.5, 1.0], vec![]], sure };
        assert_eq!(pair.scaled(&[2.0]), [4.0, 0.5]);
        assert!((preference(0.0).margin(&pair) + 1.5).abs() < 1e-12);
        assert_eq!([1.0, 2.0].map(|sure| preference(sure).reading(&pair)), [Reading::Against, Reading::Unsure]);
    }
}
