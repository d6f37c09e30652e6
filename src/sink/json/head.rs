//! How a line begins: what is known without looking into the frame, most of it as in the line before.

use super::members::Members;
use super::object::Object;
use crate::frame::{Direction, Frame, Interface, InterfaceId, LinkType, Record};
use crate::sink::format::Put;
use crate::sink::interface_names::{self, InterfaceNames};

/// Text kept from line to line.
#[derive(Debug)]
pub(super) struct Heads {
    second: Second,
    origin: Option<Origin>,
    /// Members that follow from `origin`.
    origin_text: Vec<u8>,
    /// The same, where they fit and `origin_length` says so.
    origin_start: [u8; ORIGIN],
    origin_length: usize,
    /// Of a live capture.
    names: Option<InterfaceNames>,
}

/// Most bytes of the members that follow from an origin, but where an interface has a long name.
const ORIGIN: usize = 64;

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
    /// The kernel's number of the interface, where that is asked for and told.
    index: Option<u32>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            second: Second::default(),
            origin: None,
            origin_text: Vec::new(),
            origin_start: [0; ORIGIN],
            origin_length: 0,
            names: None,
        }
    }
}

impl Heads {
    /// Interfaces of this host are called by these names.
    pub(super) fn name(&mut self, names: InterfaceNames) {
        self.names = Some(names);
    }

    /// Makes the text of what has changed since the line before. True if what that frame's origin has to say is long:
    /// then it is [`Self::origin_text`] and not written with the rest.
    #[inline(always)]
    pub(super) fn meet(&mut self, frame: &Frame<'_>, interfaces: &[Interface]) -> bool {
        let record = &frame.record;
        if let Some(time) = record.time
            && self.second.seconds != time.seconds
        {
            self.second.set(time.seconds);
        }
        let Record { interface, direction, link_type, .. } = *record;
        let index = if self.names.is_some() { interface_names::index(frame) } else { None };
        let origin = Origin { interface, direction, link_type, index };
        if self.origin != Some(origin) {
            self.origin = Some(origin);
            self.set_origin(origin, interfaces);
        }
        self.origin_length < self.origin_text.len()
    }

    #[cold]
    fn set_origin(&mut self, origin: Origin, interfaces: &[Interface]) {
        let name = origin.index.and_then(|index| self.names.as_mut()?.name(index));
        origin.write(&mut self.origin_text, name, interfaces);
        let start = self.origin_start.get_mut(..self.origin_text.len());
        self.origin_length = start.map_or(0, |start| {
            start.copy_from_slice(&self.origin_text);
            start.len()
        });
    }

    /// `interface`, `direction`, `link`.
    pub(super) fn origin_text(&self) -> &[u8] {
        &self.origin_text
    }

    /// Opens the line of the frame [met](Self::meet) last: `n`, `time`, `len`, `caplen`, `interface`, `direction`,
    /// `link`.
    #[inline(always)]
    pub(super) fn write(&self, members: &mut Members<'_>, record: &Record, captured: usize) {
        members.fixed(b"{\"n\":");
        members.decimal64(record.number);
        match record.time {
            Some(time) => {
                members.head(&self.second.text, self.second.length);
                members.nanoseconds(time.nanos);
                members.number(b"\",\"len\":", record.wire_length);
            }
            None => members.number(b",\"time\":null,\"len\":", record.wire_length),
        }
        members.fixed(b",\"caplen\":");
        members.decimal64(captured as u64);
        members.head(&self.origin_start, self.origin_length);
    }

    /// Forgets what was known of interfaces: those of another source have the same numbers.
    pub(super) fn forget(&mut self) {
        self.origin = None;
    }
}

impl Origin {
    /// Replaces `line` by its members.
    fn write(self, line: &mut Vec<u8>, name: Option<&str>, interfaces: &[Interface]) {
        line.clear();
        let object = &mut Object::more(line);
        let interface = interfaces.get(self.interface.0 as usize);
        if let Some(name) = name.or_else(|| interface?.name.as_deref()) {
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
