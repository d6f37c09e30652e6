//! `protochain`: a protocol behind any number of extension headers, up to [`LONGEST`].
//!
//! libpcap's program for it jumps backward, which no kernel takes; this one has the loop rolled out. Libpcap also forgets
//! where it was behind an authentication header.

use super::place::{IP, IP6, Place};
use super::{Lowering, Result, all, any};
use crate::filter::ast::Protocol;
use crate::filter::error::{Fault, Span};
use crate::filter::ir::{Operator, Test, Value, Width};

/// Extension headers that are looked behind.
const LONGEST: usize = 8;

const AUTHENTICATION: u32 = 51;
/// Hop-by-hop options, routing, fragment, destination options (RFC 8200 4.1).
const EXTENSIONS: [u32; 4] = [0, 43, 44, 60];

impl Lowering {
    pub(super) fn chains(
        &self,
        place: &Place,
        within: Option<Protocol>,
        number: u32,
        span: Span,
    ) -> Result<Test> {
        let network = place.network_header();
        if network.from.is_some() {
            return Err(Fault::new(span, "`protochain` behind headers of variable length is not supported"));
        }
        match within {
            Some(Protocol::Ip) => {
                let header =
                    Value::HeaderLength { at: network.at }.join(Operator::Add, Value::Constant(network.at));
                let chain = self.chain(self.byte(&network, 9), header, number, &[], LONGEST);
                Ok(all([self.link_type(place, IP, span)?, chain]))
            }
            Some(Protocol::Ip6) => {
                let header = Value::Constant(network.at + 40);
                let chain = self.chain(self.byte(&network, 6), header, number, &EXTENSIONS, LONGEST);
                Ok(all([self.link_type(place, IP6, span)?, chain]))
            }
            _ => Ok(any([
                self.chains(place, Some(Protocol::Ip), number, span)?,
                self.chains(place, Some(Protocol::Ip6), number, span)?,
            ])),
        }
    }

    /// Whether what comes next is that, or an extension header at `at` behind which it comes.
    fn chain(&self, next: Value, at: Value, number: u32, extensions: &[u32], left: usize) -> Test {
        let (kind, position) = (self.local(), self.local());
        let next_is = |number| Value::Local(kind).is(number);
        let byte = |offset| Value::load(Value::Local(position), offset, Width::Byte);
        let found = next_is(number);
        let body = if left == 0 {
            found
        } else {
            // In units of 8 bytes beyond the first; of authentication headers 4 bytes beyond the second (RFC 4302 2.2).
            let eights =
                byte(1).join(Operator::Add, Value::Constant(1)).join(Operator::ShiftLeft, Value::Constant(3));
            let fours =
                byte(1).join(Operator::Add, Value::Constant(2)).join(Operator::ShiftLeft, Value::Constant(2));
            let behind = |length: Value| length.join(Operator::Add, Value::Local(position));
            let length = if extensions.is_empty() {
                fours
            } else {
                Value::Choose {
                    when: Box::new(next_is(AUTHENTICATION)),
                    then: Box::new(fours),
                    otherwise: Box::new(eights),
                }
            };
            let extension = any(extensions.iter().copied().chain([AUTHENTICATION]).map(next_is));
            any([found, all([extension, self.chain(byte(0), behind(length), number, extensions, left - 1)])])
        };
        let body = Test::Let { local: position, value: at, body: Box::new(body) };
        Test::Let { local: kind, value: next, body: Box::new(body) }
    }
}
