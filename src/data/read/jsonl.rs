//! JSON lines. Types are inferred from every line; a key that a line leaves out is null there.

use std::io::{BufRead, Read};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use arrow::record_batch::RecordBatch;
use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::data::read::text::{self, MAX_COLUMNS, MAX_RECORD, Push, RECODE, plain};
use crate::data::read::unpack::Packing;
use crate::error::{Error, Place, Result};

/// The kind of value seen under a key.
#[derive(Debug, Default)]
enum Kind {
    #[default]
    Null,
    Bool,
    Int,
    Float,
    Text,
    List(Box<Kind>),
    Object(Object),
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int | Self::Float => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::List(item) => DataType::List(Arc::new(Field::new_list_field(item.data_type(), true))),
            Self::Object(object) => DataType::Struct(object.fields()),
        }
    }
}

#[derive(Debug, Default)]
struct Object {
    keys: Vec<Key>,
    index: FxHashMap<String, usize>,
}

#[derive(Debug)]
struct Key {
    name: String,
    kind: Kind,
    /// The object in which the key was last seen, so that a repeated key is noticed.
    object: u64,
}

impl Object {
    fn fields(&self) -> Fields {
        self.keys.iter().map(|key| Field::new(&key.name, key.kind.data_type(), true)).collect()
    }
}

/// What the lines of one or more files show of their columns.
#[derive(Debug, Default)]
pub(super) struct Inference {
    object: Object,
    context: Context,
}

#[derive(Debug, Default)]
struct Context {
    /// Keys known, nested ones included.
    keys: usize,
    /// Objects seen so far.
    objects: u64,
    /// Why the last line was refused, with the path of keys to it, innermost first.
    conflict: Option<(String, Vec<String>)>,
}

impl Inference {
    /// Reads a whole file, line by line, and returns its rows.
    pub(super) fn read(&mut self, name: &str, packing: Packing, reader: &mut dyn BufRead) -> Result<u64> {
        skip_bom(reader).map_err(|e| packing.error(name, &e))?;
        let (mut rows, mut number) = (0, 0_u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.take(MAX_RECORD as u64 + 1).read_until(b'\n', &mut line).map_err(|e| packing.error(name, &e))?;
            number += 1;
            if line.is_empty() {
                return Ok(rows);
            }
            let fail = |reason: String| Error::input(Place::source(name), format!("line {number} {reason}"));
            if line.len() > MAX_RECORD {
                return Err(fail(format!("is longer than {MAX_RECORD} bytes")));
            }
            let text = line.trim_ascii();
            match text.first() {
                None => continue,
                Some(b'{') => {}
                Some(_) => {
                    let help = "A JSON lines file holds one object a line; an array of objects must be split into lines first.";
                    return Err(fail("does not hold an object".to_owned()).with_help(help));
                }
            }
            self.line(text).map_err(|(reason, column)| match column {
                Some(column) => Error::input(Place::source(name).column(column), format!("line {number} {reason}")),
                None if std::str::from_utf8(text).is_err() => fail(reason).with_help(RECODE),
                None => fail(reason),
            })?;
            rows += 1;
        }
    }

    fn line(&mut self, text: &[u8]) -> Result<(), (String, Option<String>)> {
        let Self { object, context } = self;
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let outcome = deserializer.deserialize_map(Keys { object, context }).and_then(|()| deserializer.end());
        outcome.map_err(|error| match context.conflict.take() {
            Some((reason, mut path)) => {
                path.reverse();
                (reason, (!path.is_empty()).then(|| path.join(".")))
            }
            None => (format!("is not valid JSON: {}", syntax(&error)), None),
        })
    }

    /// The schema that holds every line read.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.object.fields()))
    }
}

/// The library's message with the position inside the line alone, as each line is parsed on its own.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("{} at column {}", plain(message), error.column())
}

fn skip_bom(reader: &mut dyn BufRead) -> std::io::Result<()> {
    if reader.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        reader.consume('\u{feff}'.len_utf8());
    }
    Ok(())
}

