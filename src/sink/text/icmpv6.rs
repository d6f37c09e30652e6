//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861), multicast listener discovery (RFC 2710, 3810).

use super::ip::Ip;
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex4, Put, show};
use crate::verify::Verdict;

impl Printer<'_> {
    pub(super) fn icmpv6(&mut self, span: Span<'_>, ip: Ip<'_>) {
        if self.verbose() && !ip.fragment {
            match ip.verdict {
                Verdict::Good | Verdict::Vouched => show!(self.out, "[icmp6 sum ok] "),
                Verdict::Bad { found, expected } => {
                    show!(self.out, "[bad icmp6 cksum ", Hex4(found), " -> ", Hex4(expected), "!] ");
                }
                Verdict::NotReady => show!(self.out, "[icmp6 cksum not yet computed: offloaded] "),
                _ => {}
            }
        }
        show!(self.out, "ICMP6");
        self.whole("icmp6", |printer| {
            printer.icmpv6_message(span)?;
            show!(printer.out, ", length ", span.length);
            Some(())
        });
        if self.verbose() {
            self.icmpv6_details(span);
        }
    }

    fn icmpv6_message(&mut self, span: Span<'_>) -> Printed {
        let (kind, code) = (span.u8(0)?, span.u8(1)?);
        match kind {
            1 => self.icmpv6_unreachable(code, span)?,
            2 => show!(self.out, ", packet too big, mtu ", span.u32(4)?),
            3 => match code {
                0 => show!(self.out, ", time exceeded in-transit for ", span.array::<16>(32)?),
                1 => show!(self.out, ", ip6 reassembly time exceeded"),
                _ => show!(self.out, ", time exceeded, unknown code (", code, ")"),
            },
            4 => {
                let name = match code {
                    0 => ", parameter problem, erroneous - octet ",
                    1 => ", parameter problem, next header - octet ",
                    2 => ", parameter problem, option - octet ",
                    3 => ", parameter problem, incomplete header chain - octet ",
                    _ => ", parameter problem, unknown - octet ",
                };
                show!(self.out, name, span.u32(4)?);
            }
            128 | 129 => {
                show!(self.out, if kind == 128 { ", echo request" } else { ", echo reply" });
                show!(self.out, ", id ", span.u16(4)?, ", seq ", span.u16(6)?);
            }
            130 if span.length >= 28 => {
                show!(self.out, ", multicast listener query v2");
                let group = span.array::<16>(8)?;
                let sources = span.u16(26)?;
                show!(self.out, " [gaddr ", group);
                if sources > 0 {
                    show!(self.out, " nsrcs=", sources);
                }
                show!(self.out, "]");
            }
            130..=132 => {
                let name = ["query", "report", "done"][usize::from(kind - 130)];
                show!(self.out, ", multicast listener ", name);
                show!(self.out, ", max resp delay: ", span.u16(4)?, ", addr: ", span.array::<16>(8)?);
            }
            133 => show!(self.out, ", router solicitation"),
            134 => show!(self.out, ", router advertisement"),
            135 => show!(self.out, ", neighbor solicitation, who has ", span.array::<16>(8)?),
            136 => show!(self.out, ", neighbor advertisement, tgt is ", span.array::<16>(8)?),
            137 => show!(self.out, ", redirect, ", span.array::<16>(24)?, " to ", span.array::<16>(8)?),
            138 => show!(self.out, ", router renumbering"),
            139 => show!(self.out, ", who-are-you request"),
            140 => show!(self.out, ", who-are-you reply"),
            143 => show!(self.out, ", multicast listener report v2, ", span.u16(6)?, " group record(s)"),
            144 => show!(self.out, ", ha discovery request"),
            145 => show!(self.out, ", ha discovery reply"),
            146 => show!(self.out, ", mobile router solicitation"),
            147 => show!(self.out, ", mobile router advertisement"),
            155 => {
                let name = match code {
                    0 => "DODAG Information Solicitation",
                    1 => "DODAG Information Object",
                    2 => "Destination Advertisement Object",
                    3 => "Destination Advertisement Object Ack",
                    _ => "unknown",
                };
                show!(self.out, ", RPL, ", name);
            }
            _ => show!(self.out, ", unknown icmp6 type (", kind, ")"),
        }
        Some(())
    }

    fn icmpv6_unreachable(&mut self, code: u8, span: Span<'_>) -> Printed {
        show!(self.out, ", destination unreachable");
        // The quoted packet begins 8 bytes in, its destination 24 bytes later.
        let destination = span.array::<16>(32);
        match code {
            0 => show!(self.out, ", unreachable route ", destination?),
            1 => show!(self.out, ", unreachable prohibited ", destination?),
            2 => show!(self.out, ", beyond scope ", destination?, ", source address ", span.array::<16>(16)?),
            3 => show!(self.out, ", unreachable address ", destination?),
            4 => {
                show!(self.out, ", unreachable port, ");
                let (number, port) = (span.u8(14)?, span.u16(50)?);
                self.port_of(&destination?, number, port);
            }
            5 => show!(self.out, ", source address failed policy ", destination?),
            6 => show!(self.out, ", reject route ", destination?),
            _ => show!(self.out, ", unknown unreach code (", code, ")"),
        }
        Some(())
    }

    /// With `-v`: what neighbour discovery's options say, and the packet an error is about.
    fn icmpv6_details(&mut self, span: Span<'_>) {
        let kind = span.u8(0).unwrap_or_default();
        match kind {
            1..=4 if span.bytes.len() > 8 => {
                show!(self.out, "\n\t");
                self.nested(|printer| printer.quoted(span.skip(8)));
            }
            133 => self.whole("icmp6", |printer| printer.discovery_options(span.skip(8))),
            134 => self.whole("icmp6", |printer| {
                printer.router_advertisement(span)?;
                printer.discovery_options(span.skip(16))
            }),
            135 => self.whole("icmp6", |printer| printer.discovery_options(span.skip(24))),
            136 => self.whole("icmp6", |printer| {
                let flags = span.u8(4)?;
                let names = [(0x80, "router"), (0x40, "solicited"), (0x20, "override")];
                show!(printer.out, ", Flags ");
                printer.flags(flags.into(), &names);
                printer.discovery_options(span.skip(24))
            }),
            137 => self.whole("icmp6", |printer| printer.discovery_options(span.skip(40))),
            _ => {}
        }
    }

    /// RFC 4861 4.2, RFC 4191 2.2.
    fn router_advertisement(&mut self, span: Span<'_>) -> Printed {
        let (hops, flags, lifetime) = (span.u8(4)?, span.u8(5)?, span.u16(6)?);
        show!(self.out, "\n\thop limit ", hops, ", Flags ");
        self.flags(flags.into(), &[(0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent")]);
        let preference = ["medium", "high", "reserved", "low"][usize::from(flags >> 3 & 3)];
        show!(self.out, ", pref ", preference, ", router lifetime ", lifetime, "s, reachable time ");
        show!(self.out, span.u32(8)?, "ms, retrans timer ", span.u32(12)?, "ms");
        Some(())
    }

    /// RFC 4861 4.6: each option on its own line.
    fn discovery_options(&mut self, mut span: Span<'_>) -> Printed {
        while span.length > 0 {
            let (kind, words) = (span.u8(0)?, span.u8(1)?);
            let length = usize::from(words) * 8;
            let name = match kind {
                1 => "source link-address",
                2 => "destination link-address",
                3 => "prefix info",
                4 => "redirected header",
                5 => "mtu",
                24 => "route info",
                25 => "rdnss",
                31 => "dnssl",
                _ => "unknown",
            };
            show!(self.out, "\n\t  ", name, " option (", kind, "), length ", length, " (", words, "):");
            if length == 0 {
                show!(self.out, " (invalid)");
                return Some(());
            }
            match kind {
                1 | 2 => {
                    show!(self.out, " ");
                    self.out.mac(span.slice(2, length - 2)?);
                }
                3 => {
                    let flags = span.u8(3)?;
                    show!(self.out, " ", span.array::<16>(16)?, "/", span.u8(2)?, ", Flags ");
                    self.flags(flags.into(), &[(0x80, "onlink"), (0x40, "auto"), (0x20, "router")]);
                    show!(self.out, ", valid time ", span.u32(4)?, "s, pref. time ", span.u32(8)?, "s");
                }
                5 => show!(self.out, "  ", span.u32(4)?),
                25 => {
                    show!(self.out, "  lifetime ", span.u32(4)?, "s,");
                    for at in (8..length).step_by(16) {
                        show!(self.out, " addr: ", span.array::<16>(at)?);
                    }
                }
                _ => {}
            }
            span = span.skip(length);
        }
        Some(())
    }
}
