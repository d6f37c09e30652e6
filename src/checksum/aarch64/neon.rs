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
