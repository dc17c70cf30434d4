//! Which items are worth a look: a shortlist by the prior alone, then candidates by the rest of their rows.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::aside::{habitual, is_clear_news, is_frequent, is_news};
use super::state::{Admitted, Short, Table, UNIT};
use super::{Items, LEAST_SUPPORT, Mine};
use crate::data::Schema;
use crate::stats::interval::MOST_SUPPORT;
use crate::stats::multiple::tarone;
use crate::stats::tail::binomial_sf;

/// Share of the rows up to which an item is no common one.
const COMMON: f64 = 0.10;
/// Items whose background is summed.
const MOST_SHORT: usize = 32_768;
/// Other descriptions of the same carriers that are remembered.
const MOST_ALSO: usize = 6;
/// Candidates handed to the verifier by the cheap background, and as many again by the prior.
const MOST_CANDIDATES: usize = 64;
/// Items handed on because a second label stands out among their other rows.
const MOST_SECOND: usize = 16;
/// Ends of columns, and pairs of words, handed on beside them.
const MOST_ENDS: usize = 32;
/// Level that decides which items are worth a look, and the Tarone count.
const LEVEL: f64 = 0.004;

impl<I: Items> Mine<I> {
    /// Shortlists items that could be a trigger under the prior alone, generously.
    pub(super) fn shortlist(&self, data: &Schema, tables: [&Table; 2], aside: &FxHashSet<u64>) -> Vec<Short> {
        let (priors, nulls) = (data.priors(), self.nulls(data));
        let most = (MOST_SUPPORT * data.rows as f64) as u32;
        let mut short: Vec<(f64, Short)> = Vec::new();
        // The order of a hash table does not matter: the list is sorted by p and item.
        for (&item, tally) in tables.into_iter().flatten() {
            if tally.background || tally.rows < LEAST_SUPPORT || tally.rows > most {
                continue;
            }
            let best = tally.classes.iter().map(|&(class, k)| {
                let prior = priors.get(class as usize).copied().unwrap_or(0.5).clamp(0.02, 0.98);
                (binomial_sf(u64::from(k), u64::from(nulls.carrying(tally, class)), prior), class, k)
            });
            let Some((p, label, k)) = best.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else { continue };
            let can_be_target = data.label.as_ref().is_none_or(|l| l.can_be_target(label));
            if can_be_target && p <= 0.05 && f64::from(k) >= 0.4 * f64::from(nulls.carrying(tally, label)) {
                short.push((p, Short { item, also: Vec::new(), label, tally: tally.clone(), rest: 0.0 }));
            }
        }
        // Items with the same carriers say the same thing: one of each is asked about. Where that is the shortest, some are
        // remembered that say more: combinations of values of which each alone is in few rows.
        let length = |s: &Short| if self.0.prefers_longer() { u8::MAX - s.tally.size } else { s.tally.size };
        short.sort_by(|a, b| {
            a.0.total_cmp(&b.0)
                .then(length(&a.1).cmp(&length(&b.1)))
                .then(a.1.tally.end.cmp(&b.1.tally.end))
                .then(a.1.tally.rank.cmp(&b.1.tally.rank))
                .then(a.1.item.cmp(&b.1.item))
        });
        let mut kept: Vec<Short> = Vec::new();
        let mut seen: FxHashMap<(u64, u32), usize> = FxHashMap::default();
        for (_, s) in short {
            if let Some(first) = seen.get(&(s.tally.signature, s.label)).and_then(|at| kept.get_mut(*at)) {
                if s.tally.rare > 1 && !self.0.prefers_longer() && first.also.len() < MOST_ALSO {
                    first.also.push(s.item);
                }
            } else {
                // One that was set aside may come to nothing, and another one say the same.
                if !aside.contains(&s.item) {
                    seen.insert((s.tally.signature, s.label), kept.len());
                }
                kept.push(s);
            }
        }
        kept.truncate(MOST_SHORT);
        kept
    }

