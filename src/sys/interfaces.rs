//! List the network interfaces of the calling thread's namespace.
//!
//! Through rtnetlink, not `/sys/class/net`: that shows the namespace its mount was made in.

use super::ethtool;
use super::link::{AddressMessage, LinkMessage, Mac};
use super::netlink::{Message, Netlink, attributes};
use std::io;
use std::net::IpAddr;

/// The pseudo interface that stands for all of them.
pub const ANY: &str = "any";

/// Attributes of `linux/if_link.h` as of Linux 6.3 that libc does not have.
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;

/// What the kernel says of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Index, from 1; 0 for [`ANY`].
    pub index: u32,
    /// Name, such as `eth0`.
    pub name: String,
    /// Hardware type, `ARPHRD_*` of `linux/if_arp.h`.
    pub hardware: u16,
    /// The kernel's kind of a virtual interface: `veth`, `bridge`, `tun`…; `None` for a device.
    pub kind: Option<String>,
    /// `IFF_*` flags as in netdevice(7).
    pub flags: u32,
    /// Largest packet in bytes, without the link header; 0 for [`ANY`].
    pub mtu: u32,
    /// Most bytes to which segments are joined when received, or left together when sent; 0 where the kernel does not say.
    pub joined: u32,
    /// Ethernet address, where the hardware has one of 6 bytes.
    pub mac: Option<Mac>,
    /// IP addresses, each with its prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// How many have asked for promiscuous mode, captures among them.
    pub promiscuity: u32,
    /// Speed in Mbit/s, where the device knows it.
    pub speed: Option<u32>,
    /// Queues to receive through that it was made with, of which fewer may be in use; 0 where the kernel does not say.
    pub receive_queues: u32,
}

impl InterfaceInfo {
    /// Switched on by the administrator.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Able to carry packets: up, and with a carrier.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }

    /// The loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    /// The pseudo interface for all others.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.index == 0
    }

    fn any() -> Self {
        Self {
            name: ANY.to_owned(),
            flags: (libc::IFF_UP | libc::IFF_RUNNING) as u32,
            hardware: libc::ARPHRD_VOID,
            ..Self::default()
        }
    }
}

/// All interfaces by index, [`ANY`] last.
///
/// ```
/// let names: Vec<_> = wharf::sys::interfaces()?.into_iter().map(|interface| interface.name).collect();
/// assert_eq!(names.last().map(String::as_str), Some("any"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the kernel does not answer over rtnetlink.
pub fn interfaces() -> io::Result<Vec<InterfaceInfo>> {
    let netlink = Netlink::open()?;
    let mut found = Vec::new();
    netlink.dump(Message::new(libc::RTM_GETLINK, 0, &LinkMessage::default()), |_, body| {
        found.extend(read_link(body));
    })?;
    netlink.dump(Message::new(libc::RTM_GETADDR, 0, &AddressMessage::default()), |_, body| {
        if let Some((index, address)) = read_address(body)
            && let Some(interface) = found.iter_mut().find(|interface| interface.index == index)
        {
            interface.addresses.push(address);
        }
    })?;
    for interface in &mut found {
        interface.speed = ethtool::speed(&interface.name);
    }
    found.sort_by_key(|interface| interface.index);
    found.push(InterfaceInfo::any());
    Ok(found)
}

/// Body of `RTM_NEWLINK`: `struct ifinfomsg`, attributes.
fn read_link(body: &[u8]) -> Option<InterfaceInfo> {
    let (head, rest) = body.split_first_chunk::<{ size_of::<LinkMessage>() }>()?;
    let mut interface = InterfaceInfo {
        hardware: u16::from_ne_bytes([head[2], head[3]]),
        index: word(&head[4..])?,
        flags: word(&head[8..])?,
        ..InterfaceInfo::default()
    };
    for (kind, value) in attributes(rest) {
        match kind {
            libc::IFLA_IFNAME => interface.name = text(value),
            libc::IFLA_MTU => interface.mtu = word(value)?,
            libc::IFLA_GSO_MAX_SIZE | IFLA_GRO_MAX_SIZE | IFLA_GSO_IPV4_MAX_SIZE | IFLA_GRO_IPV4_MAX_SIZE => {
                interface.joined = interface.joined.max(word(value)?);
            }
            libc::IFLA_NUM_RX_QUEUES => interface.receive_queues = word(value)?,
            libc::IFLA_PROMISCUITY => interface.promiscuity = word(value)?,
            libc::IFLA_ADDRESS => interface.mac = value.try_into().ok().filter(|mac| *mac != [0; 6]),
            libc::IFLA_LINKINFO => {
                let mut info = attributes(value);
                let kind = info.find(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                interface.kind = kind.map(|(_, name)| text(name));
            }
            _ => {}
        }
    }
    Some(interface)
}

/// Body of `RTM_NEWADDR`: `struct ifaddrmsg`, attributes. On a point-to-point link `IFA_ADDRESS` is the
/// other end's, so `IFA_LOCAL` goes first.
fn read_address(body: &[u8]) -> Option<(u32, (IpAddr, u8))> {
    let (head, rest) = body.split_first_chunk::<{ size_of::<AddressMessage>() }>()?;
    let value = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let bytes = value(libc::IFA_LOCAL).or_else(|| value(libc::IFA_ADDRESS))?;
    let address = match *bytes {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some((word(&head[4..])?, (address, head[1])))
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_any_comes_last() {
        let found = interfaces().unwrap();
        let loopback = found.iter().find(|interface| interface.is_loopback()).unwrap();
        assert_eq!((loopback.name.as_str(), loopback.hardware), ("lo", libc::ARPHRD_LOOPBACK));
        assert!(loopback.mtu > 0 && loopback.mac.is_none());
        assert_eq!(loopback.receive_queues, 1);
        assert!(loopback.joined >= 65_535, "GSO is at its default or above it");
        assert!(found.last().unwrap().is_any());
        assert_eq!(found.iter().filter(|interface| interface.is_any()).count(), 1);
    }

    #[test]
    fn short_bodies_are_no_interfaces() {
        for length in 0..16 {
            assert_eq!(read_link(&vec![0; length]), None);
        }
        for length in 0..8 {
            assert_eq!(read_address(&vec![0; length]), None);
        }
    }
}
