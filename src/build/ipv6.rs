//! IPv6 (RFC 8200). Its extension headers are headers of their own.

use super::fields::{Fields, length_field};
use super::{Content, Header, Stack};
use crate::checksum::pseudo;
use std::net::Ipv6Addr;

/// An IPv6 header.
///
/// A payload too long for its 16-bit length gets 0 there: a jumbogram, if a
/// [`HopByHop::jumbo`](super::HopByHop::jumbo) header is what it wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    traffic_class: u8,
    flow_label: u32,
    hop_limit: u8,
    next_header: Option<u8>,
    payload_length: Option<u16>,
}

impl Ipv6 {
    /// From one address to another: hop limit 64. Around a routing header with segments left, `destination` is
    /// the next stop.
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            flow_label: 0,
            hop_limit: 64,
            next_header: None,
            payload_length: None,
        }
    }

    /// Traffic class.
    #[must_use]
    pub const fn traffic_class(self, traffic_class: u8) -> Self {
        Self { traffic_class, ..self }
    }

    /// The low 20 bits of a flow label.
    #[must_use]
    pub const fn flow_label(self, flow_label: u32) -> Self {
        Self { flow_label: flow_label & 0x000f_ffff, ..self }
    }

    /// Hop limit.
    #[must_use]
    pub const fn hop_limit(self, hop_limit: u8) -> Self {
        Self { hop_limit, ..self }
    }

    /// Next header, whatever it wraps.
    #[must_use]
    pub const fn next_header(self, next_header: u8) -> Self {
        Self { next_header: Some(next_header), ..self }
    }

    /// Payload length, whatever the length is.
    #[must_use]
    pub const fn payload_length(self, payload_length: u16) -> Self {
        Self { payload_length: Some(payload_length), ..self }
    }
}

impl Header for Ipv6 {
    fn wrap(&self, stack: &mut Stack) {
        let source = stack.pseudo_source.take().unwrap_or(self.source);
        let destination = stack.pseudo_destination.take().unwrap_or(self.destination);
        stack.settle(|protocol, length| pseudo::v6(source, destination, protocol, length));
        let header = Fields::<40>::new()
            .u32(6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label)
            .u16(self.payload_length.unwrap_or_else(|| length_field(stack.bytes().len())))
            .u8(self.next_header.unwrap_or(stack.content().protocol()))
            .u8(self.hop_limit)
            .put(&self.source.octets())
            .put(&self.destination.octets());
        stack.prepend(header.as_bytes(), Content::Ipv6);
    }
}
