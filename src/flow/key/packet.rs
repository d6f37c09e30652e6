//! The flow that a packet is of.

use super::{FlowKey, Tunnel, TunnelKind};
use crate::frame::LinkType;
use crate::parse::{
    GeneveHeader, GreHeader, GtpHeader, IpLayer, IpVersion, Layer, Packet, Transport, VxlanHeader, ether_type,
};

/// The flow of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    /// Its name.
    pub key: FlowKey,
    /// The packet was sent by the upper of the key's two ends.
    pub reversed: bool,
    /// The IP layer that the key is of.
    pub ip: IpLayer,
}

impl FlowKey {
    /// The flow of a packet: by its outermost IP layer, or, where that only carries another one (GRE, IP in IP), by the
    /// next that does not. `None` when it has no IP layer, or its addresses were not captured.
    ///
    /// Later fragments have no ports: all those between two hosts are a flow of their own.
    ///
    /// ```
    /// use wharf::flow::FlowKey;
    /// use wharf::frame::{Frame, LinkType};
    /// use wharf::parse::{Packet, parse};
    ///
    /// let bytes = *b"\x45\0\0\x1d\0\0\0\0\x40\x11\0\0\x7f\0\0\x02\x7f\0\0\x01\x30\x39\0\x35\0\x09\0\0!";
    /// let frame = Frame::new(LinkType::RAW, &bytes);
    /// let layers = parse(&frame);
    /// let flow = FlowKey::of(&Packet::new(frame, &layers)).expect("an IPv4 packet");
    /// assert_eq!(flow.key.to_string(), "udp 127.0.0.1:53 127.0.0.2:12345");
    /// assert!(flow.reversed);
    /// ```
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Keyed> {
        let outer = packet.outer()?;
        Self::of_layer(packet, &layer_of(packet)?).or_else(|| Self::of_layer(packet, outer))
    }

    /// The flow of one of a packet's IP layers.
    #[must_use]
    pub fn of_layer(packet: &Packet<'_>, ip: &IpLayer) -> Option<Keyed> {
        let (source, destination) = packet.addresses(ip)?;
        let (from, to) = ports_of(packet, ip);
        let (mut key, reversed) = Self::new((source, from), (destination, to), ip.protocol);
        key.vlans = vlans_before(packet, ip);
        if packet.outer() != Some(ip) {
            key.tunnel = Some(tunnel_to(packet, ip));
        }
        Some(Keyed { key, reversed, ip: *ip })
    }
}

/// The IP layer that a packet's flow is of: the outermost that carries more than another one, be there how many there may.
#[inline]
pub(in crate::flow) fn layer_of(packet: &Packet<'_>) -> Option<IpLayer> {
    let outer = packet.outer()?;
    match packet.inner().filter(|_| outer.transport == Transport::None) {
        Some(inner) if packet.layers().ip_depth > 2 => Some(first_carrier(packet).unwrap_or(*inner)),
        Some(inner) => Some(*inner),
        None => Some(*outer),
    }
}

/// Of what lies between the outermost and the innermost only a second walk knows.
#[inline(never)]
fn first_carrier(packet: &Packet<'_>) -> Option<IpLayer> {
    packet.ip_layers().into_iter().find(|ip| ip.transport != Transport::None)
}

/// The ports of an IP layer.
fn ports_of(packet: &Packet<'_>, ip: &IpLayer) -> (u16, u16) {
    if let Some(ports) = packet.ports(ip) {
        return if has_sound_length(packet, ip) { ports } else { (0, 0) };
    }
    let icmp = match ip.transport {
        Transport::Icmp => packet.icmp(ip).map(|icmp| (icmp.icmp_type(), icmp.code())),
        Transport::Icmpv6 => packet.icmpv6(ip).map(|icmp| (icmp.icmp_type(), icmp.code())),
        _ => None,
    };
    icmp.map_or((0, 0), |(kind, code)| FlowKey::icmp_ports(ip.protocol, kind, code))
}

