//! Wrong labels: rows whose label, or number to predict, does not fit their content, or that of their copies.

mod coarse;
mod confident;
mod conflict;
mod crossfit;
mod judge;
mod noise;
mod region;
mod residual;

pub use coarse::{Coarse, CoarseModel, Views};
pub use confident::{Confident, ConfidentBrief, ConfidentModel, ConfidentState, Doubt, Largest, Quotas};
pub use conflict::{Conflict, ConflictModel};
pub use crossfit::{Crossfit, CrossfitModel, LinearLogits, SampleLogits, Toward};
pub use region::{Region, RegionBrief, RegionModel, RegionState};
pub use residual::{Residual, ResidualModel};
