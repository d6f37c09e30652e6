//! A frame of a common shape, read in a few 64-bit words of general registers: for every CPU that has no lanes.
//!
//! Every condition here is one under which the general walk passes the frame without a complaint and goes on to nothing
//! else, as in the lanes; `tests/batch.rs` holds both against each other. What does not hold for nearly all frames is
//! gathered and asked for once: a branch that nobody can guess, as that between TCP and UDP, costs more than all the rest.

use super::Summary;
use crate::checksum::{Kernel, pseudo};
use crate::frame::{LinkType, Offload, Record};
use crate::parse::{IpLayer, IpVersion, Layers, Transport, is_tunnel_port, protocol};
use crate::verify::{Checksums, Verdict, Verdicts, verify_into};

/// Bytes of slab that must follow a frame's first byte: from where the words begin behind a VLAN tag, eight of them.
pub(super) const REACH: usize = FIRST + VLAN + 64;

/// Where word 0 begins in a frame without a VLAN tag: four bytes before the network layer, so that IPv4 addresses are
/// word 2 and what comes after an IPv4 header begins with word 3.
pub(super) const FIRST: usize = 10;

/// Bytes of a VLAN tag.
pub(super) const VLAN: usize = 4;

/// A frame of a common shape.
pub(super) enum Common {
    /// No checksum of it is wrong, or none was asked for.
    Right(Summary),
    /// At least one is: its summary but for the verdicts, which are to be [found](judge).
    Wrong(Summary),
}

/// The verdicts over a frame of a common shape with this summary, a checksum of which is wrong, in place of what is in
/// `verdicts`.
#[inline(never)]
pub(super) fn judge<K: Kernel>(
    kernel: K,
    data: &[u8],
    record: &Record,
    summary: Summary,
    verdicts: &mut Verdicts,
) {
    let at = if data.get(12..14) == Some(&[0x81, 0x00]) { 18 } else { 14 };
    let field = |from: usize| {
        data.get(from..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_be_bytes(*two))
    };
    let version = if data.get(at - 2..at) == Some(&[0x86, 0xdd]) { IpVersion::V6 } else { IpVersion::V4 };
    let ((source, address), header, length) = match version {
        IpVersion::V4 => ((12, 4), 20, u32::from(field(at + 2))),
        IpVersion::V6 => ((8, 16), 40, 40 + u32::from(field(at + 4))),
    };
    let start = at as u32;
    // As the walk finds it, but for what no verdict depends on.
    let ip = IpLayer {
        version,
        protocol: summary.transport().protocol().unwrap_or_default(),
        transport: summary.transport(),
        start,
        payload: start + header,
        end: record.captured.min(start + length),
        declared_end: start + length,
        pseudo_source: start + source,
        pseudo_destination: start + source + address,
        ..IpLayer::default()
    };
    let layers = Layers { outer: Some(ip), ..Layers::default() };
    verify_into(kernel, data, record.offload, &layers, verdicts);
}

/// What was found in the frames of a common shape of a batch without a wrong checksum: how many there were, and of which kinds.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) frames: u64,
    pub(super) v6: u64,
    pub(super) absent: u64,
    pub(super) vouched: u64,
    pub(super) cut: u64,
}

impl Seen {
    /// What the frame with this record is, by its shape and, where that is to be verified, by its checksums.
    #[inline(always)]
    pub(super) fn read<K: Kernel>(
        &mut self,
        kernel: K,
        slab: &[u8],
        record: &Record,
        verified: bool,
    ) -> Option<Common> {
        let frame = slab.get(record.offset as usize..)?;
        let bytes: &[u8; REACH] = frame.first_chunk()?;
        let start = if [bytes[12], bytes[13]] == [0x81, 0x00] { FIRST + VLAN } else { FIRST };
        let words: &[u8; 64] = bytes[start..].first_chunk()?;
        if record.link_type != LinkType::ETHERNET {
            return None;
        }
        let seen = Lane { kernel, record, frame, start, words, verified };
        // EtherType, version and IPv4's header length in bytes 2 to 4.
        let first = seen.word(0);
        if (first ^ 0x45_0008_0000) & 0xff_ffff_0000 == 0 {
            seen.read::<false>(self)
        } else if (first ^ 0x60_dd86_0000) & 0xf0_ffff_0000 == 0 {
            seen.read::<true>(self)
        } else {
            None
        }
    }

    /// Adds the verdicts over them.
    pub(super) fn settle(self, checksums: &mut Checksums) {
        let Self { frames, v6, absent, vouched, cut } = self;
        let Checksums { ip, l4, inner_ip, inner_l4 } = checksums;
        ip.add_many(Verdict::NotApplicable, v6);
        ip.add_many(Verdict::Good, frames - v6);
        l4.add_many(Verdict::Absent, absent);
        l4.add_many(Verdict::Vouched, vouched);
        l4.add_many(Verdict::Truncated, cut);
        l4.add_many(Verdict::Good, frames - absent - vouched - cut);
        inner_ip.add_many(Verdict::NotApplicable, frames);
        inner_l4.add_many(Verdict::NotApplicable, frames);
    }
}

