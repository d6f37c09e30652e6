//! What the traffic is like: plain data.

use crate::frame::Timestamp;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// A description of traffic. The same description always gives the same frames.
///
/// ```
/// use wharf::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
///
/// let web = Traffic {
///     seed: 7,
///     frames: 10_000,
///     sizes: Sizes::Imix,
///     protocols: vec![(Protocol::Tcp, 9), (Protocol::Udp, 1)],
///     ports: vec![80..=80, 443..=443, 8000..=8999],
///     bad_percent: 2,
///     ..Traffic::default()
/// };
/// let expected = Synthetic::new(&web).expected();
/// assert_eq!(expected.total.frames, 10_000);
/// assert!(expected.bad > 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Another seed, other frames.
    pub seed: u64,
    /// Frames to hand out in all.
    pub frames: u64,
    /// Distinct frames among them, after which they repeat; at least 1, and fewer when they would not fit into 4 GiB.
    pub distinct: usize,
    /// Lengths of the frames.
    pub sizes: Sizes,
    /// Protocols of the flows, each with its weight. Empty: TCP and UDP alike.
    pub protocols: Vec<(Protocol, u32)>,
    /// Ports that clients send to; each range is as likely as the others. Empty: 9999.
    pub ports: Vec<RangeInclusive<u16>>,
    /// How many flows: each has its own addresses, client port, protocol and VLAN. At least 1, at most 65,536.
    pub flows: u32,
    /// Share of the flows over IPv6, in percent.
    pub ipv6_percent: u8,
    /// Share of the flows with a VLAN tag, in percent.
    pub vlan_percent: u8,
    /// Their VLANs, 0 to 4095: each is as likely as the others.
    pub vlans: RangeInclusive<u16>,
    /// From where to where.
    pub addresses: Addresses,
    /// Share of the flows inside VXLAN, in percent.
    pub tunnel_percent: u8,
    /// Share of the frames whose innermost transport checksum is wrong, in percent.
    pub bad_percent: u8,
    /// Time of the first frame.
    pub start: Timestamp,
    /// Frames a second by their times: the distance between two is whole nanoseconds, at most a second.
    pub rate: u64,
}

impl Default for Traffic {
    /// A million frames of 60 bytes, half of them TCP, half UDP, on 1,024 flows to port 9999 over IPv4,
    /// 4,096 of them distinct, a microsecond apart, all checksums right.
    fn default() -> Self {
        Self {
            seed: 1,
            frames: 1_000_000,
            distinct: 4_096,
            sizes: Sizes::Fixed(60),
            protocols: Vec::new(),
            ports: Vec::new(),
            flows: 1_024,
            ipv6_percent: 0,
            vlan_percent: 0,
            vlans: 1..=4_094,
            addresses: Addresses::default(),
            tunnel_percent: 0,
            bad_percent: 0,
            start: Timestamp { seconds: 1_700_000_000, nanos: 0 },
            rate: 1_000_000,
        }
    }
}

/// Lengths of frames in bytes, without their check sequence. A frame is never shorter than its headers,
/// and SCTP fills up its packets to a multiple of 4 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All of one length.
    Fixed(u16),
    /// The simple Internet mix: 60, 590 and 1514 bytes at 7 to 4 to 1, which on the wire are 64, 594 and 1518.
    Imix,
    /// Any length between two, all alike.
    Uniform(RangeInclusive<u16>),
    /// One of these, each with its weight. Empty: all of 64.
    Mix(Vec<(u16, u32)>),
}

/// Addresses of frames and of the IP packets in them; around a tunnel they are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Ethernet address that frames come from; `None` for one of its own for each flow.
    pub source_mac: Option<[u8; 6]>,
    /// Ethernet address that frames go to.
    pub destination_mac: [u8; 6],
    /// Network of the clients over IPv4, and its prefix length: flows are numbered through it, and begin again at its
    /// first address when it ends.
    pub clients_v4: (Ipv4Addr, u8),
    /// Address, or network in the same way, of the servers over IPv4.
    pub servers_v4: (Ipv4Addr, u8),
    /// Of the clients over IPv6.
    pub clients_v6: (Ipv6Addr, u8),
    /// Of the servers over IPv6.
    pub servers_v6: (Ipv6Addr, u8),
}

impl Default for Addresses {
    /// From 02:00:00:01 and the flow's number, 10.1.0.0/16 and 2001:db8:0:1::/112 to 02:00:00:02:00:01, 10.2.0.1 and
    /// 2001:db8:0:2::1.
    fn default() -> Self {
        Self {
            source_mac: None,
            destination_mac: [2, 0, 0, 2, 0, 1],
            clients_v4: (Ipv4Addr::new(10, 1, 0, 0), 16),
            servers_v4: (Ipv4Addr::new(10, 2, 0, 1), 32),
            clients_v6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0), 112),
            servers_v6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1), 128),
        }
    }
}

impl Addresses {
    /// Client and server of a flow over IPv4.
    pub(super) fn v4(&self, flow: u16) -> (Ipv4Addr, Ipv4Addr) {
        let within = |(address, prefix): (Ipv4Addr, u8)| {
            let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv4Addr::from_bits(
                (address.to_bits() & !hosts) | (address.to_bits().wrapping_add(flow.into()) & hosts),
            )
        };
        (within(self.clients_v4), within(self.servers_v4))
    }

    /// Likewise over IPv6.
    pub(super) fn v6(&self, flow: u16) -> (Ipv6Addr, Ipv6Addr) {
        let within = |(address, prefix): (Ipv6Addr, u8)| {
            let hosts = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv6Addr::from_bits(
                (address.to_bits() & !hosts) | (address.to_bits().wrapping_add(flow.into()) & hosts),
            )
        };
        (within(self.clients_v6), within(self.servers_v6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_numbered_through_a_network_and_stay_in_it() {
        let plain = Addresses::default();
        assert_eq!(plain.v4(0x0203), ([10, 1, 2, 3].into(), [10, 2, 0, 1].into()));
        assert_eq!(plain.v6(7).0, "2001:db8:0:1::7".parse::<Ipv6Addr>().unwrap());
        let small = Addresses {
            clients_v4: ([192, 168, 1, 254].into(), 30),
            servers_v4: ([0, 0, 0, 1].into(), 0),
            ..plain
        };
        let clients = [0, 1, 2, 3].map(|flow| small.v4(flow).0.octets()[3]);
        assert_eq!(clients, [254, 255, 252, 253]);
        assert_eq!(small.v4(0xffff).1, Ipv4Addr::new(0, 1, 0, 0));
        let host = Addresses { clients_v6: (Ipv6Addr::LOCALHOST, 128), ..plain };
        assert_eq!(host.v6(500).0, Ipv6Addr::LOCALHOST);
    }
}

/// What a flow's packets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP segments with acknowledgments and data.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// SCTP packets of one DATA chunk each.
    Sctp,
    /// Echo requests, of ICMP or ICMPv6: no ports.
    Icmp,
}
