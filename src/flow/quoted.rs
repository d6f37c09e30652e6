//! The packet that an ICMP error quotes: of which flow it was.

use super::FlowKey;
use crate::parse::{FragmentHeader, IpLayer, Ipv6Header, Layer, Packet, Transport, protocol};
use std::net::IpAddr;

/// What an error says of a packet that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    /// Of the packet, in the VLANs and the tunnel of the error.
    pub(super) key: FlowKey,
    /// The key's upper end had sent it.
    pub(super) reversed: bool,
    /// Type and code of the error.
    pub(super) kind: (u8, u8),
}

/// The packet quoted by an ICMP message, if it quotes one and enough of it (RFC 792: its IP header and 8 bytes; RFC 4443
/// 2.4: as much as fits).
#[inline(never)]
pub(super) fn of(packet: &Packet<'_>, ip: &IpLayer) -> Option<Quoted> {
    let (kind, quotation) = match ip.transport {
        Transport::Icmp => {
            let icmp = packet.icmp(ip)?;
            ((icmp.icmp_type(), icmp.code()), icmp.quoted()?)
        }
        Transport::Icmpv6 => {
            let icmp = packet.icmpv6(ip)?;
            ((icmp.icmp_type(), icmp.code()), icmp.quoted()?)
        }
        _ => return None,
    };
    let (from, to, protocol, upper) = addresses(quotation)?;
    let port = |at: usize| upper.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let ports = match protocol {
        protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP => {
            (port(0)?, port(2)?)
        }
        protocol::ICMP | protocol::ICMPV6 => FlowKey::icmp_ports(protocol, *upper.first()?, *upper.get(1)?),
        _ => (0, 0),
    };
    let (key, reversed) = FlowKey::new((from, ports.0), (to, ports.1), protocol);
    let error = FlowKey::of_layer(packet, ip)?.key;
    Some(Quoted { key: key.seen_as(&error), reversed, kind })
}

/// Source, destination, protocol and what the packet carries, of whole headers and a first fragment.
fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match bytes.first()? >> 4 {
        4 => {
            let header = bytes.first_chunk::<20>()?;
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
            let upper = bytes.get(usize::from(header[0] & 15) * 4..)?;
            let address = |at: usize| header[at..].first_chunk::<4>().map(|bytes| IpAddr::from(*bytes));
            (fragment == 0).then_some((address(12)?, address(16)?, header[9], upper))
        }
        6 => {
            let header = Ipv6Header::parse(bytes).ok()?;
            let (mut protocol, mut upper) = (header.next_header(), &bytes[Ipv6Header::LENGTH..]);
            for extension in header.extensions() {
                let extension = extension.ok()?;
                let later = |fragment: FragmentHeader<'_>| fragment.offset() != 0;
                if extension.layer == Layer::Fragment
                    && FragmentHeader::parse(extension.bytes).is_ok_and(later)
                {
                    return None;
                }
                protocol = extension.next_header;
                upper = upper.get(extension.bytes.len()..)?;
            }
            Some((header.source().into(), header.destination().into(), protocol, upper))
        }
        _ => None,
    }
}
