//! Attack recipes and small data sets with known truth, for trying and testing foretaste.
//!
//! - [`recipe`] plants one published attack in a record batch and returns it with its [`Truth`]; rows that are not hit
//!   stay as they are.
//! - [`synth`] makes clean sets whose content predicts the label at about 90%.
//! - [`read_parquet`], [`write_parquet`] and [`shipped`] get at files, those of `data/` among them.
//!
//! ```
//! use foretaste_datasets::{Plan, Share, recipe, synth};
//!
//! let clean = synth::topic_texts(500, 2, 20, 7)?;
//! let plan = Plan::new("label", 0, Share::Rate(0.02), 1);
//! let (poisoned, truth) = recipe::rare_word(&clean, &plan, "text", "cf")?;
//! assert_eq!(poisoned.num_rows(), 500);
//! assert_eq!(truth.bad().iter().filter(|&&bad| bad).count(), 10);
//! # Ok::<(), foretaste_datasets::Error>(())
//! ```

mod class;
mod column;
mod draw;
mod error;
mod file;
mod picture;
pub mod recipe;
pub mod synth;
mod text;
mod truth;

pub use class::Class;
pub use draw::{Draw, Plan, Share};
pub use error::{Error, Result};
pub use file::{read_parquet, shipped, write_parquet};
pub use truth::Truth;
