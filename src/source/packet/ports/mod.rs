//! Packets by their ports, chosen in the kernel.
//!
//! The program takes what the port map would send to a rule, and drops what certainly is for none: packets of TCP,
//! UDP and SCTP over IPv4 and IPv6 with other ports, of protocols without ports, and ARP. What it cannot tell it lets
//! through, to be decided behind it: later fragments, tunnels and tags that it does not look behind, headers that are
//! not what they should be. So outputs get the same packets with it as without.

use super::spread::skip_tags;
use crate::sys::classic_bpf::{Assembler, Label, Operation};
use std::ops::RangeInclusive;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const ARP: u32 = 0x0806;
/// Protocols that have no ports (IANA): ICMP, IGMP, IP in IP, IPv6 in IP, GRE, ESP, ICMPv6, none, OSPF, PIM, VRRP.
const WITHOUT_PORTS: [u32; 11] = [1, 2, 4, 41, 47, 50, 58, 59, 89, 103, 112];
/// Extension headers looked behind, one after the other.
const EXTENSIONS: usize = 4;
/// Memory of the program.
const PROTOCOL: u32 = 0;

/// Where frames start as the program sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With an Ethernet header.
    Ethernet,
    /// With the network header, whose EtherType the kernel tells.
    Network,
    /// With an IP header.
    Ip,
}

/// Ports that are wanted, at either end of a packet.
///
/// ```
/// use wharf::source::packet::PortSet;
///
/// let ports = PortSet::new().tcp(80..=80).tcp(443..=443).udp(53..=53);
/// assert_eq!(ports.to_string(), "tcp/80,443 udp/53");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet {
    /// TCP, UDP (and UDP-Lite), SCTP. Ascending, none of them touching the next.
    ranges: [Vec<RangeInclusive<u16>>; 3],
}

impl PortSet {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And these of TCP.
    #[must_use]
    pub fn tcp(self, ports: RangeInclusive<u16>) -> Self {
        self.with(0, ports)
    }

    /// And these of UDP and UDP-Lite.
    #[must_use]
    pub fn udp(self, ports: RangeInclusive<u16>) -> Self {
        self.with(1, ports)
    }

    /// And these of SCTP.
    #[must_use]
    pub fn sctp(self, ports: RangeInclusive<u16>) -> Self {
        self.with(2, ports)
    }

    fn with(mut self, protocol: usize, ports: RangeInclusive<u16>) -> Self {
        self.ranges[protocol].push(ports);
        self.join_over(0);
        self
    }

    /// Makes one of two ranges with no more than `gap` ports between them.
    pub(super) fn join_over(&mut self, gap: u32) {
        for ranges in &mut self.ranges {
            ranges.sort_by_key(|range| *range.start());
            let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
            for range in ranges.drain(..).filter(|range| !range.is_empty()) {
                match joined.last_mut() {
                    Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 + gap => {
                        *last = *last.start()..=*last.end().max(range.end());
                    }
                    _ => joined.push(range),
                }
            }
            *ranges = joined;
        }
    }
}

/// As port rules are written, with a space between protocols.
impl std::fmt::Display for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut between = "";
        for (name, ranges) in ["tcp", "udp", "sctp"].iter().zip(&self.ranges) {
            for (index, range) in ranges.iter().enumerate() {
                match index {
                    0 => write!(f, "{between}{name}/{}", range.start())?,
                    _ => write!(f, ",{}", range.start())?,
                }
                between = " ";
                if range.start() != range.end() {
                    write!(f, "-{}", range.end())?;
                }
            }
        }
        Ok(())
    }
}

