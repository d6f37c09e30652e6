//! Where each link type has its headers (<https://www.tcpdump.org/linktypes.html>).

use super::place::{Link, Offset, Place};
use super::{Lowering, Site, Way, all, any, not};
use crate::filter::ir::{Metadata, Operator, Test, Value, Width};
use crate::frame::LinkType;

/// The cookie of AVS headers, without its version.
const AVS: u32 = 0x8021_1000;
/// Bytes of a Prism header.
const PRISM: u32 = 144;
/// `LINKTYPE_IEEE802_11` as PPI has it: little-endian.
const PPI_WIRELESS: u32 = 105_u32.swap_bytes();
/// Bytes of an IEEE 802.11 header with three addresses.
const WIRELESS_HEADER: u32 = 24;

impl Lowering {
    /// The places to start from, each with what must hold there, and what must hold of all.
    pub(super) fn start(&self) -> (Vec<Way>, Test) {
        let place = self.outermost();
        let condition = match self.link_type {
            LinkType::PPI => Value::word(4).is(PPI_WIRELESS),
            _ => Test::True,
        };
        // The source captures whole Ethernet frames, of which the kernel keeps a tag beside the frame.
        if self.site == Site::Frames || place.link != Link::Ethernet {
            return (vec![Way { test: Test::True, place }], condition);
        }
        let tag = || Value::Metadata(Metadata::VlanTagPresent);
        let tagged = Way { test: not(tag().is(0)), place: Place { tag_out: true, ..place.clone() } };
        (vec![Way { test: tag().is(0), place }, tagged], condition)
    }

    fn outermost(&self) -> Place {
        let fixed = Offset::fixed;
        let place = |link, header, kind, payload| Place {
            link,
            header: fixed(header),
            kind: fixed(kind),
            payload: fixed(payload),
            network: 0,
            network_over_llc: 0,
            labels: 0,
            tags: 0,
            geneve: None,
            tag_out: false,
        };
        let ethernet = |at| Place { network_over_llc: 3, ..place(Link::Ethernet, at, at + 12, at + 14) };
        let llc = |link, at| Place { network: 8, network_over_llc: 3, ..place(link, 0, at, at) };
        match self.link_type {
            LinkType::ETHERNET | LinkType::DSA_TAG_EDSA => ethernet(0),
            LinkType::NETANALYZER => ethernet(4),
            LinkType::NETANALYZER_TRANSPARENT => ethernet(12),
            LinkType::ETHERNET_MPACKET => ethernet(8),
            LinkType::LINUX_SLL => place(Link::Cooked { version: 1 }, 0, 14, 16),
            LinkType::LINUX_SLL2 => place(Link::Cooked { version: 2 }, 0, 0, 20),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => place(Link::Raw, 0, 0, 0),
            LinkType::IPV4 => place(Link::Ipv4, 0, 0, 0),
            LinkType::IPV6 => place(Link::Ipv6, 0, 0, 0),
            LinkType::NULL => place(Link::HostFamily, 0, 0, 4),
            LinkType::LOOP => place(Link::Family, 0, 0, 4),
            LinkType::ENC => place(Link::HostFamily, 0, 0, 12),
            LinkType::PPP | LinkType::PPP_HDLC => place(Link::Ppp, 0, 2, 4),
            LinkType::PPP_PPPD => place(Link::PppOfDaemon, 0, 2, 4),
            LinkType::PPP_WITH_DIR => place(Link::Ppp, 1, 3, 5),
            LinkType::PPP_ETHER => place(Link::Ppp, 0, 6, 8),
            LinkType::C_HDLC => place(Link::CiscoHdlc, 0, 2, 4),
            LinkType::C_HDLC_WITH_DIR => place(Link::CiscoHdlc, 1, 3, 5),
            LinkType::FRELAY => Place { network: 4, ..place(Link::FrameRelay, 0, 2, 0) },
            LinkType::FRELAY_WITH_DIR => Place { network: 4, ..place(Link::FrameRelay, 1, 3, 1) },
            LinkType::IEEE802_11
            | LinkType::IEEE802_11_PRISM
            | LinkType::IEEE802_11_RADIOTAP
            | LinkType::IEEE802_11_AVS
            | LinkType::PPI => self.wireless(llc(Link::Wireless, 0)),
            LinkType::TOKEN_RING => llc(Link::TokenRing, 14),
            LinkType::FDDI => llc(Link::Fddi, 13),
            LinkType::IP_OVER_FC => llc(Link::FibreChannel, 16),
            LinkType::ATM_RFC1483 | LinkType::ATM_CLIP => llc(Link::Llc, 0),
            LinkType::SUNATM => llc(Link::Llc, 4),
            LinkType::ARCNET => place(Link::Arcnet, 0, 2, 6),
            LinkType::ARCNET_LINUX => place(Link::Arcnet, 0, 4, 8),
            LinkType::IEEE1394 => place(Link::EtherType, 0, 16, 18),
            LinkType::IPOIB => place(Link::EtherType, 0, 40, 44),
            LinkType::SLIP => Place { header: fixed(0), ..place(Link::Slip, 0, 16, 16) },
            LinkType::IPNET => place(Link::Ipnet, 0, 1, 24),
            LinkType::PFLOG => self.pf_log(place(Link::PfLog, 0, 1, 0)),
            LinkType::JUNIPER_ETHER => Place { network: 18, ..place(Link::Juniper, 0, 16, 14) },
            LinkType::JUNIPER_PPP | LinkType::JUNIPER_FRELAY | LinkType::JUNIPER_CHDLC => {
                place(Link::Juniper, 0, 4, 4)
            }
            _ => place(Link::Opaque, 0, 0, 0),
        }
    }

