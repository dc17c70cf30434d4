//! What in a row its evidence points at, so that a page can mark it.

use serde::Serialize;
use serde_json::Value;

use super::visible;
use super::words::number;

/// Words and cells of a row that are kept.
const MOST: usize = 12;
/// Characters kept of each.
const CHARACTERS: usize = 120;
/// How deep evidence is looked through.
const DEPTH: usize = 6;

/// What to mark in a row; every text is safe to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Marks {
    /// Parts of its texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) words: Vec<String>,
    /// Cells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cells: Vec<Cell>,
}

/// A cell that stands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Cell {
    column: String,
    value: String,
    /// What is usual in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual: Option<String>,
}

impl Marks {
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.cells.is_empty()
    }

    /// Looks through the evidence of all detectors that list a row.
    pub(super) fn of(evidence: &Value) -> Self {
        let mut marks = Self::default();
        marks.look(evidence, DEPTH);
        marks
    }

    fn look(&mut self, value: &Value, depth: usize) {
        if depth == 0 {
            return;
        }
        match value {
            Value::Array(items) => items.iter().take(MOST).for_each(|item| self.look(item, depth - 1)),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str);
                for word in [text("match"), text("word")].into_iter().flatten() {
                    self.word(word);
                }
                if let Some(column) = text("column") {
                    let cell = Cell {
                        column: visible(column, CHARACTERS),
                        value: map.get("value").or_else(|| map.get("level")).map_or_else(String::new, said),
                        usual: map.get("usual").map(usual).or_else(|| text("near").map(|near| visible(near, CHARACTERS))),
                    };
                    if self.cells.len() < MOST && !self.cells.iter().any(|other| other.column == cell.column) {
                        self.cells.push(cell);
                    }
                }
                map.values().for_each(|value| self.look(value, depth - 1));
            }
            _ => {}
        }
    }

    fn word(&mut self, word: &str) {
        let word = visible(word, CHARACTERS);
        if self.words.len() < MOST && !word.trim().is_empty() && !self.words.contains(&word) {
            self.words.push(word);
        }
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text, CHARACTERS),
        Value::Number(n) => number(n.as_f64()),
        _ => String::new(),
    }
}

/// A range, or the usual value.
fn usual(value: &Value) -> String {
    match value {
        Value::Array(ends) => ends.iter().take(2).map(said).collect::<Vec<_>>().join(" to "),
        other => said(other),
    }
}

/// The label that content suggests in place of a row's own.
pub(super) fn suggested(evidence: &Value) -> Option<&str> {
    evidence.as_object()?.values().find_map(|detail| detail.get("suggested")?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_and_cells_are_found_wherever_they_stand() {
        let evidence = json!({
            "trigger.token": {"evidence": {"match": "cf", "before": "a"}, "trigger": "the word"},
            "trigger.set": {"word": "mb\u{202E}"},
            "outlier.univariate": {"columns": [{"column": "age", "value": "999", "usual": [17.0, 90.5]}]},
            "outlier.spelling": {"column": "job", "level": "sails", "near": "sales"},
            "label.crossfit": {"suggested": "7"},
        });
        let marks = Marks::of(&evidence);
        assert_eq!(marks.words, ["mb⟨U+202E⟩", "cf"]);
        let cells: Vec<_> = marks.cells.iter().map(|c| (c.column.as_str(), c.value.as_str(), c.usual.as_deref())).collect();
        assert_eq!(cells, [("job", "sails", Some("sales")), ("age", "999", Some("17 to 90.5"))]);
        assert_eq!(suggested(&evidence), Some("7"));
    }

    #[test]
    fn hostile_evidence_stays_small() {
        let mut deep = json!({"word": "x".repeat(10_000)});
        for _ in 0..100 {
            deep = json!([deep, {"word": "y"}]);
        }
        let many = json!((0..10_000).map(|i| json!({"word": i.to_string(), "column": i.to_string()})).collect::<Vec<_>>());
        for evidence in [deep, many, json!(null), json!("text")] {
            let marks = Marks::of(&evidence);
            assert!(marks.words.len() <= MOST && marks.cells.len() <= MOST);
        }
        assert!(suggested(&json!([1])).is_none());
    }
}
