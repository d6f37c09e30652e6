//! What a link layer carries: by EtherType or, up to 1500, by service access point of IEEE 802.2.

use super::place::{self, IP, IP6, LONGEST_8023, Link, Place};
use super::{Lowering, Result, all, any, not};
use crate::filter::ast::Llc;
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Metadata, Relation, Test, Value};

/// Service access points (IEEE 802.2).
const SAP_IP: u32 = 0x06;
pub(super) const SAP_BRIDGE: u32 = 0x42;
const SAP_SNAP: u32 = 0xaa;
pub(super) const SAP_IPX: u32 = 0xe0;
pub(super) const SAP_NETBEUI: u32 = 0xf0;
pub(super) const SAP_OSI: u32 = 0xfe;

pub(super) const APPLETALK: u32 = 0x809b;
pub(super) const APPLETALK_ARP: u32 = 0x80f3;
const IPX: u32 = 0x8137;
pub(super) const DECNET: u32 = 0x6003;
const XNS: u32 = 0x0600;
/// Organization of AppleTalk in SNAP headers.
const APPLE: u32 = 0x08_0007;

/// Linux's names for IEEE 802.2 and 802.3 frames in cooked headers.
const COOKED_8022: u32 = 4;
const COOKED_8023: u32 = 1;

/// Families of IPv6: Linux, BSDs, FreeBSD, macOS.
const FAMILIES_IP6: [u32; 4] = [10, 24, 28, 30];
const FAMILY_IP: u32 = 2;

impl Lowering {
    /// Whether the link layer carries that.
    pub(super) fn link_type(&self, place: &Place, protocol: u32, span: Span) -> Result<Test> {
        if place.labels > 0 {
            return self.behind_labels(place, protocol, span);
        }
        if place.before_tag() {
            // The type in front of what lies in the frame is that of the tag.
            return Ok(match protocol {
                place::VLAN | place::SERVICE_VLAN | place::OLD_SERVICE_VLAN => {
                    Value::Metadata(Metadata::VlanProtocol).is(protocol)
                }
                _ => Test::False,
            });
        }
        let kind = || self.half(&place.kind, 0);
        Ok(match place.link {
            Link::Ethernet => self.ethernet_type(place, protocol),
            Link::Cooked { .. } => self.cooked_type(place, protocol),
            Link::Raw | Link::Slip => match protocol {
                // As libpcap asks: also of SLIP, whose pseudo header is the first byte.
                IP => self.byte(&place.header, 0).and(0xf0).is(0x40),
                IP6 => self.byte(&place.header, 0).and(0xf0).is(0x60),
                _ => Test::False,
            },
            Link::Ipv4 => truth(protocol == IP),
            Link::Ipv6 => truth(protocol == IP6),
            Link::HostFamily | Link::Family => self.family(place, protocol),
            Link::Ppp | Link::PppOfDaemon => kind().is(ppp_type(protocol)),
            Link::CiscoHdlc => kind().is(if protocol == SAP_OSI { SAP_OSI << 8 | SAP_OSI } else { protocol }),
            Link::FrameRelay => self.frame_relay_type(place, protocol),
            Link::Wireless => all([self.is_wireless_data(place), self.llc_type(place, protocol)]),
            Link::TokenRing | Link::Fddi | Link::FibreChannel | Link::Llc => self.llc_type(place, protocol),
            Link::EtherType => kind().is(protocol),
            Link::Arcnet => self.arcnet_type(place, protocol),
            Link::Ipnet => match protocol {
                IP => self.byte(&place.kind, 0).is(2),
                IP6 => self.byte(&place.kind, 0).is(26),
                _ => Test::False,
            },
            Link::PfLog => match protocol {
                IP => self.byte(&place.kind, 0).is(FAMILY_IP),
                IP6 => any(FAMILIES_IP6.map(|family| self.byte(&place.kind, 0).is(family))),
                _ => Test::False,
            },
            Link::Juniper => self.word(&place.header, 0).and(0xffff_ff00).is(0x4d47_4300),
            Link::Opaque => {
                let reason =
                    format!("what a frame of link type {} carries cannot be asked for", self.link_type);
                return Err(Fault::new(span, reason).hint("its bytes can: `ether[0]`"));
            }
        })
    }

    /// The type field is a length.
    fn is_8023(&self, place: &Place) -> Test {
        self.half(&place.kind, 0).compare(Relation::LessOrEqual, Value::Constant(LONGEST_8023))
    }

    fn ethernet_type(&self, place: &Place, protocol: u32) -> Test {
        let kind = |protocol| self.half(&place.kind, 0).is(protocol);
        match protocol {
            SAP_OSI | SAP_IP | SAP_NETBEUI => {
                all([self.is_8023(place), self.half(&place.payload, 0).is(protocol << 8 | protocol)])
            }
            SAP_IPX => any([
                kind(IPX),
                all([
                    self.is_8023(place),
                    any([
                        self.snap(place, 0, IPX),
                        self.byte(&place.payload, 0).is(SAP_IPX),
                        self.half(&place.payload, 0).is(0xffff),
                    ]),
                ]),
            ]),
            APPLETALK => any([kind(protocol), all([self.is_8023(place), self.snap(place, APPLE, protocol)])]),
            APPLETALK_ARP => any([kind(protocol), all([self.is_8023(place), self.snap(place, 0, protocol)])]),
            0..=LONGEST_8023 => all([self.is_8023(place), self.byte(&place.kind, 2).is(protocol)]),
            _ => kind(protocol),
        }
    }

