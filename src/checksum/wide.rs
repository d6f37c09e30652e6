//! 64 bits at a time in general registers, for every CPU.
//!
//! A ones' complement sum does not care for the width of the words that it is taken over, as long as it is
//! folded in the end, nor for their byte order, as long as the result is put back (RFC 1071
//! section 2, parallel summation and byte order independence).

use super::add;

/// To so many bytes [`short`] is the fastest there is, calls and choices counted.
pub(super) const SHORT: usize = 64;

/// The ones' complement sum of `bytes` in native words, not folded: 0 only when every byte is 0.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    if bytes.len() <= SHORT { short(bytes) } else { long(bytes) }
}

/// Of [`SHORT`] bytes and fewer: straight code for each number of words, and no loop.
#[inline(always)] // Into whoever takes the sum of a header.
pub(super) fn short(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    let Some(last) = last(bytes) else { return tiny(bytes) };
    // A ladder, which is predicted better than a jump by a table; the common header is at its top.
    if length <= 24 {
        match length {
            17.. => chain::<16>(bytes, last),
            9.. => chain::<8>(bytes, last),
            _ => last,
        }
    } else if length <= 40 {
        if length <= 32 { chain::<24>(bytes, last) } else { chain::<32>(bytes, last) }
    } else if length <= 56 {
        if length <= 48 { chain::<40>(bytes, last) } else { chain::<48>(bytes, last) }
    } else {
        chain::<56>(bytes, last)
    }
}

/// To so many bytes [`middle`] goes.
#[cfg(target_arch = "x86_64")]
pub(super) const MIDDLE: usize = 128;

/// Of 65 to [`MIDDLE`] bytes, by who has nothing better for so few, and as many as the time before: straight code too.
#[cfg(target_arch = "x86_64")]
#[inline(never)] // Into every caller it would be too much.
pub(super) fn middle(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    let Some(last) = last(bytes) else { return tiny(bytes) };
    if length <= 96 {
        match length {
            89.. => chain::<88>(bytes, last),
            81.. => chain::<80>(bytes, last),
            73.. => chain::<72>(bytes, last),
            _ => chain::<64>(bytes, last),
        }
    } else {
        match length {
            121.. => chain::<120>(bytes, last),
            113.. => chain::<112>(bytes, last),
            105.. => chain::<104>(bytes, last),
            _ => chain::<96>(bytes, last),
        }
    }
}

/// Copies `from` to `to`, of the same length, and gives its sum.
pub(super) fn copy(to: &mut [u8], from: &[u8]) -> u64 {
    let (from, from_tail) = from.as_chunks::<8>();
    let (to, to_tail) = to.as_chunks_mut::<8>();
    let mut total = u128::from(sum(from_tail));
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        total += u128::from(u64::from_ne_bytes(*from));
    }
    to_tail.copy_from_slice(from_tail);
    add(total as u64, (total >> 64) as u64)
}

/// Of 8 bytes and more.
fn long(bytes: &[u8]) -> u64 {
    let Some(last) = last(bytes) else { return tiny(bytes) };
    let (words, _) = bytes[..bytes.len() - 1].as_chunks::<8>();
    sum_of_words(words, last)
}

/// The 1 to 8 bytes after the last whole word before them, of 8 bytes and more: zeros follow them.
#[inline(always)]
fn last(bytes: &[u8]) -> Option<u64> {
    let last = u64::from_ne_bytes(*bytes.last_chunk()?);
    // What the word before them has already is moved out at the low addresses.
    let known = (bytes.len() as u32).wrapping_mul(8).wrapping_neg() % 64;
    Some(if cfg!(target_endian = "little") { last >> known } else { last << known })
}

/// The first `N` bytes, a multiple of 8, after `sum`: a chain of adds with carry, one a word.
#[inline(always)]
fn chain<const N: usize>(bytes: &[u8], sum: u64) -> u64 {
    let Some(bytes) = bytes.first_chunk::<N>() else { return sum };
    let (mut sum, mut carry) = (sum, false);
    for word in bytes.as_chunks().0 {
        let (with_word, first) = sum.overflowing_add(u64::from_ne_bytes(*word));
        let (with_carry, second) = with_word.overflowing_add(carry.into());
        (sum, carry) = (with_carry, first | second);
    }
    // Not beyond 2^64: all ones with a carry would be the sum of all ones twice and of a carry before them, for which the
    // sum before them would have been all ones with a carry.
    sum + u64::from(carry)
}

/// The upper half counts the carries; an add with carry on 64-bit machines.
#[inline(always)]
fn sum_of_words(words: &[[u8; 8]], sum: u64) -> u64 {
    let words = words.iter().map(|word| u128::from(u64::from_ne_bytes(*word)));
    let total = words.fold(sum.into(), |total: u128, word| total + word);
    add(total as u64, (total >> 64) as u64)
}

/// Of less than 8 bytes.
#[inline(always)]
fn tiny(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    // Those of the last word that are among the first are moved out: of a whole word, all. A ladder here too, of ranges: of single lengths the compiler makes a jump by a table.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u64::from(u32::from_ne_bytes(*last));
        let known = (8 - length) * 8;
        let fresh = if cfg!(target_endian = "little") { last >> known } else { last << known & 0xffff_ffff };
        u64::from(u32::from_ne_bytes(*first)) + fresh
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u32::from(u16::from_ne_bytes(*last));
        let known = (4 - length) * 8;
        let fresh = if cfg!(target_endian = "little") { last >> known } else { last << known & 0xffff };
        u64::from(u16::from_ne_bytes(*first)) + u64::from(fresh)
    } else {
        bytes.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]).into())
    }
}