/// A datagram whose length field is less than its header's (RFC 768) is none, whatever its ports say; over IPv6 0 stands
/// for a jumbogram (RFC 2675 4).
#[inline(always)]
pub(in crate::flow) fn has_sound_length(packet: &Packet<'_>, ip: &IpLayer) -> bool {
    if ip.transport != Transport::Udp {
        return true;
    }
    let field = packet.frame().data.get(ip.payload as usize + 4..).and_then(|bytes| bytes.first_chunk());
    let length = field.map_or(0, |bytes| u16::from_be_bytes(*bytes));
    length >= 8 || length == 0 && ip.version == IpVersion::V6
}

/// An IP layer right behind Ethernet and all tags of the packet, such as most have.
#[inline(always)]
pub(in crate::flow) fn is_behind_all_tags(packet: &Packet<'_>, ip: &IpLayer) -> bool {
    let tags = packet.layers().vlan_count;
    tags == 0 || ip.start == 14 + 4 * u32::from(tags) && begins_with_tags(packet, tags.into())
}

/// So many tags are the first there is behind Ethernet's addresses: an MPLS label is as long as one, PPPoE as two, and those that
/// were found may lie farther inside.
fn begins_with_tags(packet: &Packet<'_>, tags: usize) -> bool {
    use ether_type::{QINQ_OLD, SERVICE_VLAN, VLAN};
    let kind =
        |at: usize| packet.frame().data.get(at..at + 2).map(|kind| u16::from_be_bytes([kind[0], kind[1]]));
    let mut kinds = (0..tags).map(|tag| kind(12 + 4 * tag));
    packet.frame().record.link_type == LinkType::ETHERNET
        && kinds.all(|kind| matches!(kind, Some(VLAN | SERVICE_VLAN | QINQ_OLD)))
}

/// The two outermost tags of those before an IP layer: others are of what it carries.
fn vlans_before(packet: &Packet<'_>, ip: &IpLayer) -> [u16; 2] {
    let layers = packet.layers();
    let count =
        if is_behind_all_tags(packet, ip) { layers.vlan_count.into() } else { tags_before(packet, ip) };
    let mut vlans = [0; 2];
    for (vlan, tag) in vlans.iter_mut().zip(layers.vlan_tags).take(count) {
        *vlan = FlowKey::tagged(tag);
    }
    vlans
}

#[inline(never)]
fn tags_before(packet: &Packet<'_>, ip: &IpLayer) -> usize {
    let headers = packet.headers().into_iter().take_while(|header| header.start < ip.start);
    headers.filter(|header| matches!(header.layer, Layer::Vlan | Layer::ServiceVlan)).count()
}

/// The tunnel header next before an inner IP layer: that of a tunnel which has one, so that IP in IP in another tunnel has that one's
/// number. A second walk, which only what is tunnelled takes.
#[inline(never)]
pub(in crate::flow) fn tunnel_to(packet: &Packet<'_>, ip: &IpLayer) -> Tunnel {
    let headers = packet.headers();
    let before = headers.iter().rev().skip_while(|header| header.start >= ip.start);
    let mut found = before.filter_map(|header| {
        let bytes = packet.bytes(*header);
        Some(match header.layer {
            Layer::Gre => (TunnelKind::Gre, GreHeader::parse(bytes).ok()?.key().unwrap_or(0)),
            Layer::Vxlan => (TunnelKind::Vxlan, VxlanHeader::parse(bytes).ok()?.vni()),
            Layer::Geneve => (TunnelKind::Geneve, GeneveHeader::parse(bytes).ok()?.vni()),
            Layer::Gtp => (TunnelKind::Gtp, GtpHeader::parse(bytes).ok()?.teid()),
            _ => return None,
        })
    });
    let (kind, id) = found.next().unwrap_or((TunnelKind::Ip, 0));
    Tunnel { kind, id }
}
