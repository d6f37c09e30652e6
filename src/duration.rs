//! Times as text: one grammar for the command line and for configurations.
//!
//! A number and its unit: `250us`, `500ms`, `1.5s`, `30m`, `2h`, `1d`. The number has digits and at most one point, neither
//! a sign nor an exponent. No time is longer than a hundred years: what is added to a point in time stays one.
//!
//! ```
//! use std::time::Duration;
//! use wharf::duration::{DurationError, or_seconds, with_unit};
//!
//! assert_eq!(with_unit("1.5s"), Ok(Duration::from_millis(1_500)));
//! assert_eq!(with_unit("5"), Err(DurationError::NoUnit));
//! assert_eq!(or_seconds("5"), Ok(Duration::from_secs(5)));
//! ```

use std::time::Duration;

/// Units, with nanoseconds of each.
const UNITS: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", 86_400 * SECOND),
];
const SECOND: u128 = 1_000_000_000;
/// A hundred years: what is added to a point in time stays one.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
const MOST: u128 = LONGEST.as_nanos();

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Not a number and a unit.
    #[error("not a time such as 500ms, 1.5s, 30m, 1h or 2d")]
    Malformed,
    /// A number alone, other than 0.
    #[error("a number without a unit: write a time such as 500ms, 1.5s, 30m, 1h or 2d")]
    NoUnit,
    /// More than a hundred years.
    #[error("more than a hundred years")]
    TooLong,
}

/// Reads a number and its unit; a number alone only where it is 0.
///
/// # Errors
/// When it is none, or too long.
pub fn with_unit(text: &str) -> Result<Duration, DurationError> {
    match or_seconds(text)? {
        time if !time.is_zero() && text.ends_with(|c: char| !c.is_ascii_lowercase()) => {
            Err(DurationError::NoUnit)
        }
        time => Ok(time),
    }
}

/// The same; a number alone is seconds.
///
/// # Errors
/// When it is none, or too long.
pub fn or_seconds(text: &str) -> Result<Duration, DurationError> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, nanoseconds)) => *nanoseconds,
        None if unit.is_empty() => SECOND,
        None => return Err(DurationError::Malformed),
    };
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return Err(DurationError::Malformed);
    }
    let nanoseconds = match number.parse::<u64>() {
        Ok(whole) => u128::from(whole).checked_mul(unit).ok_or(DurationError::TooLong)?,
        // With a point, or too long by far: what a float cannot hold is the greatest integer.
        Err(_) => {
            let number = number.parse::<f64>().map_err(|_| DurationError::Malformed)?;
            (number * unit as f64).round() as u128
        }
    };
    match nanoseconds {
        0..=MOST => Ok(Duration::new((nanoseconds / SECOND) as u64, (nanoseconds % SECOND) as u32)),
        _ => Err(DurationError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, micros) in [
            ("0", 0),
            ("0.0", 0),
            ("0s", 0),
            ("250us", 250),
            ("0.5ms", 500),
            ("250ms", 250_000),
            ("1.5s", 1_500_000),
            (".5s", 500_000),
            ("1.s", 1_000_000),
            ("5s", 5_000_000),
            ("10m", 600_000_000),
            ("1h", 3_600_000_000),
            ("1d", 86_400_000_000),
            ("36500d", 36_500 * 86_400_000_000),
        ] {
            assert_eq!(with_unit(text), Ok(Duration::from_micros(micros)), "{text}");
            assert_eq!(or_seconds(text), with_unit(text), "{text}");
        }
        for (text, millis) in [("5", 5_000), ("1.5", 1_500), (".25", 250)] {
            assert_eq!(or_seconds(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(with_unit(text), Err(DurationError::NoUnit), "{text}");
        }
        assert_eq!(
            or_seconds("3153599999999999us"),
            Ok(Duration::from_micros(3_153_599_999_999_999)),
            "exact"
        );
    }

    #[test]
    fn what_is_none() {
        for text in [
            "", ".", "s", ".s", "us", "x", "é", "5 s", " 5s", "5S", "5sek", "5sm", "-1s", "+3", "+3s", "-0",
            "--1", "1.5.2s", "2e1", "1e3s", "inf", "infs", "nan", "1kk",
        ] {
            assert_eq!(or_seconds(text), Err(DurationError::Malformed), "{text:?}");
            assert_eq!(with_unit(text), Err(DurationError::Malformed), "{text:?}");
        }
        for text in
            ["36501d", "99999999999999999999h", "18446744073709551615s", "1000000000000000000000000.5d"]
        {
            assert_eq!(with_unit(text), Err(DurationError::TooLong), "{text:?}");
        }
        let long = "9".repeat(400);
        assert_eq!(or_seconds(&long), Err(DurationError::TooLong));
    }
}
