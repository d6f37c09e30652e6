//! AVX2: three operations for each 32 bytes, and no carries to look after.
//!
//! Each 64-bit lane keeps `s`, the sum of what was loaded modulo 2^64, and `h`, the sum of the high halves. The sum of
//! the low halves is then `s - (h << 32)` modulo 2^64, which is exact as long as it stays below 2^64, and low
//! and high halves add up to the ones' complement sum, 2^32 being 1 modulo 2^16 - 1.

use crate::checksum::kernel::{Kernel, Lanes, Task, sealed::Sealed};
use crate::checksum::{add, wide};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2.
#[derive(Clone, Copy)]
pub(in crate::checksum) struct Avx2(());

impl Avx2 {
    pub(in crate::checksum) fn new() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Sealed for Avx2 {
    #[inline(always)]
    fn raw(self, bytes: &[u8]) -> u64 {
        // Not worth a vector, nor a call.
        if bytes.len() < 72 {
            return wide::sum(bytes);
        }
        // SAFETY: the value `self` exists only where `new` found AVX2.
        unsafe { sum(bytes) }
    }

    #[inline(always)]
    fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64 {
        // SAFETY: the value `self` exists only where `new` found AVX2.
        unsafe { copy(to, from) }
    }
}

impl Kernel for Avx2 {
    const LANES: Option<Lanes> = Some(Lanes::Avx2);

    #[inline]
    fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2")]
        fn inner<T: Task>(kernel: Avx2, task: T) -> T::Output {
            task.run(kernel)
        }
        // SAFETY: the value `self` exists only where `new` found AVX2.
        unsafe { inner(self, task) }
    }
}

/// Bytes in a run of the loop. Halves of 2^30 bytes sum up to less than 2^57 in a lane, so that nothing comes near 2^64.
const RUN: usize = 1 << 30;

/// Of 32 bytes or more.
#[target_feature(enable = "avx2")]
fn sum(bytes: &[u8]) -> u64 {
    if bytes.len() <= RUN {
        return run(bytes);
    }
    // Of even length each, but for the last one.
    let (runs, rest) = bytes.as_chunks::<RUN>();
    let total = runs.iter().fold(0, |total, bytes| add(total, run(bytes)));
    add(total, if rest.len() < 32 { wide::sum(rest) } else { run(rest) })
}

/// Of 32 bytes to [`RUN`].
#[target_feature(enable = "avx2")]
fn run(bytes: &[u8]) -> u64 {
    let zero = _mm256_setzero_si256();
    let mut s = [zero; 2];
    let mut h = [zero; 2];
    let mut step = |lane: usize, loaded: __m256i| {
        s[lane] = _mm256_add_epi64(s[lane], loaded);
        h[lane] = _mm256_add_epi64(h[lane], _mm256_srli_epi64::<32>(loaded));
    };
    let (vectors, tail) = bytes.as_chunks::<32>();
    let (blocks, rest) = vectors.as_chunks::<4>();
    for [a, b, c, d] in blocks {
        step(0, load(a));
        step(1, load(b));
        step(0, load(c));
        step(1, load(d));
    }
    for vector in rest {
        step(0, load(vector));
    }
    // What is left, in the last 32 bytes up to an even length; what was summed before is masked out of them. The
    // masks are in a window that slides over zeros followed by ones.
    const WINDOW: [u8; 64] = {
        let mut window = [0; 64];
        let mut at = 32;
        while at < 64 {
            window[at] = 0xff;
            at += 1;
        }
        window
    };
    let left = tail.len() & !1;
    let (even, odd) = bytes.split_at(bytes.len() & !1);
    if let (Some(last), Some(mask)) = (even.last_chunk(), WINDOW[left..].first_chunk()) {
        step(1, _mm256_and_si256(load(last), load(mask)));
    }
    let (s, h) = (_mm256_add_epi64(s[0], s[1]), _mm256_add_epi64(h[0], h[1]));
    halves(s, h) + odd.first().map_or(0, |&last| u64::from(last))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Copies `from` to `to`, of the same length, and gives its sum.
#[target_feature(enable = "avx2")]
fn copy(to: &mut [u8], from: &[u8]) -> u64 {
    let ((to, to_tail), (from, from_tail)) = (to.as_chunks_mut::<32>(), from.as_chunks::<32>());
    let mut total = wide::copy(to_tail, from_tail);
    for (to, from) in to.chunks_mut(RUN / 32).zip(from.chunks(RUN / 32)) {
        let zero = _mm256_setzero_si256();
        let (mut s, mut h) = (zero, zero);
        for (to, from) in to.iter_mut().zip(from) {
            let loaded = load(from);
            store(to, loaded);
            s = _mm256_add_epi64(s, loaded);
            h = _mm256_add_epi64(h, _mm256_srli_epi64::<32>(loaded));
        }
        total = add(total, halves(s, h));
    }
    total
}

/// The sum of all halves of a run.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(s: __m256i, h: __m256i) -> u64 {
    let low = _mm256_sub_epi64(s, _mm256_slli_epi64::<32>(h));
    let both = _mm256_add_epi64(low, h);
    let both = _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
    _mm_cvtsi128_si64(both) as u64 + _mm_extract_epi64::<1>(both) as u64
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(bytes: &mut [u8; 32], vector: __m256i) {
    // SAFETY: the reference is to 32 writable bytes, and this store asks for no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
}
