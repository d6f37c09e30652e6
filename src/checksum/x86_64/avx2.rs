//! AVX2: dot products of words by ones, three instructions for each 32 bytes. Words are signed there, so they are biased by
//! 0x8000.
//!
//! | bytes | a plain call | in a task |
//! | --- | --- | --- |
//! | below 32 | general registers | general registers |
//! | to 64 | general registers | the first and the last vector |
//! | to 128 | general registers | the two first and the two last |
//! | to 256 | a loop over four, and straight code for what is left | the four first and the four last |
//! | more | likewise | a loop over four, and the four last |
//!
//! In a task one packet after another is of another length, so that a branch that depends on it goes wrong about as often as
//! not, which takes as long as the sum of a few hundred bytes. Hence there are few, and one in the loop, where it ends: the last
//! vectors of each are always taken, with what had been summed before masked out of them. A plain call takes as much of
//! what is left as there is.
//!
//! From 64 KiB on vectors are loaded at aligned addresses.

use crate::checksum::kernel::{Kernel, Lanes, Task, sealed::Sealed};
use crate::checksum::{add, wide};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2, and BMI1 and 2, without which none has it.
#[derive(Clone, Copy)]
pub(in crate::checksum) struct Avx2(());

impl Avx2 {
    pub(in crate::checksum) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        found.then_some(Self(()))
    }
}

impl Sealed for Avx2 {
    #[inline(always)]
    fn raw(self, bytes: &[u8]) -> u64 {
        // Of a header, also where the call below cannot be inlined: in code that has not these features.
        if bytes.len() < VECTOR {
            return wide::short(bytes);
        }
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
        // Asked for here: to get to vectors takes as long as they save.
        if bytes.len() <= wide::MIDDLE {
            return wide::middle(bytes);
        }
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { plain(bytes) }
    }

    #[inline(always)]
    fn raw_copy_long(self, to: &mut [u8], from: &[u8]) -> u64 {
        if from.len() < ONE_PASS {
            to.copy_from_slice(from);
            return self.raw_long(from);
        }
        self.raw_copy(to, from)
    }
}

impl Kernel for Avx2 {
    const LANES: Option<Lanes> = Some(Lanes::Avx2);

    #[inline]
    fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2")]
        fn inner<T: Task>(kernel: Avx2, task: T) -> T::Output {
            task.run(kernel)
        }
        // SAFETY: the value `self` exists only where `new` found these features.
        unsafe { inner(self, task) }
    }
}

/// Bytes in a vector.
const VECTOR: usize = 32;

/// Bytes from which on a plain copy is summed in one pass.
const ONE_PASS: usize = 768;

/// The most bytes in one run of a loop: 2^15 words add up to less than 2^31. More are no longer in the nearest cache, and a
/// vector across two lines has to be fetched twice.
const RUN: usize = 1 << 16;

/// Of any number of bytes, each time of another one.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn sum(bytes: &[u8]) -> u64 {
    match bytes.len() {
        ..VECTOR => wide::short(bytes),
        VECTOR..=64 => straight::<1, 1>(bytes),
        _ => varied(bytes),
    }
}

/// Of more than 64 bytes, each time of another number.
#[inline(never)] // Into every task it would be too much.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn varied(bytes: &[u8]) -> u64 {
    match bytes.len() {
        257..RUN => blocks(bytes),
        ..=128 => straight::<2, 2>(bytes),
        129..=256 => straight::<4, 4>(bytes),
        _ => far(bytes),
    }
}

/// Of 32 bytes and more, of the same number each time: branches by length go right.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn plain(bytes: &[u8]) -> u64 {
    if bytes.len() < RUN { steady(bytes) } else { far(bytes) }
}

/// The `FIRST` and the `LAST` vectors, which are all, and of which each are half at least.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn straight<const FIRST: usize, const LAST: usize>(bytes: &[u8]) -> u64 {
    let (even, odd) = last_word(bytes);
    let Some(first) = even.as_chunks().0.first_chunk::<FIRST>() else { return wide::sum(bytes) };
    let mut sums = Dots::zero();
    sums.add(first);
    sums.add_last::<LAST>(even, even.len() - FIRST * VECTOR);
    sums.total(FIRST + LAST) + odd
}