    fn cooked_type(&self, place: &Place, protocol: u32) -> Test {
        let kind = |protocol| self.half(&place.kind, 0).is(protocol);
        let is_8022 = || kind(COOKED_8022);
        match protocol {
            SAP_OSI | SAP_IP | SAP_NETBEUI => {
                all([is_8022(), self.half(&place.payload, 0).is(protocol << 8 | protocol)])
            }
            SAP_IPX => any([
                kind(IPX),
                kind(COOKED_8023),
                all([is_8022(), any([self.snap(place, 0, IPX), self.byte(&place.payload, 0).is(SAP_IPX)])]),
            ]),
            APPLETALK => any([kind(protocol), all([is_8022(), self.snap(place, APPLE, protocol)])]),
            APPLETALK_ARP => any([kind(protocol), all([is_8022(), self.snap(place, 0, protocol)])]),
            0..=LONGEST_8023 => all([is_8022(), self.byte(&place.payload, 0).is(protocol)]),
            _ => kind(protocol),
        }
    }

    /// Behind an IEEE 802.2 header that is known to be there. EtherTypes are looked for where SNAP has them.
    fn llc_type(&self, place: &Place, protocol: u32) -> Test {
        match protocol {
            SAP_OSI | SAP_IP | SAP_NETBEUI => self.half(&place.payload, 0).is(protocol << 8 | protocol),
            APPLETALK => self.snap(place, APPLE, protocol),
            0..=LONGEST_8023 => self.byte(&place.payload, 0).is(protocol),
            _ => self.half(&place.payload, 6).is(protocol),
        }
    }

    fn snap(&self, place: &Place, organization: u32, protocol: u32) -> Test {
        // From the end, as it differs most there.
        all([
            self.word(&place.payload, 4).is((organization & 0xffff) << 16 | protocol),
            self.word(&place.payload, 0).is(SAP_SNAP << 24 | SAP_SNAP << 16 | 0x03 << 8 | organization >> 16),
        ])
    }

    fn family(&self, place: &Place, protocol: u32) -> Test {
        let families: &[u32] = match protocol {
            IP => &[FAMILY_IP],
            IP6 => &FAMILIES_IP6,
            _ => return Test::False,
        };
        let of = |number: u32| self.word(&place.header, 0).is(number);
        any(families.iter().flat_map(|family| match place.link {
            // It is not known on what machine a file was written.
            Link::HostFamily => vec![of(family.swap_bytes()), of(*family)],
            _ => vec![of(*family)],
        }))
    }

    fn frame_relay_type(&self, place: &Place, protocol: u32) -> Test {
        // Unnumbered information and a network layer protocol (RFC 2427).
        let of = |number: u32| self.half(&place.header, 2).is(0x0300 | number);
        match protocol {
            IP => of(0xcc),
            IP6 => of(0x8e),
            SAP_OSI => any([of(0x81), of(0x82), of(0x83)]),
            _ => Test::False,
        }
    }

    fn arcnet_type(&self, place: &Place, protocol: u32) -> Test {
        let of = |number| self.byte(&place.kind, 0).is(number);
        match protocol {
            IP => any([of(0xd4), of(0xf0)]),
            IP6 => of(0xc4),
            place::ARP => any([of(0xd5), of(0xf1)]),
            place::RARP => of(0xd6),
            APPLETALK => of(0xdd),
            _ => Test::False,
        }
    }

    pub(super) fn is_wireless_data(&self, place: &Place) -> Test {
        let control = || self.byte(&place.header, 0);
        all([not(control().has(0x04)), control().has(0x08)])
    }

    /// `llc` and its kinds.
    pub(super) fn llc(&self, place: &Place, llc: Llc, span: Span) -> Result<Test> {
        if place.before_tag() {
            return Ok(Test::False);
        }
        let frame = match place.link {
            // 0xffff is IPX straight behind IEEE 802.3.
            Link::Ethernet => all([self.is_8023(place), not(self.half(&place.payload, 0).is(0xffff))]),
            Link::Wireless => self.is_wireless_data(place),
            Link::TokenRing | Link::Fddi | Link::Llc => Test::True,
            _ => {
                let reason =
                    format!("link type {} has no IEEE 802.2 frames to be told from others", self.link_type);
                return Err(Fault::new(span, reason));
            }
        };
        let control = || self.byte(&place.payload, 2);
        Ok(all([
            frame,
            match llc {
                Llc::Any => Test::True,
                Llc::Information => not(control().has(0x01)),
                Llc::Supervisory => control().and(0x03).is(0x01),
                Llc::Unnumbered => control().and(0x03).is(0x03),
                Llc::SupervisoryOf(bits) => control().and(0x0f).is(bits.into()),
                Llc::UnnumberedOf(bits) => control().and(0xef).is(bits.into()),
            },
        ]))
    }
}

fn truth(holds: bool) -> Test {
    if holds { Test::True } else { Test::False }
}

/// The PPP protocol number (IANA) of what Ethernet has this type for.
fn ppp_type(protocol: u32) -> u32 {
    match protocol {
        IP => 0x0021,
        IP6 => 0x0057,
        DECNET => 0x0027,
        APPLETALK => 0x0029,
        XNS => 0x0025,
        SAP_OSI => 0x0023,
        SAP_BRIDGE => 0x0031,
        SAP_IPX => 0x002b,
        other => other,
    }
}
