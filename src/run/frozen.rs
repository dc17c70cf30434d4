//! What a scan learnt, as a file: it judges rows that the scan never saw, one batch at a time, without another look at the data.
//!
//! A file holds schema, roles, classes, the models of the units and what of them is listed; no code, and nothing that runs. Its
//! first bytes name its form, and a digest tells damage from an old version.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, ListBuilder, StringArray, StringBuilder};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, UInt64Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, ColumnRole, Key, Label, Schema};
use crate::error::{Error, Place, Result};
use crate::finding::Tier;
use crate::fold::Unit;
use crate::policy::Listing;

use super::align::Columns;
use super::list::{Claimed, Lister};
use super::shared::derive_columns;
use super::{Passenger, Phase, columns_for};

/// First bytes of a file, with the version of its form.
const MAGIC: &[u8; 16] = b"foretaste.mod/1\n";
/// What the models answer, for their envelopes.
const QUESTION: u64 = 0x0066_726f_7a65_6e31;
/// Bytes of the digest after the first bytes.
const DIGEST: usize = 32;
/// Names of the columns that judged rows get.
const COLUMNS: [&str; 4] = ["foretaste_flagged", "foretaste_q", "foretaste_codes", "foretaste_reason"];

/// A file's content after its head.
#[derive(Serialize, Deserialize)]
struct Parts {
    tool: String,
    /// The Arrow schema as an IPC stream without a batch.
    arrow: Vec<u8>,
    columns: Vec<ColumnRole>,
    label: Option<Label>,
    rows: u64,
    key: Key,
    unit_bytes: u64,
    /// Models in their envelopes, by the units' codes.
    models: Vec<(String, Vec<u8>)>,
    listings: Vec<(String, Listing)>,
    claims: Vec<(String, Vec<Option<Claimed>>)>,
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
    let lists =
        |i: &usize| listings.get(i).is_some_and(Listing::reads_scores) || claims.get(i).is_some_and(|c| c.iter().any(Option::is_some));
    let judges: Vec<usize> = listings.keys().copied().filter(lists).collect();
    let read: Vec<&str> = judges.iter().flat_map(|i| passengers[*i].unit.info().reads.iter().copied()).collect();
    let needed = passengers.iter().enumerate().filter(|(i, p)| judges.contains(i) || !p.unit.judges() && read.contains(&p.code()));
    let models = needed.filter_map(|(_, p)| Some((p, p.model()?)));
    let code = |i: &usize| passengers[*i].code().to_owned();
    let parts = Parts {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        arrow: StreamWriter::try_new(Vec::new(), &schema.arrow).and_then(StreamWriter::into_inner).map_err(|e| fail(&e))?,
        columns: schema.columns.clone(),
        label: schema.label.clone(),
        rows: schema.rows,
        key: schema.key,
        unit_bytes: schema.unit_bytes as u64,
        models: models.map(|(p, model)| Ok((p.code().to_owned(), p.unit.pack_model(QUESTION, model)?))).collect::<Result<_>>()?,
        listings: judges.iter().filter_map(|i| Some((code(i), listings.get(i)?.clone()))).collect(),
        claims: judges.iter().filter_map(|i| Some((code(i), claims.get(i)?.clone()))).collect(),
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
        let arrow =
            StreamReader::try_new(&parts.arrow[..], None).map_err(|e| broken(name, format!("the model has no schema: {e}")))?.schema();
        if arrow.fields().len() != parts.columns.len() {
            return Err(broken(name, "the model's columns do not fit its schema"));
        }
        let mut models: BTreeMap<String, Vec<u8>> = parts.models.into_iter().collect();
        let board = |unit: Box<dyn Unit>| {
            let model = models.remove(unit.info().code).map(|bytes| unit.unpack_model(QUESTION, &bytes));
            let phase = match model.transpose().map_err(|e| broken(name, e.to_string()))? {
                Some(model) => Phase::Done(model),
                None => Phase::Skipped("not part of the model".to_owned()),
            };
            Ok(Passenger { unit, phase, seconds: 0.0, scans: 0, bytes: 0 })
        };
        let passengers: Vec<Passenger> = units.into_iter().map(board).collect::<Result<_>>()?;
        if let Some(code) = models.keys().next() {
            return Err(broken(name, format!("the model is of a unit that this build does not have: {code}")));
        }
        let at = |code: &str| {
            let found = passengers.iter().position(|p| p.code() == code && p.model().is_some());
            found.ok_or_else(|| broken(name, format!("the model lists for {code}, which it does not hold")))
        };
        let listings = parts.listings.into_iter().map(|(code, listing)| Ok((at(&code)?, listing))).collect::<Result<_>>()?;
        let claims = parts.claims.into_iter().map(|(code, claims)| Ok((at(&code)?, claims))).collect::<Result<_>>()?;
        let schema = Schema {
            arrow,
            columns: parts.columns,
            label: parts.label,
            rows: parts.rows,
            key: parts.key,
            unit_bytes: usize::try_from(parts.unit_bytes).unwrap_or(usize::MAX),
        };
        Ok(Self { schema: Arc::new(schema), passengers, listings, claims })
    }

