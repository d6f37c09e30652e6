//! Headers around further packets: GRE, VXLAN, Geneve, GTP-U, Teredo.

use super::link::{ether_type, ether_type_name};
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex, Hex2, Hex4, show};

impl Printer<'_> {
    /// RFC 2784, 2890; version 1: RFC 2637.
    pub(super) fn gre(&mut self, span: Span<'_>) -> Printed {
        let (flags, kind) = (span.u16(0)?, span.u16(2)?);
        let version = flags & 7;
        show!(self.out, "GREv", version);
        if version > 1 {
            show!(self.out, " [unknown version]");
            return Some(());
        }
        if self.verbose() {
            self.gre_flags(flags);
        }
        let mut at = 4;
        if version == 0 {
            // Checksum, and the offset that RFC 1701 put beside it.
            if flags & 0xc000 != 0 {
                if flags & 0x8000 != 0 {
                    show!(self.out, ", sum ", Hex(span.u16(at)?));
                }
                if flags & 0x4000 != 0 {
                    show!(self.out, ", off ", Hex(span.u16(at + 2)?));
                }
                at += 4;
            }
            if flags & 0x2000 != 0 {
                show!(self.out, ", key=", Hex(span.u32(at)?));
                at += 4;
            }
            if flags & 0x1000 != 0 {
                show!(self.out, ", seq ", span.u32(at)?);
                at += 4;
            }
            if flags & 0x4000 != 0 {
                at = self.source_routes(span, at)?;
            }
        } else {
            if flags & 0x2000 != 0 {
                show!(self.out, ", call ", span.u16(at + 2)?);
                at += 4;
            }
            if flags & 0x1000 != 0 {
                show!(self.out, ", seq ", span.u32(at)?);
                at += 4;
            }
            if flags & 0x0080 != 0 {
                show!(self.out, ", ack ", span.u32(at)?);
                at += 4;
            }
            if flags & 0x1000 == 0 {
                show!(self.out, ", no-payload, length ", span.length);
                return Some(());
            }
        }
        if self.options.link_header {
            show!(self.out, ", proto ", ether_type_name(kind), " (", Hex4(kind), ")");
        }
        show!(self.out, ", length ", span.length, if self.verbose() { "\n\t" } else { ": " });
        self.gre_payload(kind, flags, span.skip(at));
        Some(())
    }

    /// RFC 1701: entries until an empty one; gives where they end.
    fn source_routes(&mut self, span: Span<'_>, mut at: usize) -> Option<usize> {
        loop {
            let (family, length) = (span.u16(at)?, span.u8(at + 3)?);
            at += 4 + usize::from(length);
            if family == 0 && length == 0 {
                return Some(at);
            }
        }
    }

    fn gre_payload(&mut self, kind: u16, flags: u16, rest: Span<'_>) {
        match kind {
            // Spanned frames (draft-foschiano-erspan): type I has no header of its own, II and III have.
            ether_type::ERSPAN if flags & 0x1000 == 0 => {
                show!(self.out, "ERSPAN, ");
                self.by_ether_type(ether_type::TEB, rest);
            }
            ether_type::ERSPAN | ether_type::ERSPAN_III => self.whole("erspan", |printer| {
                let (first, second) = (rest.u16(0)?, rest.u16(2)?);
                show!(printer.out, "ERSPAN type ", if kind == ether_type::ERSPAN { "II" } else { "III" });
                show!(printer.out, ", session ", second & 0x3ff, ", vlan ", first & 0xfff, ": ");
                let platform = kind == ether_type::ERSPAN_III && rest.u16(10)? & 1 != 0;
                let header = match (kind, platform) {
                    (ether_type::ERSPAN, _) => 8,
                    (_, false) => 12,
                    (_, true) => 20,
                };
                printer.by_ether_type(ether_type::TEB, rest.skip(header));
                Some(())
            }),
            // WCCPv2: IPv4 behind a four-byte header, unless that is the IPv4 header already.
            ether_type::WCCP => self.by_ether_type(
                ether_type::IPV4,
                if rest.u8(0).is_some_and(|byte| byte >> 4 == 4) { rest } else { rest.skip(4) },
            ),
            _ => {
                let known = !matches!(ether_type_name(kind), "Unknown");
                if known {
                    self.by_ether_type(kind, rest);
                } else {
                    show!(self.out, "gre-proto-", Hex4(kind));
                }
            }
        }
    }

    fn gre_flags(&mut self, flags: u16) {
        show!(self.out, ", Flags ");
        let names = [
            (0x8000, "checksum present"),
            (0x4000, "routing present"),
            (0x2000, "key present"),
            (0x1000, "sequence# present"),
            (0x0800, "source routing present"),
            (0x0080, "ack present"),
        ];
        self.flags(flags, &names);
    }

    /// RFC 7348 5. The next-protocol field of VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe) is honoured.
    pub(super) fn vxlan(&mut self, span: Span<'_>) -> bool {
        let (Some(flags), Some(network), Some(next)) = (span.u8(0), span.u32(4), span.u8(3)) else {
            return false;
        };
        show!(self.out, "VXLAN, flags [", if flags & 8 != 0 { "I" } else { "." }, "] (");
        show!(self.out, Hex2(flags), "), vni ", network >> 8, ": ");
        let kind = match next {
            1 if flags & 4 != 0 => ether_type::IPV4,
            2 if flags & 4 != 0 => ether_type::IPV6,
            _ => ether_type::TEB,
        };
        self.by_ether_type(kind, span.skip(8));
        true
    }

    /// RFC 8926 3.4.
    pub(super) fn geneve(&mut self, span: Span<'_>) -> bool {
        let (Some(first), Some(flags)) = (span.u8(0), span.u8(1)) else { return false };
        let (Some(kind), Some(network)) = (span.u16(2), span.u32(4)) else { return false };
        if first >> 6 != 0 {
            return false;
        }
        show!(self.out, "Geneve, Flags [");
        show!(self.out, if flags & 0x80 != 0 { "O" } else { "" }, if flags & 0x40 != 0 { "C" } else { "" });
        show!(self.out, if flags & 0xc0 == 0 { "none" } else { "" }, "], vni ", Hex(network >> 8));
        if kind != ether_type::TEB {
            show!(self.out, ", proto ", ether_type_name(kind), " (", Hex4(kind), ")");
        }
        let options = usize::from(first & 0x3f) * 4;
        if options > 0 {
            show!(self.out, ", options [", options, " bytes]");
        }
        show!(self.out, if self.verbose() { "\n\t" } else { ": " });
        self.by_ether_type(kind, span.skip(8 + options));
        true
    }

    /// 3GPP TS 29.281 5: the user plane, version 1.
    pub(super) fn gtp(&mut self, span: Span<'_>) -> bool {
        let (Some(flags), Some(kind), Some(tunnel)) = (span.u8(0), span.u8(1), span.u32(4)) else {
            return false;
        };
        if flags >> 4 != 3 {
            return false;
        }
        show!(self.out, "GTPv1-U, teid ", Hex(tunnel), ", ");
        if kind != 255 {
            let name = match kind {
                1 => "echo request",
                2 => "echo response",
                26 => "error indication",
                31 => "supported extension headers",
                254 => "end marker",
                _ => "message",
            };
            show!(self.out, name, " (", kind, "), length ", span.length);
            return true;
        }
        self.whole("gtp", |printer| {
            let mut at = 8;
            if flags & 7 != 0 {
                let mut next = if flags & 4 != 0 { span.u8(11)? } else { 0 };
                at = 12;
                // Extension headers: length in units of four bytes, the next one's type last.
                while next != 0 {
                    let length = usize::from(span.u8(at)?) * 4;
                    if length == 0 {
                        return None;
                    }
                    next = span.u8(at + length - 1)?;
                    at += length;
                }
            }
            printer.nested(|printer| printer.ip_by_version(span.skip(at)));
            Some(())
        });
        true
    }

    /// RFC 4380 5.1.1: authentication and origin indications, then IPv6.
    pub(super) fn teredo(&mut self, span: Span<'_>) -> bool {
        let mut rest = span;
        if rest.u16(0) == Some(1) {
            let (Some(client), Some(value)) = (rest.u8(2), rest.u8(3)) else { return false };
            rest = rest.skip(4 + usize::from(client) + usize::from(value) + 9);
        }
        if rest.u16(0) == Some(0) {
            rest = rest.skip(8);
        }
        if rest.u8(0).is_none_or(|byte| byte >> 4 != 6) {
            return false;
        }
        show!(self.out, "Teredo: ");
        self.nested(|printer| printer.ipv6(rest));
        true
    }
}
