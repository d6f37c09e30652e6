//! ICMP (RFC 792), ICMPv6 (RFC 4443, 4861) and IGMP (RFC 2236).

use super::fields::Fields;
use super::{Checksum, Content, Header, Stack};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An ICMP message around its data: what is echoed, or the packet that an error quotes.
///
/// ```
/// use wharf::build::{Icmp, Ipv4, Stack};
/// let (ours, theirs) = ([10, 0, 0, 1], [10, 0, 0, 2]);
/// let mut stack = Stack::new();
/// stack.message(b"Is anybody there?").wrap(Icmp::echo_request(7, 1)).wrap(Ipv4::new(ours, theirs));
/// assert_eq!(stack.bytes()[20..22], [8, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    kind: u8,
    code: u8,
    rest: u32,
    checksum: Checksum,
}

impl Icmp {
    /// Type, code, and the four bytes after the checksum.
    #[must_use]
    pub const fn new(kind: u8, code: u8, rest: u32) -> Self {
        Self { kind, code, rest, checksum: Checksum::Right }
    }

    /// Type 8.
    #[must_use]
    pub const fn echo_request(identifier: u16, sequence: u16) -> Self {
        Self::new(8, 0, pair(identifier, sequence))
    }

    /// Type 0.
    #[must_use]
    pub const fn echo_reply(identifier: u16, sequence: u16) -> Self {
        Self::new(0, 0, pair(identifier, sequence))
    }

    /// Type 3 with a code: 0 network, 1 host, 2 protocol, 3 port. Quotes the packet that it wraps.
    #[must_use]
    pub const fn unreachable(code: u8) -> Self {
        Self::new(3, code, 0)
    }

    /// Type 3, code 4: the packet was too big for the next link (RFC 1191).
    #[must_use]
    pub const fn fragmentation_needed(mtu: u16) -> Self {
        Self::new(3, 4, mtu as u32)
    }

    /// Type 11, code 0: time to live exceeded in transit.
    #[must_use]
    pub const fn time_exceeded() -> Self {
        Self::new(11, 0, 0)
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Icmp {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<8>::new().u8(self.kind).u8(self.code).u16(0).u32(self.rest);
        stack.prepend(header.as_bytes(), Content::Transport(1));
        stack.seal(2, stack.bytes().len(), self.checksum);
    }
}

/// An ICMPv6 message around its data: what is echoed, the packet that an error quotes, or options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6 {
    kind: u8,
    code: u8,
    rest: u32,
    target: Option<Ipv6Addr>,
    checksum: Checksum,
}

impl Icmpv6 {
    /// Type, code, and the four bytes after the checksum.
    #[must_use]
    pub const fn new(kind: u8, code: u8, rest: u32) -> Self {
        Self { kind, code, rest, target: None, checksum: Checksum::Right }
    }

    /// Type 128.
    #[must_use]
    pub const fn echo_request(identifier: u16, sequence: u16) -> Self {
        Self::new(128, 0, pair(identifier, sequence))
    }

    /// Type 129.
    #[must_use]
    pub const fn echo_reply(identifier: u16, sequence: u16) -> Self {
        Self::new(129, 0, pair(identifier, sequence))
    }

    /// Type 1 with a code: 0 no route, 4 port. Quotes the packet that it wraps.
    #[must_use]
    pub const fn unreachable(code: u8) -> Self {
        Self::new(1, code, 0)
    }

    /// Type 3, code 0: hop limit exceeded in transit.
    #[must_use]
    pub const fn time_exceeded() -> Self {
        Self::new(3, 0, 0)
    }

    /// Type 135 (RFC 4861 section 4.3): who has `target`?
    #[must_use]
    pub const fn neighbor_solicitation(target: Ipv6Addr) -> Self {
        Self { target: Some(target), ..Self::new(135, 0, 0) }
    }

    /// Type 136 (RFC 4861 section 4.4): solicited, overriding.
    #[must_use]
    pub const fn neighbor_advertisement(target: Ipv6Addr) -> Self {
        Self { target: Some(target), ..Self::new(136, 0, 0x6000_0000) }
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Icmpv6 {
    fn wrap(&self, stack: &mut Stack) {
        let mut header = Fields::<24>::new().u8(self.kind).u8(self.code).u16(0).u32(self.rest);
        if let Some(target) = self.target {
            header = header.put(&target.octets());
        }
        stack.prepend(header.as_bytes(), Content::Transport(58));
        stack.seal_later(2, stack.bytes().len(), 58, self.checksum);
    }
}

/// An IGMP message (version 2 layout, RFC 2236 section 2; what follows it is version 3's, RFC 9776).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Igmp {
    kind: u8,
    response_time: u8,
    group: Ipv4Addr,
    checksum: Checksum,
}

impl Igmp {
    /// Type 0x11; the unspecified group for a general query. `response_time` in tenths of a second.
    #[must_use]
    pub fn query(group: impl Into<Ipv4Addr>, response_time: u8) -> Self {
        Self { response_time, ..Self::of(0x11, group.into()) }
    }

    /// Type 0x16: a member of the group is here.
    #[must_use]
    pub fn report(group: impl Into<Ipv4Addr>) -> Self {
        Self::of(0x16, group.into())
    }

    /// Type 0x17: the last member may have left.
    #[must_use]
    pub fn leave(group: impl Into<Ipv4Addr>) -> Self {
        Self::of(0x17, group.into())
    }

    const fn of(kind: u8, group: Ipv4Addr) -> Self {
        Self { kind, response_time: 0, group, checksum: Checksum::Right }
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Igmp {
    fn wrap(&self, stack: &mut Stack) {
        let header = Fields::<8>::new().u8(self.kind).u8(self.response_time).u16(0).put(&self.group.octets());
        stack.prepend(header.as_bytes(), Content::Transport(2));
        stack.seal(2, stack.bytes().len(), self.checksum);
    }
}

/// Identifier and sequence number of an echo.
const fn pair(identifier: u16, sequence: u16) -> u32 {
    (identifier as u32) << 16 | sequence as u32
}
