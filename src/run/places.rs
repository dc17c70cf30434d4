//! Where listed rows are: by label, source, month and file, beside all rows there.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataFrame, IntoLazy, NamedFrom, Series, SortMultipleOptions, col, len};
use serde::{Deserialize, Serialize};

use crate::data::{File, Role, Schema};
use crate::error::{Error, Place, Result};

use super::facts::Facts;
use super::outcome::{Breakdown, BreakdownRow};

/// Values of a breakdown that are named.
const MOST_VALUES: usize = 50;

/// A value for each listed row.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Places {
    pub(super) labels: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) months: Vec<String>,
}

impl Places {
    pub(super) fn extend(&mut self, other: Self) {
        self.labels.extend(other.labels);
        self.files.extend(other.files);
        self.sources.extend(other.sources);
        self.months.extend(other.months);
    }

    /// Listed rows by each of the places, where the data has such.
    pub(super) fn breakdown(&self, schema: &Schema, facts: &Facts, files: &[File]) -> Result<Vec<Breakdown>> {
        let mut out = Vec::new();
        if let Some(label) = &schema.label {
            let totals = label.classes.iter().map(|c| (c.name.clone(), c.rows)).collect();
            out.push(by_value(&label.name, &self.labels, &totals)?);
        }
        if let Some(source) = schema.first(Role::Source) {
            out.push(by_value(&schema.columns[source].name, &self.sources, &facts.sources())?);
        }
        if let Some(time) = schema.first(Role::Time) {
            out.push(by_value(&format!("{}, by month", schema.columns[time].name), &self.months, &facts.months())?);
        }
        let mut totals = BTreeMap::new();
        for file in files {
            *totals.entry(file.name.clone()).or_default() += file.rows;
        }
        out.push(by_value("file", &self.files, &totals)?);
        out.retain(|b| !b.values.is_empty());
        Ok(out)
    }
}

/// Counts equal values, most frequent first.
fn by_value(by: &str, values: &[String], totals: &BTreeMap<String, u64>) -> Result<Breakdown> {
    let wrong = |e: polars::error::PolarsError| Error::input(Place::source("listed rows"), format!("cannot be grouped by {by}: {e}"));
    let column = Column::from(Series::new("value".into(), values));
    let frame = DataFrame::new(values.len(), vec![column]).map_err(wrong)?;
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false]);
    let counted = frame
        .lazy()
        .group_by([col("value")])
        .agg([len().alias("flagged")])
        .sort_by_exprs([col("flagged"), col("value")], order)
        .limit(MOST_VALUES as u32)
        .collect()
        .map_err(wrong)?;
    let names = counted.column("value").and_then(|c| c.str().cloned()).map_err(wrong)?;
    let flagged = counted.column("flagged").and_then(|c| c.u32().cloned()).map_err(wrong)?;
    let row = |(value, flagged): (Option<&str>, Option<u32>)| {
        let value = value.unwrap_or("null").to_owned();
        let flagged = u64::from(flagged.unwrap_or(0));
        BreakdownRow { rows: totals.get(&value).copied().unwrap_or(flagged), value, flagged }
    };
    Ok(Breakdown { by: by.to_owned(), values: names.iter().zip(flagged.iter()).map(row).collect() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray, TimestampSecondArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::data::{Batch, ColumnRole, Key};
    use crate::run::facts::month;

    #[test]
    fn listed_rows_stand_beside_all_rows_of_their_source_month_and_file() {
        let sources: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "b", "b"]));
        let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(0), Some(86_400), Some(40 * 86_400), None]));
        let record = RecordBatch::try_from_iter([("from", sources), ("at", times)]).unwrap();
        let role = |name: &str, role| ColumnRole { name: name.into(), data_type: String::new(), role, reason: String::new(), width: None };
        let schema = Arc::new(Schema {
            arrow: record.schema(),
            columns: vec![role("from", Role::Source), role("at", Role::Time)],
            label: None,
            rows: 4,
            key: Key::from_seed(1),
            unit_bytes: 1 << 20,
        });
        let facts = Facts::new(&schema);
        facts.observe(&Batch::new(Arc::clone(&schema), record, 0));
        let file = File { name: "f".into(), bytes: 0, blake3: String::new(), sha256: String::new(), rows: 4 };
        let of = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let months = [Some("1970-01-02T00:00:00"), None].map(month);
        let places = Places { labels: vec![], files: of(&["f", "f"]), sources: of(&["b", "b"]), months: of(&months) };
        let breakdown = places.breakdown(&schema, &facts, &[file]).unwrap();
        let told: Vec<String> =
            breakdown.iter().flat_map(|b| b.values.iter().map(|v| format!("{}: {} {} of {}", b.by, v.value, v.flagged, v.rows))).collect();
        assert_eq!(told, ["from: b 2 of 3", "at, by month: 1970-01 1 of 2", "at, by month: null 1 of 1", "file: f 2 of 4"]);
    }
}
