//! One schema for all files of a manifest.

use std::sync::Arc;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use rustc_hash::FxHashMap;

use crate::error::{Error, Place, Result};

/// The schema of a manifest and, for each file, the position of each of its columns in that file.
pub(super) struct Unified {
    pub(super) schema: SchemaRef,
    pub(super) positions: Vec<Vec<usize>>,
}

/// Unifies the schemas of named files: the names, order and metadata are the first file's, and so is each type, unless
/// the first file holds nothing but nulls there.
pub(super) fn unify(files: &[(&str, SchemaRef)]) -> Result<Unified> {
    let Some((first_name, first)) = files.first() else {
        return Err(Error::config("inputs", "no input is named"));
    };
    let indices = files.iter().map(|(name, schema)| index(name, schema)).collect::<Result<Vec<_>>>()?;
    let mut fields = Vec::with_capacity(first.fields().len());
    let mut positions = vec![Vec::with_capacity(first.fields().len()); files.len()];
    for field in first.fields() {
        let mut holder = *first_name;
        let mut unified = Field::clone(field);
        for (((name, schema), index), positions) in files.iter().zip(&indices).zip(&mut positions) {
            let place = || Place::source(*name).column(field.name());
            let found = index.get(field.name().as_str()).and_then(|at| Some((*at, schema.fields().get(*at)?)));
            let Some((at, other)) = found else {
                return Err(Error::input(place(), format!("missing, but {first_name} has it")));
            };
            positions.push(at);
            if unified.data_type().is_null() && !other.data_type().is_null() {
                unified.set_data_type(other.data_type().clone());
                holder = name;
            }
            if !fits(other.data_type(), unified.data_type()) {
                let reason = format!("holds {} where {holder} holds {}", other.data_type(), unified.data_type());
                return Err(Error::input(place(), reason).with_help("Give the column one type in all files."));
            }
            unified.set_nullable(unified.is_nullable() || other.is_nullable());
        }
        fields.push(Arc::new(unified));
    }
    for (name, schema) in files {
        if let Some(extra) = schema.fields().iter().find(|field| first.field_with_name(field.name()).is_err()) {
            return Err(Error::input(Place::source(*name).column(extra.name()), format!("missing in {first_name}")));
        }
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, first.metadata().clone()));
    Ok(Unified { schema, positions })
}

/// Refuses a table without columns, or with two of one name.
pub(super) fn unique_names(name: &str, schema: &Schema) -> Result<()> {
    index(name, schema).map(|_| ())
}

fn index<'a>(name: &str, schema: &'a Schema) -> Result<FxHashMap<&'a str, usize>> {
    let mut index = FxHashMap::default();
    for (at, field) in schema.fields().iter().enumerate() {
        if index.insert(field.name().as_str(), at).is_some() {
            let place = Place::source(name).column(field.name());
            return Err(Error::input(place, "two columns have this name").with_help("Rename one of them."));
        }
    }
    if index.is_empty() {
        return Err(Error::input(Place::source(name), "no columns"));
    }
    Ok(index)
}

fn fits(from: &DataType, to: &DataType) -> bool {
    from == to || widens(from, to) && can_cast_types(from, to)
}

/// Whether every value of type `from` has an equal of type `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Decimal128, Decimal256, Dictionary, FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, LargeBinary,
        LargeList, LargeUtf8, List, Null, Struct, Utf8, Utf8View,
    };
    let item = |from: &FieldRef, to: &FieldRef| widens(from.data_type(), to.data_type());
    match (from, to) {
        (Null, _)
        | (Float16, Float32 | Float64)
        | (Float32, Float64)
        | (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View)
        | (Binary | LargeBinary | BinaryView | FixedSizeBinary(_), Binary | LargeBinary | BinaryView) => true,
        (Dictionary(_, from), to) => widens(from, to),
        (from, Dictionary(_, to)) => widens(from, to),
        (Decimal128(p, s), Decimal128(q, t)) | (Decimal128(p, s) | Decimal256(p, s), Decimal256(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (List(from) | LargeList(from) | FixedSizeList(from, _), List(to) | LargeList(to)) => item(from, to),
        (FixedSizeList(from, n), FixedSizeList(to, m)) => n == m && item(from, to),
        (Struct(from), Struct(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| from.name() == to.name() && item(from, to))
        }
        _ if from == to => true,
        _ => match (integer(from), to) {
            // A float holds every integer of fewer bits than its significand.
            (Some((_, bits)), Float32) => bits <= 16,
            (Some((_, bits)), Float64) => bits <= 32,
            (Some((signed, bits)), to) => integer(to).is_some_and(|(wide_signed, wide)| match (signed, wide_signed) {
                (true, false) => false,
                (false, true) => wide > bits,
                _ => wide >= bits,
            }),
            (None, _) => false,
        },
    }
}

fn integer(data_type: &DataType) -> Option<(bool, u8)> {
    match data_type {
        DataType::Int8 => Some((true, 8)),
        DataType::Int16 => Some((true, 16)),
        DataType::Int32 => Some((true, 32)),
        DataType::Int64 => Some((true, 64)),
        DataType::UInt8 => Some((false, 8)),
        DataType::UInt16 => Some((false, 16)),
        DataType::UInt32 => Some((false, 32)),
        DataType::UInt64 => Some((false, 64)),
        _ => None,
    }
}
