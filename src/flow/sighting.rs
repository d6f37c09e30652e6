//! What the meter needs to know of a packet.

use super::FlowKey;
use super::packed::{Packed, Seed};
use super::quoted::{self, Quoted};
use super::tcp::Segment;
use crate::parse::{Fragment, IpLayer, IpVersion, Packet, Transport, protocol};

/// A packet of a flow, in short.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) key: Packed,
    pub(super) hash: u64,
    /// The upper end of the key sent it.
    pub(super) reversed: bool,
    /// Written out where it is not whole.
    pub(super) long: Option<FlowKey>,
    /// Nanoseconds since 1970; `None` where the source has none for it.
    pub(super) time: Option<i64>,
    pub(super) wire_length: u32,
    pub(super) payload: u32,
    /// Time to live or hop limit.
    pub(super) ttl: u8,
    /// Packets of a direction that have the same are the same packet; 0 where that is not to be told.
    pub(super) mark: u32,
    pub(super) tcp: Option<Segment>,
    /// It is an error that quotes a packet of another flow.
    pub(super) quoted: Option<Quoted>,
    /// So many packets were lost just before it, as its capture file says.
    pub(super) lost_before: u64,
}

impl Sighting {
    /// `None` for a packet that is of no flow.
    #[inline]
    pub(super) fn of(packet: &Packet<'_>, seed: &Seed) -> Option<Self> {
        let outer = packet.outer()?;
        let inner = packet.inner().filter(|_| outer.transport == Transport::None);
        let (ip, (key, reversed, long)) = match inner.and_then(|ip| Some((ip, Packed::of(packet, ip, seed)?)))
        {
            Some(found) => found,
            None => (outer, Packed::of(packet, outer, seed)?),
        };
        let record = &packet.frame().record;
        let time = record
            .time
            .map(|time| time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()));
        let tcp = match ip.transport {
            Transport::Tcp => Segment::of(packet, ip),
            _ => None,
        };
        let quoted = match ip.transport {
            Transport::Icmp | Transport::Icmpv6 => quoted::of(packet, ip),
            _ => None,
        };
        let payload = match (&tcp, ip.transport) {
            (Some(segment), _) => segment.length,
            (None, Transport::Udp) => udp_payload(packet, ip),
            // The header is not whole, and where it would end is not known.
            (None, Transport::None) if ip.fragment != Fragment::Later && key_has_ports(ip) => 0,
            _ => packet.payload_length(ip),
        };
        Some(Self {
            key,
            hash: seed.hash(key.0),
            reversed,
            long,
            time,
            wire_length: record.wire_length,
            payload,
            ttl: ttl_of(packet, ip),
            mark: mark_of(packet, ip),
            tcp,
            quoted,
            lost_before: packet.frame().options.lost().unwrap_or(0),
        })
    }
}

/// What a datagram brings by its own length: of a first fragment, more than is there (RFC 768; RFC 2675 4 for 0).
#[inline(always)]
fn udp_payload(packet: &Packet<'_>, ip: &IpLayer) -> u32 {
    let field = u16::from_be_bytes([byte(packet, ip.payload + 4), byte(packet, ip.payload + 5)]);
    if field == 0 { packet.payload_length(ip) } else { u32::from(field).saturating_sub(8) }
}

fn key_has_ports(ip: &IpLayer) -> bool {
    use protocol::{DCCP, SCTP, TCP, UDP, UDPLITE};
    matches!(ip.protocol, TCP | UDP | UDPLITE | SCTP | DCCP)
}

#[inline(always)]
fn byte(packet: &Packet<'_>, at: u32) -> u8 {
    packet.frame().data.get(at as usize).copied().unwrap_or(0)
}

fn ttl_of(packet: &Packet<'_>, ip: &IpLayer) -> u8 {
    byte(packet, ip.start + if ip.version == IpVersion::V4 { 8 } else { 7 })
}

/// The identification of an IPv4 packet, which a sender does not use again soon (RFC 6864), and the upper layer's checksum.
#[inline(always)]
fn mark_of(packet: &Packet<'_>, ip: &IpLayer) -> u32 {
    let word = |at: u32| u16::from_be_bytes([byte(packet, at), byte(packet, at + 1)]);
    let checksum = match ip.transport {
        Transport::Tcp => ip.payload + 16,
        Transport::Udp => ip.payload + 6,
        Transport::Icmp => ip.payload + 2,
        _ => return 0,
    };
    match (ip.version, word(ip.start + 4)) {
        (IpVersion::V6, _) | (_, 0) => 0,
        (IpVersion::V4, identification) => u32::from(identification) << 16 | u32::from(word(checksum)),
    }
}
