//! An IP header and what it carries, as members.

use super::members::Members;
use crate::parse::{Fragment, IpLayer, Packet, protocol, protocol_name};
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
    if let Some(source) = packet.source(ip) {
        members.fixed(b",\"src\":\"");
        address(members, source);
        if let Some((_, destination)) = packet.addresses(ip) {
            members.fixed(b"\",\"dst\":\"");
            address(members, destination);
        }
        members.fixed(b"\"");
    }
    if let Some(header) = packet.ipv4(ip) {
        members.small(b",\"ttl\":", header.ttl());
        members.small(b",\"id\":", header.id());
    } else if let Some(header) = packet.ipv6(ip) {
        members.small(b",\"ttl\":", header.hop_limit());
    }
    match ip.fragment {
        Fragment::Whole => {}
        Fragment::First => members.fixed(b",\"fragment\":\"first\""),
        Fragment::Later => members.fixed(b",\"fragment\":\"later\""),
    }
    match ip.protocol {
        protocol::TCP => members.fixed(b",\"proto\":\"tcp\""),
        protocol::UDP => members.fixed(b",\"proto\":\"udp\""),
        other => other_protocol(members, other),
    }
    if let Some((source, destination)) = packet.ports(ip) {
        members.small(b",\"sport\":", source);
        members.small(b",\"dport\":", destination);
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
        members.small(b",\"tcp\":{\"flags\":", tcp.flags().0);
        members.number(b",\"seq\":", tcp.sequence());
        members.number(b",\"ack\":", tcp.acknowledgment());
        // How much a fragmented segment holds only its last piece can tell.
        if ip.fragment == Fragment::Whole {
            members.number(b",\"len\":", payload);
        }
        members.small(b",\"window\":", tcp.window());
        members.fixed(b"}");
    }
    let icmp = packet.icmp(ip).map(|icmp| (icmp.icmp_type(), icmp.code()));
    let icmpv6 = packet.icmpv6(ip).map(|icmp| (icmp.icmp_type(), icmp.code()));
    if let Some((kind, code)) = icmp.or(icmpv6) {
        members.small(b",\"icmp\":{\"type\":", kind);
        members.small(b",\"code\":", code);
        members.fixed(b"}");
    }
    members.number(b",\"payload\":", payload);
}

#[inline(always)]
fn address(members: &mut Members<'_>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => members.ipv4(address.octets()),
        IpAddr::V6(address) => members.ipv6(address.octets()),
    }
}

#[inline(never)]
fn other_protocol(members: &mut Members<'_>, number: u8) {
    members.fixed(b",\"proto\":\"");
    match protocol_name(number) {
        Some(name) => members.text(name),
        None => members.decimal(number.into()),
    }
    members.fixed(b"\"");
}

/// A checksum's verdict, and what it should have been where it is bad.
#[inline(never)]
fn verdict(members: &mut Members<'_>, name: &[u8; 16], expectation: &[u8; 15], verdict: &Verdict) {
    members.fixed(name);
    members.text(verdict.name());
    members.fixed(b"\"");
    if let Verdict::Bad { expected, .. } = verdict {
        members.number(expectation, *expected);
    }
}
