//! The step from an IP layer to what it carries.

use super::walk::{Step, Visit, Walk, be16};
use super::{Fragment, IpLayer, Layer, Reason, TcpHeader, Transport, UdpHeader};

/// Protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const DCCP: u8 = 33;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const IPIP: u8 = 94;
    pub(crate) const ETHERIP: u8 = 97;
    pub(crate) const PIM: u8 = 103;
    pub(crate) const SCTP: u8 = 132;
    pub(crate) const UDPLITE: u8 = 136;
    pub(crate) const MPLS: u8 = 137;
    pub(crate) const ETHERNET: u8 = 143;
}

impl<V: Visit> Walk<'_, V> {
    /// Reads the upper-layer header at `ip.payload` and fills in `transport`, ports and `data`.
    ///
    /// Ports are filled in as soon as their four bytes are there, even when the header is not whole.
    /// Inlined, so that `ip` stays in registers.
    #[inline(always)]
    pub(super) fn transport(&mut self, ip: &mut IpLayer) -> Step {
        if ip.fragment == Fragment::Later {
            return Ok(());
        }
        if self.tcp_or_udp(ip) { Ok(()) } else { self.any_transport(ip) }
    }

    /// TCP or UDP without a fault, and at least 20 bytes of it. False for anything else, which is then as it was.
    ///
    /// Which of the two it is decides no branch: they come in turns that nobody can guess.
    #[inline(always)]
    fn tcp_or_udp(&mut self, ip: &mut IpLayer) -> bool {
        let at = ip.payload as usize;
        let (tcp, udp) = (ip.protocol == protocol::TCP, ip.protocol == protocol::UDP);
        let Some(header) = self.peek::<20>(at).filter(|_| tcp | udp) else { return false };
        let length = if tcp { usize::from(header[12] >> 4) * 4 } else { UdpHeader::LENGTH };
        let short = tcp & ((length < TcpHeader::LENGTH) | (length > self.data.len() - at));
        if short | (udp & matches!(be16(header, 4), 1..8)) {
            return false;
        }
        self.visit.header(if tcp { Layer::Tcp } else { Layer::Udp }, at, at + length);
        (ip.source_port, ip.destination_port) = (be16(header, 0), be16(header, 2));
        ip.transport = if tcp { Transport::Tcp } else { Transport::Udp };
        ip.data = (at + length) as u32;
        true
    }

    #[inline(always)]
    fn any_transport(&mut self, ip: &mut IpLayer) -> Step {
        // A copy, as in `extensions`.
        let mut copy = *ip;
        let result = self.other_transport(&mut copy);
        *ip = copy;
        result
    }

    #[inline(never)]
    fn other_transport(&mut self, ip: &mut IpLayer) -> Step {
        let (transport, layer, least) = match ip.protocol {
            protocol::TCP => (Transport::Tcp, Layer::Tcp, 20),
            protocol::UDP => (Transport::Udp, Layer::Udp, 8),
            protocol::ICMP => (Transport::Icmp, Layer::Icmp, 8),
            protocol::ICMPV6 => (Transport::Icmpv6, Layer::Icmpv6, 4),
            protocol::IGMP => (Transport::Igmp, Layer::Igmp, 8),
            protocol::SCTP => (Transport::Sctp, Layer::Sctp, 12),
            protocol::UDPLITE => (Transport::UdpLite, Layer::UdpLite, 8),
            protocol::DCCP => (Transport::Dccp, Layer::Dccp, 12),
            _ => return Ok(()),
        };
        let at = ip.payload as usize;
        let has_ports = !matches!(transport, Transport::Icmp | Transport::Icmpv6 | Transport::Igmp);
        if let (true, Some(ports)) = (has_ports, self.peek::<4>(at)) {
            (ip.source_port, ip.destination_port) = (be16(ports, 0), be16(ports, 2));
        }
        // At least 20 and 12 bytes where one is read by its index.
        let header = self.bytes(layer, at, least)?;
        let length = match transport {
            Transport::Tcp => 4 * usize::from(header[12] >> 4),
            Transport::Dccp => 4 * usize::from(header[4]),
            _ => least,
        };
        if length < least {
            return Err(self.bad(layer, Reason::BadLength, least, length));
        }
        self.bytes(layer, at, length)?;
        self.visit.header(layer, at, at + length);
        ip.transport = transport;
        ip.data = (at + length) as u32;
        if transport == Transport::Udp { self.udp_length(at) } else { Ok(()) }
    }

    /// A length below 8 is none; 0 stands for the IP layer's (RFC 2675 4, and device segmentation).
    #[inline]
    fn udp_length(&self, at: usize) -> Step {
        match self.peek::<6>(at).map_or(0, |header| be16(header, 4)) {
            length @ 1..8 => Err(self.bad(Layer::Udp, Reason::BadLength, 8, length.into())),
            _ => Ok(()),
        }
    }

    /// Where UDP's own length says its payload ends, within the bytes that are there.
    pub(super) fn udp_end(&self, at: usize) -> usize {
        match self.peek::<6>(at).map_or(0, |header| be16(header, 4)) {
            0 => self.data.len(),
            length => at + usize::from(length),
        }
    }
}
