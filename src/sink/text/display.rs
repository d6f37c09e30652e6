//! A packet shown by itself.

use super::options::{TextOptions, TimeStyle};
use super::printer::{Printer, Tables};
use crate::parse::Packet;
use crate::sink::Delivery;
use crate::verify::Verdicts;
use std::fmt;

/// The line that [`Text`](super::Text) writes, with numbers for names and without a time; sequence numbers of TCP are
/// absolute, and checksums are not judged, as one packet tells of neither its stream nor its verdicts.
///
/// ```
/// use wharf::frame::{Frame, LinkType};
/// use wharf::parse::{Packet, parse};
///
/// let bytes = b"\x45\0\0\x1d\0\0\0\0\x40\x11\0\0\x7f\0\0\x01\x7f\0\0\x02\x30\x39\0\x09\0\x09\0\0!";
/// let frame = Frame::new(LinkType::RAW, bytes);
/// let layers = parse(&frame);
/// let packet = Packet::new(frame, &layers);
/// assert_eq!(packet.to_string(), "IP 127.0.0.1.12345 > 127.0.0.2.9: UDP, length 1");
/// ```
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = TextOptions {
            time: TimeStyle::None,
            numeric: true,
            absolute_sequence: true,
            ..TextOptions::default()
        };
        let delivery = Delivery { packet: *self, verdicts: Verdicts::default() };
        let mut line = Vec::new();
        Printer::new(&mut line, &options, &mut Tables::new(&options), &delivery).packet();
        f.pad(&String::from_utf8_lossy(&line))
    }
}
