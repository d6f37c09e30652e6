//! An expression in words: one line for each primitive, indented by what joins them.

use super::ast::{
    Address, Arithmetic, ByteOperator, Direction, Llc, Node, Operator, PfLog, Primitive, Protocol, Relation,
    Transport,
};
use super::words::word_of;
use std::fmt::{self, Display, Formatter, Write};
use std::net::Ipv4Addr;

/// The words for an expression.
pub(super) fn explain(node: Option<&Node>) -> String {
    let mut text = String::new();
    match node {
        None => text.push_str("every packet\n"),
        Some(node) => describe(&mut text, node, 0, "", false),
    }
    text
}

/// What is asked for, a line each; `lead` stands before the first. `followed`: there is more that is joined to it by `and`.
fn describe(text: &mut String, node: &Node, level: usize, lead: &str, followed: bool) {
    let indent = "  ".repeat(level.min(40));
    let mut line = |what: &dyn Display| {
        let _ = writeln!(text, "{indent}{lead}{what}");
    };
    match node {
        Node::All(nodes) => {
            line(&"all of:");
            let last = nodes.len().saturating_sub(1);
            for (index, node) in nodes.iter().enumerate() {
                describe(text, node, level + 1, "", followed || index < last);
            }
        }
        Node::Any(nodes) => {
            line(&"any of:");
            nodes.iter().for_each(|node| describe(text, node, level + 1, "", followed));
        }
        Node::Not(inner) => match **inner {
            Node::Not(ref inner) => describe(text, inner, level, lead, false),
            _ => describe(text, inner, level, if lead.is_empty() { "not " } else { "" }, false),
        },
        Node::Compare { left, relation, right, .. } => {
            line(&format_args!("{} {} {}", Value(left), sign_of(*relation), Value(right)));
        }
        Node::Primitive(primitive, _) => line(&Words(primitive, followed)),
    }
}

