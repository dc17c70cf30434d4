//! How labels came about, as far as content tells: confusion, labels given without regard to content, classes relabelled.

mod beneath;
mod claim;
mod learnt;
mod seen;
mod shift;
mod toward;
mod two_way;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::stats::confusion::{Curve, Fit, Trials};
use crate::stats::mixture::LabelMixture;
use crate::stats::multiple::benjamini_hochberg;
use crate::stats::tail::normal_sf;

pub(super) use beneath::Found;
pub(super) use claim::{By, Moved, Way, Wrong};
use learnt::Learnt;
use seen::{Known, Seen, unit};
use shift::{Shift, Shifted};
use toward::Toward;
use two_way::TwoWay;

/// Largest p-value for a claim that labels were given without regard to content.
const UNIFORM_LEVEL: f64 = 0.01;
/// Largest share of cells wrongly said to be moved.
const CELL_RATE: f64 = 0.05;
/// Largest p-value, over all cells, of a cell that the notes name without a claim.
const DOUBT_LEVEL: f64 = 0.01;
/// Share of labels that may fall without regard to content on classes that content hardly confuses: natural errors keep to
/// classes that are alike.
const TOLERATED: f64 = 0.005;
/// The same where there is one other class, so that natural errors have nowhere else to go. Human-labelled test sets have
/// 3.3 % of errors on average (Northcutt, Athalye, Mueller 2021), most of them where content is unsure: no more than a share of what
/// content gets wrong at all.
const TOLERATED_OF_TWO: f64 = 0.025;
const TOLERATED_OF_FEW: f64 = 1.0 / 3.0;
/// Of the rows that content gets wrong, the share that it may get wrong however sure it is: weak content is also a poor judge of
/// where it is sure.
const TOLERATED_OF_ERRORS: f64 = 1.0 / 20.0;
/// Share of a cell's rows that may not fade with the certainty of content: natural confusion has been seen with up to 0.26.
const TOLERATED_FLAT: f64 = 1.0 / 3.0;
/// Fewest rows for a cell's test.
const FEWEST_IN_CELL: f64 = 6.0;
/// Rows from which a cell has a curve of its own; smaller ones scale that of their kind.
const OWN_CURVE: f64 = 30.0;
/// Rows' worth of prior belief that a small cell follows the curve of its kind.
const PRIOR_ROWS: f64 = 1.0;
/// Prior odds against a natural part of a cell's confusion that does not fade: labels that people disagree on. A clean
/// news set has it in four of twelve cells.
const ODDS_AGAINST_NATURAL: f64 = 2.0;
/// Least share of the rows that content calls a class and that have its label, the cell's own rows left out, for anything to be said of rows
/// that it calls so.
const LEAST_KNOWN: f64 = 0.6;
/// Share of the rows with a label that content calls by it, below which nothing is said of rows with that label, unless what it calls so has
/// it for the most part: a class that content never tells from another has all of its rows among those of that one, and they are no
/// wrong labels; a class that it knows may have been flooded with rows of another.
const LEAST_SAID: f64 = 0.05;
/// Fewest rows of such a class: of fewer, content can hardly have learnt it.
const FEWEST_UNSAID: f64 = 20.0;
/// Share of a cell's moved rows up to which hardly any go the opposite way: rows are then judged by the estimate of the rate, not by its
/// lower bound, because classes that are confused are so both ways.
const HARDLY_ANY: f64 = 0.1;
/// Tests of one cell by one model: of its floor, of its number and of its ranks.
const TESTS_OF_CELL: f64 = 3.0;
/// Estimates of uniform noise, of labels toward one class and of moved cells take turns: each is estimated without the others.
const ROUNDS: usize = 3;

/// A cell: rows that content calls one class and that are labelled another.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cell {
    /// Natural confusion, floor included, under two beliefs: that a part of it does not fade, and that all of it does.
    natural: [Curve; 2],
    /// Probability of the first belief.
    belief: f64,
    /// Rate of moved labels that is beyond doubt.
    moved: f64,
}

impl Cell {
    fn fading(curve: Curve) -> Self {
        Self { natural: [curve.fading(); 2], belief: 1.0, moved: 0.0 }
    }

