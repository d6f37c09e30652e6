//! An IP header and what it carries, as members.

use super::members::Members;
use crate::flow::tcp_of;
use crate::parse::{Fragment, IpLayer, Packet, TcpHeader, Transport, protocol, protocol_name};
use crate::verify::Verdict;
use std::net::IpAddr;

/// Writes the members from `src` on, with the verdicts over header and transport where those were verified.
#[inline(always)]
pub(super) fn layer(
    members: &mut Members<'_>,
    packet: &Packet<'_>,
    ip: &IpLayer,
    verdicts: Option<[&Verdict; 2]>,
) {
    if let Some(header) = packet.ipv4(ip) {
        members.fixed(b",\"src\":\"");
        members.ipv4(header.source().octets());
        if let Some((_, destination)) = packet.addresses(ip) {
            members.fixed(b"\",\"dst\":\"");
            address(members, destination);
        }
        members.small(b"\",\"ttl\":", header.ttl());
        members.small(b",\"id\":", header.id());
    } else if let Some(header) = packet.ipv6(ip) {
        members.fixed(b",\"src\":\"");
        members.ipv6(header.source().octets());
        members.fixed(b"\",\"dst\":\"");
        members.ipv6(header.destination().octets());
        members.small(b"\",\"ttl\":", header.hop_limit());
    } else {
        addresses(members, packet, ip);
    }
    match ip.fragment {
        Fragment::Whole => {}
        Fragment::First => members.fixed(b",\"fragment\":\"first\""),
        Fragment::Later => members.fixed(b",\"fragment\":\"later\""),
    }
    match (ip.protocol, packet.ports(ip)) {
        (protocol::TCP, Some(ports)) => with_ports(members, b",\"proto\":\"tcp\",\"sport\":", ports),
        (protocol::UDP, Some(ports)) => with_ports(members, b",\"proto\":\"udp\",\"sport\":", ports),
        (protocol, ports) => other_protocol(members, protocol, ports),
    }
    match verdicts {
        Some([Verdict::Good, Verdict::Good]) => {
            members.fixed(b",\"ip_checksum\":\"good\",\"l4_checksum\":\"good\"");
        }
        Some([header, transport]) => {
            verdict(members, b",\"ip_checksum\":\"", b",\"ip_expected\":", header);
            verdict(members, b",\"l4_checksum\":\"", b",\"l4_expected\":", transport);
        }
        None => {}
    }
    let payload = packet.payload_length(ip);
    if let Some(tcp) = packet.tcp(ip) {
        return segment(members, &tcp, ip, payload);
    }
    if ip.transport == Transport::None
        && let Some((tcp, payload)) = tcp_of(packet, ip)
    {
        return segment(members, &tcp, ip, payload);
    }
    let icmp = match ip.transport {
        Transport::Icmp => packet.icmp(ip).map(|icmp| (icmp.icmp_type(), icmp.code())),
        Transport::Icmpv6 => packet.icmpv6(ip).map(|icmp| (icmp.icmp_type(), icmp.code())),
        _ => None,
    };
    match icmp {
        Some((kind, code)) => {
            members.small(b",\"icmp\":{\"type\":", kind);
            members.small(b",\"code\":", code);
            members.number(b"},\"payload\":", payload);
        }
        None => members.number(b",\"payload\":", payload),
    }
}

/// A TCP header and how much it carries.
#[inline(always)]
fn segment(members: &mut Members<'_>, tcp: &TcpHeader<'_>, ip: &IpLayer, payload: u32) {
    members.small(b",\"tcp\":{\"flags\":", tcp.flags().0);
    members.number(b",\"seq\":", tcp.sequence());
    members.number(b",\"ack\":", tcp.acknowledgment());
    // How much a fragmented segment holds only its last piece can tell.
    if ip.fragment == Fragment::Whole {
        members.number(b",\"len\":", payload);
    }
    members.small(b",\"window\":", tcp.window());
    members.number(b"},\"payload\":", payload);
}

/// The addresses of a header that is not whole, as far as they were captured.
#[cold]
fn addresses(members: &mut Members<'_>, packet: &Packet<'_>, ip: &IpLayer) {
    let Some(source) = packet.source(ip) else { return };
    members.fixed(b",\"src\":\"");
    address(members, source);
    if let Some((_, destination)) = packet.addresses(ip) {
        members.fixed(b"\",\"dst\":\"");
        address(members, destination);
    }
    members.fixed(b"\"");
}

#[inline(always)]
fn address(members: &mut Members<'_>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => members.ipv4(address.octets()),
        IpAddr::V6(address) => members.ipv6(address.octets()),
    }
}

#[inline(always)]
fn with_ports<const N: usize>(members: &mut Members<'_>, protocol: &[u8; N], ports: (u16, u16)) {
    members.small(protocol, ports.0);
    members.small(b",\"dport\":", ports.1);
}

#[inline(never)]
fn other_protocol(members: &mut Members<'_>, number: u8, ports: Option<(u16, u16)>) {
    members.fixed(b",\"proto\":\"");
    match protocol_name(number) {
        Some(name) => members.text(name),
        None => members.decimal(number.into()),
    }
    match ports {
        Some(ports) => with_ports(members, b"\",\"sport\":", ports),
        None => members.fixed(b"\""),
    }
}

/// The name of each kind of verdict with the quote behind it, by its [code](Verdict::code), and the length of both.
const VERDICTS: [([u8; 16], usize); Verdict::NAMES.len()] = {
    let mut verdicts = [([0; 16], 0); Verdict::NAMES.len()];
    let mut code = 0;
    while code < verdicts.len() {
        let name = Verdict::NAMES[code].as_bytes();
        let (text, length) = &mut verdicts[code];
        while *length < name.len() {
            text[*length] = name[*length];
            *length += 1;
        }
        text[*length] = b'"';
        *length += 1;
        code += 1;
    }
    verdicts
};

/// A checksum's verdict, and what it should have been where it is bad.
#[inline(always)]
fn verdict(members: &mut Members<'_>, name: &[u8; 16], expectation: &[u8; 15], verdict: &Verdict) {
    members.fixed(name);
    let (text, length) = &VERDICTS[verdict.code()];
    members.head(text, *length);
    if let Verdict::Bad { expected, .. } = verdict {
        members.number(expectation, *expected);
    }
}
