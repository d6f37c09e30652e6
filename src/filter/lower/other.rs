//! Lengths, bytes, direction, interfaces, and fields of IEEE 802.11 and of pf's log.

use super::place::{Link, Offset, Place};
use super::{Lowering, Result, Site, all, not};
use crate::filter::ast::{Arithmetic, ByteOperator, Operator, PfLog, Primitive, Protocol, Relation};
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Metadata, Test, Value};

/// `PACKET_OUTGOING` (`linux/if_packet.h`), also in cooked headers.
const OUTGOING: u32 = 4;

impl Lowering {
    /// A primitive that leads nowhere else and has no page of its own.
    pub(super) fn other(&self, place: &Place, primitive: &Primitive, span: Span) -> Result<Test> {
        let length = |relation, number: u32| {
            self.comparison(place, &Arithmetic::Length, relation, &Arithmetic::Number(number), span)
        };
        match primitive {
            Primitive::Less(most) => length(Relation::LessOrEqual, *most),
            Primitive::Greater(least) => length(Relation::GreaterOrEqual, *least),
            Primitive::Byte { at, operator, value } => self.byte_is(place, *at, *operator, *value, span),
            Primitive::Inbound => self.outbound(place, false),
            Primitive::Outbound => self.outbound(place, true),
            Primitive::InterfaceIndex(index) => self.interface(place, *index, span),
            Primitive::WirelessType { bits, mask } => {
                self.only(place, Link::Wireless, "has no type as IEEE 802.11 has it", span)?;
                Ok(self.byte(&place.header, 0).and(*mask).is(*bits))
            }
            Primitive::WirelessDirection(bits) => {
                self.only(place, Link::Wireless, "has no direction as IEEE 802.11 has it", span)?;
                Ok(self.byte(&place.header, 1).and(3).is(*bits))
            }
            Primitive::PfLog(field) => {
                self.only(place, Link::PfLog, "is no entry in pf's log (PFLOG)", span)?;
                Ok(self.pf_field(place, field))
            }
            _ => Err(Fault::new(span, "has no meaning here")),
        }
    }

    fn only(&self, place: &Place, link: Link, what: &str, span: Span) -> Result<()> {
        match place.link == link {
            true => Ok(()),
            false => Err(Fault::new(span, format!("a frame of link type {} {what}", self.link_type))),
        }
    }

    fn byte_is(
        &self,
        place: &Place,
        at: u32,
        operator: ByteOperator,
        value: u32,
        span: Span,
    ) -> Result<Test> {
        let byte = Arithmetic::Bytes {
            protocol: Protocol::Link,
            at: Box::new(Arithmetic::Number(at)),
            width: 1,
            span,
        };
        let plain = |relation| self.comparison(place, &byte, relation, &Arithmetic::Number(value), span);
        let joined = |operator| Arithmetic::Binary {
            operator,
            left: Box::new(byte.clone()),
            right: Box::new(Arithmetic::Number(value)),
            span,
        };
        let any_bit =
            |value| self.comparison(place, &value, Relation::NotEqual, &Arithmetic::Number(0), span);
        match operator {
            ByteOperator::Equal => plain(Relation::Equal),
            ByteOperator::Below => plain(Relation::Less),
            ByteOperator::Above => plain(Relation::Greater),
            ByteOperator::And => any_bit(joined(Operator::And)),
            ByteOperator::Or => any_bit(joined(Operator::Or)),
        }
    }

    /// Whether it was sent, or was not.
    fn outbound(&self, place: &Place, outbound: bool) -> Result<Test> {
        let header = &place.header;
        let (sent, received) = match place.link {
            Link::Cooked { version: 1 } => (self.half(header, 0).is(OUTGOING), None),
            Link::Cooked { .. } => (self.byte(header, 10).is(OUTGOING), None),
            Link::PppOfDaemon => (self.byte(header, 0).is(1), Some(self.byte(header, 0).is(0))),
            Link::Ipnet => (self.half(header, 2).is(1), Some(self.half(header, 2).is(2))),
            Link::Slip => (not(self.byte(header, 0).is(0)), None),
            Link::Juniper => (self.byte(header, 3).and(1).is(0), None),
            Link::PfLog => (self.byte(header, 60).is(2), Some(self.byte(header, 60).is(1))),
            _ => (Value::Metadata(Metadata::PacketType).is(OUTGOING), None),
        };
        Ok(if outbound { sent } else { received.unwrap_or_else(|| not(sent)) })
    }

    fn interface(&self, place: &Place, index: u32, span: Span) -> Result<Test> {
        match (place.link, self.site) {
            (Link::Cooked { version: 2 }, _) => Ok(self.word(&place.header, 4).is(index)),
            (_, Site::Socket) => Ok(Value::Metadata(Metadata::Interface).is(index)),
            _ => {
                let reason = format!(
                    "a frame of link type {} does not say by which interface it came",
                    self.link_type
                );
                Err(Fault::new(span, reason).hint("`ifindex` is for live captures and LINUX_SLL2"))
            }
        }
    }

    /// OpenBSD's `struct pfloghdr` (`net/if_pflog.h`).
    fn pf_field(&self, place: &Place, field: &PfLog) -> Test {
        let header = &place.header;
        match field {
            PfLog::Action(action) => self.byte(header, 2).is(*action),
            PfLog::Reason(reason) => self.byte(header, 3).is(*reason),
            PfLog::Interface(name) => self.text(&header.plus(4), name),
            PfLog::Ruleset(name) => self.text(&header.plus(20), name),
            PfLog::Rule(number) => self.word(header, 36).is(*number),
            PfLog::Subrule(number) => self.word(header, 40).is(*number),
        }
    }

    /// Bytes that begin with a text.
    fn text(&self, at: &Offset, text: &str) -> Test {
        let mut tests = Vec::new();
        let mut offset = 0;
        for part in text.as_bytes().chunks(4) {
            tests.push(match *part {
                [a, b, c, d] => self.word(at, offset).is(u32::from_be_bytes([a, b, c, d])),
                [a, b, c] => all([
                    self.half(at, offset).is(u16::from_be_bytes([a, b]).into()),
                    self.byte(at, offset + 2).is(c.into()),
                ]),
                [a, b] => self.half(at, offset).is(u16::from_be_bytes([a, b]).into()),
                _ => self.byte(at, offset).is(part.first().copied().unwrap_or_default().into()),
            });
            offset += 4;
        }
        all(tests)
    }
}
