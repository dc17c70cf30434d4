//! Waves that some pictures of a class share.
//!
//! A sinusoid over a picture is one frequency at one phase. Nature gives pictures much of some frequencies as well, but at whatever phase: as
//! many of a class lie far along a wave as against it. Where more lie along it, and these are apart from the others as rows are that one
//! shift moved ([`Shift`]), the wave was added. Along a single wave a faint sinusoid stands out that has as many competitors as there are
//! pixels where directions are sought in all of them.

use std::collections::BTreeSet;
use std::f32::consts::{FRAC_PI_4, TAU};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::direction::{FEWEST, of_class};
use super::robust::{mad, median};
use super::shift::{HALF, MOST_OF_CLASS, ROUNDS, Shift, apart};

/// Phases at which a frequency is looked at, an eighth of a turn apart; those opposite are the same waves the other way.
const PHASES: usize = 4;
/// Share of a class whose mean along a wave is compared with that of as many against it.
const TAIL: f64 = 0.05;
/// Frequencies that are looked at closer, in each class.
const CLOSER: usize = 4;

/// A wave over a square picture: whole cycles across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Frequency {
    across: i32,
    down: i32,
}

impl Frequency {
    /// All below half of a picture's side, each once of the two that are the same but for the phase.
    fn all(side: usize) -> Vec<Self> {
        let most = i32::try_from(side.saturating_sub(1) / 2).unwrap_or(0);
        let every = (0..=most).flat_map(|down| (-most..=most).map(move |across| Self { across, down }));
        every.filter(|wave| wave.down > 0 || wave.across > 0).collect()
    }

    /// The wave and the same a quarter of a cycle later, side × side values each of mean square 1/2.
    fn waves(self, side: usize) -> [Vec<f32>; 2] {
        let [across, down] = [self.across, self.down].map(|cycles| cycles as f32 / side as f32);
        let cycles = |at: usize| across * (at % side) as f32 + down * (at / side) as f32;
        [0.0, 0.25].map(|later| (0..side * side).map(|at| (TAU * (cycles(at) - later)).cos()).collect())
    }
}

/// How far rows lie along a wave and along the same a quarter of a cycle later, and more of it at any phase.
struct Seen<'a> {
    waves: [ArrayView1<'a, f32>; 2],
}

impl Seen<'_> {
    fn at(&self, phase: f32) -> Array1<f32> {
        &self.waves[0] * phase.cos() + &self.waves[1] * phase.sin()
    }

    /// The phase along which some rows of a class lie furthest from the others.
    fn phase(&self, rows: &[usize], inside: &BTreeSet<usize>) -> f32 {
        let [x, y] = self.waves.each_ref().map(|wave| {
            let mean = |own: bool| {
                let (sum, n) =
                    rows.iter().filter(|row| inside.contains(row) == own).fold((0.0, 0.0f32), |(s, n), &row| (s + wave[row], n + 1.0));
                sum / n.max(1.0)
            };
            mean(true) - mean(false)
        });
        y.atan2(x)
    }
}

/// How many of so many rows of a class are the furthest along a wave.
fn tail(rows: usize) -> usize {
    ((TAIL * rows as f64) as usize).max(FEWEST)
}

/// By how much more the furthest rows of a class lie along a wave than against it, from the class's median and in deviations of all rows,
/// and whether along it or against it; `far` holds the class's rows.
fn lean(mut far: Vec<f32>) -> (f32, bool) {
    let tail = tail(far.len());
    far.sort_unstable_by(f32::total_cmp);
    // Ways for a class to look have a middle of their own.
    let middle = far[far.len() / 2];
    let ends = far[..tail].iter().chain(&far[far.len() - tail..]).map(|far| far - middle).sum::<f32>();
    (ends.abs() / tail as f32, ends >= 0.0)
}

/// Searches pictures (n × side²) for waves that at most `most` of them have, from those along which the classes (one of `count` for each
/// row) lean most. Returns them, those least explained first, and how many were looked at.
#[must_use]
pub fn waves(pictures: ArrayView2<f32>, side: usize, classes: &[u32], count: usize, most: usize) -> (Vec<Shift>, u64) {
    let of_classes: Vec<(u32, Vec<usize>)> = (0..count as u32).filter_map(|class| Some((class, of_class(classes, class)?))).collect();
    let frequencies = Frequency::all(side);
    if frequencies.is_empty() || of_classes.is_empty() || pictures.ncols() != side * side {
        return (Vec::new(), 0);
    }
    let flat: Vec<f32> = frequencies.iter().flat_map(|frequency| frequency.waves(side)).flatten().collect();
    let Ok(basis) = Array2::from_shape_vec((2 * frequencies.len(), side * side), flat) else { return (Vec::new(), 0) };
    // Frequencies × rows, so that what is asked of one frequency lies together.
    let projections = basis.dot(&pictures.t());
    let seen = |at: usize| Seen { waves: [projections.row(2 * at), projections.row(2 * at + 1)] };
    let leans: Vec<Vec<(f32, f32)>> = (0..frequencies.len())
        .into_par_iter()
        .map(|at| {
            let mut best = vec![(0.0, 0.0); of_classes.len()];
            for phase in (0..PHASES).map(|eighth| eighth as f32 * FRAC_PI_4) {
                let Some(far) = deviations(&seen(at).at(phase)) else { continue };
                for ((_, rows), best) in of_classes.iter().zip(&mut best) {
                    let (size, along) = lean(rows.iter().map(|&row| far[row]).collect());
                    if size > best.0 {
                        *best = (size, if along { phase } else { phase + TAU / 2.0 });
                    }
                }
            }
            best
        })
        .collect();
    let mut starts = Vec::new();
    for (slot, (class, rows)) in of_classes.iter().enumerate() {
        let mut ranked: Vec<usize> = (0..frequencies.len()).collect();
        ranked.sort_by(|&a, &b| leans[b][slot].0.total_cmp(&leans[a][slot].0).then(a.cmp(&b)));
        starts.extend(ranked.into_iter().take(CLOSER).map(|at| (at, leans[at][slot].1, *class, rows)));
    }
    let settled = starts.into_par_iter().filter_map(|(at, phase, class, rows)| settle(&seen(at), basis.view(), at, phase, class, rows));
    let mut found: Vec<Shift> = settled.filter(|shift| shift.members.len() <= most).collect();
    found.sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| a.members.cmp(&b.members)));
    found.dedup_by(|a, b| a.members == b.members);
    (found, (frequencies.len() * 2 * PHASES * of_classes.len()) as u64)
}