/// An Ethernet frame that carries IP, without options if it is version 4.
struct Lane<'f, K> {
    kernel: K,
    record: &'f Record,
    /// From its first byte on, and what lies behind it.
    frame: &'f [u8],
    /// Where the words begin in it.
    start: usize,
    words: &'f [u8; 64],
    verified: bool,
}

impl<K: Kernel> Lane<'_, K> {
    /// Eight bytes, the first one lowest.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(*self.words[at..].first_chunk().expect("a place within the words"))
    }

    #[inline(always)]
    fn read<const V6: bool>(&self, seen: &mut Seen) -> Option<Common> {
        // Of IPv4 the total length is in bytes 6 and 7, flags and offset in 10 and 11, the protocol in 13; of IPv6 the payload
        // length and the next header come from byte 8 on. Then what of the upper layer fits into two words.
        let (begin, l4, fragment, carried) = if V6 {
            let next = self.word(8);
            (44, number(next), 0, next >> 16 & 0xff)
        } else {
            let next = self.word(8);
            (24, number(self.word(0) >> 48) - 20, next & 0xff3f_0000, next >> 40 & 0xff)
        };
        let (first, second) = (self.word(begin), self.word(begin + 8));
        let udp = carried == UDP;
        let icmp = !V6 & (carried == ICMP);
        let wanted = if udp { UDP } else { TCP };
        let wanted = if icmp { ICMP } else { wanted };
        let only_udp = if udp { u64::MAX } else { 0 };

        // 0, and not below 0, in a common shape.
        let mut faults = fragment | (carried ^ wanted);
        // TCP's header length, in byte 12 of the header, is at least 20; UDP's length is all there is. Both are within the packet,
        // of which the headers at least were captured.
        let (header, least) = if udp | icmp { (8, 8) } else { ((second >> 34 & 0x3c) as i64, 20) };
        let room = self.record.captured as i64 - (self.start + begin) as i64;
        let below = (header - least) | (l4 - header) | (room - header);
        faults |= (number(first >> 32) ^ l4) as u64 & only_udp;
        // Nothing in UDP suggests a tunnel: no port, and no IPv6 packet that fits (its first byte, and its length).
        let (source, destination) = (number(first) as u16, number(first >> 16) as u16);
        let teredo = (second & 0xf0 ^ 0x60) | ((number(second >> 32) + 48) ^ l4) as u64 == 0;
        let tunnel = is_tunnel_port(source) | is_tunnel_port(destination) | teredo;
        faults |= u64::from(tunnel) & only_udp;
        let absent = udp & (first >> 48 == 0);
        if (faults != 0) | (below < 0) | (V6 & absent) {
            return None;
        }

        let Offload { checksum_valid: valid, checksum_not_ready, .. } = self.record.offload;
        let vouched = valid & !checksum_not_ready & !absent & !icmp;
        let cut = (room < l4) & !absent & !vouched;
        let unsummed = absent | vouched | cut;
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let transport = if icmp { Transport::Icmp } else { transport };
        let ports = if icmp { (0, 0) } else { (source, destination) };
        if self.verified
            && !(self.header_is_right::<V6>() && (unsummed || self.upper_is_right::<V6>(l4, wanted)))
        {
            return Some(Common::Wrong(Summary::of(transport, ports, 0, 0)));
        }
        seen.frames += 1;
        seen.v6 += u64::from(V6);
        if unsummed {
            seen.absent += u64::from(absent);
            seen.vouched += u64::from(vouched);
            seen.cut += u64::from(cut);
        }
        let [ip, l4] = match (V6, absent, vouched, cut) {
            _ if !self.verified => [Verdict::NotApplicable; 2],
            (true, _, false, false) => [Verdict::NotApplicable, Verdict::Good],
            (false, false, false, false) => [Verdict::Good; 2],
            _ => {
                let l4 = if absent {
                    Verdict::Absent
                } else if vouched {
                    Verdict::Vouched
                } else {
                    Verdict::Truncated
                };
                [if V6 { Verdict::NotApplicable } else { Verdict::Good }, l4]
            }
        };
        Some(Common::Right(Summary::of(transport, ports, ip.code(), l4.code())))
    }

    /// IPv6 has no checksum of its own.
    #[inline(always)]
    fn header_is_right<const V6: bool>(&self) -> bool {
        V6 || self.kernel.sum(&self.words[4..24]).fold() == 0xffff
    }

    #[inline(always)]
    fn upper_is_right<const V6: bool>(&self, length: i64, protocol: u64) -> bool {
        // From the addresses on, which end where the upper layer begins. ICMP has no pseudo header.
        let addresses = if V6 { 12 } else { 16 };
        let icmp = protocol == ICMP;
        let begin = if icmp { 24 } else { addresses };
        let end = if V6 { 44 } else { 24 } + length as usize;
        let Some(bytes) = self.frame.get(self.start + begin..self.start + end) else { return false };
        let pseudo = if icmp { 0 } else { length as u32 + protocol as u32 };
        pseudo::rest(0, pseudo).then(self.kernel.sum(bytes)).fold() == 0xffff
    }
}

const TCP: u64 = protocol::TCP as u64;
const UDP: u64 = protocol::UDP as u64;
const ICMP: u64 = protocol::ICMP as u64;

/// The big-endian number in a word's lowest two bytes.
#[inline(always)]
fn number(word: u64) -> i64 {
    (word as u16).swap_bytes().into()
}
