//! Make, address and remove network interfaces in the namespace of the calling thread.

use super::namespace::Namespace;
use super::netlink::{Message, Netlink, attributes};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use zerocopy::{Immutable, IntoBytes};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// `struct ifinfomsg` of `linux/rtnetlink.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct LinkMessage {
    pub(super) family: u8,
    pub(super) padding: u8,
    pub(super) hardware: u16,
    pub(super) index: i32,
    pub(super) flags: u32,
    pub(super) change: u32,
}

/// `struct ifaddrmsg` of `linux/if_addr.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct AddressMessage {
    pub(super) family: u8,
    pub(super) prefix: u8,
    pub(super) flags: u8,
    pub(super) scope: u8,
    pub(super) index: u32,
}

/// `struct ndmsg` of `linux/neighbour.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct NeighbourMessage {
    family: u8,
    padding: [u8; 3],
    index: u32,
    state: u16,
    flags: u8,
    kind: u8,
}

const _: () = {
    assert!(size_of::<LinkMessage>() == size_of::<libc::ifinfomsg>());
    assert!(size_of::<AddressMessage>() == 8);
    assert!(size_of::<NeighbourMessage>() == 12);
};

/// `IF_OPER_UP` of `linux/if.h`.
const OPERATIONAL: u8 = 6;
/// `VETH_INFO_PEER` of `linux/veth.h`.
const VETH_INFO_PEER: u16 = 1;
/// `IFLA_INET6_ADDR_GEN_MODE` of `linux/if_link.h`, and its value `IN6_ADDR_GEN_MODE_NONE`.
const INET6_ADDRESS_GENERATION: (u16, [u8; 1]) = (8, [1]);

/// Makes a virtual Ethernet pair: `name` here, its peer in another namespace, each with so many queues (at least 1)
/// in either direction. Both are down.
///
/// # Errors
/// The kernel's refusal: `AlreadyExists`, `PermissionDenied` without `CAP_NET_ADMIN` in both namespaces.
pub fn add_veth(
    (name, mac): (&str, Mac),
    peer: (&str, Mac),
    peer_namespace: &Namespace,
    queues: u32,
) -> io::Result<()> {
    let peer_namespace = peer_namespace.as_raw_fd().to_ne_bytes();
    let end = |message: Message, name: &str, mac: Mac| {
        let message = message.with(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        [libc::IFLA_NUM_TX_QUEUES, libc::IFLA_NUM_RX_QUEUES]
            .into_iter()
            .fold(message, |message, kind| message.with(kind, &queues.to_ne_bytes()))
            .with(libc::IFLA_ADDRESS, &mac)
    };
    let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let message = Message::new(libc::RTM_NEWLINK, create, &LinkMessage::default());
    let message = end(message, name, mac).with_nested(libc::IFLA_LINKINFO, |info| {
        info.with(libc::IFLA_INFO_KIND, b"veth").with_nested(libc::IFLA_INFO_DATA, |data| {
            data.with_nested(VETH_INFO_PEER, |inner| {
                let inner = inner.with_bytes(LinkMessage::default().as_bytes());
                end(inner, peer.0, peer.1).with(libc::IFLA_NET_NS_FD, &peer_namespace)
            })
        })
    });
    Netlink::open()?.change(message)
}

/// Removes an interface (of a veth pair: both ends).
///
/// # Errors
/// `NotFound` or `ENODEV` when there is none of that name; the kernel's refusal.
pub fn remove(name: &str) -> io::Result<()> {
    let link = LinkMessage { index: index_of(name)? as i32, ..LinkMessage::default() };
    Netlink::open()?.change(Message::new(libc::RTM_DELLINK, 0, &link))
}

/// Brings an interface up or down.
///
/// # Errors
/// As [`remove`].
pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    let flag = libc::IFF_UP as u32;
    let flags = if up { flag } else { 0 };
    let link = LinkMessage { index: index_of(name)? as i32, flags, change: flag, ..LinkMessage::default() };
    Netlink::open()?.change(Message::new(libc::RTM_NEWLINK, 0, &link))
}

/// Waits until an interface that was brought up can send. Until the kernel has taken notice of its carrier, which it does
/// once a second at most when there is much to notice (`net/core/link_watch.c`), it drops what it is to send.
///
/// # Errors
/// `TimedOut` when it cannot after that time; as [`remove`].
pub fn wait_until_operational(name: &str, time: Duration) -> io::Result<()> {
    let (index, begun) = (index_of(name)? as i32, Instant::now());
    loop {
        let mut operational = false;
        let request = Message::new(libc::RTM_GETLINK, 0, &LinkMessage::default());
        Netlink::open()?.dump(request, |_, body| {
            let Some((head, rest)) = body.split_first_chunk::<{ size_of::<LinkMessage>() }>() else { return };
            let up =
                attributes(rest).any(|(kind, value)| kind == libc::IFLA_OPERSTATE && value == [OPERATIONAL]);
            operational |= up && head[4..8] == index.to_ne_bytes();
        })?;
        if operational {
            return Ok(());
        }
        if begun.elapsed() >= time {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{name} has no carrier")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps the kernel from giving the interface an IPv6 link-local address when it comes up, and with it
/// from sending router solicitations and duplicate address detection.
///
/// # Errors
/// As [`remove`]; `EAFNOSUPPORT` on a host without IPv6.
pub fn set_no_link_local(name: &str) -> io::Result<()> {
    let link = LinkMessage { index: index_of(name)? as i32, ..LinkMessage::default() };
    let (kind, value) = INET6_ADDRESS_GENERATION;
    let message = Message::new(libc::RTM_NEWLINK, 0, &link).with_nested(libc::IFLA_AF_SPEC, |families| {
        families.with_nested(libc::AF_INET6 as u16, |inet6| inet6.with(kind, &value))
    });
    Netlink::open()?.change(message)
}

/// Gives an interface an address; an IPv6 one without duplicate address detection.
///
/// # Errors
/// As [`remove`].
pub fn add_address(name: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, bytes) = family_and_bytes(address);
    let flags = if address.is_ipv6() { libc::IFA_F_NODAD as u8 } else { 0 };
    let body = AddressMessage { family, prefix, flags, scope: 0, index: index_of(name)? };
    let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let message = Message::new(libc::RTM_NEWADDR, create, &body)
        .with(libc::IFA_LOCAL, &bytes)
        .with(libc::IFA_ADDRESS, &bytes);
    Netlink::open()?.change(message)
}

/// Tells an interface the Ethernet address of a neighbour, so that it need not ask (ARP, ND).
///
/// # Errors
/// As [`remove`].
pub fn add_neighbour(name: &str, address: IpAddr, mac: Mac) -> io::Result<()> {
    let (family, bytes) = family_and_bytes(address);
    let index = index_of(name)?;
    let body = NeighbourMessage { family, index, state: libc::NUD_PERMANENT, ..NeighbourMessage::default() };
    let create = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let message = Message::new(libc::RTM_NEWNEIGH, create, &body)
        .with(libc::NDA_DST, &bytes)
        .with(libc::NDA_LLADDR, &mac);
    Netlink::open()?.change(message)
}

/// Index of an interface of the calling thread's namespace.
///
/// # Errors
/// `ENODEV` when there is none of that name.
pub fn index_of(name: &str) -> io::Result<u32> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

fn family_and_bytes(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
    }
}