struct Keys<'a> {
    object: &'a mut Object,
    context: &'a mut Context,
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { object, context } = self;
        context.objects += 1;
        let this = context.objects;
        while let Some(name) = map.next_key::<String>()? {
            let at = if let Some(at) = object.index.get(&name) {
                *at
            } else {
                context.keys += 1;
                if context.keys > MAX_COLUMNS {
                    context.conflict = Some((format!("brings more than {MAX_COLUMNS} keys into the file"), Vec::new()));
                    return Err(A::Error::custom("keys"));
                }
                object.index.insert(name.clone(), object.keys.len());
                object.keys.push(Key { name: name.clone(), kind: Kind::Null, object: 0 });
                object.keys.len() - 1
            };
            let Some(key) = object.keys.get_mut(at) else { continue };
            if std::mem::replace(&mut key.object, this) == this {
                context.conflict = Some(("names the key twice".to_owned(), vec![name]));
                return Err(A::Error::custom("twice"));
            }
            let outcome = map.next_value_seed(Observe { kind: &mut key.kind, context: &mut *context });
            if let (Err(_), Some((_, path))) = (&outcome, &mut context.conflict) {
                path.push(name);
            }
            outcome?;
        }
        Ok(())
    }
}

struct Observe<'a> {
    kind: &'a mut Kind,
    context: &'a mut Context,
}

impl Observe<'_> {
    fn conflict<E: serde::de::Error>(self, found: &Kind) -> E {
        self.context.conflict = Some((format!("holds {} where an earlier line holds {}", found.name(), self.kind.name()), Vec::new()));
        E::custom("conflict")
    }

    fn scalar<E: serde::de::Error>(self, found: Kind) -> Result<(), E> {
        *self.kind = match (&*self.kind, &found) {
            (Kind::List(_) | Kind::Object(_), _) => return Err(self.conflict(&found)),
            (Kind::Null, _) => found,
            (Kind::Bool, Kind::Bool) => Kind::Bool,
            (Kind::Int, Kind::Int) => Kind::Int,
            (Kind::Int | Kind::Float, Kind::Int | Kind::Float) => Kind::Float,
            // The decoder writes numbers and booleans as they stand when the column is text.
            _ => Kind::Text,
        };
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Observe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Observe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar(Kind::Bool)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar(Kind::Int)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        // Beyond i64 a float would lose digits, so the number is kept as it is written.
        self.scalar(if i64::try_from(value).is_ok() { Kind::Int } else { Kind::Text })
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar(Kind::Float)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar(Kind::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if matches!(self.kind, Kind::Null) {
            *self.kind = Kind::List(Box::default());
        }
        let Kind::List(item) = &mut *self.kind else { return Err(self.conflict(&Kind::List(Box::default()))) };
        while list.next_element_seed(Observe { kind: item, context: &mut *self.context })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if matches!(self.kind, Kind::Null) {
            *self.kind = Kind::Object(Object::default());
        }
        let Kind::Object(object) = &mut *self.kind else { return Err(self.conflict(&Kind::Object(Object::default()))) };
        Keys { object, context: &mut *self.context }.visit_map(map)
    }
}

/// A decoder for `schema`, whose keys may be some of the file's.
pub(super) struct JsonPush {
    decoder: Decoder,
    rows: usize,
}

impl JsonPush {
    /// Makes the decoder and skips a byte order mark that `reader` may begin with.
    pub(super) fn new(name: &str, reader: &mut dyn BufRead, packing: Packing, schema: SchemaRef, batch_rows: usize) -> Result<Self> {
        skip_bom(reader).map_err(|e| packing.error(name, &e))?;
        let rows = text::rows_for(schema.flattened_fields().len(), batch_rows);
        let builder = ReaderBuilder::new(schema).with_batch_size(rows).with_coerce_primitive(true);
        Ok(Self { decoder: builder.build_decoder().map_err(|e| text::arrow_error(name, &e))?, rows })
    }
}

impl Push for JsonPush {
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, ArrowError> {
        self.decoder.decode(bytes)
    }

    fn pending(&self) -> usize {
        self.decoder.len()
    }

    fn full(&self) -> usize {
        self.rows
    }

    fn at_boundary(&self, _: usize) -> bool {
        !self.decoder.has_partial_record()
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.decoder.flush()
    }
}