    /// pf's header says how long it is; what follows is aligned to four bytes.
    fn pf_log(&self, place: Place) -> Place {
        let length = Value::byte(0).join(Operator::Add, Value::Constant(3)).and(!3);
        Place { payload: Offset::behind(self.beforehand(length), 0), ..place }
    }

    /// IEEE 802.11 behind its capture header: two more bytes with quality of service, and where radiotap says so, padding.
    fn wireless(&self, place: Place) -> Place {
        let little_half = || {
            Value::byte(3).join(Operator::ShiftLeft, Value::Constant(8)).join(Operator::Or, Value::byte(2))
        };
        let prefix = match self.link_type {
            LinkType::IEEE802_11_RADIOTAP | LinkType::PPI => Some(little_half()),
            LinkType::IEEE802_11_AVS => Some(Value::word(4)),
            LinkType::IEEE802_11_PRISM => Some(Value::Choose {
                when: Box::new(Value::word(0).and(0xffff_f000).is(AVS)),
                then: Box::new(Value::word(4)),
                otherwise: Box::new(Value::Constant(PRISM)),
            }),
            _ => None,
        };
        let header = match prefix {
            Some(length) => Offset::behind(self.beforehand(length), 0),
            None => Offset::fixed(0),
        };
        let control = || match &header.from {
            Some(from) => Value::load(from.clone(), 0, Width::Byte),
            None => Value::byte(0),
        };
        let data = || all([control().has(0x08), not(control().has(0x04))]);
        let usual = header.plus(WIRELESS_HEADER).value();
        let length = self.beforehand(Value::Choose {
            when: Box::new(all([data(), control().has(0x80)])),
            then: Box::new(header.plus(WIRELESS_HEADER + 2).value()),
            otherwise: Box::new(usual),
        });
        if self.link_type != LinkType::IEEE802_11_RADIOTAP {
            return Place { header, payload: Offset::behind(length, 0), ..place };
        }
        // The flags are the second field, behind a time stamp if there is one; of several words of presence bits libpcap
        // reads none.
        let present = || Value::word(4);
        let padded = all([
            data(),
            present().has(0x0200_0000),
            not(present().has(0x80)),
            any([
                all([present().has(0x0100_0000), Value::byte(16).has(0x20)]),
                all([not(present().has(0x0100_0000)), Value::byte(8).has(0x20)]),
            ]),
        ]);
        let length = self.beforehand(Value::Choose {
            when: Box::new(padded),
            then: Box::new(length.clone().join(Operator::Add, Value::Constant(3)).and(!3)),
            otherwise: Box::new(length),
        });
        Place { header, payload: Offset::behind(length, 0), ..place }
    }
}
