//! Both checksums of eight packets, by lane.
//!
//! Sums are ones' complement sums of 16-bit words in memory order (RFC 1071 section 2, byte order independence). Words are
//! added up two and two by dot products with ones (VNNI). These take them for signed, so each is brought to that range
//! by turning its highest bit over, which is to subtract 2^15; that is what a sum begins with, as often as words come.

use super::lanes::Lanes;
use super::shape::Shapes;
use std::arch::x86_64::*;

/// Bytes from word 0 on that the words hold.
pub(super) const HELD: i64 = 64;

/// The sums over IPv4 headers, folded: their upper 16 bits are ones where the header is right.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn headers(lanes: &Lanes) -> __m512i {
    let [w0, w1, w2, ..] = lanes.words;
    // The upper half of word 0, and two words.
    let sum = add(begin(3), _mm512_slli_epi64::<32>(_mm512_srli_epi64::<32>(w0)));
    fold(add(add(sum, w1), w2))
}

/// The sums over pseudo headers, which ICMP over IPv4 has none of, and over as much of the upper layer as the words hold: two numbers below 2^31 in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn upper(lanes: &Lanes, shapes: &Shapes) -> __m512i {
    let [_, w1, mut w2, w3, w4, w5, w6, w7] = lanes.words;
    // Of word k count the bytes before the end: all but the upper 64 (k + 1) - 8 end bits.
    let bits = _mm512_slli_epi64::<3>(_mm512_min_epu32(shapes.end, _mm512_set1_epi64(HELD)));
    let count = |k: i64| {
        let beyond = _mm512_subs_epu16(_mm512_set1_epi64(64 * (k + 1)), bits);
        _mm512_srlv_epi64(_mm512_set1_epi64(-1), beyond)
    };
    // The length and the protocol, in memory order: times 2^8, 2^16 being 1.
    let protocol = _mm512_mask_mov_epi64(_mm512_set1_epi64(6), shapes.udp, _mm512_set1_epi64(17));
    let mut pseudo = _mm512_slli_epi64::<8>(_mm512_add_epi64(shapes.l4_length, protocol));
    if shapes.icmp != 0 {
        (w2, pseudo) =
            (_mm512_maskz_mov_epi64(!shapes.icmp, w2), _mm512_maskz_mov_epi64(!shapes.icmp, pseudo));
    }
    // A packet has 28 bytes at least, and so the whole of word 3.
    let (mut even, mut odd) = (add(begin(6), w2), add(begin(0), w3));
    even = add_some(even, w4, count(4));
    odd = add_some(odd, w5, count(5));
    even = add_some(even, w6, count(6));
    odd = add_some(odd, w7, count(7));
    let mut sum = _mm512_add_epi32(_mm512_add_epi32(even, odd), pseudo);
    if shapes.v6 != 0 {
        // IPv6 addresses begin with the upper half of word 1.
        let some = _mm512_maskz_mov_epi64(shapes.v6, w1);
        let (high, low) = (_mm512_srli_epi64::<48>(some), _mm512_srli_epi64::<32>(some));
        sum = _mm512_add_epi32(sum, _mm512_add_epi32(high, _mm512_and_si512(low, _mm512_set1_epi64(0xffff))));
    }
    sum
}

/// What so many words of eight bytes begin with.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn begin(words: i32) -> __m512i {
    _mm512_set1_epi32(words << 16)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn add(sum: __m512i, word: __m512i) -> __m512i {
    let turned = _mm512_xor_si512(word, _mm512_set1_epi16(i16::MIN));
    _mm512_dpwssd_epi32(sum, turned, _mm512_set1_epi16(1))
}

/// Adds those bits of a word that count.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn add_some(sum: __m512i, word: __m512i, count: __m512i) -> __m512i {
    // (a & b) ^ c
    let turned =
        _mm512_ternarylogic_epi64::<{ (0xf0 & 0xcc) ^ 0xaa }>(word, count, _mm512_set1_epi16(i16::MIN));
    _mm512_dpwssd_epi32(sum, turned, _mm512_set1_epi16(1))
}

/// Folds each lane to 16 bits, which are then its upper ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn fold(sums: __m512i) -> __m512i {
    // Added to itself turned by half its width, the upper half is the sum of both with the carry out of the lower.
    let halves = _mm512_add_epi64(sums, _mm512_rol_epi64::<32>(sums));
    _mm512_add_epi32(halves, _mm512_rol_epi32::<16>(halves))
}