    /// Labels that people disagree on do not fade either. Whether a cell has such can hardly be told from a few rows, so
    /// both fits count, by their likelihoods.
    fn unmoved(fit: &Fit) -> Self {
        let belief = 1.0 / (1.0 + ODDS_AGAINST_NATURAL * (-0.5 * fit.lrt).exp());
        Self { natural: [fit.free, fit.held], belief, moved: 0.0 }
    }

    fn moved(curve: Curve) -> Self {
        Self { moved: curve.floor, ..Self::fading(curve) }
    }

    fn natural(&self, ln_p: f64) -> f64 {
        let [free, held] = self.natural.map(|curve| curve.natural(ln_p) + curve.floor);
        self.belief * free + (1.0 - self.belief) * held
    }
}

/// How labels came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LabelNoise {
    /// Share of labels given without regard to content: the estimate.
    pub(super) share: f64,
    /// Lower bounds, by which rows are judged: a share that is too large makes sound labels look wrong.
    known: Known,
    /// Whether labels given so are beyond doubt.
    pub(super) uniform: bool,
    /// How often each class is drawn for them.
    drawn: Vec<f64>,
    /// Curves of likely and of unlikely confusions.
    curves: [Curve; 2],
    /// Whether a confusion is unlikely: classes × classes, by the class that content says.
    unlikely: Vec<bool>,
    classes: usize,
    /// Classes that rows are labelled with and content hardly ever calls them by, ascending.
    pub(super) unsaid: BTreeSet<u32>,
    cells: BTreeMap<(u32, u32), Cell>,
    /// Of labels toward one class, the rows that natural confusion does not explain.
    two_way: BTreeMap<u32, TwoWay>,
    /// Cells (from, to) that claim nothing, with the share of the rows of `from` that does not fade.
    pub(super) doubtful: Vec<(u32, u32, f64)>,
}

/// The most likely class.
pub(super) fn most_likely(probabilities: &[f64]) -> Option<(usize, f64)> {
    probabilities.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Tests by cell.
type Tested = BTreeMap<(u32, u32), Test>;

/// A cell's test.
struct Test {
    fit: Fit,
    /// Of a floor beyond what is tolerated.
    p: f64,
    /// The same without the share of its rows that may be natural: a cell to doubt, not one to claim.
    doubt: f64,
}

impl Test {
    fn new(trials: &Trials, tolerated: f64) -> Option<Self> {
        let held = tolerated.max(TOLERATED_FLAT * trials.beyond_fixed());
        let p = |fit: &Fit, held: f64| if fit.free.floor > held { normal_sf(fit.lrt.sqrt()) } else { 1.0 };
        let (fit, lenient) = (trials.fit(held)?, trials.fit(tolerated)?);
        Some(Self { fit, p: p(&fit, held), doubt: p(&lenient, tolerated) })
    }
}

/// Moved cells, and what shows that they are.
struct Shown<'a> {
    moved: &'a BTreeSet<(u32, u32)>,
    tested: &'a Tested,
    learnt: &'a BTreeMap<(u32, u32), Learnt>,
    /// The p-values of another test.
    already: &'a BTreeMap<(u32, u32), f64>,
    /// Claims of a simpler model, with the rates that are beyond doubt.
    beneath: &'a beneath::Cells,
    /// Tests of one cell, over all models.
    tests: f64,
}

/// Tests which cells have a floor beyond what is known and beyond a third of their rows.
fn test_cells(seen: &Seen, priors: &[f64], known: &Known, tolerated: f64) -> Tested {
    let mut tested = Tested::new();
    for ((top, label), hits) in seen.mismatches() {
        if (hits as f64) < FEWEST_IN_CELL {
            continue;
        }
        let fixed = known.rate(priors, top as usize, label as usize);
        let trials = seen.cells([top], label, |_| fixed);
        if let Some(test) = Test::new(&trials, tolerated) {
            tested.insert((top, label), test);
        }
    }
    tested
}

/// Of the rows that content calls the first class and that do not have the second as their label, the share with the first.
fn known_share(seen: &Seen, mismatches: &BTreeMap<(u32, u32), u64>, (from, to): (u32, u32)) -> f64 {
    let moved = mismatches.get(&(from, to)).map_or(0.0, |rows| *rows as f64);
    seen.hits(from) / (seen.rows_of(from) - moved).max(1.0)
}

