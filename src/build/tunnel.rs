//! Tunnels: GRE, ERSPAN, VXLAN, Geneve, GTP-U. IP in IP needs no header of its own, nor does Teredo:
//! wrap one IP header in another, or in UDP.

use super::fields::{Fields, length_field};
use super::{Checksum, Content, Header, Stack};

/// GRE (RFC 2784, RFC 2890), around an IP packet, an Ethernet frame or [`Erspan`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gre {
    checksum: Option<Checksum>,
    key: Option<u32>,
    sequence: Option<u32>,
}

impl Gre {
    /// The 4-byte header.
    #[must_use]
    pub const fn new() -> Self {
        Self { checksum: None, key: None, sequence: None }
    }

    /// With a checksum field that holds this.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum: Some(checksum), ..self }
    }

    /// With a key.
    #[must_use]
    pub const fn key(self, key: u32) -> Self {
        Self { key: Some(key), ..self }
    }

    /// With a sequence number.
    #[must_use]
    pub const fn sequence(self, sequence: u32) -> Self {
        Self { sequence: Some(sequence), ..self }
    }
}

impl Header for Gre {
    fn wrap(&self, stack: &mut Stack) {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = flag(self.checksum.is_some(), 0x8000)
            | flag(self.key.is_some(), 0x2000)
            | flag(self.sequence.is_some(), 0x1000);
        let mut header = Fields::<16>::new().u16(flags).u16(stack.content().ether_type());
        let checksum = self.checksum.map(|_| 0);
        for word in [checksum, self.key, self.sequence].into_iter().flatten() {
            header = header.u32(word);
        }
        stack.prepend(header.as_bytes(), Content::Transport(47));
        if let Some(checksum) = self.checksum {
            stack.seal(4, stack.bytes().len(), checksum);
        }
    }
}

/// ERSPAN type II, to be wrapped in [`Gre`] with a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erspan {
    session: u16,
}

impl Erspan {
    /// A mirrored Ethernet frame of a session, 0 to 1023.
    #[must_use]
    pub const fn new(session: u16) -> Self {
        Self { session: session & 0x03ff }
    }
}

impl Header for Erspan {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<8>::new().u16(0x1000).u16(self.session).u32(0);
        stack.prepend(header.as_bytes(), Content::Network(0x88be));
    }
}

/// VXLAN (RFC 7348), around an Ethernet frame; to be wrapped in UDP to port 4789.
///
/// ```
/// use wharf::build::{Ethernet, Ipv4, Stack, Tcp, Udp, Vxlan};
/// let (a, b) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
/// let mut stack = Stack::new();
/// stack
///     .message(b"inside")
///     .wrap(Tcp::new(40_000, 80))
///     .wrap(Ipv4::new([192, 168, 0, 1], [192, 168, 0, 2]))
///     .wrap(Ethernet::new(a, b))
///     .wrap(Vxlan::new(42))
///     .wrap(Udp::new(50_000, 4789))
///     .wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]))
///     .wrap(Ethernet::new(a, b));
/// assert_eq!(stack.bytes().len(), 14 + 20 + 8 + 8 + 14 + 20 + 20 + 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    network: u32,
}

impl Vxlan {
    /// The low 24 bits of a network identifier.
    #[must_use]
    pub const fn new(network: u32) -> Self {
        Self { network: network & 0x00ff_ffff }
    }
}

impl Header for Vxlan {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<8>::new().u32(0x0800_0000).u32(self.network << 8);
        stack.prepend(header.as_bytes(), Content::Data);
    }
}

/// Geneve (RFC 8926), around an Ethernet frame or an IP packet; to be wrapped in UDP to port 6081.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geneve<'a> {
    network: u32,
    options: &'a [u8],
}

impl<'a> Geneve<'a> {
    /// The low 24 bits of a network identifier, no options.
    #[must_use]
    pub const fn new(network: u32) -> Self {
        Self { network: network & 0x00ff_ffff, options: &[] }
    }

    /// Options as they stand in the packet: the first 252 bytes, filled up with zeroes to a multiple of 4.
    #[must_use]
    pub fn options(self, options: &'a [u8]) -> Self {
        Self { options: &options[..options.len().min(252)], ..self }
    }
}

impl Header for Geneve<'_> {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<260>::new()
            .u8(self.options.len().div_ceil(4) as u8)
            .u8(0)
            .u16(stack.content().ether_type())
            .u32(self.network << 8)
            .put(self.options)
            .pad(4);
        stack.prepend(header.as_bytes(), Content::Data);
    }
}

/// GTP version 1, user plane (3GPP TS 29.281 section 5.1), around an IP packet; to be wrapped in UDP to port 2152.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gtpu {
    tunnel: u32,
    sequence: Option<u16>,
}

impl Gtpu {
    /// A packet (message type 255) for a tunnel endpoint.
    #[must_use]
    pub const fn new(tunnel: u32) -> Self {
        Self { tunnel, sequence: None }
    }

    /// With a sequence number, which makes the header 12 bytes long.
    #[must_use]
    pub const fn sequence(self, sequence: u16) -> Self {
        Self { sequence: Some(sequence), ..self }
    }
}

impl Header for Gtpu {
    fn wrap(&self, stack: &mut Stack) {
        let optional = if self.sequence.is_some() { 4 } else { 0 };
        let length = length_field(stack.bytes().len() + optional);
        let flags = if self.sequence.is_some() { 0x32 } else { 0x30 };
        let mut header = Fields::<12>::new().u8(flags).u8(255).u16(length).u32(self.tunnel);
        if let Some(sequence) = self.sequence {
            header = header.u16(sequence).u16(0);
        }
        stack.prepend(header.as_bytes(), Content::Data);
    }
}
