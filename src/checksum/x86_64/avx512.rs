//! AVX-512: lanes of 64 bits for packets, dot products (VNNI) for more.
//!
//! | bytes | how |
//! | --- | --- |
//! | to 128 | one or two masked loads; upper and lower halves of each lane, added |
//! | below 2,048 | as with AVX2: sums modulo 2^64 and sums of the upper halves, in two accumulators each; the last load masked |
//! | from 2,048 | a dot product of words by ones, in four accumulators; words are signed there, so they are biased by 0x8000 |
//! | from 65,536 | the same from an aligned address on: loads across lines halve what the L2 cache gives |
//!
//! Dot products take fewer steps for each load, but their sums come later, and a core that has not multiplied 512 bits
//! for some time does it slowly at first.

use crate::checksum::add;
use crate::checksum::kernel::{Kernel, Task, sealed::Sealed};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX-512 F, BW, VL and VNNI, and BMI2.
#[derive(Clone, Copy)]
pub(in crate::checksum) struct Avx512(());

impl Avx512 {
    pub(in crate::checksum) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("bmi2");
        found.then_some(Self(()))
    }
}

impl Sealed for Avx512 {
    #[inline(always)]
    fn raw(self, bytes: &[u8]) -> u64 {
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { sum(bytes) }
    }
}

impl Kernel for Avx512 {
    const LANES: bool = true;

    #[inline]
    fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
        fn inner<T: Task>(kernel: Avx512, task: T) -> T::Output {
            task.run(kernel)
        }
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { inner(self, task) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn sum(bytes: &[u8]) -> u64 {
    match bytes.len() {
        ..=32 => tiny(bytes),
        33..=64 => short(load_first(bytes)),
        65..=128 => pair(bytes),
        129..2048 => medium(bytes),
        2048..65_536 => large(bytes),
        _ => huge(bytes),
    }
}

/// To 32 bytes: the common header.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn tiny(bytes: &[u8]) -> u64 {
    let mask = _bzhi_u32(u32::MAX, bytes.len() as u32);
    // SAFETY: the mask's ones are its lowest bits, no more of them than there are bytes, and what is masked out is
    // not accessed. No alignment is asked for.
    let loaded = unsafe { _mm256_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) };
    let low = _mm256_blend_epi32::<0b1010_1010>(loaded, _mm256_setzero_si256());
    four(_mm256_add_epi64(low, _mm256_srli_epi64::<32>(loaded)))
}

/// One vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn short(loaded: __m512i) -> u64 {
    eight(halves(loaded))
}

/// From 64 to 128 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn pair(bytes: &[u8]) -> u64 {
    let Some((first, rest)) = bytes.split_first_chunk() else { return short(load_first(bytes)) };
    eight(_mm512_add_epi64(halves(load(first)), halves(load_first(rest))))
}

/// The upper plus the lower half of each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn halves(loaded: __m512i) -> __m512i {
    let low = _mm512_maskz_mov_epi32(0b0101_0101_0101_0101, loaded);
    _mm512_add_epi64(low, _mm512_srli_epi64::<32>(loaded))
}

/// The sum of eight lanes, below 2^64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn eight(sums: __m512i) -> u64 {
    four(_mm256_add_epi64(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums)))
}

/// The sum of four lanes, below 2^64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn four(sums: __m256i) -> u64 {
    let two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) as u64
}

/// To 2^30 bytes: halves then add up to less than 2^57 in a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn medium(bytes: &[u8]) -> u64 {
    let (mut even, mut odd) = (Halves::zero(), Halves::zero());
    let (vectors, tail) = bytes.as_chunks::<64>();
    let (pairs, rest) = vectors.as_chunks::<2>();
    for [a, b] in pairs {
        even.step(load(a));
        odd.step(load(b));
    }
    for vector in rest {
        even.step(load(vector));
    }
    odd.step(load_first(tail));
    even.and(odd).total()
}

/// The most bytes in one run of [`large`]'s loop: 2^13 steps of 4 * 64 bytes.
const RUN: usize = 1 << 21;

/// To 2^48 bytes: words then add up to less than 2^63.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn large(bytes: &[u8]) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<256>();
    let bias = _mm512_set1_epi16(i16::MIN);
    let ones = _mm512_set1_epi16(1);
    let mut total = 0;
    for blocks in blocks.chunks(RUN / 256) {
        let mut sums = [_mm512_setzero_si512(); 4];
        for block in blocks {
            let (vectors, _) = block.as_chunks::<64>();
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = _mm512_dpwssd_epi32(*sum, _mm512_xor_si512(load(vector), bias), ones);
            }
        }
        let [a, b, c, d] = sums;
        // A step adds -2^16 to 2^16 - 2 to a lane. After 2^13 of them the four together are in -2^31..2^31.
        let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
        let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum));
        let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sum));
        let biased = _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
        // Each of 128 words in a block was 2^15 too low.
        total += biased.wrapping_add((blocks.len() as i64) << (7 + 15)) as u64;
    }
    add(total, medium(tail))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn huge(bytes: &[u8]) -> u64 {
    let (head, rest) = bytes.split_at(bytes.as_ptr().addr().wrapping_neg() % 64);
    // 2^30 bytes sum up to less than 2^46, whole slices may not fit.
    let rest_sum = rest.chunks(1 << 30).fold(0, |total, bytes| add(total, large(bytes)));
    // After an odd number of bytes, words stand with their halves exchanged: a turn by 8 bits (RFC 1071 section 2).
    add(medium(head), rest_sum.rotate_left(head.len() as u32 % 2 * 8))
}

/// Per 64-bit lane the sum of what was loaded modulo 2^64, and the sum of its upper halves.
#[derive(Clone, Copy)]
struct Halves {
    all: __m512i,
    high: __m512i,
}

impl Halves {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { all: zero, high: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn step(&mut self, loaded: __m512i) {
        self.all = _mm512_add_epi64(self.all, loaded);
        self.high = _mm512_add_epi64(self.high, _mm512_srli_epi64::<32>(loaded));
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn and(self, other: Self) -> Self {
        Self { all: _mm512_add_epi64(self.all, other.all), high: _mm512_add_epi64(self.high, other.high) }
    }

    /// The sum of all halves: exact for 2^30 bytes and fewer. That of the lower ones is what remains of all.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn total(self) -> u64 {
        let low = _mm512_sub_epi64(self.all, _mm512_slli_epi64::<32>(self.high));
        eight(_mm512_add_epi64(low, self.high))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// To 64 bytes, zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn load_first(bytes: &[u8]) -> __m512i {
    let mask = _bzhi_u64(u64::MAX, bytes.len() as u32);
    // SAFETY: the mask's ones are its lowest bits, no more of them than there are bytes, and what is masked out is
    // not accessed. No alignment is asked for.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) }
}
