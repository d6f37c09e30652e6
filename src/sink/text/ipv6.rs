//! IPv6 and its extension headers.

use super::ip::{Ip, protocol, protocol_label};
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex, Hex8, Put, show};

impl Printer<'_> {
    /// RFC 8200.
    pub(super) fn ipv6(&mut self, span: Span<'_>) {
        self.seen(span.start);
        self.whole("ip6", |printer| printer.ipv6_header(span));
    }

    fn ipv6_header(&mut self, span: Span<'_>) -> Printed {
        let first = span.u8(0)?;
        if first >> 4 != 6 {
            show!(self.out, "IP6 version error: ", first >> 4, " != 6");
            return Some(());
        }
        if !self.options.link_header {
            show!(self.out, "IP6 ");
        }
        let (source, destination) = (span.slice(8, 16)?, span.slice(24, 16)?);
        let (word, declared, next, hops) =
            (span.u32(0)?, usize::from(span.u16(4)?), span.u8(6)?, span.u8(7)?);
        if span.length < declared + 40 {
            show!(self.out, "truncated-ip6 - ", declared + 40 - span.length, " bytes missing!");
        }
        if self.verbose() {
            show!(self.out, "(");
            let (class, flow) = (word >> 20 & 0xff, word & 0xf_ffff);
            if class != 0 {
                show!(self.out, "class 0x");
                self.out.hex(class.into(), 2);
                show!(self.out, ", ");
            }
            if flow != 0 {
                show!(self.out, "flowlabel 0x");
                self.out.hex(flow.into(), 5);
                show!(self.out, ", ");
            }
            show!(self.out, "hlim ", hops, ", next-header ", protocol_label(next), " (", next);
            show!(self.out, ") payload length: ", declared, ") ");
        }
        // 0 with a jumbo payload option (RFC 2675), or for offloads: the frame says how long it is.
        let body = match declared {
            0 => span.skip(40),
            _ => Span { length: declared, ..span.limit(declared + 40).skip(40) },
        };
        let (_, verdict) = self.verdicts_at(span.start);
        let ip = Ip { source, destination, named: false, fragment: false, verdict };
        self.extension_headers(next, body, ip)
    }

    /// Walks extension headers, naming each, up to the upper layer.
    fn extension_headers(&mut self, mut next: u8, mut span: Span<'_>, mut ip: Ip<'_>) -> Printed {
        loop {
            let extension = matches!(
                next,
                protocol::HOP_BY_HOP
                    | protocol::ROUTING
                    | protocol::FRAGMENT
                    | protocol::DESTINATION
                    | protocol::AH
                    | protocol::MOBILITY
            );
            if !extension {
                self.carried_by_ip(next, span, ip);
                return Some(());
            }
            if !ip.named {
                self.addresses(ip.source, ip.destination);
                ip.named = true;
            }
            let (following, length) = (span.u8(0)?, span.u8(1)?);
            let mut octets = (usize::from(length) + 1) * 8;
            match next {
                protocol::HOP_BY_HOP => show!(self.out, "HBH "),
                protocol::DESTINATION => show!(self.out, "DSTOPT "),
                protocol::ROUTING => self.routing_header(span)?,
                protocol::MOBILITY => {
                    self.mobility(span)?;
                    return Some(());
                }
                protocol::AH => {
                    octets = (usize::from(length) + 2) * 4;
                    self.authentication_header(span)?;
                }
                _ => {
                    octets = 8;
                    let field = span.u16(2)?;
                    let (offset, more) = (field & 0xfff8, field & 1 != 0);
                    show!(self.out, "frag (");
                    if self.verbose() {
                        show!(self.out, Hex8(span.u32(4)?), ":");
                    }
                    show!(self.out, offset, "|", span.length.saturating_sub(8), ")");
                    if offset > 0 {
                        return Some(());
                    }
                    show!(self.out, " ");
                    ip.fragment |= more;
                }
            }
            if span.bytes.len() < octets {
                return None;
            }
            (next, span) = (following, span.skip(octets));
        }
    }

    /// RFC 8200 4.4, RFC 8754.
    fn routing_header(&mut self, span: Span<'_>) -> Printed {
        let (length, kind, left) = (span.u8(1)?, span.u8(2)?, span.u8(3)?);
        match kind {
            0 | 2 => {
                let name = if kind == 0 { " [Deprecated]" } else { "" };
                show!(self.out, "RT6 (len=", length, ", type=", kind, name, ", segleft=", left);
                for index in 0..usize::from(length / 2) {
                    show!(self.out, ", [", index, "]", span.array::<16>(8 + index * 16)?);
                }
            }
            4 => {
                show!(self.out, "RT6 (len=", length, ", type=4, segleft=", left);
                let (last, tag) = (span.u8(4)?, span.u16(6)?);
                show!(self.out, ", last-entry=", last, ", tag=");
                self.out.hex(tag.into(), 1);
                for index in 0..=usize::from(last).min(usize::from(length / 2).saturating_sub(1)) {
                    show!(self.out, ", [", index, "]", span.array::<16>(8 + index * 16)?);
                }
            }
            _ => show!(self.out, "RT6 (len=", length, ", type=", kind, ", segleft=", left),
        }
        show!(self.out, ") ");
        Some(())
    }

    /// RFC 6275 6.1.
    fn mobility(&mut self, span: Span<'_>) -> Printed {
        let kind = span.u8(2)?;
        let names = ["BRR", "HoTI", "CoTI", "HoT", "CoT", "BU", "BA", "BE"];
        match names.get(usize::from(kind)) {
            Some(name) => show!(self.out, "mobility: ", *name),
            None => show!(self.out, "mobility: type-#", kind),
        }
        show!(self.out, ", length ", span.length);
        Some(())
    }

    /// RFC 4302.
    pub(super) fn authentication_header(&mut self, span: Span<'_>) -> Printed {
        let (length, index, number) = (span.u8(1)?, span.u32(4)?, span.u32(8)?);
        show!(self.out, "AH(spi=", Hex8(index), ",seq=", Hex(number), ",icv=0x");
        let value = span.slice(12, (usize::from(length) + 2).saturating_mul(4).saturating_sub(12))?;
        self.out.hex_bytes(value);
        show!(self.out, "): ");
        Some(())
    }
}
