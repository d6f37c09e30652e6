//! Times, as every option has them: the library's grammar, within an option's bounds.

use std::ops::RangeInclusive;
use std::time::Duration;
use wharf::duration::{DurationError, or_seconds};

/// Reads `250us`, `500ms`, `1.5s`, `30m`, `1h`, `2d`; a number alone is seconds.
pub(crate) fn time_or_zero(text: &str) -> Result<Duration, String> {
    or_seconds(text).map_err(|error| match error {
        DurationError::Malformed => format!("{error} (a number alone: seconds)"),
        _ => error.to_string(),
    })
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
    move |text| {
        wharf::duration::with_unit(text).map_err(|error| error.to_string())?;
        read(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(
            time("1us").is_ok() && ["0", "0s", "0.0", "0.0000000001"].iter().all(|text| time(text).is_err())
        );
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
