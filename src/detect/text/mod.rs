//! Hygiene of text: what readers do not see or were not meant to obey. Rules tell it, in any language, without a model.

mod code;
mod gibberish;
mod inject;
mod mark;
mod style;
mod unicode;

pub use code::{Code, code};
pub use gibberish::{Gibberish, GibberishModel};
pub use inject::{Inject, inject};
pub use style::Style;
pub use unicode::{Unicode, unicode};
