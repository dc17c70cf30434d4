//! One value of a record replaced, every other byte left as it is.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// A CSV record with another value in the field `at`; nothing where the record has no such field.
pub(super) fn csv(record: &[u8], delimiter: u8, at: usize, value: &str) -> Option<Vec<u8>> {
    let (start, end) = fields(record, delimiter).nth(at)?;
    let special = |b: u8| b == delimiter || matches!(b, b'"' | b'\r' | b'\n');
    let is_quoted = record.get(start) == Some(&b'"') || value.bytes().any(special) || value.is_empty();
    let text = if is_quoted { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() };
    let edited = [record.get(..start)?, text.as_bytes(), record.get(end..)?].concat();
    let (before, after) = (read(record, delimiter)?, read(&edited, delimiter)?);
    let alike = before.iter().zip(&after).enumerate().all(|(i, (a, b))| if i == at { b == value.as_bytes() } else { a == b });
    (before.len() == after.len() && alike).then_some(edited)
}

/// Where the fields of a record begin and end, quotes included.
fn fields(record: &[u8], delimiter: u8) -> impl Iterator<Item = (usize, usize)> + '_ {
    let line_end = |b: &u8| matches!(b, b'\r' | b'\n');
    // Blank lines before a record belong to it.
    let mut next = Some(record.iter().take_while(|b| line_end(b)).count());
    std::iter::from_fn(move || {
        let start = next?;
        let quotes = record.get(start) == Some(&b'"');
        let (mut at, mut inside) = (start, false);
        while let Some(b) = record.get(at).filter(|b| inside || (**b != delimiter && !line_end(b))) {
            // Two quotes inside of quotes close and open again.
            inside ^= quotes && *b == b'"';
            at += 1;
        }
        next = (record.get(at) == Some(&delimiter)).then_some(at + 1);
        Some((start, at))
    })
}

fn read(record: &[u8], delimiter: u8) -> Option<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(record);
    let mut records = reader.byte_records();
    let first = records.next()?.ok()?;
    records.next().is_none().then(|| first.iter().map(<[u8]>::to_vec).collect())
}

/// The place of a column in a header.
pub(super) fn place(header: &[u8], delimiter: u8, column: &str) -> Option<usize> {
    let header = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(header);
    read(header, delimiter)?.iter().position(|name| name == column.as_bytes())
}

/// A JSON object with another value under `key`, of the kind that the old one has; nothing where that cannot be.
pub(super) fn json(record: &[u8], key: &str, value: &str) -> Option<Vec<u8>> {
    let (start, end) = value_of(record, key)?;
    let before: Map<String, Value> = serde_json::from_slice(record).ok()?;
    let read = || serde_json::from_str::<Value>(value).ok();
    let new = match before.get(key)? {
        Value::String(_) => Value::from(value),
        Value::Number(_) => read().filter(Value::is_number)?,
        Value::Bool(_) => read().filter(Value::is_boolean)?,
        _ => return None,
    };
    let edited = [record.get(..start)?, new.to_string().as_bytes(), record.get(end..)?].concat();
    let mut expected = before;
    expected.insert(key.to_owned(), new);
    (serde_json::from_slice::<Map<String, Value>>(&edited).ok()? == expected).then_some(edited)
}

/// Where the last value under `key` of an object begins and ends.
fn value_of(record: &[u8], key: &str) -> Option<(usize, usize)> {
    let blanks = |at: usize| record.get(at..).map_or(at, |rest| at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count());
    let mut at = blanks(0);
    let mut found = None;
    if record.get(at) != Some(&b'{') {
        return None;
    }
    loop {
        at = blanks(at + 1);
        if record.get(at) == Some(&b'}') {
            return found;
        }
        let mut names = serde_json::Deserializer::from_slice(record.get(at..)?).into_iter::<String>();
        let name = names.next()?.ok()?;
        at = blanks(at + names.byte_offset());
        if record.get(at) != Some(&b':') {
            return None;
        }
        let start = blanks(at + 1);
        let mut values = serde_json::Deserializer::from_slice(record.get(start..)?).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let end = start + values.byte_offset();
        if name == key {
            found = Some((start, end));
        }
        at = blanks(end);
        match record.get(at) {
            Some(b',') => {}
            Some(b'}') => return found,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(edited: Option<Vec<u8>>) -> Option<String> {
        edited.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_one_field_of_a_record_changes() {
        let edit = |record: &str, at, value| told(csv(record.as_bytes(), b',', at, value));
        assert_eq!(edit("1,a,x\r\n", 1, "b").as_deref(), Some("1,b,x\r\n"));
        assert_eq!(edit("\r\n\n1,\"a,\"\"\n\",x\n", 1, "b").as_deref(), Some("\r\n\n1,\"b\",x\n"));
        assert_eq!(edit("1,a", 1, "b,\"c\"").as_deref(), Some("1,\"b,\"\"c\"\"\""));
        assert_eq!(edit(",,\n", 2, "b").as_deref(), Some(",,b\n"));
        assert_eq!(edit("\"\"\"\",a\n", 1, "b").as_deref(), Some("\"\"\"\",b\n"));
        assert_eq!(edit("1,a\n", 2, "b"), None);
        assert_eq!(place("\u{feff}id,\"the label\"\n".as_bytes(), b',', "the label"), Some(1));
        assert_eq!(place(b"id\tlabel\n", b'\t', "id"), Some(0));
    }

    #[test]
    fn only_one_value_of_an_object_changes() {
        let edit = |record: &str, value| told(json(record.as_bytes(), "label", value));
        assert_eq!(
            edit("\n {\"a\" : [1,{\"label\":2}], \"label\" :  3 , \"b\":null}\r\n", "4").as_deref(),
            Some("\n {\"a\" : [1,{\"label\":2}], \"label\" :  4 , \"b\":null}\r\n")
        );
        assert_eq!(edit("{\"la\\u0062el\":\"x\"}", "y\"").as_deref(), Some("{\"la\\u0062el\":\"y\\\"\"}"));
        assert_eq!(edit("{\"label\":true}", "false").as_deref(), Some("{\"label\":false}"));
        for (record, value) in
            [("{\"label\":3}", "x"), ("{\"label\":null}", "x"), ("{\"other\":3}", "4"), ("[3]", "4"), ("{\"label\":3", "4"), ("{}", "4")]
        {
            assert_eq!(edit(record, value), None, "{record}");
        }
    }

    proptest! {
        #[test]
        fn any_record_keeps_its_other_fields(fields in prop::collection::vec("[a,\"\n\r é]{0,6}", 1..6), at in 0_usize..6, value in "[b,\"\n\r é]{0,6}") {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            writer.write_record(&fields).unwrap();
            let record = writer.into_inner().unwrap();
            match csv(&record, b',', at, &value) {
                Some(edited) => {
                    let mut expected: Vec<Vec<u8>> = fields.iter().map(|field| field.as_bytes().to_vec()).collect();
                    expected[at] = value.into_bytes();
                    prop_assert_eq!(read(&edited, b',').unwrap(), expected);
                }
                None => prop_assert!(at >= fields.len()),
            }
        }
    }
}
