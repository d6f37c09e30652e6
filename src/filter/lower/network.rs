//! Protocols, and hosts and networks by their addresses.

use super::link::{APPLETALK, APPLETALK_ARP, DECNET, SAP_BRIDGE, SAP_IPX, SAP_NETBEUI, SAP_OSI};
use super::place::{ARP, IP, IP6, Link, Place, RARP};
use super::{Lowering, Result, all, any};
use crate::filter::ast::{Address, Direction, Protocol};
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Test, Value};
use crate::filter::words::word_of;

/// Protocol numbers (IANA).
pub(super) const TCP: u32 = 6;
pub(super) const UDP: u32 = 17;
pub(super) const SCTP: u32 = 132;
pub(super) const ICMP6: u32 = 58;
const FRAGMENT: u32 = 44;

/// Network layer protocol identifiers of OSI (ISO/IEC TR 9577).
const CLNP: u32 = 0x81;
const ESIS: u32 = 0x82;
pub(super) const ISIS: u32 = 0x83;

/// IS-IS PDU types (ISO 10589): hellos on LANs and on point-to-point links, link states, complete and partial sequence
/// numbers, by level.
const HELLO: [u32; 2] = [15, 16];
const HELLO_POINT: u32 = 17;
const STATE: [u32; 2] = [18, 20];
const COMPLETE: [u32; 2] = [24, 25];
const PARTIAL: [u32; 2] = [26, 27];

impl Lowering {
    /// `tcp`, `arp`...
    pub(super) fn protocol(&self, place: &Place, protocol: Protocol, span: Span) -> Result<Test> {
        let over_ip = |number| self.carries(place, Some(Protocol::Ip), number, span);
        let over_ip6 = |number| self.carries(place, Some(Protocol::Ip6), number, span);
        let over_both = |number| Ok(any([over_ip6(number)?, over_ip(number)?]));
        let osi = |number| self.carries(place, Some(Protocol::Iso), number, span);
        let isis = |numbers: &[u32]| {
            let tests = numbers.iter().map(|number| self.carries(place, Some(Protocol::Isis), *number, span));
            tests.collect::<Result<Vec<_>>>().map(any)
        };
        if let Some(kind) = link_number(protocol) {
            return self.link_type(place, kind, span);
        }
        match protocol {
            Protocol::Tcp => over_both(TCP),
            Protocol::Udp => over_both(UDP),
            Protocol::Sctp => over_both(SCTP),
            Protocol::Icmp => over_ip(1),
            Protocol::Igmp => over_ip(2),
            Protocol::Igrp => over_ip(9),
            Protocol::Pim => over_both(103),
            Protocol::Vrrp | Protocol::Carp => over_ip(112),
            Protocol::Icmp6 => over_ip6(ICMP6),
            Protocol::Ah => over_both(51),
            Protocol::Esp => over_both(50),
            Protocol::Clnp => osi(CLNP),
            Protocol::Esis => osi(ESIS),
            Protocol::Isis => osi(ISIS),
            Protocol::IsisLevel1 => isis(&[PARTIAL[0], COMPLETE[0], STATE[0], HELLO_POINT, HELLO[0]]),
            Protocol::IsisLevel2 => isis(&[PARTIAL[1], COMPLETE[1], STATE[1], HELLO_POINT, HELLO[1]]),
            Protocol::IsisHello => isis(&[HELLO_POINT, HELLO[1], HELLO[0]]),
            Protocol::IsisLinkState => isis(&STATE),
            Protocol::IsisSequence => isis(&[PARTIAL[1], PARTIAL[0], COMPLETE[1], COMPLETE[0]]),
            Protocol::IsisComplete => isis(&COMPLETE),
            Protocol::IsisPartial => isis(&PARTIAL),
            other => Err(Fault::new(span, format!("`{}` alone says nothing", word_of(other)))),
        }
    }

    /// `ip proto 6` and the like.
    pub(super) fn carries(
        &self,
        place: &Place,
        within: Option<Protocol>,
        number: u32,
        span: Span,
    ) -> Result<Test> {
        let network = place.network_header();
        match within {
            None => Ok(any([
                self.carries(place, Some(Protocol::Ip), number, span)?,
                self.carries(place, Some(Protocol::Ip6), number, span)?,
            ])),
            Some(Protocol::Link) => self.link_type(place, number, span),
            Some(Protocol::Ip) => {
                Ok(all([self.link_type(place, IP, span)?, self.byte(&network, 9).is(number)]))
            }
            // Also behind a fragment header, which is the only one that is looked behind.
            Some(Protocol::Ip6) => Ok(all([
                self.link_type(place, IP6, span)?,
                any([
                    self.byte(&network, 6).is(number),
                    all([self.byte(&network, 6).is(FRAGMENT), self.byte(&network, 40).is(number)]),
                ]),
            ])),
            Some(Protocol::Iso) => self.osi(place, number, span),
            Some(Protocol::Isis) => {
                let kind = self.byte(&place.payload.plus(place.network_over_llc), 4);
                Ok(all([self.osi(place, ISIS, span)?, kind.is(number)]))
            }
            Some(other) => Err(Fault::new(span, format!("`{}` says not what it carries", word_of(other)))),
        }
    }

    fn osi(&self, place: &Place, number: u32, span: Span) -> Result<Test> {
        let over_llc = place.payload.plus(place.network_over_llc);
        match place.link {
            Link::FrameRelay => Ok(self.half(&place.header, 2).is(0x0300 | number)),
            // A byte of padding stands before it.
            Link::CiscoHdlc => {
                Ok(all([self.link_type(place, SAP_OSI, span)?, self.byte(&over_llc, 1).is(number)]))
            }
            _ => Ok(all([self.link_type(place, SAP_OSI, span)?, self.byte(&over_llc, 0).is(number)])),
        }
    }

