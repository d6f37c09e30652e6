//! Times of a pcapng interface: 64-bit units of `if_tsresol`, offset by `if_tsoffset` seconds.

use crate::frame::Timestamp;

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeScale {
    /// `if_tsresol` as it stands: 10 to the minus n, or 2 to the minus n with the top bit set.
    pub(super) resolution: u8,
    /// `if_tsoffset`, seconds.
    pub(super) offset: i64,
}

/// Microseconds since 1970: what an interface without the two options counts.
impl Default for TimeScale {
    fn default() -> Self {
        Self { resolution: 6, offset: 0 }
    }
}

impl TimeScale {
    /// The point in time `units` stands for, cut to nanoseconds.
    pub(super) fn time(self, units: u64) -> Timestamp {
        let exponent = u32::from(self.resolution & 0x7F);
        let (seconds, nanos) = if self.resolution == 9 {
            (units / 1_000_000_000, units % 1_000_000_000)
        } else if self.resolution == 6 {
            (units / 1_000_000, units % 1_000_000 * 1000)
        } else if self.resolution & 0x80 != 0 {
            // At most 64 + 30 bits.
            let nanos = (u128::from(units) * 1_000_000_000) >> exponent;
            ((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u64)
        } else if let Some(scale) = 10_u64.checked_pow(exponent) {
            let nanos = u128::from(units % scale) * 1_000_000_000 / u128::from(scale);
            (units / scale, nanos as u64)
        } else {
            // 10^20 units a second or more: all of 64 bits is less than a second.
            let scale = 10_u128.checked_pow(exponent - 9);
            (0, scale.map_or(0, |scale| (u128::from(units) / scale) as u64))
        };
        if self.offset == 0
            && let Ok(seconds) = i64::try_from(seconds)
        {
            return Timestamp { seconds, nanos: nanos as u32 };
        }
        let seconds = i128::from(seconds) + i128::from(self.offset);
        let clamped = seconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::new(clamped as i64, nanos as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(resolution: u8, offset: i64, units: u64) -> (i64, u32) {
        let time = TimeScale { resolution, offset }.time(units);
        (time.seconds, time.nanos)
    }

    #[test]
    fn powers_of_ten() {
        assert_eq!(time(6, 0, 1_500_000), (1, 500_000_000));
        assert_eq!(time(9, 0, u64::MAX), (18_446_744_073, 709_551_615));
        assert_eq!(time(3, -2, 1500), (-1, 500_000_000));
        assert_eq!(time(0, 0, u64::MAX), (i64::MAX, 0));
        assert_eq!(time(12, 0, 1_000_000_001_999), (1, 1));
        assert_eq!(time(19, 0, u64::MAX), (1, 844_674_407));
        assert_eq!(time(20, 0, u64::MAX), (0, 184_467_440));
        assert_eq!(time(127, 0, u64::MAX), (0, 0));
    }

    #[test]
    fn powers_of_two() {
        assert_eq!(time(0x80, 0, 7), (7, 0));
        assert_eq!(time(0x80 | 10, 5, 1536), (6, 500_000_000));
        assert_eq!(time(0x80 | 32, 0, (3 << 32) | (1 << 31)), (3, 500_000_000));
        assert_eq!(time(0xFF, 0, u64::MAX), (0, 0));
    }
}
