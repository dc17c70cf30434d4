//! `text.gibberish`: texts that read unlike the set, or say one thing over and over.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Schema};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

/// Hash domain of the seed of cells.
const SEED: u8 = 71;
/// Binary logarithm of the cells that runs of three bytes are counted in, and of those of two.
const BITS: u32 = 18;
const PAIR_BITS: u32 = 16;
/// Bytes of a text that are looked at, and fewest.
const MOST: usize = 4_096;
const FEWEST: usize = 16;
/// Pseudo-count of a byte after two others.
const PSEUDO: f64 = 0.5;
/// Share of distinct runs under which a text repeats itself, and the length from which that is asked.
const REPEATS: f64 = 0.35;
const LONG: usize = 64;
/// Largest score: a ranking stands behind what rules mark.
const LARGEST: f64 = 0.04;

#[doc = include_str!("gibberish.md")]
pub struct Gibberish;

static INFO: Info = Info {
    code: "text.gibberish",
    family: Family::Text,
    summary: "texts that are spelt unlike the rest of the set, or repeat themselves",
    needs: &[Need::Text],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Rank,
    fused: None,
    max_tier: Tier::Review,
    manual: include_str!("gibberish.md"),
};

/// What every worker must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GibberishBrief {
    /// Turns runs into cells.
    seed: u64,
}

/// Counts so far, and later.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GibberishModel {
    seed: u64,
    /// Of runs of three bytes, by cell.
    runs: Vec<u32>,
    /// Of the first two bytes of runs.
    pairs: Vec<u32>,
    /// Bits a byte over the whole set.
    usual: f64,
}

/// How one text reads.
#[derive(Debug, Clone, Copy)]
struct Read {
    /// Bits a byte under the counts without the row.
    bits: f64,
    /// Distinct runs over all runs.
    distinct: f64,
    bytes: usize,
}

fn cell(seed: u64, a: u8, b: u8, c: u8) -> u32 {
    let run = u64::from(a) << 16 | u64::from(b) << 8 | u64::from(c);
    // Multiply and fold: which runs share a cell is hidden by the seed.
    let product = u128::from((run << 40 | run) ^ seed) * u128::from(seed.rotate_left(29) | 1);
    ((product as u64 ^ (product >> 64) as u64) >> (64 - BITS)) as u32
}

/// Cells of a row's runs with the pairs that they begin with; runs do not go from one text to another.
fn runs(rows: &Batch, row: usize, seed: u64) -> Vec<(u32, u32)> {
    let of = |text: &str| -> Vec<(u32, u32)> {
        let bytes: Vec<u8> = text.bytes().take(MOST).map(|b| b.to_ascii_lowercase()).collect();
        bytes.windows(3).map(|w| (cell(seed, w[0], w[1], w[2]), u32::from(w[0]) << 8 | u32::from(w[1]))).collect()
    };
    let mut out: Vec<(u32, u32)> = rows.row_texts(row).flat_map(of).take(MOST).collect();
    out.sort_unstable();
    out
}

impl GibberishModel {
    fn read(&self, rows: &Batch, row: usize) -> Option<Read> {
        let runs = runs(rows, row, self.seed);
        if runs.len() < FEWEST || self.runs.is_empty() {
            return None;
        }
        let mut own_pairs = std::collections::BTreeMap::<u32, u32>::new();
        for (_, pair) in &runs {
            *own_pairs.entry(*pair).or_default() += 1;
        }
        let (mut bits, mut distinct) = (0.0, 0_usize);
        for chunk in runs.chunk_by(|a, b| a == b) {
            let (at, pair) = *chunk.first()?;
            let own = chunk.len() as f64;
            let seen = (f64::from(*self.runs.get(at as usize)?) - own).max(0.0);
            let of_pair = (f64::from(*self.pairs.get(pair as usize)?) - f64::from(own_pairs.get(&pair).copied().unwrap_or(0))).max(0.0);
            bits -= own * ((seen + PSEUDO / 256.0) / (of_pair.max(seen) + PSEUDO)).log2();
            distinct += 1;
        }
        Some(Read { bits: bits / runs.len() as f64, distinct: distinct as f64 / runs.len() as f64, bytes: runs.len() })
    }

    /// How unlike the set a text reads, bits; at least that of a text that repeats itself.
    fn strangeness(&self, read: Read) -> f64 {
        // The fewer bytes, the more a few rare ones weigh.
        let excess = (read.bits - self.usual) * (read.bytes as f64 / (read.bytes as f64 + 20.0));
        if read.bytes >= LONG && read.distinct < REPEATS { excess.max(4.0 * (REPEATS - read.distinct) / REPEATS + 2.0) } else { excess }
    }
}

impl Fold for Gibberish {
    type Brief = GibberishBrief;
    type State = GibberishModel;
    type Model = GibberishModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<GibberishBrief, GibberishModel>> {
        Ok(Step::Scan(GibberishBrief { seed: data.key.words(SEED, &[0]) }))
    }

