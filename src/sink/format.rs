//! Numbers and addresses written straight into a byte buffer: what text and JSON lines are made of.

/// Appends to a line without going through `core::fmt`.
pub(super) trait Put {
    /// Text as it is.
    fn text(&mut self, text: &str);
    /// A number in decimal.
    fn decimal(&mut self, value: u64);
    /// A number in decimal with leading zeros, at least `width` digits.
    fn decimal_padded(&mut self, value: u64, width: usize);
    /// A number in hexadecimal, without prefix, at least `width` digits.
    fn hex(&mut self, value: u64, width: usize);
    /// Two hexadecimal digits for each byte.
    fn hex_bytes(&mut self, bytes: &[u8]);
    /// `1.2.3.4`
    fn ipv4(&mut self, address: [u8; 4]);
    /// As RFC 5952 recommends: `2001:db8::1`.
    fn ipv6(&mut self, address: [u8; 16]);
    /// `02:00:00:00:00:01`, for any length.
    fn mac(&mut self, address: &[u8]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut value = 0;
    while value < 100 {
        pairs[value * 2] = b'0' + (value / 10) as u8;
        pairs[value * 2 + 1] = b'0' + (value % 10) as u8;
        value += 1;
    }
    pairs
};

/// The digits of `value` at the end of `buffer`, as the index of the first.
fn digits(mut value: u64, buffer: &mut [u8; 20]) -> usize {
    let mut at = buffer.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    at
}

impl Put for Vec<u8> {
    fn text(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    fn decimal(&mut self, value: u64) {
        let mut buffer = [0; 20];
        let at = digits(value, &mut buffer);
        self.extend_from_slice(&buffer[at..]);
    }

    fn decimal_padded(&mut self, value: u64, width: usize) {
        let mut buffer = [b'0'; 20];
        let at = digits(value, &mut buffer);
        self.extend_from_slice(&buffer[at.min(buffer.len().saturating_sub(width))..]);
    }

    fn hex(&mut self, value: u64, width: usize) {
        let needed = (u64::BITS - value.leading_zeros()).div_ceil(4) as usize;
        for digit in (0..needed.max(width).max(1)).rev() {
            let shifted = value.checked_shr(digit as u32 * 4).unwrap_or(0);
            self.push(HEX[(shifted & 15) as usize]);
        }
    }

    fn hex_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }

    fn ipv4(&mut self, address: [u8; 4]) {
        // 15 bytes are the longest text; digits of an octet are at most three.
        let mut buffer = [b'.'; 16];
        let mut at = 0;
        for octet in address {
            if octet >= 100 {
                buffer[at] = b'0' + octet / 100;
                at += 1;
            }
            if octet >= 10 {
                buffer[at] = b'0' + octet / 10 % 10;
                at += 1;
            }
            buffer[at] = b'0' + octet % 10;
            buffer[at + 1] = b'.';
            at += 2;
        }
        self.extend_from_slice(&buffer[..at - 1]);
    }

    fn ipv6(&mut self, address: [u8; 16]) {
        let mut groups = [0_u16; 8];
        for (group, pair) in groups.iter_mut().zip(address.chunks_exact(2)) {
            *group = u16::from_be_bytes([pair[0], pair[1]]);
        }
        if groups[..5] == [0; 5] && groups[5] == 0xffff {
            self.text("::ffff:");
            return self.ipv4([address[12], address[13], address[14], address[15]]);
        }
        // RFC 5952 4.2: the first of the longest runs of at least two zero groups is shortened.
        let (mut best, mut best_length) = (8, 1);
        let mut at = 0;
        while at < 8 {
            let length = groups[at..].iter().take_while(|&&group| group == 0).count();
            if length > best_length {
                (best, best_length) = (at, length);
            }
            at += length.max(1);
        }
        let mut at = 0;
        while at < 8 {
            if at == best {
                self.text("::");
                at += best_length;
                continue;
            }
            if at > 0 && at != best + best_length {
                self.push(b':');
            }
            self.hex(u64::from(groups[at]), 1);
            at += 1;
        }
    }

