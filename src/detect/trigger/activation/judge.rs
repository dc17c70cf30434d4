//! Which modes are triggers: a class of their own that another class's rows are not in.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde_json::{Map, json};

use super::{Apart, Shape};
use crate::data::Schema;
use crate::derive::ContentModel;
use crate::detect::trigger::WORTH_KEEPING;
use crate::detect::trigger::mine::{JUDGED, Opinion, judged, means, null, takes};
use crate::error::Result;
use crate::finding::{Group, Tier};
use crate::stats::covariance::TrimmedMahalanobis;
use crate::stats::interval::MOST_SUPPORT;
use crate::stats::mode::{Mode, modes};
use crate::stats::moved::Places;
use crate::stats::robust::median;

/// Rows of a class that modes are sought in.
pub(super) const MOST_OF_CLASS: usize = 2_000;
/// Fewest.
pub(super) const FEWEST_OF_CLASS: usize = 60;
/// Most eigenvectors of a class, and of all classes together.
const EIGENVECTORS: (usize, usize) = (6, 96);
/// Distance of a mode from the rest of its class, and from every other class, over that of the nearest other class.
const FAR: f64 = 1.5;
/// Part of a mode's rows that the ball around its middle holds.
const CORE: f64 = 0.5;
/// Share of its label among all rows in the ball.
const PURITY: f64 = 0.9;
/// Level at which a mode counts when it is asked whether modes are usual here.
const LEVEL: f64 = 0.004;
/// Share of the classes that may have a mode apart before that is how classes look here.
const USUAL: f64 = 0.25;
/// Odds ratio that innocent structure may reach.
pub(super) const ODDS_RATIO: f64 = 4.0;
/// How much more than the others of its class the rows of a mode differ in what tells classes apart before they are held to
/// come from several classes.
const SEVERAL: f64 = 2.0;
/// The same below which they are of one kind by nature: rows of many kinds that share a trigger are about as different as any class's.
const ONE_KIND: f64 = 0.6;
/// Level at which modes of one kind count that content takes for rows of another label.
const CLEAR: f64 = 1e-6;
/// Largest share of all rows that lie apart for one reason.
pub(super) const MOST_SHARE: f64 = MOST_SUPPORT;

/// The fitted rows, in the order of their keys.
pub(super) struct Labelled<'a> {
    pub(super) data: &'a Schema,
    pub(super) content: &'a ContentModel,
    pub(super) keys: &'a [u64],
    pub(super) labels: &'a [u32],
    /// n × d.
    pub(super) rows: &'a Array2<f32>,
}

/// What came of it.
pub(super) struct Judged {
    pub(super) found: Vec<Apart>,
    /// The units that moved rows are told by.
    pub(super) places: Places,
    pub(super) notes: Vec<String>,
}

/// What may be found, with the positions of its rows.
pub(super) struct Candidate {
    pub(super) apart: Apart,
    pub(super) members: Vec<usize>,
}

/// A mode with its place among the classes.
struct Placed {
    class: u32,
    /// Positions among all rows.
    members: Vec<usize>,
    mode: Mode,
    far: f64,
    purity: f64,
    /// How much more its rows differ in what tells classes apart than the others of the class do.
    spread: f64,
}

/// Distances between rows and class means in units of the scatter within classes.
struct Space {
    white: Array2<f32>,
    /// Classes × d; of classes without rows, nothing that means anything.
    means: Array2<f32>,
    counts: Vec<usize>,
}

impl Space {
    fn new(rows: &Array2<f32>, labels: &[u32], classes: usize) -> Result<Self> {
        let white = TrimmedMahalanobis::fit_classes(rows.view(), labels, classes, 1.0, 0)?.whiten(rows.view())?;
        let mut means = Array2::<f32>::zeros((classes, white.ncols()));
        let mut counts = vec![0; classes];
        for (row, &label) in white.outer_iter().zip(labels) {
            means.row_mut(label as usize).scaled_add(1.0, &row);
            counts[label as usize] += 1;
        }
        for (mut mean, &count) in means.outer_iter_mut().zip(&counts) {
            mean /= count.max(1) as f32;
        }
        Ok(Self { white, means, counts })
    }

    fn mean(&self, rows: &[usize]) -> Array1<f32> {
        let sum = rows.iter().fold(Array1::zeros(self.white.ncols()), |sum: Array1<f32>, &i| sum + self.white.row(i));
        sum / rows.len().max(1) as f32
    }

