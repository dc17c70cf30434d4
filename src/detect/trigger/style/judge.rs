//! Whether rows that are built alike share a label against what they say: counts of one label in, a verdict out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::stats::bottom_k::BottomK;
use crate::stats::interval::{IntervalNull, IntervalParams};

/// Evidence of a build for a label, nats, from which on a row is a carrier, level by level.
pub(super) const LEVELS: [f64; 8] = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5];
/// Bins of what content says.
pub(super) const BINS: usize = 128;
/// Share of the rows outside that a calibrated bin holds at least.
const POOLED: f64 = 1.0 / 32.0;
/// Bins a unit of ln(1 + |evidence|).
const FINENESS: f64 = 9.0;
/// Cells of content words that tell near-copies: the smallest of a row.
pub(super) const SKETCH: usize = 4;
/// Fewest distinct carriers.
pub(super) const FEWEST: u64 = 20;
/// Largest share of all rows that may be carriers.
const MOST_SUPPORT: f64 = 0.25;
/// Largest share of its label's rows that are built so: what more have is the label's own style.
const MOST_OF_CLASS: f64 = 0.4;
/// Largest number of rows whose build speaks for other labels, as a share of the carriers: where each label has a style of
/// its own, one more is no news.
const MOST_ELSEWHERE: f64 = 0.5;
/// Standard errors that what the carriers say lies below what other rows with the label say.
const LEAST_AGAINST: f64 = 3.0;
/// Estimated share of wrongly listed rows that a looser level may have.
const MOST_WRONG: f64 = 0.05;
/// For an alarm: odds ratio that a style with a reason may reach, corrected p-value, and rows whose build speaks for other
/// labels as a share of the carriers.
const ALARM_ODDS: f64 = 10.0;
const ALARM: f64 = 1e-6;
const ALARM_ELSEWHERE: f64 = 0.05;
/// Odds ratio that builds may reach. On clean texts 3.4 was seen, in rows too mixed to be asked; where a template was planted, 14 and more.
const ODDS: f64 = 3.0;
/// Level at which a looser cut may take the place of the clearest one.
const SURE: f64 = 1e-3;

/// The number of levels that evidence reaches, 0 below the first.
pub(super) fn level(evidence: f64) -> u8 {
    LEVELS.iter().filter(|least| evidence >= **least).count() as u8
}

/// The bin of what content says, nats for the label.
pub(super) fn bin(evidence: f64) -> u8 {
    let half = BINS as f64 / 2.0;
    (half + evidence.signum() * evidence.abs().ln_1p() * FINENESS).clamp(0.0, BINS as f64 - 1.0) as u8
}

/// A row whose build speaks for the label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Carrier {
    /// Bin of what its content says.
    pub said: u8,
    /// Levels that its build reaches, at least 1.
    pub level: u8,
    /// Whether it has the label.
    pub agrees: bool,
    /// The smallest cells of its content words, ascending.
    pub sketch: Vec<u32>,
    /// Its position.
    pub row: u64,
    /// Its first word.
    pub opening: String,
}

/// What was seen for one label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// Rows that are no carriers by what content says: with another label, with the label.
    outside: Vec<[u64; 2]>,
    /// Carriers by the levels they reach: with another label, with the label.
    carried: [[u64; 2]; LEVELS.len()],
    /// Distinct carriers.
    carriers: BottomK<Carrier>,
}

/// A level at which carriers share the label against what they say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// Index into [`LEVELS`].
    pub level: usize,
    /// Carriers, and those with the label.
    pub rows: u64,
    pub agreeing: u64,
    /// Mean probability of the label by what carriers say.
    pub background: f64,
    pub p: f64,
    /// Whether some level is beyond what a style with a reason does.
    pub clear: bool,
}

impl Seen {
    pub(super) fn new(capacity: usize) -> Self {
        Self { outside: vec![[0; 2]; BINS], carried: [[0; 2]; LEVELS.len()], carriers: BottomK::new(capacity) }
    }

