//! What a simpler model shows of how labels came about, where the model that judges rows contradicts enough of them for it.
//!
//! A model that can single out small regions learns where labels were moved: it gives them their rate and takes its certainty back,
//! so that their floor looks like confusion that fades. A simpler one does not learn it; but where it is merely too simple for the
//! content, it takes what it cannot tell apart for moved labels, and the other one contradicts none of those.

use std::collections::BTreeMap;

use super::seen::Seen;
use super::{LabelNoise, Moved};

/// Least share of the rows that a claim expects whose labels must be contradicted.
const CONFIRMED: f64 = 0.5;
/// What a simpler model must know of a class that it says rows are moved from, as [`Moved::known`]: two classes of which it knows less may be
/// beyond it.
const KNOWN: f64 = 0.9;
/// Most labels that may be contradicted beside those given without regard to content, as a share of all.
const LEFT_OVER: f64 = 0.05;

/// Claims of a simpler model that stand.
#[derive(Default)]
pub(super) struct Beneath {
    /// By (from, to): the claim, with the rate that is beyond doubt.
    pub(super) cells: BTreeMap<(u32, u32), (Moved, f64)>,
    /// Share of labels given without regard to content that is beyond doubt; 0 without such a claim.
    pub(super) epsilon: f64,
}

impl Beneath {
    /// `contradicted` are the rows of cells that uniform noise would show in, `units` the rows that they would be if all labels were
    /// given so.
    pub(super) fn of((noise, moved): &(LabelNoise, Vec<Moved>), seen: &Seen, [contradicted, units]: [f64; 2]) -> Self {
        let mismatches = seen.mismatches();
        let stands = |claim: &&Moved| {
            claim.from.is_some_and(|from| {
                let rows = mismatches.get(&(from, claim.to)).map_or(0.0, |rows| *rows as f64);
                rows >= CONFIRMED * claim.expected && claim.known >= KNOWN
            })
        };
        let sure = |claim: &Moved| claim.from.and_then(|from| Some(((from, claim.to), noise.cells.get(&(from, claim.to))?.moved)));
        let cells = moved.iter().filter(stands).filter_map(|claim| sure(claim).map(|(cell, rate)| (cell, (*claim, rate)))).collect();
        let left_over = seen.errors() - noise.share;
        let uniform = noise.uniform && contradicted >= CONFIRMED * noise.share * units && left_over <= LEFT_OVER;
        Self { cells, epsilon: if uniform { noise.known.epsilon } else { 0.0 } }
    }
}
