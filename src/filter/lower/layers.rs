//! Primitives that pass a header: what follows them is asked of what is behind it.

use super::network::link_number;
use super::place::{self, BRIDGED, IP, IP6, Link, Offset, Place};
use super::{Lowering, Result, Way, all, any, not, stay};
use crate::filter::ast::{Direction, Protocol, Transport};
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Metadata, Operator, Test, Value};

const GENEVE_PORT: u16 = 6081;
/// MPLS over PPP (RFC 3032 4).
const PPP_MPLS: u32 = 0x0281;
/// Bytes of a UDP header, of Geneve's without options (RFC 8926), and of Ethernet's.
const UDP_HEADER: u32 = 8;
const GENEVE_HEADER: u32 = 8;
/// Bytes of a tag, and of a label stack entry.
const TAG: u32 = 4;

impl Lowering {
    pub(super) fn vlan(&self, place: &Place, number: Option<u32>, span: Span) -> Result<Vec<Way>> {
        if place.labels > 0 {
            return Err(Fault::new(span, "`vlan` behind `mpls`: there are no tags behind labels"));
        }
        if !matches!(place.link, Link::Ethernet | Link::Wireless) {
            return Err(Fault::new(span, format!("link type {} has no VLAN tags", self.link_type)));
        }
        if place.before_tag() {
            let tag = Value::Metadata(Metadata::VlanTag);
            let test = number.map_or(Test::True, |number| tag.and(0xfff).is(number));
            return Ok(vec![Way { test, place: Place { tags: 1, ..place.clone() } }]);
        }
        let kinds = [place::VLAN, place::SERVICE_VLAN, place::OLD_SERVICE_VLAN];
        let kinds = kinds.map(|kind| self.link_type(place, kind, span));
        let tagged = any(kinds.into_iter().collect::<Result<Vec<_>>>()?);
        let control = self.half(&place.network_header(), 0);
        let test = number.map_or(Test::True, |number| control.and(0xfff).is(number));
        let behind = Place {
            payload: place.payload.plus(TAG),
            kind: place.kind.plus(TAG),
            tags: place.tags + 1,
            ..place.clone()
        };
        Ok(vec![Way { test: all([tagged, test]), place: behind }])
    }

    pub(super) fn mpls(&self, place: &Place, label: Option<u32>, span: Span) -> Result<Vec<Way>> {
        let entry = place.network_header();
        let first = if place.labels > 0 {
            // The one before is not the bottom of the stack.
            not(self.byte(&entry.plus(2_u32.wrapping_sub(TAG)), 0).has(0x01))
        } else {
            match place.link {
                Link::Ethernet | Link::CiscoHdlc => self.link_type(place, place::MPLS, span)?,
                Link::Ppp => self.link_type(place, PPP_MPLS, span)?,
                _ => {
                    return Err(Fault::new(
                        span,
                        format!("`mpls` has no meaning on link type {}", self.link_type),
                    ));
                }
            }
        };
        let test = label.map_or(Test::True, |label| self.word(&entry, 0).and(0xffff_f000).is(label << 12));
        let behind = Place {
            network: place.network.wrapping_add(TAG),
            network_over_llc: place.network_over_llc.wrapping_add(TAG),
            labels: place.labels + 1,
            ..place.clone()
        };
        Ok(vec![Way { test: all([first, test]), place: behind }])
    }

    /// Behind the bottom of a label stack only the IP version tells what follows.
    pub(super) fn behind_labels(&self, place: &Place, protocol: u32, span: Span) -> Result<Test> {
        let network = place.network_header();
        let version = match protocol {
            IP => 0x40,
            IP6 => 0x60,
            _ => return Err(Fault::new(span, "behind `mpls` only IPv4 and IPv6 can be told")),
        };
        let bottom = self.byte(&network.plus(2_u32.wrapping_sub(TAG)), 0).has(0x01);
        Ok(all([bottom, self.byte(&network, 0).and(0xf0).is(version)]))
    }

    pub(super) fn pppoe_session(&self, place: &Place, session: Option<u32>, span: Span) -> Result<Vec<Way>> {
        let header = place.network_header();
        let is = self.link_type(place, place::PPPOE_SESSION, span)?;
        let test = session.map_or(Test::True, |session| self.word(&header, 0).and(0xffff).is(session));
        let inner = header.plus(6);
        let behind = Place {
            link: Link::Ppp,
            kind: inner.clone(),
            payload: inner.plus(2),
            header: inner,
            network: 0,
            network_over_llc: 0,
            ..place.clone()
        };
        Ok(vec![Way { test: all([is, test]), place: behind }])
    }

    /// Over IPv4 or IPv6, and with Ethernet inside or without: four places to go on from.
    pub(super) fn geneve(&self, place: &Place, network: Option<u32>, span: Span) -> Result<Vec<Way>> {
        let port = (GENEVE_PORT, GENEVE_PORT);
        let over_ip = self.ports4(place, Some(Transport::Udp), Direction::Destination, port, span)?;
        let over_ip6 = self.ports6(place, Some(Transport::Udp), Direction::Destination, port, span)?;
        let behind_ip = self.behind_ip(place).plus(UDP_HEADER);
        let behind_ip6 = place.network_header().plus(40 + UDP_HEADER);
        let mut ways = self.within_geneve(place, over_ip, &behind_ip, network);
        ways.extend(self.within_geneve(place, over_ip6, &behind_ip6, network));
        ways.retain(|way| way.test != Test::False);
        Ok(if ways.is_empty() { stay(place, Test::False) } else { ways })
    }

    fn within_geneve(&self, place: &Place, outer: Test, geneve: &Offset, network: Option<u32>) -> Vec<Way> {
        let version = self.byte(geneve, 0).and(0xc0).is(0);
        let network =
            network.map_or(Test::True, |number| self.word(geneve, 4).and(0xffff_ff00).is(number << 8));
        let is = all([outer, version, network]);
        let options = self.byte(geneve, 0).and(0x3f).join(Operator::ShiftLeft, Value::Constant(2));
        let from = match &geneve.from {
            Some(from) => options.join(Operator::Add, from.clone()),
            None => options,
        };
        let inner = Offset::behind(from, geneve.at + GENEVE_HEADER);
        let bridged = |expected| {
            let test = self.half(geneve, 2).is(BRIDGED);
            if expected { test } else { not(test) }
        };
        let behind = |ethernet: bool| Place {
            link: Link::Ethernet,
            header: inner.clone(),
            kind: if ethernet { inner.plus(12) } else { geneve.plus(2) },
            payload: if ethernet { inner.plus(14) } else { inner.clone() },
            network: 0,
            geneve: Some(ethernet),
            ..place.clone()
        };
        [true, false]
            .map(|ethernet| Way { test: all([is.clone(), bridged(ethernet)]), place: behind(ethernet) })
            .into()
    }

    /// Whether a header's bytes can be asked for: only if it is there.
    pub(super) fn guard(&self, place: &Place, protocol: Protocol, span: Span) -> Result<Test> {
        match link_number(protocol) {
            Some(number) => self.link_type(place, number, span),
            None => Ok(Test::True),
        }
    }
}