/// A primitive in words, and whether more is asked of what lies behind it.
struct Words<'a>(&'a Primitive, bool);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Primitive::Protocol(protocol) => f.write_str(name_of(*protocol)),
            Primitive::Carries { within: Some(Protocol::Link), number } if *number <= 1500 => {
                write!(f, "IEEE 802.2 with service access point {number:#04x}")
            }
            Primitive::Carries { within: Some(Protocol::Link), number } => {
                write!(f, "EtherType {number:#06x}")
            }
            Primitive::Carries { within: Some(Protocol::Isis), number } => {
                write!(f, "IS-IS PDU of type {number}")
            }
            Primitive::Carries { within: Some(Protocol::Iso), number } => {
                write!(f, "OSI protocol {number:#04x}")
            }
            Primitive::Carries { within, number } => write!(f, "{} carrying protocol {number}", ip(*within)),
            Primitive::Chains { within, number } => {
                write!(f, "{} carrying protocol {number}, behind any extension headers", ip(*within))
            }
            Primitive::Host { within, direction, addresses, name } => {
                write!(f, "{} {} ", within.map_or("IP, ARP or RARP", name_of), ends(*direction))?;
                if let Some(name) = name {
                    write!(f, "{name}: ")?;
                }
                list(f, addresses)
            }
            Primitive::EtherHost { direction, address, name } => {
                write!(f, "frame {} station ", ends(*direction))?;
                if let Some(name) = name {
                    write!(f, "{name}: ")?;
                }
                station(f, *address)
            }
            Primitive::ArcnetHost { direction, address } => {
                write!(f, "frame {} ARCNET station {address:#04x}", ends(*direction))
            }
            Primitive::DecnetHost { direction, address } => {
                write!(f, "DECnet {} node {}.{}", ends(*direction), address >> 10, address & 0x3ff)
            }
            Primitive::Gateway { address, addresses, name } => {
                write!(f, "frame from or to station {name}: ")?;
                station(f, *address)?;
                f.write_str(", but not from or to its own ")?;
                list(f, addresses)
            }
            Primitive::Port { transport, direction, low, high } => {
                let transport = match transport {
                    Some(Transport::Tcp) => "TCP",
                    Some(Transport::Udp) => "UDP",
                    Some(Transport::Sctp) => "SCTP",
                    None => "TCP, UDP or SCTP",
                };
                write!(f, "{transport} {} port", ends(*direction))?;
                if low == high { write!(f, " {low}") } else { write!(f, "s {low} to {high}") }
            }
            Primitive::Broadcast(Some(Protocol::Ip)) => f.write_str("IPv4 to all of the network"),
            Primitive::Broadcast(_) => f.write_str("frame to all stations"),
            Primitive::Multicast(None | Some(Protocol::Link)) => {
                f.write_str("frame to a group of stations, or to all")
            }
            Primitive::Multicast(Some(protocol)) => write!(f, "{} to a group", name_of(*protocol)),
            Primitive::Less(most) => write!(f, "at most {most} bytes long"),
            Primitive::Greater(least) => write!(f, "at least {least} bytes long"),
            Primitive::Byte { at, operator, value } => {
                let what = match operator {
                    ByteOperator::Equal => "is",
                    ByteOperator::Below => "is below",
                    ByteOperator::Above => "is above",
                    ByteOperator::And => "has any of the bits of",
                    ByteOperator::Or => "has any bit, or any is in",
                };
                write!(f, "byte {at} {what} {value}")
            }
            Primitive::Inbound => f.write_str("not sent by this host"),
            Primitive::Outbound => f.write_str("sent by this host"),
            Primitive::InterfaceIndex(index) => write!(f, "through interface {index}"),
            Primitive::Vlan(number) => {
                f.write_str("tagged with ")?;
                optional(f, "VLAN", *number, "a VLAN")?;
                then(f, self.1, "; and then behind the tag:")
            }
            Primitive::Mpls(label) => {
                f.write_str("with ")?;
                optional(f, "MPLS label", *label, "an MPLS label")?;
                then(f, self.1, "; and then behind it:")
            }
            Primitive::PppoeDiscovery => f.write_str("PPPoE discovery"),
            Primitive::PppoeSession(session) => {
                f.write_str("in ")?;
                optional(f, "PPPoE session", *session, "a PPPoE session")?;
                then(f, self.1, "; and then within it:")
            }
            Primitive::Geneve(network) => {
                f.write_str("in ")?;
                optional(f, "Geneve network", *network, "a Geneve network")?;
                then(f, self.1, "; and then within it:")
            }
            Primitive::Llc(llc) => f.write_str(match llc {
                Llc::Any => "IEEE 802.2",
                Llc::Information => "IEEE 802.2 information frame",
                Llc::Supervisory => "IEEE 802.2 supervisory frame",
                Llc::Unnumbered => "IEEE 802.2 unnumbered frame",
                Llc::SupervisoryOf(bits) => {
                    return write!(f, "IEEE 802.2 supervisory frame of control {bits:#04x}");
                }
                Llc::UnnumberedOf(bits) => {
                    return write!(f, "IEEE 802.2 unnumbered frame of control {bits:#04x}");
                }
            }),
            Primitive::WirelessType { bits, mask } => {
                write!(f, "IEEE 802.11 frame whose first byte, of the bits {mask:#04x}, has {bits:#04x}")
            }
            Primitive::WirelessDirection(bits) => f.write_str(match bits {
                0 => "IEEE 802.11 frame within its cell",
                1 => "IEEE 802.11 frame to the distribution system",
                2 => "IEEE 802.11 frame from the distribution system",
                _ => "IEEE 802.11 frame between access points",
            }),
            Primitive::PfLog(PfLog::Interface(name)) => write!(f, "logged by pf on interface {name}"),
            Primitive::PfLog(PfLog::Ruleset(name)) => write!(f, "logged by pf's ruleset {name}"),
            Primitive::PfLog(PfLog::Rule(number)) => write!(f, "logged by pf's rule {number}"),
            Primitive::PfLog(PfLog::Subrule(number)) => {
                write!(f, "logged by pf's rule {number} in its ruleset")
            }
            Primitive::PfLog(PfLog::Reason(number)) => write!(f, "logged by pf for reason {number}"),
            Primitive::PfLog(PfLog::Action(number)) => write!(f, "logged by pf after action {number}"),
        }
    }
}

/// What is asked next is asked further inside.
fn then(f: &mut Formatter<'_>, followed: bool, text: &str) -> fmt::Result {
    if followed { f.write_str(text) } else { Ok(()) }
}

fn ip(within: Option<Protocol>) -> &'static str {
    within.map_or("IPv4 or IPv6", name_of)
}

fn optional(f: &mut Formatter<'_>, what: &str, number: Option<u32>, otherwise: &str) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{what} {number}"),
        None => f.write_str(otherwise),
    }
}

fn station(f: &mut Formatter<'_>, address: [u8; 6]) -> fmt::Result {
    let [a, b, c, d, e, g] = address;
    write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
}

