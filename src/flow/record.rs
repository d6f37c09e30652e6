//! What is known of a flow at its end: plain data, for whoever prints it, stores it or sends it on.

use super::{CommunityId, FlowKey};
use crate::frame::Timestamp;
use crate::parse::TcpFlags;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A flow, or the part of it between two records ([`EndReason::ActiveTimeout`]).
///
/// Pairs are by direction: what the end that sent first has sent, then what the other end has.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecord {
    /// Its name, whose ends are in an order of their own.
    pub key: FlowKey,
    /// The upper of the key's ends sent first. [`FlowRecord::source`] minds it.
    pub reversed: bool,
    /// When its earliest packet was captured; `None` where no packet before it had a time.
    pub first: Option<Timestamp>,
    /// When its latest packet was.
    pub last: Option<Timestamp>,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes on the wire, from the link-layer header on.
    pub bytes: [u64; 2],
    /// Bytes above the upper-layer header, by the length fields, whether captured or not.
    pub payload: [u64; 2],
    /// All control bits seen, those of damaged segments too; none of other protocols.
    pub tcp_flags: [TcpFlags; 2],
    /// Least and greatest time to live or hop limit; 0 where no packet came.
    pub ttl: [(u8, u8); 2],
    /// How often the time to live differed from that of the packet before: the way has changed, or somebody in it answers.
    pub ttl_changes: [u32; 2],
    /// Packets that came again, one right after the other, with the same identification and checksum: the capture saw them twice, and
    /// what TCP says in them counts once. Not told of IPv6, nor of an identification of 0.
    pub duplicates: [u32; 2],
    /// Packets with a wrong checksum, which their receiver throws away: of what they say of TCP nothing is believed. Those that the
    /// sending host has left to its device are none; 0 also where checksums were not verified.
    pub bad_checksums: [u32; 2],
    /// ICMP errors that quote a packet of this direction, and the type and code of the last one.
    pub icmp_errors: [u32; 2],
    /// Type and code of the last ICMP error that quotes a packet of this direction.
    pub icmp_error: [Option<(u8, u8)>; 2],
    /// As other tools compute it, with seed 0.
    pub community_id: CommunityId,
    /// Why the record ends here.
    pub end: EndReason,
    /// How TCP fared. `None` of other protocols.
    pub tcp: Option<Box<TcpStory>>,
    /// Names for its addresses, where traffic has told any.
    pub names: Option<Box<FlowNames>>,
}

/// Names that the conversation itself, or one before it, has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowNames {
    /// The name that the client asked for: from TLS, QUIC or HTTP, else from the DNS answer it had before.
    pub server: Option<Box<str>>,
    /// Where that is from: `tls`, `quic`, `http`, `dns`.
    pub server_from: Option<&'static str>,
    /// It is the name of the record's source: the other end was first seen to answer.
    pub of_source: bool,
    /// Application protocol, `h2` or `http/1.1`: the only one that ALPN offers, or that of a request in clear.
    pub application: Option<Box<str>>,
}

/// Why a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EndReason {
    /// The capture ended, and it was going on.
    CaptureEnd,
    /// Nothing came for the idle timeout.
    IdleTimeout,
    /// It has gone on for the active timeout: what comes next is in a further record.
    ActiveTimeout,
    /// TCP has ended it: both sides have finished, or one has reset it.
    Closed,
    /// Its ports have been used again: a further record begins with the new connection.
    Reused,
    /// Its place was needed for another flow.
    Evicted,
}

impl EndReason {
    /// Lower-case name for machines.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::CaptureEnd => "capture_end",
            Self::IdleTimeout => "idle_timeout",
            Self::ActiveTimeout => "active_timeout",
            Self::Closed => "closed",
            Self::Reused => "reused",
            Self::Evicted => "evicted",
        }
    }

    /// `flowEndReason` of IPFIX (RFC 5102 5.11.3): 1 idle, 2 active, 3 end of flow detected, 4 forced, 5 lack of resources.
    #[must_use]
    pub const fn ipfix(self) -> u8 {
        match self {
            Self::IdleTimeout => 1,
            Self::ActiveTimeout => 2,
            Self::Closed | Self::Reused => 3,
            Self::CaptureEnd => 4,
            Self::Evicted => 5,
        }
    }
}

