//! JSON objects on any road: as they are in formats that describe themselves, as their text in those that do not.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Writes an object.
pub(super) fn serialize<S: Serializer>(object: &Map<String, Value>, to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() { object.serialize(to) } else { Value::Object(object.clone()).to_string().serialize(to) }
}

/// Reads an object.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    if from.is_human_readable() {
        return Map::deserialize(from);
    }
    serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
}
