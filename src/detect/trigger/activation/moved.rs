//! Classes with rows of all others among theirs, moved together.

use ndarray::Axis;
use rayon::prelude::*;
use serde_json::{Map, json};

use super::judge::{Candidate, FEWEST_OF_CLASS, Labelled, MOST_OF_CLASS, MOST_SHARE, ODDS_RATIO};
use super::{Apart, Shape};
use crate::detect::trigger::WORTH_KEEPING;
use crate::error::Result;
use crate::finding::{Group, Tier};
use crate::stats::moved::{Moved, Places, moved};
use crate::stats::tail::binomial_sf;

/// Fewest other classes: of fewer, half say nothing of all.
const FEWEST_OTHERS: usize = 4;
/// Part of the way to its label from which on rows were moved at all: wrong labels stay where they are.
const LEAST_PULL: f64 = 0.1;
/// Or the same for all, in standard deviations within classes.
const LEAST_SHIFT: f64 = 3.0;
/// Largest, beyond which copies of all classes lie in one place.
const MOST_PULL: f64 = 0.79;
/// Largest share of a class that was moved there: more is a class of what belongs nowhere else.
const MOST_OF_ITS_CLASS: f64 = 1.0 / 3.0;
/// Rows expected at least from the classes that fewest come from.
const LEAST_EXPECTED: f64 = 0.5;

impl Labelled<'_> {
    /// Classes with moved rows that are worth keeping, and the units that tell which rows those are.
    pub(super) fn moved(&self) -> Result<(Places, Vec<Candidate>)> {
        let classes = self.data.classes();
        let places = Places::fit(self.rows.view(), self.labels, classes)?;
        let white = places.of(self.rows.view())?;
        let mut own = vec![Vec::new(); classes];
        for (i, &label) in self.labels.iter().enumerate() {
            own[label as usize].push(i);
        }
        let large: Vec<usize> = (0..classes).filter(|&class| own[class].len() >= FEWEST_OF_CLASS).collect();
        if large.len() <= FEWEST_OTHERS {
            return Ok((places, Vec::new()));
        }
        let searched = |&class: &usize| {
            let others: Vec<usize> = large.iter().copied().filter(|other| *other != class).collect();
            let sizes: Vec<u64> = others.iter().map(|&other| own[other].len() as u64).collect();
            let sought = &own[class][..own[class].len().min(MOST_OF_CLASS)];
            let found = moved(&places, white.select(Axis(0), sought).view(), class, &others, &sizes);
            (class, sought, others, found)
        };
        let searched: Vec<_> = large.par_iter().map(searched).collect();
        let least = |found: &Option<Moved>| found.as_ref().map_or(0, Moved::of_the_least);
        let (all, rows) = searched.iter().fold((0, 0), |(all, rows), (_, sought, _, found)| (all + least(found), rows + sought.len()));
        let mut candidates = Vec::new();
        for (class, sought, others, found) in &searched {
            let Some(one) = found else { continue };
            let (here, count) = (least(found), sought.len());
            let expected = (ODDS_RATIO * (all - here) as f64 / (rows - count) as f64 * count as f64).max(LEAST_EXPECTED);
            let p = binomial_sf(here, count as u64, (expected / count as f64).min(1.0));
            let on_the_way = (LEAST_PULL..MOST_PULL).contains(&one.pull);
            let moved_at_all = (on_the_way || one.pull < LEAST_PULL && one.shift >= LEAST_SHIFT) && one.share <= MOST_OF_ITS_CLASS;
            let rest = &own[*class][count..];
            let beyond = rest.iter().zip(one.holds(white.select(Axis(0), rest).view())).filter(|(_, held)| *held).map(|(i, _)| *i);
            let members: Vec<usize> = one.members.iter().map(|&at| sought[at]).chain(beyond).collect();
            let few = !members.is_empty() && members.len() as f64 <= MOST_SHARE * self.labels.len() as f64;
            if moved_at_all && few && p * large.len() as f64 <= WORTH_KEEPING {
                let tested = Tested { here, expected: expected / ODDS_RATIO, p, tests: large.len() as u64 };
                let group = self.moved_group(*class, members.len() as u64, own[*class].len(), one, &tested);
                let keys = members.iter().map(|&i| self.keys[i]).collect();
                let others = others.iter().map(|&other| other as u32).collect();
                let apart = Apart { target: *class as u32, shape: Shape::Moved(others, one.clone()), keys, group };
                candidates.push(Candidate { apart, members });
            }
        }
        Ok((places, candidates))
    }

    fn moved_group(&self, class: usize, rows: u64, of: usize, one: &Moved, tested: &Tested) -> Group {
        let label = self.data.class_name(class as u32).to_owned();
        let mut evidence = Map::new();
        evidence.insert("share_of_class".to_owned(), json!(one.share));
        evidence.insert("part_of_the_way".to_owned(), json!(one.pull));
        evidence.insert("moved_the_same_way".to_owned(), json!(one.shift));
        evidence.insert("rows_of_unlikely_classes".to_owned(), json!(tested.here));
        evidence.insert("expected_rows".to_owned(), json!(tested.expected));
        let moved = if one.pull < LEAST_PULL {
            format!("{:.1} standard deviations the same way", one.shift)
        } else {
            format!("{:.0}% of the way to it", 100.0 * one.pull)
        };
        Group {
            title: format!(
                "{rows} of {of} sampled rows labelled {label} lie where rows of all other classes would, moved together {moved}: \
                 a model that made this embedding may have learnt a trigger"
            ),
            cause: format!("rows of all other classes moved to label {label}"),
            attack_class: "backdoor_trigger".to_owned(),
            rows,
            agreeing: rows,
            label: Some(label),
            background: None,
            statistic: "rows of classes that fewest come from".to_owned(),
            value: tested.here as f64,
            p: tested.p,
            tests: tested.tests,
            max_tier: Tier::Suspect,
            examples: Vec::new(),
            evidence,
        }
    }
}

/// How many rows surely come from the unlikely half of the classes.
struct Tested {
    here: u64,
    expected: f64,
    p: f64,
    tests: u64,
}
