//! Ports at which the walk looks for a tunnel, 32 of them looked up at once.

use crate::parse::TUNNEL_PORTS;
use std::arch::x86_64::*;

/// A hash without collisions over [`TUNNEL_PORTS`]: the upper [`BITS`] bits of the product.
const FACTOR: u16 = {
    let mut factor = 1;
    while !distinct(factor) {
        factor += 2;
    }
    factor
};

const BITS: u32 = 5;

/// The port of each hash. Where there is none stands a port that has another hash, and so is never found there.
const TABLE: [u16; 1 << BITS] = {
    let mut table = [TUNNEL_PORTS[0]; 1 << BITS];
    table[hash(TUNNEL_PORTS[0], FACTOR)] = TUNNEL_PORTS[1];
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        table[hash(TUNNEL_PORTS[at], FACTOR)] = TUNNEL_PORTS[at];
        at += 1;
    }
    table
};

const fn hash(port: u16, factor: u16) -> usize {
    (port.wrapping_mul(factor) >> (16 - BITS)) as usize
}

const fn distinct(factor: u16) -> bool {
    let (mut seen, mut at) = (0_u32, 0);
    while at < TUNNEL_PORTS.len() {
        let bit = 1 << hash(TUNNEL_PORTS[at], factor);
        if seen & bit != 0 {
            return false;
        }
        seen |= bit;
        at += 1;
    }
    true
}

/// The lanes in which one of the lowest two 16-bit numbers is a tunnel's port.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn tunnels(numbers: __m512i) -> __mmask8 {
    // SAFETY: both are 64 bytes without padding, and any bytes are a vector.
    let table = const { unsafe { std::mem::transmute::<[u16; 32], __m512i>(TABLE) } };
    let product = _mm512_mullo_epi16(numbers, _mm512_set1_epi16(FACTOR as i16));
    let found = _mm512_permutexvar_epi16(_mm512_srli_epi16::<{ 16 - BITS }>(product), table);
    let equal = _mm512_cmpeq_epi16_mask(found, numbers);
    // Four numbers a lane, of which the first two count.
    _pext_u32(equal | equal >> 1, 0x1111_1111) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_tunnel_port_and_no_other() {
        for port in 0..=u16::MAX {
            let found = TABLE[hash(port, FACTOR)] == port;
            assert_eq!(found, TUNNEL_PORTS.contains(&port), "{port}");
        }
    }
}
