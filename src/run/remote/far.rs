//! The driver's side: what a run asks of rows that lie elsewhere.

use arrow::compute::concat_batches;
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use rustc_hash::FxHashSet;

use crate::data::read::{Slice, Spread, changed, schema_to_bytes};
use crate::data::{Schema, Source};
use crate::error::{Error, Result};
use crate::fold::{AnyModel, Unit};

use super::super::beside::Found;
use super::super::facts::Facts;
use super::super::known::{Known, models_of};
use super::super::list::{Listed, Lister};
use super::super::look::Look;
use super::super::outcome::{Progress, Sink, go_on};
use super::super::score::{Scored, Scoring};
use super::super::shared::Ridden;
use super::super::{Passenger, Phase, columns_for};
use super::join::read_answer;
use super::{BRIEFS, Body, Piece, Ride, Score, Task, What, of_bytes, question, to_bytes, wire};

/// Most rows whose scores come back at once.
const SCORED_ROWS: u64 = 1 << 20;

/// Rows that lie elsewhere, and the passes over them that a run makes.
pub(in crate::run) struct Far<'a> {
    spread: &'a Spread,
    progress: &'a dyn Progress,
}

impl<'a> Far<'a> {
    pub(in crate::run) fn new(spread: &'a Spread, progress: &'a dyn Progress) -> Self {
        Self { spread, progress }
    }

    fn task(&self, columns: Option<Vec<usize>>, what: What) -> Result<(Vec<u8>, Vec<Slice>)> {
        go_on(self.progress)?;
        let slices = self.spread.slices(columns.as_deref());
        let task = Task {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.spread.name().to_owned(),
            arrow: schema_to_bytes(&self.spread.schema())?,
            columns,
            slices: slices.clone(),
            what,
        };
        Ok((to_bytes(&task)?, slices))
    }

    /// Runs a task on every partition; gives back its question's number and the one answer.
    fn joined(&self, columns: Option<Vec<usize>>, what: What) -> Result<(u64, Body)> {
        let (task, slices) = self.task(columns, what)?;
        let question = question(&task);
        let missing = |slice: &Slice| changed(self.spread.name(), slice.partition, Some(slice.first_row));
        let Some(bytes) = self.spread.cluster().joined(&task)? else {
            return Err(slices.first().map_or_else(|| wire("no partition answered"), missing));
        };
        let answer = read_answer(question, &bytes)?;
        // A partition that lost all of its rows does not answer.
        if let Some(slice) = slices.iter().find(|slice| answer.covers.binary_search(&slice.partition).is_err()) {
            return Err(missing(slice));
        }
        self.progress.rows(slices.iter().map(|slice| slice.rows).sum());
        Ok((question, answer.body?))
    }

    /// Runs a task on some partitions, by runs of them, and hands on the answers in their order.
    fn each(&self, what: What, runs: impl FnOnce(&[Slice]) -> Vec<Vec<u32>>, mut take: impl FnMut(Body) -> Result<()>) -> Result<()> {
        let (task, slices) = self.task(None, what)?;
        let question = question(&task);
        for run in runs(&slices) {
            go_on(self.progress)?;
            let answers = self.spread.cluster().each(&task, &run)?;
            if answers.len() != run.len() {
                return Err(wire(format!("{} of {} partitions answered", answers.len(), run.len())));
            }
            for (bytes, partition) in answers.iter().zip(&run) {
                let answer = read_answer(question, bytes)?;
                if answer.covers != [*partition] {
                    return Err(wire(format!("partition {partition} did not answer")));
                }
                take(answer.body?)?;
            }
            self.progress.rows(slices.iter().filter(|slice| run.contains(&slice.partition)).map(|slice| slice.rows).sum());
        }
        Ok(())
    }

    /// The first rows, and whether they are all.
    pub(in crate::run) fn head(&self, most: usize) -> Result<(RecordBatch, bool)> {
        let first = |slices: &[Slice]| {
            let reached = slices.iter().filter(|slice| slice.first_row < most as u64);
            vec![reached.map(|slice| slice.partition).collect()]
        };
        let mut batches = Vec::new();
        self.each(What::Head(most as u64), first, |body| match body {
            Body::Head(bytes) => {
                batches.extend(batches_of(&bytes)?);
                Ok(())
            }
            _ => Err(other()),
        })?;
        let head = concat_batches(&self.spread.schema(), &batches).map_err(|e| wire(e.to_string()))?;
        let whole = self.spread.rows_hint().is_some_and(|rows| rows <= most as u64);
        Ok((head, whole))
    }

    /// Looks at some columns of all rows.
    pub(in crate::run) fn look<L: Look>(&self, columns: &[usize], look: &L) -> Result<L::Found> {
        match self.joined(Some(columns.to_vec()), What::Look(look.clone().into()))? {
            (_, Body::Look(found)) => of_bytes(&found),
            _ => Err(other()),
        }
    }

