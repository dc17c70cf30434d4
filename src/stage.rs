//! A stage in a pipeline: an Arrow IPC stream in, the same stream out with what a frozen scan says of each row.

use std::io::{Read, Write};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::ipc::writer::StreamWriter;

use crate::data::read::Stream;
use crate::error::{Error, Result};
use crate::finding::Tier;
use crate::run::{Frozen, Judged};

/// Which rows do not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// All go on.
    None,
    /// Rows that a cause at tier alarm lists stay behind.
    Alarm,
    /// All listed rows stay behind.
    Flagged,
}

/// What went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Rows that came.
    pub rows: u64,
    /// Rows that are listed.
    pub flagged: u64,
    /// Of those, at tier alarm.
    pub alarms: u64,
    /// Rows that stayed behind.
    pub dropped: u64,
}

/// Judges a stream batch by batch: memory holds one batch, and no batch is read before the one before it was written.
///
/// # Errors
/// [`Error::Input`] where the stream is cut off, corrupt or not of the model's columns; [`Error::Output`] where it cannot be written on.
pub fn stage(model: &Frozen, input: impl Read, output: impl Write, drop: Drop) -> Result<Passed> {
    let fail = |e: arrow::error::ArrowError| Error::output("stdout", e);
    let mut stream = Stream::open("stdin", input)?;
    let accepted = model.accept("stdin", &stream.schema())?;
    let mut writer = StreamWriter::try_new(output, accepted.schema()).map_err(fail)?;
    let mut passed = Passed::default();
    while let Some(batch) = stream.next_batch()? {
        let Judged { rows, tiers } = model.judge(&accepted, &batch)?;
        let stays = |tier: &Option<Tier>| match drop {
            Drop::None => false,
            Drop::Alarm => *tier == Some(Tier::Alarm),
            Drop::Flagged => tier.is_some(),
        };
        passed.rows += tiers.len() as u64;
        passed.flagged += tiers.iter().flatten().count() as u64;
        passed.alarms += tiers.iter().flatten().filter(|tier| **tier == Tier::Alarm).count() as u64;
        let kept: BooleanArray = tiers.iter().map(|tier| Some(!stays(tier))).collect();
        passed.dropped += kept.false_count() as u64;
        let rows = if kept.false_count() > 0 { filter_record_batch(&rows, &kept).map_err(fail)? } else { rows };
        writer.write(&rows).and_then(|()| writer.flush()).map_err(fail)?;
    }
    writer.finish().map_err(fail)?;
    Ok(passed)
}

#[cfg(test)]
mod tests;
