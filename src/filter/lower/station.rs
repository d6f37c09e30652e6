//! Stations: addresses of the link layer, broadcast and multicast.

use super::network::ends;
use super::place::{IP, IP6, Link, Offset, Place};
use super::{Lowering, Result, all, any, not};
use crate::filter::ast::{Address, Direction, Protocol};
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Relation, Test, Value};

const BROADCAST: [u8; 6] = [0xff; 6];
/// ARCNET's only address for more than one station.
const ARCNET_BROADCAST: u8 = 0;

/// Bits of the first two bytes of an IEEE 802.11 frame.
const CONTROL: u32 = 0x04;
const DATA: u32 = 0x08;
const TO_DS: u32 = 0x01;
const FROM_DS: u32 = 0x02;

impl Lowering {
    /// `ether host` and the like.
    pub(super) fn station(
        &self,
        place: &Place,
        direction: Direction,
        address: [u8; 6],
        span: Span,
    ) -> Result<Test> {
        let is_wireless = place.link == Link::Wireless;
        if matches!(direction, Direction::Address(_) | Direction::Receiver | Direction::Transmitter)
            && !is_wireless
        {
            return Err(Fault::new(span, "`addr1` to `addr4`, `ra` and `ta` are IEEE 802.11's"));
        }
        let at = |source, destination| {
            ends(
                direction,
                self.address(&place.header.plus(source), address),
                self.address(&place.header.plus(destination), address),
            )
        };
        Ok(match place.link {
            Link::Ethernet => all([has_ethernet(place), at(6, 0)]),
            Link::Fddi => at(7, 1),
            Link::TokenRing => at(8, 2),
            Link::FibreChannel => at(10, 2),
            Link::Wireless => self.wireless_station(place, direction, address),
            _ => {
                let reason = format!("link type {} has no Ethernet addresses", self.link_type);
                return Err(Fault::new(span, reason));
            }
        })
    }

    /// Six bytes, the last ones first: they differ most.
    fn address(&self, at: &Offset, address: [u8; 6]) -> Test {
        let [a, b, c, d, e, f] = address;
        all([
            self.word(at, 2).is(u32::from_be_bytes([c, d, e, f])),
            self.half(at, 0).is(u16::from_be_bytes([a, b]).into()),
        ])
    }

    pub(super) fn arcnet_host(
        &self,
        place: &Place,
        direction: Direction,
        address: u8,
        span: Span,
    ) -> Result<Test> {
        if place.link != Link::Arcnet {
            return Err(Fault::new(span, format!("link type {} has no ARCNET addresses", self.link_type)));
        }
        let is = |at| self.byte(&place.header, at).is(address.into());
        Ok(ends(direction, is(0), is(1)))
    }

    /// Where an IEEE 802.11 frame has which address depends on its type and way through the distribution system.
    fn wireless_station(&self, place: &Place, direction: Direction, address: [u8; 6]) -> Test {
        let at = |offset| self.address(&place.header.plus(offset), address);
        let is_data = || self.byte(&place.header, 0).has(DATA);
        match direction {
            Direction::Source => self.by_way(place, Test::False, |from_ds, to_ds| match (from_ds, to_ds) {
                (false, _) => at(10),
                (true, false) => at(16),
                (true, true) => at(24),
            }),
            Direction::Destination => {
                self.by_way(place, Test::False, |_, to_ds| if to_ds { at(16) } else { at(4) })
            }
            Direction::Both => all([
                self.wireless_station(place, Direction::Source, address),
                self.wireless_station(place, Direction::Destination, address),
            ]),
            Direction::Either => any([
                self.wireless_station(place, Direction::Source, address),
                self.wireless_station(place, Direction::Destination, address),
            ]),
            Direction::Address(1) => at(4),
            Direction::Address(2) => all([self.has_second_address(place), at(10)]),
            Direction::Address(3) => all([not(self.is_control(place)), at(16)]),
            Direction::Address(_) => {
                let both = self.byte(&place.header, 1).and(TO_DS | FROM_DS).is(TO_DS | FROM_DS);
                all([both, at(24)])
            }
            Direction::Receiver => all([is_data(), at(4)]),
            Direction::Transmitter => all([is_data(), self.has_second_address(place), at(10)]),
        }
    }

