//! UDP and UDP-Lite datagrams (RFC 768, 3828).

use super::ip::Ip;
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::parse::Transport;
use crate::parse::dns::{DNS_PORT, LLMNR_PORT, MDNS_PORT};
use crate::sink::format::{Hex4, show};
use crate::verify::Verdict;

impl Printer<'_> {
    pub(super) fn udp(&mut self, span: Span<'_>, ip: Ip<'_>, lite: bool) {
        self.whole(if lite { "udplite" } else { "udp" }, |printer| printer.datagram(span, ip, lite));
    }

    fn datagram(&mut self, span: Span<'_>, ip: Ip<'_>, lite: bool) -> Printed {
        let (Some(source), Some(destination)) = (span.u16(0), span.u16(2)) else {
            self.addresses_once(ip);
            return None;
        };
        self.endpoints(ip, source, destination, Transport::Udp);
        let declared = usize::from(span.u16(4)?);
        span.u16(6)?;
        // RFC 3828 3.1: in UDP-Lite that field is the coverage, and the length is that of the IP payload.
        // RFC 2675 4: 0 in a jumbogram.
        let length = if lite || declared == 0 { span.length } else { declared };
        if length < 8 {
            show!(self.out, "truncated-udplength ", length);
            return Some(());
        }
        let data = span.limit(length).skip(8);
        if self.options.quick {
            show!(self.out, if lite { "UDP-Lite" } else { "UDP" }, ", length ", length - 8);
            return Some(());
        }
        if self.verbose() && !ip.fragment {
            self.udp_checksum(ip.verdict);
        }
        if !self.message(data, source, destination) {
            show!(self.out, if lite { "UDP-Lite" } else { "UDP" });
            if length > span.length && !ip.fragment {
                show!(self.out, ", bad length ", length - 8, " > ", span.length.saturating_sub(8));
            } else {
                show!(self.out, ", length ", length - 8);
            }
        }
        Some(())
    }

    fn udp_checksum(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Good | Verdict::Vouched => show!(self.out, "[udp sum ok] "),
            Verdict::Bad { found, expected } => {
                show!(self.out, "[bad udp cksum ", Hex4(found), " -> ", Hex4(expected), "!] ");
            }
            Verdict::Absent => show!(self.out, "[no cksum] "),
            Verdict::NotReady => show!(self.out, "[udp cksum not yet computed: offloaded] "),
            Verdict::NotApplicable | Verdict::Fragment | Verdict::Truncated => {}
        }
    }

    /// What a datagram carries, by its ports; false where that says nothing.
    fn message(&mut self, data: Span<'_>, source: u16, destination: u16) -> bool {
        let on = |port| source == port || destination == port;
        match (source, destination) {
            _ if on(DNS_PORT) || on(MDNS_PORT) || on(LLMNR_PORT) => {
                self.dns(data, on(MDNS_PORT) && !on(DNS_PORT));
                true
            }
            _ if on(67) || on(68) => {
                self.whole("bootp", |printer| printer.dhcp(data));
                true
            }
            _ if on(123) => self.ntp(data),
            _ if on(546) || on(547) => self.dhcpv6(data),
            _ if on(520) => self.rip(data),
            _ if on(514) => self.syslog(data),
            _ if on(69) => self.tftp(data),
            _ if on(1812) || on(1813) || on(1645) || on(1646) => self.radius(data),
            _ if on(5060) || on(5061) => {
                self.text_protocol("SIP", data, true);
                true
            }
            _ if on(4500) => self.nat_traversal(data),
            (_, 4789 | 8472) => self.vxlan(data),
            (_, 6081) => self.geneve(data),
            _ if on(2152) => self.gtp(data),
            _ if on(3544) => self.teredo(data),
            (_, 6635) => {
                self.nested(|printer| printer.whole("mpls", |printer| printer.mpls(data)));
                true
            }
            _ => false,
        }
    }
}
