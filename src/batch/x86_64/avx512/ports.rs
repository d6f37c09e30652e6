//! Ports at which the walk looks for a tunnel, 32 of them looked up at once, by the walk's own hash.

use crate::parse::{HASH_BITS, HASH_FACTOR, HASHED_PORTS};
use std::arch::x86_64::*;

/// The lanes in which one of the lowest two 16-bit numbers is a tunnel's port.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn tunnels(numbers: __m512i) -> __mmask8 {
    // SAFETY: both are 64 bytes without padding, and any bytes are a vector.
    let table = const { unsafe { std::mem::transmute::<[u16; 1 << HASH_BITS], __m512i>(HASHED_PORTS) } };
    let product = _mm512_mullo_epi16(numbers, _mm512_set1_epi16(HASH_FACTOR as i16));
    let found = _mm512_permutexvar_epi16(_mm512_srli_epi16::<{ 16 - HASH_BITS }>(product), table);
    let equal = _mm512_cmpeq_epi16_mask(found, numbers);
    // Four numbers a lane, of which the first two count.
    _pext_u32(equal | equal >> 1, 0x1111_1111) as u8
}
