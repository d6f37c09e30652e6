//! What names a flow: the same for both directions.

mod packet;
#[cfg(test)]
mod tests;

pub use packet::Keyed;
pub(super) use packet::{has_sound_length, is_behind_all_tags, layer_of, tunnel_to};

use crate::parse::{IpVersion, protocol};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

/// Both directions of one conversation: addresses, ports, protocol, and the VLANs and the tunnel it was seen in.
///
/// Its ends are in canonical order, the lower address (and then port) first, so that both directions have one key;
/// [`Keyed::reversed`] tells them apart. Of ICMP the ports are a message's type and that of its answer, as Community ID
/// has it; what has no answer, such as an error, flows one way only: the type and the code, and the ends as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// An IPv4 address is in the first four bytes, the others are 0.
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    /// Identifiers of the two outermost VLAN tags, each with [`TAGGED`]; 0 where there is no tag.
    vlans: [u16; 2],
    protocol: u8,
    /// 4 or 6.
    version: u8,
    tunnel: Option<Tunnel>,
}

/// Set beside the 12 bits of a VLAN identifier: 0 is an identifier, too.
const TAGGED: u16 = 0x1000;

/// An odd number without a pattern: the first digits of the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// The tunnel that a flow was seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tunnel {
    /// Of what sort.
    pub kind: TunnelKind,
    /// VXLAN's and Geneve's network identifier, GRE's key, GTP's tunnel endpoint identifier; 0 where there is none.
    pub id: u32,
}

/// What sort of tunnel: of several that next to the flow, and IP in IP, which has no number, only where there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TunnelKind {
    /// RFC 2784, 2890.
    Gre,
    /// RFC 7348.
    Vxlan,
    /// RFC 8926.
    Geneve,
    /// 3GPP TS 29.281.
    Gtp,
    /// IP in IP (RFC 2003, 2473, 4213), and whatever else has no number of its own.
    Ip,
}

impl TunnelKind {
    /// Lower-case name: `gre`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gtp => "gtp",
            Self::Ip => "ip",
        }
    }
}

impl FlowKey {
    /// The flow between two ends, the first of which sends, without VLAN and tunnel; and whether it is the key's upper end.
    /// Of ICMP, ports are the message's type and that of its answer, or the code where it has none.
    ///
    /// ```
    /// use wharf::flow::FlowKey;
    /// let (a, b) = (([10, 0, 0, 1].into(), 40_000), ([10, 0, 0, 2].into(), 443));
    /// assert_eq!(FlowKey::new(a, b, 6).0, FlowKey::new(b, a, 6).0);
    /// assert_eq!((FlowKey::new(a, b, 6).1, FlowKey::new(b, a, 6).1), (false, true));
    /// ```
    #[must_use]
    pub fn new(from: (IpAddr, u16), to: (IpAddr, u16), protocol: u8) -> (Self, bool) {
        let (a, b) = (bytes_of(from.0), bytes_of(to.0));
        let one_way = match protocol {
            protocol::ICMP => icmp_answer(from.1) != Some(to.1),
            protocol::ICMPV6 => icmpv6_answer(from.1) != Some(to.1),
            _ => false,
        };
        let reversed = !one_way && (b, to.1) < (a, from.1);
        let (addresses, ports) = if reversed { ([b, a], [to.1, from.1]) } else { ([a, b], [from.1, to.1]) };
        let version = if from.0.is_ipv4() { 4 } else { 6 };
        (Self { addresses, ports, vlans: [0; 2], protocol, version, tunnel: None }, reversed)
    }

    /// A VLAN tag as it is kept.
    #[inline(always)]
    pub(super) const fn tagged(tag: u16) -> u16 {
        TAGGED | tag & 0xfff
    }

    /// Of a packet of TCP or UDP with this IPv6 header, these ports (that of the source first) and this tag as it is
    /// [kept](Self::tagged), or 0; and whether the upper end sent it.
    #[inline(always)]
    pub(super) fn of_ipv6(header: &[u8; 40], (from, to): (u16, u16), vlan: u16) -> (Self, bool) {
        let (addresses, _) = header[8..].as_chunks::<16>();
        let (a, b) = (addresses[0], addresses[1]);
        let reversed = (b, to) < (a, from);
        let (addresses, ports) = if reversed { ([b, a], [to, from]) } else { ([a, b], [from, to]) };
        (Self { addresses, ports, vlans: [vlan, 0], protocol: header[6], version: 6, tunnel: None }, reversed)
    }

