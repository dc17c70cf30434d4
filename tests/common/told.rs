//! What a scan tells its sink, whole.

use arrow::array::RecordBatch;
use foretaste::data::Schema;
use foretaste::error::Result;
use foretaste::run::{Sink, Surroundings};

/// Keeps all that it is told; wants content, and scores if asked to.
#[derive(Default)]
pub struct Told {
    pub schema: Option<Schema>,
    pub rows: Vec<RecordBatch>,
    pub content: Vec<RecordBatch>,
    pub beside: Option<Surroundings>,
    pub scores: Vec<RecordBatch>,
    pub wants_scores: bool,
}

impl Sink for Told {
    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows.push(rows.clone());
        Ok(())
    }

    fn scores(&mut self, scores: &RecordBatch) -> Result<()> {
        self.scores.push(scores.clone());
        Ok(())
    }

    fn content(&mut self, schema: &Schema, rows: &RecordBatch) -> Result<()> {
        self.schema = Some(schema.clone());
        self.content.push(rows.clone());
        Ok(())
    }

    fn beside(&mut self, _: &Schema, surroundings: &Surroundings) -> Result<()> {
        self.beside = Some(surroundings.clone());
        Ok(())
    }

    fn wants_scores(&self) -> bool {
        self.wants_scores
    }

    fn wants_content(&self) -> bool {
        true
    }
}
