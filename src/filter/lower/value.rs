//! Values and comparisons. A header's bytes are there only if the header is: each `tcp[13]` brings a test along.

use super::network::{ICMP6, SCTP, TCP, UDP};
use super::place::{IP, IP6, Link, Offset, Place};
use super::{Lowering, Result, Site, all};
use crate::filter::ast::{self, Arithmetic, Protocol};
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Operator, Relation, Test, Value, Width};
use crate::filter::words::word_of;
use crate::frame::LinkType;

/// Bytes of a tag that the kernel has taken out, which stood behind the two addresses.
const TAG: u32 = 4;
const BEFORE_TAG: u32 = 12;

/// The kernel adds offsets as 32-bit numbers, of which those from 2^31 on are negative; headers take no more than the difference.
const FARTHEST: u64 = (1 << 31) - (1 << 17);

impl Lowering {
    pub(super) fn comparison(
        &self,
        place: &Place,
        left: &Arithmetic,
        relation: ast::Relation,
        right: &Arithmetic,
        _: Span,
    ) -> Result<Test> {
        let mut guards = Vec::new();
        let left = self.value(place, left, &mut guards)?;
        let right = self.value(place, right, &mut guards)?;
        let relation = match relation {
            ast::Relation::Equal => Relation::Equal,
            ast::Relation::NotEqual => Relation::NotEqual,
            ast::Relation::Less => Relation::Less,
            ast::Relation::LessOrEqual => Relation::LessOrEqual,
            ast::Relation::Greater => Relation::Greater,
            ast::Relation::GreaterOrEqual => Relation::GreaterOrEqual,
        };
        guards.push(left.compare(relation, right));
        Ok(all(guards))
    }

    /// A value, and what must hold before it is asked for.
    fn value(&self, place: &Place, arithmetic: &Arithmetic, guards: &mut Vec<Test>) -> Result<Value> {
        Ok(match arithmetic {
            Arithmetic::Number(number) => Value::Constant(*number),
            Arithmetic::Length if place.tag_out => Value::Length.join(Operator::Add, Value::Constant(TAG)),
            Arithmetic::Length => Value::Length,
            Arithmetic::Negate(value) => Value::Negate(Box::new(self.value(place, value, guards)?)),
            Arithmetic::Binary { operator, left, right, span } => {
                let left = self.value(place, left, guards)?;
                let right = self.value(place, right, guards)?;
                let is_shift = matches!(operator, Operator::ShiftLeft | Operator::ShiftRight);
                if is_shift && self.site == Site::Socket && !matches!(right, Value::Constant(_)) {
                    // The caller then leaves it to the evaluator.
                    let reason = "the kernel shifts by a number that depends on the packet modulo 32";
                    return Err(Fault::new(*span, reason));
                }
                left.join(*operator, right)
            }
            Arithmetic::Bytes { protocol, at, width, span } => {
                let at = self.value(place, at, guards)?;
                if self.site == Site::Socket && !matches!(at, Value::Constant(_)) && most(&at) > FARTHEST {
                    let reason = "the kernel may take an offset that depends on the packet as negative";
                    return Err(Fault::new(*span, reason));
                }
                let width = match width {
                    1 => Width::Byte,
                    2 => Width::Half,
                    _ => Width::Word,
                };
                self.bytes(place, *protocol, at, width, *span, guards)?
            }
        })
    }

