//! SCTP (RFC 9260) and DCCP (RFC 4340): ports and what kind of packet.

use super::ip::Ip;
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::parse::Transport;
use crate::sink::format::{Hex, show};

fn chunk_name(kind: u8) -> &'static str {
    match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HB REQ",
        5 => "HB ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "OP ERR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        12 => "ECN ECHO",
        13 => "CWR",
        14 => "SHUTDOWN COMPLETE",
        15 => "AUTH",
        0x40 => "I-DATA",
        0x80 => "ASCONF-ACK",
        0x82 => "RE-CONFIG",
        0x84 => "PAD",
        0xc0 => "FORWARD TSN",
        0xc1 => "ASCONF",
        _ => "Unknown chunk type",
    }
}

impl Printer<'_> {
    pub(super) fn sctp(&mut self, span: Span<'_>, ip: Ip<'_>) {
        self.whole("sctp", |printer| {
            let (Some(source), Some(destination)) = (span.u16(0), span.u16(2)) else {
                printer.addresses_once(ip);
                return None;
            };
            printer.endpoints(ip, source, destination, Transport::Sctp);
            show!(printer.out, "sctp");
            span.u32(8)?;
            if printer.options.quick {
                show!(printer.out, ", length ", span.length.saturating_sub(12));
                return Some(());
            }
            printer.chunks(span.skip(12))
        });
    }

    fn chunks(&mut self, mut span: Span<'_>) -> Printed {
        let mut number = 1_usize;
        while span.length > 0 {
            let (kind, flags, length) = (span.u8(0)?, span.u8(1)?, usize::from(span.u16(2)?));
            if self.verbose() {
                show!(self.out, "\n\t", number, ")");
            } else {
                show!(self.out, if number == 1 { " (" } else { ", (" }, number, ")");
            }
            show!(self.out, " [", chunk_name(kind), "] ");
            if length < 4 {
                show!(self.out, "[bad chunk length ", length, "]");
                return Some(());
            }
            self.chunk(kind, flags, span.limit(length))?;
            span = span.skip(length.next_multiple_of(4));
            number += 1;
        }
        Some(())
    }

    fn chunk(&mut self, kind: u8, flags: u8, chunk: Span<'_>) -> Printed {
        match kind {
            0 => {
                let marks = [(4, "(U)"), (2, "(B)"), (1, "(E)")];
                for (_, mark) in marks.iter().filter(|(bit, _)| flags & bit != 0) {
                    show!(self.out, *mark);
                }
                show!(self.out, if flags & 7 != 0 { " " } else { "" });
                show!(self.out, "[TSN: ", chunk.u32(4)?, "] [SID: ", chunk.u16(8)?);
                show!(self.out, "] [SSEQ ", chunk.u16(10)?, "] [PPID ", Hex(chunk.u32(12)?), "] ");
            }
            1 | 2 => {
                show!(self.out, "[init tag: ", chunk.u32(4)?, "] [rwnd: ", chunk.u32(8)?);
                show!(self.out, "] [OS: ", chunk.u16(12)?, "] [MIS: ", chunk.u16(14)?);
                show!(self.out, "] [init TSN: ", chunk.u32(16)?, "] ");
            }
            3 => {
                show!(self.out, "[cum ack ", chunk.u32(4)?, "] [a_rwnd ", chunk.u32(8)?);
                show!(self.out, "] [#gap acks ", chunk.u16(12)?, "] [#dup tsns ", chunk.u16(14)?, "] ");
            }
            _ => {}
        }
        Some(())
    }

    /// RFC 4340 5.
    pub(super) fn dccp(&mut self, span: Span<'_>, ip: Ip<'_>) -> Printed {
        let (Some(source), Some(destination)) = (span.u16(0), span.u16(2)) else {
            self.addresses_once(ip);
            return None;
        };
        self.endpoints(ip, source, destination, Transport::Dccp);
        let kind = span.u8(8)? >> 1 & 15;
        let names = [
            "DCCP-Request",
            "DCCP-Response",
            "DCCP-Data",
            "DCCP-Ack",
            "DCCP-DataAck",
            "DCCP-CloseReq",
            "DCCP-Close",
            "DCCP-Reset",
            "DCCP-Sync",
            "DCCP-SyncAck",
        ];
        show!(self.out, "DCCP ");
        match names.get(usize::from(kind)) {
            Some(name) => show!(self.out, *name),
            None => show!(self.out, "unknown packet type ", kind),
        }
        show!(self.out, ", length ", span.length);
        Some(())
    }
}
