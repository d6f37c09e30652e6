//! AVX-512: lanes of 64 bits for packets, dot products (VNNI) for more.
//!
//! | bytes | how |
//! | --- | --- |
//! | to 8 | general registers |
//! | to 128 | one or two masked loads; upper and lower halves of each lane, added |
//! | below 640 | as with AVX2: sums modulo 2^64 and sums of the upper halves, in two accumulators each |
//! | from 640 | a dot product of words by ones, in four accumulators; words are signed there, so they are biased by 0x8000 |
//!
//! From 129 bytes on whole lines are loaded, the first and the last one masked: a load across two lines takes twice the
//! time. Dot products take fewer steps for each load, but their sums come later: as long as the sums of several packets
//! are under way at once, that is what they wait for.

mod varied;

use crate::checksum::kernel::{Kernel, Lanes, Task, sealed::Sealed};
use crate::checksum::{add, wide};
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

    #[inline(always)]
    fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64 {
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { copy(to, from) }
    }

    #[inline(always)]
    fn raw_long(self, bytes: &[u8]) -> u64 {
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { more(bytes) }
    }
}

impl Kernel for Avx512 {
    const LANES: Option<Lanes> = Some(Lanes::Avx512);

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
        ..=8 => wide::short(bytes),
        9..=32 => tiny(bytes),
        33..=64 => short(load_first(bytes)),
        _ => varied::more(bytes),
    }
}

/// Of any number of bytes; made for more than 64, of the same length each time: branches by length go right.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn more(bytes: &[u8]) -> u64 {
    match bytes.len() {
        129..LARGE => medium(bytes),
        ..=128 => pair(bytes),
        LARGE..=RUN => large(bytes),
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

/// From 64 bytes to [`LARGE`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn medium(bytes: &[u8]) -> u64 {
    let (before, head, rest) = split_line(bytes);
    let (lines, tail) = rest.as_chunks::<64>();
    let (mut even, mut odd) = (Halves::of(head), Halves::of(load_first(tail)));
    let mut left = lines;
    while let Some(([a, b, c, d], rest)) = left.split_first_chunk() {
        even.step(load(a));
        odd.step(load(b));
        even.step(load(c));
        odd.step(load(d));
        left = rest;
    }
    // Straight code for what is left: no loop to leave at the wrong time.
    if let Some(([a, b], rest)) = left.split_first_chunk() {
        even.step(load(a));
        odd.step(load(b));
        left = rest;
    }
    if let Some(a) = left.first() {
        even.step(load(a));
    }
    turned(even.and(odd).total(), before)
}

/// How many bytes of its line come before the first one; the bytes to the end of that line, in a vector of it; and what
/// comes after it. Of 64 bytes or more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn split_line(bytes: &[u8]) -> (usize, __m512i, &[u8]) {
    let before = bytes.as_ptr().addr() % 64;
    let (head, rest) = bytes.split_at((64 - before).min(bytes.len()));
    (before, load_last(head), rest)
}

/// The sum of words that were taken at even addresses, for bytes that begin at this one: if it is odd, the halves of all
/// words stand exchanged, a turn by 8 bits (RFC 1071 section 2).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn turned(sum: u64, address: usize) -> u64 {
    sum << (address % 2 * 8)
}

/// Bytes from which on fewer steps count for more than sums that come soon.
const LARGE: usize = 640;

/// The most bytes in one run of the loop: 2^15 words add up to less than 2^31.
const RUN: usize = 1 << 16;

/// From [`LARGE`] to [`RUN`] bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn large(bytes: &[u8]) -> u64 {
    let (before, head, rest) = split_line(bytes);
    let (lines, tail) = rest.as_chunks::<64>();
    let mut sums = Dots::zero();
    sums.step(0, head);
    let mut left = lines;
    // Not over as_chunks: the compiler would unroll that once more, and split the dot products to shorten their chains.
    while let Some(([a, b, c, d], rest)) = left.split_first_chunk() {
        sums.step(0, load(a));
        sums.step(1, load(b));
        sums.step(2, load(c));
        sums.step(3, load(d));
        left = rest;
    }
    if let Some(([a, b], rest)) = left.split_first_chunk() {
        sums.step(0, load(a));
        sums.step(1, load(b));
        left = rest;
    }
    if let Some(a) = left.first() {
        sums.step(2, load(a));
    }
    sums.step(3, load_first(tail));
    turned(sums.total(lines.len() + 2), before)
}

