//! The reference: RFC 1071 as it is written, 16 bits at a time. Every other variant is held to it.

/// The folded ones' complement sum of `bytes`: 0 only when every byte is 0.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for word in bytes.chunks(2) {
        let high = word[0];
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([high, low]));
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Copies `from` to `to`, of the same length, and gives its sum.
pub(super) fn copy(to: &mut [u8], from: &[u8]) -> u16 {
    let mut total: u32 = 0;
    for (to, from) in to.chunks_mut(2).zip(from.chunks(2)) {
        to.copy_from_slice(from);
        total += u32::from(sum(from));
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}
