//! What an expression says, with names looked up and qualifiers carried over: `tcp port 80 or 443` has two primitives.

use super::error::Span;
pub(super) use super::ir::Operator;
use std::net::Ipv6Addr;

/// An expression or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// At least two, from left to right.
    All(Vec<Node>),
    /// At least two, from left to right.
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare {
        left: Arithmetic,
        relation: Relation,
        right: Arithmetic,
        span: Span,
    },
    Primitive(Primitive, Span),
}

/// A protocol that has a name in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Link,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Iso,
    Clnp,
    Esis,
    Isis,
    IsisLevel1,
    IsisLevel2,
    IsisHello,
    IsisLinkState,
    IsisSequence,
    IsisComplete,
    IsisPartial,
    Stp,
    Ipx,
    Netbeui,
    Radio,
}

/// At which end of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    /// Also where nothing is said.
    #[default]
    Either,
    Source,
    Destination,
    Both,
    /// IEEE 802.11's address fields, 1 to 4.
    Address(u8),
    Receiver,
    Transmitter,
}

/// An address and the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    V4 { address: u32, mask: u32 },
    V6 { address: Ipv6Addr, prefix: u8 },
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// What can be said of a packet in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Primitive {
    /// `tcp`, `arp`...
    Protocol(Protocol),
    /// `ip proto 6`; in IPv4 and IPv6 where nothing is said.
    Carries {
        within: Option<Protocol>,
        number: u32,
    },
    /// `ip6 protochain 6`: likewise, behind any chain of extension headers.
    Chains {
        within: Option<Protocol>,
        number: u32,
    },
    /// `src host example.org`, `net 10.0.0.0/8`: one of the addresses. `name` as written, where it was one.
    Host {
        within: Option<Protocol>,
        direction: Direction,
        addresses: Vec<Address>,
        name: Option<String>,
    },
    /// `ether host`, with the name where one was written.
    EtherHost {
        direction: Direction,
        address: [u8; 6],
        name: Option<String>,
    },
    /// `link host $12`: ARCNET has addresses of one byte.
    ArcnetHost {
        direction: Direction,
        address: u8,
    },
    /// `decnet host 1.5`: area and node.
    DecnetHost {
        direction: Direction,
        address: u16,
    },
    /// Over this station, but not addressed to or from it as a host.
    Gateway {
        address: [u8; 6],
        addresses: Vec<Address>,
        name: String,
    },
    /// `port`, `portrange`: both ends included.
    Port {
        transport: Option<Transport>,
        direction: Direction,
        low: u16,
        high: u16,
    },
    Broadcast(Option<Protocol>),
    Multicast(Option<Protocol>),
    /// At most so long.
    Less(u32),
    /// At least so long.
    Greater(u32),
    /// `byte 3 & 5`.
    Byte {
        at: u32,
        operator: ByteOperator,
        value: u32,
    },
    Inbound,
    Outbound,
    InterfaceIndex(u32),
    Vlan(Option<u32>),
    Mpls(Option<u32>),
    PppoeDiscovery,
    PppoeSession(Option<u32>),
    Geneve(Option<u32>),
    Llc(Llc),
    /// IEEE 802.11's type and subtype bits of the first byte, as far as the mask says.
    WirelessType {
        bits: u32,
        mask: u32,
    },
    /// Its two bits for the distribution system.
    WirelessDirection(u32),
    /// A field of OpenBSD's pf log.
    PfLog(PfLog),
}

/// What `byte` does with the byte before it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOperator {
    Equal,
    Below,
    Above,
    /// Is any of the bits set.
    And,
    /// Is any bit set of either.
    Or,
}

/// IEEE 802.2 frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Llc {
    Any,
    Information,
    Supervisory,
    Unnumbered,
    /// Control bits of a supervisory frame.
    SupervisoryOf(u8),
    /// Of an unnumbered one.
    UnnumberedOf(u8),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PfLog {
    Interface(String),
    Ruleset(String),
    Rule(u32),
    Subrule(u32),
    Reason(u32),
    Action(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A number to be found from a packet, in 32 bits without a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Number(u32),
    /// `len`.
    Length,
    /// `tcp[13:1]`, of 1, 2 or 4 bytes.
    Bytes {
        protocol: Protocol,
        at: Box<Arithmetic>,
        width: u8,
        span: Span,
    },
    Binary {
        operator: Operator,
        left: Box<Arithmetic>,
        right: Box<Arithmetic>,
        span: Span,
    },
    Negate(Box<Arithmetic>),
}