    fn mac(&mut self, address: &[u8]) {
        for (index, &byte) in address.iter().enumerate() {
            if index > 0 {
                self.push(b':');
            }
            self.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// One part of a line, for [`show!`].
pub(super) trait Show {
    /// Appends itself.
    fn show(self, line: &mut Vec<u8>);
}

impl Show for &str {
    fn show(self, line: &mut Vec<u8>) {
        line.text(self);
    }
}

macro_rules! decimal {
    ($($number:ty)*) => {
        $(impl Show for $number {
            fn show(self, line: &mut Vec<u8>) {
                line.decimal(self as u64);
            }
        })*
    };
}

decimal! { u8 u16 u32 u64 usize }

impl Show for [u8; 4] {
    fn show(self, line: &mut Vec<u8>) {
        line.ipv4(self);
    }
}

impl Show for [u8; 16] {
    fn show(self, line: &mut Vec<u8>) {
        line.ipv6(self);
    }
}

/// Shown as `02:00:00:00:00:01`.
pub(super) struct Mac<'a>(pub(super) &'a [u8]);

impl Show for Mac<'_> {
    fn show(self, line: &mut Vec<u8>) {
        line.mac(self.0);
    }
}

/// Shown as `0x1f`.
pub(super) struct Hex<T>(pub(super) T);

impl<T: Into<u64>> Show for Hex<T> {
    fn show(self, line: &mut Vec<u8>) {
        line.text("0x");
        line.hex(self.0.into(), 1);
    }
}

/// Shown as `0x0f`: at least two digits.
pub(super) struct Hex2<T>(pub(super) T);

impl<T: Into<u64>> Show for Hex2<T> {
    fn show(self, line: &mut Vec<u8>) {
        line.text("0x");
        line.hex(self.0.into(), 2);
    }
}

/// Shown as `0x001f`: at least four digits.
pub(super) struct Hex4<T>(pub(super) T);

impl<T: Into<u64>> Show for Hex4<T> {
    fn show(self, line: &mut Vec<u8>) {
        line.text("0x");
        line.hex(self.0.into(), 4);
    }
}

/// Shown as `0x0000001f`.
pub(super) struct Hex8(pub(super) u32);

impl Show for Hex8 {
    fn show(self, line: &mut Vec<u8>) {
        line.text("0x");
        line.hex(self.0.into(), 8);
    }
}

/// Appends each part to a line in turn: text, numbers in decimal, [`Hex`], [`Mac`], addresses as arrays.
macro_rules! show {
    ($line:expr, $($part:expr),+ $(,)?) => {{
        $($crate::sink::format::Show::show($part, &mut *$line);)+
    }};
}
pub(super) use show;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn put(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).expect("ASCII")
    }

    proptest! {
        #[test]
        fn numbers_are_as_fmt_writes_them(value: u64, shift in 0_u32..64, width in 0_usize..17) {
            let value = value >> shift;
            prop_assert_eq!(put(|line| line.decimal(value)), value.to_string());
            prop_assert_eq!(put(|line| line.decimal_padded(value, width)), format!("{value:0width$}"));
            prop_assert_eq!(put(|line| line.hex(value, width)), format!("{value:0width$x}"));
        }

        #[test]
        fn addresses_are_as_std_writes_them(bytes: [u8; 16], mask: [bool; 8]) {
            let mut bytes = bytes;
            for (group, zero) in bytes.chunks_exact_mut(2).zip(mask) {
                if zero { group.fill(0); }
            }
            let v4 = [bytes[0], bytes[1], bytes[2], bytes[3]];
            prop_assert_eq!(put(|line| line.ipv4(v4)), Ipv4Addr::from(v4).to_string());
            prop_assert_eq!(put(|line| line.ipv6(bytes)), Ipv6Addr::from(bytes).to_string());
        }
    }

    #[test]
    fn special_addresses() {
        for text in ["::", "::1", "1::", "::ffff:1.2.3.4", "fe80::1:0:0:1", "1:0:0:2::", "2001:db8::1"] {
            let address: Ipv6Addr = text.parse().unwrap();
            assert_eq!(put(|line| line.ipv6(address.octets())), address.to_string());
        }
        assert_eq!(put(|line| line.mac(&[2, 0, 0, 0, 0, 255])), "02:00:00:00:00:ff");
        assert_eq!(put(|line| line.hex_bytes(&[0x0a, 0xf0])), "0af0");
    }
}
