//! Addresses and ancillary data (cmsg(3)), to and from bytes.

use super::super::socket_options::UDP_GRO;
use super::{Control, Name};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// `UDP_SEGMENT` of `linux/udp.h`, Linux 4.18.
const UDP_SEGMENT: libc::c_int = 103;

/// `struct cmsghdr`: a length that counts itself, a level, a type; data begins behind it and ends on a boundary of a word.
const HEADER: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();

const _: () = assert!(HEADER == WORD + 8);
// A packet info of each family, and a segment's length.
const _: () = assert!((HEADER + 24) + (HEADER + 16) + (HEADER + 8) <= size_of::<Control>());

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

impl Name {
    pub(super) const EMPTY: Self = Self([0; 128]);

    /// The address in the first `length` bytes; `None` of another family, or of none.
    pub(super) fn address(&self, length: usize) -> Option<SocketAddr> {
        let bytes = self.0.get(..length)?;
        let family = libc::c_int::from(u16::from_ne_bytes(array(bytes, 0)?));
        let port = u16::from_be_bytes(array(bytes, 2)?);
        match family {
            libc::AF_INET => Some((Ipv4Addr::from(array::<4>(bytes, 4)?), port).into()),
            libc::AF_INET6 => {
                let flow = u32::from_be_bytes(array(bytes, 4)?);
                let scope = u32::from_ne_bytes(array(bytes, 24)?);
                let address = Ipv6Addr::from(array::<16>(bytes, 8)?);
                Some(SocketAddrV6::new(address, port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// Writes an address; tells how many bytes it has.
    pub(super) fn set(&mut self, address: &SocketAddr) -> usize {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u16;
        self.0[..2].copy_from_slice(&family.to_ne_bytes());
        self.0[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                self.0[4..8].copy_from_slice(&address.ip().octets());
                self.0[8..16].fill(0);
                16
            }
            SocketAddr::V6(address) => {
                self.0[4..8].copy_from_slice(&address.flowinfo().to_be_bytes());
                self.0[8..24].copy_from_slice(&address.ip().octets());
                self.0[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                28
            }
        }
    }
}

/// What the ancillary data of a received message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The address it was sent to.
    pub(super) to: Option<IpAddr>,
    /// Bytes of each datagram but the last, where there are several.
    pub(super) segment: Option<u16>,
}

impl Control {
    pub(super) const EMPTY: Self = Self([0; 128]);

    /// What the first `length` bytes say.
    pub(super) fn read(&self, length: usize) -> Told {
        let mut told = Told::default();
        let mut rest = self.0.get(..length).unwrap_or_default();
        while let Some(whole) = array(rest, 0).map(usize::from_ne_bytes) {
            let (Some(level), Some(kind)) = (array(rest, WORD), array(rest, WORD + 4)) else { break };
            let Some(data) = rest.get(HEADER..whole) else { break };
            match (i32::from_ne_bytes(level), i32::from_ne_bytes(kind)) {
                // `struct in_pktinfo`: interface, the address to answer from, the address in the header.
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    told.to = array::<4>(data, 4).map(|address| Ipv4Addr::from(address).into());
                }
                // `struct in6_pktinfo`: address, interface.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    told.to = array::<16>(data, 0).map(|address| Ipv6Addr::from(address).into());
                }
                (libc::SOL_UDP, UDP_GRO) => {
                    let segment = array(data, 0).map(i32::from_ne_bytes);
                    told.segment =
                        segment.and_then(|bytes| u16::try_from(bytes).ok()).filter(|&bytes| bytes > 0);
                }
                _ => {}
            }
            rest = rest.get(whole.next_multiple_of(WORD)..).unwrap_or_default();
        }
        told
    }

    /// Writes what to tell the kernel of a message to send; says how many bytes that takes, 0 for nothing.
    pub(super) fn write(&mut self, from: Option<IpAddr>, segment: Option<u16>) -> usize {
        let mut at = 0;
        let mut put = |level: libc::c_int, kind: libc::c_int, data: &[u8]| {
            let whole = HEADER + data.len();
            let room = &mut self.0[at..at + whole.next_multiple_of(WORD)];
            room[..WORD].copy_from_slice(&whole.to_ne_bytes());
            room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
            room[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
            room[HEADER..whole].copy_from_slice(data);
            room[whole..].fill(0);
            at += room.len();
        };
        match from {
            Some(IpAddr::V4(address)) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&address.octets());
                put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(address)) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&address.octets());
                put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        if let Some(segment) = segment {
            put(libc::SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
        }
        at
    }
}
