//! JSON (RFC 8259) written straight into a byte buffer.

use crate::sink::format::Put;
use std::fmt;

/// An object that is being written: opened by [`Object::write`], one member a call.
pub(in crate::sink) struct Object<'l> {
    line: &'l mut Vec<u8>,
    empty: bool,
}

impl Object<'_> {
    /// Writes an object whose members `members` adds.
    pub(in crate::sink) fn write(line: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
        line.push(b'{');
        members(&mut Object { line: &mut *line, empty: true });
        line.push(b'}');
    }

    /// More members for an object of which `line` has some already, and not its end.
    pub(in crate::sink) fn more(line: &mut Vec<u8>) -> Object<'_> {
        Object { line, empty: false }
    }

    /// The name of the next member. Names are ours: plain ASCII, nothing to escape. Inlined, as the callers know them.
    #[inline(always)]
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.line.text(if std::mem::take(&mut self.empty) { "\"" } else { ",\"" });
        self.line.text(name);
        self.line.text("\":");
        self.line
    }

    #[inline(always)]
    pub(in crate::sink) fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.name(name).decimal(value.into());
    }

    #[inline(always)]
    pub(in crate::sink) fn boolean(&mut self, name: &str, value: bool) {
        self.name(name).text(if value { "true" } else { "false" });
    }

    /// A value written as it shall stand: a number.
    pub(in crate::sink) fn raw(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.name(name));
    }

    pub(in crate::sink) fn null(&mut self, name: &str) {
        self.name(name).text("null");
    }

    /// A text of ours, which needs no escaping: a name, digits.
    #[inline(always)]
    pub(in crate::sink) fn plain(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let line = self.name(name);
        line.push(b'"');
        write(line);
        line.push(b'"');
    }

    /// Any text.
    pub(in crate::sink) fn text(&mut self, name: &str, text: &str) {
        self.plain(name, |line| escape(line, text));
    }

    /// Whatever can be displayed, as text.
    #[inline(always)]
    pub(in crate::sink) fn display(&mut self, name: &str, value: impl fmt::Display) {
        self.plain(name, |line| display(line, value));
    }

    pub(in crate::sink) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        Object::write(self.name(name), members);
    }

    /// An array with one element for each item, written by `element`.
    pub(in crate::sink) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut element: impl FnMut(&mut Vec<u8>, T),
    ) {
        let line = self.name(name);
        line.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            element(line, item);
        }
        line.push(b']');
    }
}

/// Appends a value as it is displayed, escaped.
pub(in crate::sink) fn display(line: &mut Vec<u8>, value: impl fmt::Display) {
    use fmt::Write as _;
    // Writing to memory cannot fail; a value that refuses to be shown leaves its text short.
    let _ = write!(Escaped(line), "{value}");
}

/// Lets `write!` append to a JSON string.
struct Escaped<'l>(&'l mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Quotes, backslashes and control characters escaped (RFC 8259 7).
fn escape(line: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        line.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => line.text("\\n"),
            byte @ (b'"' | b'\\') => line.extend_from_slice(&[b'\\', byte]),
            byte => {
                line.text("\\u");
                line.hex(byte.into(), 4);
            }
        }
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back(text: String) {
            let mut line = Vec::new();
            Object::write(&mut line, |object| {
                object.text("text", &text);
                object.display("again", &text);
            });
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(value["text"].as_str(), Some(&*text));
            prop_assert_eq!(value["again"].as_str(), Some(&*text));
        }
    }

    #[test]
    fn members_and_elements() {
        let mut line = Vec::new();
        Object::write(&mut line, |object| {
            object.number("a", 1_u8);
            object.text("b", "c");
            object.array("c", [1_u64, 2], |line, item| line.decimal(item));
            object.object("d", |inner| inner.boolean("e", true));
        });
        assert_eq!(line, br#"{"a":1,"b":"c","c":[1,2],"d":{"e":true}}"#);
    }
}
