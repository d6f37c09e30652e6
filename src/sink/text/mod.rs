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
//! - a malformed packet says what is wrong: ` [malformed: TCP: needs 20 bytes, has 7]`;
//! - the packet inside a tunnel stands on the same line, and VXLAN, GTP-U and Teredo are opened;
//! - addresses are never looked up on the network ([`TextOptions::numeric`]);
//! - protocols above the transport are named, with their first line or type; they are not dissected.

mod application;
mod arp;
mod clock;
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

use super::{Deliveries, Delivery, Error, InterfaceStatistics, Sink};
use clock::Clock;
use jiff::tz::TimeZone;
use printer::{Printer, Tables};
use std::io::{self, Write};

/// Writes packets as lines of text.
///
/// A batch's lines are put together in one buffer, kept from batch to batch, and handed to the writer in one
/// piece; [`Sink::flush`] and [`Sink::finish`] flush the writer.
///
/// ```
/// use wharf::frame::{Batch, Interface, LinkType, Record};
/// use wharf::parse::Layers;
/// use wharf::sink::{Deliveries, Sink, Text, TextOptions};
/// use wharf::verify::Verdicts;
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
/// text.write(Deliveries::new(batch, &[Layers::default()], &[Verdicts::default()], &[0]))?;
/// text.finish(&[])?;
/// drop(text);
/// assert_eq!(lines, b"(no time) ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28\n");
/// # Ok::<(), wharf::sink::Error>(())
/// ```
#[derive(Debug)]
pub struct Text<W> {
    writer: W,
    name: String,
    options: TextOptions,
    lines: Vec<u8>,
    /// Packets whose lines the writer has taken.
    kept: u64,
    clock: Clock,
    tables: Tables,
}

impl<W: Write> Text<W> {
    /// Lines on `writer`, which an error calls `standard output`; see [`Text::named`].
    #[must_use]
    pub fn new(writer: W, options: TextOptions) -> Self {
        let zone = if options.utc { TimeZone::UTC } else { TimeZone::system() };
        let tables = Tables::new(&options);
        Self {
            writer,
            name: "standard output".into(),
            options,
            lines: Vec::new(),
            kept: 0,
            clock: Clock::new(zone),
            tables,
        }
    }

    /// What an error calls the writer: a file's path.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// One packet's lines, at the end of `self.lines`.
    fn packet(&mut self, delivery: &Delivery<'_>) {
        let frame = delivery.packet.frame();
        if self.options.number {
            let before = self.lines.len();
            self.lines.extend_from_slice(b"     ");
            let digits = frame.record.number.checked_ilog10().map_or(1, |log| log as usize + 1);
            self.lines.truncate(before + 5_usize.saturating_sub(digits));
            super::format::show!(&mut self.lines, frame.record.number, "  ");
        }
        self.clock.write(&mut self.lines, frame.record.time, &self.options);
        let link_header = Printer::new(&mut self.lines, &self.options, &mut self.tables, delivery).packet();
        self.lines.push(b'\n');
        let from = |whole: bool| frame.data.get(if whole { 0 } else { link_header }..).unwrap_or_default();
        match self.options.dump {
            Dump::None => {}
            Dump::Hex { link_header } => dump::hex(&mut self.lines, from(link_header), false),
            Dump::HexAndText { link_header } => dump::hex(&mut self.lines, from(link_header), true),
            Dump::Text { link_header } => dump::text(&mut self.lines, from(link_header)),
        }
    }

    /// Writes the lines of so many packets.
    fn hand_over(&mut self, packets: usize) -> Result<(), Error> {
        let written = self.writer.write_all(&self.lines);
        self.lines.clear();
        written.map_err(|error| failed(error, &self.name))?;
        self.kept += packets as u64;
        Ok(())
    }
}

/// A failed write, with a closed pipe told apart.
pub(super) fn failed(source: io::Error, name: &str) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Io { path: name.to_owned(), source },
    }
}

impl<W: Write> Sink for Text<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        for delivery in packets.iter() {
            self.packet(&delivery);
            if self.options.line_buffered {
                self.hand_over(1)?;
                self.flush()?;
            }
        }
        if self.options.line_buffered { Ok(()) } else { self.hand_over(packets.len()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.writer.flush().map_err(|error| failed(error, &self.name))
    }

    fn finish(&mut self, _statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        self.flush()
    }

    /// What the writer has taken.
    fn kept(&self) -> Option<u64> {
        Some(self.kept)
    }
}
