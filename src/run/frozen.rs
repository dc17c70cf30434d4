//! What a scan learnt, as a file: it judges rows that the scan never saw, one batch at a time, without another look at the data.
//!
//! A file holds schema, roles, classes, the models of the units and what of them is listed; no code, and nothing that runs. Its
//! first bytes name its form, and a digest tells damage from an old version.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Schema};
use crate::error::{Error, Place, Result};
use crate::finding::Tier;
use crate::fold::Unit;
use crate::policy::Listing;

use super::align::Columns;
use super::known::{Known, Lists, listing, models_of};
use super::list::{Claimed, Lister};
use super::mark::{marked, marks, unmarked};
use super::shared::derive_columns;
use super::{Passenger, columns_for};

/// First bytes of a file, with the version of its form.
const MAGIC: &[u8; 16] = b"foretaste.mod/2\n";
/// Bytes of the digest after the first bytes.
const DIGEST: usize = 32;

/// A file's content after its head.
#[derive(Serialize, Deserialize)]
struct Parts {
    tool: String,
    known: Known,
    lists: Lists,
}

/// A scan that judges rows it never saw.
pub struct Frozen {
    schema: Arc<Schema>,
    passengers: Vec<Passenger>,
    listings: BTreeMap<usize, Listing>,
    claims: BTreeMap<usize, Vec<Option<Claimed>>>,
}

/// The columns of a stream that was accepted.
pub struct Accepted {
    columns: Columns,
    schema: Arc<Schema>,
    out: SchemaRef,
}

impl Accepted {
    /// The columns of the stream, and those that judged rows get.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.out
    }
}

/// A judged batch.
pub struct Judged {
    /// The rows as they came, with the columns of [`Accepted::schema`].
    pub rows: RecordBatch,
    /// The tier at which each row is listed, `None` where it is not.
    pub tiers: Vec<Option<Tier>>,
}

fn broken(name: &str, why: impl Into<String>) -> Error {
    Error::input(Place::source(name), why).with_help("Make the model anew: foretaste fit DATA --model FILE.")
}

/// Writes down what a run learnt.
pub(super) fn freeze(
    schema: &Schema,
    passengers: &[Passenger],
    listings: &BTreeMap<usize, Listing>,
    claims: &BTreeMap<usize, Vec<Option<Claimed>>>,
) -> Result<Vec<u8>> {
    let fail = |e: &dyn std::fmt::Display| Error::output("model", e);
    let judges = listing(listings, claims);
    let models = models_of(passengers, &judges);
    let parts = Parts {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        known: Known::new(schema, &models)?,
        lists: Lists::new(passengers, &judges, listings, claims),
    };
    let body = postcard::to_stdvec(&parts).map_err(|e| fail(&e))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

impl Frozen {
    /// Reads a file's bytes; `units` is the registry, and `name` stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Input`] where the bytes are no model, are damaged, or were made by units of other versions.
    pub fn read(name: &str, bytes: &[u8], units: Vec<Box<dyn Unit>>) -> Result<Self> {
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| broken(name, "is no model of foretaste, or one of another form"))?;
        let (digest, body) = rest.split_at_checked(DIGEST).ok_or_else(|| broken(name, "the model is cut off"))?;
        if blake3::hash(body).as_bytes() != digest {
            return Err(broken(name, "the model is damaged: its digest does not fit"));
        }
        let parts: Parts = postcard::from_bytes(body).map_err(|e| broken(name, format!("the model cannot be read: {e}")))?;
        let schema = parts.known.schema().map_err(|e| broken(name, e.to_string()))?;
        let passengers = parts.known.board(units).map_err(|e| broken(name, e.to_string()))?;
        let (listings, claims) = parts.lists.at(&passengers).map_err(|e| broken(name, e.to_string()))?;
        Ok(Self { schema, passengers, listings, claims })
    }

    /// Accepts a stream with these columns; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::Input`] where it lacks a column that is looked at, holds another type there, or already has a column of the names that
    /// judged rows get.
    pub fn accept(&self, name: &str, theirs: &SchemaRef) -> Result<Accepted> {
        unmarked(name, theirs)?;
        let columns = Columns::find("the stream", name.to_owned(), theirs, &self.schema)?;
        let schema = Arc::new(Schema { arrow: Arc::clone(&columns.schema), ..(*self.schema).clone() });
        let out = marked(theirs);
        Ok(Accepted { columns, schema, out })
    }

    /// Judges the rows of an accepted stream; each on its own, so that it does not matter how they are cut into batches. The
    /// parts of a long batch are judged side by side.
    ///
    /// # Errors
    /// [`Error::Input`] where a value does not fit its column; [`Error::Detector`] where a unit fails.
    pub fn judge(&self, accepted: &Accepted, batch: &RecordBatch) -> Result<Judged> {
        use rayon::prelude::*;
        let (rows, part) = (batch.num_rows(), self.schema.block_rows());
        if rows <= part {
            return self.judge_block(accepted, batch);
        }
        let starts: Vec<usize> = (0..rows).step_by(part).collect();
        let parts = starts.into_par_iter().map(|at| self.judge_block(accepted, &batch.slice(at, part.min(rows - at))));
        let parts: Vec<Judged> = parts.collect::<Result<_>>()?;
        let rows = concat_batches(&accepted.out, parts.iter().map(|part| &part.rows));
        let rows = rows.map_err(|e| Error::input(Place::source(accepted.columns.name()), e.to_string()))?;
        Ok(Judged { rows, tiers: parts.into_iter().flat_map(|part| part.tiers).collect() })
    }

    fn judge_block(&self, accepted: &Accepted, batch: &RecordBatch) -> Result<Judged> {
        let wrong = |e: arrow::error::ArrowError| Error::input(Place::source(accepted.columns.name()), e.to_string());
        let record = accepted.columns.align(&batch.project(&accepted.columns.read).map_err(wrong)?)?;
        let block = Batch::new(Arc::clone(&accepted.schema), record, 0);
        derive_columns(&columns_for(&self.passengers, self.listings.keys().copied()), &block)?;
        let rarity = BTreeMap::new();
        let lister = Lister::new(&accepted.schema, &[], &self.passengers, &self.listings, &rarity, &self.claims, (false, false));
        let listed = lister.listed_rows(&block)?;
        let (tiers, judged) = marks(batch.num_rows(), 0, listed.as_ref())?;
        let columns = batch.columns().iter().cloned().chain(judged).collect();
        Ok(Judged { rows: RecordBatch::try_new(Arc::clone(&accepted.out), columns).map_err(wrong)?, tiers })
    }
}
