//! A flow while it lasts: what every packet touches, what stands beside it, and what few have.

use super::event::Event;
use super::record::{EndReason, FlowRecord, TcpStory};
use super::slab::Slab;
use super::{CommunityId, FlowKey};
use crate::frame::Timestamp;
use crate::parse::TcpFlags;

/// No time is known.
pub(super) const NEVER: i64 = i64::MIN;
/// Not an entry's number.
pub(super) const NONE: u32 = u32::MAX;

/// Not a place on the wheel.
pub(super) const NOWHERE: u16 = u16::MAX;

/// What every packet touches: with its key, one cache line. Pairs are by direction, that of the first packet first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hot {
    pub(super) last: i64,
    /// The lower 32 bits of 48 each: 281 TB. The upper 16 are among what is [odd](Odd).
    bytes: [u32; 2],
    payload: [u32; 2],
    pub(super) packets: [u32; 2],
    /// Of the last packet of each direction.
    marks: [u32; 2],
    /// The number of what stands beside it.
    pub(super) cold: u32,
    /// Of the connections, where this is one; here, so that both are asked for at once.
    pub(super) connection: u32,
}

const _: () = assert!(size_of::<Hot>() == 48);

impl Hot {
    /// Of a flow of which nothing has been counted.
    pub(super) fn new(last: i64, cold: u32, connection: u32) -> Self {
        Self { last, cold, connection, ..Self::default() }
    }

    /// Counts a packet of a direction.
    #[inline(always)]
    pub(super) fn count(&mut self, event: &Event, direction: usize, time: i64) -> Carried {
        let at = direction & 1;
        self.last = self.last.max(time);
        self.packets[at] += 1;
        self.marks[at] = event.mark;
        let (bytes, payload);
        (self.bytes[at], bytes) = self.bytes[at].overflowing_add(event.wire_length);
        (self.payload[at], payload) = self.payload[at].overflowing_add(event.payload);
        Carried { bytes, payload }
    }

    pub(super) fn bytes(&self, odd: &Odd) -> [u64; 2] {
        [0, 1].map(|at| u64::from(odd.bytes_above[at]) << 32 | u64::from(self.bytes[at]))
    }

    fn payload(&self, odd: &Odd) -> [u64; 2] {
        [0, 1].map(|at| u64::from(odd.payload_above[at]) << 32 | u64::from(self.payload[at]))
    }
}

/// Which of its counters have begun again at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    bytes: bool,
    payload: bool,
}

impl Carried {
    #[inline(always)]
    pub(super) fn any(self) -> bool {
        self.bytes | self.payload
    }
}

/// What stands beside it.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Cold {
    pub(super) first: i64,
    /// Of what few flows have; [`NONE`] for nothing.
    pub(super) odd: u32,
    /// Of the keys that are not whole, where its key is none.
    pub(super) long: u32,
    /// Its place in the table.
    pub(super) entry: u32,
    /// Control bits of each direction, 12 each, and above those of the first: [`REVERSED`], [`OVER`], [`BUSY`].
    flags: [u16; 2],
    /// Where it is on the wheel; [`NOWHERE`] once it has ended.
    pub(super) place: u16,
    last_ttl: [u8; 2],
}

const _: () = assert!(size_of::<Cold>() == 28);

/// The upper end of the key sent first.
const REVERSED: u16 = 0x1000;
/// The connection is over.
const OVER: u16 = 0x2000;
/// A packet has come since it began, or since it was looked at for room.
const BUSY: u16 = 0x4000;

/// What is out of the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odd {
    ttl_changes: [u32; 2],
    duplicates: [u32; 2],
    bad_checksums: [u32; 2],
    icmp_errors: [u32; 2],
    icmp_error: [Option<(u8, u8)>; 2],
    /// Least and greatest, of a direction in which they differ.
    ttl: [(u8, u8); 2],
    bytes_above: [u16; 2],
    payload_above: [u16; 2],
}

impl Cold {
    /// Of a flow that begins with this packet.
    pub(super) fn new(event: &Event, time: i64) -> Self {
        Self {
            first: time,
            odd: NONE,
            long: NONE,
            entry: NONE,
            flags: [if event.is_reversed() { REVERSED } else { 0 }, 0],
            place: NOWHERE,
            last_ttl: [0; 2],
        }
    }

    /// Goes on after a record. What is [odd](Odd) about it is to be taken away.
    pub(super) fn restart(&mut self, time: i64) {
        self.first = time;
        self.odd = NONE;
        self.flags = [self.flags[0] & (REVERSED | OVER | BUSY), 0];
    }

    /// The upper end of the key sent first.
    #[inline(always)]
    pub(super) fn is_reversed(&self) -> bool {
        self.flags[0] & REVERSED != 0
    }

    /// The connection is over.
    #[inline(always)]
    pub(super) fn is_over(&self) -> bool {
        self.flags[0] & OVER != 0
    }

    pub(super) fn set_over(&mut self, over: bool) {
        self.flags[0] = self.flags[0] & !OVER | if over { OVER } else { 0 };
    }

