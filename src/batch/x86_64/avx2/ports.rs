//! Ports at which the walk looks for a tunnel, 16 of them looked up at once.
//!
//! A hash tells quickly which ports are none: most groups have no other. Those that may be one are compared.

use crate::parse::TUNNEL_PORTS;
use std::arch::x86_64::*;

/// The lanes of eight summaries in which the source or the destination port is a tunnel's.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tunnels(low: __m256i, high: __m256i) -> u8 {
    // The lower halves of lanes 0, 1, 4, 5 and 2, 3, 6, 7.
    let ports = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(
        _mm256_castsi256_ps(low),
        _mm256_castsi256_ps(high),
    ));
    let found = TUNNEL_PORTS.iter().fold(_mm256_setzero_si256(), |found, &port| {
        _mm256_or_si256(found, _mm256_cmpeq_epi16(ports, _mm256_set1_epi16(port as i16)))
    });
    if _mm256_testz_si256(found, found) != 0 {
        return 0;
    }
    let none = _mm256_cmpeq_epi32(found, _mm256_setzero_si256());
    let lanes = _mm256_permute4x64_epi64::<0b11_01_10_00>(none);
    !_mm256_movemask_ps(_mm256_castsi256_ps(lanes)) as u8
}
