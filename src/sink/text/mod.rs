//! One line a packet, in the shape tcpdump's users read: [`Text`].
//!
//! ```text
//! 12:00:00.000001 IP 10.0.0.1.4321 > 10.0.0.2.443: Flags [S], seq 1, win 64240, length 0
//! ```
//!
//! Where wharf's lines differ from tcpdump's, on purpose:
//!
//! - a wrong checksum shows without `-v` too, at the end: ` [bad tcp cksum 0x1234, expected 0xabcd]`; an
//!   offloaded one is never called wrong but `not yet computed: offloaded` (with `-v`);
//! - a malformed packet says what is wrong: ` [malformed: TCP: too short (need 20, have 7)]`;
//! - the packet inside a tunnel stands on the same line, and VXLAN, GTP-U and Teredo are opened;
//! - addresses are never looked up on the network ([`TextOptions::numeric`]);
//! - protocols above the transport are named, with their first line or type; they are not dissected.

mod application;
mod arp;
mod clock;
mod display;
mod dns;
mod dump;
mod icmp;
mod icmpv6;
mod ip;
mod ipv6;
mod link;
mod llc;
mod options;
mod ppp;
mod printer;
mod sctp;
mod sequence;
mod span;
mod tcp;
mod text_protocol;
mod tunnel;
mod udp;

pub use options::{Dump, TextOptions, TimeStyle};

use super::format::show;
use super::lines::Lines;
use super::{Deliveries, Delivery, Error, InterfaceNames, InterfaceStatistics, Sink};
use crate::frame::{Interface, Timestamp};
use clock::Clock;
use jiff::tz::TimeZone;
use printer::{Printer, Tables};
use std::io::Write;

/// Writes packets as lines of text.
///
/// A batch's lines are put together in one buffer, kept from batch to batch, and handed to the writer in one
/// piece; [`Sink::flush`] and [`Sink::finish`] flush the writer.
///
/// ```
/// use wharf::frame::{Batch, Interface, LinkType, Record};
/// use wharf::batch::Findings;
/// use wharf::sink::{Deliveries, Sink, Text, TextOptions};
///
/// let bytes = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06\
///     \0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\x0a\0\0\x01\0\0\0\0\0\0\x0a\0\0\x02";
/// let length = bytes.len() as u32;
/// let record =
///     Record { captured: length, wire_length: length, link_type: LinkType::ETHERNET, ..Record::default() };
/// let records = [record];
/// let interfaces = [Interface::default()];
/// let batch = Batch::new(bytes, &records, &interfaces);
///
/// let mut lines = Vec::new();
/// let mut text = Text::new(&mut lines, TextOptions { numeric: true, ..TextOptions::default() });
/// let mut findings = Findings::new();
/// findings.read(batch);
/// text.write(Deliveries::new(batch, &findings, &[0]))?;
/// text.finish(&[])?;
/// drop(text);
/// assert_eq!(lines, b"(no time) ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28\n");
/// # Ok::<(), wharf::sink::Error>(())
/// ```
#[derive(Debug)]
pub struct Text<W> {
    lines: Lines<W>,
    options: TextOptions,
    clock: Clock,
    tables: Tables,
    names: Option<InterfaceNames>,
}

impl<W: Write> Text<W> {
    /// Lines on `writer`, which an error calls `standard output`; see [`Text::named`].
    #[must_use]
    pub fn new(writer: W, options: TextOptions) -> Self {
        let zone = if options.utc { TimeZone::UTC } else { TimeZone::system() };
        let tables = Tables::new(&options);
        Self { lines: Lines::new(writer), options, clock: Clock::new(zone), tables, names: None }
    }

    /// What an error calls the writer: a file's path.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { lines: self.lines.named(name.into()), ..self }
    }

    /// Tells the interface of each packet, where it can be one of several: before the line, as tcpdump does.
    #[must_use]
    pub fn interface_names(self, names: InterfaceNames) -> Self {
        Self { names: Some(names), ..self }
    }

    /// Appends one packet's lines to the buffer.
    fn packet(&mut self, delivery: &Delivery<'_>, interfaces: &[Interface]) {
        let frame = delivery.packet.frame();
        let out = &mut self.lines.buffer;
        if self.options.number {
            // Right-aligned in five columns.
            let digits = frame.record.number.checked_ilog10().map_or(1, |log| log as usize + 1);
            out.extend(std::iter::repeat_n(b' ', 5_usize.saturating_sub(digits)));
            show!(out, frame.record.number, "  ");
        }
        self.clock.write(out, frame.record.time, &self.options);
        if let Some(name) = self.names.as_mut().and_then(|names| names.of(frame, interfaces)) {
            // Five columns, or as many as it takes.
            show!(out, name);
            out.extend(std::iter::repeat_n(b' ', 5_usize.saturating_sub(name.len()) + 1));
        }
        let link_header = Printer::new(out, &self.options, &mut self.tables, delivery).packet();
        out.push(b'\n');
        let from = |whole: bool| frame.data.get(if whole { 0 } else { link_header }..).unwrap_or_default();
        match self.options.dump {
            Dump::None => {}
            Dump::Hex { link_header } => dump::hex(out, from(link_header), false),
            Dump::HexAndText { link_header } => dump::hex(out, from(link_header), true),
            Dump::Text { link_header } => dump::text(out, from(link_header)),
        }
    }
}

/// As lines have it with a date, in the zone of the system.
pub(super) fn date_and_time(time: Timestamp) -> String {
    let mut text = Vec::new();
    let options = TextOptions { time: TimeStyle::DateAndTime, ..TextOptions::default() };
    Clock::new(TimeZone::system()).write(&mut text, Some(time), &options);
    String::from_utf8_lossy(text.trim_ascii_end()).into_owned()
}

impl<W: Write> Sink for Text<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        for delivery in packets.iter() {
            self.packet(&delivery, packets.interfaces());
            if self.options.line_buffered {
                self.lines.write(1)?;
                self.lines.flush()?;
            }
        }
        if self.options.line_buffered { Ok(()) } else { self.lines.write(packets.len()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.lines.flush()
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        self.lines.flush()
    }

    /// What the writer has taken.
    fn kept(&self) -> Option<u64> {
        Some(self.lines.kept())
    }
}
