//! Numbers and addresses as text of fixed size, with how much of it counts: no loop, no branch on the value where
//! that can be helped. Whoever copies the whole array and goes on by the length saves a call a number.

/// Text of at most `N` bytes, of which the first `length` count.
#[derive(Clone, Copy)]
pub(in crate::sink) struct Text<const N: usize> {
    pub(in crate::sink) bytes: [u8; N],
    pub(in crate::sink) length: usize,
}

/// What all numbers below it fit in a [`short`].
pub(in crate::sink) const SHORT: u32 = 100_000_000;

/// The decimal digits of a number below 10^8, a byte each, the first of eight in the lowest byte.
///
/// Halves, then quarters, then eighths of the number stand side by side in one register; a division by 100 or 10 is a
/// multiplication whose error is too small to show in numbers of four or two digits.
#[inline(always)]
fn eight(value: u32) -> u64 {
    let fours = u64::from(value / 10_000) | u64::from(value % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F;
    tens | (twos - 10 * tens) << 8
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// A number below 10^8 in decimal.
#[inline(always)]
pub(in crate::sink) fn short(value: u32) -> Text<8> {
    let digits = eight(value);
    // The last digit stays, be it 0.
    let leading = (digits | 1 << 56).trailing_zeros() / 8;
    Text { bytes: ((digits | ZEROS) >> (8 * leading)).to_le_bytes(), length: 8 - leading as usize }
}

/// A number below 10^8 in decimal, with leading zeros: eight digits.
#[inline(always)]
pub(in crate::sink) fn padded(value: u32) -> [u8; 8] {
    (eight(value) | ZEROS).to_le_bytes()
}

/// Each octet in decimal, a point behind it; the first digit is in the lowest byte, what does not count is 0.
const OCTETS: [u32; 256] = {
    let mut octets = [0; 256];
    let mut value = 0;
    while value < 256 {
        let digits = [b'0' + (value / 100) as u8, b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8];
        let text = u32::from_le_bytes([digits[0], digits[1], digits[2], b'.']);
        octets[value] = text >> (8 * octet_leading(value));
        value += 1;
    }
    octets
};

/// Leading zeros of an octet's three digits.
const fn octet_leading(value: usize) -> usize {
    (value < 100) as usize + (value < 10) as usize
}

/// `1.2.` and `3.4.`: all but the last byte make the address.
#[inline(always)]
pub(in crate::sink) fn ipv4(address: [u8; 4]) -> [Text<8>; 2] {
    let half = |one: u8, other: u8| {
        let (one, other) = (usize::from(one), usize::from(other));
        let length = 4 - octet_leading(one);
        let text = u64::from(OCTETS[one]) | u64::from(OCTETS[other]) << (8 * length);
        Text { bytes: text.to_le_bytes(), length: length + 4 - octet_leading(other) }
    };
    let [a, b, c, d] = address;
    [half(a, b), half(c, d)]
}

/// Two hexadecimal digits for each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut value = 0;
    while value < 256 {
        hex[value] = [digits[value >> 4], digits[value & 15]];
        value += 1;
    }
    hex
};

/// A byte as two hexadecimal digits.
#[inline(always)]
pub(in crate::sink) fn hex(byte: u8) -> [u8; 2] {
    HEX[usize::from(byte)]
}

/// As RFC 5952 recommends: `2001:db8::1`.
pub(in crate::sink) fn ipv6(address: [u8; 16]) -> Text<48> {
    let mut bytes = [0; 48];
    if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = address {
        let [first, second] = ipv4([a, b, c, d]);
        let middle = 7 + first.length;
        bytes[..7].copy_from_slice(b"::ffff:");
        bytes[7..15].copy_from_slice(&first.bytes);
        bytes[middle..middle + 8].copy_from_slice(&second.bytes);
        return Text { bytes, length: middle + second.length - 1 };
    }
    let (pairs, _) = address.as_chunks::<2>();
    let mut zero = 0_u32;
    for (group, pair) in pairs.iter().enumerate() {
        zero |= u32::from(*pair == [0, 0]) << group;
    }
    let (first, length) = zero_run(zero);
    let (mut at, mut group) = (0, 0);
    while group < 8 {
        if group == first {
            // Of the two colons one is there already, but at the beginning.
            bytes[at..at + 2].fill(b':');
            at += if group == 0 { 2 } else { 1 };
            group += length;
            continue;
        }
        let [high, low] = pairs[group];
        let text = u32::from_le_bytes([hex(high)[0], hex(high)[1], hex(low)[0], hex(low)[1]]);
        let leading = (u16::from_be_bytes([high, low]) | 1).leading_zeros() / 4;
        bytes[at..at + 4].copy_from_slice(&(text >> (8 * leading)).to_le_bytes());
        at += 4 - leading as usize;
        bytes[at] = b':';
        at += 1;
        group += 1;
    }
    // The colon behind the last group, unless it is the second of two.
    Text { bytes, length: if first + length == 8 { at } else { at - 1 } }
}

/// RFC 5952 4.2: the first of the longest runs of at least two groups that are 0, as its place and length. `zero` has a
/// bit for each such group. Place 8, behind the last, where there is none.
fn zero_run(zero: u32) -> (usize, usize) {
    // A bit stays as long as a run that begins with it is longer.
    let (mut runs, mut length) = (zero & zero >> 1, 2);
    if runs == 0 {
        return (8, 1);
    }
    while runs & zero >> length != 0 {
        runs &= zero >> length;
        length += 1;
    }
    (runs.trailing_zeros() as usize, length)
}
