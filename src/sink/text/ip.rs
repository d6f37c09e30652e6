//! IPv4, and the choice of what either version of IP carries.

use super::printer::{Printed, Printer};
use super::span::Span;
use crate::parse::Transport;
use crate::sink::format::{Hex, Hex4, Hex8, Put, show};
use crate::verify::Verdict;

/// IP protocol numbers: those of [`parse`](crate::parse), and those that are only printed (RFC 5237 registry).
pub(super) mod protocol {
    pub(in super::super) use crate::parse::protocol::{
        DCCP, ETHERNET, GRE, ICMP, ICMPV6, IGMP, IPV4, IPV6, MPLS, SCTP, TCP, UDP, UDPLITE as UDP_LITE,
    };
    pub(in super::super) const HOP_BY_HOP: u8 = 0;
    pub(in super::super) const ROUTING: u8 = 43;
    pub(in super::super) const FRAGMENT: u8 = 44;
    pub(in super::super) const ESP: u8 = 50;
    pub(in super::super) const AH: u8 = 51;
    pub(in super::super) const NO_NEXT: u8 = 59;
    pub(in super::super) const DESTINATION: u8 = 60;
    pub(in super::super) const IPCOMP: u8 = 108;
    pub(in super::super) const MOBILITY: u8 = 135;
}

/// The IP header around what a printer prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) source: &'a [u8],
    pub(super) destination: &'a [u8],
    /// Addresses stand on the line already: an extension header came before the ports.
    pub(super) named: bool,
    /// A fragment: what follows is not all here.
    pub(super) fragment: bool,
    /// What verification concluded about the layer it carries.
    pub(super) verdict: Verdict,
}

/// An address by its length.
pub(super) fn address(out: &mut Vec<u8>, address: &[u8]) {
    if let Ok(v4) = <[u8; 4]>::try_from(address) {
        out.ipv4(v4);
    } else if let Ok(v6) = <[u8; 16]>::try_from(address) {
        out.ipv6(v6);
    }
}

/// The name `-v` gives a protocol number.
pub(super) fn protocol_label(number: u8) -> &'static str {
    match number {
        protocol::HOP_BY_HOP => "Options",
        protocol::ICMP => "ICMP",
        protocol::IGMP => "IGMP",
        protocol::IPV4 => "IPIP",
        protocol::TCP => "TCP",
        protocol::UDP => "UDP",
        protocol::DCCP => "DCCP",
        protocol::IPV6 => "IPv6",
        protocol::ROUTING => "Routing",
        protocol::FRAGMENT => "Fragment",
        protocol::GRE => "GRE",
        protocol::ESP => "ESP",
        protocol::AH => "AH",
        protocol::ICMPV6 => "ICMPv6",
        protocol::NO_NEXT => "no next header",
        protocol::DESTINATION => "Options",
        protocol::IPCOMP => "Compressed IP",
        protocol::SCTP => "SCTP",
        protocol::MOBILITY => "Mobility",
        protocol::UDP_LITE => "UDPLite",
        protocol::MPLS => "MPLS",
        46 => "RSVP",
        88 => "EIGRP",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        _ => "unknown",
    }
}

