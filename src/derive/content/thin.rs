//! The content model with a quarter of the features.

use ndarray::Array2;

use super::features::Room;
use super::{Content, ContentModel, INFO, fitted};
use crate::data::{Batch, Schema};
use crate::error::Result;
use crate::fold::{Derive, Fold, Given, Info, Step, without_scan};

/// Takes the place of [`Content`] where a run is to be cheap: most of a fit's cost grows with the third power of the features. It knows
/// content less well; `benches/power.rs` shows what that does to what a scan says it would have seen.
pub struct Thin;

impl Fold for Thin {
    type Model = ContentModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), ContentModel>> {
        fitted(data, given, Room::QUARTER).map(Step::Done)
    }
}

impl Derive for Thin {
    fn column(&self, model: &ContentModel, rows: &Batch) -> Result<Option<Array2<f32>>> {
        Content.column(model, rows)
    }
}