/// Ends with `keep` for what may be a packet of these ports, with 0 for what certainly is none.
pub(super) fn accept(code: &mut Assembler, set: &PortSet, start: Start, keep: u32) {
    let (ipv4, ipv6, transport, unclear) = (code.label(), code.label(), code.label(), code.label());
    let other = code.label();
    match start {
        Start::Ethernet => {
            code.set_x(14);
            code.load_half(12);
        }
        Start::Network => {
            code.set_x(0);
            code.load_known(crate::sys::classic_bpf::Known::Protocol);
        }
        Start::Ip => {
            code.set_x(0);
            code.load_byte(0);
            code.apply(Operation::ShiftRight, 4);
            code.if_equal(4, ipv4);
            code.if_equal(6, ipv6);
            code.jump(unclear);
        }
    }
    if start != Start::Ip {
        skip_tags(code);
        code.if_equal(IPV4, ipv4);
        code.if_equal(IPV6, ipv6);
        code.if_equal(ARP, other);
        code.jump(unclear);
    }

    code.place(ipv4);
    find_transport_of_ipv4(code, transport, unclear);
    code.place(ipv6);
    find_transport_of_ipv6(code, transport, unclear);

    // X = where the transport's header begins, A = its protocol.
    code.place(transport);
    let trees = [code.label(), code.label(), code.label()];
    for (protocol, tree) in [
        (libc::IPPROTO_TCP, trees[0]),
        (libc::IPPROTO_UDP, trees[1]),
        (libc::IPPROTO_UDPLITE, trees[1]),
        (libc::IPPROTO_SCTP, trees[2]),
    ] {
        code.if_equal(protocol as u32, tree);
    }
    for protocol in WITHOUT_PORTS {
        code.if_equal(protocol, other);
    }
    code.place(unclear);
    code.give(keep);
    code.place(other);
    code.give(0);
    for (index, ranges) in set.ranges.iter().enumerate() {
        // Protocols with the same ports share their tree.
        if set.ranges[..index].contains(ranges) {
            continue;
        }
        for (tree, alike) in trees.iter().zip(&set.ranges) {
            if alike == ranges {
                code.place(*tree);
            }
        }
        let by_source = code.label();
        code.load_half_at_x(2);
        search(code, ranges, keep, by_source);
        code.place(by_source);
        let none = code.label();
        code.load_half_at_x(0);
        search(code, ranges, keep, none);
        code.place(none);
        code.give(0);
    }
}

/// X is where the header begins.
fn find_transport_of_ipv4(code: &mut Assembler, transport: Label, unclear: Label) {
    code.load_byte_at_x(0);
    // Version 4, and a length in words that is one of a header.
    code.unless_greater(0x44, unclear);
    code.if_greater(0x4f, unclear);
    // A later fragment has no ports, and is none of its flow's business here.
    code.load_half_at_x(6);
    code.if_set(0x1fff, unclear);
    code.load_byte_at_x(9);
    code.store(PROTOCOL);
    code.load_byte_at_x(0);
    code.apply(Operation::And, 15);
    code.apply(Operation::ShiftLeft, 2);
    code.apply_x(Operation::Add);
    code.a_to_x();
    code.load(PROTOCOL);
    code.jump(transport);
}

/// X is where the header begins.
fn find_transport_of_ipv6(code: &mut Assembler, transport: Label, unclear: Label) {
    code.load_byte_at_x(0);
    code.unless_greater(0x5f, unclear);
    code.if_greater(0x6f, unclear);
    code.load_byte_at_x(6);
    code.store(PROTOCOL);
    code.x_to_a();
    code.apply(Operation::Add, 40);
    code.a_to_x();
    code.load(PROTOCOL);
    for _ in 0..EXTENSIONS {
        let (options, fragment, next) = (code.label(), code.label(), code.label());
        // Hop-by-hop, routing, destination options (RFC 8200 sections 4.3, 4.4, 4.6).
        for kind in [0, 43, 60] {
            code.if_equal(kind, options);
        }
        code.if_equal(44, fragment);
        // Authentication and whatever else stands between.
        for kind in [51, 135, 139, 140] {
            code.if_equal(kind, unclear);
        }
        code.jump(transport);

        code.place(fragment);
        code.load_half_at_x(2);
        code.if_set(0xfff8, unclear);
        code.load_byte_at_x(0);
        code.store(PROTOCOL);
        code.x_to_a();
        code.apply(Operation::Add, 8);
        code.a_to_x();
        code.jump(next);

        code.place(options);
        code.load_byte_at_x(0);
        code.store(PROTOCOL);
        // Its length is in units of 8 bytes beyond the first.
        code.load_byte_at_x(1);
        code.apply(Operation::ShiftLeft, 3);
        code.apply(Operation::Add, 8);
        code.apply_x(Operation::Add);
        code.a_to_x();
        code.place(next);
        code.load(PROTOCOL);
    }
    for kind in [0, 43, 44, 51, 60, 135, 139, 140] {
        code.if_equal(kind, unclear);
    }
    code.jump(transport);
}

/// Ends with `keep` if A lies within one of the ranges, by halves; goes to `miss` if not.
fn search(code: &mut Assembler, ranges: &[RangeInclusive<u16>], keep: u32, miss: Label) {
    match ranges {
        [] => code.jump(miss),
        [range] => {
            let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
            if first == last {
                code.unless_equal(first, miss);
            } else {
                if first > 0 {
                    code.unless_greater(first - 1, miss);
                }
                if last < u32::from(u16::MAX) {
                    code.if_greater(last, miss);
                }
            }
            code.give(keep);
        }
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let above = code.label();
            // Ranges ascend, so that the upper half does not begin at 0.
            code.if_greater(u32::from(*upper[0].start()) - 1, above);
            search(code, lower, keep, miss);
            code.place(above);
            search(code, upper, keep, miss);
        }
    }
}

#[cfg(test)]
mod tests;
