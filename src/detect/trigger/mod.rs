//! Backdoor triggers: items whose carriers share a label that the rest of their content does not explain.

mod mine;
mod patch;
mod rule;
mod token;

pub use patch::patch;
pub use rule::rule;
pub use token::token;
