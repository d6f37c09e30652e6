//! Names: of layers, of reasons, of IP protocol numbers.

use super::{Malformed, Reason};
use std::fmt;

macro_rules! layers {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $key:literal;)*) => {
        /// A header's kind: the name of a layer in reports, and of the place where a packet is malformed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Layer {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Layer {
            /// Every kind, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Short name for people: `IPv4`, `TCP`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Lower-case name for machines: `ipv4`, `tcp`. No two layers share one.
            ///
            /// ```
            /// assert_eq!(wharf::parse::Layer::LinuxCooked2.key(), "sll2");
            /// ```
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)*
                }
            }
        }
    };
}

layers! {
    /// IEEE 802.3 / Ethernet II.
    Ethernet = "Ethernet", "ethernet";
    /// VLAN tag, IEEE 802.1Q.
    Vlan = "VLAN", "vlan";
    /// Service VLAN tag (0x88a8), IEEE 802.1ad.
    ServiceVlan = "S-VLAN", "svlan";
    /// Logical link control, IEEE 802.2.
    Llc = "LLC", "llc";
    /// Subnetwork access protocol, IEEE 802 and RFC 1042.
    Snap = "SNAP", "snap";
    /// Label stack entry, RFC 3032.
    Mpls = "MPLS", "mpls";
    /// Pseudowire control word, RFC 4385.
    ControlWord = "PW control word", "control_word";
    /// PPP over Ethernet, RFC 2516.
    Pppoe = "PPPoE", "pppoe";
    /// Point-to-point protocol, RFC 1661 and 1662.
    Ppp = "PPP", "ppp";
    /// Cisco HDLC (RFC 1547 4.3.1).
    Hdlc = "HDLC", "hdlc";
    /// Multiprotocol over frame relay, RFC 2427.
    FrameRelay = "Frame Relay", "frame_relay";
    /// BSD loopback: an address family (`LINKTYPE_NULL`, `LINKTYPE_LOOP`).
    Loopback = "Loopback", "loopback";
    /// Linux cooked capture (`LINKTYPE_LINUX_SLL`).
    LinuxCooked = "Linux cooked", "sll";
    /// Linux cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
    LinuxCooked2 = "Linux cooked v2", "sll2";
    /// IEEE 802.11 MAC header.
    Wireless = "802.11", "wlan";
    /// Radiotap header (<https://www.radiotap.org>).
    Radiotap = "Radiotap", "radiotap";
    /// Prism monitor header.
    Prism = "Prism", "prism";
    /// AVS monitor header.
    Avs = "AVS", "avs";
    /// Per-packet information (`LINKTYPE_PPI`).
    Ppi = "PPI", "ppi";
    /// Netfilter log (`LINKTYPE_NFLOG`).
    Nflog = "NFLOG", "nflog";
    /// IEEE 802.5.
    TokenRing = "Token Ring", "token_ring";
    /// ANSI X3.139.
    Fddi = "FDDI", "fddi";
    /// RFC 1051 and 1201.
    Arcnet = "ARCnet", "arcnet";
    /// IP over InfiniBand, RFC 4391.
    Infiniband = "IPoIB", "ipoib";
    /// Another header that a capture puts before the packet (`LINKTYPE_PFLOG`, `ENC`, `IPNET`, `SUNATM` ...).
    CaptureHeader = "Capture header", "capture_header";
    /// Tag of an Ethernet switch chip (DSA).
    SwitchTag = "Switch tag", "switch_tag";
    /// Cisco MetaData.
    MetaData = "Cisco MetaData", "cisco_metadata";
    /// Cisco FabricPath.
    FabricPath = "FabricPath", "fabricpath";
    /// Cisco inter-switch link.
    Isl = "ISL", "isl";
    /// Arista's timestamp header.
    Arista = "Arista", "arista";
    /// IEEE 802.1AE security tag.
    Macsec = "MACsec", "macsec";
    /// Network service header, RFC 8300.
    Nsh = "NSH", "nsh";
    /// Backbone service instance tag, IEEE 802.1ah.
    Pbb = "PBB", "pbb";
    /// RFC 6325.
    Trill = "TRILL", "trill";
    /// High-availability seamless redundancy, IEC 62439-3.
    Hsr = "HSR", "hsr";
    /// Redundancy tag, IEEE 802.1CB.
    RedundancyTag = "R-TAG", "rtag";
    /// Port extension: Cisco's VN-Tag, IEEE 802.1BR's E-TAG.
    PortTag = "Port tag", "port_tag";
    /// B.A.T.M.A.N. advanced (Linux' `batadv_packet.h`, 6.1).
    BatmanAdv = "batman-adv", "batman_adv";
    /// Address resolution, RFC 826.
    Arp = "ARP", "arp";
    /// Internet Protocol version 4, RFC 791.
    Ipv4 = "IPv4", "ipv4";
    /// Internet Protocol version 6, RFC 8200.
    Ipv6 = "IPv6", "ipv6";
    /// IPv6 hop-by-hop options, RFC 8200 4.3.
    HopByHop = "Hop-by-Hop", "ipv6_hop_by_hop";
    /// IPv6 routing header, RFC 8200 4.4.
    Routing = "Routing", "ipv6_routing";
    /// IPv6 fragment header, RFC 8200 4.5.
    Fragment = "Fragment", "ipv6_fragment";
    /// IPv6 destination options, RFC 8200 4.6.
    DestinationOptions = "Destination Options", "ipv6_destination_options";
    /// Authentication header, RFC 4302.
    Authentication = "AH", "ah";
    /// IPv6 mobility header, RFC 6275 6.1.
    Mobility = "Mobility", "mobility";
    /// Host identity protocol, RFC 7401.
    Hip = "HIP", "hip";
    /// Level 3 multihoming shim, RFC 5533.
    Shim6 = "Shim6", "shim6";
    /// RFC 9293.
    Tcp = "TCP", "tcp";
    /// RFC 768.
    Udp = "UDP", "udp";
    /// RFC 3828.
    UdpLite = "UDP-Lite", "udplite";
    /// RFC 9260.
    Sctp = "SCTP", "sctp";
    /// RFC 4340.
    Dccp = "DCCP", "dccp";
    /// RFC 792.
    Icmp = "ICMP", "icmp";
    /// RFC 4443.
    Icmpv6 = "ICMPv6", "icmpv6";
    /// RFC 2236, 9776.
    Igmp = "IGMP", "igmp";
    /// PIM register message, RFC 7761 4.9.3.
    Pim = "PIM", "pim";
    /// Generic routing encapsulation, RFC 2784, 2890; version 1: RFC 2637.
    Gre = "GRE", "gre";
    /// Port mirroring over GRE (draft-foschiano-erspan).
    Erspan = "ERSPAN", "erspan";
    /// RFC 3378.
    EtherIp = "EtherIP", "etherip";
    /// RFC 7348, and VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
    Vxlan = "VXLAN", "vxlan";
    /// RFC 8926.
    Geneve = "Geneve", "geneve";
    /// GTP user plane, 3GPP TS 29.281.
    Gtp = "GTP-U", "gtp";
    /// RFC 4380.
    Teredo = "Teredo", "teredo";
    /// RFC 2661.
    L2tp = "L2TP", "l2tp";
    /// Anything in anything (draft-massar-v6ops-ayiya).
    Ayiya = "AYIYA", "ayiya";
    /// RFC 9300.
    Lisp = "LISP", "lisp";
    /// CAPWAP data channel, RFC 5415 4.3.
    Capwap = "CAPWAP", "capwap";
    /// TaZmen sniffer protocol.
    Tzsp = "TZSP", "tzsp";
    /// Automatic multicast tunnelling, RFC 7450.
    Amt = "AMT", "amt";
    /// RFC 5412.
    Lwapp = "LWAPP", "lwapp";
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Reason {
    /// Lower-case name for machines: `too_short`, `bad_length`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Snapped => "snapped",
            Self::BadLength => "bad_length",
            Self::BadVersion => "bad_version",
            Self::TooDeep => "too_deep",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooShort => "too short",
            Self::Snapped => "cut by the snap length",
            Self::BadLength => "bad length",
            Self::BadVersion => "bad version",
            Self::TooDeep => "nested too deep",
        })
    }
}

/// `TCP: bad length (need 20, have 8)`.
impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (need {}, have {})", self.layer, self.reason, self.need, self.have)
    }
}

impl std::error::Error for Malformed {}

/// Lower-case name of an IP protocol number (RFC 5237 registry), for those a reader expects by name.
///
/// ```
/// use wharf::parse::protocol_name;
/// assert_eq!((protocol_name(6), protocol_name(254)), (Some("tcp"), None));
/// ```
#[must_use]
pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        8 => "egp",
        9 => "igp",
        17 => "udp",
        33 => "dccp",
        41 => "ipv6",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        88 => "eigrp",
        89 => "ospf",
        97 => "etherip",
        103 => "pim",
        108 => "ipcomp",
        112 => "vrrp",
        115 => "l2tp",
        132 => "sctp",
        135 => "mobility",
        136 => "udplite",
        137 => "mpls",
        139 => "hip",
        140 => "shim6",
        143 => "ethernet",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_and_distinct() {
        let keys: std::collections::HashSet<_> = Layer::ALL.iter().map(|layer| layer.key()).collect();
        assert_eq!(keys.len(), Layer::ALL.len());
        assert!(keys.iter().all(|key| key.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))));
    }
}