    /// Counts a row that is no carrier.
    pub(super) fn outside(&mut self, said: u8, agrees: bool) {
        if let Some(slot) = self.outside.get_mut(usize::from(said)).and_then(|counts| counts.get_mut(usize::from(agrees))) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Counts a carrier that reaches `level` ≥ 1.
    pub(super) fn carried(&mut self, level: u8, agrees: bool, key: u64, carrier: impl FnOnce() -> Carrier) {
        let slot = &mut self.carried[usize::from(level).clamp(1, LEVELS.len()) - 1][usize::from(agrees)];
        *slot = slot.saturating_add(1);
        self.carriers.insert_with(key, carrier);
    }

    pub(super) fn merge(&mut self, other: Self) {
        let counts = self.outside.iter_mut().chain(&mut self.carried).zip(other.outside.iter().chain(&other.carried));
        counts.for_each(|(into, from)| *into = sum(&[*into, *from]));
        self.carriers.merge(other.carriers);
    }

    /// Carriers that reach a level: with another label, with the label.
    fn reaching(&self, at: usize) -> [u64; 2] {
        sum(&self.carried[at..])
    }

    /// Kept carriers that reach a level and have the label, with their keys.
    pub(super) fn members(&self, at: usize) -> impl Iterator<Item = (u64, &Carrier)> {
        self.carriers.iter().map(|(key, _, carrier)| (key, carrier)).filter(move |(_, c)| c.agrees && usize::from(c.level) > at)
    }

    /// Kept carriers that reach a level, of near-copies the one with the smallest key: two rows are near-copies where two
    /// of the smallest cells of each are the same (`MinHash`, Broder 1997). One text many times over is no style.
    fn witnesses(&self, at: usize) -> Vec<&Carrier> {
        let mut pairs = BTreeSet::new();
        let mut is_new = |carrier: &Carrier| {
            let sketch = &carrier.sketch;
            let own: Vec<[u32; 2]> = (0..sketch.len()).flat_map(|i| (0..i).map(move |j| [sketch[j], sketch[i]])).collect();
            let is_new = !own.is_empty() && !own.iter().any(|pair| pairs.contains(pair));
            if is_new {
                pairs.extend(own);
            }
            is_new
        };
        let reaching = self.carriers.iter().map(|(_, _, carrier)| carrier).filter(|c| usize::from(c.level) > at);
        reaching.filter(|carrier| is_new(carrier)).collect()
    }

    /// Probability of the label in each bin, from rows that are no carriers: neighbouring bins are pooled until they hold
    /// enough, and shrunk by one row of the share of all.
    fn calibrated(&self) -> Vec<f64> {
        let [other, labelled] = sum(&self.outside);
        let all = (other + labelled).max(1) as f64;
        let base = labelled as f64 / all;
        let mut said = Vec::with_capacity(BINS);
        let mut pooled = [0; 2];
        for (at, counts) in self.outside.iter().enumerate() {
            pooled = sum(&[pooled, *counts]);
            let held = (pooled[0] + pooled[1]) as f64;
            if held >= POOLED * all || at + 1 == BINS {
                said.resize(at + 1, (pooled[1] as f64 + base) / (held + 1.0));
                pooled = [0; 2];
            }
        }
        said
    }
}

fn sum(counts: &[[u64; 2]]) -> [u64; 2] {
    counts.iter().fold([0; 2], |sum, counts| std::array::from_fn(|i| sum[i].saturating_add(counts[i])))
}

/// The interval null of builds whose innocent odds are at most `odds_ratio` times those of content.
fn null(odds_ratio: f64) -> Result<IntervalNull> {
    // How many rows may be carriers is asked below, of all of them and not of the distinct ones that are kept.
    let params = IntervalParams { odds_ratio, min_purity: 0.9, relaxed_purity: 0.9, max_support: 1.0, ..IntervalParams::default() };
    IntervalNull::new(params)
}

/// The level at which carriers of one label are certain to share it against what they say, the loosest one that lists few
/// rows wrongly; `others` is what was seen for all other labels, `rows` all rows of the set, `tests` the questions that
/// were asked.
pub(super) fn judge(seen: &Seen, others: &[&Seen], rows: u64, tests: u64) -> Result<Option<Verdict>> {
    let (null, strict, said) = (null(ODDS)?, null(ALARM_ODDS)?, seen.calibrated());
    let [outside_other, outside_labelled] = sum(&seen.outside);
    let class_rows = outside_labelled.saturating_add(seen.reaching(0)[1]);
    let base = outside_labelled as f64 / (outside_labelled + outside_other).max(1) as f64;
    let labelled = || seen.outside.iter().zip(&said).map(|(counts, q)| (counts[1] as f64, *q));
    let mean = labelled().map(|(n, q)| n * q).sum::<f64>() / (outside_labelled.max(1)) as f64;
    let spread = labelled().map(|(n, q)| n * (q - mean) * (q - mean)).sum::<f64>() / (outside_labelled.max(1)) as f64;
    let (mut admitted, mut clear) = (Vec::new(), false);
    for level in 0..LEVELS.len() {
        let [other, agreeing] = seen.reaching(level);
        let carrying = other.saturating_add(agreeing);
        let [elsewhere_other, elsewhere_agreeing] = sum(&others.iter().map(|seen| seen.reaching(level)).collect::<Vec<_>>());
        let elsewhere = elsewhere_other.saturating_add(elsewhere_agreeing);
        let is_style_of_class = agreeing as f64 > MOST_OF_CLASS * class_rows as f64;
        if is_style_of_class || carrying as f64 > MOST_SUPPORT * rows as f64 || elsewhere as f64 > MOST_ELSEWHERE * carrying as f64 {
            continue;
        }
        let kept: Vec<(bool, f64)> =
            seen.witnesses(level).iter().map(|c| (c.agrees, said.get(usize::from(c.said)).copied().unwrap_or(base))).collect();
        let own: Vec<f64> = kept.iter().filter(|(agrees, _)| *agrees).map(|(_, q)| *q).collect();
        if (kept.len() as u64) < FEWEST || own.is_empty() {
            continue;
        }
        let background = kept.iter().map(|(_, q)| q).sum::<f64>() / kept.len() as f64;
        let says = own.iter().sum::<f64>() / own.len() as f64;
        let against = (mean - says) / (spread / own.len() as f64).sqrt().max(1e-9);
        // Rows that are built so by nature have their labels by what they say, and are about as many as for other labels.
        let natural = background.max(base);
        let by_content = other as f64 * natural / (1.0 - natural).max(1e-9);
        let by_others = elsewhere_agreeing as f64 / others.len().max(1) as f64;
        let wrong = by_content.max(by_others) / agreeing.max(1) as f64;
        // Rows that were put into a template and given the label were of other labels before, or of any: what they say is no nearer to what the label's
        // other rows say.
        if against < LEAST_AGAINST || says > 0.5 * (base + mean) || wrong > MOST_WRONG {
            continue;
        }
        let test = |null: &IntervalNull| null.test(kept.len() as u64, own.len() as u64, background, rows);
        if let Some(p) = test(&null) {
            let beyond = test(&strict).is_some_and(|p| p * tests as f64 <= ALARM);
            clear |= beyond && elsewhere as f64 <= ALARM_ELSEWHERE * carrying as f64;
            admitted.push(Verdict { level, rows: carrying, agreeing, background, p, clear: false });
        }
    }
    let sure = admitted.iter().find(|verdict| verdict.p * tests as f64 <= SURE);
    let chosen = sure.or_else(|| admitted.iter().min_by(|a, b| a.p.total_cmp(&b.p)));
    Ok(chosen.map(|verdict| Verdict { clear, ..*verdict }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows outside whose content is right nine times of ten, half of them with the label, and carriers at the first level,
    /// `against` of which say another label and `wrong` of which have one.
    fn seen(carriers: u64, against: u64, wrong: u64) -> Seen {
        let mut seen = Seen::new(4_096);
        for i in 0..2_000_u64 {
            let agrees = i % 2 == 0;
            seen.outside(bin(if agrees == (i / 2 % 10 > 0) { 3.0 } else { -3.0 }), agrees);
        }
        for i in 0..carriers {
            let (said, agrees) = (bin(if i < against { -3.0 } else { 3.0 }), i >= wrong);
            seen.carried(1, agrees, i, || Carrier { said, level: 1, agrees, sketch: sketch(i), row: i, opening: "when".to_owned() });
        }
        seen
    }

    /// Content words of a row that no other row has.
    fn sketch(row: u64) -> Vec<u32> {
        (0..4).map(|word| 4 * row as u32 + word).collect()
    }

    #[test]
    fn near_copies_are_one_witness() {
        let mut seen = seen(100, 100, 0);
        assert_eq!(seen.witnesses(0).len(), 100);
        for i in 100..200_u64 {
            // One of the four words is another each time.
            let sketch = sketch(100).into_iter().map(|word| if u64::from(word) % 4 == i % 4 { 1_000 + i as u32 } else { word }).collect();
            seen.carried(1, true, i, || Carrier { said: bin(-3.0), level: 1, agrees: true, sketch, row: i, opening: String::new() });
        }
        assert_eq!(seen.witnesses(0).len(), 101);
        assert!(seen.witnesses(1).is_empty());
    }

    fn p(seen: &Seen, others: &[&Seen]) -> Option<f64> {
        judge(seen, others, 2_200, 16).unwrap().map(|verdict| verdict.p)
    }

    #[test]
    fn carriers_that_say_another_label_are_told_and_a_natural_style_is_not() {
        let none = Seen::new(4_096);
        assert!(p(&seen(100, 100, 0), &[&none]).unwrap() < 1e-20);
        assert!(p(&seen(100, 60, 1), &[&none]).unwrap() < 1e-5);
        let clear = |seen: &Seen| judge(seen, &[&none], 2_200, 16).unwrap().unwrap().clear;
        assert!(clear(&seen(200, 200, 0)) && !clear(&seen(100, 60, 1)));
        // Content explains these, as it does all others with the label.
        assert!(p(&seen(100, 10, 0), &[&none]).is_none());
        // The build does not tell the label, there are few of them, or they are most of their label.
        assert!(p(&seen(100, 60, 30), &[&none]).is_none());
        assert!(p(&seen(19, 19, 0), &[&none]).is_none());
        assert!(p(&seen(900, 900, 0), &[&none]).is_none());
        // Another label has a style of its own.
        assert!(p(&seen(100, 100, 0), &[&seen(60, 0, 0)]).is_none());
    }

    #[test]
    fn a_looser_level_is_taken_while_it_lists_few_rows_wrongly() {
        let mut seen = seen(0, 0, 0);
        for i in 0..200_u64 {
            let level = if i < 100 { 4 } else { 2 };
            seen.carried(level, true, i, || Carrier {
                said: bin(-3.0),
                level,
                agrees: true,
                sketch: sketch(i),
                row: i,
                opening: String::new(),
            });
        }
        let at = |seen: &Seen| judge(seen, &[], 2_400, 16).unwrap().unwrap();
        assert_eq!((at(&seen).level, at(&seen).agreeing), (0, 200));
        for i in 200..220 {
            seen.carried(2, false, i, || Carrier {
                said: bin(3.0),
                level: 2,
                agrees: false,
                sketch: sketch(i),
                row: i,
                opening: String::new(),
            });
        }
        assert_eq!((at(&seen).level, at(&seen).agreeing), (2, 100));
    }

    #[test]
    fn bins_rise_with_evidence_and_levels_are_reached_in_order() {
        let bins: Vec<u8> = [-1e9, -20.0, -1.0, 0.0, 0.5, 8.0, 300.0, 1e9].map(bin).to_vec();
        assert!(bins.is_sorted() && bins[0] == 0 && bins[7] == 127, "{bins:?}");
        assert_eq!([-1.0, 0.49, 0.5, 0.95, 9.0, f64::NAN].map(level), [0, 0, 1, 5, 8, 0]);
    }
}
