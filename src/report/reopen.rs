//! The page of a report that was written before, made anew: by this version's script, with what was done since.

use std::path::Path;

use super::html::{Desk, Html, page};
use super::listed::{Blocks, Listed};
use super::pack::block;
use super::{Report, Scores};
use crate::data::read::{Options, open};
use crate::error::Result;

/// The page of the report in `folder`. The content of rows comes from the page that lies there; without it the page has none.
///
/// # Errors
/// [`crate::error::Error::Input`] where the folder holds no report.
pub(crate) fn reopen(folder: &Path, desk: &Desk) -> Result<Html> {
    let report = Report::read(folder)?;
    let (mut listed, mut scores) = (Listed::default(), Scores::default());
    let file = |name: &str| folder.join(name).display().to_string();
    for batch in open(&[file("rows.parquet")], &Options::default())?.scan(None)? {
        let batch = batch?;
        listed.add(&batch);
        scores.listed(&batch);
    }
    if folder.join("scores.parquet").exists() {
        for batch in open(&[file("scores.parquet")], &Options::default())?.scan(None)? {
            scores.add(&batch?);
        }
    }
    let before = std::fs::read_to_string(folder.join("report.html")).unwrap_or_default();
    let kept = |id: &str| block(&before, id).map(str::to_owned);
    let blocks = match (kept("rows-data"), kept("pictures-data")) {
        (Some(rows), Some(pictures)) => Blocks { rows, pictures, beside: kept("beside-data").unwrap_or_default() },
        _ => listed.blocks()?,
    };
    page(&report, &listed, &scores, blocks, desk)
}
