//! Ports.

use super::network::{SCTP, TCP, UDP, ends};
use super::place::{IP, IP6, Offset, Place};
use super::{Lowering, Result, all, any};
use crate::filter::ast::{Direction, Transport};
use crate::filter::error::Span;
use crate::filter::ir::{Relation, Test, Value};

impl Lowering {
    /// Ports from the first to the second, over IPv6 without extension headers and over IPv4 in first fragments.
    pub(super) fn ports(
        &self,
        place: &Place,
        transport: Option<Transport>,
        direction: Direction,
        range: (u16, u16),
        span: Span,
    ) -> Result<Test> {
        Ok(any([
            self.ports6(place, transport, direction, range, span)?,
            self.ports4(place, transport, direction, range, span)?,
        ]))
    }

    pub(super) fn ports4(
        &self,
        place: &Place,
        transport: Option<Transport>,
        direction: Direction,
        range: (u16, u16),
        span: Span,
    ) -> Result<Test> {
        let header = self.behind_ip(place);
        Ok(all([
            self.link_type(place, IP, span)?,
            self.transport(&place.network_header().plus(9), transport),
            self.first_fragment(place),
            ends(direction, self.port(&header, range), self.port(&header.plus(2), range)),
        ]))
    }

    pub(super) fn ports6(
        &self,
        place: &Place,
        transport: Option<Transport>,
        direction: Direction,
        range: (u16, u16),
        span: Span,
    ) -> Result<Test> {
        let network = place.network_header();
        let header = network.plus(40);
        Ok(all([
            self.link_type(place, IP6, span)?,
            self.transport(&network.plus(6), transport),
            ends(direction, self.port(&header, range), self.port(&header.plus(2), range)),
        ]))
    }

    fn transport(&self, protocol: &Offset, transport: Option<Transport>) -> Test {
        let is = |number| self.byte(protocol, 0).is(number);
        match transport {
            Some(Transport::Tcp) => is(TCP),
            Some(Transport::Udp) => is(UDP),
            Some(Transport::Sctp) => is(SCTP),
            None => any([is(SCTP), is(TCP), is(UDP)]),
        }
    }

    fn port(&self, at: &Offset, (low, high): (u16, u16)) -> Test {
        let port = || self.half(at, 0);
        if low == high {
            return port().is(low.into());
        }
        all([
            port().compare(Relation::GreaterOrEqual, Value::Constant(low.into())),
            port().compare(Relation::LessOrEqual, Value::Constant(high.into())),
        ])
    }
}
