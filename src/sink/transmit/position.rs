//! Which frame is due when: arithmetic alone, all times passed in.

use super::pace::{Pace, Rate};
use crate::frame::{Record, Timestamp};

/// How far a sender has come. Every due time follows from it and the frame, so that errors do not add up.
///
/// Senders that share their frames share one, and each goes on with a copy of it from where its part begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Frames before this one.
    frames: u64,
    /// Their bytes.
    bytes: u64,
    /// Time of the first frame of all.
    first: Option<Timestamp>,
    /// Nanoseconds from the first frame's time to the last one's, passes added up.
    last: i64,
    /// What this pass adds to each.
    shift: i64,
    /// Frames before this pass.
    earlier: u64,
}

/// A second.
const NANOS: u128 = 1_000_000_000;

impl Position {
    /// Frames before the next one.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// When a frame is due: nanoseconds after the first of all.
    ///
    /// ```
    /// use wharf::frame::Record;
    /// use wharf::sink::transmit::{Pace, Position};
    ///
    /// let (mut position, frame) = (Position::default(), Record { wire_length: 125, ..Record::default() });
    /// (0..3).for_each(|_| position.advance(&frame));
    /// assert_eq!(position.due(Pace::Rate("2".parse()?), &frame), 1_500_000_000);
    /// assert_eq!(position.due(Pace::Rate("1kbit".parse()?), &frame), 3_000_000_000);
    /// # Ok::<(), wharf::ValueError>(())
    /// ```
    #[must_use]
    pub fn due(&self, pace: Pace, frame: &Record) -> u64 {
        let part =
            |count: u128, rate: u64| u64::try_from(count * NANOS / u128::from(rate)).unwrap_or(u64::MAX);
        match pace {
            Pace::FlatOut => 0,
            Pace::Rate(Rate::Packets(rate)) => part(u128::from(self.frames), rate.get()),
            Pace::Rate(Rate::Bits(rate)) => part(u128::from(self.bytes) * 8, rate.get()),
            // One from before the first frame is due at once.
            Pace::Recorded(speed) => speed.scaled(u64::try_from(self.recorded(frame)).unwrap_or(0)),
        }
    }

    /// The frame is done with.
    pub fn advance(&mut self, frame: &Record) {
        self.last = self.recorded(frame);
        if self.first.is_none() {
            self.first = frame.time;
        }
        self.frames += 1;
        self.bytes += u64::from(frame.wire_length);
    }

    /// The same frames come once more: the first of them as long after the last one as they are apart on average.
    pub fn rewind(&mut self) {
        let gaps = i64::try_from(self.frames - self.earlier).unwrap_or(i64::MAX).saturating_sub(1).max(1);
        let length = self.last.saturating_sub(self.shift).max(0);
        self.shift = self.shift.saturating_add(length).saturating_add(length / gaps);
        self.earlier = self.frames;
    }

    /// Nanoseconds from the first frame's time to this one's; one without a time goes with the one before.
    fn recorded(&self, frame: &Record) -> i64 {
        match (frame.time, self.first) {
            (Some(time), Some(first)) => time.nanos_since(first).saturating_add(self.shift),
            (Some(_), None) => self.shift,
            (None, _) => self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Record {
        let time =
            Some(Timestamp::new(1_000 + (nanos / 1_000_000_000) as i64, (nanos % 1_000_000_000) as u32));
        Record { time, wire_length: 60, ..Record::default() }
    }

    #[test]
    fn a_rate_does_not_drift() {
        let pace = Pace::Rate("3".parse().unwrap());
        // Thirds of a second: rounded each by itself, and exact again at every third.
        let position = |frames| Position { frames, ..Position::default() };
        assert_eq!(position(1).due(pace, &at(0)), 333_333_333);
        assert_eq!(position(3_000_000_000).due(pace, &at(0)), 1_000_000_000_000_000_000);
        let a_year_at_10_million = position(315_360_000_000_000);
        let pace = Pace::Rate("10M".parse().unwrap());
        assert_eq!(a_year_at_10_million.due(pace, &at(0)), 31_536_000 * 1_000_000_000);
    }

    #[test]
    fn bits_are_those_of_the_frames_before() {
        let pace = Pace::Rate("1Gbit".parse().unwrap());
        let mut position = Position::default();
        assert_eq!(position.due(pace, &Record { wire_length: 1_514, ..Record::default() }), 0);
        position.advance(&Record { wire_length: 1_250, ..Record::default() });
        assert_eq!(position.due(pace, &at(0)), 10_000);
    }

    #[test]
    fn recorded_times_keep_their_distances_at_any_speed() {
        for (speed, expected) in [("1x", [0, 5_000, 5_000, 0, 9_000]), ("2x", [0, 2_500, 2_500, 0, 4_500])] {
            let pace = Pace::Recorded(speed.parse().unwrap());
            let mut position = Position::default();
            let without_time = Record { time: None, ..at(0) };
            let early = Record { time: Some(Timestamp::new(999, 0)), ..at(0) };
            let frames = [at(0), at(5_000), without_time, early, at(9_000)];
            let due = frames.map(|frame| {
                let due = position.due(pace, &frame);
                position.advance(&frame);
                due
            });
            assert_eq!(due, expected, "{speed}");
        }
    }

    #[test]
    fn passes_follow_each_other_at_the_mean_distance() {
        let pace = Pace::Recorded(super::super::pace::Speed::ONE);
        let mut position = Position::default();
        let mut due = Vec::new();
        for _ in 0..3 {
            for frame in [at(0), at(100), at(400)] {
                due.push(position.due(pace, &frame));
                position.advance(&frame);
            }
            position.rewind();
        }
        assert_eq!(due, [0, 100, 400, 600, 700, 1_000, 1_200, 1_300, 1_600]);
        assert_eq!(position.frames(), 9);
    }
}
