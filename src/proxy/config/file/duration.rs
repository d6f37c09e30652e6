//! Times as text.

use std::time::Duration;

/// A hundred years, in nanoseconds: what is added to a point in time stays one.
const MOST: u128 = 100 * 365 * 86_400 * 1_000_000_000;

/// `250us`, `250ms`, `1.5s`, `10m`, `2h`, `1d`: a number and its unit, as on the command line.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &text[..text.len() - unit.len()];
    let nanoseconds: Option<u128> = match unit {
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        "d" => Some(86_400_000_000_000),
        _ => None,
    };
    let product = nanoseconds.and_then(|unit| match number.parse::<u64>() {
        Ok(whole) => u128::from(whole).checked_mul(unit),
        Err(_) => number.parse::<f64>().ok().map(|number| (number * unit as f64).round() as u128),
    });
    let product = product.filter(|&product| product <= MOST);
    product
        .map(|product| Duration::new((product / 1_000_000_000) as u64, (product % 1_000_000_000) as u32))
        .ok_or_else(|| {
            format!("`{text}` is no time: write a number and a unit, such as 250ms, 1.5s, 10m, 2h or 1d")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, micros) in [
            ("0s", 0),
            ("250us", 250),
            ("0.5ms", 500),
            ("250ms", 250_000),
            ("1.5s", 1_500_000),
            (".5s", 500_000),
            ("5s", 5_000_000),
            ("10m", 600_000_000),
            ("1d", 86_400_000_000),
            ("36500d", 36_500 * 86_400_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in [
            "",
            "5",
            "1.5",
            "s",
            ".s",
            "-1s",
            "1.5.2s",
            "1e3s",
            "5 s",
            "5S",
            "99999999999999999999s",
            "36501d",
            "5sek",
            "infs",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
