//! ARP over Ethernet for IPv4 (RFC 826).

use super::fields::Fields;
use super::{Content, Header, Stack};
use std::net::Ipv4Addr;

/// An ARP packet; what the stack held before follows it as padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    operation: u16,
    sender: ([u8; 6], Ipv4Addr),
    target: ([u8; 6], Ipv4Addr),
}

impl Arp {
    /// Who has `target`? Tell `sender_address`.
    #[must_use]
    pub fn request(
        sender: impl Into<[u8; 6]>,
        sender_address: impl Into<Ipv4Addr>,
        target: impl Into<Ipv4Addr>,
    ) -> Self {
        Self { operation: 1, sender: (sender.into(), sender_address.into()), target: ([0; 6], target.into()) }
    }

    /// `sender_address` is at `sender`, told to the target.
    #[must_use]
    pub fn reply(
        sender: impl Into<[u8; 6]>,
        sender_address: impl Into<Ipv4Addr>,
        target: impl Into<[u8; 6]>,
        target_address: impl Into<Ipv4Addr>,
    ) -> Self {
        Self {
            operation: 2,
            sender: (sender.into(), sender_address.into()),
            target: (target.into(), target_address.into()),
        }
    }
}

impl Header for Arp {
    fn wrap(&self, stack: &mut Stack) {
        let packet = Fields::<28>::new()
            .u16(1)
            .u16(0x0800)
            .u8(6)
            .u8(4)
            .u16(self.operation)
            .put(&self.sender.0)
            .put(&self.sender.1.octets())
            .put(&self.target.0)
            .put(&self.target.1.octets());
        stack.prepend(packet.as_bytes(), Content::Network(0x0806));
    }
}
