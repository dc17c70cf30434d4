//! Which words together are a trigger: unions of words that were shortlisted without a look at labels.
//!
//! Of the `m` words that are spelt least like the others, any `k` could have been named for any of `K` labels; each
//! level `m`, each `k` and each label gets an equal share of the error, and within it each of the `C(m, k)` unions.

use std::collections::BTreeSet;

use crate::stats::interval::{IntervalNull, IntervalParams};
use crate::stats::tail::ln_binomial_sf;

/// Sizes of shortlist from which unions are formed.
pub(super) const LEVELS: [usize; 4] = [6, 12, 24, 48];
/// Most words of which one union is made.
const MOST_WORDS: usize = 24;
/// Odds that the null allows the label over those that content gives it. One word may lean to a label by itself as far
/// as it likes; words that were put together without a look at labels lean in different directions.
const ODDS_RATIO: f64 = 2.0;
/// Share of a word's rows, and of a union's, that must have the label.
const PURITY: f64 = 0.9;
/// Corrected p-value up to which a union is certain.
const LEVEL: f64 = 0.001;
/// Words that may be expected to join a certain union by chance.
const JOINING: f64 = 0.5;

/// A shortlisted word with its rows.
pub(super) struct Candidate {
    /// Keys and labels of its distinct rows.
    pub(super) rows: Vec<(u64, Option<u32>)>,
    /// Mean probability of each class over its rows, without any of them.
    pub(super) background: Vec<f64>,
}

/// A union of words with its test.
#[derive(Debug, Clone)]
pub(super) struct Union {
    /// Positions in the shortlist, strongest first.
    pub(super) words: Vec<usize>,
    /// The label that its rows share.
    pub(super) label: u32,
    /// ln of the number of unions that could have been named in its place.
    pub(super) ln_tests: f64,
    ln_p: f64,
}

impl Union {
    fn corrected(&self) -> f64 {
        self.ln_p + self.ln_tests
    }
}

/// The null hypothesis.
pub(super) fn null() -> IntervalNull {
    let params = IntervalParams { odds_ratio: ODDS_RATIO, min_purity: PURITY, relaxed_purity: PURITY, ..IntervalParams::default() };
    IntervalNull::new(params).unwrap_or_default()
}

fn ln_choose(n: usize, k: usize) -> f64 {
    (1..=k.min(n)).map(|i| ((n - k.min(n) + i) as f64 / i as f64).ln()).sum()
}

/// One label's view of one word.
struct View {
    word: usize,
    ln_p: f64,
}

/// A union from the smallest shortlist that makes one certain, else the one with the smallest corrected p-value; then
/// widened by what agrees with it. `None` where one word alone, or none, says it best. `used` words are passed over.
/// Backgrounds of unions are those of their words, weighted by rows: what is chosen here must be judged again without all of
/// its carriers.
pub(super) fn choose(short: &[Candidate], classes: u32, used: &BTreeSet<usize>) -> Option<Union> {
    let null = null();
    let mut best: Option<Union> = None;
    for level in LEVELS {
        let size = level.min(short.len());
        for label in 0..classes {
            let views = views(&short[..size], label, used, &null);
            for k in 1..=views.len().min(MOST_WORDS) {
                let words: Vec<usize> = views[..k].iter().map(|v| v.word).collect();
                let Some(ln_p) = ln_p(short, &words, label, &null) else { continue };
                let union = Union { words, label, ln_tests: ln_tests(size, k, classes), ln_p };
                if best.as_ref().is_none_or(|b| union.corrected() < b.corrected()) {
                    best = Some(union);
                }
            }
        }
        if size < level || best.as_ref().is_some_and(|b| b.words.len() > 1 && b.corrected() <= LEVEL.ln()) {
            break;
        }
    }
    let union = widened(short, best?, classes, used, &null);
    (union.words.len() > 1).then_some(union)
}

/// ln of the number of unions of `k` of `size` words that could have been named, with the shares of shortlists, sizes and
/// labels.
fn ln_tests(size: usize, k: usize, classes: u32) -> f64 {
    ln_choose(size, k) + (LEVELS.len() as f64 * size.min(MOST_WORDS) as f64 * f64::from(classes)).ln()
}

/// Words that mostly have the label, those that say it most clearly first.
fn views(short: &[Candidate], label: u32, used: &BTreeSet<usize>, null: &IntervalNull) -> Vec<View> {
    let mut views: Vec<View> = (0..short.len())
        .filter(|word| !used.contains(word))
        .filter_map(|word| {
            let rows = &short[word].rows;
            let agreeing = rows.iter().filter(|(_, l)| *l == Some(label)).count();
            let background = *short[word].background.get(label as usize)?;
            let share = agreeing as f64 / rows.len().max(1) as f64;
            let ln_p = ln_binomial_sf(agreeing as u64, rows.len() as u64, null.null_rate(background));
            (share >= PURITY - 0.1 && share > background).then_some(View { word, ln_p })
        })
        .collect();
    views.sort_by(|a, b| a.ln_p.total_cmp(&b.ln_p).then(a.word.cmp(&b.word)));
    views
}

/// Adds words of the next wider shortlist that by themselves point the same way, fewer than one of them by chance, while
/// the union stays certain.
fn widened(short: &[Candidate], mut union: Union, classes: u32, used: &BTreeSet<usize>, null: &IntervalNull) -> Union {
    let farthest = union.words.iter().copied().max().unwrap_or(0);
    let level = LEVELS.into_iter().find(|level| *level >= (2 * (farthest + 1)).max(LEVELS[1])).unwrap_or(LEVELS[LEVELS.len() - 1]);
    let size = level.min(short.len());
    let joins = (JOINING / size.saturating_sub(union.words.len()).max(1) as f64).ln();
    for view in views(&short[..size], union.label, used, null) {
        if union.words.contains(&view.word) || view.ln_p > joins || union.words.len() == MOST_WORDS {
            continue;
        }
        let mut words = union.words.clone();
        words.push(view.word);
        let ln_tests = ln_tests(size, words.len(), classes);
        if let Some(ln_p) = ln_p(short, &words, union.label, null)
            && ln_p + ln_tests <= LEVEL.ln()
        {
            union = Union { words, label: union.label, ln_tests, ln_p };
        }
    }
    union
}

/// Distinct rows of some words.
pub(super) fn carriers(short: &[Candidate], words: &[usize]) -> BTreeSet<(u64, Option<u32>)> {
    words.iter().flat_map(|word| short[*word].rows.iter().copied()).collect()
}

fn ln_p(short: &[Candidate], words: &[usize], label: u32, null: &IntervalNull) -> Option<f64> {
    let rows = carriers(short, words);
    let agreeing = rows.iter().filter(|(_, l)| *l == Some(label)).count();
    if (agreeing as f64) < PURITY * rows.len() as f64 {
        return None;
    }
    let weighted = words.iter().map(|w| (short[*w].rows.len() as f64, short[*w].background.get(label as usize).copied().unwrap_or(1.0)));
    let (sum, weight) = weighted.fold((0.0, 0.0), |(sum, weight), (n, q)| (sum + n * q, weight + n));
    Some(ln_binomial_sf(agreeing as u64, rows.len() as u64, null.null_rate(sum / weight)))
}
