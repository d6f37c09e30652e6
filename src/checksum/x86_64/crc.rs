//! CRC32c by the instruction that SSE 4.2 has for it, eight bytes a step: a step every three cycles.

use std::arch::x86_64::*;

/// Proof that the CPU has SSE 4.2.
#[derive(Clone, Copy)]
pub(in crate::checksum) struct Crc(());

impl Crc {
    #[inline]
    pub(in crate::checksum) fn new() -> Option<Self> {
        is_x86_feature_detected!("sse4.2").then_some(Self(()))
    }

    /// The register's contents after `bytes`, from what it was before them.
    #[inline]
    pub(in crate::checksum) fn add(self, register: u32, bytes: &[u8]) -> u32 {
        // SAFETY: the value `self` exists only where `new` found this feature.
        unsafe { add(register, bytes) }
    }
}

#[target_feature(enable = "sse4.2")]
fn add(register: u32, bytes: &[u8]) -> u32 {
    let (steps, tail) = bytes.as_chunks::<8>();
    let step = |register, step: &[u8; 8]| _mm_crc32_u64(register, u64::from_le_bytes(*step));
    // The upper half of what the instruction gives is 0.
    let register = steps.iter().fold(register.into(), step) as u32;
    tail.iter().fold(register, |register, byte| _mm_crc32_u8(register, *byte))
}
