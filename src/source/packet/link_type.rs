//! From the kernel's hardware type of an interface to the header type of its frames.

use crate::frame::LinkType;

/// Header type of the frames of `ARPHRD_*` hardware, `None` where the header is unknown or differs from
/// driver to driver (PPP): such interfaces are captured cooked. libpcap makes the same choices.
#[must_use]
pub(super) fn of_hardware(hardware: u16) -> Option<LinkType> {
    Some(match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK | libc::ARPHRD_METRICOM => LinkType::ETHERNET,
        // tun, WireGuard, and modems that carry bare IP (ARPHRD_RAWIP).
        libc::ARPHRD_NONE | 519 => LinkType::RAW,
        libc::ARPHRD_SLIP | libc::ARPHRD_CSLIP | libc::ARPHRD_SLIP6 | libc::ARPHRD_CSLIP6 => LinkType::RAW,
        libc::ARPHRD_IEEE80211 => LinkType::IEEE802_11,
        libc::ARPHRD_IEEE80211_PRISM => LinkType::IEEE802_11_PRISM,
        libc::ARPHRD_IEEE80211_RADIOTAP => LinkType::IEEE802_11_RADIOTAP,
        libc::ARPHRD_CISCO => LinkType::C_HDLC,
        libc::ARPHRD_FRAD => LinkType::FRELAY,
        libc::ARPHRD_IEEE802 | libc::ARPHRD_IEEE802_TR => LinkType::TOKEN_RING,
        libc::ARPHRD_FDDI => LinkType::FDDI,
        _ => return None,
    })
}
