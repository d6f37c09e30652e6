//! Times as text.

use std::time::Duration;

/// `250ms`, `5s`, `10m`, `2h`, `1d`: a whole number and its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text[..text.len() - unit.len()].parse::<u64>().ok();
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let product = number.zip(milliseconds).and_then(|(number, unit)| number.checked_mul(unit));
    // A hundred years: what is added to a point in time stays one.
    let product = product.filter(|&product| product <= 100 * 365 * 86_400_000);
    product.map(Duration::from_millis).ok_or_else(|| {
        format!("`{text}` is no time: write a whole number and a unit, such as 250ms, 5s, 10m, 2h or 1d")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, milliseconds) in
            [("0s", 0), ("250ms", 250), ("5s", 5_000), ("10m", 600_000), ("1d", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "5 s", "5S", "99999999999999999999s", "40000d", "5sek"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
