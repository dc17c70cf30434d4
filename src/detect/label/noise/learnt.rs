//! Moved labels that content has learnt to expect: it gives them their average rate, yet cannot say on which rows.

use std::collections::BTreeMap;

use super::seen::{Known, Seen};
use super::{FEWEST_IN_CELL, discovered};
use crate::stats::flat::Flat;
use crate::stats::tail::binomial_sf;

/// A rate is one-directional where the reverse one is at most this share of it. Classes that content cannot tell apart are confused both ways.
const ONE_WAY: f64 = 0.5;
/// Rows of the reverse that would be expected at that share, where its lack says anything.
const FEWEST_REVERSE: f64 = 3.0;

/// A cell whose rows keep no order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learnt {
    /// Share of the rows that content calls so.
    pub(super) rate: f64,
    /// See [`Flat::statistic`].
    pub(super) statistic: f64,
    /// Not corrected for the number of cells.
    pub(super) p: f64,
}

impl Learnt {
    /// What ranks show beyond what is known and tolerated; `None` where the reverse runs as well.
    ///
    /// `fixed` is the rate that is known, `reverse` rows of the opposite direction with those that could have been.
    pub(super) fn new(flat: &Flat, fixed: f64, tolerated: f64, reverse: [f64; 2]) -> Option<Self> {
        let allowed = fixed + tolerated;
        let [rows, hits] = flat.low();
        let beyond = flat.hits() / flat.rows() - fixed;
        let [back, possible] = reverse;
        let one_way = possible * ONE_WAY * beyond >= FEWEST_REVERSE && back < possible * (ONE_WAY * beyond + fixed);
        if !one_way || hits <= allowed * rows {
            return None;
        }
        let more = binomial_sf(hits as u64, rows as u64, allowed);
        // Natural rows are as many as their ranks allow, or as the opposite direction does: the fewer of the two.
        let natural = (back + 1.0) / possible / ONE_WAY;
        let rate = flat.floor().max(flat.hits() / flat.rows() - natural);
        Some(Self { rate: (rate - fixed).max(0.0), statistic: flat.statistic(), p: flat.p().max(more) })
    }
}

/// The cells (from, to) whose rows keep no order, at a false-discovery rate among all K (K − 1).
pub(super) fn cells(seen: &Seen, priors: &[f64], known: &Known, tolerated: f64) -> BTreeMap<(u32, u32), Learnt> {
    let classes = priors.len();
    let mut found = BTreeMap::new();
    // Of two classes, the rarer is confused one way by nature.
    if classes < 3 {
        return found;
    }
    let mismatches = seen.mismatches();
    for (&(from, to), _) in mismatches.iter().filter(|(_, hits)| **hits as f64 >= FEWEST_IN_CELL) {
        let back = mismatches.get(&(to, from)).map_or(0.0, |hits| *hits as f64);
        let fixed = known.rate(priors, from as usize, to as usize);
        let flat = seen.cells([from], to, |_| 0.0).flat();
        if let Some(cell) = Learnt::new(&flat, fixed, tolerated, [back, seen.rows_of(to)]) {
            found.insert((from, to), cell);
        }
    }
    let sure = discovered(&found, |cell: &Learnt| cell.p, classes);
    found.retain(|cell, _| sure.contains(cell));
    found
}
