//! The Internet checksum (RFC 1071): contract and dispatch; its pseudo headers; CRC32c for SCTP.
//!
//! The Internet checksum of some bytes is the ones' complement of the ones' complement sum of their
//! big-endian 16-bit words, an odd last byte taken as the high half of a word. Bytes that contain
//! their own right checksum sum up to `0xffff`.
//!
//! ```
//! use wharf::checksum::{self, Sum};
//!
//! // RFC 1071, section 3.
//! let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
//! assert_eq!(Sum::of(&bytes).fold(), 0xddf2);
//! assert_eq!(checksum::internet(&bytes), !0xddf2);
//!
//! // Sums of adjoining ranges compose, odd lengths too.
//! assert_eq!(Sum::of(&bytes[..3]).add(&bytes[3..]), Sum::of(&bytes));
//! ```
//!
//! There are several [`Variant`]s of the one loop that matters. All give the same result for all
//! inputs; the fastest one that the CPU has is chosen once in a process, or the one that the
//! environment variable `WHARF_CHECKSUM` names. A plain call sums up to 64 bytes on the spot, in general registers: that
//! is sooner done than any choice. In a [`Task`] the variant has them too.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
#[allow(unsafe_code)]
mod aarch64;
mod copy;
mod crc32c;
mod incremental;
mod kernel;
pub mod pseudo;
mod scalar;
mod variant;
mod wide;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64;

pub use copy::copy_and_sum;
pub use crc32c::{Crc32c, crc32c};
pub use incremental::{update, update_word};
pub use kernel::{Kernel, Lanes, Task};
pub use variant::{ENVIRONMENT, Variant, VariantError, run};

/// The Internet checksum of `bytes`: what a header's checksum field must hold when the sum over
/// `bytes` was taken with that field 0.
///
/// ```
/// // An IPv4 header with its checksum field (bytes 10 and 11) 0, and what belongs there.
/// let mut header = *b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\x00\x00\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
/// let checksum = wharf::checksum::internet(&header);
/// assert_eq!(checksum, 0xb861);
/// header[10..12].copy_from_slice(&checksum.to_be_bytes());
/// assert_eq!(wharf::checksum::internet(&header), 0);
/// ```
#[inline(always)] // A header's sum is a few instructions.
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::of(bytes).checksum()
}

/// A ones' complement sum under way: over the bytes added so far, in order.
///
/// Splitting bytes at any place and adding the pieces one after the other gives the same sum, whether the
/// pieces' lengths are even or odd. Two sums are equal when their folded values and the parities of
/// their lengths are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Of native words, not folded; modulo 2^64 - 1, and 0 only when every byte so far was 0.
    total: u64,
    /// An odd number of bytes so far: the next byte is the low half of a word.
    odd: bool,
}

impl Sum {
    /// The sum of no bytes.
    pub const ZERO: Self = Self { total: 0, odd: false };

    /// The sum of `bytes`.
    #[inline(always)] // A header's sum is a few instructions.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        variant::sum(bytes)
    }

    /// The sum with `bytes` appended.
    #[expect(clippy::should_implement_trait, reason = "appends bytes rather than adding two of a kind")]
    #[inline]
    #[must_use]
    pub fn add(self, bytes: &[u8]) -> Self {
        self.then(variant::sum(bytes))
    }

    /// The sum with one big-endian 16-bit word appended.
    #[inline]
    #[must_use]
    pub const fn add_word(self, word: u16) -> Self {
        self.then(Self { total: word.to_be() as u64, odd: false })
    }

    /// The sum of what `self` covers followed by what `next` covers.
    ///
    /// ```
    /// use wharf::checksum::Sum;
    /// let (header, body) = (b"odd", b"and even");
    /// assert_eq!(Sum::of(header).then(Sum::of(body)), Sum::of(b"oddand even"));
    /// ```
    #[inline]
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        // Bytes that begin at an odd offset have the halves of their words exchanged, and so has their
        // sum (RFC 1071 section 2, byte order independence): a turn by 8 bits, 2^16 being 1.
        let total = if self.odd { next.total.rotate_left(8) } else { next.total };
        Self { total: add(self.total, total), odd: self.odd != next.odd }
    }

    /// The sum of native words of the bytes so far, not folded any further: below 2^33.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(crate) const fn halves(self) -> u64 {
        (self.total >> 32) + (self.total & 0xffff_ffff)
    }

    /// The sum of `bytes`, which are those that `total` is the sum of.
    #[inline]
    const fn raw(total: u64, bytes: &[u8]) -> Self {
        Self { total, odd: bytes.len() % 2 == 1 }
    }

    /// The sum as 16 bits. 0 only when every byte so far was 0, otherwise 1 to `0xffff`.
    #[inline]
    #[must_use]
    pub const fn fold(self) -> u16 {
        fold(self.total)
    }

    /// The ones' complement of the folded sum: the value of a checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        self.fold() == other.fold() && self.odd == other.odd
    }
}

impl Eq for Sum {}

/// The ones' complement sum of two: a carry out of it comes in again. 0 only for 0 and 0.
#[inline]
const fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    // After a carry out, the sum is smaller than either: room for one more.
    sum + carry as u64
}

/// Adds the halves, and the halves of that, carries included; then in the order of the bytes, the first one high.
/// 0 only for 0.
#[inline]
const fn fold(total: u64) -> u16 {
    // Added to itself turned by half its width, the upper half is the sum of both with the carry out of the lower.
    let total = (total.wrapping_add(total.rotate_left(32)) >> 32) as u32;
    let total = total.wrapping_add(total.rotate_left(16));
    // One instruction takes the upper half and exchanges its bytes.
    if cfg!(target_endian = "little") { total.swap_bytes() as u16 } else { (total >> 16) as u16 }
}

#[cfg(test)]
mod tests;