impl Printer<'_> {
    /// IP of either version, by its first four bits.
    pub(super) fn ip_by_version(&mut self, span: Span<'_>) {
        match span.u8(0).map(|byte| byte >> 4) {
            Some(4) => self.ipv4(span),
            Some(6) => self.ipv6(span),
            Some(version) => show!(self.out, "unknown ip ", version),
            None => self.truncated("ip"),
        }
    }

    /// `1.2.3.4 > 5.6.7.8: `
    pub(super) fn addresses(&mut self, source: &[u8], destination: &[u8]) {
        address(self.out, source);
        show!(self.out, " > ");
        address(self.out, destination);
        show!(self.out, ": ");
    }

    /// The same, unless the line has them already.
    pub(super) fn addresses_once(&mut self, ip: Ip<'_>) {
        if !ip.named {
            self.addresses(ip.source, ip.destination);
        }
    }

    /// `1.2.3.4.80 > 5.6.7.8.1234: `; the ports alone where the line has the addresses already.
    pub(super) fn endpoints(&mut self, ip: Ip<'_>, source: u16, destination: u16, transport: Transport) {
        if !ip.named {
            address(self.out, ip.source);
            self.out.push(b'.');
        }
        self.port(source, transport);
        show!(self.out, " > ");
        if !ip.named {
            address(self.out, ip.destination);
            self.out.push(b'.');
        }
        self.port(destination, transport);
        show!(self.out, ": ");
    }

    /// RFC 791.
    pub(super) fn ipv4(&mut self, span: Span<'_>) {
        self.seen(span.start);
        self.whole("ip", |printer| printer.ipv4_header(span));
    }

    fn ipv4_header(&mut self, span: Span<'_>) -> Printed {
        let first = span.u8(0)?;
        if first >> 4 != 4 {
            show!(self.out, "IP", first >> 4, " (invalid)");
            return Some(());
        }
        if !self.options.link_header {
            show!(self.out, "IP ");
        }
        let (source, destination) = (span.slice(12, 4)?, span.slice(16, 4)?);
        let header = usize::from(first & 15) * 4;
        if header < 20 {
            show!(self.out, "bad-hlen ", header);
            return Some(());
        }
        let declared = usize::from(span.u16(2)?);
        if span.length < declared {
            show!(self.out, "truncated-ip - ", declared - span.length, " bytes missing! ");
        }
        // 0 is what a segmentation offload leaves (and BIG TCP): the frame says how long it is.
        let length = if declared == 0 { span.length } else { declared };
        if length < header {
            show!(self.out, "bad-len ", length);
            return Some(());
        }
        let body = Span { length: length - header, ..span.limit(length).skip(header) };
        let (flags, number) = (span.u16(6)?, span.u8(9)?);
        let (header_verdict, verdict) = self.verdicts_at(span.start);
        if self.verbose() {
            self.ipv4_fields(span, header, header_verdict)?;
        }
        let offset = usize::from(flags & 0x1fff) * 8;
        if offset > 0 {
            self.addresses(source, destination);
            self.out.pop();
            show!(self.out, " ip-proto-", number);
            return Some(());
        }
        if span.bytes.len() < header {
            self.addresses(source, destination);
            return None;
        }
        let ip = Ip { source, destination, named: false, fragment: flags & 0x2000 != 0, verdict };
        self.carried_by_ip(number, body, ip);
        Some(())
    }

    /// `(tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto TCP (6), length 60)` and a line break.
    fn ipv4_fields(&mut self, span: Span<'_>, header: usize, verdict: Verdict) -> Printed {
        let (tos, ttl, number) = (span.u8(1)?, span.u8(8)?, span.u8(9)?);
        let (length, id, flags) = (span.u16(2)?, span.u16(4)?, span.u16(6)?);
        show!(self.out, "(tos ", Hex(tos), ["", ",ECT(1)", ",ECT(0)", ",CE"][usize::from(tos & 3)]);
        if ttl > 0 {
            show!(self.out, ", ttl ", ttl);
        }
        show!(self.out, ", id ", id, ", offset ", (flags & 0x1fff) * 8, ", flags ");
        self.flags(flags, &[(0x2000, "+"), (0x4000, "DF"), (0x8000, "rsvd")]);
        show!(self.out, ", proto ", protocol_label(number), " (", number, "), length ", length);
        if header > 20 {
            show!(self.out, ", options (");
            let options = span.bytes.get(20..header.min(span.bytes.len())).unwrap_or_default();
            self.ipv4_options(options);
            show!(self.out, ")");
        }
        match verdict {
            Verdict::Bad { found, expected } => {
                show!(self.out, ", bad cksum ");
                self.out.hex(found.into(), 1);
                show!(self.out, " (->");
                self.out.hex(expected.into(), 1);
                show!(self.out, ")!");
            }
            Verdict::NotReady => show!(self.out, ", cksum 0 (not yet computed: offloaded)"),
            _ => {}
        }
        show!(self.out, ")\n    ");
        Some(())
    }

    /// RFC 791 3.1, by name.
    fn ipv4_options(&mut self, mut options: &[u8]) {
        let mut separator = "";
        while let Some((&kind, tail)) = options.split_first() {
            let name = match kind {
                0 => "EOL",
                1 => "NOP",
                7 => "RR",
                68 => "timestamp",
                82 => "traceroute",
                130 => "security",
                131 => "LSRR",
                137 => "SSRR",
                148 => "RA",
                _ => "unknown",
            };
            show!(self.out, separator, name);
            separator = ",";
            if name == "unknown" {
                show!(self.out, " ", kind);
            }
            let length = match kind {
                0 => return,
                1 => 1,
                _ => usize::from(tail.first().copied().unwrap_or_default()),
            };
            if length == 0 || length > options.len() || (length == 1 && kind != 1) {
                return show!(self.out, " [bad length ", length, "]");
            }
            if matches!(kind, 7 | 131 | 137) {
                for hop in options[..length].get(3..).unwrap_or_default().chunks_exact(4) {
                    show!(self.out, " ");
                    address(self.out, hop);
                }
            }
            options = &options[length..];
        }
    }

    /// The upper layer.
    pub(super) fn carried_by_ip(&mut self, number: u8, span: Span<'_>, ip: Ip<'_>) {
        // These print their ports with the addresses.
        let own_addresses = matches!(
            number,
            protocol::TCP | protocol::UDP | protocol::SCTP | protocol::DCCP | protocol::UDP_LITE
        );
        if !own_addresses {
            self.addresses_once(ip);
        }
        match number {
            protocol::TCP => self.tcp(span, ip),
            protocol::UDP | protocol::UDP_LITE => self.udp(span, ip, number == protocol::UDP_LITE),
            protocol::SCTP => self.sctp(span, ip),
            protocol::DCCP => self.whole("dccp", |printer| printer.dccp(span, ip)),
            protocol::ICMP => self.icmp(span, ip),
            protocol::ICMPV6 => self.icmpv6(span, ip),
            protocol::IGMP => self.whole("igmp", |printer| printer.igmp(span)),
            protocol::IPV4 => self.nested(|printer| printer.ipv4(span)),
            protocol::IPV6 => self.nested(|printer| printer.ipv6(span)),
            protocol::GRE => self.nested(|printer| printer.whole("gre", |printer| printer.gre(span))),
            protocol::MPLS => self.nested(|printer| printer.whole("mpls", |printer| printer.mpls(span))),
            protocol::ETHERNET => self.nested(|printer| {
                printer.ethernet(span);
            }),
            protocol::AH => self.whole("ah", |printer| {
                printer.authentication_header(span)?;
                let (next, length) = (span.u8(0)?, span.u8(1)?);
                let named = Ip { named: true, ..ip };
                printer.nested(|printer| {
                    printer.carried_by_ip(next, span.skip((usize::from(length) + 2) * 4), named);
                });
                Some(())
            }),
            protocol::ESP => self.whole("esp", |printer| {
                let (index, sequence) = (span.u32(0)?, span.u32(4)?);
                show!(
                    printer.out,
                    "ESP(spi=",
                    Hex8(index),
                    ",seq=",
                    Hex(sequence),
                    "), length ",
                    span.length
                );
                Some(())
            }),
            protocol::IPCOMP => self.whole("ipcomp", |printer| {
                show!(printer.out, "IPComp(cpi=", Hex4(span.u16(2)?), ")");
                Some(())
            }),
            protocol::NO_NEXT => show!(self.out, "no next header"),
            _ => self.other_ip_protocol(number, span),
        }
    }

    /// Routing protocols and such, by name and type.
    fn other_ip_protocol(&mut self, number: u8, span: Span<'_>) {
        let length = span.length;
        let version = span.u8(0).unwrap_or_default();
        match number {
            46 => show!(self.out, "RSVPv", version >> 4, ", length: ", length),
            88 => show!(self.out, "EIGRP, length: ", length),
            89 => {
                let kinds = ["Hello", "Database Description", "LS-Request", "LS-Update", "LS-Ack"];
                show!(self.out, "OSPFv", version, ", ");
                let kind = span.u8(1).unwrap_or_default();
                match kinds.get(usize::from(kind).wrapping_sub(1)) {
                    Some(name) => show!(self.out, *name),
                    None => show!(self.out, "unknown packet type (", kind, ")"),
                }
                show!(self.out, ", length ", length);
            }
            103 => {
                let kinds = [
                    "Hello",
                    "Register",
                    "Register Stop",
                    "Join / Prune",
                    "Bootstrap",
                    "Assert",
                    "Graft",
                    "Graft-ACK",
                    "Candidate RP Advertisement",
                    "Prune-Refresh",
                    "DF Election",
                ];
                show!(self.out, "PIMv", version >> 4, ", ");
                match kinds.get(usize::from(version & 15)) {
                    Some(name) => show!(self.out, *name),
                    None => show!(self.out, "[type ", version & 15, "]"),
                }
                show!(self.out, ", length ", length);
            }
            112 => show!(self.out, "VRRPv", version >> 4, ", length ", length),
            _ => show!(self.out, " ip-proto-", number, " ", length),
        }
    }
}
