//! A frame together with its layers.

use super::transport::protocol;
use super::walk::{MAX_LINK_HEADERS, Visit};
use super::{
    ArpHeader, DccpHeader, EthernetHeader, Fragment, IcmpHeader, Icmpv6Header, IgmpHeader, IpLayer,
    IpVersion, Ipv4Header, Ipv6Header, Layer, Layers, SctpHeader, Sll2Header, SllHeader, Span, TcpHeader,
    Transport, UdpHeader, VlanTag, ethernet::ether_type, walk_frame,
};
use crate::frame::{Frame, LinkType};
use std::net::IpAddr;

/// A parsed frame.
///
/// ```
/// use wharf::frame::{Frame, LinkType};
/// use wharf::parse::{Packet, parse};
///
/// let bytes = b"\x45\x00\x00\x1d\x00\x00\x00\x00\x40\x11\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x02\
///     \x30\x39\x00\x35\x00\x09\x00\x00!";
/// let frame = Frame::new(LinkType::RAW, bytes);
/// let layers = parse(&frame);
/// let packet = Packet::new(frame, &layers);
/// let ip = packet.outer().unwrap();
/// assert_eq!(packet.addresses(ip).unwrap().1.to_string(), "127.0.0.2");
/// assert_eq!(packet.udp(ip).unwrap().destination_port(), 53);
/// assert_eq!(packet.payload(ip), b"!");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    frame: Frame<'a>,
    layers: &'a Layers,
}

impl<'a> Packet<'a> {
    /// Joins a frame with the layers found in it.
    ///
    /// Layers of another frame give wrong answers or empty slices, never a panic.
    #[must_use]
    pub fn new(frame: Frame<'a>, layers: &'a Layers) -> Self {
        Self { frame, layers }
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &Frame<'a> {
        &self.frame
    }

