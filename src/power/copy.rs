//! A copy of some rows, in memory.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;

use crate::data::{Choices, Key, Role, Source, strings};
use crate::error::{Error, Place, Result};
use crate::run::Outcome;

/// Hash domain of positions.
const ROW: u8 = 80;

/// Rows spread evenly over the data, with the roles that the scan gave their columns.
pub(super) struct Copy {
    pub(super) batch: RecordBatch,
    pub(super) roles: Vec<Role>,
    /// Class of each row, an index into the classes; `None` without a label.
    labels: Vec<Option<usize>>,
    classes: Vec<String>,
}

impl Copy {
    /// Takes rows by a hash of their position, so that at most about `most` rows and `bytes` are held: no order of the rows decides
    /// which, as every n-th row would.
    pub(super) fn of(source: &dyn Source, outcome: &Outcome, key: Key, most: u64, bytes: usize) -> Result<Self> {
        let wrong = |e: arrow::error::ArrowError| Error::input(Place::source("input"), e.to_string());
        // Chosen are the rows whose hash lies under a bound, so that a lower bound chooses among the same rows.
        let mut below = (u128::from(u64::MAX) * u128::from(most.min(outcome.data.rows)) / u128::from(outcome.data.rows.max(1))) as u64;
        let (mut parts, mut positions, mut held, mut first) = (Vec::new(), Vec::new(), 0, 0_u64);
        let chosen = |row: u64, below: u64| key.words(ROW, &[row]) <= below;
        for batch in source.scan(None)? {
            let batch = batch?;
            let end = first + batch.num_rows() as u64;
            let rows: Vec<u64> = (first..end).filter(|row| chosen(*row, below)).collect();
            let at: UInt32Array = rows.iter().map(|row| (row - first) as u32).collect();
            first = end;
            if rows.is_empty() {
                continue;
            }
            let part = take_record_batch(&batch, &at).map_err(wrong)?;
            held += part.get_array_memory_size();
            parts.push(part);
            positions.extend(rows);
            if held > bytes {
                // Half of the rows held so far, as if half as many had been wanted from the start.
                below /= 2;
                let all = concat_batches(&source.schema(), &parts).map_err(wrong)?;
                let kept: Vec<usize> = (0..positions.len()).filter(|&at| chosen(positions[at], below)).collect();
                let at: UInt32Array = kept.iter().map(|at| *at as u32).collect();
                let half = take_record_batch(&all, &at).map_err(wrong)?;
                positions = kept.into_iter().map(|at| positions[at]).collect();
                held = half.get_array_memory_size();
                parts = vec![half];
            }
        }
        let batch = concat_batches(&source.schema(), &parts).map_err(wrong)?;
        let roles: Vec<Role> = outcome.data.columns.iter().map(|column| column.role).collect();
        let (labels, classes) = match roles.iter().position(|role| *role == Role::Label).and_then(|at| batch.columns().get(at)) {
            Some(column) => classes(column),
            None => (vec![None; batch.num_rows()], Vec::new()),
        };
        Ok(Self { batch, roles, labels, classes })
    }

    pub(super) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Names of the classes, sorted.
    pub(super) fn classes(&self) -> &[String] {
        &self.classes
    }

    pub(super) fn label(&self, row: usize) -> Option<usize> {
        self.labels.get(row).copied().flatten()
    }

    /// Columns with a role.
    pub(super) fn with_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        self.roles.iter().enumerate().filter(move |(_, of)| **of == role).map(|(at, _)| at)
    }

    /// The roles as choices, so that they are not inferred anew; columns with a role that cannot be chosen stay inferred.
    pub(super) fn choices(&self) -> Choices {
        let schema = self.batch.schema();
        let named = |role: Role| self.with_role(role).map(|at| schema.field(at).name().clone()).collect::<Vec<_>>();
        let first = |role: Role| named(role).into_iter().next();
        Choices {
            label: first(Role::Label),
            id: first(Role::Id),
            text: named(Role::Text),
            response: first(Role::Response),
            rejected: first(Role::Rejected),
            image: first(Role::Image),
            embedding: first(Role::Embedding),
            probs: first(Role::Probabilities),
            source: first(Role::Source),
            time: first(Role::Time),
            address: first(Role::Address),
            digest: first(Role::Digest),
            ignore: named(Role::Ignored),
        }
    }
}

fn classes(column: &ArrayRef) -> (Vec<Option<usize>>, Vec<String>) {
    let texts = strings(column);
    let mut names: Vec<String> = texts.iter().flatten().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    let class = |text: &str| names.binary_search_by(|name| name.as_str().cmp(text)).ok();
    let labels = texts.iter().map(|text| text.and_then(class)).collect();
    (labels, names)
}
