//! How fast frames go out, and how people write that.

use crate::ValueError;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// When each frame is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the interface takes them.
    #[default]
    FlatOut,
    /// So many a second, evenly.
    Rate(Rate),
    /// As far apart as their times are, that many times faster.
    Recorded(Speed),
}

/// Frames or bits a second. Bits are those of the frames as they lie in memory: without preamble, frame check sequence
/// and gap.
///
/// ```
/// use wharf::sink::transmit::Rate;
/// assert_eq!("100k".parse::<Rate>()?.to_string(), "100000 packets/s");
/// assert_eq!("2.5Gbit".parse::<Rate>()?.to_string(), "2500000000 bit/s");
/// # Ok::<(), wharf::ValueError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Frames a second.
    Packets(NonZeroU64),
    /// Bits a second.
    Bits(NonZeroU64),
}

/// How many times faster than recorded, in millionths.
///
/// ```
/// use wharf::sink::transmit::Speed;
/// assert_eq!("2x".parse::<Speed>()?, "2".parse()?);
/// assert_eq!("0.25".parse::<Speed>()?.to_string(), "0.25x");
/// # Ok::<(), wharf::ValueError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(NonZeroU64);

const MILLION: u64 = 1_000_000;

impl Speed {
    /// As recorded.
    pub const ONE: Self = Self(NonZeroU64::new(MILLION).unwrap());

    /// The time until something that was recorded so many nanoseconds after the first frame.
    pub(super) fn scaled(self, nanos: u64) -> u64 {
        let scaled = u128::from(nanos) * u128::from(MILLION) / u128::from(self.0.get());
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// `100k`, `100kpps`, `1.5Mpps`: packets. `1Gbit`, `500Mbit/s`, `10Mbps`: bits. Decimal units.
impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError(format!("{text}: not a rate such as 100k (packets a second) or 1Gbit"));
        let lower = text.trim().to_ascii_lowercase();
        let ending = |endings: &[&str]| endings.iter().find_map(|ending| lower.strip_suffix(ending));
        let packets = |number: &str| number_of(number).map(Self::Packets);
        let rate = if let Some(number) = ending(&["bit/s", "bits/s", "bits", "bit"]) {
            number_of(number).map(Self::Bits)
        } else if let Some(number) = ending(&["pps", "p/s"]) {
            packets(number)
        } else if let Some(number) = ending(&["bps", "b/s"]) {
            number_of(number).map(Self::Bits)
        } else {
            packets(&lower)
        };
        rate.ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(rate) => write!(f, "{rate} packets/s"),
            Self::Bits(rate) => write!(f, "{rate} bit/s"),
        }
    }
}

/// `2x`, `0.5x`, `1.25`.
impl FromStr for Speed {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        let speed = scaled(number, MILLION).and_then(NonZeroU64::new);
        speed.map(Self).ok_or_else(|| ValueError(format!("{text}: not a speed such as 2x or 0.5x")))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0.get() as f64 / MILLION as f64)
    }
}

/// `1.5m` in lower case: a number above 0 with a decimal unit.
fn number_of(text: &str) -> Option<NonZeroU64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k') => (&text[..at], 1_000),
        (at, 'm') => (&text[..at], 1_000_000),
        (at, 'g') => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    scaled(number, unit).and_then(NonZeroU64::new)
}

/// A decimal number times a power of ten, where that is whole and fits.
fn scaled(text: &str, mut unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return None;
    }
    let mut sum = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    for digit in fraction.bytes() {
        let value = u64::from(digit - b'0');
        if unit == 1 && value > 0 {
            return None;
        }
        unit = (unit / 10).max(1);
        sum = sum.checked_add(value * unit)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let packets = |rate| Ok(Rate::Packets(NonZeroU64::new(rate).unwrap()));
        let bits = |rate| Ok(Rate::Bits(NonZeroU64::new(rate).unwrap()));
        for (text, expected) in [
            ("1", packets(1)),
            ("100k", packets(100_000)),
            ("1.5M", packets(1_500_000)),
            ("1.25kpps", packets(1_250)),
            ("1Gbit", bits(1_000_000_000)),
            ("0.5gbit/s", bits(500_000_000)),
            ("10Mbps", bits(10_000_000)),
            ("9600bit", bits(9_600)),
            ("1.50k", packets(1_500)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in [
            "",
            "k",
            "0",
            "0k",
            "-1",
            "1.5",
            "1.0005k",
            "1e3",
            ".5k",
            "1.k",
            "bit",
            "1kk",
            "1 k",
            "999999999999g",
            "é",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn speeds() {
        for (text, shown, scaled) in [("2x", "2x", 500), ("0.5", "0.5x", 2_000), ("1X", "1x", 1_000)] {
            let speed: Speed = text.parse().unwrap();
            assert_eq!((speed.to_string().as_str(), speed.scaled(1_000)), (shown, scaled), "{text}");
        }
        for text in ["", "x", "0", "0x", "-2", "2y", "0.0000001"] {
            assert!(text.parse::<Speed>().is_err(), "{text:?}");
        }
        assert_eq!("0.000001".parse::<Speed>().unwrap().scaled(u64::MAX), u64::MAX);
    }
}
