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
        }
    };
}

link_types! {
    NULL = 0, "NULL";
    ETHERNET = 1, "ETHERNET";
    TOKEN_RING = 6, "IEEE802_5";
    PPP = 9, "PPP";
    FDDI = 10, "FDDI";
    RAW_BSD = 12, "RAW";
    RAW_OPENBSD = 14, "RAW";
    PPP_HDLC = 50, "PPP_HDLC";
    PPP_ETHER = 51, "PPP_ETHER";
    RAW = 101, "RAW";
    C_HDLC = 104, "C_HDLC";
    IEEE802_11 = 105, "IEEE802_11";
    FRELAY = 107, "FRELAY";
    LOOP = 108, "LOOP";
    LINUX_SLL = 113, "LINUX_SLL";
    IEEE802_11_PRISM = 119, "IEEE802_11_PRISM";
    IEEE802_11_RADIOTAP = 127, "IEEE802_11_RADIOTAP";
    IEEE802_11_AVS = 163, "IEEE802_11_AVS";
    PPP_WITH_DIR = 204, "PPP_WITH_DIR";
    IPV4 = 228, "IPV4";
    IPV6 = 229, "IPV6";
    NFLOG = 239, "NFLOG";
    LINUX_SLL2 = 276, "LINUX_SLL2";
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