/// Of 128 bytes to [`RUN`].
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn blocks(bytes: &[u8]) -> u64 {
    let (even, odd) = last_word(bytes);
    let (blocks, _) = but_last(even).as_chunks::<4>();
    let mut sums = Dots::zero();
    for block in blocks {
        sums.add(block);
    }
    sums.add_last::<4>(even, even.len() - blocks.len() * (4 * VECTOR));
    sums.total(blocks.len() * 4 + 4) + odd
}

/// Of 32 bytes to [`RUN`].
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn steady(bytes: &[u8]) -> u64 {
    let (even, odd) = last_word(bytes);
    let vectors = but_last(even);
    let (blocks, mut left) = vectors.as_chunks::<4>();
    let mut sums = Dots::zero();
    for block in blocks {
        sums.add(block);
    }
    if let Some((two, rest)) = left.split_first_chunk::<2>() {
        sums.add(two);
        left = rest;
    }
    if let Some(one) = left.first_chunk::<1>() {
        sums.add(one);
    }
    sums.add_last::<1>(even, even.len() - vectors.len() * VECTOR);
    sums.total(vectors.len() + 1) + odd
}

/// The whole vectors before the last bytes, of which there is one word at least.
#[inline]
fn but_last(bytes: &[u8]) -> &[[u8; VECTOR]] {
    bytes[..bytes.len().saturating_sub(2)].as_chunks().0
}

/// Of [`RUN`] bytes and more: vectors within lines, behind what comes before them.
#[inline(never)] // It would have the others save registers.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn far(bytes: &[u8]) -> u64 {
    let (head, rest) = bytes.split_at(bytes.as_ptr().addr().wrapping_neg() % VECTOR);
    // Of even length each, but for the last one.
    let (runs, last) = rest.as_chunks::<RUN>();
    let total = runs.iter().fold(0, |total, run| add(total, blocks(run)));
    let total = add(total, if last.len() < 4 * VECTOR { wide::sum(last) } else { blocks(last) });
    behind(head.len(), wide::short(head), total)
}

/// The sum of so many bytes and of those that come behind them: if the former are odd, the halves of all words of the latter
/// stand exchanged, a turn by 8 bits (RFC 1071 section 2).
#[inline]
fn behind(length: usize, head: u64, rest: u64) -> u64 {
    add(head, rest.rotate_left(length as u32 % 2 * 8))
}

/// The bytes of whole words, and the sum of what is behind them: no byte, or one. Without a branch.
#[inline]
fn last_word(bytes: &[u8]) -> (&[u8], u64) {
    let even = &bytes[..bytes.len() & !1];
    let odd = match bytes {
        [.., last] => u64::from(*last),
        [] => 0,
    };
    (even, odd & (bytes.len() as u64 & 1).wrapping_neg())
}

/// Per 32-bit lane the sum of its words, each 0x8000 too low; twice, for two chains.
struct Dots([__m256i; 2]);

impl Dots {
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn zero() -> Self {
        Self([_mm256_setzero_si256(); 2])
    }

    /// Adds -2^16 to 2^16 - 2 to each lane of a chain.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn step(&mut self, chain: usize, loaded: __m256i) {
        let biased = _mm256_xor_si256(loaded, _mm256_set1_epi16(i16::MIN));
        self.0[chain] = _mm256_add_epi32(self.0[chain], _mm256_madd_epi16(biased, _mm256_set1_epi16(1)));
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn add<const N: usize>(&mut self, vectors: &[[u8; VECTOR]; N]) {
        for (index, vector) in vectors.iter().enumerate() {
            self.step(index % 2, load(vector));
        }
    }

    /// Adds the last bytes, `left` of them and 32 `N` at most, by the last `N` vectors there are.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn add_last<const N: usize>(&mut self, bytes: &[u8], left: usize) {
        let (_, last) = bytes.split_at(bytes.len().saturating_sub(N * VECTOR));
        // A window that slides over zeros followed by ones.
        let masks = &WINDOW[WINDOW.len() / 2 - N * VECTOR + left.min(N * VECTOR)..];
        // As arrays, so that there is no loop.
        let (Some(vectors), Some(masks)) =
            (last.as_chunks().0.first_chunk::<N>(), masks.as_chunks().0.first_chunk::<N>())
        else {
            return;
        };
        for (index, (vector, mask)) in vectors.iter().zip(masks).enumerate() {
            self.step(index % 2, _mm256_and_si256(load(vector), load(mask)));
        }
    }

    /// The sum of all words, which is below 2^32, after so many steps.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn total(self, steps: usize) -> u64 {
        let eight = _mm256_add_epi32(self.0[0], self.0[1]);
        let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let two = _mm_cvtsi128_si64(_mm_add_epi32(four, _mm_unpackhi_epi64(four, four))) as u64;
        // 16 words a step. Modulo 2^32 all along, which the sum stays below.
        let biased = (two as u32).wrapping_add((two >> 32) as u32);
        biased.wrapping_add((steps as u32) << (4 + 15)).into()
    }
}

