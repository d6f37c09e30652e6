//! One walk over a frame's headers: no copy, no panic, nothing read beyond the captured bytes.
//!
//! [`parse`] gives [`Layers`], plain offsets without a borrow; [`Packet`] puts them together with the
//! frame again. What a frame's bytes cannot honour is recorded as [`Malformed`] and the walk stops
//! there: everything found before stays valid, and accessors over it cannot panic.

use crate::frame::Frame;
use std::net::IpAddr;

/// A header's kind: the name of a layer in reports, and of the place where a packet is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// IEEE 802.3 / Ethernet II.
    Ethernet,
    /// Internet Protocol version 4, RFC 791.
    Ipv4,
    /// Internet Protocol version 6, RFC 8200.
    Ipv6,
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

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
    /// Source port of TCP, UDP, UDP-Lite, SCTP, DCCP; else 0.
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
    /// Likewise for the destination: the final one of a routing header with segments left (RFC 8200 8.1).
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
    /// The first two tags' control information (priority, DEI, 12 bits of id), outermost first.
    pub vlan_tags: [u16; 2],
    /// EtherType of what the outermost link layer carries; 0 where there is none (LLC, unknown).
    pub ether_type: u16,
    /// Offset of what the outermost link layer (VLAN, MPLS, PPPoE included) carries.
    pub network: u32,
    /// Where and why the walk stopped, if it had to.
    pub malformed: Option<Malformed>,
}

/// A parsed frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    frame: Frame<'a>,
    layers: &'a Layers,
}

impl<'a> Packet<'a> {
    /// Joins a frame with the layers found in it.
    ///
    /// Layers of another frame give wrong answers or empty slices, never a panic.
    #[must_use]
    pub fn new(frame: Frame<'a>, layers: &'a Layers) -> Self {
        Self { frame, layers }
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &Frame<'a> {
        &self.frame
    }

    /// Where its headers lie.
    #[must_use]
    pub fn layers(&self) -> &'a Layers {
        self.layers
    }

    /// Source and destination address of an IP layer of this packet.
    #[must_use]
    pub fn addresses(&self, _ip: &IpLayer) -> Option<(IpAddr, IpAddr)> {
        None
    }
}

/// Walks the headers of a frame.
#[must_use]
pub fn parse(_frame: &Frame<'_>) -> Layers {
    Layers::default()
}
