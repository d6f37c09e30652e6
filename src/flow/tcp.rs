//! What becomes of a TCP connection, told from its segments.
//!
//! Where a segment stands to those before it is judged as Wireshark's `packet-tcp.c` (4.0) does, so that both name the
//! same segments: what begins below the highest sequence number seen is old data, what begins above it tells of a loss.

use super::record::{Handshake, RoundTrips, TcpSide, TcpState, TcpStory, Trouble};
use crate::parse::{IpLayer, Packet, TcpFlags, TcpHeader, TcpOption};
use std::ops::BitOr;
use std::time::Duration;

/// What a TCP segment says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// What it acknowledges, where ACK is set.
    pub acknowledgment: u32,
    /// Bytes of payload, captured or not.
    pub length: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as it stands.
    pub window: u16,
    /// What its options say, of a SYN.
    pub options: SynOptions,
}

/// What the options of a SYN say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// Largest segment taken.
    pub mss: Option<u16>,
    /// Shift of windows.
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are taken.
    pub sack: bool,
    /// Timestamps are sent.
    pub timestamps: bool,
}

impl Segment {
    /// The segment in an IP layer of a packet, if it is one.
    #[must_use]
    pub fn of(packet: &Packet<'_>, ip: &IpLayer) -> Option<Self> {
        packet.tcp(ip).map(|tcp| Self::new(&tcp, packet.payload_length(ip)))
    }

    /// The segment with this header and so many bytes.
    #[must_use]
    pub fn new(tcp: &TcpHeader<'_>, length: u32) -> Self {
        let flags = tcp.flags();
        let options = if flags.syn() { SynOptions::of(tcp) } else { SynOptions::default() };
        Self {
            sequence: tcp.sequence(),
            acknowledgment: tcp.acknowledgment(),
            length,
            flags,
            window: tcp.window(),
            options,
        }
    }

    /// It takes up sequence numbers.
    fn is_numbered(&self) -> bool {
        self.length > 0 || self.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0))
    }

    /// Any of these bits is set.
    fn has(&self, bits: TcpFlags) -> bool {
        self.flags.0 & bits.0 != 0
    }

    fn is_plain(&self) -> bool {
        !self.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0))
    }
}

impl SynOptions {
    fn of(tcp: &TcpHeader<'_>) -> Self {
        let mut options = Self::default();
        for option in tcp.options().flatten() {
            match option {
                TcpOption::MaximumSegmentSize(mss) => options.mss = Some(mss),
                TcpOption::WindowScale(shift) => options.window_scale = Some(shift),
                TcpOption::SackPermitted => options.sack = true,
                TcpOption::Timestamps { .. } => options.timestamps = true,
                _ => {}
            }
        }
        options
    }
}

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

    /// All of `other` is there.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Findings {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

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
#[derive(Clone, Debug, Default)]
pub struct Connection {
    state: TcpState,
    /// Times of the last SYN, of the first answer to it, and of the acknowledgment of that.
    steps: [Option<i64>; 3],
    /// Who sent the first SYN without ACK, if that was seen.
    opener: Option<bool>,
    simultaneous: bool,
    sides: [Side; 2],
    /// Few connections have any.
    trouble: Option<Box<[Trouble; 2]>>,
}

/// What one side has sent, and how that fared.
#[derive(Clone, Copy, Debug, Default)]
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
    options: SynOptions,
}

const NEXT: u8 = 1;
const TO_ACK: u8 = 2;
const ACKED: u8 = 4;
const PENDING: u8 = 8;
const BASE: u8 = 16;
const FINISHED: u8 = 32;

/// What comes sooner than this after later bytes was overtaken, not sent again, unless the round trip is known.
const OVERTAKEN: i64 = 3_000_000;
/// More than this is no window that a side has (RFC 7323 2.3: a window is below 2^30).
const WINDOW_LIMIT: u32 = 1 << 30;

impl Side {
    fn knows(&self, what: u8) -> bool {
        self.known & what != 0
    }
}

