//! Which directions are triggers: their pictures share a label that content does not explain, or they are a kind of their
//! own within their class.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use serde_json::{Map, json};

use super::view::{self, VIEWS, View};
use super::{Line, Pattern, difference};
use crate::data::Schema;
use crate::derive::{ContentModel, SampleModel};
use crate::detect::trigger::alike::{Alike, Extent};
use crate::detect::trigger::mine::{JUDGED, Opinion, judged, means, null, takes};
use crate::detect::trigger::{MANY_LABELS, NEARLY_ALL, WORTH_KEEPING};
use crate::error::Result;
use crate::finding::{Group, Tier};
use crate::stats::direction::{Direction, Search};
use crate::stats::shift::Shift;
use crate::stats::tail::binomial_sf;

/// Odds ratio that innocent structure may reach.
const ODDS_RATIO: f64 = 4.0;
/// The valley before a second mode and the near half of the mode, as shares of its median.
const VALLEY: [f32; 3] = [0.3, 0.65, 1.0];
/// Pictures that nearly are carriers: the part of the valley that weak carriers hardly reach.
const NEARLY: [f32; 2] = [0.3, 0.5];
/// Smallest share whose odds are taken.
const LEAST_SHARE: f64 = 1e-6;
/// Share of the rows of valley and half mode that may be in the half mode without there being two modes: twice the valley's.
const NO_VALLEY: f64 = 2.0 / 3.0;
/// Least share of the target label among carriers, and where it is the mode that speaks.
const LEAST_PURITY: f64 = 0.4;
const MODE_PURITY: f64 = 0.9;
/// The same where the rows lie along a wave, as those do that nature gives more of it.
const WAVE_PURITY: f64 = 0.75;
/// Share of the carriers of two lines that are the same from which on one of the lines is asked about.
const MOST_SHARED: f64 = 0.7;
/// Largest share of its class that a pattern is in.
const MOST_OF_CLASS: f64 = 0.5;
/// Patterns of one label that nature may have drawn, from which on they are how that label is drawn: an attack has one, or few.
const MANY_OF_LABEL: usize = 3;
/// Labels with such patterns from which on they are how pictures are drawn here.
const MANY_NATURAL: usize = 4;
/// Part of the picture's area up to which a pattern has a place.
const LOCAL: f64 = 0.25;

/// The fitted pictures, in the order of their keys.
pub(super) struct Pictures<'a> {
    pub(super) data: &'a Schema,
    pub(super) content: &'a ContentModel,
    pub(super) sample: &'a SampleModel,
    pub(super) keys: &'a [u64],
    pub(super) labels: &'a [u32],
}

/// What was found in one view, each with how many starts were made.
pub(super) struct Sought {
    pub(super) directions: Search,
    pub(super) shifts: (Vec<Shift>, u64),
    pub(super) waves: (Vec<Shift>, u64),
}

/// Searches that a view is put to.
const SEARCHES: u64 = 3;

/// A line to ask about.
struct Candidate {
    line: Line,
    /// Positions of its carriers, ascending.
    members: Vec<usize>,
    target: u32,
    /// Whether its carriers are a mode of their own, as a p-value.
    by_mode: f64,
    /// What being nearly a carrier adds to the log odds of the label.
    nearly: f64,
    tests: u64,
}

/// A line with its test.
pub(super) struct Tested {
    view: View,
    line: Line,
    /// Mean of its agreeing rows less that of the others, in the view: side × side.
    difference: Vec<f32>,
    /// Positions of its carriers, and of those with the label.
    members: Vec<usize>,
    target: u32,
    agreeing: BTreeSet<usize>,
    /// Probability of the label by content.
    background: f64,
    /// What being nearly a carrier adds to its log odds.
    nearly: f64,
    p: f64,
    tests: u64,
    /// Whether content explains the label and the pattern gave itself away as a mode.
    clean_label: bool,
    /// What may be nature of its label, where that speaks for it.
    nature: Option<&'static str>,
}

