//! ICMP (RFC 792 and its updates).

use super::ip::{Ip, address, protocol};
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::parse::Transport;
use crate::sink::format::{Hex8, Put, show};
use crate::verify::Verdict;

const UNREACHABLE: u8 = 3;
const QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER: u8 = 12;

impl Printer<'_> {
    pub(super) fn icmp(&mut self, span: Span<'_>, ip: Ip<'_>) {
        show!(self.out, "ICMP ");
        if self.icmp_message(span).is_none() {
            // The separator after `ICMP` is part of the mark here.
            self.out.pop();
            return self.truncated("icmp");
        }
        show!(self.out, ", length ", span.length);
        if self.verbose() && !ip.fragment {
            match ip.verdict {
                Verdict::Bad { found, expected } => {
                    show!(self.out, " (wrong icmp cksum ");
                    self.out.hex(found.into(), 1);
                    show!(self.out, " (->");
                    self.out.hex(expected.into(), 1);
                    show!(self.out, ")!)");
                }
                Verdict::NotReady => show!(self.out, " (cksum not yet computed: offloaded)"),
                _ => {}
            }
        }
        let kind = span.u8(0).unwrap_or_default();
        let quotes = matches!(kind, UNREACHABLE | QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER);
        if self.verbose() && quotes && span.bytes.len() > 8 {
            show!(self.out, "\n\t");
            self.nested(|printer| printer.quoted(span.skip(8)));
        }
    }

    /// The packet an error is about; its checksums were never verified, nor does it belong to a connection here.
    pub(super) fn quoted(&mut self, span: Span<'_>) {
        // Only as much of the packet is there as the error quotes: that is not a truncation.
        let declared = match span.u8(0).map(|byte| byte >> 4) {
            Some(6) => span.u16(4).map_or(0, |length| usize::from(length) + 40),
            _ => span.u16(2).map_or(0, usize::from),
        };
        self.ip_by_version(Span { length: span.length.max(declared), ..span });
    }

    fn icmp_message(&mut self, span: Span<'_>) -> Printed {
        let (kind, code) = (span.u8(0)?, span.u8(1)?);
        match kind {
            0 | 8 => {
                show!(self.out, if kind == 8 { "echo request" } else { "echo reply" });
                show!(self.out, ", id ", span.u16(4)?, ", seq ", span.u16(6)?);
            }
            UNREACHABLE => self.icmp_unreachable(code, span)?,
            QUENCH => show!(self.out, "source quench"),
            REDIRECT => {
                let (destination, gateway) = (span.array::<4>(24)?, span.array::<4>(4)?);
                let (verb, kind) = match code {
                    0 => ("redirect ", " to net "),
                    1 => ("redirect ", " to host "),
                    2 => ("redirect-tos ", " to net "),
                    3 => ("redirect-tos ", " to host "),
                    _ => ("redirect-unknown ", " to net "),
                };
                show!(self.out, verb, destination, kind, gateway);
            }
            9 => {
                let (count, size, lifetime) = (span.u8(4)?, span.u8(5)?, span.u16(6)?);
                show!(self.out, "router advertisement lifetime ");
                self.lifetime(lifetime);
                show!(self.out, " ", count, ":");
                if size != 2 {
                    show!(self.out, " [size ", size, "]");
                } else {
                    for router in 0..usize::from(count) {
                        let at = 8 + router * 8;
                        show!(self.out, " {", span.array::<4>(at)?, " ", span.u32(at + 4)?, "}");
                    }
                }
            }
            10 => show!(self.out, "router solicitation"),
            TIME_EXCEEDED => match code {
                0 => show!(self.out, "time exceeded in-transit"),
                1 => show!(self.out, "ip reassembly time exceeded"),
                _ => show!(self.out, "time exceeded-#", code),
            },
            PARAMETER if code == 0 => show!(self.out, "parameter problem - octet ", span.u8(4)?),
            PARAMETER => show!(self.out, "parameter problem - code ", code),
            13 => show!(self.out, "time stamp query id ", span.u16(4)?, " seq ", span.u16(6)?),
            14 => {
                show!(self.out, "time stamp reply id ", span.u16(4)?, " seq ", span.u16(6)?);
                for (name, at) in [(": org ", 8), (", recv ", 12), (", xmit ", 16)] {
                    show!(self.out, name);
                    self.time_of_day(span.u32(at)?);
                }
            }
            15 => show!(self.out, "information request"),
            16 => show!(self.out, "information reply"),
            17 => show!(self.out, "address mask request"),
            18 => {
                show!(self.out, "address mask is ", Hex8(span.u32(8)?));
            }
            _ => show!(self.out, "type-#", kind),
        }
        Some(())
    }

    /// Seconds as `H:MM:SS`, shorter when there are few.
    fn lifetime(&mut self, seconds: u16) {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            show!(self.out, hours, ":");
            self.out.decimal_padded(minutes.into(), 2);
            show!(self.out, ":");
        } else if minutes > 0 {
            show!(self.out, minutes, ":");
        }
        self.out.decimal_padded((seconds % 60).into(), if seconds < 60 { 1 } else { 2 });
    }

    /// Milliseconds since midnight UT as `HH:MM:SS.mmm`.
    fn time_of_day(&mut self, milliseconds: u32) {
        let seconds = u64::from(milliseconds / 1000);
        for (value, separator) in [(seconds / 3600, ":"), (seconds / 60 % 60, ":"), (seconds % 60, ".")] {
            self.out.decimal_padded(value, 2);
            show!(self.out, separator);
        }
        self.out.decimal_padded((milliseconds % 1000).into(), 3);
    }

    fn icmp_unreachable(&mut self, code: u8, span: Span<'_>) -> Printed {
        let destination = span.array::<4>(24)?;
        let (before, after) = match code {
            0 => ("net ", " unreachable"),
            1 => ("host ", " unreachable"),
            2 => {
                show!(self.out, destination, " protocol ", span.u8(17)?, " unreachable");
                return Some(());
            }
            3 => return self.unreachable_port(destination, span),
            4 => {
                show!(self.out, destination, " unreachable - need to frag");
                match span.u16(6)? {
                    0 => {}
                    mtu => show!(self.out, " (mtu ", mtu, ")"),
                }
                return Some(());
            }
            5 => ("", " unreachable - source route failed"),
            6 => ("net ", " unreachable - unknown"),
            7 => ("host ", " unreachable - unknown"),
            8 => ("", " unreachable - source host isolated"),
            9 => ("net ", " unreachable - admin prohibited"),
            10 => ("host ", " unreachable - admin prohibited"),
            11 => ("net ", " unreachable - tos prohibited"),
            12 => ("host ", " unreachable - tos prohibited"),
            13 => ("host ", " unreachable - admin prohibited filter"),
            14 => ("host ", " unreachable - host precedence violation"),
            15 => ("host ", " unreachable - precedence cutoff"),
            _ => {
                show!(self.out, "#", code, " ", destination, " unreachable");
                return Some(());
            }
        };
        show!(self.out, before, destination, after);
        Some(())
    }

    fn unreachable_port(&mut self, destination: [u8; 4], span: Span<'_>) -> Printed {
        let number = span.u8(17)?;
        let port = span.u16(8 + usize::from(span.u8(8)? & 15) * 4 + 2)?;
        self.port_of(&destination, number, port);
        show!(self.out, " unreachable");
        Some(())
    }

    /// `1.2.3.4 udp port 53`
    pub(super) fn port_of(&mut self, destination: &[u8], number: u8, port: u16) {
        address(self.out, destination);
        match number {
            protocol::TCP => {
                show!(self.out, " tcp port ");
                self.port(port, Transport::Tcp);
            }
            protocol::UDP => {
                show!(self.out, " udp port ");
                self.port(port, Transport::Udp);
            }
            _ => show!(self.out, " protocol ", number, " port ", port),
        }
    }
}
