//! Ethernet and what stands between it and the network layer: VLAN tags, MPLS, PPPoE, LLC/SNAP.

use super::fields::{Fields, length_field};
use super::{Content, Header, Stack};

/// An Ethernet II or 802.3 header.
///
/// What it wraps decides whether the type field holds an EtherType or, around [`Snap`], a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    source: [u8; 6],
    destination: [u8; 6],
    ether_type: Option<u16>,
}

impl Ethernet {
    /// From one address to another.
    #[must_use]
    pub fn new(source: impl Into<[u8; 6]>, destination: impl Into<[u8; 6]>) -> Self {
        Self { source: source.into(), destination: destination.into(), ether_type: None }
    }

    /// To every station.
    #[must_use]
    pub fn broadcast(source: impl Into<[u8; 6]>) -> Self {
        Self::new(source, [0xff; 6])
    }

    /// The EtherType or length, whatever it wraps.
    #[must_use]
    pub const fn ether_type(self, ether_type: u16) -> Self {
        Self { ether_type: Some(ether_type), ..self }
    }
}

impl Header for Ethernet {
    fn wrap(&self, stack: &mut Stack) {
        let kind = self.ether_type.unwrap_or_else(|| type_or_length(stack));
        let header = Fields::<14>::new().put(&self.destination).put(&self.source).u16(kind);
        stack.prepend(header.as_bytes(), Content::Ethernet);
    }
}

/// A VLAN tag (IEEE 802.1Q). Tags stack: the one wrapped last is the outermost.
///
/// ```
/// use wharf::build::{Ethernet, Ipv4, Stack, Udp, Vlan};
/// let mut stack = Stack::new();
/// stack
///     .message(b"")
///     .wrap(Udp::new(1, 2))
///     .wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]))
///     .wrap(Vlan::new(100))
///     .wrap(Vlan::new(7).priority(5).service())
///     .wrap(Ethernet::new([2; 6], [4; 6]));
/// assert_eq!(stack.bytes()[12..22], [0x88, 0xa8, 0xa0, 7, 0x81, 0x00, 0, 100, 0x08, 0x00]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    control: u16,
    tag_type: u16,
}

impl Vlan {
    /// A customer tag (0x8100) with the low 12 bits of `id`.
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self { control: id & 0x0fff, tag_type: 0x8100 }
    }

    /// Priority code point, 0 to 7.
    #[must_use]
    pub const fn priority(self, priority: u8) -> Self {
        Self { control: self.control & 0x1fff | (priority as u16) << 13, ..self }
    }

    /// Drop eligible.
    #[must_use]
    pub const fn drop_eligible(self) -> Self {
        Self { control: self.control | 0x1000, ..self }
    }

    /// A service tag (0x88a8, IEEE 802.1ad).
    #[must_use]
    pub const fn service(self) -> Self {
        self.tag_type(0x88a8)
    }

    /// The tag's own EtherType.
    #[must_use]
    pub const fn tag_type(self, tag_type: u16) -> Self {
        Self { tag_type, ..self }
    }
}

impl Header for Vlan {
    fn wrap(&self, stack: &mut Stack) {
        let tag = Fields::<4>::new().u16(self.control).u16(type_or_length(stack));
        stack.prepend(tag.as_bytes(), Content::Network(self.tag_type));
    }
}

/// IEEE 802.2 LLC with SNAP (RFC 1042).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snap;

impl Header for Snap {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<8>::new().put(&[0xaa, 0xaa, 3, 0, 0, 0]).u16(stack.content().ether_type());
        stack.prepend(header.as_bytes(), Content::Llc);
    }
}

/// An MPLS label (RFC 3032). Labels stack; the innermost one says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls {
    label: u32,
    ttl: u8,
}

impl Mpls {
    /// The low 20 bits of `label`, time to live 64.
    #[must_use]
    pub const fn new(label: u32) -> Self {
        Self { label: label & 0x000f_ffff, ttl: 64 }
    }

    /// Time to live.
    #[must_use]
    pub const fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }
}

impl Header for Mpls {
    fn wrap(&self, stack: &mut Stack) {
        let content = Content::Network(0x8847);
        let bottom = u32::from(stack.content() != content);
        stack.prepend(&(self.label << 12 | bottom << 8 | u32::from(self.ttl)).to_be_bytes(), content);
    }
}

/// A PPPoE session header (RFC 2516) with the PPP protocol that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pppoe {
    session: u16,
}

impl Pppoe {
    /// A packet of a session.
    #[must_use]
    pub const fn session(session: u16) -> Self {
        Self { session }
    }
}

impl Header for Pppoe {
    fn wrap(&self, stack: &mut Stack) {
        let length = length_field(2 + stack.bytes().len());
        let protocol = super::link::ppp_protocol(stack.content());
        let header = Fields::<8>::new().u16(0x1100).u16(self.session).u16(length).u16(protocol);
        stack.prepend(header.as_bytes(), Content::Network(0x8864));
    }
}

/// The EtherType of what the stack holds, or its length where it is LLC (IEEE 802.3 section 3.2.6).
fn type_or_length(stack: &Stack) -> u16 {
    match stack.content() {
        Content::Llc => length_field(stack.bytes().len()),
        content => content.ether_type(),
    }
}
