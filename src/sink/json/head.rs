//! How a line begins: what is known without looking into the frame, most of it as in the line before.

use super::members::Members;
use super::object::Object;
use crate::frame::{Direction, Interface, InterfaceId, LinkType, Record};
use crate::sink::format::Put;

/// Text kept from line to line.
#[derive(Debug, Default)]
pub(super) struct Heads {
    second: Second,
    origin: Option<Origin>,
    /// Members that follow from `origin`.
    origin_text: Vec<u8>,
}

/// A second, and the `time` member up to its point.
#[derive(Debug)]
struct Second {
    seconds: i64,
    text: [u8; 32],
    length: usize,
    /// What the text is put together in: kept, so that no second allocates.
    draft: Vec<u8>,
}

impl Default for Second {
    fn default() -> Self {
        let mut second = Self { seconds: 0, text: [0; 32], length: 0, draft: Vec::with_capacity(32) };
        second.set(0);
        second
    }
}

impl Second {
    fn set(&mut self, seconds: i64) {
        let Self { text, draft: line, .. } = self;
        line.clear();
        // At most 9 bytes, a sign, 20 of the number and a point.
        line.extend_from_slice(b",\"time\":\"");
        if seconds < 0 {
            line.push(b'-');
        }
        line.decimal(seconds.unsigned_abs());
        line.push(b'.');
        (self.seconds, self.length) = (seconds, line.len());
        line.resize(text.len(), 0);
        text.copy_from_slice(line);
    }
}

/// Where a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    interface: InterfaceId,
    direction: Direction,
    link_type: LinkType,
}

impl Heads {
    /// Opens a line and writes `n`, `time`, `len`, `caplen`, `interface`, `direction`, `link`.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        line: &mut Vec<u8>,
        record: &Record,
        captured: usize,
        interfaces: &[Interface],
    ) {
        Members::append(line, |members| {
            members.fixed(b"{\"n\":");
            members.decimal64(record.number);
            match record.time {
                Some(time) => {
                    if self.second.seconds != time.seconds {
                        self.second.set(time.seconds);
                    }
                    members.head(&self.second.text, self.second.length);
                    members.nanoseconds(time.nanos);
                    members.fixed(b"\"");
                }
                None => members.fixed(b",\"time\":null"),
            }
            members.number(b",\"len\":", record.wire_length);
            members.fixed(b",\"caplen\":");
            members.decimal64(captured as u64);
        });
        let Record { interface, direction, link_type, .. } = *record;
        let origin = Origin { interface, direction, link_type };
        if self.origin != Some(origin) {
            self.origin = Some(origin);
            origin.write(&mut self.origin_text, interfaces);
        }
        line.extend_from_slice(&self.origin_text);
    }

    /// Forgets what was known of interfaces: those of another source have the same numbers.
    pub(super) fn forget(&mut self) {
        self.origin = None;
    }
}

impl Origin {
    /// Replaces `line` by its members.
    #[cold]
    fn write(self, line: &mut Vec<u8>, interfaces: &[Interface]) {
        line.clear();
        let object = &mut Object::more(line);
        let interface = interfaces.get(self.interface.0 as usize);
        if let Some(name) = interface.and_then(|interface| interface.name.as_deref()) {
            object.text("interface", name);
        }
        match self.direction {
            Direction::In => object.text("direction", "in"),
            Direction::Out => object.text("direction", "out"),
            Direction::Unknown => {}
        }
        match self.link_type.name() {
            Some(name) => object.text("link", name),
            None => object.plain("link", |line| line.decimal(self.link_type.0.into())),
        }
    }
}
