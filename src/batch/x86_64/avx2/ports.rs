//! Ports at which the walk looks for a tunnel, 16 of them looked up at once.

use crate::batch::Summary;
use crate::parse::{TUNNEL_PORTS, Transport};
use std::arch::x86_64::*;

/// A hash by which no more than two of [`TUNNEL_PORTS`] are in a [bucket](BUCKETS): four bits of the product.
const FACTOR: u16 = {
    let mut factor = 1;
    while !fits(factor) {
        factor += 2;
    }
    factor
};

/// The bits of the product that count: the lower half of the upper byte.
const HASH: u16 = 0x0f00;

/// The ports of each bucket, the first and the second ones. Where there is only one it stands for both, and where there is
/// none one of another bucket, which is never found there.
const BUCKETS: [[u16; 16]; 2] = {
    let (mut buckets, mut filled) = ([[TUNNEL_PORTS[0]; 16]; 2], [0; 16]);
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        let bucket = hash(TUNNEL_PORTS[at], FACTOR);
        if filled[bucket] == 0 {
            buckets[0][bucket] = TUNNEL_PORTS[at];
        }
        buckets[1][bucket] = TUNNEL_PORTS[at];
        filled[bucket] += 1;
        at += 1;
    }
    buckets
};

const fn hash(port: u16, factor: u16) -> usize {
    ((port.wrapping_mul(factor) & HASH) >> 8) as usize
}

const fn fits(factor: u16) -> bool {
    let mut filled = [0; 16];
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        let bucket = hash(TUNNEL_PORTS[at], factor);
        filled[bucket] += 1;
        if filled[bucket] > 2 {
            return false;
        }
        at += 1;
    }
    true
}

/// One byte of each of a bucket's ports, twice: a shuffle's table.
const fn table(ports: [u16; 16], upper: bool) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = ports[at % 16].to_le_bytes()[upper as usize];
        at += 1;
    }
    bytes
}

/// The UDP packets among eight of which the source or the destination port is a tunnel's.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn tunnels(packets: &[Summary; 8]) -> u8 {
    // SAFETY: summaries are eight bytes each, four from each place on. No alignment is asked for.
    let four = |at: usize| unsafe { _mm256_loadu_si256(packets[at..at + 4].as_ptr().cast()) };
    // The lower halves, which are ports.
    let ports =
        _mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castsi256_ps(four(0)), _mm256_castsi256_ps(four(4)));
    let ports = _mm256_castps_si256(ports);
    let product = _mm256_mullo_epi16(ports, _mm256_set1_epi16(FACTOR as i16));
    // The bucket for one byte of each port, and for the other byte what gives 0.
    let upper = _mm256_and_si256(product, _mm256_set1_epi16(HASH as i16));
    let upper = _mm256_or_si256(upper, _mm256_set1_epi16(0x80));
    let swap = _mm256_set_epi64x(0x0e0f_0c0d_0a0b_0809, SWAP, 0x0e0f_0c0d_0a0b_0809, SWAP);
    const SWAP: i64 = 0x0607_0405_0203_0001;
    let lower = _mm256_shuffle_epi8(upper, swap);
    let in_table = |low: __m256i, high: __m256i| {
        let port = _mm256_or_si256(_mm256_shuffle_epi8(low, lower), _mm256_shuffle_epi8(high, upper));
        _mm256_cmpeq_epi16(port, ports)
    };
    let [[a, b], [c, d]] = TABLES;
    let found = _mm256_or_si256(in_table(a, b), in_table(c, d));
    if _mm256_testz_si256(found, found) != 0 { 0 } else { of_udp(packets) }
}

/// The lower and the upper bytes of the first ports, and of the second ones.
const TABLES: [[__m256i; 2]; 2] = {
    let tables = [
        [table(BUCKETS[0], false), table(BUCKETS[0], true)],
        [table(BUCKETS[1], false), table(BUCKETS[1], true)],
    ];
    // SAFETY: both are four times 32 bytes without padding, and any bytes are a vector.
    unsafe { std::mem::transmute::<[[[u8; 32]; 2]; 2], [[__m256i; 2]; 2]>(tables) }
};

/// The same, one by one: there are few.
#[cold]
#[inline(never)]
fn of_udp(packets: &[Summary; 8]) -> u8 {
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
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        if !has_all {
            return eprintln!("SKIPPED: no AVX2 here, or no BMI1 or BMI2");
        }
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        let packet = |transport, ports: u32| {
            let common = Summary::common(transport, Verdict::Good, Verdict::Good);
            Summary::of_bits(common.bits() | u64::from(ports))
        };
        for port in 0..=u16::MAX {
            let expected = TUNNEL_PORTS.contains(&port);
            let (source, destination) = (u32::from(port), u32::from(port) << 16);
            for lane in 0..8 {
                // Of others none is near.
                let mut packets = [packet(udp, 0x0050_0035); 8];
                // SAFETY: what it needs was found.
                let mut found = |packet| unsafe {
                    packets[lane] = packet;
                    tunnels(&packets)
                };
                let mask = u8::from(expected) << lane;
                assert_eq!(found(packet(udp, source)), mask, "from {port} in lane {lane}");
                assert_eq!(found(packet(udp, destination)), mask, "to {port} in lane {lane}");
                assert_eq!(found(packet(tcp, destination)), 0, "TCP to {port} in lane {lane}");
            }
            let found = BUCKETS.iter().any(|ports| ports[hash(port, FACTOR)] == port);
            assert_eq!(found, expected, "{port}");
        }
    }
}
