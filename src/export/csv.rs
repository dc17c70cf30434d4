//! Listed rows as comma-separated values (RFC 4180), safe to open in a spreadsheet.

use std::io::Write;

use csv::{QuoteStyle, Terminator, WriterBuilder};

use super::rows::{Row, each};
use super::{Material, broken};
use crate::error::Result;
use crate::report::visible;

const HEADING: [&str; 10] = ["row", "file", "id", "label", "families", "codes", "causes", "tier", "q", "reason"];
/// Characters kept of a cell: a little below what spreadsheets hold.
const CELL: usize = 32_000;
/// What begins a formula in some spreadsheet, full-width forms included.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Every field is quoted, so that a comma or semicolon of the data begins no cell in any locale.
pub(super) fn write(material: &Material<'_>, out: &mut dyn Write) -> Result<()> {
    let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Always).terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(HEADING).map_err(|e| broken(&e))?;
    each(&material.folder, |row| {
        let Row { position, file, id, label, families, codes, causes, tier, q, reason } = row;
        let cells = [
            position.to_string(),
            safe(&file),
            id.map(|id| safe(&id)).unwrap_or_default(),
            label.map(|label| safe(&label)).unwrap_or_default(),
            safe(&families.join(" ")),
            safe(&codes.join(" ")),
            safe(&causes.join(" ")),
            safe(&tier),
            q.map(|q| format!("{q:e}")).unwrap_or_default(),
            safe(&reason),
        ];
        writer.write_record(cells).map_err(|e| broken(&e))
    })?;
    writer.flush().map_err(|e| broken(&e))
}

/// A cell that no spreadsheet computes: what would begin a formula, after blanks too, gets a single quote before it. Plain numbers
/// stay as they are. Tabs and line breaks are visible and begin nothing.
fn safe(text: &str) -> String {
    let shown = visible(text, CELL);
    let formula = shown.trim_start().starts_with(FORMULA);
    if formula && !shown.parse::<f64>().is_ok_and(f64::is_finite) { format!("'{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn formulas_are_text_and_numbers_stay() {
        for formula in ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "  =1", "＝1", "-", "+inf"] {
            assert_eq!(safe(formula), format!("'{formula}"));
        }
        for plain in ["-12.5", "+3", "1e-9", "a=b", "", "x@y"] {
            assert_eq!(safe(plain), plain);
        }
        assert_eq!(safe("\t=1"), "⟨U+0009⟩=1");
        assert_eq!(safe("\r=1"), "⟨U+000D⟩=1");
    }
}