fn list(f: &mut Formatter<'_>, addresses: &[Address]) -> fmt::Result {
    for (index, address) in addresses.iter().enumerate() {
        f.write_str(match index {
            0 => "",
            _ if index + 1 == addresses.len() => " or ",
            _ => ", ",
        })?;
        match *address {
            Address::V4 { address, mask: u32::MAX } => write!(f, "{}", Ipv4Addr::from(address))?,
            Address::V4 { address, mask } if mask.leading_ones() + mask.trailing_zeros() == 32 => {
                write!(f, "{}/{}", Ipv4Addr::from(address), mask.leading_ones())?;
            }
            Address::V4 { address, mask } => {
                write!(f, "{} of the bits {}", Ipv4Addr::from(address), Ipv4Addr::from(mask))?;
            }
            Address::V6 { address, prefix: 128 } => write!(f, "{address}")?,
            Address::V6 { address, prefix } => write!(f, "{address}/{prefix}")?,
        }
    }
    Ok(())
}

fn ends(direction: Direction) -> &'static str {
    match direction {
        Direction::Either => "from or to",
        Direction::Source => "from",
        Direction::Destination => "to",
        Direction::Both => "both from and to",
        Direction::Address(1) => "with first address",
        Direction::Address(2) => "with second address",
        Direction::Address(3) => "with third address",
        Direction::Address(_) => "with fourth address",
        Direction::Receiver => "received by",
        Direction::Transmitter => "transmitted by",
    }
}

/// A value as a formula, in parentheses wherever there could be a doubt.
struct Value<'a>(&'a Arithmetic);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Arithmetic::Number(number) => write!(f, "{number}"),
            Arithmetic::Length => f.write_str("len"),
            Arithmetic::Bytes { protocol, at, width: 1, .. } => {
                write!(f, "{}[{}]", word_of(*protocol), Value(at))
            }
            Arithmetic::Bytes { protocol, at, width, .. } => {
                write!(f, "{}[{}:{width}]", word_of(*protocol), Value(at))
            }
            Arithmetic::Binary { operator, left, right, .. } => {
                let sign = match operator {
                    Operator::Add => "+",
                    Operator::Subtract => "-",
                    Operator::Multiply => "*",
                    Operator::Divide => "/",
                    Operator::Remainder => "%",
                    Operator::And => "&",
                    Operator::Or => "|",
                    Operator::Xor => "^",
                    Operator::ShiftLeft => "<<",
                    Operator::ShiftRight => ">>",
                };
                write!(f, "({} {sign} {})", Value(left), Value(right))
            }
            Arithmetic::Negate(value) => write!(f, "-{}", Value(value)),
        }
    }
}

fn sign_of(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

fn name_of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Ip => "IPv4",
        Protocol::Ip6 => "IPv6",
        Protocol::Arp => "ARP",
        Protocol::Rarp => "RARP",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        Protocol::Icmp => "ICMP",
        Protocol::Icmp6 => "ICMPv6",
        Protocol::Igmp => "IGMP",
        Protocol::Igrp => "IGRP",
        Protocol::Pim => "PIM",
        Protocol::Vrrp => "VRRP",
        Protocol::Carp => "CARP",
        Protocol::Ah => "IPsec authentication",
        Protocol::Esp => "IPsec encryption",
        Protocol::Atalk => "AppleTalk",
        Protocol::Aarp => "AppleTalk ARP",
        Protocol::Decnet => "DECnet",
        Protocol::Lat => "LAT",
        Protocol::Sca => "DEC SCA",
        Protocol::Moprc => "DEC MOP remote console",
        Protocol::Mopdl => "DEC MOP download",
        Protocol::Iso => "OSI",
        Protocol::Clnp => "OSI CLNP",
        Protocol::Esis => "OSI ES-IS",
        Protocol::Isis => "OSI IS-IS",
        Protocol::IsisLevel1 => "IS-IS, level 1",
        Protocol::IsisLevel2 => "IS-IS, level 2",
        Protocol::IsisHello => "IS-IS hello",
        Protocol::IsisLinkState => "IS-IS link state",
        Protocol::IsisSequence => "IS-IS sequence numbers",
        Protocol::IsisComplete => "IS-IS complete sequence numbers",
        Protocol::IsisPartial => "IS-IS partial sequence numbers",
        Protocol::Stp => "spanning tree",
        Protocol::Ipx => "IPX",
        Protocol::Netbeui => "NetBEUI",
        Protocol::Link => "link layer",
        Protocol::Radio => "radio header",
    }
}
