//! Link-layer headers and what they carry.

use super::printer::{Printed, Printer};
use super::span::Span;
use crate::frame::LinkType;
use crate::sink::format::{Hex4, Mac, show};

/// EtherTypes: those of [`parse`](crate::parse), and those that are only printed (IANA registry).
pub(super) mod ether_type {
    pub(in super::super) use crate::parse::ether_type::{
        ARP, ERSPAN, ERSPAN_III, IPV4, IPV6, MPLS, MPLS_MULTICAST as MPLS_UPSTREAM, PPP, PPPOE_DISCOVERY,
        PPPOE_SESSION, QINQ_OLD as QINQ_9100, SERVICE_VLAN, TRANSPARENT_BRIDGING as TEB, VLAN, WCCP,
    };
    pub(in super::super) const REVERSE_ARP: u16 = 0x8035;
    pub(in super::super) const SLOW: u16 = 0x8809;
    pub(in super::super) const EAPOL: u16 = 0x888e;
    pub(in super::super) const LLDP: u16 = 0x88cc;
    pub(in super::super) const QINQ_9200: u16 = 0x9200;
}

/// At and below this, the type field of an Ethernet frame is a length (IEEE 802.3 3.2.6).
const LONGEST_802_3: u16 = 1500;

/// The name tcpdump's users know an EtherType by.
pub(super) fn ether_type_name(ether_type: u16) -> &'static str {
    match ether_type {
        ether_type::IPV4 => "IPv4",
        ether_type::ARP => "ARP",
        ether_type::REVERSE_ARP => "Reverse ARP",
        ether_type::IPV6 => "IPv6",
        ether_type::SLOW => "Slow Protocols",
        ether_type::PPP => "PPP",
        ether_type::MPLS => "MPLS unicast",
        ether_type::MPLS_UPSTREAM => "MPLS multicast",
        ether_type::PPPOE_DISCOVERY => "PPPoE D",
        ether_type::PPPOE_SESSION => "PPPoE S",
        ether_type::EAPOL => "EAPOL",
        ether_type::SERVICE_VLAN => "802.1Q-QinQ",
        ether_type::QINQ_9100 => "802.1Q-9100",
        ether_type::QINQ_9200 => "802.1Q-9200",
        ether_type::LLDP => "LLDP",
        0x6004 => "DEC LAT",
        0x809b => "Appletalk",
        0x80f3 => "Appletalk ARP",
        ether_type::VLAN..=0x8103 => "802.1Q",
        0x8137 => "IPX",
        ether_type::TEB => "TEB",
        0x88a2 => "AoE",
        0x88e5 => "802.1AE MACsec",
        0x88f7 => "PTP",
        0x8902 => "CFM",
        0x9000 => "Loopback",
        _ => "Unknown",
    }
}