    /// A test of management frames, which go by no distribution system, and of data frames by their way. Control frames are
    /// what is left: for them it is `control`.
    fn by_way(&self, place: &Place, control: Test, of: impl Fn(bool, bool) -> Test) -> Test {
        let type_bit = || self.byte(&place.header, 0).has(DATA);
        let is_control = self.byte(&place.header, 0).has(CONTROL);
        let way = |bit| self.byte(&place.header, 1).has(bit);
        let to_or_not =
            |from_ds| any([all([way(TO_DS), of(from_ds, true)]), all([not(way(TO_DS)), of(from_ds, false)])]);
        let data = match of(false, true) == of(false, false) {
            true => any([all([not(way(FROM_DS)), of(false, false)]), all([way(FROM_DS), to_or_not(true)])]),
            false => to_or_not(false),
        };
        let others = any([all([not(type_bit()), of(false, false)]), all([type_bit(), data])]);
        any([all([not(is_control.clone()), others]), all([is_control, control])])
    }

    fn is_control(&self, place: &Place) -> Test {
        self.byte(&place.header, 0).and(DATA | CONTROL).is(CONTROL)
    }

    /// Not a clear-to-send or an acknowledgement.
    fn has_second_address(&self, place: &Place) -> Test {
        let subtype = |bits| self.byte(&place.header, 0).and(0xf0).is(bits);
        any([not(self.is_control(place)), all([not(subtype(0xc0)), not(subtype(0xd0))])])
    }

    /// Over this station, but neither from nor to its own addresses.
    pub(super) fn gateway(
        &self,
        place: &Place,
        address: [u8; 6],
        addresses: &[Address],
        span: Span,
    ) -> Result<Test> {
        let hosts = self.hosts(place, None, Direction::Either, addresses, span)?;
        Ok(all([self.station(place, Direction::Either, address, span)?, not(hosts)]))
    }

    pub(super) fn broadcast(&self, place: &Place, within: Option<Protocol>, span: Span) -> Result<Test> {
        match within {
            None | Some(Protocol::Link) if place.link == Link::Arcnet => {
                self.arcnet_host(place, Direction::Destination, ARCNET_BROADCAST, span)
            }
            None | Some(Protocol::Link) => self.station(place, Direction::Destination, BROADCAST, span),
            Some(Protocol::Ip) => {
                let Some(mask) = self.mask else {
                    let reason = "the mask of the network is not known, so `ip broadcast` has no meaning";
                    return Err(Fault::new(span, reason).hint("write the address: `dst host 10.0.0.255`"));
                };
                // Where one or two addresses are the whole network, none of them is for all (RFC 3021): 255.255.255.255 is.
                let hosts = if mask >= u32::MAX - 1 { u32::MAX } else { !mask };
                let destination = || self.word(&place.network_header(), 16).and(hosts);
                // All ones, and all zeros, as it was once (RFC 1122 3.3.6).
                let of_all = any([destination().is(0), destination().is(hosts)]);
                Ok(all([self.link_type(place, IP, span)?, of_all]))
            }
            Some(_) => Err(Fault::new(span, "only `ether` has `broadcast`")),
        }
    }

    pub(super) fn multicast(&self, place: &Place, within: Option<Protocol>, span: Span) -> Result<Test> {
        let network = place.network_header();
        let group = |at| self.byte(&place.header, at).has(1);
        Ok(match within {
            None | Some(Protocol::Link) => match place.link {
                Link::Ethernet => all([has_ethernet(place), group(0)]),
                Link::Arcnet => self.arcnet_host(place, Direction::Destination, ARCNET_BROADCAST, span)?,
                Link::Fddi => group(1),
                Link::TokenRing | Link::FibreChannel => group(2),
                Link::Wireless => {
                    self.by_way(place, Test::False, |_, to_ds| group(if to_ds { 16 } else { 4 }))
                }
                _ => {
                    let reason = format!("link type {} has no multicast addresses", self.link_type);
                    return Err(
                        Fault::new(span, reason).hint("`ip multicast` and `ip6 multicast` have a meaning")
                    );
                }
            },
            Some(Protocol::Ip) => all([
                self.link_type(place, IP, span)?,
                self.byte(&network, 16).compare(Relation::GreaterOrEqual, Value::Constant(224)),
            ]),
            Some(Protocol::Ip6) => all([self.link_type(place, IP6, span)?, self.byte(&network, 24).is(255)]),
            Some(_) => return Err(Fault::new(span, "only `ether`, `ip` and `ip6` have `multicast`")),
        })
    }
}

/// Geneve may carry packets without an Ethernet header.
fn has_ethernet(place: &Place) -> Test {
    if place.geneve == Some(false) { Test::False } else { Test::True }
}
