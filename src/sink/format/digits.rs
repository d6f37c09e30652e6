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

/// What all numbers below it fit in a [`six`].
pub(in crate::sink) const SIX: u32 = 1_000_000;

/// The three decimal digits of each number below 1,000, a byte each, the first in the lowest byte. Some to spare, so that
/// ten bits are always an index.
const THREES: [u32; 1024] = {
    let mut threes = [0; 1024];
    let mut value = 0;
    while value < 1000 {
        threes[value as usize] = (value / 100) | ((value / 10 % 10) << 8) | ((value % 10) << 16);
        value += 1;
    }
    threes
};

#[inline(always)]
fn three(value: u32) -> u64 {
    THREES[(value & 1023) as usize].into()
}

/// The decimal digits of a number below 10^6, the first of six in the lowest byte: two look-ups in 4 KiB are fewer
/// operations than [`eight`] has.
#[inline(always)]
fn six_digits(value: u32) -> u64 {
    let thousands = value / 1000;
    three(thousands) | three(value - 1000 * thousands) << 24
}

/// A number below 10^6 in decimal.
#[inline(always)]
pub(in crate::sink) fn six(value: u32) -> Text<8> {
    let digits = six_digits(value);
    // As in `short`.
    let leading = (digits | 1 << 40).trailing_zeros() / 8;
    Text { bytes: ((digits | ZEROS) >> (8 * leading)).to_le_bytes(), length: 6 - leading as usize }
}

/// A number below 10^6 in decimal, with leading zeros: six digits.
#[inline(always)]
pub(in crate::sink) fn padded_six(value: u32) -> Text<8> {
    Text { bytes: (six_digits(value) | ZEROS).to_le_bytes(), length: 6 }
}

/// A number below 10^3 in decimal, with leading zeros: three digits.
#[inline(always)]
pub(in crate::sink) fn padded_three(value: u32) -> Text<4> {
    Text { bytes: (three(value) as u32 | ZEROS as u32).to_le_bytes(), length: 3 }
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

/// As RFC 5952 recommends: `2001:db8::1`. Hands its parts to `part`, one after the other. True if the last byte, a
/// separator, is too much.
#[inline(always)]
pub(in crate::sink) fn ipv6(address: [u8; 16], mut part: impl FnMut(Text<8>)) -> bool {
    if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = address {
        part(Text { bytes: *b"::ffff:\0", length: 7 });
        ipv4([a, b, c, d]).into_iter().for_each(part);
        return true;
    }
    let (pairs, _) = address.as_chunks::<2>();
    let mut zero = 0_u32;
    for (group, pair) in pairs.iter().enumerate() {
        zero |= u32::from(*pair == [0, 0]) << group;
    }
    let (first, length) = zero_run(zero);
    pairs.iter().take(first).for_each(|pair| part(group(*pair)));
    if first == pairs.len() {
        return true;
    }
    // Of the two colons one is there already, but at the beginning.
    part(Text { bytes: *b"::\0\0\0\0\0\0", length: if first == 0 { 2 } else { 1 } });
    pairs.iter().skip(first + length).for_each(|pair| part(group(*pair)));
    first + length < pairs.len()
}

/// A group of an IPv6 address, and a colon.
#[inline(always)]
fn group([high, low]: [u8; 2]) -> Text<8> {
    let text = u32::from_le_bytes([hex(high)[0], hex(high)[1], hex(low)[0], hex(low)[1]]);
    let leading = (u16::from_be_bytes([high, low]) | 1).leading_zeros() / 4;
    let digits = u64::from(text) | u64::from(b':') << 32;
    Text { bytes: (digits >> (8 * leading)).to_le_bytes(), length: 5 - leading as usize }
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
