//! Backdoor triggers: items whose carriers share a label that the rest of their content does not explain.

mod activation;
mod alike;
mod mine;
mod patch;
mod rule;
mod set;
mod spectral;
mod style;
mod token;

pub use activation::{Activation, ActivationModel};
pub use mine::MineModel;
pub(super) use mine::{background, backgrounds, null};
pub use patch::{Patch, patch};
pub use rule::{Cuts, Rule, rule};
pub use set::{Set, SetModel};
pub use spectral::{Spectral, SpectralModel};
pub use style::{Style, StyleModel};
pub use token::{Token, response, token};

use std::collections::BTreeSet;

use crate::derive::{ContentModel, SampleModel};
use crate::error::Result;
use crate::fold::{Given, Step};

/// Corrected p-values up to this are kept as a ranking; the policy decides which of them are claims.
pub(super) const WORTH_KEEPING: f64 = 0.5;
/// Labels with causes of their own from which on that may be how labels are told here: an attack has one target, or few.
const MANY_LABELS: usize = 5;
/// Share of agreeing carriers asked for where they may have their label by nature: so has what is natural of them.
const NEARLY_ALL: f64 = 0.98;
/// Level at which a cause explains its rows to those who ask about them afterwards.
const EXPLAINED: f64 = 0.004;

/// The model of a unit that looks at the reference sample and asks the content model; one that found nothing where either
/// is missing.
fn fitted<B, M: Default>(given: &Given, fit: impl FnOnce(&SampleModel, &ContentModel) -> Result<M>) -> Result<Step<B, M>> {
    let both = given.model("derive.sample").zip(given.model("derive.content"));
    both.map_or_else(|| Ok(M::default()), |(sample, content)| fit(sample, content)).map(Step::Done)
}

/// Keys of the rows that carry a trigger with its label: they are explained, and no evidence of wrong labels elsewhere.
pub(super) fn carriers(given: &Given) -> BTreeSet<u64> {
    let plain = ["trigger.patch", "trigger.response", "trigger.token"]
        .into_iter()
        .filter_map(|code| given.model::<MineModel<()>>(code))
        .map(MineModel::carriers);
    let rules = given.model::<MineModel<Cuts>>("trigger.rule").map(MineModel::carriers);
    let sets = given.model::<SetModel>("trigger.set").map(SetModel::carriers);
    let styles = given.model::<StyleModel>("trigger.style").map(StyleModel::carriers);
    let spectral = given.model::<SpectralModel>("trigger.spectral").map(SpectralModel::carriers).unwrap_or_default();
    let apart = given.model::<ActivationModel>("trigger.activation").map(ActivationModel::carriers).unwrap_or_default();
    plain.chain(rules).chain(sets).chain(styles).flatten().copied().chain(spectral).chain(apart).collect()
}