    /// Median square of how far rows lie from their middle along the ways from their class to the others.
    fn scatter(&self, rows: &[usize], class: u32) -> Option<f64> {
        let own = self.means.row(class as usize);
        let ways = (0..self.counts.len()).filter(|&other| other != class as usize && self.counts[other] > 0);
        let ways: Vec<Array1<f32>> = ways.map(|other| &self.means.row(other) - &own).map(|way| &way / way.dot(&way).sqrt()).collect();
        let middle = self.mean(rows);
        let along = |i: &usize| {
            let off = &self.white.row(*i) - &middle;
            ways.iter().map(|way| f64::from(off.dot(way)).powi(2)).sum()
        };
        median(&mut rows.iter().map(along).collect::<Vec<f64>>())
    }

    /// Distance of a point to the nearest mean of a class that is not `class`.
    fn nearest(&self, point: ArrayView1<f32>, class: u32) -> f64 {
        let others = (0..self.counts.len()).filter(|&other| other != class as usize && self.counts[other] > 0);
        others.map(|other| distance(point, self.means.row(other))).fold(f64::INFINITY, f64::min)
    }
}

fn distance(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

impl Labelled<'_> {
    /// What is worth keeping, strongest first: modes that may reach ALARM, then moved rows, which hold kinds that lie apart as well, then other
    /// modes.
    pub(super) fn judge(&self) -> Result<Judged> {
        let (places, moved) = self.moved()?;
        let (modes, notes) = self.modes()?;
        let (sure, others): (Vec<Candidate>, Vec<Candidate>) = modes.into_iter().partition(|mode| mode.apart.group.max_tier == Tier::Alarm);
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut found: Vec<Apart> = Vec::new();
        for one in sure.into_iter().chain(moved).chain(others) {
            if takes(&mut taken, &one.members) {
                found.push(one.apart);
            }
        }
        Ok(Judged { found, places, notes })
    }

    /// The modes that are worth keeping, strongest first.
    fn modes(&self) -> Result<(Vec<Candidate>, Vec<String>)> {
        let classes = self.data.classes();
        let space = Space::new(self.rows, self.labels, classes)?;
        let eigenvectors = (EIGENVECTORS.1 / classes.max(1)).clamp(1, EIGENVECTORS.0);
        let (mut placed, mut tests, mut looked) = (Vec::new(), 0, 0_usize);
        for class in 0..classes as u32 {
            let own: Vec<usize> = (0..self.labels.len()).filter(|&i| self.labels[i] == class).collect();
            if own.len() < FEWEST_OF_CLASS {
                continue;
            }
            looked += 1;
            let sought = &own[..own.len().min(MOST_OF_CLASS)];
            let (found, tried) = modes(self.rows.select(Axis(0), sought).view(), eigenvectors, self.data.key.seed())?;
            let far: Vec<Placed> = found.into_iter().filter_map(|mode| self.place(&space, class, &own, sought, mode)).collect();
            // Where a mode lies says nothing of what is between: starts of classes with none that far ask no question.
            tests += if far.is_empty() { 0 } else { tried };
            placed.extend(far);
        }
        let tests = tests.max(1);
        placed.retain(|one| one.mode.p * tests as f64 <= WORTH_KEEPING);
        let apart: BTreeSet<u32> = placed.iter().filter(|one| one.mode.p * tests as f64 <= LEVEL).map(|one| one.class).collect();
        if apart.len() as f64 > (USUAL * looked as f64).max(1.0) {
            let note =
                format!("{} of {looked} classes have rows apart from the rest: that is how classes look here, and no news", apart.len());
            return Ok((Vec::new(), vec![note]));
        }
        placed.retain(|one| one.purity >= PURITY);
        placed.sort_by(|a, b| a.mode.p.total_cmp(&b.mode.p).then_with(|| a.members.cmp(&b.members)));
        let mut found = Vec::new();
        for one in placed {
            let several = one.spread >= ONE_KIND;
            if !several && one.mode.p * tests as f64 > CLEAR {
                continue;
            }
            let keys: Vec<u64> = one.members.iter().map(|&i| self.keys[i]).collect();
            let said = judged(self.content, &keys, JUDGED, std::iter::empty())?;
            // Rows of one kind count where a model without them knows them, as rows of another label.
            let denied = || said.as_ref().is_some_and(|said| Opinion::of(self.content, &keys, one.class, said) == Opinion::Denied);
            if several || denied() {
                let background = said.and_then(|said| means(&said).get(one.class as usize).copied());
                found.push(self.apart(one, keys, background, tests));
            }
        }
        Ok((found, Vec::new()))
    }

    /// Where a mode lies; `None` where it is too near to be a kind of its own. `own` are the rows of the class, `sought`
    /// those that the mode was found among.
    fn place(&self, space: &Space, class: u32, own: &[usize], sought: &[usize], mode: Mode) -> Option<Placed> {
        let held = mode.holds(self.rows.select(Axis(0), &own[sought.len()..]).view());
        let beyond = own[sought.len()..].iter().zip(held).filter(|(_, held)| *held).map(|(i, _)| *i);
        let members: Vec<usize> = mode.members.iter().map(|&at| sought[at]).chain(beyond).collect();
        if members.len() as f64 > MOST_SHARE * self.labels.len() as f64 {
            return None;
        }
        let inside: BTreeSet<usize> = members.iter().copied().collect();
        let rest: Vec<usize> = own.iter().copied().filter(|i| !inside.contains(i)).collect();
        let (middle, others) = (space.mean(&members), space.mean(&rest));
        let near = space.nearest(space.means.row(class as usize), class);
        let far = distance(middle.view(), others.view()).min(space.nearest(middle.view(), class)) / near;
        if !(far >= FAR && far.is_finite()) {
            return None;
        }
        let to_middle: Vec<f64> = space.white.outer_iter().map(|row| distance(row, middle.view())).collect();
        let mut radii: Vec<f64> = members.iter().map(|&i| to_middle[i]).collect();
        radii.sort_unstable_by(f64::total_cmp);
        let radius = *radii.get((CORE * radii.len() as f64) as usize)?;
        let in_ball: Vec<usize> = (0..to_middle.len()).filter(|&i| to_middle[i] <= radius).collect();
        let labelled = in_ball.iter().filter(|&&i| self.labels[i] == class).count();
        let spread = space.scatter(&members, class)? / space.scatter(&rest, class)?;
        Some(Placed { class, members, mode, far, purity: labelled as f64 / in_ball.len().max(1) as f64, spread })
    }

    /// `background` is what content without the rows with these keys gives them of the label.
    fn apart(&self, one: Placed, keys: Vec<u64>, background: Option<f64>, tests: u64) -> Candidate {
        let rows = keys.len() as u64;
        let by_label = background.and_then(|q| null(ODDS_RATIO).test(rows, rows, q, self.labels.len() as u64));
        let contradicted = by_label.is_some_and(|p| p * tests as f64 <= LEVEL);
        let label = self.data.class_name(one.class).to_owned();
        let cause = format!("a second kind of rows labelled {label}");
        // A rare kind of the class lies apart as well, and a model that saw no row of it gives it any label; but it is of one kind.
        let mixed = one.spread >= SEVERAL;
        let said = match (contradicted, mixed) {
            (true, true) => ", and content gives them the labels of several others",
            (true, false) => "; content does not give them that label, and they are of one kind: a rare kind of it, or one other class",
            _ => "",
        };
        let mut evidence = Map::new();
        evidence.insert("distance".to_owned(), json!(one.mode.distance));
        evidence.insert("times_nearest_class".to_owned(), json!(one.far));
        evidence.insert("rows_between".to_owned(), json!(one.mode.between));
        evidence.insert("rows_around".to_owned(), json!(one.mode.around));
        evidence.insert("times_as_mixed".to_owned(), json!(one.spread));
        let group = Group {
            title: format!(
                "{rows} of {} sampled rows labelled {label} lie apart from the others of that label, {:.1} times as far as the nearest other class{said}",
                self.labels.iter().filter(|l| **l == one.class).count(),
                one.far
            ),
            cause,
            attack_class: "backdoor_trigger".to_owned(),
            rows,
            agreeing: rows,
            label: Some(label),
            background,
            statistic: "rows of a second mode".to_owned(),
            value: one.mode.around as f64,
            p: one.mode.p,
            tests,
            max_tier: if contradicted && mixed { Tier::Alarm } else { Tier::Suspect },
            examples: Vec::new(),
            evidence,
        };
        let apart = Apart { target: one.class, shape: Shape::Mode(one.mode), keys, group };
        Candidate { apart, members: one.members }
    }
}