/// The cells whose p-values survive at a false-discovery rate among all K (K - 1).
fn discovered<T>(tested: &BTreeMap<(u32, u32), T>, p_of: impl Fn(&T) -> f64, classes: usize) -> BTreeSet<(u32, u32)> {
    let mut p: Vec<f64> = tested.values().map(&p_of).collect();
    p.sort_unstable_by(f64::total_cmp);
    let count = benjamini_hochberg(&p, (classes * (classes - 1)) as u64, CELL_RATE);
    let Some(most) = count.checked_sub(1).and_then(|last| p.get(last)) else { return BTreeSet::new() };
    tested.iter().filter(|(_, test)| p_of(test) <= *most).map(|(cell, _)| *cell).collect()
}

impl LabelNoise {
    /// Fits all parts to rows of logits with their labels. `already` holds cells (from, to) that another test has found to be
    /// moved, with its p-values; `simpler` is what the same fit found with a simpler model. Also gives the moved cells.
    ///
    /// `None` where no row can be used.
    pub(super) fn fit<'a>(
        rows: impl Iterator<Item = (&'a [f32], u32)>,
        base: &LabelMixture,
        priors: &[f64],
        already: &BTreeMap<(u32, u32), f64>,
        simpler: Option<&Found>,
    ) -> Option<(Self, Vec<Moved>)> {
        let classes = priors.len();
        let seen = Seen::new(rows, base, classes);
        let unsaid = seen.unsaid();
        let errors = seen.errors();
        let least = if classes == 2 { (TOLERATED_OF_FEW * errors).clamp(TOLERATED, TOLERATED_OF_TWO) } else { TOLERATED };
        let tolerated = f64::max(least, TOLERATED_OF_ERRORS * errors);
        let unlikely = seen.unlikely(priors);
        let is_unlikely = |top: usize, label: usize| unlikely.get(top * classes + label).copied().unwrap_or(unlikely.is_empty());
        let drawn = seen.drawn_from(priors, is_unlikely);
        let none = Known::default();
        let fit_uniform = |without: &BTreeSet<(u32, u32)>, toward: &BTreeMap<u32, Toward>, shift: Shift| {
            let is_moved = |cell: (u32, u32)| without.contains(&cell) || toward.contains_key(&cell.1) || shift.goes(cell.0, cell.1);
            let kept = |top: usize, label: usize| !is_moved((top as u32, label as u32)) && !unsaid.contains(&(label as u32));
            // Where every unlikely cell is moved, the likely ones have to do; with none left, all.
            let pools = [
                seen.pooled(&drawn, &none, |top, label| is_unlikely(top, label) && kept(top, label)),
                seen.pooled(&drawn, &none, kept),
                seen.pooled(&drawn, &none, |_, _| true),
            ];
            pools.into_iter().find(|pool| pool.rows() > 0.0).and_then(|pool| Some((pool.fit(tolerated)?, pool)))
        };
        let mismatches = seen.mismatches();
        let is_known = |cell: &(u32, u32)| known_share(&seen, &mismatches, *cell) >= LEAST_KNOWN && !unsaid.contains(&cell.1);
        let mut given: BTreeSet<(u32, u32)> = already.keys().copied().filter(is_known).collect();
        let (mut tested, mut learnt, mut toward) = (Tested::new(), BTreeMap::new(), BTreeMap::new());
        let mut beneath = simpler.map(|found| beneath::cells(found, &seen)).unwrap_or_default();
        beneath.retain(|cell, _| is_known(cell));
        given.extend(beneath.keys());
        let below_shift = simpler.and_then(|found| beneath::shift(found, &seen));
        let judged_by = |shifted: Option<Shifted>| shifted.map(|shifted| shifted.least).unwrap_or_default();
        let shift = judged_by(below_shift);
        let (mut fitted, mut pool) = fit_uniform(&given, &toward, shift)?;
        let shows = |top: u32, label: u32| is_unlikely(top as usize, label as usize) && !shift.goes(top, label);
        let below = simpler.and_then(|found| beneath::uniform(found, &seen, shows, &given, pool.units()));
        let [below_share, below_epsilon] = below.unwrap_or_default();
        let (mut moved, mut shifted) = (given.clone(), below_shift);
        let is_uniform = |fit: &Fit| fit.lrt > 0.0 && normal_sf(fit.lrt.sqrt()) <= UNIFORM_LEVEL;
        for _ in 1..ROUNDS {
            let epsilon = if is_uniform(&fitted) { fitted.free.floor } else { 0.0 };
            let mut known = Known { epsilon: epsilon.max(below_epsilon), ..Known::default() };
            shifted = shift::find(&seen, &drawn, &known, tolerated).or(below_shift);
            known.shift = judged_by(shifted);
            toward = toward::find(&seen, &drawn, &known, tolerated);
            toward.retain(|label, _| seen.known_beside(&mismatches, *label) >= LEAST_KNOWN && !unsaid.contains(label));
            known.toward = toward.iter().map(|(label, toward)| (*label, toward.rate)).collect();
            tested = test_cells(&seen, &drawn, &known, tolerated);
            tested.retain(|cell, _| is_known(cell));
            learnt = learnt::cells(&seen, &drawn, &known, tolerated);
            learnt.retain(|cell, _| is_known(cell));
            // The other test of a cell does not know that rows of all classes are labelled so.
            let is_new = |cell: &&(u32, u32)| !toward.contains_key(&cell.1) && !known.shift.goes(cell.0, cell.1);
            let given = given.iter().filter(is_new).copied().collect();
            moved = &discovered(&tested, |test| test.p, classes) | &given;
            learnt.retain(|cell, _| !moved.contains(cell));
            moved.extend(learnt.keys());
            (fitted, pool) = fit_uniform(&moved, &toward, known.shift)?;
        }
        let own = is_uniform(&fitted);
        let (share, uniform) = if own || below.is_none() { (fitted.free.floor, own) } else { (below_share, true) };
        let curve = if own { pool.least_floor()? } else { fitted.free };
        let curve = if uniform && (!own || curve.floor < below_epsilon) { pool.with_floor(below_epsilon)? } else { curve };
        let of_toward = toward.iter().map(|(label, toward)| (*label, toward.judged_by(*label))).collect();
        let known = Known { epsilon: curve.floor, toward: of_toward, shift: judged_by(shifted) };
        let likely = seen.pooled(&drawn, &known, |top, label| {
            !is_unlikely(top, label) && !moved.contains(&(top as u32, label as u32)) && !unsaid.contains(&(label as u32))
        });
        let likely = likely.fit(0.0).map_or(curve, |fit| fit.free);
        let curves = [likely, curve];
        let mut cells = BTreeMap::new();
        for (cell @ (top, label), hits) in mismatches.iter().map(|(cell, hits)| (*cell, *hits)) {
            let trials = seen.cells([top], label, |top| known.rate(&drawn, top, label as usize));
            let unlikely = is_unlikely(top as usize, label as usize);
            let [of_likely, of_unlikely] = curves;
            let of_kind = if unlikely { of_unlikely } else { of_likely };
            let cell = if let Some(learnt) = learnt.get(&cell) {
                trials.with_floor(learnt.rate).map(Cell::moved)
            } else if moved.contains(&cell) {
                let back = mismatches.get(&(label, top)).map_or(0.0, |rows| *rows as f64);
                let one_way = |curve: &Curve| back < HARDLY_ANY * curve.floor * seen.rows_of(top);
                trials.fit(0.0).map(|fit| fit.free).filter(one_way).or_else(|| trials.least_floor()).map(Cell::moved)
            } else if hits as f64 >= OWN_CURVE {
                trials.fit(0.0).map(|fit| Cell::unmoved(&fit))
            } else {
                None
            };
            let sure = beneath.get(&(top, label)).map(|(_, rate)| *rate).filter(|_| moved.contains(&(top, label)));
            let more = sure.filter(|rate| cell.is_none_or(|cell| cell.moved < *rate));
            let cell = more.and_then(|rate| trials.with_floor(rate).map(Cell::moved)).or(cell);
            cells.insert((top, label), cell.unwrap_or_else(|| Cell::fading(trials.scaled(of_kind, PRIOR_ROWS))));
        }
        let possible = (classes * (classes - 1)) as f64;
        let doubted = tested.iter().filter(|(cell, test)| test.doubt * possible <= DOUBT_LEVEL && !moved.contains(cell));
        let doubtful = doubted.map(|(&(from, to), test)| (from, to, test.fit.free.floor)).collect();
        let two_way = toward.keys().map(|label| (*label, TwoWay::new(&mismatches, *label))).collect();
        let noise = Self { share, known, uniform, drawn, curves, unlikely, classes, unsaid, cells, two_way, doubtful };
        let models = 1.0 + f64::from(u8::from(simpler.is_some()));
        let shown = Shown { moved: &moved, tested: &tested, learnt: &learnt, already, beneath: &beneath, tests: TESTS_OF_CELL * models };
        let mut causes = noise.causes(&seen, &shown);
        causes.extend(toward.iter().map(|(label, toward)| toward.cause(*label)));
        causes.extend(shifted.map(|shifted| shifted.cause));
        Some((noise, causes))
    }

