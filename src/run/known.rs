//! What a run knows, as bytes: for a file that outlives it, and for workers that fold its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::read::{schema_of_bytes, schema_to_bytes};
use crate::data::{ColumnRole, Key, Label, Schema};
use crate::error::{Error, Result};
use crate::fold::{AnyModel, Unit};
use crate::policy::Listing;

use super::list::Claimed;
use super::{Passenger, Phase};

/// What the models answer, for their envelopes.
const QUESTION: u64 = 0x0066_726f_7a65_6e31;

/// Schema and models.
#[derive(Serialize, Deserialize)]
pub(super) struct Known {
    /// The Arrow schema as an IPC stream without a batch.
    arrow: Vec<u8>,
    columns: Vec<ColumnRole>,
    label: Option<Label>,
    rows: u64,
    key: Key,
    unit_bytes: u64,
    /// Models in their envelopes, by the units' codes.
    models: Vec<(String, Vec<u8>)>,
}

/// What is listed of the models.
#[derive(Serialize, Deserialize)]
pub(super) struct Lists {
    listings: Vec<(String, Listing)>,
    claims: Vec<(String, Vec<Option<Claimed>>)>,
}

fn broken(why: impl Into<String>) -> Error {
    Error::Wire { code: "model".to_owned(), reason: why.into() }
}

/// Units that list rows.
pub(super) fn listing(listings: &BTreeMap<usize, Listing>, claims: &BTreeMap<usize, Vec<Option<Claimed>>>) -> Vec<usize> {
    let lists =
        |i: &usize| listings.get(i).is_some_and(Listing::reads_scores) || claims.get(i).is_some_and(|c| c.iter().any(Option::is_some));
    listings.keys().copied().filter(lists).collect()
}

/// Models of these judges, and of the derived units whose columns they read.
pub(super) fn models_of<'a>(passengers: &'a [Passenger], judges: &[usize]) -> Vec<(&'a dyn Unit, &'a AnyModel)> {
    let read: Vec<&str> = judges.iter().flat_map(|i| passengers[*i].unit.info().reads.iter().copied()).collect();
    let needed = passengers.iter().enumerate().filter(|(i, p)| judges.contains(i) || !p.unit.judges() && read.contains(&p.code()));
    needed.filter_map(|(_, p)| Some((&*p.unit, p.model()?))).collect()
}

impl Known {
    pub(super) fn new(schema: &Schema, models: &[(&dyn Unit, &AnyModel)]) -> Result<Self> {
        let pack = |(unit, model): &(&dyn Unit, &AnyModel)| Ok((unit.info().code.to_owned(), unit.pack_model(QUESTION, model)?));
        Ok(Self {
            arrow: schema_to_bytes(&schema.arrow)?,
            columns: schema.columns.clone(),
            label: schema.label.clone(),
            rows: schema.rows,
            key: schema.key,
            unit_bytes: schema.unit_bytes as u64,
            models: models.iter().map(pack).collect::<Result<_>>()?,
        })
    }

    pub(super) fn schema(&self) -> Result<Arc<Schema>> {
        let arrow = schema_of_bytes(&self.arrow)?;
        if arrow.fields().len() != self.columns.len() {
            return Err(broken("its columns do not fit its schema"));
        }
        Ok(Arc::new(Schema {
            arrow,
            columns: self.columns.clone(),
            label: self.label.clone(),
            rows: self.rows,
            key: self.key,
            unit_bytes: usize::try_from(self.unit_bytes).unwrap_or(usize::MAX),
        }))
    }

    /// The units, those done that have a model here.
    pub(super) fn board(&self, units: Vec<Box<dyn Unit>>) -> Result<Vec<Passenger>> {
        let mut models: BTreeMap<&str, &[u8]> = self.models.iter().map(|(code, bytes)| (code.as_str(), &bytes[..])).collect();
        let board = |unit: Box<dyn Unit>| {
            let model = models.remove(unit.info().code).map(|bytes| unit.unpack_model(QUESTION, bytes));
            let phase = match model.transpose()? {
                Some(model) => Phase::Done(model),
                None => Phase::Skipped("not part of the model".to_owned()),
            };
            Ok(Passenger::new(unit, phase))
        };
        let passengers: Vec<Passenger> = units.into_iter().map(board).collect::<Result<_>>()?;
        match models.keys().next() {
            Some(code) => Err(broken(format!("it is of a unit that this build does not have: {code}"))),
            None => Ok(passengers),
        }
    }
}

impl Lists {
    pub(super) fn new(
        passengers: &[Passenger],
        judges: &[usize],
        listings: &BTreeMap<usize, Listing>,
        claims: &BTreeMap<usize, Vec<Option<Claimed>>>,
    ) -> Self {
        let code = |i: &usize| passengers[*i].code().to_owned();
        Self {
            listings: judges.iter().filter_map(|i| Some((code(i), listings.get(i)?.clone()))).collect(),
            claims: judges.iter().filter_map(|i| Some((code(i), claims.get(i)?.clone()))).collect(),
        }
    }

    /// What is listed, by the units' positions.
    #[allow(clippy::type_complexity)] // the two maps of a lister
    pub(super) fn at(self, passengers: &[Passenger]) -> Result<(BTreeMap<usize, Listing>, BTreeMap<usize, Vec<Option<Claimed>>>)> {
        let at = |code: &str| {
            let found = passengers.iter().position(|p| p.code() == code && p.model().is_some());
            found.ok_or_else(|| broken(format!("it lists for {code}, which it does not hold")))
        };
        let listings = self.listings.into_iter().map(|(code, listing)| Ok((at(&code)?, listing))).collect::<Result<_>>()?;
        let claims = self.claims.into_iter().map(|(code, claims)| Ok((at(&code)?, claims))).collect::<Result<_>>()?;
        Ok((listings, claims))
    }
}
