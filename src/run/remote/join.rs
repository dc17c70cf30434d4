//! Answers of several partitions become one, on any machine, in any order and any tree.

use std::collections::BTreeSet;

use crate::data::read::{asks_for_census, counted, join_census};
use crate::error::Result;
use crate::fold::Unit;

use super::super::facts::Counts;
use super::super::shared::guarded;
use super::{Answer, BRIEFS, Body, Failed, Ride, Rode, What, of_bytes, question, read_task, to_bytes, unit_of, wire};

/// Joins answers to one task; `units` is the registry. An answer that speaks for partitions that were heard already counts once.
///
/// # Errors
/// Bytes that are no answers to this task, and answers that overlap in part.
pub fn join(units: &[Box<dyn Unit>], task: &[u8], answers: &[&[u8]]) -> Result<Vec<u8>> {
    if let Some(name) = asks_for_census(task) {
        return join_census(name, answers.iter().copied());
    }
    let question = question(task);
    let mut covers = BTreeSet::new();
    let mut bodies = Vec::new();
    let mut failed: Option<Failed> = None;
    for bytes in answers {
        let answer = read_answer(question, bytes)?;
        let heard = answer.covers.iter().filter(|partition| covers.contains(*partition)).count();
        if heard == answer.covers.len() {
            continue;
        }
        if heard > 0 {
            return Err(wire("two answers speak for the same partition, and not for the same ones"));
        }
        covers.extend(answer.covers);
        match answer.body {
            Ok(body) => bodies.push(body),
            Err(other) => failed = Some(other.or(failed.take())),
        }
    }
    let body = match failed {
        Some(failed) => Err(failed),
        None => Ok(join_bodies(units, &read_task(task)?.what, question, bodies)?),
    };
    to_bytes(&Answer { question, covers: covers.into_iter().collect(), body })
}

/// What is in an answer, for whoever plans merges or counts what travels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The partitions that it speaks for, ascending.
    pub covers: Vec<u32>,
    /// Codes of units with the bytes of their states.
    pub states: Vec<(String, usize)>,
}

/// Looks into an answer to a task.
///
/// # Errors
/// Bytes that are no answer to this task.
pub fn contents(task: &[u8], answer: &[u8]) -> Result<Contents> {
    if asks_for_census(task).is_some() {
        return Ok(Contents { covers: counted(answer)?, states: Vec::new() });
    }
    let answer = read_answer(question(task), answer)?;
    let states = match (read_task(task)?.what, answer.body) {
        (What::Ride(task), Ok(Body::Ride { riders, .. })) => {
            let bytes = riders.iter().map(|rode| rode.state.as_ref().map_or(0, Vec::len));
            task.riders.into_iter().map(|(code, _)| code).zip(bytes).collect()
        }
        _ => Vec::new(),
    };
    Ok(Contents { covers: answer.covers, states })
}

/// An answer that is one to this question.
pub(super) fn read_answer(question: u64, bytes: &[u8]) -> Result<Answer> {
    let answer: Answer = of_bytes(bytes)?;
    if answer.question != question {
        return Err(wire("the bytes answer another question (other data, settings or pass)"));
    }
    Ok(answer)
}

fn join_bodies(units: &[Box<dyn Unit>], what: &What, question: u64, bodies: Vec<Body>) -> Result<Body> {
    let other = || wire("the bytes answer another kind of question");
    match what {
        What::Look(look) => {
            let found = bodies.into_iter().map(|body| if let Body::Look(found) = body { Ok(found) } else { Err(other()) });
            Ok(Body::Look(look.join(&found.collect::<Result<Vec<_>>>()?)?))
        }
        What::Ride(task) => {
            let (mut all, mut counts) = (Vec::new(), None::<Counts>);
            for body in bodies {
                let Body::Ride { riders, facts } = body else { return Err(other()) };
                if riders.len() != task.riders.len() {
                    return Err(other());
                }
                all.push(riders);
                counts = match (counts, facts) {
                    (Some(mut counts), Some(more)) => {
                        counts.merge(&more);
                        Some(counts)
                    }
                    (counts, more) => counts.or(more),
                };
            }
            Ok(Body::Ride { riders: join_states(units, task, question, all)?, facts: counts })
        }
        What::Score(_) => {
            let mut bodies = bodies.into_iter();
            let Some(Body::Score { mut summaries, mut seconds, mut failed }) = bodies.next() else { return Err(other()) };
            for body in bodies {
                let Body::Score { summaries: more, seconds: spent, failed: trouble } = body else { return Err(other()) };
                if more.len() != summaries.len() {
                    return Err(other());
                }
                summaries.iter_mut().zip(more).for_each(|(into, from)| into.merge(from));
                seconds.iter_mut().zip(spent).for_each(|(into, from)| *into += from);
                failed.extend(trouble);
            }
            Ok(Body::Score { summaries, seconds, failed })
        }
        What::Head(_) | What::List(_) | What::Find(..) | What::Mark(_) => Err(wire("these answers stay in the order of their partitions")),
    }
}

/// Merges each rider's states; one that failed anywhere has failed, and takes no other with it.
fn join_states(units: &[Box<dyn Unit>], task: &Ride, question: u64, all: Vec<Vec<Rode>>) -> Result<Vec<Rode>> {
    let mut lanes: Vec<Vec<Rode>> = task.riders.iter().map(|_| Vec::new()).collect();
    for riders in all {
        lanes.iter_mut().zip(riders).for_each(|(lane, rode)| lane.push(rode));
    }
    let join = |((code, brief), lane): (&(String, Vec<u8>), Vec<Rode>)| {
        let unit = unit_of(units.iter().map(|unit| &**unit), code)?;
        let brief = unit.unpack_brief(BRIEFS, brief)?;
        let seconds = lane.iter().map(|rode| rode.seconds).sum();
        let mut states = Vec::new();
        let mut failed: Option<Failed> = None;
        for rode in lane {
            match rode.state {
                Ok(state) => states.push(state),
                Err(other) => failed = Some(other.or(failed.take())),
            }
        }
        let state = match failed {
            Some(failed) => Err(failed),
            None => Ok(guarded(unit.info().code, || {
                let mut into = unit.open(&brief)?;
                for state in &states {
                    unit.merge(&brief, &mut into, unit.unpack_state(question, state)?)?;
                }
                unit.pack_state(question, &into)
            })?),
        };
        Ok(Rode { state, seconds })
    };
    task.riders.iter().zip(lanes).map(join).collect()
}