impl FlowRecord {
    /// Address and port of the end that sent first; port 0 of a protocol without ports.
    #[must_use]
    pub fn source(&self) -> (IpAddr, u16) {
        self.key.end(self.reversed)
    }

    /// Address and port of the other end.
    #[must_use]
    pub fn destination(&self) -> (IpAddr, u16) {
        self.key.end(!self.reversed)
    }

    /// From the first packet to the last.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let nanos = self.first.zip(self.last).map_or(0, |(first, last)| last.nanos_since(first));
        Duration::from_nanos(nanos.try_into().unwrap_or(0))
    }

    /// No packet came back.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.packets[1] == 0
    }

    /// Packets of both directions.
    #[must_use]
    pub fn all_packets(&self) -> u64 {
        self.packets[0] + self.packets[1]
    }
}

/// How a TCP connection fared. Pairs are as in its [`FlowRecord`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpStory {
    /// Where it was at the end.
    pub state: TcpState,
    /// What is known of its beginning; `None` where its SYN was not captured, and where an earlier record of it
    /// ([`EndReason::ActiveTimeout`]) has told: each handshake is in one record.
    pub handshake: Option<Handshake>,
    /// What each side has said and done.
    pub sides: [TcpSide; 2],
}

/// The state of a connection, as seen from the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TcpState {
    /// Seen from the middle on: no handshake was captured.
    #[default]
    Underway,
    /// A SYN and no answer yet.
    Attempt,
    /// The SYN was answered by a reset: nobody listens there.
    Refused,
    /// A SYN and its answer, not yet confirmed.
    HalfOpen,
    /// The handshake was done.
    Established,
    /// One side has finished, the other one may still send.
    Closing,
    /// Both sides have finished.
    Closed,
    /// One side has cut it off.
    Reset,
}

impl TcpState {
    /// Lower-case name for machines.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Underway => "underway",
            Self::Attempt => "attempt",
            Self::Refused => "refused",
            Self::HalfOpen => "half_open",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
        }
    }
}

/// The first three segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// From the (last) SYN to its answer: the way from here to the side that answers, and back.
    pub answered_after: Option<Duration>,
    /// From that answer to its acknowledgment: the way to the side that began, and back. Both together are a round trip.
    pub confirmed_after: Option<Duration>,
    /// Both sides sent a SYN at the same time (RFC 9293 3.5).
    pub simultaneous: bool,
}

/// What one side of a connection has said, and how what it sent fared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TcpSide {
    /// Largest segment it takes, from its SYN.
    pub mss: Option<u16>,
    /// How far its windows are shifted, from its SYN.
    pub window_scale: Option<u8>,
    /// It takes selective acknowledgments.
    pub sack: bool,
    /// It sends timestamps.
    pub timestamps: bool,
    /// Between what it sent and the acknowledgment of that, seen from the place of capture.
    pub round_trips: RoundTrips,
    /// What went wrong with what it sent.
    pub trouble: Trouble,
    /// The most bytes it had sent and not yet seen acknowledged.
    pub most_in_flight: u32,
    /// It has finished (FIN).
    pub finished: bool,
}

/// Round-trip times over the life of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many were measured.
    pub count: u32,
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
    /// Their mean.
    pub mean: Duration,
}

/// What went wrong with the segments of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Segments with bytes that had been seen, or acknowledged, before.
    pub retransmissions: u32,
    /// Their bytes.
    pub retransmitted_bytes: u64,
    /// Segments that came after later ones, too soon to be sent again.
    pub out_of_order: u32,
    /// Bytes that are missing.
    pub gaps: Gaps,
    /// Acknowledgments sent again without anything new.
    pub duplicate_acks: u32,
    /// Times its window was closed.
    pub zero_windows: u32,
    /// Probes of a connection at rest.
    pub keep_alives: u32,
}

impl Trouble {
    /// Whether the network has lost or disturbed anything.
    #[must_use]
    pub fn any(&self) -> bool {
        self.retransmissions > 0 || self.out_of_order > 0 || self.gaps.lost > 0
    }
}

/// Holes in what was captured of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Times that bytes were passed over: lost on their way to here. They may have come later.
    pub lost: u32,
    /// Times that the other side acknowledged what was never seen here: the network delivered it, the capture missed it.
    pub unseen: u32,
    /// Of both, those where packets are known to have been dropped by this capture just before: not the network's doing.
    pub ours: u32,
    /// Bytes that never came.
    pub bytes: u64,
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
