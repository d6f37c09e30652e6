//! The members that every line has, written through a cursor.
//!
//! Names stand in the code together with what surrounds them (`,"dport":`), and everything is copied in sizes the
//! compiler knows: no call for a few bytes, and the end of the line is a number in a register.

use crate::sink::format::digits::{self, SHORT, Text};

/// Most bytes that the members of one [`Members::append`] may have, with room for the last one's unused part.
const MOST: usize = 640;

/// Members being written, each with a comma before it.
pub(super) struct Members<'l> {
    room: &'l mut [u8; MOST],
    at: usize,
}

impl Members<'_> {
    /// Appends the members that `write` writes: at most [`MOST`] bytes, beyond which nothing is written.
    #[inline(always)]
    pub(super) fn append(line: &mut Vec<u8>, write: impl FnOnce(&mut Members<'_>)) {
        let start = line.len();
        line.extend_from_slice(&[0; MOST]);
        let mut end = start;
        if let Some(room) = line.last_chunk_mut() {
            let mut members = Members { room, at: 0 };
            write(&mut members);
            end += members.at;
        }
        line.truncate(end);
    }

    /// A name with what surrounds it, or any other text the compiler knows.
    #[inline(always)]
    pub(super) fn fixed<const N: usize>(&mut self, text: &[u8; N]) {
        self.part(Text { bytes: *text, length: N });
    }

    /// What counts of a text.
    #[inline(always)]
    fn part<const N: usize>(&mut self, text: Text<N>) {
        if let Some(place) = self.room.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = text.bytes;
            self.at += text.length;
        } else {
            debug_assert!(false, "members are longer than {MOST} bytes");
        }
    }

    /// The first `length` bytes of a text.
    #[inline(always)]
    pub(super) fn head<const N: usize>(&mut self, text: &[u8; N], length: usize) {
        self.part(Text { bytes: *text, length });
    }

    /// A text that needs no escaping.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(place) = self.room.get_mut(self.at..).and_then(|rest| rest.get_mut(..text.len())) {
            place.copy_from_slice(text.as_bytes());
            self.at += text.len();
        } else {
            debug_assert!(false, "members are longer than {MOST} bytes");
        }
    }

    /// A name as in [`Members::fixed`], and a number.
    #[inline(always)]
    pub(super) fn number<const N: usize>(&mut self, name: &[u8; N], value: impl Into<u32>) {
        self.fixed(name);
        self.decimal(value.into());
    }

    /// A number of up to 16 bits: it is never a long one.
    #[inline(always)]
    pub(super) fn small<const N: usize>(&mut self, name: &[u8; N], value: impl Into<u16>) {
        self.fixed(name);
        self.part(digits::short(value.into().into()));
    }

    #[inline(always)]
    pub(super) fn decimal(&mut self, value: u32) {
        if value < SHORT {
            self.part(digits::short(value));
        } else {
            self.part(digits::short(value / SHORT));
            self.fixed(&digits::padded(value % SHORT));
        }
    }

    #[inline(always)]
    pub(super) fn decimal64(&mut self, value: u64) {
        match u32::try_from(value) {
            Ok(value) => self.decimal(value),
            Err(_) => self.long(value),
        }
    }

    #[cold]
    fn long(&mut self, value: u64) {
        self.decimal64(value / u64::from(SHORT));
        self.fixed(&digits::padded((value % u64::from(SHORT)) as u32));
    }

    /// Nanoseconds: nine digits.
    #[inline(always)]
    pub(super) fn nanoseconds(&mut self, nanos: u32) {
        self.fixed(&[b'0' + (nanos / SHORT) as u8]);
        self.fixed(&digits::padded(nanos % SHORT));
    }

    #[inline(always)]
    pub(super) fn ipv4(&mut self, address: [u8; 4]) {
        let [first, second] = digits::ipv4(address);
        self.part(first);
        self.part(second);
        self.at = self.at.saturating_sub(1);
    }

    #[inline(always)]
    pub(super) fn ipv6(&mut self, address: [u8; 16]) {
        self.part(digits::ipv6(address));
    }

    /// Makes an object of the members `write` writes: their first comma becomes its brace.
    #[inline(always)]
    pub(super) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.at;
        write(self);
        if let Some(comma) = self.room.get_mut(start) {
            *comma = b'{';
        }
        self.fixed(b"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Members<'_>)) -> String {
        let mut line = b"before ".to_vec();
        Members::append(&mut line, write);
        String::from_utf8(line).expect("ASCII")
    }

    proptest! {
        #[test]
        fn numbers_are_as_fmt_writes_them(value: u64, shift in 0_u32..64, nanos in 0_u32..1_000_000_000) {
            let value = value >> shift;
            let (value32, value16) = (value as u32, value as u16);
            let line = written(|members| {
                members.decimal64(value);
                members.number(b" ", value32);
                members.small(b" ", value16);
                members.fixed(b" ");
                members.nanoseconds(nanos);
            });
            prop_assert_eq!(line, format!("before {value} {value32} {value16} {nanos:09}"));
        }
    }

    #[test]
    fn an_object_begins_with_its_brace() {
        let line = written(|members| {
            members.fixed(b",\"a\":");
            members.object(|members| members.number(b",\"b\":", 7_u32));
        });
        assert_eq!(line, "before ,\"a\":{\"b\":7}");
    }
}
