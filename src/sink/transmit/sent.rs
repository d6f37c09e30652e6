//! What a sender did with what it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The account of a sender, or of several: `offered = frames + refused + left`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames it was given.
    pub offered: u64,
    /// Frames that the kernel took, and did not throw away as far as it says so.
    pub frames: u64,
    /// Bytes of them; by the mean where some were thrown away, as the kernel does not say which.
    pub bytes: u64,
    /// Frames that could not be sent, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Frames not sent because the end was asked for, or the interface failed.
    pub left: u64,
    /// Times the interface's queue had no room and a frame was given to it again. Not of AF_XDP, where it is the socket's own
    /// memory that has none.
    pub retries: u64,
    /// Frames that went without the stamp that was asked for: no UDP, or no room in it.
    pub unstamped: u64,
    /// From the first frame of all to the end of the last one.
    pub elapsed: Duration,
    /// How much later than due frames were handed over, of all times that one was waited for.
    pub late: Lateness,
}

/// How well due times were kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Times that a frame was waited for; those due by then went with it.
    pub times: u64,
    /// Nanoseconds too late, all together.
    pub total: u64,
    /// The worst of them.
    pub most: u64,
    /// Nanoseconds by which the whole timetable was moved, because the interface or this host stood still.
    pub slip: u64,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than the interface's MTU allows (`EMSGSIZE`).
    TooLong,
    /// The capture has kept only a part of it.
    Cut,
    /// Not an Ethernet frame.
    LinkType,
    /// The interface had no room or no use for it, and it could not be given again.
    Dropped,
    /// The kernel's error number.
    Error(i32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("longer than the MTU allows"),
            Self::Cut => f.write_str("cut short in the capture"),
            Self::LinkType => f.write_str("not Ethernet"),
            Self::Dropped => f.write_str("dropped by the interface"),
            Self::Error(code) => write!(f, "{}", std::io::Error::from_raw_os_error(*code)),
        }
    }
}

impl Sent {
    /// Frames a second, from the first to the last. 0 for fewer than two.
    #[must_use]
    pub fn packet_rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.frames.saturating_sub(1) as f64 / seconds } else { 0.0 }
    }

    /// Bits a second, likewise.
    #[must_use]
    pub fn bit_rate(&self) -> f64 {
        if self.frames == 0 {
            0.0
        } else {
            self.packet_rate() * 8.0 * (self.bytes as f64 / self.frames as f64)
        }
    }

    /// Frames that could not be sent.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Adds the account of another one that shared the frames.
    pub fn merge(&mut self, other: &Self) {
        self.offered += other.offered;
        self.frames += other.frames;
        self.bytes += other.bytes;
        other.refused.iter().for_each(|(reason, count)| *self.refused.entry(*reason).or_default() += count);
        self.left += other.left;
        self.retries += other.retries;
        self.unstamped += other.unstamped;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.late.times += other.late.times;
        self.late.total += other.late.total;
        self.late.most = self.late.most.max(other.late.most);
        self.late.slip = self.late.slip.max(other.late.slip);
    }

    pub(super) fn refuse(&mut self, reason: Refusal) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// So many of those that the kernel took were not sent after all.
    pub(super) fn throw_away(&mut self, frames: u64) {
        let frames = frames.min(self.frames);
        if frames > 0 {
            let bytes = u128::from(self.bytes) * u128::from(frames) / u128::from(self.frames);
            self.bytes -= bytes as u64;
            self.frames -= frames;
            *self.refused.entry(Refusal::Dropped).or_default() += frames;
        }
    }
}

impl Lateness {
    pub(super) fn add(&mut self, late: u64) {
        self.times += 1;
        self.total += late;
        self.most = self.most.max(late);
    }

    /// Nanoseconds too late on average.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.total / self.times.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thrown_away_was_not_sent() {
        let mut sent = Sent { offered: 10, frames: 10, bytes: 1_000, ..Sent::default() };
        sent.throw_away(3);
        sent.throw_away(0);
        assert_eq!((sent.frames, sent.bytes, sent.refusals()), (7, 700, 3));
        sent.throw_away(9);
        assert_eq!((sent.frames, sent.bytes, sent.refused[&Refusal::Dropped]), (0, 0, 10));
    }
}
