//! Link-layer headers other than Ethernet: Linux cooked, loopback, PPP.

use super::fields::Fields;
use super::{Content, Header, Stack};
use crate::frame::LinkType;

/// Linux cooked capture, version 1 (`LINKTYPE_LINUX_SLL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sll {
    packet_type: u16,
    address: [u8; 6],
}

impl Sll {
    /// From an Ethernet device; `packet_type` is 0 for us, 1 broadcast, 2 multicast, 3 for another host, 4 sent by us.
    #[must_use]
    pub fn new(packet_type: u16, address: impl Into<[u8; 6]>) -> Self {
        Self { packet_type, address: address.into() }
    }
}

impl Header for Sll {
    fn wrap(&self, stack: &mut Stack) {
        let protocol = stack.content().ether_type();
        let header =
            Fields::<16>::new().u16(self.packet_type).u16(1).u16(6).put(&self.address).u16(0).u16(protocol);
        stack.prepend(header.as_bytes(), Content::Link(LinkType::LINUX_SLL));
    }
}

/// Linux cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sll2 {
    interface_index: u32,
    packet_type: u8,
    address: [u8; 6],
}

impl Sll2 {
    /// From an Ethernet device; `packet_type` as in [`Sll::new`].
    #[must_use]
    pub fn new(interface_index: u32, packet_type: u8, address: impl Into<[u8; 6]>) -> Self {
        Self { interface_index, packet_type, address: address.into() }
    }
}

impl Header for Sll2 {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<20>::new()
            .u16(stack.content().ether_type())
            .u16(0)
            .u32(self.interface_index)
            .u16(1)
            .u8(self.packet_type)
            .u8(6)
            .put(&self.address)
            .u16(0);
        stack.prepend(header.as_bytes(), Content::Link(LinkType::LINUX_SLL2));
    }
}

/// BSD loopback: the address family in 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback {
    link_type: LinkType,
}

impl Loopback {
    /// Little-endian, as hosts of that byte order write `LINKTYPE_NULL`.
    #[must_use]
    pub const fn null() -> Self {
        Self { link_type: LinkType::NULL }
    }

    /// Big-endian on every host: OpenBSD's `LINKTYPE_LOOP`.
    #[must_use]
    pub const fn openbsd() -> Self {
        Self { link_type: LinkType::LOOP }
    }
}

impl Header for Loopback {
    fn wrap(&self, stack: &mut Stack) {
        // 24 is AF_INET6 of NetBSD and OpenBSD; readers take 28 (FreeBSD) and 30 (macOS) too.
        let family: u32 = if stack.content() == Content::Ipv6 { 24 } else { 2 };
        let bytes =
            if self.link_type == LinkType::LOOP { family.to_be_bytes() } else { family.to_le_bytes() };
        stack.prepend(&bytes, Content::Link(self.link_type));
    }
}

/// PPP with address and control fields (RFC 1662; `LINKTYPE_PPP`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ppp;

impl Header for Ppp {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<4>::new().u16(0xff03).u16(ppp_protocol(stack.content()));
        stack.prepend(header.as_bytes(), Content::Link(LinkType::PPP));
    }
}

/// The PPP protocol number of what follows; LCP where it has none.
pub(super) fn ppp_protocol(content: Content) -> u16 {
    match content {
        Content::Ipv4 => 0x0021,
        Content::Ipv6 => 0x0057,
        Content::Network(0x8847) => 0x0281, // MPLS unicast, RFC 3032 section 4.3
        _ => 0xc021,
    }
}
