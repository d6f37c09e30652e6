//! What the traffic is like: plain data.

use crate::frame::Timestamp;
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
    /// The simple Internet mix: 64, 594 and 1518 bytes at 7 to 4 to 1.
    Imix,
    /// Any length between two, all alike.
    Uniform(RangeInclusive<u16>),
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
