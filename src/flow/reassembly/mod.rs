//! What each end of a TCP connection said, in order.
//!
//! A [`Reassembler`] takes segments as they were captured and hands on each direction's bytes as its receiver read them. A
//! segment that comes in order is handed on as it lies in the packet, without a copy; what comes ahead of others waits
//! for them, in memory that is bounded for each connection and in all.
//!
//! A gap is waited for until
//!
//! - the peer acknowledges what lies behind it: it has been received, and this capture missed it,
//! - more waits than [`Options::connection`] or [`Options::total`] allow (of all connections the one that has waited
//!   longest gives way first), or
//! - the connection ends: by [`Reassembler::end`], for want of room for others or of packets, or because its ports are used
//!   again.
//!
//! Then it is reported as [`What::Missing`], and what waits behind it is handed on. So it is the wait that is given up and never
//! a byte that was captured: every byte is handed on or counted as one that was there already ([`Counters`]).
//!
//! Where segments overlap with different bytes, receivers differ in what they keep; [`Overlap`] says which is taken here.
//! What has been handed on stays as it is under either.

mod half;
pub(super) mod pieces;
mod reassembler;
#[cfg(test)]
mod tests;

pub use reassembler::Reassembler;

use crate::flow::tcp_of;
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet, Transport};
use std::time::Duration;

/// Which end of a connection sent something. Who tells the ends apart decides which is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one end: who sent first, usually.
    First,
    /// The other.
    Second,
}

impl Side {
    /// 0 or 1.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The peer.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Of bytes that came twice while they waited, those that are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// Those that came first, as Linux and most receivers have it.
    #[default]
    First,
    /// Those that came last.
    Last,
}

/// What a reassembler may use, and how it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of bytes that came twice.
    pub overlap: Overlap,
    /// Most bytes of memory that may wait in one connection, both directions together.
    pub connection: usize,
    /// The same in all connections.
    pub total: usize,
    /// Most connections at a time, some 300 bytes each; beyond it the one without a packet for longest is ended.
    pub connections: usize,
    /// A connection without a packet for so long, by the packets' own time, is ended; never if `None`.
    pub idle: Option<Duration>,
}

impl Default for Options {
    /// First come, first taken; 4 MiB for a connection, 256 MiB in all, 262,144 connections, for as long as it takes.
    fn default() -> Self {
        Self {
            overlap: Overlap::First,
            connection: 4 << 20,
            total: 256 << 20,
            connections: 1 << 18,
            idle: None,
        }
    }
}

/// What of a TCP segment matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sequence number of the first byte, or of the SYN.
    pub sequence: u32,
    /// Acknowledgment number, where ACK is set.
    pub acknowledgment: Option<u32>,
    /// SYN is set.
    pub syn: bool,
    /// FIN is set.
    pub fin: bool,
    /// RST is set; what such a segment carries, words that say why, is handed on where it is what comes next, as others show it, too.
    pub rst: bool,
    /// The bytes as far as captured.
    pub payload: &'a [u8],
    /// How many there were on the wire; never taken for fewer than `payload` has.
    pub length: u32,
}

impl<'a> Segment<'a> {
    /// The segment in an IP layer of a packet; `None` where the fixed part of the TCP header is not whole.
    #[must_use]
    pub fn of(packet: &Packet<'a>, ip: &IpLayer) -> Option<Self> {
        let (tcp, length) = tcp_of(packet, ip)?;
        let flags = tcp.flags();
        Some(Self {
            sequence: tcp.sequence(),
            acknowledgment: flags.ack().then(|| tcp.acknowledgment()),
            syn: flags.syn(),
            fin: flags.fin(),
            rst: flags.rst(),
            payload: if ip.transport == Transport::Tcp { packet.payload(ip) } else { &[] },
            length,
        })
    }
}

/// Something that is known of a stream, handed on in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a, K> {
    /// The connection, as its packets named it.
    pub key: &'a K,
    /// Tells connections of the same key apart: counts all from 0, in order of their first packet.
    pub connection: u64,
    /// Who sent it.
    pub side: Side,
    /// Of the packet that made it known.
    pub time: Option<Timestamp>,
    /// Its place in the stream: bytes before it, those that are missing counted too.
    pub offset: u64,
    /// What it is.
    pub what: What<'a>,
}

/// What a [`Slice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Bytes, at least one.
    Data(&'a [u8]),
    /// So many bytes, at least one, are not in the capture, and why they are waited for no longer.
    Missing(u64, Gap),
    /// There is no more of this side.
    End(End),
}

/// Why bytes that are missing are waited for no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gap {
    /// The peer has them: it has acknowledged what lies behind.
    Acknowledged,
    /// Their segment was captured, but cut off before them.
    Snapped,
    /// Too much waited behind them.
    Full,
    /// The connection has ended. Whether the peer had them is not known.
    End,
}

/// Why there is no more of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Whoever feeds the segments said so.
    Asked,
    /// Its ports have been used again: a SYN with another initial sequence number.
    Reused,
    /// No packet for as long as [`Options::idle`] allows.
    Idle,
    /// There were more than [`Options::connections`].
    Room,
}

/// What became of everything. After [`Reassembler::finish`] `payload` is the sum of `delivered`, `repeated`, and `outside`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments taken.
    pub segments: u64,
    /// Bytes of payload captured in them.
    pub payload: u64,
    /// Bytes handed on.
    pub delivered: u64,
    /// Of those, bytes that were copied because they had to wait.
    pub waited: u64,
    /// Bytes that were there already: repeated, keep-alives, overlaps.
    pub repeated: u64,
    /// Of those, bytes that differed from what was waiting in their place.
    pub conflicting: u64,
    /// Bytes further ahead than any window reaches, or in a RST and not what comes next.
    pub outside: u64,
    /// Bytes reported as missing.
    pub missing: u64,
    /// Gaps given up because the peer has acknowledged what lies behind.
    pub acknowledged: u64,
    /// Gaps given up because too much waited in their connection.
    pub connection_full: u64,
    /// Gaps given up because too much waited in all.
    pub total_full: u64,
    /// Connections ended to make room for others.
    pub evicted: u64,
    /// Connections ended for want of packets.
    pub idle: u64,
}
