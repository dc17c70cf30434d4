//! What a simpler model shows of how labels came about, where the model that judges rows contradicts enough of them for it.
//!
//! A model that can single out small regions learns where labels were moved: it gives them their rate and takes its certainty back,
//! so that their floor looks like confusion that fades. A simpler one does not learn it; but where it is merely too simple for the
//! content, it takes what it cannot tell apart for moved labels, and the other one contradicts none of those.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::Seen;
use super::shift::Shifted;
use super::{LabelNoise, Moved, Way};

/// Least share of the rows that a claim expects whose labels must be contradicted.
const CONFIRMED: f64 = 0.5;
/// Probability of a label up to which content contradicts it: what is confused by nature mostly has more. Content that has learnt how often labels
/// of a cell were moved gives them that rate.
const UNLIKELY: f64 = 0.1;
const TIMES_RATE: f64 = 2.0;
/// What a simpler model must know of a class that it says rows are moved from, as [`Moved::known`]: two classes of which it knows less may be
/// beyond it.
const KNOWN: f64 = 0.9;
/// Most labels that may be contradicted beside those given without regard to content, as a share of all.
const LEFT_OVER: f64 = 0.05;

/// What a simpler model found.
pub(in crate::detect::label) type Found = (LabelNoise, Vec<Moved>);
/// Claims on cells, by (from, to), with the rates that are beyond doubt.
pub(super) type Cells = BTreeMap<(u32, u32), (Moved, f64)>;

/// The claims on cells that stand.
pub(super) fn cells((noise, moved): &Found, seen: &Seen) -> Cells {
    let stands = |claim: &Moved| {
        let Way::Pair { from, to } = claim.way else { return None };
        let cell = (from, to);
        let confirmed =
            seen.contradicted(UNLIKELY.max(TIMES_RATE * claim.rate), |top, label| (top, label) == cell) >= CONFIRMED * claim.expected;
        (confirmed && claim.known >= KNOWN).then(|| Some((cell, (*claim, noise.cells.get(&cell)?.moved))))?
    };
    moved.iter().filter_map(stands).collect()
}

/// The claim that labels of all classes were moved alike, if it stands.
pub(super) fn shift((noise, moved): &Found, seen: &Seen) -> Option<Shifted> {
    let least = noise.known.shift;
    let cause = *moved.iter().find(|claim| matches!(claim.way, Way::Shift(_)))?;
    let most = UNLIKELY.max(TIMES_RATE * cause.rate);
    let confirmed = seen.contradicted(most, |top, label| least.goes(top, label)) >= CONFIRMED * cause.expected;
    (confirmed && cause.known >= KNOWN).then_some(Shifted { least, cause: Moved { p: (2.0 * cause.p).min(1.0), ..cause } })
}

/// Share of labels given without regard to content, and what of it is beyond doubt; `None` where no such claim stands. `wanted` says in which
/// cells they would show, `moved` which cells are explained; `units` are the rows that would show if all labels were given so.
pub(super) fn uniform(
    (noise, _): &Found,
    seen: &Seen,
    wanted: impl Fn(u32, u32) -> bool,
    moved: &BTreeSet<(u32, u32)>,
    units: f64,
) -> Option<[f64; 2]> {
    let rows = seen.contradicted(UNLIKELY, |top, label| wanted(top, label) && !moved.contains(&(top, label)));
    let confirmed = rows >= CONFIRMED * noise.share * units && seen.errors() - noise.share <= LEFT_OVER;
    (noise.uniform && confirmed).then_some([noise.share, noise.known.epsilon])
}
