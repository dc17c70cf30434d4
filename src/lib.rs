//! foretaste tastes a training set before a model does: it finds poisoned rows and names the cause.
//!
//! Everything here serves one run: [`data::read`] makes a [`data::Source`] of files; [`run::scan`] profiles it, lets the units of
//! [`detect::all`] ride shared scans of its rows, and scores them; [`policy`] decides what a score or a cause comes to; listed
//! rows go to a [`run::Sink`], and all that was found is a [`run::Outcome`], which [`report`] words.
//!
//! ```
//! use foretaste::data::read::{Options, open};
//! use foretaste::finding::Verdict;
//! use foretaste::run::{Order, Silent, Sink, scan};
//!
//! /// Counts listed rows.
//! #[derive(Default)]
//! struct Count(usize);
//!
//! impl Sink for Count {
//!     fn rows(&mut self, rows: &arrow::record_batch::RecordBatch) -> foretaste::error::Result<()> {
//!         self.0 += rows.num_rows();
//!         Ok(())
//!     }
//!
//!     fn scores(&mut self, _: &arrow::record_batch::RecordBatch) -> foretaste::error::Result<()> {
//!         Ok(())
//!     }
//!
//!     fn wants_scores(&self) -> bool {
//!         false
//!     }
//! }
//!
//! # fn main() -> foretaste::error::Result<()> {
//! let source = open(&["datasets/data/digits_backdoor.parquet".to_owned()], &Options::default())?;
//! let order = Order {
//!     threads: 2,
//!     memory: 1 << 30,
//!     only: vec!["trigger.patch".to_owned()],
//!     ..Order::new(1)
//! };
//! let mut listed = Count::default();
//! let outcome = scan(source.as_ref(), foretaste::detect::all(), &order, &mut listed, &Silent)?;
//!
//! assert_eq!(outcome.verdict, Verdict::Fail);
//! assert_eq!(outcome.findings[0].code, "trigger.patch");
//! assert_eq!(outcome.findings[0].group.label.as_deref(), Some("0"));
//! assert_eq!(listed.0 as u64, outcome.flagged_rows);
//! # Ok(())
//! # }
//! ```
//!
//! # Tour
//!
//! | Module | What is in it |
//! | --- | --- |
//! | [`error`] | the one error type: where, what, what to do next |
//! | [`stats`] | mathematics: slices in, numbers out |
//! | [`data`] | sources, roles of columns, blocks of rows with typed views |
//! | [`finding`] | families, tiers, causes, evidence |
//! | [`fold`] | the contract of everything that looks at rows: states that merge |
//! | [`derive`](mod@derive) | the reference sample and the content model |
//! | [`detect`] | the detectors and their registry |
//! | [`policy`] | the one place that decides |
//! | [`run`] | shared scans, memory, threads, listing |
//! | [`report`] | files, page, summary, standards |
//! | [`review`], [`ledger`] | what reviewers decide, in an append-only record |
//! | [`serve`](mod@serve) | the page that reviewers decide in |
//! | [`quarantine`](mod@quarantine) | listed rows taken out of a copy of the data, and put back |
//! | [`export`](mod@export) | a report in the forms of other programs |
//! | [`metrics`] | figures of a run for Prometheus |
//! | [`attest`] | who stands by a report, and what still holds of it |
//! | [`stage`](mod@stage) | a stream in, the same stream judged out |
//! | [`evaluate`](mod@evaluate) | a report against the truth |
//! | [`config`], [`cli`] | settings and the command |
//! | [`engine`] | all of these put together |
//!
//! A detector of your own implements [`fold::Detect`] and joins the list: `units.push(fold::detector(Mine))`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attest;
pub mod cli;
pub mod config;
pub mod data;
pub mod derive;
pub mod detect;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod finding;
pub mod fold;
mod folder;
pub mod ledger;
pub mod metrics;
pub mod policy;
pub mod power;
pub mod quarantine;
pub mod report;
pub mod review;
pub mod run;
pub mod serve;
pub mod stage;
pub mod stats;