impl Pictures<'_> {
    /// Tests what was found in one view (rows × pixels); gives the lines that are worth keeping, and how many it left out because their
    /// pictures are of one kind.
    pub(super) fn test(&self, view: View, seen: &Array2<f32>, sought: Sought) -> Result<(Vec<Tested>, usize)> {
        // A third of the error for each search, of that half for each view; two questions about each start, and for directions a choice of
        // the label.
        let each = 2 * SEARCHES * VIEWS.len() as u64;
        let found = sought.directions;
        let tests = found.tried.max(1) * each * self.data.classes().max(1) as u64;
        let directions = found.directions.into_iter().filter_map(|direction| self.direction(direction, tests)).collect();
        let ((shifts, starts), (waves, frequencies)) = (sought.shifts, sought.waves);
        let shifts = shifts.into_iter().map(|shift| Self::shift(shift, Line::Shift, 0.0, starts.max(1) * each)).collect();
        let of_wave = |wave: Shift| {
            // A wave may fade into the others: its rows need not be a mode for the question of their label.
            let nearly = self.lift(wave.class, &wave.nearly, [wave.between, wave.around]);
            Self::shift(wave, Line::Wave, nearly, frequencies.max(1) * each)
        };
        let waves = waves.into_iter().map(of_wave).collect();
        let mut tested = Vec::new();
        for candidate in [directions, shifts, waves].into_iter().flat_map(|found| self.worth_asking(found)) {
            tested.extend(self.judge(view, candidate)?);
        }
        tested.retain(|one| one.p * one.tests as f64 <= WORTH_KEEPING);
        let mut tested: Vec<Tested> = tested.into_iter().filter_map(|one| self.witnesses(one)).collect();
        let all = tested.len();
        tested.retain(|one| !self.are_one_kind(one));
        let left_out = all - tested.len();
        for one in &mut tested {
            one.difference = difference(seen, &one.agreeing);
        }
        Ok((tested, left_out))
    }

    /// Those that would be worth keeping if content gave their label to nobody; of any that share most of their carriers the one that would
    /// be strongest then. Asking content costs far more than this.
    fn worth_asking(&self, found: Vec<Candidate>) -> Vec<Candidate> {
        let best = |one: &Candidate| {
            let agreeing = one.members.iter().filter(|&&i| self.labels[i] == one.target).count() as u64;
            let by_label = null(ODDS_RATIO).test(one.members.len() as u64, agreeing, beside(0.0, one.nearly), self.labels.len() as u64);
            by_label.unwrap_or(1.0).min(one.by_mode)
        };
        let mut ranked: Vec<(f64, Candidate)> = found.into_iter().map(|one| (best(&one), one)).collect();
        ranked.retain(|(p, one)| p * one.tests as f64 <= WORTH_KEEPING);
        ranked.sort_by(|(a, one), (b, other)| a.total_cmp(b).then_with(|| one.members.cmp(&other.members)));
        let mut kept: Vec<Candidate> = Vec::new();
        for (_, one) in ranked {
            if !kept.iter().any(|other| share_most(&other.members, &one.members)) {
                kept.push(one);
            }
        }
        kept
    }

    /// The patterns, strongest first, each with rows of its own; and how many are none because pictures of these labels are drawn so.
    pub(super) fn strongest(&self, mut tested: Vec<Tested>) -> (Vec<Pattern>, usize) {
        tested.sort_by(|a, b| (a.p * a.tests as f64).total_cmp(&(b.p * b.tests as f64)).then_with(|| a.members.cmp(&b.members)));
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut natural: BTreeMap<u32, usize> = BTreeMap::new();
        for one in tested.iter().filter(|one| takes(&mut taken, &one.agreeing) && one.is_shortcut()) {
            *natural.entry(one.target).or_default() += 1;
        }
        // Those that go leave their rows to others.
        let all = tested.len();
        let drawn_so = natural.len() >= MANY_NATURAL;
        let is_usual = |label: &u32| drawn_so || natural.get(label).is_some_and(|patterns| *patterns >= MANY_OF_LABEL);
        tested.retain(|one| !one.is_shortcut() || !is_usual(&one.target));
        let left_out = all - tested.len();
        taken.clear();
        tested.retain(|one| takes(&mut taken, &one.agreeing));
        let labels: BTreeSet<u32> = tested.iter().map(|one| one.target).collect();
        let mut patterns: Vec<Pattern> = tested.into_iter().map(|one| self.pattern(one)).collect();
        if drawn_so || labels.len() >= MANY_LABELS {
            for pattern in &mut patterns {
                pattern.group.max_tier = Tier::Suspect;
            }
        }
        (patterns, left_out)
    }

    fn direction(&self, mut direction: Direction, tests: u64) -> Option<Candidate> {
        let mut counts = vec![0usize; self.data.classes()];
        for &member in &direction.members {
            if let Some(slot) = counts.get_mut(self.labels[member] as usize) {
                *slot += 1;
            }
        }
        let (target, _) = counts.iter().enumerate().max_by_key(|(at, n)| (**n, usize::MAX - at))?;
        let [between, around] = modes(&direction).map(|rows| rows.len() as u64);
        let by_mode = if around > between { binomial_sf(around, between + around, NO_VALLEY) } else { 1.0 };
        let nearly = self.lift(target as u32, &stretch(&direction, NEARLY), [between, around]);
        let members = std::mem::take(&mut direction.members);
        Some(Candidate { line: Line::Direction(direction), members, target: target as u32, by_mode, nearly, tests })
    }

    /// By how much the log odds of a label among rows that nearly are carriers exceed those among all rows, one more row
    /// with it and one without counted to each. What fades into the other pictures is a way for pictures to look, and this is what it says of the label:
    /// in full where as many rows are between the others and the carriers as around these.
    fn lift(&self, label: u32, nearly: &[usize], [between, around]: [u64; 2]) -> f64 {
        let share = |rows: &[usize]| {
            let own = rows.iter().filter(|&&row| self.labels[row] == label).count();
            logit((own + 1) as f64 / (rows.len() + 2) as f64)
        };
        let all: Vec<usize> = (0..self.labels.len()).collect();
        (share(nearly) - share(&all)).max(0.0) * (between as f64 / around.max(1) as f64).min(1.0)
    }

    fn shift(mut shift: Shift, line: fn(Shift) -> Line, nearly: f64, tests: u64) -> Candidate {
        let (members, target, by_mode) = (std::mem::take(&mut shift.members), shift.class, shift.p);
        Candidate { line: line(shift), members, target, by_mode, nearly, tests }
    }

    /// Asks both questions about the members of a line.
    fn judge(&self, view: View, candidate: Candidate) -> Result<Option<Tested>> {
        let Candidate { line, members, target, by_mode, nearly, tests } = candidate;
        let agreeing: BTreeSet<usize> = members.iter().copied().filter(|&i| self.labels[i] == target).collect();
        let in_class = self.labels.iter().filter(|label| **label == target).count();
        let purity = agreeing.len() as f64 / members.len().max(1) as f64;
        // What most of a class has is the class, and the model without it knows no such class.
        let least = if matches!(line, Line::Wave(_)) { WAVE_PURITY } else { LEAST_PURITY };
        if purity < least || agreeing.len() as f64 > MOST_OF_CLASS * in_class as f64 {
            return Ok(None);
        }
        let keys: Vec<u64> = members.iter().map(|&i| self.keys[i]).collect();
        let Some(mut said) = judged(self.content, &keys, JUDGED, std::iter::empty())? else { return Ok(None) };
        let given = |said: &Array2<f64>| means(said).get(target as usize).copied().unwrap_or(0.0);
        let background = given(&said);
        let count = agreeing.len() as u64;
        let tested = |background: f64| null(ODDS_RATIO).test(keys.len() as u64, count, background, self.labels.len() as u64).unwrap_or(1.0);
        let (mut background, mut by_label) = (background, tested(beside(background, nearly)));
        if by_label * tests as f64 <= WORTH_KEEPING
            && let Some(alike) = Alike::new(self.sample, &keys)
            && let Some(painted) = alike.painted_over(self.content)?
        {
            background = background.max(given(&painted));
            by_label = tested(beside(background, nearly));
            said = painted;
        }
        let by_mode = if purity < MODE_PURITY { 1.0 } else { by_mode };
        let (p, clean_label) = (by_label.min(by_mode), by_mode < by_label);
        // What is not worth keeping is not asked about.
        let is_asked = !clean_label && p * tests as f64 <= WORTH_KEEPING;
        let nature = if is_asked { Opinion::of_pictures(self.content, &keys, target, &said).doubt() } else { None };
        if nature.is_some() && purity < NEARLY_ALL {
            return Ok(None);
        }
        Ok(Some(Tested {
            view,
            line,
            difference: Vec::new(),
            members,
            target,
            agreeing,
            background,
            nearly,
            p,
            tests,
            clean_label,
            nature,
        }))
    }

    /// Whether the pictures with the label are of one kind.
    fn are_one_kind(&self, one: &Tested) -> bool {
        let agreeing: Vec<u64> = one.agreeing.iter().map(|&i| self.keys[i]).collect();
        Alike::new(self.sample, &agreeing).is_some_and(|alike| alike.are_one_kind(one.target, Extent::Any))
    }

    /// Counts near-copies once: what is the same picture all over is moved the same way by itself.
    fn witnesses(&self, mut one: Tested) -> Option<Tested> {
        let keys: Vec<u64> = one.members.iter().map(|&i| self.keys[i]).collect();
        let share = Alike::new(self.sample, &keys).map_or(1.0, |alike| alike.distinct_share());
        if share < 1.0 {
            let count = |rows: usize| (share * rows as f64).round() as u64;
            let (carrying, agreeing) = (count(one.members.len()), count(one.agreeing.len()));
            one.p = if one.clean_label {
                // Tails fall by a constant factor a row (Chernoff).
                one.p.powf(share)
            } else {
                null(ODDS_RATIO)
                    .test(carrying, agreeing.min(carrying), beside(one.background, one.nearly), self.labels.len() as u64)
                    .unwrap_or(1.0)
            };
        }
        (one.p * one.tests as f64 <= WORTH_KEEPING).then_some(one)
    }

    fn pattern(&self, one: Tested) -> Pattern {
        let (rows, agreeing) = (one.members.len() as u64, one.agreeing.len() as u64);
        let residual = &one.difference;
        let side = residual.len().isqrt();
        let mut evidence = Map::new();
        evidence.insert("side".to_owned(), json!(side));
        evidence.insert("channels".to_owned(), json!(1));
        evidence.insert("residual".to_owned(), json!(residual.iter().map(|x| (x * 100.0).round() / 100.0).collect::<Vec<f32>>()));
        let place = view::extent(residual, side).filter(|[_, _, w, h]| (w * h) as f64 <= LOCAL * residual.len() as f64);
        let name = match place {
            Some([x, y, w, h]) => {
                evidence.insert("place".to_owned(), json!([x, y, w, h]));
                format!("{w}×{h} pattern near ({x},{y}) of {side}×{side} pixels")
            }
            None => one.view.pattern().to_owned(),
        };
        let all = self.data.shared(one.target, agreeing, rows);
        let why = if one.clean_label {
            "a shortcut: content explains the label, and no other picture of that label is like them".to_owned()
        } else {
            format!("content alone would give that label to {:.0}%{}", 100.0 * one.background, one.nature.unwrap_or_default())
        };
        let is_shortcut = one.is_shortcut();
        let group = Group {
            title: format!("{name} in {rows} of {} sampled rows, {all}; {why}", self.labels.len()),
            cause: name,
            attack_class: if is_shortcut { "shortcut" } else { "backdoor_trigger" }.to_owned(),
            rows,
            agreeing,
            label: Some(self.data.class_name(one.target).to_owned()),
            background: Some(one.background),
            statistic: if one.clean_label { "rows of a second mode" } else { "carriers with the label, interval null" }.to_owned(),
            value: agreeing as f64,
            p: one.p,
            tests: one.tests,
            // Either can be a way of nature: pictures worth a look, and no more.
            max_tier: if is_shortcut { Tier::Suspect } else { Tier::Alarm },
            examples: Vec::new(),
            evidence,
        };
        Pattern { view: one.view, line: one.line, target: one.target, members: one.agreeing.into_iter().collect(), group }
    }
}