    fn open(&self, brief: &GibberishBrief) -> GibberishModel {
        GibberishModel { seed: brief.seed, runs: vec![0; 1 << BITS], pairs: vec![0; 1 << PAIR_BITS], usual: 0.0 }
    }

    fn observe(&self, brief: &GibberishBrief, state: &mut GibberishModel, rows: &Batch) -> Result<()> {
        for row in 0..rows.rows() {
            for (at, pair) in runs(rows, row, brief.seed) {
                for (counts, at) in [(&mut state.runs, at), (&mut state.pairs, pair)] {
                    if let Some(count) = counts.get_mut(at as usize) {
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&self, _: &GibberishBrief, into: &mut GibberishModel, from: GibberishModel) -> Result<()> {
        if into.runs.len() != from.runs.len() || into.pairs.len() != from.pairs.len() || into.seed != from.seed {
            return Err(Error::Wire { code: INFO.code.to_owned(), reason: "states count in different cells".to_owned() });
        }
        into.runs.iter_mut().zip(from.runs).for_each(|(count, more)| *count = count.saturating_add(more));
        into.pairs.iter_mut().zip(from.pairs).for_each(|(count, more)| *count = count.saturating_add(more));
        Ok(())
    }

    fn close(&self, _: &Schema, _: &Given, _: GibberishBrief, state: GibberishModel) -> Result<Step<GibberishBrief, GibberishModel>> {
        // Entropy of a byte after two: joint less that of the two. Shared cells make it a little small, for all rows alike.
        let entropy = |counts: &[u32]| {
            let total = counts.iter().map(|n| f64::from(*n)).sum::<f64>().max(1.0);
            counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum::<f64>()
        };
        let usual = entropy(&state.runs) - entropy(&state.pairs);
        Ok(Step::Done(GibberishModel { usual, ..state }))
    }

    fn max_bytes(&self, _: &Schema) -> usize {
        (4 << BITS) + (4 << PAIR_BITS)
    }
}

impl Detect for Gibberish {
    fn score(&self, model: &GibberishModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate() {
            *slot = model.read(rows, row).map(|read| LARGEST / (1.0 + (3.0 - 2.0 * model.strangeness(read)).exp()));
        }
        Ok(())
    }

    fn explain(&self, model: &GibberishModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let Some(read) = model.read(rows, row) else { return Ok(Evidence::new("is too short to tell", [])) };
        let reason = if read.bytes >= LONG && read.distinct < REPEATS {
            format!("repeats itself: {:.0}% of its runs of three bytes are distinct", 100.0 * read.distinct)
        } else {
            format!("takes {:.1} bits a byte where the set takes {:.1}", read.bits, model.usual)
        };
        Ok(Evidence::new(reason, [("bits", json!(read.bits)), ("usual_bits", json!(model.usual)), ("distinct", json!(read.distinct))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, StringArray};
    use arrow::record_batch::RecordBatch;
    use foretaste_datasets::synth;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 1_000;

    /// Texts of topics; every 50th is of random letters, and every 50th, 25 later, says one thing over and over.
    fn set(planted: bool) -> Fixture {
        let clean = synth::topic_texts(ROWS, 2, 30, 2).unwrap();
        let texts = clean["text"].as_string::<i32>();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut text = |row: usize| match row % 50 {
            7 if planted => (0..150).map(|_| char::from(rng.random_range(b'!'..=b'z'))).collect(),
            32 if planted => "buy it now ".repeat(15),
            _ => texts.value(row).to_owned(),
        };
        let column: ArrayRef = Arc::new((0..ROWS).map(|row| Some(text(row))).collect::<StringArray>());
        Fixture::new(RecordBatch::try_from_iter([("text", column)]).unwrap(), None)
    }

    #[test]
    fn gibberish_and_repetition_rank_first() {
        let fixture = set(true);
        let model = fixture.model(&Gibberish);
        let scores = fixture.scores(&Gibberish, &model);
        let is_bad = |row: &usize| matches!(row % 50, 7 | 32);
        let most = (0..ROWS).filter(|row| !is_bad(row)).filter_map(|row| scores[row]).fold(0.0, f64::max);
        let above = (0..ROWS).filter(is_bad).filter(|row| scores[*row] > Some(most)).count();
        assert_eq!(above, 40, "{most}");
        let block = &fixture.cut([ROWS])[0];
        assert!(Gibberish.explain(&model, block, 7).unwrap().reason.contains("bits a byte where the set takes"));
        assert!(Gibberish.explain(&model, block, 32).unwrap().reason.starts_with("repeats itself"));
        assert!(Gibberish.groups(&model).is_empty());
    }

    #[test]
    fn a_set_without_is_even() {
        let fixture = set(false);
        let scores = fixture.scores(&Gibberish, &fixture.model(&Gibberish));
        assert!(scores.iter().flatten().all(|score| *score < 0.5 * LARGEST));
    }

    #[test]
    fn laws() {
        law::check(|| Gibberish, &set(true));
        law::survives(|| Gibberish, |fixture| fixture);
    }
}
