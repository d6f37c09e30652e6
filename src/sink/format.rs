//! Numbers and addresses written straight into a byte buffer: what text and JSON lines are made of.

pub(super) mod digits;

use digits::{SHORT, Text};

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

impl Put for Vec<u8> {
    #[inline]
    fn text(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn decimal(&mut self, value: u64) {
        match u32::try_from(value) {
            // Most counts are 0, and few are large.
            Ok(value @ 0..10) => self.push(b'0' + value as u8),
            Ok(value) if value < SHORT => put(self, digits::short(value)),
            _ => {
                self.decimal(value / u64::from(SHORT));
                self.extend_from_slice(&digits::padded((value % u64::from(SHORT)) as u32));
            }
        }
    }

    #[inline]
    fn decimal_padded(&mut self, value: u64, width: usize) {
        let needed = value.checked_ilog10().map_or(1, |digits| digits as usize + 1);
        self.resize(self.len() + width.saturating_sub(needed), b'0');
        self.decimal(value);
    }

    fn hex(&mut self, value: u64, width: usize) {
        let needed = (u64::BITS - value.leading_zeros()).div_ceil(4).max(1) as usize;
        self.resize(self.len() + width.saturating_sub(needed), b'0');
        let [a, b, c, d, e, f, g, h] = value.to_be_bytes().map(digits::hex);
        let text = [a, b, c, d, e, f, g, h];
        self.extend_from_slice(&text.as_flattened()[16 - needed..]);
    }

    fn hex_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.extend_from_slice(&digits::hex(byte));
        }
    }

    fn ipv4(&mut self, address: [u8; 4]) {
        for half in digits::ipv4(address) {
            put(self, half);
        }
        self.pop();
    }

    fn ipv6(&mut self, address: [u8; 16]) {
        if digits::ipv6(address, |part| put(self, part)) {
            self.pop();
        }
    }

    fn mac(&mut self, address: &[u8]) {
        for (index, &byte) in address.iter().enumerate() {
            if index > 0 {
                self.push(b':');
            }
            self.extend_from_slice(&digits::hex(byte));
        }
    }
}

/// Appends what counts of a text: all of it, whose size the compiler knows, and then the end is set back.
#[inline]
fn put<const N: usize>(line: &mut Vec<u8>, text: Text<N>) {
    line.extend_from_slice(&text.bytes);
    line.truncate(line.len() + text.length - N);
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

/// `1 packet`, `2 packets`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Three digits and a decimal prefix: `12.3 M`.
pub(super) fn scaled(value: f64) -> String {
    let (value, prefix) = match value {
        v if v >= 999.5e6 => (v / 1e9, " G"),
        v if v >= 999.5e3 => (v / 1e6, " M"),
        v if v >= 999.5 => (v / 1e3, " k"),
        v => (v, ""),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$}{prefix}")
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