/// Zeros up to this place of a vector, and ones from there on.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn from_place(place: usize) -> __m256i {
    let masks = &WINDOW[WINDOW.len() / 2 - place.min(VECTOR)..];
    masks.first_chunk().map_or(_mm256_setzero_si256(), |mask| load(mask))
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn load(bytes: &[u8; VECTOR]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Zeros, then ones: for up to four vectors.
static WINDOW: [u8; 8 * VECTOR] = {
    let mut window = [0; 8 * VECTOR];
    let mut at = window.len() / 2;
    while at < window.len() {
        window[at] = 0xff;
        at += 1;
    }
    window
};

/// Copies `from` to `to`, of the same length, and gives its sum. By whole vectors within lines of `to`, if it begins at an even
/// address: a store across two takes twice the time.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn copy(to: &mut [u8], from: &[u8]) -> u64 {
    if from.len() < 2 * VECTOR {
        return wide::copy(to, from);
    }
    let mut sums = Dots::zero();
    // Of an even number, so that words stay whole.
    let first = (to.as_ptr().addr().wrapping_neg() % VECTOR) & !1;
    if let (Some(to), Some(from)) = (to.first_chunk_mut(), from.first_chunk()) {
        let loaded = load(from);
        store(to, loaded);
        sums.step(1, _mm256_andnot_si256(from_place(first), loaded));
    }
    let (to, from) = (&mut to[first..], &from[first..]);
    if from.len() < RUN {
        return copy_run(to, from, sums, 1);
    }
    let mut total = sums.total(1);
    // Of even length each, but for the last one.
    for (to, from) in to.chunks_mut(RUN).zip(from.chunks(RUN)) {
        total = add(total, copy_run(to, from, Dots::zero(), 0));
    }
    total
}

/// To [`RUN`] bytes, after so many steps.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn copy_run(to: &mut [u8], from: &[u8], mut sums: Dots, steps: usize) -> u64 {
    if from.len() < VECTOR {
        return add(sums.total(steps), wide::copy(to, from));
    }
    let (even, odd) = last_word(from);
    let vectors = but_last(even);
    copy_vectors(&mut sums, to.as_chunks_mut().0, vectors);
    // What is behind those, and a part of what is before it.
    if let (Some(to), Some(from)) = (to[..even.len()].last_chunk_mut(), even.last_chunk()) {
        store(to, load(from));
    }
    if let ([.., to], [.., from]) = (to, from) {
        *to = *from;
    }
    sums.add_last::<1>(even, even.len() - vectors.len() * VECTOR);
    add(sums.total(steps + vectors.len() + 1), odd)
}

/// Copies as many vectors as there are in `from`, and adds them to `sums`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn copy_vectors(sums: &mut Dots, to: &mut [[u8; VECTOR]], from: &[[u8; VECTOR]]) {
    let ((to, to_rest), (from, from_rest)) = (to[..from.len()].as_chunks_mut::<4>(), from.as_chunks::<4>());
    for (to, [a, b, c, d]) in to.iter_mut().zip(from) {
        // All of them before any is stored: a load waits for a store before it to an address that looks the same in its lower
        // 12 bits.
        let loaded = [load(a), load(b), load(c), load(d)];
        for (index, (to, loaded)) in to.iter_mut().zip(loaded).enumerate() {
            store(to, loaded);
            sums.step(index % 2, loaded);
        }
    }
    for (to, vector) in to_rest.iter_mut().zip(from_rest) {
        let loaded = load(vector);
        store(to, loaded);
        sums.step(0, loaded);
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn store(bytes: &mut [u8; VECTOR], vector: __m256i) {
    // SAFETY: the reference is to 32 writable bytes, and this store asks for no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
}
