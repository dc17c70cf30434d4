//! The columns that judged rows get, beside their own.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Float64Type, Schema as ArrowSchema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Place, Result};
use crate::finding::Tier;

/// Their names.
const COLUMNS: [&str; 4] = ["foretaste_flagged", "foretaste_q", "foretaste_codes", "foretaste_reason"];

/// Refuses rows that have such columns already; `name` stands for them in errors.
pub(super) fn unmarked(name: &str, theirs: &ArrowSchema) -> Result<()> {
    match COLUMNS.iter().find(|column| theirs.index_of(column).is_ok()) {
        Some(taken) => Err(Error::input(Place::source(name).column(*taken), "there is such a column already")
            .with_help("The rows were judged before: take the columns foretaste_… out, or rename them.")),
        None => Ok(()),
    }
}

/// The columns of rows with these after them.
pub(super) fn marked(theirs: &SchemaRef) -> SchemaRef {
    let [flagged, q, codes, reason] = COLUMNS;
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    let mut fields: Vec<Arc<Field>> = theirs.fields().iter().cloned().collect();
    fields.extend([
        Arc::new(Field::new(flagged, DataType::Boolean, false)),
        Arc::new(Field::new(q, DataType::Float64, true)),
        Arc::new(Field::new(codes, DataType::List(item), false)),
        Arc::new(Field::new(reason, DataType::Utf8, true)),
    ]);
    Arc::new(ArrowSchema::new_with_metadata(fields, theirs.metadata().clone()))
}

/// The columns of `rows` rows from position `first`, with the tier at which each is listed; `listed` has the columns of
/// [`rows_schema`](super::rows_schema), and rows elsewhere are passed over.
pub(super) fn marks(rows: usize, first: u64, listed: Option<&RecordBatch>) -> Result<(Vec<Option<Tier>>, [ArrayRef; 4])> {
    let (mut tiers, mut q, mut reasons, mut from) = (vec![None; rows], vec![None; rows], vec![None; rows], vec![None; rows]);
    if let Some(listed) = listed {
        let column =
            |name: &str| listed.column_by_name(name).ok_or_else(|| Error::input(Place::source("listed rows"), format!("lack {name}")));
        let (at, tier, own_q) = (column("row")?.as_primitive::<UInt64Type>(), column("tier")?.as_string::<i32>(), column("q")?);
        let reason = column("reason")?.as_string::<i32>();
        let own_q = own_q.as_primitive::<Float64Type>();
        for i in 0..listed.num_rows() {
            let Some(row) = at.value(i).checked_sub(first).map(|row| row as usize) else { continue };
            let Some(slot) = tiers.get_mut(row) else { continue };
            *slot = Tier::named(tier.value(i));
            (q[row], reasons[row], from[row]) = (Some(own_q.value(i)), Some(reason.value(i)), Some(i));
        }
    }
    let codes_of = listed.and_then(|listed| listed.column_by_name("codes")).map(AsArray::as_list::<i32>);
    let mut codes = ListBuilder::new(StringBuilder::new());
    for i in &from {
        if let Some((all, i)) = codes_of.zip(*i) {
            all.value(i).as_string::<i32>().iter().for_each(|code| codes.values().append_option(code));
        }
        codes.append(true);
    }
    let columns: [ArrayRef; 4] = [
        Arc::new(tiers.iter().map(|tier| Some(tier.is_some())).collect::<BooleanArray>()),
        Arc::new(Float64Array::from(q)),
        Arc::new(codes.finish()),
        Arc::new(StringArray::from(reasons)),
    ];
    Ok((tiers, columns))
}
