//! A flow while it lasts: what every packet touches, what stands beside it, and what few have.

use super::event::Event;
use super::record::{EndReason, FlowRecord};
use super::slab::Slab;
use super::tcp::Connection;
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
    /// The lower 32 bits of 48 each, and the upper 16: 281 TB, and a line would not hold more.
    bytes: [u32; 2],
    payload: [u32; 2],
    pub(super) packets: [u32; 2],
    bytes_above: [u16; 2],
    payload_above: [u16; 2],
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
    pub(super) fn count(&mut self, direction: usize, time: i64, bytes: u32, payload: u32) {
        let at = direction & 1;
        self.last = self.last.max(time);
        self.packets[at] += 1;
        add(&mut self.bytes[at], &mut self.bytes_above[at], bytes);
        add(&mut self.payload[at], &mut self.payload_above[at], payload);
    }

    pub(super) fn bytes(&self) -> [u64; 2] {
        [0, 1].map(|at| u64::from(self.bytes_above[at]) << 32 | u64::from(self.bytes[at]))
    }

    fn payload(&self) -> [u64; 2] {
        [0, 1].map(|at| u64::from(self.payload_above[at]) << 32 | u64::from(self.payload[at]))
    }
}

#[inline(always)]
fn add(low: &mut u32, above: &mut u16, more: u32) {
    let (sum, carry) = low.overflowing_add(more);
    *low = sum;
    *above = above.wrapping_add(carry.into());
}

/// What stands beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cold {
    pub(super) first: i64,
    marks: [u32; 2],
    /// Of what few flows have; [`NONE`] for nothing.
    pub(super) odd: u32,
    /// Of the keys that are not whole, where its key is none.
    pub(super) long: u32,
    flags: [u16; 2],
    /// Its place in the table.
    pub(super) entry: u32,
    /// Where it is on the wheel; [`NOWHERE`] once it has ended.
    pub(super) place: u16,
    ttl: [(u8, u8); 2],
    last_ttl: [u8; 2],
    /// The upper end of the key sent first.
    pub(super) reversed: bool,
    /// The connection is over.
    pub(super) over: bool,
    /// A packet has come since it began, or since it was looked at for room.
    pub(super) busy: bool,
}

const _: () = assert!(size_of::<Cold>() == 48);

/// What is out of the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odd {
    ttl_changes: [u32; 2],
    duplicates: [u32; 2],
    bad_checksums: [u32; 2],
    icmp_errors: [u32; 2],
    icmp_error: [Option<(u8, u8)>; 2],
}

impl Cold {
    /// Of a flow that begins with this packet.
    pub(super) fn new(event: &Event, time: i64) -> Self {
        Self {
            first: time,
            marks: [0; 2],
            odd: NONE,
            long: NONE,
            flags: [0; 2],
            entry: NONE,
            place: NOWHERE,
            ttl: [(0, 0); 2],
            last_ttl: [0; 2],
            reversed: event.is_reversed(),
            over: false,
            busy: false,
        }
    }

    /// Goes on after a record. What is [odd](Odd) about it is to be taken away.
    pub(super) fn restart(&mut self, time: i64) {
        self.first = time;
        (self.odd, self.flags, self.ttl) = (NONE, [0; 2], [(0, 0); 2]);
    }

    /// Takes in a packet of a direction.
    #[inline(always)]
    pub(super) fn take(&mut self, event: &Event, direction: usize, odds: &mut Slab<Odd>) {
        let at = direction & 1;
        self.flags[at] |= event.flags().0;
        if event.ttl != self.last_ttl[at] {
            self.new_ttl(event.ttl, at, odds);
        }
        if event.mark != 0 && event.mark == self.marks[at] {
            self.odd(odds).duplicates[at] += 1;
        }
        self.marks[at] = event.mark;
        let (least, most) = &mut self.ttl[at];
        *least = if *most == 0 { event.ttl } else { event.ttl.min(*least) };
        *most = event.ttl.max(*most);
    }

    #[inline(never)]
    fn new_ttl(&mut self, ttl: u8, at: usize, odds: &mut Slab<Odd>) {
        if self.last_ttl[at] != 0 {
            self.odd(odds).ttl_changes[at] += 1;
        }
        self.last_ttl[at] = ttl;
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
    connection: Option<&Connection>,
    end: EndReason,
) -> FlowRecord {
    FlowRecord {
        key,
        reversed: cold.reversed,
        first: timestamp(cold.first),
        last: timestamp(hot.last),
        packets: hot.packets.map(u64::from),
        bytes: hot.bytes(),
        payload: hot.payload(),
        tcp_flags: cold.flags.map(TcpFlags),
        ttl: cold.ttl,
        ttl_changes: odd.ttl_changes,
        duplicates: odd.duplicates,
        bad_checksums: odd.bad_checksums,
        icmp_errors: odd.icmp_errors,
        icmp_error: odd.icmp_error,
        community_id: CommunityId::of(&key, 0),
        end,
        tcp: connection.map(|connection| Box::new(connection.story([0, 1]))),
        names: None,
    }
}