    fn bytes(
        &self,
        place: &Place,
        protocol: Protocol,
        at: Value,
        width: Width,
        span: Span,
        guards: &mut Vec<Test>,
    ) -> Result<Value> {
        let network = place.network_header();
        let base = match protocol {
            Protocol::Link => {
                if place.tag_out && place.geneve.is_none() && place.header == Offset::fixed(0) {
                    return self.beside_tag(at, width, span);
                }
                place.header.clone()
            }
            Protocol::Radio => match self.link_type {
                LinkType::IEEE802_11_PRISM | LinkType::IEEE802_11_RADIOTAP | LinkType::IEEE802_11_AVS
                    if place.link == Link::Wireless =>
                {
                    Offset::fixed(0)
                }
                _ => {
                    return Err(Fault::new(
                        span,
                        format!("link type {} has no radio header", self.link_type),
                    ));
                }
            },
            Protocol::Ip
            | Protocol::Ip6
            | Protocol::Arp
            | Protocol::Rarp
            | Protocol::Atalk
            | Protocol::Decnet
            | Protocol::Sca
            | Protocol::Lat
            | Protocol::Moprc
            | Protocol::Mopdl => {
                guards.push(self.guard(place, protocol, span)?);
                network
            }
            Protocol::Icmp6 => {
                guards.push(self.link_type(place, IP6, span)?);
                guards.push(self.byte(&network, 6).is(ICMP6));
                network.plus(40)
            }
            _ => {
                let number = match protocol {
                    Protocol::Tcp => TCP,
                    Protocol::Udp => UDP,
                    Protocol::Sctp => SCTP,
                    Protocol::Icmp => 1,
                    Protocol::Igmp => 2,
                    Protocol::Igrp => 9,
                    Protocol::Pim => 103,
                    Protocol::Vrrp | Protocol::Carp => 112,
                    other => {
                        let reason = format!("bytes of `{}` cannot be asked for", word_of(other));
                        return Err(Fault::new(span, reason));
                    }
                };
                guards.push(self.link_type(place, IP, span)?);
                guards.push(self.byte(&network, 9).is(number));
                guards.push(self.first_fragment(place));
                self.behind_ip(place)
            }
        };
        if let Some(from) = &base.from {
            self.note_value(from);
        }
        Ok(match (at, base.from) {
            (Value::Constant(at), None) => Value::Load { from: None, at: base.at.wrapping_add(at), width },
            (Value::Constant(at), Some(from)) => Value::load(from, base.at.wrapping_add(at), width),
            (at, None) => Value::load(at, base.at, width),
            (at, Some(from)) => Value::load(at.join(Operator::Add, from), base.at, width),
        })
    }

    /// Bytes of the link layer, as if the tag were still there.
    fn beside_tag(&self, at: Value, width: Width, span: Span) -> Result<Value> {
        debug_assert_eq!(self.site, Site::Socket);
        match at {
            Value::Constant(at) if at.saturating_add(width.bytes()) <= BEFORE_TAG => {
                Ok(Value::Load { from: None, at, width })
            }
            Value::Constant(at) if at >= BEFORE_TAG + TAG => {
                Ok(Value::Load { from: None, at: at - TAG, width })
            }
            // The caller then leaves it to whoever has the whole frame.
            _ => Err(Fault::new(span, "bytes of a tag that the kernel keeps beside the frame")),
        }
    }
}

/// No less than what the value may be.
fn most(value: &Value) -> u64 {
    const ANY: u64 = u32::MAX as u64;
    let number = match value {
        Value::Constant(constant) => (*constant).into(),
        Value::Load { width: Width::Byte, .. } => 0xff,
        Value::Load { width: Width::Half, .. } => 0xffff,
        Value::HeaderLength { .. } => 60,
        Value::Arithmetic(operator, left, right) => {
            let (a, b) = (most(left), most(right));
            match (operator, &**right) {
                (Operator::Add, _) => a + b,
                (Operator::Multiply, _) => a * b,
                (Operator::And, _) => a.min(b),
                // All bits below the highest one.
                (Operator::Or | Operator::Xor, _) => (a.max(b) + 1).next_power_of_two() - 1,
                (Operator::Remainder, _) => a.min(b),
                (Operator::Divide, _) => a,
                (Operator::ShiftLeft, Value::Constant(bits @ 0..=31)) => a << bits,
                (Operator::ShiftRight, Value::Constant(bits @ 0..=31)) => a >> bits,
                (Operator::ShiftRight, _) => a,
                _ => ANY,
            }
        }
        _ => ANY,
    };
    // Beyond 32 bits it wraps.
    if number > ANY { ANY } else { number }
}
