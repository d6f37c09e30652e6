//! TCP segments (RFC 9293).

use super::ip::Ip;
use super::printer::{Printed, Printer};
use super::sequence::{Endpoints, Shift};
use super::span::Span;
use crate::parse::Transport;
use crate::sink::format::{Hex4, Put, show};
use crate::verify::Verdict;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// The flags in tcpdump's order and letters.
const FLAGS: [(u8, u8); 8] = [
    (FIN, b'F'),
    (SYN, b'S'),
    (RST, b'R'),
    (0x08, b'P'),
    (ACK, b'.'),
    (URG, b'U'),
    (0x40, b'E'),
    (0x80, b'W'),
];

impl Printer<'_> {
    pub(super) fn tcp(&mut self, span: Span<'_>, ip: Ip<'_>) {
        self.whole("tcp", |printer| printer.segment(span, ip));
    }

    fn segment(&mut self, span: Span<'_>, ip: Ip<'_>) -> Printed {
        let (Some(source), Some(destination)) = (span.u16(0), span.u16(2)) else {
            self.addresses_once(ip);
            return None;
        };
        self.endpoints(ip, source, destination, Transport::Tcp);
        let (sequence, acknowledgment) = (span.u32(4)?, span.u32(8)?);
        let (header, flags) = (usize::from(span.u8(12)? >> 4) * 4, span.u8(13)?);
        let (window, checksum, urgent) = (span.u16(14)?, span.u16(16)?, span.u16(18)?);
        if header < 20 {
            show!(self.out, "tcp [bad hdr length ", header, " - too short, < 20]");
            return Some(());
        }
        if self.options.quick {
            show!(self.out, "tcp ", span.length.saturating_sub(header));
            return Some(());
        }
        show!(self.out, "Flags [");
        let before = self.out.len();
        self.out.extend(FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter));
        show!(self.out, if self.out.len() == before { "none]" } else { "]" });

        let endpoints = Endpoints {
            source: ip.source,
            destination: ip.destination,
            source_port: source,
            destination_port: destination,
        };
        let shift = if flags & ACK != 0 && !self.options.absolute_sequence {
            self.tables.sequences.shift(endpoints, sequence, acknowledgment, flags & SYN != 0)
        } else {
            Shift::default()
        };
        if header > span.length {
            show!(self.out, " [bad hdr length ", header, " - too long, > ", span.length, "]");
            return Some(());
        }
        if self.verbose() && !ip.fragment {
            self.tcp_checksum(checksum, ip.verdict);
        }
        let length = span.length - header;
        let sequence = sequence.wrapping_sub(shift.sequence);
        if self.options.verbosity > 1 || length > 0 || flags & (SYN | FIN | RST) != 0 {
            show!(self.out, ", seq ", sequence);
            if length > 0 {
                show!(self.out, ":", sequence.wrapping_add(length as u32));
            }
        }
        if flags & ACK != 0 {
            show!(self.out, ", ack ", acknowledgment.wrapping_sub(shift.acknowledgment));
        }
        show!(self.out, ", win ", window);
        if flags & URG != 0 {
            show!(self.out, ", urg ", urgent);
        }
        if header > 20 {
            show!(self.out, ", options [");
            let options = &span.bytes[20.min(span.bytes.len())..header.min(span.bytes.len())];
            self.tcp_options(options, header - 20, shift)?;
            self.out.push(b']');
        }
        show!(self.out, ", length ", length);
        if length > 0 {
            let data = span.skip(header);
            if flags & RST == 0 {
                self.stream(data, source, destination);
            } else if self.verbose() && !data.bytes.is_empty() {
                // RFC 9293 3.5.3: a reset may carry text that says why.
                show!(self.out, " [RST ");
                self.caret(&data.bytes[..data.bytes.len().min(30)]);
                show!(self.out, "]");
            }
        }
        Some(())
    }

    fn tcp_checksum(&mut self, found: u16, verdict: Verdict) {
        match verdict {
            Verdict::Good | Verdict::Vouched => show!(self.out, ", cksum ", Hex4(found), " (correct)"),
            Verdict::Bad { found, expected } => {
                show!(self.out, ", cksum ", Hex4(found), " (incorrect -> ", Hex4(expected), ")");
            }
            Verdict::NotReady => {
                show!(self.out, ", cksum ", Hex4(found), " (not yet computed: offloaded)");
            }
            Verdict::NotApplicable | Verdict::Absent | Verdict::Fragment | Verdict::Truncated => {}
        }
    }

    /// RFC 9293 3.2 and the registry of option kinds; `length` bytes, of which `options` were captured.
    fn tcp_options(&mut self, mut options: &[u8], length: usize, shift: Shift) -> Printed {
        let cut = options.len() < length;
        let missing = |found: &[u8], wanted: usize| cut && found.len() < wanted;
        let mut first = true;
        while !options.is_empty() {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            let kind = options[0];
            if kind <= 1 {
                show!(self.out, if kind == 0 { "eol" } else { "nop" });
                if kind == 0 {
                    return Some(());
                }
                options = &options[1..];
                continue;
            }
            if missing(options, 2) {
                return None;
            }
            let octets = options.get(1).map_or(0, |octets| usize::from(*octets));
            if missing(options, octets) {
                self.tcp_option_name(kind);
                return None;
            }
            if octets < 2 || octets > options.len() {
                show!(self.out, "bad opt ", kind);
                return Some(());
            }
            let (option, rest) = options.split_at(octets);
            self.tcp_option(kind, &option[2..], shift);
            options = rest;
        }
        if cut { None } else { Some(()) }
    }

    fn tcp_option(&mut self, kind: u8, data: &[u8], shift: Shift) {
        let span = Span::frame(data, data.len());
        match (kind, data.len()) {
            (2, 2) => show!(self.out, "mss ", span.u16(0).unwrap_or_default()),
            (3, 1) => show!(self.out, "wscale ", data[0]),
            (4, 0) => show!(self.out, "sackOK"),
            (5, length) if length % 8 == 0 => {
                show!(self.out, "sack ", length / 8, " ");
                for block in data.chunks_exact(8) {
                    let edge =
                        |at| Span::frame(block, 8).u32(at).unwrap_or_default().wrapping_sub(shift.sack);
                    show!(self.out, "{", edge(0), ":", edge(4), "}");
                }
            }
            (6, 4) => show!(self.out, "echo ", span.u32(0).unwrap_or_default()),
            (7, 4) => show!(self.out, "echoreply ", span.u32(0).unwrap_or_default()),
            (8, 8) => {
                let (value, echo) = (span.u32(0).unwrap_or_default(), span.u32(4).unwrap_or_default());
                show!(self.out, "TS val ", value, " ecr ", echo);
            }
            (19, 16) => {
                show!(self.out, "md5 ");
                self.out.hex_bytes(data);
            }
            (28, 2) => {
                let value = span.u16(0).unwrap_or_default();
                let unit = if value & 0x8000 != 0 { "m" } else { "s" };
                show!(self.out, "uto ", value & 0x7fff, unit);
            }
            (30, _) => {
                show!(self.out, "mptcp ", data.len() + 2, " subtype ", data.first().map_or(0, |b| b >> 4))
            }
            // RFC 7413.
            (34, 0) => show!(self.out, "tfo  cookiereq"),
            (34, _) => {
                show!(self.out, "tfo  cookie ");
                self.out.hex_bytes(data);
            }
            // RFC 6994: experiments, told apart by a number; 0xf989 is fast open.
            (253 | 254, 2..) if data[..2] == [0xf9, 0x89] => {
                show!(self.out, "exp-tfo");
                if data.len() == 2 {
                    show!(self.out, " cookiereq");
                } else {
                    show!(self.out, " cookie ");
                    self.out.hex_bytes(&data[2..]);
                }
            }
            (253 | 254, 2..) => {
                show!(self.out, "exp-");
                self.out.hex_bytes(&data[..2]);
                if data.len() > 2 {
                    show!(self.out, " 0x");
                    self.out.hex_bytes(&data[2..]);
                }
            }
            // One that is known, of a length that it cannot have.
            (2..=8 | 19 | 28, length) => {
                self.tcp_option_name(kind);
                show!(self.out, " [len ", length + 2, "]");
            }
            _ => {
                self.tcp_option_name(kind);
                show!(self.out, " 0x");
                self.out.hex_bytes(data);
            }
        }
    }

    fn tcp_option_name(&mut self, kind: u8) {
        match kind {
            2 => show!(self.out, "mss"),
            3 => show!(self.out, "wscale"),
            4 => show!(self.out, "sackOK"),
            5 => show!(self.out, "sack"),
            6 => show!(self.out, "echo"),
            7 => show!(self.out, "echoreply"),
            8 => show!(self.out, "TS"),
            19 => show!(self.out, "md5"),
            28 => show!(self.out, "uto"),
            30 => show!(self.out, "mptcp"),
            34 => show!(self.out, "tfo"),
            253 | 254 => show!(self.out, "exp"),
            _ => show!(self.out, "unknown-", kind),
        }
    }
}
