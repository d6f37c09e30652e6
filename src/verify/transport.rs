//! The checksum of what an IP layer carries.

use super::Verdict;
use crate::checksum::{Crc32c, Kernel, Sum, pseudo};
use crate::parse::protocol::{DCCP, ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, UDPLITE as UDP_LITE};
use crate::parse::{Fragment, IpLayer, IpVersion, Transport};

/// Protocols with a checksum that [`judge`] knows.
const CHECKSUMMED: [u8; 8] = [ICMP, IGMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDP_LITE];

/// Transports with one sum over the pseudo header and all of the upper layer: a bit for each.
const PLAIN: u32 = 1 << Transport::Tcp as u32
    | 1 << Transport::Udp as u32
    | 1 << Transport::Icmp as u32
    | 1 << Transport::Icmpv6 as u32
    | 1 << Transport::Igmp as u32;

/// Whether it is a whole packet as nearly all are, and its checksum is right: the pseudo header's addresses end where the upper
/// layer begins (no options, no extension headers), so that one sum goes over both. False says nothing.
///
/// Which transport it is decides no branch: they come in turns that nobody can guess.
#[inline(always)]
pub(super) fn is_plainly_right<K: Kernel>(kernel: K, data: &[u8], ip: &IpLayer) -> bool {
    let address = if ip.version == IpVersion::V4 { 4 } else { 16 };
    let adjoins = (ip.pseudo_destination == ip.pseudo_source.wrapping_add(address))
        & (ip.payload == ip.pseudo_source.wrapping_add(2 * address));
    let plain = (PLAIN >> ip.transport as u32 & 1 != 0) & (ip.fragment == Fragment::Whole) & adjoins;
    if !plain | (ip.declared_end > ip.end) {
        return false;
    }
    // All of these have 8 bytes at least, but for ICMPv6, of whose 4 the fields are not asked for.
    let length = ip.declared_end.saturating_sub(ip.payload);
    let (udp_length, udp_checksum) = match data.get(ip.payload as usize..).and_then(<[u8]>::first_chunk::<8>)
    {
        Some(&[.., a, b, c, d]) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        None => (0, 0),
    };
    let odd_udp = (u32::from(udp_length) != length) | (udp_checksum == 0);
    if (ip.transport == Transport::Udp) & odd_udp {
        return false;
    }
    // ICMP and IGMP have no pseudo header.
    let bare = (ip.transport == Transport::Icmp) | (ip.transport == Transport::Igmp);
    let start = if bare { ip.payload } else { ip.pseudo_source };
    let pseudo = if bare { 0 } else { length };
    let protocol = if bare { 0 } else { ip.protocol };
    let Some(bytes) = data.get(start as usize..ip.declared_end as usize) else { return false };
    pseudo::rest(protocol, pseudo).then(kernel.sum(bytes)).fold() == 0xffff
}

/// The verdict over the upper layer of `ip`, in place of what is there; `vouched` when the kernel has found it right.
#[inline(never)]
pub(super) fn judge<K: Kernel>(kernel: K, data: &[u8], ip: &IpLayer, vouched: bool, verdict: &mut Verdict) {
    let upper = Upper {
        kernel,
        data,
        ip,
        bytes: data.get(ip.payload as usize..ip.end as usize).unwrap_or_default(),
        declared: ip.declared_end.saturating_sub(ip.payload),
        vouched,
    };
    *verdict = match ip.transport {
        Transport::Tcp => upper.over_all(16, Some(TCP)),
        Transport::Udp => upper.udp(),
        Transport::UdpLite => upper.udp_lite(),
        Transport::Sctp => upper.sctp(),
        Transport::Dccp => upper.dccp(),
        Transport::Icmp | Transport::Igmp => Upper { vouched: false, ..upper }.over_all(2, None),
        Transport::Icmpv6 => Upper { vouched: false, ..upper }.over_all(2, Some(ICMPV6)),
        Transport::None => upper.unread(),
    };
}

/// Judges an Internet checksum over `bytes`, after `sum`, with its field at the even offset `at`.
#[inline]
pub(super) fn internet<K: Kernel>(kernel: K, sum: Sum, bytes: &[u8], at: usize) -> Verdict {
    let total = sum.then(kernel.sum(bytes));
    if total.fold() == 0xffff { Verdict::Good } else { bad(total, sum, bytes, at) }
}

/// What is wrong with it, `total` being the sum over all of it.
#[cold]
fn bad(total: Sum, sum: Sum, bytes: &[u8], at: usize) -> Verdict {
    let Some(found) = word(bytes, at) else { return Verdict::NotApplicable };
    // Without the field, as RFC 1624 updates a sum. Words in front, where they are of an even length, of what may end oddly.
    let mut rest = Sum::ZERO.add_word(!found).then(total).fold();
    if rest == 0xffff {
        // That is 0 if all the rest is zeros, which only the rest itself tells.
        rest = sum.add(&bytes[..at]).add_word(0).add(&bytes[at + 2..]).fold();
    }
    Verdict::Bad { found: found.into(), expected: (!rest).into() }
}

/// An upper-layer packet as far as it was captured.
struct Upper<'a, K> {
    kernel: K,
    data: &'a [u8],
    ip: &'a IpLayer,
    /// What was captured of it.
    bytes: &'a [u8],
    /// Its length by the IP header.
    declared: u32,
    vouched: bool,
}

