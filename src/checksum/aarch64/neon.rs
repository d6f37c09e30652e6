//! NEON: pairs of words added into 32-bit lanes, 64 bytes at a time.

use crate::checksum::kernel::{Kernel, Task, sealed::Sealed};
use crate::checksum::{add, wide};
use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

/// Proof that the CPU has NEON.
#[derive(Clone, Copy)]
pub(in crate::checksum) struct Neon(());

impl Neon {
    pub(in crate::checksum) fn new() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

impl Sealed for Neon {
    #[inline(always)]
    fn raw(self, bytes: &[u8]) -> u64 {
        // Not worth a vector, nor a call.
        if bytes.len() < 64 {
            return wide::sum(bytes);
        }
        // SAFETY: the value `self` exists only where `new` found NEON.
        unsafe { sum(bytes) }
    }

    #[inline(always)]
    fn raw_copy(self, to: &mut [u8], from: &[u8]) -> u64 {
        // SAFETY: the value `self` exists only where `new` found NEON.
        unsafe { copy(to, from) }
    }
}

impl Kernel for Neon {
    #[inline]
    fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "neon")]
        fn inner<T: Task>(kernel: Neon, task: T) -> T::Output {
            task.run(kernel)
        }
        // SAFETY: the value `self` exists only where `new` found NEON.
        unsafe { inner(self, task) }
    }
}

/// Blocks of 64 bytes in a run of the loop. Each adds less than 2^17 to a lane, so that 2^14 of them stay below 2^31.
const RUN: usize = 1 << 14;

#[target_feature(enable = "neon")]
fn sum(bytes: &[u8]) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<64>();
    let mut total = 0;
    for run in blocks.chunks(RUN) {
        let mut sums = [vdupq_n_u32(0); 4];
        for block in run {
            let (vectors, _) = block.as_chunks::<16>();
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = vpadalq_u16(*sum, load(vector));
            }
        }
        total = sums.into_iter().fold(total, |total, sum| add(total, vaddlvq_u32(sum)));
    }
    add(total, wide::sum(tail))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint16x8_t {
    // SAFETY: the reference is to 16 readable bytes, and a load of bytes asks for no alignment.
    vreinterpretq_u16_u8(unsafe { vld1q_u8(bytes.as_ptr()) })
}

/// Copies `from` to `to`, of the same length, and gives its sum.
#[target_feature(enable = "neon")]
fn copy(to: &mut [u8], from: &[u8]) -> u64 {
    let ((to, to_tail), (from, from_tail)) = (to.as_chunks_mut::<16>(), from.as_chunks::<16>());
    let mut total = wide::copy(to_tail, from_tail);
    for (to, from) in to.chunks_mut(RUN).zip(from.chunks(RUN)) {
        let mut sum = vdupq_n_u32(0);
        for (to, from) in to.iter_mut().zip(from) {
            let loaded = load(from);
            store(to, loaded);
            sum = vpadalq_u16(sum, loaded);
        }
        total = add(total, vaddlvq_u32(sum));
    }
    total
}

#[inline]
#[target_feature(enable = "neon")]
fn store(bytes: &mut [u8; 16], vector: uint16x8_t) {
    // SAFETY: the reference is to 16 writable bytes, and a store of bytes asks for no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), vreinterpretq_u8_u16(vector)) }
}
