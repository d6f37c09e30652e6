//! PPP (RFC 1661) and its carriage over Ethernet (RFC 2516).

use super::link::ether_type;
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex, Hex2, Hex4, show};

impl Printer<'_> {
    /// RFC 2516 4.
    pub(super) fn pppoe(&mut self, span: Span<'_>, discovery: bool) -> Printed {
        let (code, session, length) = (span.u8(1)?, span.u16(2)?, usize::from(span.u16(4)?));
        let name = match code {
            0x00 => "",
            0x07 => "PADO",
            0x09 => "PADI",
            0x19 => "PADR",
            0x65 => "PADS",
            0xa7 => "PADT",
            _ => "PAD-unknown",
        };
        show!(self.out, "PPPoE ", name);
        if session != 0 {
            show!(self.out, " [ses ", Hex(session), "]");
        }
        if discovery || code != 0 {
            return self.pppoe_tags(span.skip(6).limit(length));
        }
        show!(self.out, " ");
        self.ppp(span.skip(6).limit(length))
    }

    /// RFC 2516 appendix A.
    fn pppoe_tags(&mut self, mut span: Span<'_>) -> Printed {
        while span.length > 0 {
            let (kind, length) = (span.u16(0)?, usize::from(span.u16(2)?));
            let value = span.slice(4, length)?;
            let name = match kind {
                0x0000 => return Some(()),
                0x0101 => "Service-Name",
                0x0102 => "AC-Name",
                0x0103 => "Host-Uniq",
                0x0104 => "AC-Cookie",
                0x0105 => "Vendor-Specific",
                0x0110 => "Relay-Session-ID",
                0x0120 => "PPP-Max-Payload",
                0x0201 => "Service-Name-Error",
                0x0202 => "AC-System-Error",
                0x0203 => "Generic-Error",
                _ => "TAG-unknown",
            };
            show!(self.out, " [", name);
            if value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
                if !value.is_empty() {
                    show!(self.out, " \"");
                    self.out.extend_from_slice(value);
                    show!(self.out, "\"");
                }
            } else {
                show!(self.out, " 0x");
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let digits = |byte: &u8| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.out.extend(value.iter().flat_map(digits));
            }
            show!(self.out, "]");
            span = span.skip(4 + length);
        }
        Some(())
    }

    /// A PPP frame from its protocol field on; the address and control bytes of HDLC may stand before it.
    pub(super) fn ppp(&mut self, span: Span<'_>) -> Printed {
        let span = if span.u16(0) == Some(0xff03) { span.skip(2) } else { span };
        // RFC 1661 6.5: an odd first byte is the whole of a compressed protocol field.
        let (kind, header) = match span.u8(0)? {
            first if first & 1 == 1 => (u16::from(first), 1),
            _ => (span.u16(0)?, 2),
        };
        let rest = span.skip(header);
        if self.options.link_header && matches!(kind, 0x0021 | 0x0057) {
            let name = if kind == 0x0021 { "IP" } else { "IP6" };
            show!(self.out, name, " (", Hex4(kind), "), length ", span.length, ": ");
        }
        match kind {
            0x0021 => self.carried(ether_type::IPV4, rest),
            0x0057 => self.carried(ether_type::IPV6, rest),
            0x0281 | 0x0283 => self.carried(ether_type::MPLS, rest),
            _ => {
                let name = match kind {
                    0x00fd => "Compressed Datagram",
                    0x003d => "MLPPP",
                    0x8021 => "IPCP",
                    0x8057 => "IP6CP",
                    0x80fd => "CCP",
                    0x8053 => "ECP",
                    0xc021 => "LCP",
                    0xc023 => "PAP",
                    0xc025 => "LQR",
                    0xc223 => "CHAP",
                    0xc227 => "EAP",
                    _ => {
                        show!(self.out, "unknown PPP protocol (", Hex4(kind), "), length ", rest.length);
                        return Some(());
                    }
                };
                show!(self.out, name);
                if matches!(kind, 0x8021 | 0x8057 | 0x80fd | 0x8053 | 0xc021) {
                    return self.ppp_control(rest);
                }
                show!(self.out, ", length ", rest.length);
                true
            }
        };
        Some(())
    }

    /// RFC 1661 5.
    fn ppp_control(&mut self, span: Span<'_>) -> Printed {
        let names = [
            "Vendor-Extension",
            "Conf-Request",
            "Conf-Ack",
            "Conf-Nack",
            "Conf-Reject",
            "Term-Request",
            "Term-Ack",
            "Code-Reject",
            "Prot-Reject",
            "Echo-Request",
            "Echo-Reply",
            "Discard-Request",
            "Identification",
            "Time-Remaining",
        ];
        let (code, id) = (span.u8(0)?, span.u8(1)?);
        let name = names.get(usize::from(code)).unwrap_or(&"Unknown Opcode");
        show!(self.out, ", ", *name, " (", Hex2(code));
        // The length counts the two bytes of the protocol field too, as tcpdump has it.
        show!(self.out, "), id ", id, ", length ", span.length + 2);
        Some(())
    }
}
