//! Pseudo headers: what TCP, UDP and ICMPv6 checksums cover of the IP header around them.

use super::Sum;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The sum over the IPv4 pseudo header (RFC 9293 section 3.1, RFC 768): addresses, protocol, length.
///
/// `length` is that of the upper-layer header and its data in bytes; it may exceed 16 bits where a
/// frame is larger than the wire carries (BIG TCP).
///
/// ```
/// use std::net::Ipv4Addr;
/// use wharf::checksum::pseudo;
///
/// // A UDP datagram of RFC 768: no data, ports 1 and 2.
/// let datagram = [0, 1, 0, 2, 0, 8, 0, 0];
/// let sum = pseudo::v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), 17, 8).add(&datagram);
/// assert_eq!(sum.checksum(), !(0x0a00 + 1 + 0x0a00 + 2 + 17 + 8 + 1 + 2 + 8));
/// ```
#[inline]
#[must_use]
pub const fn v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u32) -> Sum {
    let words = u32::from_ne_bytes(source.octets()) as u64 + u32::from_ne_bytes(destination.octets()) as u64;
    Sum { total: words, odd: false }.then(rest(protocol, length))
}

/// The sum over the IPv6 pseudo header (RFC 8200 section 8.1).
///
/// `destination` is the final one where a routing header is present; `next_header` is the
/// upper-layer protocol, not the extension header that follows the IPv6 header; `length` is that of the
/// upper-layer header and its data in bytes.
#[inline]
#[must_use]
pub fn v6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, length: u32) -> Sum {
    let words = [source, destination].into_iter().flat_map(|address| {
        let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
        [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
    });
    let addresses = words.fold(0, super::add);
    Sum { total: addresses, odd: false }.then(rest(next_header, length))
}

/// What a pseudo header has beside the addresses: the length and the protocol.
#[inline]
pub(crate) const fn rest(protocol: u8, length: u32) -> Sum {
    Sum { total: length.to_be() as u64 + (protocol as u16).to_be() as u64, odd: false }
}
