//! One walk over a frame's headers: no copy, no panic, nothing read beyond the captured bytes.
//!
//! [`parse`] gives [`Layers`], plain offsets without a borrow; [`Packet`] puts them together with the
//! frame again. What a frame's bytes cannot honour is recorded as [`Malformed`] and the walk stops
//! there: everything found before stays valid, and accessors over it cannot panic.
//!
//! Beyond the headers stand readers of what names a conversation: [`dns`], [`http`], [`tls`], [`quic`].

mod arp;
mod carried;
mod cursor;
mod dccp;
pub mod dns;
mod ethernet;
mod gre;
mod gtp;
pub mod http;
mod icmp;
mod ipv4;
mod ipv6;
mod ipv6_extension;
mod layer;
mod link;
mod linux_cooked;
mod llc;
mod mpls;
mod packet;
mod ppp;
mod prefix;
pub mod quic;
mod sctp;
mod switch_tag;
mod tcp;
mod tcp_options;
pub mod tls;
mod transport;
mod tunnel;
mod udp;
mod vxlan;
mod walk;
mod wireless;

pub use arp::ArpHeader;
pub use carried::Carried;
pub use dccp::DccpHeader;
pub use ethernet::{EthernetHeader, MacAddress, VlanTag};
pub use gre::GreHeader;
pub use gtp::GtpHeader;
pub use icmp::{IcmpHeader, Icmpv6Header, IgmpHeader};
pub use ipv4::{Ipv4Header, Ipv4Option, Ipv4Options};
pub use ipv6::Ipv6Header;
pub use ipv6_extension::{ExtensionHeader, ExtensionHeaders, FragmentHeader, Ipv6Option, RoutingHeader};
pub use layer::{Layer, protocol_name};
pub use linux_cooked::{Sll2Header, SllHeader};
pub use mpls::MplsLabel;
pub use packet::Packet;
pub use ppp::PppoeHeader;
pub use prefix::Prefix;
pub use sctp::SctpHeader;
pub use tcp::{TcpFlags, TcpHeader};
pub use tcp_options::{SackBlocks, TcpOption, TcpOptions};
pub use udp::UdpHeader;
pub use vxlan::{GeneveHeader, VxlanHeader};

pub(crate) use ethernet::ether_type;
pub(crate) use transport::protocol;
pub(crate) use tunnel::is_tunnel_port;
#[cfg(target_arch = "x86_64")]
pub(crate) use tunnel::{HASH_BITS, HASH_FACTOR, HASHED_PORTS, TUNNEL_PORTS};

use crate::frame::{Frame, Record};
use walk::{Visit, Walk};

/// IP version of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpVersion {
    /// RFC 791.
    #[default]
    V4,
    /// RFC 8200.
    V6,
}

/// What an IP layer carries, as far as it could be read. A variant other than `None` promises that
/// the fixed part of that header was captured whole, at [`IpLayer::payload`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// No header known to us, not captured whole, or a later fragment.
    #[default]
    None,
    /// RFC 9293, options within the captured bytes too.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 3828.
    UdpLite,
    /// RFC 9260, common header.
    Sctp,
    /// RFC 4340, generic header.
    Dccp,
    /// RFC 792.
    Icmp,
    /// RFC 4443.
    Icmpv6,
    /// RFC 2236, 9776.
    Igmp,
}

impl Transport {
    /// Its number in the registry of RFC 5237.
    #[must_use]
    pub const fn protocol(self) -> Option<u8> {
        Some(match self {
            Self::None => return None,
            Self::Tcp => protocol::TCP,
            Self::Udp => protocol::UDP,
            Self::UdpLite => protocol::UDPLITE,
            Self::Sctp => protocol::SCTP,
            Self::Dccp => protocol::DCCP,
            Self::Icmp => protocol::ICMP,
            Self::Icmpv6 => protocol::ICMPV6,
            Self::Igmp => protocol::IGMP,
        })
    }

    /// Whether its header begins with a source and a destination port.
    #[inline]
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::UdpLite | Self::Sctp | Self::Dccp)
    }
}

/// Which piece of a fragmented packet an IP layer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// Not fragmented (an IPv6 atomic fragment, RFC 6946, counts as whole).
    #[default]
    Whole,
    /// Offset 0 and more to come: has the upper-layer header.
    First,
    /// Offset above 0: has no upper-layer header.
    Later,
}

