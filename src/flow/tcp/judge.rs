//! Where a segment stands to those before it.
//!
//! Judged as Wireshark's `packet-tcp.c` (4.0) does, so that both name the same segments: what begins below the highest
//! sequence number seen is old data, what begins above it tells of a loss.

use super::{ACKED, Connection, NEXT, Noted, Segment, TO_ACK, beyond};
use std::ops::BitOr;

/// What a segment was found to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings(u16);

impl Findings {
    /// Brings bytes that had been seen before, or passed over.
    pub const OLD_DATA: Self = Self(1);
    /// Of [old data](Self::OLD_DATA), what came too soon to be sent again: it was overtaken.
    pub const OUT_OF_ORDER: Self = Self(2);
    /// Begins beyond what was seen: something before it is missing.
    pub const AFTER_LOSS: Self = Self(4);
    /// Acknowledges what was never seen.
    pub const ACKS_UNSEEN: Self = Self(8);
    /// Acknowledges once more what was acknowledged.
    pub const DUPLICATE_ACK: Self = Self(16);
    /// The window is closed.
    pub const ZERO_WINDOW: Self = Self(32);
    /// Asks whether the other side is still there.
    pub const KEEP_ALIVE: Self = Self(64);
    /// Asks whether the window is open again.
    pub const WINDOW_PROBE: Self = Self(128);

    /// The other side may answer it with what it said before.
    #[inline]
    pub(super) const fn is_probe(self) -> bool {
        self.0 & (Self::KEEP_ALIVE.0 | Self::WINDOW_PROBE.0) != 0
    }

    /// All of `other` is there.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Findings {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
/// What comes sooner than this after later bytes was overtaken, not sent again, unless the round trip is known.
const OVERTAKEN: i64 = 3_000_000;

impl Connection {
    /// Where the segment stands to those before it.
    #[inline]
    pub(super) fn judge(&self, segment: &Segment, from: usize, time: i64) -> Findings {
        let (side, other) = (&self.sides[from], &self.sides[1 - from]);
        let (sequence, length) = (segment.sequence, segment.length);
        let known = side.knows(NEXT);
        let mut found = Findings::default();
        let at_next = known && sequence == side.next;
        let quiet = segment.is_plain();
        if length == 1 && at_next && other.knows(ACKED) && other.window == 0 {
            return self.unseen(segment, from) | Findings::WINDOW_PROBE;
        }
        if segment.window == 0 && quiet {
            found = found | Findings::ZERO_WINDOW;
        }
        if known && beyond(sequence, side.next) && !segment.flags.rst() {
            found = found | Findings::AFTER_LOSS;
        }
        if known && length <= 1 && sequence == side.next.wrapping_sub(1) && quiet {
            found = found | Findings::KEEP_ALIVE;
        }
        let repeats = length == 0
            && quiet
            && at_next
            && side.knows(ACKED)
            && segment.acknowledgment == side.acked
            && segment.window == side.window;
        let answers = other.last.is_probe();
        if repeats && !answers && segment.window != 0 {
            found = found | Findings::DUPLICATE_ACK;
        }
        found = found | self.unseen(segment, from);
        // What was acknowledged has been sent before, seen here or not.
        let acknowledged = length > 0
            && other.knows(ACKED)
            && segment.flags.ack()
            && !beyond(sequence.wrapping_add(length), other.acked);
        // A byte that a probe has brought may come again with what follows it: that is new.
        let after_probe = length > 1 && sequence == side.next.wrapping_sub(1);
        let repeated = segment.is_numbered() && known && beyond(side.next, sequence) && !after_probe;
        let old = repeated || acknowledged;
        if old && !found.contains(Findings::KEEP_ALIVE) {
            found = found | Findings::OLD_DATA;
            let soon = self.first_round_trip().unwrap_or(OVERTAKEN);
            // All of what was seen last, once more, was not overtaken by itself.
            let same = segment.end() == side.next;
            // What was acknowledged has arrived, and was sent again for nothing; nothing is known where the clock was set back.
            let overtaken = (0..soon).contains(&time.saturating_sub(side.next_since));
            if overtaken && !same && !acknowledged {
                found = found | Findings::OUT_OF_ORDER;
            }
        }
        found
    }

    /// Whether it acknowledges what was not seen.
    #[inline]
    fn unseen(&self, segment: &Segment, from: usize) -> Findings {
        let other = &self.sides[1 - from];
        let acks = segment.flags.ack() && other.knows(TO_ACK);
        if acks && beyond(segment.acknowledgment, other.to_ack) {
            Findings::ACKS_UNSEEN
        } else {
            Findings::default()
        }
    }

    /// Counts what was found.
    #[inline(never)]
    pub(super) fn note(&mut self, segment: &Segment, from: usize, found: Findings, epoch: u16) {
        let ours = self.sides.map(|side| side.epoch != epoch);
        let next = self.sides[from].next;
        let noted = self.trouble.get_or_insert_with(|| Box::new([Noted::default(); 2]));
        let Noted { trouble: here, holes } = &mut noted[from];
        let count = |counter: &mut u32, what| *counter += u32::from(found.contains(what));
        count(&mut here.duplicate_acks, Findings::DUPLICATE_ACK);
        count(&mut here.zero_windows, Findings::ZERO_WINDOW);
        count(&mut here.keep_alives, Findings::KEEP_ALIVE);
        if found.contains(Findings::OUT_OF_ORDER) {
            here.out_of_order += 1;
        } else if found.contains(Findings::OLD_DATA) {
            here.retransmissions += 1;
            here.retransmitted_bytes += u64::from(segment.length);
        }
        if found.contains(Findings::OLD_DATA) {
            here.gaps.bytes -= holes.fill(segment.sequence, segment.length);
        }
        if found.contains(Findings::AFTER_LOSS) {
            here.gaps.lost += 1;
            here.gaps.ours += u32::from(ours[from]);
            let bytes = segment.sequence.wrapping_sub(next);
            here.gaps.bytes += u64::from(bytes);
            holes.open(next, bytes);
        }
        if found.contains(Findings::ACKS_UNSEEN) {
            let there = &mut noted[1 - from].trouble;
            there.gaps.unseen += 1;
            there.gaps.ours += u32::from(ours[1 - from]);
        }
    }
}
