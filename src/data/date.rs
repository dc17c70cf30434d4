//! Dates as text: what a column of times looks like once it is printed.

/// Characters of a month.
pub(crate) const MONTH: usize = 7;
/// Characters of a day.
pub(crate) const DAY: usize = 10;

/// The month ([`MONTH`]) or day ([`DAY`]) that a text begins with, as in `2026-03-05T12:00:00`; `None` where it begins with no date.
pub(crate) fn date(text: &str, length: usize) -> Option<&str> {
    let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    let is_date = (0..4).all(digit) && dash(4) && digit(5) && digit(6) && dash(7) && digit(8) && digit(9);
    if is_date { text.get(..length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_other_text() {
        assert_eq!((date("2026-03-05T12:00:00", MONTH), date("2026-03-05", DAY)), (Some("2026-03"), Some("2026-03-05")));
        for text in ["1700000000", "2026-3-5", "", "é026-03-05"] {
            assert_eq!(date(text, MONTH), None, "{text}");
        }
    }
}
