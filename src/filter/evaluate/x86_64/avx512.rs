//! Sixteen frames in the lanes of a vector, by gathers.

use crate::filter::evaluate::columns::{Frames, LANES, Machine, Numbers};
use crate::filter::evaluate::flat::Flat;
use crate::filter::evaluate::lanes;
use crate::filter::evaluate::plan::{Plan, Word};
use crate::frame::{Batch, Record};
use std::arch::x86_64::*;

/// Chooses the wanted frames; the slab must have no more than `i32::MAX` bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
pub(super) unsafe fn choose(plan: &Plan, flat: &Flat, batch: Batch<'_>, wanted: &mut Vec<u16>) {
    lanes::choose(Avx512(()), plan, flat, batch, wanted);
}

/// A value of it is the proof that the CPU has AVX-512 F, BW and VL, and that slabs have no more than `i32::MAX` bytes.
#[derive(Clone, Copy)]
struct Avx512(());

/// Lanes of a vector.
const WIDE: usize = 16;

impl Machine for Avx512 {
    #[inline(always)]
    fn places(self, records: &[Record; LANES], starts: &mut Numbers, lengths: &mut Numbers) {
        // SAFETY: `self` is the proof that the CPU has the instructions.
        unsafe { places(records, starts, lengths) }
    }

    #[inline(always)]
    fn load(self, frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64 {
        // SAFETY: likewise; and that the slab is no longer than that.
        unsafe { load(frames, word, lanes, numbers) }
    }

    #[inline(always)]
    fn in_range(self, numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64 {
        // SAFETY: likewise.
        unsafe { in_range(numbers, mask, low, span) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn places(records: &[Record; LANES], starts: &mut Numbers, lengths: &mut Numbers) {
    let stride = size_of::<Record>() as i64;
    let each = multiples(stride);
    let (even, odd) = (
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0),
        _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1),
    );
    let (eights, _) = records.as_chunks::<8>();
    let (pairs, _) = eights.as_chunks::<2>();
    for (group, [lower, upper]) in pairs.iter().enumerate() {
        // SAFETY: each lane reads the first eight bytes of its own record: an offset and a length without padding between
        // them (`Record` is `repr(C)`).
        let of = |eight: &[Record; 8]| unsafe { _mm512_i64gather_epi64::<1>(each, eight.as_ptr().cast()) };
        let (lower, upper) = (of(lower), of(upper));
        put(starts, group, _mm512_permutex2var_epi32(lower, even, upper));
        put(lengths, group, _mm512_permutex2var_epi32(lower, odd, upper));
    }
}

/// 0 to 7, each that many times.
#[inline]
#[target_feature(enable = "avx512f")]
fn multiples(n: i64) -> __m512i {
    _mm512_set_epi64(7 * n, 6 * n, 5 * n, 4 * n, 3 * n, 2 * n, n, 0)
}

/// The slab must have no more than `i32::MAX` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
unsafe fn load(frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64 {
    let at = |offset: u32| _mm512_set1_epi32(offset as i32);
    // No frame has as many bytes; and nothing added below exceeds 32 bits.
    if word.at > i32::MAX as u32 - 64 || word.header.is_some_and(|header| header > i32::MAX as u32 - 64) {
        return 0;
    }
    // The four bytes at `place` of those frames of `lanes` that have them.
    let gather = |group: usize, lanes: __mmask16, place: __m512i| {
        let end = _mm512_add_epi32(place, at(4));
        let whole = _mm512_mask_cmple_epu32_mask(lanes, end, get(&frames.lengths, group));
        let offsets = _mm512_add_epi32(get(&frames.starts, group), place);
        // SAFETY: a frame lies within the slab (`Batch::new` has checked it, and `frames` has it from there), and only those lanes
        // are read whose four bytes lie within their frame. So offsets are no more than `i32::MAX`.
        let words = unsafe {
            _mm512_mask_i32gather_epi32::<1>(
                _mm512_setzero_si512(),
                whole,
                offsets,
                frames.slab.as_ptr().cast(),
            )
        };
        (words, whole)
    };
    let mut all = 0;
    for group in 0..LANES / WIDE {
        let here = (lanes >> (WIDE * group)) as __mmask16;
        if here == 0 {
            continue;
        }
        let (words, whole) = match word.header {
            None => gather(group, here, at(word.at)),
            Some(header) => {
                let (first, there) = gather(group, here, at(header));
                let length = _mm512_slli_epi32::<2>(_mm512_and_si512(first, at(15)));
                gather(group, there, _mm512_add_epi32(length, at(word.at)))
            }
        };
        let before = get(numbers, group);
        put(numbers, group, _mm512_mask_shuffle_epi8(before, spread(here), words, swapped()));
        all |= u64::from(whole) << (WIDE * group);
    }
    all
}

/// Four bits for each.
#[inline]
#[target_feature(enable = "avx512f,bmi2")]
fn spread(lanes: __mmask16) -> u64 {
    _pdep_u64(lanes.into(), 0x1111_1111_1111_1111).wrapping_mul(15)
}

/// Bytes of each lane in the other order.
#[inline]
#[target_feature(enable = "avx512f")]
fn swapped() -> __m512i {
    _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn in_range(numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64 {
    let [mask, low, span] = [mask, low, span].map(|number| _mm512_set1_epi32(number as i32));
    (0..LANES / WIDE).fold(0, |all, group| {
        let above = _mm512_sub_epi32(_mm512_and_si512(get(numbers, group), mask), low);
        all | u64::from(_mm512_cmple_epu32_mask(above, span)) << (WIDE * group)
    })
}

/// Sixteen of the numbers, from lane 16 times `group` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn get(numbers: &Numbers, group: usize) -> __m512i {
    let (groups, _) = numbers.0.as_chunks::<WIDE>();
    // SAFETY: the reference is to 64 bytes. No alignment is asked for.
    unsafe { _mm512_loadu_si512(groups[group].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put(numbers: &mut Numbers, group: usize, values: __m512i) {
    let (groups, _) = numbers.0.as_chunks_mut::<WIDE>();
    // SAFETY: the reference is to 64 bytes. No alignment is asked for.
    unsafe { _mm512_storeu_si512(groups[group].as_mut_ptr().cast(), values) }
}