    /// Any of the addresses, at either end.
    pub(super) fn hosts(
        &self,
        place: &Place,
        within: Option<Protocol>,
        direction: Direction,
        addresses: &[Address],
        span: Span,
    ) -> Result<Test> {
        let tests = addresses.iter().map(|address| self.host(place, within, direction, *address, span));
        Ok(any(tests.collect::<Result<Vec<_>>>()?))
    }

    fn host(
        &self,
        place: &Place,
        within: Option<Protocol>,
        direction: Direction,
        address: Address,
        span: Span,
    ) -> Result<Test> {
        let network = place.network_header();
        let (address, mask) = match address {
            Address::V6 { address, prefix } => {
                let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
                let at = |offset: u32| self.words(place, offset, address.to_bits(), mask);
                return Ok(all([self.link_type(place, IP6, span)?, ends(direction, at(8), at(24))]));
            }
            Address::V4 { address, mask } => (address, mask),
        };
        let of = |kind, source: u32, destination: u32| {
            let at = |offset: u32| match mask {
                0 => Test::True,
                u32::MAX => self.word(&network, offset).is(address),
                _ => self.word(&network, offset).and(mask).is(address),
            };
            Ok(all([self.link_type(place, kind, span)?, ends(direction, at(source), at(destination))]))
        };
        match within {
            Some(Protocol::Ip) => of(IP, 12, 16),
            Some(Protocol::Arp) => of(ARP, 14, 24),
            Some(Protocol::Rarp) => of(RARP, 14, 24),
            // These say nothing of ARP.
            _ if place.labels > 0
                || matches!(place.link, Link::Raw | Link::Slip | Link::Ipv4 | Link::Ipv6) =>
            {
                of(IP, 12, 16)
            }
            _ => Ok(any([of(IP, 12, 16)?, of(ARP, 14, 24)?, of(RARP, 14, 24)?])),
        }
    }

    /// An IPv6 address in the network layer, word by word as far as its mask goes.
    fn words(&self, place: &Place, offset: u32, address: u128, mask: u128) -> Test {
        let network = place.network_header();
        all((0..4).filter_map(|index| {
            let part = |number: u128| (number >> (96 - 32 * index)) as u32;
            let load = self.word(&network, offset + 4 * index as u32);
            match part(mask) {
                0 => None,
                u32::MAX => Some(load.is(part(address))),
                mask => Some(load.and(mask).is(part(address))),
            }
        }))
    }

    /// A DECnet phase IV node, in data packets with a short or a long header, with up to a byte of padding before it. Numbers
    /// are little-endian.
    pub(super) fn decnet_host(
        &self,
        place: &Place,
        direction: Direction,
        address: u16,
        span: Span,
    ) -> Result<Test> {
        let network = place.network_header();
        let node = u32::from(address.swap_bytes());
        let at = |short: u32, long: u32| {
            let padded = |flags: u32| self.half(&network, 2).and(0xff07).is(0x8100 | flags);
            let plain = |flags: u32| self.byte(&network, 2).and(0x07).is(flags);
            let is = |offset: u32| self.half(&network, offset).is(node);
            any([
                all([plain(0x02), is(2 + short)]),
                all([padded(0x02), is(3 + short)]),
                all([plain(0x06), is(2 + long)]),
                all([padded(0x06), is(3 + long)]),
            ])
        };
        Ok(all([self.link_type(place, DECNET, span)?, ends(direction, at(3, 15), at(1, 7))]))
    }

    /// Not a fragment behind the first (RFC 791 3.1).
    pub(super) fn first_fragment(&self, place: &Place) -> Test {
        super::not(self.half(&place.network_header(), 6).has(0x1fff))
    }

    /// Start of what an IPv4 header carries, to which the offset of the link layer's payload is to be added.
    pub(super) fn behind_ip(&self, place: &Place) -> super::place::Offset {
        use super::place::Offset;
        use crate::filter::ir::Operator;
        let network = place.network_header();
        match &network.from {
            None => Offset::behind(Value::HeaderLength { at: network.at }, network.at),
            Some(from) => {
                let words = self.byte(&network, 0).and(0x0f);
                let length =
                    words.join(Operator::ShiftLeft, Value::Constant(2)).join(Operator::Add, from.clone());
                Offset::behind(length, network.at)
            }
        }
    }
}

/// The number by which a link layer tells of a protocol, if it does.
pub(super) fn link_number(protocol: Protocol) -> Option<u32> {
    Some(match protocol {
        Protocol::Ip => IP,
        Protocol::Ip6 => IP6,
        Protocol::Arp => ARP,
        Protocol::Rarp => RARP,
        Protocol::Atalk => APPLETALK,
        Protocol::Aarp => APPLETALK_ARP,
        Protocol::Decnet => DECNET,
        Protocol::Sca => 0x6007,
        Protocol::Lat => 0x6004,
        Protocol::Mopdl => 0x6001,
        Protocol::Moprc => 0x6002,
        Protocol::Iso => SAP_OSI,
        Protocol::Stp => SAP_BRIDGE,
        Protocol::Ipx => SAP_IPX,
        Protocol::Netbeui => SAP_NETBEUI,
        _ => return None,
    })
}

/// At the ends that were asked for.
pub(super) fn ends(direction: Direction, source: Test, destination: Test) -> Test {
    match direction {
        Direction::Source => source,
        Direction::Destination => destination,
        Direction::Both => all([source, destination]),
        _ => any([source, destination]),
    }
}
