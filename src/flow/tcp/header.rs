//! TCP headers, also those that the snap length has cut within their options.

use crate::parse::{Fragment, IpLayer, Packet, TcpHeader, Transport, protocol};

/// The TCP header in an IP layer of a packet, with its options as far as they were captured, and how many bytes followed it on the
/// wire. `None` where the fixed part is not whole.
pub(crate) fn tcp_of<'a>(packet: &Packet<'a>, ip: &IpLayer) -> Option<(TcpHeader<'a>, u32)> {
    if let Some(tcp) = packet.tcp(ip) {
        return Some((tcp, packet.payload_length(ip)));
    }
    if !may_be_cut(ip) {
        return None;
    }
    let (tcp, length) = TcpHeader::cut(packet.segment(ip))?;
    let end = ip.declared_end.min(packet.frame().record.wire_length.max(ip.end));
    // A header that goes on beyond the packet was not cut, but is wrong.
    Some((tcp, end.checked_sub(ip.payload.checked_add(length)?)?))
}

/// Whether an IP layer has TCP's fixed header, and the walk did not get further than that.
pub(in crate::flow) fn may_be_cut(ip: &IpLayer) -> bool {
    ip.protocol == protocol::TCP
        && ip.transport == Transport::None
        && ip.fragment != Fragment::Later
        && ip.end.saturating_sub(ip.payload) >= TcpHeader::LENGTH as u32
}
