//! Eight frames in the lanes of a vector.

use crate::filter::evaluate::columns::{Frames, LANES, Machine, Numbers, Portable};
use crate::filter::evaluate::flat::Flat;
use crate::filter::evaluate::lanes;
use crate::filter::evaluate::plan::{Plan, Word};
use crate::frame::{Batch, Record};
use std::arch::x86_64::*;

/// Chooses the wanted frames; the slab must have no more than `i32::MAX` bytes.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn choose(plan: &Plan, flat: &Flat, batch: Batch<'_>, wanted: &mut Vec<u16>) {
    lanes::choose(Avx2(()), plan, flat, batch, wanted);
}

/// A value of it is the proof that the CPU has AVX2, and that slabs have no more than `i32::MAX` bytes.
#[derive(Clone, Copy)]
struct Avx2(());

/// Lanes of a vector.
const WIDE: usize = 8;

impl Machine for Avx2 {
    #[inline(always)]
    fn places(self, records: &[Record; LANES], starts: &mut Numbers, lengths: &mut Numbers) {
        Portable.places(records, starts, lengths);
    }

    #[inline(always)]
    fn load(self, frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64 {
        // SAFETY: `self` is the proof that the CPU has the instructions, and that the slab is no longer than that.
        unsafe { load(frames, word, lanes, numbers) }
    }

    #[inline(always)]
    fn in_range(self, numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64 {
        // SAFETY: `self` is the proof that the CPU has the instructions.
        unsafe { in_range(numbers, mask, low, span) }
    }
}

/// The slab must have no more than `i32::MAX` bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64 {
    let at = |offset: u32| _mm256_set1_epi32(offset as i32);
    // No frame has as many bytes; and nothing added below exceeds 32 bits.
    if word.at > i32::MAX as u32 - 64 || word.header.is_some_and(|header| header > i32::MAX as u32 - 64) {
        return 0;
    }
    // The four bytes at `place` of those frames of `lanes` that have them, and which those are: lanes of all bits or none.
    let gather = |group: usize, lanes: __m256i, place: __m256i| {
        let end = _mm256_add_epi32(place, at(4));
        let whole = _mm256_and_si256(lanes, at_most(end, get(&frames.lengths, group)));
        let offsets = _mm256_add_epi32(get(&frames.starts, group), place);
        // SAFETY: a frame lies within the slab (`Batch::new` has checked it, and `frames` has it from there), and only those lanes
        // are read whose four bytes lie within their frame. So offsets are no more than `i32::MAX`.
        let words = unsafe {
            _mm256_mask_i32gather_epi32::<1>(
                _mm256_setzero_si256(),
                frames.slab.as_ptr().cast(),
                offsets,
                whole,
            )
        };
        (words, whole)
    };
    let mut all = 0;
    for group in 0..LANES / WIDE {
        let here = (lanes >> (WIDE * group)) as u8;
        if here == 0 {
            continue;
        }
        let here = spread(here);
        let (words, whole) = match word.header {
            None => gather(group, here, at(word.at)),
            Some(header) => {
                let (first, there) = gather(group, here, at(header));
                let length = _mm256_slli_epi32::<2>(_mm256_and_si256(first, at(15)));
                gather(group, there, _mm256_add_epi32(length, at(word.at)))
            }
        };
        let words = _mm256_shuffle_epi8(words, swapped());
        put(numbers, group, _mm256_blendv_epi8(get(numbers, group), words, here));
        all |= u64::from(gathered(whole)) << (WIDE * group);
    }
    all
}

/// All bits of a lane for each.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(lanes: u8) -> __m256i {
    let each = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes.into()), each), each)
}

/// The other way round.
#[inline]
#[target_feature(enable = "avx2")]
fn gathered(lanes: __m256i) -> u8 {
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)) as u8
}

/// Where the left one is at most the right one, neither signed.
#[inline]
#[target_feature(enable = "avx2")]
fn at_most(left: __m256i, right: __m256i) -> __m256i {
    _mm256_cmpeq_epi32(_mm256_min_epu32(left, right), left)
}

/// Bytes of each lane in the other order.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped() -> __m256i {
    _mm256_broadcastsi128_si256(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3))
}

#[inline]
#[target_feature(enable = "avx2")]
fn in_range(numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64 {
    let [mask, low, span] = [mask, low, span].map(|number| _mm256_set1_epi32(number as i32));
    (0..LANES / WIDE).fold(0, |all, group| {
        let above = _mm256_sub_epi32(_mm256_and_si256(get(numbers, group), mask), low);
        all | u64::from(gathered(at_most(above, span))) << (WIDE * group)
    })
}

/// Eight of the numbers, from lane 8 times `group` on.
#[inline]
#[target_feature(enable = "avx2")]
fn get(numbers: &Numbers, group: usize) -> __m256i {
    let (groups, _) = numbers.0.as_chunks::<WIDE>();
    // SAFETY: the reference is to 32 bytes. No alignment is asked for.
    unsafe { _mm256_loadu_si256(groups[group].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn put(numbers: &mut Numbers, group: usize, values: __m256i) {
    let (groups, _) = numbers.0.as_chunks_mut::<WIDE>();
    // SAFETY: the reference is to 32 bytes. No alignment is asked for.
    unsafe { _mm256_storeu_si256(groups[group].as_mut_ptr().cast(), values) }
}