    /// Accepts a stream with these columns; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::Input`] where it lacks a column that is looked at, holds another type there, or already has a column of the names that
    /// judged rows get.
    pub fn accept(&self, name: &str, theirs: &SchemaRef) -> Result<Accepted> {
        if let Some(taken) = COLUMNS.iter().find(|column| theirs.index_of(column).is_ok()) {
            return Err(Error::input(Place::source(name).column(*taken), "there is such a column already")
                .with_help("The rows were judged before: take the columns foretaste_… out, or rename them."));
        }
        let columns = Columns::find("the stream", name.to_owned(), theirs, &self.schema)?;
        let schema = Arc::new(Schema { arrow: Arc::clone(&columns.schema), ..(*self.schema).clone() });
        let [flagged, q, codes, reason] = COLUMNS;
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let mut fields: Vec<Arc<Field>> = theirs.fields().iter().cloned().collect();
        fields.extend([
            Arc::new(Field::new(flagged, DataType::Boolean, false)),
            Arc::new(Field::new(q, DataType::Float64, true)),
            Arc::new(Field::new(codes, DataType::List(item), false)),
            Arc::new(Field::new(reason, DataType::Utf8, true)),
        ]);
        let out = Arc::new(ArrowSchema::new_with_metadata(fields, theirs.metadata().clone()));
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
        let rows = batch.num_rows();
        let (mut tiers, mut q, mut reasons, mut from) = (vec![None; rows], vec![None; rows], vec![None; rows], vec![None; rows]);
        if let Some(listed) = &listed {
            let column =
                |name: &str| listed.column_by_name(name).ok_or_else(|| Error::input(Place::source("listed rows"), format!("lack {name}")));
            let (at, tier, own_q) = (column("row")?.as_primitive::<UInt64Type>(), column("tier")?.as_string::<i32>(), column("q")?);
            let reason = column("reason")?.as_string::<i32>();
            let own_q = own_q.as_primitive::<arrow::datatypes::Float64Type>();
            for i in 0..listed.num_rows() {
                let row = at.value(i) as usize;
                let Some(slot) = tiers.get_mut(row) else { continue };
                *slot = Tier::named(tier.value(i));
                (q[row], reasons[row], from[row]) = (Some(own_q.value(i)), Some(reason.value(i)), Some(i));
            }
        }
        let codes_of = listed.as_ref().and_then(|listed| listed.column_by_name("codes")).map(AsArray::as_list::<i32>);
        let mut codes = ListBuilder::new(StringBuilder::new());
        for i in &from {
            if let Some((all, i)) = codes_of.zip(*i) {
                all.value(i).as_string::<i32>().iter().for_each(|code| codes.values().append_option(code));
            }
            codes.append(true);
        }
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.extend::<[ArrayRef; 4]>([
            Arc::new(tiers.iter().map(|tier| Some(tier.is_some())).collect::<BooleanArray>()),
            Arc::new(Float64Array::from(q)),
            Arc::new(codes.finish()),
            Arc::new(StringArray::from(reasons)),
        ]);
        Ok(Judged { rows: RecordBatch::try_new(Arc::clone(&accepted.out), columns).map_err(wrong)?, tiers })
    }
}