/// One IP header found in a frame, with what it carries. Offsets count from the frame's first byte.
///
/// A fixed header that the frame's end cuts after the source address is one too, with nothing in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpLayer {
    /// 4 or 6.
    pub version: IpVersion,
    /// Which fragment.
    pub fragment: Fragment,
    /// Upper-layer protocol number (RFC 5237 registry), after every extension header.
    pub protocol: u8,
    /// What of it could be read.
    pub transport: Transport,
    /// Source port of TCP, UDP, UDP-Lite, SCTP, DCCP; else 0. Also filled in where both ports could be read
    /// but the rest of the header could not ([`Packet::ports`] tells).
    pub source_port: u16,
    /// Destination port, likewise.
    pub destination_port: u16,
    /// First byte of the IP header.
    pub start: u32,
    /// First byte after options or extension headers: the upper-layer header.
    pub payload: u32,
    /// First byte after the upper-layer header (TCP options included); `payload` when `transport` is `None`.
    pub data: u32,
    /// One past the packet's last captured byte: link-layer padding and what was snapped are outside.
    pub end: u32,
    /// One past its last byte by the length field (or jumbo option), captured or not. Equals the frame's end on
    /// the wire where the length field is 0 (TSO, BIG TCP).
    pub declared_end: u32,
    /// Offset of the address that stands for the source in the pseudo header: the source itself, or the
    /// Home Address option (RFC 6275 6.3, 11.3.1).
    pub pseudo_source: u32,
    /// Likewise for the destination: the final one of a routing header with segments left (RFC 8200 8.1; beyond
    /// the packet where RFC 6554 has compressed it), or
    /// of an IPv4 source route not yet at its end (RFC 791 3.1).
    pub pseudo_destination: u32,
}

/// A header that the bytes do not honour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Header the walk stopped in.
    pub layer: Layer,
    /// What is wrong with it.
    pub reason: Reason,
    /// Bytes (or the least value) needed.
    pub need: u32,
    /// Bytes (or the value) found.
    pub have: u32,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The frame ends within the header although nothing was cut by the snap length.
    TooShort,
    /// The capture cut the frame within the header (snap length): not the sender's doing.
    Snapped,
    /// A length field smaller than its own header or larger than what holds it.
    BadLength,
    /// A version field that is not the header's.
    BadVersion,
    /// More nested headers than the walk follows.
    TooDeep,
}

/// Where the headers of one frame lie. Plain data: 0 allocations, no borrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Outermost IP header.
    pub outer: Option<IpLayer>,
    /// Innermost IP header, where there is more than one.
    pub inner: Option<IpLayer>,
    /// How many IP headers lie within one another (those quoted in ICMP errors not counted).
    pub ip_depth: u8,
    /// How many VLAN tags in all.
    pub vlan_count: u8,
    /// How many of them are service tags (0x88a8, IEEE 802.1ad).
    pub service_vlan_count: u8,
    /// The first two tags' control information (priority, DEI, 12 bits of id), outermost first.
    pub vlan_tags: [u16; 2],
    /// EtherType of what the outermost link layer carries; 0 where there is none (LLC, unknown).
    pub ether_type: u16,
    /// Offset of what the outermost link layer (VLAN, MPLS, PPPoE included) carries.
    pub network: u32,
    /// Where and why the walk stopped, if it had to.
    pub malformed: Option<Malformed>,
}

/// One header of a frame, as [`Packet::headers`] lists it. Offsets count from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Which header.
    pub layer: Layer,
    /// Its first byte.
    pub start: u32,
    /// One past its last, options included.
    pub end: u32,
}

/// Walks the headers of a frame.
///
/// ```
/// use wharf::frame::{Frame, LinkType};
/// use wharf::parse::{Transport, parse};
///
/// let mut bytes = *b"\x45\x00\x00\x1d\x00\x00\x00\x00\x40\x11\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x01\
///     \x30\x39\x00\x35\x00\x09\x00\x00!";
/// let layers = parse(&Frame::new(LinkType::RAW, &bytes));
/// let ip = layers.outer.unwrap();
/// assert_eq!((ip.transport, ip.source_port, ip.destination_port), (Transport::Udp, 12345, 53));
///
/// bytes[0] = 0x41;
/// let layers = parse(&Frame::new(LinkType::RAW, &bytes));
/// assert_eq!(layers.malformed.unwrap().to_string(), "IPv4: bad length (need 20, have 4)");
/// ```
// Into the caller, whose layers they become: returned from a call they would be copied before the stores have come through.
#[inline(always)]
#[must_use]
pub fn parse(frame: &Frame<'_>) -> Layers {
    let mut layers = Layers::default();
    walk_frame(frame, &mut layers, ());
    layers
}

/// As [`parse`], in place of what is in `layers`: nothing is copied. `data` are the captured bytes of the frame with this
/// record.
#[inline]
pub(crate) fn parse_into(data: &[u8], record: &Record, layers: &mut Layers) {
    *layers = Layers::default();
    walk(data, record, layers, ());
}

fn walk_frame<V: Visit>(frame: &Frame<'_>, layers: &mut Layers, visit: V) -> V {
    walk(frame.data, &frame.record, layers, visit)
}

// Not inlined: LLVM would collect `layers` on the stack, to copy them from there.
#[inline(never)]
fn walk<V: Visit>(data: &[u8], record: &Record, layers: &mut Layers, visit: V) -> V {
    let mut walk = Walk::new(data, record.wire_length, layers, visit);
    if let Err(malformed) = walk.link(record.link_type, 0) {
        walk.layers.malformed = Some(malformed);
    }
    walk.visit
}