impl<'a, K: Kernel> Upper<'a, K> {
    /// The first `covered` bytes, if summing them up can tell anything.
    fn cover(&self, covered: u32) -> Result<&'a [u8], Verdict> {
        if self.ip.fragment != Fragment::Whole {
            Err(Verdict::Fragment)
        } else if self.vouched {
            Err(Verdict::Vouched)
        } else if covered > self.declared {
            Err(Verdict::Truncated)
        } else {
            self.bytes.get(..covered as usize).ok_or(Verdict::Truncated)
        }
    }

    /// The pseudo header's sum, of whichever IP version.
    fn pseudo(&self, protocol: u8, length: u32) -> Option<Sum> {
        let (source, destination) = (self.ip.pseudo_source, self.ip.pseudo_destination);
        Some(match self.ip.version {
            IpVersion::V4 => pseudo::v4(
                self.address::<4>(source)?.into(),
                self.address::<4>(destination)?.into(),
                protocol,
                length,
            ),
            IpVersion::V6 => pseudo::v6(
                self.address::<16>(source)?.into(),
                self.address::<16>(destination)?.into(),
                protocol,
                length,
            ),
        })
    }

    fn address<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.data.get(offset as usize..)?.first_chunk().copied()
    }

    /// Judges the first `covered` bytes, `length` being what the pseudo header says.
    fn judge(&self, covered: u32, at: usize, protocol: Option<u8>, length: u32) -> Verdict {
        let bytes = match self.cover(covered) {
            Ok(bytes) => bytes,
            Err(verdict) => return verdict,
        };
        let sum = protocol.map_or(Some(Sum::ZERO), |protocol| self.pseudo(protocol, length));
        sum.map_or(Verdict::NotApplicable, |sum| internet(self.kernel, sum, bytes, at))
    }

    /// TCP (RFC 9293 section 3.1), ICMP (RFC 792), ICMPv6 (RFC 4443 section 2.3), IGMP (RFC 9776 section 4.1.2):
    /// the whole IP payload.
    fn over_all(&self, at: usize, protocol: Option<u8>) -> Verdict {
        self.judge(self.declared, at, protocol, self.declared)
    }

    /// RFC 768: as many bytes as the datagram's own length field says.
    fn udp(&self) -> Verdict {
        let (Some(length), Some(found)) = (word(self.bytes, 4), word(self.bytes, 6)) else {
            return Verdict::NotApplicable;
        };
        if found == 0 && self.ip.version == IpVersion::V4 {
            return Verdict::Absent;
        }
        let length = match (length, self.ip.version) {
            // A jumbogram has the length of the IP payload (RFC 2675 section 4).
            (0, IpVersion::V6) => self.declared,
            (length, _) => length.into(),
        };
        if length < 8 {
            return Verdict::NotApplicable;
        }
        let verdict = self.judge(length, 6, Some(UDP), length);
        if found == 0 { illegal_zero(verdict) } else { never_zero(verdict) }
    }

    /// RFC 3828: the first bytes, as many as the coverage field says; the pseudo header has the whole length.
    fn udp_lite(&self) -> Verdict {
        let (Some(coverage), Some(found)) = (word(self.bytes, 4), word(self.bytes, 6)) else {
            return Verdict::NotApplicable;
        };
        let covered = match coverage {
            0 => self.declared,
            1..8 => return Verdict::NotApplicable,
            bytes => bytes.into(),
        };
        let verdict = self.judge(covered, 6, Some(UDP_LITE), self.declared);
        if found == 0 { illegal_zero(verdict) } else { never_zero(verdict) }
    }

    /// RFC 4340 section 9: the header, with as much of the data as CsCov says; 0 for all.
    fn dccp(&self) -> Verdict {
        let Some([_, _, _, _, offset, coverage, ..]) = self.bytes.first_chunk::<12>() else {
            return Verdict::NotApplicable;
        };
        let covered = match coverage & 0x0f {
            0 => self.declared,
            words => 4 * (u32::from(*offset) + u32::from(words) - 1),
        };
        self.judge(covered, 6, Some(DCCP), self.declared)
    }

    /// RFC 9260 section 6.8: CRC32c over the packet with the field 0, least significant byte first.
    fn sctp(&self) -> Verdict {
        let bytes = match self.cover(self.declared) {
            Ok(bytes) => bytes,
            Err(verdict) => return verdict,
        };
        let Some((header, chunks)) = bytes.split_first_chunk::<12>() else { return Verdict::NotApplicable };
        let [.., a, b, c, d] = *header;
        let found = u32::from_be_bytes([a, b, c, d]);
        let expected = Crc32c::new().add(&header[..8]).add(&[0; 4]).add(chunks).value().swap_bytes();
        if found == expected { Verdict::Good } else { Verdict::Bad { found, expected } }
    }

    /// No header that could be read.
    fn unread(&self) -> Verdict {
        if !CHECKSUMMED.contains(&self.ip.protocol) {
            Verdict::NotApplicable
        } else if self.ip.fragment != Fragment::Whole {
            Verdict::Fragment
        } else if (self.bytes.len() as u64) < u64::from(self.declared) {
            Verdict::Truncated
        } else {
            Verdict::NotApplicable
        }
    }
}

/// 0 says that there is no checksum, so that a sum of 0 is sent as `0xffff` (RFC 768).
fn never_zero(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Bad { found, expected: 0 } => Verdict::Bad { found, expected: 0xffff },
        verdict => verdict,
    }
}

/// No checksum where there must be one: UDP over IPv6 (RFC 8200 section 8.1), UDP-Lite (RFC 3828 section 3.1).
/// Whether a tunnel may do without (RFC 6935) is not to be seen from the packet.
fn illegal_zero(verdict: Verdict) -> Verdict {
    match never_zero(verdict) {
        bad @ Verdict::Bad { .. } => bad,
        Verdict::Good => Verdict::Bad { found: 0, expected: 0xffff },
        _ => Verdict::Bad { found: 0, expected: 0 },
    }
}

/// The big-endian word at an offset.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