/// `a` is beyond `b`, in sequence numbers that begin again at 0 (RFC 9293 3.4).
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
    pub fn is_over(&self) -> bool {
        matches!(self.state, TcpState::Closed | TcpState::Reset | TcpState::Refused)
    }

    /// The segment opens another connection between the same ports: a SYN that does not repeat the one that was seen, or one
    /// after the end.
    #[must_use]
    pub fn is_followed_by(&self, segment: &Segment, from: usize) -> bool {
        let opens = segment.flags.syn() && !segment.flags.ack();
        let side = &self.sides[from & 1];
        opens && side.knows(BASE) && side.base != segment.sequence
    }

    /// Takes in the next segment, sent by side `from` (0 or 1) at `time` (nanoseconds). `epoch` counts the occasions on which
    /// the capture itself has lost packets.
    #[inline]
    pub fn observe(&mut self, segment: &Segment, from: usize, time: i64, epoch: u16) -> Findings {
        let from = from & 1;
        let findings = self.judge(segment, from, time);
        if findings != Findings::default() {
            self.note(segment, from, findings, epoch);
        }
        self.measure(segment, from, time, findings);
        self.step(segment, from, time);
        self.advance(segment, from, time, findings, epoch);
        findings
    }

    /// Where the segment stands to those before it.
    #[inline]
    fn judge(&self, segment: &Segment, from: usize, time: i64) -> Findings {
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
        let answers = other.last.0 & (Findings::KEEP_ALIVE.0 | Findings::WINDOW_PROBE.0) != 0;
        if repeats && !answers && segment.window != 0 {
            found = found | Findings::DUPLICATE_ACK;
        }
        found = found | self.unseen(segment, from);
        // What was acknowledged has been sent before, seen here or not.
        let acknowledged = length > 0
            && other.knows(ACKED)
            && segment.flags.ack()
            && !beyond(sequence.wrapping_add(length), other.acked);
        let old = segment.is_numbered() && known && beyond(side.next, sequence) || acknowledged;
        if old && !found.contains(Findings::KEEP_ALIVE) {
            found = found | Findings::OLD_DATA;
            let soon = self.first_round_trip().unwrap_or(OVERTAKEN);
            // All of what was seen last, once more, was not overtaken by itself.
            let same = sequence.wrapping_add(length) == side.next;
            if time.saturating_sub(side.next_since) < soon && !same {
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
    fn note(&mut self, segment: &Segment, from: usize, found: Findings, epoch: u16) {
        let ours = self.sides.map(|side| side.epoch != epoch);
        let next = self.sides[from].next;
        let trouble = self.trouble.get_or_insert_with(|| Box::new([Trouble::default(); 2]));
        let here = &mut trouble[from];
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
        // Old data may fill a gap; how far, only somebody who keeps all of them could tell.
        if found.contains(Findings::OLD_DATA) {
            here.gaps.bytes = here.gaps.bytes.saturating_sub(segment.length.into());
        }
        if found.contains(Findings::AFTER_LOSS) {
            here.gaps.lost += 1;
            here.gaps.ours += u32::from(ours[from]);
            here.gaps.bytes += u64::from(segment.sequence.wrapping_sub(next));
        }
        if found.contains(Findings::ACKS_UNSEEN) {
            let there = &mut trouble[1 - from];
            there.gaps.unseen += 1;
            there.gaps.ours += u32::from(ours[1 - from]);
        }
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
        let syn_or_fin = u32::from(segment.flags.syn()) + u32::from(segment.flags.fin());
        let end = segment.sequence.wrapping_add(segment.length).wrapping_add(syn_or_fin.min(1));
        if !side.knows(PENDING) {
            side.known |= PENDING;
            (side.pending, side.pending_since) = (end, time);
        }
        let under_way = end.wrapping_sub(other.acked);
        if other.knows(ACKED) && segment.length > 0 && under_way < WINDOW_LIMIT {
            side.most_in_flight = side.most_in_flight.max(under_way);
        }
    }

    /// The state after a segment.
    #[inline]
    fn step(&mut self, segment: &Segment, from: usize, time: i64) {
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
            self.steps[2].get_or_insert(time);
        }
        if flags.fin() && !matches!(self.state, TcpState::Reset | TcpState::Refused) {
            self.sides[from].known |= FINISHED;
            let both = self.sides[1 - from].knows(FINISHED);
            self.state = if both { TcpState::Closed } else { TcpState::Closing };
        }
    }

    #[inline(never)]
    fn open(&mut self, segment: &Segment, from: usize, time: i64) {
        let side = &mut self.sides[from];
        side.known |= BASE;
        (side.base, side.options) = (segment.sequence, segment.options);
        let first = matches!(self.state, TcpState::Underway) && self.steps == [None; 3];
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
                self.steps[0] = Some(time);
            }
        } else if first || self.state == TcpState::Attempt {
            // Who answers is not who opened.
            self.opener.get_or_insert(from == 0);
            self.state = TcpState::HalfOpen;
            self.steps[1] = Some(time);
        } else if self.state == TcpState::HalfOpen && self.simultaneous {
            self.state = TcpState::Established;
            self.steps[2].get_or_insert(time);
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
            let syn_or_fin = segment.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0));
            let end = segment.sequence.wrapping_add(segment.length).wrapping_add(syn_or_fin.into());
            if !side.knows(NEXT) || beyond(end, side.next) {
                (side.next, side.next_since) = (end, time);
                side.known |= NEXT;
            }
            if !side.knows(TO_ACK) || segment.sequence == side.to_ack {
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

    /// Both parts of the handshake's round trip together.
    fn first_round_trip(&self) -> Option<i64> {
        Some(self.steps[2]?.saturating_sub(self.steps[0]?))
    }

    /// Goes on after a record: what was counted is forgotten, what is known is not.
    pub fn restart(&mut self) {
        self.trouble = None;
        for side in &mut self.sides {
            (side.round_trips, side.round_trip_count, side.most_in_flight) = ([0; 3], 0, 0);
        }
    }

    /// What there is to tell, the sides in this order.
    #[must_use]
    pub fn story(&self, order: [usize; 2]) -> TcpStory {
        let [syn, answer, confirmation] = self.steps;
        let between = |from: Option<i64>, to: Option<i64>| {
            Some(Duration::from_nanos(u64::try_from(to?.saturating_sub(from?)).unwrap_or(0)))
        };
        let handshake = Handshake {
            answered_after: between(syn, answer),
            confirmed_after: between(answer, confirmation),
            simultaneous: self.simultaneous,
        };
        let seen = syn.is_some() || answer.is_some();
        TcpStory {
            state: self.state,
            handshake: seen.then_some(handshake),
            sides: order.map(|at| self.side(at & 1)),
        }
    }

    fn side(&self, at: usize) -> TcpSide {
        let side = &self.sides[at];
        let SynOptions { mss, window_scale, sack, timestamps } = side.options;
        let [least, most, sum] = side.round_trips;
        let count = side.round_trip_count;
        TcpSide {
            mss,
            window_scale,
            sack,
            timestamps,
            round_trips: RoundTrips {
                count,
                least: Duration::from_nanos(least),
                most: Duration::from_nanos(most),
                mean: Duration::from_nanos(sum.checked_div(count.into()).unwrap_or(0)),
            },
            trouble: self.trouble.as_ref().map_or_else(Trouble::default, |trouble| trouble[at]),
            most_in_flight: side.most_in_flight,
            finished: side.knows(FINISHED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const SYN: TcpFlags = TcpFlags::SYN;
    const ACK: TcpFlags = TcpFlags::ACK;

    fn segment(flags: TcpFlags, sequence: u32, acknowledgment: u32, length: u32) -> Segment {
        Segment { flags, sequence, acknowledgment, length, window: 1_000, ..Segment::default() }
    }

    /// A connection that is open after 30 ms: numbers begin so, and 20 ms lie before the answer.
    fn open(client: u32, server: u32) -> Connection {
        let mut connection = Connection::default();
        let next = client.wrapping_add(1);
        for (at, from, segment) in [
            (0, 0, segment(SYN, client, 0, 0)),
            (20, 1, segment(SYN | ACK, server, next, 0)),
            (30, 0, segment(ACK, next, server.wrapping_add(1), 0)),
        ] {
            assert_eq!(connection.observe(&segment, from, at * MS, 0), Findings::default());
        }
        assert_eq!(connection.state(), TcpState::Established);
        connection
    }

    #[test]
    fn a_handshake_has_two_round_trips_and_a_close_two_sides() {
        let mut connection = open(100, 900);
        let handshake = connection.story([0, 1]).handshake.unwrap();
        assert_eq!(handshake.answered_after, Some(Duration::from_millis(20)));
        assert_eq!(handshake.confirmed_after, Some(Duration::from_millis(10)));
        connection.observe(&segment(ACK, 101, 901, 50), 0, 40 * MS, 0);
        connection.observe(&segment(ACK, 901, 151, 0), 1, 65 * MS, 0);
        connection.observe(&segment(ACK | TcpFlags::FIN, 151, 901, 0), 0, 70 * MS, 0);
        assert_eq!((connection.state(), connection.is_over()), (TcpState::Closing, false));
        connection.observe(&segment(ACK | TcpFlags::FIN, 901, 152, 0), 1, 71 * MS, 0);
        assert_eq!((connection.state(), connection.is_over()), (TcpState::Closed, true));
        let [client, server] = connection.story([0, 1]).sides;
        // 20 ms for the SYN, 25 for the data, 1 for the FIN.
        let trips = client.round_trips;
        assert_eq!(
            (trips.count, trips.least, trips.most),
            (3, Duration::from_millis(1), Duration::from_millis(25))
        );
        assert_eq!(client.most_in_flight, 50);
        assert!(client.finished && server.finished);
        assert_eq!(connection.story([1, 0]).sides, [server, client]);
    }

    #[test]
    fn a_reset_is_a_refusal_or_a_cut() {
        let mut refused = Connection::default();
        refused.observe(&segment(SYN, 7, 0, 0), 0, 0, 0);
        assert_eq!(refused.state(), TcpState::Attempt);
        refused.observe(&segment(ACK | TcpFlags::RST, 0, 8, 0), 1, MS, 0);
        assert_eq!(refused.state(), TcpState::Refused);
        let mut cut = open(1, 2);
        cut.observe(&segment(TcpFlags::RST, 2, 0, 0), 0, MS, 0);
        assert_eq!((cut.state(), cut.is_over()), (TcpState::Reset, true));
        let mut withdrawn = Connection::default();
        withdrawn.observe(&segment(SYN, 7, 0, 0), 0, 0, 0);
        withdrawn.observe(&segment(TcpFlags::RST, 8, 0, 0), 0, MS, 0);
        assert_eq!(withdrawn.state(), TcpState::Reset, "nobody refused it");
    }

    #[test]
    fn both_sides_may_open_at_once() {
        let mut connection = Connection::default();
        connection.observe(&segment(SYN, 100, 0, 0), 0, 0, 0);
        connection.observe(&segment(SYN, 900, 0, 0), 1, MS, 0);
        connection.observe(&segment(SYN | ACK, 100, 901, 0), 0, 2 * MS, 0);
        connection.observe(&segment(SYN | ACK, 900, 101, 0), 1, 3 * MS, 0);
        assert_eq!(connection.state(), TcpState::Established);
        assert!(connection.story([0, 1]).handshake.unwrap().simultaneous);
    }

    #[test]
    fn a_syn_with_another_number_opens_another_connection() {
        let connection = open(100, 900);
        assert!(!connection.is_followed_by(&segment(SYN, 100, 0, 0), 0), "sent again");
        assert!(connection.is_followed_by(&segment(SYN, 70_000, 0, 0), 0));
        assert!(!Connection::default().is_followed_by(&segment(SYN, 1, 0, 0), 0));
    }

    /// Wherever sequence numbers begin again.
    #[test]
    fn losses_and_repeats_are_found_across_the_wrap() {
        for start in [0, 1 << 31, u32::MAX - 1_100, u32::MAX - 1_001, u32::MAX - 1_000, u32::MAX - 100] {
            let mut connection = open(start, 900);
            let mut send = |offset: u32, length: u32, at: i64, epoch: u16| {
                let sequence = start.wrapping_add(1).wrapping_add(offset);
                connection.observe(&segment(ACK, sequence, 901, length), 0, at * MS, epoch)
            };
            assert_eq!(send(0, 1_000, 100, 0), Findings::default());
            assert_eq!(send(2_000, 500, 101, 0), Findings::AFTER_LOSS);
            assert_eq!(send(1_000, 1_000, 103, 0), Findings::OLD_DATA | Findings::OUT_OF_ORDER);
            assert_eq!(send(2_000, 500, 500, 0), Findings::OLD_DATA);
            // Between these two this capture has lost packets.
            assert_eq!(send(3_500, 100, 501, 1), Findings::AFTER_LOSS);
            let trouble = connection.story([0, 1]).sides[0].trouble;
            assert_eq!(
                (trouble.retransmissions, trouble.retransmitted_bytes, trouble.out_of_order),
                (1, 500, 1)
            );
            assert_eq!((trouble.gaps.lost, trouble.gaps.ours), (2, 1));
            assert!(trouble.any());
        }
    }

    #[test]
    fn acknowledgments_tell_of_what_was_not_seen() {
        let mut connection = open(100, 900);
        let ack = |number| segment(ACK, 901, number, 0);
        assert_eq!(connection.observe(&ack(5_000), 1, 40 * MS, 0), Findings::ACKS_UNSEEN);
        assert_eq!(connection.observe(&ack(5_000), 1, 41 * MS, 0), Findings::DUPLICATE_ACK);
        let late = segment(ACK, 101, 901, 100);
        assert_eq!(connection.observe(&late, 0, 42 * MS, 0), Findings::OLD_DATA);
        let trouble = connection.story([0, 1]).sides;
        assert_eq!((trouble[0].trouble.gaps.unseen, trouble[1].trouble.duplicate_acks), (1, 1));
    }

    #[test]
    fn one_direction_alone_is_followed_from_the_middle() {
        let mut connection = Connection::default();
        for number in 0..5 {
            let data = segment(ACK, 5_000 + number * 100, 1, 100);
            assert_eq!(connection.observe(&data, 1, i64::from(number) * MS, 0), Findings::default());
        }
        let story = connection.story([1, 0]);
        assert_eq!((story.state, story.handshake), (TcpState::Underway, None));
        assert_eq!(story.sides[0].round_trips.count, 0, "nobody has acknowledged anything");
    }

    #[test]
    fn probes_and_closed_windows() {
        let mut connection = open(100, 900);
        connection.observe(&segment(ACK, 101, 901, 10), 0, 40 * MS, 0);
        let closed = Segment { window: 0, ..segment(ACK, 901, 111, 0) };
        assert_eq!(connection.observe(&closed, 1, 41 * MS, 0), Findings::ZERO_WINDOW);
        assert_eq!(connection.observe(&segment(ACK, 111, 901, 1), 0, 42 * MS, 0), Findings::WINDOW_PROBE);
        connection.observe(&segment(ACK, 901, 111, 0), 1, 43 * MS, 0);
        assert_eq!(connection.observe(&segment(ACK, 110, 901, 0), 0, 90 * MS, 0), Findings::KEEP_ALIVE);
        let sides = connection.story([0, 1]).sides;
        assert_eq!((sides[0].trouble.keep_alives, sides[1].trouble.zero_windows), (1, 1));
    }
}
