//! Ports at which the walk looks for a tunnel, 16 of them looked up at once.
//!
//! A hash tells which ports are none, but for a few: most packets have no other, and the rest are compared one by one.

use crate::batch::Summary;
use crate::parse::{TUNNEL_PORTS, Transport};
use std::arch::x86_64::*;

/// What ports are multiplied by: of the product the upper four bits choose a [bucket](BUCKETS), and the next eight are a tag.
/// No more than two of [`TUNNEL_PORTS`] are in a bucket.
const FACTOR: u16 = {
    let mut factor = 1;
    while !fits(factor) {
        factor += 2;
    }
    factor
};

/// The tags of each bucket, the first and the second ones. Where there is only one, it stands for both; where there is
/// none, one that port 0 has not, which stands where there are no ports.
const BUCKETS: [[u8; 16]; 2] = {
    let (mut buckets, mut filled) = ([[u8::MAX; 16]; 2], [0; 16]);
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        let (bucket, tag) = hash(TUNNEL_PORTS[at], FACTOR);
        if filled[bucket] == 0 {
            buckets[0][bucket] = tag;
        }
        buckets[1][bucket] = tag;
        filled[bucket] += 1;
        at += 1;
    }
    buckets
};

const fn hash(port: u16, factor: u16) -> (usize, u8) {
    let product = port.wrapping_mul(factor);
    ((product >> 12) as usize, (product >> 4) as u8)
}

const fn fits(factor: u16) -> bool {
    let mut filled = [0; 16];
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        let (bucket, _) = hash(TUNNEL_PORTS[at], factor);
        filled[bucket] += 1;
        if filled[bucket] > 2 {
            return false;
        }
        at += 1;
    }
    true
}

/// The UDP packets among eight of which the source or the destination port is a tunnel's.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tunnels(packets: &[Summary; 8]) -> u8 {
    // SAFETY: summaries are eight bytes each, four from each place on. No alignment is asked for.
    let four = |at: usize| unsafe { _mm256_loadu_si256(packets[at..at + 4].as_ptr().cast()) };
    // The lower halves, which are ports.
    let ports =
        _mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castsi256_ps(four(0)), _mm256_castsi256_ps(four(4)));
    let product = _mm256_mullo_epi16(_mm256_castps_si256(ports), _mm256_set1_epi16(FACTOR as i16));
    let (bucket, tag) = (_mm256_srli_epi16::<12>(product), _mm256_srli_epi16::<4>(product));
    let [first, second] = const { [u128::from_le_bytes(BUCKETS[0]), u128::from_le_bytes(BUCKETS[1])] };
    let in_table = |table: u128| {
        let (low, high) = (table as i64, (table >> 64) as i64);
        _mm256_cmpeq_epi8(_mm256_shuffle_epi8(_mm256_set_epi64x(high, low, high, low), bucket), tag)
    };
    let perhaps = _mm256_or_si256(in_table(first), in_table(second));
    // Of each two bytes the lower one says something.
    if _mm256_testz_si256(perhaps, _mm256_set1_epi16(0xff)) != 0 { 0 } else { compared(packets) }
}

/// The same, each compared with all of them.
#[cold]
#[inline(never)]
fn compared(packets: &[Summary; 8]) -> u8 {
    packets.iter().enumerate().fold(0, |found, (lane, packet)| {
        let (source, destination) = packet.port_fields();
        let known = |port| TUNNEL_PORTS.contains(&port);
        let tunnel = packet.transport() == Transport::Udp && (known(source) || known(destination));
        found | u8::from(tunnel) << lane
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Verdict;

    #[test]
    fn finds_every_tunnel_port_and_no_other() {
        if !is_x86_feature_detected!("avx2") {
            return eprintln!("SKIPPED: no AVX2 here");
        }
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        let packet = |transport, ports: u32| {
            let common = Summary::common(transport, Verdict::Good, Verdict::Good);
            Summary::of_bits(common.bits() | u64::from(ports))
        };
        let mut compared = 0;
        for port in 0..=u16::MAX {
            let expected = TUNNEL_PORTS.contains(&port);
            let (source, destination) = (u32::from(port), u32::from(port) << 16);
            for lane in 0..8 {
                // Of others none is near.
                let mut packets = [packet(udp, 0x0050_0035); 8];
                // SAFETY: AVX2 was found.
                let mut found = |packet| unsafe {
                    packets[lane] = packet;
                    tunnels(&packets)
                };
                let mask = u8::from(expected) << lane;
                assert_eq!(found(packet(udp, source)), mask, "from {port} in lane {lane}");
                assert_eq!(found(packet(udp, destination)), mask, "to {port} in lane {lane}");
                assert_eq!(found(packet(tcp, destination)), 0, "TCP to {port} in lane {lane}");
            }
            let (bucket, tag) = hash(port, FACTOR);
            compared += u32::from(BUCKETS.iter().any(|tags| tags[bucket] == tag));
        }
        // 16 for each tag.
        assert!(compared <= 32 * 16, "{compared} ports are compared");
    }
}
