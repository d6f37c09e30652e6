//! Times, as every option has them: one grammar for the whole command line.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Units, with nanoseconds of each; no name is the end of one before it. A number alone is seconds.
const UNITS: [(&str, u128); 7] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("", 1_000_000_000),
];
/// More than anybody waits for, and such that what is added to a point in time stays one.
const MOST: u128 = u64::MAX as u128 * 1_000_000;

/// Reads `250us`, `500ms`, `1.5s`, `30m`, `1h`, `2d`; a number alone is seconds.
pub(crate) fn time_or_zero(text: &str) -> Result<Duration, String> {
    read(text)
        .ok_or_else(|| "not a time such as 500ms, 1.5s, 30m, 1h or 2d (a number alone: seconds)".to_owned())
}

/// The same, but not 0.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    time_or_zero(text)
        .and_then(|time| if time.is_zero() { Err("it cannot be 0".to_owned()) } else { Ok(time) })
}

/// The same, within bounds.
pub(crate) fn time_within(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let time = time_or_zero(text)?;
        if bounds.contains(&time) {
            Ok(time)
        } else {
            Err(format!("not from {:?} to {:?}", bounds.start(), bounds.end()))
        }
    }
}

/// What `read` reads, but for a number alone, which is 0 or a slip: as configurations of the proxy have it.
#[cfg(feature = "proxy")]
pub(crate) fn with_unit(
    read: fn(&str) -> Result<Duration, String>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse::<f64>() {
        Ok(number) if number != 0.0 => Err("not a time such as 500ms, 1.5s, 30m, 1h or 2d".to_owned()),
        _ => read(text),
    }
}

fn read(text: &str) -> Option<Duration> {
    // `ms` and `us` end in an s, too: they are asked for first.
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    // Neither a sign nor what else a floating-point number may be: inf, nan.
    if !number.starts_with(|first: char| first.is_ascii_digit() || ".+".contains(first)) {
        return None;
    }
    let nanoseconds = match number.parse::<u64>() {
        Ok(whole) => u128::from(whole).checked_mul(unit)?,
        Err(_) => {
            let product = number.parse::<f64>().ok().filter(|number| number.is_finite())? * unit as f64;
            // Beyond what it holds it is the greatest, which is too much below.
            product.round() as u128
        }
    };
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
    (nanoseconds <= MOST).then(|| Duration::new(seconds, (nanoseconds % 1_000_000_000) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, micros) in [
            ("0", 0),
            ("0s", 0),
            ("250us", 250),
            ("500ms", 500_000),
            ("1s", 1_000_000),
            ("+3", 3_000_000),
            ("1.5", 1_500_000),
            (".5s", 500_000),
            ("2e1", 20_000_000),
            ("0.5ms", 500),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("1d", 86_400_000_000),
        ] {
            assert_eq!(time_or_zero(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        assert_eq!(
            time_or_zero("18446744073709551615ms"),
            Ok(Duration::from_millis(u64::MAX)),
            "not rounded"
        );
        for text in [
            "",
            "s",
            "us",
            "x",
            "é",
            "5 s",
            "5S",
            "5sek",
            "-1s",
            "-0",
            "--1",
            "1.5.2s",
            "inf",
            "infs",
            "nan",
            "+inf",
            "infinity",
            "1kk",
            "99999999999999999999h",
            "18446744073709551615s",
            "1e40",
        ] {
            assert!(time_or_zero(text).is_err(), "{text:?}");
        }
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn units_that_must_be_there() {
        let read = with_unit(time_or_zero);
        assert_eq!((read("5s"), read("0")), (Ok(Duration::from_secs(5)), Ok(Duration::ZERO)));
        assert!(
            ["5", "1.5", "", "x"].iter().all(|text| read(text).is_err()) && with_unit(time)("0").is_err()
        );
    }

    #[test]
    fn bounds() {
        assert!(time("1us").is_ok() && ["0", "0s", "0.0", "0.1e-9"].iter().all(|text| time(text).is_err()));
        let within = time_within(Duration::from_millis(10)..=Duration::from_secs(60));
        assert_eq!(
            (within("10ms"), within("1m")),
            (Ok(Duration::from_millis(10)), Ok(Duration::from_secs(60)))
        );
        for text in ["9ms", "61", "2h", "x"] {
            assert!(within(text).is_err(), "{text:?}");
        }
        assert_eq!(within("9ms").unwrap_err(), "not from 10ms to 60s");
    }
}