/// Distances from the median in scaled median deviations.
fn deviations(values: &Array1<f32>) -> Option<Array1<f32>> {
    let mut sorted: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
    let centre = median(&mut sorted)?;
    let scale = mad(&sorted, centre).filter(|scale| *scale > 0.0 && scale.is_finite())?;
    Some(values.mapv(|x| ((f64::from(x) - centre) / scale) as f32))
}

/// Takes the rows of a class beyond half of the distance of those far along a wave, and turns the wave to their phase, until nothing changes,
/// or [`ROUNDS`] times.
fn settle(seen: &Seen<'_>, basis: ArrayView2<f32>, at: usize, phase: f32, class: u32, rows: &[usize]) -> Option<Shift> {
    let first = seen.at(phase);
    let mut furthest = rows.to_vec();
    furthest.sort_by(|&a, &b| first[b].total_cmp(&first[a]).then(a.cmp(&b)));
    let mut inside: BTreeSet<usize> = furthest.into_iter().take(tail(rows.len())).collect();
    for _ in 0..ROUNDS {
        let scores = seen.at(seen.phase(rows, &inside));
        let own: Array1<f64> = rows.iter().map(|&row| f64::from(scores[row])).collect();
        let (centre, scale, distance) = apart(own.view(), |i| inside.contains(&rows[i]))?;
        let beyond = |row: &&usize| (f64::from(scores[**row]) - centre) / scale > HALF * distance;
        let next: BTreeSet<usize> = rows.iter().filter(beyond).copied().collect();
        if next.len() < FEWEST || next.len() as f64 > MOST_OF_CLASS * rows.len() as f64 {
            return None;
        }
        if next == inside {
            break;
        }
        inside = next;
    }
    let phase = seen.phase(rows, &inside);
    let weights = &basis.index_axis(Axis(0), 2 * at) * phase.cos() + &basis.index_axis(Axis(0), 2 * at + 1) * phase.sin();
    Shift::along(weights, seen.at(phase).mapv(f64::from).view(), class, &inside)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SIDE: usize = 16;

    /// Pictures of three classes of smooth noise, heavy in its tails; `size` of a wave, 3 cycles across and -2 down, in every fifth of class 1.
    fn pictures(size: f32) -> (Array2<f32>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut out = Array2::<f32>::zeros((900, SIDE * SIDE));
        for (i, mut picture) in out.outer_iter_mut().enumerate() {
            for frequency in Frequency::all(SIDE) {
                let usual = 20.0 / (frequency.across.pow(2) + frequency.down.pow(2)) as f32;
                for wave in frequency.waves(SIDE) {
                    let amount = usual * (rng.random::<f32>() - 0.5) / (0.1 + rng.random::<f32>());
                    picture.iter_mut().zip(wave).for_each(|(x, w)| *x += amount * w);
                }
            }
            if i % 15 == 1 {
                let at = |at: usize| TAU * (3.0 * (at % SIDE) as f32 - 2.0 * (at / SIDE) as f32) / SIDE as f32;
                picture.iter_mut().enumerate().for_each(|(place, x)| *x += size * at(place).sin());
            }
        }
        (out, (0..900).map(|i| i % 3).collect())
    }

    #[test]
    fn a_wave_is_found_at_its_phase_and_none_without() {
        let (planted, classes) = pictures(40.0);
        let (found, tried) = waves(planted.view(), SIDE, &classes, 3, 300);
        assert_eq!(tried, (7 * 15 + 7) * 8 * 3);
        let best = &found[0];
        let has = |row: &usize| row % 15 == 1;
        assert!(
            best.class == 1 && best.members.iter().filter(|row| has(row)).count() == 60 && best.members.len() <= 62,
            "{:?}",
            best.members
        );
        assert!(best.p * (tried as f64) < 0.01, "{:e}", best.p);
        let held = best.holds(planted.view());
        assert!((0..held.len()).filter(|row| held[*row] && has(row)).count() == 60);
        let (clean, classes) = pictures(0.0);
        let (found, tried) = waves(clean.view(), SIDE, &classes, 3, 300);
        assert!(found.iter().all(|shift| shift.p * tried as f64 > 0.05), "{:e}", found[0].p);
    }

    #[test]
    fn what_shows_no_wave_has_none() {
        assert!(waves(Array2::<f32>::zeros((60, 16)).view(), 4, &[0; 60], 1, 60).0.is_empty());
        assert!(waves(Array2::<f32>::zeros((60, 1)).view(), 1, &[0; 60], 1, 60).0.is_empty());
        assert!(waves(Array2::<f32>::zeros((0, 16)).view(), 4, &[], 1, 60).0.is_empty());
    }
}
