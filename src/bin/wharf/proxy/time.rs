//! Times as options have them.

use std::time::Duration;

/// Reads `500ms`, `5s`, `10m`, `1h`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    time_or_none(text).and_then(|time| match time.is_zero() {
        true => Err("it cannot be 0".to_owned()),
        false => Ok(time),
    })
}

/// The same, or 0.
pub(super) fn time_or_none(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "" if number == "0" => Some(0),
        _ => None,
    };
    let time =
        number.parse::<u64>().ok().zip(milliseconds).and_then(|(number, unit)| number.checked_mul(unit));
    time.map(Duration::from_millis).ok_or_else(|| "not a time such as 500ms, 5s, 10m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, milliseconds) in [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)));
        }
        assert_eq!(time_or_none("0"), Ok(Duration::ZERO));
        for text in
            ["", "5", "s", "-1s", "1.5s", "0", "0s", "5 s", "99999999999999999999h", "18446744073709551615h"]
        {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
