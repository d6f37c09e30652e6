//! 64 bits at a time in general registers, for every CPU.
//!
//! A ones' complement sum does not care for the width of the words that it is taken over, as long as it is
//! folded in the end, nor for their byte order, as long as the result is put back (RFC 1071
//! section 2, parallel summation and byte order independence).

use super::add;

/// The ones' complement sum of `bytes` in native words, not folded: 0 only when every byte is 0.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    // The upper half counts the carries; an add with carry on 64-bit machines.
    let mut total: u128 = words.iter().map(|word| u128::from(u64::from_ne_bytes(*word))).sum();
    // At most one of each: no loop, and no copy of a length unknown before.
    let (halves, tail) = tail.as_chunks::<4>();
    let (quarters, tail) = tail.as_chunks::<2>();
    total += halves.iter().map(|half| u128::from(u32::from_ne_bytes(*half))).sum::<u128>();
    total += quarters.iter().map(|quarter| u128::from(u16::from_ne_bytes(*quarter))).sum::<u128>();
    total += tail.iter().map(|last| u128::from(u16::from_ne_bytes([*last, 0]))).sum::<u128>();
    add(total as u64, (total >> 64) as u64)
}
