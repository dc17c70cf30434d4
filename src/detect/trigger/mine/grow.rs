//! Which combinations of two are grown by a third part, where there are too many parts to try all threes.

use rustc_hash::FxHashSet;

use super::aside::PURE;
use super::state::{Table, Tally};
use crate::data::Schema;
use crate::stats::interval::MOST_SUPPORT;
use crate::stats::tail::binomial_sf;

/// Most combinations that are grown: a row may hold any number of them.
const MOST_GROWN: usize = 512;
/// Largest p-value of a combination that is grown.
const WORTH_GROWING: f64 = 1e-3;
/// Range to which a share is clipped before its odds are taken.
const CLIP: (f64, f64) = (0.02, 0.98);

/// Combinations of two whose rows have a label more often than the parts by themselves account for, each part's share taken without them;
/// the least explained first, as many as give at most `cap` combinations with `parts` more values in each row.
///
/// A trigger of three common values shows in its twos, diluted by their other rows. Natural associations show in the single values.
pub(super) fn grown(first: &Table, second: &Table, data: &Schema, parts: usize, cap: usize) -> FxHashSet<u64> {
    let most = (MOST_SUPPORT * data.rows as f64) as u32;
    least_explained(first, second.iter().filter(|(_, tally)| tally.rows <= most), &data.priors(), parts, cap)
}

fn least_explained<'a>(
    first: &Table,
    second: impl Iterator<Item = (&'a u64, &'a Tally)>,
    priors: &[f64],
    parts: usize,
    cap: usize,
) -> FxHashSet<u64> {
    let mut ranked: Vec<(f64, u64, u32)> = second
        .filter_map(|(item, tally)| Some((unexplained(first, tally, priors)?, *item, tally.rows)))
        .filter(|(p, ..)| *p <= WORTH_GROWING)
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let values = first.values().filter(|tally| !tally.background).count();
    let mut room = cap;
    let fits = |(_, item, rows): (f64, u64, u32)| {
        room = room.checked_sub((rows as usize).saturating_mul(parts).min(values))?;
        Some(item)
    };
    ranked.into_iter().take(MOST_GROWN).map_while(fits).collect()
}

/// The smallest p-value of a label among the rows of a combination of two, against what its parts say; `None` where it has a label to itself.
fn unexplained(first: &Table, tally: &Tally, priors: &[f64]) -> Option<f64> {
    let parts: Vec<&Tally> = tally.made_of.iter().filter_map(|part| first.get(part)).collect();
    let [a, b] = parts.as_slice() else { return None };
    let of_label = |&(label, k): &(u32, u32)| {
        let prior = *priors.get(label as usize)?;
        let share = |part: &Tally| {
            let (rows, with) = (part.rows.saturating_sub(tally.rows), part.labelled(label).saturating_sub(u64::from(k)));
            (with as f64 + prior) / (f64::from(rows) + 1.0)
        };
        let odds = |share: f64| share.clamp(CLIP.0, CLIP.1) / (1.0 - share.clamp(CLIP.0, CLIP.1));
        let both = odds(share(a)) * odds(share(b)) / odds(prior);
        let expected = (both / (1.0 + both)).max(share(a)).max(share(b));
        Some(binomial_sf(u64::from(k), u64::from(tally.rows), expected))
    };
    let most = tally.classes.iter().map(|(_, k)| *k).max()?;
    if f64::from(most) >= PURE * f64::from(tally.rows) {
        return None;
    }
    tally.classes.iter().filter_map(of_label).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(made_of: [u64; 2], rows: u32, labelled: u32) -> Tally {
        Tally { rows, classes: vec![(0, rows - labelled), (1, labelled)], made_of, ..Tally::default() }
    }

    #[test]
    fn what_the_parts_do_not_say_is_grown_as_far_as_there_is_room() {
        let first: Table =
            [(1, tally([0; 2], 1_000, 260)), (2, tally([0; 2], 1_000, 260)), (3, tally([0; 2], 1_000, 700))].into_iter().collect();
        let planted = (10, tally([1, 2], 160, 90));
        let said_by_a_part = (11, tally([1, 3], 160, 110));
        let pure = (12, tally([1, 2], 60, 60));
        // What is made of three is none of two.
        let three = (13, tally([0, 0], 60, 40));
        let second: Table = [planted, said_by_a_part, pure, three].into_iter().collect();
        let grown = |cap: usize| least_explained(&first, second.iter(), &[0.8, 0.2], 10, cap);
        assert_eq!(grown(10_000), FxHashSet::from_iter([10]));
        assert!(grown(2).is_empty());
    }
}