    /// One shared scan.
    pub(in crate::run) fn ride(&self, schema: &Schema, passengers: &[Passenger], riders: &[usize], facts: &Facts) -> Result<Vec<Ridden>> {
        let mut briefs = Vec::new();
        for &i in riders {
            let passenger = &passengers[i];
            if let Phase::Scanning(_, brief) = &passenger.phase {
                briefs.push((passenger.code().to_owned(), passenger.unit.pack_brief(BRIEFS, brief)?));
            }
        }
        let derive = columns_for(passengers, riders.iter().copied());
        let models: Vec<(&dyn Unit, &AnyModel)> = derive.iter().map(|(unit, model)| (*unit, model)).collect();
        let ride = Ride { known: Known::new(schema, &models)?, riders: briefs, facts: !facts.complete() };
        let (question, Body::Ride { riders: rode, facts: counts }) = self.joined(None, What::Ride(ride))? else { return Err(other()) };
        if rode.len() != riders.len() {
            return Err(other());
        }
        if let Some(counts) = counts {
            facts.add(&counts);
        }
        let home = riders.iter().zip(rode).map(|(&i, rode)| {
            let state = rode.state.map_err(Error::from).and_then(|state| passengers[i].unit.unpack_state(question, &state));
            Ridden { state, seconds: rode.seconds }
        });
        Ok(home.collect())
    }

    /// The scoring read.
    pub(in crate::run) fn score(&self, schema: &Schema, scoring: &Scoring<'_>) -> Result<Scored> {
        let passengers = scoring.passengers;
        let which = scoring.which.iter().map(|i| passengers[*i].code().to_owned()).collect();
        let known = Known::new(schema, &models_of(passengers, scoring.which))?;
        let task = Score { known, which, scores: scoring.scores };
        let (_, Body::Score { summaries, seconds, failed }) = self.joined(None, What::Score(task))? else { return Err(other()) };
        if summaries.len() != scoring.which.len() {
            return Err(other());
        }
        let at = |code: &str| passengers.iter().position(|p| p.code() == code);
        let failed = failed.into_iter().filter_map(|(code, why)| Some((at(&code)?, why))).collect();
        Ok(Scored { summaries, seconds, failed })
    }

    /// The read that lists rows, which come here in their order.
    pub(in crate::run) fn list(&self, lister: &Lister<'_>, sink: &mut (dyn Sink + Send)) -> Result<Listed> {
        let mut listed = lister.nothing(sink)?;
        let told = lister.told(self.spread.files()?)?;
        let scores = told.scores;
        let runs = |slices: &[Slice]| runs(slices, if scores { SCORED_ROWS } else { u64::MAX });
        self.each(What::List(told), runs, |body| {
            let Body::List { pieces, listed: more } = body else { return Err(other()) };
            for piece in &pieces {
                let (Piece::Rows(bytes) | Piece::Content(bytes) | Piece::Scores(bytes)) = piece;
                for batch in batches_of(bytes)? {
                    match piece {
                        Piece::Rows(_) => sink.rows(&batch)?,
                        Piece::Content(_) => sink.content(lister.schema(), &batch)?,
                        Piece::Scores(_) => sink.scores(&batch)?,
                    }
                }
            }
            listed.add(more);
            Ok(())
        })?;
        Ok(listed)
    }

    /// The rows with one of these keys, in their order.
    pub(in crate::run) fn find(&self, schema: &Schema, wanted: &FxHashSet<u64>) -> Result<Vec<Found>> {
        let mut keys: Vec<u64> = wanted.iter().copied().collect();
        keys.sort_unstable();
        let mut all = Vec::new();
        self.each(
            What::Find(Known::new(schema, &[])?, keys),
            |slices| runs(slices, u64::MAX),
            |body| {
                let Body::Find(rows, bytes) = body else { return Err(other()) };
                let content = concat_batches(&schema.arrow, &batches_of(&bytes)?).map_err(|e| wire(e.to_string()))?;
                if content.num_rows() != rows.len() {
                    return Err(other());
                }
                all.push(Found { rows, content });
                Ok(())
            },
        )?;
        Ok(all)
    }
}

fn other() -> Error {
    wire("the bytes answer another kind of question")
}

/// Partitions in runs of at most so many rows, or of one partition.
fn runs(slices: &[Slice], most: u64) -> Vec<Vec<u32>> {
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut rows = 0u64;
    for slice in slices {
        rows = rows.saturating_add(slice.rows);
        if let Some(run) = runs.last_mut().filter(|_| rows <= most) {
            run.push(slice.partition);
        } else {
            runs.push(vec![slice.partition]);
            rows = slice.rows;
        }
    }
    runs
}

/// The batches of an Arrow stream.
pub(super) fn batches_of(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let reader = StreamReader::try_new(bytes, None).map_err(|e| wire(e.to_string()))?;
    reader.collect::<Result<_, _>>().map_err(|e| wire(e.to_string()))
}
