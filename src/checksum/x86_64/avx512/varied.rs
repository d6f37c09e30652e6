//! More than 64 bytes of one packet after another, each of another length: inside a task.
//!
//! There a branch that depends on the length goes wrong about as often as not, which takes as long as the sum of a few
//! hundred bytes. So there are as few of them as can be, at the price of a step more for some lengths: loops over what
//! is left, where [`more`](super::more) has straight code for each case, and whole lines only for longer packets.

use super::{Dots, Halves, RUN, load, load_first, pair};
use crate::checksum::add;
use std::arch::x86_64::*;

/// Bytes from which on it pays to load whole lines.
const LARGE: usize = 512;

/// Of any number of bytes; made for more than 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(super) fn more(bytes: &[u8]) -> u64 {
    match bytes.len() {
        LARGE..=RUN => large(bytes),
        ..=128 => pair(bytes),
        129..LARGE => medium(bytes),
        _ => huge(bytes),
    }
}

/// Below [`LARGE`].
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

/// From [`LARGE`] to [`RUN`] bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn large(bytes: &[u8]) -> u64 {
    let before = bytes.as_ptr().addr() % 64;
    let (head, rest) = bytes.split_at((64 - before).min(bytes.len()));
    let (lines, tail) = rest.as_chunks::<64>();
    let mut sums = Dots::zero();
    sums.step(0, load_last(head));
    sums.step(1, load_first(tail));
    let mut left = lines;
    // Not over as_chunks: the compiler would unroll that once more, and split the dot products to shorten their chains.
    while let Some(([a, b, c, d], rest)) = left.split_first_chunk() {
        sums.step(2, load(a));
        sums.step(3, load(b));
        sums.step(0, load(c));
        sums.step(1, load(d));
        left = rest;
    }
    for line in left {
        sums.step(2, load(line));
    }
    // As `turned`, in one instruction.
    sums.total(lines.len() + 2).rotate_left(before as u32 % 2 * 8)
}

/// Beyond [`RUN`] bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn huge(bytes: &[u8]) -> u64 {
    // Of even length each, but for the last one.
    let (runs, rest) = bytes.as_chunks::<RUN>();
    let total = runs.iter().fold(0, |total, run| add(total, large(run)));
    add(total, if rest.len() < LARGE { medium(rest) } else { large(rest) })
}

/// As [`load_first`], but the last bytes of the vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn load_last(bytes: &[u8]) -> __m512i {
    let missing = 64 - bytes.len().min(64);
    let mask = !_bzhi_u64(u64::MAX, missing as u32);
    // SAFETY: the mask's zeros are its lowest bits, as many of them as the address was put back by, so that its ones
    // are at the bytes there are, and what is masked out is not accessed. No alignment is asked for.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().wrapping_sub(missing).cast()) }
}
