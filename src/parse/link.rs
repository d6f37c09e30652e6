//! The dispatch by link type, and the link layers that are but a few bytes.
//!
//! Formats: <https://www.tcpdump.org/linktypes.html>.

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16, be32};
use super::{Layer, Reason};
use crate::frame::LinkType;

impl<V: Visit> Walk<'_, V> {
    /// The whole frame. Link types unknown here have no layers.
    #[inline]
    pub(super) fn link(&mut self, link_type: LinkType, at: usize) -> Step {
        if link_type == LinkType::ETHERNET { self.ethernet(at) } else { self.other_link(link_type, at) }
    }

    #[inline(never)]
    fn other_link(&mut self, link_type: LinkType, at: usize) -> Step {
        match link_type {
            LinkType::LINUX_SLL => self.linux_cooked(at),
            LinkType::LINUX_SLL2 => self.linux_cooked2(at),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => self.ip(at),
            LinkType::IPV4 => self.ipv4(at),
            LinkType::IPV6 => self.ipv6(at),
            LinkType::NULL | LinkType::LOOP => self.loopback(at),
            LinkType::PPP | LinkType::PPP_HDLC => self.ppp(at),
            LinkType::PPP_WITH_DIR => self.after(1, at, Self::ppp),
            // Address and control as in RFC 1662, but for the direction in place of the address.
            LinkType::PPP_PPPD => self.after(2, at, Self::ppp),
            LinkType::PPP_ETHER => self.pppoe(at),
            LinkType::C_HDLC => self.hdlc(at),
            LinkType::C_HDLC_WITH_DIR => self.after(1, at, Self::hdlc),
            LinkType::FRELAY => self.frame_relay(at),
            LinkType::FRELAY_WITH_DIR => self.after(1, at, Self::frame_relay),
            LinkType::MFR => self.multilink_frame_relay(at),
            LinkType::IEEE802_11 => self.wireless_bare(at),
            LinkType::IEEE802_11_PRISM => self.prism(at),
            LinkType::IEEE802_11_RADIOTAP => self.radiotap(at),
            LinkType::IEEE802_11_AVS => self.avs(at),
            LinkType::PPI => self.ppi(at),
            LinkType::NFLOG => self.nflog(at),
            LinkType::TOKEN_RING => self.token_ring(at),
            LinkType::FDDI => self.fddi(at),
            LinkType::ARCNET => self.arcnet(at, 2),
            LinkType::ARCNET_LINUX => self.arcnet(at, 4),
            LinkType::ATM_RFC1483 => self.llc(at),
            LinkType::ATM_CLIP => self.classical_ip(at),
            LinkType::SUNATM => self.after(4, at, Self::llc),
            LinkType::IP_OVER_FC => self.after(16, at, Self::llc),
            LinkType::IEEE1394 => self.type_at(Layer::CaptureHeader, at, 16),
            LinkType::IPOIB => self.type_at(Layer::Infiniband, at, 40),
            LinkType::SLIP => self.after(16, at, Self::ip),
            LinkType::IPNET => self.after(24, at, Self::ip),
            LinkType::ENC => self.after(12, at, Self::ip),
            LinkType::PFLOG => self.packet_filter_log(at),
            LinkType::NETANALYZER => self.after(4, at, Self::ethernet),
            LinkType::NETANALYZER_TRANSPARENT => self.after(12, at, Self::ethernet),
            LinkType::ETHERNET_MPACKET => self.after(8, at, Self::ethernet),
            LinkType::ERF => self.erf(at),
            LinkType::PKTAP | LinkType::PKTAP_APPLE => self.pktap(at),
            LinkType::JUNIPER_ETHER => self.juniper(at, Self::ethernet),
            LinkType::JUNIPER_PPP => self.juniper(at, |walk, at| walk.ppp_protocol(at, at + 2)),
            LinkType::JUNIPER_FRELAY => self.juniper(at, Self::frame_relay),
            LinkType::JUNIPER_CHDLC => self.juniper(at, Self::hdlc),
            LinkType::TZSP => self.tzsp(at),
            LinkType::MPLS => self.mpls(at),
            LinkType::DSA_TAG_BRCM => self.broadcom(at),
            LinkType::DSA_TAG_BRCM_PREPEND => self.broadcom_before(at),
            LinkType::DSA_TAG_DSA => self.dsa(at),
            LinkType::DSA_TAG_EDSA => self.ethernet(at),
            _ => Ok(()),
        }
    }

    /// A header of `length` bytes that says nothing of what follows.
    fn after(&mut self, length: usize, at: usize, next: impl FnOnce(&mut Self, usize) -> Step) -> Step {
        self.bytes(Layer::CaptureHeader, at, length)?;
        self.pass(Layer::CaptureHeader, at, at + length)?;
        next(self, at + length)
    }

    /// A header with an EtherType `offset` bytes in, padded to a multiple of 4 for [`Layer::Infiniband`].
    fn type_at(&mut self, layer: Layer, at: usize, offset: usize) -> Step {
        let length = if layer == Layer::Infiniband { offset + 4 } else { offset + 2 };
        self.bytes(layer, at, length)?;
        let kind = be16(self.fixed::<2>(layer, at + offset)?, 0);
        self.pass(layer, at, at + length)?;
        self.ether_type(kind, at + length)
    }

    /// IP of the version its first four bits name.
    pub(super) fn ip(&mut self, at: usize) -> Step {
        let &[first] = self.fixed::<1>(Layer::Ipv4, at)?;
        if first >> 4 == 6 { self.ipv6(at) } else { self.ipv4(at) }
    }

    /// An address family in the byte order of the capturing host (`LINKTYPE_LOOP`: big-endian). Families of
    /// IPv6 differ by system: Linux 10, BSDs 24, 28, macOS 30.
    fn loopback(&mut self, at: usize) -> Step {
        let &bytes = self.fixed::<4>(Layer::Loopback, at)?;
        // Lines captured as loopback: PPP, Cisco HDLC.
        if matches!(bytes[..2], [0xff, 0x03] | [0x0f | 0x8f, 0x00]) {
            return self.ppp(at);
        }
        self.pass(Layer::Loopback, at, at + 4)?;
        match u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes)) {
            2 => self.ipv4(at + 4),
            10 | 24 | 28 | 30 => self.ipv6(at + 4),
            family => match u16::try_from(family) {
                Ok(kind) if kind >= ether_type::LEAST => self.ether_type(kind, at + 4),
                _ => {
                    self.network(0, at + 4);
                    Ok(())
                }
            },
        }
    }

    /// Frame relay (ITU-T Q.922): the address ends at a byte with its lowest bit set. Then RFC 2427's
    /// control byte and NLPID, or Cisco's EtherType.
    pub(super) fn frame_relay(&mut self, at: usize) -> Step {
        let mut next = at + 1;
        while self.fixed::<1>(Layer::FrameRelay, next - 1)?[0] & 1 == 0 && next < at + 4 {
            next += 1;
        }
        if next < at + 2 {
            return Err(self.bad(Layer::FrameRelay, Reason::BadLength, 2, 1));
        }
        let &[control, protocol] = self.fixed::<2>(Layer::FrameRelay, next)?;
        if control != 0x03 {
            self.pass(Layer::FrameRelay, at, next + 2)?;
            return match u16::from_be_bytes([control, protocol]) {
                kind if kind >= ether_type::LEAST => self.ether_type(kind, next + 2),
                _ => {
                    self.network(0, next + 2);
                    Ok(())
                }
            };
        }
        // A padding byte of 0 may come before the NLPID (RFC 2427 3).
        let nlpid_at = if protocol == 0 { next + 2 } else { next + 1 };
        self.fixed::<1>(Layer::FrameRelay, nlpid_at)?;
        self.pass(Layer::FrameRelay, at, nlpid_at + 1)?;
        self.network_protocol(nlpid_at)
    }

    /// FRF.16.1: opened where one fragment is the whole frame (begin and end set, no control).
    fn multilink_frame_relay(&mut self, at: usize) -> Step {
        let &[flags, _] = self.fixed::<2>(Layer::FrameRelay, at)?;
        self.pass(Layer::FrameRelay, at, at + 2)?;
        if flags & 0xe0 == 0xc0 {
            return self.frame_relay(at + 2);
        }
        self.network(0, at + 2);
        Ok(())
    }

    /// Family, version, resource id, then fields of length, type and value in the host's byte order, each
    /// padded to 4 bytes; the packet is the field of type 9.
    fn nflog(&mut self, at: usize) -> Step {
        const PAYLOAD: u16 = 9;
        let &[family, _, _, _, first @ ..] = self.fixed::<8>(Layer::Nflog, at)?;
        // A length below its own 4 bytes or with a value in the high byte is one read in the wrong order.
        let little_endian =
            u16::from_le_bytes([first[0], first[1]]) < u16::from_be_bytes([first[0], first[1]]);
        let read = |a, b| {
            if little_endian { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) }
        };
        let mut field = at + 4;
        loop {
            let &[a, b, c, d] = self.fixed::<4>(Layer::Nflog, field)?;
            let (length, kind) = (usize::from(read(a, b)), read(c, d));
            if length < 4 {
                return Err(self.bad(Layer::Nflog, Reason::BadLength, 4, length));
            }
            if kind == PAYLOAD {
                self.pass(Layer::Nflog, at, field + 4)?;
                self.narrow(field + length);
                return match family {
                    2 => self.ipv4(field + 4),
                    10 => self.ipv6(field + 4),
                    _ => {
                        self.network(0, field + 4);
                        Ok(())
                    }
                };
            }
            field += length.next_multiple_of(4);
        }
    }

    /// IEEE 802.5: access and frame control, addresses, a routing field where the source's top bit says so.
    fn token_ring(&mut self, at: usize) -> Step {
        let header = self.fixed::<14>(Layer::TokenRing, at)?;
        let routed = header[8] & 0x80 != 0;
        let routing = if routed { self.fixed::<1>(Layer::TokenRing, at + 14)?[0] & 0x1f } else { 0 };
        let length = 14 + usize::from(routing);
        self.bytes(Layer::TokenRing, at, length)?;
        self.pass(Layer::TokenRing, at, at + length)?;
        if header[1] >> 6 == 1 {
            return self.llc(at + length);
        }
        self.network(0, at + length);
        Ok(())
    }

    /// Frame control and two addresses; LLC where the frame control says so.
    fn fddi(&mut self, at: usize) -> Step {
        let header = self.fixed::<13>(Layer::Fddi, at)?;
        self.pass(Layer::Fddi, at, at + 13)?;
        if header[0] & 0x70 == 0x50 {
            return self.llc(at + 13);
        }
        self.network(0, at + 13);
        Ok(())
    }

    /// The packet type stands at `type_at`; RFC 1201 types have split flag and sequence number after it.
    fn arcnet(&mut self, at: usize, type_at: usize) -> Step {
        let &[kind] = self.fixed::<1>(Layer::Arcnet, at + type_at)?;
        let plain = type_at + 1;
        let (kind, mut length) = match kind {
            0xf0 => (ether_type::IPV4, plain),
            0xf1 => (ether_type::ARP, plain),
            0xd4 => (ether_type::IPV4, plain + 3),
            0xd5 => (ether_type::ARP, plain + 3),
            0xc4 => (ether_type::IPV6, plain + 3),
            _ => (0, plain),
        };
        // BSD keeps the exception packet's four bytes of padding (RFC 1201 2.1).
        if type_at == 2 && length > plain && self.peek::<1>(at + plain) == Some(&[0xff]) {
            length += 4;
        }
        self.bytes(Layer::Arcnet, at, length)?;
        self.pass(Layer::Arcnet, at, at + length)?;
        self.ether_type(kind, at + length)
    }

    /// RFC 2225: LLC and SNAP, or bare IP.
    fn classical_ip(&mut self, at: usize) -> Step {
        if self.peek::<3>(at) == Some(&[0xaa, 0xaa, 0x03]) { self.llc(at) } else { self.ip(at) }
    }

    /// OpenBSD's `pflog`: its length (of the meaningful part), then the address family.
    fn packet_filter_log(&mut self, at: usize) -> Step {
        let &[length, family] = self.fixed::<2>(Layer::CaptureHeader, at)?;
        let length = usize::from(length).next_multiple_of(4).max(4);
        match family {
            2 | 10 | 24 | 28 | 30 => self.after(length, at, Self::ip),
            _ => Ok(()),
        }
    }

    /// Endace's extensible record: 16 bytes, extension headers, then by type.
    fn erf(&mut self, at: usize) -> Step {
        const MORE: u8 = 0x80;
        let header = self.fixed::<16>(Layer::CaptureHeader, at)?;
        let (kind, mut more, mut end) = (header[8] & !MORE, header[8] & MORE != 0, at + 16);
        while more {
            more = self.fixed::<8>(Layer::CaptureHeader, end)?[0] & MORE != 0;
            end += 8;
        }
        self.pass(Layer::CaptureHeader, at, end)?;
        match kind {
            2 | 11 | 16 | 20 => self.after(2, end, Self::ethernet),
            1 => self.ppp(end),
            22 => self.ipv4(end),
            23 => self.ipv6(end),
            _ => Ok(()),
        }
    }

    /// Apple's `pktap`: length, record type, link type, little-endian.
    fn pktap(&mut self, at: usize) -> Step {
        let header = self.fixed::<12>(Layer::CaptureHeader, at)?;
        let word = |from: usize| {
            u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]])
        };
        let length = (word(0) as usize).max(12);
        self.bytes(Layer::CaptureHeader, at, length)?;
        self.pass(Layer::CaptureHeader, at, at + length)?;
        match u16::try_from(word(8)) {
            Ok(number) => self.link(LinkType(number), at + length),
            Err(_) => Ok(()),
        }
    }

    /// Juniper's header: magic, flags, extensions; the link layer follows unless the flags say otherwise.
    fn juniper(&mut self, at: usize, link_layer: impl FnOnce(&mut Self, usize) -> Step) -> Step {
        const EXTENDED: u8 = 0x80;
        const NO_LINK_LAYER: u8 = 0x02;
        let &[magic @ .., flags] = self.fixed::<4>(Layer::CaptureHeader, at)?;
        if magic != [0x4d, 0x47, 0x43] {
            return Ok(());
        }
        let mut length = 4;
        if flags & EXTENDED != 0 {
            length = 6 + usize::from(be16(self.fixed::<2>(Layer::CaptureHeader, at + 4)?, 0));
        }
        // An address family stands in place of the link layer.
        if flags & NO_LINK_LAYER != 0 {
            let family = be32(self.fixed::<4>(Layer::CaptureHeader, at + length)?, 0).swap_bytes();
            return if matches!(family, 2 | 6) { self.after(length + 4, at, Self::ip) } else { Ok(()) };
        }
        self.after(length, at, link_layer)
    }
}