    /// Ranks shortlisted items by the interval null around their summed background, and takes the best, and the best by
    /// the prior beside them: the rest of a long trigger can vouch for a part of it. Beside these stand items whose other rows share a
    /// second label: what is left of their carriers may be a cause of its own.
    pub(super) fn candidates(
        &self,
        data: &Schema,
        short: Vec<Short>,
        sums: &[(u64, u64)],
        admitted: &Admitted,
        frequent: &BTreeMap<u32, u32>,
    ) -> (Vec<Short>, u64) {
        let nulls = self.nulls(data);
        let priors = data.priors();
        let prior = |short: &Short| priors.get(short.label as usize).copied().unwrap_or(0.5);
        let mut attainable: Vec<f64> = Vec::with_capacity(short.len());
        let mut ranked: Vec<([f64; 3], Short)> = Vec::new();
        for (mut short, (sum, rows)) in short.into_iter().zip(sums) {
            let background = *sum as f64 / UNIT / (*rows).max(1) as f64;
            let (c, k) = (u64::from(nulls.carrying(&short.tally, short.label)), short.tally.labelled(short.label));
            let by_all = prior(&short);
            let is_aside = admitted.aside.contains(&short.item) && !is_news(background, c, by_all);
            if is_aside || admitted.told.contains(&short.item) && !is_clear_news(background, by_all) {
                continue;
            }
            let null = nulls.of(short.label);
            attainable.push(null.null_rate(background).powf(c as f64));
            let p = null.test(c, k, background, data.rows).unwrap_or(1.0);
            let by_prior = null.test(c, k, by_all.min(background), data.rows).unwrap_or(1.0);
            let by_rest = second(&short, &priors).and_then(|(carriers, agreeing, q)| null.test(carriers, agreeing, q, data.rows));
            short.rest = background;
            ranked.push(([p, by_prior, by_rest.unwrap_or(1.0)], short));
        }
        let unexplained = |(_, short): &([f64; 3], Short)| {
            let rate = nulls.of(short.label).null_rate(short.rest.max(prior(short)));
            (short.tally.rank, binomial_sf(short.tally.labelled(short.label), u64::from(nulls.carrying(&short.tally, short.label)), rate))
        };
        let values = ranked.iter().filter(|(_, short)| is_frequent(&short.tally, most_uncommon(data)));
        let habitual = habitual(frequent, values.map(unexplained));
        if !habitual.is_empty() {
            ranked.retain(|(_, short)| {
                let is_habit = self.0.columns_of(short.tally.rank, short.tally.feature).iter().any(|column| habitual.contains(column));
                !is_habit || is_news(short.rest, u64::from(nulls.carrying(&short.tally, short.label)), prior(short))
            });
        }
        attainable.sort_by(f64::total_cmp);
        let tests = tarone(&attainable, LEVEL).max(1) * data.classes().max(1) as u64;
        let is_apart = |short: &Short| short.tally.end || self.0.is_pair(short.tally.rank);
        let mut chosen: Vec<Short> = Vec::new();
        for (by, most) in [MOST_CANDIDATES, MOST_CANDIDATES, MOST_SECOND].into_iter().enumerate() {
            ranked.sort_by(|(a, one), (b, other)| a[by].total_cmp(&b[by]).then(one.item.cmp(&other.item)));
            for (_, short) in ranked.iter().filter(|(_, short)| !is_apart(short)).take_while(|(p, _)| p[by] <= LEVEL).take(most) {
                if !chosen.iter().any(|s| s.item == short.item) {
                    chosen.push(short.clone());
                }
            }
        }
        // Whatever has exact values, or is one word, goes first: an end around it, or two words, say less.
        let mut ends: Vec<&([f64; 3], Short)> = ranked.iter().filter(|(p, short)| is_apart(short) && p[0] <= LEVEL).collect();
        ends.sort_by(|(a, one), (b, other)| a[0].total_cmp(&b[0]).then(one.item.cmp(&other.item)));
        chosen.extend(ends.into_iter().take(MOST_ENDS).map(|(_, short)| short.clone()));
        (chosen, tests)
    }
}

/// The rows of an item without its label, those of them with the label that most have, and that label's share of all rows without the
/// first. `None` where there is no choice of a second label.
fn second(short: &Short, priors: &[f64]) -> Option<(u64, u64, f64)> {
    let prior = |label: u32| priors.get(label as usize).copied().unwrap_or(0.0);
    let others = short.tally.classes.iter().filter(|(class, _)| *class != short.label);
    let (label, rows) = others.max_by_key(|(_, rows)| *rows).filter(|_| priors.len() > 2)?;
    let carriers = u64::from(short.tally.rows) - short.tally.labelled(short.label);
    Some((carriers, u64::from(*rows), (prior(*label) / (1.0 - prior(short.label)).max(f64::MIN_POSITIVE)).min(1.0)))
}

/// Most rows of an item that is no common one.
pub(super) fn most_uncommon(data: &Schema) -> u32 {
    ((data.rows as f64 * COMMON) as u32).max(LEAST_SUPPORT)
}
