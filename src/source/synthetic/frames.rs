//! The distinct frames, built once.

use super::random::Random;
use super::traffic::{Addresses, Protocol, Sizes, Traffic};
use crate::build::{
    Checksum, Ethernet, Icmp, Icmpv6, Ipv4, Ipv6, Sctp, SctpData, Stack, Tcp, Udp, Vlan, Vxlan,
};
use crate::frame::{LinkType, Record};
use std::ops::RangeInclusive;

/// Bytes after the last frame, so that whoever reads whole vectors need not stop short of it.
const SLACK: usize = 64;
/// Ports that clients send from.
const CLIENT_PORTS: RangeInclusive<u16> = 49_152..=65_535;
/// Destination port of VXLAN.
const VXLAN: u16 = 4_789;

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) length: u32,
    /// Protocol and destination port of the outermost IP layer.
    pub(super) port: Option<(Protocol, u16)>,
    pub(super) ipv6: bool,
    pub(super) vlan: bool,
    pub(super) tunnel: bool,
    pub(super) bad: bool,
}

/// What all frames of a flow have in common.
#[derive(Clone, Copy)]
struct Flow {
    index: u16,
    protocol: Protocol,
    client_port: u16,
    server_port: u16,
    ipv6: bool,
    vlan: Option<u16>,
    tunnel: bool,
}

/// The slab, where each frame lies in it, and what it is. There is at least one.
pub(super) fn build(traffic: &Traffic) -> (Vec<u8>, Vec<Record>, Vec<Fact>) {
    let mut random = Random::new(traffic.seed);
    let flows: Vec<Flow> =
        (0..traffic.flows.clamp(1, 1 << 16)).map(|index| flow(traffic, index as u16, &mut random)).collect();
    let distinct = traffic.distinct.clamp(1, usize::try_from(traffic.frames).unwrap_or(usize::MAX).max(1));
    let (mut slab, mut table, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    let mut stack = Stack::new();
    let mut message = Vec::new();
    while table.len() < distinct {
        let flow = flows[random.below(flows.len() as u64) as usize];
        let bad = random.percent(traffic.bad_percent);
        let length = length(&traffic.sizes, &mut random);
        message.resize(usize::from(length).saturating_sub(overhead(&flow)), 0);
        random.fill(&mut message);
        write(&flow, &traffic.addresses, &message, bad, random.next() as u32, &mut stack);

        let bytes = stack.bytes();
        if u32::try_from(slab.len() + bytes.len() + SLACK).is_err() {
            break;
        }
        let (offset, length) = (slab.len() as u32, bytes.len() as u32);
        slab.extend_from_slice(bytes);
        table.push(Record {
            offset,
            captured: length,
            wire_length: length,
            number: table.len() as u64 + 1,
            time: Some(traffic.start),
            link_type: LinkType::ETHERNET,
            ..Record::default()
        });
        let port = match flow.protocol {
            _ if flow.tunnel => Some((Protocol::Udp, VXLAN)),
            Protocol::Icmp => None,
            protocol => Some((protocol, flow.server_port)),
        };
        let ipv6 = flow.ipv6 && !flow.tunnel;
        facts.push(Fact { length, port, ipv6, vlan: flow.vlan.is_some(), tunnel: flow.tunnel, bad });
    }
    slab.resize(slab.len() + SLACK, 0);
    (slab, table, facts)
}

fn flow(traffic: &Traffic, index: u16, random: &mut Random) -> Flow {
    let either = [(Protocol::Tcp, 1), (Protocol::Udp, 1)];
    let protocol = random.weighted(&traffic.protocols).or_else(|| random.weighted(&either));
    let one_of = |range: &RangeInclusive<u16>, random: &mut Random| {
        let width = u64::from(range.end().saturating_sub(*range.start())) + 1;
        range.start() + random.below(width) as u16
    };
    let range = traffic.ports.get(random.below(traffic.ports.len() as u64) as usize);
    Flow {
        index,
        protocol: protocol.unwrap_or(Protocol::Udp),
        client_port: one_of(&CLIENT_PORTS, random),
        server_port: one_of(range.unwrap_or(&(9_999..=9_999)), random),
        ipv6: random.percent(traffic.ipv6_percent),
        vlan: random.percent(traffic.vlan_percent).then(|| one_of(&traffic.vlans, random) & 0xfff),
        tunnel: random.percent(traffic.tunnel_percent),
    }
}

fn length(sizes: &Sizes, random: &mut Random) -> u16 {
    match sizes {
        Sizes::Fixed(length) => *length,
        Sizes::Imix => random.weighted(&[(60, 7), (590, 4), (1_514, 1)]).unwrap_or(60),
        Sizes::Mix(lengths) => random.weighted(lengths).unwrap_or(64),
        Sizes::Uniform(range) => {
            range.start() + random.below(u64::from(range.end().saturating_sub(*range.start())) + 1) as u16
        }
    }
}

/// Bytes of all headers of a flow's frames.
fn overhead(flow: &Flow) -> usize {
    let transport = match flow.protocol {
        Protocol::Tcp => 20,
        Protocol::Udp | Protocol::Icmp => 8,
        Protocol::Sctp => 12 + 16,
    };
    let tunnel = if flow.tunnel { 8 + 8 + 20 + 14 } else { 0 };
    let vlan = if flow.vlan.is_some() { 4 } else { 0 };
    transport + if flow.ipv6 { 40 } else { 20 } + 14 + vlan + tunnel
}

/// A packet from client to server; tunnels are over IPv4.
fn write(flow: &Flow, addresses: &Addresses, message: &[u8], bad: bool, number: u32, stack: &mut Stack) {
    let checksum = if bad { Checksum::Wrong } else { Checksum::Right };
    let [high, low] = flow.index.to_be_bytes();
    let (client_port, server_port) = (flow.client_port, flow.server_port);
    stack.message(message);
    match flow.protocol {
        Protocol::Tcp => {
            let header = Tcp::new(client_port, server_port).sequence(number).acknowledgment(!number);
            stack.wrap(header.flags(Tcp::PSH | Tcp::ACK).checksum(checksum))
        }
        Protocol::Udp => stack.wrap(Udp::new(client_port, server_port).checksum(checksum)),
        Protocol::Sctp => {
            let header = Sctp::new(client_port, server_port).tag(u32::from(flow.index) + 1);
            stack.wrap(SctpData::new(number)).wrap(header.checksum(checksum))
        }
        Protocol::Icmp if flow.ipv6 => {
            stack.wrap(Icmpv6::echo_request(flow.index, number as u16).checksum(checksum))
        }
        Protocol::Icmp => stack.wrap(Icmp::echo_request(flow.index, number as u16).checksum(checksum)),
    };
    if flow.ipv6 {
        let (client, server) = addresses.v6(flow.index);
        stack.wrap(Ipv6::new(client, server));
    } else {
        let (client, server) = addresses.v4(flow.index);
        stack.wrap(Ipv4::new(client, server).identification(number as u16));
    }
    let source = addresses.source_mac.unwrap_or([2, 0, 0, 1, high, low]);
    let ethernet = Ethernet::new(source, addresses.destination_mac);
    if flow.tunnel {
        stack.wrap(ethernet).wrap(Vxlan::new(u32::from(flow.index))).wrap(Udp::new(client_port, VXLAN));
        stack.wrap(Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]));
    }
    if let Some(id) = flow.vlan {
        stack.wrap(Vlan::new(id));
    }
    stack.wrap(ethernet);
}