impl Printer<'_> {
    /// A frame from its link-layer header on; gives that header's length, for the dump below the line.
    pub(super) fn link(&mut self, link_type: LinkType, span: Span<'_>) -> usize {
        match link_type {
            LinkType::ETHERNET => self.ethernet(span),
            LinkType::LINUX_SLL => self.cooked(span, false),
            LinkType::LINUX_SLL2 => self.cooked(span, true),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
                if self.options.link_header {
                    show!(self.out, "ip: ");
                }
                self.ip_by_version(span);
                0
            }
            LinkType::PPP | LinkType::PPP_HDLC | LinkType::PPP_ETHER | LinkType::PPP_WITH_DIR
                if self.delivery.packet.layers().ether_type == 0 =>
            {
                self.unparsed(link_type, span)
            }
            _ => self.other_link(link_type, span),
        }
    }

    /// Any other header: where it ends and what it carries the walk has found out.
    fn other_link(&mut self, link_type: LinkType, span: Span<'_>) -> usize {
        let layers = self.delivery.packet.layers();
        let header = layers.network as usize;
        let carried = match layers.outer {
            Some(outer) if outer.start as usize >= header => Some(outer.start as usize),
            _ => None,
        };
        if carried.is_none() && layers.ether_type == 0 {
            return self.unparsed(link_type, span);
        }
        if self.options.link_header {
            self.link_name(link_type);
            show!(self.out, ", ");
            self.ether_type(layers.ether_type);
            show!(self.out, ", length ", span.length, ": ");
        }
        match layers.ether_type {
            0 => self.ip_by_version(span.skip(carried.unwrap_or(header))),
            // Cisco's keep-alives borrow that number.
            ether_type::REVERSE_ARP if link_type == LinkType::C_HDLC => {
                show!(self.out, "SLARP, length ", span.length.saturating_sub(header));
            }
            ether_type => {
                if !self.carried(ether_type, span.skip(header)) && !self.options.link_header {
                    self.link_name(link_type);
                    show!(self.out, ", ");
                    self.ether_type(ether_type);
                    show!(self.out, ", length ", span.length);
                }
            }
        }
        header
    }

    /// A frame nobody could look into.
    fn unparsed(&mut self, link_type: LinkType, span: Span<'_>) -> usize {
        self.link_name(link_type);
        show!(self.out, ", length ", span.length);
        0
    }

    fn link_name(&mut self, link_type: LinkType) {
        match link_type.name() {
            Some(name) => show!(self.out, name),
            None => show!(self.out, "link-type ", link_type.0),
        }
    }

    /// `ethertype IPv4 (0x0800)`, or `IPv4` alone when quick.
    pub(super) fn ether_type(&mut self, ether_type: u16) {
        let name = ether_type_name(ether_type);
        if self.options.quick && name != "Unknown" {
            return show!(self.out, name);
        }
        show!(self.out, "ethertype ", name, " (", Hex4(ether_type), ")");
    }

    /// Ethernet II or 802.3.
    pub(super) fn ethernet(&mut self, span: Span<'_>) -> usize {
        let (Some(destination), Some(source), Some(kind)) =
            (span.slice(0, 6), span.slice(6, 6), span.u16(12))
        else {
            self.truncated("ether");
            return span.bytes.len();
        };
        if self.options.link_header {
            show!(self.out, Mac(source), " > ", Mac(destination), ", ");
            if kind <= LONGEST_802_3 {
                show!(self.out, "802.3, length ", kind, ": ");
            } else {
                self.ether_type(kind);
                show!(self.out, ", length ", span.length, ": ");
            }
        }
        14 + self.tagged(kind, span.skip(14), span)
    }

    /// VLAN tags, then what the innermost EtherType says; gives the tags' length.
    fn tagged(&mut self, mut kind: u16, mut rest: Span<'_>, frame: Span<'_>) -> usize {
        let mut tags = 0;
        while let ether_type::VLAN
        | ether_type::SERVICE_VLAN
        | ether_type::QINQ_9100
        | ether_type::QINQ_9200 = kind
        {
            let (Some(tag), Some(next)) = (rest.u16(0), rest.u16(2)) else {
                self.truncated("vlan");
                return tags;
            };
            if self.options.link_header {
                show!(self.out, "vlan ", tag & 0xfff, ", p ", tag >> 13);
                show!(self.out, if tag & 0x1000 != 0 { ", DEI, " } else { ", " });
                if next > LONGEST_802_3 {
                    self.ether_type(next);
                    show!(self.out, ", ");
                }
            }
            tags += 4;
            (kind, rest) = (next, rest.skip(4));
        }
        if kind <= LONGEST_802_3 {
            self.llc(rest.limit(usize::from(kind)));
        } else if !self.carried(kind, rest) && !self.options.link_header {
            // Nothing can be said of what is carried: say where it was going at least.
            if let (Some(destination), Some(source)) = (frame.slice(0, 6), frame.slice(6, 6)) {
                show!(self.out, Mac(source), " > ", Mac(destination), ", ");
            }
            self.ether_type(kind);
            show!(self.out, ", length ", frame.length);
        }
        tags
    }

    /// What an EtherType announces; false when it is not known here.
    pub(super) fn carried(&mut self, ether_type: u16, span: Span<'_>) -> bool {
        match ether_type {
            ether_type::IPV4 => self.ipv4(span),
            ether_type::IPV6 => self.ipv6(span),
            ether_type::ARP | ether_type::REVERSE_ARP => self.arp(span),
            ether_type::MPLS | ether_type::MPLS_UPSTREAM => self.whole("mpls", |printer| printer.mpls(span)),
            ether_type::PPPOE_DISCOVERY => self.whole("pppoe", |printer| printer.pppoe(span, true)),
            ether_type::PPPOE_SESSION => self.whole("pppoe", |printer| printer.pppoe(span, false)),
            ether_type::PPP => self.whole("ppp", |printer| printer.ppp(span)),
            ether_type::TEB => self.nested(|printer| {
                printer.ethernet(span);
            }),
            ether_type::LLDP => show!(self.out, "LLDP, length ", span.length),
            ether_type::EAPOL => self.whole("eapol", |printer| printer.eapol(span)),
            ether_type::SLOW => self.whole("slow", |printer| printer.slow(span)),
            _ => return false,
        }
        true
    }

    /// Linux cooked capture (`LINKTYPE_LINUX_SLL` and `LINKTYPE_LINUX_SLL2`).
    fn cooked(&mut self, span: Span<'_>, second: bool) -> usize {
        let header = if second { 20 } else { 16 };
        let fields = if second {
            (span.u8(10), span.u8(11), span.slice(12, 8), span.u16(0), span.u16(8))
        } else {
            (span.u8(1), span.u8(5), span.slice(6, 8), span.u16(14), span.u16(2))
        };
        let (Some(way), Some(length), Some(address), Some(kind), Some(hardware)) = fields else {
            self.truncated(if second { "sll2" } else { "sll" });
            return span.bytes.len();
        };
        if self.options.link_header || second {
            let way = match way {
                0 => " In ",
                1 => "  B ",
                2 => "  M ",
                3 => "  P ",
                4 => "Out ",
                _ => "  ? ",
            };
            show!(self.out, way);
        }
        if self.options.link_header {
            if second && let Some(index) = span.u32(4) {
                show!(self.out, "ifindex ", index, " ");
            }
            let address = &address[..usize::from(length).min(8)];
            if !address.is_empty() {
                show!(self.out, Mac(address), " ");
            }
            self.ether_type(kind);
            show!(self.out, ", length ", span.length, ": ");
        }
        let rest = span.skip(header);
        // LINUX_SLL_P_802_2; and ARPHRD_NETLINK and such do not carry an EtherType.
        if kind == 4 {
            self.llc(rest);
            return header;
        }
        let known = match kind {
            ether_type::VLAN | ether_type::SERVICE_VLAN | ether_type::QINQ_9100 => {
                return header + self.tagged(kind, rest, span.limit(0));
            }
            _ => self.carried(kind, rest),
        };
        if !known {
            self.ether_type(kind);
            show!(self.out, ", hardware type ", hardware, ", length ", span.length);
        }
        header
    }

    /// RFC 3032 label stack, then IP by its version.
    pub(super) fn mpls(&mut self, span: Span<'_>) -> Printed {
        show!(self.out, "MPLS");
        let mut rest = span;
        loop {
            let entry = rest.u32(0)?;
            rest = rest.skip(4);
            let bottom = entry & 0x100 != 0;
            show!(self.out, " (label ", entry >> 12);
            let name = match entry >> 12 {
                0 => " (IPv4 explicit NULL)",
                1 => " (router alert)",
                2 => " (IPv6 explicit NULL)",
                3 => " (implicit NULL)",
                _ => "",
            };
            show!(self.out, name, ", tc ", entry >> 9 & 7);
            show!(self.out, if bottom { ", [S], ttl " } else { ", ttl " }, entry & 0xff, ")");
            if bottom {
                break;
            }
        }
        show!(self.out, if self.verbose() { "\n\t" } else { " " });
        match rest.u8(0)? >> 4 {
            4 | 6 => self.ip_by_version(rest),
            // RFC 4385: a pseudowire's control word begins with 0, as no IP packet does.
            0 => self.nested(|printer| {
                show!(printer.out, "PW, ");
                printer.ethernet(rest.skip(4));
            }),
            _ => show!(self.out, "length ", rest.length),
        }
        Some(())
    }

    /// IEEE 802.1X 11.3.
    fn eapol(&mut self, span: Span<'_>) -> Printed {
        let (version, kind, length) = (span.u8(0)?, span.u8(1)?, span.u16(2)?);
        let name = match kind {
            0 => "EAP packet",
            1 => "EAPOL start",
            2 => "EAPOL logoff",
            3 => "EAPOL key",
            4 => "Encapsulated ASF alert",
            _ => "EAPOL unknown",
        };
        show!(self.out, name, " (", kind, ") v", version, ", len ", length);
        Some(())
    }

    /// IEEE 802.3 annex 57A: LACP, marker, OAM.
    fn slow(&mut self, span: Span<'_>) -> Printed {
        let (kind, version) = (span.u8(0)?, span.u8(1)?);
        match kind {
            1 => show!(self.out, "LACPv", version, ", length ", span.length),
            2 => show!(self.out, "MARKERv", version, ", length ", span.length),
            3 => show!(self.out, "OAM, length ", span.length),
            _ => show!(self.out, "slow protocol ", kind, ", length ", span.length),
        }
        Some(())
    }
}
