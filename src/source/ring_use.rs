//! How the kernel's rings of a live source fared.

use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// How much room a live source had for frames that nobody was ready to read, and how much of it was ever needed.
///
/// ```
/// use std::time::Duration;
/// use wharf::source::RingUse;
///
/// let bridges = Some(Duration::from_millis(640));
/// let ring = RingUse { rings: 1, bytes: 64 << 20, blocks: 64, fullest: 8, bridges, ..RingUse::default() };
/// assert_eq!(ring.to_string(), "ring: 64 MiB, at most 13 % full; at the highest rate it bridges 640 ms");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingUse {
    /// How many rings: one for each worker and interface, and as many more where they were raised.
    pub rings: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Blocks of the ring that was the fullest.
    pub blocks: u64,
    /// Most blocks of it that were not the kernel's to fill at a time.
    pub fullest: u64,
    /// How long the ring with the least to spare is sure to bridge without a reader: by its bytes at the highest rate seen over
    /// a second, and by the number of its blocks, each of which takes its place when its time is over, full or not. Of
    /// rings that have not overflowed; `None` where too few blocks came to tell.
    #[serde(rename = "bridges_ms", serialize_with = "milliseconds")]
    pub bridges: Option<Duration>,
    /// How long the ring with the least to spare did bridge until it overflowed, for want of bytes or of blocks; `None`
    /// where none has.
    #[serde(rename = "bridged_ms", serialize_with = "milliseconds")]
    pub bridged: Option<Duration>,
    /// Bytes of all rings before they were raised, if they were.
    pub raised_from: Option<u64>,
    /// Whose times the frames have that were handed out; `None` where only the host's were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamps: Option<Stamps>,
    /// What else is to be known of how packets were captured.
    pub notes: Vec<String>,
}

/// How many frames have whose time, of those for which the device's was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stamps {
    /// The device's, by its own clock.
    pub device: u64,
    /// The host's, because the device gave none.
    pub host: u64,
}

/// `times: 990 by the device's clock, 10 by the host's`.
impl fmt::Display for Stamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, host } = self;
        write!(f, "times: {device} by the device's clock, {host} by the host's")?;
        f.write_str(if *host > 0 { ", as the device gave none" } else { "" })
    }
}

fn milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_millis() as u64).serialize(serializer)
}

impl RingUse {
    /// Takes in what is known of other rings of the same run.
    pub fn merge(&mut self, other: Self) {
        self.rings += other.rings;
        self.bytes += other.bytes;
        if other.fullest * self.blocks.max(1) > self.fullest * other.blocks.max(1) || self.blocks == 0 {
            (self.fullest, self.blocks) = (other.fullest, other.blocks);
        }
        let least = |one: Option<Duration>, another| [one, another].into_iter().flatten().min();
        self.bridges = least(self.bridges, other.bridges);
        self.bridged = least(self.bridged, other.bridged);
        if let Some(bytes) = other.raised_from {
            self.raised_from = Some(self.raised_from.unwrap_or(0) + bytes);
        }
        if let Some(Stamps { device, host }) = other.stamps {
            let all = self.stamps.get_or_insert_default();
            (all.device, all.host) = (all.device + device, all.host + host);
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// How full the fullest was, rounded up.
    #[must_use]
    pub fn fullest_percent(&self) -> u64 {
        (self.fullest * 100).div_ceil(self.blocks.max(1))
    }
}

/// A line, and one for each note.
impl fmt::Display for RingUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rings, bytes, .. } = self;
        let size = match bytes.div_ceil(1 << 10) {
            kib @ ..1_024 => format!("{kib} KiB"),
            kib => format!("{} MiB", kib.div_ceil(1 << 10)),
        };
        match rings {
            0 | 1 => write!(f, "ring: {size}")?,
            rings => write!(f, "rings: {rings} of {size} together")?,
        }
        write!(f, ", at most {} % full", self.fullest_percent())?;
        let told = |time: Duration| match time.as_micros() {
            micros @ ..1_000 => format!("{micros} us"),
            micros @ ..10_000_000 => format!("{} ms", micros / 1_000),
            _ => format!("{} s", time.as_secs()),
        };
        if let Some(time) = self.bridged {
            write!(f, "; it overflowed with the packets of {} in it", told(time))?;
        }
        if let Some(time) = self.bridges {
            // The larger ring, where one overflowed.
            let which = if self.bridged.is_some() { "the other" } else { "it" };
            write!(f, "; at the highest rate {which} bridges {}", told(time))?;
        }
        self.stamps.iter().try_for_each(|stamps| write!(f, "\n{stamps}"))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_told_in_small_units() {
        let bridged = Some(Duration::from_micros(420));
        let ring =
            RingUse { rings: 1, bytes: 256 << 10, blocks: 2, fullest: 2, bridged, ..RingUse::default() };
        assert_eq!(
            ring.to_string(),
            "ring: 256 KiB, at most 100 % full; it overflowed with the packets of 420 us in it"
        );
    }

    #[test]
    fn several_rings_are_told_by_the_one_with_the_least_to_spare() {
        let ring = |fullest, blocks, millis| RingUse {
            rings: 1,
            bytes: 1 << 20,
            blocks,
            fullest,
            bridges: Some(Duration::from_millis(millis)),
            stamps: (fullest > 0).then_some(Stamps { device: 10, host: blocks }),
            bridged: (blocks == 4).then_some(Duration::from_millis(120)),
            notes: vec!["a note".into()],
            ..RingUse::default()
        };
        let mut all = RingUse::default();
        [ring(0, 64, 20_000), ring(3, 4, 90), ring(8, 16, 40)].into_iter().for_each(|ring| all.merge(ring));
        assert_eq!((all.rings, all.bytes, all.fullest, all.blocks), (3, 3 << 20, 3, 4));
        assert_eq!(
            all.to_string(),
            "rings: 3 of 3 MiB together, at most 75 % full; it overflowed with the packets of 120 ms in it; at the highest rate \
             the other bridges 40 ms\ntimes: 20 by the device's clock, 20 by the host's, as the device gave none\na note"
        );
    }
}
