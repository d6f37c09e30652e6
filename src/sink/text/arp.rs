//! Address resolution (RFC 826), and group membership (IGMP), both short.

use super::link::ether_type;
use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex4, Mac, Put, show};

impl Printer<'_> {
    pub(super) fn arp(&mut self, span: Span<'_>) {
        self.whole("arp", |printer| printer.arp_packet(span));
    }

    fn arp_packet(&mut self, span: Span<'_>) -> Printed {
        let (hardware, protocol, operation) = (span.u16(0)?, span.u16(2)?, span.u16(6)?);
        let (long, short) = (usize::from(span.u8(4)?), usize::from(span.u8(5)?));
        let sender_hardware = span.slice(8, long)?;
        let sender = span.slice(8 + long, short)?;
        let target_hardware = span.slice(8 + long + short, long)?;
        let target = span.slice(8 + 2 * long + short, short)?;
        if !self.options.link_header {
            show!(self.out, "ARP, ");
        }
        let known = protocol == ether_type::IPV4 && short == 4 && long > 0;
        if !known || self.verbose() {
            self.arp_kind(hardware, protocol, long, short);
            if !known {
                show!(self.out, ", length ", span.length);
                return Some(());
            }
            show!(self.out, ", ");
        }
        let (sender, target) = (<[u8; 4]>::try_from(sender).ok()?, <[u8; 4]>::try_from(target).ok()?);
        match operation {
            1 => {
                show!(self.out, "Request who-has ", target);
                if target_hardware.iter().any(|&byte| byte != 0) {
                    show!(self.out, " (", Mac(target_hardware), ")");
                }
                show!(self.out, " tell ", sender);
            }
            2 => show!(self.out, "Reply ", sender, " is-at ", Mac(sender_hardware)),
            3 => {
                show!(self.out, "Reverse Request who-is ", Mac(target_hardware));
                show!(self.out, " tell ", Mac(sender_hardware));
            }
            4 => show!(self.out, "Reverse Reply ", Mac(target_hardware), " at ", target),
            8 => {
                show!(self.out, "Inverse Request who-is ", Mac(target_hardware));
                show!(self.out, " tell ", Mac(sender_hardware));
            }
            9 => show!(self.out, "Inverse Reply ", Mac(sender_hardware), " at ", sender),
            _ => show!(self.out, "Unknown (", operation, ")"),
        }
        show!(self.out, ", length ", span.length);
        Some(())
    }

    /// `Ethernet (len 6), IPv4 (len 4)`
    fn arp_kind(&mut self, hardware: u16, protocol: u16, long: usize, short: usize) {
        let name = match hardware {
            1 => "Ethernet",
            6 => "TokenRing",
            7 => "ArcNet",
            15 => "FrameRelay",
            19 => "ATM",
            23 => "Strip",
            24 => "IEEE 1394",
            32 => "InfiniBand",
            _ => "Unknown Hardware",
        };
        show!(self.out, name);
        if name.starts_with("Unknown") {
            show!(self.out, " (", hardware, ")");
        }
        show!(self.out, " (len ", long, "), ");
        match super::link::ether_type_name(protocol) {
            "Unknown" => show!(self.out, "Unknown Protocol (", Hex4(protocol), ")"),
            name => show!(self.out, name),
        }
        show!(self.out, " (len ", short, ")");
    }

    /// RFC 1112, 2236, 3376.
    pub(super) fn igmp(&mut self, span: Span<'_>) -> Printed {
        let (kind, response, group) = (span.u8(0)?, span.u8(1)?, span.array::<4>(4)?);
        match kind {
            0x11 if span.length >= 12 => {
                let sources = span.u16(10)?;
                show!(self.out, "igmp query v3");
                // RFC 3376 4.1.1: from 128 on, a floating-point code.
                let tenths = match u32::from(response) {
                    plain @ ..128 => plain,
                    code => (code & 15 | 16) << ((code >> 4 & 7) + 3),
                };
                self.longest_wait(tenths);
                if group != [0; 4] {
                    show!(self.out, " [gaddr ", group);
                    if sources > 0 {
                        show!(self.out, " nsrcs=", sources);
                    }
                    show!(self.out, "]");
                }
            }
            0x11 => {
                show!(self.out, "igmp query v", if response == 0 { 1_u8 } else { 2 });
                if response != 0 {
                    self.longest_wait(response.into());
                }
                if group != [0; 4] {
                    show!(self.out, " [gaddr ", group, "]");
                }
            }
            0x12 => show!(self.out, "igmp v1 report ", group),
            0x16 => show!(self.out, "igmp v2 report ", group),
            0x17 => show!(self.out, "igmp leave ", group),
            0x22 => {
                let records = span.u16(6)?;
                show!(self.out, "igmp v3 report, ", records, " group record(s)");
                if self.verbose() {
                    self.igmp_records(span, records)?;
                }
            }
            0x13 => show!(self.out, "igmp dvmrp, length ", span.length),
            0x14 => show!(self.out, "igmp pimv1, length ", span.length),
            _ => show!(self.out, "igmp-", kind),
        }
        Some(())
    }

    /// How long members may take to answer, where that is not the usual ten seconds.
    fn longest_wait(&mut self, tenths: u32) {
        if tenths != 100 {
            show!(self.out, " [max resp time ", tenths / 10, ".", tenths % 10, "s]");
        }
    }

    /// RFC 3376 4.2.12: ` [gaddr 224.0.0.1 to_ex { }]` for each record.
    fn igmp_records(&mut self, span: Span<'_>, records: u16) -> Printed {
        let mut record = span.skip(8);
        for _ in 0..records {
            let (kind, auxiliary, sources) = (record.u8(0)?, record.u8(1)?, record.u16(2)?);
            let names = ["is_in", "is_ex", "to_in", "to_ex", "allow", "block"];
            let name = names.get(usize::from(kind).wrapping_sub(1)).unwrap_or(&"unknown");
            show!(self.out, " [gaddr ", record.array::<4>(4)?, " ", *name, " {");
            for source in 0..usize::from(sources) {
                self.out.push(b' ');
                self.out.ipv4(record.array(8 + source * 4)?);
            }
            show!(self.out, " }]");
            record = record.skip(8 + usize::from(sources) * 4 + usize::from(auxiliary) * 4);
        }
        Some(())
    }
}
