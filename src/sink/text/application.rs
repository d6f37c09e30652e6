//! Protocols above the transport: the name, and the first line or the type where that is cheap.

use super::link::ether_type;
use super::printer::{Printed, Printer};
use super::span::Span;
use super::text_protocol::{Line, line};
use crate::sink::format::{Hex, Hex2, Hex4, Hex8, Mac, show};

impl Printer<'_> {
    /// Data of a TCP segment, by its ports.
    pub(super) fn stream(&mut self, data: Span<'_>, source: u16, destination: u16) {
        let on = |port| source == port || destination == port;
        if on(80) || on(8080) || on(3128) {
            self.named_text("HTTP", data, true);
        } else if on(21) {
            self.named_text("FTP", data, false);
        } else if on(22) {
            // All but the first lines of a connection are encrypted.
            if !matches!(line(data.bytes), Line::Binary) {
                self.named_text("SSH", data, false);
            }
        } else if on(43) {
            self.named_text("WHOIS", data, false);
        } else if on(25) {
            self.named_text("SMTP", data, false);
        } else if on(554) || on(8554) {
            self.named_text("RTSP", data, true);
        } else if on(5060) {
            self.named_text("SIP", data, true);
        } else if data.length > 2 && (on(53) || on(5353)) {
            self.dns_over_tcp(data);
        } else if on(179) {
            show!(self.out, ": BGP");
        }
    }

    /// RFC 2131, RFC 951.
    pub(super) fn dhcp(&mut self, data: Span<'_>) -> Printed {
        show!(self.out, "BOOTP/DHCP, ");
        let (operation, hardware, address) = (span_operation(data)?, data.u8(1)?, data.slice(28, 6)?);
        let address_length = data.u8(2)?;
        match operation {
            "" => show!(self.out, "unknown (", data.u8(0)?, ")"),
            name => show!(self.out, name),
        }
        if operation == "Request" && hardware == 1 && address_length == 6 {
            show!(self.out, " from ", Mac(address));
        }
        show!(self.out, ", length ", data.length);
        if self.verbose() {
            self.dhcp_fields(data)?;
        }
        Some(())
    }

    fn dhcp_fields(&mut self, data: Span<'_>) -> Printed {
        show!(self.out, ", xid ", Hex(data.u32(4)?));
        for (name, at) in [("Client-IP", 12), ("Your-IP", 16), ("Server-IP", 20), ("Gateway-IP", 24)] {
            let address = data.array::<4>(at)?;
            if address != [0; 4] {
                show!(self.out, "\n\t  ", name, " ", address);
            }
        }
        show!(self.out, "\n\t  Client-Ethernet-Address ", Mac(data.slice(28, 6)?));
        // RFC 2132 2, 9.6: options behind the magic cookie; 53 is the message's type.
        if data.u32(236) != Some(0x6382_5363) {
            return Some(());
        }
        let mut option = data.skip(240);
        loop {
            let kind = option.u8(0)?;
            match kind {
                0 => option = option.skip(1),
                255 => return Some(()),
                53 => {
                    let names =
                        ["Discover", "Offer", "Request", "Decline", "ACK", "NACK", "Release", "Inform"];
                    let value = option.u8(2)?;
                    let name = names.get(usize::from(value).wrapping_sub(1)).unwrap_or(&"unknown");
                    show!(self.out, "\n\t  DHCP-Message (53): ", *name);
                    return Some(());
                }
                _ => option = option.skip(2 + usize::from(option.u8(1)?)),
            }
        }
    }

    /// RFC 9915 7.3.
    pub(super) fn dhcpv6(&mut self, data: Span<'_>) -> bool {
        let names = [
            "solicit",
            "advertise",
            "request",
            "confirm",
            "renew",
            "rebind",
            "reply",
            "release",
            "decline",
            "reconf",
            "inf-req",
            "relay-fwd",
            "relay-reply",
            "leasequery",
            "leasequery-reply",
        ];
        let Some(kind) = data.u8(0) else { return false };
        show!(self.out, "dhcp6 ");
        match names.get(usize::from(kind).wrapping_sub(1)) {
            Some(name) => show!(self.out, *name),
            None => show!(self.out, "msgtype-", kind),
        }
        true
    }

    /// RFC 5905 7.3.
    pub(super) fn ntp(&mut self, data: Span<'_>) -> bool {
        let Some(first) = data.u8(0) else { return false };
        let modes = [
            "unspecified",
            "symmetric active",
            "symmetric passive",
            "Client",
            "Server",
            "Broadcast",
            "Control Message",
            "Reserved",
        ];
        show!(
            self.out,
            "NTPv",
            first >> 3 & 7,
            ", ",
            modes[usize::from(first & 7)],
            ", length ",
            data.length
        );
        if self.verbose()
            && let (Some(stratum), Some(poll)) = (data.u8(1), data.u8(2))
        {
            show!(self.out, "\n\tStratum ", stratum, ", poll ", poll);
        }
        true
    }

    /// RFC 2453 4.
    pub(super) fn rip(&mut self, data: Span<'_>) -> bool {
        let (Some(command), Some(version @ 1..=2)) = (data.u8(0), data.u8(1)) else { return false };
        let name = match command {
            1 => "Request",
            2 => "Response",
            _ => return false,
        };
        show!(self.out, "RIPv", version, ", ", name, ", length: ", data.length);
        true
    }

    /// RFC 3164 4.1.1: `<PRI>`.
    pub(super) fn syslog(&mut self, data: Span<'_>) -> bool {
        let facilities = [
            "kernel", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
            "ftp", "ntp", "security", "console", "cron", "local0", "local1", "local2", "local3", "local4",
            "local5", "local6", "local7",
        ];
        let severities = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
        let Some(text) = data.bytes.strip_prefix(b"<") else { return false };
        let digits = text.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if text.get(digits) != Some(&b'>') {
            return false;
        }
        let priority = text[..digits].iter().fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
        let facility = facilities.get(priority >> 3).unwrap_or(&"unknown");
        show!(self.out, "SYSLOG ", *facility, ".", severities[priority & 7], ", length: ", data.length);
        if self.verbose() {
            show!(self.out, "\n\tMsg: ");
            self.caret(&text[digits + 1..]);
        }
        true
    }

    /// RFC 1350 5.
    pub(super) fn tftp(&mut self, data: Span<'_>) -> bool {
        let Some(operation) = data.u16(0) else { return false };
        let names = ["RRQ", "WRQ", "DATA", "ACK", "ERROR", "OACK"];
        let Some(name) = names.get(usize::from(operation).wrapping_sub(1)) else { return false };
        show!(self.out, "TFTP, length ", data.length, ", ", *name);
        match operation {
            1 | 2 => {
                let mut words = data.skip(2).bytes.split(|&byte| byte == 0);
                if let (Some(file), Some(mode)) = (words.next(), words.next()) {
                    show!(self.out, " \"");
                    self.caret(file);
                    show!(self.out, "\" ");
                    self.caret(mode);
                }
            }
            3 | 4 => {
                if let Some(block) = data.u16(2) {
                    show!(self.out, " block ", block);
                }
            }
            _ => {}
        }
        true
    }

    /// RFC 2865 3, RFC 2866 3.
    pub(super) fn radius(&mut self, data: Span<'_>) -> bool {
        let (Some(code), Some(id)) = (data.u8(0), data.u8(1)) else { return false };
        let name = match code {
            1 => "Access-Request",
            2 => "Access-Accept",
            3 => "Access-Reject",
            4 => "Accounting-Request",
            5 => "Accounting-Response",
            11 => "Access-Challenge",
            12 => "Status-Server",
            13 => "Status-Client",
            _ => "Unknown Command",
        };
        show!(self.out, "RADIUS, ", name, " (", code, "), id: ", Hex2(id), " length: ", data.length);
        true
    }

    /// RFC 3948: ESP, IKE behind four zero bytes, or a keep-alive.
    pub(super) fn nat_traversal(&mut self, data: Span<'_>) -> bool {
        match data.u32(0) {
            None if data.u8(0) == Some(0xff) => show!(self.out, "isakmp-nat-keep-alive"),
            None => return false,
            Some(0) => show!(self.out, "NONESP-encap: isakmp, length ", data.length),
            Some(index) => {
                let sequence = data.u32(4).unwrap_or_default();
                show!(self.out, "UDP-encap: ESP(spi=", Hex8(index), ",seq=", Hex(sequence));
                show!(self.out, "), length ", data.length);
            }
        }
        true
    }

    /// A payload of which only its EtherType is known.
    pub(super) fn by_ether_type(&mut self, kind: u16, span: Span<'_>) {
        if kind == ether_type::TEB {
            return self.nested(|printer| {
                printer.ethernet(span);
            });
        }
        self.nested(|printer| {
            if !printer.carried(kind, span) {
                show!(printer.out, "ethertype ", Hex4(kind), ", length ", span.length);
            }
        });
    }
}

fn span_operation(data: Span<'_>) -> Option<&'static str> {
    Some(match data.u8(0)? {
        1 => "Request",
        2 => "Reply",
        _ => "",
    })
}
