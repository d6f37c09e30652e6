//! Incremental update (RFC 1624): the checksum after a change, without the bytes that did not change.

use super::Sum;

/// The checksum after one 16-bit word under it changed: `HC' = ~(~HC + ~m + m')` (RFC 1624 section 3, eqn. 3).
///
/// A UDP sender turns a result of 0 into `0xffff` (RFC 768), and leaves 0 alone.
///
/// ```
/// // The example of RFC 1624 section 4.
/// assert_eq!(wharf::checksum::update_word(0xdd2f, 0x5555, 0x3285), 0x0000);
/// ```
#[inline]
#[must_use]
pub const fn update_word(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::ZERO.add_word(!checksum).add_word(!old).add_word(new).checksum()
}

/// The checksum after bytes under it changed from `old` to `new`. The bytes begin at an even offset
/// within what the checksum covers; the two may differ in length only when nothing follows them.
///
/// ```
/// use wharf::checksum::{internet, update};
/// let (before, after) = (*b"from 10.0.0.1", *b"from 10.9.9.9");
/// assert_eq!(update(internet(&before), &before[6..], &after[6..]), internet(&after));
/// ```
#[must_use]
pub fn update(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    Sum::ZERO.add_word(!checksum).add_word(!Sum::of(old).fold()).add_word(Sum::of(new).fold()).checksum()
}