    fn causes(&self, seen: &Seen, shown: &Shown<'_>) -> Vec<Moved> {
        let Shown { moved, tested, learnt, already, beneath, tests } = shown;
        let rows = |top: u32| seen.rows_of(top);
        let mismatches = seen.mismatches();
        let cause = |&(from, to): &(u32, u32)| {
            let beyond_doubt = self.cells.get(&(from, to))?.moved;
            let (rate, value, p, by) = match (learnt.get(&(from, to)), tested.get(&(from, to))) {
                (Some(cell), _) => (cell.rate, cell.statistic, cell.p, By::Ranks),
                (None, Some(test)) => (test.fit.free.floor, test.fit.lrt, test.p, By::Floor),
                (None, None) => (beyond_doubt, 0.0, 1.0, By::Floor),
            };
            let back = mismatches.get(&(to, from)).map_or(0.0, |hits| *hits as f64);
            let reverse = tested.get(&(to, from)).map_or(back, |test| test.fit.free.floor * rows(to));
            // Labels of two classes that are drawn anew are moved both ways, at one rate whatever the classes' sizes.
            let as_many = if self.classes == 2 { reverse * rows(from) / rows(to).max(1.0) } else { 0.0 };
            let reverse = reverse.max(as_many);
            let p = (tests * p.min(already.get(&(from, to)).copied().unwrap_or(1.0))).min(1.0);
            let known = known_share(seen, &mismatches, (from, to));
            let rate = f64::max(rate, beyond_doubt);
            let own = Moved { way: Way::Pair { from, to }, rate, expected: rate * rows(from), known, reverse, value, p, by };
            // Of two models the one that speaks more clearly.
            let clearer = beneath.get(&(from, to)).map(|(simpler, _)| Moved { p: (2.0 * simpler.p).min(1.0), known, ..*simpler });
            Some(clearer.filter(|simpler| simpler.p < p).unwrap_or(own))
        };
        moved.iter().filter_map(cause).collect()
    }