/// Beyond [`RUN`] bytes.
#[inline(never)] // It would have all others save registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn huge(bytes: &[u8]) -> u64 {
    // Of even length each, but for the last one.
    let (runs, rest) = bytes.as_chunks::<RUN>();
    let total = runs.iter().fold(0, |total, run| add(total, large(run)));
    add(total, more(rest))
}

/// Copies `from` to `to`, of the same length, and gives its sum.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn copy(to: &mut [u8], from: &[u8]) -> u64 {
    // Of even length each, but for the last one.
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<RUN>(), from.as_chunks::<RUN>());
    let total = to.iter_mut().zip(from).fold(0, |total, (to, from)| add(total, copy_run(to, from)));
    let rest = if from_rest.len() < 64 {
        short(copy_first(to_rest, from_rest))
    } else {
        copy_run(to_rest, from_rest)
    };
    add(total, rest)
}

/// From 64 to [`RUN`] bytes by whole lines of `to`: a store across two takes twice the time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn copy_run(to: &mut [u8], from: &[u8]) -> u64 {
    let (mut even, mut odd) = (Halves::zero(), Halves::zero());
    let first = to.as_ptr().addr().wrapping_neg() % 64;
    let ((to_head, to), (from_head, from)) = (to.split_at_mut(first), from.split_at(first));
    if first > 0 {
        copy_first(to_head, from_head);
        even.step(load_last(from_head));
    }
    let ((to, to_tail), (from, from_tail)) = (to.as_chunks_mut::<64>(), from.as_chunks::<64>());
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<2>(), from.as_chunks::<2>());
    for ([to_a, to_b], [a, b]) in to.iter_mut().zip(from) {
        even.step(copied(to_a, a));
        odd.step(copied(to_b, b));
    }
    if let ([to], [last]) = (to_rest, from_rest) {
        even.step(copied(to, last));
    }
    odd.step(copy_first(to_tail, from_tail));
    // Words were taken from behind the head on. After an odd number of bytes they stand with their halves exchanged
    // (RFC 1071 section 2).
    even.and(odd).total().rotate_left(first as u32 % 2 * 8)
}

/// Per 32-bit lane the sum of its words, each 0x8000 too low.
struct Dots([__m512i; 4]);

impl Dots {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn zero() -> Self {
        Self([_mm512_setzero_si512(); 4])
    }

    /// Adds -2^16 to 2^16 - 2 to each lane of an accumulator.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn step(&mut self, accumulator: usize, loaded: __m512i) {
        let biased = _mm512_xor_si512(loaded, _mm512_set1_epi16(i16::MIN));
        let sum = &mut self.0[accumulator];
        *sum = _mm512_dpwssd_epi32(*sum, biased, _mm512_set1_epi16(1));
    }

    /// The sum of all words, which is below 2^32, after so many steps.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn total(self, steps: usize) -> u64 {
        let [a, b, c, d] = self.0;
        let sums = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
        let four = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        let two = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
        let one = _mm_cvtsi128_si64(_mm_add_epi32(two, _mm_unpackhi_epi64(two, two))) as u64;
        // 32 words a step. Modulo 2^32 all along, which the sum stays below.
        let biased = (one as u32).wrapping_add((one >> 32) as u32);
        biased.wrapping_add((steps as u32) << (5 + 15)).into()
    }
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn of(loaded: __m512i) -> Self {
        Self { all: loaded, high: _mm512_srli_epi64::<32>(loaded) }
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

/// To 64 bytes that end where a line does, zeros before them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn load_last(bytes: &[u8]) -> __m512i {
    let missing = 64 - bytes.len().min(64);
    let mask = u64::MAX.checked_shl(missing as u32).unwrap_or(0);
    // SAFETY: the mask's zeros are its lowest bits, as many of them as the address was put back by, so that its ones
    // are at the bytes there are, and what is masked out is not accessed. No alignment is asked for.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().wrapping_sub(missing).cast()) }
}

/// Copies a vector and gives it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn copied(to: &mut [u8; 64], from: &[u8; 64]) -> __m512i {
    let loaded = load(from);
    // SAFETY: the reference is to 64 writable bytes, and this store asks for no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), loaded) }
    loaded
}

/// Copies up to 64 bytes, as many as both have, and gives them, zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn copy_first(to: &mut [u8], from: &[u8]) -> __m512i {
    let loaded = load_first(from);
    let mask = _bzhi_u64(u64::MAX, to.len().min(from.len()) as u32);
    // SAFETY: the mask's ones are its lowest bits, no more of them than there are writable bytes, and what is masked
    // out is not accessed. No alignment is asked for.
    unsafe { _mm512_mask_storeu_epi8(to.as_mut_ptr().cast(), mask, loaded) }
    loaded
}
