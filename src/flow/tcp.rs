//! What becomes of a TCP connection, told from its segments.
//!
//! | file | what it has |
//! | --- | --- |
//! | `holes` | what was passed over and has not come |
//! | `header` | where a segment's header is, whole or cut |
//! | `segment` | what a segment says of itself |
//! | `judge` | where a segment stands to those before it, counted |
//! | `state` | the state after a segment |
//! | `story` | what there is to tell at the end |
//! | `compact` | the same in less room |
//!
//! Here is what is kept of a connection, and round trips.

mod compact;
mod header;
mod holes;
mod judge;
mod segment;
mod state;
mod story;
#[cfg(test)]
mod tests;

pub(super) use compact::{Beside, Compact, Opening};
pub(super) use header::may_be_cut;
pub(crate) use header::tcp_of;
pub use judge::Findings;
pub(super) use segment::PackedOptions;
pub use segment::{Segment, SynOptions};

use super::record::{TcpState, Trouble};
use super::state::NEVER;
use holes::Holes;

/// A connection while it lasts.
///
/// ```
/// use wharf::flow::{Connection, Findings, Segment};
///
/// let mut connection = Connection::default();
/// let first = Segment { sequence: 1_000, length: 100, window: 8_192, ..Segment::default() };
/// assert_eq!(connection.observe(&first, 0, 0, 0), Findings::default());
/// let later = Segment { sequence: 1_300, ..first };
/// assert_eq!(connection.observe(&later, 0, 1, 0), Findings::AFTER_LOSS);
/// assert_eq!(connection.story([0, 1]).sides[0].trouble.gaps.lost, 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    sides: [Side; 2],
    steps: Steps,
    /// Few connections have any.
    trouble: Option<Box<[Noted; 2]>>,
    state: TcpState,
    /// Who sent the first SYN without ACK, if that was seen.
    opener: Option<bool>,
    simultaneous: bool,
    /// A record has told of the handshake.
    told: bool,
}

const _: () = assert!(size_of::<Connection>() <= 200);

/// What went wrong with the segments of one side, and what of them is missing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noted {
    trouble: Trouble,
    holes: Holes,
}

/// Times of the last SYN, of the first answer to it, and of the acknowledgment of that; [`NEVER`] for what was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps([i64; 3]);

impl Default for Steps {
    fn default() -> Self {
        Self([NEVER; 3])
    }
}

impl Steps {
    #[inline]
    fn at(self, step: usize) -> Option<i64> {
        Some(self.0[step]).filter(|&time| time != NEVER)
    }

    #[inline]
    fn set_once(&mut self, step: usize, time: i64) {
        if self.0[step] == NEVER {
            self.0[step] = time;
        }
    }
}

/// What one side has sent, and how that fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    /// When the segment of `pending` was sent.
    pending_since: i64,
    /// When `next` was reached.
    next_since: i64,
    round_trips: [u64; 3],
    round_trip_count: u32,
    /// One beyond the highest sequence number seen. It means something if `known` has [`NEXT`].
    next: u32,
    /// The end of what was seen without a gap, with [`TO_ACK`].
    to_ack: u32,
    /// The last acknowledgment it sent, with [`ACKED`].
    acked: u32,
    /// An acknowledgment from the other side of this or more measures a round trip, with [`PENDING`].
    pending: u32,
    /// Of its last SYN, with [`BASE`].
    base: u32,
    most_in_flight: u32,
    window: u16,
    /// The capture's own losses when its last segment came.
    epoch: u16,
    /// What its last segment was found to be.
    last: Findings,
    known: u8,
    options: PackedOptions,
}

const NEXT: u8 = 1;
const TO_ACK: u8 = 2;
const ACKED: u8 = 4;
const PENDING: u8 = 8;
const BASE: u8 = 16;
const FINISHED: u8 = 32;

/// So many bytes before what was seen of a side its SYN may lie that comes late: a window without a shift.
const LATE: u32 = 1 << 16;

/// More than this is no window that a side has (RFC 7323 2.3: a window is below 2^30).
const WINDOW_LIMIT: u32 = 1 << 30;

impl Side {
    #[inline]
    fn knows(&self, what: u8) -> bool {
        self.known & what != 0
    }
}