    /// A packet has come since it began, or since this was asked last.
    pub(super) fn take_busy(&mut self) -> bool {
        let busy = self.flags[0] & BUSY != 0;
        self.flags[0] &= !BUSY;
        busy
    }

    #[inline(always)]
    pub(super) fn set_busy(&mut self, busy: bool) {
        self.flags[0] |= if busy { BUSY } else { 0 };
    }

    /// Takes in a packet of a direction, which `hot` has not counted yet; whether it is the last one of that direction once more.
    #[inline(always)]
    pub(super) fn take(&mut self, event: &Event, hot: &Hot, direction: usize, odds: &mut Slab<Odd>) -> bool {
        let at = direction & 1;
        self.flags[at] |= event.flags().0 & 0xfff;
        if event.ttl != self.last_ttl[at] {
            self.new_ttl(event.ttl, at, hot.packets[at] > 0, odds);
        }
        let again = event.mark != 0 && event.mark == hot.marks[at];
        if again {
            self.odd(odds).duplicates[at] += 1;
        }
        again
    }

    /// `seen`: a packet of this direction has come since the record began.
    #[inline(never)]
    fn new_ttl(&mut self, ttl: u8, at: usize, seen: bool, odds: &mut Slab<Odd>) {
        let last = std::mem::replace(&mut self.last_ttl[at], ttl);
        let widen = |range: &mut (u8, u8)| {
            *range = (if range.1 == 0 { ttl } else { ttl.min(range.0) }, ttl.max(range.1));
        };
        if last != 0 {
            let odd = self.odd(odds);
            odd.ttl_changes[at] += 1;
            if odd.ttl[at].1 == 0 && seen {
                odd.ttl[at] = (last, last);
            }
            widen(&mut odd.ttl[at]);
        } else if self.odd != NONE && odds[self.odd].ttl[at].1 != 0 {
            widen(&mut odds[self.odd].ttl[at]);
        }
    }

    /// Least and greatest time to live of each direction; 0 where no packet came.
    fn ttl(&self, hot: &Hot, odd: &Odd) -> [(u8, u8); 2] {
        [0, 1].map(|at| match (hot.packets[at], odd.ttl[at]) {
            (0, _) => (0, 0),
            (_, (_, 0)) => (self.last_ttl[at], self.last_ttl[at]),
            (_, range) => range,
        })
    }

    /// Counters of a direction have begun again at 0.
    #[cold]
    pub(super) fn carry(&mut self, carried: Carried, direction: usize, odds: &mut Slab<Odd>) {
        let odd = self.odd(odds);
        let count = |above: &mut u16, carry: bool| *above = above.wrapping_add(carry.into());
        count(&mut odd.bytes_above[direction & 1], carried.bytes);
        count(&mut odd.payload_above[direction & 1], carried.payload);
    }

    /// A checksum of a packet of this direction was wrong.
    pub(super) fn damaged(&mut self, direction: usize, odds: &mut Slab<Odd>) {
        self.odd(odds).bad_checksums[direction & 1] += 1;
    }

    /// An error came that quotes a packet of this direction.
    pub(super) fn refused(&mut self, direction: usize, kind: (u8, u8), odds: &mut Slab<Odd>) {
        let odd = self.odd(odds);
        odd.icmp_errors[direction & 1] += 1;
        odd.icmp_error[direction & 1] = Some(kind);
    }

    #[inline(never)]
    fn odd<'o>(&mut self, odds: &'o mut Slab<Odd>) -> &'o mut Odd {
        if self.odd == NONE {
            self.odd = odds.insert(Odd::default());
        }
        &mut odds[self.odd]
    }
}

/// A time as records have it.
pub(super) fn timestamp(nanos: i64) -> Option<Timestamp> {
    let within = nanos.rem_euclid(1_000_000_000) as u32;
    (nanos != NEVER).then(|| Timestamp::new(nanos.div_euclid(1_000_000_000), within))
}

/// The record of a flow.
pub(super) fn record(
    key: FlowKey,
    hot: &Hot,
    (cold, odd): (&Cold, Odd),
    story: Option<TcpStory>,
    end: EndReason,
) -> FlowRecord {
    FlowRecord {
        key,
        reversed: cold.is_reversed(),
        first: timestamp(cold.first),
        last: timestamp(hot.last),
        packets: hot.packets.map(u64::from),
        bytes: hot.bytes(&odd),
        payload: hot.payload(&odd),
        tcp_flags: { cold.flags }.map(|flags| TcpFlags(flags & 0xfff)),
        ttl: cold.ttl(hot, &odd),
        ttl_changes: odd.ttl_changes,
        duplicates: odd.duplicates,
        bad_checksums: odd.bad_checksums,
        icmp_errors: odd.icmp_errors,
        icmp_error: odd.icmp_error,
        community_id: CommunityId::of(&key, 0),
        end,
        tcp: story.map(Box::new),
        names: None,
    }
}
