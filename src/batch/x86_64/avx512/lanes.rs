//! The first bytes of eight frames, turned over.

use crate::batch::common::{FIRST, REACH, VLAN};
use crate::frame::{LinkType, Record};
use std::arch::x86_64::*;

/// Eight frames, one in each lane.
///
/// Words are counted from four bytes before the network layer, so that IPv4 addresses are word 2 and what comes after an
/// IPv4 header begins with word 3. They are as they lie in memory.
pub(super) struct Lanes {
    pub(super) words: [__m512i; 8],
    /// Where word 0 begins in the frame.
    pub(super) start: __m512i,
    /// Captured bytes from there on; below 0 where there are none.
    pub(super) room: __m512i,
    /// Lanes that are not Ethernet.
    pub(super) foreign: __mmask8,
    /// Lanes whose upper checksum the kernel has found right.
    pub(super) vouched: __mmask8,
}

impl Lanes {
    /// Of eight records of a batch over `slab`; `None` when it ends too soon after one of them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    pub(super) fn load(slab: &[u8], records: &[Record; 8]) -> Option<Self> {
        let last = slab.len().checked_sub(REACH)?;
        // SAFETY: each lane reads the first eight bytes of its own record, all within `records`: an offset and a length
        // without padding between them (`Record` is `repr(C)`).
        let places = unsafe { _mm512_i64gather_epi64::<1>(FIRST_BYTES, records.as_ptr().cast()) };
        let offset = _mm512_maskz_mov_epi32(0b0101_0101_0101_0101, places);
        if _mm512_cmpgt_epu64_mask(offset, _mm512_set1_epi64(last as i64)) != 0 {
            return None;
        }
        let line = |lane: usize, tag: u8| {
            let at = FIRST + VLAN * usize::from(tag >> lane & 1);
            // SAFETY: no record's offset is above `last`, so that the slab has `REACH` bytes from there on, and `at + 64` is
            // no more than that. No alignment is asked for.
            unsafe { _mm512_loadu_si512(slab.as_ptr().add(records[lane].offset as usize + at).cast()) }
        };
        let mut words = transpose(std::array::from_fn(|lane| line(lane, 0)));
        let mut start = _mm512_set1_epi64(FIRST as i64);
        let ether_type = _mm512_and_si512(words[0], _mm512_set1_epi64(0xffff_0000));
        let tagged = _mm512_cmpeq_epi64_mask(ether_type, _mm512_set1_epi64(0x0081_0000));
        if tagged != 0 {
            words = transpose(std::array::from_fn(|lane| line(lane, tagged)));
            start = _mm512_mask_mov_epi64(start, tagged, _mm512_set1_epi64((FIRST + VLAN) as i64));
        }
        let kinds = records.iter().fold(0, |kinds, record| kinds | kind(record));
        let (foreign, vouched) = if kinds == 0 { (0, 0) } else { unusual(records) };
        let room = _mm512_sub_epi64(_mm512_srli_epi64::<32>(places), start);
        Some(Self { words, start, room, foreign, vouched })
    }
}

/// Where records begin in an array of them.
const FIRST_BYTES: __m512i = {
    let stride = size_of::<Record>() as i64;
    // SAFETY: both are 64 bytes without padding, and any bytes are a vector.
    unsafe {
        std::mem::transmute([
            0,
            stride,
            2 * stride,
            3 * stride,
            4 * stride,
            5 * stride,
            6 * stride,
            7 * stride,
        ])
    }
};

/// 0 for an Ethernet frame of which the kernel says nothing. Written so that it is one load.
#[inline(always)]
fn kind(record: &Record) -> u32 {
    let offload = record.offload;
    let word = u32::from(record.link_type.0)
        | u32::from(offload.checksum_not_ready) << 16
        | u32::from(offload.checksum_valid) << 24;
    word ^ LinkType::ETHERNET.0 as u32
}

/// Which lanes are foreign, and which are vouched for.
#[inline(never)]
fn unusual(records: &[Record; 8]) -> (__mmask8, __mmask8) {
    records.iter().enumerate().fold((0, 0), |(foreign, vouched), (lane, record)| {
        let valid = record.offload.checksum_valid && !record.offload.checksum_not_ready;
        let not_ethernet = record.link_type != LinkType::ETHERNET;
        (foreign | u8::from(not_ethernet) << lane, vouched | u8::from(valid) << lane)
    })
}

/// Rows become columns: the words of eight lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn transpose(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let pair = |x, y| (_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
    // Words 0, 2, 4, 6 and words 1, 3, 5, 7 of two rows.
    let ((ab0, ab1), (cd0, cd1), (ef0, ef1), (gh0, gh1)) = (pair(a, b), pair(c, d), pair(e, f), pair(g, h));
    let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    // Words 0 and 4, 2 and 6, and so on of four rows.
    let four = |x, y| (_mm512_permutex2var_epi64(x, low, y), _mm512_permutex2var_epi64(x, high, y));
    let ((abcd04, abcd26), (abcd15, abcd37)) = (four(ab0, cd0), four(ab1, cd1));
    let ((efgh04, efgh26), (efgh15, efgh37)) = (four(ef0, gh0), four(ef1, gh1));
    let eight = |x, y| (_mm512_shuffle_i64x2::<0x44>(x, y), _mm512_shuffle_i64x2::<0xee>(x, y));
    let ((w0, w4), (w1, w5)) = (eight(abcd04, efgh04), eight(abcd15, efgh15));
    let ((w2, w6), (w3, w7)) = (eight(abcd26, efgh26), eight(abcd37, efgh37));
    [w0, w1, w2, w3, w4, w5, w6, w7]
}