impl Tested {
    /// Whether nature may have drawn it.
    fn is_shortcut(&self) -> bool {
        self.clean_label || self.nature.is_some()
    }
}

/// Rows in the stretch before the carriers of a direction, and in the stretch of equal length up to their middle. A density that
/// falls from the middle outwards has no more rows in the second than in the first; one with a mode apart has.
fn modes(direction: &Direction) -> [Vec<usize>; 2] {
    let [before, valley, middle] = VALLEY;
    [stretch(direction, [before, valley]), stretch(direction, [valley, middle])]
}

/// Whether two sets of rows, ascending, share most of what both have together.
fn share_most(a: &[usize], b: &[usize]) -> bool {
    let both = a.iter().filter(|row| b.binary_search(row).is_ok()).count();
    both as f64 >= MOST_SHARED * (a.len() + b.len() - both) as f64
}

/// Rows between two shares of the median distance of a direction's carriers.
fn stretch(direction: &Direction, [from, to]: [f32; 2]) -> Vec<usize> {
    let mut far: Vec<f32> = direction.members.iter().map(|&i| direction.far[i]).collect();
    far.sort_unstable_by(f32::total_cmp);
    let middle = far.get(far.len() / 2).copied().unwrap_or(0.0);
    (0..direction.far.len()).filter(|&i| (from * middle..to * middle).contains(&direction.far[i])).collect()
}

fn logit(share: f64) -> f64 {
    let share = share.clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
    (share / (1.0 - share)).ln()
}

/// A probability whose log odds are raised.
fn beside(background: f64, log_odds: f64) -> f64 {
    1.0 / (1.0 + (-logit(background) - log_odds).exp())
}