    /// Rows of the fit that are labelled toward a class and that natural confusion does not explain.
    pub(super) fn unexplained(&self, label: u32) -> u64 {
        self.two_way.get(&label).map_or(0, |two_way| two_way.rows)
    }

    /// What may be wrong with a label, given the calibrated probabilities of its row.
    pub(super) fn wrong(&self, calibrated: &[f64], label: u32) -> Option<Wrong> {
        let own = *calibrated.get(label as usize)?;
        if self.unsaid.contains(&label) {
            return Some(Wrong::default());
        }
        let (top, _) = most_likely(calibrated)?;
        let drawn = self.known.epsilon * unit(&self.drawn, top, label as usize);
        let toward = self.known.toward(label as usize);
        if top == label as usize {
            // Drawn from the other classes' rows, so far as content leaves room for them.
            let room = self.known.epsilon * self.drawn.get(top).copied().unwrap_or(0.0) * (1.0 - own);
            return Some(Wrong { drawn: room / (own + room), ..Wrong::default() });
        }
        let [likely, unlikely] = self.curves;
        let is_unlikely = self.unlikely.get(top * self.classes + label as usize).copied().unwrap_or(self.unlikely.is_empty());
        let of_kind = Cell::fading(if is_unlikely { unlikely } else { likely });
        let cell = self.cells.get(&(top as u32, label)).copied().unwrap_or(of_kind);
        let shifted = self.known.shift.rate(top as u32, label);
        let total = (cell.natural(own.max(1e-30).ln()) + cell.moved + drawn + toward + shifted).max(1e-300);
        let unexplained = self.two_way.get(&label).map_or(0.0, |two_way| two_way.wrong(top as u32));
        let toward = (toward / total).max(unexplained);
        Some(Wrong { drawn: drawn / total, moved: cell.moved / total, shifted: shifted / total, toward })
    }
}