/// `a` is beyond `b`, in sequence numbers that begin again at 0 (RFC 9293 3.4).
#[inline]
fn beyond(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Connection {
    /// Where it is.
    #[must_use]
    pub fn state(&self) -> TcpState {
        self.state
    }

    /// Nothing more is expected to come.
    #[must_use]
    #[inline]
    pub fn is_over(&self) -> bool {
        matches!(self.state, TcpState::Closed | TcpState::Reset | TcpState::Refused)
    }

    /// A SYN has come, and its answer is not confirmed.
    fn is_opening(&self) -> bool {
        matches!(self.state, TcpState::Attempt | TcpState::HalfOpen)
    }

    /// The segment opens another connection between the same ports: a SYN, or the answer to one, that does not repeat the one
    /// that was seen of its side. Of a side that was seen from its middle on, or of a connection that is over, it is one that
    /// does not lie just before what was seen or acknowledged, as one does that comes late; nor does it answer the SYN that was seen. (A server that
    /// keeps nothing of a SYN answers it each time with another number.)
    #[must_use]
    #[inline]
    pub fn is_followed_by(&self, segment: &Segment, from: usize) -> bool {
        if !segment.flags.syn() {
            return false;
        }
        let (side, other) = (&self.sides[from & 1], &self.sides[1 - (from & 1)]);
        let answers =
            segment.flags.ack() && other.knows(BASE) && segment.acknowledgment == other.base.wrapping_add(1);
        if side.knows(BASE) {
            return side.base != segment.sequence && !(answers && self.is_opening());
        }
        // How far its side was, by itself or by what the other one had from it.
        let reached = [(side.next, side.knows(NEXT)), (other.acked, other.knows(ACKED))];
        let reached = reached.into_iter().find_map(|(reached, known)| known.then_some(reached));
        let late = reached.is_some_and(|reached| reached.wrapping_sub(segment.sequence) <= LATE);
        (reached.is_some() || self.is_over()) && !late && !answers
    }

    /// Takes in the next segment, sent by side `from` (0 or 1) at `time` (nanoseconds). `epoch` counts the occasions on which
    /// the capture itself has lost packets.
    #[inline]
    pub fn observe(&mut self, segment: &Segment, from: usize, time: i64, epoch: u16) -> Findings {
        let from = from & 1;
        if segment.flags.syn() {
            self.begin_again(segment, from);
        }
        let findings = self.judge(segment, from, time);
        if findings != Findings::default() {
            self.note(segment, from, findings, epoch);
        }
        if segment.flags.rst() && !self.believes(segment, from, epoch) {
            // Made up, or of another connection: the other side goes on as before.
            return findings;
        }
        self.measure(segment, from, time, findings);
        self.step(segment, from, time);
        self.advance(segment, from, time, findings, epoch);
        findings
    }

    /// Round trips, and what is under way.
    #[inline]
    fn measure(&mut self, segment: &Segment, from: usize, time: i64, found: Findings) {
        let [first, second] = &mut self.sides;
        let (side, other) = if from == 0 { (first, second) } else { (second, first) };
        if segment.flags.ack() && other.knows(PENDING) && !beyond(other.pending, segment.acknowledgment) {
            other.known &= !PENDING;
            let trip = time.saturating_sub(other.pending_since).max(0) as u64;
            let [least, most, sum] = &mut other.round_trips;
            *least = if other.round_trip_count == 0 { trip } else { trip.min(*least) };
            *most = trip.max(*most);
            *sum = sum.saturating_add(trip);
            other.round_trip_count += 1;
        }
        if !segment.is_numbered() {
            return;
        }
        if found.contains(Findings::OLD_DATA) {
            // Which of the copies is acknowledged nobody can tell (Karn's algorithm, RFC 6298 3).
            side.known &= !PENDING;
            return;
        }
        // Acknowledged before it came: how long that took is not known.
        let too_late = other.knows(ACKED) && !beyond(segment.end(), other.acked);
        if !side.knows(PENDING) && !too_late {
            side.known |= PENDING;
            (side.pending, side.pending_since) = (segment.end(), time);
        }
        let under_way = segment.sequence.wrapping_add(segment.length).wrapping_sub(other.acked);
        if other.knows(ACKED) && segment.length > 0 && under_way < WINDOW_LIMIT {
            side.most_in_flight = side.most_in_flight.max(under_way);
        }
    }

    /// Remembers how far both sides are.
    #[inline]
    fn advance(&mut self, segment: &Segment, from: usize, time: i64, found: Findings, epoch: u16) {
        let [first, second] = &mut self.sides;
        let (side, other) = if from == 0 { (first, second) } else { (second, first) };
        if found.contains(Findings::ACKS_UNSEEN) {
            // Said once.
            other.to_ack = segment.acknowledgment;
        }
        // A probe of a closed window does not count: its byte comes again.
        if !found.contains(Findings::WINDOW_PROBE) {
            let end = segment.end();
            if !side.knows(NEXT) || beyond(end, side.next) {
                (side.next, side.next_since) = (end, time);
                side.known |= NEXT;
            }
            // With the byte of a probe once more, it goes on from there, too.
            let after_probe = segment.length > 1 && segment.sequence == side.to_ack.wrapping_sub(1);
            if !side.knows(TO_ACK) || segment.sequence == side.to_ack || after_probe {
                side.to_ack = side.next;
                side.known |= TO_ACK;
            }
        }
        side.window = segment.window;
        if segment.flags.ack() {
            side.acked = segment.acknowledgment;
            side.known |= ACKED;
        }
        side.epoch = epoch;
        side.last = found;
    }

    /// Both parts of the handshake's round trip together, where all of it was seen.
    #[inline]
    fn first_round_trip(&self) -> Option<i64> {
        self.steps.at(1)?;
        Some(self.steps.at(2)?.saturating_sub(self.steps.at(0)?))
    }

    /// Goes on after a record: what was counted is forgotten, what is known is not. The handshake has been told.
    pub fn restart(&mut self) {
        self.told |= self.steps != Steps::default();
        self.trouble = None;
        for side in &mut self.sides {
            (side.round_trips, side.round_trip_count, side.most_in_flight) = ([0; 3], 0, 0);
        }
    }
}
