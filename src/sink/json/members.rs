//! The members that every line has, written through a cursor.
//!
//! Names stand in the code together with what surrounds them (`,"dport":`), and everything is copied in sizes the
//! compiler knows: no call for a few bytes, and the end of the line is a number in a register.

use crate::sink::format::digits::{self, SIX, Text};

/// Most bytes that the members of one [`Page::members`] may have, with room for the last one's unused part.
const MOST: usize = 640;

/// Lines being put together, in memory that is kept: it need not be cleared for every line, nor for every batch.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What is written, and room behind it.
    bytes: Vec<u8>,
    /// Where the room begins.
    end: usize,
    /// What is not written as members, before it is copied.
    aside: Vec<u8>,
}

impl Page {
    /// Appends the members that `write` writes: at most [`MOST`] bytes, beyond which nothing is written.
    #[inline(always)]
    pub(super) fn members(&mut self, write: impl FnOnce(&mut Members<'_>)) {
        if self.bytes.len() - self.end < MOST {
            self.grow(MOST);
        }
        if let Some(room) = self.bytes.get_mut(self.end..).and_then(|room| room.first_chunk_mut()) {
            let mut members = Members { room, at: 0 };
            write(&mut members);
            self.end += members.at;
        }
    }

    /// Appends text of any length.
    pub(super) fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.aside.clear();
        write(&mut self.aside);
        let length = self.aside.len();
        if self.bytes.len() - self.end < length {
            self.grow(length);
        }
        self.bytes[self.end..][..length].copy_from_slice(&self.aside);
        self.end += length;
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        self.bytes.resize((self.end + room).next_power_of_two(), 0);
    }

    /// What was written.
    pub(super) fn written(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.end = 0;
    }
}

/// Members being written, each with a comma before it.
pub(super) struct Members<'l> {
    room: &'l mut [u8; MOST],
    at: usize,
}

impl Members<'_> {
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
        self.part(digits::six(value.into().into()));
    }

    #[inline(always)]
    pub(super) fn decimal(&mut self, value: u32) {
        if value < SIX {
            self.part(digits::six(value));
        } else {
            self.part(digits::six(value / SIX));
            self.part(digits::padded_six(value % SIX));
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
        self.decimal64(value / u64::from(SIX));
        self.part(digits::padded_six((value % u64::from(SIX)) as u32));
    }

    /// Nanoseconds: nine digits.
    #[inline(always)]
    pub(super) fn nanoseconds(&mut self, nanos: u32) {
        self.part(digits::padded_three(nanos / SIX));
        self.part(digits::padded_six(nanos % SIX));
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
        let too_much = digits::ipv6(address, |part| self.part(part));
        self.at = self.at.saturating_sub(too_much.into());
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
        let mut page = Page::default();
        page.text(|line| line.extend_from_slice(b"before "));
        page.members(write);
        String::from_utf8(page.written().to_vec()).expect("ASCII")
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
