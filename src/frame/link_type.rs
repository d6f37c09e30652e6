//! The link types wharf knows by name (<https://www.tcpdump.org/linktypes.html>).

use super::LinkType;
use std::fmt;

macro_rules! link_types {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        impl LinkType {
            $(#[doc = concat!("`LINKTYPE_", $name, "`, ", $number, ".")]
            pub const $constant: Self = Self($number);)*

            /// The registry's name without its prefix, where wharf knows it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }

            /// The link type of a name of the registry, with or without its prefix, in any case; of several with one name
            /// (`RAW`) the one files have.
            ///
            /// ```
            /// use wharf::frame::LinkType;
            /// assert_eq!(LinkType::named("linktype_ethernet"), Some(LinkType::ETHERNET));
            /// assert_eq!(LinkType::named("RAW"), Some(LinkType::RAW));
            /// assert_eq!(LinkType::named("EN10MB"), None);
            /// ```
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                let prefix = "LINKTYPE_";
                let name = match name.get(..prefix.len()) {
                    Some(start) if start.eq_ignore_ascii_case(prefix) => &name[prefix.len()..],
                    _ => name,
                };
                let mut known = [$(($name, Self::$constant)),*].into_iter().rev();
                known.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, link_type)| link_type)
            }
        }
    };
}

link_types! {
    NULL = 0, "NULL";
    ETHERNET = 1, "ETHERNET";
    TOKEN_RING = 6, "IEEE802_5";
    ARCNET = 7, "ARCNET_BSD";
    SLIP = 8, "SLIP";
    PPP = 9, "PPP";
    FDDI = 10, "FDDI";
    RAW_BSD = 12, "RAW";
    RAW_OPENBSD = 14, "RAW";
    PPP_HDLC = 50, "PPP_HDLC";
    PPP_ETHER = 51, "PPP_ETHER";
    ATM_RFC1483 = 100, "ATM_RFC1483";
    RAW = 101, "RAW";
    C_HDLC = 104, "C_HDLC";
    IEEE802_11 = 105, "IEEE802_11";
    ATM_CLIP = 106, "ATM_CLIP";
    FRELAY = 107, "FRELAY";
    LOOP = 108, "LOOP";
    ENC = 109, "ENC";
    LINUX_SLL = 113, "LINUX_SLL";
    PFLOG = 117, "PFLOG";
    IEEE802_11_PRISM = 119, "IEEE802_11_PRISM";
    IP_OVER_FC = 122, "IP_OVER_FC";
    SUNATM = 123, "SUNATM";
    IEEE802_11_RADIOTAP = 127, "IEEE802_11_RADIOTAP";
    TZSP = 128, "TZSP";
    ARCNET_LINUX = 129, "ARCNET_LINUX";
    IEEE1394 = 138, "APPLE_IP_OVER_IEEE1394";
    PKTAP_APPLE = 149, "USER2";
    IEEE802_11_AVS = 163, "IEEE802_11_AVS";
    PPP_PPPD = 166, "PPP_PPPD";
    JUNIPER_ETHER = 178, "JUNIPER_ETHER";
    JUNIPER_PPP = 179, "JUNIPER_PPP";
    JUNIPER_FRELAY = 180, "JUNIPER_FRELAY";
    JUNIPER_CHDLC = 181, "JUNIPER_CHDLC";
    MFR = 182, "MFR";
    PPI = 192, "PPI";
    ERF = 197, "ERF";
    PPP_WITH_DIR = 204, "PPP_WITH_DIR";
    C_HDLC_WITH_DIR = 205, "C_HDLC_WITH_DIR";
    FRELAY_WITH_DIR = 206, "FRELAY_WITH_DIR";
    MPLS = 219, "MPLS";
    IPNET = 226, "IPNET";
    IPV4 = 228, "IPV4";
    IPV6 = 229, "IPV6";
    NFLOG = 239, "NFLOG";
    NETANALYZER = 240, "NETANALYZER";
    NETANALYZER_TRANSPARENT = 241, "NETANALYZER_TRANSPARENT";
    IPOIB = 242, "IPOIB";
    PKTAP = 258, "PKTAP";
    ETHERNET_MPACKET = 274, "ETHERNET_MPACKET";
    LINUX_SLL2 = 276, "LINUX_SLL2";
    DSA_TAG_BRCM = 281, "DSA_TAG_BRCM";
    DSA_TAG_BRCM_PREPEND = 282, "DSA_TAG_BRCM_PREPEND";
    DSA_TAG_DSA = 284, "DSA_TAG_DSA";
    DSA_TAG_EDSA = 285, "DSA_TAG_EDSA";
}

/// The registry's name, or `LINKTYPE 999`.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "LINKTYPE {}", self.0),
        }
    }
}
