//! The first bytes of four frames, turned over.

use crate::batch::common::{FIRST, REACH, VLAN};
use crate::frame::{LinkType, Record};
use std::arch::x86_64::*;
use std::mem::offset_of;

/// Four frames, one in each lane.
///
/// Words are counted from four bytes before the network layer, so that IPv4 addresses are word 2 and what comes after an
/// IPv4 header begins with word 3. They are as they lie in memory. What is said of lanes is ones in all of their bits.
pub(super) struct Lanes {
    pub(super) words: [__m256i; 8],
    /// Where word 0 begins in the frame.
    pub(super) start: __m256i,
    /// Captured bytes from there on; below 0 where there are none.
    pub(super) room: __m256i,
    /// All lanes are of IPv4 without options.
    pub(super) all_v4: bool,
    /// Some lane is in one of the next two.
    pub(super) unusual: bool,
    /// Lanes that are not Ethernet.
    pub(super) foreign: __m256i,
    /// Lanes whose upper checksum the kernel has found right.
    pub(super) vouched: __m256i,
}

impl Lanes {
    /// Of four records of a batch over `slab`; `None` when it ends too soon after one of them.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn load(slab: &[u8], records: &[Record; 4]) -> Option<Self> {
        let last = u32::try_from(slab.len().checked_sub(REACH)?).unwrap_or(u32::MAX);
        if records.iter().any(|record| record.offset > last) {
            return None;
        }
        let (places, kinds) = facts(records);
        let piece = |lane: usize, at: usize| {
            // SAFETY: no record's offset is above `last`, so that the slab has `REACH` bytes from there on, and `at + 16` is no
            // more than that: `at` is at most FIRST + VLAN + 48 below. No alignment is asked for.
            unsafe { _mm_loadu_si128(slab.as_ptr().add(records[lane].offset as usize + at).cast()) }
        };
        let mut words = transpose(|lane, at| piece(lane, FIRST + at));
        let mut start = _mm256_set1_epi64x(FIRST as i64);
        let mut all_v4 = is_v4(words[0]);
        if !all_v4 {
            let ether_type = _mm256_and_si256(words[0], _mm256_set1_epi64x(0xffff_0000));
            let tagged = _mm256_cmpeq_epi64(ether_type, _mm256_set1_epi64x(0x0081_0000));
            let tags = _mm256_movemask_pd(_mm256_castsi256_pd(tagged)) as usize;
            if tags != 0 {
                words = transpose(|lane, at| piece(lane, FIRST + VLAN * (tags >> lane & 1) + at));
                let more = _mm256_and_si256(tagged, _mm256_set1_epi64x(VLAN as i64));
                start = _mm256_add_epi64(start, more);
                all_v4 = is_v4(words[0]);
            }
        }
        let zero = _mm256_setzero_si256();
        let (mut foreign, mut vouched) = (zero, zero);
        let kinds = _mm256_xor_si256(kinds, _mm256_set1_epi64x(LinkType::ETHERNET.0 as i64));
        let unusual = _mm256_testz_si256(kinds, _mm256_set1_epi64x(0xffff_ffff)) == 0;
        if unusual {
            let usual = |bits: i64, value: i64| {
                let bits = _mm256_and_si256(kinds, _mm256_set1_epi64x(bits));
                _mm256_cmpeq_epi64(bits, _mm256_set1_epi64x(value))
            };
            foreign = _mm256_xor_si256(usual(0xffff, 0), _mm256_set1_epi64x(-1));
            // Valid, and not also said to be not ready.
            vouched = usual(0xffff_0000, 1 << 24);
        }
        let room = _mm256_sub_epi64(_mm256_srli_epi64::<32>(places), start);
        Some(Self { words, start, room, all_v4, unusual, foreign, vouched })
    }
}

/// What [`facts`] reads of a record, and where.
const _: () = {
    let offload = offset_of!(Record, offload);
    assert!(offset_of!(Record, offset) == 0 && offset_of!(Record, captured) == 4);
    assert!(offset_of!(Record, link_type) == 16 && offload == 18);
    assert!(offload + offset_of!(crate::frame::Offload, checksum_not_ready) == 18);
    assert!(offload + offset_of!(crate::frame::Offload, checksum_valid) == 19);
    // What is loaded has no padding.
    assert!(offset_of!(Record, direction) == 22 && offset_of!(Record, options_big_endian) == 23);
    assert!(offset_of!(Record, number) == 24);
};

/// Offset and captured length of each record, and its link type with two bytes of what the kernel says of it; above these
/// is something else.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn facts(records: &[Record; 4]) -> (__m256i, __m256i) {
    let load = |lane: usize| {
        // SAFETY: a record is 64 bytes, the first 32 of which are fields without padding. No alignment is asked for.
        unsafe { _mm256_loadu_si256((&raw const records[lane]).cast()) }
    };
    // Words 0 and 2 of two records.
    let (ab, cd) = (_mm256_unpacklo_epi64(load(0), load(1)), _mm256_unpacklo_epi64(load(2), load(3)));
    (_mm256_permute2x128_si256::<0x20>(ab, cd), _mm256_permute2x128_si256::<0x31>(ab, cd))
}

/// Whether all are IPv4 without options, by EtherType, version and header length.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn is_v4(w0: __m256i) -> bool {
    let unlike = _mm256_xor_si256(w0, _mm256_set1_epi64x(0x45_0008_0000));
    _mm256_testz_si256(unlike, _mm256_set1_epi64x(0xff_ffff_0000)) != 0
}

/// Rows become columns: the words of four lines, of which `piece` gives the 16 bytes of a lane from somewhere on.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn transpose(piece: impl Fn(usize, usize) -> __m128i) -> [__m256i; 8] {
    // Two words of two frames.
    let two =
        |lane, at| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(piece(lane, at)), piece(lane + 2, at));
    let pair = |at| {
        let (even, odd) = (two(0, at), two(1, at));
        (_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd))
    };
    let ((w0, w1), (w2, w3), (w4, w5), (w6, w7)) = (pair(0), pair(16), pair(32), pair(48));
    [w0, w1, w2, w3, w4, w5, w6, w7]
}
