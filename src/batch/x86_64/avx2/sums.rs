//! Both checksums of four packets, by lane.
//!
//! Sums are ones' complement sums of 16-bit words in memory order (RFC 1071 section 2, byte order independence). Words are
//! added up two and two by products with one. These take them for signed, so each is brought to that range by turning its
//! highest bit over, which is to subtract 2^15; that is what a sum begins with, as often as words come.

use super::lanes::Lanes;
use super::shape::Shapes;
use std::arch::x86_64::*;

/// Bytes from word 0 on that the words hold.
pub(super) const HELD: i64 = 64;

/// Two numbers below 2^31 in each lane for each sum.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    /// Over the IPv4 header.
    headers: __m256i,
    /// Over the pseudo header, which ICMP over IPv4 has none of, and as much of the upper layer as the words hold.
    upper: __m256i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn of(lanes: &Lanes, shapes: &Shapes) -> Self {
        let [w0, w1, w2, w3, w4, w5, w6, w7] = lanes.words;
        let addresses = two_by_two(w2);
        // The upper half of word 0, and two words.
        let first = two_by_two(_mm256_and_si256(w0, _mm256_set1_epi64x(!0xffff_ffff)));
        let headers = sum([begin(3), first, two_by_two(w1), addresses]);

        // Of word k count the bytes before the end, which are compared with their places.
        let end = _mm256_min_epi32(shapes.end, _mm256_set1_epi64x(HELD));
        let end = _mm256_shuffle_epi8(end, _mm256_set_epi64x(EIGHTS, 0, EIGHTS, 0));
        let some = |word, k: i64| {
            let places = _mm256_set1_epi64x(0x0706_0504_0302_0100 + k * EIGHTS);
            two_by_two(_mm256_and_si256(word, _mm256_cmpgt_epi8(end, places)))
        };
        // The length and the protocol, in memory order: times 2^8, 2^16 being 1.
        let pseudo = _mm256_add_epi64(_mm256_slli_epi64::<8>(shapes.l4_length), shapes.protocol);
        let mut before = _mm256_add_epi32(pseudo, addresses);
        // A packet has 28 bytes at least, and so the whole of word 3.
        let held = [begin(6), two_by_two(w3), some(w4, 4), some(w5, 5), some(w6, 6), some(w7, 7)];
        if let Some(rare) = &shapes.rare {
            // Without word 2 nothing is to be made good for it.
            before =
                _mm256_blendv_epi8(before, _mm256_sub_epi32(_mm256_setzero_si256(), begin(1)), rare.icmp);
            // IPv6 addresses begin with the upper half of word 1.
            let high = _mm256_srli_epi64::<32>(_mm256_and_si256(w1, rare.v6));
            let low = _mm256_and_si256(high, _mm256_set1_epi64x(0xffff));
            before = _mm256_add_epi32(before, _mm256_add_epi32(_mm256_srli_epi64::<16>(high), low));
        }
        Self { headers, upper: _mm256_add_epi32(before, sum(held)) }
    }

    /// Adds sums over what the words do not hold, below 2^33 each.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn add(&mut self, beyond: __m256i) {
        // To twice 17 bits, so that nothing is carried out of a half.
        let words = _mm256_set1_epi32(0xffff);
        let folded = _mm256_add_epi32(_mm256_and_si256(beyond, words), _mm256_srli_epi32::<16>(beyond));
        self.upper = _mm256_add_epi32(self.upper, folded);
    }

    /// Both sums, folded to 16 bits: that of the header in bits 16 to 31 of each lane, the other in bits 48 to 63. They are
    /// ones where the checksum is right.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn fold(self) -> __m256i {
        let Self { headers, upper } = self;
        let low = _mm256_blend_epi32::<0b1010_1010>(headers, _mm256_slli_epi64::<32>(upper));
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(headers), upper);
        let both = _mm256_add_epi32(low, high);
        // Added to itself turned by half its width, the upper half is the sum of both with the carry out of the lower.
        const TURN: i64 = 0x0504_0706_0100_0302;
        let turn = _mm256_set_epi64x(TURN + EIGHTS, TURN, TURN + EIGHTS, TURN);
        _mm256_add_epi32(both, _mm256_shuffle_epi8(both, turn))
    }
}

/// An 8 in each byte.
const EIGHTS: i64 = 0x0808_0808_0808_0808;

/// What so many words of eight bytes begin with.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn begin(words: i32) -> __m256i {
    _mm256_set1_epi32(words << 16)
}

/// The sums of two 16-bit words each, less 2^16.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn two_by_two(word: __m256i) -> __m256i {
    let turned = _mm256_xor_si256(word, _mm256_set1_epi16(i16::MIN));
    _mm256_madd_epi16(turned, _mm256_set1_epi16(1))
}

/// Two by two, so that none waits for all before it.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn sum<const N: usize>(numbers: [__m256i; N]) -> __m256i {
    let (mut numbers, mut left) = (numbers, N);
    while left > 1 {
        for at in 0..left / 2 {
            numbers[at] = _mm256_add_epi32(numbers[2 * at], numbers[2 * at + 1]);
        }
        if left % 2 == 1 {
            numbers[left / 2] = numbers[left - 1];
        }
        left = left.div_ceil(2);
    }
    numbers[0]
}
