//! Packets that their receiver throws away, as a checksum of them is wrong.
//!
//! One that the sending host has left to its device ([`verify::finished`](crate::verify)) is not: it was captured on
//! that host, before it was the checksum.

use crate::batch::Summary;
use crate::parse::{Packet, Transport};
use crate::verify::{self, Verdict, Verdicts};

/// The code of a wrong checksum.
const BAD: usize = Verdict::Bad { found: 0, expected: 0 }.code();

/// Whether a packet with these verdicts is one.
#[inline]
pub(crate) fn is_wrong(packet: &Packet<'_>, verdicts: impl FnOnce() -> Verdicts) -> bool {
    verify::finished(packet, verdicts()).any_bad()
}

/// The same for one of a [common shape](crate::batch).
#[inline(always)]
pub(crate) fn is_wrong_common(data: &[u8], summary: Summary) -> bool {
    (summary.ip_code() == BAD || summary.l4_code() == BAD) && !is_unfinished(data, summary).unwrap_or(false)
}

/// Whether those of its checksums that are wrong are as a host leaves them to its device; `None` for what is not as such a packet has it.
#[inline(never)]
fn is_unfinished(data: &[u8], summary: Summary) -> Option<bool> {
    let ip = data.get(if *data.get(12..14)? == [0x81, 0] { 18 } else { 14 }..)?;
    let field = |at: usize| Some(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?]));
    let (protocol, length, addresses, upper) = if ip.first()? >> 4 == 4 {
        (*ip.get(9)?, field(2)?.checked_sub(20)?, ip.get(12..20)?, 20)
    } else {
        (*ip.get(6)?, field(4)?, ip.get(8..40)?, 40)
    };
    let left = summary.ip_code() == BAD;
    if left && field(10)? != 0 || summary.l4_code() != BAD {
        return Some(left && field(10)? == 0);
    }
    let (at, may_be_0) = match summary.transport() {
        Transport::Tcp => (16, left),
        Transport::Udp => (6, false),
        _ => return Some(false),
    };
    let (words, _) = addresses.as_chunks::<2>();
    let sum = words.iter().fold(u32::from(protocol), |sum, word| sum + u32::from(u16::from_be_bytes(*word)));
    let is_sum = |sum: u32, found: u32| {
        let folded = (sum & 0xffff) + (sum >> 16);
        (folded & 0xffff) + (folded >> 16) == found
    };
    let found = u32::from(field(upper + at)?);
    Some(may_be_0 && found == 0 || is_sum(sum + u32::from(length), found) || is_sum(sum, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::checksum::pseudo;
    use crate::frame::Batch;
    use crate::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};

    /// Of packets with wrong checksums, of which some hold what systems leave in a field that their device is to fill, those are told apart.
    #[test]
    fn what_is_left_to_a_device_is_not_wrong() {
        let traffic = Traffic {
            distinct: 4_000,
            flows: 300,
            sizes: Sizes::Fixed(300),
            ipv6_percent: 30,
            vlan_percent: 30,
            bad_percent: 0,
            protocols: vec![(Protocol::Tcp, 1), (Protocol::Udp, 1)],
            ..Traffic::default()
        };
        let source = Synthetic::new(&traffic);
        let table = source.table();
        let mut slab = [table.slab(), &[0; 128]].concat();
        let mut findings = Findings::new();
        findings.read(table);
        let mut wrong = Vec::new();
        for (at, record) in table.records().iter().enumerate() {
            let layers = findings.layers(&table.frame(at), at);
            let ip = layers.outer.expect("IP");
            let data = &mut slab[record.offset as usize..][..record.captured as usize];
            let is_tcp = ip.transport == Transport::Tcp;
            let field = ip.payload as usize + if is_tcp { 16 } else { 6 };
            let length = ip.declared_end - ip.payload;
            let is_v4 = data[ip.start as usize] >> 4 == 4;
            let from = ip.start as usize + if is_v4 { 12 } else { 8 };
            let sum = |data: &[u8], length| {
                let sum = if is_v4 {
                    let ends = [0, 4].map(|at| data[from + at..].first_chunk::<4>().copied().unwrap());
                    pseudo::v4(ends[0].into(), ends[1].into(), ip.protocol, length)
                } else {
                    let ends = [0, 16].map(|at| data[from + at..].first_chunk::<16>().copied().unwrap());
                    pseudo::v6(ends[0].into(), ends[1].into(), ip.protocol, length)
                };
                sum.fold().to_be_bytes()
            };
            let (whole, without_length) = (sum(data, length), sum(data, 0));
            // Of what is IPv6 there is no header checksum, and these bytes are its source.
            let header = ip.start as usize + 10;
            wrong.push(match at % 9 {
                0 => {
                    data[field..field + 2].copy_from_slice(&whole);
                    false
                }
                1 => {
                    data[field + 1] ^= 1;
                    true
                }
                // Large send offload of NDIS.
                2 => {
                    data[field..field + 2].copy_from_slice(&without_length);
                    false
                }
                3..=6 if !is_v4 => false,
                // The header's is left to the device, and with that nothing else, the other one, or the other one as 0.
                3 => {
                    data[header..header + 2].fill(0);
                    false
                }
                4 => {
                    data[header..header + 2].fill(0);
                    data[field..field + 2].copy_from_slice(&whole);
                    false
                }
                5 => {
                    data[header..header + 2].fill(0);
                    data[field..field + 2].fill(0);
                    false
                }
                6 => {
                    data[header..header + 2].fill(0);
                    data[field + 1] ^= 1;
                    true
                }
                7 if is_v4 => {
                    data[header + 1] ^= 1;
                    true
                }
                7 => false,
                // UDP over IPv4 may do without.
                _ => {
                    data[field..field + 2].fill(0);
                    is_tcp || !is_v4
                }
            });
        }
        let batch = Batch::new(&slab, table.records(), table.interfaces());
        findings.read(batch);
        for (at, wrong) in wrong.into_iter().enumerate() {
            let frame = batch.frame(at);
            let packet = Packet::new(frame, findings.layers(&frame, at));
            let walked = is_wrong(&packet, || findings.verdicts(at));
            assert_eq!(walked, wrong, "{at} {:?}", findings.verdicts(at));
            assert_eq!(is_wrong_common(frame.data, findings.summaries()[at]), walked, "{at}");
        }
    }
}
