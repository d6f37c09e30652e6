//! The state of a connection (RFC 9293 3.3.2), as seen from the wire.

use super::holes::Holes;
use super::{
    ACKED, BASE, Connection, FINISHED, Findings, LATE, NEXT, PENDING, PackedOptions, Segment, Steps, TO_ACK,
};
use crate::flow::record::{Gaps, TcpState};

/// Nanoseconds within which an answer may come that was overtaken; no more than is [kept](super::Compact) of such a time.
const SHORTLY: i64 = 1_000_000_000;

impl Connection {
    /// The state after a segment.
    #[inline]
    pub(super) fn step(&mut self, segment: &Segment, from: usize, time: i64) {
        let flags = segment.flags;
        let opener = usize::from(self.opener == Some(true));
        if flags.syn() {
            self.open(segment, from, time);
        } else if flags.rst() {
            self.state = match self.state {
                TcpState::Attempt if from != opener => TcpState::Refused,
                TcpState::Closed | TcpState::Refused => self.state,
                _ => TcpState::Reset,
            };
        } else if flags.ack() && self.state == TcpState::HalfOpen && (from == opener || segment.length > 0) {
            self.state = TcpState::Established;
            self.steps.set_once(2, time);
        } else if flags.ack() && self.state == TcpState::Attempt && from == opener {
            // It was answered, and the answer not captured, or not yet: how long each of that took is not known.
            self.state = TcpState::Established;
            self.steps.set_once(2, time);
        }
        if flags.fin() && !matches!(self.state, TcpState::Reset | TcpState::Refused) {
            self.sides[from].known |= FINISHED;
            let both = self.sides[1 - from].knows(FINISHED);
            self.state = if both { TcpState::Closed } else { TcpState::Closing };
        }
    }

    /// Whether the other side may take a reset for one of this connection: it lies where the other side expects what comes
    /// next (RFC 9293 3.10.7.4), as far as is known here, or not farther from there than its window. Where the capture has lost packets
    /// since either side was heard of, that is not known.
    #[inline(never)]
    pub(super) fn believes(&self, reset: &Segment, from: usize, epoch: u16) -> bool {
        let (side, other) = (&self.sides[from], &self.sides[1 - from]);
        let shift = other.options.unpack().window_scale.unwrap_or(0).min(14);
        let window = (u32::from(other.window) << shift).max(LATE);
        let near = |expected: u32| reset.sequence.wrapping_sub(expected).wrapping_add(window) <= 2 * window;
        let lost = self.sides.iter().any(|side| side.knows(NEXT) && side.epoch != epoch);
        let unknown = lost || !side.knows(NEXT) && !other.knows(ACKED);
        unknown || side.knows(NEXT) && near(side.next) || other.knows(ACKED) && near(other.acked)
    }

    /// A SYN that repeats one which was refused, or cut off, begins the connection anew: some hosts ask several times before they
    /// believe a refusal, and one that is answered with numbers of a connection that it has forgotten resets that and asks again (RFC 9293
    /// 3.5.1). What was seen between is of no connection, least of all where that reset stands: it has the other side's number; nor
    /// is what seemed to be missing then.
    #[inline(never)]
    pub(super) fn begin_again(&mut self, segment: &Segment, from: usize) {
        let again = matches!(self.state, TcpState::Refused | TcpState::Reset) && !segment.flags.ack();
        let [first, second] = &mut self.sides;
        let (side, other) = if from == 0 { (first, second) } else { (second, first) };
        let same = side.knows(BASE) && side.base == segment.sequence;
        if segment.flags.ack() && side.knows(BASE) && !same {
            // Another answer to the same SYN: what counts is its number.
            side.known &= !(NEXT | TO_ACK | PENDING);
        }
        if !(again && same) {
            return;
        }
        if self.steps.at(1).or(self.steps.at(2)).is_none() {
            for noted in self.trouble.iter_mut().flat_map(|noted| noted.iter_mut()) {
                (noted.trouble.gaps, noted.holes) = (Gaps::default(), Holes::default());
            }
        }
        side.next = segment.sequence.wrapping_add(segment.length).wrapping_add(1);
        side.to_ack = side.next;
        side.known = BASE | NEXT | TO_ACK;
        (other.known, other.last) = (0, Findings::default());
        (self.state, self.opener, self.steps) = (TcpState::Attempt, Some(from == 1), Steps::default());
        (self.simultaneous, self.told) = (false, false);
    }

    /// The other side has opened the connection and gone on lately, and this one was not seen to answer.
    fn answer_is_missing(&self, from: usize, time: i64) -> bool {
        let unseen = self.steps.at(0).is_some() && self.steps.at(1).is_none();
        let went_on = self.steps.at(2).filter(|went_on| time.saturating_sub(*went_on) < SHORTLY);
        unseen && went_on.is_some() && self.opener == Some(from == 0)
    }

    #[inline(never)]
    fn open(&mut self, segment: &Segment, from: usize, time: i64) {
        let (asked, heard) = (self.sides[1 - from].base, self.sides[from].knows(NEXT));
        let side = &mut self.sides[from];
        side.known |= BASE;
        (side.base, side.options) = (segment.sequence, PackedOptions::pack(segment.options));
        let first = matches!(self.state, TcpState::Underway) && self.steps == Steps::default();
        if !segment.flags.ack() {
            match self.opener {
                None if first => {
                    self.opener = Some(from == 1);
                    self.state = TcpState::Attempt;
                }
                Some(opener) if usize::from(opener) != from => self.simultaneous = true,
                _ => {}
            }
            if self.state == TcpState::Attempt {
                self.steps.0[0] = time;
            }
        } else if first || self.state == TcpState::Attempt {
            // Who answers is not who opened.
            self.opener.get_or_insert(from == 0);
            self.state = TcpState::HalfOpen;
            self.steps.0[1] = time;
        } else if !heard
            && self.answer_is_missing(from, time)
            && segment.acknowledgment == asked.wrapping_add(1)
        {
            // Overtaken by its own acknowledgment on the way into the capture.
            self.steps.0[1] = time;
        } else if self.state == TcpState::HalfOpen && self.simultaneous {
            self.state = TcpState::Established;
            self.steps.set_once(2, time);
        }
    }
}