    /// A number that tells flows apart and does not depend on a seed.
    pub(super) fn spread(&self) -> u64 {
        let words = self.words().into_iter();
        let mixed = words.fold(0_u64, |mixed, word| (mixed.rotate_left(17) ^ word).wrapping_mul(MIX));
        mixed ^ mixed >> 32
    }

    /// What stands for the ports of an ICMP message.
    pub(super) fn icmp_ports(protocol: u8, kind: u8, code: u8) -> (u16, u16) {
        let answer = if protocol == protocol::ICMP { icmp_answer } else { icmpv6_answer };
        (kind.into(), answer(kind.into()).unwrap_or(code.into()))
    }

    /// Address and port of the lower end (`upper` false) or the upper one. Of a protocol without ports the port is 0.
    #[must_use]
    pub fn end(&self, upper: bool) -> (IpAddr, u16) {
        let at = usize::from(upper);
        let address = &self.addresses[at];
        let address = match self.ip_version() {
            IpVersion::V4 => [address[0], address[1], address[2], address[3]].into(),
            IpVersion::V6 => Ipv6Addr::from(*address).into(),
        };
        (address, self.ports[at])
    }

    /// Both addresses as bytes: an IPv4 one is in the first four.
    pub(super) fn addresses(&self) -> &[[u8; 16]; 2] {
        &self.addresses
    }

    /// The same flow, on the VLANs and in the tunnel that another was seen in.
    pub(crate) fn seen_as(self, other: &Self) -> Self {
        Self { vlans: other.vlans, tunnel: self.tunnel.or(other.tunnel), ..self }
    }

    /// Identifiers of VLAN tags as they are kept.
    pub(super) fn vlan_tags(&self) -> [u16; 2] {
        self.vlans
    }

    /// All of it as numbers.
    pub(super) fn words(&self) -> [u64; 6] {
        let [a, b] = self.addresses.map(u128::from_be_bytes);
        let ports = u64::from(self.ports[0]) << 16 | u64::from(self.ports[1]);
        let vlans = u64::from(self.vlans[0]) << 16 | u64::from(self.vlans[1]);
        let tunnel = self.tunnel.map_or(0, |tunnel| (1 + tunnel.kind as u64) << 32 | u64::from(tunnel.id));
        let kind = u64::from(self.protocol) << 8 | u64::from(self.version);
        [a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64, ports << 32 | vlans, kind << 40 | tunnel]
    }

    /// Of IPv4 ends that are in order.
    pub(super) fn ordered(lower: (IpAddr, u16), upper: (IpAddr, u16), protocol: u8, vlans: [u16; 2]) -> Self {
        let addresses = [bytes_of(lower.0), bytes_of(upper.0)];
        Self { addresses, ports: [lower.1, upper.1], vlans, protocol, version: 4, tunnel: None }
    }

    /// Number of the upper-layer protocol (RFC 5237).
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Of both addresses.
    #[must_use]
    pub fn ip_version(&self) -> IpVersion {
        if self.version == 4 { IpVersion::V4 } else { IpVersion::V6 }
    }

    /// Identifiers of the two outermost VLAN tags, outermost first.
    #[must_use]
    pub fn vlans(&self) -> [Option<u16>; 2] {
        self.vlans.map(|tag| (tag & TAGGED != 0).then_some(tag & 0xfff))
    }

    /// The tunnel it was seen in.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel
    }

    /// Whether the protocol is one whose ports are two programs' (or, of ICMP, a message's and its answer's type).
    #[must_use]
    pub fn has_ports(&self) -> bool {
        matches!(
            self.protocol,
            protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP
        )
    }
}

fn bytes_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The type of the message that answers an ICMP message, or that it answers (RFC 792, 950, 1256).
const fn icmp_answer(kind: u16) -> Option<u16> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The same of ICMPv6 (RFC 4443, 2710, 4861, 4620, 6275).
const fn icmpv6_answer(kind: u16) -> Option<u16> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

/// `tcp 10.0.0.1:40000 10.0.0.2:443`, then `vlan 5` and `vxlan 7` where there are such.
/// A few words instead of many bytes.
impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().iter().for_each(|&word| state.write_u64(word));
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::parse::protocol_name(self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.protocol)?,
        }
        for upper in [false, true] {
            match self.end(upper) {
                (IpAddr::V4(address), port) if self.has_ports() => write!(f, " {address}:{port}")?,
                (IpAddr::V6(address), port) if self.has_ports() => write!(f, " [{address}]:{port}")?,
                (address, _) => write!(f, " {address}")?,
            }
        }
        for vlan in self.vlans().into_iter().flatten() {
            write!(f, " vlan {vlan}")?;
        }
        match self.tunnel {
            Some(Tunnel { kind, id }) => write!(f, " {} {id}", kind.key()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