    /// Where its headers lie.
    #[must_use]
    pub fn layers(&self) -> &'a Layers {
        self.layers
    }

    /// Outermost IP layer.
    #[must_use]
    pub fn outer(&self) -> Option<&'a IpLayer> {
        self.layers.outer.as_ref()
    }

    /// Innermost IP layer, where there is more than one.
    #[must_use]
    pub fn inner(&self) -> Option<&'a IpLayer> {
        self.layers.inner.as_ref()
    }

    /// Innermost IP layer, be it the only one.
    #[must_use]
    pub fn innermost(&self) -> Option<&'a IpLayer> {
        self.inner().or(self.outer())
    }

    /// Every IP layer, outermost first. Of more than two it takes a second walk, and a list.
    #[must_use]
    pub fn ip_layers(&self) -> Vec<IpLayer> {
        if self.layers.ip_depth > 2 {
            return walk_frame(&self.frame, &mut Layers::default(), Vec::new());
        }
        self.outer().into_iter().chain(self.inner()).copied().collect()
    }

    /// Every header in order, outermost first. A second walk, and a list: for people, not for every packet.
    #[must_use]
    pub fn headers(&self) -> Vec<Span> {
        walk_frame(&self.frame, &mut Layers::default(), Vec::new())
    }

    /// The bytes of a header.
    #[must_use]
    pub fn bytes(&self, header: Span) -> &'a [u8] {
        self.cut(header.start, header.end)
    }

    fn cut(&self, start: u32, end: u32) -> &'a [u8] {
        self.frame.data.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The link-layer header of an Ethernet frame.
    #[must_use]
    pub fn ethernet(&self) -> Option<EthernetHeader<'a>> {
        self.link(LinkType::ETHERNET, EthernetHeader::parse)
    }

    /// The header of a Linux cooked capture, version 1.
    #[must_use]
    pub fn linux_cooked(&self) -> Option<SllHeader<'a>> {
        self.link(LinkType::LINUX_SLL, SllHeader::parse)
    }

    /// The header of a Linux cooked capture, version 2.
    #[must_use]
    pub fn linux_cooked2(&self) -> Option<Sll2Header<'a>> {
        self.link(LinkType::LINUX_SLL2, Sll2Header::parse)
    }

    fn link<T, E>(&self, link_type: LinkType, parse: fn(&'a [u8]) -> Result<T, E>) -> Option<T> {
        if self.frame.record.link_type == link_type { parse(self.frame.data).ok() } else { None }
    }

    /// All VLAN tags, outermost first, those inside tunnels included.
    pub fn vlans(&self) -> impl Iterator<Item = VlanTag> + use<'a> {
        let packet = *self;
        let Tags { spans, count } = match self.layers.vlan_count {
            0 => Tags::default(),
            _ => walk_frame(&self.frame, &mut Layers::default(), Tags::default()),
        };
        spans.into_iter().take(count).filter_map(move |span| {
            let service = span.layer == Layer::ServiceVlan;
            VlanTag::parse(packet.bytes(span)).ok().map(|tag| VlanTag { service, ..tag })
        })
    }

    /// The ARP packet the outermost link layer carries.
    #[must_use]
    pub fn arp(&self) -> Option<ArpHeader<'a>> {
        let bytes = self.frame.data.get(self.layers.network as usize..)?;
        ArpHeader::parse(bytes).ok().filter(|_| self.layers.ether_type == ether_type::ARP)
    }

    /// What the outermost link layer carries, up to the captured end of the frame.
    #[must_use]
    pub fn network(&self) -> &'a [u8] {
        self.frame.data.get(self.layers.network as usize..).unwrap_or_default()
    }

    /// The IPv4 header of an IP layer of this packet.
    #[must_use]
    pub fn ipv4(&self, ip: &IpLayer) -> Option<Ipv4Header<'a>> {
        let bytes = self.cut(ip.start, ip.end);
        if ip.version == IpVersion::V4 { Ipv4Header::parse(bytes).ok() } else { None }
    }

    /// The IPv6 header of an IP layer of this packet.
    #[must_use]
    pub fn ipv6(&self, ip: &IpLayer) -> Option<Ipv6Header<'a>> {
        let bytes = self.cut(ip.start, ip.end);
        if ip.version == IpVersion::V6 { Ipv6Header::parse(bytes).ok() } else { None }
    }

    /// Source and destination address of an IP layer of this packet.
    ///
    /// The destination of an IPv4 packet with a source route still to be followed is the last address of
    /// the route: the header's own names but the next stop (RFC 791 3.1).
    #[must_use]
    pub fn addresses(&self, ip: &IpLayer) -> Option<(IpAddr, IpAddr)> {
        let data = self.frame.data.get(..ip.end as usize)?;
        let destination = match ip.version {
            IpVersion::V4 => read::<4>(data, ip.pseudo_destination as usize)?.into(),
            IpVersion::V6 => read::<16>(data, (ip.start as usize).checked_add(24)?)?.into(),
        };
        Some((self.source(ip)?, destination))
    }

    /// Source address of an IP layer of this packet: there even where the frame ends within the destination.
    #[must_use]
    pub fn source(&self, ip: &IpLayer) -> Option<IpAddr> {
        let data = self.frame.data.get(ip.start as usize..ip.end as usize)?;
        Some(match ip.version {
            IpVersion::V4 => read::<4>(data, 12)?.into(),
            IpVersion::V6 => read::<16>(data, 8)?.into(),
        })
    }

    /// Source and destination port, as soon as both were captured, be the header whole or not.
    #[must_use]
    pub fn ports(&self, ip: &IpLayer) -> Option<(u16, u16)> {
        use protocol::{DCCP, SCTP, TCP, UDP, UDPLITE};
        let has_ports = matches!(ip.protocol, TCP | UDP | UDPLITE | SCTP | DCCP)
            && ip.fragment != Fragment::Later
            && ip.end.saturating_sub(ip.payload) >= 4;
        has_ports.then_some((ip.source_port, ip.destination_port))
    }

    /// Everything an IP layer carries: the upper-layer header and its data, without padding.
    #[must_use]
    pub fn segment(&self, ip: &IpLayer) -> &'a [u8] {
        self.cut(ip.payload, ip.end)
    }

    fn upper<T, E>(
        &self,
        ip: &IpLayer,
        transport: Transport,
        parse: fn(&'a [u8]) -> Result<T, E>,
    ) -> Option<T> {
        if ip.transport == transport { parse(self.segment(ip)).ok() } else { None }
    }

    /// The TCP header in an IP layer.
    #[must_use]
    pub fn tcp(&self, ip: &IpLayer) -> Option<TcpHeader<'a>> {
        self.upper(ip, Transport::Tcp, TcpHeader::parse)
    }

    /// The UDP header in an IP layer.
    #[must_use]
    pub fn udp(&self, ip: &IpLayer) -> Option<UdpHeader<'a>> {
        self.upper(ip, Transport::Udp, UdpHeader::parse)
    }

    /// The UDP-Lite header in an IP layer.
    #[must_use]
    pub fn udp_lite(&self, ip: &IpLayer) -> Option<UdpHeader<'a>> {
        self.upper(ip, Transport::UdpLite, UdpHeader::parse)
    }

    /// The SCTP common header in an IP layer.
    #[must_use]
    pub fn sctp(&self, ip: &IpLayer) -> Option<SctpHeader<'a>> {
        self.upper(ip, Transport::Sctp, SctpHeader::parse)
    }

    /// The DCCP generic header in an IP layer.
    #[must_use]
    pub fn dccp(&self, ip: &IpLayer) -> Option<DccpHeader<'a>> {
        self.upper(ip, Transport::Dccp, DccpHeader::parse)
    }

    /// The ICMP message in an IP layer.
    #[must_use]
    pub fn icmp(&self, ip: &IpLayer) -> Option<IcmpHeader<'a>> {
        self.upper(ip, Transport::Icmp, IcmpHeader::parse)
    }

    /// The ICMPv6 message in an IP layer.
    #[must_use]
    pub fn icmpv6(&self, ip: &IpLayer) -> Option<Icmpv6Header<'a>> {
        self.upper(ip, Transport::Icmpv6, Icmpv6Header::parse)
    }

    /// The IGMP message in an IP layer.
    #[must_use]
    pub fn igmp(&self, ip: &IpLayer) -> Option<IgmpHeader<'a>> {
        self.upper(ip, Transport::Igmp, IgmpHeader::parse)
    }

    /// The application's bytes in an IP layer, as far as captured: what follows the upper-layer header,
    /// or all the layer carries where that is unknown. Neither link-layer padding nor what UDP's own length
    /// leaves out is part of it.
    #[must_use]
    pub fn payload(&self, ip: &IpLayer) -> &'a [u8] {
        self.cut(ip.data, self.payload_end(ip).min(ip.end))
    }

    /// How many bytes [`Packet::payload`] would have had, had nothing been cut by the snap length.
    #[must_use]
    pub fn payload_length(&self, ip: &IpLayer) -> u32 {
        let wire_end = self.frame.record.wire_length.max(ip.end);
        self.payload_end(ip).min(wire_end).saturating_sub(ip.data)
    }

    /// One past the payload by the length fields, captured or not.
    fn payload_end(&self, ip: &IpLayer) -> u32 {
        match self.udp(ip).map_or(0, |udp| udp.length()) {
            0 => ip.declared_end,
            length => ip.declared_end.min(ip.payload.saturating_add(length.into())),
        }
    }
}

/// The VLAN tags a walk passes; there are no more than it has link headers.
#[derive(Clone, Copy)]
struct Tags {
    spans: [Span; MAX_LINK_HEADERS as usize],
    count: usize,
}

impl Default for Tags {
    fn default() -> Self {
        Self { spans: [Span { layer: Layer::Vlan, start: 0, end: 0 }; MAX_LINK_HEADERS as usize], count: 0 }
    }
}

impl Visit for Tags {
    fn header(&mut self, layer: Layer, start: usize, end: usize) {
        if let (Layer::Vlan | Layer::ServiceVlan, Some(span)) = (layer, self.spans.get_mut(self.count)) {
            *span = Span { layer, start: start as u32, end: end as u32 };
            self.count += 1;
        }
    }

    fn mark(&self) -> usize {
        self.count
    }

    fn rewind(&mut self, mark: usize) {
        self.count = mark;
    }
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
