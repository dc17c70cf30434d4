//! Sizes in bytes, written with their unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes, written as `2GiB`, `1.5 GB` or `1000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Size(pub u64);

/// Largest unit first, so that [`fmt::Display`] takes the shortest exact form.
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: [(&str, u64); 4] = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a size: write a number with a unit, such as 512MiB, 2GiB or 4GB")]
pub struct InvalidSize(String);

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        let trimmed = text.trim();
        let (number, unit) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len()));
        let unit = unit.trim_start();
        let factor = BINARY.iter().chain(&DECIMAL).chain(&[("B", 1), ("", 1)]).find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (_, factor) = factor.ok_or_else(invalid)?;
        let bytes = if let Ok(whole) = number.parse::<u64>() {
            whole.checked_mul(*factor)
        } else {
            // Below 2^53 the product is exact to the byte, and no machine holds more than that.
            number.parse::<f64>().ok().map(|n| (n * *factor as f64).round()).filter(|n| *n < 2f64.powi(53)).map(|n| n as u64)
        };
        bytes.map(Size).ok_or_else(invalid)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match BINARY.iter().chain(&DECIMAL).find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", bytes / factor),
            None => write!(f, "{bytes}B"),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// A size as a file holds it: text with a unit, or plain bytes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a size must be text with a unit, such as \"2GiB\", or a number of bytes")]
enum Written {
    Bytes(u64),
    Text(String),
}

impl TryFrom<Written> for Size {
    type Error = InvalidSize;

    fn try_from(written: Written) -> Result<Self, InvalidSize> {
        match written {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("1000000", 1_000_000),
            ("17B", 17),
            ("2KiB", 2048),
            ("3 MiB", 3 << 20),
            ("2GiB", 2 << 30),
            ("1tib", 1 << 40),
            ("5KB", 5000),
            ("6mb", 6_000_000),
            ("4GB", 4_000_000_000),
            ("1.5GiB", 3 << 29),
            (" .5 kb ", 500),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "GiB", "-1GiB", "1G", "2 gigs", "1.2.3MB", ".", "1e9", "99999999999GiB", "99999999999.5TiB", "1GiBé", "é"] {
            assert_eq!(text.parse::<Size>(), Err(InvalidSize(text.to_owned())));
        }
        let said = "1G".parse::<Size>().unwrap_err().to_string();
        assert_eq!(said, "'1G' is not a size: write a number with a unit, such as 512MiB, 2GiB or 4GB");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes: u64) {
            proptest::prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = text.parse::<Size>();
        }
    }
}
