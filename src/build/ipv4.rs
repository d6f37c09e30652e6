//! IPv4 (RFC 791).

use super::fields::{Fields, length_field};
use super::{Checksum, Content, Header, Stack};
use crate::checksum::pseudo;
use std::net::Ipv4Addr;

/// An IPv4 header.
///
/// A packet too long for its 16-bit length gets 0 there, as Linux writes frames that are still to be segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4<'a> {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    service: u8,
    identification: u16,
    fragment: u16,
    ttl: u8,
    protocol: Option<u8>,
    total_length: Option<u16>,
    options: &'a [u8],
    checksum: Checksum,
}

impl<'a> Ipv4<'a> {
    /// From one address to another: time to live 64, no options, not a fragment.
    #[must_use]
    pub fn new(source: impl Into<Ipv4Addr>, destination: impl Into<Ipv4Addr>) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            service: 0,
            identification: 0,
            fragment: 0,
            ttl: 64,
            protocol: None,
            total_length: None,
            options: &[],
            checksum: Checksum::Right,
        }
    }

    /// Differentiated services and congestion notification: the byte once called type of service.
    #[must_use]
    pub const fn service(self, service: u8) -> Self {
        Self { service, ..self }
    }

    /// Identification, the same in all fragments of a packet.
    #[must_use]
    pub const fn identification(self, identification: u16) -> Self {
        Self { identification, ..self }
    }

    /// Must not be fragmented on its way.
    #[must_use]
    pub const fn dont_fragment(self) -> Self {
        Self { fragment: self.fragment | 0x4000, ..self }
    }

    /// Is a fragment: its place in bytes, a multiple of 8, and whether more follow. A checksum of what it
    /// wraps is taken over this fragment alone; [`fragments`](super::fragments) cuts a whole packet.
    #[must_use]
    pub const fn fragment(self, offset: u16, more: bool) -> Self {
        Self { fragment: (self.fragment & 0x4000) | ((more as u16) << 13) | (offset / 8), ..self }
    }

    /// Time to live.
    #[must_use]
    pub const fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// Protocol number, whatever it wraps.
    #[must_use]
    pub const fn protocol(self, protocol: u8) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// Total length, whatever the length is.
    #[must_use]
    pub const fn total_length(self, total_length: u16) -> Self {
        Self { total_length: Some(total_length), ..self }
    }

    /// Options as they stand in the packet: the first 40 bytes, filled up with zeroes to a multiple of 4.
    #[must_use]
    pub fn options(self, options: &'a [u8]) -> Self {
        Self { options: &options[..options.len().min(40)], ..self }
    }

    /// What the header checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Ipv4<'_> {
    fn wrap(&self, stack: &mut Stack) {
        stack.settle(|protocol, length| pseudo::v4(self.source, self.destination, protocol, length));
        let header_length = 20 + self.options.len().next_multiple_of(4);
        let total_length =
            self.total_length.unwrap_or_else(|| length_field(header_length + stack.bytes().len()));
        let header = Fields::<60>::new()
            .u8(0x40 | (header_length / 4) as u8)
            .u8(self.service)
            .u16(total_length)
            .u16(self.identification)
            .u16(self.fragment)
            .u8(self.ttl)
            .u8(self.protocol.unwrap_or(stack.content().protocol()))
            .u16(0)
            .put(&self.source.octets())
            .put(&self.destination.octets())
            .put(self.options)
            .pad(4);
        stack.prepend(header.as_bytes(), Content::Ipv4);
        stack.seal(10, header_length, self.checksum);
    }
}
