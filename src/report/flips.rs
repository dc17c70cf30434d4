//! Which labels content contradicts, as a table: a row for each given label, a column for each that content suggests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words::count;

/// Labels in the table; those of most rows.
const MOST: usize = 12;
/// Shades of a cell.
const SHADES: u64 = 4;

/// The table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Flips {
    labels: Vec<String>,
    lines: Vec<Line>,
    /// Rows of pairs that the table leaves out.
    more: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    label: String,
    cells: Vec<Cell>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Cell {
    rows: String,
    shade: u64,
}

impl Flips {
    /// From rows by given and suggested label; nothing where there are none.
    pub(super) fn new(pairs: &BTreeMap<(String, String), u64>) -> Option<Self> {
        let mut by_label: BTreeMap<&String, u64> = BTreeMap::new();
        for ((given, suggested), rows) in pairs {
            *by_label.entry(given).or_default() += rows;
            *by_label.entry(suggested).or_default() += rows;
        }
        let mut largest: Vec<(&String, u64)> = by_label.into_iter().collect();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let mut labels: Vec<&String> = largest.into_iter().take(MOST).map(|(label, _)| label).collect();
        let number = |label: &String| label.parse::<f64>().unwrap_or(f64::INFINITY);
        labels.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
        let most = pairs.values().max().copied()?.max(1);
        let all: u64 = pairs.values().sum();
        let mut shown = 0;
        let mut line = |given: &&String| {
            let cells = labels.iter().map(|suggested| {
                let rows = pairs.get(&((*given).clone(), (*suggested).clone())).copied().unwrap_or(0);
                shown += rows;
                Cell { rows: if rows > 0 { count(rows) } else { String::new() }, shade: (rows * SHADES).div_ceil(most) }
            });
            Line { label: (*given).clone(), cells: cells.collect() }
        };
        let lines = labels.iter().map(&mut line).collect();
        Some(Self { labels: labels.into_iter().cloned().collect(), lines, more: all - shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_a_table() {
        let pair = |given: &str, suggested: &str, rows| ((given.to_owned(), suggested.to_owned()), rows);
        let flips = Flips::new(&BTreeMap::from([pair("9", "10", 8), pair("10", "9", 1)])).unwrap();
        assert_eq!((flips.labels, flips.more), (vec!["9".to_owned(), "10".to_owned()], 0));
        let cells: Vec<Vec<(&str, u64)>> =
            flips.lines.iter().map(|l| l.cells.iter().map(|c| (c.rows.as_str(), c.shade)).collect()).collect();
        assert_eq!(cells, [[("", 0), ("8", 4)], [("1", 1), ("", 0)]]);
        assert_eq!(Flips::new(&BTreeMap::new()), None);
        let many: BTreeMap<_, _> = (0..50).map(|i| pair(&i.to_string(), &(i + 1).to_string(), 1)).collect();
        let flips = Flips::new(&many).unwrap();
        assert_eq!((flips.labels.len(), flips.more > 0), (MOST, true));
    }
}
