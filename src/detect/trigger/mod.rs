//! Backdoor triggers: items whose carriers share a label that the rest of their content does not explain.

mod mine;
mod patch;
mod rule;
mod token;

pub use mine::MineModel;
pub use patch::{Patch, patch};
pub use rule::{Cuts, Rule, rule};
pub use token::{Token, token};
